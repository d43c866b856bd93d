#!/usr/bin/env escript
%% -*- erlang -*-
%% Drives OTP's own `supervisor' through histories, and records what it does.
%%
%%   escript tools/oracle.escript record IN OUT          records IN, writes it with its traces to OUT
%%   escript tools/oracle.escript generate COUNT SEED OUT    writes random histories with theirs
%%
%% ash-core/tests/oracle/fixture.rs reads what it writes.
%%
%% How it observes: every process that a history brings to life is traced. What a supervisor
%% receives and sends, stamped with strictly monotonic time, is the order in which it did things;
%% no child has to tell that it was stopped, so that even a killed one is seen. Start functions run
%% inside the supervisor and note themselves. Nothing sleeps: each step waits for what it caused.

-module(oracle).
-mode(compile).
-behaviour(supervisor).

-export([main/1, init/1, start_worker/2, start_supervisor/1, start_instance/3, worker/2, log/2]).

-define(TABLE, oracle).

main(["record", In, Out]) ->
    quiet(),
    {ok, Text} = file:read_file(In),
    Lines = [string:trim(Line) || Line <- string:split(binary_to_list(Text), "\n", all)],
    Kept = [Line || Line <- Lines, not is_recorded(Line)],
    ok = file:write_file(Out, record(Kept, fun(_, _) -> true end));
main(["generate", Count, Seed, Out]) ->
    quiet(),
    rand:seed(exsss, list_to_integer(Seed)),
    Histories = [random_history(Seed, N) || N <- lists:seq(1, list_to_integer(Count))],
    Lines = string:split(lists:flatten(Histories), "\n", all),
    ok = file:write_file(Out, record(Lines, fun is_telling/2));
main(_) ->
    io:format(standard_error, "oracle.escript record IN OUT | generate COUNT SEED OUT~n", []),
    halt(2).

%% The reports of supervisors tell which of them give up; nothing is printed.
quiet() ->
    ok = logger:remove_handler(default),
    ok = logger:add_handler(oracle, ?MODULE, #{level => error}).

is_recorded("= " ++ _) -> true;
is_recorded("=") -> true;
is_recorded(": " ++ _) -> true;
is_recorded(":") -> true;
is_recorded(_) -> false.

%% Files -------------------------------------------------------------------------------------------

%% Records all histories, and leaves out the steps that are not worth keeping.
record(Lines, IsKept) ->
    {Preface, Histories} = split_histories(Lines),
    [Preface | lists:join("\n", [in_own_world(History, IsKept) || History <- Histories])].

%% Random steps often find nobody who could take them, or come after the end.
is_telling("exit " ++ _, ["none"]) -> false;
is_telling(_, ["gone"]) -> false;
is_telling(_, _) -> true.

split_histories(Lines) ->
    {Preface, Rest} = lists:splitwith(fun(Line) -> not begins_history(Line) end, Lines),
    {[Line ++ "\n" || Line <- Preface], histories(Rest)}.

histories([]) ->
    [];
histories([First | Rest]) ->
    {History, Others} = lists:splitwith(fun(Line) -> not begins_history(Line) end, Rest),
    [[First | History] | histories(Others)].

begins_history(Line) ->
    lists:prefix("history ", Line).

%% Each history has its own table and its own collector, and leaves nothing behind.
in_own_world(Lines, IsKept) ->
    ets:new(?TABLE, [named_table, public, ordered_set]),
    Collector = spawn_link(fun() -> collect(#{seen => #{}, waiting => [], events => []}) end),
    put_fact(collector, Collector),
    {ok, Watchdog} = timer:exit_after(10000, {hangs, hd(Lines)}),
    erlang:trace(new_processes, true,
                 ['receive', send, strict_monotonic_timestamp, {tracer, Collector}]),
    Recorded = [record_line(string:lexemes(Line, " "), Line, IsKept) || Line <- Lines],
    erlang:trace(new_processes, false, ['receive', send, strict_monotonic_timestamp]),
    [exit(Pid, kill) || [Pid] <- ets:match(?TABLE, {{path, '$1'}, '_'})],
    [exit(Pid, kill) || {_, Pid} <- ets:lookup(?TABLE, parent)],
    {ok, cancel} = timer:cancel(Watchdog),
    unlink(Collector),
    exit(Collector, kill),
    ets:delete(?TABLE),
    trim_end(Recorded).

trim_end(Lines) ->
    Reversed = lists:dropwhile(fun(Line) -> Line =:= ["", "\n"] end, lists:reverse(Lines)),
    lists:reverse(Reversed).

record_line(Words, Line, IsKept) ->
    case declare(Words) of
        declared ->
            [Line, "\n"];
        step ->
            step(Words, Line),
            State = settle(),
            Events = events(),
            case IsKept(Line, Events) of
                true -> [Line, "\n", recorded("=", lists:join(", ", Events)), recorded(":", State)];
                false -> []
            end
    end.

recorded(Mark, Text) ->
    [trimmed(["    ", Mark, " ", Text]), "\n"].

trimmed(Text) ->
    string:trim(lists:flatten(Text), trailing).

%% What is said before a step: what there is, and what is to happen on the way.
declare([]) -> declared;
declare(["#" | _]) -> declared;
declare(["history" | _]) -> declared;
declare(["differs" | _]) -> declared;
declare(["~" ++ _ | _]) -> declared;
declare(["flags" | Flags]) ->
    put_fact({flags, ""}, flags(Flags)),
    declared;
declare(["template" | Words]) ->
    put_fact({declared, ""}, [simple_spec(Words)]),
    declared;
declare(["child", Path | Words]) ->
    declare_child(Path, worker_spec(Path, Words));
declare(["sup", Path, Strategy, Intensity, Period, Auto | Words]) ->
    put_fact({flags, Path}, flags([Strategy, Intensity, Period, Auto])),
    Start = {?MODULE, start_supervisor, [Path]},
    declare_child(Path, maps:merge(common_spec(Words), #{id => Path, start => Start, type => supervisor}));
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
    put_fact({dying, Path}, operations(Words)),
    declared;
declare(_) ->
    step.

declare_child(Path, Spec) ->
    Parent = parent_path(Path),
    put_fact({declared, Parent}, get_fact({declared, Parent}, []) ++ [Spec]),
    declared.

add_plan(Path, Verdict) ->
    put_fact({plan, Path}, get_fact({plan, Path}, []) ++ [Verdict]),
    declared.

flags([Strategy, Intensity, Period, Auto]) ->
    #{strategy => list_to_atom(Strategy), intensity => list_to_integer(Intensity),
      period => list_to_integer(Period), auto_shutdown => list_to_atom(Auto)}.

worker_spec(Path, Words) ->
    Start = {?MODULE, start_worker, [Path, behaviour(Words)]},
    maps:merge(common_spec(Words), #{id => Path, start => Start}).

simple_spec(Words) ->
    maps:merge(common_spec(Words), #{id => template, start => {?MODULE, start_instance, [behaviour(Words)]}}).

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

%% Steps -------------------------------------------------------------------------------------------

step(["start"], _) ->
    Director = self(),
    Parent = spawn(fun() -> parent(Director) end),
    put_fact(parent, Parent),
    receive {Parent, begun} -> ok end;
step(Words, Line) ->
    case is_ended() of
        true -> note("gone");
        false -> operate(Words, Line)
    end.

operate(["exit", Path, Reason], _) ->
    end_child(Path, Reason);
operate(["shutdown"], _) ->
    shut_down();
operate(["together" | Words], _) ->
    [First | _] = Operations = operations(Words),
    Supervisor = pid_of(parent_path(lists:nth(2, First))),
    case is_up(Supervisor) of
        true ->
            sys:suspend(Supervisor),
            queue(Operations),
            sys:resume(Supervisor);
        false ->
            [note("none") || _ <- Operations]
    end;
operate(Words, _) ->
    {Caller, Monitor} = spawn_monitor(fun() -> call(Words) end),
    receive {'DOWN', Monitor, process, Caller, _} -> ok end.

%% Has operations arrive at a supervisor that is busy, in this order.
queue(Operations) ->
    lists:foreach(fun queue_one/1, Operations).

queue_one(["exit", Path, Reason]) ->
    end_child(Path, Reason);
queue_one(["shutdown"]) ->
    shut_down();
queue_one([_ | Arguments] = Words) ->
    Supervisor = case Arguments of
        [] -> pid_of("");
        [Path | _] -> pid_of(parent_path(Path))
    end,
    Caller = spawn(fun() -> call(Words) end),
    await_arrival(Supervisor, Caller).

shut_down() ->
    Parent = get_fact(parent, none),
    Parent ! shutdown,
    await_arrival(pid_of(""), Parent).

%% The process that the root supervisor is linked to.
parent(Director) ->
    process_flag(trap_exit, true),
    case supervisor:start_link(?MODULE, "") of
        {ok, Root} ->
            Director ! {self(), begun},
            parent_of(Root);
        {error, Reason} ->
            put_fact(ended, start_failure(Reason)),
            Director ! {self(), begun}
    end.

parent_of(Root) ->
    receive
        shutdown ->
            exit(Root, shutdown),
            parent_of(Root);
        {'EXIT', Root, Reason} ->
            put_fact(ended, reason(Reason))
    end.

start_failure({shutdown, {failed_to_start_child, Path, Reason}}) ->
    case Reason of
        {shutdown, {failed_to_start_child, _, _}} -> start_failure(Reason);
        _ -> "failed_to_start " ++ Path
    end;
start_failure(_) ->
    "invalid".

%% Ends a child that is up, and waits until its supervisor has heard of it.
end_child(Path, Reason) ->
    Pid = pid_of(Path),
    Supervisor = pid_of(parent_path(Path)),
    %% Children of a supervisor that was killed may outlive it for a moment.
    case is_up(Pid) andalso is_up(Supervisor) andalso get_fact({holder, Pid}, none) =:= Supervisor of
        true ->
            case {get_fact({supervisor, Pid}, false), Reason} of
                {_, "kill"} -> exit(Pid, kill);
                {true, "shutdown"} -> spawn(fun() -> proc_lib:stop(Pid, shutdown, infinity) end);
                {false, _} -> Pid ! {finish, Reason}
            end,
            await_arrival(Supervisor, Pid);
        false ->
            note("none")
    end.

is_up(Pid) ->
    is_pid(Pid) andalso is_process_alive(Pid).

call([_ | Arguments] = Words) ->
    {Supervisor, Text} = case Arguments of
        [] -> {pid_of(""), hd(Words)};
        [Path | _] -> {pid_of(parent_path(Path)), lists:flatten([hd(Words), " ", Path])}
    end,
    put_fact({caller, self()}, Text),
    try
        call(Words, Supervisor)
    catch
        exit:_ -> note(["reply ", Text, " gone"])
    end.

call(["which_children" | _], Supervisor) -> supervisor:which_children(Supervisor);
call(["count_children" | _], Supervisor) -> supervisor:count_children(Supervisor);
call([Call, Path | Words], Supervisor) ->
    case get_fact({flags, parent_path(Path)}, none) of
        #{strategy := simple_one_for_one} -> call_simple(Call, Path, Words, Supervisor);
        #{} -> call_by_id(Call, Path, Words, Supervisor)
    end.

call_by_id("start_child", Path, Words, Supervisor) ->
    supervisor:start_child(Supervisor, worker_spec(Path, Words));
call_by_id("terminate_child", Path, [], Supervisor) -> supervisor:terminate_child(Supervisor, Path);
call_by_id("restart_child", Path, [], Supervisor) -> supervisor:restart_child(Supervisor, Path);
call_by_id("delete_child", Path, [], Supervisor) -> supervisor:delete_child(Supervisor, Path).

%% Here children have no ids, and are told apart by their pids.
call_simple("start_child", Path, [], Supervisor) ->
    supervisor:start_child(Supervisor, [Path, {}]);
call_simple("terminate_child", Path, [], Supervisor) ->
    case pid_of(Path) of
        Pid when is_pid(Pid) -> supervisor:terminate_child(Supervisor, Pid);
        none -> supervisor:terminate_child(Supervisor, whereis(init))
    end;
call_simple("restart_child", Path, [], Supervisor) -> supervisor:restart_child(Supervisor, Path);
call_simple("delete_child", Path, [], Supervisor) -> supervisor:delete_child(Supervisor, Path).

%% Supervisors and children ------------------------------------------------------------------------

init(Path) ->
    known(Path),
    put_fact({supervisor, self()}, true),
    {ok, {get_fact({flags, Path}, #{}), get_fact({declared, Path}, [])}}.

%% Every child is known by its path, and by who holds it.
known(Path) ->
    put_fact({holder, self()}, hd(get('$ancestors'))),
    put_fact({path, self()}, Path),
    put_fact({pid, Path}, self()).

start_supervisor(Path) ->
    note(["start ", Path]),
    case supervisor:start_link(?MODULE, Path) of
        {ok, Pid} ->
            {ok, Pid};
        Failed ->
            note(["fail ", Path]),
            Failed
    end.

start_instance(Behaviour, Path, {}) ->
    start_worker(Path, Behaviour).

start_worker(Path, Behaviour) ->
    case take_verdict(Path) of
        ok ->
            started(Path, Behaviour);
        fail ->
            note(["fail ", Path]),
            {error, refused};
        {held, Operations, ok} ->
            queue(Operations),
            started(Path, Behaviour);
        {held, Operations, fail} ->
            queue(Operations),
            note(["fail ", Path]),
            {error, refused}
    end.

started(Path, Behaviour) ->
    note(["start ", Path]),
    proc_lib:start_link(?MODULE, worker, [Path, Behaviour]).

take_verdict(Path) ->
    case get_fact({plan, Path}, []) of
        [] ->
            ok;
        [Verdict | Rest] ->
            put_fact({plan, Path}, Rest),
            Verdict
    end.

worker(Path, Behaviour) ->
    process_flag(trap_exit, true),
    known(Path),
    proc_lib:init_ack({ok, self()}),
    work(Path, Behaviour).

work(Path, Behaviour) ->
    receive
        {finish, Reason} ->
            finish(Reason);
        {'EXIT', _, shutdown} when Behaviour =:= deaf ->
            work(Path, Behaviour);
        {'EXIT', _, shutdown} ->
            queue(get_fact({dying, Path}, [])),
            ets:delete(?TABLE, {dying, Path}),
            {ends, Reason} = Behaviour,
            finish(Reason);
        {'EXIT', _, Reason} ->
            exit(Reason)
    end.

finish("normal") -> exit(normal);
finish("shutdown") -> exit(shutdown);
finish("shutdown_term") -> exit({shutdown, oracle});
finish("error") -> exit(broken);
finish("crash") -> error(broken).

%% Observation -------------------------------------------------------------------------------------

%% Facts that all processes of a history share.
put_fact(Key, Value) ->
    ets:insert(?TABLE, {Key, Value}).

get_fact(Key, Default) ->
    case ets:lookup(?TABLE, Key) of
        [{_, Value}] -> Value;
        [] -> Default
    end.

pid_of(Path) -> get_fact({pid, Path}, none).

is_ended() -> get_fact(ended, none) =/= none.

note(Text) ->
    Now = {erlang:monotonic_time(), erlang:unique_integer([monotonic])},
    get_fact(collector, none) ! {note, Now, lists:flatten(Text)}.

%% A supervisor's report; it is made by the supervisor itself, in its turn.
log(#{msg := {report, #{label := {supervisor, shutdown}, report := Report}}}, _) ->
    {_, Offender} = lists:keyfind(offender, 1, Report),
    Path = case lists:keyfind(id, 1, Offender) of
        {id, [_ | _] = Id} -> Id;
        _ -> path_of(lists:keyfind(pid, 1, Offender))
    end,
    note(["gave_up ", Path]);
log(_, _) ->
    ok.

path_of({pid, {restarting, Pid}}) -> path_of({pid, Pid});
path_of({pid, Pid}) -> get_fact({path, Pid}, "?").

await_arrival(Supervisor, From) ->
    Collector = get_fact(collector, none),
    Ref = make_ref(),
    Collector ! {await, {Supervisor, From}, self(), Ref},
    receive {Ref, arrived} -> ok end.

%% Keeps what is seen, and tells who waits for it that something has arrived somewhere.
collect(#{seen := Seen, waiting := Waiting, events := Events} = State) ->
    receive
        {trace_ts, To, 'receive', Message, _} = Event ->
            Arrival = {To, sender(Message)},
            {Told, Left} = lists:partition(fun({What, _, _}) -> What =:= Arrival end, Waiting),
            [Pid ! {Ref, arrived} || {_, Pid, Ref} <- Told],
            collect(State#{seen := Seen#{Arrival => true}, waiting := Left, events := [Event | Events]});
        {await, What, Pid, Ref} when is_map_key(What, Seen) ->
            Pid ! {Ref, arrived},
            collect(State);
        {await, What, Pid, Ref} ->
            collect(State#{waiting := [{What, Pid, Ref} | Waiting]});
        {activity, Pid} ->
            Pid ! {activity, length([Event || Event <- Events, is_activity(Event)])},
            collect(State);
        {take, Pid} ->
            Pid ! {taken, Events},
            collect(State#{events := []});
        Event ->
            collect(State#{events := [Event | Events]})
    end.

is_activity({note, _, _}) -> true;
is_activity({trace_ts, _, 'receive', {'EXIT', _, _}, _}) -> true;
is_activity({trace_ts, _, 'receive', {'DOWN', _, process, _, _}, _}) -> true;
is_activity(_) -> false.

sender({'EXIT', Pid, _}) -> Pid;
sender({'DOWN', _, process, Pid, _}) -> Pid;
sender({'$gen_call', {Pid, _}, _}) -> Pid;
sender(_) -> none.

%% Waits until nothing more will happen by itself, and tells what there is then.
settle() ->
    case is_ended() of
        true ->
            "ended " ++ get_fact(ended, none);
        false ->
            Before = activity(),
            case look("") of
                {settled, Children} ->
                    case activity() of
                        Before -> lists:join(" ", Children);
                        _ -> settle()
                    end;
                unsettled ->
                    settle();
                gone ->
                    await_end(),
                    settle()
            end
    end.

%% How much has happened so far. What arrives at a supervisor while it is looked at is taken up
%% after it has answered.
activity() ->
    await_traces(),
    get_fact(collector, none) ! {activity, self()},
    receive {activity, Count} -> Count end.

await_end() ->
    case is_ended() of
        true -> ok;
        false -> erlang:yield(), await_end()
    end.

%% A call is answered after all that had arrived before it. A supervisor that is still restarting
%% children has a message to itself in its queue.
look(Path) ->
    Pid = pid_of(Path),
    try supervisor:which_children(Pid) of
        Children -> look_at(in_order(Path, Children))
    catch
        exit:_ when Path =:= "" ->
            gone;
        exit:_ ->
            await_arrival(pid_of(parent_path(Path)), Pid),
            unsettled
    end.

in_order(Path, Children) ->
    case get_fact({flags, Path}, none) of
        #{strategy := simple_one_for_one} ->
            lists:sort([{get_fact({path, Pid}, "?"), Pid, Type} || {_, Pid, Type, _} <- Children]);
        #{} ->
            lists:reverse([{Id, Pid, Type} || {Id, Pid, Type, _} <- Children])
    end.

look_at([]) ->
    {settled, []};
look_at([{_, restarting, _} | _]) ->
    unsettled;
look_at([{Id, Pid, Type} = Child | Rest]) ->
    Below = case Type of
        supervisor when is_pid(Pid) -> look(Id);
        _ -> {settled, []}
    end,
    case {Below, look_at(Rest)} of
        {{settled, Children}, {settled, Others}} -> {settled, [child(Child)] ++ Children ++ Others};
        _ -> unsettled
    end.

child({Id, undefined, _}) -> Id ++ "-";
child({Id, restarting, _}) -> Id ++ "~";
child({Id, Pid, _}) when is_pid(Pid) -> Id ++ "+".

%% What has happened since the last step, in the order in which it happened.
events() ->
    await_traces(),
    get_fact(collector, none) ! {take, self()},
    Events = receive {taken, Taken} -> Taken end,
    Sorted = lists:sort([{stamp(Event), Event} || Event <- Events]),
    together_in_order(lists:append([event(Event) || {_, Event} <- Sorted])).

await_traces() ->
    Delivered = erlang:trace_delivered(all),
    receive {trace_delivered, all, Delivered} -> ok end.

stamp(Event) when element(1, Event) =:= trace_ts -> element(tuple_size(Event), Event);
stamp({note, Stamp, _}) -> Stamp.

event({note, _, Text}) ->
    [Text];
event({trace_ts, Pid, 'receive', {'DOWN', _, process, Child, Reason}, _}) ->
    case {get_fact({supervisor, Pid}, false), get_fact({path, Child}, none)} of
        {true, [_ | _] = Path} when Reason =/= noproc -> ["stop " ++ Path ++ " " ++ reason(Reason)];
        _ -> []
    end;
event({trace_ts, _, 'receive', {'$gen_call', {Caller, Tag}, _}, _}) ->
    put_fact({tag, Tag}, Caller),
    [];
event({trace_ts, Pid, send, {Tag, Answer}, _, _}) ->
    case {get_fact({supervisor, Pid}, false), get_fact({caller, get_fact({tag, Tag}, none)}, none)} of
        {true, [_ | _] = Text} -> ["reply " ++ Text ++ " " ++ answer(Pid, Answer)];
        _ -> []
    end;
event(_) ->
    [].

%% A simple_one_for_one supervisor stops its children all at once, in no order.
together_in_order(Events) ->
    case get_fact({flags, ""}, none) of
        #{strategy := simple_one_for_one} ->
            sort_stops(Events);
        _ ->
            Events
    end.

sort_stops([]) ->
    [];
sort_stops(["stop " ++ _ | _] = Events) ->
    {Stops, Rest} = lists:splitwith(fun(Text) -> lists:prefix("stop ", Text) end, Events),
    lists:sort(Stops) ++ sort_stops(Rest);
sort_stops([Event | Rest]) ->
    [Event | sort_stops(Rest)].

reason(normal) -> "normal";
reason(shutdown) -> "shutdown";
reason({shutdown, _}) -> "shutdown";
reason(killed) -> "killed";
reason(_) -> "error".

answer(_, ok) -> "ok";
answer(_, {ok, _}) -> "ok";
answer(_, {error, {already_started, _}}) -> "already_started";
answer(_, {error, {bad_combination, _}}) -> "invalid";
answer(_, {error, Reason})
  when Reason =:= already_present; Reason =:= not_found; Reason =:= running;
       Reason =:= restarting; Reason =:= simple_one_for_one ->
    atom_to_list(Reason);
answer(_, {error, _}) -> "failed";
answer(_, [{specs, Specs}, {active, Active}, {supervisors, Supervisors}, {workers, Workers}]) ->
    lists:flatten(io_lib:format("~b/~b/~b/~b", [Specs, Active, Supervisors, Workers]));
answer(Pid, Children) ->
    Path = get_fact({path, Pid}, ""),
    lists:flatten(lists:join(" ", [child(Child) || Child <- in_order(Path, Children)])).

%% Random histories --------------------------------------------------------------------------------

random_history(Seed, N) ->
    Strategy = weighted([{3, one_for_one}, {4, one_for_all}, {4, rest_for_one}, {2, simple_one_for_one}]),
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
        _ -> weighted([{8, ""}, {2, " shutdown=brutal"}, {1, " shutdown=infinity"}, {1, " ends=normal"}, {1, " ends=error"}])
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
    Level = parent_path(any_path(World)),
    ["together ", random_exits(World, Level), "\n"];
random_step(queued, #{style := queued} = World) ->
    Path = any_path(World),
    Level = parent_path(Path),
    Others = [Other || Other <- maps:get(paths, World), Other =/= Path, parent_path(Other) =:= Level],
    Plan = case rand:uniform(3) of
        1 when Others =/= [] -> ["dying ", Path, " ", random_exit(one_of(Others)), "\n"];
        _ -> ["hold ", Path, " fail ", random_operations(World, Level), "\n"]
    end,
    [Plan, random_exit(one_of([Path, any_path(World)])), "\n"];
random_step(queued, World) ->
    random_step(exit, World).

random_exits(World, Level) ->
    Exits = [random_exit(any_path_of(World, Level)) || _ <- lists:seq(1, 1 + rand:uniform(2))],
    lists:join("; ", Exits).

random_operations(World, Level) ->
    Operation = fun() ->
        Path = any_path_of(World, Level),
        case rand:uniform(3) of
            Which when Which =:= 1; Level =/= "" -> random_exit(Path);
            _ -> random_call(World, Path)
        end
    end,
    lists:join("; ", [Operation() || _ <- lists:seq(1, rand:uniform(2))]).

random_exit("s") ->
    ["exit s ", weighted([{1, "kill"}, {1, "shutdown"}])];
random_exit(Path) ->
    Reasons = [{6, "error"}, {4, "normal"}, {2, "kill"}, {1, "shutdown"}, {1, "shutdown_term"}, {1, "crash"}],
    ["exit ", Path, " ", weighted(Reasons)].

random_call(#{simple := true} = World, Path) ->
    case weighted([{4, terminate}, {2, start}, {1, count}, {1, other}]) of
        terminate -> ["terminate_child ", Path];
        start -> random_start(World, Path);
        count -> "count_children";
        other -> [one_of(["restart_child ", "delete_child "]), Path]
    end;
random_call(World, Path) ->
    case weighted([{5, terminate}, {5, restart}, {3, delete}, {1, start}, {1, count}, {1, which}]) of
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
    one_of([Path || Path <- Paths, Path =/= "s", parent_path(Path) =:= ""]).

any_path(World) ->
    one_of(candidates(World)).

any_path_of(World, Level) ->
    one_of([Path || Path <- candidates(World), parent_path(Path) =:= Level]).

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
