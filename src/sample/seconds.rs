//! The N of a path: a bounded number of seconds.

use std::time::Duration;

/// Reads N as seconds, with a fraction if need be.
///
/// # Errors
/// Says what is wrong and what would be right.
pub(super) fn parse(text: &str, limit: Duration) -> Result<Duration, String> {
    let seconds: f64 = text
        .parse()
        .ok()
        .filter(|n: &f64| n.is_finite() && *n >= 0.0)
        .ok_or_else(|| format!("`{text}` is not a number of seconds: use 5 or 0.5\n"))?;
    if seconds > limit.as_secs_f64() {
        let limit = limit.as_secs();
        return Err(format!("{text} seconds are more than limits.sleep, {limit} seconds\n"));
    }
    Ok(Duration::from_secs_f64(seconds))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_within_the_limit_are_durations() {
        let limit = Duration::from_secs(300);
        for (text, millis) in [("0", 0), ("5", 5_000), ("0.25", 250), ("300", 300_000)] {
            assert_eq!(parse(text, limit), Ok(Duration::from_millis(millis)), "{text}");
        }
    }

    #[test]
    fn everything_else_is_refused_with_a_reason() {
        let limit = Duration::from_secs(300);
        for text in ["", "x", "-1", "5s", "NaN", "inf", "1e999", "0x5", "5 "] {
            assert!(parse(text, limit).unwrap_err().contains("number of seconds"), "{text}");
        }
        assert!(parse("301", limit).unwrap_err().contains("limits.sleep"));
    }
}
