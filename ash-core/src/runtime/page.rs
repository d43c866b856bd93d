//! Children in pages: for callers that must not take all of a large supervisor at once.

use alloc::vec::Vec;

use crate::error::SupervisorError;
use crate::machine::{ChildInfo, ChildKey};
use crate::runtime::handle::SupervisorHandle;
use crate::runtime::shared::SupervisorMachine;

/// Where a listing in pages goes on. It stays valid when children come and go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ChildCursor(ChildKey);

/// Some children of a supervisor, in start order.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct ChildPage {
    /// The children, live or not, each with its handle if it is a supervisor that is up.
    pub children: Vec<(ChildInfo, Option<SupervisorHandle>)>,
    /// Where the next page begins; `None` after the last child.
    pub next: Option<ChildCursor>,
}

impl SupervisorHandle {
    /// Returns at most `limit` of the children held, live or not, from `after` on.
    ///
    /// A page costs its supervisor the time of its own children, not of all those before it. The
    /// pages of a listing are taken one after the other, so what happens between two of them shows
    /// in the later one; a single page is consistent.
    ///
    /// # Errors
    ///
    /// `ShuttingDown` once the supervisor has ended.
    ///
    /// # Examples
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() {
    /// use ash_core::{ChildSpec, SupervisorHandle, SupervisorSpec};
    ///
    /// let idle = |id: &str| ChildSpec::task(id, |_| std::future::pending::<Result<(), std::io::Error>>());
    /// let spec = SupervisorSpec::new("app").with_child(idle("a")).with_child(idle("b"));
    /// let handle = SupervisorHandle::start(spec);
    /// let first = handle.children_page(None, 1).await.unwrap();
    /// assert_eq!(first.children[0].0.id, "a");
    /// let second = handle.children_page(first.next, 1).await.unwrap();
    /// assert_eq!(second.children[0].0.id, "b");
    /// assert!(second.next.is_none());
    /// # }
    /// ```
    pub async fn children_page(
        &self,
        after: Option<ChildCursor>,
        limit: usize,
    ) -> Result<ChildPage, SupervisorError> {
        let (children, next) = self
            .page(after, limit, |machine, key, info| {
                let slot = machine.payload(key);
                Some((info, slot.and_then(|slot| slot.supervisor()).cloned()))
            })
            .await?;
        Ok(ChildPage { children, next })
    }

    /// Returns the live ones among at most `limit` of the children, from `after` on, and where the
    /// next page begins. See [`children_page`](Self::children_page).
    ///
    /// # Errors
    ///
    /// `ShuttingDown` once the supervisor has ended.
    pub async fn live_children_page(
        &self,
        after: Option<ChildCursor>,
        limit: usize,
    ) -> Result<(Vec<ChildInfo>, Option<ChildCursor>), SupervisorError> {
        self.page(after, limit, |_, _, info| info.state.is_live().then_some(info)).await
    }

    async fn page<T: Send + 'static>(
        &self,
        after: Option<ChildCursor>,
        limit: usize,
        pick: impl Fn(&SupervisorMachine, ChildKey, ChildInfo) -> Option<T> + Send + 'static,
    ) -> Result<(Vec<T>, Option<ChildCursor>), SupervisorError> {
        let key = after.map(|cursor| cursor.0);
        self.ask(move |machine, now| {
            let mut rest = machine.children_after(now, key);
            let mut last = key;
            let mut picked = Vec::with_capacity(limit.min(machine.len()));
            for (key, info) in rest.by_ref().take(limit) {
                last = Some(key);
                if let Some(item) = pick(machine, key, info) {
                    picked.push(item);
                }
            }
            let next = rest.next().and(last).map(ChildCursor);
            (picked, next)
        })
        .await
    }
}
