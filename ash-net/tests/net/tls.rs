//! TLS and mutual TLS, with certificates made on the spot.

use std::net::SocketAddr;
use std::time::Duration;

use ash_core::SupervisorHandle;
use ash_net::tls::{TlsClient, TlsServer};
use ash_net::{Access, Auth, ConnectError, Connector, RemoteError, SupervisorServer};
use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    SanType, date_time_ymd,
};
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;

use crate::support::*;

/// A certificate authority.
struct Authority {
    pem: String,
    issuer: Issuer<'static, KeyPair>,
}

/// A certificate and its key, as PEM.
struct Identity {
    chain: String,
    key: String,
}

impl Authority {
    fn new() -> Self {
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.distinguished_name.push(DnType::CommonName, "test authority");
        let key = KeyPair::generate().unwrap();
        let pem = params.self_signed(&key).unwrap().pem();
        Self { pem, issuer: Issuer::new(params, key) }
    }

    fn sign(&self, params: &CertificateParams) -> Identity {
        let key = KeyPair::generate().unwrap();
        Identity {
            chain: params.signed_by(&key, &self.issuer).unwrap().pem(),
            key: key.serialize_pem(),
        }
    }

    fn server(&self) -> Identity {
        let names = ["localhost".to_owned(), "127.0.0.1".to_owned()];
        let mut params = CertificateParams::new(names).unwrap();
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        self.sign(&params)
    }

    fn client(&self, uris: &[&str]) -> Identity {
        self.sign(&client(uris))
    }
}

fn client(uris: &[&str]) -> CertificateParams {
    let mut params = CertificateParams::default();
    // The common name has no effect.
    params.distinguished_name.push(DnType::CommonName, "admin");
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
    let names = uris.iter().map(|&uri| SanType::URI(uri.try_into().unwrap()));
    params.subject_alt_names = names.collect();
    params
}

/// A server with mutual TLS.
struct Scene {
    authority: Authority,
    address: SocketAddr,
    _local: SupervisorHandle,
}

impl Scene {
    async fn new(change: impl FnOnce(SupervisorServer, TlsServer) -> SupervisorServer) -> Self {
        let authority = Authority::new();
        let local = start(tree()).await;
        let own = authority.server();
        let tls = TlsServer::from_pem(own.chain, own.key).unwrap();
        let tls = tls.with_client_ca_pem(&authority.pem).unwrap();
        let bound = change(server(&local), tls).bind_tcp("127.0.0.1:0").await.unwrap();
        let address = bound.local_addr();
        tokio::spawn(bound.serve());
        Self { authority, address, _local: local }
    }

    async fn mutual() -> Self {
        Self::new(SupervisorServer::with_tls).await
    }

    fn tls(&self) -> TlsClient {
        TlsClient::from_ca_pem(&self.authority.pem).unwrap()
    }

    fn connector(&self, own: Identity) -> Connector {
        let tls = self.tls().with_certificate_pem(own.chain, own.key).unwrap();
        Connector::tcp(self.address).with_tls(tls)
    }

    async fn check(&self) {
        let own = self.authority.client(&["ash://test/observer/good"]);
        let remote = soon(self.connector(own).connect()).await.unwrap();
        assert_eq!(soon(remote.which_children()).await.unwrap().len(), 3);
    }
}

#[tokio::test]
async fn what_a_client_may_do_stands_in_its_certificate() {
    let scene = Scene::mutual().await;
    for level in [Access::Observer, Access::Operator, Access::Admin] {
        let own = scene.authority.client(&[&format!("ash://test/{level}/alice")]);
        let remote = scene.connector(own).connect().await.unwrap();
        assert_eq!(remote.access(), level);
        assert_eq!(remote.which_children().await.unwrap().len(), 3);
        let restarted = remote.restart_child("a").await;
        assert_eq!(restarted.is_ok(), level >= Access::Operator);
        if level == Access::Observer {
            assert!(matches!(restarted, Err(RemoteError::Denied)));
        }
    }
}

#[tokio::test]
async fn a_certificate_without_one_clear_level_lets_nobody_in() {
    let scene = Scene::mutual().await;
    let twice = ["ash://test/admin/a", "ash://test/observer/a"];
    let unclear: [&[&str]; 9] = [
        &[],
        &["https://test/admin/a"],
        &["ash://test/root/a"],
        &["ash://test/admin"],
        &["ash://test/admin/"],
        &["ash:///admin/a"],
        &["ash://test/admin/a/b"],
        &["ash://test/Admin/a"],
        &twice,
    ];
    for uris in unclear {
        let own = scene.authority.client(uris);
        let connected = scene.connector(own).connect().await;
        assert!(
            matches!(connected, Err(ConnectError::Unauthenticated { .. })),
            "{uris:?}: {connected:?}"
        );
    }
    scene.check().await;
}

#[tokio::test]
async fn certificates_of_another_authority_expired_ones_and_none_let_nobody_in() {
    let scene = Scene::mutual().await;
    let uri = ["ash://test/admin/mallory"];
    let foreign = Authority::new().client(&uri);
    let mut expired = client(&uri);
    expired.not_before = date_time_ymd(2020, 1, 1);
    expired.not_after = date_time_ymd(2021, 1, 1);
    let expired = scene.authority.sign(&expired);
    // A server's certificate is none for a client.
    let server = scene.authority.server();
    let is_refused = |error: &ConnectError| {
        // The system may drop what the server says as it closes.
        matches!(error, ConnectError::Unauthenticated { .. } | ConnectError::Io { .. })
    };
    for own in [foreign, expired, server] {
        let error = soon(scene.connector(own).connect()).await.unwrap_err();
        assert!(is_refused(&error), "{error}");
    }
    let none = Connector::tcp(scene.address).with_tls(scene.tls()).connect();
    let error = soon(none).await.unwrap_err();
    assert!(is_refused(&error), "{error}");
    scene.check().await;
}

#[tokio::test]
async fn who_speaks_tls_alone_is_told_so() {
    let scene = Scene::mutual().await;
    let error = soon(Connector::tcp(scene.address).connect()).await.unwrap_err();
    let text =
        format!("TLS to {} cannot be set up: the server speaks TLS: use `with_tls`", scene.address);
    assert!(matches!(error, ConnectError::Io { .. }) || error.to_string() == text, "{error}");

    let local = start(tree()).await;
    let (_remote, plain) = serve(server(&local)).await;
    let connecting = Connector::tcp(plain.address).with_tls(scene.tls()).connect();
    let error = soon(connecting).await.unwrap_err();
    let text =
        format!("TLS to {} cannot be set up: what answers does not speak TLS", plain.address);
    assert_eq!(error.to_string(), text);
}

#[tokio::test]
async fn a_server_of_another_authority_or_name_is_not_believed() {
    let scene = Scene::mutual().await;
    let own = || scene.authority.client(&["ash://test/admin/a"]);
    let with = |tls: TlsClient| {
        let own = own();
        let tls = tls.with_certificate_pem(own.chain, own.key).unwrap();
        Connector::tcp(scene.address).with_tls(tls).connect()
    };
    let other = TlsClient::from_ca_pem(Authority::new().pem).unwrap();
    assert!(with(other).await.is_err());
    assert!(with(scene.tls().with_server_name("elsewhere.example")).await.is_err());
    assert!(with(scene.tls().with_server_name("localhost")).await.is_ok());
}

#[tokio::test]
async fn one_authority_can_serve_several_clusters() {
    let scene = Scene::new(|server, tls| server.with_tls(tls.with_cluster("prod"))).await;
    let own = |cluster| scene.authority.client(&[&format!("ash://{cluster}/admin/a")]);
    assert!(scene.connector(own("prod")).connect().await.is_ok());
    assert!(scene.connector(own("test")).connect().await.is_err());
}

#[tokio::test]
async fn a_secret_over_tls_is_asked_for_as_well_and_the_lower_level_holds() {
    let secret = Auth::secret([4; 32]).unwrap();
    let demanded = secret.clone().with_access(Access::Operator);
    let scene = Scene::new(|server, tls| server.with_tls(tls).with_auth(demanded)).await;
    let own = |level| scene.authority.client(&[&format!("ash://test/{level}/a")]);
    let with = |level| scene.connector(own(level)).with_auth(secret.clone()).connect();
    assert_eq!(with("admin").await.unwrap().access(), Access::Operator);
    assert_eq!(with("observer").await.unwrap().access(), Access::Observer);
    let without = scene.connector(own("admin")).connect().await;
    assert!(matches!(without, Err(ConnectError::SecretDemanded { .. })));
}

#[tokio::test]
async fn other_addresses_are_served_with_tls_and_authentication_only() {
    let authority = Authority::new();
    let local = start(tree()).await;
    let own = authority.server();
    let tls = TlsServer::from_pem(own.chain, own.key).unwrap();
    let bare = server(&local).with_tls(tls.clone());
    assert!(bare.bind_tcp("0.0.0.0:0").await.is_err(), "anybody could connect");
    let secret = Auth::secret([4; 32]).unwrap();
    assert!(bare.with_auth(secret).bind_tcp("0.0.0.0:0").await.is_ok());
    let mutual = tls.with_client_ca_pem(&authority.pem).unwrap();
    assert!(server(&local).with_tls(mutual).bind_tcp("0.0.0.0:0").await.is_ok());
}

#[tokio::test]
async fn those_who_never_finish_tls_keep_nobody_out() {
    let mut limits = ash_net::Limits::default();
    limits.handshake = Duration::from_millis(500);
    let scene = Scene::new(|server, tls| server.with_tls(tls).with_limits(limits)).await;
    let mut stalled = Vec::new();
    for number in 0..100 {
        let mut stream = TcpStream::connect(scene.address).await.unwrap();
        // Nothing, the beginning of a hello, or something else altogether.
        let bytes: &[u8] =
            [&b""[..], &[0x16, 3, 1, 0, 200, 1], b"GET / HTTP/1.1\r\n\r\n"][number % 3];
        stream.write_all(bytes).await.unwrap();
        stalled.push(stream);
    }
    scene.check().await;
}

#[tokio::test]
async fn large_answers_and_events_travel_over_tls() {
    let authority = Authority::new();
    let local = start(
        (0..5_000).fold(tree(), |spec, number| spec.with_child(idle(format!("worker-{number}")))),
    )
    .await;
    let own = authority.server();
    let tls = TlsServer::from_pem(own.chain, own.key).unwrap();
    let bound = server(&local).with_tls(tls).bind_tcp("127.0.0.1:0").await.unwrap();
    let address = bound.local_addr();
    tokio::spawn(bound.serve());
    let tls = TlsClient::from_ca_pem(&authority.pem).unwrap();
    let remote = Connector::tcp(address).with_tls(tls).connect().await.unwrap();
    let mut events = remote.events();
    assert_eq!(remote.which_children().await.unwrap().len(), 5_003);
    remote.restart_child("a").await.unwrap();
    assert_eq!(soon(events.next()).await.unwrap().unwrap().path, "app/a");
    remote.shutdown().await.unwrap();
}

#[tokio::test]
async fn connections_beyond_the_limit_are_told_so_over_tls_too() {
    let mut limits = ash_net::Limits::default();
    limits.per_peer = 1;
    let scene = Scene::new(|server, tls| server.with_tls(tls).with_limits(limits)).await;
    let own = || scene.authority.client(&["ash://test/observer/a"]);
    let first = scene.connector(own()).connect().await.unwrap();
    // One that never speaks TLS is told nothing, and keeps nobody else from being told.
    let _silent = TcpStream::connect(scene.address).await.unwrap();
    let second = soon(scene.connector(own()).connect()).await;
    assert!(matches!(second, Err(ConnectError::TooManyConnections { .. })), "{second:?}");
    assert_eq!(first.which_children().await.unwrap().len(), 3);
}
