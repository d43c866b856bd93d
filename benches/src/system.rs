//! What a supervisor can be asked to do, and the figures that are taken of it: one program's worth
//! of code for each system, and one method for all.

use std::future::{Future, ready};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::sync::{Notify, mpsc};
use tokio::time::timeout;

use crate::body::{Body, Crashing, Idle, Stopping, Storming};
use crate::measure::{
    Count, Figure, LISTS_AGAIN, measured, nanos_each, now, percentile, resident, terminated,
};

/// How many children crash in a storm.
pub const STORMING: usize = 100;

/// How long a storm or a row of restarts is watched at most.
const SPAN: Duration = Duration::from_secs(10);

/// How long children may outlive their supervisor before they count as leaked.
const PATIENCE: Duration = Duration::from_secs(10);

/// What came of a measurement.
#[derive(Clone, Debug, PartialEq)]
pub enum Answer {
    /// A value, and what has to be said of it.
    Value(f64, Vec<String>),
    /// The system has no such call, and why that is so.
    Unsupported(String),
    /// The system did not do what was measured.
    Wrong(String),
}

impl Answer {
    /// Returns a value of which nothing has to be said.
    #[must_use]
    pub const fn plain(value: f64) -> Self {
        Self::Value(value, Vec::new())
    }

    /// Returns the lines that a program prints for it.
    #[must_use]
    pub fn lines(&self) -> String {
        match self {
            Self::Value(value, notes) => {
                let notes: String = notes.iter().map(|note| format!("\nnote {note}")).collect();
                format!("value {value}{notes}")
            }
            Self::Unsupported(why) => format!("n/a {why}"),
            Self::Wrong(what) => format!("wrong {what}"),
        }
    }

    /// Returns what these lines say, or nothing if they are none of a program's.
    #[must_use]
    pub fn read(lines: &str) -> Option<Self> {
        let mut answer = None;
        for line in lines.lines() {
            let (kind, rest) = line.split_once(' ')?;
            match (kind, &mut answer) {
                ("value", _) => answer = Some(Self::plain(rest.parse().ok()?)),
                ("note", Some(Self::Value(_, notes))) => notes.push(rest.to_owned()),
                ("n/a", _) => answer = Some(Self::Unsupported(rest.to_owned())),
                ("wrong", _) => answer = Some(Self::Wrong(rest.to_owned())),
                (_, _) => return None,
            }
        }
        answer
    }
}

/// A supervisor, of any system, with children that do `B`.
pub trait System<B: Body>: Sized + Send + Sync + 'static {
    /// A list of the children.
    type List: Send;

    /// Returns why a figure cannot be taken.
    #[must_use]
    fn lacks(figure: Figure) -> Option<&'static str> {
        let _ = figure;
        None
    }

    /// Starts a supervisor without children.
    fn up() -> impl Future<Output = Self> + Send;

    /// Starts a child that is not restarted, and returns when it lives.
    fn start(&mut self, number: usize, body: B) -> impl Future<Output = ()> + Send;

    /// Starts a supervisor that restarts these children for ever, however often they crash.
    fn up_with(bodies: Vec<B>) -> impl Future<Output = Self> + Send;

    /// Lets the first child crash, in a system whose children wait for messages.
    fn crash(&self, told: &Notify) -> impl Future<Output = ()> + Send {
        told.notify_one();
        ready(())
    }

    /// Lists the children.
    fn list(&self) -> impl Future<Output = Self::List> + Send;

    /// Returns how many there are in a list.
    fn length(list: &Self::List) -> usize;

    /// Ends a child, and returns when it has ended or, if the system cannot tell, when it has been
    /// asked to.
    fn terminate(&mut self, number: usize) -> impl Future<Output = ()> + Send;

    /// Ends the supervisor and its children.
    fn shutdown(self) -> impl Future<Output = ()> + Send;
}

/// Takes one figure of a system over `count` children.
///
/// # Panics
///
/// Panics if the system does.
#[must_use]
pub fn measure<S>(figure: Figure, count: usize) -> Answer
where
    S: Family,
{
    if let Some(why) = <S::Of<Idle> as System<Idle>>::lacks(figure) {
        return Answer::Unsupported(why.into());
    }
    measured(async {
        // In a task of the runtime, where programs run.
        let task = tokio::spawn(async move {
            match figure {
                Figure::Start => start::<S::Of<Idle>>(count).await,
                Figure::Memory => memory::<S::Of<Idle>>(count).await,
                Figure::Which => which::<S::Of<Idle>>(count, 0).await,
                Figure::WhichAgain => which::<S::Of<Idle>>(count, LISTS_AGAIN).await,
                Figure::Terminate => terminate::<S::Of<Stopping>>(count).await,
                Figure::Shutdown => shutdown::<S::Of<Stopping>>(count).await,
                Figure::RestartP50 => restarts::<S::Of<Crashing>>(count, 0.5).await,
                Figure::RestartP99 => restarts::<S::Of<Crashing>>(count, 0.99).await,
                Figure::Storm => storm::<S::Of<Storming>>(count).await,
            }
        });
        task.await.expect("the measurement does not panic")
    })
}

/// A system, whatever its children do.
pub trait Family: 'static {
    /// The system with children that do `B`.
    type Of<B: Body>: System<B>;
}

async fn up_with_idle<S: System<Idle>>(count: usize) -> S {
    let mut system = S::up().await;
    for number in 0..count {
        system.start(number, Idle).await;
    }
    system
}

async fn start<S: System<Idle>>(count: usize) -> Answer {
    let mut system = S::up().await;
    let start = now();
    for number in 0..count {
        system.start(number, Idle).await;
    }
    Answer::plain(nanos_each(start, count))
}

async fn memory<S: System<Idle>>(count: usize) -> Answer {
    let mut system = S::up().await;
    let before = resident();
    for number in 0..count {
        system.start(number, Idle).await;
    }
    Answer::plain((resident() - before) as f64 / count as f64)
}

/// Takes a list, and so many more of them; the figure is that of the first, or of the others.
async fn which<S: System<Idle>>(count: usize, again: usize) -> Answer {
    let system: S = up_with_idle(count).await;
    let mut values = Vec::with_capacity(1 + again);
    for _ in 0..=again {
        let start = now();
        let list = system.list().await;
        values.push(nanos_each(start, 1));
        let listed = S::length(&list);
        if listed != count {
            return Answer::Wrong(format!("{listed} of {count} children listed"));
        }
    }
    Answer::plain(percentile(&mut values[again.min(1)..], 0.5))
}

async fn terminate<S: System<Stopping>>(count: usize) -> Answer {
    let mut system = S::up().await;
    let body = Stopping::default();
    for number in 0..count {
        system.start(number, body.clone()).await;
    }
    let order = terminated(count);
    let some = order.len();
    let start = now();
    for number in order {
        system.terminate(number).await;
    }
    if some < count {
        return Answer::plain(nanos_each(start, some));
    }
    let returned = body.left.get();
    let all = timeout(PATIENCE, body.left.none()).await;
    let nanos = nanos_each(start, count);
    ended(nanos, all.is_ok(), returned, &body, count)
}

async fn shutdown<S: System<Stopping>>(count: usize) -> Answer {
    let mut system = S::up().await;
    let body = Stopping::default();
    for number in 0..count {
        system.start(number, body.clone()).await;
    }
    let start = now();
    system.shutdown().await;
    let returned = body.left.get();
    let all = timeout(PATIENCE, body.left.none()).await;
    let nanos = nanos_each(start, 1);
    ended(nanos, all.is_ok(), returned, &body, count)
}

/// Says what has to be said of children that have been ended.
fn ended(nanos: f64, all: bool, returned: usize, body: &Stopping, count: usize) -> Answer {
    if !all {
        let left = body.left.get();
        return Answer::Wrong(format!("{left} of {count} children alive after {PATIENCE:?}"));
    }
    let mut notes = Vec::new();
    if returned > 0 {
        notes.push(format!("the call returned with {returned} children alive"));
    }
    match body.asked.get() {
        asked if asked == count => {}
        asked => notes.push(format!("{asked} of {count} hooks ran")),
    }
    Answer::Value(nanos, notes)
}

async fn restarts<S: System<Crashing>>(count: usize, part: f64) -> Answer {
    let told = Arc::new(Notify::new());
    let (restarted, mut latencies) = mpsc::unbounded_channel();
    let crashed = Arc::new(Mutex::new(None));
    let body = Crashing { told: Arc::clone(&told), crashed, restarted };
    let system = S::up_with(vec![body]).await;
    let begin = now();
    let mut values = Vec::with_capacity(count);
    while values.len() < count && begin.elapsed() < SPAN {
        system.crash(&told).await;
        match timeout(PATIENCE, latencies.recv()).await {
            Ok(Some(value)) => values.push(value),
            Ok(None) | Err(_) => {
                let times = values.len();
                return Answer::Wrong(format!("not restarted after {times} restarts"));
            }
        }
    }
    let notes = if values.len() < count {
        vec![format!("of {} restarts in {SPAN:?}", values.len())]
    } else {
        Vec::new()
    };
    Answer::Value(percentile(&mut values, part), notes)
}

async fn storm<S: System<Storming>>(restarts: usize) -> Answer {
    let (runs, done) = (Count::default(), Arc::new(Notify::new()));
    let body = Storming { runs: runs.clone(), restarts, done: Arc::clone(&done) };
    let start = now();
    let system = S::up_with(vec![body; STORMING]).await;
    let in_time = timeout(SPAN, done.notified()).await.is_ok();
    let reached = if in_time { restarts } else { runs.get() };
    let nanos = nanos_each(start, reached);
    drop(system);
    if reached <= STORMING {
        return Answer::Wrong(format!("no restart in {SPAN:?}"));
    }
    let notes =
        if in_time { Vec::new() } else { vec![format!("of {reached} restarts in {SPAN:?}")] };
    Answer::Value(nanos, notes)
}

#[cfg(test)]
mod tests {
    use super::Answer;

    #[test]
    fn an_answer_is_read_as_it_was_printed() {
        for answer in [
            Answer::plain(1.5),
            Answer::Value(2e9, vec!["0 of 7 hooks ran".into(), "of 5 restarts".into()]),
            Answer::Unsupported("no such call".into()),
            Answer::Wrong("3 of 7 children listed".into()),
        ] {
            assert_eq!(Answer::read(&answer.lines()), Some(answer));
        }
    }

    #[test]
    fn what_is_no_answer_is_not_read() {
        for lines in ["", "value", "value much", "note of nothing", "value 1\nthen something else"]
        {
            assert_eq!(Answer::read(lines), None, "{lines:?}");
        }
    }
}
