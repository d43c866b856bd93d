%% Observation: every process that a history brings to life is traced. What a supervisor receives
%% and sends, stamped with strictly monotonic time, is the order in which it did things; no child
%% has to tell that it was stopped, so that even a killed one is seen. Start functions run inside
%% the supervisor and note themselves.

-module(oracle_trace).
-export([start/0, stop/1, activity/0, await_arrival/2, events/0, note/1, reason/1, log/2]).

-define(TRACED, ['receive', send, strict_monotonic_timestamp]).

%% Starts to trace every process that comes to life from now on.
start() ->
    Collector = spawn_link(fun() -> collect(#{seen => #{}, waiting => [], events => []}) end),
    oracle_facts:set(collector, Collector),
    erlang:trace(new_processes, true, [{tracer, Collector} | ?TRACED]),
    Collector.

stop(Collector) ->
    erlang:trace(new_processes, false, ?TRACED),
    unlink(Collector),
    exit(Collector, kill).

%% Notes what cannot be seen from outside.
note(Text) ->
    Now = {erlang:monotonic_time(), erlang:unique_integer([monotonic])},
    oracle_facts:value(collector, none) ! {note, Now, lists:flatten(Text)}.

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
path_of({pid, Pid}) -> oracle_facts:path_of(Pid).

await_arrival(Supervisor, From) ->
    Collector = oracle_facts:value(collector, none),
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
            Now = State#{seen := Seen#{Arrival => true}, waiting := Left},
            collect(Now#{events := [Event | Events]});
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

%% How much has happened so far. What arrives at a supervisor while it is looked at is taken up
%% after it has answered.
activity() ->
    await_traces(),
    oracle_facts:value(collector, none) ! {activity, self()},
    receive {activity, Count} -> Count end.

%% What has happened since the last step, in the order in which it happened.
events() ->
    await_traces(),
    oracle_facts:value(collector, none) ! {take, self()},
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
    case {is_supervisor(Pid), oracle_facts:value({path, Child}, none)} of
        {true, [_ | _] = Path} when Reason =/= noproc -> ["stop " ++ Path ++ " " ++ reason(Reason)];
        _ -> []
    end;
event({trace_ts, _, 'receive', {'$gen_call', {Caller, Tag}, _}, _}) ->
    oracle_facts:set({tag, Tag}, Caller),
    [];
event({trace_ts, Pid, send, {Tag, Answer}, _, _}) ->
    Caller = oracle_facts:value({tag, Tag}, none),
    case {is_supervisor(Pid), oracle_facts:value({caller, Caller}, none)} of
        {true, [_ | _] = Text} -> [string:trim("reply " ++ Text ++ " " ++ answer(Pid, Answer))];
        _ -> []
    end;
event(_) ->
    [].

is_supervisor(Pid) -> oracle_facts:value({supervisor, Pid}, false).

%% A simple_one_for_one supervisor stops its children all at once, in no order.
together_in_order(Events) ->
    case oracle_facts:value({flags, ""}, none) of
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
    Path = oracle_facts:value({path, Pid}, ""),
    InOrder = oracle_look:in_order(Path, Children),
    lists:flatten(lists:join(" ", [oracle_look:child(Child) || Child <- InOrder])).
