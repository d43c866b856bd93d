//! Unix sockets: whose file it is, and who is on the other side.

use std::fs::{File, Metadata, TryLockError};
use std::io;
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::time::Duration;

use rustix::fs::Mode;
use tokio::net::{UnixListener, UnixSocket, UnixStream};

use crate::error::ServerError;
use crate::transport::Stream;

/// How long a server may take to answer before it counts as one that is alive but busy.
const PROBE: Duration = Duration::from_secs(1);

/// How often a server is probed that goes away meanwhile, before it counts as one that answers.
const PROBES: usize = 8;

/// How often the lock of a directory is tried, and how long apart: in all longer than a probe
/// takes.
const LOCK_TRIES: u32 = 150;
const LOCK_PAUSE: Duration = Duration::from_millis(10);

/// How many connections may wait to be accepted.
const BACKLOG: u32 = 1_024;

/// Wraps an established connection.
pub(crate) fn stream(unix: UnixStream) -> Stream {
    let (reader, writer) = unix.into_split();
    Stream { reader: Box::new(reader), writer: Box::new(writer), binding: Vec::new() }
}

/// Connects to the server at a path.
pub(crate) async fn connect(path: &Path) -> io::Result<UnixStream> {
    UnixStream::connect(path).await
}

/// Returns the user that this process acts as.
pub(crate) fn own_uid() -> u32 {
    rustix::process::geteuid().as_raw()
}

/// A listening socket and its file, which goes away with it.
#[derive(Debug)]
pub(crate) struct Socket {
    path: PathBuf,
    /// Dropped before the listener: as long as that answers, no other server takes the file for a
    /// stale one and replaces it, and its inode is not given to another file.
    _file: SocketFile,
    pub(crate) listener: UnixListener,
}

/// A socket's file. Dropped, it is removed, if it still is the one that was made.
#[derive(Debug)]
struct SocketFile {
    /// Absolute, for the working directory may change.
    path: PathBuf,
    device: u64,
    inode: u64,
}

impl Drop for SocketFile {
    fn drop(&mut self) {
        #[cfg(test)]
        tests::before_removal(&self.path);
        let is_ours = std::fs::symlink_metadata(&self.path)
            .is_ok_and(|found| (found.dev(), found.ino()) == (self.device, self.inode));
        if is_ours {
            let _ = std::fs::remove_file(&self.path);
        }
    }
}

impl Socket {
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Listens at a path, with these permission bits on the file. What is there stays, unless it
    /// is a socket of this user on which nobody answers.
    pub(crate) async fn listen(path: &Path, mode: u32) -> Result<Self, ServerError> {
        // Two servers that start at once do not take each other's socket for a stale one.
        let _lock = lock_directory(path).await;
        clear(path).await?;
        let failed = |source: io::Error| {
            if source.kind() == io::ErrorKind::AddrInUse {
                ServerError::AlreadyServed(path.into())
            } else {
                listen_error(path, source)
            }
        };
        let socket = UnixSocket::new_stream().map_err(failed)?;
        // On Linux the file is made with the bits of the socket: it is never open to others.
        let mode = file_mode(mode);
        let _ = rustix::fs::fchmod(&socket, mode);
        socket.bind(path).map_err(failed)?;
        let made = std::fs::symlink_metadata(path).map_err(failed)?;
        let absolute = std::path::absolute(path).map_err(failed)?;
        let file = SocketFile { path: absolute, device: made.dev(), inode: made.ino() };
        // Nobody can connect before it listens.
        rustix::fs::chmod(path, mode).map_err(|error| failed(error.into()))?;
        let listener = socket.listen(BACKLOG).map_err(failed)?;
        Ok(Self { path: path.into(), _file: file, listener })
    }
}

/// Locks the directory of a path, so that servers look at the path and listen there one at a time.
/// That leaves no file behind. Without a lock, if it cannot be had in time or at all, the server
/// goes on.
async fn lock_directory(path: &Path) -> Option<File> {
    let directory = match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        Some(_) | None => Path::new("."),
    };
    let directory = File::open(directory).ok()?;
    for _ in 0..LOCK_TRIES {
        match directory.try_lock() {
            Ok(()) => return Some(directory),
            Err(TryLockError::WouldBlock) => tokio::time::sleep(LOCK_PAUSE).await,
            Err(TryLockError::Error(_)) => return None,
        }
    }
    None
}

fn listen_error(path: &Path, source: io::Error) -> ServerError {
    ServerError::Listen { address: path.display().to_string(), source }
}

/// Returns permission bits in the system's own type, whose size differs.
#[cfg_attr(
    target_os = "linux",
    expect(trivial_numeric_casts, reason = "elsewhere it is a smaller type")
)]
const fn file_mode(bits: u32) -> Mode {
    Mode::from_raw_mode((bits & 0o7777) as rustix::fs::RawMode)
}

/// Removes a socket of this user at `path` on which nobody answers. Anything else there is an
/// error and is left alone.
async fn clear(path: &Path) -> Result<(), ServerError> {
    let failed = |source| listen_error(path, source);
    let in_the_way = |what| ServerError::InTheWay { path: path.into(), what };
    let found = match std::fs::symlink_metadata(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        found => found.map_err(failed)?,
    };
    if !found.file_type().is_socket() {
        return Err(in_the_way("it is no socket"));
    }
    match tokio::time::timeout(PROBE, probe(path)).await {
        Ok(Err(error)) if error.kind() == io::ErrorKind::ConnectionRefused => {}
        Ok(Err(error)) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Ok(Err(error)) => return Err(failed(error)),
        Ok(Ok(())) | Err(_) => return Err(ServerError::AlreadyServed(path.into())),
    }
    if found.uid() != own_uid() {
        return Err(in_the_way("it is a socket of another user"));
    }
    // Another server may have taken the path over meanwhile.
    match std::fs::symlink_metadata(path) {
        Ok(now) if identity(&now) == identity(&found) => std::fs::remove_file(path).map_err(failed),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Ok(_) => Err(ServerError::AlreadyServed(path.into())),
        Err(error) => Err(failed(error)),
    }
}

/// Finds out whether somebody answers at a path.
async fn probe(path: &Path) -> io::Result<()> {
    for _ in 0..PROBES {
        match connect(path).await {
            // The probe waited to be accepted when the server stopped listening.
            Err(error) if error.kind() == io::ErrorKind::ConnectionReset => {}
            answered => return answered.map(drop),
        }
    }
    Ok(())
}

/// What tells a file from one that was made later, even if the system gave it the same inode.
fn identity(file: &Metadata) -> (u64, u64, i64, i64) {
    (file.dev(), file.ino(), file.ctime(), file.ctime_nsec())
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;
    use std::os::unix::net::UnixStream;

    use super::*;

    thread_local! {
        /// Whether somebody listened when the file of a socket was about to be removed.
        static ANSWERED: Cell<Option<bool>> = const { Cell::new(None) };
    }

    pub(super) fn before_removal(path: &Path) {
        ANSWERED.set(Some(UnixStream::connect(path).is_ok()));
    }

    #[tokio::test]
    async fn a_server_that_comes_finds_one_that_goes_listening_until_its_file_is_gone() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("sock");
        let socket = Socket::listen(&path, 0o600).await.unwrap();
        drop(socket);
        assert_eq!(ANSWERED.get(), Some(true));
        assert!(!path.exists());
    }

    #[tokio::test]
    async fn a_server_that_goes_while_it_is_probed_is_not_in_the_way() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("sock");
        for is_removed in [false, true] {
            let old = std::os::unix::net::UnixListener::bind(&path).unwrap();
            let mut listening = Box::pin(Socket::listen(&path, 0o600));
            // It has connected, and has yet to learn how that went.
            assert!(futures_util::poll!(&mut listening).is_pending());
            if is_removed {
                std::fs::remove_file(&path).unwrap();
            }
            drop(old);
            listening.await.unwrap();
        }
    }
}
