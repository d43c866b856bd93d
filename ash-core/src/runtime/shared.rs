//! What a supervisor shares with its task, its handles, its children and its parent.

use alloc::boxed::Box;
use alloc::string::String;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::fmt;
use core::sync::atomic::{AtomicBool, Ordering};
use std::sync::OnceLock;

use tokio::runtime::Handle;
use tokio::sync::{oneshot, watch};

use crate::ChildId;
use crate::contain::contain;
use crate::error::{StartCause, StartError, SupervisorError};
use crate::exit::{ExitReason, WorkerError};
use crate::machine::{
    Event, EventKind, Fact, Incarnation, Machine, Notice, Notices, StartFailure, Timestamp,
};
use crate::runtime::clock::Clock;
use crate::runtime::discard::Droppers;
use crate::runtime::driver::{ChildPayload, Driver};
use crate::runtime::events::Bus;
use crate::runtime::inbox::Inbox;
use crate::runtime::log::Log;
use crate::runtime::report::{ShutdownReport, Unstopped};
use crate::runtime::spec::SupervisorSpec;
use crate::spec::RestartStrategy;

/// One supervisor, for as long as its incarnation lives, and for whoever still holds a handle.
pub(crate) struct Shared {
    pub(crate) name: ChildId,
    pub(crate) path: String,
    pub(crate) strategy: RestartStrategy,
    /// How many supervisors below it spread its children over, if they do.
    pub(crate) partitions: Option<usize>,
    pub(crate) clock: Clock,
    /// When this supervisor was started.
    pub(crate) since: Timestamp,
    /// The runtime in which it lives, and all that it starts.
    runtime: Option<Handle>,
    /// Commands, facts and questions, one queue for all, in order of arrival.
    pub(crate) inbox: Inbox<Box<Driver>>,
    upward: Upward,
    pub(crate) status: watch::Sender<Status>,
    /// Why the supervisor has begun to stop, if it has.
    stop_reason: OnceLock<ExitReason>,
    /// Whether the supervisor has come to its end: all that it had started has ended, or was
    /// given up as leaked.
    finished: AtomicBool,
    pub(crate) events: Bus,
    pub(crate) log: Log,
    pub(crate) droppers: Droppers,
}

/// Who is told how a supervisor fares, beside those who hold its handle.
pub(crate) enum Upward {
    /// Nobody: it is the root.
    Root,
    /// The supervisor above, of which it is this incarnation of a child.
    Parent(Arc<Shared>, Incarnation),
}

/// How far a supervisor has come.
#[derive(Clone, Debug, Default)]
pub(crate) struct Status {
    /// What became of the initial start.
    pub(crate) ready: Option<Result<(), StartError>>,
    /// How the supervisor ended.
    pub(crate) ended: Option<Ended>,
}

/// How a supervisor ended.
#[derive(Clone, Debug)]
pub(crate) struct Ended {
    pub(crate) reason: ExitReason,
    /// What its stop had to kill or leave behind.
    pub(crate) report: Arc<ShutdownReport>,
}

/// The machine of a supervisor, as its driver runs it.
pub(crate) type SupervisorMachine = Machine<ChildPayload, Reply>;

/// Where the answer to a call goes.
pub(crate) type Reply = oneshot::Sender<Result<(), Box<SupervisorError>>>;

/// A question, answered by whoever has the turn.
pub(crate) type Question = Box<dyn FnOnce(&SupervisorMachine, Timestamp) + Send>;

/// What a supervisor's machine is told.
pub(crate) type Input = Event<ChildPayload, Reply>;

/// What arrives in a supervisor's inbox.
pub(crate) enum Message {
    /// This is for the machine.
    Input(Input),
    /// Somebody asks it something.
    Ask(Question),
    /// What a nested supervisor had to kill or leave behind.
    Unstopped(Vec<(String, Unstopped)>),
    /// The time for which the supervisor waits may have come.
    CheckTimeout,
}

impl Message {
    pub(crate) const fn fact(incarnation: Incarnation, fact: Fact) -> Self {
        Self::Input(Event::Fact(incarnation, fact))
    }

    /// Tells whether this is the regular exit of a child, which may be deferred where nothing
    /// follows from it before others have ended.
    pub(crate) const fn is_deferrable_exit(&self) -> bool {
        matches!(self, Self::Input(Event::Fact(_, Fact::Exited(exit)))
            if exit.reason.is_normal() && exit.hook_error.is_none())
    }
}

impl Shared {
    /// Returns which notices anyone would read.
    pub(crate) fn notices(&self) -> Notices {
        if self.events.is_on() { Notices::All } else { self.log.notices() }
    }

    /// Creates the remains of a supervisor whose spec is invalid, so that it never lived.
    pub(crate) fn stillborn(spec: &SupervisorSpec, error: StartError) -> Arc<Self> {
        let clock = Clock::start();
        let reason = ExitReason::Error(WorkerError::new(error.clone()));
        let report = Arc::default();
        let status = Status { ready: Some(Err(error)), ended: Some(Ended { reason, report }) };
        let events = Bus::root();
        events.close();
        let path = String::from(spec.name.as_str());
        let log = Log::root(spec.logger.as_ref());
        let shared = Self::new(spec, path, clock, events, log, Upward::Root);
        drop(shared.inbox.close());
        shared.status.send_replace(status);
        Arc::new(shared)
    }

    /// Creates what a supervisor shares.
    pub(crate) fn new(
        spec: &SupervisorSpec,
        path: String,
        clock: Clock,
        events: Bus,
        log: Log,
        upward: Upward,
    ) -> Self {
        Self {
            name: spec.name.clone(),
            path,
            strategy: spec.strategy,
            partitions: spec.partitions,
            clock,
            since: clock.now(),
            runtime: Handle::try_current().ok(),
            inbox: Inbox::new(),
            upward,
            status: watch::Sender::new(Status::default()),
            stop_reason: OnceLock::new(),
            finished: AtomicBool::new(false),
            events,
            log,
            droppers: Droppers::default(),
        }
    }

    /// Tells whether this thread belongs to the supervisor's runtime.
    pub(crate) fn is_here(&self) -> bool {
        let id = self.runtime.as_ref().map(Handle::id);
        Handle::try_current().is_ok_and(|runtime| Some(runtime.id()) == id)
    }

    /// Returns the time of the tree, also in a thread of no runtime or of another: where a test
    /// pauses time, each runtime has its own.
    pub(crate) fn now(&self) -> Timestamp {
        let _inside = self.runtime.as_ref().filter(|_| !self.is_here()).map(Handle::enter);
        self.clock.now()
    }

    /// Notes why the supervisor has begun to stop.
    #[cold]
    pub(crate) fn note_stop(&self, reason: &ExitReason) {
        self.stop_reason.get_or_init(|| reason.clone());
    }

    /// Returns why the supervisor has ended, or has begun to stop.
    pub(crate) fn stop_reason(&self) -> Option<ExitReason> {
        let ended = self.status.borrow().ended.as_ref().map(|ended| ended.reason.clone());
        ended.or_else(|| self.stop_reason.get().cloned())
    }

    /// Says that the supervisor has come to its end. After that its inbox may be closed.
    pub(crate) fn finish(&self) {
        self.finished.store(true, Ordering::Release);
    }

    /// Tells that a leak has ended, if the supervisor has finished before it did and so cannot.
    pub(crate) fn leak_ended(&self, child: &ChildId, incarnation: Incarnation) {
        if self.finished.load(Ordering::Acquire) {
            let child = Some((child.clone(), incarnation.number));
            self.tell(Notice { child, kind: EventKind::LeakEnded });
        }
    }

    /// Logs what happened, and tells all who listen.
    pub(crate) fn tell(&self, notice: Notice) {
        self.log.notice(self, &notice);
        self.events.publish(self, notice);
    }

    /// Says that the initial start is through.
    pub(crate) fn ready(&self) {
        self.change(|status| {
            // Its runtime may have ended it while it was still at work.
            if status.ended.is_none() {
                status.ready = Some(Ok(()));
            }
        });
        self.upward.fact(Fact::Started);
    }

    /// Says for good how the supervisor ended.
    pub(crate) fn end(
        &self,
        reason: ExitReason,
        start_error: Option<StartError>,
        unstopped: Vec<(String, Unstopped)>,
    ) {
        self.events.close();
        let report = Arc::new(ShutdownReport::new(&unstopped));
        let fact = match &start_error {
            Some(StartError::ChildFailed { path, cause }) => {
                Fact::StartFailed(StartFailure { path: Some(path.clone()), cause: cause.clone() })
            }
            Some(_) if matches!(reason, ExitReason::Killed) => {
                Fact::StartFailed(StartCause::Killed.into())
            }
            Some(_) => Fact::StartFailed(StartCause::Stopped.into()),
            None => Fact::Exited(reason.clone().into()),
        };
        self.change(|status| {
            status.ready = Some(start_error.map_or(Ok(()), Err));
            status.ended = Some(Ended { reason, report });
        });
        if let Upward::Parent(parent, _) = &self.upward
            && !unstopped.is_empty()
        {
            parent.inbox.push(Message::Unstopped(unstopped));
        }
        self.upward.fact(fact);
    }

    /// Tells all who wait for it how far the supervisor has come. A waker of theirs that panics
    /// gets no further.
    fn change(&self, change: impl FnOnce(&mut Status)) {
        let _ = contain(|| self.status.send_modify(change));
    }

    /// Returns the error of a call that comes too late.
    pub(crate) fn shutting_down(&self) -> SupervisorError {
        SupervisorError::ShuttingDown(self.name.clone())
    }
}

impl Upward {
    fn fact(&self, fact: Fact) {
        match self {
            Self::Root => {}
            Self::Parent(parent, incarnation) => {
                parent.inbox.push(Message::fact(*incarnation, fact));
            }
        }
    }
}

impl fmt::Debug for Shared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Supervisor")
            .field("path", &self.path)
            .field("strategy", &self.strategy)
            .finish_non_exhaustive()
    }
}
