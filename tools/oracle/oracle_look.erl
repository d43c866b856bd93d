%% Waits until a history has come to rest, and tells what there is.

-module(oracle_look).
-export([child/1, in_order/2, settle/0]).

%% Waits until nothing more will happen by itself, and tells what there is then.
settle() ->
    case oracle_facts:is_ended() of
        true ->
            "ended " ++ oracle_facts:value(ended, none);
        false ->
            Before = oracle_trace:activity(),
            case look("") of
                {settled, Children} ->
                    case oracle_trace:activity() of
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

await_end() ->
    case oracle_facts:is_ended() of
        true -> ok;
        false -> erlang:yield(), await_end()
    end.

%% A call is answered after all that had arrived before it. A supervisor that is still restarting
%% children has a message to itself in its queue.
look(Path) ->
    Pid = oracle_facts:pid_of(Path),
    try supervisor:which_children(Pid) of
        Children -> look_at(in_order(Path, Children))
    catch
        exit:_ when Path =:= "" ->
            gone;
        exit:_ ->
            oracle_trace:await_arrival(oracle_facts:pid_of(oracle_declare:parent_path(Path)), Pid),
            unsettled
    end.

in_order(Path, Children) ->
    case oracle_facts:value({flags, Path}, none) of
        #{strategy := simple_one_for_one} ->
            lists:sort([{oracle_facts:path_of(Pid), Pid, Type} || {_, Pid, Type, _} <- Children]);
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
