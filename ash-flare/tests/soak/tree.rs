//! The tree: workers of mixed kinds under supervisors of mixed kinds.

use std::sync::Arc;
use std::time::Duration;

use ash_flare::{
    Backoff, ChildContext, ChildSpec, RestartIntensity, RestartPolicy, RestartStrategy, Shutdown,
    StatefulChildSpec, StatefulSupervisorSpec, SupervisorSpec, WorkerContext,
};

use crate::worker::{Mixed, World};

/// How long anything may take to stop.
const STOP: Duration = Duration::from_millis(100);

/// How long a killed worker may still be there.
const GRACE: Duration = Duration::from_millis(50);

/// How many children a small group has.
const GROUP: usize = 10;

/// Children that local callers start, stop and forget, at most.
pub(crate) const DYNAMIC: usize = 400;

/// A supervisor that never gives up.
fn tireless(name: &str) -> SupervisorSpec {
    SupervisorSpec::new(name)
        .with_restart_intensity(RestartIntensity::new(usize::MAX, 1))
        .with_kill_grace(GRACE)
}

/// A worker under this name.
pub(crate) fn mixed(world: &Arc<World>, id: &str) -> ChildSpec {
    let world = Arc::clone(world);
    ChildSpec::worker_with(id, move |child: ChildContext| Mixed::new(&world, child))
        .shutdown(Shutdown::Timeout(STOP))
}

/// A worker that has to send heartbeats, and to start in time.
fn lively(world: &Arc<World>, id: &str) -> ChildSpec {
    let world = Arc::clone(world);
    ChildSpec::worker_with(id, move |child: ChildContext| Mixed::new(&world, child).beating())
        .shutdown(Shutdown::Timeout(STOP))
        .liveness(Duration::from_millis(800))
        .init_timeout(Duration::from_millis(200))
}

fn fill(
    mut spec: SupervisorSpec,
    count: usize,
    make: impl Fn(&str, usize) -> ChildSpec,
) -> SupervisorSpec {
    for number in 0..count {
        spec = spec.with_child(make(&format!("w{number}"), number));
    }
    spec
}

/// A tree of about so many workers.
pub(crate) fn tree(world: &Arc<World>, workers: usize) -> SupervisorSpec {
    let part = |percent: usize| workers * percent / 100;
    let plain = |id: &str, _| mixed(world, id);
    let mut root = tireless("soak")
        .with_logger(world.books.logger())
        .with_supervisor(fill(tireless("flat"), part(50), plain))
        .with_supervisor(fill(tireless("killed"), part(3), |id, _| {
            mixed(world, id).shutdown(Shutdown::BrutalKill)
        }))
        .with_supervisor(fill(
            tireless("patient").with_backoff(
                Backoff::exponential(Duration::from_millis(1), Duration::from_millis(500))
                    .with_jitter(0.5),
            ),
            part(7),
            plain,
        ))
        .with_supervisor(fill(tireless("lively"), part(5), |id, _| lively(world, id)))
        .with_supervisor(fill(tireless("transient"), part(5), |id, number| {
            let policies = [RestartPolicy::Transient, RestartPolicy::Temporary];
            mixed(world, id).restart(policies[number % 2])
        }))
        .with_supervisor(fill(tireless("managed"), part(5), plain))
        .with_supervisor(fill(
            tireless("managed-all").with_restart_strategy(RestartStrategy::OneForAll),
            GROUP,
            plain,
        ))
        .with_supervisor(fill(
            tireless("managed-rest").with_restart_strategy(RestartStrategy::RestForOne),
            GROUP,
            plain,
        ))
        .with_supervisor(tireless("dynamic").with_max_children(DYNAMIC * 3 / 4))
        .with_supervisor(tireless("remote"))
        .with_supervisor(stateful(world, part(5)));
    for group in 0..part(10) / GROUP {
        for (name, strategy) in
            [("all", RestartStrategy::OneForAll), ("rest", RestartStrategy::RestForOne)]
        {
            let spec = tireless(&format!("{name}-{group}")).with_restart_strategy(strategy);
            root = root.with_supervisor(fill(spec, GROUP, plain));
        }
    }
    // They give up time and again.
    for group in 0..part(5) / GROUP {
        let spec = tireless(&format!("fragile-{group}"))
            .with_restart_intensity(RestartIntensity::new(1, 5));
        root = root.with_supervisor(fill(spec, GROUP, plain));
    }
    root
}

/// Workers that share a context, and count their lives in it.
fn stateful(world: &Arc<World>, count: usize) -> StatefulSupervisorSpec {
    let mut spec = StatefulSupervisorSpec::new("stateful")
        .with_restart_intensity(RestartIntensity::new(usize::MAX, 1))
        .with_kill_grace(GRACE);
    for number in 0..count {
        let world = Arc::clone(world);
        let child = StatefulChildSpec::worker_with(
            format!("w{number}"),
            move |context: Arc<WorkerContext>, child: ChildContext| {
                context.update("lives", |lives| {
                    let lives = lives.and_then(|lives| lives.as_u64()).unwrap_or(0);
                    Some((lives + 1).into())
                });
                Mixed::new(&world, child)
            },
        );
        spec = spec.with_child(child.shutdown(Shutdown::Timeout(STOP)));
    }
    spec
}
