//! What must hold at the end.

use std::fmt;

use crate::books::Total;

/// How much the memory may grow between the second and the last third of the storm: a twentieth,
/// and this much, in bytes. The tree is as large in both, so what grows would grow for ever.
const GROWTH: usize = 8 << 20;

/// What was observed.
#[derive(Debug)]
pub(crate) struct Findings {
    /// The books when the tree had come to rest.
    pub(crate) at_rest: Total,
    /// The books at the end.
    pub(crate) total: Total,
    /// Whether the tree went down when it was told to.
    pub(crate) is_down: bool,
    /// The memory in use in the course of the storm, in bytes.
    pub(crate) memory: Vec<usize>,
    /// Calls, answers, calls dropped by their callers, lost answers, wrong answers.
    pub(crate) replies: [u64; 5],
    pub(crate) connected: u64,
    pub(crate) refused: u64,
    /// Tasks that are alive.
    pub(crate) tasks: usize,
    /// Panics that no worker was told to make.
    pub(crate) strange_panics: u64,
}

impl Findings {
    /// Returns what does not hold.
    pub(crate) fn complaints(&self) -> Vec<String> {
        let mut all = Vec::new();
        let mut check = |holds: bool, what: &dyn Fn() -> String| {
            if !holds {
                all.push(what());
            }
        };
        let Total { sum, .. } = &self.total;
        check(self.is_down, &|| "the tree did not go down".into());
        check(sum.made == sum.dropped, &|| {
            format!("workers were not dropped: {:?}", first(&self.total.undropped))
        });
        check(self.tasks == 0, &|| format!("{} tasks are alive", self.tasks));
        let [earlier, later] = self.thirds();
        check(later <= earlier + earlier / 20 + GROWTH, &|| {
            format!("memory has grown from {earlier} to {later} bytes")
        });
        check(self.total.unbalanced.is_empty() && self.total.up == 0, &|| {
            format!("starts and ends differ: {:?}", first(&self.total.unbalanced))
        });
        check(self.total.wrong_count == 0, &|| {
            let Total { wrong, wrong_count, .. } = &self.total;
            format!("{wrong_count} entries make no sense, as starts and ends do: {wrong:#?}")
        });
        check(sum.leaked == sum.leaks_ended, &|| {
            format!("{} leaks, {} of which ended", sum.leaked, sum.leaks_ended)
        });
        check(self.at_rest.uncharged.is_empty(), &|| {
            format!("restarts and charges differ: {:?}", first(&self.at_rest.uncharged))
        });
        let [asked, answered, dropped, lost, wrong] = self.replies;
        check(asked == answered + dropped && lost == 0, &|| {
            format!(
                "lost replies: {asked} calls, {answered} answers, {dropped} dropped, {lost} lost"
            )
        });
        check(wrong == 0, &|| format!("{wrong} answers that no call may have"));
        check(self.strange_panics == 0, &|| format!("{} panics", self.strange_panics));
        // A storm in which nothing happened proves nothing.
        check(sum.charged > 100 && sum.leaked > 0 && self.connected > 10, &|| {
            format!("nothing has happened: {self}")
        });
        all
    }

    /// Returns the median memory of the second and of the last third of the storm.
    fn thirds(&self) -> [usize; 2] {
        let third = self.memory.len() / 3;
        [third..2 * third, 2 * third..self.memory.len()].map(|part| {
            let mut part = self.memory[part].to_vec();
            part.sort_unstable();
            part.get(part.len() / 2).copied().unwrap_or(0)
        })
    }
}

fn first(all: &[String]) -> &[String] {
    &all[..all.len().min(5)]
}

impl fmt::Display for Findings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Total { sum, entries, gave_up, .. } = &self.total;
        let [asked, answered, dropped, lost, wrong] = self.replies;
        let [earlier, later] = self.thirds();
        writeln!(
            f,
            "soak: {} workers made, {} dropped; {} starts, {} ends, {} starts failed, {} cut short",
            sum.made, sum.dropped, sum.started, sum.ended, sum.failed, sum.cut
        )?;
        writeln!(
            f,
            "soak: {} charged, {gave_up} supervisors gave up, {} leaks, {} of them ended, {entries} entries",
            sum.charged, sum.leaked, sum.leaks_ended
        )?;
        writeln!(
            f,
            "soak: {asked} calls, {answered} answers, {dropped} dropped by the caller, {lost} lost, {wrong} wrong; {} connections, {} refused",
            self.connected, self.refused
        )?;
        write!(
            f,
            "soak: {} MiB in the second third, {} MiB in the last; {} tasks alive; down: {}",
            earlier >> 20,
            later >> 20,
            self.tasks,
            self.is_down
        )
    }
}

/// Returns the memory that is in use, in bytes.
pub(crate) fn resident() -> usize {
    let statm = std::fs::read_to_string("/proc/self/statm").unwrap_or_default();
    let pages = statm.split(' ').nth(1).and_then(|pages| pages.parse::<usize>().ok());
    pages.unwrap_or(0) * 4_096
}
