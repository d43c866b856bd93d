//! LIVENESS on the runtime.

use std::sync::Arc;

use ash_core::{ChildContext, ChildSpec, ExitReason, RestartPolicy, SupervisorSpec};
use tokio::time::Instant;

use crate::support::{
    Door, Record, Script, Step, Watch, down, idle, lives, millis, scripted, seconds, soon, up,
};

/// A worker that sends so many heartbeats, a second apart, and then none.
fn beats(times: u64) -> ChildSpec {
    ChildSpec::task("a", move |context: ChildContext| async move {
        for _ in 0..times {
            tokio::time::sleep(seconds(1)).await;
            context.heartbeat();
        }
        std::future::pending::<Result<(), String>>().await
    })
}

#[tokio::test(start_paused = true)]
async fn liveness_1_a_worker_that_misses_its_heartbeat_is_unresponsive() {
    let handle = up(SupervisorSpec::new("app").with_child(beats(10).liveness(seconds(3)))).await;
    let mut watch = Watch::on(&handle);
    let since = Instant::now();
    watch.until("app/a#1 exited: unresponsive, restart").await;
    assert_eq!(since.elapsed(), seconds(13), "10 beats, and 3 s without");
    watch.until("app/a#2 started").await;
    let last = handle.child("a").await.unwrap().last_exit;
    assert!(matches!(last, Some(ExitReason::Unresponsive)));
    down(&handle).await;
}

#[tokio::test(start_paused = true)]
async fn liveness_1_it_counts_from_the_start_and_initialize_is_not_meant() {
    let record = Record::default();
    let slow = Script::initialize(Step::Sleep(seconds(60)));
    let child = scripted("a", &record, slow).liveness(seconds(3));
    let handle = up(SupervisorSpec::new("app").with_child(child)).await;
    let mut watch = Watch::on(&handle);
    let since = Instant::now();
    watch.until("app/a#1 exited: unresponsive, restart").await;
    assert_eq!(since.elapsed(), seconds(3));
    assert!(!record.take().contains(&"a#1 shutdown".to_owned()), "it is killed");
    down(&handle).await;
}

#[tokio::test(start_paused = true)]
async fn liveness_1_a_heartbeat_counts_from_whatever_thread_it_is_sent() {
    let beats = ChildSpec::task("a", |context: ChildContext| async move {
        loop {
            tokio::time::sleep(seconds(1)).await;
            let context = context.clone();
            std::thread::spawn(move || context.heartbeat()).join().map_err(|_| "it panicked")?;
        }
        #[expect(unreachable_code, reason = "it says what the error is")]
        Ok::<_, &str>(())
    });
    let handle = up(SupervisorSpec::new("app").with_child(beats.liveness(seconds(3)))).await;
    tokio::time::sleep(seconds(60)).await;
    assert_eq!(handle.child("a").await.unwrap().incarnation, 1);
    down(&handle).await;
}

#[tokio::test(start_paused = true)]
async fn liveness_1_unresponsive_is_abnormal() {
    for (policy, then) in [(RestartPolicy::Transient, "restart"), (RestartPolicy::Temporary, "end")]
    {
        let child = beats(0).liveness(seconds(3)).restart(policy);
        let handle = up(SupervisorSpec::new("app").with_child(child)).await;
        let mut watch = Watch::on(&handle);
        watch.until(&format!("app/a#1 exited: unresponsive, {then}")).await;
        down(&handle).await;
    }
}

#[tokio::test(start_paused = true)]
async fn liveness_1_a_worker_that_is_asked_to_stop_need_not_beat() {
    let record = Record::default();
    let slow = Script::run(Step::Hang).and_shutdown(Step::Sleep(seconds(4)));
    let child = scripted("a", &record, slow).liveness(seconds(3));
    let handle = up(SupervisorSpec::new("app").with_child(child)).await;
    let mut watch = Watch::on(&handle);
    tokio::time::sleep(seconds(2)).await;
    handle.stop_child("a").await.unwrap();
    assert_eq!(watch.seen().await, ["app/a#1 stopped: shutdown"]);
    down(&handle).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn liveness_1_a_worker_that_blocks_its_thread_is_unresponsive_and_leaked() {
    let record = Record::default();
    let door = Arc::new(Door::default());
    let child = {
        let door = Arc::clone(&door);
        lives("a", &record, move |life| match life {
            1 => Script::run(Step::Block(Arc::clone(&door))),
            _ => Script::default(),
        })
    };
    let spec = SupervisorSpec::new("app")
        .with_kill_grace(millis(10))
        .with_child(child.liveness(seconds(1)));
    let handle = up(spec).await;
    let mut watch = Watch::on(&handle);
    let seen = soon(watch.until("app/a#2 started")).await;
    assert_eq!(
        seen,
        ["app/a#1 leaked", "app/a#1 exited: unresponsive, restart", "app/a#1 restarting: 1, 0ns"]
    );
    door.open();
    soon(watch.until("app/a#1 leak ended")).await;
    soon(down(&handle)).await;
}

#[tokio::test(start_paused = true)]
async fn liveness_2_it_is_off_by_default() {
    let record = Record::default();
    let handle = up(SupervisorSpec::new("app").with_child(idle("a", &record))).await;
    tokio::time::sleep(seconds(1_000_000)).await;
    assert_eq!(handle.child("a").await.unwrap().incarnation, 1);
    down(&handle).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn liveness_1_a_worker_that_blocks_after_a_timer_woke_it_is_unresponsive() {
    for _ in 0..20 {
        let door = Arc::new(Door::default());
        let blocks = {
            let door = Arc::clone(&door);
            ChildSpec::task("a", move |_| {
                let door = Arc::clone(&door);
                async move {
                    tokio::time::sleep(millis(5)).await;
                    door.block();
                    Ok::<_, String>(())
                }
            })
        };
        let spec = SupervisorSpec::new("app")
            .with_kill_grace(millis(10))
            .with_child(blocks.liveness(millis(100)).restart(RestartPolicy::Temporary));
        let handle = up(spec).await;
        let mut watch = Watch::on(&handle);
        // No `soon` here: its own timer would have the runtime look at its timers.
        watch.until("app/a#1 exited: unresponsive, end").await;
        door.open();
        soon(down(&handle)).await;
    }
}
