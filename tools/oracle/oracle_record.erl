%% Records histories: reads them, has each played in a world of its own, writes what was seen.

-module(oracle_record).
-export([record/2, generate/3]).

-define(HANGS_AFTER, 60000).

%% Records the histories of a file, whose old traces are left out.
record(In, Out) ->
    {ok, Text} = file:read_file(In),
    Lines = [string:trim(Line) || Line <- string:split(binary_to_list(Text), "\n", all)],
    Kept = [Line || Line <- Lines, not is_recorded(Line)],
    ok = file:write_file(Out, recordings(Kept, fun(_, _) -> true end)).

%% Records random histories.
generate(Count, Seed, Out) ->
    rand:seed(exsss, list_to_integer(Seed)),
    Histories = [oracle_random:history(Seed, N) || N <- lists:seq(1, Count)],
    Lines = string:split(lists:flatten(Histories), "\n", all),
    ok = file:write_file(Out, recordings(Lines, fun is_telling/2)).

is_recorded("# Recorded from " ++ _) -> true;
is_recorded("= " ++ _) -> true;
is_recorded("=") -> true;
is_recorded(": " ++ _) -> true;
is_recorded(":") -> true;
is_recorded(_) -> false.

%% Records all histories, and leaves out the steps that are not worth keeping.
recordings(Lines, IsKept) ->
    Recorded = [in_own_world(History, IsKept) || History <- paragraphs(Lines)],
    [origin() | lists:join("\n", Recorded)].

origin() ->
    {ok, Version} = application:get_key(stdlib, vsn),
    ["# Recorded from OTP ", erlang:system_info(otp_release), ", stdlib ", Version, ".\n"].

%% Random steps often find nobody who could take them, or come after the end.
is_telling("exit " ++ _, ["none"]) -> false;
is_telling(_, ["gone"]) -> false;
is_telling(_, _) -> true.

%% Empty lines part histories.
paragraphs(Lines) ->
    case lists:splitwith(fun(Line) -> Line =/= "" end, Lines) of
        {[], []} -> [];
        {[], [_ | Rest]} -> paragraphs(Rest);
        {Paragraph, Rest} -> [Paragraph | paragraphs(Rest)]
    end.

%% Each history has its own table and its own collector, and leaves nothing behind.
in_own_world(Lines, IsKept) ->
    oracle_facts:new(),
    {ok, Watchdog} = timer:exit_after(?HANGS_AFTER, {hangs, Lines}),
    Collector = oracle_trace:start(),
    Recorded = [record_line(string:lexemes(Line, " "), Line, IsKept) || Line <- Lines],
    {ok, cancel} = timer:cancel(Watchdog),
    [exit(Pid, kill) || Pid <- oracle_facts:processes()],
    oracle_trace:stop(Collector),
    oracle_facts:delete(),
    Recorded.

record_line(Words, Line, IsKept) ->
    case oracle_declare:declare(Words) of
        declared ->
            [indented(Line), "\n"];
        step ->
            oracle_steps:step(Words),
            State = oracle_look:settle(),
            Events = oracle_trace:events(),
            case IsKept(Line, Events) of
                true -> [Line, "\n", recorded("=", lists:join(", ", Events)), recorded(":", State)];
                false -> []
            end
    end.

%% What we do instead stands below what OTP does.
indented("differs " ++ _ = Line) -> ["    ", Line];
indented("~" ++ _ = Line) -> ["    ", Line];
indented(Line) -> Line.

recorded(Mark, Text) ->
    [trimmed(["    ", Mark, " ", Text]), "\n"].

trimmed(Text) ->
    string:trim(lists:flatten(Text), trailing).
