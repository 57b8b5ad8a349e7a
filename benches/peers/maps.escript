#!/usr/bin/env escript
%% -*- erlang -*-
%% Maps on the BEAM, beside heap/benches/maps.rs: nanoseconds a key, the median of the rounds.
-mode(compile).

main(_) ->
    [bench(Kind, Size) || Kind <- [integer, binary, atom, tuple], Size <- [10, 100, 100000]].

bench(Kind, Size) ->
    Numbers = [(Index * 7919 + 3) rem Size || Index <- lists:seq(0, Size - 1)],
    Stored = [key(Kind, Number) || Number <- Numbers],
    Asked = [key(Kind, Number) || Number <- Numbers],
    Pairs = lists:zip(Stored, lists:seq(0, Size - 1)),
    Map = maps:from_list(Pairs),
    Repeat = max(1, 200000 div Size),
    Report = fun(What, Fun) ->
        io:format("~s/~s/~b ~.1f ns~n", [What, Kind, Size, median(Fun, Repeat, Size)])
    end,
    Report(get, fun() -> get_all(Asked, Map, 0) end),
    Report(put, fun() -> put_all(Asked, #{}) end),
    Report(make, fun() -> maps:from_list(Pairs) end),
    Report(iterate, fun() -> iterate(maps:next(maps:iterator(Map)), 0) end).

key(integer, Number) -> Number;
key(binary, Number) -> iolist_to_binary(["key:", integer_to_list(Number)]);
key(atom, Number) -> list_to_atom("key_" ++ integer_to_list(Number));
key(tuple, Number) -> {Number div 10, Number rem 10}.

get_all([Key | Keys], Map, Sum) -> get_all(Keys, Map, Sum + maps:get(Key, Map));
get_all([], _, Sum) -> Sum.

put_all([Key | Keys], Map) -> put_all(Keys, maps:put(Key, 0, Map));
put_all([], Map) -> Map.

iterate({_, Value, Iterator}, Sum) -> iterate(maps:next(Iterator), Sum + Value);
iterate(none, Sum) -> Sum.

%% In a process of its own with a large heap, so that little of the time is the collector's.
median(Fun, Repeat, Size) ->
    Self = self(),
    spawn_opt(
        fun() ->
            Rounds = [round(Fun, Repeat) || _ <- lists:seq(1, 21)],
            Self ! {rounds, lists:nth(11, lists:sort(Rounds))}
        end,
        [{min_heap_size, 4000000}]
    ),
    receive {rounds, Nanoseconds} -> Nanoseconds / (Repeat * Size) end.

round(Fun, Repeat) ->
    erlang:garbage_collect(),
    Start = erlang:monotonic_time(nanosecond),
    repeat(Fun, Repeat),
    erlang:monotonic_time(nanosecond) - Start.

repeat(_, 0) -> ok;
repeat(Fun, Count) -> Fun(), repeat(Fun, Count - 1).
