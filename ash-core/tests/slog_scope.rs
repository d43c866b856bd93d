//! EVENTS 3: what slog-scope does to its global logger must not panic a tree. In a process of its
//! own, because that logger is global, and because every panic counts.

#![expect(clippy::unwrap_used, reason = "a test fails by a panic, helpers included")]

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use ash_core::{ChildSpec, ExitReason, SupervisorHandle, SupervisorSpec};
use slog::{Drain, Logger, Never, OwnedKVList, Record, o};

#[derive(Clone, Default)]
struct Kept(Arc<Mutex<Vec<String>>>);

impl Drain for Kept {
    type Ok = ();
    type Err = Never;

    fn log(&self, record: &Record<'_>, _: &OwnedKVList) -> Result<(), Never> {
        let line = format!("{} {}", record.level().as_short_str(), record.msg());
        self.0.lock().unwrap().push(line);
        Ok(())
    }
}

static PANICS: AtomicUsize = AtomicUsize::new(0);

#[test]
fn events_3_the_global_guard_may_be_dropped_while_a_tree_still_stops() {
    let show = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |info| {
        PANICS.fetch_add(1, Ordering::SeqCst);
        show(info);
    }));
    let kept = Kept::default();
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .start_paused(true)
        .build()
        .unwrap();
    let crashes = ChildSpec::task("crashes", |_| async {
        tokio::time::sleep(Duration::from_secs(1)).await;
        Err("crashed")
    });
    let stops = ChildSpec::task("stops", |child: ash_core::ChildContext| async move {
        child.stop_token().cancelled().await;
        tokio::time::sleep(Duration::from_secs(2)).await;
        Err("not like that")
    });
    let sub = SupervisorSpec::new("sub").with_child(crashes);
    let spec = SupervisorSpec::new("app").with_child(stops).with_supervisor(sub);
    runtime.block_on(async {
        let guard = slog_scope::set_global_logger(Logger::root(kept.clone(), o!()));
        let handle = SupervisorHandle::start(spec.clone());
        handle.ready().await.unwrap();
        tokio::time::sleep(Duration::from_millis(1_500)).await;
        drop(guard);
        tokio::time::sleep(Duration::from_secs(1)).await;
        handle.shutdown().await.unwrap();
        assert!(matches!(handle.wait().await, ExitReason::Shutdown));
    });
    drop(runtime);
    assert_eq!(PANICS.load(Ordering::SeqCst), 0);
    let lines = std::mem::take(&mut *kept.0.lock().unwrap());
    let warnings = lines.iter().filter(|line| *line == "WARN child exited").count();
    assert_eq!(warnings, 2, "it logs to the logger it started with: {lines:?}");
    assert!(lines.contains(&"WARN child stopped".to_owned()), "{lines:?}");

    // A tree that is started after the guard was dropped finds a logger that panics. It is not
    // taken down by that.
    let runtime =
        tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    runtime.block_on(async {
        let handle = SupervisorHandle::start(spec);
        handle.ready().await.unwrap();
        handle.shutdown_within(Duration::ZERO).await.unwrap();
        assert!(matches!(handle.wait().await, ExitReason::Shutdown));
    });
}
