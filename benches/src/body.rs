//! What the children do, the same in every system.
//!
//! Systems with workers poll [`Body::run`]; systems with actors, which wait for messages, send
//! one that fails where a worker's `run` would have.

use std::future::{Future, pending};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Instant;

use tokio::sync::{Notify, mpsc};

use crate::measure::{Count, now};

/// Why a child fails.
#[derive(Clone, Copy, Debug)]
pub struct Crash;

impl std::fmt::Display for Crash {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("crashed")
    }
}

impl std::error::Error for Crash {}

/// What a child does.
pub trait Body: Clone + Send + Sync + 'static {
    /// What an incarnation holds as long as it lives.
    type Life: Send + Sync + 'static;

    /// Begins an incarnation.
    fn begin(&self) -> Self::Life;

    /// Lives until the child fails, for ever if it never does.
    fn run(&self) -> impl Future<Output = Crash> + Send;

    /// Says whether the child fails as soon as it lives.
    fn fails_at_once(&self) -> bool {
        false
    }

    /// Fails.
    fn crash(&self) -> Crash {
        Crash
    }

    /// Is what the child does when it is asked to stop.
    fn stop(&self) {}
}

/// Does nothing, for ever.
#[derive(Clone, Copy, Debug)]
pub struct Idle;

impl Body for Idle {
    type Life = ();

    fn begin(&self) -> Self::Life {}

    fn run(&self) -> impl Future<Output = Crash> + Send {
        pending()
    }
}

/// Counts the children that are left, and tells when none is.
#[derive(Clone, Debug, Default)]
pub struct Left(Arc<(AtomicUsize, Notify)>);

impl Left {
    /// Returns how many are left.
    #[must_use]
    pub fn get(&self) -> usize {
        self.0.0.load(Ordering::Acquire)
    }

    /// Returns when none is left.
    pub async fn none(&self) {
        while self.get() > 0 {
            self.0.1.notified().await;
        }
    }

    /// Counts one more, until what is returned is dropped.
    #[must_use]
    pub fn add(&self) -> Life {
        self.0.0.fetch_add(1, Ordering::AcqRel);
        Life(self.clone())
    }
}

/// One incarnation that is counted as long as it lives.
#[derive(Debug)]
pub struct Life(Left);

impl Drop for Life {
    fn drop(&mut self) {
        if self.0.0.0.fetch_sub(1, Ordering::AcqRel) == 1 {
            self.0.0.1.notify_one();
        }
    }
}

/// Does nothing until it is asked to stop, and counts that.
#[derive(Clone, Debug, Default)]
pub struct Stopping {
    /// How many were asked.
    pub asked: Count,
    /// How many live.
    pub left: Left,
}

impl Body for Stopping {
    type Life = Life;

    fn begin(&self) -> Life {
        self.left.add()
    }

    fn run(&self) -> impl Future<Output = Crash> + Send {
        pending()
    }

    fn stop(&self) {
        self.asked.add();
    }
}

/// Crashes when it is told to, and the next incarnation tells how long ago that was.
#[derive(Clone, Debug)]
pub struct Crashing {
    /// Tells it to.
    pub told: Arc<Notify>,
    /// When it did.
    pub crashed: Arc<Mutex<Option<Instant>>>,
    /// Takes the nanoseconds since.
    pub restarted: mpsc::UnboundedSender<f64>,
}

impl Body for Crashing {
    type Life = ();

    fn begin(&self) -> Self::Life {
        if let Some(at) = self.crashed.lock().expect("nobody panics").take() {
            let _ = self.restarted.send(at.elapsed().as_secs_f64() * 1e9);
        }
    }

    async fn run(&self) -> Crash {
        self.told.notified().await;
        self.crash()
    }

    fn crash(&self) -> Crash {
        *self.crashed.lock().expect("nobody panics") = Some(now());
        Crash
    }
}

/// Crashes at once, until there were enough.
#[derive(Clone, Debug)]
pub struct Storming {
    /// How many incarnations there were.
    pub runs: Count,
    /// How many there shall be.
    pub restarts: usize,
    /// Is told when there were.
    pub done: Arc<Notify>,
}

impl Body for Storming {
    type Life = ();

    fn begin(&self) -> Self::Life {
        self.runs.add();
        if !self.fails_at_once() {
            self.done.notify_one();
        }
    }

    async fn run(&self) -> Crash {
        if self.fails_at_once() { self.crash() } else { pending().await }
    }

    fn fails_at_once(&self) -> bool {
        self.runs.get() < self.restarts
    }
}

/// Tells when it lives, for systems whose start does not wait for that.
#[derive(Clone, Debug)]
pub struct Told<B> {
    /// What it does.
    pub body: B,
    /// Is told.
    pub lives: Arc<Notify>,
}

impl<B: Body> Body for Told<B> {
    type Life = B::Life;

    fn begin(&self) -> B::Life {
        let life = self.body.begin();
        self.lives.notify_one();
        life
    }

    fn run(&self) -> impl Future<Output = Crash> + Send {
        self.body.run()
    }

    fn fails_at_once(&self) -> bool {
        self.body.fails_at_once()
    }

    fn crash(&self) -> Crash {
        self.body.crash()
    }

    fn stop(&self) {
        self.body.stop();
    }
}
