//! START on the runtime.

use std::error::Error;

use ash_core::{ExitReason, StartCause, StartError, SupervisorHandle, SupervisorSpec};

use crate::support::{Record, Script, Step, idle, no_task_is_left, scripted};

#[tokio::test(start_paused = true)]
async fn start_2_children_start_one_by_one_in_order() {
    let record = Record::default();
    let spec = SupervisorSpec::new("app")
        .with_child(idle("a", &record))
        .with_supervisor(SupervisorSpec::new("sub").with_child(idle("b", &record)))
        .with_child(idle("c", &record));
    let handle = SupervisorHandle::start(spec);
    handle.ready().await.unwrap();
    let inits: Vec<_> = record.take().into_iter().filter(|line| line.ends_with("init")).collect();
    assert_eq!(inits, ["a#1 init", "b#1 init", "c#1 init"]);
    handle.shutdown().await.unwrap();
    assert!(matches!(handle.wait().await, ExitReason::Shutdown));
    let ends: Vec<_> = record.take().into_iter().filter(|line| line.ends_with("drop")).collect();
    assert_eq!(ends, ["c#1 drop", "b#1 drop", "a#1 drop"]);
    no_task_is_left().await;
}

#[tokio::test(start_paused = true)]
async fn start_4_the_error_names_the_whole_path_and_carries_the_cause() {
    let record = Record::default();
    let broken = Script { initialize: Step::Err("no database"), ..Script::default() };
    let spec = SupervisorSpec::new("app").with_child(idle("a", &record)).with_supervisor(
        SupervisorSpec::new("sub")
            .with_child(idle("b", &record))
            .with_child(scripted("broken", &record, broken)),
    );
    let handle = SupervisorHandle::start(spec);
    let error = handle.ready().await.unwrap_err();
    let StartError::ChildFailed { path, cause } = &error else { panic!("{error:?}") };
    assert_eq!(path, "app/sub/broken");
    assert!(matches!(cause, StartCause::Failed(error) if error.to_string() == "no database"));
    let source = error.source().unwrap().source().unwrap();
    assert_eq!(source.to_string(), "no database");
    assert!(matches!(handle.wait().await, ExitReason::Error(_)));
    let ends: Vec<_> = record.take().into_iter().filter(|line| line.ends_with("drop")).collect();
    assert_eq!(ends, ["broken#1 drop", "b#1 drop", "a#1 drop"]);
    no_task_is_left().await;
}
