//! The attribute `#[gen_server]`: what it makes of a block, as its users see it.

use std::collections::HashMap;
use std::time::Duration;

use otp_stdlib::prelude::*;
use otp_vm::{CallError, Context, Down, ExitReason, Vm, term};
use serde::{Deserialize, Serialize};

const LIMIT: Duration = Duration::from_secs(30);

/// A cache: entries that are swept when they are too old.
#[derive(Default)]
struct Cache {
    entries: HashMap<String, String>,
    swept: u32,
    idle: u32,
    downs: Vec<ExitReason>,
    waiting: Vec<gen_server::From<Option<String>>>,
}

struct Options {
    first: Option<(String, String)>,
}

#[derive(Debug, Serialize, Deserialize)]
struct Sweep;

#[derive(Debug, Serialize, Deserialize)]
enum Other {
    Forget(String),
}

#[gen_server]
impl Cache {
    async fn init(options: Options, cx: &mut Context) -> Init<Self> {
        cx.put(&"began", &true).unwrap();
        let first = options.first;
        Init::ok(Cache::default()).and_continue(CacheContinue::Load(first, 7))
    }

    #[continues]
    async fn load(&mut self, first: Option<(String, String)>, swept: u32) {
        self.entries.extend(first);
        self.swept = swept;
    }

    /// What is kept under a key.
    #[call]
    pub async fn get(&mut self, key: String) -> Option<String> {
        self.entries.get(&key).cloned()
    }

    #[call]
    fn len(&self) -> usize {
        self.entries.len()
    }

    /// Replies when somebody puts.
    #[call]
    async fn next(
        &mut self,
        from: gen_server::From<Option<String>>,
    ) -> Reply<Self, Option<String>> {
        self.waiting.push(from);
        Reply::later()
    }

    #[call]
    async fn figures(&mut self, cx: &mut Context) -> (u32, u32, Vec<ExitReason>, bool) {
        let began = cx.get(&"began").unwrap().unwrap_or(false);
        (
            self.swept,
            self.idle,
            std::mem::take(&mut self.downs),
            began,
        )
    }

    #[call]
    fn finish(&mut self, reason: ExitReason) -> Reply<Self, String> {
        Reply::stop_with(reason, "bye".to_owned())
    }

    #[call]
    fn rest(&mut self) -> Reply<Self, ()> {
        Reply::new(()).timeout(Duration::from_millis(1))
    }

    #[cast]
    pub async fn put(&mut self, key: String, value: String, cx: &mut Context) {
        for from in self.waiting.drain(..) {
            from.reply(cx, &Some(value.clone())).unwrap();
        }
        self.entries.insert(key, value);
    }

    #[cast]
    fn watch(&mut self, pid: otp_vm::Pid, cx: &mut Context) -> NoReply<Self> {
        cx.monitor(pid);
        NoReply::new()
    }

    #[info]
    async fn sweep(&mut self, _: Sweep) {
        self.swept += 1;
        self.entries.clear();
    }

    #[info]
    fn other(&mut self, Other::Forget(key): Other) {
        self.entries.remove(&key);
    }

    #[info]
    fn down(&mut self, down: Down) {
        self.downs.push(down.reason);
    }

    #[timeout]
    async fn idle(&mut self) {
        self.idle += 1;
    }

    async fn terminate(&mut self, reason: &ExitReason, cx: &mut Context) {
        if let Some(told) = cx.whereis("told") {
            cx.send(told, reason).unwrap();
        }
    }
}

fn options(first: &[(&str, &str)]) -> Options {
    let first = first.first();
    let first = first.map(|(key, value)| (key.to_string(), value.to_string()));
    Options { first }
}

#[test]
fn calls_have_replies_of_their_own_types() {
    let vm = Vm::builder().schedulers(1).build().unwrap();
    let run = vm.run(async |mut cx: Context| {
        let cx = &mut cx;
        let cache = Cache::start_link(cx, options(&[("a", "1")]))
            .name("cache")
            .await
            .unwrap();
        assert_eq!(
            cache.get(cx, "a".into()).await.unwrap().as_deref(),
            Some("1")
        );
        cache.put(cx, "b".into(), "2".into()).unwrap();
        assert_eq!(cache.len(cx).await.unwrap(), 2);
        let by_name = ServerRef::<Cache>::from_name("cache").unwrap();
        assert_eq!(by_name.get(cx, "none".into()).await.unwrap(), None);
        let (swept, idle, downs, began) = cache.figures(cx).await.unwrap();
        assert_eq!((swept, idle, downs.len(), began), (7, 0, 0, true));
    });
    run.wait().unwrap();
}

#[test]
fn a_response_is_fetched_later_by_the_type_of_its_reply() {
    let vm = Vm::builder().schedulers(1).build().unwrap();
    let run = vm.run(async |mut cx: Context| {
        let cx = &mut cx;
        let cache = Cache::start_link(cx, options(&[("a", "1")])).await.unwrap();
        let get = || CacheCall::Get("a".into());
        let value = cache.send_request_as::<Option<String>>(cx, get()).unwrap();
        let len = cache.send_request_as::<usize>(cx, CacheCall::Len).unwrap();
        let wrong = cache.send_request_as::<usize>(cx, get()).unwrap();
        assert_eq!(len.receive_response(cx, LIMIT).await.unwrap(), 1);
        let value = value.receive_response(cx, LIMIT).await.unwrap();
        assert_eq!(value.as_deref(), Some("1"));
        let wrong = wrong.receive_response(cx, LIMIT).await;
        assert!(matches!(wrong, Err(CallError::Decode(_))), "{wrong:?}");
    });
    run.wait().unwrap();
}

#[test]
fn messages_are_what_erlang_would_send() {
    let vm = Vm::builder().schedulers(1).build().unwrap();
    let run = vm.run(async |mut cx: Context| {
        let cx = &mut cx;
        let cache = Cache::start_link(cx, options(&[]))
            .await
            .unwrap()
            .pid()
            .unwrap();
        cx.cast(cache, &term!({put, "key", "value"})).unwrap();
        let got: Option<String> = cx.call(cache, &term!({get, "key"}), LIMIT).await.unwrap();
        assert_eq!(got.as_deref(), Some("value"));
        let len: usize = cx.call(cache, &term!(len), LIMIT).await.unwrap();
        assert_eq!(len, 1);
        let unknown = cx.call::<_, usize>(cache, &term!({ get }), LIMIT).await;
        assert!(matches!(unknown, Err(CallError::Decode(_))), "{unknown:?}");
    });
    run.wait().unwrap();
}

#[test]
fn infos_go_to_the_first_handler_that_takes_them() {
    let vm = Vm::builder().schedulers(1).build().unwrap();
    let run = vm.run(async |mut cx: Context| {
        let cx = &mut cx;
        let cache = Cache::start_link(cx, options(&[("a", "1")])).await.unwrap();
        let pid = cache.pid().unwrap();
        cx.send(pid, &Other::Forget("a".into())).unwrap();
        assert_eq!(cache.len(cx).await.unwrap(), 0);
        cx.send(pid, &Sweep).unwrap();
        cx.send(pid, "what nobody takes").unwrap();
        let ended = cx
            .spawn(async |_: Context| ExitReason::from("done"))
            .unwrap();
        cache.watch(cx, ended).unwrap();
        let mut reasons = Vec::new();
        while reasons.is_empty() {
            let (swept, _, downs, _) = cache.figures(cx).await.unwrap();
            assert_eq!(swept, 8);
            reasons = downs;
        }
        // It may have been gone before it was watched.
        assert!(reasons[0] == ExitReason::from("done") || reasons[0] == ExitReason::noproc());
    });
    run.wait().unwrap();
}

#[test]
fn a_timeout_has_its_handler() {
    let vm = Vm::builder().schedulers(1).build().unwrap();
    let run = vm.run(async |mut cx: Context| {
        let cx = &mut cx;
        let cache = Cache::start_link(cx, options(&[])).await.unwrap();
        cache.rest(cx).await.unwrap();
        let mut idle = 0;
        while idle == 0 {
            // Each message takes the timeout away, so it is asked for anew.
            cx.sleep(Duration::from_millis(5)).await;
            idle = cache.figures(cx).await.unwrap().1;
            cache.rest(cx).await.unwrap();
        }
    });
    run.wait().unwrap();
}

#[test]
fn a_call_may_be_answered_later_and_may_stop_the_server() {
    let vm = Vm::builder().schedulers(1).build().unwrap();
    let run = vm.run(async |mut cx: Context| {
        let cx = &mut cx;
        let me = cx.pid();
        cx.register("told", me).unwrap();
        let cache = Cache::start(cx, options(&[])).await.unwrap();
        let asked = cache.clone();
        cx.spawn(async move |mut cx: Context| {
            let next = asked.next(&mut cx).await.unwrap();
            cx.send(me, &next).unwrap();
        })
        .unwrap();
        while cx
            .vm()
            .process_info(cache.pid().unwrap())
            .unwrap()
            .monitored_by
            .is_empty()
        {
            cx.yield_now().await;
        }
        cache.put(cx, "key".into(), "put".into()).unwrap();
        let next: Option<String> = cx.receive().await.decode().unwrap();
        assert_eq!(next.as_deref(), Some("put"));
        assert_eq!(
            cache.finish(cx, ExitReason::shutdown()).await.unwrap(),
            "bye"
        );
        let reason: ExitReason = cx.receive().await.decode().unwrap();
        assert_eq!(reason, ExitReason::shutdown());
        assert!(matches!(cache.len(cx).await, Err(CallError::Exit(_))));
    });
    run.wait().unwrap();
}

#[test]
fn a_reference_says_how_long_its_calls_wait() {
    let vm = Vm::builder().schedulers(1).build().unwrap();
    let run = vm.run(async |mut cx: Context| {
        let cx = &mut cx;
        let cache = Cache::start_link(cx, options(&[])).await.unwrap();
        let hasty = cache.timeout(Duration::from_millis(5));
        assert_eq!(hasty, cache);
        assert!(matches!(hasty.next(cx).await, Err(CallError::Timeout)));
    });
    run.wait().unwrap();
}

#[test]
fn a_program_outside_calls_the_same_functions() {
    let vm = Vm::builder().schedulers(1).build().unwrap();
    let run = vm.run(async |mut cx: Context| {
        Cache::start(&mut cx, options(&[]))
            .name("cache")
            .await
            .unwrap()
    });
    let cache = run.wait().unwrap();
    cache.on(&vm).put("key".into(), "value".into()).unwrap();
    let value = cache.on(&vm).get("key".into()).wait().unwrap().unwrap();
    assert_eq!(value.as_deref(), Some("value"));
    let by_name = ServerRef::<Cache>::from_name("cache").unwrap();
    assert_eq!(by_name.on(&vm).len().wait().unwrap().unwrap(), 1);
    let nobody = ServerRef::<Cache>::from_name("nobody_here").unwrap();
    nobody.on(&vm).put("key".into(), "value".into()).unwrap();
    let failed = nobody.on(&vm).len().wait().unwrap();
    assert!(matches!(failed, Err(CallError::Exit(reason)) if reason == ExitReason::noproc()));
}

/// No message at all, no context, and a state by itself.
struct Bare;

#[gen_server]
impl Bare {
    fn init() -> Self {
        Bare
    }
}

#[test]
fn a_server_needs_only_init() {
    let vm = Vm::builder().schedulers(1).build().unwrap();
    let run = vm.run(async |mut cx: Context| {
        let bare = Bare::start_link(&mut cx, ()).await.unwrap();
        bare.stop(&mut cx, ExitReason::normal(), LIMIT)
            .await
            .unwrap();
    });
    run.wait().unwrap();
}

/// Types of messages that a program keeps to itself are none of the compiler's business.
mod private_types {
    #![deny(private_bounds, private_interfaces)]

    use super::*;

    #[derive(Debug, PartialEq, Serialize, Deserialize)]
    struct Secret(u32);

    struct Keeper {
        secret: u32,
    }

    #[gen_server]
    impl Keeper {
        fn init() -> Self {
            Keeper { secret: 0 }
        }

        #[cast]
        fn keep(&mut self, secret: Secret) {
            self.secret = secret.0;
        }

        #[call]
        fn kept(&self) -> Secret {
            Secret(self.secret)
        }
    }

    #[test]
    fn a_message_may_be_of_a_private_type() {
        let vm = Vm::builder().schedulers(1).build().unwrap();
        let run = vm.run(async |mut cx: Context| {
            let keeper = Keeper::start_link(&mut cx, ()).await.unwrap();
            keeper.keep(&cx, Secret(7)).unwrap();
            assert_eq!(keeper.kept(&mut cx).await.unwrap(), Secret(7));
        });
        run.wait().unwrap();
    }
}
