//! What is done for one request in a task of its own.

use std::future::poll_fn;
use std::pin::Pin;
use std::sync::Arc;
use std::task::Poll;

use ash_core::{Event, Events, Lagged, SupervisorError, SupervisorHandle};
use futures_core::Stream;
use tokio_util::sync::CancellationToken;

use crate::protocol::{Answer, Call, Failure, Outcome, ServerFrame};
use crate::server::connection::Connection;
use crate::server::farewell;
use crate::server::gate::Guard;
use crate::server::listing;
use crate::server::reads::{self, Reply};

/// How many bytes of events are sent at a time, if the peer has room for as many.
const EVENT_BATCH: usize = 32 * 1024;

/// Ends a request, however its handler ends.
struct RequestGuard {
    connection: Arc<Connection>,
    id: u64,
    /// It has been answered: by its id alone it could be taken for a later one.
    is_over: bool,
}

impl Drop for RequestGuard {
    fn drop(&mut self) {
        if std::thread::panicking() {
            let _ = self.connection.answer(self.id, Err(Failure::Panicked));
        } else if !self.is_over {
            self.connection.end(self.id);
        }
    }
}

/// Answers a call.
pub(super) async fn handle(connection: Arc<Connection>, id: u64, path: String, call: Call) {
    let mut request = RequestGuard { connection, id, is_over: false };
    let connection = &request.connection;
    let is_shutdown = matches!(call, Call::Shutdown);
    let result = match resolve(connection, &path).await {
        Err(error) => Err(error.into()),
        Ok(target) => perform(connection, id, &target, call).await,
    };
    // If there is no outcome, the answer has been sent in pages.
    if let Some(outcome) = result.transpose() {
        listing::answer(connection, id, outcome).await;
    }
    if is_shutdown {
        connection.on_shutdown_over(id);
    }
    request.is_over = true;
}

/// Sends an answer that is not short.
pub(super) async fn answer_long(connection: Arc<Connection>, id: u64, reply: Reply) {
    let mut request = RequestGuard { connection, id, is_over: false };
    let connection = &request.connection;
    match reply {
        Reply::Outcome(long) => listing::send_long(connection, id, long).await,
        Reply::Listing(listing) => {
            if let Err(failure) = listing.send(connection, id).await {
                listing::answer(connection, id, Err(failure)).await;
            }
        }
    }
    request.is_over = true;
}

/// Finds the supervisor that a request is for.
async fn resolve(connection: &Connection, path: &str) -> Result<SupervisorHandle, SupervisorError> {
    if path.is_empty() {
        return Ok(connection.supervisor.clone());
    }
    connection.supervisor.supervisor(path).await
}

/// Makes a call. Returns its answer, if it has not been sent in pages.
async fn perform(
    connection: &Arc<Connection>,
    id: u64,
    target: &SupervisorHandle,
    call: Call,
) -> Result<Option<Answer>, Failure> {
    let call = match reads::ask(target, call) {
        Ok(replying) => {
            return match replying.await {
                Reply::Outcome(result) => result.map(Some),
                Reply::Listing(listing) => listing.send(connection, id).await.map(|()| None),
            };
        }
        Err(call) => call,
    };
    let answer = match call {
        Call::Tree => return listing::tree(connection, id, target).await,
        Call::Shutdown => farewell::shut_down(connection, id, target).await?,
        Call::StartChild { id, template, args, policy } => {
            let template = connection.config.templates.get(&template);
            let template = template.ok_or(Failure::UnknownTemplate)?;
            let child = template.child(id, &args, policy);
            let child = child.map_err(Failure::BadArguments)?;
            Answer::Started(target.start_child_spec(child).await?)
        }
        Call::TerminateChild(id) => done(target.terminate_child(id).await)?,
        Call::StopChild(id) => done(target.stop_child(id).await)?,
        Call::RestartChild(id) => done(target.restart_child(id).await)?,
        Call::DeleteChild(id) => done(target.delete_child(id).await)?,
        Call::ShutdownWithin(limit) => Answer::Report(target.shutdown_within(limit).await?),
        // These have a handler of their own, or have been asked.
        Call::Events
        | Call::WhichChildren
        | Call::Child(_)
        | Call::CountChildren
        | Call::Status
        | Call::Uptime => return Err(Failure::BadRequest),
    };
    Ok(Some(answer))
}

fn done(result: Result<(), SupervisorError>) -> Outcome {
    result?;
    Ok(Answer::Done)
}

/// Where the events of a subscription come from.
pub(super) enum Source {
    /// It has begun.
    Begun(Events),
    /// From a supervisor below, which is yet to be found. Later requests are held back until this
    /// guard is dropped.
    Below(String, Guard),
}

/// Ends the request of a subscription, however its task ends.
struct SubscriptionGuard {
    connection: Arc<Connection>,
    id: u64,
    /// Cancelled with the request, whose place is free from then on.
    end: CancellationToken,
    is_over: bool,
}

impl SubscriptionGuard {
    /// Ends the request. Tells whether its answer is still waited for.
    fn end(&mut self) -> bool {
        !std::mem::replace(&mut self.is_over, true)
            && self.connection.end_subscription(self.id, &self.end)
    }

    /// Answers that there will be no events.
    async fn refuse(&mut self, failure: Failure) {
        let (connection, id) = (Arc::clone(&self.connection), self.id);
        let (mut bytes, mut permit) = (Vec::new(), None);
        if let Err(long) = connection.encode_short(id, Err(failure), &mut bytes) {
            (bytes, permit) = listing::encode_long(&connection, id, long).await;
        }
        if self.end() {
            let _ = connection.send(&bytes, permit);
        }
    }
}

impl Drop for SubscriptionGuard {
    fn drop(&mut self) {
        if self.end() && std::thread::panicking() {
            let result = Err(Failure::Panicked);
            let bytes = self.connection.encode(&ServerFrame::Response { id: self.id, result });
            let _ = self.connection.send(&bytes.unwrap_or_default(), None);
        }
    }
}

/// Passes events on until there are no more, or until the `end`.
pub(super) async fn subscribe(
    connection: Arc<Connection>,
    id: u64,
    source: Source,
    end: CancellationToken,
) {
    let cancelled = end.clone();
    let mut request = SubscriptionGuard { connection, id, end, is_over: false };
    tokio::select! {
        biased;
        () = cancelled.cancelled() => {}
        () = pass_on(&mut request, source) => {}
    }
}

/// Passes events on, for as long as there are any.
async fn pass_on(request: &mut SubscriptionGuard, source: Source) {
    let (connection, id) = (&Arc::clone(&request.connection), request.id);
    let mut events = match source {
        Source::Begun(events) => events,
        Source::Below(path, held_back) => match resolve(connection, &path).await {
            Ok(target) => {
                let events = target.events();
                drop(held_back);
                events
            }
            Err(error) => return request.refuse(error.into()).await,
        },
    };
    let result = Ok(Answer::Subscribed);
    let Ok(mut batch) = connection.encode(&ServerFrame::Response { id, result }) else {
        return;
    };
    let mut is_over = false;
    // With one more event, of the size of a frame, it still fits into an empty queue.
    let enough = EVENT_BATCH.min(connection.outbound.limit() / 2);
    while !is_over {
        // What is ready is sent together. If the peer is slow, the rest waits in the supervisor's
        // own buffer, which loses the oldest once it is full.
        while let Some(event) = ready_or_first(&mut events, batch.is_empty()).await {
            let frame = match event {
                Some(Ok(event)) => ServerFrame::Event { id, event },
                Some(Err(lagged)) => ServerFrame::Lagged { id, lost: lagged.0 },
                None => ServerFrame::EventsEnded { id },
            };
            is_over = matches!(frame, ServerFrame::EventsEnded { .. });
            // An event that does not fit into a frame, or cannot be encoded, is lost.
            let encoded = connection
                .encode(&frame)
                .or_else(|_| connection.encode(&ServerFrame::Lagged { id, lost: 1 }));
            batch.extend(encoded.unwrap_or_default());
            if is_over || batch.len() >= enough {
                break;
            }
        }
        let Ok(permit) = Arc::clone(&connection.bulk).acquire_owned().await else {
            return;
        };
        if connection.send(&batch, Some(permit)).is_err() {
            return;
        }
        batch.clear();
    }
}

/// Returns the next event; if it is not to wait, only one that is there already.
async fn ready_or_first(events: &mut Events, waits: bool) -> Option<Option<Result<Event, Lagged>>> {
    poll_fn(|context| match Pin::new(&mut *events).poll_next(context) {
        Poll::Ready(event) => Poll::Ready(Some(event)),
        Poll::Pending if waits => Poll::Pending,
        Poll::Pending => Poll::Ready(None),
    })
    .await
}

impl From<SupervisorError> for Failure {
    fn from(error: SupervisorError) -> Self {
        Self::Supervisor(error)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::access::Access;
    use crate::outbound;
    use crate::protocol::RequestVerdict;
    use crate::server::config::Config;
    use ash_core::{ChildSpec, SupervisorSpec};
    use std::io;
    use std::task::Context;
    use std::time::Duration;
    use tokio::io::AsyncWrite;

    /// The writing side of a peer that reads the answer to a request, and at once sends another one
    /// with the same id.
    struct Eager(Arc<Connection>);

    impl AsyncWrite for Eager {
        fn poll_write(
            self: Pin<&mut Self>,
            _: &mut Context<'_>,
            bytes: &[u8],
        ) -> Poll<io::Result<usize>> {
            assert_eq!(self.0.begin(1), RequestVerdict::Taken);
            Poll::Ready(Ok(bytes.len()))
        }

        fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
            Poll::Ready(Ok(()))
        }

        fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
            Poll::Ready(Ok(()))
        }
    }

    async fn up() -> SupervisorHandle {
        let supervisor = SupervisorHandle::start(SupervisorSpec::new("app"));
        supervisor.ready().await.unwrap();
        supervisor
    }

    #[tokio::test(start_paused = true)]
    async fn a_handler_that_ends_leaves_the_next_request_with_its_id_alone() {
        let supervisor = up().await;
        let config = Arc::new(Config::new(supervisor.clone()));
        let connection = Arc::new(Connection::new(config, supervisor, Access::Admin, 1_024));
        let peer = Box::new(Eager(Arc::clone(&connection)));
        let _writing = outbound::write(Arc::clone(&connection.outbound), peer, Duration::MAX);
        let shared = || Arc::clone(&connection);

        assert_eq!(connection.begin(1), RequestVerdict::Taken);
        handle(shared(), 1, String::new(), Call::StopChild("nobody".into())).await;
        assert!(connection.is_wanted(1), "a short answer");

        let page = |more| Reply::Outcome(Ok(Answer::Children { children: Vec::new(), more }));
        answer_long(shared(), 1, page(false)).await;
        assert!(connection.is_wanted(1), "the last page");
        connection.cancel(1);
        answer_long(shared(), 1, page(true)).await;
        assert_eq!(connection.begin(1), RequestVerdict::Taken, "it ends though more would follow");
    }

    #[tokio::test(start_paused = true)]
    async fn events_that_come_together_find_room_in_the_queue_however_small_that_is() {
        let supervisor = up().await;
        let frames = 64..256;
        let streams: Vec<_> = frames.clone().map(|_| supervisor.events()).collect();
        for length in 1..120 {
            let idle = |_| std::future::pending::<Result<(), io::Error>>();
            let child = ChildSpec::task("x".repeat(length), idle);
            supervisor.start_child_spec(child).await.unwrap();
        }
        supervisor.shutdown_within(Duration::ZERO).await.unwrap();
        let mut config = Config::new(supervisor.clone());
        config.limits.outbound = 0;
        let config = Arc::new(config);
        let mut too_small = Vec::new();
        for (frame, events) in frames.zip(streams) {
            let supervisor = supervisor.clone();
            let connection =
                Arc::new(Connection::new(Arc::clone(&config), supervisor, Access::Admin, frame));
            let outbound = Arc::clone(&connection.outbound);
            let sink = Box::new(tokio::io::sink());
            tokio::spawn(outbound::write(Arc::clone(&outbound), sink, Duration::MAX));
            assert_eq!(connection.begin(1), RequestVerdict::Taken);
            let end = connection.hold_subscription(1);
            let passing = subscribe(connection, 1, Source::Begun(events), end);
            tokio::time::timeout(Duration::from_secs(9), passing).await.expect("it ends");
            let broken = std::pin::pin!(outbound.broken());
            if futures_util::poll!(broken).is_ready() {
                too_small.push(frame);
            }
        }
        assert_eq!(too_small, [0usize; 0], "how large frames may be there");
    }
}
