//! One measurement in a process of its own: it is watched, and killed if it hangs.

use std::io::Read;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::thread;
use std::time::{Duration, Instant};

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

fn wait(child: &mut Child, limit: Duration) -> std::io::Result<Option<ExitStatus>> {
    let start = Instant::now();
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
