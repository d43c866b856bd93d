//! Plays histories, and compares every step with what OTP did.

use crate::differences::Difference;
use crate::fixture::{History, Step};
use crate::player::{Charges, Played, Player, Suspicion};
use crate::trace::Trace;

/// How a comparison went that found no defect.
pub(crate) struct Compared {
    /// The differences that steps declare; each of them was seen.
    pub(crate) declared: Vec<Difference>,
    /// The differences that were met without having been declared.
    pub(crate) met: Vec<Difference>,
    /// Whether it was compared to its end, and did not part from OTP at a difference before.
    pub(crate) whole: bool,
    /// In how many steps the supervisors of a tree did things in another order among each other.
    pub(crate) interleaved: usize,
}

/// Where we do not do as we should, and no difference explains it.
struct Defect {
    what: &'static str,
    expected: String,
    ours: String,
}

/// Plays a history and compares every step. Where a random history parts from OTP in a situation
/// that a difference is about, the comparison ends: what follows is another history.
pub(crate) fn compare(history: &History) -> Result<Compared, String> {
    let mut player = Player::new(history);
    let mut compared =
        Compared { declared: Vec::new(), met: Vec::new(), whole: true, interleaved: 0 };
    for step in &history.steps {
        let played = player.play(step);
        compared.met.extend(&played.translated);
        let Some(defect) = compare_step(step, &played) else {
            compared.interleaved += usize::from(played.events.join(", ") != expected_of(step).0);
            compared.declared.extend(step.ours.as_ref().map(|ours| ours.difference));
            continue;
        };
        let Some(difference) = explain(&played, step) else {
            return Err(tell(history, step, &defect));
        };
        compared.met.push(difference);
        compared.whole = false;
        break;
    }
    Ok(compared)
}

/// Compares a step with what is expected of it: OTP's trace, or the one that a declared difference
/// has instead.
fn compare_step(step: &Step, played: &Played) -> Option<Defect> {
    let events = played.events.join(", ");
    let defect = |what, expected: &str, ours: &str| {
        Some(Defect { what, expected: expected.to_owned(), ours: ours.to_owned() })
    };
    let (expected_events, expected_state) = expected_of(step);
    if step.ours.is_some() && events == step.events && played.state == step.state {
        return defect("a difference is declared and there is none", &step.events, &events);
    }
    let same = Trace::read(expected_events).is_same_for_each_supervisor(&Trace::of(&played.events));
    if !same {
        return defect("what happened", expected_events, &events);
    }
    if played.state != expected_state {
        return defect("what there is", expected_state, &played.state);
    }
    None
}

/// The events and the state that a step has to have.
fn expected_of(step: &Step) -> (&str, &str) {
    let ours = step.ours.as_ref();
    let events = ours.and_then(|ours| ours.events.as_ref()).unwrap_or(&step.events);
    let state = ours.and_then(|ours| ours.state.as_ref()).unwrap_or(&step.state);
    (events, state)
}

/// Finds the difference that made an undeclared step part from OTP: both did the same until the
/// situation arose.
fn explain(played: &Played, step: &Step) -> Option<Difference> {
    if step.ours.is_some() {
        return None;
    }
    let otp = Trace::read(&step.events);
    let same_before =
        |suspicion: &&Suspicion| otp.begins_with(&Trace::of(&played.events[..suspicion.after]));
    if let Some(suspicion) = played.suspected.iter().find(same_before) {
        return Some(suspicion.difference);
    }
    let gives_up = otp.gives_up() || Trace::of(&played.events).gives_up();
    (played.charges != Charges::AsOtp && gives_up)
        .then_some(Difference::RestartIsChargedWhenDecided)
}

fn tell(history: &History, step: &Step, defect: &Defect) -> String {
    let Defect { what, expected, ours } = defect;
    let Step { number, line, .. } = step;
    let name = &history.name;
    format!(
        "{name} line {number}: `{line}`, {what}\n    expected: {expected}\n    ours:     {ours}"
    )
}

/// Compares all histories of a file. Returns how each went.
pub(crate) fn compare_all(histories: &[History]) -> Vec<Compared> {
    let mut defects = Vec::new();
    let mut compared = Vec::new();
    for history in histories {
        match compare(history) {
            Ok(one) => compared.push(one),
            Err(defect) => defects.push(defect),
        }
    }
    assert!(
        defects.is_empty(),
        "{} of {} histories differ\n{}",
        defects.len(),
        histories.len(),
        defects.join("\n")
    );
    compared
}
