//! The server, and the process whose tree is linked to it.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use ash_core::{
    ChildState, RestartIntensity, RestartPolicy, SupervisorHandle, SupervisorSpec, Worker,
    async_trait,
};
use ash_net::{Connector, Limits, RemoteLink, SupervisorServer, simulation};
use turmoil::net::{TcpListener, TcpStream};

use crate::{STORM, Truth};

const PORT: u16 = 8080;

/// Limits under which nobody has to wait long.
pub(crate) fn limits() -> Limits {
    let mut limits = Limits::default();
    limits.handshake = Duration::from_secs(2);
    limits.frame_time = Duration::from_secs(2);
    limits.stall = Duration::from_secs(2);
    limits.ping_after = Duration::from_secs(1);
    limits.close_after = Duration::from_secs(3);
    limits
}

/// Executes an order once, and records it.
struct Order {
    number: u64,
    truth: Truth,
}

#[async_trait]
impl Worker for Order {
    type Error = io::Error;

    async fn initialize(&mut self) -> io::Result<()> {
        *self.truth.facts().executed.entry(self.number).or_default() += 1;
        // Some take their time: the connection may go while they do.
        if self.number.is_multiple_of(4) {
            tokio::time::sleep(Duration::from_millis(self.number % 300)).await;
        }
        Ok(())
    }

    async fn run(&mut self) -> io::Result<()> {
        tokio::time::sleep(Duration::from_millis(50 + self.number % 500)).await;
        Ok(())
    }
}

/// Serves a tree, for as long as its process lives.
pub(crate) async fn server(truth: Truth) -> turmoil::Result {
    let spec = SupervisorSpec::new("app")
        .with_restart_intensity(RestartIntensity::new(usize::MAX, 1))
        .with_supervisor(SupervisorSpec::new("web"));
    let handle = SupervisorHandle::start(spec);
    handle.ready().await?;
    let listener = Arc::new(TcpListener::bind(("0.0.0.0", PORT)).await?);
    let orders = truth.clone();
    let server = SupervisorServer::new(handle)
        .with_limits(limits())
        .with_template("order", move |number| Order { number, truth: orders.clone() });
    let bound = simulation::bind(&server, move || {
        let listener = Arc::clone(&listener);
        async move {
            let (stream, address) = listener.accept().await?;
            let (reader, writer) = stream.into_split();
            Ok((reader, writer, address.ip()))
        }
    });
    {
        let mut facts = truth.facts();
        facts.server = Some(server);
        facts.boots += 1;
    }
    bound.serve().await?;
    Ok(())
}

/// Connects to the server.
pub(crate) fn connector() -> Connector {
    let dial = || async {
        let stream = TcpStream::connect(("server", PORT)).await?;
        Ok(stream.into_split())
    };
    simulation::connector(dial).with_limits(limits())
}

/// A tree with a link to the server, that must be up when the storm is over.
pub(crate) async fn linker(truth: Truth) -> turmoil::Result {
    let link = || RemoteLink::new(connector()).with_connect_timeout(Duration::from_secs(30));
    let spec = SupervisorSpec::new("watch")
        .with_restart_intensity(RestartIntensity::new(usize::MAX, 1))
        .with_worker("link", link, RestartPolicy::Permanent);
    let handle = SupervisorHandle::start(spec);
    tokio::time::sleep(STORM).await;
    // The last mishap may yet have to be noticed, and a new connection made.
    tokio::time::sleep(Duration::from_secs(10)).await;
    let link = handle.child("link").await?;
    if link.state != ChildState::Running {
        truth.wrong(format!("the link has not come back: {link:?}"));
    }
    truth.facts().link_incarnation = link.incarnation;
    handle.shutdown().await?;
    Ok(())
}
