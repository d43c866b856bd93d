//! Paths and reasons as the recordings write them.

use ash_core::ExitReason;

pub(super) const fn word(reason: &ExitReason) -> &'static str {
    match reason {
        ExitReason::Normal => "normal",
        ExitReason::Shutdown => "shutdown",
        ExitReason::Killed => "killed",
        ExitReason::Error(_)
        | ExitReason::Panic(_)
        | ExitReason::Unresponsive
        | ExitReason::IntensityExceeded { .. }
        | _ => "error",
    }
}

pub(super) fn join(level: &str, id: &str) -> String {
    if level.is_empty() { id.to_owned() } else { format!("{level}/{id}") }
}

pub(super) fn parent_of(path: &str) -> &str {
    path.rsplit_once('/').map_or("", |(parent, _)| parent)
}

pub(super) fn name_of(path: &str) -> &str {
    if path.is_empty() { "app" } else { path.rsplit('/').next().expect("there is a last part") }
}

/// A `simple_one_for_one` supervisor stops its children in no order; the recording sorts them.
pub(super) fn sort_stops(events: &mut [String]) {
    let is_stop = |event: &String| event.starts_with("stop ");
    for run in events.chunk_by_mut(|one, next| is_stop(one) && is_stop(next)) {
        if is_stop(&run[0]) {
            run.sort();
        }
    }
}
