#!/usr/bin/env escript
%% -*- erlang -*-
%% Equal terms of 1,000 words compared on the BEAM, beside heap/benches/compare.rs: nanoseconds a
%% comparison or hash, the median of the rounds.
-mode(compile).

-define(REPEAT, 20000).
-define(ROUNDS, 21).

main(_) ->
    [bench(Shape) || Shape <- [list, rows, tree, maps, strings]].

bench(Shape) ->
    Left = make(Shape),
    Right = make(Shape),
    Report = fun(What, Fun) ->
        Time = median(Fun, Left, Right),
        io:format("~s/~s ~.1f ns (~b words)~n", [What, Shape, Time, erts_debug:flat_size(Left)])
    end,
    Report('exactly_equal', fun exactly_equal/3),
    Report('equal', fun equal/3),
    Report('less', fun less/3),
    Report('phash2', fun phash2/3).

make(list) -> lists:seq(1, 500);
make(rows) -> [{I, I + 1, I + 2} || I <- lists:seq(1, 167)];
make(tree) -> tree(3);
make(maps) -> [#{id => I, size => I + 1, kind => row} || I <- lists:seq(1, 100)];
make(strings) -> [{I, integer_to_binary(1000000 + I)} || I <- lists:seq(1, 143)].

tree(0) -> 7;
tree(Levels) -> list_to_tuple([tree(Levels - 1) || _ <- lists:seq(1, 9)]).

exactly_equal(0, _, _) -> ok;
exactly_equal(N, Left, Right) ->
    case Left =:= Right of true -> exactly_equal(N - 1, Left, Right) end.

equal(0, _, _) -> ok;
equal(N, Left, Right) ->
    case Left == Right of true -> equal(N - 1, Left, Right) end.

less(0, _, _) -> ok;
less(N, Left, Right) ->
    case Left < Right of false -> less(N - 1, Left, Right) end.

phash2(0, _, _) -> ok;
phash2(N, Left, Right) ->
    case erlang:phash2(Left) of Hash when Hash >= 0 -> phash2(N - 1, Left, Right) end.

median(Fun, Left, Right) ->
    Rounds = [round(Fun, Left, Right) || _ <- lists:seq(1, ?ROUNDS)],
    lists:nth(?ROUNDS div 2 + 1, lists:sort(Rounds)) / ?REPEAT.

round(Fun, Left, Right) ->
    Start = erlang:monotonic_time(nanosecond),
    Fun(?REPEAT, Left, Right),
    erlang:monotonic_time(nanosecond) - Start.
