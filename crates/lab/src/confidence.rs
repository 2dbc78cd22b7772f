//! How sure a share of lost requests is.

/// The normal quantile of a one-sided 95 % bound.
const Z95: f64 = 1.644_853_626_951_472_7;

/// The upper 95 % bound of a share, having seen `lost` of `requests`.
///
/// Nothing lost of n is "at most 3/n" (the rule of three); otherwise Wilson's score bound.
/// Losses of one rollout are not independent of each other, so this is the bound for requests,
/// not for rollouts: repeat rollouts.
pub fn upper_bound(lost: u64, requests: u64) -> f64 {
    if requests == 0 {
        return 1.0;
    }
    let n = requests as f64;
    if lost == 0 {
        return (3.0 / n).min(1.0);
    }
    let p = lost as f64 / n;
    let z2 = Z95 * Z95;
    let centre = p + z2 / (2.0 * n);
    let spread = Z95 * (p * (1.0 - p) / n + z2 / (4.0 * n * n)).sqrt();
    ((centre + spread) / (1.0 + z2 / n)).min(1.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bounds_lie_above_what_was_seen_and_shrink_with_requests() {
        let near = |a: f64, b: f64| assert!((a - b).abs() < 1e-4, "{a} is not {b}");
        near(upper_bound(0, 1000), 0.003);
        near(upper_bound(0, 0), 1.0);
        near(upper_bound(0, 2), 1.0);
        near(upper_bound(1000, 1000), 1.0);
        // Wilson, one-sided 95 %: 10 of 1000.
        near(upper_bound(10, 1000), 0.016_567);
        for (lost, requests) in [(1, 10), (5, 100), (50, 1000)] {
            let bound = upper_bound(lost, requests);
            assert!(bound > lost as f64 / requests as f64);
            assert!(upper_bound(lost * 10, requests * 10) < bound);
        }
    }
}
