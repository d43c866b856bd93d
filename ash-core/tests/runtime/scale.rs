//! Very many children in one tree.

use std::time::Duration;

use ash_core::{ChildSpec, RestartPolicy, Shutdown, SupervisorSpec};
use futures_util::future::join_all;
use tokio::time::Instant;

use crate::support::{down, intensity, no_task_is_left, settle, up};

const CHILDREN: usize = 100_000;

fn idle(number: usize) -> ChildSpec {
    ChildSpec::task(format!("child-{number}"), |_| std::future::pending::<Result<(), String>>())
}

#[tokio::test(start_paused = true)]
async fn stop_6_a_hundred_thousand_children_come_and_go() {
    let handle = up(SupervisorSpec::new("app")).await;
    let all: Vec<_> = (0..CHILDREN).collect();
    for some in all.chunks(1_000) {
        let calls = some.iter().map(|&number| handle.start_child_spec(idle(number)));
        for started in join_all(calls).await {
            started.unwrap();
        }
    }
    let listed = handle.which_children().await.unwrap();
    assert_eq!(listed.len(), CHILDREN);
    assert!(
        listed.iter().enumerate().all(|(number, child)| child.id == format!("child-{number}")),
        "in start order"
    );
    assert_eq!(handle.count_children().await.unwrap().active, CHILDREN);
    let mut numbers = all;
    fastrand::Rng::with_seed(7).shuffle(&mut numbers);
    for some in numbers[..CHILDREN / 2].chunks(1_000) {
        let calls = some.iter().map(|number| handle.terminate_child(format!("child-{number}")));
        for terminated in join_all(calls).await {
            terminated.unwrap();
        }
    }
    let mut left = numbers[CHILDREN / 2..].to_vec();
    left.sort_unstable();
    let listed = handle.which_children().await.unwrap();
    assert!(
        listed
            .iter()
            .map(|child| child.id.to_string())
            .eq(left.iter().map(|number| format!("child-{number}"))),
        "those that were left alone, in start order"
    );
    let since = Instant::now();
    down(&handle).await;
    assert_eq!(since.elapsed(), Duration::ZERO);
}

#[tokio::test(start_paused = true)]
async fn many_short_jobs_leave_nothing_behind() {
    let handle = up(SupervisorSpec::new("app")).await;
    for number in 0..5_000 {
        let policy =
            if number % 2 == 0 { RestartPolicy::Temporary } else { RestartPolicy::Transient };
        let job = ChildSpec::task(format!("job-{number}"), |_| async { Ok::<_, String>(()) });
        handle.start_child_spec(job.restart(policy)).await.unwrap();
    }
    settle().await;
    assert_eq!(handle.count_children().await.unwrap().specs, 0);
    no_tasks_but_the_supervisors(1).await;
    down(&handle).await;
}

async fn no_tasks_but_the_supervisors(wanted: usize) {
    settle().await;
    let metrics = tokio::runtime::Handle::current().metrics();
    assert_eq!(metrics.num_alive_tasks(), wanted);
}

#[tokio::test(start_paused = true)]
async fn many_are_killed_at_a_deadline_at_once() {
    let handle = up(SupervisorSpec::new("app")).await;
    for number in 0..10_000 {
        let deaf = ChildSpec::task(format!("deaf-{number}"), |child: ash_core::ChildContext| {
            let token = child.stop_token();
            async move {
                let _token = token;
                std::future::pending::<Result<(), String>>().await
            }
        });
        let deaf = deaf.shutdown(Shutdown::Infinity);
        handle.start_child_spec(deaf).await.unwrap();
    }
    settle().await;
    let since = Instant::now();
    let report = handle.shutdown_within(Duration::from_secs(3)).await.unwrap();
    assert_eq!(since.elapsed(), Duration::from_secs(3));
    assert_eq!(report.killed.len(), 10_000);
    assert!(report.leaked.is_empty());
    no_task_is_left().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_callers_and_crashes_at_once_keep_their_order() {
    let spec = SupervisorSpec::new("app").with_restart_intensity(intensity(usize::MAX, 1));
    let handle = up(spec).await;
    let callers: Vec<_> = (0..20)
        .map(|caller| {
            let handle = handle.clone();
            tokio::spawn(async move {
                for round in 0..100 {
                    let id = format!("{caller}-{round}");
                    let crashes = ChildSpec::task(&id, |_| async {
                        tokio::task::yield_now().await;
                        Err::<(), _>("crashed")
                    });
                    handle.start_child_spec(crashes).await.unwrap();
                    handle.restart_child(&id).await.unwrap();
                    handle.stop_child(&id).await.unwrap();
                    handle.delete_child(&id).await.unwrap();
                }
            })
        })
        .collect();
    for caller in callers {
        crate::support::soon(caller).await.unwrap();
    }
    assert_eq!(handle.count_children().await.unwrap().specs, 0);
    crate::support::soon(down(&handle)).await;
}
