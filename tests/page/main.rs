//! The report page in a real browser: what it shows is what report.json holds.

#![cfg(feature = "lab")]

mod browser;
mod fixture;

use std::{
    path::{Path, PathBuf},
    process::{Command, Output},
};

use browser::Browser;
use serde_json::{Value, json};

/// The bound of a page, in bytes: what a mailbox and a chat take.
const MAX_PAGE: u64 = 2_500_000;

fn websample(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_websample")).args(arguments).output().expect("it runs")
}

/// The page of a report, made by the real program.
fn page_of(report: &Value, directory: &Path) -> PathBuf {
    let file = directory.join("report.json");
    std::fs::write(&file, report.to_string()).expect("written");
    let output = websample(&["report", &file.to_string_lossy()]);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    directory.join("report.html")
}

/// Sums and counts of what is drawn of each run, from Plotly's own data.
const DRAWN: &str = "[...document.querySelectorAll('.run .figure')].map((chart) => {
    const of = (meta) => chart.data.filter((trace) => trace.meta === meta);
    const sum = (values) => values.reduce((a, b) => a + b, 0);
    return {
        lanes: chart.layout.yaxis.ticktext.length,
        losses: sum(of('loss')[0].customdata), marks: of('loss')[0].x.length,
        hover: of('loss')[0].hovertext[0] || '',
        sigterm: sum(of('mark').filter((t) => t.name === 'sigterm').map((t) => t.x.length)),
        sigkill: sum(of('mark').filter((t) => t.name === 'sigkill').map((t) => t.x.length)),
        hooks: sum(of('mark').filter((t) => t.name === 'hook_called').map((t) => t.x.length)),
        phases: Object.fromEntries(of('phase').map((t) => [t.name, t.x.length])),
        routed: of('routed')[0].x.length,
        answers: Object.fromEntries(of('rate').map((t) => [t.name, sum(t.y)])),
        flight: sum(of('flight').map((t) => sum(t.y))),
    };
})";

const RANGES: &str = "[...document.querySelectorAll('#timelines .figure')]
    .map((chart) => chart.layout.xaxis.range)";

#[tokio::test]
async fn the_page_shows_what_the_report_holds() {
    let Some(mut browser) = Browser::start().await else { return };
    let directory = tempfile::tempdir().expect("a directory");
    let report = fixture::report(8_000, 41);
    browser.open(&page_of(&report, directory.path())).await;

    let drawn = browser.eval(DRAWN).await;
    let runs = report["runs"].as_array().expect("runs");
    assert_eq!(drawn.as_array().map(Vec::len), Some(4));
    for (run, drawn) in runs.iter().zip(drawn.as_array().expect("charts")) {
        let count = |what: &str| {
            let pods = run["pods"].as_array().expect("pods").iter();
            let events = pods.flat_map(|pod| pod["events"].as_array().expect("events"));
            events.filter(|event| event["what"] == what).count()
        };
        assert_eq!(drawn["lanes"], 8);
        assert_eq!(drawn["losses"], run["lost"], "{}", run["mode"]);
        assert_eq!(drawn["sigterm"], count("sigterm"));
        assert_eq!(drawn["sigkill"], count("sigkill"));
        assert_eq!(drawn["hooks"], count("hook_called"));
        assert_eq!(drawn["phases"]["v2"], 4);
        assert_eq!(drawn["phases"]["stopping"], 4);
        assert_eq!(drawn["routed"], 8);
        assert_eq!(drawn["answers"]["v1"], 6 * 200);
        assert_eq!(drawn["answers"]["lost"].as_f64(), run["lost"].as_f64().map(|n| 0.0 - n));
        assert_eq!(drawn["flight"], 40.0 * 1.75);
    }
    let hover = drawn[2]["hover"].as_str().expect("text");
    assert!(hover.contains("closed_listener") && hover.contains("0.50 s after its SIGTERM"));

    let text = browser.eval("document.body.innerText").await;
    let text = text.as_str().expect("text").replace('\u{202f}', "");
    for expected in [
        "immediate lost 7, graceful lost 41; ignore and drain lost nothing",
        "of 8000: 0.51 %",
        "4 by force",
        "32.5 s",
        "14 were sent to a closed listener before the proxy's update",
        "websample rollout --mix '100/s new GET /' --seed 7",
    ] {
        assert!(text.contains(expected), "`{expected}` is not in the page:\n{text}");
    }
    let cells = "[...document.querySelectorAll('#causes-table tbody tr')]
        .map((row) => [...row.cells].map((cell) => cell.innerText.trim()))";
    let causes = browser.eval(cells).await;
    assert_eq!(causes.as_array().map(Vec::len), Some(6));
    assert_eq!(causes[3][1], "14");
    assert!(causes[3][2].as_str().is_some_and(|cell| cell.contains("closed_listener")));

    assert_eq!(browser.problems(), Vec::<String>::new());
}

#[tokio::test]
async fn all_charts_zoom_and_move_together() {
    let Some(mut browser) = Browser::start().await else { return };
    let directory = tempfile::tempdir().expect("a directory");
    browser.open(&page_of(&fixture::report(8_000, 41), directory.path())).await;
    let all = equal_ranges(&mut browser).await;
    assert!(all.0 < f64::EPSILON && all.1 > 37.0, "{all:?}");

    browser.eval("document.querySelector('.run .figure').focus()").await;
    browser.press("+").await;
    let zoomed = equal_ranges(&mut browser).await;
    assert!(zoomed.0 > all.0 && zoomed.1 < all.1, "{zoomed:?}");
    browser.press("ArrowRight").await;
    let moved = equal_ranges(&mut browser).await;
    assert!(moved.0 > zoomed.0 && moved.1 > zoomed.1, "{moved:?}");
    browser.press("-").await;
    assert!(equal_ranges(&mut browser).await.0 < moved.0);
    browser.press("0").await;
    assert_eq!(equal_ranges(&mut browser).await, all);

    browser.eval("document.querySelector('[data-zoom=update]').click()").await;
    let losses = equal_ranges(&mut browser).await;
    assert!((losses.0 - 2.5).abs() < 0.01 && losses.1 < 11.0, "{losses:?}");
    browser.press("0").await;

    let centre = "(() => { const chart = document.querySelector('#overview');
        chart.scrollIntoView({ block: 'center' });
        const box = chart.querySelector('.nsewdrag').getBoundingClientRect();
        return [box.left, box.top, box.width, box.height]; })()";
    let place: Vec<f64> = serde_json::from_value(browser.eval(centre).await).expect("four numbers");
    let [left, top, width, height] = place[..] else { panic!("four numbers") };
    let y = top + height / 2.0;
    browser.drag((left + width * 0.25, y), (left + width * 0.5, y)).await;
    let dragged = equal_ranges(&mut browser).await;
    assert!((dragged.0 - all.1 * 0.25).abs() < 1.0, "{dragged:?}");
    assert!((dragged.1 - all.1 * 0.5).abs() < 1.0, "{dragged:?}");
    assert_eq!(browser.problems(), Vec::<String>::new());
}

/// The range of all charts, which must be one.
async fn equal_ranges(browser: &mut Browser) -> (f64, f64) {
    let ranges: Vec<(f64, f64)> =
        serde_json::from_value(browser.eval(RANGES).await).expect("ranges");
    assert_eq!(ranges.len(), 5);
    assert!(ranges.iter().all(|range| *range == ranges[0]), "{ranges:?}");
    ranges[0]
}

#[tokio::test]
async fn modes_and_streams_can_be_hidden() {
    let Some(mut browser) = Browser::start().await else { return };
    let directory = tempfile::tempdir().expect("a directory");
    browser.open(&page_of(&fixture::report(8_000, 41), directory.path())).await;

    browser.eval("document.querySelector('[data-stream=\"1\"]').click()").await;
    let drawn = browser.eval(DRAWN).await;
    assert_eq!(drawn[2]["losses"], 21, "every other loss is of the other stream");
    assert_eq!(drawn[2]["answers"]["v2"], 40 * 100);
    browser.eval("document.querySelector('[data-mode=immediate][type=checkbox]').click()").await;
    let shown = "[...document.querySelectorAll('.run h3')].map((title) => title.innerText)";
    assert_eq!(browser.eval(shown).await, json!(["■ ignore", "◆ graceful", "● drain"]));
    assert_eq!(browser.eval("document.querySelector('#overview').data.length").await, 6);
    browser.eval("document.querySelector('[data-mode=immediate][type=checkbox]').click()").await;
    assert_eq!(browser.eval(shown).await[1], "▲ immediate", "it comes back to its place");

    let theme = "document.documentElement.dataset.theme";
    let ground = "document.querySelector('#overview').layout.paper_bgcolor";
    assert_eq!(browser.eval(theme).await, "light");
    let light = browser.eval(ground).await;
    browser.eval("document.querySelector('#theme').click()").await;
    assert_eq!(browser.eval(theme).await, "dark");
    assert_ne!(browser.eval(ground).await, light);
    assert_eq!(browser.problems(), Vec::<String>::new());
}

#[tokio::test]
async fn a_million_requests_stay_quick_and_no_loss_is_hidden() {
    let Some(mut browser) = Browser::start().await else { return };
    let directory = tempfile::tempdir().expect("a directory");
    let page = page_of(&fixture::report(250_000, 100_000), directory.path());
    let size = std::fs::metadata(&page).expect("it is there").len();
    assert!(size < MAX_PAGE, "{size} bytes");
    let elapsed = browser.open(&page).await;
    let used = browser.thread_time().await;
    // Told, not judged: how quick a browser is depends on what else runs.
    let [elapsed, used] = [elapsed, used].map(|time| time.as_secs_f64());
    println!(
        "the page: {size} {elapsed:.2} {used:.2} (bytes, seconds until drawn, of processor time)"
    );
    let drawn = browser.eval(DRAWN).await;
    assert_eq!(drawn[2]["losses"], 100_000);
    let rows = "document.querySelector('#overview').data.filter((t) => t.meta === 'loss')
        .map((t) => t.customdata.reduce((a, b) => a + b, 0))";
    assert_eq!(browser.eval(rows).await, json!([0, 7, 100_000, 0]));
    assert!(drawn[2]["marks"].as_u64().is_some_and(|marks| marks <= 1_500), "{drawn}");
    assert_eq!(browser.problems(), Vec::<String>::new());
}

#[tokio::test]
async fn it_fits_a_telephone_and_paper() {
    let Some(mut browser) = Browser::start().await else { return };
    let directory = tempfile::tempdir().expect("a directory");
    let narrow = json!({"width": 400, "height": 800, "deviceScaleFactor": 1, "mobile": true});
    browser.call("Emulation.setDeviceMetricsOverride", narrow).await;
    browser.open(&page_of(&fixture::report(8_000, 41), directory.path())).await;
    let width = browser.eval("document.documentElement.scrollWidth").await;
    assert!(width.as_u64().is_some_and(|width| width <= 400), "{width} pixels wide");
    let pdf = browser.call("Page.printToPDF", json!({"preferCSSPageSize": true})).await;
    assert!(pdf["data"].as_str().is_some_and(|data| data.len() > 20_000));
    assert_eq!(browser.problems(), Vec::<String>::new());
}

#[tokio::test]
async fn names_are_text_whatever_they_hold() {
    let Some(mut browser) = Browser::start().await else { return };
    let directory = tempfile::tempdir().expect("a directory");
    let hostile = "</script><img src=x onerror=\"document.title='broken'\"><!--";
    let mut report = fixture::report(8_000, 41);
    for run in report["runs"].as_array_mut().expect("runs") {
        run["mode"] = json!(format!("{hostile}{}", run["mode"].as_str().unwrap_or("")));
        run["pods"][4]["name"] = json!(hostile);
        run["streams"][0]["name"] = json!(hostile);
        run["pods"][4]["version"] = json!(hostile);
    }
    report["environment"]["command"][2] = json!(hostile);
    browser.open(&page_of(&report, directory.path())).await;
    assert_eq!(browser.eval("document.title").await, "Rollout report");
    assert_eq!(browser.eval("document.querySelectorAll('img').length").await, 0);
    assert_eq!(browser.problems(), Vec::<String>::new());
}

#[tokio::test]
async fn several_reports_are_compared() {
    let directory = tempfile::tempdir().expect("a directory");
    for (name, lost) in [("before", 41), ("after", 0)] {
        std::fs::create_dir(directory.path().join(name)).expect("made");
        page_of(&fixture::report(8_000, lost), &directory.path().join(name));
    }
    let [before, after, out] = ["before", "after/report.json", "both.html"]
        .map(|name| directory.path().join(name).to_string_lossy().into_owned());
    let output = websample(&["report", &before, &after, "--out", &out, "--summary", "markdown"]);
    let printed = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success());
    assert!(printed.contains("| before | ❌ graceful | **41** | 8000 |"), "{printed}");
    assert!(printed.contains("| after | ✅ graceful | 0 | 8000 |"), "{printed}");

    let Some(mut browser) = Browser::start().await else { return };
    browser.open(Path::new(&out)).await;
    let drawn = browser.eval(DRAWN).await;
    let losses: Vec<_> = drawn.as_array().expect("charts").iter().map(|d| &d["losses"]).collect();
    assert_eq!(losses, [0, 7, 41, 0, 0, 0, 0, 0]);
    assert_eq!(browser.problems(), Vec::<String>::new());
}

#[test]
fn files_that_are_no_reports_are_named() {
    let directory = tempfile::tempdir().expect("a directory");
    let file = directory.path().join("x.json");
    let name = file.to_string_lossy().into_owned();
    let failed = |text: Option<&str>| {
        if let Some(text) = text {
            std::fs::write(&file, text).expect("written");
        }
        let output = websample(&["report", &name]);
        let error = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(error.contains("x.json"), "{error}");
        (output.status.code(), error)
    };
    assert_eq!(failed(None).0, Some(69));
    assert_eq!(failed(Some("{\"runs\": []")).0, Some(64));
    let (code, error) = failed(Some("{\"runs\": [{\"mode\": 1}]}"));
    assert_eq!(code, Some(64));
    assert!(error.contains("line 1"), "{error}");
    let mut empty = fixture::report(80, 0);
    empty["runs"] = json!([]);
    assert!(failed(Some(&empty.to_string())).1.contains("no run"));
}
