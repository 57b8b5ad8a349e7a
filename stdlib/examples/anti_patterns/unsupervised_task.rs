//! A task that nobody supervises. `Task::async_` links it: what fails in it ends the server that only wanted something
//! done aside. `Task::start` links it to nobody, and nobody hears of its failure. Under a task supervisor, not linked,
//! it is monitored: the server is told, and goes on; and when the program ends, the task is ended with it.

use otp_stdlib::prelude::*;
use otp_stdlib::task::TaskMessage;
use otp_vm::{CallError, Context};

use crate::Failure;

/// What is done aside, and fails.
async fn mail(cx: Context) {
    cx.exit("no such address");
}

struct Wrong;

#[gen_server]
impl Wrong {
    fn init() -> Self {
        Wrong
    }

    #[cast]
    fn sign_up(&mut self, cx: &mut Context) {
        drop(Task::async_(cx, mail).expect("a process"));
    }

    #[call]
    fn failed(&self) -> u32 {
        0
    }
}

struct Right {
    tasks: TaskSupervisorRef,
    failed: u32,
}

#[gen_server]
impl Right {
    fn init(tasks: TaskSupervisorRef) -> Self {
        Right { tasks, failed: 0 }
    }

    #[cast]
    async fn sign_up(&mut self, cx: &mut Context) {
        let task = TaskSupervisor::async_nolink(&self.tasks, cx, mail).await;
        // What becomes of it comes as a message.
        drop(task.expect("a process"));
    }

    #[info]
    fn mailed(&mut self, message: TaskMessage<()>, cx: &mut Context) {
        match message {
            TaskMessage::Reply(task, ()) => {
                cx.demonitor_flush(task);
            }
            TaskMessage::Down(_, _reason) => self.failed += 1,
        }
    }

    #[call]
    fn failed(&self) -> u32 {
        self.failed
    }
}

pub(crate) async fn shows(mut cx: Context) -> Result<String, Failure> {
    let cx = &mut cx;
    // Not linked: or this process would fall with it as well.
    let wrong = Wrong::start(cx, ()).await?;
    wrong.sign_up(cx)?;
    let gone = loop {
        if let Err(gone) = wrong.failed(cx).await {
            break gone;
        }
    };
    assert!(matches!(gone, CallError::Exit(_)));

    let tasks = TaskSupervisor::start_link(cx, DynamicSupervisorFlags::new()).await?;
    let right = Right::start_link(cx, tasks).await?;
    right.sign_up(cx)?;
    while right.failed(cx).await? == 0 {
        cx.yield_now().await;
    }
    assert_eq!(right.failed(cx).await?, 1);
    Ok(format!("the server falls with it ({gone}), or counts it"))
}
