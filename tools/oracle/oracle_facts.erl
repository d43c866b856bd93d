%% Facts that all processes of a history share.

-module(oracle_facts).
-export([new/0, delete/0, forget/1, set/2, value/2, pid_of/1, path_of/1, processes/0, is_ended/0]).

-define(TABLE, oracle).

new() ->
    ets:new(?TABLE, [named_table, public, ordered_set]).

delete() ->
    ets:delete(?TABLE).

set(Key, Value) ->
    ets:insert(?TABLE, {Key, Value}).

value(Key, Default) ->
    case ets:lookup(?TABLE, Key) of
        [{_, Value}] -> Value;
        [] -> Default
    end.

path_of(Pid) -> value({path, Pid}, "?").

forget(Key) ->
    ets:delete(?TABLE, Key).

pid_of(Path) -> value({pid, Path}, none).

%% All processes that have come to life in a history.
processes() ->
    Parents = [Pid || {_, Pid} <- ets:lookup(?TABLE, parent)],
    [Pid || [Pid] <- ets:match(?TABLE, {{path, '$1'}, '_'})] ++ Parents.

is_ended() -> value(ended, none) =/= none.
