//! What has happened, counted, for the feature `metrics`. Without it there is nothing here.

#[cfg(feature = "metrics")]
pub(crate) use counting::{Change, Counted, Tally};

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

    #[inline(always)]
    pub(super) fn count(&self, _: &crate::EventKind, _: impl FnOnce() -> bool) {}

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

    /// How often what is counted has happened to the children of one supervisor since that was
    /// last told.
    ///
    /// It is kept whether or not anybody reads it, and costs an addition each time. So what is
    /// counted does not need the notices, which cost more.
    #[derive(Debug)]
    pub(crate) struct Tally {
        counts: [u64; Counted::ALL.len()],
        /// How many children run now.
        active: usize,
        /// A bit for each count that is not zero, and one for a change of `active`.
        changed: u16,
    }

    /// What has changed.
    #[derive(Clone, Copy, Debug)]
    pub(crate) enum Change {
        Happened(Counted, u64),
        Active(usize),
    }

    const ACTIVE: u16 = 1 << Counted::ALL.len();

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

        /// The bit that says it has happened.
        const fn bit(self) -> u16 {
            1 << self as usize
        }

        fn of(kind: &EventKind, has_started: impl FnOnce() -> bool) -> Option<Self> {
            match kind {
                EventKind::Stopped { .. } if !has_started() => Some(Self::StartFailures),
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
        pub(in crate::machine) const fn new() -> Self {
            Self { counts: [0; Counted::ALL.len()], active: 0, changed: 0 }
        }

        /// Counts what has happened to a child, which has started in this life of its or not.
        pub(in crate::machine) fn count(
            &mut self,
            kind: &EventKind,
            has_started: impl FnOnce() -> bool,
        ) {
            if let Some(counted) = Counted::of(kind, has_started) {
                self.counts[counted as usize] += 1;
                self.changed |= counted.bit();
            }
        }

        /// A child leaves the state it was in.
        pub(in crate::machine) const fn lose(&mut self, is_running: bool) {
            if is_running {
                self.active -= 1;
                self.changed |= ACTIVE;
            }
        }

        /// A child enters a state.
        pub(in crate::machine) const fn gain(&mut self, is_running: bool) {
            if is_running {
                self.active += 1;
                self.changed |= ACTIVE;
            }
        }

        /// Returns how many children run now.
        pub(in crate::machine) const fn active(&self) -> usize {
            self.active
        }

        /// Tells whether anything has changed since that was last told.
        pub(crate) const fn has_changed(&self) -> bool {
            self.changed != 0
        }

        /// Tells what has changed, once.
        pub(crate) fn drain(&mut self, mut tell: impl FnMut(Change)) {
            for counted in Counted::ALL {
                if self.take(counted.bit()) {
                    let more = core::mem::take(&mut self.counts[counted as usize]);
                    tell(Change::Happened(counted, more));
                }
            }
            if self.take(ACTIVE) {
                tell(Change::Active(self.active));
            }
        }

        const fn take(&mut self, bit: u16) -> bool {
            let has_changed = self.changed & bit != 0;
            self.changed &= !bit;
            has_changed
        }

        /// Nothing runs any more: it has gone with its runtime.
        pub(crate) const fn clear(&mut self) {
            if self.active > 0 {
                self.active = 0;
                self.changed |= ACTIVE;
            }
        }
    }

    impl<P, C> Machine<P, C> {
        /// Returns what has happened to the children, counted.
        pub(crate) const fn tally(&mut self) -> &mut Tally {
            &mut self.ledger.tally
        }
    }
}
