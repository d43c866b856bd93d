//! Answers that come in parts.

use std::error::Error;
use std::iter::successors;

use ash_core::{ChildInfo, ExitReason};

use crate::protocol::Answer;

/// About how much memory each allocation of a child takes (its id, a text of an error, a supervisor
/// that gave up), in bytes.
const PIECE: usize = 96;

/// The parts of an answer that have come.
#[derive(Debug, Default)]
pub(super) struct Parts {
    before: Option<Answer>,
    weight: usize,
}

impl Parts {
    /// Returns how much memory is held, about, in bytes.
    pub(super) const fn weight(&self) -> usize {
        self.weight
    }

    /// Adds an answer, or a part of one, of so many bytes on the wire. Returns the whole once
    /// nothing is to follow.
    ///
    /// A part that is not the last must fit into the `room` that is left; the last one is as large
    /// as a frame at most.
    pub(super) fn add(
        &mut self,
        next: Answer,
        size: usize,
        room: usize,
    ) -> Result<Option<Answer>, NoRoom> {
        let has_more = next.has_more();
        if has_more {
            let weight = size.saturating_add(next.weight());
            if weight > room {
                return Err(NoRoom);
            }
            self.weight += weight;
        }
        match &mut self.before {
            Some(before) => before.join(next),
            // Most answers are whole.
            None if !has_more => return Ok(Some(next)),
            None => self.before = Some(next),
        }
        Ok(if has_more { None } else { self.before.take() })
    }
}

/// A part of an answer has come for which there is no room.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct NoRoom;

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

    /// Returns how much memory it takes, about and without its texts, in bytes. It may be much more
    /// than it was on the wire.
    fn weight(&self) -> usize {
        match self {
            Self::Children { children, .. } => {
                size_of_val(children.as_slice()) + children.iter().map(pieces).sum::<usize>()
            }
            Self::Tree { nodes, .. } => {
                let infos = nodes.iter().map(|node| &node.info);
                size_of_val(nodes.as_slice()) + infos.map(pieces).sum::<usize>()
            }
            Self::Done
            | Self::Started(_)
            | Self::Child(_)
            | Self::Counts(_)
            | Self::Status(_)
            | Self::Uptime(_)
            | Self::Report(_)
            | Self::Subscribed => 0,
        }
    }

    /// Adds a part to what came before it. Parts of different kinds do not fit together: the last
    /// of them remains, which the caller does not expect.
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

/// Returns about how much memory the allocations of a child take: its id, and why it has ended,
/// which may be a long chain.
fn pieces(child: &ChildInfo) -> usize {
    let mut count = 1;
    let mut reason = child.last_exit.as_ref();
    while let Some(ExitReason::IntensityExceeded { reason: of, .. }) = reason {
        count += 1;
        reason = Some(of);
    }
    if let Some(ExitReason::Error(error)) = reason {
        count += 1 + successors(Some(error as &dyn Error), |&error| error.source()).count();
    }
    count * PIECE
}

/// A child that is up.
#[cfg(test)]
pub(super) async fn child() -> ChildInfo {
    use ash_core::{ChildSpec, SupervisorHandle, SupervisorSpec};
    let idle = |_| std::future::pending::<Result<(), std::io::Error>>();
    let spec = SupervisorSpec::new("app").with_child(ChildSpec::task("a", idle));
    let handle = SupervisorHandle::start(spec);
    handle.ready().await.unwrap();
    handle.child("a").await.unwrap()
}

#[cfg(test)]
mod tests {
    use super::*;
    use ash_core::WorkerError;

    #[tokio::test]
    async fn what_is_short_on_the_wire_and_long_in_memory_weighs_what_it_takes() {
        let mut child = child().await;
        let weigh = |child: &ChildInfo| {
            Answer::Children { children: vec![child.clone()], more: true }.weight()
        };
        let plain = weigh(&child);
        assert!(plain >= size_of::<ChildInfo>());
        // Each of these is one byte on the wire.
        let texts = std::iter::repeat_n(String::new(), 16);
        let error = ExitReason::Error(WorkerError::from_texts(texts.collect::<Vec<_>>()));
        child.last_exit = Some(error.clone());
        assert!(weigh(&child) >= plain + 16 * size_of::<(String, usize)>());
        let gave_up = (0..64).fold(error, |reason, _| ExitReason::IntensityExceeded {
            child: "".into(),
            reason: Box::new(reason),
        });
        child.last_exit = Some(gave_up);
        let longest = 64 * size_of::<ExitReason>() + 16 * size_of::<(String, usize)>();
        assert!(weigh(&child) >= plain + longest);
    }
}
