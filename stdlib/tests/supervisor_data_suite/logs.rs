//! Reports as text.

use super::*;
use otp_stdlib::proc_lib::Format;
use otp_stdlib::supervisor::ReportContext;

/// The reports of a supervisor whose child is started and can't be ended in order.
async fn reports(
    cx: &mut Context,
    shared: &Shared,
) -> (Pid, Pid, SupervisorReport, SupervisorReport) {
    let elements: Vec<String> = (1..=15).map(|number| number.to_string()).collect();
    let list = elements.join(",");
    let spec = format!(
        "{{any_id, {{supervisor_4, start_child, [[{list}]]}}, temporary, 1000, worker, []}}"
    );
    let supervisor = started(cx, &init("one_for_one", 2, &[spec])).await;
    let child = which(cx).await[0].1.unwrap();
    terminate(cx, supervisor, "shutdown").await;
    let reports = shared.reports.lock().unwrap();
    let [progress, report] = &reports[..] else {
        panic!("{reports:?}");
    };
    assert_eq!(progress.context, ReportContext::Progress);
    assert_eq!(report.context, ReportContext::ShutdownError);
    (supervisor, child, progress.clone(), report.clone())
}

#[test]
fn format_log_1() {
    run(async |mut cx, shared| {
        let (_, child, progress, report) = reports(&mut cx, &shared).await;
        let offender = |arguments: &str| {
            format!(
                "[{{pid,{child}}},{{id,any_id}},{{mfargs,{{supervisor_4,start_child,{arguments}}}}},\
                 {{restart_type,temporary}},{{significant,false}},{{shutdown,1000}},{{child_type,worker}}]"
            )
        };
        let text = report.format(Format::new());
        let expected = format!(
            "    supervisor: sup_test\n    errorContext: shutdown_error\n    \
             reason: [1,2,3,4,5,6,7,8,9,10,11,12,13,14,15]\n    offender: {}\n",
            offender("undefined")
        );
        assert_eq!(text, expected);
        let text = progress.format(Format::new());
        let started = offender("[[1,2,3,4,5,6,7,8,9,10,11,12,13,14,15]]");
        assert_eq!(
            text,
            format!("    supervisor: sup_test\n    started: {started}\n")
        );

        let text = report.format(Format::new().depth(10));
        assert!(
            text.contains("reason: [1,2,3,4,5,6,7,8,9,'...']\n"),
            "{text}"
        );
        let text = progress.format(Format::new().depth(10));
        assert!(
            text.starts_with("    supervisor: sup_test\n    started: [{pid,"),
            "{text}"
        );
        assert!(text.contains("'...'"), "{text}");
    });
}

#[test]
fn format_log_2() {
    run(async |mut cx, shared| {
        let (_, child, progress, mut report) = reports(&mut cx, &shared).await;
        let single = Format::new().single_line(true);
        let all = "[1,2,3,4,5,6,7,8,9,10,11,12,13,14,15]";
        let expected = |reason: &str| {
            format!(
                "Supervisor: sup_test. Context: shutdown_error. Reason: {reason}. Offender: id=any_id,pid={child}."
            )
        };
        assert_eq!(report.format(single), expected(all));
        assert_eq!(
            report.format(single.depth(10)),
            expected("[1,2,3,4,5,6,7,8,9,'...']")
        );
        let started = format!("Supervisor: sup_test. Started: id=any_id,pid={child}.");
        assert_eq!(progress.format(single), started);
        assert_eq!(progress.format(single.depth(10)), started);

        for (report, start) in [(&report, "    errorContext: "), (&progress, "    started:")] {
            let text = report.format(Format::new().chars_limit(80));
            assert!(
                text.starts_with(&format!("    supervisor: sup_test\n{start}")),
                "{text}"
            );
            assert!(text.len() < report.format(Format::new()).len());
            let text = report.format(single.chars_limit(40));
            assert!(text.starts_with("Supervisor: sup_test."), "{text}");
            assert!(text.len() < report.format(single).len());
        }
        report.offender.nb_children = Some(7);
        let text = report.format(single.chars_limit(200));
        assert!(
            text.contains("Offender: id=any_id,nb_children=7."),
            "{text}"
        );
    });
}
