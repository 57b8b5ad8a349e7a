#!/usr/bin/env escript
%% -*- erlang -*-
%% Terms of 100 kB to bytes and back on the BEAM, beside heap/benches/etf.rs: megabytes of bytes a
%% second, the best of the rounds (other work on the
%% machine only slows). The same terms, and the same bytes but for the order of keys.
-mode(compile).

-define(ROUNDS, 5000).

main(_) ->
    [bench(Shape) || Shape <- [atoms, strings, numbers]].

bench(Shape) ->
    Term = make(Shape),
    Bytes = term_to_binary(Term, [{minor_version, 2}]),
    Report = fun(What, Fun, Argument) ->
        Seconds = best(Fun, Argument) / 1.0e9,
        io:format("~s/~s ~b MB/s (~b bytes)~n",
                  [What, Shape, round(byte_size(Bytes) / Seconds / 1.0e6), byte_size(Bytes)])
    end,
    Report(encode, fun encode/1, Term),
    Report(decode, fun decode/1, Bytes).

make(atoms) ->
    [#{id => I, kind => order, status => active, priority => high, region => europe,
       flags => [urgent, paid, shipped], owner => #{type => customer, level => gold},
       state => {pending, I rem 7, undefined}} || I <- lists:seq(1, 560)];
make(strings) ->
    [#{id => I, name => <<"customer number ", (integer_to_binary(I))/binary>>,
       email => <<"customer.", (integer_to_binary(I))/binary, "@mail.example.com">>,
       street => <<"A Street With Quite A Long Name ", (integer_to_binary(I rem 100))/binary>>,
       note => <<"please ring twice, the bell is broken">>,
       tags => [<<"regular">>, <<"newsletter">>, <<"priority mail">>]}
     || I <- lists:seq(1, 340)];
make(numbers) ->
    [{I, I * 1000, I * 1000000000000, I / 3, [I rem 200, I rem 90, I + 70000]}
     || I <- lists:seq(1, 1900)].

encode(Term) -> term_to_binary(Term, [{minor_version, 2}]).

decode(Bytes) -> binary_to_term(Bytes).

best(Fun, Argument) ->
    lists:min([round(Fun, Argument) || _ <- lists:seq(1, ?ROUNDS)]).

round(Fun, Argument) ->
    Start = erlang:monotonic_time(nanosecond),
    _ = Fun(Argument),
    erlang:monotonic_time(nanosecond) - Start.
