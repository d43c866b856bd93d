//! Answers that are long: who reads them gets them, however many there are at once.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use ash_core::{
    ChildContext, ChildId, ChildInfo, ChildSpec, ChildState, RestartIntensity, RestartPolicy,
    SupervisorError, SupervisorHandle, SupervisorSpec,
};
use ash_net::{Connector, Limits, RemoteError};
use futures_util::future::join_all;

use crate::support::*;

/// How long the text of an error is, in bytes.
const TEXT: usize = 4_000;

/// An error with a long text, and another one behind it, and so on.
#[derive(Debug)]
struct Long(Option<Box<Self>>);

impl Long {
    fn new(texts: usize) -> Self {
        Self((texts > 1).then(|| Box::new(Self::new(texts - 1))))
    }
}

impl std::fmt::Display for Long {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&"x".repeat(TEXT))
    }
}

impl std::error::Error for Long {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.0.as_deref().map(|source| source as _)
    }
}

/// A worker that has failed once, at length.
fn scarred(id: impl Into<ChildId>, texts: usize) -> ChildSpec {
    let is_first = Arc::new(AtomicBool::new(true));
    ChildSpec::task(id, move |child: ChildContext| {
        let fails = is_first.swap(false, Ordering::Relaxed);
        async move {
            if fails {
                return Err(Long::new(texts));
            }
            child.stop_token().cancelled().await;
            Ok(())
        }
    })
}

/// Starts these under supervisors `app` and `app/web`, and waits until each has failed once.
async fn start_scarred(count: usize, texts: usize) -> SupervisorHandle {
    let of = |name: &str| {
        let spec =
            SupervisorSpec::new(name).with_restart_intensity(RestartIntensity::new(1_000, 1));
        (0..count).fold(spec, |spec, number| spec.with_child(scarred(format!("w{number}"), texts)))
    };
    let local = start(of("app").with_supervisor(of("web"))).await;
    let web = local.supervisor("web").await.unwrap();
    for handle in [&local, &web] {
        until(|| async {
            let children = handle.which_children().await.unwrap();
            children.iter().filter(|child| has_failed(child)).count() == count
        })
        .await;
    }
    local
}

fn has_failed(child: &ChildInfo) -> bool {
    child.state == ChildState::Running && child.last_exit.is_some()
}

/// A server that gives a peer up once more than a few long answers are queued for it.
fn limits() -> Limits {
    let mut limits = Limits::default();
    limits.in_flight = 64;
    limits.outbound = 256 * 1024;
    // Two of these would be let through in any case.
    limits.frame = 128 * 1024;
    limits
}

#[tokio::test]
async fn who_reads_gets_all_lists_that_were_asked_for_at_once() {
    let local = start_scarred(20, 1).await;
    let (remote, _served) = serve(server(&local).with_limits(limits())).await;
    let web = remote.supervisor("web").await.unwrap();
    for (handle, count) in [(&remote, 21), (&web, 20)] {
        for children in soon(join_all((0..64).map(|_| handle.which_children()))).await {
            let children = children.unwrap();
            assert_eq!(children.len(), count);
            let texts = children.iter().filter_map(|child| child.last_exit.as_ref());
            assert!(texts.clone().all(|exit| exit.to_string().len() >= TEXT));
            assert_eq!(texts.count(), 20);
        }
    }
    let here = local.tree().await.unwrap().to_string();
    for tree in soon(join_all((0..64).map(|_| remote.tree()))).await {
        assert_eq!(tree.unwrap().to_string(), here);
    }
}

#[tokio::test]
async fn who_reads_gets_all_that_is_told_of_single_children_at_once() {
    let local = start_scarred(1, 10).await;
    let (remote, _served) = serve(server(&local).with_limits(limits())).await;
    let web = remote.supervisor("web").await.unwrap();
    for handle in [&remote, &web] {
        for child in soon(join_all((0..64).map(|_| handle.child("w0")))).await {
            assert!(has_failed(&child.unwrap()));
        }
    }
    let nobody = "n".repeat(10 * TEXT);
    let args = Args { fails: true, text: "x".repeat(TEXT) };
    for handle in [&remote, &web] {
        let unknown = soon(join_all((0..64).map(|_| handle.child(&nobody)))).await;
        assert!(unknown.iter().all(|answer| matches!(
            answer,
            Err(RemoteError::Call(SupervisorError::ChildNotFound(_)))
        )));
    }
    let failed = soon(join_all((0..64).map(|number| {
        remote.start_child(format!("e{number}"), "echo", &args, RestartPolicy::Temporary)
    })))
    .await;
    assert!(failed.iter().all(|answer| matches!(
        answer,
        Err(RemoteError::Call(SupervisorError::StartFailed { .. }))
    )));
}

#[tokio::test]
async fn a_few_children_that_do_not_fit_into_a_frame_together_come_in_several() {
    let local = start_scarred(20, 1).await;
    let mut limits = limits();
    limits.frame = 8 * 1024;
    let (remote, _served) = serve(server(&local).with_limits(limits)).await;
    assert_eq!(remote.which_children().await.unwrap().len(), 21);
    let here = local.tree().await.unwrap().to_string();
    assert_eq!(remote.tree().await.unwrap().to_string(), here);
}

#[tokio::test]
async fn a_frame_that_may_be_sent_finds_room_in_an_empty_queue() {
    let mut limits = Limits::default();
    limits.frame = 16 * 1024 * 1024;
    limits.outbound = 1024 * 1024;
    let local = start(tree()).await;
    let bound = server(&local).with_limits(limits.clone()).bind_tcp("127.0.0.1:0").await.unwrap();
    let connector = Connector::tcp(bound.local_addr()).with_limits(limits);
    let _served = tokio::spawn(bound.serve());
    let remote = connector.connect().await.unwrap();
    let mut states = remote.states();
    // The request holds the id, as its answer does, and then every list.
    let id = "i".repeat(5 * 1024 * 1024);
    let args = Args { fails: false, text: String::new() };
    let started = soon(remote.start_child(&*id, "echo", &args, RestartPolicy::Temporary)).await;
    assert!(started.is_ok_and(|started| started == *id));
    let children = soon(remote.which_children()).await.unwrap();
    assert!(children.iter().any(|child| child.id == *id));
    assert!(futures_util::poll!(std::pin::pin!(states.next())).is_pending(), "still connected");
}
