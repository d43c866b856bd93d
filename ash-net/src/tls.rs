//! TLS 1.3 over TCP, with server certificates or with those of both sides.
//!
//! Certificates are checked against a certificate authority of your own, never against those that
//! browsers trust: whoever has a certificate of that authority belongs to the cluster.
//!
//! What a client may do is written in its certificate, in a URI among its alternative names:
//! `ash://<cluster>/<level>/<name>`, where the level is `observer`, `operator` or `admin`. A
//! certificate without such a URI, or with several that contradict each other, lets nobody in.
//! Neither common names nor addresses are looked at.

use std::fmt;
use std::io;
use std::sync::Arc;

use rustls::client::WebPkiServerVerifier;
use rustls::crypto::{CryptoProvider, aws_lc_rs};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::server::WebPkiClientVerifier;
use rustls::{ClientConfig, RootCertStore, ServerConfig, version::TLS13};

use crate::access::Access;

/// The protocol that both sides negotiate by ALPN.
const PROTOCOL: &[u8] = b"ash/1";

/// The label of the keying material that a secret's proof is bound to.
const BINDING_LABEL: &[u8] = b"EXPORTER-ash-net-channel-binding";

/// Why TLS cannot be set up.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TlsError {
    /// A certificate or a key is no PEM, or there is none in it.
    #[error("no {0} in the PEM that was given")]
    NoPem(&'static str),
    /// The certificates or the key cannot be used.
    #[error("the certificates are of no use: {0}")]
    Unusable(#[source] Box<dyn std::error::Error + Send + Sync>),
}

/// How a server speaks TLS.
///
/// The certificates are those that were read when this was made: for new ones make it anew and bind
/// again. Revocation lists are not consulted, so give certificates of clients short lives.
///
/// # Examples
///
/// ```no_run
/// # fn example() -> Result<(), Box<dyn std::error::Error>> {
/// use ash_net::tls::TlsServer;
///
/// let tls = TlsServer::from_pem(std::fs::read("server.pem")?, std::fs::read("server.key")?)?
///     .with_client_ca_pem(std::fs::read("ca.pem")?)?;
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
#[must_use = "give it to a server"]
pub struct TlsServer {
    chain: Vec<CertificateDer<'static>>,
    key: Arc<PrivateKeyDer<'static>>,
    cluster: Option<String>,
    is_mutual: bool,
    config: Arc<ServerConfig>,
}

/// How a client speaks TLS.
///
/// # Examples
///
/// ```no_run
/// # async fn example() -> Result<(), Box<dyn std::error::Error>> {
/// use ash_net::Connector;
/// use ash_net::tls::TlsClient;
///
/// let tls = TlsClient::from_ca_pem(std::fs::read("ca.pem")?)?
///     .with_certificate_pem(std::fs::read("client.pem")?, std::fs::read("client.key")?)?;
/// let remote = Connector::tcp("orders.internal:7878").with_tls(tls).connect().await?;
/// println!("{}", remote.tree().await?);
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
#[must_use = "give it to a connector"]
pub struct TlsClient {
    roots: Arc<RootCertStore>,
    server_name: Option<String>,
    config: Arc<ClientConfig>,
}

fn provider() -> Arc<CryptoProvider> {
    Arc::new(aws_lc_rs::default_provider())
}

fn unusable(error: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> TlsError {
    TlsError::Unusable(error.into())
}

fn certificates(pem: &[u8]) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let all: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(pem).collect();
    match all {
        Ok(all) if !all.is_empty() => Ok(all),
        Ok(_) | Err(_) => Err(TlsError::NoPem("certificate")),
    }
}

fn key(pem: &[u8]) -> Result<PrivateKeyDer<'static>, TlsError> {
    PrivateKeyDer::from_pem_slice(pem).map_err(|_| TlsError::NoPem("private key"))
}

fn roots(pem: &[u8]) -> Result<Arc<RootCertStore>, TlsError> {
    let mut roots = RootCertStore::empty();
    for certificate in certificates(pem)? {
        roots.add(certificate).map_err(unusable)?;
    }
    Ok(Arc::new(roots))
}

impl TlsServer {
    /// A server with this chain of certificates, its own first, and this key, both as PEM.
    ///
    /// # Errors
    ///
    /// If they are no PEM, or do not suit each other.
    pub fn from_pem(chain: impl AsRef<[u8]>, key_pem: impl AsRef<[u8]>) -> Result<Self, TlsError> {
        let chain = certificates(chain.as_ref())?;
        let key = Arc::new(key(key_pem.as_ref())?);
        let builder = ServerConfig::builder_with_provider(provider());
        let builder = builder.with_protocol_versions(&[&TLS13]).map_err(unusable)?;
        let config = builder
            .with_no_client_auth()
            .with_single_cert(chain.clone(), key.clone_key())
            .map_err(unusable)?;
        Ok(Self { chain, key, cluster: None, is_mutual: false, config: finished(config) })
    }

    /// Demands that clients have a certificate of this authority, given as PEM. What they may do is
    /// written in it.
    ///
    /// # Errors
    ///
    /// If it is no PEM, or no certificate of an authority.
    pub fn with_client_ca_pem(mut self, ca: impl AsRef<[u8]>) -> Result<Self, TlsError> {
        let roots = roots(ca.as_ref())?;
        let verifier = WebPkiClientVerifier::builder_with_provider(roots, provider());
        let verifier = verifier.build().map_err(unusable)?;
        let builder = ServerConfig::builder_with_provider(provider());
        let builder = builder.with_protocol_versions(&[&TLS13]).map_err(unusable)?;
        let config = builder
            .with_client_cert_verifier(verifier)
            .with_single_cert(self.chain.clone(), self.key.clone_key())
            .map_err(unusable)?;
        self.is_mutual = true;
        self.config = finished(config);
        Ok(self)
    }

    /// Lets in only clients whose certificate names this cluster: for an authority that serves
    /// several. By default any name will do. Without
    /// [`with_client_ca_pem`](Self::with_client_ca_pem) it has no effect.
    pub fn with_cluster(mut self, cluster: impl Into<String>) -> Self {
        self.cluster = Some(cluster.into());
        self
    }

    pub(crate) const fn is_mutual(&self) -> bool {
        self.is_mutual
    }

    pub(crate) fn config(&self) -> Arc<ServerConfig> {
        Arc::clone(&self.config)
    }

    /// Returns what a peer may do, by its certificate; without mutual TLS anything.
    pub(crate) fn access(&self, certificates: Option<&[CertificateDer<'_>]>) -> Option<Access> {
        if !self.is_mutual {
            return Some(Access::Admin);
        }
        let certificate = webpki::EndEntityCert::try_from(certificates?.first()?).ok()?;
        let mut levels = certificate
            .valid_uri_names()
            .filter(|name| name.starts_with("ash://"))
            .map(|name| self.level(name));
        let level = levels.next()??;
        levels.all(|other| other == Some(level)).then_some(level)
    }

    /// Returns the level in a name: `ash://<cluster>/<level>/<name>`.
    fn level(&self, name: &str) -> Option<Access> {
        let mut parts = name.strip_prefix("ash://")?.split('/');
        let (cluster, level, who) = (parts.next()?, parts.next()?, parts.next()?);
        let is_ours = self.cluster.as_deref().is_none_or(|ours| ours == cluster);
        let is_whole = parts.next().is_none() && !cluster.is_empty() && !who.is_empty();
        if is_ours && is_whole { Access::from_name(level) } else { None }
    }
}

fn finished(mut config: ServerConfig) -> Arc<ServerConfig> {
    config.alpn_protocols = vec![PROTOCOL.to_vec()];
    Arc::new(config)
}

impl TlsClient {
    /// A client that trusts servers with a certificate of this authority, given as PEM.
    ///
    /// # Errors
    ///
    /// If it is no PEM, or no certificate of an authority.
    pub fn from_ca_pem(ca: impl AsRef<[u8]>) -> Result<Self, TlsError> {
        let roots = roots(ca.as_ref())?;
        Self::build(roots, None, None)
    }

    /// Shows this certificate, its chain and its key as PEM, to servers that ask for one.
    ///
    /// # Errors
    ///
    /// If they are no PEM, or do not suit each other.
    pub fn with_certificate_pem(
        self,
        chain: impl AsRef<[u8]>,
        key_pem: impl AsRef<[u8]>,
    ) -> Result<Self, TlsError> {
        let own = (certificates(chain.as_ref())?, key(key_pem.as_ref())?);
        Self::build(self.roots, self.server_name, Some(own))
    }

    /// Sets the name that must stand in the server's certificate. The default is the host that is
    /// connected to.
    pub fn with_server_name(mut self, name: impl Into<String>) -> Self {
        self.server_name = Some(name.into());
        self
    }

    fn build(
        roots: Arc<RootCertStore>,
        server_name: Option<String>,
        own: Option<(Vec<CertificateDer<'static>>, PrivateKeyDer<'static>)>,
    ) -> Result<Self, TlsError> {
        let verifier = WebPkiServerVerifier::builder_with_provider(Arc::clone(&roots), provider());
        let verifier = verifier.build().map_err(unusable)?;
        let builder = ClientConfig::builder_with_provider(provider());
        let builder = builder.with_protocol_versions(&[&TLS13]).map_err(unusable)?;
        let builder = builder.with_webpki_verifier(verifier);
        let mut config = match own {
            Some((chain, key)) => builder.with_client_auth_cert(chain, key).map_err(unusable)?,
            None => builder.with_no_client_auth(),
        };
        config.alpn_protocols = vec![PROTOCOL.to_vec()];
        Ok(Self { roots, server_name, config: Arc::new(config) })
    }

    pub(crate) fn config(&self) -> Arc<ClientConfig> {
        Arc::clone(&self.config)
    }

    /// Returns the name that the server must have, which is connected to as `target`.
    pub(crate) fn name(&self, target: &str) -> Result<ServerName<'static>, String> {
        let name = match &self.server_name {
            Some(name) => name.as_str(),
            None => target.rsplit_once(':').map_or(target, |(host, _)| host),
        };
        let name = name.trim_start_matches('[').trim_end_matches(']');
        ServerName::try_from(name.to_owned())
            .map_err(|_| format!("`{name}` is no name that a certificate can hold"))
    }
}

/// Returns keying material that only the two ends of this connection know.
pub(crate) fn binding<Data>(connection: &rustls::ConnectionCommon<Data>) -> io::Result<Vec<u8>> {
    let binding = connection.export_keying_material([0u8; 32], BINDING_LABEL, None);
    binding.map(|binding| binding.to_vec()).map_err(io::Error::other)
}

impl fmt::Debug for TlsServer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TlsServer")
            .field("is_mutual", &self.is_mutual)
            .field("cluster", &self.cluster)
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for TlsClient {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TlsClient").field("server_name", &self.server_name).finish_non_exhaustive()
    }
}
