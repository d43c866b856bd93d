//! A subscriber that keeps the events it gets, each with the span it happened in.

use std::collections::BTreeMap;
use std::fmt::Debug;
use std::sync::{Arc, Mutex, MutexGuard};

use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::subscriber::{DefaultGuard, Interest};
use tracing::{Event, Level, Metadata, Subscriber};

/// What a subscriber has got. It is one thread's, as is the runtime of the test.
#[derive(Clone, Default)]
pub(crate) struct Captured(Arc<Mutex<State>>);

#[derive(Default)]
struct State {
    events: Vec<Told>,
    spans: BTreeMap<u64, Span>,
    entered: Vec<u64>,
    opened: u64,
}

struct Span {
    text: String,
    handles: usize,
}

/// One event.
#[derive(Clone, Debug)]
pub(crate) struct Told {
    pub(crate) level: Level,
    pub(crate) target: &'static str,
    pub(crate) message: String,
    pub(crate) values: Vec<(String, String)>,
    /// The span it happened in: `child path=app/a incarnation=1`.
    pub(crate) span: Option<String>,
}

#[derive(Default)]
struct Values(Vec<(String, String)>);

impl Visit for Values {
    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        self.0.push((field.name().to_owned(), format!("{value:?}")));
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.0.push((field.name().to_owned(), value.to_owned()));
    }
}

impl Captured {
    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap()
    }

    /// Listens on this thread, to events of these levels.
    pub(crate) fn listen(&self, least: Level) -> DefaultGuard {
        tracing::subscriber::set_default(Listening { captured: self.clone(), least })
    }

    /// Returns what has been told since the last call.
    pub(crate) fn take(&self) -> Vec<Told> {
        std::mem::take(&mut self.state().events)
    }

    /// Returns the spans that are open.
    pub(crate) fn spans(&self) -> Vec<String> {
        self.state().spans.values().map(|span| span.text.clone()).collect()
    }
}

struct Listening {
    captured: Captured,
    least: Level,
}

impl Subscriber for Listening {
    /// Asked anew each time, so that no test decides for another.
    fn register_callsite(&self, _: &'static Metadata<'static>) -> Interest {
        Interest::sometimes()
    }

    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        *metadata.level() <= self.least
    }

    fn new_span(&self, attributes: &Attributes<'_>) -> Id {
        let mut state = self.captured.state();
        state.opened += 1;
        let id = state.opened;
        let mut values = Values::default();
        attributes.record(&mut values);
        let mut text = attributes.metadata().name().to_owned();
        for (field, value) in values.0 {
            text.push_str(&format!(" {field}={value}"));
        }
        state.spans.insert(id, Span { text, handles: 1 });
        Id::from_u64(id)
    }

    fn record(&self, _: &Id, _: &Record<'_>) {}

    fn record_follows_from(&self, _: &Id, _: &Id) {}

    fn event(&self, event: &Event<'_>) {
        let mut values = Values::default();
        event.record(&mut values);
        let message = values.0.iter().position(|(field, _)| field == "message");
        let message = message.map_or_else(String::new, |at| values.0.remove(at).1);
        let mut state = self.captured.state();
        let entered = if event.is_root() { None } else { state.entered.last() };
        let span = entered.map(|id| state.spans[id].text.clone());
        let metadata = event.metadata();
        let (level, target) = (*metadata.level(), metadata.target());
        state.events.push(Told { level, target, message, values: values.0, span });
    }

    fn enter(&self, id: &Id) {
        self.captured.state().entered.push(id.into_u64());
    }

    fn exit(&self, id: &Id) {
        let left = self.captured.state().entered.pop();
        assert_eq!(left, Some(id.into_u64()), "spans are left in the order they were entered in");
    }

    fn clone_span(&self, id: &Id) -> Id {
        self.captured.state().spans.get_mut(&id.into_u64()).unwrap().handles += 1;
        id.clone()
    }

    fn try_close(&self, id: Id) -> bool {
        let mut state = self.captured.state();
        let span = state.spans.get_mut(&id.into_u64()).unwrap();
        span.handles -= 1;
        let is_last = span.handles == 0;
        if is_last {
            state.spans.remove(&id.into_u64());
        }
        is_last
    }
}
