//! Servers and clients over real sockets, at ports and paths that the system chooses.

mod access;
mod calls;
mod events;
mod support;
