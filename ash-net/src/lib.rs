//! Supervision trees driven and watched from other processes and machines.

mod access;
mod auth;
mod limits;
mod protocol;
mod status;

pub use access::Access;
pub use auth::{Auth, AuthError};
pub use limits::Limits;
pub use status::SupervisorStatus;
