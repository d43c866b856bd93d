//! EVENTS 3 on the runtime: what is logged.

use std::sync::{Arc, Mutex};

use ash_core::{RestartPolicy, Shutdown, SupervisorHandle, SupervisorSpec};
use slog::{Drain, KV, Key, Level, Logger, Never, OwnedKVList, Record as Entry, Serializer, o};

use crate::support::{
    Door, Record, Script, Step, crashing, down, idle, intensity, lives, millis, no_task_is_left,
    scripted, settle, soon, temporary, up,
};

/// A drain that keeps what is logged: level, message, keys and values.
#[derive(Clone, Default)]
pub(crate) struct Kept(Arc<Mutex<Vec<Logged>>>);

#[derive(Clone, Debug)]
pub(crate) struct Logged {
    pub(crate) level: Level,
    pub(crate) message: String,
    pub(crate) values: Vec<(String, String)>,
}

impl Logged {
    fn value(&self, key: &str) -> Option<&str> {
        let found = self.values.iter().find(|(its, _)| its == key);
        found.map(|(_, value)| value.as_str())
    }

    /// Level, message, supervisor, child and reason in one line.
    fn line(&self) -> String {
        let mut line = format!("{} {}", self.level.as_short_str(), self.message);
        for key in ["supervisor", "child", "reason"] {
            if let Some(value) = self.value(key) {
                line.push_str(&format!(" {key}={value}"));
            }
        }
        line
    }
}

struct Values(Vec<(String, String)>);

impl Serializer for Values {
    fn emit_arguments(&mut self, key: Key, value: &std::fmt::Arguments<'_>) -> slog::Result {
        self.0.push((key.to_string(), value.to_string()));
        Ok(())
    }
}

impl Drain for Kept {
    type Ok = ();
    type Err = Never;

    fn log(&self, entry: &Entry<'_>, values: &OwnedKVList) -> Result<(), Never> {
        let mut all = Values(Vec::new());
        entry.kv().serialize(entry, &mut all).unwrap();
        values.serialize(entry, &mut all).unwrap();
        self.0.lock().unwrap().push(Logged {
            level: entry.level(),
            message: entry.msg().to_string(),
            values: all.0,
        });
        Ok(())
    }
}

impl Kept {
    pub(crate) fn logger(&self) -> Logger {
        Logger::root(self.clone().fuse(), o!("tree" => "tested"))
    }

    pub(crate) fn take(&self) -> Vec<Logged> {
        std::mem::take(&mut self.0.lock().unwrap())
    }

    fn lines(&self) -> Vec<String> {
        self.take().iter().map(Logged::line).collect()
    }
}

/// slog leaves debug out of release builds, so these hold what is logged above debug in those.
fn told_in_this_build(lines: &[&str]) -> Vec<String> {
    lines
        .iter()
        .filter(|line| cfg!(debug_assertions) || !line.starts_with("DEBG"))
        .map(|line| (*line).to_owned())
        .collect()
}

#[tokio::test(start_paused = true)]
async fn events_3_levels_and_keys() {
    let kept = Kept::default();
    let record = Record::default();
    let (crashes, crash) = crashing("crashes", &record);
    let fine = temporary("fine", &record, Script::run(Step::Ok).and_shutdown(Step::Err("dirty")));
    let spec = SupervisorSpec::new("app")
        .with_logger(kept.logger())
        .with_restart_intensity(intensity(1, 100))
        .with_child(crashes)
        .with_child(fine);
    let handle = up(spec).await;
    settle().await;
    crash.notify_one();
    settle().await;
    let broken = Script::initialize(Step::Err("no"));
    let broken = temporary("broken", &record, broken);
    handle.start_child_spec(broken).await.unwrap_err();
    crash.notify_one();
    handle.wait().await;
    let all = kept.take();
    assert!(all.iter().all(|entry| entry.value("tree") == Some("tested")));
    assert!(all.iter().all(|entry| entry.value("supervisor") == Some("app")));
    let restarting = all.iter().find(|entry| entry.message == "child restarting").unwrap();
    assert_eq!(restarting.value("strategy"), Some("OneForOne"));
    assert_eq!(restarting.value("attempt"), Some("1"));
    let lines: Vec<_> = all.iter().map(Logged::line).collect();
    assert_eq!(
        lines,
        told_in_this_build(&[
            "DEBG child started supervisor=app child=crashes",
            "DEBG child started supervisor=app child=fine",
            "DEBG supervisor started supervisor=app",
            "WARN child's shutdown failed supervisor=app child=fine reason=dirty",
            "DEBG child exited supervisor=app child=fine reason=normal",
            "WARN child exited supervisor=app child=crashes reason=error: crashed",
            "INFO child restarting supervisor=app child=crashes",
            "DEBG child started supervisor=app child=crashes",
            "WARN child failed to start supervisor=app child=broken reason=initialize failed: no",
            "WARN child exited supervisor=app child=crashes reason=error: crashed",
            "ERRO restart intensity exceeded supervisor=app child=crashes reason=error: crashed",
            "ERRO supervisor ended supervisor=app reason=restart intensity exceeded by child \
             `crashes` (error: crashed)",
        ])
    );
    no_task_is_left().await;
}

#[tokio::test(start_paused = true)]
async fn events_3_stops_are_debug_and_kills_are_warnings() {
    let kept = Kept::default();
    let record = Record::default();
    let done = scripted("done", &record, Script::run(Step::Ok));
    let brutal = idle("brutal", &record).shutdown(Shutdown::BrutalKill);
    let spec = SupervisorSpec::new("app")
        .with_logger(kept.logger())
        .with_child(idle("quiet", &record))
        .with_child(brutal)
        .with_child(done.restart(RestartPolicy::Transient));
    let handle = up(spec).await;
    settle().await;
    kept.take();
    down(&handle).await;
    assert_eq!(
        kept.lines(),
        told_in_this_build(&[
            "WARN child stopped supervisor=app child=brutal reason=killed",
            "DEBG child stopped supervisor=app child=quiet reason=shutdown",
            "DEBG supervisor ended supervisor=app reason=shutdown",
        ])
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn events_3_a_leak_is_an_error_and_its_end_is_told_even_after_the_tree_has_ended() {
    let kept = Kept::default();
    let record = Record::default();
    let door = Arc::new(Door::default());
    let blocks = Script::run(Step::Block(Arc::clone(&door)));
    let blocks = scripted("blocks", &record, blocks).shutdown(Shutdown::BrutalKill);
    let spec = SupervisorSpec::new("app")
        .with_logger(kept.logger())
        .with_kill_grace(millis(10))
        .with_child(blocks);
    let handle = up(spec).await;
    soon(door.reached()).await;
    soon(handle.shutdown()).await.unwrap();
    let leaked: Vec<_> =
        kept.take().into_iter().filter(|entry| entry.level == Level::Error).collect();
    assert_eq!(leaked.len(), 1);
    assert!(leaked[0].message.contains("leaked"));
    assert_eq!(leaked[0].value("child"), Some("blocks"));
    door.open();
    soon(no_task_is_left()).await;
    assert_eq!(kept.lines(), ["INFO leaked child ended supervisor=app child=blocks"]);
}

#[tokio::test(start_paused = true)]
async fn events_3_a_nested_supervisor_logs_where_its_parent_does_or_to_its_own() {
    let (outer, own) = (Kept::default(), Kept::default());
    let record = Record::default();
    let crashes = |id| {
        lives(id, &record, |life| match life {
            1 => Script::run(Step::Err("bad")),
            _ => Script::default(),
        })
    };
    let spec = SupervisorSpec::new("app")
        .with_logger(outer.logger())
        .with_supervisor(SupervisorSpec::new("plain").with_child(crashes("a")))
        .with_supervisor(
            SupervisorSpec::new("own").with_logger(own.logger()).with_child(crashes("b")),
        );
    let handle = up(spec).await;
    settle().await;
    down(&handle).await;
    let warnings = |kept: &Kept| {
        let mut lines = kept.lines();
        lines.retain(|line| line.starts_with("WARN"));
        lines
    };
    assert_eq!(
        warnings(&outer),
        ["WARN child exited supervisor=app/plain child=a reason=error: bad"]
    );
    assert_eq!(warnings(&own), ["WARN child exited supervisor=app/own child=b reason=error: bad"]);
}

#[tokio::test(start_paused = true)]
async fn events_3_the_sources_of_an_error_are_logged() {
    #[derive(Debug, thiserror::Error)]
    #[error("no configuration")]
    struct Outer(#[source] std::num::ParseIntError);
    let kept = Kept::default();
    let child =
        ash_core::ChildSpec::task("a", |_| async { "x".parse::<u8>().map(drop).map_err(Outer) });
    let spec = SupervisorSpec::new("app")
        .with_logger(kept.logger())
        .with_child(child.restart(RestartPolicy::Temporary));
    let handle = up(spec).await;
    settle().await;
    let lines = kept.lines();
    let wanted = "WARN child exited supervisor=app child=a reason=error: no configuration: \
                  invalid digit found in string";
    assert!(lines.contains(&wanted.to_owned()), "{lines:#?}");
    down(&handle).await;
}

#[tokio::test(start_paused = true)]
async fn events_3_a_supervisor_that_ends_abnormally_is_a_warning_and_says_its_cause_once() {
    let kept = Kept::default();
    let record = Record::default();
    let sub = SupervisorSpec::new("sub").with_child(idle("a", &record));
    let spec = SupervisorSpec::new("app")
        .with_logger(kept.logger())
        .with_child(ash_core::ChildSpec::supervisor(sub).shutdown(Shutdown::BrutalKill))
        .with_child(scripted("x", &record, Script::initialize(Step::Err("no"))));
    let handle = SupervisorHandle::start(spec);
    handle.wait().await;
    let lines = kept.lines();
    for wanted in [
        "WARN supervisor ended supervisor=app/sub reason=killed",
        "WARN supervisor ended supervisor=app reason=error: child `app/x` did not start: \
         initialize failed: no",
    ] {
        assert!(lines.contains(&wanted.to_owned()), "{lines:#?}");
    }
}

#[tokio::test(start_paused = true)]
async fn events_3_a_drain_or_an_error_text_that_panics_gets_no_further() {
    struct Panics;
    impl Drain for Panics {
        type Ok = ();
        type Err = Never;
        fn log(&self, _: &Entry<'_>, _: &OwnedKVList) -> Result<(), Never> {
            panic!("the drain panics")
        }
    }
    #[derive(Debug)]
    struct Unspeakable;
    impl std::fmt::Display for Unspeakable {
        fn fmt(&self, _: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
            panic!("the text panics")
        }
    }
    impl std::error::Error for Unspeakable {}
    let kept = Kept::default();
    for logger in [Logger::root(Panics, o!()), kept.logger()] {
        let child = ash_core::ChildSpec::task("a", |context: ash_core::ChildContext| async move {
            if context.incarnation() == 1 {
                return Err(Unspeakable);
            }
            std::future::pending().await
        });
        let spec = SupervisorSpec::new("app").with_logger(logger).with_child(child);
        let handle = SupervisorHandle::start(spec);
        handle.ready().await.unwrap();
        settle().await;
        assert_eq!(handle.child("a").await.unwrap().incarnation, 2);
        down(&handle).await;
    }
}
