//! Suspended servers.

use otp_stdlib::proc_lib;

use super::*;
use common::{down, exit_of};

#[test]
fn messages_wait_in_order() {
    simulated(|mut cx: Context| async move {
        let cx = &mut cx;
        let agent = Agent::start_link(cx, Vec::new).await.unwrap();
        sys::suspend(&agent).call(cx).await.unwrap();
        for n in 0..100 {
            agent.cast(cx, move |seen| seen.push(n)).unwrap();
            if n == 50 {
                let seen = sys::inspect(&agent, Vec::<i32>::len).call(cx).await;
                assert_eq!(seen, Ok(0));
            }
        }
        sys::resume(&agent).call(cx).await.unwrap();
        let seen = agent.get(cx, Vec::clone).await.unwrap();
        assert_eq!(seen, (0..100).collect::<Vec<_>>());
    });
}

#[test]
fn an_agent_that_is_traced_gives_its_values() {
    // A value need not be a term: it is moved to the caller, whoever looks on.
    traced(async |mut cx: Context, lines| {
        let cx = &mut cx;
        let agent = Agent::start(cx, || 7).name("seven").await.unwrap();
        sys::trace(&agent, true).call(cx).await.unwrap();
        agent.update(cx, |seven| *seven += 1).await.unwrap();
        assert_eq!(agent.get(cx, |eight| *eight).await.unwrap(), 8);
        agent.stop(cx, ExitReason::normal(), None).await.unwrap();
        let lines = lines.lock().unwrap();
        let sent = "*DBG* seven sent <<\"a native resource can't be shown\">> to <";
        assert_eq!(
            lines.iter().filter(|line| line.starts_with(sent)).count(),
            2,
            "{lines:?}"
        );
    });
}

#[test]
fn its_parents_end_ends_it_and_it_cleans_up() {
    simulated(|mut cx: Context| async move {
        let me = cx.pid();
        let parent = cx.spawn(async move |mut cx: Context| {
            let args = common::ProbeArgs::new("child", me);
            common::Probe::start_link(&mut cx, args).await.unwrap();
            cx.receive().await;
            ExitReason::from("enough")
        });
        let child = common::started(&mut cx, "child").await;
        sys::suspend(child).call(&mut cx).await.unwrap();
        let monitor = cx.monitor(child);
        cx.send(parent.unwrap(), "go").unwrap();
        let reason = common::terminated(&mut cx, "child").await;
        assert_eq!(reason, ExitReason::from("enough"));
        assert_eq!(down(&mut cx, monitor).await, ExitReason::from("enough"));
    });
}

#[test]
fn it_is_stopped_and_shut_down_as_ever() {
    simulated(|mut cx: Context| async move {
        let cx = &mut cx;
        cx.trap_exit(true);
        let server = Server::start_link(cx, ()).await.unwrap();
        sys::suspend(&server).call(cx).await.unwrap();
        let pid = server.pid().unwrap();
        proc_lib::stop(cx, pid, "enough", None).await.unwrap();
        assert_eq!(exit_of(cx, pid).await, ExitReason::from("enough"));
        // By its supervisor, too.
        let child = ChildSpec::worker("server", |cx| Server::start_link(cx, ()));
        let flags = SupervisorFlags::one_for_one();
        let tree = Supervisor::start_link(cx, flags, vec![child])
            .await
            .unwrap();
        let pid = tree.which_children(cx).await.unwrap()[0].pid.unwrap();
        sys::suspend(pid).call(cx).await.unwrap();
        tree.stop(cx, ExitReason::normal(), None).await.unwrap();
        assert!(!cx.vm().is_alive(pid));
    });
}

/// A server with a timeout, and one that hibernates.
struct Waits(otp_vm::Pid);

#[gen_server]
impl Waits {
    fn init(witness: otp_vm::Pid) -> Init<Self> {
        Init::ok(Waits(witness)).timeout(Duration::from_millis(100))
    }

    #[timeout]
    fn timeout(&mut self, cx: &mut Context) {
        cx.send(self.0, "timeout").expect("a text");
    }
}

#[test]
fn a_timeout_begins_anew_after_a_system_message() {
    simulated(|mut cx: Context| async move {
        let (me, cx) = (cx.pid(), &mut cx);
        let server = Waits::start_link(cx, me).await.unwrap();
        let ms = Duration::from_millis;
        cx.sleep(ms(90)).await;
        sys::get_state(&server).call(cx).await.unwrap();
        cx.sleep(ms(90)).await;
        sys::suspend(&server).call(cx).await.unwrap();
        // While it is suspended no time passes for it.
        assert!(cx.receive_timeout(ms(1000)).await.is_none());
        sys::trace(&server, true).call(cx).await.unwrap();
        sys::resume(&server).call(cx).await.unwrap();
        assert!(cx.receive_timeout(ms(90)).await.is_none());
        assert!(cx.receive_timeout(ms(20)).await.is_some());
        assert!(
            cx.receive_timeout(ms(1000)).await.is_none(),
            "it comes once"
        );
    });
}

#[test]
fn from_outside_of_the_vm() {
    let vm = Vm::builder().schedulers(1).build().unwrap();
    let server = vm.run(async |mut cx: Context| Server::start(&mut cx, ()).await.unwrap());
    let server = server.wait().unwrap();
    sys::suspend(&server).on(&vm).wait().unwrap().unwrap();
    let status = sys::get_status(&server).on(&vm).wait().unwrap().unwrap();
    assert_eq!(status.state, SysState::Suspended);
    assert_eq!(
        (status.pid, status.parent),
        (server.pid().unwrap(), server.pid().unwrap())
    );
    assert_eq!(status.module.as_str(), "gen_server");
    sys::resume(&server).on(&vm).wait().unwrap().unwrap();
    let doubled = sys::replace_state(&server, |state: &Server| Server(state.0 + 21));
    assert_eq!(
        doubled.on(&vm).wait().unwrap().unwrap().root().as_i64(),
        Some(21)
    );
    sys::terminate(&server, ExitReason::normal())
        .on(&vm)
        .wait()
        .unwrap()
        .unwrap();
    vm.shutdown(common::LIMIT).wait();
}

#[test]
fn a_supervisor_is_looked_at_suspended_and_changed() {
    use otp_stdlib::supervisor::{Supervise, SupervisorInit};

    /// Gives as many children as it is told to.
    struct Many;

    impl Supervise for Many {
        type Args = Arc<Mutex<usize>>;

        async fn init(many: &Arc<Mutex<usize>>, _cx: &mut Context) -> SupervisorInit {
            let child = |at| ChildSpec::worker(format!("{at}"), |cx| Server::start_link(cx, ()));
            let many = *many.lock().expect("no panic");
            if many == 0 {
                return SupervisorInit::Stop(ExitReason::from("none"));
            }
            SupervisorInit::Ok(
                SupervisorFlags::one_for_one(),
                (0..many).map(child).collect(),
            )
        }
    }

    simulated(|mut cx: Context| async move {
        let cx = &mut cx;
        let many = Arc::new(Mutex::new(1));
        let tree = Supervisor::start_link_with::<Many>(cx, Arc::clone(&many))
            .await
            .unwrap();
        let state = sys::get_state(&tree).call(cx).await.unwrap().to_string();
        assert!(state.contains("strategy => one_for_one"), "{state}");
        let child = tree.which_children(cx).await.unwrap()[0].pid.unwrap();
        sys::suspend(&tree).call(cx).await.unwrap();
        // A child that ends is started again when the supervisor goes on.
        cx.exit_process(child, ExitReason::kill());
        common::ended(cx, child).await;
        let change = |many: &Mutex<usize>, to: usize| *many.lock().unwrap() = to;
        change(&many, 3);
        let module = atom("many");
        sys::change_code(&tree, module, "1", &())
            .call(cx)
            .await
            .unwrap();
        change(&many, 0);
        let refused = sys::change_code(&tree, module, "1", &()).call(cx).await;
        let why = ExitReason::new(&(atom("error"), "none"));
        assert_eq!(refused, Err(SysError::Refused(why)));
        sys::resume(&tree).call(cx).await.unwrap();
        let counts = tree.count_children(cx).await.unwrap();
        assert_eq!((counts.specs, counts.active), (3, 1));
    });
}
