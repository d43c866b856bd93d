//! Histories and their recorded traces, as `tools/oracle.escript` reads and writes them.

use ash_core::spec::ChildAttributes;
use ash_core::{
    AutoShutdown, ChildType, ExitReason, RestartIntensity, RestartPolicy, RestartStrategy,
    Shutdown, WorkerError,
};

use crate::differences::Difference;

/// One history: what there is, and what happens to it.
#[derive(Clone, Debug)]
pub(crate) struct History {
    pub(crate) name: String,
    pub(crate) root: Flags,
    /// What the children of a `simple_one_for_one` supervisor are made from.
    pub(crate) template: Option<Kind>,
    /// Static children with their whole paths, in start order.
    pub(crate) children: Vec<Declared>,
    pub(crate) steps: Vec<Step>,
}

/// What a supervisor is told about itself.
#[derive(Clone, Debug)]
pub(crate) struct Flags {
    pub(crate) strategy: RestartStrategy,
    /// Whether it is OTP's `simple_one_for_one`.
    pub(crate) simple: bool,
    pub(crate) intensity: RestartIntensity,
    pub(crate) auto_shutdown: AutoShutdown,
}

#[derive(Clone, Debug)]
pub(crate) struct Declared {
    pub(crate) path: String,
    pub(crate) kind: Kind,
    /// Of a nested supervisor: what it is told about itself.
    pub(crate) flags: Option<Flags>,
}

/// What a child is, and how it takes it when it is asked to stop.
#[derive(Clone, Debug)]
pub(crate) struct Kind {
    pub(crate) attributes: ChildAttributes,
    pub(crate) deaf: bool,
    pub(crate) ends: ExitReason,
}

/// One step, and what OTP did then.
#[derive(Clone, Debug)]
pub(crate) struct Step {
    pub(crate) line: String,
    pub(crate) number: usize,
    /// What is prepared before it.
    pub(crate) plans: Vec<Plan>,
    pub(crate) operation: Operation,
    pub(crate) events: String,
    pub(crate) state: String,
    pub(crate) ours: Option<Ours>,
}

/// What we deliberately do instead, where it is not what OTP does.
#[derive(Clone, Debug)]
pub(crate) struct Ours {
    pub(crate) difference: Difference,
    pub(crate) events: Option<String>,
    pub(crate) state: Option<String>,
}

/// What is to happen on the way.
#[derive(Clone, Debug)]
pub(crate) enum Plan {
    /// A start of this child goes as the verdict says.
    Start(String, Verdict),
    /// The next time that this child is asked to stop, these happen before it ends.
    Dying(String, Vec<Operation>),
}

/// How a start goes.
#[derive(Clone, Debug)]
pub(crate) enum Verdict {
    Ok,
    Fails,
    /// While it goes on, these arrive at the supervisor.
    HeldOk(Vec<Operation>),
    HeldFails(Vec<Operation>),
}

#[derive(Clone, Debug)]
pub(crate) enum Operation {
    Start,
    Exit(String, ExitReason),
    /// These arrive before the supervisor takes up the first.
    Together(Vec<Self>),
    Shutdown,
    Call(Call),
    /// So many milliseconds pass.
    Wait(u64),
}

/// A call on the supervisor that holds the child; `text` names it in the trace.
#[derive(Clone, Debug)]
pub(crate) struct Call {
    pub(crate) text: String,
    pub(crate) path: String,
    pub(crate) verb: Verb,
}

#[derive(Clone, Debug)]
pub(crate) enum Verb {
    Start(Option<Kind>),
    Terminate,
    Restart,
    Delete,
    Which,
    Count,
}

/// Reads all histories of a file.
pub(crate) fn parse(text: &str) -> Vec<History> {
    let mut histories: Vec<History> = Vec::new();
    let mut plans = Vec::new();
    for (index, line) in text.lines().enumerate() {
        let number = index + 1;
        let line = line.trim();
        if let Some(name) = line.strip_prefix("history ") {
            histories.push(History::new(name));
            plans.clear();
        } else if let Some(history) = histories.last_mut()
            && !line.is_empty()
            && !line.starts_with('#')
        {
            history.read(line, number, &mut plans);
        }
    }
    histories
}

impl History {
    fn new(name: &str) -> Self {
        Self {
            name: name.to_owned(),
            root: flags(&["one_for_one", "1", "5", "never"]),
            template: None,
            children: Vec::new(),
            steps: Vec::new(),
        }
    }

    fn read(&mut self, line: &str, number: usize, plans: &mut Vec<Plan>) {
        let (word, rest) = line.split_once(' ').unwrap_or((line, ""));
        let words: Vec<&str> = rest.split_whitespace().collect();
        match word {
            "=" => self.last_step(number).events = rest.to_owned(),
            ":" => self.last_step(number).state = rest.to_owned(),
            "differs" => {
                let difference = Difference::named(rest)
                    .unwrap_or_else(|| panic!("line {number}: no difference is called `{rest}`"));
                self.last_step(number).ours = Some(Ours { difference, events: None, state: None });
            }
            "~=" => self.ours(number).events = Some(rest.to_owned()),
            "~:" => self.ours(number).state = Some(rest.to_owned()),
            "flags" => self.root = flags(&words),
            "template" => self.template = Some(kind("template", ChildType::Worker, &words)),
            "child" => {
                let (path, kind) = (words[0], kind(words[0], ChildType::Worker, &words[1..]));
                self.children.push(Declared { path: path.to_owned(), kind, flags: None });
            }
            "sup" => {
                let (path, kind) = (words[0], kind(words[0], ChildType::Supervisor, &words[5..]));
                let flags = Some(flags(&words[1..5]));
                self.children.push(Declared { path: path.to_owned(), kind, flags });
            }
            "fail" => {
                let times = words.get(1).map_or(1, |times| times.parse().expect("a number"));
                let fails = || Plan::Start(words[0].to_owned(), Verdict::Fails);
                plans.extend(std::iter::repeat_with(fails).take(times));
            }
            // For the recorder, whose clock begins its seconds at any time.
            "aligned" => {}
            "pass" => plans.push(Plan::Start(words[0].to_owned(), Verdict::Ok)),
            "hold" => plans.push(hold(rest)),
            "dying" => {
                let (path, rest) = rest.split_once(' ').expect("what happens meanwhile");
                plans.push(Plan::Dying(path.to_owned(), operations(rest)));
            }
            _ => self.steps.push(Step {
                line: line.to_owned(),
                number,
                plans: std::mem::take(plans),
                operation: operation(line),
                events: String::new(),
                state: String::new(),
                ours: None,
            }),
        }
    }

    fn last_step(&mut self, number: usize) -> &mut Step {
        self.steps.last_mut().unwrap_or_else(|| panic!("line {number}: it belongs to no step"))
    }

    fn ours(&mut self, number: usize) -> &mut Ours {
        let ours = self.last_step(number).ours.as_mut();
        ours.unwrap_or_else(|| panic!("line {number}: say first what differs"))
    }
}

fn hold(rest: &str) -> Plan {
    let mut words = rest.splitn(3, ' ');
    let (path, how) = (words.next().expect("a path"), words.next().expect("how it goes"));
    let operations = operations(words.next().expect("what happens meanwhile"));
    let verdict =
        if how == "ok" { Verdict::HeldOk(operations) } else { Verdict::HeldFails(operations) };
    Plan::Start(path.to_owned(), verdict)
}

fn operations(text: &str) -> Vec<Operation> {
    text.split(';').map(|part| operation(part.trim())).collect()
}

fn operation(line: &str) -> Operation {
    let words: Vec<&str> = line.split_whitespace().collect();
    let (word, rest) = words.split_first().expect("an operation");
    let verb = match *word {
        "start" => return Operation::Start,
        "shutdown" => return Operation::Shutdown,
        "wait" => return Operation::Wait(rest[0].parse().expect("milliseconds")),
        "together" => {
            return Operation::Together(operations(line.trim_start_matches("together")));
        }
        "exit" => return Operation::Exit(rest[0].to_owned(), reason(rest[1])),
        "start_child" => {
            let attributes = &rest[1..];
            let kind = || kind(rest[0], ChildType::Worker, attributes);
            Verb::Start((!attributes.is_empty()).then(kind))
        }
        "terminate_child" => Verb::Terminate,
        "restart_child" => Verb::Restart,
        "delete_child" => Verb::Delete,
        "which_children" => Verb::Which,
        "count_children" => Verb::Count,
        other => panic!("`{other}` is no operation"),
    };
    let path = rest.first().map_or_else(String::new, |path| (*path).to_owned());
    let text = if path.is_empty() { (*word).to_owned() } else { format!("{word} {path}") };
    Operation::Call(Call { text, path, verb })
}

fn flags(words: &[&str]) -> Flags {
    let [strategy, intensity, period, auto_shutdown] = words else {
        panic!("a supervisor has a strategy, an intensity, a period and an auto shutdown")
    };
    let number = |text: &str| text.parse().expect("a number");
    Flags {
        strategy: match *strategy {
            "one_for_one" | "simple_one_for_one" => RestartStrategy::OneForOne,
            "one_for_all" => RestartStrategy::OneForAll,
            "rest_for_one" => RestartStrategy::RestForOne,
            other => panic!("`{other}` is no strategy"),
        },
        simple: *strategy == "simple_one_for_one",
        intensity: RestartIntensity {
            max_restarts: intensity.parse().expect("a number"),
            within_seconds: number(period),
        },
        auto_shutdown: match *auto_shutdown {
            "never" => AutoShutdown::Never,
            "any_significant" => AutoShutdown::AnySignificant,
            "all_significant" => AutoShutdown::AllSignificant,
            other => panic!("`{other}` is no auto shutdown"),
        },
    }
}

fn kind(path: &str, child_type: ChildType, words: &[&str]) -> Kind {
    let id = path.rsplit('/').next().expect("a path has a last part");
    let mut attributes = ChildAttributes::new(id.into(), child_type);
    let (mut deaf, mut ends) = (false, ExitReason::Shutdown);
    for word in words {
        match word.split_once('=').unwrap_or((word, "")) {
            ("permanent", _) => attributes.restart = RestartPolicy::Permanent,
            ("transient", _) => attributes.restart = RestartPolicy::Transient,
            ("temporary", _) => attributes.restart = RestartPolicy::Temporary,
            ("significant", _) => attributes.significant = true,
            ("deaf", _) => deaf = true,
            ("ends", how) => ends = reason(how),
            ("shutdown", "brutal") => attributes.set_shutdown(Shutdown::BrutalKill),
            ("shutdown", "infinity") => attributes.set_shutdown(Shutdown::Infinity),
            ("shutdown", millis) => {
                let millis = millis.parse().expect("milliseconds");
                attributes
                    .set_shutdown(Shutdown::Timeout(std::time::Duration::from_millis(millis)));
            }
            _ => panic!("`{word}` is no attribute"),
        }
    }
    Kind { attributes, deaf, ends }
}

fn reason(word: &str) -> ExitReason {
    match word {
        "normal" => ExitReason::Normal,
        "shutdown" | "shutdown_term" => ExitReason::Shutdown,
        "error" => ExitReason::Error(WorkerError::new("broken")),
        "crash" => ExitReason::Panic("broken".to_owned()),
        "kill" => ExitReason::Killed,
        other => panic!("`{other}` is no reason"),
    }
}
