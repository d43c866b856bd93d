//! Servers and clients in processes of their own: this test binary, run again.

use std::io::{BufRead as _, BufReader};
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use ash_net::{
    ConnectionState, Connector, Limits, RemoteError, RemoteSupervisorHandle, SupervisorServer,
};
use rustix::process::{Pid, Signal, kill_process};

use crate::support::*;

/// A server in its own process. Dropped, it is killed.
pub(crate) struct Process {
    child: Child,
    /// Where it listens.
    pub(crate) address: String,
}

fn this_test(command: &mut Command, name: &str) {
    command.args(["--exact", name, "--ignored", "--nocapture", "--test-threads=1"]);
}

impl Process {
    /// Starts a server at a TCP address (`tcp:127.0.0.1:0`) or on a Unix socket (`unix:/path`), by
    /// way of a shell that says this before.
    pub(crate) async fn serve_after(prelude: &str, address: &str) -> Self {
        let (prelude, address) = (prelude.to_owned(), address.to_owned());
        let started = tokio::task::spawn_blocking(move || {
            let exe = std::env::current_exe().unwrap();
            let mut command = Command::new("sh");
            command.args(["-c", &format!("{prelude} exec \"$0\" \"$@\"")]).arg(exe);
            this_test(&mut command, "processes::serving_process");
            command.env("ASH_NET_ADDRESS", address);
            command.stdout(Stdio::piped());
            let mut process = Self { child: command.spawn().unwrap(), address: String::new() };
            let stdout = process.child.stdout.take().unwrap();
            for line in BufReader::new(stdout).lines() {
                // The test harness prints before us, on the same line.
                if let Some((_, address)) = line.unwrap().split_once("LISTENING ") {
                    address.clone_into(&mut process.address);
                    return process;
                }
            }
            panic!("it did not start");
        });
        soon(started).await.unwrap()
    }

    pub(crate) async fn serve(address: &str) -> Self {
        Self::serve_after("", address).await
    }

    /// Kills the process, as `kill -9` does.
    pub(crate) fn kill(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    pub(crate) fn signal(&self, signal: Signal) {
        let pid = Pid::from_child(&self.child);
        kill_process(pid, signal).unwrap();
        // The signal takes its time to reach all threads.
        while signal == Signal::STOP && !self.is_stopped() {
            std::thread::yield_now();
        }
    }

    fn is_stopped(&self) -> bool {
        let tasks = std::fs::read_dir(format!("/proc/{}/task", self.child.id())).unwrap();
        tasks.into_iter().all(|task| {
            let stat = std::fs::read_to_string(task.unwrap().path().join("stat")).unwrap();
            stat.rsplit(')').next().is_some_and(|rest| rest.starts_with(" T"))
        })
    }

    /// Connects as another user, and returns what came of it.
    pub(crate) async fn client_as(uid: u32, path: &Path) -> String {
        let path = path.to_owned();
        let run = tokio::task::spawn_blocking(move || {
            let mut command = Command::new(std::env::current_exe().unwrap());
            this_test(&mut command, "processes::client_process");
            let output = command.env("ASH_NET_ADDRESS", path).uid(uid).output().unwrap();
            let text = String::from_utf8(output.stdout).unwrap();
            let line = text.lines().find_map(|line| line.split_once("OUTCOME "));
            line.map(|(_, outcome)| outcome.to_owned()).unwrap_or(text)
        });
        soon(run).await.unwrap()
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
#[ignore = "a process that other tests run"]
fn serving_process() {
    let Ok(address) = std::env::var("ASH_NET_ADDRESS") else {
        return;
    };
    let runtime =
        tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
    runtime.unwrap().block_on(async {
        let local = start(tree()).await;
        let mut limits = Limits::default();
        if std::env::var_os("ASH_NET_ROOMY").is_some() {
            (limits.connections, limits.unauthenticated) = (10_000, 10_000);
            limits.per_peer = 10_000;
        }
        let server: SupervisorServer = server(&local).with_limits(limits);
        match address.split_once(':').unwrap() {
            ("tcp", address) => {
                let server = server.dangerously_allow_strangers();
                let bound = server.bind_tcp(address).await.unwrap();
                println!("LISTENING {}", bound.local_addr());
                bound.serve().await.unwrap();
            }
            (_, path) => {
                let bound = server.bind_unix(path).await.unwrap();
                println!("LISTENING {path}");
                bound.serve().await.unwrap();
            }
        }
    });
}

#[test]
#[ignore = "a process that other tests run"]
fn client_process() {
    let Some(address) = std::env::var_os("ASH_NET_ADDRESS") else {
        return;
    };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    runtime.unwrap().block_on(async {
        match RemoteSupervisorHandle::connect_unix(address).await {
            Ok(remote) => {
                let children = remote.which_children().await.unwrap();
                println!("OUTCOME {} children", children.len());
            }
            Err(error) => println!("OUTCOME {error}"),
        }
    });
}

#[tokio::test]
async fn a_killed_server_is_noticed_and_found_again_when_it_is_back() {
    let place = Place::new();
    let socket = place.path("sock");
    for address in ["tcp:127.0.0.1:0".to_owned(), format!("unix:{}", socket.display())] {
        let mut process = Process::serve(&address).await;
        let kind = address.split_once(':').unwrap().0;
        let remote = match kind {
            "tcp" => RemoteSupervisorHandle::connect_tcp(&process.address).await,
            _ => RemoteSupervisorHandle::connect_unix(&process.address).await,
        };
        let remote = remote.unwrap();
        assert_eq!(remote.which_children().await.unwrap().len(), 3);
        let mut states = remote.states();
        let mut events = remote.events();

        process.kill();
        assert_eq!(soon(states.next()).await, Some(ConnectionState::Disconnected));
        let hasty = remote.clone().with_timeout(Duration::from_millis(50));
        assert!(matches!(
            hasty.stop_child("a").await,
            Err(RemoteError::Disconnected { maybe_executed: false })
        ));
        // A call that waits for the connection, and what comes after it.
        let waiting = tokio::spawn({
            let remote = remote.clone();
            async move { remote.stop_child("a").await }
        });
        let again = format!("{kind}:{}", process.address);
        let _process = Process::serve(&again).await;
        soon(waiting).await.unwrap().unwrap();
        assert_eq!(remote.which_children().await.unwrap().len(), 2);
        // The stream goes on, and tells that something may have been missed.
        assert_eq!(soon(events.next()).await.unwrap().unwrap_err().0, 0);
        let event = soon(events.next()).await.unwrap().unwrap();
        assert_eq!(event.path, "app/a");
    }
}

#[tokio::test]
async fn calls_under_way_fail_when_the_server_is_killed_and_say_that_they_may_have_been_executed() {
    let mut process = Process::serve("tcp:127.0.0.1:0").await;
    let remote = RemoteSupervisorHandle::connect_tcp(&process.address).await.unwrap();
    process.signal(Signal::STOP);
    let stopping = tokio::spawn({
        let remote = remote.clone();
        async move { remote.stop_child("a").await }
    });
    // Long enough that it has been sent; were it not, the error would say so and the test fail.
    tokio::time::sleep(Duration::from_millis(100)).await;
    process.kill();
    assert!(matches!(
        soon(stopping).await.unwrap(),
        Err(RemoteError::Disconnected { maybe_executed: true })
    ));
}

#[tokio::test]
async fn a_read_under_way_is_made_once_more_after_the_connection_is_back() {
    let mut process = Process::serve("tcp:127.0.0.1:0").await;
    let remote = RemoteSupervisorHandle::connect_tcp(&process.address).await.unwrap();
    process.signal(Signal::STOP);
    let listing = tokio::spawn({
        let remote = remote.clone();
        async move { remote.which_children().await }
    });
    tokio::time::sleep(Duration::from_millis(100)).await;
    process.kill();
    let _again = Process::serve(&format!("tcp:{}", process.address)).await;
    assert_eq!(soon(listing).await.unwrap().unwrap().len(), 3);
}

/// Limits with a short time-out for silence.
pub(crate) fn wakeful() -> Limits {
    let mut limits = Limits::default();
    limits.ping_after = Duration::from_millis(150);
    limits.close_after = Duration::from_millis(450);
    limits
}

#[tokio::test]
async fn a_stopped_server_is_noticed_within_the_keepalive_budget() {
    let process = Process::serve("tcp:127.0.0.1:0").await;
    let connector = Connector::tcp(&process.address).with_limits(wakeful());
    let remote = connector.connect().await.unwrap();
    let mut states = remote.states();
    // Idle, it is kept alive by pings.
    let idle = tokio::time::timeout(Duration::from_millis(1_000), states.next()).await;
    assert!(idle.is_err(), "a live peer is not given up");
    process.signal(Signal::STOP);
    let begun = tokio::time::Instant::now();
    assert_eq!(soon(states.next()).await, Some(ConnectionState::Disconnected));
    assert!(begun.elapsed() < Duration::from_millis(1_500), "{:?}", begun.elapsed());
    process.signal(Signal::CONT);
    assert_eq!(soon(states.next()).await, Some(ConnectionState::Connected));
}

#[tokio::test]
async fn a_server_without_file_descriptors_serves_those_it_has_and_later_others() {
    let process = Process::serve_after(
        "ulimit -n 48; ASH_NET_ROOMY=1; export ASH_NET_ROOMY;",
        "tcp:127.0.0.1:0",
    )
    .await;
    let good = RemoteSupervisorHandle::connect_tcp(&process.address).await.unwrap();
    let mut greedy = Vec::new();
    for _ in 0..100 {
        greedy.push(tokio::net::TcpStream::connect(&process.address).await.unwrap());
    }
    for _ in 0..20 {
        assert_eq!(soon(good.which_children()).await.unwrap().len(), 3);
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    let hasty = Connector::tcp(&process.address).connect();
    let kept_out = tokio::time::timeout(Duration::from_millis(300), hasty).await;
    assert!(kept_out.is_err(), "there is no descriptor for it");
    drop(greedy);
    let late = soon(RemoteSupervisorHandle::connect_tcp(&process.address)).await.unwrap();
    assert_eq!(late.which_children().await.unwrap().len(), 3);
}

#[tokio::test]
#[ignore = "needs root and the `ip` command: `make netns`"]
async fn a_link_that_goes_down_is_noticed_within_the_keepalive_budget() {
    let name = format!("ash{}", std::process::id() % 100_000);
    let ip = |args: &str| {
        let args = args.replace("NAME", &name);
        let status = Command::new("ip").args(args.split(' ')).status().unwrap();
        assert!(status.success(), "ip {args}");
    };
    ip("netns add NAME");
    ip("link add NAMEa type veth peer name NAMEb netns NAME");
    ip("addr add 10.213.7.1/24 dev NAMEa");
    ip("link set NAMEa up");
    ip("-n NAME addr add 10.213.7.2/24 dev NAMEb");
    ip("-n NAME link set NAMEb up");
    let outcome = tokio::spawn({
        let name = name.clone();
        async move {
            let shell =
                format!("NS='ip netns exec {name}'; set -- $NS \"$0\" \"$@\"; exec \"$@\";");
            let process = Process::serve_after(&shell, "tcp:10.213.7.2:0").await;
            let connector = Connector::tcp(&process.address).with_limits(wakeful());
            let remote = connector.connect().await.unwrap();
            let mut states = remote.states();
            let down = Command::new("ip")
                .args(["-n", &name, "link", "set", &format!("{name}b"), "down"])
                .status();
            assert!(down.unwrap().success());
            let begun = tokio::time::Instant::now();
            assert_eq!(soon(states.next()).await, Some(ConnectionState::Disconnected));
            assert!(begun.elapsed() < Duration::from_millis(1_500), "{:?}", begun.elapsed());
            let up = Command::new("ip")
                .args(["-n", &name, "link", "set", &format!("{name}b"), "up"])
                .status();
            assert!(up.unwrap().success());
            assert_eq!(soon(states.next()).await, Some(ConnectionState::Connected));
        }
    })
    .await;
    ip("netns del NAME");
    outcome.unwrap();
}
