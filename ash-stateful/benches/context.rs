//! `WorkerContext` beside the bare `DashMap` it stands on: get, set, update and `with_value`, on
//! one thread and contended.
//!
//! `cargo bench -p ash-stateful` prints nanoseconds for each call and the ratio of the two. They
//! are measured in turn, pair by pair, in one process; the ratio is the median of the pairs'
//! ratios, so that what disturbs the machine for a while disturbs both.

use std::hint::black_box;
use std::mem;
use std::sync::Barrier;
use std::thread;
use std::time::{Duration, Instant};

use ash_stateful::WorkerContext;
use dashmap::DashMap;
use serde_json::{Value, json};

const KEYS: usize = 1_000;
const PAIRS: usize = 31;
/// Calls of each thread in one measurement.
const CALLS: usize = 200_000;
const BUDGET: f64 = 1.1;

type Bare = DashMap<String, Value>;

/// One kind of call, on both sides.
struct Work {
    name: &'static str,
    bare: fn(&Bare, &str),
    ours: fn(&WorkerContext, &str),
}

fn next(value: Option<&Value>) -> Value {
    Value::from(value.and_then(Value::as_u64).unwrap_or(0) + 1)
}

const WORKS: [Work; 4] = [
    Work {
        name: "get",
        bare: |map, key| drop(black_box(map.get(key).map(|value| value.clone()))),
        ours: |ctx, key| drop(black_box(ctx.get(key))),
    },
    Work {
        name: "set",
        bare: |map, key| drop(map.insert(key.to_owned(), Value::from(7))),
        ours: |ctx, key| ctx.set(key, Value::from(7)),
    },
    Work {
        name: "update",
        bare: |map, key| {
            if let Some(mut value) = map.get_mut(key) {
                let old = mem::take(&mut *value);
                *value = next(Some(&old));
            }
        },
        ours: |ctx, key| ctx.update(key, |old| Some(next(old.as_ref()))),
    },
    Work {
        name: "with_value",
        bare: |map, key| {
            black_box(map.get(key).as_deref().and_then(Value::as_u64));
        },
        ours: |ctx, key| {
            black_box(ctx.with_value(key, |value| value.and_then(Value::as_u64)));
        },
    },
];

/// Runs the calls on each of `threads` threads; returns the time of one call of one thread.
fn measure(threads: usize, keys: &[String], call: impl Fn(&str) + Sync) -> f64 {
    let run = |start: usize| {
        let begin = now();
        for at in start..start + CALLS {
            call(black_box(&keys[at % keys.len()]));
        }
        begin.elapsed()
    };
    let total: Duration = if threads == 1 {
        run(0)
    } else {
        let barrier = Barrier::new(threads);
        thread::scope(|scope| {
            let runs: Vec<_> = (0..threads)
                .map(|thread| {
                    let (run, barrier) = (&run, &barrier);
                    scope.spawn(move || {
                        barrier.wait();
                        run(thread * 37)
                    })
                })
                .collect();
            let times = runs.into_iter().map(|run| run.join().expect("no call panics"));
            times.max().unwrap_or_default()
        })
    };
    total.as_secs_f64() * 1e9 / f64::from(u32::try_from(CALLS).expect("it is small"))
}

#[expect(clippy::disallowed_methods, reason = "a benchmark measures wall time")]
fn now() -> Instant {
    Instant::now()
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

#[expect(clippy::print_stdout, reason = "a benchmark's result is what it prints")]
fn compare(case: &str, threads: usize, keys: &[String]) {
    for work in &WORKS {
        let (bare, ours) = (Bare::new(), WorkerContext::new());
        for key in keys {
            bare.insert(key.clone(), json!(0));
            ours.set(key.as_str(), json!(0));
        }
        let (mut bare_times, mut our_times, mut ratios) = (vec![], vec![], vec![]);
        for pair in 0..=PAIRS {
            let measure_bare = || measure(threads, keys, |key| (work.bare)(&bare, key));
            let measure_ours = || measure(threads, keys, |key| (work.ours)(&ours, key));
            let (bare, ours) = if pair % 2 == 0 {
                let bare = measure_bare();
                (bare, measure_ours())
            } else {
                let ours = measure_ours();
                (measure_bare(), ours)
            };
            // The first pair warms up.
            if pair > 0 {
                bare_times.push(bare);
                our_times.push(ours);
                ratios.push(ours / bare);
            }
        }
        let ratio = median(ratios);
        println!(
            "{case:<24} {name:<10} {bare:>8.1} ns {ours:>8.1} ns   {ratio:.3}{over}",
            name = work.name,
            bare = median(bare_times),
            ours = median(our_times),
            over = if ratio > BUDGET { "   over budget" } else { "" },
        );
    }
}

#[expect(clippy::print_stdout, reason = "a benchmark's result is what it prints")]
fn main() {
    let threads = thread::available_parallelism().map_or(2, usize::from).max(2);
    let keys: Vec<_> = (0..KEYS).map(|n| format!("key-{n}")).collect();
    println!("{:<24} {:<10} {:>11} {:>11}   ratio", "case", "call", "bare", "ours");
    compare("1 thread, 1000 keys", 1, &keys);
    compare(&format!("{threads} threads, 1000 keys"), threads, &keys);
    compare(&format!("{threads} threads, 1 hot key"), threads, &keys[..1]);
}
