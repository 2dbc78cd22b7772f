//! What other programs of this project measure, which are run from here.

use anyhow::{Context as _, Result};

use super::{
    cargo::{cargo, printed, root},
    table::{Row, Table},
};

/// The load generator's own table.
pub(crate) fn load() -> Result<String> {
    let mut bench = cargo(root());
    bench.args(["bench", "--quiet", "--package", "websample-load", "--bench", "instrument"]);
    printed(bench)
}

/// `3500 objects in one list, 875 namespaces: 1.2s, 3 findings`, a line for each.
pub(crate) fn manifests(table: &mut Table) -> Result<()> {
    let mut bench = cargo(root());
    bench.args(["bench", "--quiet", "--package", "websample-manifest", "--bench", "large"]);
    for line in printed(bench)?.lines() {
        if let Some((what, took)) = line.split_once(": ") {
            table.push(Row { what: what.to_owned(), websample: took.to_owned(), ..Row::default() });
        }
    }
    Ok(())
}

/// The page's bounds: bytes, and seconds until its charts are drawn.
const MOST_BYTES: f64 = 2.5e6;
const LONGEST: f64 = 2.0;

/// `… bytes, drawn after … ms with … ms of processor time`, as the page's test tells it.
pub(crate) fn page(table: &mut Table) -> Result<()> {
    let mut test = cargo(root());
    let name = "a_million_requests_stay_quick_and_no_loss_is_hidden";
    test.args(["test", "--quiet", "--test", "page", "--", "--nocapture", name]);
    let text = printed(test)?;
    let told = text.lines().find_map(|line| {
        let (_, numbers) = line.split_once("the page: ")?;
        let mut numbers = numbers.split_whitespace().map(str::parse::<f64>);
        let [bytes, elapsed, used] = [(); 3].map(|()| numbers.next()?.ok());
        Some([bytes?, elapsed?, used?])
    });
    let [bytes, elapsed, used] =
        told.with_context(|| format!("the page was not opened (chromium?):\n{text}"))?;
    let row = |what: &str, value: f64, most: Option<f64>| Row {
        what: what.to_owned(),
        websample: format!("{value:.2}"),
        target: most.map(|most| format!("≤ {most}")).unwrap_or_default(),
        met: most.map(|most| value <= most),
        ..Row::default()
    };
    table.push(row("a report of 1,000,000 requests: MB", bytes / 1e6, Some(MOST_BYTES / 1e6)));
    table.push(row("opened in headless Chromium: s until all is drawn", elapsed, Some(LONGEST)));
    table.push(row("CPU time of the page's thread: s", used, None));
    Ok(())
}
