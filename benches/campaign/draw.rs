//! The trial of a number, at random.

use rand::{Rng as _, RngExt as _, SeedableRng as _, rngs::StdRng, seq::IndexedRandom as _};
use websample_lab::disruption::Disruption;

use super::trial::{Client, Interrupt, Signal, Trial, Unexpected};

/// The events, as often as their number says. What loses requests by design is rarer: it holds less
/// against the promise.
const EVENTS: [(Disruption, u32); 12] = [
    (Disruption::Update, 5),
    (Disruption::Restart, 2),
    (Disruption::Rollback, 3),
    (Disruption::Recreate, 1),
    (Disruption::ScaleIn, 2),
    (Disruption::ScaleToZeroAndBack, 1),
    (Disruption::DeleteAll, 2),
    (Disruption::Evict, 2),
    (Disruption::NodeDrain, 1),
    (Disruption::NodeShutdown, 1),
    (Disruption::Liveness, 2),
    (Disruption::Crash, 1),
];

/// Draws number `n` of a campaign. `proxies` are the programs that there are.
pub(crate) fn draw(campaign: u64, n: u64, proxies: &[&str]) -> Trial {
    // Numbers of a campaign must not be those of the next one, shifted.
    let mix = campaign.wrapping_mul(0x9E37_79B9_7F4A_7C15) ^ n.wrapping_mul(0xD1B5_4A32_D192_ED03);
    let mut rng = StdRng::seed_from_u64(mix);
    let rng = &mut rng;
    let event = weighted(rng, &EVENTS);
    let through = (!proxies.is_empty() && chance(rng, 20)).then(|| one(rng, proxies).to_owned());
    let mut trial = Trial { seed: u64::from(rng.next_u32()), event, through, ..Trial::default() };
    deployment(rng, &mut trial);
    delays(rng, &mut trial);
    load(rng, &mut trial);
    trouble(rng, &mut trial);
    trial.grace = grace(rng, &trial);
    // The stray hook, which is called on the application's port, knows no TLS, and no proxy here does.
    let plain = trial.through.is_some()
        || trial.signal.is_some_and(|signal| signal.what == Unexpected::Hook);
    trial.tls = !plain && chance(rng, 25);
    trial
}

fn deployment(rng: &mut StdRng, trial: &mut Trial) {
    // Those that take one pod after the other take long.
    let most = match trial.event {
        Disruption::NodeDrain | Disruption::Liveness => 2,
        Disruption::Evict => 4,
        _ => 6,
    };
    trial.replicas = if chance(rng, 15) { 1 } else { rng.random_range(2..=most) };
    let bounds = ["0", "1", "2", "25%", "50%", "100%"];
    (trial.surge, trial.unavailable) = loop {
        let (surge, unavailable) = (one(rng, &bounds), one(rng, &bounds));
        // Kubernetes refuses both to be zero.
        if (surge, unavailable) != ("0", "0") {
            break (surge.to_owned(), unavailable.to_owned());
        }
    };
    if chance(rng, 50) {
        (trial.surge, trial.unavailable) = ("25%".to_owned(), "25%".to_owned());
    }
    trial.framework = one(rng, &["actix", "hyper"]).into();
    if chance(rng, 25) {
        trial.slow_start_ms = rng.random_range(200..3_000);
    }
    if chance(rng, 30) {
        trial.probe_period_ms = rng.random_range(5..20) * 100;
        trial.failure_threshold = rng.random_range(1..=3);
    }
}

fn delays(rng: &mut StdRng, trial: &mut Trial) {
    trial.delay_min_ms = rng.random_range(3..40) * 100;
    trial.delay_quiet_ms = rng.random_range(2..12) * 100;
    trial.delay_max_ms =
        trial.delay_min_ms.max(trial.delay_quiet_ms) + rng.random_range(10..50) * 100;
    if chance(rng, 30) {
        trial.close_spread_ms = rng.random_range(1..20) * 100;
    }
    trial.on_drain = one(rng, &["fail", "keep", "auto"]).into();
    trial.pre_stop = match rng.random_range(0..10) {
        0 => format!("sleep:{}s", rng.random_range(1..=3)),
        1..=3 => "none".to_owned(),
        _ => "http".to_owned(),
    };
    // Mostly what the promise asks for, a proxy that moves within delay.min; else one that moves as long
    // as the drain may wait for it.
    let within = if chance(rng, 85) { trial.delay_min_ms } else { trial.delay_max_ms };
    trial.propagation = match rng.random_range(0..4) {
        0 if within > 1_300 => "proxy".to_owned(),
        1 if within > 4_500 => "ingress".to_owned(),
        _ => {
            let most = rng.random_range(0..within * 9 / 10);
            format!("{}ms..{most}ms", rng.random_range(0..=most))
        }
    };
    if matches!(trial.event, Disruption::Liveness | Disruption::NodeShutdown) {
        // Here the readiness probe has to fail before any proxy can move.
        let waits: &[&str] = match trial.event {
            Disruption::NodeShutdown => &["fail"],
            _ => &["fail", "auto"],
        };
        trial.on_drain = one(rng, waits).into();
        let told = trial.probe_period_ms * u64::from(trial.failure_threshold);
        trial.delay_min_ms += told;
        trial.delay_max_ms += told;
    }
}

fn load(rng: &mut StdRng, trial: &mut Trial) {
    let through = trial.through.as_deref();
    // A proxy closes its clients' connections for reasons of its own: only who looks can tell.
    let looks = |rng: &mut StdRng| through.is_some() || chance(rng, 50);
    let mut streams = Vec::new();
    for _ in 0..rng.random_range(2..=5) {
        let rate = rng.random_range(4..120);
        let body = if chance(rng, 15) { 200_000 } else { rng.random_range(0..4_000) };
        let connections = rng.random_range(1..=12);
        let stale = if looks(rng) { "" } else { " stale-check=no" };
        streams.push(match rng.random_range(0..12) {
            0 => format!("{rate}/s new GET /"),
            1 => format!("{}/s new POST /echo body={body}", rate / 2 + 1),
            2 | 3 => format!("{rate}/s keep-alive GET / connections={connections}{stale}"),
            4 | 5 => format!(
                "{rate}/s keep-alive POST /echo body={body} connections={connections}{stale}"
            ),
            6 if through != Some("nginx") => {
                format!("{rate}/s http2 GET / connections={}", rng.random_range(1..=3))
            }
            7 if through != Some("nginx") => {
                format!("{}/s http2 POST /echo body={body}", rate / 2 + 1)
            }
            8 => format!(
                "{}/s new GET /sleep/{}",
                rng.random_range(1..=6),
                f64::from(rng.random_range(1..30)) / 10.0
            ),
            9 => {
                format!("{}/s new GET /stream/{}", rng.random_range(1..=4), rng.random_range(1..=3))
            }
            10 if through.is_none() => {
                format!("{}/s websocket /ws body={}", rng.random_range(2..=20), body.min(4_000))
            }
            11 => format!(
                "{}/s keep-alive GET /sleep/0.{} connections={connections}{stale}",
                rate / 4 + 1,
                rng.random_range(1..9)
            ),
            _ => format!("{rate}/s keep-alive GET /any connections=2{stale}"),
        });
    }
    // Streams are told apart by protocol, method and path.
    let name = |stream: &String| {
        let words: Vec<_> = stream.split(' ').skip(1).filter(|word| !word.contains('=')).collect();
        words.join(" ")
    };
    streams.sort_by_key(name);
    streams.dedup_by_key(|stream| name(stream));
    streams.push(format!("{}/s new GET /plain", rng.random_range(150..300)));
    trial.mix = streams;
}

fn trouble(rng: &mut StdRng, trial: &mut Trial) {
    if chance(rng, 30) {
        for _ in 0..rng.random_range(1..=2) {
            let client = one(rng, &Client::ALL);
            if !trial.clients.contains(&client) {
                trial.clients.push(client);
            }
        }
    }
    if chance(rng, 15) {
        trial.spinners = rng.random_range(1..=3);
    }
    if chance(rng, 20) {
        let what = match rng.random_range(0..4) {
            0 => Unexpected::Term,
            1 => Unexpected::Hook,
            _ => Unexpected::TermTwice(rng.random_range(0..=trial.delay_max_ms)),
        };
        trial.signal = Some(Signal { what, after_ms: rng.random_range(0..6_000) });
        trial.on_drain = one(rng, &["fail", "auto"]).into();
    }
    if chance(rng, 4) {
        let after_ms = rng.random_range(0..9_000);
        trial.interrupt = Some(Interrupt { term: chance(rng, 50), after_ms });
    }
}

/// A grace period for the delay and the longest request; now and then one that is too short for it.
fn grace(rng: &mut StdRng, trial: &Trial) -> u64 {
    let request = super::judge::longest_request(&trial.mix);
    let sleep = super::judge::sleep_of(&trial.pre_stop);
    let rest = if chance(rng, 90) { request.as_millis() as u64 + 1_000 } else { 100 };
    let needed = trial.delay_max_ms + trial.close_spread_ms + trial.margin_ms + rest;
    needed.div_ceil(1_000) + sleep.as_secs() + rng.random_range(0..=6)
}

fn chance(rng: &mut StdRng, percent: u32) -> bool {
    rng.random_range(0..100) < percent
}

fn one<T: Copy>(rng: &mut StdRng, of: &[T]) -> T {
    *of.choose(rng).expect("there are some")
}

fn weighted<T: Copy>(rng: &mut StdRng, of: &[(T, u32)]) -> T {
    let mut left = rng.random_range(0..of.iter().map(|(_, weight)| weight).sum());
    for (what, weight) in of {
        if left < *weight {
            return *what;
        }
        left -= weight;
    }
    unreachable!("it is below the sum")
}
