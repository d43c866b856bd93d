%% What a history has happen: exits, calls, and the order from above to shut down.

-module(oracle_steps).
-export([queue/1, step/1]).

step(["start"]) ->
    Director = self(),
    Parent = spawn(fun() -> parent(Director) end),
    oracle_facts:set(parent, Parent),
    receive {Parent, begun} -> ok end;
step(Words) ->
    case oracle_facts:is_ended() of
        true -> oracle_trace:note("gone");
        false -> operate(Words)
    end.

operate(["wait", Millis]) ->
    timer:sleep(list_to_integer(Millis));
operate(["exit", Path, Reason]) ->
    end_child(Path, Reason);
operate(["shutdown"]) ->
    shut_down();
operate(["together" | Words]) ->
    [First | _] = Operations = oracle_declare:operations(Words),
    Supervisor = addressee(First),
    case is_up(Supervisor) of
        true ->
            sys:suspend(Supervisor),
            queue(Operations),
            sys:resume(Supervisor);
        false ->
            [oracle_trace:note("none") || _ <- Operations]
    end;
operate(Words) ->
    {Caller, Monitor} = spawn_monitor(fun() -> call(Words) end),
    receive {'DOWN', Monitor, process, Caller, _} -> ok end.

%% Has operations arrive at a supervisor that is busy, in this order.
queue(Operations) ->
    lists:foreach(fun queue_one/1, Operations).

queue_one(["exit", Path, Reason]) ->
    end_child(Path, Reason);
queue_one(["shutdown"]) ->
    shut_down();
queue_one(Words) ->
    Caller = spawn(fun() -> call(Words) end),
    oracle_trace:await_arrival(addressee(Words), Caller).

shut_down() ->
    Parent = oracle_facts:value(parent, none),
    Parent ! shutdown,
    oracle_trace:await_arrival(oracle_facts:pid_of(""), Parent).

%% The process that the root supervisor is linked to.
parent(Director) ->
    process_flag(trap_exit, true),
    case supervisor:start_link(oracle_children, "") of
        {ok, Root} ->
            Director ! {self(), begun},
            parent_of(Root);
        {error, Reason} ->
            oracle_facts:set(ended, start_failure(Reason)),
            Director ! {self(), begun}
    end.

parent_of(Root) ->
    receive
        shutdown ->
            exit(Root, shutdown),
            parent_of(Root);
        {'EXIT', Root, Reason} ->
            oracle_facts:set(ended, oracle_trace:reason(Reason))
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
    Pid = oracle_facts:pid_of(Path),
    Supervisor = supervisor_of(Path),
    %% Children of a supervisor that was killed may outlive it for a moment.
    Holds = oracle_facts:value({holder, Pid}, none) =:= Supervisor,
    case is_up(Pid) andalso is_up(Supervisor) andalso Holds of
        true ->
            case {oracle_facts:value({supervisor, Pid}, false), Reason} of
                {_, "kill"} -> exit(Pid, kill);
                {true, "shutdown"} -> spawn(fun() -> proc_lib:stop(Pid, shutdown, infinity) end);
                {false, _} -> Pid ! {finish, Reason}
            end,
            oracle_trace:await_arrival(Supervisor, Pid);
        false ->
            oracle_trace:note("none")
    end.

%% The supervisor that an operation is about: the one that holds the child it names.
addressee([_]) -> oracle_facts:pid_of("");
addressee([_, Path | _]) -> supervisor_of(Path).

supervisor_of(Path) -> oracle_facts:pid_of(oracle_declare:parent_path(Path)).

is_up(Pid) ->
    is_pid(Pid) andalso is_process_alive(Pid).

call(Words) ->
    Supervisor = addressee(Words),
    Text = lists:flatten(lists:join(" ", lists:sublist(Words, 2))),
    oracle_facts:set({caller, self()}, Text),
    try
        call(Words, Supervisor)
    catch
        exit:_ -> oracle_trace:note(["reply ", Text, " gone"])
    end.

call(["which_children" | _], Supervisor) -> supervisor:which_children(Supervisor);
call(["count_children" | _], Supervisor) -> supervisor:count_children(Supervisor);
call([Call, Path | Words], Supervisor) ->
    case oracle_facts:value({flags, oracle_declare:parent_path(Path)}, none) of
        #{strategy := simple_one_for_one} -> call_simple(Call, Path, Words, Supervisor);
        #{} -> call_by_id(Call, Path, Words, Supervisor)
    end.

call_by_id("start_child", Path, Words, Supervisor) ->
    supervisor:start_child(Supervisor, oracle_declare:worker_spec(Path, Words));
call_by_id("terminate_child", Path, [], Supervisor) -> supervisor:terminate_child(Supervisor, Path);
call_by_id("restart_child", Path, [], Supervisor) -> supervisor:restart_child(Supervisor, Path);
call_by_id("delete_child", Path, [], Supervisor) -> supervisor:delete_child(Supervisor, Path).

%% Here children have no ids, and are told apart by their pids.
call_simple("start_child", Path, [], Supervisor) ->
    supervisor:start_child(Supervisor, [Path, {}]);
call_simple("terminate_child", Path, [], Supervisor) ->
    case oracle_facts:pid_of(Path) of
        Pid when is_pid(Pid) -> supervisor:terminate_child(Supervisor, Pid);
        none -> supervisor:terminate_child(Supervisor, whereis(init))
    end;
call_simple("restart_child", Path, [], Supervisor) -> supervisor:restart_child(Supervisor, Path);
call_simple("delete_child", Path, [], Supervisor) -> supervisor:delete_child(Supervisor, Path).
