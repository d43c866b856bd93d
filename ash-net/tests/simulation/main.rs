//! Servers, clients and links in a simulated network that delays, loses and cuts what they say,
//! with processes that crash and come back: by seed, in simulated time.
//!
//! ```sh
//! make sim                              # thousands of seeds
//! make sim SIM_FROM=4711 SIM_SEEDS=1    # one again
//! ```
//!
//! What must hold:
//!
//! 1. Every call ends, with an answer or a typed error, in its time.
//! 2. A call that was refused for sure (`maybe_executed: false`) was never executed; one that was
//!    answered was; none was executed twice.
//! 3. When the network is whole again, the very handles that were there before work again.
//! 4. A child that was started stands in the events of whoever listened all the time, or the
//!    events say that some are missing.
//! 5. A link comes back.
//! 6. When all clients have gone, the server holds no connection.
#![expect(clippy::unwrap_used, reason = "the helpers of tests fail as tests do")]

mod client;
mod hosts;
mod weather;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use fastrand::Rng;

/// Until when the network is bad.
const STORM: Duration = Duration::from_secs(20);

/// How many clients there are.
const CLIENTS: usize = 3;

/// What really happened, recorded outside of all hosts.
#[derive(Clone, Debug, Default)]
struct Truth(Arc<Mutex<Facts>>);

#[derive(Debug, Default)]
struct Facts {
    /// How often each order was executed, by its number.
    executed: BTreeMap<u64, u32>,
    /// What the clients were told of their orders.
    done: BTreeSet<u64>,
    not_done: BTreeSet<u64>,
    unsure: BTreeSet<u64>,
    calls: u64,
    answers: u64,
    lagged: u64,
    events: u64,
    server: Option<ash_net::SupervisorServer>,
    link_incarnation: u64,
    boots: u32,
    /// What does not hold.
    wrong: Vec<String>,
}

impl Truth {
    fn facts(&self) -> MutexGuard<'_, Facts> {
        self.0.lock().unwrap()
    }

    fn wrong(&self, what: String) {
        self.facts().wrong.push(what);
    }

    /// Checks all that the clients were told against what happened.
    fn judge(&self) -> Vec<String> {
        let facts = self.facts();
        let mut wrong = facts.wrong.clone();
        for (order, count) in &facts.executed {
            if *count > 1 {
                wrong.push(format!("order {order} was executed {count} times"));
            }
            if facts.not_done.contains(order) {
                wrong.push(format!("order {order} was executed, and its caller was told not"));
            }
        }
        for order in &facts.done {
            if !facts.executed.contains_key(order) {
                wrong.push(format!("order {order} was not executed, and its caller was told so"));
            }
        }
        if facts.calls != facts.answers {
            wrong.push(format!("{} calls, {} answers", facts.calls, facts.answers));
        }
        wrong
    }
}

/// The counts of one seed, to compare and to add up.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Tally {
    calls: u64,
    done: usize,
    not_done: usize,
    unsure: usize,
    lagged: u64,
    events: u64,
    boots: u32,
    links: u64,
}

/// Runs one seed.
fn simulate(seed: u64) -> Result<Tally, Vec<String>> {
    fastrand::seed(seed);
    let mut random = Rng::with_seed(seed);
    let truth = Truth::default();
    let mut sim = turmoil::Builder::new()
        .simulation_duration(STORM * 10)
        .tick_duration(Duration::from_millis(10))
        .min_message_latency(Duration::from_millis(1))
        .max_message_latency(Duration::from_millis(random.u64(2..80)))
        .tcp_capacity(1_024)
        .rng_seed(seed)
        .enable_random_order()
        .build();
    let here = truth.clone();
    sim.host("server", move || hosts::server(here.clone()));
    let here = truth.clone();
    sim.client("linker", hosts::linker(here));
    for number in 0..CLIENTS {
        sim.client(client::name(number), client::live(truth.clone(), number, seed));
    }
    if let Err(error) = weather::rage(&mut sim, &mut random) {
        truth.wrong(format!("the simulation ends with: {error}"));
    }
    // All have gone; the server notices.
    for _ in 0..1_000 {
        let _ = sim.step();
    }
    let server = truth.facts().server.clone();
    let left = server.as_ref().map_or(usize::MAX, ash_net::simulation::connections);
    if left != 0 {
        truth.wrong(format!("{left} connections are left"));
    }
    drop(sim);
    let wrong = truth.judge();
    if !wrong.is_empty() {
        return Err(wrong);
    }
    let facts = truth.facts();
    Ok(Tally {
        calls: facts.calls,
        done: facts.done.len(),
        not_done: facts.not_done.len(),
        unsure: facts.unsure.len(),
        lagged: facts.lagged,
        events: facts.events,
        boots: facts.boots,
        links: facts.link_incarnation,
    })
}

fn number(name: &str, default: u64) -> u64 {
    std::env::var(name).map_or(default, |value| value.parse().unwrap())
}

#[test]
fn what_holds_in_calm_weather_holds_in_a_storm() {
    let (from, seeds) = (number("SIM_FROM", 0), number("SIM_SEEDS", 200));
    let threads = std::thread::available_parallelism().map_or(1, usize::from) as u64;
    let total = Mutex::new(Tally::default());
    std::thread::scope(|scope| {
        for thread in 0..threads {
            let total = &total;
            scope.spawn(move || {
                for seed in (from + thread..from + seeds).step_by(usize::try_from(threads).unwrap())
                {
                    match simulate(seed) {
                        Ok(tally) => total.lock().unwrap().add(tally),
                        Err(wrong) => panic!("seed {seed}:\n{}", wrong.join("\n")),
                    }
                }
            });
        }
    });
    let total = total.into_inner().unwrap();
    println!("{seeds} seeds from {from}: {total:?}");
    // A storm in which nothing happens proves nothing.
    let each = |count: u64| count >= seeds;
    assert!(each(total.calls / 100) && each(total.done as u64) && each(total.events), "{total:?}");
    assert!(each(u64::from(total.boots)) && each(total.links), "{total:?}");
    if seeds >= 20 {
        assert!(total.not_done > 0 && total.unsure > 0 && total.lagged > 0, "{total:?}");
        assert!(u64::from(total.boots) > seeds && total.links > seeds, "{total:?}");
    }
}

impl Tally {
    fn add(&mut self, other: Self) {
        self.calls += other.calls;
        self.done += other.done;
        self.not_done += other.not_done;
        self.unsure += other.unsure;
        self.lagged += other.lagged;
        self.events += other.events;
        self.boots += other.boots;
        self.links += other.links;
    }
}
