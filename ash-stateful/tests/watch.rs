//! The change feed.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll, Wake, Waker};
use std::thread;

use ash_stateful::{Watch, WorkerContext};
use futures_util::{FutureExt, StreamExt, pin_mut};
use serde_json::{Value, json};

/// What the stream has ready: a value, its end, or nothing yet.
fn ready(watch: &mut Watch) -> Option<Option<Option<Value>>> {
    watch.next().now_or_never()
}

fn value(value: Value) -> Option<Option<Option<Value>>> {
    Some(Some(Some(value)))
}

const ABSENT: Option<Option<Option<Value>>> = Some(Some(None));
const OVER: Option<Option<Option<Value>>> = Some(None);

#[test]
fn the_first_item_is_what_is_there() {
    let ctx = WorkerContext::new();
    ctx.set("key", json!(1));
    let (mut there, mut absent) = (ctx.watch("key"), ctx.watch("other"));
    assert_eq!((there.key(), absent.key()), ("key", "other"));
    assert_eq!(ready(&mut there), value(json!(1)));
    assert_eq!(ready(&mut there), None);
    assert_eq!(ready(&mut absent), ABSENT);
    assert_eq!(ready(&mut absent), None);
}

#[test]
fn every_way_to_change_a_key_is_seen() {
    let ctx = WorkerContext::new();
    let mut watch = ctx.watch("key");
    assert_eq!(ready(&mut watch), ABSENT);
    ctx.set("key", json!(1));
    assert_eq!(ready(&mut watch), value(json!(1)));
    ctx.update("key", |_| Some(json!(2)));
    assert_eq!(ready(&mut watch), value(json!(2)));
    ctx.update("key", |_| None);
    assert_eq!(ready(&mut watch), ABSENT);
    ctx.update("key", |_| Some(json!(3)));
    assert_eq!(ready(&mut watch), value(json!(3)));
    ctx.delete("key");
    assert_eq!(ready(&mut watch), ABSENT);
    ctx.set_as("key", &4).unwrap();
    assert_eq!(ready(&mut watch), value(json!(4)));
    ctx.clear();
    assert_eq!(ready(&mut watch), ABSENT);
    ctx.restore(json!({ "key": 5 })).unwrap();
    assert_eq!(ready(&mut watch), value(json!(5)));
    ctx.restore(json!({ "key": 6 })).unwrap();
    assert_eq!(ready(&mut watch), value(json!(6)), "and not absent in between");
    let panic = || ctx.update("key", |_| panic!("on purpose"));
    assert!(catch_unwind(AssertUnwindSafe(panic)).is_err());
    assert_eq!(ready(&mut watch), ABSENT);
    assert_eq!(ready(&mut watch), None);
}

#[test]
fn only_the_watched_key_and_only_a_change_is_an_item() {
    let ctx = WorkerContext::new();
    ctx.set("key", json!({ "a": 1 }));
    let mut watch = ctx.watch("key");
    assert_eq!(ready(&mut watch), value(json!({ "a": 1 })));
    ctx.set("other", json!(1));
    ctx.set("key", json!({ "a": 1 }));
    ctx.update("key", |its| its);
    ctx.delete("never");
    assert_eq!(ready(&mut watch), None);
}

#[test]
fn a_slow_reader_gets_the_latest_value_once() {
    let ctx = WorkerContext::new();
    let mut watch = ctx.watch("key");
    for n in 0..1_000 {
        ctx.set("key", json!(n));
    }
    assert_eq!(ready(&mut watch), value(json!(999)));
    assert_eq!(ready(&mut watch), None);
}

#[test]
fn the_stream_ends_after_the_last_value_when_the_context_is_gone() {
    let ctx = Arc::new(WorkerContext::new());
    let (mut slow, mut quick) = (ctx.watch("key"), ctx.watch("key"));
    assert_eq!(ready(&mut quick), ABSENT);
    ctx.set("key", json!("last"));
    drop(ctx);
    for watch in [&mut slow, &mut quick] {
        assert_eq!(ready(watch), value(json!("last")));
        assert_eq!(ready(watch), OVER);
        assert_eq!(ready(watch), OVER);
    }
}

#[tokio::test]
async fn a_waiting_reader_is_woken_by_a_change_and_by_the_end() {
    let ctx = WorkerContext::new();
    let mut watch = ctx.watch("key");
    let reader = tokio::spawn(async move {
        let mut seen = Vec::new();
        while let Some(value) = watch.next().await {
            seen.push(value);
        }
        seen
    });
    tokio::task::yield_now().await; // it waits for the first change
    ctx.set("key", json!(1));
    tokio::task::yield_now().await;
    ctx.set("key", json!(2));
    drop(ctx);
    assert_eq!(reader.await.unwrap(), [None, Some(json!(1)), Some(json!(2))]);
}

#[test]
fn watchers_of_one_key_do_not_disturb_each_other() {
    let ctx = WorkerContext::new();
    let (first, mut second) = (ctx.watch("key"), ctx.watch("key"));
    assert_eq!(ready(&mut second), ABSENT);
    ctx.set("key", json!(1));
    drop(first);
    ctx.set("key", json!(2));
    assert_eq!(ready(&mut second), value(json!(2)));
    drop(second);
    ctx.set("key", json!(3)); // nobody watches
    assert_eq!(ready(&mut ctx.watch("key")), value(json!(3)));
}

#[test]
fn it_is_a_stream() {
    let ctx = WorkerContext::new();
    let watch = ctx.watch("key");
    ctx.set("key", json!(1));
    drop(ctx);
    let all = StreamExt::collect::<Vec<_>>(watch).now_or_never().unwrap();
    assert_eq!(all, [Some(json!(1))]);
}

/// Writers on several threads race, and watchers come in the middle: each sees values that go up,
/// and, whenever it came, the last one.
#[test]
fn no_watcher_misses_the_last_value_however_the_writers_race() {
    for round in 0..60 {
        let ctx = WorkerContext::new();
        thread::scope(|scope| {
            for _ in 0..3 {
                let ctx = &ctx;
                scope.spawn(move || {
                    for _ in 0..200 {
                        let next =
                            |its: Option<Value>| its.map_or(0, |its| its.as_u64().unwrap()) + 1;
                        ctx.update("key", |its| Some(json!(next(its))));
                    }
                });
            }
            for _ in 0..2 {
                let ctx = &ctx;
                scope.spawn(move || {
                    for _ in 0..round % 7 {
                        thread::yield_now();
                    }
                    let mut watch = ctx.watch("key");
                    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
                    runtime.block_on(async {
                        let mut last = 0;
                        while last < 600 {
                            let Some(Some(value)) = watch.next().await else { continue };
                            let value = value.as_u64().unwrap();
                            assert!(value > last, "in order, and none twice");
                            last = value;
                        }
                    });
                });
            }
        });
    }
}

/// The same for `set`, which takes a faster path while nobody watches: the first watcher comes when
/// it has already begun, and waits for the lock.
#[test]
fn a_watcher_that_comes_while_a_key_is_set_sees_that_value() {
    for round in 0..20 {
        let ctx = WorkerContext::new();
        ctx.set("key", json!("old"));
        thread::scope(|scope| {
            let writer = ctx.with_value("key", |_| {
                let writer = scope.spawn(|| ctx.set("key", json!("new")));
                for _ in 0..2_000 {
                    thread::yield_now();
                }
                writer
            });
            // Most often this is quicker than the writer, which has to be woken.
            let mut watch = ctx.watch("key");
            writer.join().unwrap();
            let mut last = None;
            while let Some(Some(value)) = ready(&mut watch) {
                last = value;
            }
            assert_eq!(last, Some(json!("new")), "round {round}");
        });
    }
}

/// A waker that uses the context at once, as one that runs its task in place would.
struct Nosy {
    ctx: Arc<WorkerContext>,
    woken: AtomicUsize,
}

impl Wake for Nosy {
    fn wake(self: Arc<Self>) {
        self.woken.fetch_add(1, Ordering::SeqCst);
        self.ctx.set("seen", self.ctx.get("key").unwrap_or_default());
        self.ctx.delete("other");
    }
}

#[test]
fn wakers_run_outside_of_the_locks() {
    let ctx = Arc::new(WorkerContext::new());
    let nosy = Arc::new(Nosy { ctx: Arc::clone(&ctx), woken: AtomicUsize::new(0) });
    let waker = Waker::from(Arc::clone(&nosy));
    let mut watch = ctx.watch("key");
    let mut changes: Vec<Box<dyn Fn()>> = Vec::new();
    changes.push(Box::new(|| ctx.set("key", json!(1))));
    changes.push(Box::new(|| ctx.update("key", |_| Some(json!(2)))));
    changes.push(Box::new(|| ctx.update("key", |_| None)));
    changes.push(Box::new(|| ctx.restore(json!({ "key": 3 })).unwrap()));
    changes.push(Box::new(|| drop(ctx.delete("key"))));
    changes.push(Box::new(|| ctx.set("key", json!(4))));
    changes.push(Box::new(|| ctx.clear()));
    for (count, change) in changes.into_iter().enumerate() {
        while ready(&mut watch).is_some() {}
        let next = watch.next();
        pin_mut!(next);
        assert_eq!(next.poll(&mut Context::from_waker(&waker)), Poll::Pending);
        change();
        assert_eq!(nosy.woken.load(Ordering::SeqCst), count + 1, "woken once, by {count}");
    }
}
