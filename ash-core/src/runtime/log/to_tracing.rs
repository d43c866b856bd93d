//! Writes records to `tracing`.

use crate::machine::{Notice, Notices};
use crate::runtime::log::record::{Level, Record};
use crate::runtime::shared::Shared;

/// The target of all events and spans: what users filter by.
pub(crate) const TARGET: &str = "ash_flare";

/// Tells which notices anyone would get.
pub(super) fn wanted() -> Notices {
    if !tracing::enabled!(target: TARGET, tracing::Level::ERROR) {
        Notices::Losses
    } else if tracing::enabled!(target: TARGET, tracing::Level::DEBUG) {
        Notices::All
    } else {
        Notices::Notable
    }
}

/// An event at a level. The keys that a record does not have are not in it. It has no parent: the
/// span of whoever happens to see to the supervisor says nothing of what happened there.
macro_rules! write_at {
    ($level:ident, $record:expr) => {{
        let record: Record<'_> = $record;
        tracing::event!(
            target: TARGET,
            parent: None,
            tracing::Level::$level,
            supervisor = record.supervisor,
            child = record.child,
            incarnation = record.incarnation,
            path = record.path,
            strategy = record.strategy.map(tracing::field::debug),
            reason = record.reason.map(tracing::field::display),
            restart = record.restart,
            attempt = record.attempt,
            delay = record.delay.map(tracing::field::debug),
            "{}",
            record.message
        );
    }};
}

pub(super) fn write(supervisor: &Shared, notice: &Notice) {
    let record = || Record::of(supervisor, notice);
    match Level::of(&notice.kind) {
        Level::Debug => write_at!(DEBUG, record()),
        Level::Info => write_at!(INFO, record()),
        Level::Warn => write_at!(WARN, record()),
        Level::Error => write_at!(ERROR, record()),
    }
}
