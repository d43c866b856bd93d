//! The books: a record of what the tree's log and its workers report of each child.
//!
//! Log entries are recorded by the drain itself, so that not one is lost, and every entry is
//! checked against what came before.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use slog::{Drain, KV, Logger, Never, OwnedKVList, Record, Serializer, o};

/// What is known of one child, over all incarnations of its supervisor.
#[derive(Clone, Debug, Default)]
pub(crate) struct Account {
    /// Which incarnation is up.
    up: Option<u64>,
    pub(crate) started: u64,
    /// Incarnations that were up and ended.
    pub(crate) ended: u64,
    /// Starts that failed, and starts that were cut short.
    pub(crate) failed: u64,
    pub(crate) cut: u64,
    /// Charged decisions to restart it.
    pub(crate) charged: u64,
    pub(crate) leaked: u64,
    pub(crate) leaks_ended: u64,
    /// Workers that its factory made, and those that were dropped.
    pub(crate) made: u64,
    pub(crate) dropped: u64,
}

/// All accounts, by path.
#[derive(Debug, Default)]
struct Ledger {
    accounts: HashMap<String, Account>,
    /// The first few entries that contradict earlier ones.
    wrong: Vec<String>,
    wrong_count: u64,
    gave_up: u64,
    entries: u64,
}

/// The books, shared by all who make entries.
#[derive(Clone, Debug, Default)]
pub(crate) struct Books(Arc<Mutex<Ledger>>);

/// The totals over all children.
#[derive(Clone, Debug, Default)]
pub(crate) struct Total {
    pub(crate) sum: Account,
    pub(crate) up: u64,
    pub(crate) entries: u64,
    pub(crate) gave_up: u64,
    /// Children whose starts and ends differ.
    pub(crate) unbalanced: Vec<String>,
    /// Children of which a worker was made and not dropped.
    pub(crate) undropped: Vec<String>,
    /// Children that were restarted more or less often than was charged, of those that nothing
    /// else ever restarts or stops.
    pub(crate) uncharged: Vec<String>,
    pub(crate) wrong: Vec<String>,
    pub(crate) wrong_count: u64,
}

/// Where each charge is one restart of the child itself, and nobody calls.
const PLAIN: [&str; 5] =
    ["soak/flat/", "soak/killed/", "soak/patient/", "soak/lively/", "soak/stateful/"];

/// Where a charge restarts a whole group, and nobody calls.
const GROUPS: [&str; 2] = ["soak/all-", "soak/rest-"];

impl Books {
    fn ledger(&self) -> MutexGuard<'_, Ledger> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Returns a logger that makes entries.
    pub(crate) fn logger(&self) -> Logger {
        Logger::root(self.clone(), o!())
    }

    /// Records that a factory has made a worker. Returns how many it has made by now.
    pub(crate) fn made(&self, path: &str) -> u64 {
        let mut ledger = self.ledger();
        let account = ledger.account(path);
        let (alive, leaks) = (account.made - account.dropped, account.leaked - account.leaks_ended);
        account.made += 1;
        let made = account.made;
        if alive > leaks {
            ledger.wrong(format!("{path}: a new worker while {alive} are there, {leaks} leaked"));
        }
        made
    }

    /// Records that a worker is dropped.
    pub(crate) fn dropped(&self, path: &str) {
        self.ledger().account(path).dropped += 1;
    }

    /// Adds everything up.
    pub(crate) fn total(&self) -> Total {
        let ledger = self.ledger();
        let mut total = Total {
            entries: ledger.entries,
            gave_up: ledger.gave_up,
            wrong: ledger.wrong.clone(),
            wrong_count: ledger.wrong_count,
            ..Total::default()
        };
        for (path, account) in &ledger.accounts {
            let sum = &mut total.sum;
            sum.started += account.started;
            sum.ended += account.ended;
            sum.failed += account.failed;
            sum.cut += account.cut;
            sum.charged += account.charged;
            sum.leaked += account.leaked;
            sum.leaks_ended += account.leaks_ended;
            sum.made += account.made;
            sum.dropped += account.dropped;
            total.up += u64::from(account.up.is_some());
            if account.started != account.ended {
                total.unbalanced.push(format!("{path}: {account:?}"));
            }
            if account.made != account.dropped {
                total.undropped.push(format!("{path}: {account:?}"));
            }
        }
        total.uncharged = ledger.uncharged();
        total
    }

    /// Removes a start from the books.
    pub(crate) fn forget_a_start(&self) {
        self.ledger().account("soak/flat/w0").started -= 1;
    }

    /// Removes a charge from the books.
    pub(crate) fn forget_a_charge(&self) {
        let mut ledger = self.ledger();
        let charged = ledger.accounts.iter_mut().find(|(path, account)| {
            account.charged > 0 && PLAIN.iter().any(|plain| path.starts_with(plain))
        });
        if let Some((_, account)) = charged {
            account.charged -= 1;
        }
    }
}

impl Ledger {
    /// Returns the children whose restarts and charges differ.
    fn uncharged(&self) -> Vec<String> {
        let mut all = Vec::new();
        let mut groups: HashMap<&str, (u64, u64)> = HashMap::new();
        for (path, account) in &self.accounts {
            let starts = account.started + account.failed;
            if PLAIN.iter().any(|plain| path.starts_with(plain)) && starts != account.charged + 1 {
                all.push(format!("{path}: {account:?}"));
            }
            if GROUPS.iter().any(|group| path.starts_with(group))
                && let Some((group, _)) = path.rsplit_once('/')
            {
                let (charged, most) = groups.entry(group).or_default();
                *charged += account.charged;
                *most = starts.saturating_sub(1).max(*most);
            }
        }
        for (group, (charged, most)) in groups {
            // A group that is restarted again before all of it was up charges more than the restarts
            // of any one child.
            if most > charged || (charged > 0 && most == 0) {
                all.push(format!("{group}: {charged} charged, {most} restarts of one child"));
            }
        }
        all
    }

    fn account(&mut self, path: &str) -> &mut Account {
        if !self.accounts.contains_key(path) {
            self.accounts.insert(path.to_owned(), Account::default());
        }
        self.accounts.get_mut(path).expect("it has just been put there")
    }

    fn wrong(&mut self, what: String) {
        self.wrong_count += 1;
        if self.wrong.len() < 10 {
            self.wrong.push(what);
        }
    }

    fn enter(&mut self, what: &str, keys: &Keys) {
        self.entries += 1;
        let Some(child) = &keys.child else {
            match what {
                "supervisor started" | "supervisor ended" => {}
                other => self.wrong(format!("{}: {other}", keys.supervisor)),
            }
            return;
        };
        let path = format!("{}/{child}", keys.supervisor);
        let number = keys.incarnation;
        let account = self.account(&path);
        let before = account.clone();
        let mut is_right = true;
        match what {
            "child started" => {
                is_right = account.up.is_none();
                account.up = Some(number);
                account.started += 1;
            }
            "child exited" => {
                is_right = account.up == Some(number);
                account.up = None;
                account.ended += 1;
            }
            "child stopped" if account.up == Some(number) => {
                account.up = None;
                account.ended += 1;
            }
            "child stopped" => {
                is_right = account.up.is_none();
                account.cut += 1;
            }
            "child failed to start" => {
                is_right = account.up.is_none();
                account.failed += 1;
            }
            "child restarting" => account.charged += 1,
            "child leaked: its task blocks its thread and cannot be ended" => account.leaked += 1,
            "leaked child ended" => {
                account.leaks_ended += 1;
                is_right = account.leaks_ended <= account.leaked;
            }
            "restart intensity exceeded" => self.gave_up += 1,
            "child completed" | "child's shutdown failed" => {
                is_right = account.up.is_none() || what != "child completed";
            }
            _ => is_right = false,
        }
        if !is_right {
            self.wrong(format!("{path} #{number}: `{what}` after {before:?}"));
        }
    }
}

impl Drain for Books {
    type Ok = ();
    type Err = Never;

    fn log(&self, record: &Record<'_>, values: &OwnedKVList) -> Result<(), Never> {
        let mut keys = Keys::default();
        let read = record.kv().serialize(record, &mut keys);
        let inherited = values.serialize(record, &mut keys);
        if read.and(inherited).is_ok() && !keys.supervisor.is_empty() {
            self.ledger().enter(&record.msg().to_string(), &keys);
        }
        Ok(())
    }
}

/// The keys of a record that matter here.
#[derive(Debug, Default)]
struct Keys {
    supervisor: String,
    child: Option<String>,
    incarnation: u64,
}

impl Serializer for Keys {
    fn emit_arguments(&mut self, key: slog::Key, value: &std::fmt::Arguments<'_>) -> slog::Result {
        match key {
            "supervisor" => self.supervisor = value.to_string(),
            "child" => self.child = Some(value.to_string()),
            "incarnation" => {
                self.incarnation = value.to_string().parse().map_err(|_| slog::Error::Other)?;
            }
            _ => {}
        }
        Ok(())
    }
}
