//! What things cost beside many children, many supervisors and many levels.

use std::sync::{Arc, Mutex};

use ash_core::{
    ChildSpec, RestartIntensity, RestartPolicy, RestartStrategy, SupervisorHandle, SupervisorSpec,
};
use tokio::sync::{Notify, mpsc};

use crate::bare;
use crate::body::{Body, Crash, Crashing, Idle};
use crate::measure::{Count, id, nanos_each, now, one_thread, percentile, resident, runtime};
use crate::ours::Child;

/// How many of a thing are done between two looks at the clock.
const BATCH: usize = 500;

/// How many batches a value is the middle of.
const BATCHES: usize = 20;

/// How many children come and go in a wave.
const WAVE: usize = 100_000;

/// How many children there are beside those that come and go.
const HELD: usize = 1_000;

/// What grows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Curve {
    /// The children of one supervisor.
    Children,
    /// The same on one thread: how much of it is the runtime, which wakes its second one.
    OneThread,
    /// The supervisors under one, each with a child.
    Supervisors,
    /// The levels of supervisors, one below the other.
    Depth,
    /// The children of a group that restarts together.
    Group,
    /// The starts and stops there have been.
    Churn,
    /// The times that a hundred thousand children have come and gone.
    Waves,
    /// The same with bare tokio: what the allocator keeps is none of ours.
    BareWaves,
}

type Values = Vec<(&'static str, f64)>;

impl Curve {
    /// All of them.
    pub const ALL: [Self; 8] = [
        Self::Children,
        Self::OneThread,
        Self::Supervisors,
        Self::Depth,
        Self::Group,
        Self::Churn,
        Self::Waves,
        Self::BareWaves,
    ];

    /// Returns its name, as the command line has it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Children => "children",
            Self::OneThread => "one-thread",
            Self::Supervisors => "supervisors",
            Self::Depth => "depth",
            Self::Group => "group",
            Self::Churn => "churn",
            Self::Waves => "waves",
            Self::BareWaves => "bare-waves",
        }
    }

    /// Returns what it shows, in a sentence.
    #[must_use]
    pub const fn said(self) -> &'static str {
        match self {
            Self::Children => "one more child beside so many, ns each",
            Self::OneThread => "the same in a runtime of one thread, ns each",
            Self::Supervisors => "supervisors with one child each, ns each and bytes each",
            Self::Depth => "levels of supervisors, ns each",
            Self::Group => "children of a OneForAll, ns each from the crash until all are back",
            Self::Churn => "bytes in memory before and after so many starts and stops",
            Self::Waves => "bytes in memory after so many times 100000 children came and went",
            Self::BareWaves => "the same with bare tokio",
        }
    }

    /// Returns the sizes it is taken at, with so many children at most.
    #[must_use]
    pub fn sizes(self, most: usize) -> Vec<usize> {
        let (first, last) = match self {
            Self::Children | Self::OneThread => (1_000, most),
            Self::Supervisors => (100, most / 100),
            Self::Depth => (10, most / 1_000),
            Self::Group => (100, most / 10),
            Self::Churn => (1_000, most),
            Self::Waves | Self::BareWaves => return vec![1, 2, 5, 10],
        };
        let sizes = std::iter::successors(Some(first), |size| Some(size * 10));
        sizes.take_while(|size| *size <= last.max(first)).collect()
    }

    /// Takes it at one size.
    ///
    /// # Panics
    ///
    /// Panics if the measurement does not do what it measures.
    #[must_use]
    pub fn measure(self, size: usize) -> Values {
        let runtime = if self == Self::OneThread { one_thread() } else { runtime() };
        runtime.block_on(async {
            let measured = tokio::spawn(async move {
                match self {
                    Self::Children | Self::OneThread => children(size).await,
                    Self::Supervisors => supervisors(size).await,
                    Self::Depth => depth(size).await,
                    Self::Group => group(size).await,
                    Self::Churn => churn(size).await,
                    Self::Waves => waves(size).await,
                    Self::BareWaves => bare_waves(size).await,
                }
            });
            measured.await.expect("the measurement does not panic")
        })
    }
}

fn spec(name: &str) -> SupervisorSpec {
    let endless = RestartIntensity { max_restarts: usize::MAX, within_seconds: 1 };
    SupervisorSpec::new(name).with_restart_intensity(endless)
}

async fn up(spec: SupervisorSpec) -> SupervisorHandle {
    let handle = SupervisorHandle::start(spec);
    handle.ready().await.expect("nothing can fail");
    handle
}

async fn start(handle: &SupervisorHandle, number: usize) {
    let child = || Child(Idle);
    let started = handle.start_child(id(number), child, RestartPolicy::Permanent).await;
    started.expect("it starts");
}

async fn terminate(handle: &SupervisorHandle, number: usize) {
    handle.terminate_child(id(number)).await.expect("it is there");
}

/// Costs of one more of each, with so many children held.
async fn children(size: usize) -> Values {
    let handle = up(spec("app")).await;
    let begin = now();
    for number in 0..size {
        start(&handle, number).await;
    }
    let all = nanos_each(begin, size);
    let mut random = fastrand::Rng::with_seed(7);
    let [mut starts, mut lookups, mut restarts, mut ends] = [const { Vec::new() }; 4];
    for _ in 0..BATCHES {
        let begin = now();
        for number in size..size + BATCH {
            start(&handle, number).await;
        }
        starts.push(nanos_each(begin, BATCH));
        let picked: Vec<usize> = (0..BATCH).map(|_| random.usize(..size)).collect();
        let begin = now();
        for number in &picked {
            handle.child(id(*number)).await.expect("it is there");
        }
        lookups.push(nanos_each(begin, BATCH));
        let begin = now();
        for number in &picked {
            handle.restart_child(id(*number)).await.expect("it starts again");
        }
        restarts.push(nanos_each(begin, BATCH));
        let begin = now();
        for number in size..size + BATCH {
            terminate(&handle, number).await;
        }
        ends.push(nanos_each(begin, BATCH));
    }
    let crashes = crashes(&handle).await;
    let middle = |mut values: Vec<f64>| percentile(&mut values, 0.5);
    vec![
        ("all", all),
        ("start", middle(starts)),
        ("terminate", middle(ends)),
        ("lookup", middle(lookups)),
        ("restart", middle(restarts)),
        ("crash", middle(crashes)),
    ]
}

/// From the crash of one more child to the run of its next incarnation.
async fn crashes(handle: &SupervisorHandle) -> Vec<f64> {
    let told = Arc::new(Notify::new());
    let (restarted, mut latencies) = mpsc::unbounded_channel();
    let crashed = Arc::new(Mutex::new(None));
    let body = Crashing { told: Arc::clone(&told), crashed, restarted };
    let child = move || Child(body.clone());
    handle.start_child("crashing", child, RestartPolicy::Permanent).await.expect("it starts");
    let mut values = Vec::new();
    for _ in 0..BATCHES * 100 {
        told.notify_one();
        values.push(latencies.recv().await.expect("it comes back"));
    }
    values
}

async fn supervisors(size: usize) -> Values {
    let handle = up(spec("app")).await;
    let before = resident();
    let begin = now();
    for number in 0..size {
        let nested =
            spec(&id(number)).with_worker("worker", || Child(Idle), RestartPolicy::Permanent);
        let started = handle.start_child_spec(ChildSpec::supervisor(nested)).await;
        started.expect("it starts");
    }
    let starts = nanos_each(begin, size);
    let bytes = (resident() - before) as f64 / size as f64;
    let begin = now();
    for number in 0..size.min(BATCH) {
        let nested = handle.supervisor(id(number)).await.expect("it is there");
        assert_eq!(nested.name(), id(number));
    }
    let lookups = nanos_each(begin, size.min(BATCH));
    let begin = now();
    handle.shutdown().await.expect("it stops");
    let stops = nanos_each(begin, size);
    vec![("start", starts), ("lookup", lookups), ("shutdown", stops), ("memory", bytes)]
}

async fn depth(size: usize) -> Values {
    let mut nested =
        spec(&id(size)).with_worker("worker", || Child(Idle), RestartPolicy::Permanent);
    for level in (0..size - 1).rev() {
        nested = spec(&id(level)).with_supervisor(nested);
    }
    let begin = now();
    let handle = up(nested).await;
    let starts = nanos_each(begin, size);
    let begin = now();
    handle.shutdown().await.expect("it stops");
    vec![("start", starts), ("shutdown", nanos_each(begin, size))]
}

/// Lives, and the first of all crashes when it is told to.
#[derive(Clone)]
struct Member {
    lives: Count,
    all: usize,
    back: Arc<Notify>,
    told: Option<Arc<Notify>>,
}

impl Body for Member {
    type Life = ();

    fn begin(&self) -> Self::Life {
        self.lives.add();
        if self.lives.get().is_multiple_of(self.all) {
            self.back.notify_one();
        }
    }

    async fn run(&self) -> Crash {
        match &self.told {
            Some(told) => told.notified().await,
            None => std::future::pending().await,
        }
        self.crash()
    }
}

async fn group(size: usize) -> Values {
    let (lives, back, told) = (Count::default(), Arc::new(Notify::new()), Arc::new(Notify::new()));
    let mut spec = spec("app").with_restart_strategy(RestartStrategy::OneForAll);
    for number in 0..size {
        let told = (number == size / 2).then(|| Arc::clone(&told));
        let member = Member { lives: lives.clone(), all: size, back: Arc::clone(&back), told };
        spec =
            spec.with_worker(id(number), move || Child(member.clone()), RestartPolicy::Permanent);
    }
    let begin = now();
    let handle = up(spec).await;
    back.notified().await;
    let starts = nanos_each(begin, size);
    let mut rounds = Vec::new();
    for round in 2..7 {
        let begin = now();
        told.notify_one();
        back.notified().await;
        rounds.push(nanos_each(begin, size));
        assert_eq!(lives.get(), size * round);
    }
    let begin = now();
    handle.shutdown().await.expect("it stops");
    let stops = nanos_each(begin, size);
    vec![("start", starts), ("restart", percentile(&mut rounds, 0.5)), ("shutdown", stops)]
}

async fn churn(size: usize) -> Values {
    let handle = up(spec("app")).await;
    for number in 0..HELD {
        start(&handle, number).await;
    }
    // The first ones show the allocator and the tables how much they need.
    for number in HELD..HELD + 10_000 {
        start(&handle, number).await;
        terminate(&handle, number).await;
    }
    let before = resident();
    for number in 0..size {
        start(&handle, HELD + number).await;
        terminate(&handle, HELD + number).await;
    }
    assert_eq!(handle.which_children().await.expect("it is up").len(), HELD);
    vec![("before", before as f64), ("after", resident() as f64)]
}

async fn waves(size: usize) -> Values {
    let handle = up(spec("app")).await;
    let before = resident();
    let mut high = before;
    for _ in 0..size {
        for number in 0..WAVE {
            start(&handle, number).await;
        }
        high = high.max(resident());
        for number in 0..WAVE {
            terminate(&handle, number).await;
        }
    }
    assert!(handle.which_children().await.expect("it is up").is_empty());
    vec![("before", before as f64), ("high", high as f64), ("after", resident() as f64)]
}

async fn bare_waves(size: usize) -> Values {
    let before = resident();
    let mut high = before;
    for _ in 0..size {
        let children = bare::start_all(WAVE).await;
        high = high.max(resident());
        for (_, child) in children {
            child.abort();
            assert!(child.await.is_err());
        }
    }
    vec![("before", before as f64), ("high", high as f64), ("after", resident() as f64)]
}
