//! What a connection still takes in, and what it leaves, when something on it comes to its end.

use super::tests::{connect, connect_after, failed, frames, requested, said, subscription};
use super::*;
use crate::protocol::{GoAway, ServerFrame};
use std::time::Duration;
use tokio::io::AsyncWriteExt;

#[tokio::test(start_paused = true)]
async fn a_server_that_goes_tells_its_subscribers_nothing_more() {
    let (connection, mut server) = connect();
    let subscription = subscription();
    connection.subscribe(&subscription);
    let id = requested(&mut server).await;
    server.write_all(&said(&ServerFrame::GoAway(GoAway::Draining))).await.unwrap();
    // The next connection has the events from now on: these would come twice.
    server.write_all(&said(&ServerFrame::Lagged { id, lost: 1 })).await.unwrap();
    connection.left().await;
    tokio::time::sleep(Duration::from_secs(1)).await;
    let next = std::future::poll_fn(|context| subscription.poll_next(context));
    assert!(futures_util::poll!(Box::pin(next)).is_pending());
    assert!(!subscription.is_over());
}

#[tokio::test(start_paused = true)]
async fn a_stream_that_has_ended_takes_no_place() {
    let (connection, mut server) = connect();
    let subscription = subscription();
    connection.subscribe(&subscription);
    let id = requested(&mut server).await;
    server.write_all(&said(&ServerFrame::EventsEnded { id })).await.unwrap();
    let next = std::future::poll_fn(|context| subscription.poll_next(context)).await;
    assert!(next.is_none());
    assert_eq!(connection.waiting().calls.len(), 0);
    assert_eq!(connection.waiting().subscriptions, 0);
}

#[tokio::test(start_paused = true)]
async fn a_server_that_goes_is_not_asked_again_for_what_it_has_refused() {
    let (connection, mut server) = connect();
    let subscription = subscription();
    connection.subscribe(&subscription);
    let id = requested(&mut server).await;
    // This call keeps the connection.
    let call = connection.call("", &Call::CountChildren, None);
    let mut call = Box::pin(call);
    assert!(futures_util::poll!(&mut call).is_pending());
    requested(&mut server).await;
    server.write_all(&failed(id, Failure::Busy)).await.unwrap();
    server.write_all(&said(&ServerFrame::GoAway(GoAway::Draining))).await.unwrap();
    let said = frames(&mut server).await;
    assert!(matches!(said[..], [ClientFrame::Ping]), "{said:?}");
}

#[tokio::test(start_paused = true)]
async fn an_answer_that_cannot_be_read_fails_its_call_and_the_third_ends_the_connection() {
    let (connection, mut server) = connect();
    for strike in 1..=3 {
        let call = connection.call("", &Call::CountChildren, None);
        let mut call = Box::pin(call);
        assert!(futures_util::poll!(&mut call).is_pending());
        let id = requested(&mut server).await;
        let mut answer = said(&ServerFrame::Response { id, result: Ok(Answer::Done) });
        // A byte too much.
        answer[3] += 1;
        answer.push(0);
        server.write_all(&answer).await.unwrap();
        let failed = call.await;
        let bad = RemoteError::Protocol(ProtocolError::BadAnswer);
        assert!(
            matches!(&failed, Err(error) if error.to_string() == bad.to_string()),
            "{failed:?}"
        );
        assert_eq!(connection.is_open(), strike < 3);
    }
}

#[tokio::test(start_paused = true)]
async fn a_frame_that_has_begun_with_the_handshake_has_no_more_time_than_others() {
    let begun = Instant::now();
    let (connection, _server) = connect_after(&[0, 0]);
    connection.broken().await;
    assert!(begun.elapsed() < Duration::from_secs(12), "{:?}", begun.elapsed());
}
