//! docs/compat says of each case of OTP's suites what became of it. Here that is held against the tests: a case that
//! holds has a test with its name in the file that is named, and docs/COMPAT.md has the sums.

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
    // A case of a group of Elixir's has the group's module before it.
    let name = case.rsplit("::").next().unwrap_or(case).to_lowercase();
    // `r#` for one whose name is a word of Rust's.
    let mut names = ["fn ", "fn r#"]
        .map(|before| format!("{before}{name}("))
        .into_iter();
    assert!(
        names.any(|function| text.contains(&function)),
        "{suite}: {file} has no test {case}"
    );
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
