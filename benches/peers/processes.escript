#!/usr/bin/env escript
%% -*- erlang -*-
%%! +P 4000000
%% What processes and messages cost on the BEAM, beside the workloads of `otp-vm bench` of the same names: one line of
%% text a figure. With arguments, only the workloads that they name, `NAME` or `NAME=N`.
-mode(compile).

main(Arguments) ->
    logger:set_primary_config(level, none),
    Workloads = [
        {"spawn_exit", 1000000, fun spawn_exit/1},
        {"pingpong", 2000000, fun pingpong/1},
        {"ring", 1000000, fun ring/1},
        {"fan_in", 5000000, fun fan_in/1},
        {"selective_receive", 200000, fun selective_receive/1},
        {"kill_links", 100000, fun kill_links/1},
        {"kill_monitors", 100000, fun kill_monitors/1},
        {"idle_memory", 1000000, fun idle_memory/1}
    ],
    Named = [string:split(Argument, "=") || Argument <- Arguments],
    [known(Name, Workloads) || [Name | _] <- Named],
    [
        alone(Run, n(Default, Size))
     || {Name, Default, Run} <- Workloads, Size <- sizes(Name, Named)
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
alone(Run, N) ->
    {Pid, Ref} = spawn_monitor(fun() -> Run(N) end),
    receive
        {'DOWN', Ref, process, Pid, normal} -> ok;
        {'DOWN', Ref, process, Pid, Reason} -> exit(Reason)
    end.

figure(Name, Unit, Value) ->
    io:format("~s ~.1f ~s~n", [Name, float(Value), Unit]).

nanoseconds(Fun) ->
    Start = erlang:monotonic_time(nanosecond),
    Fun(),
    erlang:monotonic_time(nanosecond) - Start.

%% Two spawners, waves of 10,000.
spawn_exit(N) ->
    waves(min(N, 100000)),
    Each = N div 2,
    Time = nanoseconds(fun() -> at_once(2, fun() -> waves(Each) end) end),
    figure("spawn_exit", "ns", Time / (2 * Each)).

waves(0) ->
    ok;
waves(Left) ->
    Now = min(Left, 10000),
    [spawn_monitor(fun() -> ok end) || _ <- lists:seq(1, Now)],
    [
        receive
            {'DOWN', _, process, _, normal} -> ok
        end
     || _ <- lists:seq(1, Now)
    ],
    waves(Left - Now).

at_once(Count, Fun) ->
    Refs = [element(2, spawn_monitor(Fun)) || _ <- lists:seq(1, Count)],
    [
        receive
            {'DOWN', Ref, process, _, normal} -> ok
        end
     || Ref <- Refs
    ].

pingpong(N) ->
    ping(min(N, 100000)),
    Time = nanoseconds(fun() -> ping(N) end),
    figure("pingpong", "ns", Time / N).

ping(Rounds) ->
    Partner = spawn_link(fun pong/0),
    ping(Partner, Rounds),
    unlink(Partner),
    exit(Partner, kill).

ping(_, 0) ->
    ok;
ping(Partner, Round) ->
    Partner ! {self(), Round},
    receive
        {Partner, Round} -> ping(Partner, Round - 1)
    end.

pong() ->
    receive
        {From, Round} ->
            From ! {self(), Round},
            pong()
    end.

%% Rounds of a thousand hops.
ring(N) ->
    Rounds = (N + 999) div 1000,
    First = lists:foldl(
        fun(_, Next) -> spawn_link(fun() -> pass(Next) end) end, self(), lists:seq(2, 1000)
    ),
    timer:sleep(50),
    Time = nanoseconds(fun() -> round(First, Rounds) end),
    figure("ring", "ns a hop", Time / (Rounds * 1000)).

round(_, 0) ->
    ok;
round(First, Rounds) ->
    First ! {token, 0},
    receive
        {token, 999} -> round(First, Rounds - 1)
    end.

pass(Next) ->
    receive
        {token, Hops} ->
            Next ! {token, Hops + 1},
            pass(Next)
    end.

%% A hundred senders.
fan_in(N) ->
    Driver = self(),
    Each = N div 100,
    Receiver = spawn_link(fun() -> count(Driver, Each * 100) end),
    Senders = [
        spawn_link(fun() ->
            receive
                go -> send(Receiver, Each)
            end
        end)
     || _ <- lists:seq(1, 100)
    ],
    timer:sleep(50),
    Time = nanoseconds(fun() ->
        [Sender ! go || Sender <- Senders],
        receive
            done -> ok
        end
    end),
    figure("fan_in", "ns a message", Time / (Each * 100)).

count(Driver, 0) ->
    Driver ! done;
count(Driver, Left) ->
    receive
        {msg, _} -> count(Driver, Left - 1)
    end.

send(_, 0) ->
    ok;
send(Receiver, N) ->
    Receiver ! {msg, N},
    send(Receiver, N - 1).

selective_receive(N) ->
    Server = spawn_link(fun serve/0),
    Requests = fun(Count) -> nanoseconds(fun() -> requests(Server, Count) end) / Count end,
    Requests(min(N, 20000)),
    figure("selective_receive/empty", "ns", Requests(N)),
    [self() ! ok || _ <- lists:seq(1, 1000000)],
    timer:sleep(50),
    figure("selective_receive/1000000", "ns", Requests(N)).

requests(_, 0) ->
    ok;
requests(Server, N) ->
    Tag = make_ref(),
    Server ! {self(), Tag, N},
    receive
        {Tag, N} -> ok
    end,
    requests(Server, N - 1).

serve() ->
    receive
        {From, Tag, N} ->
            From ! {Tag, N},
            serve()
    end.

kill_links(N) ->
    Driver = self(),
    Base = erlang:system_info(process_count),
    Hub = spawn(fun() ->
        [spawn_link(fun wait/0) || _ <- lists:seq(1, N)],
        Driver ! ok,
        receive
            stop -> exit(error)
        end
    end),
    receive
        ok -> ok
    end,
    timer:sleep(50),
    Time = nanoseconds(fun() ->
        Hub ! stop,
        gone(Base)
    end),
    figure("kill_links", "ms", Time / 1000000).

gone(Base) ->
    case erlang:system_info(process_count) > Base of
        true ->
            timer:sleep(1),
            gone(Base);
        false ->
            ok
    end.

wait() ->
    receive
        stop -> ok
    end.

kill_monitors(N) ->
    Target = spawn(fun wait/0),
    Down = counters:new(2, []),
    Watchers = [
        spawn(fun() ->
            Ref = monitor(process, Target),
            counters:add(Down, 1, 1),
            receive
                {'DOWN', Ref, process, Target, normal} -> counters:add(Down, 2, 1)
            end,
            wait()
        end)
     || _ <- lists:seq(1, N)
    ],
    until(Down, 1, N),
    timer:sleep(50),
    Time = nanoseconds(fun() ->
        Target ! stop,
        until(Down, 2, N)
    end),
    figure("kill_monitors", "ms", Time / 1000000),
    [exit(Watcher, kill) || Watcher <- Watchers].

until(Counters, Index, N) ->
    case counters:get(Counters, Index) < N of
        true ->
            timer:sleep(1),
            until(Counters, Index, N);
        false ->
            ok
    end.

%% Resident memory, of processes that have received one message each.
idle_memory(N) ->
    Before = resident(),
    idle(N),
    figure("idle_memory", "bytes a process", (resident() - Before) / N).

%% A thousand at a time: no list of all of them counts as theirs.
idle(0) ->
    timer:sleep(50);
idle(Left) ->
    Now = min(Left, 1000),
    Driver = self(),
    Pids = [spawn(fun() -> echo(Driver) end) || _ <- lists:seq(1, Now)],
    [Pid ! ping || Pid <- Pids],
    [
        receive
            pong -> ok
        end
     || _ <- Pids
    ],
    erlang:garbage_collect(),
    idle(Left - Now).

echo(Driver) ->
    receive
        ping ->
            Driver ! pong,
            echo(Driver)
    end.

resident() ->
    {ok, Text} = file:read_file("/proc/self/statm"),
    [_, Pages | _] = binary:split(Text, <<" ">>, [global]),
    binary_to_integer(Pages) * 4096.
