//! A server that does in a callback what takes long: meanwhile it answers nobody else. Let a task do it, and reply:
//! `slow_request.rs` shows all of it.
//!
//! Two ways out that lead nowhere: to answer with the task itself, for only who started a task can await it; and a task
//! that nobody watches (`Task::start`), for when it crashes its caller waits in vain.

use std::collections::BTreeMap;
use std::time::Duration;

use otp_stdlib::gen_server::From;
use otp_stdlib::prelude::*;
use otp_stdlib::task::TaskMessage;
use otp_vm::{CallError, Context, Ref};

use crate::Failure;

async fn download(cx: &Context) -> u64 {
    cx.sleep(Duration::from_secs(3600)).await;
    100_000_000
}

struct Wrong;

#[gen_server]
impl Wrong {
    fn init() -> Self {
        Wrong
    }

    #[call]
    async fn sync(&mut self, cx: &mut Context) -> u64 {
        download(cx).await
    }

    #[call]
    fn is_well(&self) -> bool {
        true
    }
}

struct Right {
    tasks: TaskSupervisorRef,
    waiting: BTreeMap<Ref, From<u64>>,
}

#[gen_server]
impl Right {
    fn init(tasks: TaskSupervisorRef) -> Self {
        let waiting = BTreeMap::new();
        Right { tasks, waiting }
    }

    #[call]
    async fn sync(&mut self, from: From<u64>, cx: &mut Context) -> Reply<Self, u64> {
        let body = async |cx: Context| download(&cx).await;
        match TaskSupervisor::async_nolink(&self.tasks, cx, body).await {
            Ok(task) => {
                self.waiting.insert(task.reference(), from);
                Reply::later()
            }
            Err(error) => Reply::stop(error.to_string().as_str()),
        }
    }

    #[info]
    fn done(&mut self, message: TaskMessage<u64>, cx: &mut Context) -> NoReply<Self> {
        match message {
            TaskMessage::Reply(task, bytes) => {
                cx.demonitor_flush(task);
                if let Some(from) = self.waiting.remove(&task) {
                    from.reply(cx, &bytes).expect("a number is a term");
                }
                NoReply::new()
            }
            // Its callers hear of it by the server's end; slow_request.rs tells the one whom it concerns.
            TaskMessage::Down(_, reason) => NoReply::stop(reason),
        }
    }

    #[call]
    fn is_well(&self) -> bool {
        true
    }
}

pub(crate) async fn shows(mut cx: Context) -> Result<String, Failure> {
    let cx = &mut cx;
    let wrong = Wrong::start_link(cx, ()).await?;
    let patient = wrong.timeout(None);
    let sync = Task::async_(cx, async move |mut cx: Context| patient.sync(&mut cx).await)?;
    cx.sleep(Duration::from_secs(1)).await;
    let blocked = wrong.is_well(cx).await;
    assert!(matches!(blocked, Err(CallError::Timeout)));
    assert_eq!(sync.await_timeout(cx, None).await?, 100_000_000);

    let flags = DynamicSupervisorFlags::new();
    let tasks = TaskSupervisor::start_link(cx, flags).await?;
    let right = Right::start_link(cx, tasks).await?;
    let patient = right.timeout(None);
    let sync = Task::async_(cx, async move |mut cx: Context| patient.sync(&mut cx).await)?;
    cx.sleep(Duration::from_secs(1)).await;
    assert!(right.is_well(cx).await?);
    assert_eq!(sync.await_timeout(cx, None).await?, 100_000_000);
    Ok("others are kept for an hour, or not at all".to_owned())
}
