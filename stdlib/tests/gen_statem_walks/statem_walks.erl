%% A state machine that walks by chance, by a seed: what main.rs does, on Erlang.
-module(statem_walks).
-behaviour(gen_statem).
-export([main/1, init/1, callback_mode/0, handle_event/4]).

%% Walks the seeds from 0 on, each in a line.
main([Count]) ->
    [io:format("~ts~n", [walk(Seed)]) || Seed <- lists:seq(0, list_to_integer(atom_to_list(Count)) - 1)],
    halt(0).

walk(Seed) ->
    {ok, Pid} = gen_statem:start(?MODULE, Seed, []),
    [gen_statem:cast(Pid, N) || N <- [999, 0, 1, 2, 3, 4, 5]],
    Done = gen_statem:send_request(Pid, done),
    Pid ! go,
    {reply, Trace} = gen_statem:wait_response(Done, infinity),
    lists:join(" ", lists:reverse(Trace)).

callback_mode() -> [handle_event_function, state_enter].

init(Seed) -> {ok, 0, {Seed, 0, []}}.

handle_event(cast, 999, _State, _Data) ->
    receive go -> keep_state_and_data end;
handle_event({call, From}, done, _State, {_, _, Trace}) ->
    {keep_state_and_data, [{reply, From, Trace}]};
handle_event(Type, Content, State, {Seed, N, Trace}) ->
    {Name, Number} = kind(Type),
    Entry = io_lib:format("~s.~w@~w", [Name, Content, State]),
    Data = {Seed, N + 1, [Entry | Trace]},
    Draws = draws([State, Number, Content, N], Seed),
    case {Type, N < 60} of
        {_, false} -> {keep_state, Data};
        {enter, true} -> enter(Draws, Data);
        {_, true} -> event(Draws, Data)
    end.

kind(cast) -> {"cast", 0};
kind(internal) -> {"internal", 1};
kind(timeout) -> {"timeout", 2};
kind(state_timeout) -> {"state_timeout", 3};
kind({timeout, a}) -> {"a", 4};
kind({timeout, b}) -> {"b", 5};
kind(enter) -> {"enter", 6}.

enter([Next, _, _, _, Content, _, Timeout, _, _], Data) ->
    Actions = case Timeout rem 6 of
                  0 -> [{timeout, 0, Content rem 5}];
                  1 -> [{state_timeout, 0, Content rem 5}];
                  2 -> [{{timeout, a}, 0, Content rem 5}];
                  _ -> []
              end,
    case Next rem 8 of
        0 -> {repeat_state, Data, Actions};
        _ -> {keep_state, Data, Actions}
    end.

event([Next, To, Postpone, Internal, Content, Cast, First, Second, More], Data) ->
    C = Content rem 5,
    Actions =
        [postpone || Postpone rem 3 =:= 0] ++
        [{next_event, internal, C} || Internal rem 4 =:= 0] ++
        [{next_event, cast, More rem 5} || Cast rem 8 =:= 0] ++
        timeout(First rem 12, C) ++
        timeout(Second rem 12, More rem 5),
    case Next rem 4 of
        0 -> {repeat_state, Data, Actions};
        1 -> {keep_state, Data, Actions};
        _ -> {next_state, To rem 3, Data, Actions}
    end.

timeout(0, C) -> [{timeout, 0, C}];
timeout(1, C) -> [{state_timeout, 0, C}];
timeout(2, C) -> [{{timeout, a}, 0, C}];
timeout(3, C) -> [{{timeout, b}, 0, C}];
timeout(4, C) -> [{timeout, update, C}];
timeout(5, C) -> [{state_timeout, update, C}];
timeout(6, C) -> [{{timeout, a}, update, C}];
timeout(7, _) -> [{state_timeout, cancel}];
timeout(8, _) -> [{{timeout, a}, cancel}];
timeout(_, _) -> [].

%% Nine numbers by chance.
draws(Values, Seed) ->
    X = lists:foldl(fun(Value, X) -> step(X + Value + 1) end, step(Seed), Values),
    draws(X, 9, []).

draws(_, 0, Draws) -> lists:reverse(Draws);
draws(X, Left, Draws) ->
    Next = step(X),
    draws(Next, Left - 1, [Next bsr 16 | Draws]).

step(X) -> (X * 1103515245 + 12345) band 16#7fffffff.
