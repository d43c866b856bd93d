//! What is said on the wire.
//!
//! The order of variants and fields is the encoding. Enums only ever grow at their end, and
//! structs not at all; the golden bytes in the tests hold everyone to that.

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

/// [`ClientFrame::Request`], of parts that lie elsewhere.
#[derive(Debug, Serialize)]
pub(crate) enum RequestFrame<'a> {
    Request { id: u64, path: &'a str, call: &'a Call },
}

/// The beginning of [`ClientFrame::Request`] and of [`ServerFrame::Response`]: the variant's
/// number, which is 0, and the id.
pub(crate) type RequestHead = (u32, u64);

/// What a supervisor is asked or told.
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
    /// What the stop of the supervisor had to kill or leave behind: said before it is said that it
    /// has ended.
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
    /// The request came after the server had said that it goes away.
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
    /// Who the peer is, or claims to be, does not suffice. Never says more.
    Unauthenticated,
    TooManyConnections,
    /// No supervisor of that name is served. Said only to who is authenticated.
    UnknownSupervisor,
    ShuttingDown,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::{decode, encode};
    use std::collections::HashMap;
    use std::fmt::{Debug, Write};

    fn hex(bytes: &[u8]) -> String {
        bytes.iter().fold(String::new(), |mut text, byte| {
            write!(text, "{byte:02x}").unwrap();
            text
        })
    }

    fn bytes<T: Serialize>(value: &T) -> Vec<u8> {
        let mut out = Vec::new();
        encode(value, &mut out, usize::MAX).unwrap();
        out.split_off(4)
    }

    /// Encodes samples, compares with the golden bytes, and decodes those again.
    fn hold_to_golden<T: Serialize + for<'a> Deserialize<'a> + Debug>(
        kind: &str,
        samples: &[(&str, T)],
    ) {
        let golden: HashMap<&str, &str> =
            include_str!("golden.txt").lines().filter_map(|line| line.split_once(' ')).collect();
        let mut changed = String::new();
        for (name, sample) in samples {
            let name = format!("{kind}.{name}");
            let encoded = hex(&bytes(sample));
            if golden.get(name.as_str()) != Some(&encoded.as_str()) {
                writeln!(changed, "{name} {encoded}").unwrap();
            }
            let again: T = decode(&bytes(sample)).unwrap();
            assert_eq!(format!("{again:?}"), format!("{sample:?}"));
        }
        assert!(changed.is_empty(), "encodings that have changed:\n{changed}");
    }

    fn request(call: Call) -> ClientFrame {
        let borrowed = bytes(&RequestFrame::Request { id: 300, path: "web", call: &call });
        let frame = ClientFrame::Request { id: 300, path: "web".into(), call };
        assert_eq!(borrowed, bytes(&frame));
        frame
    }

    #[test]
    fn golden_client_frames() {
        let id = || ChildId::from("a");
        hold_to_golden(
            "client",
            &[
                ("which_children", request(Call::WhichChildren)),
                ("child", request(Call::Child(id()))),
                ("count_children", request(Call::CountChildren)),
                ("tree", request(Call::Tree)),
                ("status", request(Call::Status)),
                ("uptime", request(Call::Uptime)),
                ("events", request(Call::Events)),
                (
                    "start_child",
                    request(Call::StartChild {
                        id: id(),
                        template: "t".into(),
                        args: "{}".into(),
                        policy: RestartPolicy::Transient,
                    }),
                ),
                ("terminate_child", request(Call::TerminateChild(id()))),
                ("stop_child", request(Call::StopChild(id()))),
                ("restart_child", request(Call::RestartChild(id()))),
                ("delete_child", request(Call::DeleteChild(id()))),
                ("shutdown", request(Call::Shutdown)),
                ("shutdown_within", request(Call::ShutdownWithin(Duration::from_millis(1_500)))),
                ("cancel", ClientFrame::Cancel { id: 1 }),
                ("ping", ClientFrame::Ping),
                ("pong", ClientFrame::Pong),
            ],
        );
    }

    /// What a real tree says of its children, which nobody else can build.
    #[tokio::test]
    async fn golden_children_and_events() {
        use ash_core::{ChildSpec, SupervisorHandle, SupervisorSpec};
        let idle = |_| std::future::pending::<Result<(), std::io::Error>>();
        let spec = SupervisorSpec::new("app").with_child(ChildSpec::task("a", idle));
        let handle = SupervisorHandle::start(spec);
        let mut events = handle.events();
        handle.ready().await.unwrap();
        let mut info = handle.child("a").await.unwrap();
        info.uptime = Duration::from_millis(1_500);
        info.last_exit =
            Some(ExitReason::Error(ash_core::WorkerError::from_texts(["x".to_owned()])));
        let mut event = events.next().await.unwrap().unwrap();
        event.at = Duration::from_millis(2_500);
        event.time = std::time::SystemTime::UNIX_EPOCH + Duration::from_millis(3_500);
        let node = Node { parent: 0, info: info.clone(), below: None };
        hold_to_golden("item", &[("child", info)]);
        hold_to_golden("item", &[("node", node)]);
        hold_to_golden("item", &[("event", event)]);
    }

    fn done(answer: Answer) -> ServerFrame {
        ServerFrame::Response { id: 300, result: Ok(answer) }
    }

    fn failed(failure: Failure) -> ServerFrame {
        ServerFrame::Response { id: 300, result: Err(failure) }
    }

    fn id() -> ChildId {
        "a".into()
    }

    #[test]
    fn golden_failures() {
        let refused = |error| failed(Failure::Supervisor(error));
        hold_to_golden(
            "server",
            &[
                ("shutting_down", refused(SupervisorError::ShuttingDown(id()))),
                ("not_found", refused(SupervisorError::ChildNotFound(id()))),
                (
                    "start_failed",
                    refused(SupervisorError::StartFailed {
                        path: "app/a".into(),
                        cause: ash_core::StartCause::TimedOut(Duration::from_secs(1)),
                    }),
                ),
                ("too_many", refused(SupervisorError::TooManyChildren(7))),
                ("busy", failed(Failure::Busy)),
                (
                    "denied",
                    failed(Failure::Denied { needed: Access::Admin, granted: Access::Observer }),
                ),
                ("bad_request", failed(Failure::BadRequest)),
                ("unknown_template", failed(Failure::UnknownTemplate)),
                ("bad_arguments", failed(Failure::BadArguments("x".into()))),
                ("panicked", failed(Failure::Panicked)),
                ("too_large", failed(Failure::TooLarge)),
                ("going_away", failed(Failure::GoingAway)),
            ],
        );
    }

    #[test]
    fn golden_refusals() {
        hold_to_golden(
            "refusal",
            &[
                ("version", Refusal::Version { min: 1, max: 2 }),
                ("unauthenticated", Refusal::Unauthenticated),
                ("too_many", Refusal::TooManyConnections),
                ("unknown", Refusal::UnknownSupervisor),
                ("shutting_down", Refusal::ShuttingDown),
            ],
        );
    }

    #[test]
    fn golden_server_frames() {
        let below = || Below { path: "app".into(), restart_strategy: RestartStrategy::RestForOne };
        hold_to_golden(
            "server",
            &[
                ("done", done(Answer::Done)),
                ("started", done(Answer::Started(id()))),
                ("no_children", done(Answer::Children { children: vec![], more: true })),
                ("counts", done(Answer::Counts(ChildCounts::default()))),
                ("tree", done(Answer::Tree { root: below(), nodes: vec![], more: false })),
                ("uptime", done(Answer::Uptime(Duration::from_millis(1_500)))),
                ("report", done(Answer::Report(ShutdownReport::default()))),
                ("subscribed", done(Answer::Subscribed)),
                ("lagged", ServerFrame::Lagged { id: 1, lost: 9 }),
                ("events_ended", ServerFrame::EventsEnded { id: 1 }),
                ("ping", ServerFrame::Ping),
                ("pong", ServerFrame::Pong),
                ("draining", ServerFrame::GoAway(GoAway::Draining)),
                (
                    "ended",
                    ServerFrame::GoAway(GoAway::Ended {
                        name: id(),
                        reason: ExitReason::IntensityExceeded {
                            child: "b".into(),
                            reason: Box::new(ExitReason::Panic("p".into())),
                        },
                    }),
                ),
                ("fault", ServerFrame::Fault(Fault::Silent)),
                ("last_report", ServerFrame::Report(ShutdownReport::default())),
            ],
        );
    }
}
