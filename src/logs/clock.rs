//! The time of a line, as text.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// Where the microseconds are in `2026-11-27T05:57:39.123456Z`.
const MICROS: std::ops::Range<usize> = 20..26;

/// Reads the clock; what it has written of the second is used again within that second.
#[derive(Debug, Default)]
pub(super) struct Clock {
    second: Option<u64>,
    text: Vec<u8>,
}

impl Clock {
    /// Now, in microseconds since 1970; [`Clock::text`] is the same from here on.
    pub(super) fn read(&mut self) -> u64 {
        // A clock before 1970 is wrong anyway.
        self.set(SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default())
    }

    fn set(&mut self, now: Duration) -> u64 {
        let mut micros = now.subsec_micros();
        if self.second == Some(now.as_secs()) {
            for digit in self.text[MICROS].iter_mut().rev() {
                *digit = b'0' + (micros % 10) as u8;
                micros /= 10;
            }
        } else {
            let text = humantime::format_rfc3339_micros(UNIX_EPOCH + now);
            self.text = text.to_string().into_bytes();
            self.second = Some(now.as_secs());
        }
        now.as_micros() as u64
    }

    /// What was read last, as RFC 3339 has it.
    pub(super) fn text(&self) -> &[u8] {
        &self.text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_second_that_is_used_again_has_the_digits_of_a_new_one() {
        let mut kept = Clock::default();
        for micros in [0, 1, 999_999, 120_000, 45, 1_000_000, 1_000_009, 2_999_999, 3_000_000] {
            let now = Duration::from_secs(1_795_759_059) + Duration::from_micros(micros);
            let mut new = Clock::default();
            assert_eq!(kept.set(now), new.set(now));
            assert_eq!(kept.text(), new.text(), "{micros}");
        }
        assert_eq!(kept.text(), b"2026-11-27T05:57:42.000000Z");
    }
}
