//! A process for each user's session: found by the user's name or started, each by itself under one dynamic supervisor,
//! gone when nobody used it for a while. The name goes with the process.
//!
//! Elixir's pattern of `DynamicSupervisor` with `{:via, Registry, {MyApp.Registry, user_id}}`. Names are texts, made at
//! run time, and never atoms.
//!
//! `cargo run -p otp-stdlib --example sessions`

use std::error::Error;
use std::time::Duration;

use otp_stdlib::ChildError;
use otp_stdlib::prelude::*;
use otp_vm::simulation::Simulation;
use otp_vm::{CallError, Context, ExitReason, Vm};

/// A session that was not used for so long ends.
const IDLE: Duration = Duration::from_secs(15 * 60);

/// How long it takes to end.
const SAVE: Duration = Duration::from_millis(100);

/// What one user has seen.
struct Session {
    pages: Vec<String>,
}

#[gen_server]
impl Session {
    fn init() -> Init<Self> {
        Init::ok(Session { pages: Vec::new() }).timeout(IDLE)
    }

    /// Notes a page, and gives how many there are. Each answer begins the time anew.
    #[call]
    fn visit(&mut self, page: String) -> Reply<Self, usize> {
        self.pages.push(page);
        Reply::new(self.pages.len()).timeout(IDLE)
    }

    /// No message came for so long.
    #[timeout]
    fn idle(&mut self) -> NoReply<Self> {
        NoReply::stop(ExitReason::normal())
    }

    /// Saves itself, say. Until it is done it has its name, and answers nobody.
    async fn terminate(&mut self, _reason: &ExitReason, cx: &mut Context) {
        cx.sleep(SAVE).await;
    }
}

/// Whatever may go wrong on the way.
type Failure = Box<dyn Error + Send + Sync>;

/// The one module that knows how sessions are kept. Nobody else has to.
#[derive(Clone, Copy)]
struct Sessions;

impl Sessions {
    /// Registry first, and the sessions with it: one that lost its name would be started a second time.
    fn flags() -> SupervisorFlags {
        SupervisorFlags::rest_for_one()
    }

    fn children() -> Vec<ChildSpec> {
        vec![
            ChildSpec::worker("names", |cx| Registry::<String>::child(cx, "session_names")),
            ChildSpec::supervisor("sessions", |cx| {
                let flags = DynamicSupervisorFlags::new().max_children(10_000);
                DynamicSupervisor::start_link(cx, flags).name("sessions")
            }),
        ]
    }

    fn names() -> Result<Registry<String>, Failure> {
        Ok(Registry::named("session_names")?)
    }

    /// The user's session, by its name: there may be none.
    fn named(user: &str) -> Result<ServerRef<Session>, Failure> {
        Ok(ServerRef::via(&Self::names()?, &user.to_owned())?)
    }

    /// The user's session, started if there is none.
    async fn find_or_start(cx: &mut Context, user: &str) -> Result<ServerRef<Session>, Failure> {
        let session = Self::named(user)?;
        if session.whereis(cx).is_some() {
            return Ok(session);
        }
        let (names, key) = (Self::names()?, user.to_owned());
        let child = ChildSpec::worker("session", move |cx| {
            Session::start_link(cx, ()).via(&names, &key)
        });
        // It comes back after a crash, but not after it was idle.
        let child = child.restart(Restart::Transient);
        let supervisor = DynamicSupervisorRef::from_name("sessions")?;
        match supervisor.start_child(cx, child).await {
            // Somebody else was faster: then that one is the user's.
            Ok(_) | Err(ChildError::Start(StartError::AlreadyStarted(_))) => Ok(session),
            Err(error) => Err(error.into()),
        }
    }

    /// Notes a page of the user's, in a session that is there or a new one.
    async fn visit(cx: &mut Context, user: &str, page: &str) -> Result<usize, Failure> {
        loop {
            let session = Self::find_or_start(cx, user).await?;
            match session.visit(cx, page.to_owned()).await {
                // It was about to end when it was found, so it has not seen the page.
                Err(CallError::Exit(reason))
                    if [ExitReason::noproc(), ExitReason::normal()].contains(&reason) => {}
                visited => return Ok(visited?),
            }
        }
    }
}

/// Whether a visit at the very moment in which a session ends was one to the session before.
async fn use_them(mut cx: Context) -> Result<bool, Failure> {
    let cx = &mut cx;
    Supervisor::start_link(cx, Sessions::flags(), Sessions::children()).await?;
    let names = Sessions::names()?;

    // Two at once ask for one that is not there: one session comes of it.
    let other = Task::async_(cx, async |mut cx: Context| {
        Sessions::visit(&mut cx, "ada", "/").await.expect("a visit")
    })?;
    let mine = Sessions::visit(cx, "ada", "/").await?;
    let visits = [mine, other.await_(cx).await];
    assert!([[1, 2], [2, 1]].contains(&visits), "{visits:?}");
    assert_eq!(Sessions::visit(cx, "bob", "/").await?, 1);
    println!("{} sessions", names.count(cx));
    assert_eq!(names.count(cx), 2);

    // One crashes: it is started again by its supervisor, empty, under its name. The other has not noticed.
    let before = Sessions::named("ada")?.whereis(cx).ok_or("no session")?;
    let monitor = cx.monitor(before);
    cx.exit_process(before, ExitReason::kill());
    cx.await_down(monitor).await;
    // Until then nobody has the name.
    while Sessions::named("ada")?.whereis(cx).is_none() {
        cx.yield_now().await;
    }
    assert_ne!(Sessions::named("ada")?.whereis(cx), Some(before));
    assert_eq!(Sessions::visit(cx, "ada", "/").await?, 1);
    assert_eq!(Sessions::visit(cx, "bob", "/cart").await?, 2);

    // Half of the time later one of them is used, and then the time of the other is over.
    cx.sleep(IDLE / 2).await;
    assert_eq!(Sessions::visit(cx, "bob", "/pay").await?, 3);
    cx.sleep(IDLE * 3 / 4).await;
    assert_eq!(Sessions::named("ada")?.whereis(cx), None);
    assert_eq!(names.count(cx), 1);
    println!("after a while {}", names.count(cx));
    // At the very moment in which the last one ends: in this session, or in the next.
    let microseconds = cx.random() % 10;
    cx.sleep(IDLE / 4 - Duration::from_micros(microseconds))
        .await;
    let pages = Sessions::visit(cx, "bob", "/thanks").await?;
    println!("{pages} pages");
    assert!([1, 4].contains(&pages), "{pages}");
    cx.sleep(2 * IDLE).await;
    assert_eq!(names.count(cx), 0);
    Ok(pages == 4)
}

/// In a simulation, where the hour passes at once, and who is first is another in each order.
fn run(simulation: &mut Simulation) -> Result<bool, Box<dyn Error>> {
    let vm = Vm::builder().simulate(simulation).build()?;
    let used = simulation.block_on(vm.run(use_them))??;
    let in_time = used.map_err(|error| error as Box<dyn Error>)?;
    simulation.block_on(vm.shutdown(Duration::from_secs(5)))?;
    Ok(in_time)
}

fn main() -> Result<(), Box<dyn Error>> {
    run(&mut Simulation::new(1)?).map(drop)
}

#[test]
fn holds_in_every_order() {
    let mut in_time = 0;
    let explored = Simulation::builder().explore(0..100, |simulation| {
        in_time += u32::from(run(simulation)?);
        Ok(())
    });
    assert_eq!(explored.unwrap_or_else(|failure| panic!("{failure}")), 100);
    assert!((1..100).contains(&in_time), "{in_time}");
}
