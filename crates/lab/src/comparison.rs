//! Everything that was planned: the variants side by side, repeat after repeat.

use std::{
    collections::BTreeSet,
    fmt::Write as _,
    io,
    path::{Path, PathBuf},
    sync::Arc,
    time::SystemTime,
};

use futures_util::future::{join_all, try_join_all};
use tokio::{sync::Notify, time::Instant};
use tokio_util::sync::CancellationToken;
use websample_lifecycle::{Signal, Signals};
use websample_load::raise_file_limit;
use websample_manifest::output::printed;

use super::{
    args::RolloutArgs,
    audience::{Audience, Said},
    cluster::kubernetes::{KubernetesError, Room, Session},
    experiment::{Cue, Experiment, ExperimentError, made, run_id},
    gate,
    ground::Ground,
    junit::junit,
    metrics::{Endpoint, EndpointError, Metrics},
    page,
    plan::{Plan, PlanError, Variant},
    provided::Provided,
    report::{Environment, Report, RunReport},
    sarif::sarif,
    saved::Saved,
    summary,
    through::{Installed, ProxyError},
    timings,
};

/// Why there is no comparison.
#[derive(Debug, thiserror::Error)]
pub enum RolloutError {
    /// The command line asks for something that cannot be done.
    #[error(transparent)]
    Plan(#[from] PlanError),
    /// The proxy is not installed, or cannot be used.
    #[error(transparent)]
    Proxy(#[from] ProxyError),
    /// The metrics could not be served.
    #[error(transparent)]
    Metrics(#[from] EndpointError),
    /// There is no cluster to run it on.
    #[error(transparent)]
    Kubernetes(#[from] KubernetesError),
    /// A cluster did not come up, or broke down.
    #[error(transparent)]
    Experiment(#[from] ExperimentError),
    /// The results could not be written, or a signal handler not be had.
    #[error(transparent)]
    Io(#[from] io::Error),
    /// Somebody did not want to wait.
    #[error("interrupted by {0}; everything that was started has been stopped")]
    Interrupted(Signal),
}

/// What came of it all.
#[derive(Debug)]
pub struct Compared {
    /// The report, with the file that it was written to.
    pub report: Report,
    /// Where that is.
    pub path: PathBuf,
    /// Where the page is.
    pub page: PathBuf,
    /// Of the modes that must not lose anything: those that did, and how much.
    pub failed: Vec<(String, u64)>,
    /// What is so that must not be.
    pub broken: Vec<String>,
    /// Why nothing follows from the result, if it does not.
    pub invalid: Option<String>,
    /// The metrics, which whoever scrapes them may not have taken yet.
    pub endpoint: Option<Endpoint>,
}

/// Does what was asked, writes the report and its page.
///
/// `own` is this program, which the local cluster runs; `command` is how it was called.
///
/// # Errors
/// Says what could not be done; nothing that was started is left.
pub async fn rollout(
    args: &RolloutArgs,
    own: &str,
    command: Vec<String>,
    signals: &mut Signals,
    audience: &impl Audience,
) -> Result<Compared, RolloutError> {
    let plan = Plan::new(args, own, rand::random::<u32>().into())?;
    // Nobody wants to learn after a minute that there is no place for the results.
    writable(&plan.out)?;
    raise_file_limit();
    // What is only looked at, nobody has to clear away.
    let ground = tokio::select! {
        biased;
        signal = signals.next() => return Err(RolloutError::Interrupted(signal)),
        ground = ground(&plan) => ground?,
    };
    let compared = plan.variants.iter().map(|v| (v.label.as_str(), v.mode));
    let metrics = Metrics::new(SystemTime::now(), compared);
    let endpoint = plan.metrics.map(|address| Endpoint::bind(address, &metrics)).transpose()?;
    if let Some(endpoint) = &endpoint {
        audience.tell(Said::Metrics(endpoint.address()));
        audience.tell(Said::Panels(metrics.panels(&args.grafana, None)));
    }
    let environment = Environment::new(&plan, &ground, command);
    audience.tell(Said::Begins(announcement(&plan, &environment)));

    // Dropping the runs ends every process they started, within their own limits.
    let done = tokio::select! {
        biased;
        signal = signals.next() => Err(RolloutError::Interrupted(signal)),
        done = repeats(&plan, &ground, &metrics, endpoint.as_ref(), audience) => done,
    };
    // What is on a cluster does not go with this process; whatever the end was, it is removed.
    if let Ground::Kubernetes(session) = &ground {
        tokio::select! {
            said = session.close() => said.into_iter().for_each(|said| audience.tell(said)),
            _ = signals.next() => audience.tell(Said::Warning(session.left())),
        }
    }
    let runs = done?;

    let report = Report { runs, environment, advice: None };
    let path = report.write(&plan.out)?;
    let saved = [Saved { label: String::new(), report }];
    let page = path.with_file_name(page::FILE);
    page::write(&saved, &page)?;
    let [Saved { report, .. }] = saved;
    let failed: Vec<_> = summary::by_mode(&report.runs)
        .iter()
        .filter(|mode| mode.lost > 0 && plan.fail_on_loss.iter().any(|label| label == mode.mode))
        .map(|mode| (mode.mode.to_owned(), mode.lost))
        .collect();
    let broken_by = |run: &RunReport| -> Vec<String> {
        plan.fail_on.iter().filter_map(|condition| condition.met(run)).collect()
    };
    let broken = report.runs.iter().flat_map(broken_by).collect();
    let invalid = gate::invalid(&report.runs);
    if let Some(file) = &plan.junit {
        written("--junit", file, &junit(&report.runs, &failed, broken_by))?;
    }
    if let Some(file) = &plan.sarif {
        let log = sarif(&report.runs, &path, &failed, broken_by, invalid.as_deref());
        written("--sarif", file, &printed(&log))?;
    }
    if let Some(file) = &plan.record {
        audience.tell(Said::Recorded(timings::record(&report, file)?));
    }
    Ok(Compared { report, path, page, failed, broken, invalid, endpoint })
}

/// Writes what an option asks for.
fn written(option: &str, file: &Path, text: &str) -> io::Result<()> {
    std::fs::write(file, text).map_err(|error| {
        io::Error::new(error.kind(), format!("{option}: cannot write {}: {error}", file.display()))
    })
}

/// Finds what it needs, and changes nothing that does not go with it.
async fn ground(plan: &Plan) -> Result<Ground, RolloutError> {
    if let Some(options) = &plan.kubernetes {
        let session = Session::open(options.clone(), format!("{}-all", run_id(plan.seed))).await?;
        return Ok(Ground::Kubernetes(Box::new(session)));
    }
    let proxy = match &plan.proxy {
        Some(options) => Some(Installed::find(options.program).await?),
        None => None,
    };
    Ok(Ground::Local { proxy, provided: Provided::new(plan)? })
}

/// What is going to happen.
fn announcement(plan: &Plan, environment: &Environment) -> String {
    let labels: Vec<_> = plan.variants.iter().map(|v| v.label.as_str()).collect();
    let (on, which) = match &environment.cluster {
        Some(on) => (
            format!("{}, namespace {}, {on}", on.name, on.namespace),
            format!("run {}", run_id(plan.seed)),
        ),
        None => (environment.propagation.clone(), format!("seed {}", plan.seed)),
    };
    let command = match plan.variants.first() {
        Some(variant) if plan.foreign => format!("; {}", variant.cluster.command),
        _ => String::new(),
    };
    format!(
        "{} replicas, {on}; {}{}{:.0} requests/s to each of: {}; {which}{command}",
        environment.replicas,
        if plan.tls.is_some() { "TLS; " } else { "" },
        environment.proxy.as_ref().map_or_else(String::new, |proxy| format!("{proxy}; ")),
        environment.rate,
        labels.join(", "),
    )
}

/// One repeat after the other.
async fn repeats(
    plan: &Plan,
    ground: &Ground,
    metrics: &Metrics,
    endpoint: Option<&Endpoint>,
    audience: &impl Audience,
) -> Result<Vec<RunReport>, RolloutError> {
    let mut alone = false;
    if let Ground::Kubernetes(session) = ground {
        session.prepare(|said| audience.tell(said)).await?;
        alone = is_one_by_one(plan, session, audience).await;
    }
    let mut runs = Vec::new();
    for repeat in 0..plan.repeat {
        let rounds =
            plan.rounds().flat_map(|round| round.chunks(if alone { 1 } else { round.len() }));
        for round in rounds {
            let done = side_by_side(plan, round, ground, metrics, endpoint, repeat, audience);
            runs.extend(done.await?);
        }
        if plan.repeat > 1 {
            let lost =
                summary::by_mode(&runs).iter().map(|m| (m.mode.to_owned(), m.lost)).collect();
            audience.tell(Said::Repeat { done: repeat + 1, of: plan.repeat, lost });
        }
    }
    Ok(runs)
}

/// Whether the variants run one after the other, since the nodes have no room for all of them at once.
async fn is_one_by_one(plan: &Plan, session: &Session, audience: &impl Audience) -> bool {
    let options = &session.options;
    if options.side_by_side {
        return false;
    }
    // Where nobody may look at the nodes, a pod without a place is told of when there is one.
    let Some(room) = Room::look(&session.cluster).await else { return false };
    let pods = |variant: &Variant| made(variant, plan.seed).pods(options.url.is_none());
    let fit = |variants: &[Variant]| room.clone().place(variants.iter().flat_map(pods));
    if plan.rounds().all(fit) {
        return false;
    }
    let several = plan.rounds().any(|round| round.len() > 1);
    let all = plan.rounds().map(|round| round.iter().flat_map(pods).count()).max().unwrap_or(0);
    let one = plan.variants.iter().map(|variant| pods(variant).len()).max().unwrap_or(0);
    let one_fits = plan.variants.iter().all(|variant| fit(std::slice::from_ref(variant)));
    let mut text = format!("the nodes have no room for {all} pods");
    if several {
        text += ": one mode after the other (--side-by-side: all at once, where nodes are added for them)";
    }
    if !one_fits {
        if several {
            let _ = write!(text, "; nor have they for one mode's {one}");
        }
        text += ", as far as requests tell: take fewer --replicas, unless nodes are added";
    }
    audience.tell(Said::Warning(text));
    several
}

/// Holds the results for the scrape that takes them away; whoever does not want to wait says so.
pub async fn last_scrape(endpoint: Endpoint, signals: &mut Signals, audience: &impl Audience) {
    let finish = async {
        if let Some(limit) = endpoint.last_scrape_due() {
            audience.tell(Said::LastScrape(limit.as_secs_f64()));
            endpoint.last_scrape(limit).await;
        }
        endpoint.finish().await
    };
    tokio::select! {
        biased;
        _ = signals.next() => audience.tell(Said::NoLastScrape),
        trouble = finish => {
            if let Some(trouble) = trouble {
                audience.tell(Said::Warning(format!("--metrics: {trouble}")));
            }
        }
    }
}

/// Makes the directory if need be, and tries to write there.
pub(crate) fn writable(directory: &Path) -> io::Result<()> {
    let probe = directory.join(format!(".writable.{}", std::process::id()));
    std::fs::create_dir_all(directory)
        .and_then(|()| std::fs::write(&probe, []))
        .and_then(|()| std::fs::remove_file(&probe))
        .map_err(|error| {
            let text = format!("--out: cannot write to {}: {error}", directory.display());
            io::Error::new(error.kind(), text)
        })
}

/// One event of a repeat: every variant on a cluster of its own, under load at the same time.
async fn side_by_side(
    plan: &Plan,
    variants: &[Variant],
    ground: &Ground,
    metrics: &Metrics,
    endpoint: Option<&Endpoint>,
    repeat: u32,
    audience: &impl Audience,
) -> Result<Vec<RunReport>, ExperimentError> {
    let start = Instant::now();
    let go = CancellationToken::new();
    let experiments: Vec<_> = variants
        .iter()
        .map(|variant| {
            let metrics = metrics.of(&variant.label);
            Arc::new(Experiment::new(variant.clone(), repeat, plan.seed_of(repeat), metrics))
        })
        .collect();
    let ups: Vec<_> = experiments.iter().map(|_| Arc::new(Notify::new())).collect();
    let runs = experiments.iter().zip(&ups).enumerate().map(|(index, (experiment, up))| {
        let cue = Cue { start, up: Arc::clone(up), go: go.clone(), first: index == 0 };
        experiment.run(plan, ground, cue)
    });
    let begin = async {
        join_all(ups.iter().map(|up| up.notified())).await;
        // Once, though each variant has noticed it, in each repeat.
        if repeat == 0 {
            let oddities: BTreeSet<_> = experiments.iter().flat_map(|e| e.oddities()).collect();
            for oddity in oddities {
                audience.tell(Said::Warning(oddity));
            }
        }
        if let Some(endpoint) = endpoint {
            endpoint.found().await;
        }
        go.cancel();
        std::future::pending::<()>().await;
    };
    tokio::select! {
        reports = try_join_all(runs) => reports,
        () = begin => unreachable!("it waits for ever"),
        () = audience.show(&experiments, start) => unreachable!("it shows for ever"),
    }
}
