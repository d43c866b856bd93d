//! What is counted, for the users of `metrics`.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex};

use ash_core::{
    Backoff, ChildContext, ChildSpec, RestartPolicy, Shutdown, SupervisorError, SupervisorHandle,
    SupervisorSpec,
};
use futures_util::FutureExt;
use metrics::{
    Counter, CounterFn, Gauge, GaugeFn, Histogram, Key, KeyName, Metadata, Recorder, SharedString,
    Unit, set_default_local_recorder,
};

use crate::support::{
    Door, Record, Script, Step, crashing, down, idle, intensity, lives, millis, no_task_is_left,
    scripted, seconds, settle, soon, temporary, up,
};

/// A recorder that keeps everything.
#[derive(Clone, Default)]
struct Kept(Arc<Mutex<State>>);

#[derive(Default)]
struct State {
    values: BTreeMap<String, Arc<Value>>,
    descriptions: BTreeMap<String, String>,
}

/// All our values are whole.
#[derive(Debug, Default)]
struct Value(AtomicI64);

impl CounterFn for Value {
    fn increment(&self, more: u64) {
        self.0.fetch_add(i64::try_from(more).unwrap(), Ordering::SeqCst);
    }

    fn absolute(&self, _: u64) {
        panic!("our counters are not set");
    }
}

#[expect(clippy::cast_possible_truncation, reason = "numbers of children are small")]
impl GaugeFn for Value {
    fn increment(&self, more: f64) {
        self.0.fetch_add(more as i64, Ordering::SeqCst);
    }

    fn decrement(&self, less: f64) {
        self.0.fetch_sub(less as i64, Ordering::SeqCst);
    }

    fn set(&self, value: f64) {
        self.0.store(value as i64, Ordering::SeqCst);
    }
}

impl Kept {
    fn value(&self, key: &Key) -> Arc<Value> {
        let mut text = key.name().to_owned();
        for label in key.labels() {
            text.push_str(&format!(" {}={}", label.key(), label.value()));
        }
        Arc::clone(self.0.lock().unwrap().values.entry(text).or_default())
    }

    fn describe(&self, key: &KeyName, description: &SharedString) {
        let (key, description) = (key.as_str().to_owned(), description.to_string());
        self.0.lock().unwrap().descriptions.insert(key, description);
    }

    /// Returns what has been recorded, without the prefix that all names have.
    fn lines(&self) -> Vec<String> {
        let line = |(key, value): (&String, &Arc<Value>)| {
            let key = key.strip_prefix("ash_flare_").unwrap();
            format!("{key}: {}", value.0.load(Ordering::SeqCst))
        };
        self.0.lock().unwrap().values.iter().map(line).collect()
    }

    fn get(&self, name: &str) -> Option<i64> {
        let state = self.0.lock().unwrap();
        state.values.get(&format!("ash_flare_{name}")).map(|value| value.0.load(Ordering::SeqCst))
    }
}

impl Recorder for Kept {
    fn describe_counter(&self, key: KeyName, _: Option<Unit>, description: SharedString) {
        self.describe(&key, &description);
    }

    fn describe_gauge(&self, key: KeyName, _: Option<Unit>, description: SharedString) {
        self.describe(&key, &description);
    }

    fn describe_histogram(&self, key: KeyName, _: Option<Unit>, description: SharedString) {
        self.describe(&key, &description);
    }

    fn register_counter(&self, key: &Key, _: &Metadata<'_>) -> Counter {
        Counter::from_arc(self.value(key))
    }

    fn register_gauge(&self, key: &Key, _: &Metadata<'_>) -> Gauge {
        Gauge::from_arc(self.value(key))
    }

    fn register_histogram(&self, _: &Key, _: &Metadata<'_>) -> Histogram {
        Histogram::noop()
    }
}

#[tokio::test(start_paused = true)]
async fn events_1_starts_restarts_and_exits_are_counted_by_supervisor_and_reason() {
    let kept = Kept::default();
    let _recording = set_default_local_recorder(&kept);
    let record = Record::default();
    let fails = lives("fails", &record, |life| match life {
        1 => Script::run(Step::Err("bad")),
        2 => Script::run(Step::Panic("worse")),
        3 => Script::initialize(Step::Err("no")),
        _ => Script::default(),
    });
    let mute = idle("mute", &record).liveness(seconds(1)).restart(RestartPolicy::Temporary);
    let nested = SupervisorSpec::new("nested")
        .with_restart_intensity(intensity(9, 100))
        .with_child(fails)
        .with_child(temporary("done", &record, Script::run(Step::Ok)))
        .with_child(mute);
    let spec = SupervisorSpec::new("app")
        .with_child(idle("calm", &record))
        .with_child(idle("brutal", &record).shutdown(Shutdown::BrutalKill))
        .with_supervisor(nested);
    let handle = up(spec).await;
    tokio::time::sleep(seconds(2)).await;
    assert_eq!(
        kept.lines(),
        [
            "active_children supervisor=app: 3",
            "active_children supervisor=app/nested: 1",
            "child_exits_total supervisor=app/nested reason=error: 1",
            "child_exits_total supervisor=app/nested reason=normal: 1",
            "child_exits_total supervisor=app/nested reason=panic: 1",
            "child_exits_total supervisor=app/nested reason=unresponsive: 1",
            "child_restarts_total supervisor=app/nested: 3",
            "child_start_failures_total supervisor=app/nested: 1",
            "child_starts_total supervisor=app: 3",
            "child_starts_total supervisor=app/nested: 5",
        ]
    );
    down(&handle).await;
    assert_eq!(kept.get("active_children supervisor=app"), Some(0));
    assert_eq!(kept.get("active_children supervisor=app/nested"), Some(0));
    assert_eq!(kept.get("child_exits_total supervisor=app reason=shutdown"), Some(2));
    assert_eq!(kept.get("child_exits_total supervisor=app reason=killed"), Some(1));
    assert_eq!(kept.get("child_exits_total supervisor=app/nested reason=shutdown"), Some(1));
    assert_eq!(kept.get("child_restarts_total supervisor=app"), None);
}

#[tokio::test(start_paused = true)]
async fn events_1_giving_up_is_counted_below_and_its_exit_above() {
    let kept = Kept::default();
    let _recording = set_default_local_recorder(&kept);
    let record = Record::default();
    let (crashes, crash) = crashing("crashes", &record);
    let nested =
        SupervisorSpec::new("nested").with_restart_intensity(intensity(0, 1)).with_child(crashes);
    let handle = up(SupervisorSpec::new("app").with_supervisor(nested)).await;
    crash.notify_one();
    settle().await;
    let wanted = [
        "active_children supervisor=app: 1",
        "active_children supervisor=app/nested: 1",
        "child_exits_total supervisor=app reason=intensity_exceeded: 1",
        "child_exits_total supervisor=app/nested reason=error: 1",
        "child_restarts_total supervisor=app: 1",
        "child_starts_total supervisor=app: 2",
        "child_starts_total supervisor=app/nested: 2",
        "supervisor_give_ups_total supervisor=app/nested: 1",
    ];
    assert_eq!(kept.lines(), wanted);
    down(&handle).await;
}

/// A runtime of two threads, and what is recorded there.
fn on_two_threads() -> (&'static Kept, tokio::runtime::Runtime) {
    let kept: &'static Kept = Box::leak(Box::default());
    // A local recorder is one thread's, so each thread of the runtime has it.
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .on_thread_start(|| std::mem::forget(set_default_local_recorder(kept)))
        .build()
        .unwrap();
    (kept, runtime)
}

#[test]
fn events_1_a_leak_is_counted_as_that_and_as_a_kill() {
    let (kept, runtime) = on_two_threads();
    let (record, door) = (Record::default(), Arc::new(Door::default()));
    let blocks = Script::run(Step::Block(Arc::clone(&door)));
    let blocks = scripted("blocks", &record, blocks).shutdown(Shutdown::BrutalKill);
    runtime.block_on(async {
        let spec = SupervisorSpec::new("app").with_kill_grace(millis(10)).with_child(blocks);
        let handle = up(spec).await;
        soon(door.reached()).await;
        soon(handle.shutdown()).await.unwrap();
        door.open();
        soon(no_task_is_left()).await;
    });
    let wanted = [
        "active_children supervisor=app: 0",
        "child_exits_total supervisor=app reason=killed: 1",
        "child_leaks_total supervisor=app: 1",
        "child_starts_total supervisor=app: 1",
    ];
    assert_eq!(kept.lines(), wanted);
}

#[test]
fn events_1_one_that_has_missed_its_heartbeat_is_not_active_though_it_blocks_its_thread() {
    let (kept, runtime) = on_two_threads();
    let (record, door) = (Record::default(), Arc::new(Door::default()));
    let blocks = scripted("blocks", &record, Script::run(Step::Block(Arc::clone(&door))));
    runtime.block_on(async {
        let spec = SupervisorSpec::new("app")
            .with_kill_grace(seconds(60))
            .with_child(blocks.liveness(millis(20)));
        let handle = up(spec).await;
        soon(door.reached()).await;
        let is_missed = async {
            while kept.get("active_children supervisor=app") != Some(0) {
                tokio::time::sleep(millis(5)).await;
            }
        };
        soon(is_missed).await;
        door.open();
        soon(handle.shutdown()).await.unwrap();
    });
}

#[tokio::test(start_paused = true)]
async fn events_1_a_retry_that_is_called_off_is_no_exit_and_a_start_that_is_cut_short_a_failed_one()
{
    let kept = Kept::default();
    let _recording = set_default_local_recorder(&kept);
    let record = Record::default();
    let (crashes, crash) = crashing("crashes", &record);
    let spec =
        SupervisorSpec::new("app").with_backoff(Backoff::constant(seconds(60))).with_child(crashes);
    let handle = up(spec).await;
    settle().await;
    crash.notify_one();
    settle().await;
    handle.stop_child("crashes").await.unwrap();

    let hangs = scripted("hangs", &record, Script::initialize(Step::Hang));
    let starting = {
        let handle = handle.clone();
        tokio::spawn(async move { handle.start_child_spec(hangs).await })
    };
    settle().await;
    handle.terminate_child("hangs").await.unwrap();
    assert!(starting.await.unwrap().is_err());
    down(&handle).await;
    assert_eq!(
        kept.lines(),
        [
            "active_children supervisor=app: 0",
            "child_exits_total supervisor=app reason=error: 1",
            "child_restarts_total supervisor=app: 1",
            "child_start_failures_total supervisor=app: 1",
            "child_starts_total supervisor=app: 1",
        ]
    );
}

#[tokio::test(start_paused = true)]
async fn events_1_who_gets_an_answer_finds_it_counted() {
    let kept = Kept::default();
    let _recording = set_default_local_recorder(&kept);
    let handle = up(SupervisorSpec::new("app")).await;
    let record = Record::default();
    for number in 1..=3 {
        let id = ["a", "b", "c"][number - 1];
        handle.start_child_spec(idle(id, &record)).await.unwrap();
        let number = i64::try_from(number).unwrap();
        assert_eq!(kept.get("child_starts_total supervisor=app"), Some(number));
        assert_eq!(kept.get("active_children supervisor=app"), Some(number));
    }
    handle.terminate_child("b").await.unwrap();
    assert_eq!(kept.get("active_children supervisor=app"), Some(2));
    assert_eq!(handle.count_children().await.unwrap().active, 2);
    handle.stop_child("a").await.unwrap();
    handle.restart_child("a").await.unwrap();
    assert_eq!(kept.get("active_children supervisor=app"), Some(2));
    down(&handle).await;
    assert_eq!(kept.get("active_children supervisor=app"), Some(0));
}

#[tokio::test(start_paused = true)]
async fn events_1_a_recorder_that_comes_late_is_told_from_then_on() {
    let record = Record::default();
    let (crashes, crash) = crashing("crashes", &record);
    let handle = up(SupervisorSpec::new("app").with_child(crashes)).await;
    crash.notify_one();
    settle().await;
    let kept = Kept::default();
    let _recording = set_default_local_recorder(&kept);
    crash.notify_one();
    settle().await;
    assert_eq!(kept.get("child_restarts_total supervisor=app"), Some(1));
    handle.start_child_spec(idle("late", &record)).await.unwrap();
    assert_eq!(kept.get("active_children supervisor=app"), Some(2));
    down(&handle).await;
}

#[test]
fn stop_10_no_child_is_active_when_the_runtime_is_gone() {
    let kept = Kept::default();
    let _recording = set_default_local_recorder(&kept);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let record = Record::default();
    runtime.block_on(async {
        up(SupervisorSpec::new("app").with_child(idle("a", &record))).await;
    });
    assert_eq!(kept.get("active_children supervisor=app"), Some(1));
    drop(runtime);
    assert_eq!(kept.get("active_children supervisor=app"), Some(0));
}

/// A recorder that blocks in the midst of a turn, before it takes a gauge.
struct BlocksAtGauges {
    kept: Kept,
    door: Arc<Door>,
}

impl Recorder for BlocksAtGauges {
    fn describe_counter(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}

    fn describe_gauge(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}

    fn describe_histogram(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}

    fn register_counter(&self, key: &Key, metadata: &Metadata<'_>) -> Counter {
        self.kept.register_counter(key, metadata)
    }

    fn register_gauge(&self, key: &Key, metadata: &Metadata<'_>) -> Gauge {
        self.door.block();
        self.kept.register_gauge(key, metadata)
    }

    fn register_histogram(&self, key: &Key, metadata: &Metadata<'_>) -> Histogram {
        self.kept.register_histogram(key, metadata)
    }
}

#[test]
fn stop_10_no_child_is_active_when_the_runtime_has_gone_in_the_midst_of_a_turn() {
    let kept = Kept::default();
    let _recording = set_default_local_recorder(&kept);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let (record, door) = (Record::default(), Arc::new(Door::default()));
    let handle = runtime.block_on(async {
        let app = SupervisorSpec::new("app").with_child(idle("a", &record));
        let handle = up(app.with_child(idle("b", &record))).await;
        settle().await;
        handle
    });
    let turn = {
        let blocks = BlocksAtGauges { kept: kept.clone(), door: Arc::clone(&door) };
        let guest = runtime.handle().clone();
        std::thread::spawn(move || {
            let _recording = set_default_local_recorder(&blocks);
            guest.block_on(handle.stop_child("b"))
        })
    };
    let other = tokio::runtime::Builder::new_current_thread().build().unwrap();
    other.block_on(door.reached());
    drop(runtime);
    assert_eq!(kept.get("active_children supervisor=app"), Some(2), "its driver is at work");
    door.open();
    turn.join().unwrap().unwrap_err();
    assert_eq!(kept.get("active_children supervisor=app"), Some(0));
}

#[test]
fn stop_10_no_child_is_active_when_the_runtime_has_gone_with_a_task_in_the_midst_of_its_turn() {
    let kept = Kept::default();
    let _recording = set_default_local_recorder(&kept);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let record = Record::default();
    let handle = runtime.block_on(async {
        let handle = up(SupervisorSpec::new("app").with_child(idle("a", &record))).await;
        settle().await;
        handle
    });
    // From outside, more than its task sees to before it leaves the thread to others.
    let mut calls: Vec<_> = (0..20_000).map(|_| Box::pin(handle.stop_child("nobody"))).collect();
    for call in &mut calls {
        assert!(call.as_mut().now_or_never().is_none());
    }
    runtime.block_on(tokio::task::yield_now());
    drop(runtime);
    let last = calls.pop().unwrap().now_or_never();
    assert!(matches!(last, Some(Err(SupervisorError::ShuttingDown(_)))), "it was in the midst");
    let first = calls.swap_remove(0).now_or_never();
    assert!(matches!(first, Some(Err(SupervisorError::ChildNotFound(_)))), "{first:?}");
    assert_eq!(kept.get("active_children supervisor=app"), Some(0));
}

#[tokio::test(start_paused = true)]
async fn events_1_every_metric_is_described() {
    let kept = Kept::default();
    let _recording = set_default_local_recorder(&kept);
    let handle = up(SupervisorSpec::new("app")).await;
    down(&handle).await;
    let state = kept.0.lock().unwrap();
    let described: Vec<_> = state.descriptions.keys().map(String::as_str).collect();
    assert_eq!(
        described,
        [
            "ash_flare_active_children",
            "ash_flare_child_exits_total",
            "ash_flare_child_leaks_total",
            "ash_flare_child_restarts_total",
            "ash_flare_child_start_failures_total",
            "ash_flare_child_starts_total",
            "ash_flare_supervisor_give_ups_total",
        ]
    );
    drop(state);
}

#[tokio::test(start_paused = true)]
async fn events_1_a_recorder_that_panics_gets_no_further() {
    struct Panics;
    impl Recorder for Panics {
        fn describe_counter(&self, _: KeyName, _: Option<Unit>, _: SharedString) {
            panic!("no description")
        }
        fn describe_gauge(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}
        fn describe_histogram(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}
        fn register_counter(&self, _: &Key, _: &Metadata<'_>) -> Counter {
            panic!("no counter")
        }
        fn register_gauge(&self, _: &Key, _: &Metadata<'_>) -> Gauge {
            panic!("no gauge")
        }
        fn register_histogram(&self, _: &Key, _: &Metadata<'_>) -> Histogram {
            panic!("no histogram")
        }
    }
    let _recording = set_default_local_recorder(&Panics);
    let child = ChildSpec::task("a", |context: ChildContext| async move {
        if context.incarnation() == 1 {
            return Err("once");
        }
        std::future::pending().await
    });
    let handle = SupervisorHandle::start(SupervisorSpec::new("app").with_child(child));
    handle.ready().await.unwrap();
    settle().await;
    assert_eq!(handle.child("a").await.unwrap().incarnation, 2);
    down(&handle).await;
}
