//! A worker that misbehaves at random, reproducibly from its seed.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use ash_flare::{ChildContext, Worker, async_trait};
use fastrand::Rng;

use crate::books::Books;

/// What all workers share.
#[derive(Debug)]
pub(crate) struct World {
    pub(crate) seed: u64,
    pub(crate) books: Books,
    /// How long a worker lives on average before it does something, in milliseconds.
    pub(crate) lifetime: u64,
    /// Whether workers misbehave.
    storm: AtomicBool,
    /// How many more threads may be blocked.
    blockers: AtomicUsize,
}

/// How many workers may block their threads at a time. The runtime has more threads than that.
const BLOCKERS: usize = 4;

impl World {
    pub(crate) fn new(seed: u64, lifetime: u64, books: Books) -> Arc<Self> {
        let (storm, blockers) = (AtomicBool::new(false), AtomicUsize::new(BLOCKERS));
        Arc::new(Self { seed, books, lifetime, storm, blockers })
    }

    pub(crate) fn set_storm(&self, storm: bool) {
        self.storm.store(storm, Ordering::Relaxed);
    }

    pub(crate) fn is_stormy(&self) -> bool {
        self.storm.load(Ordering::Relaxed)
    }

    /// Returns random numbers that are the same for the same seed and name.
    pub(crate) fn random(&self, name: &impl Hash) -> Rng {
        let mut hasher = DefaultHasher::new();
        (self.seed, name).hash(&mut hasher);
        Rng::with_seed(hasher.finish())
    }

    /// Blocks the thread, if not too many are blocked.
    #[expect(clippy::disallowed_methods, reason = "blocking the thread is the point")]
    fn block(&self, millis: u64) {
        let take = |left: usize| left.checked_sub(1);
        let order = Ordering::Relaxed;
        if self.blockers.fetch_update(order, order, take).is_ok() {
            std::thread::sleep(Duration::from_millis(millis));
            self.blockers.fetch_add(1, order);
        }
    }
}

/// How a worker reacts to being asked to stop.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Manners {
    /// It has not taken its token: its `run` is dropped.
    Cut,
    /// It takes its token and returns in time.
    Polite,
    /// It takes its token and ignores it.
    Stubborn,
    /// It blocks its thread.
    Blocks,
}

/// The worker.
pub(crate) struct Mixed {
    world: Arc<World>,
    path: String,
    random: Rng,
    child: Option<ChildContext>,
    beats: bool,
}

impl Mixed {
    pub(crate) fn new(world: &Arc<World>, child: ChildContext) -> Self {
        let path = child.path();
        let mut made = Self::at(world, path);
        made.child = Some(child);
        made
    }

    /// Makes one without a child context.
    pub(crate) fn at(world: &Arc<World>, path: String) -> Self {
        let life = world.books.made(&path);
        let random = world.random(&(&path, life));
        Self { world: Arc::clone(world), path, random, child: None, beats: false }
    }

    /// One that has to send heartbeats, and mostly does.
    pub(crate) fn beating(mut self) -> Self {
        self.beats = true;
        self
    }

    /// Decides at random, during a storm, whether something of this frequency happens.
    fn happens(&mut self, in_thousand: u32) -> bool {
        self.random.u32(0..1_000) < in_thousand && self.world.is_stormy()
    }

    fn manners(&mut self) -> Manners {
        match self.random.u32(0..1_000) {
            0..600 => Manners::Cut,
            600..985 => Manners::Polite,
            985..995 => Manners::Stubborn,
            _ => Manners::Blocks,
        }
    }

    /// Lives until something happens.
    async fn live(&mut self) -> Result<(), String> {
        loop {
            let life = self.random.u64(1..=2 * self.world.lifetime);
            self.wait(Duration::from_millis(life)).await;
            if !self.world.is_stormy() {
                continue;
            }
            match self.random.u32(0..1_000) {
                0..400 => return Err("soak: an error".into()),
                400..600 => panic!("soak: run"),
                600..800 => return Ok(()),
                800..820 => self.world.block(self.random.u64(5..400)),
                _ => {}
            }
        }
    }

    /// Waits, and sends heartbeats meanwhile.
    async fn wait(&mut self, life: Duration) {
        let (true, Some(child)) = (self.beats, self.child.clone()) else {
            return tokio::time::sleep(life).await;
        };
        let beating = async {
            loop {
                child.heartbeat();
                tokio::time::sleep(Duration::from_millis(150)).await;
            }
        };
        tokio::select! {
            () = tokio::time::sleep(life) => {}
            () = beating => {}
        }
        if self.happens(200) {
            // It hangs, without heartbeats.
            std::future::pending::<()>().await;
        }
    }
}

#[async_trait]
impl Worker for Mixed {
    type Error = String;

    async fn initialize(&mut self) -> Result<(), String> {
        if self.happens(30) {
            tokio::time::sleep(Duration::from_millis(self.random.u64(1..30))).await;
        }
        if self.beats && self.happens(10) {
            // It exceeds its init timeout.
            std::future::pending::<()>().await;
        }
        if self.happens(10) {
            panic!("soak: initialize");
        }
        if self.happens(20) {
            return Err("soak: it does not start".into());
        }
        Ok(())
    }

    async fn run(&mut self) -> Result<(), String> {
        let manners = self.manners();
        let token = match (manners, &self.child) {
            (Manners::Cut, _) | (_, None) => return self.live().await,
            (Manners::Polite | Manners::Stubborn | Manners::Blocks, Some(child)) => {
                child.stop_token()
            }
        };
        tokio::select! {
            result = self.live() => return result,
            () = token.cancelled() => {}
        }
        match manners {
            Manners::Cut | Manners::Polite => {}
            Manners::Stubborn if self.world.is_stormy() => std::future::pending().await,
            Manners::Blocks if self.world.is_stormy() => {
                self.world.block(self.random.u64(50..400));
            }
            Manners::Stubborn | Manners::Blocks => {}
        }
        Ok(())
    }

    async fn shutdown(&mut self) -> Result<(), String> {
        if self.happens(20) {
            panic!("soak: shutdown");
        }
        if self.happens(50) {
            return Err("soak: it does not shut down cleanly".into());
        }
        Ok(())
    }
}

impl Drop for Mixed {
    fn drop(&mut self) {
        self.world.books.dropped(&self.path);
        if !std::thread::panicking() && self.happens(10) {
            panic!("soak: drop");
        }
    }
}
