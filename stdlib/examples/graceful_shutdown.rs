//! A queue that survives its program: when it is told to end, its `terminate` has it written down, and the next one
//! begins with it. What it needs for that still lives then, for a tree ends in the reverse order of its start.
//!
//! Elixir's `terminate/2` with `Process.flag(:trap_exit, true)`, under a supervisor with `rest_for_one`.
//!
//! `cargo run -p otp-stdlib --example graceful_shutdown`

use std::collections::VecDeque;
use std::error::Error;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use otp_stdlib::prelude::*;
use otp_vm::simulation::Simulation;
use otp_vm::{Context, ExitReason, Vm};

/// Who has ended, in order.
type Ended = Arc<Mutex<Vec<&'static str>>>;

fn note(ended: &Ended, who: &'static str, reason: &ExitReason) {
    println!("  {who} ends: {reason}");
    ended.lock().expect("nobody panics with it").push(who);
}

#[derive(Clone)]
struct Options {
    file: PathBuf,
    ended: Ended,
}

/// Has the file. It would be a database.
struct Store(Options);

#[gen_server]
impl Store {
    fn init(options: Options, cx: &mut Context) -> Self {
        cx.trap_exit(true);
        Store(options)
    }

    /// What was saved last; nothing if nothing was.
    #[call]
    fn load(&self) -> Result<Vec<String>, String> {
        match fs::read_to_string(&self.0.file) {
            Ok(text) => Ok(text.lines().map(str::to_owned).collect()),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Vec::new()),
            Err(error) => Err(error.to_string()),
        }
    }

    /// All or nothing: whoever is killed while it writes leaves the file as it was.
    #[call]
    fn save(&mut self, jobs: Vec<String>) -> Result<(), String> {
        let new = self.0.file.with_extension("new");
        let written = fs::write(&new, jobs.join("\n"));
        let renamed = written.and_then(|()| fs::rename(&new, &self.0.file));
        renamed.map_err(|error| error.to_string())
    }

    async fn terminate(&mut self, reason: &ExitReason, _cx: &mut Context) {
        note(&self.0.ended, "store", reason);
    }
}

struct Queue {
    jobs: VecDeque<String>,
    ended: Ended,
}

fn store() -> ServerRef<Store> {
    ServerRef::from_name("store").expect("a short name")
}

#[gen_server]
impl Queue {
    async fn init(options: Options, cx: &mut Context) -> Init<Self> {
        // Without it the supervisor's `shutdown` would end the process as it stands, and `terminate` not be called.
        cx.trap_exit(true);
        match store().load(cx).await {
            Ok(Ok(jobs)) => Init::ok(Queue {
                jobs: jobs.into(),
                ended: options.ended,
            }),
            // Not an empty queue: that would be saved in the place of the one that can't be read.
            Ok(Err(error)) => Init::stop(error.as_str()),
            Err(error) => Init::stop(error.reason()),
        }
    }

    #[cast]
    fn push(&mut self, job: String) {
        self.jobs.push_back(job);
    }

    #[call]
    fn pop(&mut self) -> Option<String> {
        self.jobs.pop_front()
    }

    #[call]
    fn jobs(&self) -> Vec<String> {
        self.jobs.iter().cloned().collect()
    }

    async fn terminate(&mut self, reason: &ExitReason, cx: &mut Context) {
        let jobs = self.jobs.iter().cloned().collect();
        match store().save(cx, jobs).await {
            Ok(Ok(())) => note(&self.ended, "queue", reason),
            failed => println!("  the queue is lost: {failed:?}"),
        }
    }
}

/// Where jobs come from: it ends first, so that none comes while the queue is written down.
struct Intake(Options);

#[gen_server]
impl Intake {
    fn init(options: Options, cx: &mut Context) -> Self {
        cx.trap_exit(true);
        Intake(options)
    }

    #[call]
    fn submit(&mut self, job: String, cx: &mut Context) {
        queue().push(cx, job).expect("a text is a term");
    }

    async fn terminate(&mut self, reason: &ExitReason, _cx: &mut Context) {
        note(&self.0.ended, "intake", reason);
    }
}

fn queue() -> ServerRef<Queue> {
    ServerRef::from_name("queue").expect("a short name")
}

async fn start(cx: &mut Context, options: Options) -> Result<SupervisorRef, StartError> {
    let [store, queue, intake] = [(); 3].map(|()| options.clone());
    let children = vec![
        ChildSpec::worker("store", move |cx| {
            Store::start_link(cx, store.clone()).name("store")
        }),
        // Longer than the 5 seconds of a worker, if it takes longer to write: whoever is not done then is killed.
        ChildSpec::worker("queue", move |cx| {
            Queue::start_link(cx, queue.clone()).name("queue")
        })
        .shutdown(Shutdown::After(Duration::from_secs(30))),
        ChildSpec::worker("intake", move |cx| {
            Intake::start_link(cx, intake.clone()).name("intake")
        }),
    ];
    // Who stands below depends on who stands above.
    Supervisor::start_link(cx, SupervisorFlags::rest_for_one(), children).await
}

type Failure = Box<dyn Error + Send + Sync>;

/// The first program: takes three jobs, does one, and ends its tree by itself.
async fn first(mut cx: Context, options: Options) -> Result<(), Failure> {
    let cx = &mut cx;
    let tree = start(cx, options).await?;
    let intake = ServerRef::<Intake>::from_name("intake")?;
    for job in ["one", "two", "three"] {
        intake.submit(cx, job.into()).await?;
    }
    while queue().jobs(cx).await?.len() < 3 {
        cx.yield_now().await;
    }
    assert_eq!(queue().pop(cx).await?.as_deref(), Some("one"));
    // `normal`, since this process is linked to the tree, and another reason would end it as well.
    tree.stop(cx, ExitReason::normal(), None).await?;
    Ok(())
}

/// The second one finds two, and is there until it is told to end.
async fn second(cx: &mut Context, options: Options) -> Result<(), Failure> {
    let tree = start(cx, options).await?;
    let found = queue().jobs(cx).await?;
    println!("  found {found:?}");
    assert_eq!(found, ["two", "three"]);

    // A kill calls no `terminate`: what came since the queue was saved is lost. What must not be lost is saved at once.
    queue().push(cx, "four".into())?;
    let killed = queue().whereis(cx).ok_or("no queue")?;
    cx.exit_process(killed, ExitReason::kill());
    while queue().whereis(cx).is_none_or(|pid| pid == killed) {
        cx.yield_now().await;
    }
    // The supervisor answers when all are started again.
    assert_eq!(tree.count_children(cx).await?.active, 3);
    assert_eq!(queue().pop(cx).await?.as_deref(), Some("two"));
    assert_eq!(queue().jobs(cx).await?, ["three"]);
    Ok(())
}

/// One program after the other, each a VM of its own in one simulation.
fn run_in(simulation: &mut Simulation, directory: &Path) -> Result<(), Box<dyn Error>> {
    let file = directory.join("queue");
    let ended = Ended::default();
    let in_order = ["intake", "queue", "store"];
    let options = Options {
        file: file.clone(),
        ended: Arc::clone(&ended),
    };
    let limit = Duration::from_secs(60);

    println!("the first program");
    let (vm, its) = (Vm::builder().simulate(simulation).build()?, options.clone());
    let ran = simulation.block_on(vm.run(|cx| first(cx, its)))??;
    ran.map_err(|error| error as Box<dyn Error>)?;
    assert_eq!(*ended.lock().unwrap(), in_order);
    assert_eq!(fs::read_to_string(&file)?, "two\nthree");
    simulation.block_on(vm.shutdown(limit))?;

    println!("the second program");
    let vm = Vm::builder().simulate(simulation).build()?;
    let root = vm.spawn(async move |mut cx: Context| {
        second(&mut cx, options).await.expect("it runs");
        cx.receive().await;
    })?;
    // Until there is nothing more to do.
    simulation.run()?;
    assert!(vm.is_alive(root));
    ended.lock().unwrap().clear();
    // As at SIGTERM. Who has no parent is told `shutdown`, and the tree ends with who started it.
    let report = simulation.block_on(vm.shutdown(limit))?;
    assert!(report.is_orderly(), "{report:?}");
    assert_eq!(*ended.lock().unwrap(), in_order);
    assert_eq!(fs::read_to_string(&file)?, "three");
    Ok(())
}

/// With a directory that is there for so long.
fn run(simulation: &mut Simulation) -> Result<(), Box<dyn Error>> {
    let name = format!("otp-vm-graceful-shutdown-{}", std::process::id());
    let directory = std::env::temp_dir().join(name);
    fs::create_dir(&directory)?;
    let ran = run_in(simulation, &directory);
    fs::remove_dir_all(&directory)?;
    ran
}

fn main() -> Result<(), Box<dyn Error>> {
    run(&mut Simulation::new(1)?)
}

#[test]
fn holds_in_every_order() {
    let explored = Simulation::builder().explore(0..20, run);
    assert_eq!(explored.unwrap_or_else(|failure| panic!("{failure}")), 20);
}
