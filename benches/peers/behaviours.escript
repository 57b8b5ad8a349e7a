#!/usr/bin/env escript
%% -*- erlang -*-
%%! +P 4000000
%% What gen_servers and supervisors cost on the BEAM, beside the workloads of `otp-vm bench`: one line of text a figure.
%% With arguments, only the workloads that they name, `NAME` or `NAME=N`.
-mode(compile).
-behaviour(gen_server).
-export([init/1, handle_call/3, handle_cast/2, start_child/1]).

main(Arguments) ->
    logger:set_primary_config(level, none),
    Workloads = [
        {"call/1x1", 500000, fun(N) -> call(N, 1, 1) end, "ns"},
        {"call/100x1", 500000, fun(N) -> call(N, 100, 1) end, "ns"},
        {"call/100x100", 500000, fun(N) -> call(N, 100, 100) end, "ns"},
        {"fan_in/cast", 1000000, fun(N) -> fan_in(N, 100) end, "ns"},
        {"spawn_exit/gen_server", 50000, fun(N) -> spawn_exit(N, 2) end, "ns"},
        {"idle_memory/gen_server", 100000, fun idle_memory/1, "bytes"},
        {"restart", 1000, fun(N) -> restart(N, 0) end, "us"},
        {"restart/10000", 1000, fun(N) -> restart(N, 9000) end, "us"},
        {"start_child", 50000, fun(N) -> start_children(N, 1, 1) end, "us"},
        {"start_child/partitions", 50000, fun(N) -> start_children(N, 2, 2) end, "us"}
    ],
    Named = [string:split(Argument, "=") || Argument <- Arguments],
    [known(Name, Workloads) || [Name | _] <- Named],
    [
        alone(Name, Run, n(Default, Size), Unit)
     || {Name, Default, Run, Unit} <- Workloads, Size <- sizes(Name, Named)
    ].

known(Name, Workloads) ->
    case lists:keymember(Name, 1, Workloads) of
        true ->
            ok;
        false ->
            Names = lists:join(", ", [element(1, Workload) || Workload <- Workloads]),
            io:format(standard_error, "there is no workload ~ts; there are ~ts~n", [Name, Names]),
            halt(2)
    end.

%% One for each time that it is named.
sizes(_, []) -> [[]];
sizes(Name, Named) -> [Size || [Same | Size] <- Named, Same =:= Name].

n(Default, []) -> Default;
n(_, [Size]) -> list_to_integer(Size).

%% Each in a process of its own, so that none works with the heap of another.
alone(Name, Run, N, Unit) ->
    {Pid, Ref} = spawn_monitor(fun() -> exit({value, Run(N)}) end),
    receive
        {'DOWN', Ref, process, Pid, {value, Value}} when Unit =:= "us" -> figure(Name, Value / 1000, Unit);
        {'DOWN', Ref, process, Pid, {value, Value}} -> figure(Name, Value, Unit);
        {'DOWN', Ref, process, Pid, Reason} -> exit(Reason)
    end.

figure(Name, Value, Unit) ->
    io:format("~s ~.3f ~s~n", [Name, float(Value), Unit]).

nanoseconds(Fun) ->
    Start = erlang:monotonic_time(nanosecond),
    Fun(),
    erlang:monotonic_time(nanosecond) - Start.

%% Runs Fun in so many processes at once, each with its number from 0: the time from the opening of the gate until all
%% have ended.
at_once(Count, Fun) ->
    {Pids, Refs} = gate(Count, Fun),
    nanoseconds(fun() ->
        open(Pids),
        all_done(Refs)
    end).

gate(Count, Fun) ->
    Body = fun(Number) ->
        receive
            go -> Fun(Number)
        end
    end,
    Waiting = [spawn_monitor(fun() -> Body(Number) end) || Number <- lists:seq(0, Count - 1)],
    timer:sleep(50),
    lists:unzip(Waiting).

open(Pids) ->
    [Pid ! go || Pid <- Pids].

all_done(Refs) ->
    [
        receive
            {'DOWN', Ref, process, _, normal} -> ok;
            {'DOWN', Ref, process, _, Reason} -> exit(Reason)
        end
     || Ref <- Refs
    ].

%% The callbacks, of the servers and of the supervisors.

init(echo) ->
    {ok, []};
init({counter, To, Left}) ->
    {ok, {To, Left}};
init({child, Driver}) ->
    Driver ! {started, self()},
    {ok, []};
init({parent, Driver}) ->
    %% No restart of a run gets older than the supervisor remembers.
    Flags = #{strategy => one_for_one, intensity => 100000000, period => 3600},
    {ok, {Flags, [#{id => child, start => {?MODULE, start_child, [Driver]}}]}};
init(children) ->
    Start = {gen_server, start_link, [?MODULE, echo, []]},
    {ok, {#{strategy => simple_one_for_one}, [#{id => worker, restart => temporary, start => Start}]}}.

start_child(Driver) ->
    gen_server:start_link({local, bench_child}, ?MODULE, {child, Driver}, []).

handle_call(Number, _From, State) ->
    {reply, Number, State}.

handle_cast({msg, _}, {To, 1}) ->
    To ! all_received,
    {noreply, {To, 0}};
handle_cast({msg, _}, {To, Left}) ->
    {noreply, {To, Left - 1}}.

%% Clients are spread over servers.
call(N, Clients, Count) ->
    Servers = list_to_tuple([start() || _ <- lists:seq(1, Count)]),
    Each = N div Clients,
    at_once(Clients, fun(Client) -> calls(element(Client rem Count + 1, Servers), Each) end) /
        (Each * Clients).

start() ->
    {ok, Pid} = gen_server:start(?MODULE, echo, []),
    Pid.

calls(_, 0) ->
    ok;
calls(Server, N) ->
    N = gen_server:call(Server, N),
    calls(Server, N - 1).

fan_in(N, Senders) ->
    Each = N div Senders,
    {ok, Counter} = gen_server:start(?MODULE, {counter, self(), Each * Senders}, []),
    {Pids, Refs} = gate(Senders, fun(_) -> casts(Counter, Each) end),
    Time = nanoseconds(fun() ->
        open(Pids),
        receive
            all_received -> ok
        end
    end),
    all_done(Refs),
    Time / (Each * Senders).

casts(_, 0) ->
    ok;
casts(Counter, N) ->
    gen_server:cast(Counter, {msg, N}),
    casts(Counter, N - 1).

%% In waves of 10,000.
spawn_exit(N, Spawners) ->
    waves(min(N, 100000)),
    Each = N div Spawners,
    at_once(Spawners, fun(_) -> waves(Each) end) / (Each * Spawners).

waves(0) ->
    ok;
waves(Left) ->
    Now = min(Left, 10000),
    Servers = [start_monitor() || _ <- lists:seq(1, Now)],
    [exit(Pid, shutdown) || {Pid, _} <- Servers],
    [
        receive
            {'DOWN', _, process, _, shutdown} -> ok
        end
     || _ <- Servers
    ],
    waves(Left - Now).

start_monitor() ->
    {ok, Monitored} = gen_server:start_monitor(?MODULE, echo, []),
    Monitored.

%% Resident memory, of servers that have answered one call each.
idle_memory(N) ->
    Before = resident(),
    idle(N),
    timer:sleep(50),
    (resident() - Before) / N.

%% A thousand at a time: no list of all of them counts as theirs.
idle(0) ->
    ok;
idle(Left) ->
    Now = min(Left, 1000),
    Servers = [start() || _ <- lists:seq(1, Now)],
    [calls(Server, 1) || Server <- Servers],
    erlang:garbage_collect(),
    idle(Left - Now).

resident() ->
    {ok, Text} = file:read_file("/proc/self/statm"),
    [_, Pages | _] = binary:split(Text, <<" ">>, [global]),
    binary_to_integer(Pages) * 4096.

%% So many kills that are measured, after others: OTP's supervisor keeps a list of the restarts within the period.
restart(N, Before) ->
    {ok, _} = supervisor:start_link(?MODULE, {parent, self()}),
    First = started(),
    Child = kills(First, Before),
    Time = nanoseconds(fun() -> kills(Child, N) end),
    Time / N.

kills(Child, 0) ->
    Child;
kills(Child, N) ->
    exit(Child, kill),
    Next = started(),
    true = Next =/= Child,
    kills(Next, N - 1).

started() ->
    receive
        {started, Pid} -> Pid
    end.

%% A simple_one_for_one supervisor, or several: a child's number says under which it starts.
start_children(N, Clients, Count) ->
    Started = [supervisor:start_link(?MODULE, children) || _ <- lists:seq(1, Count)],
    Supervisors = list_to_tuple([Pid || {ok, Pid} <- Started]),
    Each = N div Clients,
    Time = at_once(Clients, fun(Client) ->
        children(Supervisors, Client * Each, (Client + 1) * Each)
    end),
    Counts = [
        proplists:get_value(active, supervisor:count_children(Pid))
     || Pid <- tuple_to_list(Supervisors)
    ],
    true = lists:sum(Counts) =:= Each * Clients,
    Time / (Each * Clients).

children(_, Last, Last) ->
    ok;
children(Supervisors, Number, Last) ->
    Supervisor = element(Number rem tuple_size(Supervisors) + 1, Supervisors),
    {ok, _} = supervisor:start_child(Supervisor, []),
    children(Supervisors, Number + 1, Last).
