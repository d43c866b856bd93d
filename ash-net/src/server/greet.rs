//! The handshake of one connection: who is it, what may it do, which supervisor does it want?

use std::io;
use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Waker};
use std::time::Duration;

use ash_core::SupervisorHandle;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::access::Access;
use crate::log::tell;
use crate::protocol::{
    Admission, FrameDecoder, HandshakeError, MAX_HANDSHAKE_FRAME, Refusal, ServerHandshake,
    ServerStep,
};
use crate::server::config::Config;
use crate::transport::{Peer, Stream, handshake};

/// How long a peer is given to read why it was refused.
pub(super) const LINGER: Duration = Duration::from_secs(1);

/// How much of what such a peer has sent is read, in bytes.
const LINGER_BYTES: usize = 64 * 1024;

/// A client that has been admitted, with its connection.
pub(super) struct Guest {
    pub(super) stream: Stream,
    pub(super) admitted: Admitted,
}

/// What is known of a client that has been admitted.
pub(super) struct Admitted {
    /// It holds what the client sent before it knew that it was admitted.
    pub(super) decoder: FrameDecoder,
    pub(super) supervisor: SupervisorHandle,
    pub(super) access: Access,
    /// How large a frame may be that is sent to it.
    pub(super) frame: usize,
}

/// Does the handshake. A peer that fails gets one error, and its reason goes to the log.
pub(super) async fn greet(
    config: &Arc<Config>,
    peer: Peer,
    access: Option<Access>,
    mut stream: Stream,
) -> Option<Guest> {
    let error = match converse(config, access, &mut stream).await {
        Ok(Conversation::Admitted(mut admitted)) => {
            tell!(
                config.log, debug, "client connected";
                peer = peer, access = admitted.access, supervisor = admitted.supervisor.path()
            );
            admitted.decoder.set_limit(config.limits.frame);
            return Some(Guest { stream, admitted });
        }
        Ok(Conversation::Failed { why, answer }) => {
            dismiss(&mut stream, &answer).await;
            why
        }
        Err(error) => error.to_string(),
    };
    tell!(config.log, info, "client refused"; peer = peer, reason = error);
    None
}

enum Conversation {
    Admitted(Admitted),
    Failed { why: String, answer: Vec<u8> },
}

async fn converse(
    config: &Arc<Config>,
    access: Option<Access>,
    stream: &mut Stream,
) -> io::Result<Conversation> {
    let mut decoder = FrameDecoder::new(MAX_HANDSHAKE_FRAME);
    let failed = |why: String, answer| Ok(Conversation::Failed { why, answer });
    let mut server = ServerHandshake::new(
        handshake::nonce()?,
        config.secrets.clone(),
        access.map_or(Access::Observer, |access| access.min(config.access)),
        stream.binding.clone(),
        config.limits.frame,
    );
    loop {
        let frame = match handshake::receive(stream, &mut decoder).await {
            Ok(frame) => frame,
            Err(error) if error.kind() == io::ErrorKind::InvalidData => {
                let answer = server.refusal(&HandshakeError::Foreign);
                return failed(error.to_string(), answer);
            }
            Err(error) => return Err(error),
        };
        match server.handle_frame(&frame) {
            Ok(_) if access.is_none() => {
                let answer = ServerHandshake::refuse_hello(Refusal::Unauthenticated);
                return failed("it is none of those that are served".to_owned(), answer);
            }
            Ok(ServerStep::Send(answer)) => handshake::send(stream, &[&answer]).await?,
            Ok(ServerStep::Decide(hello, admission)) => {
                let (decision, verdict) = decide(config, admission, decoder);
                let bodies: Vec<_> = hello.iter().chain(&verdict).map(Vec::as_slice).collect();
                handshake::send(stream, &bodies).await?;
                return match decision {
                    Ok(admitted) => Ok(Conversation::Admitted(admitted)),
                    Err(why) => failed(why.to_owned(), Vec::new()),
                };
            }
            Err(error) => return failed(error.to_string(), server.refusal(&error)),
        }
    }
}

/// Decides about a client that has shown who it is. Also returns the frames that tell it.
fn decide(
    config: &Arc<Config>,
    admission: Admission,
    decoder: FrameDecoder,
) -> (Result<Admitted, &'static str>, Vec<Vec<u8>>) {
    let Some(supervisor) = config.supervisor(&admission.supervisor) else {
        let verdict = Admission::refuse(Refusal::UnknownSupervisor);
        return (Err("it wants a supervisor that is not served"), vec![verdict]);
    };
    if has_ended(supervisor) {
        return (Err("it wants a supervisor that has ended"), admission.refuse_at_end());
    }
    let admitted = Admitted {
        decoder,
        supervisor: supervisor.clone(),
        access: admission.access,
        frame: admission.frame,
    };
    let verdict = vec![admission.admit(supervisor.path())];
    (Ok(admitted), verdict)
}

/// Tells whether a supervisor has ended: its client would only be told so, and connect again at
/// once.
fn has_ended(supervisor: &SupervisorHandle) -> bool {
    let ended = pin!(supervisor.wait());
    ended.poll(&mut Context::from_waker(Waker::noop())).is_ready()
}

/// Tells a peer why it is refused, and gives it the time to read that: a connection that is closed
/// with bytes unread is reset, and what it was told is lost.
pub(super) async fn dismiss(stream: &mut Stream, answer: &[u8]) {
    let telling = async {
        if !answer.is_empty() {
            handshake::send(stream, &[answer]).await?;
        }
        stream.writer.shutdown().await?;
        let (mut waste, mut read) = ([0; 1_024], 0);
        while read < LINGER_BYTES {
            match stream.reader.read(&mut waste).await? {
                0 => break,
                more => read += more,
            }
        }
        io::Result::Ok(())
    };
    let _ = tokio::time::timeout(LINGER, telling).await;
}
