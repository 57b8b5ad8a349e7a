//! The links of the documentation lead somewhere: each relative one of `docs/` and of the README to a file that is
//! there, and one to a heading to a heading of that file.

use std::fs;
use std::path::{Path, PathBuf};

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// All pages.
fn pages() -> Vec<PathBuf> {
    let mut pages = vec![root().join("README.md"), root().join("CONTRIBUTING.md")];
    let mut directories = vec![root().join("docs")];
    while let Some(directory) = directories.pop() {
        for entry in fs::read_dir(&directory).expect("a directory") {
            let path = entry.expect("an entry").path();
            if path.is_dir() {
                directories.push(path);
            } else if path.extension().is_some_and(|extension| extension == "md") {
                pages.push(path);
            }
        }
    }
    pages
}

/// The lines of a page, without those of its code.
fn prose(text: &str) -> impl Iterator<Item = &str> {
    let mut is_code = false;
    text.lines().filter(move |line| {
        let fence = line.trim_start().starts_with("```");
        is_code ^= fence;
        !fence && !is_code
    })
}

/// Where the links of a line lead. What stands in backticks is no link.
fn links(line: &str) -> Vec<&str> {
    let outside: Vec<&str> = line.split('`').step_by(2).collect();
    // A link's text may stand in backticks: its brackets don't.
    let targets = outside
        .iter()
        .flat_map(|part| part.split("](").skip(1))
        .filter_map(|rest| rest.split_once(')'));
    targets.map(|(target, _)| target).collect()
}

/// A heading as the last part of an address, by GitHub's rules: letters in lower case, digits, hyphens for spaces.
fn anchor(heading: &str) -> String {
    let kept = heading
        .trim()
        .chars()
        .filter(|c| c.is_alphanumeric() || [' ', '-', '_'].contains(c));
    kept.flat_map(char::to_lowercase)
        .map(|c| if c == ' ' { '-' } else { c })
        .collect()
}

/// Whether a page has a heading with this anchor.
fn has_heading(text: &str, wanted: &str) -> bool {
    let headings = prose(text).filter_map(|line| line.strip_prefix('#'));
    headings
        .map(|line| anchor(line.trim_start_matches('#')))
        .any(|found| found == wanted)
}

/// What is wrong with a link on a page.
fn broken(page: &Path, text: &str, target: &str) -> Option<String> {
    if target.contains("://") {
        return None;
    }
    let (file, heading) = match target.split_once('#') {
        Some((file, heading)) => (file, Some(heading)),
        None => (target, None),
    };
    let path = page.parent().expect("a directory").join(file);
    if !file.is_empty() && !path.exists() {
        return Some(format!("{}: no file {target}", page.display()));
    }
    let there = if file.is_empty() {
        text.to_owned()
    } else if heading.is_some() {
        fs::read_to_string(&path).expect("a page")
    } else {
        return None;
    };
    heading
        .filter(|heading| !has_heading(&there, heading))
        .map(|_| format!("{}: no heading {target}", page.display()))
}

#[test]
fn each_relative_link_leads_to_a_file_and_each_anchor_to_a_heading() {
    let (mut checked, mut wrong) = (0, Vec::new());
    for page in pages() {
        let text = fs::read_to_string(&page).expect("a page");
        for target in prose(&text).flat_map(links) {
            checked += 1;
            wrong.extend(broken(&page, &text, target));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert!(checked > 100, "only {checked} links were found");
}

#[test]
fn a_link_that_leads_nowhere_is_noticed() {
    let page = root().join("README.md");
    let text = "# A heading: it's there\n```\n[a](none.md)\n```\n[b](docs/guide/none.md) `[c](none.md)`\n\
                [`d`](#a-heading-its-there) [e](#another) [f](https://none.example) [g](docs/guide/servers.md#none)\n";
    let found: Vec<_> = prose(text).flat_map(links).collect();
    assert_eq!(
        found,
        [
            "docs/guide/none.md",
            "#a-heading-its-there",
            "#another",
            "https://none.example",
            "docs/guide/servers.md#none",
        ]
    );
    let wrong: Vec<_> = found
        .iter()
        .filter_map(|target| broken(&page, text, target))
        .collect();
    assert_eq!(wrong.len(), 3, "{wrong:?}");
    assert!(wrong[0].contains("no file docs/guide/none.md"));
    assert!(wrong[1].contains("no heading #another"));
    assert!(wrong[2].contains("no heading docs/guide/servers.md#none"));
}
