//! A soak test: a large tree under faults, with real threads, sockets and time. Everything that
//! happens is recorded in the books (`books.rs`), which are checked at the end.
//!
//! ```sh
//! make soak                             # ten minutes
//! make soak SOAK_SECONDS=60 SOAK_SEED=7 # as long and as random as wanted
//! ```
//!
//! What must hold at the end is in `verdict.rs`. Each of its checks can fail: the second test breaks
//! what each of them looks at.

#![expect(clippy::print_stderr, reason = "whoever waits for minutes wants to see something")]

mod books;
mod callers;
mod tree;
mod verdict;
mod worker;

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use ash_flare::SupervisorHandle;
use tokio::runtime::Builder;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use books::Books;
use callers::{Callers, Replies};
use verdict::Findings;
use worker::{Mixed, World};

/// What is done.
#[derive(Clone, Debug)]
struct Plan {
    seed: u64,
    storm: Duration,
    workers: usize,
    /// How long a worker lives on average, in milliseconds.
    lifetime: u64,
    sabotage: Option<Sabotage>,
}

/// What is broken on purpose, to see that it is found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Sabotage {
    /// A worker is made and never dropped.
    Worker,
    /// A task lives on.
    Task,
    /// Memory is not given back.
    Memory,
    /// A start is not in the books.
    Start,
    /// A restart was not charged.
    Restart,
    /// A call has no answer.
    Reply,
}

fn number(name: &str) -> Option<u64> {
    std::env::var(name).ok().map(|value| value.parse().expect("it is a number"))
}

#[test]
#[ignore = "it takes minutes: `make soak`"]
fn soak() {
    let seed = number("SOAK_SEED").unwrap_or_else(|| fastrand::u64(..1_000_000));
    let storm = Duration::from_secs(number("SOAK_SECONDS").unwrap_or(30));
    let workers = usize::try_from(number("SOAK_WORKERS").unwrap_or(10_000)).expect("it fits");
    let plan = Plan { seed, storm, workers, lifetime: 10_000, sabotage: None };
    let findings = run(&plan);
    let complaints = findings.complaints();
    assert!(complaints.is_empty(), "seed {seed}:\n{}", complaints.join("\n"));
}

#[test]
#[ignore = "it takes a while: `make soak-smoke`"]
fn each_check_can_fail() {
    let broken = |sabotage| {
        let storm = Duration::from_secs(3);
        run(&Plan { seed: 1, storm, workers: 500, lifetime: 2_000, sabotage }).complaints()
    };
    assert_eq!(broken(None), Vec::<String>::new(), "nothing is broken");
    for (sabotage, complaint) in [
        (Sabotage::Worker, "not dropped"),
        (Sabotage::Task, "tasks are alive"),
        (Sabotage::Memory, "memory has grown"),
        (Sabotage::Start, "starts and ends"),
        (Sabotage::Restart, "restarts and charges"),
        (Sabotage::Reply, "lost replies"),
    ] {
        let complaints = broken(Some(sabotage));
        assert!(
            complaints.iter().any(|found| found.contains(complaint)),
            "{sabotage:?} gives {complaints:?}"
        );
    }
}

/// Panics that no worker was told to make. Each is a defect.
static STRANGE_PANICS: AtomicU64 = AtomicU64::new(0);

fn listen_for_panics() {
    std::panic::set_hook(Box::new(|panic| {
        let payload = panic.payload();
        let text = payload.downcast_ref::<&str>().copied();
        let text = text.or_else(|| payload.downcast_ref::<String>().map(String::as_str));
        let ours = text.is_some_and(|text| text.starts_with("soak: "));
        if !ours {
            STRANGE_PANICS.fetch_add(1, Ordering::Relaxed);
            eprintln!("{panic}\n{}", std::backtrace::Backtrace::force_capture());
        }
    }));
}

fn run(plan: &Plan) -> Findings {
    listen_for_panics();
    STRANGE_PANICS.store(0, Ordering::Relaxed);
    eprintln!("soak: {plan:?}");
    // More threads than workers may block.
    let runtime = Builder::new_multi_thread().worker_threads(8).enable_all().build();
    let runtime = runtime.expect("there are threads");
    let mut findings = runtime.block_on(chaos(plan));
    findings.tasks = settled(runtime.handle());
    findings.strange_panics = STRANGE_PANICS.load(Ordering::Relaxed);
    drop(std::panic::take_hook());
    eprintln!("{findings}");
    findings
}

/// Returns how many tasks are left when no more of them end.
#[expect(clippy::disallowed_methods, reason = "it waits outside of the runtime")]
fn settled(runtime: &tokio::runtime::Handle) -> usize {
    for _ in 0..500 {
        if runtime.metrics().num_alive_tasks() == 0 {
            return 0;
        }
        std::thread::sleep(Duration::from_millis(10));
    }
    runtime.metrics().num_alive_tasks()
}

async fn chaos(plan: &Plan) -> Findings {
    let books = Books::default();
    let world = World::new(plan.seed, plan.lifetime, books.clone());
    let root = SupervisorHandle::start(tree::tree(&world, plan.workers));
    root.ready().await.expect("in calm weather everything starts");
    let socket = std::env::temp_dir().join(format!("ash-soak-{}.sock", std::process::id()));
    let callers = callers(&world, &root, socket);
    for server in callers::servers(&callers) {
        root.start_child_spec(server).await.expect("it starts");
    }
    let linked = SupervisorHandle::start(callers::linked(&callers));
    linked.ready().await.expect("the server is there");

    world.set_storm(true);
    let mut all = JoinSet::new();
    for number in 0..8 {
        all.spawn(callers::local(Arc::clone(&callers), number));
        all.spawn(callers::remote(Arc::clone(&callers), number));
    }
    let memory = weather(plan, &books).await;
    callers.done.cancel();
    while let Some(caller) = all.join_next().await {
        caller.expect("no caller panics");
    }
    if plan.sabotage == Some(Sabotage::Reply) {
        callers.replies.lose_one();
    }
    // The tree comes to rest, so that no restart is half done when they are counted.
    world.set_storm(false);
    rest(&books).await;
    sabotage(plan, &books, &world);
    let at_rest = books.total();
    // It is shut down in a storm again.
    world.set_storm(true);
    linked.shutdown().await.expect("it stops");
    let within = tokio::time::timeout(Duration::from_secs(120), root.shutdown()).await;
    let is_down = matches!(within, Ok(Ok(())));
    // Workers that block their threads are released.
    world.set_storm(false);
    let total = leaks_ended(&books).await;
    Findings {
        at_rest,
        total,
        is_down,
        memory,
        replies: callers.replies.numbers(),
        connected: callers.connected.load(Ordering::Relaxed),
        refused: callers.refused.load(Ordering::Relaxed),
        tasks: 0,
        strange_panics: 0,
    }
}

fn callers(world: &Arc<World>, root: &SupervisorHandle, socket: PathBuf) -> Arc<Callers> {
    Arc::new(Callers {
        world: Arc::clone(world),
        root: root.clone(),
        replies: Replies::default(),
        done: CancellationToken::new(),
        socket,
        address: watch::Sender::new(None),
        connected: AtomicU64::new(0),
        refused: AtomicU64::new(0),
    })
}

/// Breaks what is to be broken.
fn sabotage(plan: &Plan, books: &Books, world: &Arc<World>) {
    match plan.sabotage {
        Some(Sabotage::Worker) => {
            std::mem::forget(Mixed::at(world, "soak/remote/forgotten".into()));
        }
        Some(Sabotage::Task) => drop(tokio::spawn(std::future::pending::<()>())),
        Some(Sabotage::Start) => books.forget_a_start(),
        Some(Sabotage::Restart) => books.forget_a_charge(),
        Some(Sabotage::Memory | Sabotage::Reply) | None => {}
    }
}

/// Runs the storm, and returns the memory in use in the course of it, in bytes.
async fn weather(plan: &Plan, books: &Books) -> Vec<usize> {
    let mut memory = Vec::new();
    let mut kept = Vec::new();
    for second in 0..plan.storm.as_secs() {
        for _ in 0..4 {
            tokio::time::sleep(Duration::from_millis(250)).await;
            memory.push(verdict::resident());
            if plan.sabotage == Some(Sabotage::Memory) {
                kept.push(vec![1_u8; 8 << 20]);
            }
        }
        if second % 10 == 9 {
            let total = books.total();
            let megabytes = memory.last().map_or(0, |bytes| bytes >> 20);
            eprintln!("soak: {} s, {} up, {megabytes} MiB, {:?}", second + 1, total.up, total.sum);
        }
    }
    drop(kept);
    memory
}

/// Waits until nothing changes any more.
async fn rest(books: &Books) {
    let mut before = books.total().entries;
    for _ in 0..60 {
        tokio::time::sleep(Duration::from_millis(1_000)).await;
        let now = books.total().entries;
        if now == before {
            return;
        }
        before = now;
    }
}

async fn leaks_ended(books: &Books) -> books::Total {
    for _ in 0..500 {
        let total = books.total();
        if total.sum.leaked == total.sum.leaks_ended && total.sum.made == total.sum.dropped {
            return total;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    books.total()
}
