//! The whole tree at a glance.

use alloc::boxed::Box;
use alloc::string::String;
use alloc::vec::Vec;
use core::fmt;
use core::future::Future;
use core::pin::Pin;

use crate::error::SupervisorError;
use crate::machine::ChildInfo;
use crate::runtime::handle::SupervisorHandle;
use crate::spec::RestartStrategy;

/// A supervisor and everything that it holds, with all levels below.
///
/// `Display` draws it.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Tree {
    /// The supervisor's path, from the root's name on.
    pub path: String,
    /// Which of its children are restarted together.
    pub restart_strategy: RestartStrategy,
    /// Its children in start order, live or not.
    pub children: Vec<TreeNode>,
}

/// One child in a [`Tree`].
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct TreeNode {
    /// The child itself.
    pub info: ChildInfo,
    /// What it holds, if it is a supervisor that is up.
    pub below: Option<Tree>,
}

impl Tree {
    /// Creates the tree of a supervisor at `path` that holds nothing so far: for what builds a
    /// tree from another source than its supervisors, like an answer from another process.
    #[must_use]
    pub const fn new(path: String, restart_strategy: RestartStrategy) -> Self {
        Self { path, restart_strategy, children: Vec::new() }
    }
}

impl TreeNode {
    /// Creates a node without anything below it.
    #[must_use]
    pub const fn new(info: ChildInfo) -> Self {
        Self { info, below: None }
    }
}

impl SupervisorHandle {
    /// Returns every child held, live or not, with all levels below.
    ///
    /// Each supervisor is asked in turn, so the levels are taken one after the other; one that
    /// ends meanwhile has nothing below it.
    ///
    /// # Errors
    ///
    /// `ShuttingDown` once this supervisor has ended.
    ///
    /// # Examples
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() {
    /// use ash_core::{ChildContext, ChildSpec, SupervisorHandle, SupervisorSpec};
    ///
    /// let idle = |child: ChildContext| async move {
    ///     child.stop_token().cancelled().await;
    ///     Ok::<_, std::io::Error>(())
    /// };
    /// let web = SupervisorSpec::new("web").with_child(ChildSpec::task("http", idle));
    /// let app = SupervisorSpec::new("app")
    ///     .with_supervisor(web)
    ///     .with_child(ChildSpec::task("clock", idle));
    /// let handle = SupervisorHandle::start(app);
    /// handle.ready().await.unwrap();
    ///
    /// let drawing = "\
    /// app (OneForOne)
    /// ├─ web Running #1 (OneForOne)
    /// │  └─ http Running #1
    /// └─ clock Running #1
    /// ";
    /// assert_eq!(handle.tree().await.unwrap().to_string(), drawing);
    /// # handle.shutdown().await.unwrap();
    /// # }
    /// ```
    pub async fn tree(&self) -> Result<Tree, SupervisorError> {
        let held = self
            .ask(|machine, now| {
                machine
                    .children(now)
                    .map(|(key, info)| {
                        let slot = machine.payload(key);
                        (info, slot.and_then(|slot| slot.supervisor()).cloned())
                    })
                    .collect::<Vec<_>>()
            })
            .await?;
        let mut children = Vec::with_capacity(held.len());
        for (info, supervisor) in held {
            let below = match supervisor {
                Some(supervisor) => supervisor.boxed_tree().await.ok(),
                None => None,
            };
            children.push(TreeNode { info, below });
        }
        let path = String::from(self.path());
        Ok(Tree { path, restart_strategy: self.restart_strategy(), children })
    }

    fn boxed_tree(
        &self,
    ) -> Pin<Box<dyn Future<Output = Result<Tree, SupervisorError>> + Send + '_>> {
        Box::pin(self.tree())
    }
}

impl fmt::Display for Tree {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{} ({:?})", self.path, self.restart_strategy)?;
        self.draw(f, &mut String::new())
    }
}

impl Tree {
    fn draw(&self, f: &mut fmt::Formatter<'_>, indent: &mut String) -> fmt::Result {
        let depth = indent.len();
        for (number, node) in self.children.iter().enumerate() {
            let is_last = number + 1 == self.children.len();
            let branch = if is_last { "└─ " } else { "├─ " };
            let TreeNode { info, below } = node;
            write!(f, "{indent}{branch}{} {:?} #{}", info.id, info.state, info.incarnation)?;
            match below {
                Some(tree) => writeln!(f, " ({:?})", tree.restart_strategy)?,
                None => writeln!(f)?,
            }
            if let Some(tree) = below {
                indent.push_str(if is_last { "   " } else { "│  " });
                tree.draw(f, indent)?;
                indent.truncate(depth);
            }
        }
        Ok(())
    }
}
