#!/usr/bin/env escript
%% -*- erlang -*-
%% What a word of a message costs on the BEAM, beside heap/benches/copy.rs: from the send to the receive, in nanoseconds.
%%
%% The term goes to a process that drops it and answers; what an empty list takes to go there and back is taken off. The
%% median is of messages into memory that the allocators have at hand; the first message into pages new to them stands apart.
-mode(compile).

main(_) ->
    [bench(Size) || Size <- [1000, 100000, 1000000]].

bench(Size) ->
    Term = table(Size),
    Words = erts_debug:flat_size(Term),
    Repeat = max(1, 200000 div Size),
    {_, Empty} = rounds([], Repeat),
    {First, Median} = rounds(Term, Repeat),
    Figures = [Size, (Median / Repeat - Empty / Repeat) / Words, First / Words],
    io:format("send_to_receive/~b ~.2f ns a word; the first message ~.2f~n", Figures).

%% Rows of ten tuples of three small integers.
table(Words) ->
    [[{Row, N, Row + N} || N <- lists:seq(0, 9)] || Row <- lists:seq(0, Words div 62 - 1)].

%% The time of the first message to a process, and the median of rounds of some more.
rounds(Term, Repeat) ->
    Pid = spawn_link(fun answer/0),
    First = time(Pid, Term, 1),
    Times = [time(Pid, Term, Repeat) || _ <- lists:seq(1, 41)],
    unlink(Pid),
    exit(Pid, kill),
    {First, lists:nth(21, lists:sort(Times))}.

time(Pid, Term, Repeat) ->
    Start = erlang:monotonic_time(nanosecond),
    send(Pid, Term, Repeat),
    erlang:monotonic_time(nanosecond) - Start.

send(_, _, 0) ->
    ok;
send(Pid, Term, Left) ->
    Pid ! {self(), Term},
    receive answer -> send(Pid, Term, Left - 1) end.

answer() ->
    receive {Asker, _} -> Asker ! answer, answer() end.
