//! The metrics of a supervisor, for the feature `metrics`. Without it there is nothing here.

#[cfg(feature = "metrics")]
pub(crate) use counting::Meter;
#[cfg(not(feature = "metrics"))]
pub(crate) use nothing::Meter;

#[cfg(feature = "metrics")]
mod counting {
    use alloc::sync::Arc;
    use alloc::vec::Vec;

    use metrics::{Key, Label, Level, Metadata, Recorder, SharedString, with_recorder};

    use crate::contain::contain;
    use crate::machine::{Change, Counted};
    use crate::runtime::shared::SupervisorMachine;

    const METADATA: Metadata<'static> =
        Metadata::new("ash_flare", Level::INFO, Some(module_path!()));

    const STARTS: &str = "ash_flare_child_starts_total";
    const START_FAILURES: &str = "ash_flare_child_start_failures_total";
    const RESTARTS: &str = "ash_flare_child_restarts_total";
    const EXITS: &str = "ash_flare_child_exits_total";
    const LEAKS: &str = "ash_flare_child_leaks_total";
    const GIVE_UPS: &str = "ash_flare_supervisor_give_ups_total";
    const ACTIVE: &str = "ash_flare_active_children";

    /// The metrics of one supervisor.
    pub(crate) struct Meter {
        path: Arc<str>,
        /// Made when they are first needed. The metrics themselves are looked up each time: one
        /// that is kept would be deaf to a recorder that is installed later, and to one that has
        /// forgotten it as idle.
        keys: Vec<(Metric, Key)>,
    }

    #[derive(Clone, Copy, PartialEq, Eq)]
    enum Metric {
        Count(Counted),
        Active,
    }

    impl Metric {
        fn key(self, path: &Arc<str>) -> Key {
            let (name, reason) = match self {
                Self::Active => (ACTIVE, None),
                Self::Count(counted) => match counted {
                    Counted::Starts => (STARTS, None),
                    Counted::StartFailures => (START_FAILURES, None),
                    Counted::Restarts => (RESTARTS, None),
                    Counted::Leaks => (LEAKS, None),
                    Counted::GiveUps => (GIVE_UPS, None),
                    Counted::NormalExits => (EXITS, Some("normal")),
                    Counted::ShutdownExits => (EXITS, Some("shutdown")),
                    Counted::ErrorExits => (EXITS, Some("error")),
                    Counted::PanicExits => (EXITS, Some("panic")),
                    Counted::KilledExits => (EXITS, Some("killed")),
                    Counted::UnresponsiveExits => (EXITS, Some("unresponsive")),
                    Counted::ExceededExits => (EXITS, Some("intensity_exceeded")),
                },
            };
            let mut labels = Vec::with_capacity(2);
            labels.push(Label::new("supervisor", SharedString::from_shared(Arc::clone(path))));
            labels.extend(reason.map(|reason| Label::from_static_parts("reason", reason)));
            Key::from_parts(name, labels)
        }
    }

    impl Meter {
        /// Says what the metrics mean.
        pub(crate) fn describe() {
            let _ = contain(|| {
                metrics::describe_counter!(STARTS, "Children that have finished `initialize`.");
                metrics::describe_counter!(START_FAILURES, "Children that did not start.");
                metrics::describe_counter!(RESTARTS, "Automatic restarts, a group's as one.");
                metrics::describe_counter!(EXITS, "Children that have ended, by the reason.");
                metrics::describe_counter!(LEAKS, "Killed children whose task is still there.");
                metrics::describe_counter!(GIVE_UPS, "Supervisors that had to restart too often.");
                metrics::describe_gauge!(ACTIVE, "Children that are up.");
            });
        }

        pub(crate) fn new(path: &str) -> Self {
            Self { path: path.into(), keys: Vec::new() }
        }

        /// Tells the recorder what has changed. One that panics gets no further.
        pub(crate) fn tell(&mut self, machine: &mut SupervisorMachine) {
            let tally = machine.tally();
            if tally.has_changed() {
                let _ = contain(|| {
                    with_recorder(|to| tally.drain(|change| self.tell_change(to, change)));
                });
            }
        }

        /// Tells the recorder that the supervisor has gone with its runtime.
        pub(crate) fn clear(&mut self, machine: &mut SupervisorMachine) {
            machine.tally().clear();
            self.tell(machine);
        }

        #[expect(clippy::cast_precision_loss, reason = "a gauge is a float")]
        fn tell_change(&mut self, to: &dyn Recorder, change: Change) {
            match change {
                Change::Happened(counted, more) => {
                    let key = self.key(Metric::Count(counted));
                    to.register_counter(key, &METADATA).increment(more);
                }
                Change::Active(active) => {
                    let key = self.key(Metric::Active);
                    to.register_gauge(key, &METADATA).set(active as f64);
                }
            }
        }

        fn key(&mut self, metric: Metric) -> &Key {
            let known = self.keys.iter().position(|(its, _)| *its == metric);
            let place = known.unwrap_or_else(|| {
                self.keys.push((metric, metric.key(&self.path)));
                self.keys.len() - 1
            });
            &self.keys[place].1
        }
    }
}

#[cfg(not(feature = "metrics"))]
mod nothing {
    use crate::runtime::shared::SupervisorMachine;

    pub(crate) struct Meter;

    #[expect(clippy::unused_self, reason = "the same calls count with the feature `metrics`")]
    impl Meter {
        pub(crate) const fn describe() {}

        pub(crate) const fn new(_: &str) -> Self {
            Self
        }

        pub(crate) const fn tell(&self, _: &mut SupervisorMachine) {}

        pub(crate) const fn clear(&self, _: &mut SupervisorMachine) {}
    }
}
