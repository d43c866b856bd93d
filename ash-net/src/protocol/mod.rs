//! The protocol without sockets: bytes and the time go in, frames and deadlines come out.
//!
//! | file | holds |
//! |---|---|
//! | `message.rs` | what is said: the enums of the wire, whose order is frozen |
//! | `codec.rs` | how it is framed and encoded |
//! | `handshake.rs` | how two peers agree on a version and on who they are |
//! | `hello.rs` | the messages for that |
//! | `session.rs` | ids, time-outs and counts of an established connection |

mod codec;
mod handshake;
mod hello;
mod message;
mod session;

pub(crate) use codec::{EncodeError, FrameDecoder, HEADER, decode, encode};
pub(crate) use handshake::{
    Admission, ClientHandshake, ClientStep, HandshakeError, MAX_HANDSHAKE_FRAME, MAX_PATH,
    ServerHandshake, ServerStep, Welcomed,
};
pub(crate) use hello::{Nonce, VERSIONS};
pub(crate) use message::{
    Answer, Below, Call, ClientFrame, Failure, Fault, GoAway, Node, Outcome, Refusal, RequestFrame,
    RequestHead, ServerFrame,
};
pub(crate) use session::{Due, Pending, RequestVerdict, Requests, Strikes, Vigil, after};
