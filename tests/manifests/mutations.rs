//! What people do to manifests: lines go missing, numbers are beyond all measure. Whatever comes
//! of it, the check answers.

use std::fs;

use websample::known::SampleServer;
use websample_manifest::{self as manifest, Source, Told};

use super::files::files;

fn all() -> Vec<String> {
    let both = [files("bad"), files("good")].concat();
    both.iter().map(|file| fs::read_to_string(file).unwrap()).collect()
}

/// Whether it could be judged; a panic fails the test by itself.
fn judged(text: String, told: Told) -> bool {
    let source = Source { name: "x.yaml".to_owned(), text };
    match manifest::check(&[source], told, &SampleServer) {
        Ok(report) => {
            let lines = |finding: &manifest::Finding| finding.line > 0;
            assert!(report.findings.iter().all(lines));
            // What can be judged can be printed.
            manifest::output::text(&report, true);
            manifest::output::github(&report);
            manifest::output::json(&report);
            true
        }
        Err(unusable) => {
            assert!(!unusable.problems.is_empty());
            false
        }
    }
}

#[test]
fn any_line_may_be_missing() {
    let (mut fine, mut refused) = (0, 0);
    for text in all() {
        let lines: Vec<_> = text.lines().collect();
        for missing in 0..lines.len() {
            let mut rest = lines.clone();
            rest.remove(missing);
            if judged(rest.join("\n"), Told::default()) { fine += 1 } else { refused += 1 }
        }
    }
    assert!(fine > 1_000 && refused > 100, "{fine} judged, {refused} refused");
}

#[test]
fn numbers_may_be_beyond_all_measure() {
    let most = Some(std::time::Duration::MAX);
    let told = Told { delay: most, drain: most, sending: most };
    let numbers = ["0", "-1", "2147483647", "-2147483648", "9223372036854775807", "4294967295%"];
    let mut fine = 0;
    for text in all() {
        for number in numbers {
            let lines = text.lines().map(|line| replaced(line, number)).collect::<Vec<_>>();
            fine += u32::from(judged(lines.join("\n"), Told::default()));
            fine += u32::from(judged(lines.join("\n"), told));
            // One at a time too, for all at once hide each other; the extremes say most.
            let alone = ["-1", "9223372036854775807"].contains(&number);
            for index in (0..lines.len()).filter(|_| alone) {
                let mut one: Vec<_> = text.lines().map(str::to_owned).collect();
                if one[index] != lines[index] {
                    one[index].clone_from(&lines[index]);
                    fine += u32::from(judged(one.join("\n"), told));
                }
            }
        }
    }
    assert!(fine > 1_000, "{fine}");
}

/// The numbers of a line, replaced by another.
fn replaced(line: &str, number: &str) -> String {
    line.split_inclusive([' ', ',', '"', '}', '%'])
        .map(|part| {
            let digits = part.trim_end_matches([' ', ',', '"', '}', '%']);
            let is_number = !digits.is_empty() && digits.bytes().all(|b| b.is_ascii_digit());
            if is_number { part.replacen(digits, number, 1) } else { part.to_owned() }
        })
        .collect()
}
