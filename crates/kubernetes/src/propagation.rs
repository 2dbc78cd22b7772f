//! How long those in front of a pod go on sending to it after its deletion.

use std::time::Duration;

/// The longest a kube-proxy at its defaults took to stop sending, measured.
pub const PROXY: Duration = Duration::from_millis(1_200);

/// The longest an ingress-nginx takes: a rate limiter of 0.3/s, then a poll a second.
pub const INGRESS: Duration = Duration::from_millis(4_300);
