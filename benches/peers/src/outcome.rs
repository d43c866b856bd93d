//! One measurement in a process of its own: it is watched, and killed if it hangs.

use std::io::Read;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::thread;
use std::time::Duration;

use benches::measure::now;
use benches::system::Answer;

/// What came of a process.
#[derive(Clone, Debug, PartialEq)]
pub enum Outcome {
    /// It answered.
    Answered(Answer),
    /// It was killed after so long.
    Hung(Duration),
    /// It ended without an answer: its last words.
    Failed(String),
}

/// Runs a measurement for so long at most.
///
/// # Errors
///
/// Returns an error if the program does not start.
pub fn run(command: &mut Command, limit: Duration) -> std::io::Result<Outcome> {
    let mut child =
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn()?;
    let output = reader(child.stdout.take());
    let errors = reader(child.stderr.take());
    let Some(status) = wait(&mut child, limit)? else {
        child.kill()?;
        child.wait()?;
        return Ok(Outcome::Hung(limit));
    };
    let output = output.join().unwrap_or_default();
    let errors = errors.join().unwrap_or_default();
    Ok(match Answer::read(&output) {
        Some(answer) if status.success() => Outcome::Answered(answer),
        Some(_) | None => Outcome::Failed(last_words(status, &errors)),
    })
}

fn reader(pipe: Option<impl Read + Send + 'static>) -> thread::JoinHandle<String> {
    thread::spawn(move || {
        let mut bytes = Vec::new();
        if let Some(mut pipe) = pipe {
            let _ = pipe.read_to_end(&mut bytes);
        }
        String::from_utf8_lossy(&bytes).into_owned()
    })
}

#[expect(clippy::disallowed_methods, reason = "nothing else runs here")]
fn wait(child: &mut Child, limit: Duration) -> std::io::Result<Option<ExitStatus>> {
    let start = now();
    loop {
        if let Some(status) = child.try_wait()? {
            return Ok(Some(status));
        }
        if start.elapsed() > limit {
            return Ok(None);
        }
        thread::sleep(Duration::from_millis(2));
    }
}

/// Returns the line that says why, as far as one does.
fn last_words(status: ExitStatus, errors: &str) -> String {
    let mut lines = errors.lines().filter(|line| !line.is_empty() && !line.starts_with("note: "));
    let said = lines.clone().position(|line| line.contains("panicked at"));
    let said = said.and_then(|at| lines.clone().nth(at + 1)).or_else(|| lines.next_back());
    match said {
        Some(said) => format!("{status}: {said}"),
        None => status.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::{Outcome, run};
    use benches::system::Answer;
    use std::process::Command;
    use std::time::Duration;

    fn shell(script: &str, limit: Duration) -> Outcome {
        run(Command::new("sh").args(["-c", script]), limit).expect("there is a shell")
    }

    const LONG: Duration = Duration::from_secs(60);

    #[test]
    fn an_answer_is_taken() {
        let answer = Answer::Value(7.0, vec!["slow".into()]);
        assert_eq!(shell("echo value 7; echo note slow", LONG), Outcome::Answered(answer));
    }

    #[test]
    fn what_hangs_is_killed() {
        let limit = Duration::from_millis(50);
        assert_eq!(shell("echo value 7; exec sleep 1000", limit), Outcome::Hung(limit));
    }

    #[test]
    fn what_fails_has_its_last_words() {
        let Outcome::Failed(words) = shell("echo value 7; echo out of luck >&2; exit 3", LONG)
        else {
            panic!("it has failed");
        };
        assert!(words.contains('3') && words.contains("out of luck"), "{words}");
        let panicked = "echo \"thread 'main' panicked at src/main.rs:1:1:\" >&2
            echo 'no child' >&2; echo 'note: run with' >&2; exit 101";
        let Outcome::Failed(words) = shell(panicked, LONG) else { panic!("it has failed") };
        assert!(words.ends_with("no child"), "{words}");
    }

    #[test]
    fn silence_is_a_failure() {
        assert!(matches!(shell("exit 0", LONG), Outcome::Failed(_)));
    }
}
