//! RESTART 12: one incarnation after the other.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use ash_core::{
    ChildSpec, RestartIntensity, Shutdown, SupervisorHandle, SupervisorSpec, Worker, async_trait,
};

use crate::support::{
    Door, Record, Script, Step, Watch, down, lives, millis, seconds, settle, soon, up,
};

/// A worker that counts how many of its kind are alive.
struct Counted(Arc<AtomicUsize>);

impl Counted {
    fn new(alive: &Arc<AtomicUsize>, most: &Arc<AtomicUsize>) -> Self {
        most.fetch_max(alive.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
        Self(Arc::clone(alive))
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::SeqCst);
    }
}

#[async_trait]
impl Worker for Counted {
    type Error = String;

    async fn run(&mut self) -> Result<(), String> {
        tokio::task::yield_now().await;
        Err("crashed".to_owned())
    }

    async fn shutdown(&mut self) -> Result<(), String> {
        tokio::task::yield_now().await;
        Ok(())
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn restart_12_incarnations_of_a_child_never_overlap() {
    let (alive, most) = (Arc::default(), Arc::default());
    let child = {
        let (alive, most) = (Arc::clone(&alive), Arc::clone(&most));
        ChildSpec::worker("a", move || Counted::new(&alive, &most))
    };
    let spec = SupervisorSpec::new("app")
        .with_restart_intensity(RestartIntensity { max_restarts: 300, within_seconds: 1_000 })
        .with_child(child);
    let handle = SupervisorHandle::start(spec);
    let restarts = tokio::spawn({
        let handle = handle.clone();
        // Not for ever: a call that meets the child's own exit calls the restart off, so that one
        // after the other would have it never charged.
        async move {
            for _ in 0..1_000 {
                let _ = handle.restart_child("a").await;
            }
        }
    });
    let reason = soon(handle.wait()).await;
    assert!(reason.to_string().contains("exceeded"), "{reason}");
    soon(restarts).await.unwrap();
    assert_eq!(most.load(Ordering::SeqCst), 1);
    assert_eq!(alive.load(Ordering::SeqCst), 0);
    soon(down(&handle)).await;
}

#[tokio::test(start_paused = true)]
async fn restart_12_the_factory_runs_after_the_old_worker_was_dropped() {
    let record = Record::default();
    let child = lives("a", &record, |life| match life {
        1 => Script::run(Step::Err("crashed")).and_shutdown(Step::Sleep(seconds(2))),
        _ => Script::default(),
    });
    let handle = up(SupervisorSpec::new("app").with_child(child)).await;
    tokio::time::sleep(seconds(3)).await;
    handle.restart_child("a").await.unwrap();
    let order: Vec<_> = record
        .take()
        .into_iter()
        .filter(|entry| !entry.ends_with("init") && !entry.ends_with("run"))
        .collect();
    assert_eq!(
        order,
        [
            "a#1 made",
            "a#1 shutdown",
            "a#1 drop",
            "a#2 made",
            "a#2 shutdown",
            "a#2 drop",
            "a#3 made"
        ]
    );
    down(&handle).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn restart_12_a_leaked_incarnation_is_reported_before_the_next_one_is_made() {
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
        .with_kill_grace(millis(20))
        .with_child(child.shutdown(Shutdown::Timeout(millis(20))));
    let handle = up(spec).await;
    soon(door.reached()).await;
    let mut watch = Watch::on(&handle);
    soon(handle.restart_child("a")).await.unwrap();
    let seen = soon(watch.until("app/a#2 started")).await;
    assert_eq!(seen, ["app/a#1 leaked", "app/a#1 stopped: killed"]);
    assert_eq!(record.take_only("drop"), Vec::<String>::new());
    door.open();
    soon(watch.until("app/a#1 leak ended")).await;
    assert_eq!(record.take_only("drop"), ["a#1 drop"]);
    assert_eq!(handle.child("a").await.unwrap().incarnation, 2);
    soon(down(&handle)).await;
}

#[tokio::test(start_paused = true)]
async fn restart_12_a_restarted_worker_lives_on_in_its_task_with_a_context_of_its_own() {
    let lives = Arc::new(Mutex::new(Vec::new()));
    let record = Arc::clone(&lives);
    let spec = SupervisorSpec::new("app").with_child(ChildSpec::task("a", move |context| {
        let record = Arc::clone(&record);
        async move {
            let token = context.stop_token();
            let number = context.incarnation();
            record.lock().unwrap().push((number, tokio::task::id(), token.clone()));
            if number < 3 {
                return Err("crashed");
            }
            token.cancelled().await;
            Ok(())
        }
    }));
    let handle = up(spec).await;
    settle().await;
    let lives = lives.lock().unwrap().clone();
    assert_eq!(lives.iter().map(|(number, ..)| *number).collect::<Vec<_>>(), [1, 2, 3]);
    assert!(lives.iter().all(|(_, task, _)| *task == lives[0].1), "one task");
    let cancelled: Vec<_> = lives.iter().map(|(.., token)| token.is_cancelled()).collect();
    assert_eq!(cancelled, [true, true, false]);
    down(&handle).await;
}
