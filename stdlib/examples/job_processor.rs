//! Background jobs with bounded concurrency: a queue, and at most so many jobs at a time, each in a task of its own
//! under a task supervisor. A job that crashes is told of, gives its place to the next one, and harms nobody else.
//!
//! Elixir's pattern of a GenServer with `queue`, `processing` and `max_concurrent` beside a `Task.Supervisor`
//! (`async_nolink`); jobs that are to outlive the program are for a database.
//!
//! `cargo run -p otp-stdlib --example job_processor`

use std::collections::{HashMap, VecDeque};
use std::error::Error;
use std::time::Duration;

use otp_stdlib::prelude::*;
use otp_stdlib::task::TaskMessage;
use otp_vm::simulation::Simulation;
use otp_vm::{Context, ExitReason, Pid, RandomState, Ref, Timeout, Vm};
use serde::{Deserialize, Serialize};

/// Their supervisor's name.
const TASKS: &str = "job_tasks";

#[derive(Serialize, Deserialize)]
struct Job {
    id: u32,
    /// How many mails are to be sent; with none the job crashes.
    mails: u32,
}

/// What the owner hears of each job.
#[derive(Debug, PartialEq, Serialize, Deserialize)]
enum Report {
    JobComplete(u32, u32),
    JobFailed(u32, ExitReason),
}

/// The work. Its value is the task's result: a task that sends it to `self()`, as one reads it now and then, sends it
/// to itself, for in its body that is the task.
async fn process(cx: &Context, job: &Job) -> u32 {
    assert!(job.mails > 0, "no mail in job {}", job.id);
    cx.sleep(Duration::from_secs(1)).await;
    job.mails
}

#[derive(Clone)]
struct Options {
    max_concurrent: usize,
    owner: Pid,
}

struct JobProcessor {
    options: Options,
    tasks: TaskSupervisorRef,
    queue: VecDeque<Job>,
    /// Which job each task has. Its length is how many run.
    processing: HashMap<Ref, u32, RandomState>,
}

#[gen_server]
impl JobProcessor {
    fn init(options: Options) -> Self {
        JobProcessor {
            options,
            tasks: TaskSupervisorRef::from_name(TASKS).expect("a short name"),
            queue: VecDeque::new(),
            processing: HashMap::default(),
        }
    }

    /// Takes the job, and does not wait for it.
    #[cast]
    async fn add_job(&mut self, job: Job, cx: &mut Context) {
        self.queue.push_back(job);
        self.start_jobs(cx).await;
    }

    /// How many wait, and how many run.
    #[call]
    fn status(&self) -> (usize, usize) {
        (self.queue.len(), self.processing.len())
    }

    /// A task is done, or has ended without a result. Either way its place is free.
    #[info]
    async fn job_ended(&mut self, message: TaskMessage<u32>, cx: &mut Context) {
        let (task, result) = match message {
            TaskMessage::Reply(task, mails) => (task, Ok(mails)),
            TaskMessage::Down(task, reason) => (task, Err(reason)),
        };
        // Else the `Down` of one that is done would follow.
        cx.demonitor_flush(task);
        if let Some(id) = self.processing.remove(&task) {
            self.tell(cx, id, result);
        }
        self.start_jobs(cx).await;
    }

    /// Starts jobs as long as there are a job and a place for it. One loop, and no clauses for "nothing queued and
    /// nothing running", "full" and "the next one": between such clauses falls the empty queue with jobs still running,
    /// which is what every last job but one leaves behind, and where a processor without a clause for it crashes.
    async fn start_jobs(&mut self, cx: &mut Context) {
        while self.processing.len() < self.options.max_concurrent {
            let Some(job) = self.queue.pop_front() else {
                return;
            };
            let id = job.id;
            let body = async move |cx: Context| process(&cx, &job).await;
            // Not linked: a job that crashes is not to take the processor along.
            match TaskSupervisor::async_nolink(&self.tasks, cx, body).await {
                Ok(task) => {
                    self.processing.insert(task.reference(), id);
                }
                Err(error) => self.tell(cx, id, Err(error.to_string().as_str().into())),
            }
        }
    }

    fn tell(&self, cx: &Context, id: u32, result: Result<u32, ExitReason>) {
        let report = match result {
            Ok(mails) => Report::JobComplete(id, mails),
            Err(reason) => Report::JobFailed(id, reason),
        };
        cx.send(self.options.owner, &report)
            .expect("a report is a term");
    }
}

async fn report(cx: &mut Context) -> Report {
    let report = cx.receive_as(Timeout::Infinity).await.expect("a report");
    println!("{:>4} s  {report:?}", cx.monotonic_time() / 1_000_000_000);
    report
}

async fn process_jobs(mut cx: Context) {
    let cx = &mut cx;
    let options = Options {
        max_concurrent: 3,
        owner: cx.pid(),
    };
    let children = vec![
        TaskSupervisor::child_spec_with_name(TASKS, DynamicSupervisorFlags::new()),
        JobProcessor::child_spec(options),
    ];
    // All or none: a processor that starts anew knows nothing of jobs that still run, and would start too many.
    let flags = SupervisorFlags::one_for_all();
    let tree = Supervisor::start_link(cx, flags, children)
        .await
        .expect("it starts");
    let processor = tree.which_child(cx, "JobProcessor").await;
    let processor = processor.expect("a child").pid.expect("a process");
    let processor = ServerRef::<JobProcessor>::from_pid(processor);

    let begun = cx.monotonic_time();
    for id in 1..=7 {
        let mails = if id == 2 { 0 } else { 10 * id };
        processor.add_job(cx, Job { id, mails }).expect("a term");
    }
    // The job that crashes does so before its second is over, and the fourth has its place.
    let crashed = report(cx).await;
    assert!(matches!(&crashed, Report::JobFailed(2, reason) if reason.is_abnormal()));
    assert_eq!(processor.status(cx).await.expect("an answer"), (3, 3));
    for round in [[1, 3, 4], [5, 6, 7]] {
        let mut done = Vec::new();
        for _ in round {
            match report(cx).await {
                Report::JobComplete(id, mails) if mails == 10 * id => done.push(id),
                other => panic!("{other:?}"),
            }
        }
        // Three at a time; who of them is told of first is nobody's promise.
        done.sort();
        assert_eq!(done, round);
    }
    let took = Duration::from_nanos(cx.monotonic_time() - begun);
    assert_eq!(took.as_secs(), 2);
    assert_eq!(processor.status(cx).await.expect("an answer"), (0, 0));
}

/// In a simulation, where seconds pass at once.
fn run(simulation: &mut Simulation) -> Result<(), Box<dyn Error>> {
    let vm = Vm::builder().simulate(simulation).build()?;
    simulation.block_on(vm.run(process_jobs))??;
    simulation.block_on(vm.shutdown(Duration::from_secs(5)))?;
    Ok(())
}

fn main() -> Result<(), Box<dyn Error>> {
    run(&mut Simulation::new(1)?)
}

#[test]
fn holds_in_every_order() {
    let explored = Simulation::builder().explore(0..50, run);
    assert_eq!(explored.unwrap_or_else(|failure| panic!("{failure}")), 50);
}
