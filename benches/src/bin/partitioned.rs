//! Prints what partitions gain where one supervisor's task is the bottleneck, on two cores.
//!
//! `partitioned [--count N] [--callers N] [--rounds N]` runs all of it, each measurement in a
//! process of its own, the plain supervisor and those with partitions in turn, and prints the best
//! of the rounds. `partitioned LOAD PARTITIONS COUNT CALLERS` is one such process; without
//! partitions (0) it is a plain supervisor.
#![expect(clippy::print_stdout, reason = "printing is what it is for")]

use std::convert::Infallible;
use std::process::Command;
use std::sync::Arc;

use ash_core::{
    ChildId, PartitionedSupervisor, RestartIntensity, RestartPolicy, SupervisorError,
    SupervisorHandle, SupervisorSpec, Worker, async_trait,
};
use benches::measure::{Count, id, nanos_each, now, runtime};
use tokio::sync::Notify;
use tokio::task::JoinSet;

/// What the supervisors have to do.
#[derive(Clone, Copy)]
enum Load {
    /// Many callers start idle children.
    Start,
    /// Many callers end idle children.
    Terminate,
    /// A hundred children crash at once, again and again.
    Storm,
    /// Many callers start jobs that keep a core busy for so many microseconds, and end.
    Jobs(u64),
}

impl Load {
    const ALL: [(&str, Self); 6] = [
        ("start", Self::Start),
        ("terminate", Self::Terminate),
        ("storm", Self::Storm),
        ("jobs-0us", Self::Jobs(0)),
        ("jobs-5us", Self::Jobs(5)),
        ("jobs-50us", Self::Jobs(50)),
    ];
}

/// The supervisors that the table compares, by their number of partitions.
const PARTITIONS: [usize; 4] = [0, 1, 2, 4];

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match arguments.as_slice() {
        [load, partitions, count, callers] if !load.starts_with('-') => {
            let load = Load::ALL.into_iter().find(|(name, _)| name == load);
            let (_, load) = load.ok_or("no such load")?;
            let nanos = measure(load, partitions.parse()?, count.parse()?, callers.parse()?);
            println!("{nanos}");
            Ok(())
        }
        options => table(
            number(options, "--count")?.unwrap_or(200_000),
            number(options, "--callers")?.unwrap_or(64),
            number(options, "--rounds")?.unwrap_or(5),
        ),
    }
}

fn number(options: &[String], name: &str) -> Result<Option<usize>, std::num::ParseIntError> {
    let at = options.iter().position(|option| option == name);
    at.and_then(|at| options.get(at + 1)).map(|value| value.parse()).transpose()
}

fn table(count: usize, callers: usize, rounds: usize) -> Result<(), Box<dyn std::error::Error>> {
    println!("{count} children or restarts, {callers} callers, two threads");
    println!("nanoseconds each, best of {rounds}; in brackets the gain over a plain supervisor");
    print!("{:<12} {:>10}", "load", "plain");
    for partitions in &PARTITIONS[1..] {
        print!(" {:>18}", format!("{partitions} partition(s)"));
    }
    println!();
    for (name, load) in Load::ALL {
        let count = match load {
            Load::Start | Load::Terminate => count,
            Load::Storm => count * 5,
            Load::Jobs(micros) => count / (1 + usize::try_from(micros)? / 10),
        };
        let mut best = [f64::INFINITY; PARTITIONS.len()];
        for _ in 0..rounds {
            for (best, partitions) in best.iter_mut().zip(PARTITIONS) {
                *best = best.min(one(name, partitions, count, callers)?);
            }
        }
        let [plain, others @ ..] = best;
        print!("{name:<12} {plain:>10.0}");
        for nanos in others {
            print!(" {:>18}", format!("{nanos:.0} ({:.2}x)", plain / nanos));
        }
        println!();
    }
    Ok(())
}

fn one(
    load: &str,
    partitions: usize,
    count: usize,
    callers: usize,
) -> Result<f64, Box<dyn std::error::Error>> {
    let program = std::env::current_exe()?;
    let numbers = [partitions, count, callers].map(|number| number.to_string());
    let output = Command::new(program).arg(load).args(numbers).output()?;
    if !output.status.success() {
        return Err(String::from_utf8_lossy(&output.stderr).into());
    }
    Ok(String::from_utf8(output.stdout)?.trim().parse()?)
}

/// Returns the nanoseconds for each of `count`.
fn measure(load: Load, partitions: usize, count: usize, callers: usize) -> f64 {
    runtime().block_on(async move {
        // Not on the main thread, which would be a third one.
        let measuring = tokio::spawn(async move {
            let supervisor = Supervisor::start(partitions).await;
            match load {
                Load::Start => {
                    let start = now();
                    start_all(&supervisor, count, callers, || Idle).await;
                    nanos_each(start, count)
                }
                Load::Terminate => {
                    start_all(&supervisor, count, callers, || Idle).await;
                    let start = now();
                    terminate_all(&supervisor, count, callers).await;
                    nanos_each(start, count)
                }
                Load::Storm => storm(&supervisor, count).await,
                Load::Jobs(micros) => {
                    let (ended, all) = (Count::default(), Arc::new(Notify::new()));
                    let told = Arc::clone(&all);
                    let job =
                        move || Job { micros, ended: ended.clone(), count, all: Arc::clone(&told) };
                    let start = now();
                    start_all(&supervisor, count, callers, job).await;
                    all.notified().await;
                    nanos_each(start, count)
                }
            }
        });
        measuring.await.expect("the measurement does not panic")
    })
}

/// A supervisor, with partitions or without.
#[derive(Clone)]
enum Supervisor {
    Plain(SupervisorHandle),
    Partitioned(PartitionedSupervisor),
}

impl Supervisor {
    async fn start(partitions: usize) -> Self {
        let endless = RestartIntensity { max_restarts: usize::MAX, within_seconds: 1 };
        let spec = SupervisorSpec::new("app").with_restart_intensity(endless);
        if partitions == 0 {
            let handle = SupervisorHandle::start(spec);
            handle.ready().await.expect("nothing can fail");
            return Self::Plain(handle);
        }
        let handle = PartitionedSupervisor::start(spec.with_partitions(partitions));
        handle.ready().await.expect("nothing can fail");
        Self::Partitioned(handle)
    }

    async fn add<W: Worker>(
        &self,
        id: String,
        factory: impl Fn() -> W + Send + Sync + 'static,
        policy: RestartPolicy,
    ) -> Result<ChildId, SupervisorError> {
        match self {
            Self::Plain(handle) => handle.start_child(id, factory, policy).await,
            Self::Partitioned(handle) => handle.start_child(id, factory, policy).await,
        }
    }

    async fn terminate(&self, id: String) -> Result<(), SupervisorError> {
        match self {
            Self::Plain(handle) => handle.terminate_child(id).await,
            Self::Partitioned(handle) => handle.terminate_child(id).await,
        }
    }
}

/// Starts all children, from several callers at once.
async fn start_all<W: Worker>(
    supervisor: &Supervisor,
    count: usize,
    callers: usize,
    worker: impl Fn() -> W + Clone + Send + Sync + 'static,
) {
    let mut tasks = JoinSet::new();
    for caller in 0..callers {
        let (supervisor, worker) = (supervisor.clone(), worker.clone());
        tasks.spawn(async move {
            for number in (caller..count).step_by(callers) {
                let added = supervisor.add(id(number), worker.clone(), RestartPolicy::Temporary);
                added.await.expect("it starts");
            }
        });
    }
    tasks.join_all().await;
}

/// Ends all children, from several callers at once.
async fn terminate_all(supervisor: &Supervisor, count: usize, callers: usize) {
    let mut tasks = JoinSet::new();
    for caller in 0..callers {
        let supervisor = supervisor.clone();
        tasks.spawn(async move {
            for number in (caller..count).step_by(callers) {
                supervisor.terminate(id(number)).await.expect("it is there");
            }
        });
    }
    tasks.join_all().await;
}

async fn storm(supervisor: &Supervisor, restarts: usize) -> f64 {
    let (runs, done) = (Count::default(), Arc::new(Notify::new()));
    let start = now();
    for number in 0..100 {
        let (runs, done) = (runs.clone(), Arc::clone(&done));
        let make = move || Failing { runs: runs.clone(), restarts, done: Arc::clone(&done) };
        supervisor.add(id(number), make, RestartPolicy::Permanent).await.expect("it starts");
    }
    done.notified().await;
    nanos_each(start, restarts)
}

struct Idle;

#[async_trait]
impl Worker for Idle {
    type Error = Infallible;

    async fn run(&mut self) -> Result<(), Infallible> {
        std::future::pending().await
    }
}

/// Crashes at once, until all together have often enough.
struct Failing {
    runs: Count,
    restarts: usize,
    done: Arc<Notify>,
}

#[async_trait]
impl Worker for Failing {
    type Error = &'static str;

    async fn run(&mut self) -> Result<(), &'static str> {
        self.runs.add();
        if self.runs.get() >= self.restarts {
            self.done.notify_one();
            std::future::pending::<()>().await;
        }
        Err("crashed")
    }
}

/// Keeps its core busy for so many microseconds; the last of so many tells that it was.
struct Job {
    micros: u64,
    ended: Count,
    count: usize,
    all: Arc<Notify>,
}

#[async_trait]
impl Worker for Job {
    type Error = Infallible;

    async fn run(&mut self) -> Result<(), Infallible> {
        let start = now();
        while start.elapsed().as_micros() < u128::from(self.micros) {
            std::hint::spin_loop();
        }
        self.ended.add();
        if self.ended.get() == self.count {
            self.all.notify_one();
        }
        Ok(())
    }
}
