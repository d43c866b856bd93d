%% Random histories.

-module(oracle_random).
-export([history/2]).

history(Seed, N) ->
    Strategies = [{3, one_for_one}, {4, one_for_all}, {4, rest_for_one}, {2, simple_one_for_one}],
    Strategy = weighted(Strategies),
    Auto = case Strategy of
        simple_one_for_one -> never;
        _ -> weighted([{3, never}, {1, any_significant}, {1, all_significant}])
    end,
    Head = io_lib:format("history random/~s/~b~nflags ~s ~b 3600 ~s~n",
                         [Seed, N, Strategy, random_intensity(), Auto]),
    Style = weighted([{3, plain}, {1, deaf}, {3, queued}]),
    Paths = random_paths(Strategy),
    World = #{auto => Auto, style => Style, simple => Strategy =:= simple_one_for_one,
              paths => Paths, added => added_paths(Paths)},
    Declared = case Strategy of
        simple_one_for_one -> ["template ", random_attributes(World, never), "\n"];
        _ -> [random_child(World, Path) || Path <- Paths]
    end,
    put(instances, ["i1"]),
    First = case Strategy of
        simple_one_for_one -> [random_step(add, World) || _ <- lists:seq(1, rand:uniform(4))];
        _ -> ""
    end,
    Steps = [random_step(World) || _ <- lists:seq(1, 5 + rand:uniform(12))],
    [Head, Declared, random_early(World), "start\n", First, Steps, "shutdown\n\n"].

random_intensity() ->
    weighted([{1, 0}, {2, 1}, {2, 2}, {2, 3}, {3, 10}]).

random_paths(simple_one_for_one) ->
    [];
random_paths(_) ->
    Workers = lists:sublist(["a", "b", "c", "d", "e"], rand:uniform(5)),
    case rand:uniform(3) of
        1 ->
            {Before, After} = lists:split(rand:uniform(length(Workers) + 1) - 1, Workers),
            Before ++ ["s" | lists:sublist(["s/a", "s/b", "s/c"], rand:uniform(3))] ++ After;
        _ ->
            Workers
    end.

added_paths(Paths) ->
    ["x", "y", "z"] ++ ["s/x" || lists:member("s", Paths)].

random_child(#{auto := Auto} = World, "s") ->
    Strategy = weighted([{1, one_for_one}, {1, one_for_all}, {1, rest_for_one}]),
    Restart = weighted([{4, permanent}, {1, transient}, {1, temporary}]),
    Flags = io_lib:format("~s ~b 3600 ~s", [Strategy, random_intensity(), nested_auto(World)]),
    io_lib:format("sup s ~s ~s~s~n", [Flags, Restart, random_significance(Auto, Restart)]);
random_child(World, "s/" ++ _ = Path) ->
    ["child ", Path, " ", random_attributes(World, nested_auto(World)), "\n"];
random_child(#{auto := Auto} = World, Path) ->
    ["child ", Path, " ", random_attributes(World, Auto), "\n"].

nested_auto(#{auto := never}) -> never;
nested_auto(_) -> any_significant.

random_attributes(#{style := Style}, Auto) ->
    Restart = weighted([{4, permanent}, {3, transient}, {2, temporary}]),
    Stop = case Style of
        deaf -> weighted([{2, ""}, {1, " deaf shutdown=10"}, {1, " shutdown=brutal"}]);
        _ -> weighted([{8, ""}, {2, " shutdown=brutal"}, {1, " shutdown=infinity"},
                       {1, " ends=normal"}, {1, " ends=error"}])
    end,
    [atom_to_list(Restart), random_significance(Auto, Restart), Stop].

random_significance(never, _) -> "";
random_significance(_, permanent) -> "";
random_significance(_, _) -> weighted([{1, ""}, {2, " significant"}]).

%% What is to go wrong during the initial start.
random_early(#{style := queued, simple := false} = World) ->
    case rand:uniform(6) of
        1 ->
            ["hold ", any_static(World), " ok ", random_exits(World, ""), "\n"];
        _ ->
            ""
    end;
random_early(World) ->
    case rand:uniform(20) of
        1 -> ["fail ", any_path(World), "\n"];
        _ -> ""
    end.

random_step(World) ->
    Kind = weighted([{9, exit}, {4, fail}, {6, call}, {2, add}, {2, together}, {3, queued}]),
    random_step(Kind, World).

random_step(exit, World) ->
    [random_exit(any_path(World)), "\n"];
random_step(fail, World) ->
    Times = weighted([{3, "1"}, {2, "2"}, {1, "4"}]),
    ["fail ", any_path(World), " ", Times, "\n", random_exit(any_path(World)), "\n"];
random_step(call, World) ->
    [random_call(World, any_path(World)), "\n"];
random_step(add, World) ->
    [random_start(World, one_of(candidates(World))), "\n"];
random_step(together, World) ->
    Level = oracle_declare:parent_path(any_path(World)),
    ["together ", random_exits(World, Level), "\n"];
random_step(queued, #{style := queued, simple := Simple} = World) ->
    Path = any_path(World),
    Level = oracle_declare:parent_path(Path),
    Paths = paths_of(World, Level),
    Others = [Other || Other <- Paths, Other =/= Path],
    Plan = case rand:uniform(4) of
        1 when Others =/= [], not Simple -> ["dying ", Path, " ", random_operations(World, Others)];
        2 -> ["hold ", Path, " ok ", random_operations(World, Paths)];
        _ -> ["hold ", Path, " fail ", random_operations(World, Paths)]
    end,
    [Plan, "\n", random_exit(one_of([Path, any_path(World)])), "\n"];
random_step(queued, World) ->
    random_step(exit, World).

random_exits(World, Level) ->
    Exits = [random_exit(any_path_of(World, Level)) || _ <- lists:seq(1, 1 + rand:uniform(2))],
    lists:join("; ", Exits).

%% Only exits arrive at a nested supervisor while it is busy: a call may find that it is gone.
random_operations(World, Paths) ->
    Operation = fun() ->
        Path = one_of(Paths),
        case {oracle_declare:parent_path(Path), rand:uniform(3)} of
            {"", Which} when Which > 1 -> random_call(World, Path);
            _ -> random_exit(Path)
        end
    end,
    lists:join("; ", [Operation() || _ <- lists:seq(1, rand:uniform(2))]).

random_exit("s") ->
    ["exit s ", weighted([{1, "kill"}, {1, "shutdown"}])];
random_exit(Path) ->
    Reasons = [{6, "error"}, {4, "normal"}, {2, "kill"}, {1, "shutdown"}, {1, "shutdown_term"},
               {1, "crash"}],
    ["exit ", Path, " ", weighted(Reasons)].

random_call(#{simple := true} = World, Path) ->
    case weighted([{4, terminate}, {2, start}, {1, count}, {1, other}]) of
        terminate -> ["terminate_child ", Path];
        start -> random_start(World, Path);
        count -> "count_children";
        other -> [one_of(["restart_child ", "delete_child "]), Path]
    end;
random_call(World, Path) ->
    Calls = [{5, terminate}, {5, restart}, {3, delete}, {1, start}, {1, count}, {1, which}],
    case weighted(Calls) of
        terminate -> ["terminate_child ", Path];
        restart -> ["restart_child ", Path];
        delete -> ["delete_child ", Path];
        start -> random_start(World, Path);
        count -> "count_children";
        which -> "which_children"
    end.

random_start(#{simple := true}, _) ->
    Path = "i" ++ integer_to_list(length(get(instances))),
    put(instances, [Path | get(instances)]),
    ["start_child ", Path];
random_start(World, "s") ->
    random_start(World, "x");
random_start(World, "s/" ++ _ = Path) ->
    ["start_child ", Path, " ", random_attributes(World, nested_auto(World))];
random_start(#{auto := Auto} = World, Path) ->
    ["start_child ", Path, " ", random_attributes(World, Auto)].

any_static(#{paths := Paths}) ->
    one_of([Path || Path <- Paths, Path =/= "s", oracle_declare:parent_path(Path) =:= ""]).

any_path(World) ->
    one_of(candidates(World)).

any_path_of(World, Level) ->
    one_of(paths_of(World, Level)).

paths_of(World, Level) ->
    [Path || Path <- candidates(World), oracle_declare:parent_path(Path) =:= Level].

%% The ids that steps name: some more often than others, and some of nobody.
candidates(#{simple := true}) -> lists:sublist(get(instances), 4);
candidates(#{paths := Paths, added := Added}) -> Paths ++ Paths ++ Paths ++ Added.

one_of(List) ->
    lists:nth(rand:uniform(length(List)), List).

weighted(Weighted) ->
    Total = lists:sum([Weight || {Weight, _} <- Weighted]),
    draw(rand:uniform(Total), Weighted).

draw(Left, [{Weight, Thing} | _]) when Left =< Weight -> Thing;
draw(Left, [{Weight, _} | Rest]) -> draw(Left - Weight, Rest).
