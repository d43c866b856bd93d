//! Prints what calls from another process cost: ours beside tarpc's, beside the same call by hand
//! and beside a bare echo of the same bytes, over TCP, Unix sockets and TLS.
//!
//! `net [--rounds N]` runs all, each figure in processes of its own. `net serve SYSTEM TRANSPORT
//! PLACE CHILDREN THERE BACK` and `net call SYSTEM TRANSPORT PLACE FIGURE ADDRESS THERE BACK` are
//! such processes.
#![expect(clippy::print_stdout, reason = "printing is what it is for")]

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use ash_net::SupervisorServer;
use benches::measure::processor;
use benches::net::echo::Sizes;
use benches::net::{
    CHILDREN, Transport, ash, by_hand, connect_tcp, connect_unix, echo, latency, runtime,
    serve_tcp, serve_unix, tarpc, throughput,
};
use tokio::net::{TcpListener, UnixListener};

type AnyError = Box<dyn std::error::Error>;

/// How many children are listed beside other calls.
const MANY: usize = 100_000;

fn main() -> Result<(), AnyError> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match arguments[..] {
        ["serve", system, transport, place, children, there, back] => {
            let sizes = Sizes { there: there.parse()?, back: back.parse()? };
            let serving =
                serve(system, transport_of(transport)?, place.as_ref(), children.parse()?, sizes);
            runtime().block_on(serving)
        }
        ["call", system, transport, place, figure, address, there, back] => {
            let sizes = Sizes { there: there.parse()?, back: back.parse()? };
            let transport = transport_of(transport)?;
            let calling = call(system, transport, place.as_ref(), figure, address, sizes);
            let values = runtime().block_on(calling)?;
            println!("{}", values.iter().map(f64::to_string).collect::<Vec<_>>().join(" "));
            Ok(())
        }
        ["--rounds", rounds] => table(rounds.parse()?),
        [] => table(5),
        _ => Err("say nothing, or `--rounds N`".into()),
    }
}

fn transport_of(name: &str) -> Result<Transport, AnyError> {
    let found = Transport::ALL.into_iter().find(|transport| transport.name() == name);
    found.ok_or_else(|| "no such transport".into())
}

/// One server, until it is killed.
async fn serve(
    system: &str,
    transport: Transport,
    place: &Path,
    children: usize,
    sizes: Sizes,
) -> Result<(), AnyError> {
    let path = place.join(format!("{system}.sock"));
    match (system, transport) {
        ("ash", _) => serve_ash(transport, place, path, children).await?,
        (_, Transport::Unix) => {
            let handle = ash::tree(children).await;
            // Of the round before.
            let _ = std::fs::remove_file(&path);
            let listener = UnixListener::bind(&path)?;
            println!("{}", path.display());
            match system {
                "echo" => serve_unix(listener, |stream| echo::answer(stream, sizes)).await,
                "tarpc" => serve_unix(listener, tarpc::answer).await,
                _ => {
                    let answer = |stream| by_hand::answer(stream, handle.clone(), sizes);
                    serve_unix(listener, answer).await;
                }
            }
        }
        (_, Transport::Tcp | Transport::Tls) => {
            let handle = ash::tree(children).await;
            let listener = TcpListener::bind("127.0.0.1:0").await?;
            println!("{}", listener.local_addr()?);
            match system {
                "echo" => serve_tcp(listener, |stream| echo::answer(stream, sizes)).await,
                "tarpc" => serve_tcp(listener, tarpc::answer).await,
                _ => {
                    let answer = |stream| by_hand::answer(stream, handle.clone(), sizes);
                    serve_tcp(listener, answer).await;
                }
            }
        }
    }
    Ok(())
}

/// Our server, until it is killed.
async fn serve_ash(
    transport: Transport,
    place: &Path,
    path: PathBuf,
    children: usize,
) -> Result<(), AnyError> {
    let server = SupervisorServer::new(ash::tree(children).await);
    let server = match transport {
        Transport::Tls => ash::with_tls(server, place),
        Transport::Tcp | Transport::Unix => server,
    };
    if transport == Transport::Unix {
        let bound = server.bind_unix(&path).await?;
        println!("{}", path.display());
        bound.serve().await?;
    } else {
        let bound = server.bind_tcp("127.0.0.1:0").await?;
        println!("{}", bound.local_addr());
        bound.serve().await?;
    }
    Ok(())
}

/// One figure.
async fn call(
    system: &str,
    transport: Transport,
    place: &Path,
    figure: &str,
    address: &str,
    sizes: Sizes,
) -> Result<Vec<f64>, AnyError> {
    let count = if figure == "eight" { 8 } else { 1 };
    Ok(match (system, figure) {
        ("echo", _) if transport == Transport::Unix => {
            in_a_task(echo::latency(connect_unix(address).await, sizes)).await
        }
        ("echo", _) => in_a_task(echo::latency(connect_tcp(address).await, sizes)).await,
        ("by-hand", _) if transport == Transport::Unix => {
            in_a_task(by_hand::latency(connect_unix(address).await, sizes)).await
        }
        ("by-hand", _) => in_a_task(by_hand::latency(connect_tcp(address).await, sizes)).await,
        ("tarpc", "latency") => {
            in_a_task(latency(tarpc::connect(transport, address, 1).await.remove(0))).await
        }
        ("tarpc", _) => vec![throughput(tarpc::connect(transport, address, count).await).await],
        (_, "latency") => {
            in_a_task(latency(ash::connect(transport, address, place, 1).await.remove(0))).await
        }
        (_, "listing") => {
            let remote = ash::connect(transport, address, place, 1).await.remove(0);
            ash::beside_listing(remote).await.to_vec()
        }
        (_, "sizes") => {
            let Sizes { there, back } = echo::sizes(address).await;
            vec![there as f64, back as f64]
        }
        (_, _) => {
            vec![throughput(ash::connect(transport, address, place, count).await).await]
        }
    })
}

/// Takes a latency where programs make their calls: in a task of the runtime.
async fn in_a_task(latency: impl Future<Output = [f64; 2]> + Send + 'static) -> Vec<f64> {
    tokio::spawn(latency).await.expect("no call fails").to_vec()
}

/// A server's process, killed when it is dropped.
struct Served {
    child: Child,
    address: String,
}

impl Drop for Served {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Where the figures of one run are taken.
struct Bench {
    place: PathBuf,
    sizes: Sizes,
    is_pinned: bool,
}

impl Bench {
    /// One process of a figure, on a core of its own where there is `taskset`: two that share one
    /// are three times as fast for one caller, and which it is would be the scheduler's choice.
    fn process(&self, core: usize, arguments: &[&str]) -> Result<Command, AnyError> {
        let program = std::env::current_exe()?;
        let mut command = if self.is_pinned {
            let mut command = Command::new("taskset");
            command.args(["-c", &core.to_string()]).arg(program);
            command
        } else {
            Command::new(program)
        };
        command.args(arguments);
        command.args([self.sizes.there.to_string(), self.sizes.back.to_string()]);
        Ok(command)
    }

    /// Takes one figure, with a server of its own.
    fn take(&self, system: &str, transport: Transport, figure: &str) -> Result<Vec<f64>, AnyError> {
        let place = self.place.to_str().ok_or("a plain path")?;
        let children = if figure == "listing" { MANY } else { CHILDREN }.to_string();
        let mut serving =
            self.process(0, &["serve", system, transport.name(), place, &children])?;
        let mut child = serving.stdout(Stdio::piped()).spawn()?;
        let mut address = String::new();
        BufReader::new(child.stdout.take().ok_or("no output")?).read_line(&mut address)?;
        let served = Served { child, address: address.trim().to_owned() };
        let arguments = ["call", system, transport.name(), place, figure, &served.address];
        let output = self.process(1, &arguments)?.output()?;
        let text = String::from_utf8(output.stdout)?;
        let values: Result<Vec<f64>, _> = text.split_whitespace().map(str::parse).collect();
        match values? {
            values if values.is_empty() => Err(String::from_utf8(output.stderr)?.into()),
            values => Ok(values),
        }
    }

    /// Takes one figure of several systems in turn, so often, and returns the medians.
    fn medians(
        &self,
        systems: &[&str],
        transport: Transport,
        figure: &str,
        rounds: usize,
    ) -> Result<Vec<Vec<f64>>, AnyError> {
        let mut taken: Vec<Vec<Vec<f64>>> = systems.iter().map(|_| Vec::new()).collect();
        for _ in 0..rounds {
            for (system, taken) in systems.iter().zip(&mut taken) {
                taken.push(self.take(system, transport, figure)?);
            }
        }
        Ok(taken.iter().map(|rounds| median(rounds)).collect())
    }
}

fn median(rounds: &[Vec<f64>]) -> Vec<f64> {
    let columns = 0..rounds.first().map_or(0, Vec::len);
    let of = |column: usize| {
        let mut values: Vec<f64> = rounds.iter().map(|round| round[column]).collect();
        values.sort_by(f64::total_cmp);
        values[values.len() / 2]
    };
    columns.map(of).collect()
}

fn table(rounds: usize) -> Result<(), AnyError> {
    let place = std::env::temp_dir().join(format!("ash-bench-{}", std::process::id()));
    std::fs::create_dir(&place)?;
    let result = fill(&place, rounds);
    std::fs::remove_dir_all(&place)?;
    result
}

fn fill(place: &Path, rounds: usize) -> Result<(), AnyError> {
    ash::make_certificates(place);
    let is_pinned = std::thread::available_parallelism()?.get() > 1
        && Command::new("taskset").args(["-c", "1", "true"]).status().is_ok_and(|it| it.success());
    let mut bench = Bench { place: place.into(), sizes: Sizes { there: 1, back: 1 }, is_pinned };
    let sizes = bench.take("ash", Transport::Tcp, "sizes")?;
    let whole = |value: f64| format!("{value:.0}").parse::<usize>();
    bench.sizes = Sizes { there: whole(sizes[0])?, back: whole(sizes[1])? };
    let cores = if is_pinned { "server and client on a core each" } else { "cores not chosen" };
    println!("{}: {cores}", processor());
    println!(
        "which_children of {CHILDREN}: {} bytes there, {} back; medians of {rounds} rounds",
        bench.sizes.there, bench.sizes.back
    );
    println!(
        "one caller, µs         ours p50     p99   tarpc p50     p99 by hand p50     p99    echo p50     p99   ours/echo"
    );
    for transport in Transport::ALL {
        let systems: &[&str] = match transport {
            Transport::Tcp | Transport::Unix => &["ash", "tarpc", "by-hand", "echo"],
            Transport::Tls => &["ash"],
        };
        let taken = bench.medians(systems, transport, "latency", rounds)?;
        print!("{:<20}", transport.name());
        for values in &taken {
            print!(" {:>11.1} {:>7.1}", values[0], values[1]);
        }
        match taken.get(3) {
            Some(echo) => println!(" {:>11.2}", taken[0][0] / echo[0]),
            None => println!(),
        }
    }
    println!("64 callers, calls/s            ours      tarpc   ours/tarpc");
    for (figure, said) in [("one", "1 connection"), ("eight", "8 connections")] {
        for transport in Transport::ALL {
            let systems: &[&str] = match transport {
                Transport::Tcp | Transport::Unix => &["ash", "tarpc"],
                Transport::Tls => &["ash"],
            };
            let taken = bench.medians(systems, transport, figure, rounds)?;
            print!("{:<20}", format!("{}, {said}", transport.name()));
            for values in &taken {
                print!(" {:>11.0}", values[0]);
            }
            match taken.get(1) {
                Some(tarpc) => println!(" {:>11.2}", taken[0][0] / tarpc[0]),
                None => println!(),
            }
        }
    }
    println!("64 callers of `child` on one connection, calls/s; beside a caller that lists {MANY}");
    for transport in Transport::ALL {
        let taken = bench.medians(&["ash"], transport, "listing", rounds)?;
        let [alone, beside, list] = taken[0][..] else { return Err("three values".into()) };
        println!(
            "{:<20} {alone:>11.0} alone {beside:>11.0} beside, a list takes {list:.0} ms",
            transport.name()
        );
    }
    Ok(())
}
