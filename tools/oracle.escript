#!/usr/bin/env escript
%% -*- erlang -*-
%% Drives OTP's own `supervisor' through histories, and records what it does.
%%
%%   escript tools/oracle.escript record IN OUT              records the histories of IN in OUT
%%   escript tools/oracle.escript generate COUNT SEED OUT    records random ones
%%
%% Its modules are in tools/oracle/; ash-core/tests/oracle/fixture.rs reads what it writes, and
%% docs/otp.md says what the lines mean. Nothing in it guesses how long something takes: each step
%% goes on until all that it caused has happened.

-mode(compile).

main(Arguments) ->
    Directory = filename:join(filename:dirname(escript:script_name()), "oracle"),
    [load(Source) || Source <- filelib:wildcard(filename:join(Directory, "*.erl"))],
    quiet(),
    run(Arguments).

load(Source) ->
    {ok, Module, Code} = compile:file(Source, [binary, report, warnings_as_errors]),
    {module, Module} = code:load_binary(Module, Source, Code).

%% Supervisors report which of them give up, and that is part of the trace; nothing is printed.
quiet() ->
    ok = logger:remove_handler(default),
    ok = logger:add_handler(oracle, oracle_trace, #{level => error}).

run(["record", In, Out]) ->
    oracle_record:record(In, Out);
run(["generate", Count, Seed, Out]) ->
    oracle_record:generate(list_to_integer(Count), Seed, Out);
run(_) ->
    io:format(standard_error, "oracle.escript record IN OUT | generate COUNT SEED OUT~n", []),
    halt(2).
