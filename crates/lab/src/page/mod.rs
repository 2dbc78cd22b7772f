//! `report.html`: one file that shows one or many rollouts and their losses, for years to come.
//!
//! Words and tables are written here and need no script. The charts are drawn by Plotly.js,
//! whose basic bundle is among the assets; it travels in the page, gzipped. The page's own
//! Content-Security-Policy forbids every request.
//!
//! | file | its subject |
//! |---|---|
//! | `verdict` | the verdict, in words |
//! | `advice` | what ends what was lost, where it was somebody's own manifest |
//! | `tables` | causes, latencies, streams, settings, the command |
//! | `document`, `losses` | what the charts need, bounded |
//! | `html` | escaping and figures |
//! | `assets/` | the template, its style and its scripts, one subject each |

mod advice;
mod document;
mod html;
mod losses;
mod tables;
mod verdict;

use std::{io, path::Path};

use base64::{Engine as _, prelude::BASE64_STANDARD};

use self::{document::Document, html::json_for_script};
use super::saved::Saved;

pub(super) use self::tables::command_line;

/// The name of the file beside `report.json`.
pub const FILE: &str = "report.html";

/// Plotly.js with its licence at its head: `plotly-basic.min.js` of the npm package
/// `plotly.js-basic-dist-min`, which draws bars and lines and no more, gzipped as it is.
const LIBRARY: &[u8] = include_bytes!("assets/plotly-basic-3.0.1.min.js.gz");

const TEMPLATE: &str = include_str!("assets/page.html");

const STYLE: &str = include_str!("assets/page.css");

/// In the order in which they need each other.
const SCRIPTS: [&str; 8] = [
    include_str!("assets/base.js"),
    include_str!("assets/lanes.js"),
    include_str!("assets/figure.js"),
    include_str!("assets/overview.js"),
    include_str!("assets/latency.js"),
    include_str!("assets/zoom.js"),
    include_str!("assets/controls.js"),
    include_str!("assets/main.js"),
];

/// The page of these reports.
///
/// # Errors
/// When a figure in them has no form in JSON.
pub fn render(reports: &[Saved]) -> serde_json::Result<String> {
    let document = serde_json::to_string(&Document::new(reports))?;
    let script = SCRIPTS.join("\n");
    let parts: [(&str, &str); 12] = [
        ("style", STYLE),
        ("verdict", &verdict::verdict(reports)),
        ("modes", &tables::mode_filter(reports)),
        ("totals", &tables::totals(reports)),
        ("causes", &tables::causes(reports)),
        ("advice", &advice::advice(reports)),
        ("latencies", &tables::latencies(reports)),
        ("streams", &tables::streams(reports)),
        ("settings", &tables::settings(reports)),
        ("data", &json_for_script(&document)),
        ("library", &BASE64_STANDARD.encode(LIBRARY)),
        ("script", &script),
    ];
    Ok(fill(TEMPLATE, &parts))
}

/// Fills `{{name}}` in; what is filled in is not looked at again.
fn fill(template: &str, parts: &[(&str, &str)]) -> String {
    let mut out = String::new();
    for (index, piece) in template.split("{{").enumerate() {
        let (name, rest) = if index == 0 { ("", piece) } else { split_name(piece) };
        if let Some((_, value)) = parts.iter().find(|(known, _)| *known == name) {
            out.push_str(value);
        }
        out.push_str(rest);
    }
    out
}

fn split_name(piece: &str) -> (&str, &str) {
    piece.split_once("}}").unwrap_or(("", piece))
}

/// Writes the page of these reports.
///
/// # Errors
/// Names the path that cannot be written.
pub fn write(reports: &[Saved], path: &Path) -> io::Result<()> {
    let page = render(reports).map_err(io::Error::other)?;
    std::fs::write(path, page).map_err(|error| {
        io::Error::new(error.kind(), format!("cannot write {}: {error}", path.display()))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_filled_in_is_not_filled_again() {
        let filled = fill("<{{a}}|{{b}}|{{c}}>", &[("a", "{{b}}"), ("b", "2")]);
        assert_eq!(filled, "<{{b}}|2|>");
    }

    #[test]
    fn the_library_is_there_with_its_licence() {
        use std::io::Read as _;

        let mut head = [0; 200];
        let mut unpacked = flate2::read::GzDecoder::new(LIBRARY);
        unpacked.read_exact(&mut head).expect("gzip");
        let head = String::from_utf8_lossy(&head);
        assert!(head.contains("plotly.js") && head.contains("MIT license"), "{head}");
    }
}
