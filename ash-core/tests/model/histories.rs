//! Random histories, from the simplest values up, so that what fails shrinks to what is simple.

use std::rc::Rc;
use std::time::Duration;

use ash_core::machine::ChildCommand;
use ash_core::{
    AutoShutdown, ChildType, RestartIntensity, RestartPolicy, RestartStrategy, Shutdown,
};
use proptest::collection::vec as vec_of;
use proptest::prelude::{BoxedStrategy, Just, Strategy, any, prop_oneof};

use crate::spec::{Delay, IDS, Kind, Spec};
use crate::steps::{Does, History, How, Op, Step, Whom};

fn delay() -> impl Strategy<Value = Delay> {
    prop_oneof![
        3 => Just(Delay::None),
        1 => Just(Delay::Constant(20)),
        1 => Just(Delay::Doubling { initial: 10, max: 50 }),
    ]
}

pub(crate) fn kind() -> impl Strategy<Value = Kind> {
    let restart = prop_oneof![
        3 => Just(RestartPolicy::Permanent),
        2 => Just(RestartPolicy::Transient),
        1 => Just(RestartPolicy::Temporary),
    ];
    let timeout = |millis| Shutdown::Timeout(Duration::from_millis(millis));
    let shutdown = prop_oneof![
        3 => Just(timeout(50)),
        1 => Just(Shutdown::BrutalKill),
        1 => Just(Shutdown::Infinity),
        1 => Just(timeout(0)),
    ];
    let child_type = prop_oneof![4 => Just(ChildType::Worker), 1 => Just(ChildType::Supervisor)];
    let rare = || prop_oneof![8 => Just(None), 1 => Just(Some(5)), 1 => Just(Some(30))];
    let backoff = prop_oneof![4 => Just(None), 1 => delay().prop_map(Some)];
    let significant = prop_oneof![2 => Just(false), 1 => Just(true)];
    (restart, shutdown, child_type, significant, rare(), rare(), backoff).prop_map(
        |(restart, shutdown, child_type, significant, init_timeout, liveness, backoff)| Kind {
            restart,
            shutdown,
            child_type,
            significant,
            init_timeout,
            liveness,
            backoff,
            below: None,
        },
    )
}

/// A supervisor without children.
fn supervisor() -> impl Strategy<Value = Spec> {
    let strategy = prop_oneof![
        Just(RestartStrategy::OneForOne),
        Just(RestartStrategy::OneForAll),
        Just(RestartStrategy::RestForOne),
    ];
    let intensity = prop_oneof![
        3 => Just(RestartIntensity::new(usize::MAX, 1)),
        2 => (0..4_usize, 0..2_u64).prop_map(|(max, within)| RestartIntensity::new(max, within)),
        1 => Just(RestartIntensity::new(20, u64::MAX)),
    ];
    let auto_shutdown = prop_oneof![
        3 => Just(AutoShutdown::Never),
        1 => Just(AutoShutdown::AnySignificant),
        2 => Just(AutoShutdown::AllSignificant),
    ];
    let max_children = prop_oneof![3 => Just(usize::MAX), 1 => Just(6_usize)];
    (strategy, intensity, delay(), auto_shutdown, max_children).prop_map(
        |(strategy, intensity, backoff, auto_shutdown, max_children)| Spec {
            strategy,
            intensity,
            backoff,
            auto_shutdown,
            max_children,
            children: Vec::new(),
        },
    )
}

fn with_children(mut spec: Spec, children: impl IntoIterator<Item = (&'static str, Kind)>) -> Spec {
    let auto_shutdown = spec.auto_shutdown;
    let children = children.into_iter().map(|(id, kind)| (id, kind.under(auto_shutdown)));
    spec.children = children.collect();
    spec
}

/// One supervisor, with up to five static children.
pub(crate) fn flat() -> impl Strategy<Value = Spec> {
    (supervisor(), vec_of(kind(), 0..=5))
        .prop_map(|(spec, kinds)| with_children(spec, IDS.into_iter().zip(kinds)))
}

/// A tree of four supervisors, each with workers before and after the supervisors it holds.
pub(crate) fn tree() -> impl Strategy<Value = Spec> {
    let nested = |id, spec: BoxedStrategy<Spec>| {
        (kind(), spec).prop_map(move |(kind, spec)| {
            let below = Some(Rc::new(spec));
            (id, Kind { child_type: ChildType::Supervisor, below, ..kind })
        })
    };
    let leaf = || {
        (supervisor(), vec_of(kind(), 0..=2))
            .prop_map(|(spec, kinds)| with_children(spec, IDS.into_iter().zip(kinds)))
            .boxed()
    };
    let named = |id| kind().prop_map(move |kind| (id, kind));
    let middle = (supervisor(), named("a"), nested("u", leaf()), named("b"))
        .prop_map(|(spec, a, u, b)| with_children(spec, [a, u, b]))
        .boxed();
    (supervisor(), named("a"), nested("s", middle), nested("t", leaf()), named("b"))
        .prop_map(|(spec, a, s, t, b)| with_children(spec, [a, s, t, b]))
}

fn how() -> impl Strategy<Value = How> {
    prop_oneof![
        4 => Just(How::Error),
        2 => Just(How::Normal),
        1 => Just(How::Panic),
        1 => Just(How::Killed),
    ]
}

/// What happens under one of so many supervisors, to children that steps name by so many ids.
fn op(supervisors: usize, ids: &'static [usize]) -> impl Strategy<Value = Op> {
    let whom = move || {
        let id = (0..ids.len()).prop_map(|index| ids[index]);
        (0..supervisors, id).prop_map(|(supervisor, id)| Whom { supervisor, id })
    };
    let does = prop_oneof![
        12 => Just(Does::Complies),
        6 => how().prop_map(Does::InitFails),
        4 => Just(Does::Returns),
        14 => how().prop_map(Does::Exits),
        1 => any::<bool>().prop_map(Does::Beats),
        1 => Just(Does::LeakEnds),
        1 => how().prop_map(Does::Echoes),
    ];
    let command = prop_oneof![
        2 => Just(ChildCommand::Terminate),
        2 => Just(ChildCommand::Stop),
        3 => Just(ChildCommand::Restart),
        1 => Just(ChildCommand::Delete),
    ];
    let call = prop_oneof![
        8 => (whom(), command).prop_map(|(whom, command)| Op::Call(whom, command)),
        4 => (whom(), kind()).prop_map(|(whom, kind)| Op::StartChild(whom, kind)).boxed(),
    ];
    let ending = prop_oneof![
        2 => (0..supervisors).prop_map(Op::Shutdown),
        2 => (0..supervisors, 0..100_u64).prop_map(|(at, within)| Op::ShutdownWithin(at, within)),
        1 => (0..supervisors).prop_map(Op::Kill),
    ];
    prop_oneof![
        80 => (whom(), does).prop_map(|(whom, does)| Op::Worker(whom, does)),
        16 => Just(Op::AllComply),
        24 => Just(Op::OneComplies),
        10 => how().prop_map(Op::OneFails),
        12 => (0..60_u64).prop_map(Op::Pass),
        1 => (0..supervisors).prop_map(Op::Wake),
        24 => call.boxed(),
        3 => ending.boxed(),
    ]
}

fn history(op: impl Strategy<Value = Op>, steps: usize) -> impl Strategy<Value = History> {
    // Miri takes its time.
    let steps = if cfg!(miri) { steps / 10 } else { steps };
    let drains = prop_oneof![7 => Just(true), 1 => Just(false)];
    let step = (op, drains).prop_map(|(op, drains)| Step { op, drains });
    (vec_of(step, 0..=steps), any::<bool>())
        .prop_map(|(steps, deaf_at_the_end)| History { steps, deaf_at_the_end })
}

/// Hundreds of steps of one supervisor.
pub(crate) fn of_one() -> impl Strategy<Value = History> {
    history(op(1, &[0, 1, 2, 3, 4, 5, 6, 7]), 600)
}

/// Hundreds of steps of a tree.
pub(crate) fn of_a_tree() -> impl Strategy<Value = History> {
    history(op(4, &[0, 1, 5, 8, 9, 10]), 800)
}
