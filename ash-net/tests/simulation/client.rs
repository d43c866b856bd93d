//! A client that gives orders, asks and listens, whatever the weather.

use std::collections::BTreeSet;
use std::time::Duration;

use ash_core::{EventKind, RestartPolicy};
use ash_net::{ConnectionState, RemoteError, RemoteEvents, RemoteSupervisorHandle};
use fastrand::Rng;
use tokio::time::{Instant, timeout};

use crate::hosts::connector;
use crate::{STORM, Truth};

/// How long a call may take.
const TIMEOUT: Duration = Duration::from_secs(2);

pub(crate) fn name(number: usize) -> String {
    format!("client-{number}")
}

/// What a client has heard.
#[derive(Default)]
struct Heard {
    started: BTreeSet<String>,
    lagged: u64,
}

pub(crate) async fn live(truth: Truth, number: usize, seed: u64) -> turmoil::Result {
    let begun = Instant::now();
    let random = Rng::with_seed(seed.wrapping_mul(31).wrapping_add(number as u64));
    // At first there may be no server, or no way to it.
    let remote = loop {
        match connector().connect().await {
            Ok(remote) => break remote.with_timeout(TIMEOUT),
            Err(_) => tokio::time::sleep(Duration::from_millis(100)).await,
        }
    };
    let mut events = remote.events();
    // From now on nothing is missed without being told so.
    let subscribed = remote.uptime().await.is_ok();
    let mut client =
        Client { truth, remote, random, next: number as u64 * 1_000_000, told: Vec::new() };
    let mut heard = Heard::default();
    {
        let working = client.work(begun);
        tokio::pin!(working);
        loop {
            // In an order that the seed decides, like all the rest.
            tokio::select! {
                biased;
                event = events.next() => hear(&mut heard, event),
                () = &mut working => break,
            }
        }
    }
    client.check_that_it_works(&mut events, &mut heard).await;
    let Client { truth, told, .. } = client;
    if subscribed && heard.lagged == 0 {
        for id in told {
            if !heard.started.contains(&id) {
                truth.wrong(format!("{}: `{id}` was started, and no event says so", name(number)));
            }
        }
    }
    let mut facts = truth.facts();
    facts.lagged += heard.lagged;
    facts.events += heard.started.len() as u64;
    Ok(())
}

fn hear(heard: &mut Heard, event: Option<Result<ash_core::Event, ash_core::Lagged>>) {
    match event {
        Some(Ok(event)) => {
            if let (EventKind::Started, Some(child)) = (event.kind, event.child) {
                heard.started.insert(child.to_string());
            }
        }
        Some(Err(_)) | None => heard.lagged += 1,
    }
}

struct Client {
    truth: Truth,
    remote: RemoteSupervisorHandle,
    random: Rng,
    /// The number of the next order.
    next: u64,
    /// The children of which the server has said that they were started.
    told: Vec<String>,
}

impl Client {
    /// Gives orders and asks until the storm is over.
    async fn work(&mut self, begun: Instant) {
        while begun.elapsed() < STORM {
            let pause = self.random.u64(1..150);
            tokio::time::sleep(Duration::from_millis(pause)).await;
            let count = self.random.usize(1..4);
            let mut orders = Vec::new();
            for _ in 0..count {
                orders.push(self.order());
            }
            let questions = self.ask();
            let (told, ()) = tokio::join!(futures_util::future::join_all(orders), questions);
            self.told.extend(told.into_iter().flatten());
        }
    }

    /// Gives one order. Returns the id of the child that it has started.
    fn order(&mut self) -> impl Future<Output = Option<String>> + use<> {
        let number = self.next;
        self.next += 1;
        let id = format!("order-{number}");
        let (truth, remote) = (self.truth.clone(), self.remote.clone());
        let drops = self.random.u32(0..20) == 0;
        let patience = Duration::from_millis(self.random.u64(0..200));
        async move {
            truth.facts().calls += 1;
            let call = remote.start_child(&*id, "order", &number, RestartPolicy::Temporary);
            let limit = if drops { patience } else { TIMEOUT * 2 };
            let begun = Instant::now();
            let answer = timeout(limit, call).await;
            let took = begun.elapsed();
            let mut facts = truth.facts();
            facts.answers += 1;
            match answer {
                Ok(Ok(_)) => {
                    facts.done.insert(number);
                    return Some(id);
                }
                Ok(Err(RemoteError::Disconnected { maybe_executed: false })) => {
                    facts.not_done.insert(number);
                }
                Ok(Err(
                    RemoteError::Disconnected { maybe_executed: true } | RemoteError::TimedOut,
                )) => {
                    facts.unsure.insert(number);
                }
                Ok(Err(error)) => facts.wrong.push(format!("order {number}: {error}")),
                Err(_) if drops => {
                    facts.unsure.insert(number);
                }
                Err(_) => facts.wrong.push(format!("order {number} has no end after {took:?}")),
            }
            if took > TIMEOUT + Duration::from_millis(500) {
                facts.wrong.push(format!("order {number} took {took:?}"));
            }
            None
        }
    }

    /// Asks something. Questions are asked again after a lost connection.
    fn ask(&mut self) -> impl Future<Output = ()> + use<> {
        let which = self.random.u32(0..5);
        let (truth, remote) = (self.truth.clone(), self.remote.clone());
        async move {
            truth.facts().calls += 1;
            let asking = async {
                match which {
                    0 => remote.which_children().await.map(drop),
                    1 => remote.tree().await.map(drop),
                    2 => remote.status().await.map(drop),
                    3 => remote.supervisor("web").await.map(drop),
                    _ => remote.count_children().await.map(drop),
                }
            };
            let answer = timeout(TIMEOUT * 2, asking).await;
            let mut facts = truth.facts();
            facts.answers += 1;
            match answer {
                Ok(Ok(()) | Err(RemoteError::Disconnected { .. } | RemoteError::TimedOut)) => {}
                Ok(Err(error)) => facts.wrong.push(format!("question {which}: {error}")),
                Err(_) => facts.wrong.push(format!("question {which} has no end")),
            }
        }
    }

    /// The network is whole again: so must this client be, without a new handle.
    async fn check_that_it_works(&mut self, events: &mut RemoteEvents, heard: &mut Heard) {
        tokio::time::sleep(Duration::from_secs(10)).await;
        if self.remote.state() != ConnectionState::Connected {
            self.truth.wrong("a client has not come back".into());
        }
        let id = loop {
            let order = self.order();
            let (id, number) = (order.await, self.next - 1);
            match id {
                Some(id) => break id,
                // It may be one that drops its call: then another shows what is still to come.
                None if self.truth.facts().unsure.contains(&number) => {}
                None => {
                    return self.truth.wrong(format!("order {number} fails though all is well"));
                }
            }
        };
        let hearing = async {
            while !heard.started.contains(&id) {
                hear(heard, events.next().await);
            }
        };
        if timeout(Duration::from_secs(5), hearing).await.is_err() {
            self.truth.wrong(format!("the event of {id} does not come though all is well"));
        }
    }
}
