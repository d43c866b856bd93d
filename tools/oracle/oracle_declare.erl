%% What a history says before its steps: what there is, and what is to happen on the way.

-module(oracle_declare).
-export([declare/1, operations/1, parent_path/1, worker_spec/2]).

declare([]) -> declared;
declare(["#" | _]) -> declared;
declare(["history" | _]) -> declared;
declare(["differs" | _]) -> declared;
declare(["~" ++ _ | _]) -> declared;
declare(["flags" | Flags]) ->
    oracle_facts:set({flags, ""}, flags(Flags)),
    declared;
declare(["template" | Words]) ->
    oracle_facts:set({declared, ""}, [simple_spec(Words)]),
    declared;
declare(["child", Path | Words]) ->
    declare_child(Path, worker_spec(Path, Words));
declare(["sup", Path, Strategy, Intensity, Period, Auto | Words]) ->
    oracle_facts:set({flags, Path}, flags([Strategy, Intensity, Period, Auto])),
    Start = {oracle_children, start_supervisor, [Path]},
    Own = #{id => Path, start => Start, type => supervisor},
    declare_child(Path, maps:merge(common_spec(Words), Own));
declare(["aligned"]) ->
    align();
declare(["fail", Path]) ->
    add_plan(Path, fail);
declare(["fail", Path, Times]) ->
    [add_plan(Path, fail) || _ <- lists:seq(1, list_to_integer(Times))],
    declared;
declare(["pass", Path]) ->
    add_plan(Path, ok);
declare(["hold", Path, "fail" | Words]) ->
    add_plan(Path, {held, operations(Words), fail});
declare(["hold", Path, "ok" | Words]) ->
    add_plan(Path, {held, operations(Words), ok});
declare(["dying", Path | Words]) ->
    oracle_facts:set({dying, Path}, operations(Words)),
    declared;
declare(_) ->
    step.

%% OTP counts restarts by whole seconds of its clock: waits for the beginning of one.
align() ->
    Into = erlang:monotonic_time(millisecond) - 1000 * erlang:monotonic_time(second),
    timer:sleep((1100 - Into) rem 1000),
    declared.

declare_child(Path, Spec) ->
    Parent = parent_path(Path),
    oracle_facts:set({declared, Parent}, oracle_facts:value({declared, Parent}, []) ++ [Spec]),
    declared.

add_plan(Path, Verdict) ->
    oracle_facts:set({plan, Path}, oracle_facts:value({plan, Path}, []) ++ [Verdict]),
    declared.

flags([Strategy, Intensity, Period, Auto]) ->
    #{strategy => list_to_atom(Strategy), intensity => list_to_integer(Intensity),
      period => list_to_integer(Period), auto_shutdown => list_to_atom(Auto)}.

worker_spec(Path, Words) ->
    Start = {oracle_children, start_worker, [Path, behaviour(Words)]},
    maps:merge(common_spec(Words), #{id => Path, start => Start}).

simple_spec(Words) ->
    Start = {oracle_children, start_instance, [behaviour(Words)]},
    maps:merge(common_spec(Words), #{id => template, start => Start}).

common_spec(Words) ->
    lists:foldl(fun common_attribute/2, #{}, Words).

common_attribute("significant", Spec) -> Spec#{significant => true};
common_attribute("deaf", Spec) -> Spec;
common_attribute("ends=" ++ _, Spec) -> Spec;
common_attribute("shutdown=brutal", Spec) -> Spec#{shutdown => brutal_kill};
common_attribute("shutdown=infinity", Spec) -> Spec#{shutdown => infinity};
common_attribute("shutdown=" ++ Millis, Spec) -> Spec#{shutdown => list_to_integer(Millis)};
common_attribute(Restart, Spec) -> Spec#{restart => list_to_atom(Restart)}.

%% How a worker takes it when it is asked to stop.
behaviour(Words) ->
    case lists:member("deaf", Words) of
        true -> deaf;
        false -> {ends, hd([Reason || "ends=" ++ Reason <- Words] ++ ["shutdown"])}
    end.

operations(Words) ->
    [string:lexemes(Operation, " ") || Operation <- string:lexemes(lists:join(" ", Words), ";")].

parent_path(Path) ->
    case string:split(Path, "/", trailing) of
        [_] -> "";
        [Parent, _] -> Parent
    end.
