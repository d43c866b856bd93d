//! tarpc, with its bincode transport.

#![expect(missing_docs, reason = "the macro's code has none")]

use serde::{Deserialize, Serialize};
use tarpc::server::{BaseChannel, Channel};
use tarpc::tokio_serde::formats::Bincode;
use tarpc::tokio_util::codec::{Framed, LengthDelimitedCodec};
use tarpc::{client, context, serde_transport};
use tokio::io::{AsyncRead, AsyncWrite};

use crate::measure::id;
use crate::net::{CHILDREN, Caller, Transport, connect_tcp, connect_unix};

/// As much as ash-flare tells of a child.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Info {
    pub id: String,
    pub child_type: u8,
    pub restart_policy: u8,
    pub state: u8,
    pub incarnation: u64,
    pub restarts: u64,
    pub uptime: std::time::Duration,
    pub last_exit: Option<String>,
}

#[tarpc::service]
pub trait Supervisor {
    async fn which_children() -> Vec<Info>;
}

#[derive(Clone)]
struct Server(Vec<Info>);

impl Supervisor for Server {
    async fn which_children(self, _: context::Context) -> Vec<Info> {
        self.0
    }
}

impl Caller for SupervisorClient {
    async fn call(&self) {
        let children = self.which_children(context::current()).await.expect("it answers");
        assert_eq!(children.len(), CHILDREN);
    }
}

fn infos() -> Vec<Info> {
    let infos = (0..CHILDREN).map(|number| Info {
        id: id(number),
        child_type: 0,
        restart_policy: 0,
        state: 2,
        incarnation: 1,
        restarts: 0,
        uptime: std::time::Duration::from_millis(1_500),
        last_exit: None,
    });
    infos.collect()
}

/// Answers on one connection until it ends.
pub async fn answer(stream: impl AsyncRead + AsyncWrite + Send + Unpin + 'static) {
    use futures_util::StreamExt;
    let framed = Framed::new(stream, LengthDelimitedCodec::new());
    let transport = serde_transport::new(framed, Bincode::default());
    let requests = BaseChannel::with_defaults(transport).execute(Server(infos()).serve());
    requests
        .for_each(|request| async {
            tokio::spawn(request);
        })
        .await;
}

/// Connects so often.
///
/// # Panics
///
/// Panics if nobody answers.
pub async fn connect(transport: Transport, address: &str, count: usize) -> Vec<SupervisorClient> {
    let mut connections = Vec::new();
    for _ in 0..count {
        connections.push(match transport {
            Transport::Tcp | Transport::Tls => client(connect_tcp(address).await),
            Transport::Unix => client(connect_unix(address).await),
        });
    }
    connections
}

fn client(stream: impl AsyncRead + AsyncWrite + Send + Unpin + 'static) -> SupervisorClient {
    let framed = Framed::new(stream, LengthDelimitedCodec::new());
    let transport = serde_transport::new(framed, Bincode::default());
    SupervisorClient::new(client::Config::default(), transport).spawn()
}
