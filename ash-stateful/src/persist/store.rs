//! The thread that makes changes durable, and the state it shares with the context.
//!
//! A context records each change under the lock of its key, so changes arrive in the order in which
//! they became visible. Only the last one of each key is kept. The thread takes all that has
//! accumulated at once and commits it in one transaction. So at any time the file holds a state
//! that the context went through: if the writer of one change could see another, the file never
//! holds the former without the latter.

use std::error::Error;
use std::io;
use std::mem;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use serde_json::Value;
use slog::Logger;
use tokio::sync::oneshot;

use crate::persist::error::PersistError;
use crate::persist::file::{Changes, StoreFile};

/// How long changes accumulate before they are committed, if no flush asks for it sooner.
const GATHER: Duration = Duration::from_millis(100);
/// The longest pause between attempts while commits fail.
const MAX_PAUSE: Duration = Duration::from_secs(10);

type Answer = oneshot::Sender<Result<(), PersistError>>;

/// A context's side of its store.
#[derive(Debug)]
pub(crate) struct Store {
    shared: Arc<Shared>,
    /// `None` only during the drop.
    thread: Option<JoinHandle<()>>,
}

#[derive(Debug, Default)]
struct Shared {
    state: Mutex<State>,
    work: Condvar,
}

#[derive(Debug, Default)]
struct State {
    /// The changes that are not durable yet.
    changes: Changes,
    /// The callers that wait until they are.
    flushes: Vec<Answer>,
    /// How many changes of many keys are under way, during which no commit may begin.
    holds: usize,
    /// Why the last commit failed, if it did.
    failure: Option<PersistError>,
    is_closing: bool,
}

/// The work of one commit.
struct Batch {
    changes: Changes,
    flushes: Vec<Answer>,
    is_last: bool,
}

impl Store {
    pub(crate) fn start(file: StoreFile) -> io::Result<Self> {
        let shared = Arc::new(Shared::default());
        let its = Arc::clone(&shared);
        // Taken once, as a supervisor does.
        let log = slog_scope::logger();
        let thread = thread::Builder::new().name("ash-context-store".to_owned());
        let thread = thread.spawn(move || its.run(file, &log))?;
        Ok(Self { shared, thread: Some(thread) })
    }

    /// Takes a change. Called under the lock of the map.
    pub(crate) fn record(&self, key: &str, value: Option<&Value>) {
        let mut state = self.shared.state();
        let is_first = state.changes.is_empty();
        // The old value may be large: it is dropped after the lock is released.
        let old = match state.changes.get_mut(key) {
            Some(change) => mem::replace(change, value.cloned()),
            None => state.changes.insert(key.to_owned(), value.cloned()).flatten(),
        };
        drop(state);
        drop(old);
        if is_first {
            self.shared.work.notify_one();
        }
    }

    /// Keeps everything that is recorded while the guard lives in one transaction.
    pub(crate) fn hold(&self) -> Hold<'_> {
        self.shared.state().holds += 1;
        Hold(&self.shared)
    }

    pub(crate) async fn flush(&self) -> Result<(), PersistError> {
        let (answer, flushed) = oneshot::channel();
        self.shared.state().flushes.push(answer);
        self.shared.work.notify_one();
        flushed.await.expect("the store's thread answers, and ends after its context only")
    }

    pub(crate) fn failure(&self) -> Option<PersistError> {
        self.shared.state().failure.clone()
    }
}

impl Drop for Store {
    fn drop(&mut self) {
        self.shared.state().is_closing = true;
        self.shared.work.notify_one();
        // On the thread itself, where a waker of a flush can drop the context, there is nothing to
        // wait for: it writes what is left when it goes on.
        let is_own = |thread: &JoinHandle<()>| thread.thread().id() == thread::current().id();
        if let Some(thread) = self.thread.take().filter(|thread| !is_own(thread)) {
            // It panics only on a broken invariant, and the panic hook has reported that.
            let _ = thread.join();
        }
    }
}

/// See [`Store::hold`].
pub(crate) struct Hold<'a>(&'a Shared);

impl Drop for Hold<'_> {
    fn drop(&mut self) {
        self.0.state().holds -= 1;
        self.0.work.notify_one();
    }
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn run(&self, mut file: StoreFile, log: &Logger) {
        let mut pause = GATHER;
        let mut was_stored = true;
        loop {
            let Batch { changes, flushes, is_last } = self.next_batch(pause);
            let outcome = file.commit(&changes);
            if let Err(error) = &outcome
                && (was_stored || is_last)
            {
                tell(log, error, is_last, changes.len());
            }
            was_stored = outcome.is_ok();
            pause = if outcome.is_ok() { GATHER } else { (pause * 2).min(MAX_PAUSE) };
            self.settle(changes, &outcome);
            for flush in flushes {
                // The caller may have dropped its future.
                let _ = flush.send(outcome.clone());
            }
            if is_last {
                break;
            }
        }
    }

    /// Waits for something to do, and lets changes accumulate for a while.
    fn next_batch(&self, pause: Duration) -> Batch {
        let wait = |state, is_waiting: fn(&mut State) -> bool| {
            self.work.wait_while(state, is_waiting).unwrap_or_else(PoisonError::into_inner)
        };
        let is_urgent = |state: &State| !state.flushes.is_empty() || state.is_closing;
        let state = wait(self.state(), |state| {
            state.changes.is_empty() && state.flushes.is_empty() && !state.is_closing
        });
        let (state, _) = self
            .work
            .wait_timeout_while(state, pause, |state| !is_urgent(state))
            .unwrap_or_else(PoisonError::into_inner);
        let mut state = wait(state, |state| state.holds > 0);
        Batch {
            changes: mem::take(&mut state.changes),
            flushes: mem::take(&mut state.flushes),
            is_last: state.is_closing,
        }
    }

    /// Puts back the changes that could not be committed, except where there are newer ones.
    fn settle(&self, changes: Changes, outcome: &Result<(), PersistError>) {
        let mut state = self.state();
        state.failure = outcome.as_ref().err().cloned();
        if outcome.is_err() {
            let newer = mem::replace(&mut state.changes, changes);
            state.changes.extend(newer);
        }
    }
}

/// Logs that changes are not stored, for a while or for good. Nobody may be waiting for a flush.
fn tell(log: &Logger, error: &PersistError, is_last: bool, keys: usize) {
    let mut reason = error.to_string();
    let mut source = error.source();
    while let Some(inner) = source {
        reason = format!("{reason}: {inner}");
        source = inner.source();
    }
    // A drain that panics gets no further.
    let _ = catch_unwind(AssertUnwindSafe(|| {
        let log = log.new(slog::o!("keys" => keys, "reason" => reason));
        if is_last {
            slog::error!(log, "the last changes of a context are lost");
        } else {
            slog::warn!(log, "changes of a context wait to be stored");
        }
    }));
}
