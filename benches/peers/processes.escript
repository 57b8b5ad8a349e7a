#!/usr/bin/env escript
%% -*- erlang -*-
%%! +P 4000000
%% What processes and messages cost on the BEAM, beside the workloads of `otp-vm bench` of the same names: one line of
%% text a figure. With arguments, only the workloads that they name.
-mode(compile).

main(Names) ->
    logger:set_primary_config(level, none),
    Workloads = [
        {"spawn_exit", fun spawn_exit/0},
        {"pingpong", fun pingpong/0},
        {"ring", fun ring/0},
        {"fan_in", fun fan_in/0},
        {"selective_receive", fun selective_receive/0},
        {"kill_links", fun kill_links/0},
        {"kill_monitors", fun kill_monitors/0},
        {"idle_memory", fun idle_memory/0}
    ],
    [alone(Run) || {Name, Run} <- Workloads, Names =:= [] orelse lists:member(Name, Names)].

%% Each in a process of its own, so that none works with the heap of another.
alone(Run) ->
    {Pid, Ref} = spawn_monitor(Run),
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
spawn_exit() ->
    waves(100000),
    Time = nanoseconds(fun() -> at_once(2, fun() -> waves(500000) end) end),
    figure("spawn_exit", "ns", Time / 1000000).

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

pingpong() ->
    ping(100000),
    Time = nanoseconds(fun() -> ping(2000000) end),
    figure("pingpong", "ns", Time / 2000000).

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

ring() ->
    First = lists:foldl(
        fun(_, Next) -> spawn_link(fun() -> pass(Next) end) end, self(), lists:seq(2, 1000)
    ),
    timer:sleep(50),
    Time = nanoseconds(fun() -> round(First, 1000) end),
    figure("ring", "ns a hop", Time / 1000000).

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

%% A hundred senders, five million messages.
fan_in() ->
    Driver = self(),
    Receiver = spawn_link(fun() -> count(Driver, 5000000) end),
    Senders = [
        spawn_link(fun() ->
            receive
                go -> send(Receiver, 50000)
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
    figure("fan_in", "ns a message", Time / 5000000).

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

selective_receive() ->
    Server = spawn_link(fun serve/0),
    Requests = fun(N) -> nanoseconds(fun() -> requests(Server, N) end) / N end,
    Requests(20000),
    figure("selective_receive/empty", "ns", Requests(200000)),
    [self() ! ok || _ <- lists:seq(1, 1000000)],
    timer:sleep(50),
    figure("selective_receive/1000000", "ns", Requests(200000)).

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

kill_links() ->
    Driver = self(),
    Base = erlang:system_info(process_count),
    Hub = spawn(fun() ->
        [spawn_link(fun wait/0) || _ <- lists:seq(1, 100000)],
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

kill_monitors() ->
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
     || _ <- lists:seq(1, 100000)
    ],
    until(Down, 1),
    timer:sleep(50),
    Time = nanoseconds(fun() ->
        Target ! stop,
        until(Down, 2)
    end),
    figure("kill_monitors", "ms", Time / 1000000),
    [exit(Watcher, kill) || Watcher <- Watchers].

until(Counters, Index) ->
    case counters:get(Counters, Index) < 100000 of
        true ->
            timer:sleep(1),
            until(Counters, Index);
        false ->
            ok
    end.

%% Resident memory, of a million processes that have received one message each.
idle_memory() ->
    Before = resident(),
    idle(1000),
    figure("idle_memory", "bytes a process", (resident() - Before) / 1000000).

%% A thousand thousands: no list of all of them counts as theirs.
idle(0) ->
    timer:sleep(50);
idle(Batches) ->
    Driver = self(),
    Pids = [spawn(fun() -> echo(Driver) end) || _ <- lists:seq(1, 1000)],
    [Pid ! ping || Pid <- Pids],
    [
        receive
            pong -> ok
        end
     || _ <- Pids
    ],
    erlang:garbage_collect(),
    idle(Batches - 1).

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
