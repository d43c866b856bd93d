//! Random histories: whatever children, callers and time do, the machine keeps its promises.

use ash_core::{
    AutoShutdown, Backoff, ChildType, RestartIntensity, RestartPolicy, RestartStrategy, Shutdown,
};
use proptest::collection::vec as vec_of;
use proptest::prelude::{Just, ProptestConfig, Strategy, any, prop_oneof, proptest as properties};

use crate::harness::ms;
use crate::history::{History, How, Kind, Op, Spec, Step};
use crate::sim::{break_off, play};

fn spec() -> impl Strategy<Value = Spec> {
    let strategy = prop_oneof![
        Just(RestartStrategy::OneForAll),
        Just(RestartStrategy::RestForOne),
        Just(RestartStrategy::OneForOne),
    ];
    let intensity = prop_oneof![
        2 => (0..4_usize, 0..2_u64).prop_map(|(max, within)| RestartIntensity::new(max, within)),
        3 => Just(RestartIntensity::new(usize::MAX, 1)),
        1 => Just(RestartIntensity::new(20, u64::MAX)),
    ];
    let auto_shutdown = prop_oneof![
        3 => Just(AutoShutdown::Never),
        1 => Just(AutoShutdown::AnySignificant),
        2 => Just(AutoShutdown::AllSignificant),
    ];
    let max_children = prop_oneof![3 => Just(usize::MAX), 1 => Just(6_usize)];
    let kind = any::<Draw>().prop_map(|mut raw| kind(&mut raw));
    let children = vec_of(kind, 0..=5);
    let backoff = any::<Draw>().prop_map(|mut raw| draw(&mut raw, &backoffs()));
    (strategy, intensity, backoff, auto_shutdown, max_children, children).prop_map(
        |(strategy, intensity, backoff, auto_shutdown, max_children, children)| Spec {
            strategy,
            intensity,
            backoff,
            auto_shutdown,
            max_children,
            children,
        },
    )
}

fn backoffs() -> [(u64, Backoff); 3] {
    let exponential = Backoff::exponential(ms(10), ms(50)).with_jitter(0.5);
    [(2, Backoff::none()), (1, Backoff::constant(ms(20))), (1, exponential)]
}

fn kind(raw: &mut Draw) -> Kind {
    let restart = [
        (3, RestartPolicy::Permanent),
        (2, RestartPolicy::Transient),
        (1, RestartPolicy::Temporary),
    ];
    let shutdown = [
        (3, Shutdown::Timeout(ms(50))),
        (1, Shutdown::BrutalKill),
        (1, Shutdown::Infinity),
        (1, Shutdown::Timeout(ms(0))),
    ];
    let rare = [(8, None), (1, Some(5)), (1, Some(30))];
    let rest = take(raw, 20);
    Kind {
        restart: draw(raw, &restart),
        shutdown: draw(raw, &shutdown),
        init_timeout: draw(raw, &rare),
        liveness: draw(raw, &rare),
        backoff: if rest / 4 == 4 { Some(draw(raw, &backoffs())) } else { None },
        child_type: if rest % 4 == 3 { ChildType::Supervisor } else { ChildType::Worker },
        significant: rest % 2 == 1,
    }
}

/// What is drawn for one step. Small numbers stand for simple things, so that a history shrinks.
type Draw = u64;

/// Takes one of the `weighted` things off what was drawn.
fn draw<T: Copy>(draw: &mut Draw, weighted: &[(u64, T)]) -> T {
    let total: u64 = weighted.iter().map(|(weight, _)| weight).sum();
    let mut left = take(draw, 64) * total / 64;
    for (weight, thing) in weighted {
        if left < *weight {
            return *thing;
        }
        left -= weight;
    }
    unreachable!("the weights add up")
}

/// Takes a number below `bound` off what was drawn.
const fn take(draw: &mut Draw, bound: u64) -> u64 {
    let number = *draw % bound;
    *draw /= bound;
    number
}

/// What children and time do.
fn happening(raw: &mut Draw) -> Op {
    let what = draw(raw, &[(12, 0), (3, 1), (2, 2), (5, 3), (8, 4), (1, 5), (1, 6), (3, 7)]);
    let pick = u8::try_from(take(raw, 16)).expect("it is small");
    match what {
        0 => Op::InitOk(pick),
        1 => Op::InitFail(pick),
        2 => Op::Return(pick),
        3 => {
            let how = [(2, How::Normal), (3, How::Error), (1, How::Panic), (1, How::Killed)];
            Op::End(pick, draw(raw, &how))
        }
        4 => Op::Obey(pick),
        5 => Op::LeakEnd(pick),
        6 => Op::Beat(pick, take(raw, 2) == 1),
        _ => Op::Pass(millis(raw, 60)),
    }
}

fn millis(raw: &mut Draw, bound: u64) -> u16 {
    u16::try_from(take(raw, bound)).expect("it is small")
}

fn call(raw: &mut Draw) -> Op {
    let what = draw(raw, &[(3, 0), (2, 1), (2, 2), (3, 3), (1, 4)]);
    let id = u8::try_from(take(raw, 8)).expect("it is small");
    match what {
        0 => Op::Start(id, kind(raw)),
        1 => Op::Terminate(id),
        2 => Op::Stop(id),
        3 => Op::Restart(id),
        _ => Op::Delete(id),
    }
}

fn ending(raw: &mut Draw) -> Op {
    match take(raw, 3) {
        0 => Op::Shutdown,
        1 => Op::ShutdownWithin(millis(raw, 100)),
        _ => Op::Kill,
    }
}

/// Histories in which so many of 1,000 steps are calls, and so many end the supervisor.
fn history(calls: u64, endings: u64) -> impl Strategy<Value = History> {
    vec_of(any::<Draw>(), 0..200).prop_map(move |draws| {
        let step = |mut raw: Draw| {
            let drains = take(&mut raw, 8) != 7;
            let kind = take(&mut raw, 1_000);
            let op = if kind >= 1_000 - endings {
                ending(&mut raw)
            } else if kind >= 1_000 - endings - calls {
                call(&mut raw)
            } else {
                happening(&mut raw)
            };
            Step { op, drains }
        };
        draws.into_iter().map(step).collect()
    })
}

fn config(cases: u32) -> ProptestConfig {
    ProptestConfig {
        cases,
        max_shrink_iters: 20_000,
        failure_persistence: None,
        ..ProptestConfig::default()
    }
}

properties! {
    #![proptest_config(config(6_000))]

    #[test]
    fn any_history_keeps_the_promises_of_the_machine(
        spec in spec(),
        history in history(250, 4),
    ) {
        play(&spec, &history, false);
    }

    #[test]
    fn a_machine_that_is_broken_off_gives_back_who_waits_for_an_answer(
        spec in spec(),
        history in history(400, 1),
    ) {
        break_off(&spec, &history);
    }

    #[test]
    fn start_2_restart_3_starts_are_sequential_while_nobody_calls(
        spec in spec(),
        history in history(0, 4),
    ) {
        play(&spec, &history, true);
    }
}
