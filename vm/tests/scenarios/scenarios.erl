%% Runs scenarios many times over on an Erlang node, and tells what their processes saw.
%%
%% Requests and replies are packets with a length of 4 bytes on the standard streams, in the external term format:
%% {Runs, Workers, [Scenario]}, and a list of [{Observation, Count}] for each scenario, in order. A scenario is a list
%% of programs {Root, Steps}, by slot; tests/scenarios/scenario.rs has the steps and events.
%%
%% A run is over when nothing is on its way any more. Nobody tells that, so the process that conducts it asks all others
%% to answer, again and again, until nothing has happened for some rounds. An answer comes after all that was sent to
%% its process before; between two rounds all schedulers have left what they did, such as the end of a process.
-module(scenarios).

-export([main/0]).

main() ->
    erts_debug:set_internal_state(available_internal_state, true),
    serve(open_port({fd, 0, 1}, [{packet, 4}, binary, eof])).

serve(Streams) ->
    receive
        {Streams, {data, Request}} ->
            port_command(Streams, term_to_binary(answer(binary_to_term(Request)))),
            serve(Streams);
        {Streams, eof} ->
            halt(0)
    end.

answer({Runs, Workers, Scenarios}) ->
    Jobs = lists:zip(lists:seq(1, length(Scenarios)), Scenarios),
    Server = self(),
    Pids = [spawn_link(fun() -> work(Server, Runs, names(Worker)) end) || Worker <- lists:seq(1, Workers)],
    Results = hand_out(Jobs, length(Jobs), #{}),
    [begin unlink(Pid), exit(Pid, kill) end || Pid <- Pids],
    [maps:get(Index, Results) || {Index, _} <- Jobs].

names(Worker) ->
    {list_to_atom("a_" ++ integer_to_list(Worker)), list_to_atom("b_" ++ integer_to_list(Worker))}.

hand_out(_, 0, Results) -> Results;
hand_out(Jobs, Missing, Results) ->
    receive
        {idle, Worker} when Jobs =/= [] ->
            Worker ! {job, hd(Jobs)},
            hand_out(tl(Jobs), Missing, Results);
        {result, Index, Result} ->
            hand_out(Jobs, Missing - 1, Results#{Index => Result})
    end.

work(Server, Runs, Names) ->
    Server ! {idle, self()},
    receive
        {job, {Index, Scenario}} ->
            Programs = list_to_tuple(Scenario),
            Server ! {result, Index, maps:to_list(repeat(Runs, Names, Programs, #{}))},
            work(Server, Runs, Names)
    end.

repeat(0, _, _, Seen) -> Seen;
repeat(Runs, Names, Programs, Seen) ->
    Observation = conduct(Names, Programs),
    repeat(Runs - 1, Names, Programs, maps:update_with(Observation, fun(Count) -> Count + 1 end, 1, Seen)).

%% The conductor of a run: the slots of who is there or was, by pid, and the monitors on them; what they saw, the last
%% first, and how they ended, by slot; who is about to be made; how much has happened so far.
-record(run, {id, pids = #{}, monitors = #{}, events = #{}, ends = #{}, expected = [], count = 0}).

conduct(Names, Programs) ->
    Id = make_ref(),
    Common = {self(), Id, Names, Programs},
    Roots = [Slot || Slot <- lists:seq(0, tuple_size(Programs) - 1), is_root(Slot, Programs)],
    Made = maps:from_list([{Slot, spawn(fun() -> root(Common, Slot) end)} || Slot <- Roots]),
    Joined = lists:foldl(fun(Slot, Run) -> join(Slot, maps:get(Slot, Made), Run) end, #run{id = Id}, Roots),
    %% Nobody goes before all have begun: one that another kills before would not be seen at all.
    Begun = fun(Slot, Run) -> receive {Id, event, Slot, started} = News -> news(News, Run) end end,
    Run = lists:foldl(Begun, Joined, Roots),
    [maps:get(Slot, Made) ! {Id, go, Made} || Slot <- shuffled(Roots)],
    Over = settle(Run, 0),
    Observation = [seen(Slot, Names, Over) || Slot <- lists:seq(0, tuple_size(Programs) - 1)],
    clear(Over),
    Observation.

is_root(Slot, Programs) ->
    {Root, _} = element(Slot + 1, Programs),
    Root.

%% Told by the new process and by who made it: either may end before it does.
join(_, Pid, #run{pids = Pids, count = Count} = Run) when is_map_key(Pid, Pids) -> Run#run{count = Count + 1};
join(Slot, Pid, #run{pids = Pids, monitors = Monitors, expected = Expected, count = Count} = Run) ->
    Monitor = monitor(process, Pid),
    Run#run{pids = Pids#{Pid => Slot}, monitors = Monitors#{Monitor => Pid},
            expected = lists:delete(Slot, Expected), count = Count + 1}.

%% So many rounds without news in a row, and milliseconds before each.
-define(STILL, 3).
-define(PAUSE, 10).
%% So many where somebody was about to make a process, and ended: it was made, or never will be.
-define(STILL_EXPECTING, 10).

settle(#run{count = Before, expected = Expected} = Run, Still) ->
    catch erts_debug:set_internal_state(wait, thread_progress),
    receive after ?PAUSE -> ok end,
    After = ask(Run),
    Needed = case Expected of [] -> ?STILL; _ -> ?STILL_EXPECTING end,
    if
        After#run.count =/= Before -> settle(After, 0);
        Still + 1 >= Needed -> After;
        true -> settle(After, Still + 1)
    end.

ask(#run{id = Id, pids = Pids, ends = Ends} = Run) ->
    Alive = [Pid || {Pid, Slot} <- maps:to_list(Pids), not is_map_key(Slot, Ends)],
    [Pid ! {Id, ping} || Pid <- Alive],
    answers(Run, Alive).

%% Waits for an answer or the end of each, and takes in all that came before.
answers(Run, []) -> flush(Run);
answers(#run{id = Id} = Run, Awaited) ->
    receive
        {Id, pong, Pid} -> answers(Run, lists:delete(Pid, Awaited));
        {'DOWN', Monitor, process, Pid, Reason} ->
            answers(news({'DOWN', Monitor, process, Pid, Reason}, Run), lists:delete(Pid, Awaited));
        News -> answers(news(News, Run), Awaited)
    end.

flush(Run) ->
    receive News -> flush(news(News, Run))
    after 0 -> Run
    end.

news({Id, event, Slot, Event}, #run{id = Id, events = Events, count = Count} = Run) ->
    Before = maps:get(Slot, Events, []),
    Run#run{events = Events#{Slot => [Event | Before]}, count = Count + 1};
news({Id, makes, Slot}, #run{id = Id, expected = Expected, count = Count} = Run) ->
    Run#run{expected = [Slot | Expected], count = Count + 1};
news({Id, made, Slot, Pid}, #run{id = Id} = Run) -> join(Slot, Pid, Run);
news({Id, born, Slot, Pid}, #run{id = Id} = Run) ->
    Joined = join(Slot, Pid, Run),
    Pid ! {Id, go},
    Joined;
news({'DOWN', Monitor, process, Pid, Reason}, #run{monitors = Monitors} = Run) when is_map_key(Monitor, Monitors) ->
    #run{pids = Pids, ends = Ends, count = Count} = Run,
    Run#run{ends = Ends#{maps:get(Pid, Pids) => Reason}, count = Count + 1};
%% Of an earlier run.
news({_, born, _, Pid}, Run) ->
    exit(Pid, kill),
    Run;
news(_, Run) -> Run.

seen(Slot, Names, #run{pids = Pids, events = Events, ends = Ends}) ->
    case {Events, Ends} of
        {#{Slot := Seen}, #{Slot := Reason}} -> {plain(Seen, Pids, Names), {ended, Reason}};
        {#{Slot := Seen}, _} -> {plain(Seen, Pids, Names), alive};
        _ -> {[], unseen}
    end.

plain(Seen, Pids, Names) -> [plain_event(Event, Pids, Names) || Event <- lists:reverse(Seen)].

plain_event({exit, Pid, Reason}, Pids, _) -> {exit, maps:get(Pid, Pids), Reason};
plain_event({down, Mark, Pid, Reason}, Pids, _) when is_pid(Pid) -> {down, Mark, {pid, maps:get(Pid, Pids)}, Reason};
plain_event({down, Mark, {Name, _}, Reason}, _, {Name, _}) -> {down, Mark, {name, 0}, Reason};
plain_event({down, Mark, {Name, _}, Reason}, _, {_, Name}) -> {down, Mark, {name, 1}, Reason};
plain_event({found, Pid}, Pids, _) when is_pid(Pid) -> {found, maps:get(Pid, Pids)};
plain_event(Event, _, _) -> Event.

%% Nobody is left, and no name.
clear(#run{pids = Pids, monitors = Monitors, ends = Ends}) ->
    Left = [Pid || {Pid, Slot} <- maps:to_list(Pids), not is_map_key(Slot, Ends)],
    [exit(Pid, kill) || Pid <- Left],
    [receive {'DOWN', Monitor, process, Pid, _} -> ok end
     || {Monitor, Pid} <- maps:to_list(Monitors), lists:member(Pid, Left)].

%% A process of a scenario: whom it knows, by slot; its monitors, by mark and by reference; how it goes about its steps.
-record(me, {slot, common, pids, marks = #{}, pace}).

root({_, Id, _, _} = Common, Slot) ->
    tell(started, #me{slot = Slot, common = Common}),
    receive {Id, go, Pids} -> begin_steps(Common, Slot, Pids) end.

child({Conductor, Id, _, _} = Common, Slot, Pids) ->
    Conductor ! {Id, born, Slot, self()},
    receive {Id, go} -> tell(started, #me{slot = Slot, common = Common}) end,
    begin_steps(Common, Slot, Pids#{Slot => self()}).

begin_steps({_, _, _, Programs} = Common, Slot, Pids) ->
    Me = #me{slot = Slot, common = Common, pids = Pids, pace = below(4)},
    pause(Me),
    {_, Steps} = element(Slot + 1, Programs),
    steps(Steps, Me).

tell(Event, #me{slot = Slot, common = {Conductor, Id, _, _}} = Me) ->
    Conductor ! {Id, event, Slot, Event},
    Me.

steps([Step | Steps], Me) ->
    pause(Me),
    steps(Steps, step(Step, Me));
steps([], Me) ->
    steps([], tell(wait(Me), Me)).

%% In many orders: some never give way, others now and then or always, for a while.
pause(#me{pace = 0}) -> ok;
pause(#me{pace = 1}) ->
    case below(4) of
        0 -> erlang:yield();
        1 -> busy(below(400));
        _ -> ok
    end;
pause(#me{pace = 2}) -> [erlang:yield() || _ <- lists:seq(1, below(4))];
pause(#me{pace = 3}) -> busy(below(2000)).

busy(0) -> ok;
busy(N) -> busy(N - 1).

below(Bound) -> erlang:phash2(make_ref(), Bound).

shuffled(List) -> [X || {_, X} <- lists:sort([{below(1 bsl 20), X} || X <- List])].

step({spawn, Slot}, Me) ->
    made(Slot, spawn(maker(Slot, Me)), Me);
step({spawn_link, Slot}, Me) ->
    made(Slot, spawn_link(maker(Slot, Me)), Me);
step({spawn_monitor, Slot, Mark}, Me) ->
    {Pid, Monitor} = spawn_monitor(maker(Slot, Me)),
    made(Slot, Pid, mark(Mark, Monitor, Me));
step({link, Slot}, Me) ->
    %% One that does not trap exits is told of nobody by an error.
    try link(pid(Slot, Me)), Me catch error:noproc -> exit(noproc) end;
step({unlink, Slot}, Me) ->
    unlink(pid(Slot, Me)),
    Me;
step({monitor, Slot, Mark}, Me) ->
    mark(Mark, monitor(process, pid(Slot, Me)), Me);
step({monitor_name, Name, Mark}, Me) ->
    mark(Mark, monitor(process, name(Name, Me)), Me);
step({demonitor, Mark}, #me{marks = Marks} = Me) ->
    tell({done, demonitor(maps:get(Mark, Marks), [info])}, Me);
step({demonitor_flush, Mark}, #me{marks = Marks} = Me) ->
    tell({done, demonitor(maps:get(Mark, Marks), [info, flush])}, Me);
step({trap_exit, Traps}, Me) ->
    process_flag(trap_exit, Traps),
    Me;
step({signal, Slot, Reason}, Me) ->
    exit(pid(Slot, Me), Reason),
    Me;
step({exit, Reason}, _) ->
    exit(Reason);
step({register, Name, Slot}, Me) ->
    answered(fun() -> register(name(Name, Me), pid(Slot, Me)) end, Me);
step({unregister, Name}, Me) ->
    answered(fun() -> unregister(name(Name, Me)) end, Me);
step({whereis, Name}, Me) ->
    tell({found, whereis(name(Name, Me))}, Me);
step({send, Slot, Number}, Me) ->
    pid(Slot, Me) ! {message, Number},
    Me;
step({send_name, Name, Number}, Me) ->
    answered(fun() -> name(Name, Me) ! {message, Number} end, Me);
step('receive', Me) ->
    tell(wait(Me), Me);
step(poll, #me{common = {_, Id, _, _}} = Me) ->
    receive Message when element(1, Message) =/= Id -> tell(event(Message, Me), Me)
    after 0 -> tell(nothing, Me)
    end.

maker(Slot, #me{common = {Conductor, Id, _, _} = Common, pids = Pids}) ->
    Conductor ! {Id, makes, Slot},
    fun() -> child(Common, Slot, Pids) end.

made(Slot, Pid, #me{pids = Pids, common = {Conductor, Id, _, _}} = Me) ->
    Conductor ! {Id, made, Slot, Pid},
    Me#me{pids = Pids#{Slot => Pid}}.

mark(Mark, Monitor, #me{marks = Marks} = Me) -> Me#me{marks = Marks#{Mark => Monitor, Monitor => Mark}}.

pid(Slot, #me{slot = Slot}) -> self();
pid(Slot, #me{pids = Pids}) -> maps:get(Slot, Pids).

name(Name, #me{common = {_, _, Names, _}}) -> element(Name + 1, Names).

answered(Fun, Me) ->
    Done = try Fun(), true catch error:badarg -> false end,
    tell({done, Done}, Me).

%% The next message that is not the conductor's.
wait(#me{common = {Conductor, Id, _, _}} = Me) ->
    receive
        {Id, ping} ->
            Conductor ! {Id, pong, self()},
            wait(Me);
        Message ->
            event(Message, Me)
    end.

event({message, Number}, _) -> {message, Number};
event({'EXIT', Pid, Reason}, _) -> {exit, Pid, Reason};
event({'DOWN', Monitor, process, Object, Reason}, #me{marks = Marks}) ->
    {down, maps:get(Monitor, Marks), Object, Reason}.
