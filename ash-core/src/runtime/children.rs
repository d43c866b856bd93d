//! The calls on the children of a supervisor.

use alloc::vec::Vec;

use crate::ChildId;
use crate::error::SupervisorError;
use crate::machine::{ChildCommand, ChildCounts, ChildInfo, Event};
use crate::runtime::child_spec::ChildSpec;
use crate::runtime::handle::SupervisorHandle;
use crate::spec::RestartPolicy;
use crate::worker::Worker;

impl SupervisorHandle {
    /// Adds a worker and starts it. Returns when it has finished `initialize`.
    ///
    /// # Errors
    ///
    /// `InvalidSpec` for an id that is empty or holds a `/`, `ChildAlreadyExists` for one that is
    /// held, `TooManyChildren`, `ShuttingDown`, and `StartFailed` with the cause if the worker did
    /// not start. Nothing of it is kept then.
    ///
    /// # Examples
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() {
    /// use ash_core::{RestartPolicy, SupervisorError, SupervisorHandle, SupervisorSpec, Worker};
    ///
    /// struct Session;
    ///
    /// #[ash_core::async_trait]
    /// impl Worker for Session {
    ///     type Error = std::io::Error;
    ///     async fn run(&mut self) -> Result<(), Self::Error> {
    ///         std::future::pending().await
    ///     }
    /// }
    ///
    /// let handle = SupervisorHandle::start(SupervisorSpec::new("sessions"));
    /// let id = handle.start_child("ann", || Session, RestartPolicy::Temporary).await.unwrap();
    /// assert_eq!(id, "ann");
    ///
    /// let again = handle.start_child("ann", || Session, RestartPolicy::Temporary).await;
    /// assert!(matches!(again, Err(SupervisorError::ChildAlreadyExists(id)) if id == "ann"));
    /// # handle.shutdown().await.unwrap();
    /// # }
    /// ```
    pub async fn start_child<W, F>(
        &self,
        id: impl Into<ChildId>,
        factory: F,
        policy: RestartPolicy,
    ) -> Result<ChildId, SupervisorError>
    where
        W: Worker,
        F: Fn() -> W + Send + Sync + 'static,
    {
        self.start_child_spec(ChildSpec::worker(id, factory).restart(policy)).await
    }

    /// Adds a child, worker or supervisor, and starts it. Returns when it is up.
    ///
    /// # Errors
    ///
    /// As [`start_child`](Self::start_child).
    ///
    /// # Examples
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() {
    /// use std::time::Duration;
    /// use ash_core::{Backoff, ChildContext, ChildSpec, RestartPolicy};
    /// use ash_core::{SupervisorHandle, SupervisorSpec};
    ///
    /// let handle = SupervisorHandle::start(SupervisorSpec::new("app"));
    /// let upload = ChildSpec::task("upload", |child: ChildContext| async move {
    ///     child.stop_token().cancelled().await;
    ///     Ok::<_, std::io::Error>(())
    /// });
    /// let upload = upload
    ///     .restart(RestartPolicy::Transient)
    ///     .backoff(Backoff::constant(Duration::from_secs(1)));
    /// handle.start_child_spec(upload).await.unwrap();
    /// handle.start_child_spec(SupervisorSpec::new("sessions")).await.unwrap();
    ///
    /// let counts = handle.count_children().await.unwrap();
    /// assert_eq!((counts.workers, counts.supervisors), (1, 1));
    /// # handle.shutdown().await.unwrap();
    /// # }
    /// ```
    pub async fn start_child_spec(
        &self,
        child: impl Into<ChildSpec>,
    ) -> Result<ChildId, SupervisorError> {
        let child = child.into();
        if let Err(error) = child.check_below(&self.0.path) {
            // One that stops says so whatever it is asked to start.
            return Err(match self.ask(|machine, _| machine.is_ending()).await {
                Ok(false) => error.into(),
                Ok(true) | Err(_) => self.0.shutting_down(),
            });
        }
        let id = child.id().clone();
        let (attributes, payload) = child.into_slot();
        self.call(|caller| Event::StartChild { attributes, payload, caller }).await?;
        Ok(id)
    }

    /// Stops a child and forgets it. Returns when its worker has been dropped.
    ///
    /// OTP's `terminate_child` keeps the spec; that is [`stop_child`](Self::stop_child) here.
    ///
    /// # Errors
    ///
    /// `ChildNotFound`, or `ShuttingDown`.
    pub async fn terminate_child(&self, id: impl AsRef<str>) -> Result<(), SupervisorError> {
        self.command(id.as_ref(), ChildCommand::Terminate).await
    }

    /// Stops a child and keeps its spec, so that it can be brought back. Returns when its worker
    /// has been dropped. A temporary child is forgotten.
    ///
    /// # Errors
    ///
    /// `ChildNotFound`, or `ShuttingDown`.
    ///
    /// # Examples
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() {
    /// use ash_core::{ChildContext, ChildSpec, ChildState, SupervisorHandle, SupervisorSpec};
    ///
    /// let clock = ChildSpec::task("clock", |child: ChildContext| async move {
    ///     child.stop_token().cancelled().await;
    ///     Ok::<_, std::io::Error>(())
    /// });
    /// let handle = SupervisorHandle::start(SupervisorSpec::new("app").with_child(clock));
    /// handle.ready().await.unwrap();
    ///
    /// handle.stop_child("clock").await.unwrap();
    /// assert_eq!(handle.child("clock").await.unwrap().state, ChildState::Stopped);
    ///
    /// handle.restart_child("clock").await.unwrap();
    /// let clock = handle.child("clock").await.unwrap();
    /// assert_eq!((clock.state, clock.incarnation), (ChildState::Running, 2));
    /// # handle.shutdown().await.unwrap();
    /// # }
    /// ```
    pub async fn stop_child(&self, id: impl AsRef<str>) -> Result<(), SupervisorError> {
        self.command(id.as_ref(), ChildCommand::Stop).await
    }

    /// Starts a child anew, after stopping it if it is live; one that backs off is started now, and a
    /// group that waits for it goes on. Returns when it is up. It is never charged to the restart
    /// intensity, nor tried again if it fails.
    ///
    /// # Errors
    ///
    /// `ChildNotFound`, `ShuttingDown`, or `StartFailed` with the cause; the spec is kept.
    pub async fn restart_child(&self, id: impl AsRef<str>) -> Result<(), SupervisorError> {
        self.command(id.as_ref(), ChildCommand::Restart).await
    }

    /// Forgets a child that was stopped or has completed.
    ///
    /// # Errors
    ///
    /// `ChildRunning` if it is live, `ChildNotFound`, or `ShuttingDown`.
    pub async fn delete_child(&self, id: impl AsRef<str>) -> Result<(), SupervisorError> {
        self.command(id.as_ref(), ChildCommand::Delete).await
    }

    /// Returns the live children, in start order.
    ///
    /// # Errors
    ///
    /// `ShuttingDown` once the supervisor has ended.
    pub async fn which_children(&self) -> Result<Vec<ChildInfo>, SupervisorError> {
        self.ask(|machine, now| {
            let mut children = Vec::with_capacity(machine.len());
            children.extend(machine.live_children(now));
            children
        })
        .await
    }

    /// Returns one child, live or not.
    ///
    /// # Errors
    ///
    /// `ChildNotFound`, or `ShuttingDown` once the supervisor has ended.
    pub async fn child(&self, id: impl AsRef<str>) -> Result<ChildInfo, SupervisorError> {
        let id = ChildId::from(id.as_ref());
        let wanted = id.clone();
        let found = self.ask(move |machine, now| machine.child(now, &wanted)).await?;
        found.ok_or(SupervisorError::ChildNotFound(id))
    }

    /// Returns how many children of which kind there are.
    ///
    /// # Errors
    ///
    /// `ShuttingDown` once the supervisor has ended.
    pub async fn count_children(&self) -> Result<ChildCounts, SupervisorError> {
        self.ask(|machine, _| machine.counts()).await
    }

    /// Returns the handle of a supervisor below, by its path relative to this one:
    /// `"database"`, or `"web/sessions"`.
    ///
    /// The handle is valid for the incarnation it was taken from; later its calls give
    /// `ShuttingDown`, never another incarnation's data.
    ///
    /// # Errors
    ///
    /// `ChildNotFound` with the part of the path that is not there, `NotASupervisor`,
    /// `ChildNotRunning` if it is not up, or `ShuttingDown`.
    ///
    /// # Examples
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() {
    /// use ash_core::{SupervisorError, SupervisorHandle, SupervisorSpec};
    ///
    /// let web = SupervisorSpec::new("web").with_supervisor(SupervisorSpec::new("sessions"));
    /// let handle = SupervisorHandle::start(SupervisorSpec::new("app").with_supervisor(web));
    /// handle.ready().await.unwrap();
    ///
    /// let sessions = handle.supervisor("web/sessions").await.unwrap();
    /// assert_eq!(sessions.path(), "app/web/sessions");
    ///
    /// let missing = handle.supervisor("web/cache").await;
    /// assert!(matches!(missing, Err(SupervisorError::ChildNotFound(id)) if id == "cache"));
    /// # handle.shutdown().await.unwrap();
    /// # }
    /// ```
    pub async fn supervisor(&self, path: impl AsRef<str>) -> Result<Self, SupervisorError> {
        let mut found = self.clone();
        for part in path.as_ref().split('/') {
            found = found.nested(part.into()).await?;
        }
        Ok(found)
    }

    async fn nested(&self, id: ChildId) -> Result<Self, SupervisorError> {
        self.ask(move |machine, now| {
            let Some(key) = machine.find(&id) else {
                return Err(SupervisorError::ChildNotFound(id));
            };
            if let Some(handle) = machine.payload(key).and_then(|slot| slot.supervisor()) {
                return Ok(handle.clone());
            }
            match machine.child(now, &id).map(|child| child.child_type) {
                Some(crate::ChildType::Worker) => Err(SupervisorError::NotASupervisor(id)),
                Some(crate::ChildType::Supervisor) | None => {
                    Err(SupervisorError::ChildNotRunning(id))
                }
            }
        })
        .await?
    }
}
