//! Workers whose every step is scripted and recorded, and a check that nothing is left over.

use std::fmt::Display;
use std::sync::{Arc, Condvar, Mutex};
use std::time::{Duration, Instant};

use ash_core::{
    ChildContext, ChildSpec, Event, EventKind, Events, ExitReason, RestartIntensity, RestartPolicy,
    SupervisorHandle, SupervisorSpec, Worker, async_trait,
};
use futures_util::FutureExt;
use tokio::sync::Notify;

/// What the workers of a test did, in order: `a#1 init`, `a#1 run`, ….
#[derive(Clone, Debug, Default)]
pub(crate) struct Record(Arc<Mutex<Vec<String>>>);

impl Record {
    pub(crate) fn add(&self, entry: impl Display) {
        self.0.lock().unwrap().push(entry.to_string());
    }

    /// Tells whether this was recorded since the last call of one that takes it.
    pub(crate) fn has(&self, entry: &str) -> bool {
        self.0.lock().unwrap().iter().any(|its| its == entry)
    }

    /// Returns what was recorded since the last call.
    pub(crate) fn take(&self) -> Vec<String> {
        std::mem::take(&mut self.0.lock().unwrap())
    }

    /// Returns what was recorded since the last call, but for what ends with this word.
    pub(crate) fn take_without(&self, word: &str) -> Vec<String> {
        let mut entries = self.take();
        entries.retain(|entry| !entry.ends_with(word));
        entries
    }

    /// Returns those of what was recorded since the last call that end with this word.
    pub(crate) fn take_only(&self, word: &str) -> Vec<String> {
        let mut entries = self.take();
        entries.retain(|entry| entry.ends_with(word));
        entries
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
    /// Takes the stop token, and returns this long after it was cancelled.
    ObeyAfter(Duration),
    /// Takes the stop token, and never returns.
    Deaf,
    /// Waits to be told, then returns this error.
    ErrWhen(Arc<Notify>, &'static str),
    /// Waits to be told, then returns.
    OkWhen(Arc<Notify>),
    /// Blocks its thread until the door is opened.
    Block(Arc<Door>),
}

/// What a worker blocks its thread on.
#[derive(Debug, Default)]
pub(crate) struct Door {
    is_open: Mutex<bool>,
    opened: Condvar,
    reached: Notify,
}

impl Door {
    /// Blocks the thread until the door is open.
    pub(crate) fn block(&self) {
        self.reached.notify_one();
        let is_open = self.is_open.lock().unwrap();
        let (_is_open, waited) =
            self.opened.wait_timeout_while(is_open, PATIENCE, |is_open| !*is_open).unwrap();
        assert!(!waited.timed_out(), "nobody has opened the door");
    }

    /// Waits until somebody stands before the door.
    pub(crate) async fn reached(&self) {
        self.reached.notified().await;
    }

    pub(crate) fn open(&self) {
        *self.is_open.lock().unwrap() = true;
        self.opened.notify_all();
    }
}

/// Blocks the thread in which it is dropped.
#[derive(Debug)]
pub(crate) struct BlocksLast(Arc<Door>);

impl BlocksLast {
    pub(crate) fn new(door: &Arc<Door>) -> Self {
        Self(Arc::clone(door))
    }
}

impl Drop for BlocksLast {
    fn drop(&mut self) {
        self.0.block();
    }
}

/// A child whose factory holds this, and something that blocks as it is dropped.
pub(crate) fn blocks_last<T>(id: &str, holds: T, door: &Arc<Door>) -> ChildSpec
where
    T: Send + Sync + 'static,
{
    let held = (holds, BlocksLast::new(door));
    ChildSpec::task(id, move |_| {
        let _ = &held;
        std::future::pending::<Result<(), String>>()
    })
}

/// How long a test waits for what has to happen, in real time.
const PATIENCE: Duration = Duration::from_secs(20);

/// What a scripted worker does in one of its lives.
#[derive(Clone, Debug, Default)]
pub(crate) struct Script {
    pub(crate) factory: Step,
    pub(crate) initialize: Step,
    pub(crate) run: Step,
    pub(crate) shutdown: Step,
    pub(crate) drop: Step,
}

impl Step {
    /// Does the step where nothing can be awaited.
    fn at_once(&self) {
        if let Self::Panic(message) = self {
            panic!("{message}");
        } else if let Self::Block(door) = self {
            door.block();
        } else {
            assert!(matches!(self, Self::Default), "{self:?} needs an await");
        }
    }
}

impl Script {
    pub(crate) fn initialize(step: Step) -> Self {
        Self { initialize: step, ..Self::default() }
    }

    pub(crate) fn run(step: Step) -> Self {
        Self { run: step, ..Self::default() }
    }

    pub(crate) fn and_shutdown(self, step: Step) -> Self {
        Self { shutdown: step, ..self }
    }

    pub(crate) fn and_drop(self, step: Step) -> Self {
        Self { drop: step, ..self }
    }
}

pub(crate) struct Scripted {
    name: String,
    script: Script,
    record: Record,
    context: ChildContext,
}

impl Scripted {
    pub(crate) fn new(
        name: impl Into<String>,
        script: Script,
        record: &Record,
        context: ChildContext,
    ) -> Self {
        Self { name: name.into(), script, record: record.clone(), context }
    }

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
            Step::ObeyAfter(time) => {
                self.context.stop_token().cancelled().await;
                tokio::time::sleep(time).await;
                Ok(())
            }
            Step::Deaf => {
                let _token = self.context.stop_token();
                std::future::pending().await
            }
            Step::ErrWhen(told, error) => {
                told.notified().await;
                Err(error.to_owned())
            }
            Step::OkWhen(told) => {
                told.notified().await;
                Ok(())
            }
            Step::Block(door) => {
                door.block();
                Ok(())
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
        self.script.drop.at_once();
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
        script.factory.at_once();
        Scripted::new(name, script, &record, context)
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

/// Starts a tree and waits until it is up.
pub(crate) async fn up(spec: impl Into<SupervisorSpec>) -> SupervisorHandle {
    let handle = SupervisorHandle::start(spec);
    handle.ready().await.unwrap();
    handle
}

/// Shuts a tree down, and sees to it that nothing is left of it.
pub(crate) async fn down(handle: &SupervisorHandle) {
    handle.shutdown().await.unwrap();
    no_task_is_left().await;
}

/// Waits until no task but the test's own is alive; fails if one stays.
#[expect(
    clippy::disallowed_methods,
    reason = "how long a test waits is real time, which is not paused"
)]
pub(crate) async fn no_task_is_left() {
    let metrics = tokio::runtime::Handle::current().metrics();
    let since = Instant::now();
    while metrics.num_alive_tasks() > 0 {
        assert!(since.elapsed() < PATIENCE, "{} tasks are left", metrics.num_alive_tasks());
        tokio::task::yield_now().await;
    }
}

/// The events of a tree, as lines of text.
pub(crate) struct Watch(Events);

impl Watch {
    pub(crate) fn on(handle: &SupervisorHandle) -> Self {
        Self(handle.events())
    }

    /// Returns what has happened since the last call.
    pub(crate) async fn seen(&mut self) -> Vec<String> {
        let mut seen = Vec::new();
        loop {
            settle().await;
            let before = seen.len();
            while let Some(Some(event)) = self.0.next().now_or_never() {
                seen.push(line(&event.unwrap()));
            }
            if seen.len() == before {
                return seen;
            }
        }
    }

    /// Waits for this event. Returns what has happened before.
    pub(crate) async fn until(&mut self, wanted: &str) -> Vec<String> {
        let mut seen = Vec::new();
        loop {
            let Some(event) = self.0.next().await else {
                panic!("there is no `{wanted}` in {seen:#?}");
            };
            let line = line(&event.unwrap());
            if line == wanted {
                return seen;
            }
            seen.push(line);
        }
    }
}

/// An event as text: `app/a#1 started`.
pub(crate) fn line(event: &Event) -> String {
    let kind = match &event.kind {
        EventKind::Started => "started".to_owned(),
        EventKind::StartFailed { path, cause } => format!("start failed: {path}: {cause}"),
        EventKind::Exited { reason, will_restart } => {
            let then = if *will_restart { "restart" } else { "end" };
            format!("exited: {reason}, {then}")
        }
        EventKind::Restarting { attempt, delay } => format!("restarting: {attempt}, {delay:?}"),
        EventKind::Stopped { reason } => format!("stopped: {reason}"),
        EventKind::ShutdownFailed { error } => format!("shutdown failed: {error}"),
        EventKind::Leaked => "leaked".to_owned(),
        EventKind::LeakEnded => "leak ended".to_owned(),
        EventKind::Completed => "completed".to_owned(),
        EventKind::IntensityExceeded { reason } => format!("intensity exceeded: {reason}"),
        EventKind::SupervisorStarted => "up".to_owned(),
        EventKind::SupervisorEnded { reason } => format!("ended: {reason}"),
        other => format!("{other:?}"),
    };
    match &event.child {
        Some(_) => format!("{}#{} {kind}", event.path, event.incarnation),
        None => format!("{} {kind}", event.path),
    }
}

/// Waits for the end of a supervisor, which must be that of a given reason.
pub(crate) async fn ends_with(handle: &SupervisorHandle, reason: &str) {
    let ended: ExitReason = handle.wait().await;
    assert_eq!(ended.to_string(), reason);
}

/// Fails if this takes long, in real time. For runtimes whose time is not paused.
pub(crate) async fn soon<T>(wanted: impl Future<Output = T>) -> T {
    match tokio::time::timeout(PATIENCE, wanted).await {
        Ok(done) => done,
        Err(_) => panic!("it has not come to its end"),
    }
}

/// Polls once; returns what is ready.
pub(crate) fn now<T>(future: impl Future<Output = T>) -> Option<T> {
    future.now_or_never()
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

pub(crate) fn millis(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

/// So many restarts in so many seconds.
pub(crate) const fn intensity(max_restarts: usize, within_seconds: u64) -> RestartIntensity {
    RestartIntensity { max_restarts, within_seconds }
}
