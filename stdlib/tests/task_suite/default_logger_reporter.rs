//! What is reported of a task that fails.

use std::sync::{Arc, Mutex};

use otp_stdlib::proc_lib::CrashReport;
use otp_stdlib::task::TaskReport;
use otp_vm::{Ancestor, Vm};

use super::*;

type Reports = Arc<Mutex<Vec<TaskReport>>>;

/// The one report of a task that runs `body`, which must fail. The task's process is reported as well.
fn reported<B, F>(body: B) -> (TaskReport, Pid)
where
    B: Fn(Context) -> F + Copy + Send + 'static,
    F: Future<Output = ()> + Send + 'static,
{
    let reports = Reports::default();
    let crashes = Arc::new(Mutex::new(Vec::new()));
    let (keep, crashed) = (Arc::clone(&reports), Arc::clone(&crashes));
    let vm = Vm::builder().schedulers(1).report_handler(move |report| {
        if let Some(report) = report.downcast_ref::<TaskReport>() {
            keep.lock().unwrap().push(report.clone());
        }
        if let Some(report) = report.downcast_ref::<CrashReport>() {
            crashed.lock().unwrap().push(report.pid);
        }
    });
    let vm = vm.build().unwrap();
    let starter = vm.run(move |mut cx| async move {
        cx.trap_exit(true);
        cx.register("starter", cx.pid()).unwrap();
        let pid = Task::start_link(&cx, body).unwrap();
        common::exit_of(&mut cx, pid).await;
        // Those that end in order are not worth a word.
        for reason in [
            ExitReason::normal(),
            ExitReason::shutdown(),
            ExitReason::shutdown_with("x"),
        ] {
            let pid = Task::start_link(&cx, async |cx: Context| cx.exit(reason)).unwrap();
            common::exit_of(&mut cx, pid).await;
        }
        // Nor is one that is ended from outside.
        let task = stuck::<()>(&cx);
        cx.exit_process(task.pid().unwrap(), atom("oops"));
        common::exit_of(&mut cx, task.pid().unwrap()).await;
        cx.pid()
    });
    let starter = starter.wait().unwrap();
    let mut reports = reports.lock().unwrap();
    assert_eq!(reports.len(), 1, "{reports:?}");
    let report = reports.remove(0);
    assert_eq!(*crashes.lock().unwrap(), [report.pid]);
    (report, starter)
}

#[test]
fn logs_a_terminated_task() {
    let (report, _) = reported(async |_| panic!("oops"));
    let text = report.to_string();
    let begins = format!(
        "task {} started from starter terminating: {{panic,",
        report.pid
    );
    assert!(text.starts_with(&begins) && text.contains("oops"), "{text}");
    assert!(
        text.contains("function: ") && text.contains("default_logger_reporter"),
        "{text}"
    );
    assert_eq!(
        report.starter,
        Some(Ancestor::Name(Atom::new("starter").unwrap()))
    );
    assert_eq!(report.label, None);
}

#[test]
fn logs_a_terminated_task_with_a_process_label() {
    let (report, _) = reported(async |cx: Context| {
        cx.set_label(Atom::new("any_term_works").unwrap());
        cx.exit(atom("oops"))
    });
    assert_eq!(report.label, Atom::new("any_term_works").ok());
    let text = report.to_string();
    let begins = format!(
        "task {} (any_term_works) started from starter terminating: oops",
        report.pid
    );
    assert!(text.starts_with(&begins), "{text}");
}
