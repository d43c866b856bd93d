//! Stopping a tree by a signal of the operating system.

use core::fmt;

use crate::error::SupervisorError;
use crate::exit::WorkerError;
use crate::runtime::handle::SupervisorHandle;

/// The signal that stopped a tree.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Signal {
    /// SIGINT, or Ctrl-C.
    Interrupt,
    /// SIGTERM.
    Terminate,
}

impl fmt::Display for Signal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Interrupt => "SIGINT",
            Self::Terminate => "SIGTERM",
        })
    }
}

impl SupervisorHandle {
    /// Waits for SIGINT (Ctrl-C) or SIGTERM, shuts the tree down, and returns the signal when it
    /// is down.
    ///
    /// # Errors
    ///
    /// `ShuttingDown` if the tree ended before a signal came ([`wait`](Self::wait) tells why), and
    /// `Signal` if the signals cannot be listened to.
    ///
    /// # Panics
    ///
    /// Panics outside a tokio runtime, and in one whose I/O is not enabled: signals arrive there.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future before a signal has come changes nothing but this: tokio keeps its
    /// signal handlers, so SIGINT no longer ends the process by itself.
    ///
    /// # Examples
    ///
    /// ```no_run
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// use ash_core::{SupervisorHandle, SupervisorSpec};
    ///
    /// let handle = SupervisorHandle::start(SupervisorSpec::new("app"));
    /// handle.ready().await?;
    /// let signal = handle.shutdown_on_signal().await?;
    /// println!("stopped by {signal}");
    /// # Ok(())
    /// # }
    /// ```
    pub async fn shutdown_on_signal(&self) -> Result<Signal, SupervisorError> {
        let signal = tokio::select! {
            signal = next_signal() => signal.map_err(|error| SupervisorError::Signal(WorkerError::new(error)))?,
            _ = self.wait() => return Err(self.shared().shutting_down()),
        };
        self.shutdown().await?;
        Ok(signal)
    }
}

#[cfg(unix)]
async fn next_signal() -> std::io::Result<Signal> {
    use tokio::signal::unix::{SignalKind, signal};

    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut terminate = signal(SignalKind::terminate())?;
    Ok(tokio::select! {
        _ = interrupt.recv() => Signal::Interrupt,
        _ = terminate.recv() => Signal::Terminate,
    })
}

#[cfg(not(unix))]
async fn next_signal() -> std::io::Result<Signal> {
    tokio::signal::ctrl_c().await?;
    Ok(Signal::Interrupt)
}
