//! What a server was told to serve, and to whom.

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;

use ash_core::SupervisorHandle;

use crate::access::Access;
use crate::auth::Auth;
use crate::error::ServerError;
use crate::limits::Limits;
use crate::log::Log;
use crate::protocol::MAX_PATH;
use crate::server::template::Template;

/// The settings of a server.
#[derive(Clone)]
pub(crate) struct Config {
    /// The one that is served by default comes first.
    pub(super) supervisors: Vec<SupervisorHandle>,
    pub(super) templates: HashMap<String, Arc<dyn Template>>,
    pub(super) limits: Limits,
    pub(super) secrets: Vec<Auth>,
    pub(super) access: Access,
    pub(super) strangers: Strangers,
    /// Whose processes may connect to a Unix socket; if not given, this user's and root's.
    #[cfg(unix)]
    pub(super) uids: Option<Vec<u32>>,
    #[cfg(unix)]
    pub(super) socket_mode: u32,
    #[cfg(feature = "tls")]
    pub(super) tls: Option<crate::tls::TlsServer>,
    pub(super) log: Log,
}

/// Whether peers from other machines are served that have not shown who they are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Strangers {
    Refused,
    Served,
}

impl Config {
    pub(super) fn new(supervisor: SupervisorHandle) -> Self {
        Self {
            supervisors: vec![supervisor],
            templates: HashMap::new(),
            limits: Limits::default(),
            secrets: Vec::new(),
            access: Access::Admin,
            strangers: Strangers::Refused,
            #[cfg(unix)]
            uids: None,
            #[cfg(unix)]
            socket_mode: 0o600,
            #[cfg(feature = "tls")]
            tls: None,
            log: Log::new(None),
        }
    }

    /// Refuses to serve a supervisor that no client could ask for.
    pub(super) fn check_paths(&self) -> Result<(), ServerError> {
        let mut paths = self.supervisors.iter().map(SupervisorHandle::path);
        match paths.find(|path| path.len() > MAX_PATH) {
            None => Ok(()),
            Some(path) => Err(ServerError::PathTooLong {
                path: path.into(),
                length: path.len(),
                limit: MAX_PATH,
            }),
        }
    }

    /// Returns the supervisor of that name; the default one if it is empty.
    pub(super) fn supervisor(&self, name: &str) -> Option<&SupervisorHandle> {
        let mut all = self.supervisors.iter();
        all.find(|supervisor| name.is_empty() || supervisor.name() == name)
    }
}

#[cfg(feature = "tls")]
impl Config {
    /// Tells whether TCP connections speak TLS.
    pub(super) const fn has_tls(&self) -> bool {
        self.tls.is_some()
    }

    /// Tells whether clients over TCP must have a certificate.
    pub(super) fn has_client_certificates(&self) -> bool {
        self.tls.as_ref().is_some_and(crate::tls::TlsServer::is_mutual)
    }
}

#[cfg(not(feature = "tls"))]
impl Config {
    pub(super) const fn has_tls(&self) -> bool {
        false
    }

    pub(super) const fn has_client_certificates(&self) -> bool {
        false
    }
}

impl fmt::Debug for Config {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Config")
            .field("supervisors", &self.supervisors)
            .field("templates", &self.templates.keys())
            .field("limits", &self.limits)
            .field("access", &self.access)
            .finish_non_exhaustive()
    }
}
