//! docs/compat says of each case of OTP's and Elixir's suites what became of it. Here that is held against the tests,
//! of whichever crate: a case that holds has a test with its name in the file that is named, and docs/COMPAT.md has
//! the sums.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

/// How a suite stands: cases that hold, that don't apply, that are missing.
#[derive(Debug, Default, PartialEq, Eq)]
struct Tally {
    holds: usize,
    not_applicable: usize,
    missing: usize,
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// The cells of the rows of a table, without those of its head.
fn rows(text: &str) -> impl Iterator<Item = Vec<String>> + '_ {
    let rows = text.lines().filter_map(|line| line.strip_prefix("| "));
    rows.map(|row| {
        let cells = row.trim_end_matches('|').split(" | ");
        cells.map(|cell| cell.trim().to_owned()).collect()
    })
}

/// What stands in the first backticks.
fn quoted(cell: &str) -> Option<&str> {
    cell.split('`').nth(1)
}

/// The sums of a suite's table; each of its cases that hold has its test.
fn tally(suite: &str, table: &str) -> Tally {
    let mut tally = Tally::default();
    let mut seen = BTreeMap::new();
    for row in rows(table).filter(|row| row[0].starts_with('`')) {
        let case = quoted(&row[0]).expect("a case in backticks");
        assert!(
            seen.insert(case.to_owned(), ()).is_none(),
            "{suite}: {case} stands there twice"
        );
        let reason = row.get(2).map_or("", String::as_str);
        match row[1].as_str() {
            "holds" => {
                tally.holds += 1;
                has_test(suite, case, reason);
            }
            "n/a" => tally.not_applicable += 1,
            "missing" => tally.missing += 1,
            other => panic!("{suite}: {case} is {other:?}"),
        }
        assert!(
            !reason.is_empty(),
            "{suite}: {case} says not where, or why not"
        );
    }
    tally
}

fn has_test(suite: &str, case: &str, place: &str) {
    let file = quoted(place).unwrap_or_else(|| panic!("{suite}: {case} names no file"));
    let text = fs::read_to_string(root().join(file))
        .unwrap_or_else(|error| panic!("{suite}: {case}: {file}: {error}"));
    // In Elixir a case may stand in a group: `start_child/2: supports new child spec`, `yield::on_timeout`.
    let in_group = case.rsplit_once("::").map_or(case, |(_, case)| case);
    let in_group = in_group
        .rsplit_once(": ")
        .map_or(in_group, |(_, case)| case);
    let has = |name: String| {
        // `r#`, or `_` behind it, for one whose name is a word of Rust's.
        let functions = [("", ""), ("r#", ""), ("", "_")];
        let mut functions = functions
            .map(|(before, after)| format!("fn {before}{name}{after}("))
            .into_iter();
        functions.any(|function| text.contains(&function))
    };
    assert!(
        has(function_name(case)) || has(function_name(in_group)),
        "{suite}: {file} has no test {case}"
    );
}

/// A case's name as that of a function: Elixir's are sentences.
fn function_name(case: &str) -> String {
    let words = case.to_lowercase().replace('\'', "");
    let words = words.split(|c: char| !c.is_ascii_alphanumeric() && c != '_');
    let words: Vec<&str> = words.filter(|word| !word.is_empty()).collect();
    words.join("_")
}

#[test]
fn sentences_are_names_of_functions() {
    assert_eq!(function_name("sync_start_nolink"), "sync_start_nolink");
    assert_eq!(
        function_name("start_link/2, call/2 and cast/2"),
        "start_link_2_call_2_and_cast_2"
    );
    assert_eq!(function_name("doesn't restart (yet)"), "doesnt_restart_yet");
}

#[test]
fn the_tables_of_cases_agree_with_the_tests() {
    let overview = fs::read_to_string(root().join("docs/COMPAT.md")).expect("docs/COMPAT.md");
    let mut suites = 0;
    for row in rows(&overview) {
        let Some(suite) = row
            .get(5)
            .and_then(|cell| cell.strip_prefix("[table](compat/"))
        else {
            continue;
        };
        let suite = suite.trim_end_matches(".md)");
        let table = fs::read_to_string(root().join(format!("docs/compat/{suite}.md")));
        let tally = tally(suite, &table.expect("the table of a suite"));
        let sums: Vec<usize> = row[1..5]
            .iter()
            .map(|sum| sum.parse().expect("a sum"))
            .collect();
        let cases = tally.holds + tally.not_applicable + tally.missing;
        let counted = [cases, tally.holds, tally.not_applicable, tally.missing];
        assert_eq!(counted[..], sums[..], "{suite}");
        suites += 1;
    }
    let files = fs::read_dir(root().join("docs/compat")).expect("docs/compat");
    assert_eq!(suites, files.count(), "each table is linked");
}
