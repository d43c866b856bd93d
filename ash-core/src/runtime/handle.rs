//! What a user holds: the handle of a supervisor.

use alloc::sync::Arc;
use core::time::Duration;

use crate::error::{StartError, SupervisorError};
use crate::exit::ExitReason;
use crate::machine::{Event, Timestamp};
use crate::runtime::cell::StopOrder;
use crate::runtime::events::Events;
use crate::runtime::inbox::Woken;
use crate::runtime::report::ShutdownReport;
use crate::runtime::shared::{Ended, Message, Shared, Status};
use crate::runtime::spec::SupervisorSpec;
use crate::runtime::task::Task;
use crate::runtime::waiting::Waiting;
use crate::spec::{RestartStrategy, SpecError};

/// The handle of a supervisor: starts its tree, asks it, changes it, stops it.
///
/// It is cheap to clone and works from any thread and any runtime. Dropping all handles does not
/// stop the tree. From the moment a supervisor begins to stop, questions are answered and all
/// other calls give [`SupervisorError::ShuttingDown`]. Once it has ended, for whatever reason,
/// [`wait`](Self::wait), [`ready`](Self::ready), [`shutdown`](Self::shutdown) and
/// [`shutdown_within`](Self::shutdown_within) still answer, [`events`](Self::events) end, and all
/// other calls give `ShuttingDown`.
///
/// # Cancel safety
///
/// A call is sent when its future is first polled. Dropping the future after that drops the
/// answer, never the call.
///
/// # Examples
///
/// ```
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() {
/// use ash_core::{ChildContext, ChildSpec, ExitReason, SupervisorHandle, SupervisorSpec};
///
/// let idle = |child: ChildContext| async move {
///     child.stop_token().cancelled().await;
///     Ok::<_, std::io::Error>(())
/// };
/// let app = SupervisorSpec::new("app").with_child(ChildSpec::task("idle", idle));
/// let handle = SupervisorHandle::start(app);
/// handle.ready().await.unwrap();
/// assert_eq!(handle.which_children().await.unwrap()[0].id, "idle");
///
/// handle.shutdown().await.unwrap();
/// assert!(matches!(handle.wait().await, ExitReason::Shutdown));
/// # }
/// ```
#[derive(Clone, Debug)]
pub struct SupervisorHandle(pub(super) Arc<Shared>);

impl SupervisorHandle {
    pub(crate) const fn new(shared: Arc<Shared>) -> Self {
        Self(shared)
    }

    /// Starts a tree. Returns at once; the tree starts in the background, and
    /// [`ready`](Self::ready) tells when it is up or what stopped it.
    ///
    /// # Panics
    ///
    /// Panics outside a tokio runtime, and in one whose timers are not enabled.
    #[must_use = "the tree runs without its handle, but nobody can watch or stop it"]
    #[track_caller]
    pub fn start(spec: impl Into<SupervisorSpec>) -> Self {
        let spec = spec.into();
        if let Err(error) = spec.check() {
            return Self::stillborn(&spec, error);
        }
        match Task::root(&spec) {
            Ok(task) => {
                let shared = task.shared();
                // The task ends with its machine; a shutdown, or the end of the runtime, sees to
                // that.
                drop(tokio::spawn(task.run()));
                Self(shared)
            }
            Err(error) => Self::stillborn(&spec, error),
        }
    }

    fn stillborn(spec: &SupervisorSpec, error: SpecError) -> Self {
        Self(Shared::stillborn(spec, StartError::InvalidSpec(error)))
    }

    /// Waits until the whole initial tree is up, or has failed to come up. Once it was up this stays
    /// `Ok`, also when the tree has ended: that is what [`wait`](Self::wait) tells.
    ///
    /// In `initialize` of a worker which that tree has to wait for, it waits for itself: for ever,
    /// or until the worker's [init timeout](crate::ChildSpec::init_timeout). The supervisor serves
    /// all calls meanwhile. What is to be done when all are up belongs into `run`.
    ///
    /// # Errors
    ///
    /// Returns what stopped the initial start: an invalid spec, a child that did not start (by
    /// then those that were up have been stopped), or a shutdown meanwhile.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe; it only watches.
    pub async fn ready(&self) -> Result<(), StartError> {
        self.status(|status| status.ready.clone()).await
    }

    /// Waits until the tree has ended, and tells why. On a runtime that is gone that is
    /// [`ExitReason::Killed`].
    ///
    /// # Cancel safety
    ///
    /// Cancel safe; it only watches.
    pub async fn wait(&self) -> ExitReason {
        self.ended().await.reason
    }

    /// Returns why the supervisor has ended, or has begun to stop; nothing as long as it does not.
    ///
    /// So whoever is asked to stop finds out whether its supervisor stops as well, or only it. A
    /// stop that has begun may yet end otherwise, by a kill.
    ///
    /// # Examples
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() {
    /// use ash_core::{ChildContext, ChildSpec, SupervisorHandle, SupervisorSpec};
    ///
    /// let server = ChildSpec::task("server", |child: ChildContext| async move {
    ///     child.stop_token().cancelled().await;
    ///     let is_restart = child.supervisor().stop_reason().is_none();
    ///     assert!(!is_restart, "the whole tree goes");
    ///     Ok::<_, std::io::Error>(())
    /// });
    /// let handle = SupervisorHandle::start(SupervisorSpec::new("app").with_child(server));
    /// handle.ready().await.unwrap();
    /// assert!(handle.stop_reason().is_none());
    ///
    /// handle.shutdown().await.unwrap();
    /// assert!(handle.stop_reason().unwrap().is_normal());
    /// # }
    /// ```
    #[must_use]
    pub fn stop_reason(&self) -> Option<ExitReason> {
        self.0.stop_reason()
    }

    /// Returns the supervisor's name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.0.name
    }

    /// Returns the supervisor's path, from the root's name on.
    #[must_use]
    pub fn path(&self) -> &str {
        &self.0.path
    }

    /// Returns which children are restarted together.
    #[must_use]
    pub fn restart_strategy(&self) -> RestartStrategy {
        self.0.strategy
    }

    /// Returns how long ago this incarnation of the supervisor was started.
    #[must_use]
    pub fn uptime(&self) -> Duration {
        self.0.now().since(self.0.since)
    }

    /// Returns a stream of the events of this supervisor and all below, from now on. It ends
    /// with the supervisor.
    ///
    /// A subscriber that is more than 1,024 events behind loses the oldest and is told how many;
    /// it never slows a supervisor.
    pub fn events(&self) -> Events {
        self.0.events.subscribe()
    }

    /// Stops the tree gracefully. Returns when all of it is down: every worker has been dropped,
    /// or reported as leaked.
    ///
    /// It may be called several times and from several places at once. Called on a nested
    /// supervisor it is a `Shutdown` exit to its parent: a permanent one comes back.
    ///
    /// # Errors
    ///
    /// None so far: a tree that has ended already is down.
    pub async fn shutdown(&self) -> Result<(), SupervisorError> {
        self.stop(Timestamp::NEVER).await;
        Ok(())
    }

    /// Stops the tree like [`shutdown`](Self::shutdown), and kills what is left of it after
    /// `limit`. Returns what had to be killed or left behind.
    ///
    /// Of several limits the earliest wins.
    ///
    /// # Errors
    ///
    /// None so far: a tree that has ended already is down.
    ///
    /// # Examples
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread", start_paused = true)]
    /// # async fn main() {
    /// use std::time::Duration;
    /// use ash_core::{ChildContext, ChildSpec, Shutdown, SupervisorHandle, SupervisorSpec};
    ///
    /// // It takes its token and pays no heed to it.
    /// let deaf = ChildSpec::task("deaf", |child: ChildContext| async move {
    ///     let _token = child.stop_token();
    ///     std::future::pending::<Result<(), std::io::Error>>().await
    /// });
    /// let spec = SupervisorSpec::new("app").with_child(deaf.shutdown(Shutdown::Infinity));
    /// let handle = SupervisorHandle::start(spec);
    /// handle.ready().await.unwrap();
    /// # tokio::task::yield_now().await;
    ///
    /// let report = handle.shutdown_within(Duration::from_secs(3)).await.unwrap();
    /// assert_eq!(report.killed, ["app/deaf"]);
    /// assert!(report.leaked.is_empty());
    /// # }
    /// ```
    pub async fn shutdown_within(
        &self,
        limit: Duration,
    ) -> Result<ShutdownReport, SupervisorError> {
        let ended = self.stop(self.0.now() + limit).await;
        Ok((*ended.report).clone())
    }

    async fn stop(&self, deadline: Timestamp) -> Ended {
        self.0.inbox.push(Message::Input(Event::Shutdown { deadline }));
        if self.0.is_here() {
            drop(Waiting::new(Woken::Somebody));
        }
        self.ended().await
    }

    async fn ended(&self) -> Ended {
        self.status(|status| status.ended.clone()).await
    }

    /// Waits until the status gives what is wanted.
    async fn status<T>(&self, pick: impl Fn(&Status) -> Option<T>) -> T {
        let mut status = self.0.status.subscribe();
        loop {
            let picked = pick(&status.borrow_and_update());
            if let Some(picked) = picked {
                // One that asks over and over is not to keep its thread for ever.
                tokio::task::consume_budget().await;
                return picked;
            }
            // The sender lives in the handle, so there always is one.
            let _ = status.changed().await;
        }
    }

    /// Tells whether this incarnation has ended.
    pub(crate) fn has_ended(&self) -> bool {
        self.0.status.borrow().ended.is_some()
    }

    /// Passes on an order of the supervisor above.
    pub(crate) fn order(&self, order: StopOrder) {
        let input = match order {
            StopOrder::Live => return,
            StopOrder::Stop => Event::Shutdown { deadline: Timestamp::NEVER },
            StopOrder::Kill => Event::Kill,
        };
        self.0.inbox.push(Message::Input(input));
    }

    pub(crate) fn shared(&self) -> &Shared {
        &self.0
    }
}
