//! Ours.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use ash_core::{ChildContext, ChildSpec, SupervisorHandle, SupervisorSpec};
use ash_net::tls::{TlsClient, TlsServer};
use ash_net::{Connector, RemoteSupervisorHandle, SupervisorServer};
use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};

use crate::measure::{id, now};
use crate::net::{Caller, Transport, throughput};

impl Caller for RemoteSupervisorHandle {
    async fn call(&self) {
        let children = self.which_children().await.expect("it answers");
        assert_eq!(children.len(), super::CHILDREN);
    }
}

/// Asks for one child.
#[derive(Clone, Debug)]
struct OneChild(RemoteSupervisorHandle);

impl Caller for OneChild {
    async fn call(&self) {
        self.0.child("child-7").await.expect("it answers");
    }
}

/// Starts a supervisor with so many idle children.
///
/// # Panics
///
/// Panics if the tree does not come up.
pub async fn tree(children: usize) -> SupervisorHandle {
    let idle = |child: ChildContext| async move {
        child.stop_token().cancelled().await;
        Ok::<_, std::io::Error>(())
    };
    let spec = (0..children).fold(SupervisorSpec::new("app"), |spec, number| {
        spec.with_child(ChildSpec::task(id(number), idle))
    });
    let handle = SupervisorHandle::start(spec);
    handle.ready().await.expect("idle children start");
    handle
}

/// Makes certificates for TLS and leaves them in this directory.
///
/// # Panics
///
/// Panics if they cannot be written.
pub fn make_certificates(place: &Path) {
    let mut params = CertificateParams::default();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let key = KeyPair::generate().expect("a key");
    let ca = params.self_signed(&key).expect("a certificate").pem();
    let issuer = Issuer::new(params, key);
    let params = CertificateParams::new(["127.0.0.1".to_owned()]).expect("a name");
    let key = KeyPair::generate().expect("a key");
    let own = params.signed_by(&key, &issuer).expect("a certificate").pem();
    for (name, pem) in [("ca.pem", ca), ("own.pem", own), ("own.key", key.serialize_pem())] {
        std::fs::write(place.join(name), pem).expect("the directory is ours");
    }
}

/// Has a server speak TLS with the certificates in this directory.
///
/// # Panics
///
/// Panics if there are none.
pub fn with_tls(server: SupervisorServer, place: &Path) -> SupervisorServer {
    let read = |name| std::fs::read(place.join(name)).expect("it was made");
    let tls = TlsServer::from_pem(read("own.pem"), read("own.key"));
    server.with_tls(tls.expect("they suit each other"))
}

/// Connects so often.
///
/// # Panics
///
/// Panics if nobody answers.
pub async fn connect(
    transport: Transport,
    address: &str,
    place: &Path,
    count: usize,
) -> Vec<RemoteSupervisorHandle> {
    let mut connections = Vec::new();
    for _ in 0..count {
        let connector = match transport {
            Transport::Tcp => Connector::tcp(address),
            Transport::Unix => Connector::unix(address),
            Transport::Tls => {
                let ca = std::fs::read(place.join("ca.pem")).expect("it was made");
                Connector::tcp(address).with_tls(TlsClient::from_ca_pem(ca).expect("it is one"))
            }
        };
        connections.push(connector.connect().await.expect("it answers"));
    }
    connections
}

/// Returns how many calls a second 64 callers make on one connection, and how many while another
/// caller on it lists all children without end; and how many milliseconds such a list takes.
///
/// # Panics
///
/// Panics if a call fails.
pub async fn beside_listing(remote: RemoteSupervisorHandle) -> [f64; 3] {
    let alone = throughput(vec![OneChild(remote.clone())]).await;
    let is_over = Arc::new(AtomicBool::new(false));
    let (lister, stop) = (remote.clone(), Arc::clone(&is_over));
    let listing = tokio::spawn(async move {
        let (mut lists, mut spent) = (0u32, Duration::ZERO);
        while !stop.load(Ordering::Relaxed) {
            let start = now();
            lister.which_children().await.expect("it answers");
            spent += start.elapsed();
            lists += 1;
        }
        spent.as_secs_f64() * 1e3 / f64::from(lists)
    });
    let beside = throughput(vec![OneChild(remote)]).await;
    is_over.store(true, Ordering::Relaxed);
    [alone, beside, listing.await.expect("no call fails")]
}
