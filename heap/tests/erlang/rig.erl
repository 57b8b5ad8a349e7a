%% An Erlang node that answers questions about terms, for the differential tests.
%%
%% Requests and replies are packets with a length of 4 bytes on the standard streams, in the
%% external term format: {Function, [Arguments]} asks for one call of Function for each list of
%% arguments, and the reply is a list of {ok, Result} or {error, Reason}, in the same order.
-module(rig).

-export([main/0]).

main() ->
    serve(open_port({fd, 0, 1}, [{packet, 4}, binary, eof])).

serve(Streams) ->
    receive
        {Streams, {data, Request}} ->
            port_command(Streams, term_to_binary(answer(Request))),
            serve(Streams);
        {Streams, eof} ->
            halt(0)
    end.

answer(Request) ->
    try binary_to_term(Request) of
        {Function, Batch} ->
            [try {ok, call(Function, Arguments)}
             catch _:Reason -> {error, Reason}
             end || Arguments <- Batch]
    catch
        error:badarg -> unreadable
    end.

call(release, []) -> list_to_integer(erlang:system_info(otp_release));
%% A term's bytes, with the options of term_to_binary/2.
call(to_binary, [Term, Options]) -> term_to_binary(Term, Options);
%% What bytes mean.
call(from_binary, [Bytes, Options]) -> binary_to_term(Bytes, Options);
%% Whether both bytes are the same term.
call(same, [Left, Right]) -> binary_to_term(Left) =:= binary_to_term(Right);
%% {Left < Right, Left == Right, Left =:= Right}
call(compare, [Left, Right]) -> {Left < Right, Left == Right, Left =:= Right};
call(sort, [Terms]) -> lists:sort(Terms);
call(phash2, [Term]) -> erlang:phash2(Term);
call(phash2, [Term, Range]) -> erlang:phash2(Term, Range);
%% The text by ~0p and by ~0tp, both as UTF-8.
call(text, [Term]) ->
    {unicode:characters_to_binary(io_lib:format("~0p", [Term])),
     unicode:characters_to_binary(io_lib:format("~0tp", [Term]))};
%% The text of any other format.
call(format, [Format, Arguments]) ->
    unicode:characters_to_binary(io_lib:format(Format, Arguments));
%% The term of a text in Erlang syntax, its full stop added here.
call(parse, [Text]) ->
    Characters = unicode:characters_to_list(<<Text/binary, " .">>),
    case erl_scan:string(Characters) of
        {ok, Tokens, _} ->
            case erl_parse:parse_term(Tokens) of
                {ok, Term} -> Term;
                {error, {_, Module, What}} -> error({syntax, Module, What})
            end;
        {error, {_, Module, What}, _} -> error({syntax, Module, What})
    end;
%% Microseconds of Count calls in a row, each of which drops its result.
call(time, [Count, Function, Arguments]) ->
    {Time, _} = timer:tc(fun() -> repeat(Count, Function, Arguments) end),
    Time;
%% Anything else by module and function.
call(apply, [Module, Function, Arguments]) -> apply(Module, Function, Arguments).

repeat(0, _, _) -> ok;
repeat(Count, Function, Arguments) ->
    call(Function, Arguments),
    repeat(Count - 1, Function, Arguments).
