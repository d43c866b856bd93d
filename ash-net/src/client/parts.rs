//! Answers that come in parts.

use crate::error::ProtocolError;
use crate::protocol::Answer;

/// How many children one answer may have, over all its parts.
const MAX_LISTED: usize = 1 << 24;

/// What has come of an answer.
#[derive(Debug, Default)]
pub(super) struct Parts(Option<Answer>);

impl Parts {
    /// Adds an answer, or a part of one. Returns the whole once nothing is to follow.
    pub(super) fn add(&mut self, next: Answer) -> Option<Result<Answer, ProtocolError>> {
        let Some(before) = &mut self.0 else {
            // Most answers are whole.
            return if next.has_more() {
                self.0 = Some(next);
                None
            } else {
                Some(Ok(next))
            };
        };
        let has_more = next.has_more();
        if has_more && before.len() >= MAX_LISTED {
            return Some(Err(ProtocolError::AnswerTooLarge));
        }
        before.join(next);
        if has_more { None } else { self.0.take().map(Ok) }
    }
}

impl Answer {
    /// Tells whether more parts follow.
    const fn has_more(&self) -> bool {
        match self {
            Self::Children { more, .. } | Self::Tree { more, .. } => *more,
            Self::Done
            | Self::Started(_)
            | Self::Child(_)
            | Self::Counts(_)
            | Self::Status(_)
            | Self::Uptime(_)
            | Self::Report(_)
            | Self::Subscribed => false,
        }
    }

    /// Returns how much there is of it.
    const fn len(&self) -> usize {
        match self {
            Self::Children { children, .. } => children.len(),
            Self::Tree { nodes, .. } => nodes.len(),
            Self::Done
            | Self::Started(_)
            | Self::Child(_)
            | Self::Counts(_)
            | Self::Status(_)
            | Self::Uptime(_)
            | Self::Report(_)
            | Self::Subscribed => 1,
        }
    }

    /// Adds a part to what came before it. Parts of different answers do not fit together: what
    /// remains is the last of them, which the caller will not expect.
    fn join(&mut self, next: Self) {
        match (self, next) {
            (
                Self::Children { children, more },
                Self::Children { children: mut later, more: rest },
            ) => {
                children.append(&mut later);
                *more = rest;
            }
            (Self::Tree { nodes, more, .. }, Self::Tree { nodes: mut later, more: rest, .. }) => {
                nodes.append(&mut later);
                *more = rest;
            }
            (before, next) => *before = next,
        }
    }
}
