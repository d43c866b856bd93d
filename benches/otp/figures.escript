#!/usr/bin/env escript
%% -*- erlang -*-
%%! +P 4000000
%% The figures of OTP's own `supervisor', as benches/src/system.rs takes them of the others.
%%
%% `figures.escript version' prints the version; `figures.escript FIGURE N' takes a figure over N
%% children and prints it as the programs in Rust do. Values are nanoseconds, or bytes.
%%
%% Children that come and go are under a `simple_one_for_one' supervisor, as OTP's design
%% principles say: under `one_for_one' each end of a child searches the list of all ids. Such
%% children have no ids: whoever wants to end one keeps its pid.
-module(figures).
-mode(compile).
-export([main/1, start_child/1, init/1, child/1]).
-behaviour(supervisor).

-define(SPAN, 10000).
-define(STORMING, 100).

main(["version"]) ->
    Release = erlang:system_info(otp_release),
    case file:read_file(filename:join([code:root_dir(), "releases", Release, "OTP_VERSION"])) of
        {ok, Version} -> io:format("~s~n", [string:trim(Version)]);
        {error, _} -> io:format("~s~n", [Release])
    end;
main([Figure, Count]) ->
    %% The reports of a million crashes are not what is measured.
    logger:set_primary_config(level, none),
    Self = self(),
    process_flag(trap_exit, true),
    %% In a process of its own, with a heap of its own.
    Pid = spawn_link(fun() -> Self ! {done, measure(Figure, list_to_integer(Count))} end),
    receive
        {done, {value, Value}} -> io:format("value ~w~n", [float(Value)]);
        {done, {value, Value, Note}} -> io:format("value ~w~nnote ~s~n", [float(Value), Note]);
        {done, {wrong, What}} -> io:format("wrong ~s~n", [What]);
        {'EXIT', Pid, Reason} -> io:format(standard_error, "~p~n", [Reason]), halt(1)
    end,
    halt(0, [{flush, true}]).

measure("start", N) ->
    Root = root(temporary),
    Start = now_ns(),
    start_all(Root, N, idle),
    {value, (now_ns() - Start) / N};
measure("memory", N) ->
    Root = root(temporary),
    Before = resident(),
    start_all(Root, N, idle),
    {value, (resident() - Before) / N};
measure("which", N) ->
    Root = root(temporary),
    start_all(Root, N, idle),
    list(Root, N);
measure("which-again", N) ->
    Root = root(temporary),
    start_all(Root, N, idle),
    [_ | Again] = [list(Root, N) || _ <- lists:seq(0, 20)],
    case lists:keyfind(wrong, 1, Again) of
        false -> lists:nth(10, lists:sort(Again));
        Wrong -> Wrong
    end;
measure("terminate", N) ->
    Root = root(temporary),
    Order = shuffled(start_all(Root, N, idle)),
    Start = now_ns(),
    lists:foreach(fun(Pid) -> ok = supervisor:terminate_child(Root, Pid) end, Order),
    {value, (now_ns() - Start) / N};
measure("shutdown", N) ->
    Root = root(temporary),
    Hooks = counters:new(1, [write_concurrency]),
    start_all(Root, N, {hooked, Hooks}),
    Start = now_ns(),
    unlink(Root),
    Monitor = monitor(process, Root),
    exit(Root, shutdown),
    receive {'DOWN', Monitor, process, Root, _} -> ok end,
    Nanos = now_ns() - Start,
    case counters:get(Hooks, 1) of
        N -> {value, Nanos};
        Ran -> {value, Nanos, io_lib:format("~w of ~w hooks ran", [Ran, N])}
    end;
measure("restart-p50", N) -> restarts(N, 0.5);
measure("restart-p99", N) -> restarts(N, 0.99);
measure("storm", N) ->
    Runs = counters:new(1, [atomics]),
    Start = now_ns(),
    start_all(root(permanent), ?STORMING, {storming, Runs, N, self()}),
    receive
        enough -> {value, (now_ns() - Start) / N}
    after ?SPAN ->
        Reached = counters:get(Runs, 1),
        {value, (now_ns() - Start) / Reached,
         io_lib:format("of ~w restarts in ~ws", [Reached, ?SPAN div 1000])}
    end.

restarts(N, Part) ->
    Table = ets:new(crashes, [public]),
    start_all(root(permanent), 1, {crashing, Table, self()}),
    receive {lives, Pid} -> restarts(N, Part, Pid, [], 0, now_ns()) end.

restarts(N, Part, Pid, Values, Taken, Begin) ->
    Over = (now_ns() - Begin) div 1000000 > ?SPAN,
    if
        Taken =:= N; Over ->
            Value = lists:nth(trunc((Taken - 1) * Part) + 1, lists:sort(Values)),
            case Over of
                false -> {value, Value};
                true -> {value, Value, io_lib:format("of ~w restarts in ~ws",
                                                     [Taken, ?SPAN div 1000])}
            end;
        true ->
            Pid ! crash,
            receive
                {restarted, Next, Nanos} ->
                    restarts(N, Part, Next, [Nanos | Values], Taken + 1, Begin)
            after ?SPAN -> {wrong, "not restarted"}
            end
    end.

%% The supervisor.

root(Restart) ->
    {ok, Root} = supervisor:start_link(?MODULE, Restart),
    Root.

init(Restart) ->
    Flags = #{strategy => simple_one_for_one, intensity => 1000000000, period => 1},
    Child = #{id => child, start => {?MODULE, start_child, []}, restart => Restart,
              shutdown => 5000, type => worker, modules => [?MODULE]},
    {ok, {Flags, [Child]}}.

list(Root, N) ->
    Start = now_ns(),
    Children = supervisor:which_children(Root),
    Nanos = now_ns() - Start,
    case length(Children) of
        N -> {value, Nanos};
        Listed -> {wrong, io_lib:format("~w of ~w children listed", [Listed, N])}
    end.

start_all(Root, N, Body) ->
    [begin {ok, Pid} = supervisor:start_child(Root, [Body]), Pid end || _ <- lists:seq(1, N)].

%% The children: plain processes, started with the handshake that OTP asks for.

start_child(Body) -> proc_lib:start_link(?MODULE, child, [Body]).

child(idle) ->
    proc_lib:init_ack({ok, self()}),
    receive never -> ok end;
child({hooked, Hooks}) ->
    process_flag(trap_exit, true),
    proc_lib:init_ack({ok, self()}),
    receive {'EXIT', _, shutdown} -> counters:add(Hooks, 1, 1), exit(shutdown) end;
child({crashing, Table, To}) ->
    proc_lib:init_ack({ok, self()}),
    case ets:lookup(Table, at) of
        [{at, At}] -> To ! {restarted, self(), now_ns() - At};
        [] -> To ! {lives, self()}
    end,
    receive crash -> ets:insert(Table, {at, now_ns()}), exit(crashed) end;
child({storming, Runs, N, To}) ->
    proc_lib:init_ack({ok, self()}),
    counters:add(Runs, 1, 1),
    case counters:get(Runs, 1) >= N of
        true -> To ! enough, receive never -> ok end;
        false -> exit(crashed)
    end.

%% What all are measured with.

now_ns() -> erlang:monotonic_time(nanosecond).

resident() ->
    erlang:garbage_collect(),
    {ok, Text} = file:read_file("/proc/self/statm"),
    [_, Pages | _] = binary:split(Text, <<" ">>, [global]),
    binary_to_integer(Pages) * 4096.

shuffled(List) ->
    rand:seed(exsss, 7),
    [Element || {_, Element} <- lists:sort([{rand:uniform(), Element} || Element <- List])].
