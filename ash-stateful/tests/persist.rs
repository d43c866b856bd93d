//! Contexts that are kept in a file, from outside: crashes of real processes, bad files.

use std::fs;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;

use ash_stateful::{PersistError, WorkerContext};
use proptest::prelude::*;
use redb::{Database, TableDefinition};
use serde_json::{Value, json};

const ROLE: &str = "ASH_STATEFUL_TEST_ROLE";
const STORE: &str = "ASH_STATEFUL_TEST_STORE";

/// Starts this test binary again, to run [`child_process`] in a role.
fn child_command(role: &str, path: &Path) -> Command {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args(["--exact", "child_process", "--nocapture"]);
    command.env(ROLE, role).env(STORE, path).stdout(Stdio::piped()).stderr(Stdio::null());
    command
}

/// Reads lines of a child until `pick` finds what it looks for.
fn read_until<T>(
    lines: &mut impl Iterator<Item = std::io::Result<String>>,
    pick: impl Fn(&str) -> Option<T>,
) -> Option<T> {
    lines.map_while(Result::ok).find_map(|line| pick(&line))
}

fn confirmed(line: &str) -> Option<u64> {
    line.split_once("confirmed ")?.1.trim().parse().ok()
}

fn at_it(line: &str) -> Option<()> {
    line.contains("at it").then_some(())
}

/// Kills a child as `kill -9` does, and gives the last number it had confirmed.
fn kill(mut child: Child, lines: impl Iterator<Item = std::io::Result<String>>) -> Option<u64> {
    child.kill().unwrap();
    child.wait().unwrap();
    // What it had printed before it died is still in the pipe.
    lines.map_while(Result::ok).filter_map(|line| confirmed(&line)).last()
}

/// Not a test of its own: the body of the processes that the tests below start.
#[test]
fn child_process() {
    let Ok(role) = std::env::var(ROLE) else { return };
    let path = std::env::var(STORE).unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    runtime.block_on(async {
        match role.as_str() {
            "count" => count(&path).await,
            "restore" => restore(&path).await,
            "hold" => {
                let _ctx = WorkerContext::persistent(&path).unwrap();
                say("confirmed 0");
                std::future::pending::<()>().await;
            }
            "full" => fill(&path).await,
            other => panic!("no such role: {other}"),
        }
    });
}

/// Tells the parent.
#[expect(clippy::print_stdout, reason = "it is read by the parent, through a pipe")]
fn say(line: &str) {
    println!("{line}");
}

/// Flushes for ever, on a thread of its own: commits begin at any moment.
fn flush_all_the_time(ctx: &Arc<WorkerContext>) {
    let ctx = Arc::clone(ctx);
    std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(async {
            loop {
                ctx.flush().await.unwrap();
            }
        });
    });
}

/// Counts up for ever in two keys, one after the other, and prints what a flush has confirmed.
async fn count(path: &str) {
    let ctx = Arc::new(WorkerContext::persistent(path).unwrap());
    flush_all_the_time(&ctx);
    let start = ctx.get_as::<u64>("cause").unwrap().unwrap_or(0);
    for n in start + 1.. {
        ctx.set("cause", json!(n));
        ctx.update("effect", |_| Some(json!(n)));
        ctx.update(&format!("key-{}", n % 50), |_| Some(json!({ "n": n, "pad": "x".repeat(100) })));
        say("at it");
        if n % 200 == 0 {
            ctx.flush().await.unwrap();
            say(&format!("confirmed {n}"));
        }
    }
}

/// Restores one object after another, of many keys with one number.
async fn restore(path: &str) {
    let ctx = Arc::new(WorkerContext::persistent(path).unwrap());
    flush_all_the_time(&ctx);
    for n in 1.. {
        let keys = (0..200).map(|key| (format!("{key}"), json!(n)));
        ctx.restore(Value::Object(keys.collect())).unwrap();
        say("at it");
        if n % 50 == 0 {
            ctx.flush().await.unwrap();
            say(&format!("confirmed {n}"));
        }
    }
}

#[test]
fn kill_9_loses_nothing_that_a_flush_had_confirmed() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("store.ctx");
    let mut last = 0;
    for round in 0..8 {
        let mut child = child_command("count", &path).spawn().unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        // In the middle of writes, between two flushes: the child goes on while this one decides.
        let seen = read_until(&mut lines, confirmed).expect("the child counts");
        for _ in 0..round * 37 {
            read_until(&mut lines, at_it).expect("the child counts");
        }
        let confirmed = kill(child, lines).unwrap_or(seen).max(seen);
        assert!(confirmed > last, "it goes on where it was: {confirmed} after {last}");

        let ctx = WorkerContext::persistent(&path).unwrap();
        let (cause, effect) = (number(&ctx, "cause"), number(&ctx, "effect"));
        assert!(effect >= confirmed, "{confirmed} was confirmed, {effect} is there");
        assert!(cause >= effect, "no effect without its cause: {cause}, {effect}");
        for n in confirmed.saturating_sub(49).max(last + 1)..=confirmed {
            let kept = ctx.with_value(&format!("key-{}", n % 50), |its| {
                its.and_then(|its| its["n"].as_u64()).unwrap_or(0)
            });
            assert!(kept >= n, "{n} was confirmed, {kept} is there");
        }
        last = cause;
    }
}

#[test]
fn kill_9_never_cuts_a_restore() {
    let directory = tempfile::tempdir().unwrap();
    for round in 0..4 {
        let path = directory.path().join(format!("{round}.ctx"));
        let mut child = child_command("restore", &path).spawn().unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let seen = read_until(&mut lines, confirmed).expect("the child restores");
        for _ in 0..5 + round * 11 {
            read_until(&mut lines, at_it).expect("the child restores");
        }
        let confirmed = kill(child, lines).unwrap_or(seen).max(seen);

        let ctx = WorkerContext::persistent(&path).unwrap();
        assert_eq!(ctx.len(), 200);
        let n = number(&ctx, "0");
        assert!(n >= confirmed);
        assert!(ctx.keys().iter().all(|key| number(&ctx, key) == n), "{:?}", ctx.snapshot());
    }
}

fn number(ctx: &WorkerContext, key: &str) -> u64 {
    ctx.with_value(key, |value| value.and_then(Value::as_u64).unwrap_or(0))
}

#[test]
fn a_store_is_open_once_in_all_processes() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("store.ctx");
    let ctx = WorkerContext::persistent(&path).unwrap();
    let error = WorkerContext::persistent(&path).unwrap_err();
    assert!(matches!(error, PersistError::Locked { .. }), "in one process: {error:?}");
    drop(ctx);

    let mut child = child_command("hold", &path).spawn().unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    read_until(&mut lines, confirmed).expect("the child has it open");
    let before = fs::read(&path).unwrap();
    let error = WorkerContext::persistent(&path).unwrap_err();
    assert!(matches!(error, PersistError::Locked { .. }), "in two: {error:?}");
    assert!(fs::read(&path).unwrap() == before);
    kill(child, lines);
    WorkerContext::persistent(&path).expect("a dead process holds no lock");
}

#[tokio::test]
async fn what_a_context_holds_is_there_when_it_is_opened_again() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("store.ctx");
    let ctx = WorkerContext::persistent(&path).unwrap();
    assert!(ctx.is_persistent() && ctx.is_empty());
    ctx.set("", json!(null));
    ctx.set("a/b \u{0} ü", json!({ "list": [1, 2.5, "x", true, null] }));
    ctx.set("deleted", json!(1));
    ctx.set_as("updated", &vec![1]).unwrap();
    ctx.flush().await.unwrap();
    ctx.delete("deleted");
    ctx.update("updated", |_| Some(json!("new")));
    ctx.update("removed", |_| Some(json!(1)));
    ctx.update("removed", |_| None);
    let expected = ctx.snapshot();
    drop(ctx); // writes what is left

    let ctx = WorkerContext::persistent(&path).unwrap();
    assert_eq!(ctx.snapshot(), expected);
    ctx.clear();
    ctx.set("last", json!(1));
    drop(ctx);
    let ctx = WorkerContext::persistent(&path).unwrap();
    assert_eq!(ctx.snapshot(), json!({ "last": 1 }));
    let files: Vec<_> = fs::read_dir(directory.path()).unwrap().collect();
    assert_eq!(files.len(), 1, "nothing is left beside it: {files:?}");
}

#[tokio::test]
async fn a_panicking_update_removes_the_key_from_the_store_too() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("store.ctx");
    let ctx = WorkerContext::persistent(&path).unwrap();
    ctx.set("key", json!(1));
    ctx.flush().await.unwrap();
    let update = || ctx.update("key", |_| panic!("on purpose"));
    assert!(std::panic::catch_unwind(std::panic::AssertUnwindSafe(update)).is_err());
    ctx.flush().await.unwrap();
    drop(ctx);
    assert!(WorkerContext::persistent(&path).unwrap().is_empty());
}

#[tokio::test]
async fn many_threads_write_while_it_is_flushed() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("store.ctx");
    let ctx = WorkerContext::persistent(&path).unwrap();
    std::thread::scope(|scope| {
        for thread in 0..4 {
            let ctx = &ctx;
            scope.spawn(move || {
                for n in 0..500u64 {
                    for key in ["hot", &format!("{thread}-{}", n % 7)] {
                        ctx.update(key, |sum| {
                            Some(json!(sum.map_or(0, |sum| sum.as_u64().unwrap()) + n))
                        });
                    }
                }
            });
        }
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let ctx = &ctx;
        scope.spawn(move || {
            for _ in 0..20 {
                runtime.block_on(ctx.flush()).unwrap();
            }
        });
    });
    let total = 4 * (0..500).sum::<u64>();
    drop(ctx);
    let ctx = WorkerContext::persistent(&path).unwrap();
    assert_eq!(number(&ctx, "hot"), total);
    let others = ctx.keys().into_iter().filter(|key| key != "hot");
    assert_eq!(others.map(|key| number(&ctx, &key)).sum::<u64>(), total);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(16))]

    #[test]
    fn numbers_and_texts_are_read_back_as_they_were(
        floats in prop::collection::vec(any::<f64>().prop_filter("json has no other", |its| its.is_finite()), 0..200),
        integers in prop::collection::vec(any::<i64>(), 0..20),
        texts in prop::collection::vec(any::<String>(), 0..20),
    ) {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("store.ctx");
        let ctx = WorkerContext::persistent(&path).unwrap();
        for text in &texts {
            ctx.set(text.as_str(), json!(text));
        }
        ctx.set("floats", json!(floats));
        ctx.set("integers", json!([integers, u64::MAX, 5e-324, -0.0]));
        let expected = ctx.snapshot();
        drop(ctx);
        prop_assert_eq!(WorkerContext::persistent(&path).unwrap().snapshot(), expected);
    }
}

#[tokio::test]
async fn a_context_in_memory_confirms_nothing() {
    let ctx = WorkerContext::new();
    assert!(!ctx.is_persistent());
    assert!(matches!(ctx.flush().await, Err(PersistError::NotPersistent)));
    assert!(ctx.store_failure().is_none());
}

/// Opens a bad file; checks that the error is reported and the file unchanged.
fn refused(path: &Path) -> PersistError {
    let before = fs::read(path).unwrap();
    let error = WorkerContext::persistent(path).unwrap_err();
    assert!(fs::read(path).unwrap() == before, "{error:?} has changed the file");
    error
}

#[test]
fn a_file_that_is_no_store_is_refused_and_untouched() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("file");
    for bytes in [&b"x"[..], b"{\"json\": true}", &[0; 5_000], &[0xff; 100_000]] {
        fs::write(&path, bytes).unwrap();
        let error = refused(&path);
        assert!(matches!(error, PersistError::Corrupt { .. }), "{error:?}");
        assert!(std::error::Error::source(&error).is_some());
    }
}

fn make_store(path: &Path) {
    let ctx = WorkerContext::persistent(path).unwrap();
    for n in 0..300 {
        ctx.set(format!("key-{n}"), json!({ "n": n, "text": "some text ".repeat(n % 20) }));
    }
}

#[test]
fn a_store_that_was_cut_off_is_refused_and_untouched() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("store.ctx");
    make_store(&path);
    let whole = fs::read(&path).unwrap();
    for len in [1, 8, 64, 319, 320, 4_095, 4_096, 8_192, 50_000, whole.len() / 2, whole.len() - 1] {
        fs::write(&path, &whole[..len]).unwrap();
        let error = refused(&path);
        assert!(matches!(error, PersistError::Corrupt { .. }), "{len}: {error:?}");
    }
}

#[test]
fn a_damaged_store_is_read_as_it_was_or_refused_and_untouched() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("store.ctx");
    make_store(&path);
    let whole = fs::read(&path).unwrap();
    let expected = WorkerContext::persistent(&path).unwrap().snapshot();
    let mut is_refused = 0;
    // The headers densely, the pages by samples. A prime step meets all parts of a page.
    let places = (0..512).step_by(3).chain((512..whole.len()).step_by(20_011));
    for place in places {
        let mut bytes = whole.clone();
        bytes[place] ^= 1 << (place % 8);
        fs::write(&path, &bytes).unwrap();
        match WorkerContext::persistent(&path) {
            Ok(ctx) => assert_eq!(ctx.snapshot(), expected, "a flipped bit at {place}"),
            Err(error) => {
                is_refused += 1;
                let typed =
                    matches!(error, PersistError::Corrupt { .. } | PersistError::Version { .. });
                assert!(typed, "a flipped bit at {place}: {error:?}");
                assert!(fs::read(&path).unwrap() == bytes, "{place}: {error:?}");
            }
        }
    }
    assert!(is_refused > 10, "{is_refused} of the flipped bits were told");
}

#[test]
fn a_database_of_others_is_refused_and_untouched() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("theirs.redb");
    let theirs = TableDefinition::<u64, u64>::new("theirs");
    let database = Database::create(&path).unwrap();
    let transaction = database.begin_write().unwrap();
    transaction.open_table(theirs).unwrap().insert(1, 2).unwrap();
    transaction.commit().unwrap();
    drop(database);
    assert!(matches!(refused(&path), PersistError::Foreign { .. }));
}

#[test]
fn a_store_of_another_version_is_refused_and_untouched() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("store.ctx");
    make_store(&path);
    let database = Database::open(&path).unwrap();
    let about = TableDefinition::<&str, u64>::new("ash-stateful");
    let transaction = database.begin_write().unwrap();
    transaction.open_table(about).unwrap().insert("format", 2).unwrap();
    transaction.commit().unwrap();
    drop(database);
    assert!(matches!(refused(&path), PersistError::Version { found: 2, .. }));
}

#[test]
fn a_value_that_is_no_json_is_refused_and_untouched() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("store.ctx");
    make_store(&path);
    let database = Database::open(&path).unwrap();
    let values = TableDefinition::<&str, &[u8]>::new("values");
    let transaction = database.begin_write().unwrap();
    transaction.open_table(values).unwrap().insert("key", b"{".as_slice()).unwrap();
    transaction.commit().unwrap();
    drop(database);
    assert!(matches!(refused(&path), PersistError::Corrupt { .. }));
}

#[test]
fn a_place_where_no_store_can_be_is_an_io_error() {
    let directory = tempfile::tempdir().unwrap();
    for path in [directory.path().to_owned(), directory.path().join("none/store.ctx")] {
        let error = WorkerContext::persistent(&path).unwrap_err();
        assert!(matches!(error, PersistError::Io { .. }), "{error:?}");
    }
    assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 0);
}

#[test]
fn an_empty_file_becomes_a_store() {
    let file = tempfile::NamedTempFile::new().unwrap();
    let ctx = WorkerContext::persistent(file.path()).unwrap();
    ctx.set("key", json!(1));
    drop(ctx);
    assert_eq!(WorkerContext::persistent(file.path()).unwrap().get("key"), Some(json!(1)));
}

/// Writes until the system refuses; prints how far it was confirmed, and the error.
async fn fill(path: &str) {
    let ctx = WorkerContext::persistent(path).unwrap();
    for n in 0..10_000 {
        ctx.set(format!("key-{n}"), json!("x".repeat(10_000)));
        match ctx.flush().await {
            Ok(()) => say(&format!("confirmed {n}")),
            Err(PersistError::Full { .. }) => {
                say("it is full");
                return;
            }
            Err(error) => panic!("{error:?}"),
        }
    }
}

/// The system itself refuses to write, past a limit on the size of files. The shell sets the limit,
/// and ignores the signal that would end the process.
#[cfg(unix)]
#[test]
fn a_limit_of_the_system_is_a_full_disk() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("store.ctx");
    let child = child_command("full", &path);
    let mut shell = Command::new("sh");
    // Blocks of 512 bytes or 1 kB, as the shell has it: some megabytes.
    shell.args(["-c", "trap '' XFSZ; ulimit -f 5000 && exec \"$0\" \"$@\""]);
    shell.arg(child.get_program()).args(child.get_args());
    shell.envs(child.get_envs().filter_map(|(key, value)| Some((key, value?))));
    let output = shell.output().unwrap();
    let output = String::from_utf8_lossy(&output.stdout);
    assert!(output.contains("it is full"), "{output}");
    let confirmed = output.lines().filter_map(confirmed).next_back().unwrap();

    let ctx = WorkerContext::persistent(&path).unwrap();
    assert!((0..=confirmed).all(|n| ctx.contains_key(&format!("key-{n}"))), "{confirmed}");
}

/// In a container, a service has the same process id each time.
#[test]
fn what_a_crash_left_of_a_store_that_was_being_made_is_not_in_the_way() {
    let directory = tempfile::tempdir().unwrap();
    let whole = directory.path().join("whole");
    drop(WorkerContext::persistent(&whole).unwrap());
    let half = fs::read(&whole).unwrap();
    let half = &half[..half.len() / 2];
    let id = std::process::id();
    for count in 0..100 {
        fs::write(directory.path().join(format!("auction.{id}-{count}.new")), half).unwrap();
    }
    let path = directory.path().join("auction");
    let ctx = WorkerContext::persistent(&path).unwrap();
    ctx.set("winner", json!("ann"));
    drop(ctx);
    let ctx = WorkerContext::persistent(&path).unwrap();
    assert_eq!(ctx.get("winner"), Some(json!("ann")));
}

#[test]
fn a_name_may_be_as_long_as_the_system_takes() {
    let directory = tempfile::tempdir().unwrap();
    for len in [190, 200, 201, 255] {
        let path = directory.path().join("n".repeat(len));
        WorkerContext::persistent(&path).unwrap().set("key", json!(1));
        assert_eq!(WorkerContext::persistent(&path).unwrap().get("key"), Some(json!(1)));
    }
}

#[cfg(unix)]
#[test]
fn a_new_store_is_its_owners_alone_and_leaves_nothing_beside_it() {
    use std::os::unix::fs::MetadataExt;

    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("auction");
    let _ctx = WorkerContext::persistent(&path).unwrap();
    assert_eq!(fs::metadata(&path).unwrap().mode() & 0o7777, 0o600);
    assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 1);
}
