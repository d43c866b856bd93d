//! STOP 1, 2, 4: how long an incarnation has, and what it is spared.

use ash_core::{ChildSpec, RestartPolicy, Shutdown, SupervisorError, SupervisorSpec};
use tokio::time::Instant;

use super::stop_alone;
use crate::support::{Record, Script, Step, Watch, down, millis, scripted, seconds, settle, up};

#[tokio::test(start_paused = true)]
async fn stop_1_the_policy_of_a_child_bounds_its_stop() {
    for (policy, took) in [
        (None, 5),
        (Some(Shutdown::Timeout(seconds(2))), 2),
        (Some(Shutdown::Timeout(seconds(0))), 0),
        (Some(Shutdown::Infinity), 60),
        (Some(Shutdown::BrutalKill), 0),
    ] {
        let record = Record::default();
        let slow = Script::default().and_shutdown(Step::Sleep(seconds(60)));
        let mut child = scripted("a", &record, slow);
        if let Some(policy) = policy {
            child = child.shutdown(policy);
        }
        let killed = took < 60;
        let (seconds, did, told) = stop_alone(child, &record).await;
        assert_eq!(seconds, took, "{policy:?}");
        let reason = if killed { "killed" } else { "shutdown" };
        assert_eq!(told, format!("app/a#1 stopped: {reason}"));
        assert_eq!(did.last().unwrap(), "a#1 drop");
    }
}

#[tokio::test(start_paused = true)]
async fn stop_1_a_supervisor_has_all_the_time_its_children_need() {
    let record = Record::default();
    let slow = Script::default().and_shutdown(Step::Sleep(seconds(60)));
    let slow = scripted("a", &record, slow).shutdown(Shutdown::Infinity);
    let sub = SupervisorSpec::new("sub").with_child(slow);
    let (took, did, told) = stop_alone(sub, &record).await;
    assert_eq!(took, 60);
    assert_eq!(did, ["a#1 shutdown", "a#1 drop"]);
    assert_eq!(told, "app/sub#1 stopped: shutdown");
}

#[tokio::test(start_paused = true)]
async fn stop_2_run_is_dropped_at_its_next_await_if_the_token_was_not_taken() {
    let record = Record::default();
    let child = scripted("a", &record, Script::run(Step::Sleep(seconds(60))));
    let (took, did, told) = stop_alone(child, &record).await;
    assert_eq!(took, 0);
    assert_eq!(did, ["a#1 shutdown", "a#1 drop"]);
    assert_eq!(told, "app/a#1 stopped: shutdown");
}

#[tokio::test(start_paused = true)]
async fn stop_2_a_worker_that_took_its_token_returns_by_itself() {
    let record = Record::default();
    let child = scripted("a", &record, Script::run(Step::ObeyAfter(seconds(3))));
    let (took, did, told) = stop_alone(child, &record).await;
    assert_eq!(took, 3);
    assert_eq!(did, ["a#1 shutdown", "a#1 drop"]);
    assert_eq!(told, "app/a#1 stopped: shutdown");
}

#[tokio::test(start_paused = true)]
async fn stop_2_shutdown_has_what_is_left_of_the_timeout() {
    for (hook, took, reason) in [(2, 5, "killed"), (1, 4, "shutdown")] {
        let record = Record::default();
        let script = Script::run(Step::ObeyAfter(seconds(3)))
            .and_shutdown(Step::Sleep(seconds(hook) + millis(500)));
        let (seconds, did, told) = stop_alone(scripted("a", &record, script), &record).await;
        assert_eq!(seconds, took);
        assert_eq!(did, ["a#1 shutdown", "a#1 drop"]);
        assert_eq!(told, format!("app/a#1 stopped: {reason}"));
    }
}

#[tokio::test(start_paused = true)]
async fn stop_2_a_worker_that_takes_its_token_and_does_not_obey_is_killed() {
    let record = Record::default();
    let child = scripted("a", &record, Script::run(Step::Deaf));
    let (took, did, told) = stop_alone(child, &record).await;
    assert_eq!(took, 5);
    assert_eq!(did, ["a#1 drop"], "its shutdown does not run");
    assert_eq!(told, "app/a#1 stopped: killed");
}

#[tokio::test(start_paused = true)]
async fn stop_2_initialize_is_dropped_at_its_next_await_token_or_not() {
    for step in [Step::Hang, Step::Deaf, Step::ObeyAfter(seconds(3))] {
        let record = Record::default();
        let handle = up(SupervisorSpec::new("app")).await;
        let starting = {
            let (handle, child) =
                (handle.clone(), scripted("a", &record, Script::initialize(step)));
            tokio::spawn(async move { handle.start_child_spec(child).await })
        };
        settle().await;
        let since = Instant::now();
        handle.stop_child("a").await.unwrap();
        assert_eq!(since.elapsed(), seconds(0));
        assert_eq!(record.take(), ["a#1 made", "a#1 init", "a#1 drop"]);
        assert!(matches!(starting.await.unwrap(), Err(SupervisorError::StartFailed { .. })));
        down(&handle).await;
    }
}

#[tokio::test(start_paused = true)]
async fn stop_2_brutal_kill_skips_all_of_it() {
    for step in [Step::Hang, Step::Deaf, Step::ObeyAfter(seconds(0))] {
        let record = Record::default();
        let child = scripted("a", &record, Script::run(step)).shutdown(Shutdown::BrutalKill);
        let (took, did, told) = stop_alone(child, &record).await;
        assert_eq!(took, 0);
        assert_eq!(did, ["a#1 drop"]);
        assert_eq!(told, "app/a#1 stopped: killed");
    }
}

#[tokio::test(start_paused = true)]
async fn stop_2_the_token_is_cancelled_however_the_incarnation_ends() {
    for script in [
        Script::run(Step::Ok),
        Script::run(Step::Err("bad")),
        Script::run(Step::Panic("boom")),
        Script::initialize(Step::Err("bad")),
        Script::initialize(Step::Hang),
    ] {
        let (tokens, mut token) = tokio::sync::mpsc::unbounded_channel();
        let record = Record::default();
        let child = ChildSpec::worker_with("a", move |context: ash_core::ChildContext| {
            tokens.send(context.stop_token()).unwrap();
            crate::support::Scripted::new("a#1", script.clone(), &record, context)
        });
        let handle = up(SupervisorSpec::new("app")).await;
        let child = child.restart(RestartPolicy::Temporary).init_timeout(seconds(1));
        let _ = handle.start_child_spec(child).await;
        settle().await;
        assert!(token.recv().await.unwrap().is_cancelled());
        down(&handle).await;
    }
}

#[tokio::test(start_paused = true)]
async fn stop_4_a_supervisor_that_is_killed_kills_its_children_and_ends() {
    for (policy, took) in [(Shutdown::Timeout(seconds(3)), 3), (Shutdown::BrutalKill, 0)] {
        let record = Record::default();
        let deaf = |id| {
            let script = Script::run(Step::Deaf);
            scripted(id, &record, script).shutdown(Shutdown::Infinity)
        };
        let sub = SupervisorSpec::new("sub")
            .with_child(deaf("a"))
            .with_supervisor(SupervisorSpec::new("deep").with_child(deaf("b")))
            .with_child(deaf("c"));
        let handle = up(SupervisorSpec::new("app")).await;
        let child = ChildSpec::supervisor(sub).shutdown(policy);
        handle.start_child_spec(child).await.unwrap();
        settle().await;
        record.take();
        let mut watch = Watch::on(&handle);
        let since = Instant::now();
        handle.stop_child("sub").await.unwrap();
        assert_eq!(since.elapsed(), seconds(took));
        let mut did = record.take();
        did.sort();
        assert_eq!(did, ["a#1 drop", "b#1 drop", "c#1 drop"]);
        let seen = watch.seen().await;
        for killed in ["sub/a", "sub/c", "sub/deep/b"] {
            assert!(seen.contains(&format!("app/{killed}#1 stopped: killed")), "{seen:#?}");
        }
        assert_eq!(seen.last().unwrap(), "app/sub#1 stopped: killed");
        down(&handle).await;
    }
}

#[tokio::test(start_paused = true)]
async fn stop_2_a_token_that_is_taken_after_the_end_of_its_incarnation_is_cancelled() {
    for restart in [RestartPolicy::Permanent, RestartPolicy::Temporary] {
        let (contexts, mut context) = tokio::sync::mpsc::unbounded_channel();
        let child = ChildSpec::task("a", move |context| {
            let is_first = context.incarnation() == 1;
            contexts.send(context).unwrap();
            async move {
                if is_first {
                    return Err("crashed");
                }
                std::future::pending().await
            }
        });
        let handle = up(SupervisorSpec::new("app")).await;
        handle.start_child_spec(child.restart(restart)).await.unwrap();
        settle().await;
        assert!(context.recv().await.unwrap().stop_token().is_cancelled());
        if restart == RestartPolicy::Permanent {
            let next = context.recv().await.unwrap();
            assert!(!next.stop_token().is_cancelled(), "it is another incarnation's");
        }
        down(&handle).await;
    }
}
