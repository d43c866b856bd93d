//! What a supervisor's task shares with its handles, its children and its parent.

use alloc::boxed::Box;
use alloc::string::String;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::fmt;
use core::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};

use tokio::sync::{mpsc, oneshot, watch};

use crate::ChildId;
use crate::error::{StartError, SupervisorError};
use crate::exit::{ExitReason, WorkerError};
use crate::machine::{
    ChildCommand, EventKind, Fact, Incarnation, Machine, Notice, Notices, Timestamp,
};
use crate::runtime::child_spec::ChildSpec;
use crate::runtime::clock::Clock;
use crate::runtime::driver::Slot;
use crate::runtime::events::Bus;
use crate::runtime::handle::ShutdownReport;
use crate::runtime::log::Log;
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
    /// Commands, facts and questions, one queue for all, in order of arrival.
    pub(crate) inbox: mpsc::UnboundedSender<Message>,
    /// Who has started without anybody waiting for it. The supervisor looks here before it looks
    /// at what is in its inbox, and is not woken for it.
    quiet: Mutex<Vec<Incarnation>>,
    pub(crate) status: watch::Sender<Status>,
    /// Whether the supervisor has come to its end: all that it had started has ended, or was
    /// given up as leaked.
    finished: AtomicBool,
    pub(crate) events: Bus,
    pub(crate) log: Log,
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

/// The machine that a supervisor's task drives.
pub(crate) type Supervisor = Machine<Slot, Reply>;

/// Where the answer to a call goes.
pub(crate) type Reply = oneshot::Sender<Result<(), SupervisorError>>;

/// A question, asked of the machine in the supervisor's task.
pub(crate) type Question = Box<dyn FnOnce(&Supervisor, Timestamp) + Send>;

/// What arrives in a supervisor's inbox.
pub(crate) enum Message {
    Fact(Incarnation, Fact),
    StartChild(ChildSpec, Reply),
    Command(ChildId, ChildCommand, Reply),
    Ask(Question),
    Shutdown {
        deadline: Timestamp,
    },
    Kill,
    /// What a nested supervisor had to kill or leave behind.
    Unstopped(Vec<(String, Unstopped)>),
    /// Some child has started quietly.
    Look,
}

/// What became of a worker that did not stop in time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Unstopped {
    Killed,
    Leaked,
}

impl Unstopped {
    /// Returns what an event says of a worker that is to stop, if it did not by itself.
    pub(crate) const fn of(kind: &EventKind) -> Option<Self> {
        if matches!(kind, EventKind::Stopped { reason: ExitReason::Killed }) {
            Some(Self::Killed)
        } else if matches!(kind, EventKind::Leaked) {
            Some(Self::Leaked)
        } else {
            None
        }
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
        let (shared, _) = Self::new(spec, path, clock, events, log);
        shared.status.send_replace(status);
        Arc::new(shared)
    }

    /// Creates what a supervisor shares, and the end of its inbox.
    pub(crate) fn new(
        spec: &SupervisorSpec,
        path: String,
        clock: Clock,
        events: Bus,
        log: Log,
    ) -> (Self, mpsc::UnboundedReceiver<Message>) {
        let (sender, inbox) = mpsc::unbounded_channel();
        let shared = Self {
            name: spec.name.clone(),
            path,
            strategy: spec.strategy,
            partitions: spec.partitions,
            clock,
            since: clock.now(),
            inbox: sender,
            quiet: Mutex::default(),
            status: watch::Sender::new(Status::default()),
            finished: AtomicBool::new(false),
            events,
            log,
        };
        (shared, inbox)
    }

    /// Leaves the word that a child has started, without waking the supervisor.
    pub(crate) fn tell_quietly(&self, started: Incarnation) {
        self.quiet.lock().unwrap_or_else(PoisonError::into_inner).push(started);
    }

    /// Takes who has started quietly, in exchange for an empty list.
    pub(crate) fn take_quiet(&self, empty: &mut Vec<Incarnation>) {
        core::mem::swap(&mut *self.quiet.lock().unwrap_or_else(PoisonError::into_inner), empty);
    }

    /// Says that the supervisor has come to its end. After that its inbox may be closed.
    pub(crate) fn finish(&self) {
        self.finished.store(true, Ordering::Release);
    }

    /// Tells the supervisor how an incarnation ended. One that had finished before had given it
    /// up as leaked, and cannot say any more that the leak has ended.
    pub(crate) fn report_end(&self, child: &ChildId, incarnation: Incarnation, fact: Fact) {
        let told = self.inbox.send(Message::Fact(incarnation, fact));
        if told.is_err() && self.finished.load(Ordering::Acquire) {
            self.tell(Notice {
                child: Some((child.clone(), incarnation.number)),
                kind: EventKind::LeakEnded,
            });
        }
    }

    /// Logs what happened, and tells all who listen.
    pub(crate) fn tell(&self, notice: Notice) {
        self.log.notice(self, &notice);
        self.events.publish(self, notice);
    }

    /// Returns the error of a call that comes too late.
    pub(crate) fn shutting_down(&self) -> SupervisorError {
        SupervisorError::ShuttingDown(self.name.clone())
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
