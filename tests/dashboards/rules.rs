//! What every dashboard has to keep: one rule, one check, one remedy.

mod colours;
mod layout;
mod meta;
mod queries;

use crate::board::Board;

/// Something that every dashboard has to keep.
pub(crate) struct Rule {
    pub(crate) name: &'static str,
    /// What to do where it is broken.
    pub(crate) remedy: &'static str,
    /// Where it is broken.
    pub(crate) check: fn(&Board) -> Vec<String>,
}

/// Every rule.
pub(crate) fn all() -> impl Iterator<Item = &'static Rule> {
    meta::RULES.iter().chain(layout::RULES).chain(queries::RULES).chain(colours::RULES)
}

#[test]
fn every_dashboard_keeps_every_rule() {
    let mut broken = Vec::new();
    for board in Board::all() {
        for rule in all() {
            let found = (rule.check)(&board).into_iter();
            broken.extend(found.map(|place| {
                format!("{}: {place}\n    breaks `{}`: {}", board.file, rule.name, rule.remedy)
            }));
        }
    }
    assert!(broken.is_empty(), "\n{}", broken.join("\n"));
}

#[test]
fn uids_are_unique() {
    let uids: Vec<_> = Board::all().iter().map(|board| board.json["uid"].clone()).collect();
    let again = uids.iter().enumerate().find(|(at, uid)| uids[..*at].contains(uid));
    assert_eq!(again, None);
}
