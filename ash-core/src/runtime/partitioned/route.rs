//! How a call finds its partition, also when that has come back as a new incarnation.

use core::future::Future;
use core::hash::{Hash, Hasher};
use std::hash::DefaultHasher;
use std::sync::{MutexGuard, PoisonError};

use crate::error::SupervisorError;
use crate::runtime::handle::SupervisorHandle;
use crate::runtime::partitioned::PartitionedSupervisor;
use crate::runtime::spec::partition_name;

impl PartitionedSupervisor {
    /// Returns which partition holds the child with this id, if any does. In one process that is
    /// always the same.
    pub(super) fn partition_of(&self, id: &str) -> usize {
        let mut hasher = DefaultHasher::new();
        id.hash(&mut hasher);
        // The upper part of the product: below the count, and as even as the hash.
        let product = u128::from(hasher.finish()) * self.partitions() as u128;
        usize::try_from(product >> u64::BITS).expect("it is less than the count of partitions")
    }

    /// Passes a call on to the partition that its child's id belongs to.
    pub(super) async fn call<T, F>(
        &self,
        id: &str,
        send: impl Fn(SupervisorHandle) -> F,
    ) -> Result<T, SupervisorError>
    where
        F: Future<Output = Result<T, SupervisorError>>,
    {
        let number = self.partition_of(id);
        match self.pass_on(number, send).await? {
            Some(answer) => Ok(answer),
            None => Err(self.away(number).await),
        }
    }

    /// Passes a call on to a partition. `None` if there is none just now that takes it.
    ///
    /// The handle that is known may be of an incarnation which has ended. That refuses the call
    /// without having carried it out, so it can go to the next one: once, and to no other than a
    /// new one.
    pub(super) async fn pass_on<T, F>(
        &self,
        number: usize,
        send: impl Fn(SupervisorHandle) -> F,
    ) -> Result<Option<T>, SupervisorError>
    where
        F: Future<Output = Result<T, SupervisorError>>,
    {
        let known = self.lock(number).clone();
        if let Some(partition) = &known
            && let Some(answer) = taken(send(partition.clone()).await)
        {
            return answer.map(Some);
        }
        let Some(found) = self.find(number).await? else { return Ok(None) };
        if known.is_some_and(|known| core::ptr::eq(known.shared(), found.shared())) {
            return Ok(None);
        }
        taken(send(found).await).transpose()
    }

    /// Asks the supervisor above for a partition's handle. `None` if it is not up.
    async fn find(&self, number: usize) -> Result<Option<SupervisorHandle>, SupervisorError> {
        // It takes no time, and without it the first calls would come too early.
        self.root.ready().await.map_err(|_| self.root.shared().shutting_down())?;
        match self.root.supervisor(partition_name(number)).await {
            Ok(partition) => {
                *self.lock(number) = Some(partition.clone());
                Ok(Some(partition))
            }
            Err(error @ SupervisorError::ShuttingDown(_)) => Err(error),
            Err(_) => Ok(None),
        }
    }

    /// Returns the error of a call that found its partition away.
    async fn away(&self, number: usize) -> SupervisorError {
        match self.root.ask(|machine, _| machine.is_ending()).await {
            Ok(false) => SupervisorError::ChildNotRunning(partition_name(number)),
            Ok(true) | Err(_) => self.root.shared().shutting_down(),
        }
    }

    fn lock(&self, number: usize) -> MutexGuard<'_, Option<SupervisorHandle>> {
        self.found[number].lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Returns what a partition answered; `None` if it is ending, and has not taken the call.
fn taken<T>(answer: Result<T, SupervisorError>) -> Option<Result<T, SupervisorError>> {
    match answer {
        Err(SupervisorError::ShuttingDown(_)) => None,
        answer => Some(answer),
    }
}
