//! Builds a tree out of its nodes.

use ash_core::{Tree, TreeNode};

use crate::error::ProtocolError;
use crate::protocol::{Below, Node};

/// How many levels a tree may have. Nobody builds deeper ones, and dropping a tree without such a
/// bound could overflow the stack.
const MAX_DEPTH: usize = 256;

/// Puts nodes together. Each names its parent, which comes before it.
pub(crate) fn grow(root: Below, nodes: Vec<Node>) -> Result<Tree, ProtocolError> {
    let mut depths = vec![0usize];
    for node in &nodes {
        let depth = 1 + depths.get(node.parent as usize).ok_or(ProtocolError::BadAnswer)?;
        if depth > MAX_DEPTH {
            return Err(ProtocolError::TreeTooDeep { limit: MAX_DEPTH });
        }
        depths.push(depth);
    }
    put_together(root, nodes).ok_or(ProtocolError::BadAnswer)
}

/// `None` if they do not make a tree.
fn put_together(root: Below, nodes: Vec<Node>) -> Option<Tree> {
    // From the last to the first: all that is below a node has been put there when it is its turn.
    let mut below: Vec<Vec<TreeNode>> = (0..=nodes.len()).map(|_| Vec::new()).collect();
    for (index, node) in nodes.into_iter().enumerate().rev() {
        let children = below.pop()?;
        let mut grown = TreeNode::new(node.info);
        match node.below {
            Some(its) => grown.below = Some(tree(its, children)),
            None if children.is_empty() => {}
            None => return None,
        }
        debug_assert_eq!(below.len(), index + 1, "one list for each node before it");
        below.get_mut(node.parent as usize)?.push(grown);
    }
    Some(tree(root, below.pop()?))
}

fn tree(supervisor: Below, mut children: Vec<TreeNode>) -> Tree {
    children.reverse();
    let mut tree = Tree::new(supervisor.path, supervisor.restart_strategy);
    tree.children = children;
    tree
}
