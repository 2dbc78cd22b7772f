//! The results as a comment on a pull request.

use std::fmt::Write as _;

use super::{
    confidence::upper_bound,
    page::command_line,
    saved::Saved,
    summary::{by_mode, sentence, took},
};

/// The results of one or several reports, in GitHub's Markdown.
pub fn markdown(reports: &[Saved]) -> String {
    let many = reports.len() > 1;
    let mut out = format!("### Rollout: {}\n\n", headline(reports));
    out.push_str(if many { "| run " } else { "" });
    let runs: Vec<_> = reports.iter().flat_map(|saved| by_mode(&saved.report.runs)).collect();
    let took = took(&runs);
    let _ = writeln!(out, "| mode | lost | of | share (at most) | {took} | killed | p99 | why |");
    out.push_str(if many { "|---" } else { "" });
    out.push_str("|---|---:|---:|---:|---:|---:|---:|---|\n");
    for saved in reports {
        for mode in by_mode(&saved.report.runs) {
            if many {
                let _ = write!(out, "| {} ", cell(&saved.label));
            }
            let share = mode.lost as f64 / mode.requests.max(1) as f64;
            let causes = mode.causes.iter().take(2);
            let why: Vec<_> = causes
                .map(|cause| format!("{} {}", cause.count, cause.cause.sentence_for(cause.count)))
                .collect();
            let _ = writeln!(
                out,
                "| {} {} | {} | {} | {:.3} % ({:.3} %) | {:.1} s | {} | {:.0} ms | {} |",
                if mode.lost > 0 { "❌" } else { "✅" },
                cell(mode.mode),
                if mode.lost > 0 { format!("**{}**", mode.lost) } else { "0".to_owned() },
                mode.requests,
                share * 100.0,
                upper_bound(mode.lost, mode.requests) * 100.0,
                mode.rollout_seconds,
                mode.killed,
                mode.p99_ms,
                cell(&why.join("; ")),
            );
        }
    }
    out.push_str("\n<details><summary>In words, and the command</summary>\n\n");
    for saved in reports {
        if many {
            let _ = writeln!(out, "**{}**\n", cell(&saved.label));
        }
        for mode in by_mode(&saved.report.runs) {
            let _ = writeln!(out, "- {}", cell(&sentence(&mode)));
        }
        let command: String = command_line(&saved.report.environment)
            .chars()
            .map(|c| if c.is_control() { ' ' } else { c })
            .collect();
        // Longer than any run of backticks in it, which would end the block.
        let longest = command.split(|c| c != '`').map(str::len).max().unwrap_or(0);
        let fence = "`".repeat(3.max(longest + 1));
        let _ = writeln!(out, "\n{fence}sh\n{command}\n{fence}\n");
    }
    out.push_str("</details>\n");
    out
}

fn headline(reports: &[Saved]) -> String {
    let mut parts = Vec::new();
    for saved in reports {
        for mode in by_mode(&saved.report.runs) {
            let label =
                if saved.label.is_empty() { String::new() } else { format!(" ({})", saved.label) };
            let lost = if mode.lost == 0 { "nothing".to_owned() } else { mode.lost.to_string() };
            parts.push(format!("{}{} lost {lost}", cell(mode.mode), cell(&label)));
        }
    }
    parts.join(", ")
}

/// Text that ends neither its cell nor its row, and is no markup.
fn cell(text: &str) -> String {
    let mut out = String::new();
    for character in text.chars() {
        match character {
            control if control.is_control() => out.push(' '),
            '|' | '`' | '*' | '_' | '<' | '[' | '@' | '\\' => {
                out.push('\\');
                out.push(character);
            }
            other => out.push(other),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_cannot_leave_their_cell() {
        assert_eq!(cell("a|b\n<c>"), "a\\|b \\<c>");
        assert_eq!(cell("\x1b[31mred\u{9b}0m"), " \\[31mred 0m");
    }
}
