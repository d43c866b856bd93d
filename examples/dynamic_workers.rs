//! Children that come and go: jobs added while the tree runs, one that fails and is retried after
//! a backoff, one that is stopped and brought back, and a bound on how many there may be.
//!
//! ```sh
//! cargo run --example dynamic_workers            # ends by itself
//! cargo run --example dynamic_workers -- forever # until Ctrl-C
//! ```
#![expect(clippy::print_stdout, reason = "an example shows itself")]

use std::time::Duration;

use ash_flare::{
    Backoff, ChildContext, ChildSpec, ExitReason, RestartPolicy, SupervisorError, SupervisorHandle,
    SupervisorSpec, Worker, async_trait,
};

/// Resizes one picture, then ends.
struct Resize {
    picture: u32,
}

#[async_trait]
impl Worker for Resize {
    type Error = String;

    async fn run(&mut self) -> Result<(), String> {
        tokio::time::sleep(Duration::from_millis(u64::from(self.picture) * 300)).await;
        println!("  picture {} is done", self.picture);
        Ok(())
    }
}

/// Uploads to a server that is down for the first two tries.
fn upload() -> ChildSpec {
    ChildSpec::task("upload", |child: ChildContext| async move {
        println!("  upload: try {}", child.incarnation());
        if child.incarnation() < 3 {
            return Err("the server is down");
        }
        println!("  upload: done");
        Ok(())
    })
    .restart(RestartPolicy::Transient)
    .backoff(Backoff::exponential(Duration::from_millis(50), Duration::from_secs(1)))
}

async fn show(handle: &SupervisorHandle, when: &str) -> Result<(), SupervisorError> {
    let ids: Vec<String> = handle
        .which_children()
        .await?
        .iter()
        .map(|child| format!("{} ({:?})", child.id, child.state))
        .collect();
    println!("{when}: {}", if ids.is_empty() { "nobody".into() } else { ids.join(", ") });
    Ok(())
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let handle = SupervisorHandle::start(SupervisorSpec::new("jobs").with_max_children(5));
    handle.ready().await?;

    for picture in 1..=3 {
        let id = format!("resize-{picture}");
        handle.start_child(id, move || Resize { picture }, RestartPolicy::Transient).await?;
    }
    handle.start_child_spec(upload()).await?;
    let listener = ChildSpec::task("listener", |child: ChildContext| async move {
        println!("  listener: life {}", child.incarnation());
        child.stop_token().cancelled().await;
        Ok::<_, String>(())
    });
    handle.start_child_spec(listener).await?;
    show(&handle, "all at work").await?;

    // The sixth is one too many.
    let one_more =
        handle.start_child("resize-4", || Resize { picture: 4 }, RestartPolicy::Transient);
    match one_more.await {
        Err(error @ SupervisorError::TooManyChildren(5)) => println!("refused: {error}"),
        other => return Err(format!("expected a refusal, not {other:?}").into()),
    }

    handle.stop_child("listener").await?;
    show(&handle, "listener stopped").await?;
    handle.restart_child("listener").await?;

    tokio::time::sleep(Duration::from_millis(1_200)).await;
    show(&handle, "jobs done and forgotten").await?;

    if std::env::args().any(|argument| argument == "forever") {
        println!("Ctrl-C stops it");
        handle.shutdown_on_signal().await?;
    } else {
        handle.terminate_child("listener").await?;
        show(&handle, "listener terminated").await?;
        assert_eq!(handle.count_children().await?.specs, 0);
        handle.shutdown().await?;
    }
    assert!(matches!(handle.wait().await, ExitReason::Shutdown));
    println!("down");
    Ok(())
}
