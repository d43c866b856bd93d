//! Long answers, in pages where they can be cut. One page at a time is in the outbound queue.

use std::collections::VecDeque;
use std::sync::Arc;

use ash_core::{ChildCursor, ChildInfo, SupervisorHandle};
use tokio::sync::OwnedSemaphorePermit;

use crate::protocol::{Answer, Below, EncodeError, Failure, Node, Outcome, ServerFrame};
use crate::server::connection::Connection;
use crate::server::reads::Reply;

/// How many children are asked for at a time.
const PAGE: usize = 256;

/// How large a page should be at most, in bytes. One child may be larger, up to a frame.
pub(super) const PAGE_BYTES: usize = 32 * 1024;

/// The live children of a supervisor, of which there are too many for one answer.
pub(super) struct Listing {
    target: SupervisorHandle,
    children: Vec<ChildInfo>,
    next: Option<ChildCursor>,
}

/// Lists the live children.
pub(super) async fn children(target: &SupervisorHandle) -> Reply {
    match target.live_children_page(None, PAGE).await {
        Err(error) => Reply::Outcome(Err(error.into())),
        Ok((children, None)) if children.len() <= PAGE / 4 => {
            Reply::Outcome(Ok(Answer::Children { children, more: false }))
        }
        Ok((children, next)) => Reply::Listing(Listing { target: target.clone(), children, next }),
    }
}

impl Listing {
    /// Sends all of it, for as long as somebody wants it.
    pub(super) async fn send(self, connection: &Arc<Connection>, id: u64) -> Result<(), Failure> {
        let Self { target, mut children, mut next } = self;
        loop {
            let answer = |children, more| Answer::Children { children, more };
            let more = next.is_some();
            if !send_page(connection, id, children, more, answer).await? || !more {
                return Ok(());
            }
            (children, next) = target.live_children_page(next, PAGE).await?;
        }
    }
}

/// Lists the whole tree, level by level. Returns the answer if it is a short one.
pub(super) async fn tree(
    connection: &Arc<Connection>,
    id: u64,
    target: &SupervisorHandle,
) -> Result<Option<Answer>, Failure> {
    let root = below(target);
    let mut waiting = VecDeque::from([(target.clone(), 0)]);
    let mut nodes = Vec::new();
    let (mut count, mut has_paged) = (0u32, false);
    while let Some((supervisor, parent)) = waiting.pop_front() {
        let mut after = None;
        loop {
            let page = match supervisor.children_page(after, PAGE).await {
                Ok(page) => page,
                // One that has ended meanwhile has nothing below it.
                Err(_) if parent != 0 => break,
                Err(error) => return Err(error.into()),
            };
            for (info, supervisor) in page.children {
                count = count.checked_add(1).ok_or(Failure::TooLarge)?;
                let below = supervisor.as_ref().map(below);
                nodes.push(Node { parent, info, below });
                waiting.extend(supervisor.map(|supervisor| (supervisor, count)));
            }
            after = page.next;
            if nodes.len() >= PAGE {
                has_paged = true;
                let answer = |nodes, more| Answer::Tree { root: root.clone(), nodes, more };
                if !send_page(connection, id, std::mem::take(&mut nodes), true, answer).await? {
                    return Ok(None);
                }
            }
            if after.is_none() {
                break;
            }
        }
    }
    if !has_paged && nodes.len() <= PAGE / 4 {
        let more = false;
        return Ok(Some(Answer::Tree { root, nodes, more }));
    }
    let answer = |nodes, more| Answer::Tree { root: root.clone(), nodes, more };
    send_page(connection, id, nodes, false, answer).await?;
    Ok(None)
}

/// Answers a request: at once if the answer is short, and else when no other long one is queued.
pub(super) async fn answer(connection: &Arc<Connection>, id: u64, result: Outcome) {
    if let Err(long) = connection.answer(id, result) {
        send_long(connection, id, long).await;
    }
}

/// Sends an answer that is not short.
pub(super) async fn send_long(connection: &Arc<Connection>, id: u64, result: Outcome) {
    let sent = match result {
        Ok(Answer::Children { children, more }) => {
            let answer = |children, more| Answer::Children { children, more };
            send_page(connection, id, children, more, answer).await
        }
        Ok(Answer::Tree { root, nodes, more }) => {
            let answer = |nodes, more| Answer::Tree { root: root.clone(), nodes, more };
            send_page(connection, id, nodes, more, answer).await
        }
        whole => Ok(send_whole(connection, id, whole).await),
    };
    if let Err(failure) = sent {
        send_whole(connection, id, Err(failure)).await;
    }
}

fn below(supervisor: &SupervisorHandle) -> Below {
    Below { path: supervisor.path().into(), restart_strategy: supervisor.restart_strategy() }
}

/// Sends one page, in as many parts as its size demands. Tells whether anybody still wants it.
async fn send_page<T: Clone>(
    connection: &Arc<Connection>,
    id: u64,
    items: Vec<T>,
    more: bool,
    answer: impl Fn(Vec<T>, bool) -> Answer,
) -> Result<bool, Failure> {
    let mut parts = vec![items];
    while let Some(part) = parts.pop() {
        let is_last = !more && parts.is_empty();
        // Most of the time a page is small enough as it is.
        let limit = if part.len() > 1 { PAGE_BYTES } else { usize::MAX };
        let frame = ServerFrame::Response { id, result: Ok(answer(part.clone(), !is_last)) };
        let bytes = match connection.encode_within(&frame, limit) {
            Ok(bytes) => bytes,
            Err(EncodeError::TooLarge) if part.len() > 1 => {
                let mut first = part;
                let second = first.split_off(first.len() / 2);
                parts.push(second);
                parts.push(first);
                continue;
            }
            Err(_) => return Err(Failure::TooLarge),
        };
        let permit = Arc::clone(&connection.bulk).acquire_owned().await;
        // A client that has the last part may send another request at once.
        let goes_on = !is_last && connection.is_wanted(id);
        if !goes_on && !connection.end(id) {
            return Ok(false);
        }
        if connection.send(&bytes, permit.ok()).is_err() {
            return Ok(false);
        }
    }
    Ok(true)
}

/// Sends an answer that has no pages. Tells whether anybody wants it.
async fn send_whole(connection: &Connection, id: u64, result: Outcome) -> bool {
    let (bytes, permit) = encode_long(connection, id, result).await;
    connection.end(id) && connection.send(&bytes, permit).is_ok()
}

/// Encodes an answer that has no pages and is not short, once it may be sent.
pub(super) async fn encode_long(
    connection: &Connection,
    id: u64,
    result: Outcome,
) -> (Vec<u8>, Option<OwnedSemaphorePermit>) {
    let permit = Arc::clone(&connection.bulk).acquire_owned().await;
    // Encoded only now: many may have waited for the permit.
    let encode =
        |result| connection.encode_within(&ServerFrame::Response { id, result }, usize::MAX);
    let bytes = encode(result).or_else(|_| encode(Err(Failure::TooLarge)));
    (bytes.unwrap_or_default(), permit.ok())
}
