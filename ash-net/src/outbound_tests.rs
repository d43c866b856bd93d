use super::*;
use std::sync::Arc;
use tokio::io::AsyncReadExt;
use tokio::sync::Semaphore;

#[tokio::test(start_paused = true)]
async fn what_is_queued_is_sent_in_order_and_then_the_end() {
    let (ours, mut theirs) = tokio::io::duplex(8);
    let outbound = Arc::new(Outbound::new(1_000));
    let slots = Arc::new(Semaphore::new(1));
    let permit = Arc::clone(&slots).try_acquire_owned().unwrap();
    outbound.push(b"hello ", None).unwrap();
    outbound.push(b"beautiful world", Some(permit)).unwrap();
    outbound.close();
    assert_eq!(outbound.push(b"late", None), Err(Unsent::Closed));
    let task = tokio::spawn(write(Arc::clone(&outbound), Box::new(ours), Duration::from_secs(10)));
    assert!(slots.try_acquire().is_err(), "it has not been written");
    let mut read = String::new();
    theirs.read_to_string(&mut read).await.unwrap();
    assert_eq!(read, "hello beautiful world");
    task.await.unwrap();
    assert!(slots.try_acquire().is_ok());
    outbound.broken().await;
}

#[tokio::test(start_paused = true)]
async fn a_peer_that_takes_nothing_is_given_up() {
    let (ours, _theirs) = tokio::io::duplex(8);
    let outbound = Arc::new(Outbound::new(20));
    outbound.push(b"more than eight", None).unwrap();
    assert_eq!(outbound.push(b"more than 5", None), Err(Unsent::Full));
    let begun = tokio::time::Instant::now();
    write(Arc::clone(&outbound), Box::new(ours), Duration::from_secs(10)).await;
    assert_eq!(begun.elapsed(), Duration::from_secs(10));
    outbound.broken().await;
}

#[tokio::test(start_paused = true)]
async fn dropped_it_sends_what_can_be_sent_at_once() {
    let (ours, mut theirs) = tokio::io::duplex(64);
    let outbound = Arc::new(Outbound::new(1_000));
    let writing = write(Arc::clone(&outbound), Box::new(ours), Duration::from_secs(10));
    let mut writing = Box::pin(writing);
    assert!(futures_util::poll!(&mut writing).is_pending());
    outbound.push(b"last words", None).unwrap();
    drop(writing);
    let mut read = String::new();
    theirs.read_to_string(&mut read).await.unwrap();
    assert_eq!(read, "last words");
}

/// What a peer has received so far.
async fn received(peer: &mut tokio::io::DuplexStream) -> String {
    let mut bytes = [0; 64];
    match futures_util::poll!(std::pin::pin!(peer.read(&mut bytes))) {
        Poll::Ready(read) => String::from_utf8_lossy(&bytes[..read.unwrap()]).into_owned(),
        Poll::Pending => String::new(),
    }
}

const STALL: Duration = Duration::from_secs(10);

#[tokio::test(start_paused = true)]
async fn who_is_alone_sends_at_once_and_nobody_is_woken() {
    let (ours, mut theirs) = tokio::io::duplex(64);
    let outbound = Arc::new(Outbound::new(1_000));
    let slots = Arc::new(Semaphore::new(1));
    let permit = Arc::clone(&slots).try_acquire_owned().unwrap();
    let _writing = write(Arc::clone(&outbound), Box::new(ours), STALL);
    outbound.set_in_flight(1);
    outbound.push(b"one", Some(permit)).unwrap();
    assert_eq!(received(&mut theirs).await, "one", "the writer has never run");
    assert!(slots.try_acquire().is_ok(), "it has been written");
    let woken = outbound.wake.notified();
    assert!(futures_util::poll!(std::pin::pin!(woken)).is_pending());
}

#[tokio::test(start_paused = true)]
async fn with_several_requests_in_flight_all_that_is_ready_leaves_together() {
    let (ours, mut theirs) = tokio::io::duplex(64);
    let outbound = Arc::new(Outbound::new(1_000));
    let writing = write(Arc::clone(&outbound), Box::new(ours), STALL);
    outbound.set_in_flight(2);
    outbound.push(b"one ", None).unwrap();
    outbound.push(b"two ", None).unwrap();
    assert_eq!(received(&mut theirs).await, "");
    let writing = tokio::spawn(writing);
    tokio::task::yield_now().await;
    outbound.push(b"three", None).unwrap();
    while received(&mut theirs).await != "one two three" {
        assert!(!writing.is_finished());
        tokio::task::yield_now().await;
    }
    outbound.push_all(b"four").unwrap();
    assert_eq!(received(&mut theirs).await, "four", "one that has gathered does not wait");
}

#[tokio::test(start_paused = true)]
async fn what_the_peer_does_not_take_at_once_the_writer_sends_in_order() {
    let (ours, mut theirs) = tokio::io::duplex(8);
    let outbound = Arc::new(Outbound::new(1_000));
    let slots = Arc::new(Semaphore::new(1));
    let permit = Arc::clone(&slots).try_acquire_owned().unwrap();
    let writing = tokio::spawn(write(Arc::clone(&outbound), Box::new(ours), STALL));
    // The writer finds nothing to do and goes to sleep.
    tokio::task::yield_now().await;
    outbound.push(b"hello beautiful ", Some(permit)).unwrap();
    assert!(slots.try_acquire().is_err(), "half of it has been written");
    outbound.push(b"world", None).unwrap();
    let mut read = [0; 21];
    tokio::time::timeout(STALL, theirs.read_exact(&mut read)).await.unwrap().unwrap();
    assert_eq!(&read, b"hello beautiful world");
    outbound.close();
    writing.await.unwrap();
    assert!(slots.try_acquire().is_ok());
}

#[tokio::test(start_paused = true)]
async fn what_waits_is_limited_however_it_is_sent() {
    let (ours, _theirs) = tokio::io::duplex(4);
    let outbound = Arc::new(Outbound::new(10));
    let writing = tokio::spawn(write(Arc::clone(&outbound), Box::new(ours), STALL));
    let begun = tokio::time::Instant::now();
    outbound.push(b"12345678", None).unwrap();
    // The writer has the half that is left, and now is woken for nothing else.
    tokio::task::yield_now().await;
    outbound.push_all(b"1234567890").unwrap();
    assert_eq!(outbound.push_all(b"1"), Err(Unsent::Full));
    assert_eq!(outbound.push(b"1", None), Err(Unsent::Full));
    let none = outbound.push_with(|bytes| extend(bytes, b"1"));
    assert_eq!(none, Err(Unsent::Full));
    writing.await.unwrap();
    assert_eq!(begun.elapsed(), STALL, "the peer has taken nothing since");
    outbound.broken().await;
}

#[tokio::test(start_paused = true)]
async fn what_waits_is_limited_though_the_writer_has_not_run() {
    let (ours, _theirs) = tokio::io::duplex(4);
    let outbound = Arc::new(Outbound::new(10));
    let _writing = write(Arc::clone(&outbound), Box::new(ours), STALL);
    outbound.push(b"12345678", None).unwrap();
    outbound.push(b"123456", None).unwrap();
    assert_eq!(outbound.push(b"1", None), Err(Unsent::Full), "half of the first is left");
    assert_eq!(outbound.push_all(b"1"), Err(Unsent::Full));
}

#[tokio::test(start_paused = true)]
async fn who_finds_the_connection_broken_ends_it_for_all() {
    let (ours, theirs) = tokio::io::duplex(64);
    let outbound = Arc::new(Outbound::new(1_000));
    let writing = write(Arc::clone(&outbound), Box::new(ours), STALL);
    drop(theirs);
    outbound.push(b"in vain", None).unwrap();
    assert_eq!(outbound.push(b"late", None), Err(Unsent::Closed));
    outbound.broken().await;
    writing.await;
}

#[tokio::test(start_paused = true)]
async fn a_writer_that_goes_while_somebody_sends_leaves_the_last_words_to_that_one() {
    let (ours, mut theirs) = tokio::io::duplex(64);
    let outbound = Arc::new(Outbound::new(1_000));
    let writing = write(Arc::clone(&outbound), Box::new(ours), STALL);
    let sender = outbound.queue().lend().unwrap();
    outbound.push(b"last words", None).unwrap();
    drop(writing);
    assert_eq!(received(&mut theirs).await, "", "the one who could is somewhere else");
    outbound.hand_back(sender);
    let mut read = String::new();
    theirs.read_to_string(&mut read).await.unwrap();
    assert_eq!(read, "last words");
}

#[tokio::test(start_paused = true)]
async fn what_a_buffer_holds_back_is_flushed() {
    let (ours, mut theirs) = tokio::io::duplex(64);
    let outbound = Arc::new(Outbound::new(1_000));
    let writer = Box::new(tokio::io::BufWriter::new(ours));
    let _writing = write(Arc::clone(&outbound), writer, STALL);
    outbound.push(b"one", None).unwrap();
    assert_eq!(received(&mut theirs).await, "one");
}

#[tokio::test(start_paused = true)]
async fn a_writer_that_finds_somebody_else_sending_waits_for_its_turn() {
    let (ours, mut theirs) = tokio::io::duplex(64);
    let outbound = Arc::new(Outbound::new(1_000));
    let mut writing = Box::pin(write(Arc::clone(&outbound), Box::new(ours), STALL));
    outbound.set_in_flight(2);
    outbound.push(b"one ", None).unwrap();
    // It lets the others append first.
    assert!(futures_util::poll!(&mut writing).is_pending());
    let sender = outbound.queue().lend().unwrap();
    assert!(futures_util::poll!(&mut writing).is_pending(), "it has not ended");
    outbound.hand_back(sender);
    outbound.push(b"two", None).unwrap();
    while received(&mut theirs).await != "one two" {
        assert!(futures_util::poll!(&mut writing).is_pending());
    }
}
