//! Plays histories, and compares every step with what OTP did.

use crate::differences::Difference;
use crate::fixture::{History, Ours, Step};
use crate::player::{Played, Player, Suspicion};

/// How a comparison went that found no defect.
pub(crate) struct Compared {
    /// The differences that steps declare; each of them was seen.
    pub(crate) declared: Vec<Difference>,
    /// The differences that were met without having been declared.
    pub(crate) met: Vec<Difference>,
    /// Whether it was compared to its end, and did not part from OTP at a difference before.
    pub(crate) whole: bool,
}

/// Where we do not do as we should, and no difference explains it.
struct Defect {
    what: &'static str,
    otp: String,
    ours: String,
}

/// Plays a history and compares every step. Where a random history parts from OTP in a situation
/// that a difference is about, the comparison ends: what follows is another history.
pub(crate) fn compare(history: &History) -> Result<Compared, String> {
    let mut player = Player::new(history);
    let mut compared = Compared { declared: Vec::new(), met: Vec::new(), whole: true };
    for step in &history.steps {
        let played = player.play(step);
        compared.met.extend(&played.translated);
        let Some(defect) = compare_step(step, &played) else {
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
    let (otp_events, otp_state) = match &step.ours {
        Some(ours) => expected_of_ours(step, ours),
        None => (&step.events, &step.state),
    };
    if step.ours.is_some() && events == step.events && played.state == step.state {
        return Some(Defect {
            what: "a difference is declared and there is none",
            otp: step.events.clone(),
            ours: events,
        });
    }
    if events != *otp_events {
        return Some(Defect { what: "what happened", otp: otp_events.clone(), ours: events });
    }
    let (otp, ours) = (otp_state, &played.state);
    (ours != otp).then(|| Defect { what: "what there is", otp: otp.clone(), ours: ours.clone() })
}

fn expected_of_ours<'s>(step: &'s Step, ours: &'s Ours) -> (&'s String, &'s String) {
    (ours.events.as_ref().unwrap_or(&step.events), ours.state.as_ref().unwrap_or(&step.state))
}

/// Finds the difference that made an undeclared step part from OTP: both did the same until the
/// situation arose.
fn explain(played: &Played, step: &Step) -> Option<Difference> {
    if step.ours.is_some() {
        return None;
    }
    let same_before = |suspicion: &&Suspicion| {
        let before = played.events[..suspicion.after].join(", ");
        step.events.starts_with(&before)
    };
    if let Some(suspicion) = played.suspected.iter().find(same_before) {
        return Some(suspicion.difference);
    }
    let gives_up = played.events.iter().any(|event| event.starts_with("gave_up"))
        || step.events.contains("gave_up");
    (played.charged_early && gives_up).then_some(Difference::RestartIsChargedWhenDecided)
}

fn tell(history: &History, step: &Step, defect: &Defect) -> String {
    let Defect { what, otp, ours } = defect;
    let Step { number, line, .. } = step;
    let name = &history.name;
    format!("{name} line {number}: `{line}`, {what}\n    expected: {otp}\n    ours:     {ours}")
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
