//! What no rule decides.

/// Which of several children is served first where no rule says so. All answers are right.
#[derive(Clone, Debug, Default)]
pub(super) struct Choices {
    /// The answers, and out of how many each was chosen.
    answers: Vec<(usize, usize)>,
    asked: usize,
}

impl Choices {
    /// Chooses one of so many: the first, unless [`next`](Self::next) has been there.
    pub(super) fn choose(&mut self, count: usize) -> usize {
        if self.asked == self.answers.len() {
            self.answers.push((0, count));
        }
        self.asked += 1;
        self.answers[self.asked - 1].0
    }

    /// Goes on to the next set of answers, until all have been given.
    pub(super) fn next(mut self) -> Option<Self> {
        self.answers.truncate(self.asked);
        self.asked = 0;
        while let Some((answer, count)) = self.answers.pop() {
            if answer + 1 < count {
                self.answers.push((answer + 1, count));
                return Some(self);
            }
        }
        None
    }
}
