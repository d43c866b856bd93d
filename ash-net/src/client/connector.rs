//! Where to connect to, and how.

use std::fmt;
use std::io;
use std::net::SocketAddr;
#[cfg(unix)]
use std::path::{Path, PathBuf};
#[cfg(feature = "simulation")]
use std::sync::Arc;

use tokio::net::ToSocketAddrs;

use crate::auth::Auth;
use crate::client::handle::RemoteSupervisorHandle;
use crate::client::manager;
use crate::error::ConnectError;
use crate::limits::Limits;
use crate::log::Log;
use crate::protocol::{
    ClientHandshake, ClientStep, FrameDecoder, HandshakeError, MAX_HANDSHAKE_FRAME, MAX_PATH,
    Refusal, Welcomed,
};
#[cfg(feature = "simulation")]
use crate::simulation::Source;
#[cfg(feature = "tls")]
use crate::transport::tls::is_refusal;
#[cfg(unix)]
use crate::transport::unix;
use crate::transport::{Stream, handshake, tcp};

/// Describes a connection to a server, and makes it.
///
/// # Examples
///
/// ```no_run
/// # async fn example() -> Result<(), Box<dyn std::error::Error>> {
/// use ash_net::{Auth, Connector};
///
/// let remote = Connector::tcp("localhost:8080")
///     .with_auth(Auth::secret_file("/etc/app/secret")?)
///     .with_supervisor("orders")
///     .connect()
///     .await?;
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
#[must_use = "it connects when `connect` is awaited"]
pub struct Connector {
    target: Target,
    supervisor: String,
    auth: Option<Auth>,
    #[cfg(feature = "tls")]
    tls: Option<crate::tls::TlsClient>,
    pub(super) limits: Limits,
    pub(super) log: Log,
}

#[derive(Clone, Debug)]
enum Target {
    /// Looked up anew for each connection.
    Name(String),
    Addresses(Vec<SocketAddr>),
    #[cfg(unix)]
    Unix(PathBuf),
    #[cfg(feature = "simulation")]
    Simulated(Arc<Source<Stream>>),
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Name(name) => f.write_str(name),
            Self::Addresses(addresses) => match addresses.as_slice() {
                [] => f.write_str("no address"),
                [address] => write!(f, "{address}"),
                [address, ..] => write!(f, "{address} (and others)"),
            },
            #[cfg(unix)]
            Self::Unix(path) => write!(f, "{}", path.display()),
            #[cfg(feature = "simulation")]
            Self::Simulated(_) => f.write_str("a simulated server"),
        }
    }
}

/// A connection whose handshake has succeeded.
#[derive(Debug)]
pub(super) struct Established {
    pub(super) stream: Stream,
    pub(super) decoder: FrameDecoder,
    pub(super) welcomed: Welcomed,
}

impl Connector {
    fn new(target: Target) -> Self {
        Self {
            target,
            supervisor: String::new(),
            auth: None,
            #[cfg(feature = "tls")]
            tls: None,
            limits: Limits::default(),
            log: Log::new(None),
        }
    }

    /// Over TCP, to `host:port`. A name is looked up anew for each connection.
    pub fn tcp(address: impl fmt::Display) -> Self {
        Self::new(Target::Name(address.to_string()))
    }

    /// Over TCP, to the first of these addresses that answers. An error cannot show what was given,
    /// most kinds of which have no text.
    pub(super) async fn resolved(address: impl ToSocketAddrs) -> Result<Self, ConnectError> {
        let found = tokio::net::lookup_host(address).await;
        let found =
            found.map_err(|source| ConnectError::Io { target: "the address".into(), source })?;
        Ok(Self::new(Target::Addresses(found.collect())))
    }

    /// Over a Unix socket.
    #[cfg(unix)]
    pub fn unix(path: impl AsRef<Path>) -> Self {
        Self::new(Target::Unix(path.as_ref().into()))
    }

    #[cfg(feature = "simulation")]
    pub(crate) fn simulated(source: Arc<Source<Stream>>) -> Self {
        Self::new(Target::Simulated(source))
    }

    /// Asks for the supervisor of that name, where the server has several.
    pub fn with_supervisor(mut self, name: impl Into<String>) -> Self {
        self.supervisor = name.into();
        self
    }

    /// Proves that it knows this secret, and demands the same of the server. A server that does not
    /// know it is not believed, not even that the supervisor has ended.
    pub fn with_auth(mut self, auth: Auth) -> Self {
        self.auth = Some(auth);
        self
    }

    /// Speaks TLS.
    #[cfg(feature = "tls")]
    pub fn with_tls(mut self, tls: crate::tls::TlsClient) -> Self {
        self.tls = Some(tls);
        self
    }

    /// Sets how much the server may use. See [`Limits`].
    pub fn with_limits(mut self, limits: Limits) -> Self {
        self.limits = limits;
        self
    }

    /// Sets the logger. The default is the one that `slog-scope` has when the connector is made.
    pub fn with_logger(mut self, logger: &slog::Logger) -> Self {
        self.log = Log::new(Some(logger));
        self
    }

    /// Connects. If the connection is lost later, it is replaced in the background.
    ///
    /// # Errors
    ///
    /// If the connection cannot be made.
    ///
    /// # Panics
    ///
    /// Panics outside a tokio runtime, and in one whose I/O or timers are not enabled.
    pub async fn connect(self) -> Result<RemoteSupervisorHandle, ConnectError> {
        manager::connect(&self, manager::Renewal::Always).await
    }

    /// Connects. If the connection is lost later, it is not replaced.
    pub(crate) async fn connect_once(&self) -> Result<RemoteSupervisorHandle, ConnectError> {
        manager::connect(self, manager::Renewal::Never).await
    }

    /// Returns the same for the supervisor at a path and no other: one that was not asked for by
    /// its name may be served beside others later.
    pub(super) fn pinned(&self, path: &str) -> Result<Self, ConnectError> {
        let name = path.rsplit_once('/').map_or(path, |(_, name)| name);
        let pinned = Self { supervisor: name.into(), ..self.clone() };
        pinned.check_name()?;
        Ok(pinned)
    }

    /// Makes sure that the supervisor's name fits into a hello.
    fn check_name(&self) -> Result<(), ConnectError> {
        let (length, limit) = (self.supervisor.len(), MAX_PATH);
        if length > limit {
            return Err(ConnectError::NameTooLong { target: self.target(), length, limit });
        }
        Ok(())
    }

    /// Returns the error that the server has no such supervisor.
    pub(super) fn unknown(&self) -> ConnectError {
        ConnectError::UnknownSupervisor { target: self.target(), name: self.supervisor.clone() }
    }

    pub(crate) fn target(&self) -> String {
        self.target.to_string()
    }

    /// Makes a connection, handshake included, within the time for a handshake.
    pub(super) async fn establish(&self) -> Result<Established, ConnectError> {
        self.check_name()?;
        let target = || self.target();
        let all = async {
            let mut stream = self.open().await?;
            match self.shake_hands(&mut stream).await {
                Ok((decoder, welcomed)) => Ok(Established { stream, decoder, welcomed }),
                Err(Broken::Io(source)) => Err(ConnectError::Io { target: target(), source }),
                Err(Broken::Tls) => Err(ConnectError::Tls {
                    target: target(),
                    reason: "the server speaks TLS: use `with_tls`".into(),
                }),
                Err(Broken::Handshake(error)) => Err(self.explain(error)),
            }
        };
        match tokio::time::timeout(self.limits.handshake, all).await {
            Ok(result) => result,
            Err(_) => Err(ConnectError::TimedOut { target: target() }),
        }
    }

    async fn open(&self) -> Result<Stream, ConnectError> {
        let failed = |source| ConnectError::Io { target: self.target(), source };
        let addresses = match &self.target {
            #[cfg(unix)]
            Target::Unix(path) => {
                return Ok(unix::stream(unix::connect(path).await.map_err(failed)?));
            }
            #[cfg(feature = "simulation")]
            Target::Simulated(source) => return source.next().await.map_err(failed),
            Target::Addresses(addresses) => addresses.clone(),
            Target::Name(name) => {
                let found = tokio::net::lookup_host(name).await;
                found.map_err(failed)?.collect()
            }
        };
        #[cfg(feature = "tls")]
        if let Some(tls) = &self.tls {
            let stream = tcp::connect(&addresses).await.map_err(failed)?;
            return tls.connect(stream, &self.target()).await;
        }
        if self.auth.is_some() && !addresses.iter().copied().all(tcp::is_local) {
            return Err(ConnectError::SecretWithoutTls { target: self.target() });
        }
        let stream = tcp::connect(&addresses).await.map_err(failed)?;
        tcp::stream(stream).map_err(failed)
    }

    async fn shake_hands(&self, stream: &mut Stream) -> Result<(FrameDecoder, Welcomed), Broken> {
        let mut client = ClientHandshake::new(
            handshake::nonce()?,
            self.auth.clone(),
            stream.binding.clone(),
            self.limits.frame,
            &self.supervisor,
        );
        let mut decoder = FrameDecoder::new(MAX_HANDSHAKE_FRAME);
        handshake::send(stream, &[client.hello()]).await?;
        loop {
            let frame = match handshake::receive(stream, &mut decoder).await {
                // The server does not take this client's certificate, or wants one.
                #[cfg(feature = "tls")]
                Err(error) if is_refusal(&error) => {
                    return Err(Broken::Handshake(HandshakeError::Refused(
                        Refusal::Unauthenticated,
                    )));
                }
                Err(error) if error.kind() == io::ErrorKind::InvalidData => {
                    let is_tls = decoder.unread().starts_with(&TLS_ALERT);
                    return Err(if is_tls {
                        Broken::Tls
                    } else {
                        Broken::Handshake(HandshakeError::Foreign)
                    });
                }
                received => received?,
            };
            match client.handle_frame(&frame).map_err(Broken::Handshake)? {
                ClientStep::Send(body) => handshake::send(stream, &[&body]).await?,
                ClientStep::Wait => {}
                ClientStep::Admitted(welcomed) => {
                    decoder.set_limit(self.limits.frame);
                    return Ok((decoder, welcomed));
                }
            }
        }
    }

    fn explain(&self, error: HandshakeError) -> ConnectError {
        let target = self.target();
        match error {
            HandshakeError::Foreign | HandshakeError::Malformed => ConnectError::Foreign { target },
            HandshakeError::Version { min, max }
            | HandshakeError::Refused(Refusal::Version { min, max }) => {
                ConnectError::Version { target, min, max }
            }
            HandshakeError::SecretDemanded => ConnectError::SecretDemanded { target },
            HandshakeError::BadServerProof => ConnectError::ServerUnproven { target },
            HandshakeError::BadClientProof | HandshakeError::Refused(Refusal::Unauthenticated) => {
                ConnectError::Unauthenticated { target }
            }
            HandshakeError::Refused(Refusal::TooManyConnections) => {
                ConnectError::TooManyConnections { target }
            }
            HandshakeError::Refused(Refusal::UnknownSupervisor) => self.unknown(),
            HandshakeError::Refused(Refusal::ShuttingDown) => ConnectError::ShuttingDown { target },
        }
    }
}

/// How the alert begins with which a TLS server answers what is not TLS.
const TLS_ALERT: [u8; 2] = [21, 3];

/// How a handshake broke off.
enum Broken {
    Io(io::Error),
    /// The server speaks TLS, and this side does not.
    Tls,
    Handshake(HandshakeError),
}

impl From<io::Error> for Broken {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}
