//! All fixes together: made, checked again, and made again, until nothing is left that can be.

use std::collections::{HashMap, HashSet};

use super::{
    Edit,
    edit::{self, Unchanged},
};
use crate::{
    documents::documents,
    finding::{Finding, Target},
    known::Knows,
    problem::Unusable,
    read::Source,
    report::{CheckReport, check},
    rule::{Rule, Severity},
    server::Told,
};

/// What became of files whose findings were mended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fixed {
    /// The files that are different now.
    pub changed: Vec<Changed>,
    /// What was mended, in the order in which it was.
    pub mended: Vec<Finding>,
    /// What is left.
    pub left: Vec<Left>,
    /// What the check says of the files as they are now.
    pub report: CheckReport,
}

/// A file before and after.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Changed {
    /// Its name, as it was given.
    pub name: String,
    /// What was in it.
    pub before: String,
    /// What should be in it.
    pub after: String,
}

/// A finding that nothing was done about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Left {
    /// The finding.
    pub finding: Finding,
    /// Why.
    pub why: Why,
}

/// Why a finding was left.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Why {
    /// It takes somebody who knows the program.
    Advice,
    /// It could not be done without losing how the file is laid out.
    Layout,
    /// It was done, and something is still wrong.
    Stays,
}

/// A fix may show what was hidden behind its finding, and that once more.
const ROUNDS: usize = 8;

/// One finding, whatever its message says by now.
type Key = (Rule, String, String, Option<String>, String, Option<String>);

fn key(finding: &Finding) -> Key {
    let Finding { rule, file, kind, namespace, name, container, .. } = finding;
    (*rule, file.clone(), kind.clone(), namespace.clone(), name.clone(), container.clone())
}

/// Mends everything that can be mended without knowing the programs.
///
/// # Errors
/// Input that cannot be checked.
pub fn fixed(sources: &[Source], told: Told, known: &dyn Knows) -> Result<Fixed, Unusable> {
    fixed_of(sources, told, known, |_| true)
}

/// The same of those findings only that are wanted, and of what is wrong because of their fixes.
pub(super) fn fixed_of(
    sources: &[Source],
    told: Told,
    known: &dyn Knows,
    wanted: impl Fn(&Finding) -> bool,
) -> Result<Fixed, Unusable> {
    let mut now = sources.to_vec();
    let mut mended: Vec<Finding> = Vec::new();
    let mut times: HashMap<Key, usize> = HashMap::new();
    let mut refused: HashSet<Key> = HashSet::new();
    let mut report = check(&now, told, known)?;
    let before: HashSet<_> = report.findings.iter().map(key).collect();
    let wanted = |finding: &Finding| wanted(finding) || !before.contains(&key(finding));
    for _ in 0..ROUNDS {
        let mut progress = false;
        // Another object only where no change to those that are there does as well, such as to a
        // budget that selects nobody.
        for adds in [false, true] {
            for finding in report.findings.iter().filter(|finding| finding.fix.adds() == adds) {
                let key = key(finding);
                let tried = times.entry(key.clone()).or_default();
                if !finding.fix.is_edit()
                    || *tried > 1
                    || refused.contains(&key)
                    || !wanted(finding)
                {
                    continue;
                }
                *tried += 1;
                if make(finding, &mut now).is_err() {
                    refused.insert(key);
                    continue;
                }
                progress = true;
                if *tried == 1 {
                    mended.push(finding.clone());
                }
            }
            if progress {
                break;
            }
        }
        if !progress {
            break;
        }
        report = check(&now, told, known)?;
    }
    let still: HashSet<_> = report.findings.iter().map(key).collect();
    mended.retain(|finding| !still.contains(&key(finding)));
    let left = report.findings.iter().filter(|finding| finding.severity() != Severity::Note);
    let left = left.filter(|finding| wanted(finding));
    let left = left.map(|finding| {
        let why = if refused.contains(&key(finding)) {
            Why::Layout
        } else if finding.fix.is_edit() {
            Why::Stays
        } else {
            Why::Advice
        };
        Left { finding: finding.clone(), why }
    });
    let left = left.collect();
    let pairs = sources.iter().zip(now).filter(|(before, after)| before.text != after.text);
    let changed = pairs.map(|(before, after)| Changed {
        name: after.name,
        before: before.text.clone(),
        after: after.text,
    });
    Ok(Fixed { changed: changed.collect(), mended, left, report })
}

/// The files with the fix of this one finding; `None` where it takes somebody who knows the program,
/// or could not be made without losing how the file is laid out.
pub fn with(finding: &Finding, sources: &[Source]) -> Option<Vec<Source>> {
    let mut sources = sources.to_vec();
    finding.fix.is_edit().then(|| make(finding, &mut sources).ok()).flatten()?;
    Some(sources)
}

/// Makes all edits of a fix, or none.
fn make(finding: &Finding, sources: &mut [Source]) -> Result<(), Unchanged> {
    let source = sources.iter_mut().find(|source| source.name == finding.file).ok_or(Unchanged)?;
    let mut text = source.text.clone();
    for edit in &finding.fix.edits {
        text = made(&text, &finding.target, edit)?;
    }
    source.text = text;
    Ok(())
}

fn made(text: &str, target: &Target, edit: &Edit) -> Result<String, Unchanged> {
    let documents = documents(text);
    let document = documents.get(target.document).ok_or(Unchanged)?;
    // Documents are pieces of the text, in their order.
    let start = document.text.as_ptr() as usize - text.as_ptr() as usize;
    let end = start + document.text.len();
    let inside = |at: &str| match (target.within.as_str(), at) {
        ("", at) => at.to_owned(),
        (within, "") => within.to_owned(),
        (within, at) => format!("{within}.{at}"),
    };
    let new = match edit {
        Edit::Merge { at, yaml } => edit::merge(document.text, &inside(at), yaml)?,
        Edit::Remove { at } => edit::remove(document.text, &inside(at))?,
        Edit::Document { yaml } => {
            // A stream of JSON has no documents of YAML.
            if document.text.trim_start().starts_with('{') {
                return Err(Unchanged);
            }
            let newline = if text.contains("\r\n") { "\r\n" } else { "\n" };
            let gap = if text.ends_with('\n') { "" } else { newline };
            let yaml = yaml.replace('\n', newline);
            return Ok(format!("{text}{gap}---{newline}{yaml}{newline}"));
        }
    };
    Ok(format!("{}{new}{}", &text[..start], &text[end..]))
}
