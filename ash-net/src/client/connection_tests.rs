//! One connection of a client, with a server that the tests play.

use super::*;
use crate::access::Access;
use crate::client::parts::child;
use crate::client::shared::ConnectionStatus;
use crate::protocol::{FrameDecoder, GoAway, ServerFrame, Welcomed, decode};
use crate::transport::Stream;
use ash_core::{ChildInfo, Lagged, SupervisorError};
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream};
use tokio::sync::watch;

pub(super) fn connect() -> (Arc<Connection>, DuplexStream) {
    connect_within(&Limits::default())
}

fn connect_within(limits: &Limits) -> (Arc<Connection>, DuplexStream) {
    connect_with(limits, &[])
}

/// Connects to a server that has sent these bytes with the last of its handshake.
pub(super) fn connect_after(early: &[u8]) -> (Arc<Connection>, DuplexStream) {
    connect_with(&Limits::default(), early)
}

fn connect_with(limits: &Limits, early: &[u8]) -> (Arc<Connection>, DuplexStream) {
    let (ours, theirs) = tokio::io::duplex(64 * 1024);
    let (reader, writer) = tokio::io::split(ours);
    let stream = Stream { reader: Box::new(reader), writer: Box::new(writer), binding: Vec::new() };
    let frame = 1_024;
    let welcomed = Welcomed { access: Access::Admin, path: "app".into(), frame };
    let mut decoder = FrameDecoder::new(frame);
    decoder.space().extend_from_slice(early);
    let established = Established { stream, decoder, welcomed };
    let (connection, mut reading) = Connection::new(established, limits);
    let shared = Arc::clone(&connection);
    tokio::spawn(
        async move { reading.run(&shared, &watch::Sender::new(ConnectionStatus::Down)).await },
    );
    (connection, theirs)
}

pub(super) fn subscription() -> Arc<Subscription> {
    Arc::new(Subscription::new("".into(), usize::MAX))
}

pub(super) async fn frames(peer: &mut DuplexStream) -> Vec<ClientFrame> {
    let mut decoder = FrameDecoder::new(1_024);
    peer.read_buf(decoder.space()).await.unwrap();
    std::iter::from_fn(|| decoder.next().unwrap().map(|body| decode(body).unwrap())).collect()
}

/// Takes one request, and nothing else. Returns its id.
pub(super) async fn requested(peer: &mut DuplexStream) -> u64 {
    let said = frames(peer).await;
    let [ClientFrame::Request { id, .. }] = said[..] else {
        panic!("{said:?}");
    };
    id
}

/// What a server says.
pub(super) fn said(frame: &ServerFrame) -> Vec<u8> {
    let mut bytes = Vec::new();
    encode(frame, &mut bytes, 1_024).unwrap();
    bytes
}

#[tokio::test(start_paused = true)]
async fn each_call_times_out_when_it_should_whoever_sees_to_it() {
    let (connection, mut server) = connect();
    tokio::task::yield_now().await;
    let start = Instant::now();
    // The reading side sleeps for 15 s: it times out the last two, but not the first.
    let calls = [(1, false), (20, true), (40, true)].map(|(seconds, is_watched)| {
        let deadline = start + Duration::from_secs(seconds);
        let shared = Arc::clone(&connection);
        let call = async move { shared.call("", &Call::CountChildren, Some(deadline)).await };
        (tokio::spawn(call), deadline, is_watched)
    });
    tokio::task::yield_now().await;
    {
        let waiting = connection.waiting();
        let deadlines = waiting.calls.iter().map(|(_, waiter)| match waiter {
            Waiter::Call(caller) => caller.deadline,
            Waiter::Events(_) => None,
        });
        let expected: Vec<_> =
            calls.iter().map(|&(_, deadline, is_watched)| is_watched.then_some(deadline)).collect();
        assert_eq!(deadlines.collect::<Vec<_>>(), expected);
    }
    // The server is alive, though it answers nothing but pings.
    let listening = tokio::spawn(async move {
        let (mut requests, mut cancels) = (0, 0);
        while requests + cancels < 6 {
            for frame in frames(&mut server).await {
                match frame {
                    ClientFrame::Request { .. } => requests += 1,
                    ClientFrame::Cancel { .. } => cancels += 1,
                    ClientFrame::Ping | ClientFrame::Pong => {
                        server.write_all(&said(&ServerFrame::Pong)).await.unwrap();
                    }
                }
            }
        }
        (requests, cancels)
    });
    for (call, deadline, _) in calls {
        assert!(matches!(call.await.unwrap(), Err(RemoteError::TimedOut)));
        assert_eq!(Instant::now(), deadline);
    }
    assert_eq!(listening.await.unwrap(), (3, 3));
    assert_eq!(connection.waiting().calls.len(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_call_whose_caller_goes_is_cancelled_and_one_that_was_answered_is_not() {
    let (connection, mut server) = connect();
    let shared = Arc::clone(&connection);
    let call = tokio::spawn(async move { shared.call("", &Call::CountChildren, None).await });
    let id = requested(&mut server).await;
    let answer = said(&ServerFrame::Response { id, result: Ok(Answer::Done) });
    server.write_all(&answer).await.unwrap();
    assert!(matches!(call.await.unwrap(), Ok(Answer::Done)));

    let gone = Duration::from_secs(1);
    let call = connection.call("", &Call::CountChildren, None);
    assert!(tokio::time::timeout(gone, call).await.is_err());
    let said = frames(&mut server).await;
    let [ClientFrame::Request { id, .. }, ClientFrame::Cancel { id: cancelled }] = said[..] else {
        panic!("{said:?}");
    };
    assert_eq!(id, cancelled);
}

#[tokio::test(start_paused = true)]
async fn a_subscriber_makes_no_crowd() {
    let (connection, mut server) = connect();
    let subscription = subscription();
    connection.subscribe(&subscription);
    let call = connection.call("", &Call::CountChildren, None);
    let mut call = std::pin::pin!(call);
    assert!(futures_util::poll!(&mut call).is_pending());
    // Nobody but this task has run: both were sent by it.
    assert_eq!(frames(&mut server).await.len(), 2);
}

pub(super) fn failed(id: u64, failure: Failure) -> Vec<u8> {
    said(&ServerFrame::Response { id, result: Err(failure) })
}

#[tokio::test(start_paused = true)]
async fn a_subscription_that_comes_after_the_server_s_farewell_waits_for_the_next_connection() {
    let (connection, mut server) = connect();
    let subscription = subscription();
    connection.subscribe(&subscription);
    let id = requested(&mut server).await;
    server.write_all(&failed(id, Failure::GoingAway)).await.unwrap();
    while connection.waiting().calls.len() > 0 {
        tokio::task::yield_now().await;
    }
    assert!(!subscription.is_over(), "the supervisor has not ended");
    assert_eq!(connection.waiting().subscriptions, 0);
    assert!(!connection.is_open(), "others need not ask, too");
}

/// A server that is alive, answers nothing but pings, and does not close.
async fn linger(mut server: DuplexStream) -> std::convert::Infallible {
    loop {
        for frame in frames(&mut server).await {
            if let ClientFrame::Ping = frame {
                server.write_all(&said(&ServerFrame::Pong)).await.unwrap();
            }
        }
    }
}

/// How long a call without a limit waits for a server that sends this and then nothing more.
async fn waited_after(farewell: GoAway) -> Duration {
    let (connection, mut server) = connect();
    let call = connection.call("", &Call::Shutdown, None);
    let mut call = Box::pin(call);
    assert!(futures_util::poll!(&mut call).is_pending());
    requested(&mut server).await;
    let begun = Instant::now();
    server.write_all(&said(&ServerFrame::GoAway(farewell))).await.unwrap();
    let answer = tokio::select! {
        answer = call => answer,
        never = linger(server) => match never {},
    };
    let is_lost = matches!(answer, Err(RemoteError::Disconnected { maybe_executed: true }));
    assert!(is_lost, "{answer:?}");
    begun.elapsed()
}

#[tokio::test(start_paused = true)]
async fn a_server_that_goes_and_does_not_answer_is_given_up() {
    let patience = Limits::default().drain + Limits::default().close_after;
    assert_eq!(waited_after(GoAway::Draining).await, patience);
    let ended = GoAway::Ended { name: "app".into(), reason: ash_core::ExitReason::Shutdown };
    assert_eq!(waited_after(ended).await, patience);
}

#[tokio::test(start_paused = true)]
async fn who_is_late_for_an_ended_supervisor_does_not_keep_its_last_events_from_others() {
    let (connection, mut server) = connect();
    let subscription = subscription();
    connection.subscribe(&subscription);
    let events = requested(&mut server).await;
    let call = connection.call("", &Call::CountChildren, None);
    let mut call = Box::pin(call);
    assert!(futures_util::poll!(&mut call).is_pending());
    let id = requested(&mut server).await;
    let ended = GoAway::Ended { name: "app".into(), reason: ash_core::ExitReason::Shutdown };
    server.write_all(&said(&ServerFrame::GoAway(ended))).await.unwrap();
    server.write_all(&failed(id, Failure::GoingAway)).await.unwrap();
    let late = call.await;
    assert!(matches!(late, Err(RemoteError::Disconnected { maybe_executed: false })), "{late:?}");
    server.write_all(&said(&ServerFrame::EventsEnded { id: events })).await.unwrap();
    let next = std::future::poll_fn(|context| subscription.poll_next(context)).await;
    assert!(next.is_none(), "it has ended, and that is told");
}

#[tokio::test(start_paused = true)]
async fn a_subscriber_that_goes_while_it_is_asked_for_events_has_them_cancelled() {
    let (connection, mut server) = connect();
    let subscription = subscription();
    subscription.end();
    connection.subscribe(&subscription);
    assert_eq!(connection.waiting().calls.len(), 0);
    let said = frames(&mut server).await;
    assert!(
        matches!(said[..], [ClientFrame::Request { .. }, ClientFrame::Cancel { .. }]),
        "{said:?}"
    );
}

/// Fills the outbound queue of a connection from which the server reads nothing. Returns how many
/// bytes are queued, and on their way.
fn fill(connection: &Connection) -> usize {
    let (much, more) = (Limits::default().outbound, 64 * 1024);
    connection.outbound.push(&vec![0; much], None).unwrap();
    connection.outbound.push(&vec![0; more], None).unwrap();
    assert_eq!(connection.outbound.push(&[0], None), Err(Unsent::Full));
    much + more
}

#[tokio::test(start_paused = true)]
async fn who_subscribes_behind_much_that_waits_is_not_forgotten() {
    let (connection, _server) = connect();
    fill(&connection);
    let call = connection.call("", &Call::CountChildren, None).await;
    assert!(matches!(call, Err(RemoteError::Busy)), "{call:?}");
    connection.subscribe(&subscription());
    assert_eq!(connection.waiting().subscriptions, 1);
}

#[tokio::test(start_paused = true)]
async fn a_call_is_cancelled_however_much_waits() {
    let (connection, mut server) = connect();
    let call = connection.call("", &Call::CountChildren, None);
    let mut call = Box::pin(call);
    assert!(futures_util::poll!(&mut call).is_pending());
    let id = requested(&mut server).await;
    let mut said = vec![0; fill(&connection)];
    drop(call);
    server.read_exact(&mut said).await.unwrap();
    let said = frames(&mut server).await;
    assert!(matches!(said[..], [ClientFrame::Cancel { id: it }] if it == id), "{said:?}");
}

#[tokio::test(start_paused = true)]
async fn a_server_that_has_no_place_for_a_subscription_is_asked_again() {
    let (connection, mut server) = connect();
    let subscription = subscription();
    connection.subscribe(&subscription);
    let id = requested(&mut server).await;
    server.write_all(&failed(id, Failure::Busy)).await.unwrap();
    let said = tokio::time::timeout(Duration::from_secs(2), frames(&mut server)).await;
    let said = said.expect("it is asked again");
    let [ClientFrame::Request { id, call: Call::Events, .. }] = said[..] else {
        panic!("{said:?}");
    };
    assert!(!subscription.is_over(), "the supervisor has not ended");
    server.write_all(&granted(id)).await.unwrap();
    let first = std::future::poll_fn(|context| subscription.poll_next(context)).await;
    assert!(matches!(first, Some(Err(Lagged(0)))), "{first:?}");
}

fn granted(id: u64) -> Vec<u8> {
    said(&ServerFrame::Response { id, result: Ok(Answer::Subscribed) })
}

/// The answer of a server that has no such supervisor, or not yet.
fn absences() -> [Failure; 2] {
    let web = || "web".into();
    [SupervisorError::ChildNotFound(web()), SupervisorError::ChildNotRunning(web())]
        .map(Failure::Supervisor)
}

#[tokio::test(start_paused = true)]
async fn after_a_lost_connection_a_server_is_asked_until_it_has_the_supervisor() {
    let (connection, mut server) = connect();
    let subscription = subscription();
    subscription.miss();
    connection.subscribe(&subscription);
    let mut next = Box::pin(std::future::poll_fn(|context| subscription.poll_next(context)));
    assert!(matches!((&mut next).await, Some(Err(Lagged(0)))), "there was no connection");
    let begun = Instant::now();
    for failure in absences() {
        let id = requested(&mut server).await;
        server.write_all(&failed(id, failure)).await.unwrap();
    }
    let id = requested(&mut server).await;
    assert_eq!(begun.elapsed(), Duration::from_secs(2), "one a second");
    assert!(futures_util::poll!(&mut next).is_pending(), "nothing has happened");
    server.write_all(&granted(id)).await.unwrap();
    assert!(matches!((&mut next).await, Some(Err(Lagged(0)))), "some may be missing");
}

#[tokio::test(start_paused = true)]
async fn nobody_is_asked_for_a_subscriber_that_has_gone() {
    let (connection, mut server) = connect();
    let subscription = subscription();
    subscription.miss();
    connection.subscribe(&subscription);
    let [failure, _] = absences();
    let id = requested(&mut server).await;
    server.write_all(&failed(id, failure)).await.unwrap();
    tokio::task::yield_now().await;
    subscription.end();
    let said = frames(&mut server).await;
    assert!(matches!(said[..], [ClientFrame::Ping]), "{said:?}");
}

#[tokio::test(start_paused = true)]
async fn events_of_a_supervisor_that_was_never_there_end_at_once() {
    for failure in absences() {
        let (connection, mut server) = connect();
        let subscription = subscription();
        connection.subscribe(&subscription);
        let id = requested(&mut server).await;
        server.write_all(&failed(id, failure)).await.unwrap();
        let next = std::future::poll_fn(|context| subscription.poll_next(context)).await;
        assert!(next.is_none());
    }
}

/// A page of a listing with one child.
fn page(id: u64, child: &ChildInfo, more: bool) -> Vec<u8> {
    let answer = Answer::Children { children: vec![child.clone()], more };
    said(&ServerFrame::Response { id, result: Ok(answer) })
}

/// Asks for a list. Returns the request's id, too.
async fn ask_for_a_list(
    connection: &Arc<Connection>,
    server: &mut DuplexStream,
) -> (u64, tokio::task::JoinHandle<Result<Answer, RemoteError>>) {
    let shared = Arc::clone(connection);
    let asking = async move { shared.call("", &Call::WhichChildren, None).await };
    let asking = tokio::spawn(asking);
    (requested(server).await, asking)
}

#[tokio::test(start_paused = true)]
async fn a_list_that_does_not_end_is_given_up_and_the_server_is_told() {
    let limit = 10_000;
    let limits = Limits { answers: limit, ..Limits::default() };
    let (connection, mut server) = connect_within(&limits);
    let (id, asking) = ask_for_a_list(&connection, &mut server).await;
    let page = page(id, &child().await, true);
    for _ in 0..limit / size_of::<ChildInfo>() {
        server.write_all(&page).await.unwrap();
    }
    let answer = asking.await.unwrap();
    let Err(RemoteError::Protocol(error)) = answer else { panic!("{answer:?}") };
    assert_eq!(error, ProtocolError::AnswersTooLarge { limit });
    assert!(error.to_string().contains("10000 bytes") && error.to_string().contains("Limits"));
    assert_eq!(connection.waiting().held(), 0);
    let said = frames(&mut server).await;
    assert!(matches!(said[..], [ClientFrame::Cancel { id: it }] if it == id), "{said:?}");
}

#[tokio::test(start_paused = true)]
async fn lists_that_are_not_complete_share_the_room_for_them() {
    let child = child().await;
    // Room for one page and a half.
    let mut parts = Parts::default();
    let one = Answer::Children { children: vec![child.clone()], more: true };
    let size = page(1 << 32, &child, true).len() - 4;
    assert!(parts.add(one, size, usize::MAX).is_ok_and(|whole| whole.is_none()));
    let limits = Limits { answers: parts.weight() * 3 / 2, ..Limits::default() };
    let (connection, mut server) = connect_within(&limits);
    let (first, asking) = ask_for_a_list(&connection, &mut server).await;
    let (second, in_vain) = ask_for_a_list(&connection, &mut server).await;
    server.write_all(&page(first, &child, true)).await.unwrap();
    server.write_all(&page(second, &child, true)).await.unwrap();
    let refused = in_vain.await.unwrap();
    assert!(matches!(refused, Err(RemoteError::Protocol(_))), "{refused:?}");
    assert_eq!(connection.waiting().held(), parts.weight());
    // The first list is not affected, and its last page needs no room.
    assert!(matches!(frames(&mut server).await[..], [ClientFrame::Cancel { .. }]));
    server.write_all(&page(first, &child, false)).await.unwrap();
    let whole = asking.await.unwrap();
    assert!(matches!(&whole, Ok(Answer::Children { children, .. }) if children.len() == 2));
    assert_eq!(connection.waiting().held(), 0);
    let (third, again) = ask_for_a_list(&connection, &mut server).await;
    server.write_all(&page(third, &child, true)).await.unwrap();
    server.write_all(&page(third, &child, false)).await.unwrap();
    assert!(again.await.unwrap().is_ok());
}
