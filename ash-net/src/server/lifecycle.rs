//! How long a server serves, and what shuts it down from elsewhere.

use std::sync::{Arc, Mutex, Weak};

use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::lock::lock;
use crate::server::listener::ListenerSlot;

/// Whether something serves, and what ends it.
#[derive(Clone, Debug)]
pub(super) struct Lifecycle {
    stop: CancellationToken,
    serving: watch::Sender<usize>,
    /// What may not be served yet. Nobody who serves would close it.
    held: Arc<Mutex<Vec<Weak<ListenerSlot>>>>,
}

impl Default for Lifecycle {
    fn default() -> Self {
        Self::new(CancellationToken::new())
    }
}

impl Lifecycle {
    fn new(stop: CancellationToken) -> Self {
        Self { stop, serving: watch::Sender::new(0), held: Arc::default() }
    }

    /// Returns one that ends with this one.
    pub(super) fn below(&self) -> Self {
        Self::new(self.stop.child_token())
    }

    /// Notes a listener that nobody serves yet, to close it at the end; at once, if that has come.
    pub(super) fn hold(&self, listener: &Arc<ListenerSlot>) {
        {
            let mut held = lock(&self.held);
            held.retain(|other| other.strong_count() > 0);
            held.push(Arc::downgrade(listener));
        }
        // A shutdown cancels first and looks then, so one of both closes it.
        if self.stop.is_cancelled() {
            drop(listener.take());
        }
    }

    /// Closes what listens and is not served. What is being served closes by itself.
    fn close_held(&self) {
        let held: Vec<_> = lock(&self.held).iter().filter_map(Weak::upgrade).collect();
        for listener in held {
            drop(listener.take());
        }
    }

    /// Notes that something serves, until the returned guard is dropped.
    pub(super) fn begin(&self) -> Serving {
        self.serving.send_modify(|count| *count += 1);
        Serving(self.serving.clone())
    }

    /// Returns the token that is cancelled when it is to end.
    pub(super) fn stop_token(&self) -> CancellationToken {
        self.stop.clone()
    }

    pub(super) fn handle(&self) -> ServerShutdown {
        ServerShutdown(self.clone())
    }
}

/// Counts as something that serves, until it is dropped.
#[derive(Debug)]
pub(super) struct Serving(watch::Sender<usize>);

impl Drop for Serving {
    fn drop(&mut self) {
        self.0.send_modify(|count| *count -= 1);
    }
}

/// Shuts a server down from elsewhere.
#[derive(Clone, Debug)]
pub struct ServerShutdown(Lifecycle);

impl ServerShutdown {
    /// Shuts the server down, and returns when it is down: nobody is accepted any more, clients are
    /// told, and what they have asked for may finish within the [drain time](crate::Limits::drain).
    /// What is [bound](crate::Bound) and not served yet is closed and not waited for; its `serve`
    /// then returns `Ok` at once.
    ///
    /// Clients that have asked for the tree to be shut down are answered when it is down or after a
    /// second, and then only know that this has begun.
    ///
    /// A server that is part of the tree that it serves needs none of this when it is stopped: it
    /// is enough that its `serve` is dropped. If it is shut down instead, the tree waits that
    /// second for it.
    ///
    /// # Cancel safety
    ///
    /// Once it has been polled the server shuts down, whether or not it is waited for.
    pub async fn shutdown(&self) {
        self.0.stop.cancel();
        self.0.close_held();
        let mut serving = self.0.serving.subscribe();
        // The sender lives in here, so there always is one.
        let _ = serving.wait_for(|&count| count == 0).await;
    }
}
