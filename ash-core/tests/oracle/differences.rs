//! Where we deliberately do not do what OTP does, each with its reason.
//!
//! A scripted history shows every one of them (`differs NAME`, then what we do instead). In random
//! histories the comparison recognises the situation: it goes on if both sides are left in the
//! same state, and ends there if they are not. Whatever is not listed here is a defect.

/// A deliberate difference.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Difference {
    RetriesGoByPlace,
    StoppedMemberStaysStopped,
    ActiveIsCounted,
    NewChildIsOutsideGroup,
    DynamicTransientIsForgotten,
    RestOfGroupStartsWithoutIt,
    ExitRegroupsAtOnce,
    AnyWindowIsAccepted,
    TransientSupervisorComesBack,
    RestartIsChargedWhenDecided,
    WaitingIsLive,
    WaitingHoldsOffAutoShutdown,
    RestartOfRunningChild,
    RestartOfRestartingChild,
    OneKindOfSupervisor,
}

impl Difference {
    pub(crate) const ALL: [Self; 15] = [
        Self::RetriesGoByPlace,
        Self::StoppedMemberStaysStopped,
        Self::ActiveIsCounted,
        Self::NewChildIsOutsideGroup,
        Self::DynamicTransientIsForgotten,
        Self::RestOfGroupStartsWithoutIt,
        Self::ExitRegroupsAtOnce,
        Self::AnyWindowIsAccepted,
        Self::TransientSupervisorComesBack,
        Self::RestartIsChargedWhenDecided,
        Self::WaitingIsLive,
        Self::WaitingHoldsOffAutoShutdown,
        Self::RestartOfRunningChild,
        Self::RestartOfRestartingChild,
        Self::OneKindOfSupervisor,
    ];

    pub(crate) fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|difference| difference.name() == name)
    }

    /// Its name in the histories: the rule of the semantics, and a word.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::RetriesGoByPlace => "restart_2_retries_by_place",
            Self::StoppedMemberStaysStopped => "restart_11_stopped_member",
            Self::ActiveIsCounted => "admin_4_active_is_counted",
            Self::NewChildIsOutsideGroup => "start_5_outside_the_group",
            Self::DynamicTransientIsForgotten => "restart_9_dynamic_transient",
            Self::RestOfGroupStartsWithoutIt => "restart_11_rest_of_group",
            Self::ExitRegroupsAtOnce => "restart_15_regroups_at_once",
            Self::AnyWindowIsAccepted => "intensity_6_any_window",
            Self::TransientSupervisorComesBack => "intensity_4_transient_supervisor",
            Self::RestartIsChargedWhenDecided => "backoff_4_charged_when_decided",
            Self::WaitingIsLive => "admin_waiting_is_live",
            Self::WaitingHoldsOffAutoShutdown => "significant_3_waiting_is_live",
            Self::RestartOfRunningChild => "admin_8_restart_of_running",
            Self::RestartOfRestartingChild => "admin_restart_of_restarting",
            Self::OneKindOfSupervisor => "admin_8_one_kind_of_supervisor",
        }
    }
}
