//! The reading side of one connection: it takes requests in, answers the simple ones, and never
//! waits for the handlers of the others.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use tokio::io::AsyncReadExt;
use tokio::task::JoinSet;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tokio_util::task::AbortOnDropHandle;

use crate::access::Access;
use crate::dormant::Dormant;
use crate::outbound;
use crate::protocol::{
    Call, ClientFrame, Due, Failure, Fault, FrameDecoder, RequestHead, RequestVerdict, ServerFrame,
    Strikes, Vigil, after, decode,
};
use crate::server::config::Config;
use crate::server::connection::Connection;
use crate::server::farewell::{Farewell, ending};
use crate::server::gate::{Gate, Request};
use crate::server::greet::{Admitted, Guest};
use crate::server::handler::{self, Source};
use crate::server::reads::{self, Reads, Reply};
use crate::server::reply_batch::ReplyBatch;
use crate::transport::Reader;

/// How long the last frames of a connection may take to be sent.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(1);

/// Serves an admitted client until one of both sides ends the connection.
pub(super) async fn run(config: Arc<Config>, stop: CancellationToken, guest: Guest) {
    let Guest { stream, admitted } = guest;
    let Admitted { decoder, supervisor, access, frame } = admitted;
    let connection = Arc::new(Connection::new(config, supervisor, access, frame));
    let limits = &connection.config.limits;
    let writing = outbound::write(Arc::clone(&connection.outbound), stream.writer, limits.stall);
    // Locals are dropped in reverse order: the farewell of `reading` is sent before the writer
    // goes.
    let writer = AbortOnDropHandle::new(tokio::spawn(writing));
    let mut reading = Reading {
        vigil: Vigil::new(Instant::now(), limits),
        farewell: Farewell::new(Arc::clone(&connection)),
        replies: ReplyBatch::new(Arc::clone(&connection)),
        strikes: Strikes::new(),
        handlers: JoinSet::new(),
        reads: Reads::default(),
        gate: Gate::default(),
        connection,
    };
    if let Err(fault) = reading.run(stream.reader, decoder, stop).await {
        reading.replies.queue(&ServerFrame::Fault(fault));
    }
    reading.replies.flush();
    reading.farewell.disarm();
    drop(reading);
    let _ = tokio::time::timeout(CLOSE_TIMEOUT, writer).await;
}

struct Reading {
    connection: Arc<Connection>,
    farewell: Farewell,
    handlers: JoinSet<()>,
    reads: Reads,
    gate: Gate,
    /// Flushed at the end of each turn.
    replies: ReplyBatch,
    vigil: Vigil,
    strikes: Strikes,
}

impl Reading {
    /// Reads until the end of the connection, or until a fault of the peer for which it is closed.
    async fn run(
        &mut self,
        mut reader: Reader,
        mut decoder: FrameDecoder,
        stop: CancellationToken,
    ) -> Result<(), Fault> {
        let connection = Arc::clone(&self.connection);
        let mut ending = Dormant::new(ending(connection.supervisor.clone(), stop));
        let mut broken = Dormant::new(connection.outbound.broken());
        // The client may have sent requests right after its hello.
        let frames = self.take_frames(&mut decoder)?;
        self.vigil.on_bytes(Instant::now(), frames, decoder.is_partial());
        let mut timer = Dormant::new(tokio::time::sleep_until(self.vigil.poll_timeout()));
        let mut close_at = None;
        loop {
            self.replies.flush();
            if close_at.is_some() && self.is_idle() {
                return Ok(());
            }
            let mut has_fired = false;
            tokio::select! {
                biased;
                () = &mut broken => return Ok(()),
                why = &mut ending, if close_at.is_none() => {
                    connection.begin_ending(&mut self.replies, why);
                    close_at = Some(after(Instant::now(), connection.config.limits.drain));
                }
                Some(_) = self.handlers.join_next(), if close_at.is_some() => {}
                () = &mut timer => {
                    self.on_timer()?;
                    has_fired = true;
                }
                held = self.gate.opened(), if self.gate.is_shut() => self.work_on_held(held),
                (id, reply) = self.reads.next() => {
                    self.on_reply(id, reply);
                    self.take_replies();
                }
                read = reader.read_buf(decoder.space()) => {
                    if !self.on_read(read, &mut decoder)? {
                        return Ok(());
                    }
                }
            }
            let due = self.vigil.poll_timeout();
            let due = close_at.map_or(due, |at| due.min(at));
            if close_at.is_some_and(|at| at <= Instant::now()) {
                return Ok(());
            }
            // A timer that fires early only costs a turn; setting it anew for each read would
            // cost more.
            if has_fired || due < timer.get_ref().deadline() {
                timer.rouse().reset(due);
            }
        }
    }

    /// Tells whether no request is being worked on or held back.
    fn is_idle(&self) -> bool {
        self.handlers.is_empty() && self.reads.is_empty() && self.gate.is_empty()
    }

    fn on_timer(&mut self) -> Result<(), Fault> {
        match self.vigil.handle_timeout(Instant::now()) {
            Some(Due::Ping) => {
                self.replies.queue(&ServerFrame::Ping);
                Ok(())
            }
            Some(Due::Close(fault)) => Err(fault),
            None => Ok(()),
        }
    }

    /// Takes in what was read. Tells whether there may be more.
    fn on_read(
        &mut self,
        read: io::Result<usize>,
        decoder: &mut FrameDecoder,
    ) -> Result<bool, Fault> {
        if matches!(read, Ok(0) | Err(_)) {
            return Ok(false);
        }
        while !self.handlers.is_empty() && self.handlers.try_join_next().is_some() {}
        let frames = self.take_frames(decoder)?;
        // The supervisor has replied to most of the calls meanwhile.
        self.take_replies();
        // Whoever waits for these need not wait for what follows.
        self.replies.flush();
        self.vigil.on_bytes(Instant::now(), frames, decoder.is_partial());
        Ok(true)
    }

    /// Takes in the frames that have arrived, and returns how many there were.
    fn take_frames(&mut self, decoder: &mut FrameDecoder) -> Result<usize, Fault> {
        let mut frames = 0;
        loop {
            match decoder.next() {
                Ok(Some(body)) => self.on_frame(body)?,
                Ok(None) => return Ok(frames),
                Err(_) => return Err(Fault::FrameTooLarge),
            }
            frames += 1;
        }
    }

    fn on_frame(&mut self, body: &[u8]) -> Result<(), Fault> {
        match decode::<ClientFrame>(body) {
            Some(ClientFrame::Request { id, path, call }) => self.on_request(id, path, call),
            Some(ClientFrame::Cancel { id }) => {
                self.connection.cancel(id);
                Ok(())
            }
            Some(ClientFrame::Ping) => {
                self.replies.queue(&ServerFrame::Pong);
                Ok(())
            }
            Some(ClientFrame::Pong) => Ok(()),
            None => self.on_malformed(body),
        }
    }

    fn on_malformed(&mut self, body: &[u8]) -> Result<(), Fault> {
        if let Ok(((0, id), _)) = postcard::take_from_bytes::<RequestHead>(body) {
            let result = Err(Failure::BadRequest);
            self.replies.queue(&ServerFrame::Response { id, result });
        }
        if self.strikes.strike() {
            return Err(Fault::BadFrames);
        }
        Ok(())
    }

    fn on_request(&mut self, id: u64, path: String, call: Call) -> Result<(), Fault> {
        let connection = &self.connection;
        let needed = Access::needed(&call);
        let granted = connection.access;
        let refused = if needed > granted {
            Some(Failure::Denied { needed, granted })
        } else if connection.draining.is_cancelled() {
            Some(Failure::GoingAway)
        } else {
            match connection.begin(id) {
                RequestVerdict::Taken => None,
                RequestVerdict::Busy => Some(Failure::Busy),
                RequestVerdict::Twice => return Err(Fault::BadFrames),
            }
        };
        if let Some(failure) = refused {
            let result = Err(failure);
            self.replies.queue(&ServerFrame::Response { id, result });
            return Ok(());
        }
        if matches!(call, Call::Events) {
            self.subscribe(id, path);
            return Ok(());
        }
        let request = Request { id, path, call };
        if self.gate.is_shut() {
            self.gate.hold(request);
        } else {
            self.work_on(request);
        }
        Ok(())
    }

    /// Works on what was held back.
    fn work_on_held(&mut self, held: Vec<Request>) {
        for request in held {
            self.work_on(request);
        }
    }

    /// Begins a subscription, which must see what a call that was sent after it causes.
    fn subscribe(&mut self, id: u64, path: String) {
        let connection = Arc::clone(&self.connection);
        let source = if path.is_empty() {
            Source::Begun(connection.supervisor.events())
        } else {
            Source::Below(path, self.gate.shut())
        };
        let end = connection.hold_subscription(id);
        self.handlers.spawn(handler::subscribe(connection, id, source, end));
    }

    /// Works on a request that has been taken.
    fn work_on(&mut self, Request { id, path, call }: Request) {
        let connection = Arc::clone(&self.connection);
        let call = if path.is_empty() {
            match reads::ask(&connection.supervisor, call) {
                Ok(replying) => return self.reads.push(id, replying),
                Err(call) => call,
            }
        } else {
            call
        };
        self.handlers.spawn(handler::handle(connection, id, path, call));
    }

    /// Answers the calls that the supervisor has replied to.
    fn take_replies(&mut self) {
        while let Some((id, reply)) = self.reads.try_next() {
            self.on_reply(id, reply);
        }
    }

    fn on_reply(&mut self, id: u64, reply: Reply) {
        let long = match reply {
            Reply::Outcome(result) => match self.replies.queue_answer(id, result) {
                Ok(()) => return,
                Err(long) => Reply::Outcome(long),
            },
            Reply::Listing(listing) => Reply::Listing(listing),
        };
        let connection = Arc::clone(&self.connection);
        self.handlers.spawn(handler::answer_long(connection, id, long));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::limits::Limits;
    use crate::protocol::encode;
    use crate::server::SupervisorServer;
    use crate::transport::Stream;
    use ash_core::{RestartPolicy, SupervisorHandle, SupervisorSpec, Worker, async_trait};
    use tokio::io::{AsyncWriteExt, DuplexStream};
    use tokio::task::JoinHandle;

    /// A worker whose start never ends.
    struct Never;

    #[async_trait]
    impl Worker for Never {
        type Error = String;

        async fn initialize(&mut self) -> Result<(), String> {
            std::future::pending().await
        }

        async fn run(&mut self) -> Result<(), String> {
            Ok(())
        }
    }

    /// Serves a peer that has sent these bytes with the last of its handshake.
    async fn serve(
        limits: Limits,
        early: &[u8],
    ) -> (DuplexStream, CancellationToken, JoinHandle<()>) {
        let supervisor = SupervisorHandle::start(SupervisorSpec::new("app"));
        supervisor.ready().await.unwrap();
        let server = SupervisorServer::new(supervisor.clone())
            .with_limits(limits)
            .with_template("never", |(): ()| Never);
        let (theirs, ours) = tokio::io::duplex(1_024);
        let (reader, writer) = tokio::io::split(ours);
        let stream =
            Stream { reader: Box::new(reader), writer: Box::new(writer), binding: Vec::new() };
        let (mut decoder, frame) = (FrameDecoder::new(1_024), 1_024);
        decoder.space().extend_from_slice(early);
        let admitted = Admitted { decoder, supervisor, access: Access::Admin, frame };
        let guest = Guest { stream, admitted };
        let stop = CancellationToken::new();
        let running = tokio::spawn(run(Arc::new(server.config), stop.clone(), guest));
        (theirs, stop, running)
    }

    /// Reads to the end, and returns which requests were answered, and whether well.
    async fn answers(theirs: &mut DuplexStream) -> Vec<(u64, bool)> {
        let (mut decoder, mut answers) = (FrameDecoder::new(1_024), Vec::new());
        while theirs.read_buf(decoder.space()).await.unwrap() > 0 {
            while let Some(body) = decoder.next().unwrap() {
                if let Some(ServerFrame::Response { id, result }) = decode(body) {
                    answers.push((id, result.is_ok()));
                }
            }
        }
        answers
    }

    /// A peer that has a call in flight which does not end, and begins a frame that it does not
    /// end. Returns how long it takes the server to let go of it once it drains.
    async fn drain_a_peer_that_stands_still(limits: Limits) -> Duration {
        let (mut theirs, stop, running) = serve(limits, &[]).await;
        let (template, args) = ("never".into(), "null".into());
        let policy = RestartPolicy::Permanent;
        let call = Call::StartChild { id: "n".into(), template, args, policy };
        let mut said = Vec::new();
        let request = ClientFrame::Request { id: 1, path: String::new(), call };
        encode(&request, &mut said, 1_024).unwrap();
        said.extend([0, 0]);
        theirs.write_all(&said).await.unwrap();
        let begun = Instant::now();
        tokio::time::sleep(Duration::from_secs(1)).await;
        stop.cancel();
        running.await.unwrap();
        begun.elapsed()
    }

    /// Runs with paused time, on a thread of its own: a busy loop would stop that time.
    fn on_a_thread<T: Send + 'static>(test: impl Future<Output = T> + Send + 'static) -> T {
        let (done, is_done) = std::sync::mpsc::channel();
        std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .start_paused(true)
                .build()
                .unwrap();
            done.send(runtime.block_on(test)).unwrap();
        });
        is_done.recv_timeout(Duration::from_secs(20)).expect("it ends, and does not panic")
    }

    #[test]
    fn a_peer_that_stands_still_is_given_up_while_the_server_drains_too() {
        let limits = Limits { drain: Duration::from_secs(60), ..Limits::default() };
        let waited = on_a_thread(drain_a_peer_that_stands_still(limits));
        assert_eq!(waited, Duration::from_secs(10), "a frame that has begun has that long");
    }

    #[tokio::test(start_paused = true)]
    async fn a_frame_that_has_begun_with_the_handshake_has_no_more_time_than_others() {
        let begun = Instant::now();
        let (_theirs, _, running) = serve(Limits::default(), &[0, 0]).await;
        running.await.unwrap();
        assert_eq!(begun.elapsed(), Duration::from_secs(10));
    }

    #[test]
    fn limits_that_never_come_are_none() {
        let limits = Limits {
            drain: Duration::MAX,
            frame_time: Duration::MAX,
            ping_after: Duration::MAX,
            ..Limits::default()
        };
        let waited = on_a_thread(drain_a_peer_that_stands_still(limits));
        assert_eq!(waited, Duration::from_secs(45), "so long it may be silent");
    }

    #[tokio::test(start_paused = true)]
    async fn a_subscription_that_is_cancelled_makes_room_for_what_comes_right_after() {
        let limits = Limits { in_flight: 2, ..Limits::default() };
        let request = |id, call| ClientFrame::Request { id, path: String::new(), call };
        let subscribe = |id| request(id, Call::Events);
        let (call, cancel) = (|id| request(id, Call::Uptime), ClientFrame::Cancel { id: 1 });
        let mut said = Vec::new();
        // With the same id, too: the first one that ends must not end the other.
        for frame in
            [&subscribe(9), &subscribe(1), &cancel, &subscribe(1), &call(2), &cancel, &call(3)]
        {
            encode(frame, &mut said, 1_024).unwrap();
        }
        let (mut theirs, stop, running) = serve(limits, &said).await;
        stop.cancel();
        let answers = answers(&mut theirs).await;
        assert_eq!(answers, [(2, false), (3, true)]);
        running.await.unwrap();
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_held_back_is_answered_though_the_server_drains() {
        let request = |id, path: &str, call| ClientFrame::Request { id, path: path.into(), call };
        let mut said = Vec::new();
        for frame in [request(1, "web", Call::Events), request(2, "", Call::Uptime)] {
            encode(&frame, &mut said, 1_024).unwrap();
        }
        let (mut theirs, stop, running) = serve(Limits::default(), &said).await;
        stop.cancel();
        let answers = answers(&mut theirs).await;
        assert_eq!(answers.last(), Some(&(2, true)), "{answers:?}");
        running.await.unwrap();
    }
}
