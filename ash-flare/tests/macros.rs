//! The macros as the API page shows them, with nothing imported but what it imports.

#![cfg(feature = "macros")]

use ash_flare::{SupervisorHandle, SupervisorSpec, Worker, async_trait, supervision_tree};

macro_rules! idle_workers {
    ($($worker:ident),*) => {$(
        struct $worker;

        impl $worker {
            const fn new() -> Self {
                Self
            }
        }

        #[async_trait]
        impl Worker for $worker {
            type Error = std::io::Error;

            async fn run(&mut self) -> Result<(), Self::Error> {
                std::future::pending().await
            }
        }
    )*};
}

idle_workers!(DbPool, Http);

#[tokio::test(start_paused = true)]
async fn the_tree_of_the_api_page_starts() {
    let other_spec = SupervisorSpec::new("other");
    let spec = supervision_tree! {
        name: "app",
        strategy: RestForOne,                 // optional, any key order, trailing commas
        intensity: (5, 10),                   // max_restarts, within_seconds; optional
        workers: [
            ("db-pool", || DbPool::new(), Permanent),
        ],
        supervisors: [
            other_spec,                       // any expression
            { name: "web", strategy: OneForOne, workers: [("http", || Http::new(), Permanent)] },   // or inline
        ],
    };
    let handle = SupervisorHandle::start(spec);
    handle.ready().await.unwrap();
    let children = handle.which_children().await.unwrap();
    let ids: Vec<_> = children.iter().map(|child| child.id.as_str()).collect();
    assert_eq!(ids, ["db-pool", "other", "web"]);
    let web = handle.supervisor("web").await.unwrap();
    assert_eq!(web.which_children().await.unwrap()[0].id, "http");
    handle.shutdown().await.unwrap();
}
