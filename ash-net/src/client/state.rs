//! Whether there is a connection, now and later.

use std::fmt;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use futures_core::Stream;
use tokio::sync::watch;
use tokio_util::sync::ReusableBoxFuture;

use crate::client::shared::{ConnectionStatus, Shared};

/// Whether a handle has a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ConnectionState {
    /// There is one.
    Connected,
    /// There is none: it is being replaced, or the supervisor has ended.
    Disconnected,
}

impl ConnectionState {
    pub(super) const fn of(status: &ConnectionStatus) -> Self {
        match status {
            ConnectionStatus::Up(_) => Self::Connected,
            ConnectionStatus::Down | ConnectionStatus::Ended { .. } | ConnectionStatus::Closed => {
                Self::Disconnected
            }
        }
    }
}

/// The changes of a connection's state, as a [`Stream`].
///
/// A late reader gets the latest only; `Connected` twice in a row tells that the connection was
/// lost between the two.
#[must_use = "a stream does nothing until it is polled"]
pub struct ConnectionStates {
    next: ReusableBoxFuture<'static, (Option<ConnectionState>, watch::Receiver<ConnectionStatus>)>,
    is_over: bool,
}

impl ConnectionStates {
    pub(super) fn new(shared: &Shared) -> Self {
        Self { next: ReusableBoxFuture::new(changed(shared.status.subscribe())), is_over: false }
    }

    /// Waits for the next change. `None` when there is no handle any more, or the runtime is gone
    /// that kept the connection. The same as `StreamExt::next`, without that trait.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe: a change is not lost when the future is dropped.
    pub async fn next(&mut self) -> Option<ConnectionState> {
        std::future::poll_fn(|context| Pin::new(&mut *self).poll_next(context)).await
    }
}

async fn changed(
    mut status: watch::Receiver<ConnectionStatus>,
) -> (Option<ConnectionState>, watch::Receiver<ConnectionStatus>) {
    if matches!(*status.borrow(), ConnectionStatus::Closed)
        && !status.has_changed().unwrap_or(false)
    {
        // That was the last change.
        return (None, status);
    }
    let changed = status.changed().await;
    let state = ConnectionState::of(&status.borrow_and_update());
    (changed.ok().map(|()| state), status)
}

impl Stream for ConnectionStates {
    type Item = ConnectionState;

    fn poll_next(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let this = self.get_mut();
        if this.is_over {
            return Poll::Ready(None);
        }
        let (state, status) = ready!(this.next.poll(context));
        match state {
            Some(_) => this.next.set(changed(status)),
            None => this.is_over = true,
        }
        Poll::Ready(state)
    }
}

impl fmt::Debug for ConnectionStates {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ConnectionStates").field("is_over", &self.is_over).finish_non_exhaustive()
    }
}
