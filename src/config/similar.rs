//! "Did you mean …?"

/// From here on two words look like one misspelt.
const ALIKE: f64 = 0.8;

/// The candidate that was most likely meant.
pub(super) fn closest<'a>(word: &str, candidates: &[&'a str]) -> Option<&'a str> {
    let word = plain(word);
    candidates
        .iter()
        .map(|candidate| (strsim::jaro_winkler(&word, &plain(candidate)), *candidate))
        .filter(|(likeness, _)| *likeness >= ALIKE)
        .max_by(|(a, _), (b, _)| a.total_cmp(b))
        .map(|(_, candidate)| candidate)
}

/// Case and separators are what is most often wrong.
fn plain(word: &str) -> String {
    word.to_lowercase().replace("__", ".").replace(['-', '_'], ".")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_what_was_meant_and_nothing_else() {
        let candidates = ["delay.min", "delay.max", "grace_period", "listen", "admin.listen"];
        let cases = [
            ("delay_min", Some("delay.min")),
            ("DELAY__MAX", Some("delay.max")),
            ("delay.mni", Some("delay.min")),
            ("grace-period", Some("grace_period")),
            ("grace", Some("grace_period")),
            ("lisen", Some("listen")),
            ("xyzzy", None),
            ("", None),
        ];
        for (word, expected) in cases {
            assert_eq!(closest(word, &candidates), expected, "{word}");
        }
    }
}
