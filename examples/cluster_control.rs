//! One controller and several supervisors, each of which grants it another level of access: over
//! mutual TLS, with certificates made on the spot.
//!
//! ```sh
//! cargo run -p examples --features tls --example cluster_control
//! ```
#![expect(clippy::print_stdout, reason = "an example shows itself")]

use std::io;
use std::net::SocketAddr;

use ash_flare::distributed::tls::{TlsClient, TlsServer};
use ash_flare::distributed::{
    Access, Connector, RemoteError, RemoteSupervisorHandle, SupervisorServer,
};
use ash_flare::{ChildContext, ChildSpec, SupervisorHandle, SupervisorSpec};
use rcgen::{
    BasicConstraints, CertificateParams, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair, SanType,
};

type AnyError = Box<dyn std::error::Error + Send + Sync>;

/// The cluster's own certificate authority: its certificates make members of the cluster.
struct Authority {
    pem: String,
    issuer: Issuer<'static, KeyPair>,
}

/// A certificate and its key, as PEM.
struct Identity {
    certificate: String,
    key: String,
}

impl Authority {
    fn new() -> Result<Self, AnyError> {
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate()?;
        let pem = params.self_signed(&key)?.pem();
        Ok(Self { pem, issuer: Issuer::new(params, key) })
    }

    fn sign(&self, params: &CertificateParams) -> Result<Identity, AnyError> {
        let key = KeyPair::generate()?;
        let certificate = params.signed_by(&key, &self.issuer)?.pem();
        Ok(Identity { certificate, key: key.serialize_pem() })
    }

    /// A certificate for a server, which is identified by its host.
    fn server(&self) -> Result<Identity, AnyError> {
        let mut params = CertificateParams::new(["127.0.0.1".to_owned()])?;
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        self.sign(&params)
    }

    /// A certificate for a client, with a URI that says what it may do.
    fn client(&self, level: Access, name: &str) -> Result<Identity, AnyError> {
        let mut params = CertificateParams::default();
        let uri = format!("ash://shop/{level}/{name}");
        params.subject_alt_names = vec![SanType::URI(uri.as_str().try_into()?)];
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
        self.sign(&params)
    }

    fn connector(&self, address: SocketAddr, own: &Identity) -> Result<Connector, AnyError> {
        let tls = TlsClient::from_ca_pem(&self.pem)?;
        let tls = tls.with_certificate_pem(&own.certificate, &own.key)?;
        Ok(Connector::tcp(address).with_tls(tls))
    }
}

fn idle(id: &str) -> ChildSpec {
    ChildSpec::task(id, |child: ChildContext| async move {
        child.stop_token().cancelled().await;
        Ok::<_, io::Error>(())
    })
}

/// Starts a tree and serves it, with `most` as the highest access level.
async fn serve(
    authority: &Authority,
    name: &str,
    most: Access,
) -> Result<(SupervisorHandle, SocketAddr), AnyError> {
    let spec = SupervisorSpec::new(name).with_child(idle("intake")).with_child(idle("store"));
    let handle = SupervisorHandle::start(spec);
    handle.ready().await?;
    let own = authority.server()?;
    let tls = TlsServer::from_pem(&own.certificate, &own.key)?
        .with_client_ca_pem(&authority.pem)?
        .with_cluster("shop");
    let server = SupervisorServer::new(handle.clone()).with_tls(tls).with_access(most);
    let bound = server.bind_tcp("127.0.0.1:0").await?;
    let address = bound.local_addr();
    tokio::spawn(bound.serve());
    Ok((handle, address))
}

fn told<T>(result: Result<T, RemoteError>) -> String {
    match result {
        Ok(_) => "done".to_owned(),
        Err(error) => error.to_string(),
    }
}

async fn try_everything(name: &str, remote: &RemoteSupervisorHandle) -> Result<(), AnyError> {
    println!("{name}: the controller is `{}`", remote.access());
    println!("  list:     {} children", remote.which_children().await?.len());
    println!("  restart:  {}", told(remote.restart_child("intake").await));
    println!("  shutdown: {}", told(remote.shutdown().await));
    Ok(())
}

#[tokio::main]
async fn main() -> Result<(), AnyError> {
    let authority = Authority::new()?;
    let levels =
        [("orders", Access::Admin), ("billing", Access::Operator), ("ledger", Access::Observer)];
    let controller = authority.client(Access::Admin, "controller")?;
    let mut handles = Vec::new();
    for (name, most) in levels {
        let (handle, address) = serve(&authority, name, most).await?;
        let remote = authority.connector(address, &controller)?.connect().await?;
        try_everything(name, &remote).await?;
        handles.push((handle, address));
    }

    // A client whose certificate grants less gets less, on every server.
    let dashboard = authority.client(Access::Observer, "dashboard")?;
    let (billing, address) = &handles[1];
    let remote = authority.connector(*address, &dashboard)?.connect().await?;
    println!("billing: the dashboard is `{}`", remote.access());
    println!("  restart:  {}", told(remote.restart_child("intake").await));

    // A client with a certificate from another authority gets nothing.
    let mallory = Authority::new()?.client(Access::Admin, "controller")?;
    let refused = authority.connector(*address, &mallory)?.connect().await;
    println!("billing: a stranger is refused: {}", refused.is_err());
    assert!(refused.is_err());

    let children = billing.which_children().await?;
    println!("billing: restarted once, by the controller: {}", children[0].incarnation == 2);
    assert_eq!(children[0].incarnation, 2);
    for (handle, _) in handles {
        handle.shutdown().await?;
    }
    Ok(())
}
