//! Where we deliberately do not do what OTP does, each with its reason.
//!
//! A scripted history shows every one of them (`differs NAME`, then what we do instead), and
//! `docs/otp.md` says why. In random histories the comparison recognises the situation: it goes on
//! if both sides are left in the same state, and ends there if they are not. Whatever is not
//! listed here is a defect.

/// A deliberate difference.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Difference {
    NewChildIsOutsideGroup,
    NeverBusy,
    DynamicTransientIsForgotten,
    RestOfGroupStartsWithoutIt,
    StoppedMemberStaysStopped,
    ExitRegroupsAtOnce,
    WindowIsExact,
    TransientSupervisorComesBack,
    AnyWindowIsAccepted,
    RestartIsChargedWhenDecided,
    AddedChildrenStopTogether,
    WaitingHoldsOffAutoShutdown,
    WaitingIsLive,
    RestartOfRestartingChild,
    ActiveIsCounted,
    RestartOfRunningChild,
    OneKindOfSupervisor,
}

impl Difference {
    pub(crate) const ALL: [Self; 17] = [
        Self::NewChildIsOutsideGroup,
        Self::NeverBusy,
        Self::DynamicTransientIsForgotten,
        Self::RestOfGroupStartsWithoutIt,
        Self::StoppedMemberStaysStopped,
        Self::ExitRegroupsAtOnce,
        Self::WindowIsExact,
        Self::TransientSupervisorComesBack,
        Self::AnyWindowIsAccepted,
        Self::RestartIsChargedWhenDecided,
        Self::AddedChildrenStopTogether,
        Self::WaitingHoldsOffAutoShutdown,
        Self::WaitingIsLive,
        Self::RestartOfRestartingChild,
        Self::ActiveIsCounted,
        Self::RestartOfRunningChild,
        Self::OneKindOfSupervisor,
    ];

    pub(crate) fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|difference| difference.name() == name)
    }

    /// Its name in the histories: the rule of the semantics, and a word.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::NewChildIsOutsideGroup => "start_5_outside_the_group",
            Self::NeverBusy => "start_6_never_busy",
            Self::DynamicTransientIsForgotten => "restart_9_dynamic_transient",
            Self::RestOfGroupStartsWithoutIt => "restart_11_rest_of_group",
            Self::StoppedMemberStaysStopped => "restart_11_stopped_member",
            Self::ExitRegroupsAtOnce => "restart_15_regroups_at_once",
            Self::WindowIsExact => "intensity_1_exact_window",
            Self::TransientSupervisorComesBack => "intensity_4_transient_supervisor",
            Self::AnyWindowIsAccepted => "intensity_6_any_window",
            Self::RestartIsChargedWhenDecided => "backoff_4_charged_when_decided",
            Self::AddedChildrenStopTogether => "stop_6_added_children_together",
            Self::WaitingHoldsOffAutoShutdown => "significant_3_waiting_is_live",
            Self::WaitingIsLive => "admin_waiting_is_live",
            Self::RestartOfRestartingChild => "admin_restart_of_restarting",
            Self::ActiveIsCounted => "admin_4_active_is_counted",
            Self::RestartOfRunningChild => "admin_8_restart_of_running",
            Self::OneKindOfSupervisor => "admin_8_one_kind_of_supervisor",
        }
    }
}
