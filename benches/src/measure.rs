//! What both systems are measured with: the figures, the clock, the memory, the order of things.

use std::mem::ManuallyDrop;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;

use tokio::runtime::{Builder, Runtime};

/// What is measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Figure {
    /// Nanoseconds for each child, started and awaited one by one.
    Start,
    /// Bytes for each idle child, its id included.
    Memory,
    /// Nanoseconds for the first list of all children, whose memory is new to the process.
    Which,
    /// Nanoseconds for a later one, in the middle.
    WhichAgain,
    /// Nanoseconds for each child, ended and awaited one by one in random order.
    Terminate,
    /// Nanoseconds for the end of all children, their hooks run.
    Shutdown,
    /// Nanoseconds from a crash to the run of the next incarnation, in the middle.
    RestartP50,
    /// The same, of the slowest hundredth.
    RestartP99,
    /// Nanoseconds for each restart of a hundred children that crash at once.
    Storm,
}

impl Figure {
    /// All of them, in the order of the table.
    pub const ALL: [Self; 9] = [
        Self::Start,
        Self::Memory,
        Self::Which,
        Self::WhichAgain,
        Self::Terminate,
        Self::Shutdown,
        Self::RestartP50,
        Self::RestartP99,
        Self::Storm,
    ];

    /// Returns the figure's name, as the command line has it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Start => "start",
            Self::Memory => "memory",
            Self::Which => "which",
            Self::WhichAgain => "which-again",
            Self::Terminate => "terminate",
            Self::Shutdown => "shutdown",
            Self::RestartP50 => "restart-p50",
            Self::RestartP99 => "restart-p99",
            Self::Storm => "storm",
        }
    }

    /// Returns how many children, restarts or calls the figure is taken over beside so many children
    /// of the others.
    #[must_use]
    pub fn count(self, children: usize) -> usize {
        match self {
            Self::RestartP50 | Self::RestartP99 => (children / 10).max(1),
            Self::Storm => children * 10,
            Self::Start
            | Self::Memory
            | Self::Which
            | Self::WhichAgain
            | Self::Terminate
            | Self::Shutdown => children,
        }
    }

    /// Returns what the figure may be at most.
    #[must_use]
    pub const fn budget(self) -> Option<Budget> {
        match self {
            Self::Start => Some(Budget::TimesBare(3.0)),
            Self::Memory | Self::RestartP50 => Some(Budget::TimesBare(2.0)),
            // 5 ms for 100,000 children.
            Self::WhichAgain => Some(Budget::NanosAChild(50.0)),
            Self::Terminate => Some(Budget::TimesBare(1.5)),
            Self::Shutdown => Some(Budget::TimesBare(2.5)),
            Self::Storm => Some(Budget::TimesBare(1.0 / 0.6)),
            Self::Which | Self::RestartP99 => None,
        }
    }

    /// Tells whether this is a figure of lists.
    #[must_use]
    pub const fn is_of_lists(self) -> bool {
        matches!(self, Self::Which | Self::WhichAgain)
    }
}

/// What a figure may be at most.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Budget {
    /// So many times what it is of bare tokio.
    TimesBare(f64),
    /// So many nanoseconds for each child.
    NanosAChild(f64),
}

/// How many lists are taken after the first one.
pub const LISTS_AGAIN: usize = 20;

/// Returns a value as people read it.
#[must_use]
pub fn show(figure: Figure, value: f64) -> String {
    if figure == Figure::Memory {
        format!("{value:.0} B")
    } else if value >= 1e9 {
        format!("{:.2} s", value / 1e9)
    } else if value >= 1e6 {
        format!("{:.2} ms", value / 1e6)
    } else if value >= 1e3 {
        format!("{:.2} us", value / 1e3)
    } else {
        format!("{value:.0} ns")
    }
}

/// The variable of the environment that puts everything on one thread, where instructions can be
/// counted: two threads wait for each other a different number of times each time.
pub const ONE_THREAD: &str = "BENCHES_ONE_THREAD";

/// Returns the runtime that everything is measured on: two workers, timers, no I/O.
///
/// # Panics
///
/// Panics if the system has no threads left.
#[must_use]
pub fn runtime() -> Runtime {
    if std::env::var_os(ONE_THREAD).is_some() {
        return one_thread();
    }
    let mut builder = Builder::new_multi_thread();
    builder.worker_threads(2).enable_time().build().expect("threads are left")
}

/// Returns a runtime like [that](runtime) whose one worker is this thread: none is woken beside it.
///
/// # Panics
///
/// Panics if the system gives it nothing to wait with.
#[must_use]
pub fn one_thread() -> Runtime {
    Builder::new_current_thread().enable_time().build().expect("there is something to wait with")
}

/// Has the runtime do what is measured. What is left of it then goes with the process: to take it
/// down is no part of any figure.
///
/// # Panics
///
/// Panics if the system has no threads left.
pub fn measured<T>(work: impl Future<Output = T>) -> T {
    let runtime = ManuallyDrop::new(runtime());
    runtime.block_on(work)
}

/// Returns the time now.
#[expect(clippy::disallowed_methods, reason = "a benchmark measures the real time")]
#[must_use]
pub fn now() -> Instant {
    Instant::now()
}

/// Returns the nanoseconds since `start`, for each of `count`.
#[must_use]
pub fn nanos_each(start: Instant, count: usize) -> f64 {
    start.elapsed().as_secs_f64() * 1e9 / count as f64
}

/// Returns the resident memory of this process in bytes.
///
/// # Panics
///
/// Panics where there is no `/proc`.
#[must_use]
pub fn resident() -> usize {
    let statm = std::fs::read_to_string("/proc/self/statm").expect("Linux has it");
    let pages = statm.split(' ').nth(1).and_then(|pages| pages.parse::<usize>().ok());
    pages.expect("it is a number") * 4_096
}

/// Returns the numbers below `count` in random order, always the same one.
#[must_use]
pub fn shuffled(count: usize) -> Vec<usize> {
    let mut numbers: Vec<usize> = (0..count).collect();
    fastrand::Rng::with_seed(7).shuffle(&mut numbers);
    numbers
}

/// The variable of the environment that says how many of the children are terminated, where that
/// is not all: so the instructions of one termination are told from those of a start.
pub const TERMINATED: &str = "BENCHES_TERMINATED";

/// Returns the numbers of the children, of which there are `count`, in the order in which they are
/// terminated.
#[must_use]
pub fn terminated(count: usize) -> Vec<usize> {
    let mut numbers = shuffled(count);
    let limit = std::env::var(TERMINATED).ok().and_then(|limit| limit.parse().ok());
    numbers.truncate(limit.unwrap_or(count));
    numbers
}

/// Returns the id of a child.
#[must_use]
pub fn id(number: usize) -> String {
    format!("child-{number}")
}

/// Returns the value that `part` of all values are not above.
#[must_use]
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a part of a length is a length"
)]
pub fn percentile(values: &mut [f64], part: f64) -> f64 {
    values.sort_by(f64::total_cmp);
    values[((values.len() - 1) as f64 * part) as usize]
}

/// Counts what children do, from any thread.
#[derive(Clone, Debug, Default)]
pub struct Count(Arc<AtomicUsize>);

impl Count {
    /// Counts one more.
    pub fn add(&self) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }

    /// Returns how many there were.
    #[must_use]
    pub fn get(&self) -> usize {
        self.0.load(Ordering::Relaxed)
    }
}
/// Returns what the processor calls itself.
#[must_use]
pub fn processor() -> String {
    let info = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model = info.lines().find(|line| line.starts_with("model name"));
    let model = model.and_then(|line| line.split_once(": "));
    model.map_or_else(|| "an unknown processor".into(), |(_, model)| model.to_owned())
}
