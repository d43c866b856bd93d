%% The supervisors of a history, all of them OTP's own, and the workers that they hold.

-module(oracle_children).
-behaviour(supervisor).
-export([init/1, start_worker/2, start_supervisor/1, start_instance/3, worker/2]).

init(Path) ->
    known(Path),
    oracle_facts:set({supervisor, self()}, true),
    {ok, {oracle_facts:value({flags, Path}, #{}), oracle_facts:value({declared, Path}, [])}}.

%% Every child is known by its path, and by who holds it.
known(Path) ->
    oracle_facts:set({holder, self()}, hd(get('$ancestors'))),
    oracle_facts:set({path, self()}, Path),
    oracle_facts:set({pid, Path}, self()).

start_supervisor(Path) ->
    oracle_trace:note(["start ", Path]),
    case supervisor:start_link(?MODULE, Path) of
        {ok, Pid} ->
            {ok, Pid};
        Failed ->
            oracle_trace:note(["fail ", Path]),
            Failed
    end.

start_instance(Behaviour, Path, {}) ->
    start_worker(Path, Behaviour).

start_worker(Path, Behaviour) ->
    case take_verdict(Path) of
        ok ->
            started(Path, Behaviour);
        fail ->
            oracle_trace:note(["fail ", Path]),
            {error, refused};
        {held, Operations, ok} ->
            oracle_steps:queue(Operations),
            started(Path, Behaviour);
        {held, Operations, fail} ->
            oracle_steps:queue(Operations),
            oracle_trace:note(["fail ", Path]),
            {error, refused}
    end.

started(Path, Behaviour) ->
    oracle_trace:note(["start ", Path]),
    proc_lib:start_link(?MODULE, worker, [Path, Behaviour]).

take_verdict(Path) ->
    case oracle_facts:value({plan, Path}, []) of
        [] ->
            ok;
        [Verdict | Rest] ->
            oracle_facts:set({plan, Path}, Rest),
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
            oracle_steps:queue(oracle_facts:value({dying, Path}, [])),
            oracle_facts:forget({dying, Path}),
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
