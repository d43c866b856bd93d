//! What has happened, counted, for the feature `metrics`. Without it there is nothing here.

#[cfg(feature = "metrics")]
pub(crate) use counting::{Counted, Tally};

/// Counts nothing.
#[cfg(not(feature = "metrics"))]
#[derive(Debug)]
pub(super) struct Tally;

#[cfg(not(feature = "metrics"))]
#[expect(clippy::unused_self, reason = "the same calls count with the feature `metrics`")]
impl Tally {
    pub(super) const fn new() -> Self {
        Self
    }

    pub(super) const fn count(&self, _: &crate::EventKind) {}

    pub(super) const fn lose(&self, _: bool) {}

    pub(super) const fn gain(&self, _: bool) {}
}

#[cfg(feature = "metrics")]
mod counting {
    use crate::exit::ExitReason;
    use crate::machine::Machine;
    use crate::machine::output::EventKind;

    /// What is counted.
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    pub(crate) enum Counted {
        Starts,
        StartFailures,
        Restarts,
        Leaks,
        GiveUps,
        NormalExits,
        ShutdownExits,
        ErrorExits,
        PanicExits,
        KilledExits,
        UnresponsiveExits,
        ExceededExits,
    }

    /// How often what is counted has happened to the children of one supervisor.
    ///
    /// It is kept whether or not anybody reads it, and costs an addition each time. So what is
    /// counted does not need the notices, which cost more.
    #[derive(Clone, Debug, PartialEq, Eq)]
    pub(crate) struct Tally {
        counts: [u64; Counted::ALL.len()],
        /// How many children run now.
        active: usize,
    }

    impl Counted {
        pub(crate) const ALL: [Self; 12] = [
            Self::Starts,
            Self::StartFailures,
            Self::Restarts,
            Self::Leaks,
            Self::GiveUps,
            Self::NormalExits,
            Self::ShutdownExits,
            Self::ErrorExits,
            Self::PanicExits,
            Self::KilledExits,
            Self::UnresponsiveExits,
            Self::ExceededExits,
        ];

        const fn of(kind: &EventKind) -> Option<Self> {
            match kind {
                EventKind::Started => Some(Self::Starts),
                EventKind::StartFailed { .. } => Some(Self::StartFailures),
                EventKind::Restarting { .. } => Some(Self::Restarts),
                EventKind::Leaked => Some(Self::Leaks),
                EventKind::IntensityExceeded { .. } => Some(Self::GiveUps),
                EventKind::Exited { reason, .. } | EventKind::Stopped { reason } => {
                    Some(Self::exit(reason))
                }
                EventKind::ShutdownFailed { .. }
                | EventKind::LeakEnded
                | EventKind::Completed
                | EventKind::SupervisorStarted
                | EventKind::SupervisorEnded { .. } => None,
            }
        }

        const fn exit(reason: &ExitReason) -> Self {
            match reason {
                ExitReason::Normal => Self::NormalExits,
                ExitReason::Shutdown => Self::ShutdownExits,
                ExitReason::Error(_) => Self::ErrorExits,
                ExitReason::Panic(_) => Self::PanicExits,
                ExitReason::Killed => Self::KilledExits,
                ExitReason::Unresponsive => Self::UnresponsiveExits,
                ExitReason::IntensityExceeded { .. } => Self::ExceededExits,
            }
        }
    }

    impl Tally {
        pub(crate) const fn new() -> Self {
            Self { counts: [0; Counted::ALL.len()], active: 0 }
        }

        pub(in crate::machine) const fn count(&mut self, kind: &EventKind) {
            if let Some(counted) = Counted::of(kind) {
                self.counts[counted as usize] += 1;
            }
        }

        /// A child leaves the state it was in.
        pub(in crate::machine) fn lose(&mut self, is_running: bool) {
            self.active -= usize::from(is_running);
        }

        /// A child enters a state.
        pub(in crate::machine) fn gain(&mut self, is_running: bool) {
            self.active += usize::from(is_running);
        }

        /// Returns how often this has happened.
        pub(crate) const fn of(&self, counted: Counted) -> u64 {
            self.counts[counted as usize]
        }

        /// Returns how many children run now.
        pub(crate) const fn active(&self) -> usize {
            self.active
        }
    }

    impl<P, C> Machine<P, C> {
        /// Returns what has happened to the children, counted.
        pub(crate) const fn tally(&self) -> &Tally {
            &self.tally
        }
    }
}
