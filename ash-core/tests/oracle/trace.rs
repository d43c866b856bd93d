//! Traces, and when two of them tell the same.

use std::collections::BTreeMap;

/// What happened in a step.
pub(crate) struct Trace<'t>(Vec<&'t str>);

impl<'t> Trace<'t> {
    /// Reads the text of a recording.
    pub(crate) fn read(text: &'t str) -> Self {
        Self(text.split(", ").filter(|event| !event.is_empty()).collect())
    }

    pub(crate) fn of(events: &'t [String]) -> Self {
        Self(events.iter().map(String::as_str).collect())
    }

    /// Tells whether each supervisor did the same in the same order. Supervisors do not wait for
    /// each other, so that what two of them do at the same time has no order.
    pub(crate) fn is_same_for_each_supervisor(&self, other: &Self) -> bool {
        self.by_supervisor() == other.by_supervisor()
    }

    /// Tells whether each supervisor had first done what it does in `beginning`.
    pub(crate) fn begins_with(&self, beginning: &Self) -> bool {
        let whole = self.by_supervisor();
        beginning.by_supervisor().iter().all(|(supervisor, events)| {
            whole.get(supervisor).is_some_and(|all| all.starts_with(events))
        })
    }

    pub(crate) fn gives_up(&self) -> bool {
        self.0.iter().any(|event| event.starts_with("gave_up"))
    }

    fn by_supervisor(&self) -> BTreeMap<&str, Vec<&str>> {
        let mut lists = BTreeMap::<_, Vec<_>>::new();
        for event in &self.0 {
            lists.entry(supervisor_of(event)).or_default().push(*event);
        }
        lists
    }
}

/// The path of the supervisor that did it; the root's is empty. That a supervisor is gone each
/// caller finds out by itself.
fn supervisor_of(event: &str) -> &str {
    let words: Vec<&str> = event.split(' ').collect();
    let child = match words[..] {
        ["reply", .., "gone"] => return event,
        ["reply", "which_children" | "count_children", ..] => "",
        ["reply", _, child, ..] | [_, child, ..] => child,
        _ => "",
    };
    child.rsplit_once('/').map_or("", |(supervisor, _)| supervisor)
}
