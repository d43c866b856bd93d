//! Three levels, three strategies, and a subtree that gives up and is brought back by its parent.
//!
//! ```sh
//! cargo run --example super_tree            # ends by itself
//! cargo run --example super_tree -- forever # until Ctrl-C
//! ```
#![expect(clippy::print_stdout, reason = "an example shows itself")]

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use ash_flare::{
    ChildContext, ChildSpec, Events, ExitReason, RestartIntensity, RestartStrategy,
    SupervisorHandle, SupervisorSpec,
};

/// A child that works until it is stopped.
fn steady(id: &'static str) -> ChildSpec {
    ChildSpec::task(id, |child: ChildContext| async move {
        child.stop_token().cancelled().await;
        Ok::<_, io::Error>(())
    })
}

/// A child that fails soon after each of its first `times` starts.
fn flaky(id: &'static str, times: u32) -> ChildSpec {
    let starts = Arc::new(AtomicU32::new(0));
    ChildSpec::task(id, move |child: ChildContext| {
        let start = starts.fetch_add(1, Ordering::Relaxed) + 1;
        async move {
            if start <= times {
                tokio::time::sleep(Duration::from_millis(100)).await;
                return Err(io::Error::other(format!("failure {start} of {times}")));
            }
            child.stop_token().cancelled().await;
            Ok(())
        }
    })
}

fn app() -> SupervisorSpec {
    // Two restarts are fine here, the third failure is one too many: `sessions` gives up, and
    // `web`, its parent, starts it anew.
    let sessions = SupervisorSpec::new("sessions")
        .with_restart_strategy(RestartStrategy::OneForAll)
        .with_restart_intensity(RestartIntensity { max_restarts: 2, within_seconds: 10 })
        .with_child(steady("cache"))
        .with_child(flaky("login", 3));
    // A restart of `sessions` takes `http` along, which was started after it; `tls` is left alone.
    let web = SupervisorSpec::new("web")
        .with_restart_strategy(RestartStrategy::RestForOne)
        .with_child(steady("tls"))
        .with_supervisor(sessions)
        .with_child(steady("http"));
    let database = SupervisorSpec::new("database")
        .with_restart_strategy(RestartStrategy::OneForOne)
        .with_child(steady("pool"))
        .with_child(flaky("replica", 1));
    SupervisorSpec::new("app").with_supervisor(database).with_supervisor(web)
}

/// Prints what happens until the tree has ended.
async fn narrate(mut events: Events) {
    while let Some(event) = events.next().await {
        match event {
            Ok(event) => println!("{:>5} ms  {event}", event.at.as_millis()),
            Err(lagged) => println!("          {lagged}"),
        }
    }
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let handle = SupervisorHandle::start(app());
    let narrator = tokio::spawn(narrate(handle.events()));
    handle.ready().await?;
    println!("up:\n{}", handle.tree().await?);

    if std::env::args().any(|argument| argument == "forever") {
        println!("Ctrl-C stops it");
        handle.shutdown_on_signal().await?;
    } else {
        tokio::time::sleep(Duration::from_millis(1_000)).await;
        println!("healed:\n{}", handle.tree().await?);
        let web = handle.child("web").await?;
        assert_eq!(web.restarts, 0, "`web` dealt with it, nobody above had to");
        let sessions = handle.supervisor("web").await?.child("sessions").await?;
        assert_eq!(sessions.restarts, 1, "`sessions` gave up once and was brought back");
        handle.shutdown().await?;
    }
    narrator.await?;
    assert!(matches!(handle.wait().await, ExitReason::Shutdown));
    println!("down");
    Ok(())
}
