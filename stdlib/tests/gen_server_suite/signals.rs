//! Exit signals, and what references survive.

use super::*;

#[test]
fn parent_exit_ends_a_trapping_server() {
    run(async |mut cx: Context| {
        let me = cx.pid();
        let (parent, monitor) = cx
            .spawn_monitor(move |mut cx: Context| async move {
                Server::start_link(&mut cx, (me, Start::Trap))
                    .name("child")
                    .await
                    .unwrap();
                cx.send(me, &"ready").unwrap();
                for_ever(&mut cx).await;
            })
            .unwrap();
        cx.receive_where(LIMIT, |message| message.decode::<String>().ok())
            .await
            .unwrap();
        let child = cx.whereis("child").unwrap();
        let child = cx.monitor(child);
        cx.exit_process(parent, reason("parent"));
        assert_eq!(down(&mut cx, monitor).await, reason("parent"));
        // Not handle_info: terminate, and the parent's reason.
        assert_eq!(ended(&mut cx).await, reason("parent"));
        assert_eq!(down(&mut cx, child).await, reason("parent"));
    });
}

#[test]
fn another_exit_is_an_info_of_a_trapping_server() {
    run(async |mut cx: Context| {
        let server = server(&mut cx, Start::Trap).await;
        cx.exit_process(server.pid().unwrap(), reason("signal"));
        assert_eq!(log(&mut cx, &server).await, ["init", "exit <<\"signal\">>"]);
    });
}

#[test]
fn an_exit_signal_ends_a_server_that_does_not_trap_without_terminate() {
    run(async |mut cx: Context| {
        let server = server(&mut cx, Start::Ok).await;
        let monitor = cx.monitor(server.pid().unwrap());
        cx.exit_process(server.pid().unwrap(), reason("signal"));
        assert_eq!(down(&mut cx, monitor).await, reason("signal"));
        assert!(no_terminate(&mut cx).await);
    });
}

#[test]
fn kill_ends_a_server_without_terminate() {
    run(async |mut cx: Context| {
        let server = server(&mut cx, Start::Trap).await;
        let monitor = cx.monitor(server.pid().unwrap());
        cx.exit_process(server.pid().unwrap(), ExitReason::kill());
        assert_eq!(down(&mut cx, monitor).await, ExitReason::killed());
        assert!(no_terminate(&mut cx).await);
    });
}

#[test]
fn a_server_killed_in_a_call_answers_with_the_reason() {
    run(async |mut cx: Context| {
        let server = server(&mut cx, Start::Trap).await;
        let pid = server.pid().unwrap();
        let pending = server.send_request(&cx, Call::Never).unwrap();
        cx.exit_process(pid, ExitReason::kill());
        let result = pending.receive_response(&mut cx, LIMIT).await;
        assert!(is_exit(result, &ExitReason::killed()));
    });
}

#[test]
fn supervisor_shutdown_calls_terminate_of_a_trapping_server() {
    run(async |mut cx: Context| {
        let me = cx.pid();
        let child = ChildSpec::worker("s", move |cx| Server::start_link(cx, (me, Start::Trap)));
        let flags = SupervisorFlags::one_for_one();
        let supervisor = Supervisor::start_link(&mut cx, flags, vec![child])
            .await
            .unwrap();
        supervisor.terminate_child(&mut cx, "s").await.unwrap();
        assert_eq!(ended(&mut cx).await, ExitReason::shutdown());
    });
}

#[test]
fn the_host_ends_a_server_without_a_parent() {
    let vm = Vm::builder().schedulers(1).build().unwrap();
    let (told, tells) = std::sync::mpsc::channel();
    let start = async move |mut cx: Context| {
        Teller::start(&mut cx, told).await.unwrap();
    };
    vm.run(start).wait().unwrap();
    let report = vm.shutdown(LIMIT).wait().unwrap();
    assert!(report.is_orderly(), "{report:?}");
    assert_eq!(tells.recv_timeout(LIMIT).unwrap(), "shutdown");
}

/// Traps exits, and tells the host program why it ends.
struct Teller(std::sync::mpsc::Sender<String>);

impl GenServer for Teller {
    type Args = std::sync::mpsc::Sender<String>;
    type Call = NoMessage;
    type Reply = NoMessage;
    type Cast = NoMessage;
    type Info = NoMessage;
    type Continue = NoMessage;

    async fn init(told: Self::Args, cx: &mut Context) -> Init<Self> {
        cx.trap_exit(true);
        Init::ok(Teller(told))
    }

    async fn terminate(&mut self, reason: &ExitReason, _cx: &mut Context) {
        self.0.send(reason.to_string()).unwrap();
    }
}

#[test]
fn down_is_an_info() {
    run(async |mut cx: Context| {
        struct Watcher(Option<ExitReason>, Ref);
        impl GenServer for Watcher {
            type Args = Pid;
            type Call = ();
            type Reply = Option<ExitReason>;
            type Cast = NoMessage;
            type Info = Info;
            type Continue = NoMessage;

            async fn init(watched: Pid, cx: &mut Context) -> Init<Self> {
                let monitor = cx.monitor(watched);
                Init::ok(Watcher(None, monitor))
            }
            async fn handle_call(
                &mut self,
                _: (),
                _: From<Option<ExitReason>>,
                _: &mut Context,
            ) -> Reply<Self> {
                Reply::new(self.0.clone())
            }
            async fn handle_info(&mut self, info: Info, _: &mut Context) -> NoReply<Self> {
                if let Info::Down(reference, _, _, reason) = info {
                    self.0 = Some((reference == self.1).then_some(reason).unwrap());
                }
                NoReply::new()
            }
        }
        let dead = cx.spawn(async |_| {}).unwrap();
        common::ended(&mut cx, dead).await;
        let watcher = Watcher::start(&mut cx, dead).await.unwrap();
        assert_eq!(
            watcher.call(&mut cx, ()).await.unwrap(),
            Some(ExitReason::noproc())
        );
    });
}

#[test]
fn references_travel_in_messages() {
    run(async |mut cx: Context| {
        let me = cx.pid();
        let registry = Registry::<String>::start_link(&mut cx, "travel")
            .await
            .unwrap();
        let by_pid = Server::start(&mut cx, (me, Start::Ok))
            .name("by_name")
            .await
            .unwrap();
        Server::start(&mut cx, (me, Start::Ok))
            .via(&registry, &"key".into())
            .await
            .unwrap();
        let by_name = ServerRef::<Server>::from_name("by_name").unwrap();
        let via = ServerRef::<Server>::via(&registry, &"key".into()).unwrap();
        cx.send(me, &(&by_pid, &by_name, &via)).unwrap();
        type Three = (ServerRef<Server>, ServerRef<Server>, ServerRef<Server>);
        let three: Three = cx.receive().await.decode().unwrap();
        assert_eq!(three, (by_pid, by_name, via.clone()));
        for server in [three.0, three.1, three.2] {
            assert_eq!(log(&mut cx, &server).await, ["init"]);
        }
        // A second server for the key finds the first.
        let error = Server::start(&mut cx, (me, Start::Ok))
            .via(&registry, &"key".into())
            .await
            .unwrap_err();
        assert_eq!(error, StartError::AlreadyStarted(via.whereis(&cx).unwrap()));
    });
}

#[test]
fn an_idle_server_is_small() {
    // 800 bytes are the aim for all of it: the loop's future, with the state, is its largest part.
    let bytes = run(async |mut cx: Context| {
        let counter = Counter::start(&mut cx, ()).await.unwrap();
        counter.call(&mut cx, ()).await.unwrap();
        cx.vm()
            .process_info(counter.pid().unwrap())
            .expect("it is alive")
            .memory
    });
    println!("an idle gen_server with 8 bytes of state: {bytes} bytes");
    assert!(bytes <= 800, "{bytes} bytes");
}

struct Counter(u64);

impl GenServer for Counter {
    type Args = ();
    type Call = ();
    type Reply = u64;
    type Cast = NoMessage;
    type Info = NoMessage;
    type Continue = NoMessage;

    async fn init(_args: (), _cx: &mut Context) -> Init<Self> {
        Init::ok(Counter(0))
    }

    async fn handle_call(&mut self, _: (), _from: From<u64>, _cx: &mut Context) -> Reply<Self> {
        self.0 += 1;
        Reply::new(self.0)
    }
}
