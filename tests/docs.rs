//! The documentation: what it links to is there, and so are the scripts that it names.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Path, PathBuf},
};

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn collect(directory: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            collect(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "md") {
            found.push(path);
        }
    }
}

/// Every page, with its text.
fn pages() -> BTreeMap<PathBuf, String> {
    let mut found: Vec<_> =
        ["README.md", "CHANGELOG.md", "CONTRIBUTING.md"].map(|name| root().join(name)).into();
    for directory in ["docs", "crates", "packaging"] {
        collect(&root().join(directory), &mut found);
    }
    found.into_iter().map(|path| (path.clone(), fs::read_to_string(path).unwrap())).collect()
}

/// The lines that are no code.
fn prose(text: &str) -> String {
    let mut inside = false;
    let mut prose = String::new();
    for line in text.lines() {
        if line.trim_start().starts_with("```") {
            inside = !inside;
        } else if !inside {
            prose.push_str(line);
            prose.push('\n');
        }
    }
    prose
}

/// What links lead to: `](target)`, but for what is code within a line.
fn links(text: &str) -> Vec<String> {
    let prose = prose(text);
    let plain: String = prose.split('`').step_by(2).collect::<Vec<_>>().join("code");
    plain
        .split("](")
        .skip(1)
        .filter_map(|rest| rest.split_once(')'))
        .map(|(target, _)| target.to_owned())
        .collect()
}

/// The anchors of a page, as GitHub and mdBook make them of its headings.
fn anchors(text: &str) -> BTreeSet<String> {
    let mut anchors = BTreeSet::new();
    for line in prose(text).lines() {
        let heading = line.trim_start_matches('#');
        if heading.len() == line.len() || !heading.starts_with(' ') {
            continue;
        }
        // Of a link, its words.
        let mut words = String::new();
        let mut rest = heading.trim();
        while let Some((before, after)) = rest.split_once("](") {
            words.push_str(before);
            rest = after.split_once(')').map_or("", |(_, rest)| rest);
        }
        words.push_str(rest);
        let anchor: String = words
            .to_lowercase()
            .chars()
            .filter(|c| c.is_alphanumeric() || matches!(c, ' ' | '-' | '_'))
            .map(|c| if c == ' ' { '-' } else { c })
            .collect();
        let mut unique = anchor.clone();
        let mut count = 0;
        while !anchors.insert(unique.clone()) {
            count += 1;
            unique = format!("{anchor}-{count}");
        }
    }
    anchors
}

#[test]
fn every_link_leads_to_something() {
    let pages = pages();
    let mut checked = 0;
    let mut wrong = Vec::new();
    for (page, text) in &pages {
        for link in links(text) {
            if link.contains("://") || link.starts_with("mailto:") {
                continue;
            }
            checked += 1;
            let (path, anchor) = link.split_once('#').unwrap_or((&link, ""));
            let target =
                if path.is_empty() { page.clone() } else { page.parent().unwrap().join(path) };
            let Ok(target) = target.canonicalize() else {
                wrong.push(format!("{}: {link} is not there", page.display()));
                continue;
            };
            let known = pages.iter().find(|(page, _)| page.canonicalize().unwrap() == target);
            if let (Some((_, text)), false) = (known, anchor.is_empty())
                && !anchors(text).contains(anchor)
            {
                wrong.push(format!("{}: {link} has no such heading", page.display()));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert!(checked > 150, "only {checked} links were found");
}

#[test]
fn every_page_is_on_the_site_and_no_other() {
    let summary = fs::read_to_string(root().join("docs/SUMMARY.md")).unwrap();
    let listed = links(&summary);
    let unique: BTreeSet<_> = listed.iter().cloned().collect();
    assert_eq!(unique.len(), listed.len(), "a page is there twice");
    let mut found = Vec::new();
    collect(&root().join("docs"), &mut found);
    let there: BTreeSet<_> = found
        .iter()
        .map(|page| page.strip_prefix(root().join("docs")).unwrap().display().to_string())
        .filter(|page| page != "SUMMARY.md")
        .collect();
    assert_eq!(unique, there);
}

#[test]
fn every_script_that_is_named_is_there() {
    let mut named = BTreeSet::new();
    for text in pages().values() {
        for (_, rest) in text.match_indices("scripts/").map(|(at, s)| (at, &text[at + s.len()..])) {
            let name: String = rest
                .chars()
                .take_while(|c| c.is_ascii_alphanumeric() || "-_".contains(*c))
                .collect();
            named.insert(name);
        }
    }
    named.remove("");
    assert!(named.len() > 5);
    for name in named {
        assert!(root().join("scripts").join(&name).exists(), "scripts/{name}");
    }
}

/// Each cause, each page for people with a symptom, ends in something to do.
#[test]
fn every_page_for_a_server_or_a_place_has_a_command_and_a_thread() {
    let mut found = Vec::new();
    for directory in ["docs/frameworks", "docs/in-front"] {
        collect(&root().join(directory), &mut found);
    }
    assert!(found.len() >= 9);
    for page in found {
        let text = fs::read_to_string(&page).unwrap();
        assert!(text.contains("```sh\n") && text.contains("websample rollout"), "{page:?}");
        assert!(text.contains("](https://github.com/"), "{page:?}");
    }
}
