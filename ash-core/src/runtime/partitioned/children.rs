//! The calls on the children of a supervisor with partitions.

use alloc::vec::Vec;

use crate::ChildId;
use crate::error::SupervisorError;
use crate::machine::{ChildCounts, ChildInfo};
use crate::runtime::child_spec::ChildSpec;
use crate::runtime::handle::SupervisorHandle;
use crate::runtime::partitioned::PartitionedSupervisor;
use crate::spec::RestartPolicy;
use crate::worker::Worker;

impl PartitionedSupervisor {
    /// Adds a worker to its partition and starts it. Returns when it has finished `initialize`.
    ///
    /// # Errors
    ///
    /// As [`SupervisorHandle::start_child`]; `TooManyChildren` when its partition is full, and
    /// `ChildNotRunning` while that is away.
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

    /// Adds a child, worker or supervisor, to its partition and starts it. Returns when it is up.
    ///
    /// # Errors
    ///
    /// As [`start_child`](Self::start_child).
    pub async fn start_child_spec(
        &self,
        child: impl Into<ChildSpec>,
    ) -> Result<ChildId, SupervisorError> {
        let child = child.into();
        let id = child.id().clone();
        self.call(&id, |partition| {
            let child = child.clone();
            async move { partition.start_child_spec(child).await }
        })
        .await
    }

    /// Stops a child and forgets it. Returns when its worker has been dropped.
    ///
    /// # Errors
    ///
    /// `ChildNotFound`, `ShuttingDown`, or `ChildNotRunning` while its partition is away.
    pub async fn terminate_child(&self, id: impl AsRef<str>) -> Result<(), SupervisorError> {
        let id = id.as_ref();
        self.call(id, |partition| async move { partition.terminate_child(id).await }).await
    }

    /// Stops a child and keeps its spec, so that it can be brought back. Returns when its worker
    /// has been dropped. A temporary child is forgotten.
    ///
    /// # Errors
    ///
    /// As [`terminate_child`](Self::terminate_child).
    pub async fn stop_child(&self, id: impl AsRef<str>) -> Result<(), SupervisorError> {
        let id = id.as_ref();
        self.call(id, |partition| async move { partition.stop_child(id).await }).await
    }

    /// Starts a child anew, after stopping it if it is live; one that backs off is started now.
    /// Returns when it is up.
    ///
    /// # Errors
    ///
    /// As [`terminate_child`](Self::terminate_child), or `StartFailed` with the cause; the spec is
    /// kept.
    pub async fn restart_child(&self, id: impl AsRef<str>) -> Result<(), SupervisorError> {
        let id = id.as_ref();
        self.call(id, |partition| async move { partition.restart_child(id).await }).await
    }

    /// Forgets a child that was stopped or has completed.
    ///
    /// # Errors
    ///
    /// As [`terminate_child`](Self::terminate_child), or `ChildRunning` if it is live.
    pub async fn delete_child(&self, id: impl AsRef<str>) -> Result<(), SupervisorError> {
        let id = id.as_ref();
        self.call(id, |partition| async move { partition.delete_child(id).await }).await
    }

    /// Returns the handle of a nested supervisor among the children, or of one further below:
    /// `"bob"`, or `"bob/devices"`. It is valid for the incarnation it was taken from.
    ///
    /// # Errors
    ///
    /// As [`SupervisorHandle::supervisor`]; `ChildNotRunning` while the partition is away.
    pub async fn supervisor(
        &self,
        path: impl AsRef<str>,
    ) -> Result<SupervisorHandle, SupervisorError> {
        let path = path.as_ref();
        let (id, below) = path.split_once('/').map_or((path, None), |(id, rest)| (id, Some(rest)));
        let child = self.call(id, |partition| async move { partition.supervisor(id).await });
        let child = child.await?;
        match below {
            Some(below) => child.supervisor(below).await,
            None => Ok(child),
        }
    }

    /// Returns one child, live or not.
    ///
    /// # Errors
    ///
    /// `ChildNotFound`, or `ShuttingDown` once the supervisor has ended.
    pub async fn child(&self, id: impl AsRef<str>) -> Result<ChildInfo, SupervisorError> {
        let id = id.as_ref();
        let ask = |partition: SupervisorHandle| async move { partition.child(id).await };
        let found = self.pass_on(self.partition_of(id), ask).await?;
        found.ok_or_else(|| SupervisorError::ChildNotFound(id.into()))
    }

    /// Returns the live children of all partitions, one partition after the other, in start order
    /// within each. There is no order over all of them.
    ///
    /// The partitions are asked in turn, so what happens meanwhile shows in the later ones.
    ///
    /// # Errors
    ///
    /// `ShuttingDown` once the supervisor has ended.
    pub async fn which_children(&self) -> Result<Vec<ChildInfo>, SupervisorError> {
        let mut children = Vec::new();
        for number in 0..self.partitions() {
            let ask = |partition: SupervisorHandle| async move { partition.which_children().await };
            children.append(&mut self.pass_on(number, ask).await?.unwrap_or_default());
        }
        Ok(children)
    }

    /// Returns how many children of which kind there are in all partitions, the partitions
    /// themselves not counted. They are asked in turn.
    ///
    /// # Errors
    ///
    /// `ShuttingDown` once the supervisor has ended.
    pub async fn count_children(&self) -> Result<ChildCounts, SupervisorError> {
        let mut sum = ChildCounts::default();
        for number in 0..self.partitions() {
            let ask = |partition: SupervisorHandle| async move { partition.count_children().await };
            let counts = self.pass_on(number, ask).await?.unwrap_or_default();
            sum.specs += counts.specs;
            sum.active += counts.active;
            sum.supervisors += counts.supervisors;
            sum.workers += counts.workers;
        }
        Ok(sum)
    }
}
