//! A supervisor in another process: controlled, watched, killed, and healed from here.
//!
//! ```sh
//! cargo run --example distributed              # the whole story, over TCP, with a second process
//! cargo run --example distributed -- unix      # the same over a Unix socket
//!
//! # Both roles by hand, in two terminals:
//! cargo run --example distributed -- serve tcp 127.0.0.1:7878
//! cargo run --example distributed -- drive tcp 127.0.0.1:7878
//! ```
#![expect(clippy::print_stdout, reason = "an example shows itself")]

use std::io;
use std::process::Stdio;
use std::time::Duration;

use ash_flare::distributed::{Connector, RemoteLink, RemoteSupervisorHandle, SupervisorServer};
use ash_flare::{
    ChildContext, ChildSpec, ChildState, RestartPolicy, RestartStrategy, SupervisorHandle,
    SupervisorSpec, Worker, async_trait,
};
use serde::{Deserialize, Serialize};
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, Command};
use tokio::sync::watch;

type AnyError = Box<dyn std::error::Error + Send + Sync>;

/// The arguments with which a remote client starts a resizer.
#[derive(Serialize, Deserialize)]
struct ResizeArgs {
    width: u32,
    height: u32,
}

/// Would resize pictures.
struct Resizer(ResizeArgs);

#[async_trait]
impl Worker for Resizer {
    type Error = io::Error;

    async fn initialize(&mut self) -> Result<(), io::Error> {
        let ResizeArgs { width, height } = self.0;
        if width == 0 || height == 0 {
            return Err(io::Error::other(format!("{width}x{height} is no size")));
        }
        Ok(())
    }

    async fn run(&mut self) -> Result<(), io::Error> {
        std::future::pending().await
    }
}

fn idle(id: &str) -> ChildSpec {
    ChildSpec::task(id, |child: ChildContext| async move {
        child.stop_token().cancelled().await;
        Ok::<_, io::Error>(())
    })
}

/// The address at which one role serves and to which the other connects.
#[derive(Clone)]
enum Address {
    Tcp(String),
    Unix(String),
}

impl Address {
    fn parse(kind: &str, address: &str) -> Result<Self, AnyError> {
        match kind {
            "tcp" => Ok(Self::Tcp(address.to_owned())),
            "unix" => Ok(Self::Unix(address.to_owned())),
            _ => Err("say `tcp <address>` or `unix <path>`".into()),
        }
    }

    fn words(&self) -> [&str; 2] {
        match self {
            Self::Tcp(address) => ["tcp", address],
            Self::Unix(path) => ["unix", path],
        }
    }

    fn connector(&self) -> Connector {
        match self {
            Self::Tcp(address) => Connector::tcp(address),
            Self::Unix(path) => Connector::unix(path),
        }
    }
}

/// The first role: a tree, and a server for it.
async fn serve(address: Address) -> Result<(), AnyError> {
    let pictures = SupervisorSpec::new("pictures")
        .with_child(idle("store"))
        .with_supervisor(SupervisorSpec::new("web").with_child(idle("http")));
    let handle = SupervisorHandle::start(pictures);
    handle.ready().await?;
    let server = SupervisorServer::new(handle).with_template("resizer", Resizer);
    match address {
        Address::Tcp(address) => {
            let bound = server.bind_tcp(address).await?;
            println!("listening at {}", bound.local_addr());
            bound.serve().await?;
        }
        Address::Unix(path) => {
            let bound = server.bind_unix(path).await?;
            println!("listening at {}", bound.local_addr().display());
            bound.serve().await?;
        }
    }
    Ok(())
}

/// The second role: a few calls, as they would be made on a local handle.
async fn drive(remote: &RemoteSupervisorHandle) -> Result<(), AnyError> {
    let mut events = remote.events();
    let status = remote.status().await?;
    println!("{} ({:?}), {:?}", status.path, status.strategy, status.children);

    let args = ResizeArgs { width: 640, height: 480 };
    let id = remote.start_child("vga", "resizer", &args, RestartPolicy::Permanent).await?;
    println!("started `{id}` from a template");
    let args = ResizeArgs { width: 640, height: 0 };
    let refused = remote.start_child("flat", "resizer", &args, RestartPolicy::Permanent).await;
    println!("and another one failed, as it would here: {}", refused.unwrap_err());

    remote.restart_child("vga").await?;
    remote.supervisor("web").await?.restart_child("http").await?;
    println!("the tree there:\n{}", remote.tree().await?);
    println!("what was seen of it:");
    while let Ok(Some(event)) =
        tokio::time::timeout(Duration::from_millis(100), events.next()).await
    {
        match event {
            Ok(event) => println!("  {}#{} {:?}", event.path, event.incarnation, event.kind),
            Err(lagged) => println!("  {lagged}"),
        }
    }
    Ok(())
}

/// Starts this program again, in the first role.
async fn start_other(address: &Address) -> Result<(Child, String), AnyError> {
    let mut child = Command::new(std::env::current_exe()?)
        .arg("serve")
        .args(address.words())
        .stdout(Stdio::piped())
        .kill_on_drop(true)
        .spawn()?;
    let stdout = child.stdout.take().ok_or("no output")?;
    let line = BufReader::new(stdout).lines().next_line().await?.ok_or("it did not start")?;
    let bound = line.strip_prefix("listening at ").ok_or("it said something else")?;
    Ok((child, bound.to_owned()))
}

/// Waits until all children are up in this incarnation.
async fn healed(local: &SupervisorHandle, incarnation: u64) -> Result<(), AnyError> {
    loop {
        let children = local.which_children().await?;
        let is_up = |child: &ash_flare::ChildInfo| {
            child.state == ChildState::Running && child.incarnation == incarnation
        };
        if children.iter().all(is_up) {
            return Ok(());
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

/// Both roles, and what happens when the other process dies.
async fn story(address: Address) -> Result<(), AnyError> {
    let (mut other, bound) = start_other(&address).await?;
    let address = Address::parse(address.words()[0], &bound)?;
    println!("a second process listens at {bound}\n");

    // The remote supervisor is a child here; the front end depends on it, so all restart together.
    let (shown, mut remote) = watch::channel(None);
    let connector = address.connector();
    let link = move || RemoteLink::new(connector.clone()).with_handle_sender(shown.clone());
    let shop = SupervisorSpec::new("shop")
        .with_restart_strategy(RestartStrategy::OneForAll)
        .with_worker("pictures", link, RestartPolicy::Permanent)
        .with_child(idle("frontend"));
    let local = SupervisorHandle::start(shop);
    local.ready().await?;
    let handle = remote.borrow_and_update().clone().ok_or("no connection")?;
    drive(&handle).await?;

    println!("\nthe tree here:\n{}", local.tree().await?);
    println!("kill -9");
    other.kill().await?;
    remote.wait_for(Option::is_none).await?;
    println!("the tree here, while the other process is gone:\n{}", local.tree().await?);

    let (other, _) = start_other(&address).await?;
    healed(&local, 2).await?;
    println!("the other process is back, and so is the tree here:\n{}", local.tree().await?);
    let handle = remote.borrow_and_update().clone().ok_or("no connection")?;
    println!("there, all is as at the start:\n{}", handle.tree().await?);

    local.shutdown().await?;
    let remote = address.connector().connect().await?;
    remote.shutdown().await?;
    let status = other.wait_with_output().await?.status;
    println!("both trees are down, the other process ended by itself: {status}");
    Ok(())
}

#[tokio::main]
async fn main() -> Result<(), AnyError> {
    let arguments: Vec<_> = std::env::args().skip(1).collect();
    let arguments: Vec<_> = arguments.iter().map(String::as_str).collect();
    match arguments[..] {
        ["serve", kind, address] => serve(Address::parse(kind, address)?).await,
        ["drive", kind, address] => {
            drive(&Address::parse(kind, address)?.connector().connect().await?).await
        }
        [] | ["tcp"] => story(Address::Tcp("127.0.0.1:0".to_owned())).await,
        ["unix"] => {
            let name = format!("ash-flare-{}.sock", std::process::id());
            let path = std::env::temp_dir().join(name);
            story(Address::Unix(path.display().to_string())).await
        }
        _ => {
            Err("say nothing, `unix`, or `serve` or `drive` with `tcp <address>` or `unix <path>`"
                .into())
        }
    }
}
