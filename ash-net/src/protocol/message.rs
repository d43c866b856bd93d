//! The messages on the wire.
//!
//! The order of variants and fields is the encoding. Enums only ever grow at their end, and structs
//! not at all; the golden bytes in the tests enforce that.

use std::time::Duration;

use ash_core::{
    ChildCounts, ChildId, ChildInfo, Event, ExitReason, RestartPolicy, RestartStrategy,
    ShutdownReport, SupervisorError,
};
use serde::{Deserialize, Serialize};

use crate::access::Access;
use crate::status::SupervisorStatus;

/// What a client sends once it has been admitted.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) enum ClientFrame {
    /// A call; the first two fields stand first, so that they can be read even if the rest
    /// cannot.
    Request {
        id: u64,
        /// The supervisor below the one that the connection is for; empty for that one itself.
        path: String,
        call: Call,
    },
    /// Nobody waits for the answer to this request any more.
    Cancel {
        id: u64,
    },
    Ping,
    Pong,
}

/// [`ClientFrame::Request`] with borrowed fields: it has the same encoding.
#[derive(Debug, Serialize)]
pub(crate) enum RequestFrame<'a> {
    Request { id: u64, path: &'a str, call: &'a Call },
}

/// The beginning of [`ClientFrame::Request`] and of [`ServerFrame::Response`]: the variant's
/// number, which is 0, and the id.
pub(crate) type RequestHead = (u32, u64);

/// A call to a supervisor.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) enum Call {
    WhichChildren,
    Child(ChildId),
    CountChildren,
    Tree,
    Status,
    Uptime,
    Events,
    StartChild {
        id: ChildId,
        template: String,
        /// JSON.
        args: String,
        policy: RestartPolicy,
    },
    TerminateChild(ChildId),
    StopChild(ChildId),
    RestartChild(ChildId),
    DeleteChild(ChildId),
    Shutdown,
    ShutdownWithin(Duration),
}

impl Call {
    /// Tells whether it changes nothing, so that it may be sent again.
    pub(crate) const fn is_read(&self) -> bool {
        matches!(Access::needed(self), Access::Observer)
    }
}

/// What a server sends once it has admitted a client.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) enum ServerFrame {
    /// The answer to a request, or one part of it.
    Response {
        id: u64,
        result: Outcome,
    },
    Event {
        id: u64,
        event: Event,
    },
    /// Events of a subscription were lost.
    Lagged {
        id: u64,
        lost: u64,
    },
    /// The supervisor of a subscription has ended.
    EventsEnded {
        id: u64,
    },
    Ping,
    Pong,
    GoAway(GoAway),
    /// Why the connection is closed at once.
    Fault(Fault),
    /// What the stop of the supervisor had to kill or leave behind: sent before [`GoAway::Ended`].
    Report(ShutdownReport),
}

/// How a call went.
pub(crate) type Outcome = Result<Answer, Failure>;

/// Why a client should stop using the connection. Answers to what it has sent still come.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) enum GoAway {
    /// The server is being shut down.
    Draining,
    /// The supervisor has ended.
    Ended { name: ChildId, reason: ExitReason },
}

/// What a peer did wrong, for which its connection is closed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Fault {
    FrameTooLarge,
    BadFrames,
    SlowFrame,
    Silent,
}

/// The answer to a call.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) enum Answer {
    Done,
    Started(ChildId),
    Child(ChildInfo),
    Children {
        children: Vec<ChildInfo>,
        /// Whether more parts follow.
        more: bool,
    },
    Counts(ChildCounts),
    Tree {
        root: Below,
        nodes: Vec<Node>,
        /// Whether more parts follow.
        more: bool,
    },
    Status(SupervisorStatus),
    Uptime(Duration),
    Report(ShutdownReport),
    Subscribed,
}

/// One child in a tree. Parents come before their children.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Node {
    /// The number of the node that holds it, counted from 1 on; 0 for the supervisor asked.
    pub(crate) parent: u32,
    pub(crate) info: ChildInfo,
    /// What it is as a supervisor, if it is one that is up.
    pub(crate) below: Option<Below>,
}

/// A supervisor in a tree.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Below {
    pub(crate) path: String,
    pub(crate) restart_strategy: RestartStrategy,
}

/// Why a call failed.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) enum Failure {
    Supervisor(SupervisorError),
    /// Too many requests are in flight.
    Busy,
    Denied {
        needed: Access,
        granted: Access,
    },
    /// The request could not be read.
    BadRequest,
    UnknownTemplate,
    /// The arguments do not suit the template; with what is wrong.
    BadArguments(String),
    /// The handler panicked.
    Panicked,
    /// The answer does not fit into a frame.
    TooLarge,
    /// The request came after the server had sent `GoAway`.
    GoingAway,
}

/// Why a peer is not admitted.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Refusal {
    /// No version in common; these are the server's.
    Version {
        min: u16,
        max: u16,
    },
    /// The peer's credentials do not suffice. Never says more.
    Unauthenticated,
    TooManyConnections,
    /// No supervisor of that name is served. Only authenticated peers are told.
    UnknownSupervisor,
    ShuttingDown,
}

#[cfg(test)]
#[path = "message_tests.rs"]
mod tests;
