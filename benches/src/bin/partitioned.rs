//! Prints what partitions gain where one supervisor's task is the bottleneck, on two cores.
//!
//! `partitioned [--count N] [--callers N] [--rounds N]` runs all of it, each measurement in a
//! process of its own, the plain supervisor and those with partitions in turn, and prints medians of
//! the rounds. `partitioned LOAD PARTITIONS COUNT CALLERS` is one such process; without
//! partitions (0) it is a plain supervisor.
#![expect(clippy::print_stdout, reason = "printing is what it is for")]

use std::convert::Infallible;
use std::process::Command;
use std::sync::Arc;
use std::time::Instant;

use ash_core::{
    ChildId, ChildInfo, PartitionedSupervisor, RestartIntensity, RestartPolicy, SupervisorError,
    SupervisorHandle, SupervisorSpec, Worker, async_trait,
};
use benches::measure::{Count, id, nanos_each, now, percentile, runtime};
use benches::options::Options;
use tokio::sync::Notify;
use tokio::task::JoinSet;

/// What the supervisors have to do.
#[derive(Clone, Copy)]
enum Load {
    /// Many callers start idle children.
    Start,
    /// Many callers end idle children.
    Terminate,
    /// Many callers ask for one child at a time.
    Read,
    /// Many callers start and end children beside many others, and list all of them at times.
    Listed,
    /// A hundred children crash at once, again and again.
    Storm,
    /// The same, and somebody listens to the events.
    Watched,
    /// Many callers start jobs that keep a core busy for so many microseconds, and end.
    Jobs(u64),
}

impl Load {
    const ALL: [(&str, Self); 9] = [
        ("start", Self::Start),
        ("terminate", Self::Terminate),
        ("read", Self::Read),
        ("listed", Self::Listed),
        ("storm", Self::Storm),
        ("watched", Self::Watched),
        ("jobs-0us", Self::Jobs(0)),
        ("jobs-5us", Self::Jobs(5)),
        ("jobs-50us", Self::Jobs(50)),
    ];
}

/// How many children there are to be read and listed.
const HELD: usize = 10_000;

/// The supervisors that the table compares, by their number of partitions.
const PARTITIONS: [usize; 4] = [0, 1, 2, 4];

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match arguments.as_slice() {
        [load, partitions, count, callers] if !load.starts_with('-') => {
            let load = Load::ALL.into_iter().find(|(name, _)| name == load);
            let (_, load) = load.ok_or("no such load")?;
            let (nanos, cores) =
                measure(load, partitions.parse()?, count.parse()?, callers.parse()?);
            println!("{nanos} {cores}");
            Ok(())
        }
        options => {
            let options = Options::read(options, &["--count", "--callers", "--rounds"])?;
            let count = options.number("--count", 200_000)?;
            table(count, options.number("--callers", 64)?, options.number("--rounds", 5)?)
        }
    }
}

fn table(count: usize, callers: usize, rounds: usize) -> Result<(), Box<dyn std::error::Error>> {
    println!("{count} children, {callers} callers, two threads; medians of {rounds} rounds");
    println!("nanoseconds each, (the gain over plain), and the cores that were busy meanwhile");
    print!("{:<10}", "load");
    for partitions in PARTITIONS {
        let name = if partitions == 0 { "plain".into() } else { format!("{partitions} part.") };
        print!(" {name:>23}");
    }
    println!();
    for (name, load) in Load::ALL {
        let count = match load {
            Load::Start | Load::Terminate => count,
            Load::Listed => count,
            Load::Storm | Load::Watched | Load::Read => count * 5,
            Load::Jobs(micros) => count / (1 + usize::try_from(micros)? / 10),
        };
        let mut columns = PARTITIONS.map(|_| Column::default());
        for _ in 0..rounds {
            let mut plain = None;
            for (column, partitions) in columns.iter_mut().zip(PARTITIONS) {
                let (nanos, cores) = one(name, partitions, count, callers)?;
                column.nanos.push(nanos);
                column.gains.push(*plain.get_or_insert(nanos) / nanos);
                column.cores.push(cores);
            }
        }
        print!("{name:<10}");
        for Column { mut nanos, mut gains, mut cores } in columns {
            let [nanos, gain, cores] =
                [&mut nanos, &mut gains, &mut cores].map(|values| percentile(values, 0.5));
            print!(" {:>23}", format!("{nanos:.0} ({gain:.2}x) {cores:.1}"));
        }
        println!();
    }
    Ok(())
}

/// What came of the rounds of one supervisor.
#[derive(Default)]
struct Column {
    nanos: Vec<f64>,
    /// How many times as fast as the plain one it was, in each round.
    gains: Vec<f64>,
    cores: Vec<f64>,
}

/// Returns the nanoseconds, and the cores that were busy.
fn one(
    load: &str,
    partitions: usize,
    count: usize,
    callers: usize,
) -> Result<(f64, f64), Box<dyn std::error::Error>> {
    let program = std::env::current_exe()?;
    let numbers = [partitions, count, callers].map(|number| number.to_string());
    let output = Command::new(program).arg(load).args(numbers).output()?;
    if !output.status.success() {
        return Err(String::from_utf8_lossy(&output.stderr).into());
    }
    let printed = String::from_utf8(output.stdout)?;
    let (nanos, cores) = printed.trim().split_once(' ').ok_or("two numbers are printed")?;
    Ok((nanos.parse()?, cores.parse()?))
}

/// A time span, and the time that this process had a core meanwhile.
struct Watch {
    start: Instant,
    cpu_seconds: f64,
}

impl Watch {
    fn start() -> Self {
        Self { start: now(), cpu_seconds: cpu_seconds() }
    }

    /// Returns the nanoseconds for each of `count`, and the cores that were busy.
    fn each(&self, count: usize) -> (f64, f64) {
        let cores = (cpu_seconds() - self.cpu_seconds) / self.start.elapsed().as_secs_f64();
        (nanos_each(self.start, count), cores)
    }
}

/// Returns the time that this process had a core, in seconds, to the hundredth.
fn cpu_seconds() -> f64 {
    let stat = std::fs::read_to_string("/proc/self/stat").expect("Linux has it");
    let (_, fields) = stat.rsplit_once(')').expect("the name ends with a bracket");
    let ticks = fields.split_whitespace().skip(11).take(2);
    ticks.map(|ticks| ticks.parse::<f64>().expect("it is a number")).sum::<f64>() / 100.0
}

/// Returns the nanoseconds for each of `count`, and the cores that were busy.
fn measure(load: Load, partitions: usize, count: usize, callers: usize) -> (f64, f64) {
    runtime().block_on(async move {
        // Not on the main thread, which would be a third one.
        let measuring = tokio::spawn(async move {
            let supervisor = Supervisor::start(partitions).await;
            run(load, &supervisor, count, callers).await
        });
        measuring.await.expect("the measurement does not panic")
    })
}

async fn run(load: Load, supervisor: &Supervisor, count: usize, callers: usize) -> (f64, f64) {
    match load {
        Load::Start => {
            let watch = Watch::start();
            start_all(supervisor, count, callers, || Idle).await;
            watch.each(count)
        }
        Load::Terminate => {
            start_all(supervisor, count, callers, || Idle).await;
            let watch = Watch::start();
            each(supervisor, count, callers, |supervisor, number| async move {
                supervisor.terminate(id(number)).await.expect("it is there");
            })
            .await;
            watch.each(count)
        }
        Load::Read => {
            start_all(supervisor, HELD, callers, || Idle).await;
            let watch = Watch::start();
            each(supervisor, count, callers, |supervisor, number| async move {
                supervisor.read(id(number % HELD)).await.expect("it is there");
            })
            .await;
            watch.each(count)
        }
        Load::Listed => listed(supervisor, count, callers).await,
        Load::Storm => storm(supervisor, count).await,
        Load::Watched => {
            let mut events = supervisor.handle().events();
            let watching = tokio::spawn(async move { while events.next().await.is_some() {} });
            let measured = storm(supervisor, count).await;
            watching.abort();
            measured
        }
        Load::Jobs(micros) => {
            let (ended, all) = (Count::default(), Arc::new(Notify::new()));
            let told = Arc::clone(&all);
            let job = move || Job { micros, ended: ended.clone(), count, all: Arc::clone(&told) };
            let watch = Watch::start();
            start_all(supervisor, count, callers, job).await;
            all.notified().await;
            watch.each(count)
        }
    }
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

    async fn read(&self, id: String) -> Result<ChildInfo, SupervisorError> {
        match self {
            Self::Plain(handle) => handle.child(id).await,
            Self::Partitioned(handle) => handle.child(id).await,
        }
    }

    async fn list(&self) -> Result<Vec<ChildInfo>, SupervisorError> {
        match self {
            Self::Plain(handle) => handle.which_children().await,
            Self::Partitioned(handle) => handle.which_children().await,
        }
    }

    const fn handle(&self) -> &SupervisorHandle {
        match self {
            Self::Plain(handle) => handle,
            Self::Partitioned(handle) => handle.handle(),
        }
    }
}

/// Makes a call for each number, from several callers at once.
async fn each<F: Future<Output = ()> + Send>(
    supervisor: &Supervisor,
    count: usize,
    callers: usize,
    call: impl Fn(Supervisor, usize) -> F + Clone + Send + 'static,
) {
    let mut tasks = JoinSet::new();
    for caller in 0..callers {
        let (supervisor, call) = (supervisor.clone(), call.clone());
        tasks.spawn(async move {
            for number in (caller..count).step_by(callers) {
                call(supervisor.clone(), number).await;
            }
        });
    }
    tasks.join_all().await;
}

/// Starts all children, from several callers at once.
async fn start_all<W: Worker>(
    supervisor: &Supervisor,
    count: usize,
    callers: usize,
    worker: impl Fn() -> W + Clone + Send + Sync + 'static,
) {
    each(supervisor, count, callers, move |supervisor, number| {
        let worker = worker.clone();
        async move {
            supervisor.add(id(number), worker, RestartPolicy::Temporary).await.expect("it starts");
        }
    })
    .await;
}

/// Starts and ends children beside many idle ones, while all are listed every now and then.
async fn listed(supervisor: &Supervisor, count: usize, callers: usize) -> (f64, f64) {
    start_all(supervisor, HELD, callers, || Idle).await;
    let watch = Watch::start();
    each(supervisor, count, callers, move |supervisor, number| async move {
        let id = id(HELD + number);
        supervisor.add(id.clone(), || Idle, RestartPolicy::Temporary).await.expect("it starts");
        supervisor.terminate(id).await.expect("it is there");
        if number % 100 == 0 {
            supervisor.list().await.expect("it is up");
        }
    })
    .await;
    watch.each(count)
}

async fn storm(supervisor: &Supervisor, restarts: usize) -> (f64, f64) {
    let (runs, done) = (Count::default(), Arc::new(Notify::new()));
    let watch = Watch::start();
    for number in 0..100 {
        let (runs, done) = (runs.clone(), Arc::clone(&done));
        let make = move || Failing { runs: runs.clone(), restarts, done: Arc::clone(&done) };
        supervisor.add(id(number), make, RestartPolicy::Permanent).await.expect("it starts");
    }
    done.notified().await;
    watch.each(restarts)
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
