//! Elixir's cases of `GenServer`, by the server of OTP's.

use super::names::DummyVia;
use super::suite::{Answer, Args, Call, Cast, Suite, atom, is, ms, simulated, suite, told};
use super::*;

async fn started(cx: &mut Context, server: &ServerRef<Suite>) {
    assert_eq!(server.call(cx, Call::StartedP).await.unwrap(), Answer::Ok);
}

#[test]
fn start_link_3_with_via() {
    simulated(async |mut cx: Context| {
        let keeper = DummyVia::default();
        Suite::start_link(&mut cx, Args::Ok)
            .via(&keeper, "via_stack")
            .await
            .unwrap();
        let server = ServerRef::<Suite>::via(&keeper, "via_stack").unwrap();
        started(&mut cx, &server).await;
        // In a message as well, as often as it is sent.
        for _ in 0..2 {
            cx.send(cx.pid(), &server).unwrap();
            let sent: ServerRef<Suite> = cx.receive().await.decode().unwrap();
            assert_eq!(sent, server);
            started(&mut cx, &sent).await;
        }
    });
}

#[test]
fn start_link_3_with_local() {
    simulated(async |mut cx: Context| {
        Suite::start_link(&mut cx, Args::Ok)
            .name("stack")
            .await
            .unwrap();
        started(&mut cx, &ServerRef::from_name("stack").unwrap()).await;
    });
}

#[test]
fn start_link_2_call_2_and_cast_2() {
    simulated(async |mut cx: Context| {
        let me = cx.pid();
        let server = suite(&mut cx).await;
        let links = cx.process_info(me).unwrap().links;
        assert!(links.contains(&server.pid().unwrap()));
        started(&mut cx, &server).await;
        server.cast(&cx, Cast::HandleCast(me)).unwrap();
        assert_eq!(told(&mut cx).await.1, "handled_cast");
        server
            .stop(&mut cx, ExitReason::normal(), Timeout::Infinity)
            .await
            .unwrap();
        // To nobody.
        server.cast(&cx, Cast::HandleCast(me)).unwrap();
        let nobody = ServerRef::<Suite>::from_name("foo").unwrap();
        nobody.cast(&cx, Cast::HandleCast(me)).unwrap();
        let nobody = ServerRef::<Suite>::via(&DummyVia::default(), "bar").unwrap();
        nobody.cast(&cx, Cast::HandleCast(me)).unwrap();
    });
}

/// The reason of a process that calls and exits by it.
async fn exits(cx: &mut Context, server: ServerRef<Suite>, call: Call, after: Timeout) -> String {
    let (_, monitor) = cx
        .spawn_monitor(async move |mut cx: Context| {
            cx.register("self_test", cx.pid()).unwrap();
            server.call_or_exit(&mut cx, call, after).await;
        })
        .unwrap();
    down(cx, monitor).await.to_string()
}

#[test]
fn call_3_exit_messages() {
    simulated(async |mut cx: Context| {
        let server = suite(&mut cx).await;
        let pid = server.pid().unwrap();
        let gone = Suite::start(&mut cx, Args::Ok).await.unwrap();
        gone.stop(&mut cx, ExitReason::normal(), Timeout::Infinity)
            .await
            .unwrap();
        let gone_pid = gone.pid().unwrap();
        let named = |name: &str| ServerRef::<Suite>::from_name(name).unwrap();
        let five = Timeout::After(ms(5000));
        let text = exits(&mut cx, named("self_test"), Call::NextCall, five).await;
        assert_eq!(
            text,
            "{calling_self,{gen_server,call,[self_test,next_call,5000]}}"
        );
        let text = exits(
            &mut cx,
            server.clone(),
            Call::DelayedAnswer(9),
            ms(1).into(),
        )
        .await;
        assert_eq!(
            text,
            format!("{{timeout,{{gen_server,call,[{pid},{{delayed_answer,9}},1]}}}}")
        );
        let text = exits(&mut cx, named("nil"), Call::NextCall, five).await;
        assert_eq!(text, "{noproc,{gen_server,call,[nil,next_call,5000]}}");
        let text = exits(&mut cx, gone, Call::NextCall, Timeout::Infinity).await;
        assert_eq!(
            text,
            format!("{{noproc,{{gen_server,call,[{gone_pid},next_call,infinity]}}}}")
        );
        let elsewhere = ServerRef::from_name_at("stack", atom("bogus_node")).unwrap();
        let text = exits(&mut cx, elsewhere, Call::NextCall, five).await;
        let call = "{gen_server,call,[{stack,bogus_node},next_call,5000]}";
        assert_eq!(text, format!("{{{{nodedown,bogus_node}},{call}}}"));
        let via = ServerRef::via(&DummyVia::default(), "x").unwrap();
        let text = exits(&mut cx, via, Call::NextCall, five).await;
        let call = "{gen_server,call,[{via,dummy_via,<<\"x\">>},next_call,5000]}";
        assert_eq!(text, format!("{{noproc,{call}}}"));
    });
}

#[test]
fn start_2() {
    simulated(async |mut cx: Context| {
        let server = Suite::start(&mut cx, Args::Ok).await.unwrap();
        let links = cx.process_info(cx.pid()).unwrap().links;
        assert!(!links.contains(&server.pid().unwrap()));
        server
            .stop(&mut cx, ExitReason::normal(), Timeout::Infinity)
            .await
            .unwrap();
    });
}

#[test]
fn abcast_3() {
    simulated(async |mut cx: Context| {
        let me = cx.pid();
        Suite::start_link(&mut cx, Args::Ok)
            .name("abcast")
            .await
            .unwrap();
        let here = ServerRef::<Suite>::from_name("abcast").unwrap();
        ServerRef::abcast(&cx, [&here], &Cast::HandleCast(me)).unwrap();
        assert_eq!(told(&mut cx).await.1, "handled_cast");
        let at = |node| ServerRef::<Suite>::from_name_at("abcast", node).unwrap();
        let both = [at(cx.node()), at(atom("foo@bar"))];
        ServerRef::abcast(&cx, &both, &Cast::HandleCast(me)).unwrap();
        assert_eq!(told(&mut cx).await.1, "handled_cast");
    });
}

#[test]
fn multi_call_4() {
    simulated(async |mut cx: Context| {
        Suite::start_link(&mut cx, Args::Ok)
            .name("multi")
            .await
            .unwrap();
        let at = |node| ServerRef::<Suite>::from_name_at("multi", node).unwrap();
        let both = [at(cx.node()), at(atom("foo@bar"))];
        let called = ServerRef::multi_call(&mut cx, &both[..1], &Call::StartedP, ms(5000)).await;
        assert_eq!(called.replies, [(both[0].clone(), Answer::Ok)]);
        assert!(called.bad.is_empty());
        let called = ServerRef::multi_call(&mut cx, &both, &Call::StartedP, ms(5000)).await;
        assert_eq!(called.replies, [(both[0].clone(), Answer::Ok)]);
        assert_eq!(called.bad.len(), 1);
        assert_eq!(called.bad[0].server, both[1]);
    });
}

#[test]
fn whereis_1() {
    simulated(async |mut cx: Context| {
        let keeper = DummyVia::default();
        let named = Suite::start_link(&mut cx, Args::Ok)
            .name("whereis_server")
            .await
            .unwrap();
        let by_name = ServerRef::<Suite>::from_name("whereis_server").unwrap();
        assert_eq!(by_name.whereis(&cx), named.pid());
        let at = |node| ServerRef::<Suite>::from_name_at("whereis_server", node).unwrap();
        assert_eq!(at(cx.node()).whereis(&cx), named.pid());
        // Elsewhere: the name and the node are all that is known.
        let elsewhere = at(atom("another_node"));
        assert_eq!(elsewhere.whereis(&cx), None);
        assert_eq!(
            elsewhere.target().to_term().to_string(),
            "{whereis_server,another_node}"
        );
        assert_eq!(named.whereis(&cx), named.pid());
        let bad = ServerRef::<Suite>::from_name("whereis_bad_server").unwrap();
        assert_eq!(bad.whereis(&cx), None);
        let kept = Suite::start_link(&mut cx, Args::Ok)
            .via(&keeper, "w")
            .await
            .unwrap();
        assert_eq!(
            ServerRef::<Suite>::via(&keeper, "w").unwrap().whereis(&cx),
            kept.pid()
        );
        assert_eq!(
            ServerRef::<Suite>::via(&keeper, "bad")
                .unwrap()
                .whereis(&cx),
            None
        );
    });
}

/// A server that stops itself by a call of `stop`.
struct StopsItself;

impl GenServer for StopsItself {
    type Args = ();
    type Call = ();
    type Reply = ExitReason;
    type Cast = NoMessage;
    type Info = NoMessage;
    type Continue = NoMessage;

    async fn init(_args: (), _cx: &mut Context) -> Init<Self> {
        Init::ok(Self)
    }

    async fn handle_call(
        &mut self,
        (): (),
        _from: From<ExitReason>,
        cx: &mut Context,
    ) -> Reply<Self> {
        let me = ServerRef::<Self>::from_pid(cx.pid());
        let stopped = me.stop(cx, ExitReason::normal(), Timeout::Infinity).await;
        Reply::new(ExitReason::from(stopped.unwrap_err()))
    }
}

#[test]
fn stop_3() {
    // The reasons are OTP's, bare; Elixir adds the call.
    simulated(async |mut cx: Context| {
        let infinity = Timeout::Infinity;
        let server = Suite::start(&mut cx, Args::Ok).await.unwrap();
        server
            .stop(&mut cx, ExitReason::normal(), infinity)
            .await
            .unwrap();
        for nobody in [server, ServerRef::from_name("nil").unwrap()] {
            let error = nobody
                .stop(&mut cx, ExitReason::normal(), infinity)
                .await
                .unwrap_err();
            assert_eq!(ExitReason::from(error), ExitReason::noproc());
        }
        let itself = StopsItself::start(&mut cx, ()).await.unwrap();
        let reason = itself.call(&mut cx, ()).await.unwrap();
        assert!(is(&reason, "calling_self"), "{reason}");
        Suite::start(&mut cx, Args::Ok)
            .name("to_stop")
            .await
            .unwrap();
        let named = ServerRef::<Suite>::from_name("to_stop").unwrap();
        named
            .stop(&mut cx, ExitReason::normal(), infinity)
            .await
            .unwrap();
    });
}

/// The test's server.
struct Stack(Vec<String>);

#[gen_server]
impl Stack {
    fn init(elements: Vec<String>) -> Self {
        Stack(elements)
    }

    #[call]
    fn pop(&mut self) -> Option<String> {
        self.0.pop()
    }
}

#[test]
fn generates_child_spec_1() {
    run(async |mut cx: Context| {
        use otp_stdlib::supervisor::{ChildKind, Childspec};

        async fn shown(cx: &mut Context, spec: ChildSpec) -> Childspec {
            let id = spec.id().clone();
            let flags = SupervisorFlags::one_for_one();
            let tree = Supervisor::start_link(cx, flags, vec![spec]).await.unwrap();
            tree.get_childspec(cx, id).await.unwrap()
        }
        let spec = shown(&mut cx, Stack::child_spec(vec!["hello".to_owned()])).await;
        assert_eq!(spec.id, "Stack");
        assert_eq!(spec.restart, Restart::Permanent);
        assert_eq!(spec.shutdown, Shutdown::After(Duration::from_secs(5)));
        assert_eq!(spec.kind, ChildKind::Worker);
        let custom = Stack::child_spec(vec![])
            .with_id("id")
            .restart(Restart::Temporary)
            .shutdown(Shutdown::Infinity);
        let spec = shown(&mut cx, custom).await;
        assert_eq!(spec.id, "id");
        assert_eq!(spec.restart, Restart::Temporary);
        assert_eq!(spec.shutdown, Shutdown::Infinity);
        // Under a name, which is the id as well.
        let name = otp_stdlib::Name::local("stack").unwrap();
        let spec = Stack::child_spec_named(name, vec![]);
        assert_eq!(shown(&mut cx, spec).await.id, "stack");
        let stack = ServerRef::<Stack>::from_name("stack").unwrap();
        assert_eq!(stack.pop(&mut cx).await.unwrap(), None);
    });
}
