//! The context: each call by itself, many threads at once, panics, calls from inside closures.

use std::collections::{BTreeMap, HashMap};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc;
use std::sync::{Arc, Barrier};
use std::thread;
use std::time::Duration;

use ash_core::panic_message;
use ash_stateful::{RestoreError, ValueError, WorkerContext};
use proptest::prelude::*;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

fn add(ctx: &WorkerContext, key: &str, n: u64) {
    ctx.update(key, |sum| Some(json!(sum.map_or(0, |sum| sum.as_u64().unwrap()) + n)));
}

fn number(ctx: &WorkerContext, key: &str) -> u64 {
    ctx.with_value(key, |value| value.and_then(Value::as_u64).unwrap_or(0))
}

/// The message of the panic that `f` ends with.
fn panic_of(f: impl FnOnce()) -> String {
    panic_message(&*catch_unwind(AssertUnwindSafe(f)).expect_err("it panics"))
}

/// Runs a body that must not hang, and fails if it does.
fn in_time(body: impl FnOnce() + Send + 'static) {
    let (done, is_done) = mpsc::channel();
    let body = thread::spawn(move || {
        body();
        done.send(()).unwrap();
    });
    match is_done.recv_timeout(Duration::from_secs(60)) {
        Err(mpsc::RecvTimeoutError::Timeout) => panic!("it hangs"),
        Ok(()) | Err(mpsc::RecvTimeoutError::Disconnected) => body.join().unwrap(),
    }
}

#[test]
fn a_context_is_shared_by_threads() {
    fn shared<T: Send + Sync + Unpin + 'static>() {}
    shared::<WorkerContext>();
}

#[test]
fn a_key_is_set_read_and_deleted() {
    let ctx = WorkerContext::new();
    assert_eq!(ctx.get("key"), None);
    ctx.set("key", json!(1));
    ctx.set(String::from("key"), json!({ "a": [2] }));
    assert_eq!(ctx.get("key"), Some(json!({ "a": [2] })));
    assert!(ctx.contains_key("key") && !ctx.contains_key("other"));
    assert_eq!((ctx.len(), ctx.is_empty()), (1, false));
    assert_eq!(ctx.delete("key"), Some(json!({ "a": [2] })));
    assert_eq!(ctx.delete("key"), None);
    assert_eq!((ctx.len(), ctx.is_empty()), (0, true));
}

#[test]
fn a_null_that_was_set_is_a_value() {
    let ctx = WorkerContext::new();
    ctx.set("key", Value::Null);
    assert_eq!(ctx.get("key"), Some(Value::Null));
    ctx.update("key", |value| value);
    assert_eq!(ctx.get("key"), Some(Value::Null));
    assert_eq!(ctx.snapshot(), json!({ "key": null }));
    assert_eq!(ctx.get_as::<Option<u32>>("key").unwrap(), Some(None));
}

#[test]
fn an_update_moves_the_value_and_copies_nothing() {
    let ctx = WorkerContext::new();
    ctx.set("key", json!("a text on the heap"));
    let address = |value: &Value| value.as_str().unwrap().as_ptr();
    let before = ctx.with_value("key", |value| address(value.unwrap()));
    let mut inside = None;
    ctx.update("key", |value| {
        inside = value.as_ref().map(address);
        value
    });
    assert_eq!(inside, Some(before));
    assert_eq!(ctx.with_value("key", |value| address(value.unwrap())), before);
}

#[test]
fn an_update_that_gives_none_removes_the_key() {
    let ctx = WorkerContext::new();
    ctx.set("key", json!(1));
    ctx.update("key", |value| {
        assert_eq!(value, Some(json!(1)));
        None
    });
    ctx.update("never", |value| {
        assert_eq!(value, None);
        None
    });
    assert_eq!(ctx.keys(), Vec::<String>::new());
    assert_eq!((ctx.len(), ctx.is_empty()), (0, true));
}

#[test]
fn a_panic_in_an_update_removes_the_key_and_goes_on_to_the_caller() {
    let ctx = WorkerContext::new();
    ctx.set("other", json!(1));
    ctx.set("key", json!(1));
    for key in ["key", "never"] {
        assert_eq!(panic_of(|| ctx.update(key, |_| panic!("on purpose"))), "on purpose");
        assert_eq!(ctx.get(key), None);
        assert!(!ctx.contains_key(key));
    }
    assert_eq!(ctx.snapshot(), json!({ "other": 1 }));
    assert_eq!(ctx.len(), 1, "nothing invisible is left");
    add(&ctx, "key", 5);
    assert_eq!(ctx.get("key"), Some(json!(5)), "the key and its lock are usable");
}

#[test]
fn a_panic_in_with_value_changes_nothing() {
    let ctx = WorkerContext::new();
    ctx.set("key", json!(1));
    for key in ["key", "never"] {
        assert_eq!(panic_of(|| ctx.with_value(key, |_| panic!("on purpose"))), "on purpose");
    }
    assert_eq!(ctx.snapshot(), json!({ "key": 1 }));
    ctx.set("key", json!(2)); // the lock was released, and this thread is outside again
    assert_eq!(ctx.get("key"), Some(json!(2)));
}

#[test]
fn typed_values_are_converted_and_what_does_not_fit_is_told() {
    #[derive(Debug, PartialEq, Serialize, Deserialize)]
    struct Bid {
        by: String,
        amount: u64,
    }
    let ctx = WorkerContext::new();
    assert_eq!(ctx.get_as::<Bid>("bid").unwrap(), None);
    ctx.set_as("bid", &Bid { by: "ann".into(), amount: 12 }).unwrap();
    assert_eq!(ctx.get("bid"), Some(json!({ "by": "ann", "amount": 12 })));
    assert_eq!(ctx.get_as("bid").unwrap(), Some(Bid { by: "ann".into(), amount: 12 }));

    let error = ctx.get_as::<u64>("bid").unwrap_err();
    assert!(matches!(&error, ValueError::Decode { key, .. } if key == "bid"));
    assert!(std::error::Error::source(&error).unwrap().to_string().contains("map"));
    let no_json = BTreeMap::from([(vec![1], 1)]);
    let error = ctx.set_as("bid", &no_json).unwrap_err();
    assert!(matches!(&error, ValueError::Encode { key, .. } if key == "bid"));
    assert!(ctx.contains_key("bid"), "it is as it was");
}

#[test]
fn a_snapshot_is_restored_and_replaces_all() {
    let ctx = WorkerContext::new();
    ctx.set("a", json!(1));
    ctx.set("b", json!([{}]));
    let snapshot = ctx.snapshot();
    assert_eq!(snapshot, json!({ "a": 1, "b": [{}] }));
    ctx.clear();
    assert!(ctx.is_empty());
    ctx.set("b", json!(2));
    ctx.set("c", json!(3));
    ctx.restore(snapshot.clone()).unwrap();
    assert_eq!(ctx.snapshot(), snapshot);
    ctx.restore(json!({})).unwrap();
    assert!(ctx.is_empty());
}

#[test]
fn only_an_object_is_restored_and_else_nothing_is_touched() {
    let ctx = WorkerContext::new();
    ctx.set("key", json!(1));
    let cases = [
        (json!(null), "null"),
        (json!(true), "a boolean"),
        (json!(1), "a number"),
        (json!("{}"), "a string"),
        (json!([{}]), "an array"),
    ];
    for (value, kind) in cases {
        let error = ctx.restore(value).unwrap_err();
        assert_eq!(error, RestoreError::NotAnObject { found: kind });
        assert!(error.to_string().contains(kind));
        assert_eq!(ctx.snapshot(), json!({ "key": 1 }));
    }
}

#[test]
fn debug_shows_no_values() {
    let ctx = WorkerContext::new();
    ctx.set("password", json!("secret"));
    ctx.update("password", |value| {
        assert!(!format!("{ctx:?}").contains("secret"), "and it works inside a closure");
        value
    });
}

#[test]
fn updates_from_many_threads_lose_nothing() {
    const THREADS: u64 = 8;
    const ROUNDS: u64 = 3_000;
    let ctx = WorkerContext::new();
    let keys: Vec<_> = (0..61).map(|n| format!("key-{n}")).collect();
    let (start, is_over) = (Barrier::new(9), AtomicBool::new(false));
    thread::scope(|scope| {
        let writers: Vec<_> = (0..THREADS)
            .map(|thread| {
                let (ctx, keys, start) = (&ctx, &keys, &start);
                scope.spawn(move || {
                    start.wait();
                    for n in 0..ROUNDS {
                        add(ctx, "hot", 1);
                        add(ctx, &keys[usize::try_from(n * 7 + thread).unwrap() % keys.len()], n);
                    }
                })
            })
            .collect();
        let (ctx, start, is_over) = (&ctx, &start, &is_over);
        scope.spawn(move || {
            start.wait();
            let mut last = 0;
            while !is_over.load(Ordering::Relaxed) {
                // Once set it is never absent, null, or less than it was.
                let now = ctx.get("hot").map_or(last, |value| value.as_u64().unwrap());
                assert!(now >= last);
                assert!(last == 0 || ctx.contains_key("hot"));
                last = now;
            }
        });
        for writer in writers {
            writer.join().unwrap();
        }
        is_over.store(true, Ordering::Relaxed);
    });
    assert_eq!(number(&ctx, "hot"), THREADS * ROUNDS);
    let sum: u64 = keys.iter().map(|key| number(&ctx, key)).sum();
    assert_eq!(sum, THREADS * (0..ROUNDS).sum::<u64>());
}

/// Keys that are removed while others update them: by `None`, by `delete`, by panics. Each unit
/// that was put in is taken out once, or is still there.
#[test]
fn keys_that_come_and_go_are_never_counted_twice_or_lost() {
    let ctx = WorkerContext::new();
    let totals: Vec<_> = thread::scope(|scope| {
        let threads: Vec<_> = (0..6)
            .map(|thread| {
                let ctx = &ctx;
                scope.spawn(move || {
                    let (mut put, mut taken) = (0, 0);
                    for n in 0..2_000 {
                        let key = ["a", "b"][n % 2];
                        match (n + thread) % 5 {
                            0 => taken += ctx.delete(key).map_or(0, |its| its.as_u64().unwrap()),
                            1 => ctx.update(key, |its| {
                                taken += its.map_or(0, |its| its.as_u64().unwrap());
                                None
                            }),
                            2 if n % 100 == 2 => drop(panic_of(|| {
                                ctx.update(key, |its| {
                                    taken += its.map_or(0, |its| its.as_u64().unwrap());
                                    panic!("on purpose")
                                });
                            })),
                            _ => {
                                add(ctx, key, 1);
                                put += 1;
                            }
                        }
                    }
                    (put, taken)
                })
            })
            .collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).collect()
    });
    let put: u64 = totals.iter().map(|its| its.0).sum();
    let taken: u64 = totals.iter().map(|its| its.1).sum();
    assert_eq!(put, taken + number(&ctx, "a") + number(&ctx, "b"));
    assert_eq!(ctx.len(), ctx.keys().len(), "nothing invisible is left");
}

/// All calls, each with a name, on a key that exists or not.
type Call = (&'static str, fn(&WorkerContext, &str));

const READS: [Call; 8] = [
    ("get", |ctx, key| drop(ctx.get(key))),
    ("with_value", |ctx, key| ctx.with_value(key, |_| ())),
    ("contains_key", |ctx, key| assert!(ctx.contains_key(key) || key == "never")),
    ("len", |ctx, _| assert_eq!(ctx.len(), 100)),
    ("is_empty", |ctx, _| assert!(!ctx.is_empty())),
    ("keys", |ctx, _| assert_eq!(ctx.keys().len(), 100)),
    ("get_as", |ctx, key| drop(ctx.get_as::<u64>(key))),
    ("snapshot", |ctx, _| drop(ctx.snapshot())),
];

const WRITES: [Call; 7] = [
    ("set", |ctx, key| ctx.set(key, json!(1))),
    ("delete", |ctx, key| drop(ctx.delete(key))),
    ("update", |ctx, key| ctx.update(key, |its| its)),
    ("clear", |ctx, _| ctx.clear()),
    ("set_as", |ctx, key| ctx.set_as(key, &1).unwrap()),
    ("restore", |ctx, _| ctx.restore(json!({})).unwrap()),
    ("watch", |ctx, key| drop(ctx.watch(key))),
];

fn hundred() -> WorkerContext {
    let ctx = WorkerContext::new();
    for n in 0..100 {
        ctx.set(format!("{n}"), json!(n));
    }
    ctx
}

/// The same key, an absent one, and others, in the same shard or in another.
const KEYS: [&str; 5] = ["7", "never", "8", "33", "99"];

#[test]
fn a_call_inside_of_an_update_panics_and_never_hangs() {
    in_time(|| {
        for (name, call) in READS.into_iter().chain(WRITES) {
            for key in KEYS {
                for outer in ["7", "never"] {
                    let ctx = hundred();
                    let message = panic_of(|| {
                        ctx.update(outer, |_| {
                            call(&ctx, key);
                            Some(json!("never reached"))
                        });
                    });
                    assert!(message.contains(&format!("`WorkerContext::{name}`")), "{message}");
                    assert!(message.contains("an `update`"), "{message}");
                    assert_eq!(ctx.len(), if outer == "7" { 99 } else { 100 }, "{name} {key}");
                    call(&hundred(), "8"); // this thread is outside again
                }
            }
        }
    });
}

#[test]
fn a_write_inside_of_with_value_panics_and_never_hangs() {
    in_time(|| {
        for (name, call) in WRITES {
            for key in KEYS {
                let ctx = hundred();
                let before = ctx.snapshot();
                for outer in ["7", "never"] {
                    let message = panic_of(|| ctx.with_value(outer, |_| call(&ctx, key)));
                    assert!(message.contains(&format!("`WorkerContext::{name}`")), "{message}");
                    assert!(message.contains("a `with_value`"), "{message}");
                }
                assert_eq!(ctx.snapshot(), before);
            }
        }
    });
}

#[test]
fn a_read_inside_of_with_value_works() {
    in_time(|| {
        let ctx = hundred();
        for (_, call) in READS {
            for key in KEYS {
                ctx.with_value("7", |its| {
                    call(&ctx, key);
                    ctx.with_value("8", |_| call(&ctx, key)); // two deep
                    assert_eq!(its, Some(&json!(7)));
                });
            }
        }
    });
}

/// Nested reads rely on the map's locks letting readers in while writers wait. If that ever
/// changed, this would hang, and fail.
#[test]
fn a_read_inside_of_with_value_does_not_wait_for_a_writer_that_waits() {
    in_time(|| {
        let ctx = Arc::new(hundred());
        for _ in 0..20 {
            let (locked, is_locked) = mpsc::channel();
            let writer = {
                let ctx = Arc::clone(&ctx);
                thread::spawn(move || {
                    is_locked.recv().unwrap();
                    ctx.set("7", json!(7));
                })
            };
            ctx.with_value("7", |_| {
                locked.send(()).unwrap();
                // Long enough for the writer to stop spinning and go to sleep on the lock.
                for _ in 0..2_000 {
                    thread::yield_now();
                }
                assert!(!writer.is_finished(), "it waits");
                assert_eq!(ctx.get("7"), Some(json!(7)));
            });
            writer.join().unwrap();
        }
    });
}

#[test]
fn another_context_may_be_touched_inside_and_the_outer_one_is_still_watched() {
    in_time(|| {
        let (outer, inner) = (hundred(), hundred());
        outer.update("1", |value| {
            add(&inner, "1", 1);
            inner.with_value("1", |its| assert_eq!(its, Some(&json!(2))));
            let message = panic_of(|| inner.update("2", |_| outer.get("2")));
            assert!(message.contains("an `update`"), "the frame of the outer one: {message}");
            let message = panic_of(|| inner.with_value("1", |_| drop(outer.get("5"))));
            assert!(message.contains("an `update`"), "{message}");
            inner.set("after", json!("it is outside of `inner` again"));
            value
        });
        outer.with_value("1", |_| {
            inner.with_value("1", |_| {
                assert_eq!(outer.get("3"), Some(json!(3)), "reads in reads, through another one");
            });
            let message = panic_of(|| {
                inner.update("3", |its| {
                    outer.set("3", json!(0));
                    its
                });
            });
            assert!(message.contains("a `with_value`"), "{message}");
        });
        assert_eq!(outer.get("1"), Some(json!(1)));
        outer.set("1", json!("outside"));
        assert_eq!(inner.get("2"), None, "the panic was in its update");
    });
}

#[test]
fn threads_inside_of_closures_do_not_disturb_others() {
    let ctx = hundred();
    ctx.with_value("1", |_| {
        thread::scope(|scope| {
            // Not the key whose lock is held: that one would wait, as it should.
            scope.spawn(|| assert_eq!(ctx.get("1"), Some(json!(1))));
        });
    });
}

#[test]
fn a_user_type_that_reads_the_context_while_it_is_decoded_is_told() {
    thread_local! {
        static CTX: Arc<WorkerContext> = Arc::new(hundred());
    }
    #[derive(Debug)]
    struct Curious;
    impl<'de> Deserialize<'de> for Curious {
        fn deserialize<D: serde::Deserializer<'de>>(_: D) -> Result<Self, D::Error> {
            CTX.with(|ctx| ctx.set("other", json!(1)));
            Ok(Self)
        }
    }
    let message = panic_of(|| drop(CTX.with(|ctx| ctx.get_as::<Curious>("1"))));
    assert!(message.contains("`WorkerContext::set`"), "{message}");
}

#[derive(Clone, Debug)]
enum Op {
    Set(u8, i32),
    Delete(u8),
    Add(u8, i32),
    Remove(u8),
    Panic(u8),
    Clear,
    Restore(Vec<(u8, i32)>),
}

fn op() -> impl Strategy<Value = Op> {
    let key = 0..6u8;
    prop_oneof![
        4 => (key.clone(), any::<i32>()).prop_map(|(key, n)| Op::Set(key, n)),
        2 => key.clone().prop_map(Op::Delete),
        4 => (key.clone(), 0..9i32).prop_map(|(key, n)| Op::Add(key, n)),
        1 => key.clone().prop_map(Op::Remove),
        1 => key.clone().prop_map(Op::Panic),
        1 => Just(Op::Clear),
        1 => prop::collection::vec((key, any::<i32>()), 0..4).prop_map(Op::Restore),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    #[test]
    fn it_behaves_like_a_map(ops in prop::collection::vec(op(), 0..40)) {
        let ctx = WorkerContext::new();
        let mut model = HashMap::<String, i64>::new();
        for op in ops {
            match op {
                Op::Set(key, n) => {
                    ctx.set(key.to_string(), json!(n));
                    model.insert(key.to_string(), n.into());
                }
                Op::Delete(key) => prop_assert_eq!(
                    ctx.delete(&key.to_string()),
                    model.remove(&key.to_string()).map(Value::from)
                ),
                Op::Add(key, n) => {
                    let key = key.to_string();
                    let add = |its: Option<i64>| its.unwrap_or(0) + i64::from(n);
                    ctx.update(&key, |its| Some(json!(add(its.map(|its| its.as_i64().unwrap())))));
                    let sum = add(model.get(&key).copied());
                    model.insert(key, sum);
                }
                Op::Remove(key) => {
                    ctx.update(&key.to_string(), |_| None);
                    model.remove(&key.to_string());
                }
                Op::Panic(key) => {
                    let update = || ctx.update(&key.to_string(), |_| std::panic::resume_unwind(Box::new(())));
                    prop_assert!(catch_unwind(AssertUnwindSafe(update)).is_err());
                    model.remove(&key.to_string());
                }
                Op::Clear => {
                    ctx.clear();
                    model.clear();
                }
                Op::Restore(entries) => {
                    model = entries.into_iter().map(|(key, n)| (key.to_string(), n.into())).collect();
                    ctx.restore(json!(model)).unwrap();
                }
            }
            prop_assert_eq!(ctx.snapshot(), json!(model));
            prop_assert_eq!(ctx.len(), model.len());
            let mut keys = ctx.keys();
            keys.sort();
            let mut expected: Vec<_> = model.keys().cloned().collect();
            expected.sort();
            prop_assert_eq!(keys, expected);
        }
    }
}
