//! Workers whose every step is scripted and recorded, and a check that nothing is left over.

use std::fmt::Display;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use ash_core::{ChildContext, ChildSpec, RestartPolicy, Worker, async_trait};
use tokio::sync::Notify;

/// What the workers of a test did, in order: `a#1 init`, `a#1 run`, ….
#[derive(Clone, Debug, Default)]
pub(crate) struct Record(Arc<Mutex<Vec<String>>>);

impl Record {
    pub(crate) fn add(&self, entry: impl Display) {
        self.0.lock().unwrap().push(entry.to_string());
    }

    /// Returns what was recorded since the last call.
    pub(crate) fn take(&self) -> Vec<String> {
        std::mem::take(&mut self.0.lock().unwrap())
    }
}

/// What a scripted worker does at one of its steps.
#[derive(Clone, Debug, Default)]
pub(crate) enum Step {
    /// Goes on at once; in `run`, waits for ever.
    #[default]
    Default,
    Ok,
    Err(&'static str),
    Panic(&'static str),
    /// Goes on after this time.
    Sleep(Duration),
    /// Never goes on, not even when asked to.
    Hang,
    /// Takes the stop token and returns when it is cancelled.
    Obey,
    /// Waits to be told, then returns this error.
    ErrWhen(Arc<Notify>, &'static str),
    /// Waits to be told, then returns.
    OkWhen(Arc<Notify>),
    /// Waits to be told, then panics.
    PanicWhen(Arc<Notify>, &'static str),
}

/// What a scripted worker does in one of its lives.
#[derive(Clone, Debug, Default)]
pub(crate) struct Script {
    pub(crate) factory: Step,
    pub(crate) initialize: Step,
    pub(crate) run: Step,
    pub(crate) shutdown: Step,
    pub(crate) drop: Step,
}

pub(crate) struct Scripted {
    name: String,
    script: Script,
    record: Record,
    context: ChildContext,
}

impl Scripted {
    async fn step(&self, step: Step, otherwise: Step) -> Result<(), String> {
        let step = if matches!(step, Step::Default) { otherwise } else { step };
        match step {
            Step::Default | Step::Ok => Ok(()),
            Step::Err(error) => Err(error.to_owned()),
            Step::Panic(message) => panic!("{message}"),
            Step::Sleep(time) => {
                tokio::time::sleep(time).await;
                Ok(())
            }
            Step::Hang => std::future::pending().await,
            Step::Obey => {
                self.context.stop_token().cancelled().await;
                Ok(())
            }
            Step::ErrWhen(told, error) => {
                told.notified().await;
                Err(error.to_owned())
            }
            Step::OkWhen(told) => {
                told.notified().await;
                Ok(())
            }
            Step::PanicWhen(told, message) => {
                told.notified().await;
                panic!("{message}")
            }
        }
    }
}

#[async_trait]
impl Worker for Scripted {
    type Error = String;

    async fn initialize(&mut self) -> Result<(), String> {
        self.record.add(format_args!("{} init", self.name));
        self.step(self.script.initialize.clone(), Step::Ok).await
    }

    async fn run(&mut self) -> Result<(), String> {
        self.record.add(format_args!("{} run", self.name));
        self.step(self.script.run.clone(), Step::Hang).await
    }

    async fn shutdown(&mut self) -> Result<(), String> {
        self.record.add(format_args!("{} shutdown", self.name));
        self.step(self.script.shutdown.clone(), Step::Ok).await
    }
}

impl Drop for Scripted {
    fn drop(&mut self) {
        self.record.add(format_args!("{} drop", self.name));
        if let Step::Panic(message) = &self.script.drop {
            panic!("{message}");
        }
    }
}

/// A child whose every life follows a script.
pub(crate) fn scripted(id: &'static str, record: &Record, script: Script) -> ChildSpec {
    lives(id, record, move |_| script.clone())
}

/// A child whose lives follow scripts of their own; the number of the life is given, from 1 on.
pub(crate) fn lives(
    id: &'static str,
    record: &Record,
    script: impl Fn(u64) -> Script + Send + Sync + 'static,
) -> ChildSpec {
    let record = record.clone();
    ChildSpec::worker_with(id, move |context: ChildContext| {
        let script = script(context.incarnation());
        let name = format!("{id}#{}", context.incarnation());
        record.add(format_args!("{name} made"));
        if let Step::Panic(message) = script.factory {
            panic!("{message}");
        }
        Scripted { name, script, record: record.clone(), context }
    })
}

/// A child that does nothing until it is stopped.
pub(crate) fn idle(id: &'static str, record: &Record) -> ChildSpec {
    scripted(id, record, Script::default())
}

/// A child that returns an error when it is told to.
pub(crate) fn crashing(id: &'static str, record: &Record) -> (ChildSpec, Arc<Notify>) {
    let told = Arc::new(Notify::new());
    let run = Step::ErrWhen(Arc::clone(&told), "crashed");
    (scripted(id, record, Script { run, ..Script::default() }), told)
}

/// A temporary child with this script.
pub(crate) fn temporary(id: &'static str, record: &Record, script: Script) -> ChildSpec {
    scripted(id, record, script).restart(RestartPolicy::Temporary)
}

/// Waits until no task but the test's own is alive; fails if one stays.
pub(crate) async fn no_task_is_left() {
    let metrics = tokio::runtime::Handle::current().metrics();
    for _ in 0..1_000 {
        if metrics.num_alive_tasks() == 0 {
            return;
        }
        tokio::task::yield_now().await;
    }
    panic!("{} tasks are left", metrics.num_alive_tasks());
}

/// Lets everything run that can.
pub(crate) async fn settle() {
    for _ in 0..50 {
        tokio::task::yield_now().await;
    }
}

pub(crate) fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}
