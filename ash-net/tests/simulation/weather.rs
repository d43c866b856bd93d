//! What the network does, and when processes die.

use std::time::Duration;

use fastrand::Rng;
use turmoil::Sim;

use crate::{CLIENTS, STORM, client};

/// One mishap.
enum Mishap {
    /// Nothing gets through, in both directions or in one, and what was on the way is lost.
    Cut,
    CutFrom,
    CutTo,
    /// Everything is late.
    Hold,
    /// A part of what is sent is lost.
    Loss(f64),
    /// The server's process dies.
    Crash,
}

/// A mishap that is to be undone at some time.
struct Repair {
    at: Duration,
    peer: String,
    mishap: Mishap,
}

/// Has all kinds of things go wrong until the storm is over, and the simulation run to its end.
pub(crate) fn rage(sim: &mut Sim<'_>, random: &mut Rng) -> turmoil::Result {
    let mut repairs: Vec<Repair> = Vec::new();
    let mut next = Duration::from_millis(random.u64(200..3_000));
    loop {
        let now = sim.elapsed();
        let is_over = now >= STORM;
        for repair in repairs.extract_if(.., |repair| repair.at <= now || is_over) {
            mend(sim, &repair);
        }
        if now >= next && !is_over {
            next = now + Duration::from_millis(random.u64(100..4_000));
            repairs.push(strike(sim, random, &repairs));
        }
        if sim.step()? {
            return Ok(());
        }
    }
}

fn strike(sim: &mut Sim<'_>, random: &mut Rng, under_way: &[Repair]) -> Repair {
    let mut peers: Vec<String> = (0..CLIENTS).map(client::name).collect();
    peers.push("linker".into());
    let peer = peers.swap_remove(random.usize(0..peers.len()));
    let is_down = under_way.iter().any(|repair| matches!(repair.mishap, Mishap::Crash));
    let mishap = match random.u32(0..6) {
        0 => Mishap::Cut,
        1 => Mishap::CutFrom,
        2 => Mishap::CutTo,
        3 => Mishap::Hold,
        4 if !is_down => Mishap::Crash,
        _ => Mishap::Loss(random.f64() / 2.0),
    };
    match mishap {
        Mishap::Cut => sim.partition("server", &*peer),
        Mishap::CutFrom => sim.partition_oneway("server", &*peer),
        Mishap::CutTo => sim.partition_oneway(&*peer, "server"),
        Mishap::Hold => sim.hold("server", &*peer),
        Mishap::Loss(rate) => sim.set_link_fail_rate("server", &*peer, rate),
        Mishap::Crash => sim.crash("server"),
    }
    let at = sim.elapsed() + Duration::from_millis(random.u64(50..6_000));
    Repair { at, peer, mishap }
}

fn mend(sim: &mut Sim<'_>, repair: &Repair) {
    let peer = &*repair.peer;
    match repair.mishap {
        Mishap::Cut | Mishap::CutFrom | Mishap::CutTo => sim.repair("server", peer),
        Mishap::Hold => {
            sim.release("server", peer);
            sim.repair("server", peer);
        }
        Mishap::Loss(_) => {
            sim.set_link_fail_rate("server", peer, 0.0);
            sim.repair("server", peer);
        }
        Mishap::Crash => sim.bounce("server"),
    }
}
