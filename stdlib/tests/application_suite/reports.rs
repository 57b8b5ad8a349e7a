//! Cases about reports.

use otp_stdlib::application::ApplicationReport;
use otp_stdlib::proc_lib::Format;
use otp_stdlib::supervisor::Restart;

use super::*;

const LIST: &str = "[1,2,3,4,5,6,7,8,9,10,11,12,13,14,15]";
const LIMITED: &str = "[1,2,3,4,5,6,7,8,9,'...']";

/// An end, and a start.
fn reports() -> [ApplicationReport; 2] {
    let application = atom("my_application");
    [
        ApplicationReport::Exited {
            application,
            exited: term(LIST),
            restart: Restart::Permanent,
        },
        ApplicationReport::Started {
            application,
            started_at: term(LIST),
        },
    ]
}

fn formatted(format: Format) -> [String; 2] {
    reports().map(|report| report.format(format))
}

#[test]
fn format_log_1() {
    for (format, list) in [(Format::new(), LIST), (Format::new().depth(10), LIMITED)] {
        let [exited, started] = formatted(format);
        assert_eq!(
            exited,
            format!("    application: my_application\n    exited: {list}\n    type: permanent\n")
        );
        assert_eq!(
            started,
            format!("    application: my_application\n    started_at: {list}\n")
        );
    }
}

#[test]
fn format_log_2() {
    let single = Format::new().single_line(true);
    for (format, list) in [(Format::new(), LIST), (Format::new().depth(10), LIMITED)] {
        let [exited, started] = formatted(format);
        let start = "    application: my_application\n";
        assert_eq!(
            exited,
            format!("{start}    exited: {list}\n    type: permanent\n")
        );
        assert_eq!(started, format!("{start}    started_at: {list}\n"));
        let [exited, started] = formatted(format.single_line(true));
        let start = "Application: my_application.";
        assert_eq!(exited, format!("{start} Exited: {list}. Type: permanent."));
        assert_eq!(started, format!("{start} Started at: {list}."));
    }
    // So long, and all of it.
    let [exited, _] = formatted(Format::new().chars_limit(400));
    assert_eq!(exited, formatted(Format::new())[0]);
    // Shorter, and cut off.
    let cut = formatted(Format::new().chars_limit(80))[1].clone();
    assert!(
        cut.starts_with("    application: my_application\n    started_at:"),
        "{cut}"
    );
    assert!(cut.len() < formatted(Format::new())[1].len());
    let cut = formatted(single.chars_limit(60));
    assert!(
        cut[0].starts_with("Application: my_application. Exited:"),
        "{cut:?}"
    );
    assert!(
        cut[1].starts_with("Application: my_application. Started at:"),
        "{cut:?}"
    );
    let whole = formatted(single);
    assert!(cut[0].len() < whole[0].len() && cut[1].len() < whole[1].len());
}
