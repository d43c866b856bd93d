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

#[cfg(feature = "stateful")]
mod stateful {
    use std::sync::Arc;

    use ash_flare::{
        StatefulSupervisorHandle, Worker, WorkerContext, async_trait, stateful_supervision_tree,
    };

    struct Bidder {
        number: u32,
        ctx: Arc<WorkerContext>,
    }

    impl Bidder {
        const fn new(number: u32, ctx: Arc<WorkerContext>) -> Self {
            Self { number, ctx }
        }
    }

    #[async_trait]
    impl Worker for Bidder {
        type Error = std::io::Error;

        async fn initialize(&mut self) -> Result<(), Self::Error> {
            self.ctx.set(format!("bidder-{}", self.number), self.number.into());
            Ok(())
        }

        async fn run(&mut self) -> Result<(), Self::Error> {
            std::future::pending().await
        }
    }

    #[tokio::test(start_paused = true)]
    async fn the_stateful_tree_of_the_api_page_starts() {
        let spec = stateful_supervision_tree! { name: "auction", strategy: OneForOne, intensity: (5, 10),
        workers: [("bidder-1", |ctx| Bidder::new(1, ctx), Permanent)], supervisors: [] };
        let handle = StatefulSupervisorHandle::start(spec);
        handle.ready().await.unwrap();
        assert_eq!(handle.context().get("bidder-1"), Some(1.into()));
        handle.shutdown().await.unwrap();
    }

    #[tokio::test(start_paused = true)]
    async fn inline_supervisors_share_the_context_and_others_do_not() {
        let other = stateful_supervision_tree! {
            name: "other",
            workers: [("bidder", |ctx| Bidder::new(3, ctx), Permanent)],
        };
        let others = Arc::clone(other.context());
        let spec = stateful_supervision_tree! {
            name: "auction",
            supervisors: [
                other,
                {
                    name: "inline",
                    workers: [("bidder", |ctx| Bidder::new(1, ctx), Permanent, shutdown: 10s)],
                    supervisors: [
                        {
                            name: "deep",
                            restart: Transient,
                            workers: [("bidder", |ctx, _child| Bidder::new(2, ctx), Permanent)],
                        },
                    ],
                },
            ],
        };
        let handle = StatefulSupervisorHandle::start(spec);
        handle.ready().await.unwrap();
        let mut keys = handle.context().keys();
        keys.sort();
        assert_eq!(keys, ["bidder-1", "bidder-2"]);
        assert_eq!(others.keys(), ["bidder-3"]);
        handle.shutdown().await.unwrap();
    }
}

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
