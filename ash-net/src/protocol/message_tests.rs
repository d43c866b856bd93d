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
    info.last_exit = Some(ExitReason::Error(ash_core::WorkerError::from_texts(["x".to_owned()])));
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
