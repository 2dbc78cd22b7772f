//! `websample attack`: the load generator by itself.

mod interrupts;
mod progress;

use std::{
    io::{self, Write},
    path::PathBuf,
    sync::Arc,
    time::{Duration, Instant, SystemTime},
};

use anyhow::Context;
use bytes::Bytes;
use clap::{Args, ValueEnum};
use hyper::{
    HeaderMap, Method,
    header::{HeaderName, HeaderValue},
};
use tokio_util::sync::CancellationToken;
use websample_load::{
    Accepted, Bounds, Engine, LoadReport, Mix, Outcome, Payload, Protocol, StreamSpec, Tls,
    TlsError, Trust,
    lines::{Lines, Teller},
    parse_rate, raise_file_limit,
    results::{Background, Encoding, ResultsWriter},
    target::{Resolved, Target},
    vegeta::{JsonReport, TextReport},
};

use self::{interrupts::Interrupts, progress::ProgressLine};
use crate::exit::USAGE;

/// The options of `websample attack`.
#[derive(Debug, Clone, Args)]
#[command(after_help = "\
Examples:
  websample attack http://127.0.0.1:5000/sleep/5 --rate 1 --duration 60s
  websample attack http://127.0.0.1:5000/ --rate 500 --keep-alive --connections 20
  websample attack http://127.0.0.1:5000/echo --rate 50 --keep-alive --body hello
  websample attack https://localhost:5443/ --rate 50 --ca ca.pem
  websample attack http://127.0.0.1:5000/ --rate 200 --output results.csv
  vegeta report results.csv; vegeta plot results.csv > plot.html
  websample attack http://127.0.0.1:5000 --mix '100/s new GET /, 50/s keep-alive POST /echo body=256'

The rate is kept whatever the server does, nothing is sent twice, and latency counts from
the time at which a request was due. Interrupt it (SIGINT, SIGTERM) to end early and see the
report; a second interrupt does not wait for outstanding answers.")]
#[allow(
    clippy::struct_excessive_bools,
    reason = "they are flags, and clap checks which go together"
)]
pub struct AttackArgs {
    /// What to request, such as http://127.0.0.1:5000/sleep/5, or https://…
    pub url: String,

    /// Requests a second (50, 50/s) or a minute (30/m)
    #[arg(short, long, default_value = "50")]
    pub rate: String,

    /// Several streams at once, instead of one of --rate requests a second, such as '100/s new
    /// GET /, 50/s keep-alive POST /echo body=256'; their paths are all there is to the URL's
    #[arg(long, conflicts_with_all = [
        "rate", "keep_alive", "http1", "http2", "connections", "method", "body", "body_file", "expect",
    ])]
    pub mix: Option<Mix>,

    /// How long to send; 0s until interrupted
    #[arg(short, long, default_value = "10s", value_parser = humantime::parse_duration)]
    pub duration: Duration,

    /// Keep connections and use them again, instead of a new one for each request
    #[arg(short, long, conflicts_with = "http2")]
    pub keep_alive: bool,

    /// Speak HTTP/2 on a few connections: with prior knowledge, or over https
    #[arg(long)]
    pub http2: bool,

    /// Speak HTTP/1.1, also over https; there the server chooses otherwise (ALPN)
    #[arg(long, conflicts_with = "http2")]
    pub http1: bool,

    /// Trust these certificate authorities instead of the system's: a PEM file
    #[arg(long, value_name = "FILE")]
    pub ca: Option<PathBuf>,

    /// The server's name in the handshake (SNI) and in its certificate, where it is not the URL's host
    #[arg(long, value_name = "NAME")]
    pub server_name: Option<String>,

    /// Take any certificate: verify nothing
    #[arg(long, conflicts_with = "ca")]
    pub insecure: bool,

    /// Connections to keep in rotation, with --keep-alive (default 8) or --http2 (default 2)
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=10_000))]
    pub connections: Option<u16>,

    /// The request's method; GET, or POST where there is a body
    #[arg(short, long)]
    pub method: Option<String>,

    /// The request's body
    #[arg(short, long, value_name = "TEXT")]
    pub body: Option<String>,

    /// A file that holds the request's body
    #[arg(long, value_name = "FILE", conflicts_with = "body")]
    pub body_file: Option<PathBuf>,

    /// A header for every request; may be repeated
    #[arg(short = 'H', long = "header", value_name = "NAME: VALUE")]
    pub headers: Vec<String>,

    /// Time for a complete answer
    #[arg(long, default_value = "30s", value_parser = humantime::parse_duration)]
    pub timeout: Duration,

    /// How long outstanding answers are waited for after an interrupt
    #[arg(long, default_value = "5s", value_parser = humantime::parse_duration, value_name = "TIME")]
    pub wait: Duration,

    /// Time for a connection to be established, with TLS
    #[arg(long, default_value = "5s", value_parser = humantime::parse_duration)]
    pub connect_timeout: Duration,

    /// The statuses that count as success, such as 200-299|404
    #[arg(long, default_value = "200-399", value_name = "STATUSES")]
    pub expect: String,

    /// Requests outstanding at once; what is due beyond that is reported as unsent
    #[arg(long, default_value_t = 10_000, value_name = "N",
          value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    pub max_in_flight: u32,

    /// Write every single result to this file, for vegeta's report and plot: .csv, or .json
    /// for JSON lines
    #[arg(short, long, value_name = "FILE")]
    pub output: Option<PathBuf>,

    /// The attack's name in the results file
    #[arg(long, default_value = "")]
    pub name: String,

    /// How the report is printed
    #[arg(long, value_enum, default_value_t = Format::Text)]
    pub format: Format,
}

/// How the report is printed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// Vegeta's text layout.
    Text,
    /// Vegeta's JSON, with more members.
    Json,
    /// A line of JSON for every request as it ends: how the rollout lab follows its load in a
    /// cluster.
    Lab,
}

/// An attack whose options have been checked.
#[derive(Debug)]
struct Plan {
    target: Target,
    tls: Option<Tls>,
    mix: Mix,
    headers: HeaderMap,
    bounds: Bounds,
    duration: Option<Duration>,
    output: Option<(PathBuf, Encoding)>,
    wait: Duration,
    follow: bool,
}

/// Runs the attack, prints its report, and returns the exit code: 0, or 64 where the options
/// are wrong.
///
/// # Errors
/// When the host has no address, or a file cannot be read or written.
pub async fn attack(args: AttackArgs) -> anyhow::Result<u8> {
    let plan = match Plan::check(&args) {
        Ok(plan) => plan,
        Err(error) => {
            // Nobody is left to tell when standard error is closed.
            let _ = writeln!(io::stderr(), "error: {error:#}");
            return Ok(USAGE);
        }
    };
    let connect = plan.target.resolve().await.context("the host could not be looked up")?;
    let report = plan.run(connect, &args.name).await?;
    if args.format == Format::Lab {
        // Everything has been said; a pod's log has one stream for all.
        return Ok(0);
    }
    warn(&report, plan.bounds.in_flight);
    let text = match args.format {
        Format::Lab => String::new(),
        Format::Text => TextReport(&report).to_string(),
        Format::Json => serde_json::to_string(&JsonReport::from(&report))? + "\n",
    };
    match io::stdout().write_all(text.as_bytes()) {
        // `attack … | head` has read what it wanted.
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => {}
        written => written.context("the report could not be printed")?,
    }
    Ok(0)
}

impl Plan {
    fn check(args: &AttackArgs) -> anyhow::Result<Self> {
        let target: Target = args.url.parse()?;
        let mix = match &args.mix {
            Some(mix) if target.path == "/" => mix.clone(),
            Some(_) => anyhow::bail!(
                "--mix has a path for every stream: leave `{}` out of the URL",
                target.path
            ),
            None => Mix::new(vec![Self::stream(args, &target)?])?,
        };
        anyhow::ensure!(
            target.secure || !mix.streams().iter().any(|stream| stream.alpn),
            "--mix: alpn=yes is for https, where the server can choose: leave it out, or write the URL \
             with https"
        );
        for (option, value) in
            [("--timeout", args.timeout), ("--connect-timeout", args.connect_timeout)]
        {
            anyhow::ensure!(!value.is_zero(), "{option} is 0: nothing could succeed; write 30s");
        }
        let output = args
            .output
            .clone()
            .map(|path| Encoding::of(&path).map(|encoding| (path, encoding)))
            .transpose()
            .context("--output")?;
        Ok(Self {
            tls: tls(args, &target)?,
            target,
            mix,
            headers: headers(&args.headers)?,
            bounds: Bounds {
                in_flight: args.max_in_flight as usize,
                connect_timeout: args.connect_timeout,
                timeout: args.timeout,
            },
            duration: (!args.duration.is_zero()).then_some(args.duration),
            output,
            wait: args.wait,
            follow: args.format == Format::Lab,
        })
    }

    /// The one stream that the options describe.
    fn stream(args: &AttackArgs, target: &Target) -> anyhow::Result<StreamSpec> {
        let rate = if args.rate.contains('/') {
            parse_rate(&args.rate)
        } else {
            parse_rate(&format!("{}/s", args.rate))
        }
        .context("--rate")?;
        let body = body(args)?;
        let method = match &args.method {
            Some(text) => parse_method(text)?,
            None if body.is_empty() => Method::GET,
            None => Method::POST,
        };
        let protocol = match (args.http2, args.keep_alive) {
            (true, _) => Protocol::Http2,
            (_, true) => Protocol::KeepAlive,
            _ => Protocol::New,
        };
        let mut spec = StreamSpec::new(rate, protocol, method, target.path.as_str());
        spec.alpn = target.secure && protocol != Protocol::Http2 && !args.http1;
        spec.body = body;
        spec.expect = args.expect.parse::<Accepted>()?;
        match (args.connections, protocol) {
            (Some(_), Protocol::New) => anyhow::bail!(
                "--connections is for connections that are kept: add --keep-alive or --http2"
            ),
            (Some(connections), _) => spec.connections = connections.into(),
            (None, _) => {}
        }
        Ok(spec)
    }

    async fn run(&self, connect: Resolved, name: &str) -> anyhow::Result<LoadReport> {
        raise_file_limit();
        let (origin, wall) = (Instant::now(), SystemTime::now());
        let base = format!("{}://{}", self.target.scheme(), self.target.authority);
        let results = self
            .output
            .as_ref()
            .map(|(path, encoding)| {
                ResultsWriter::create(path, *encoding, name, wall, &self.mix, &base)
            })
            .transpose()
            .context("the results file could not be created")?
            .map(Background::start)
            .transpose()?;
        let (sender, writer) = results.unzip();
        let (teller, lines) = if self.follow {
            let started = Lines::start(io::stdout(), origin, wall, &self.mix);
            let (teller, lines) = started.context("the report could not be begun")?;
            (Some(teller), Some(lines))
        } else {
            (None, None)
        };
        let progress = ProgressLine::start(self.duration);
        let counts = Arc::clone(&progress.counts);

        let (stop, abandon) = (CancellationToken::new(), CancellationToken::new());
        let told = teller.clone();
        let stopping = move || {
            if let Some(teller) = &told {
                teller.stopping(origin.elapsed());
            }
        };
        let interrupts = Interrupts::catch().context("signals could not be caught")?;
        let interrupts =
            tokio::spawn(interrupts.obey(stop.clone(), abandon.clone(), self.wait, stopping));
        let each = teller.clone();
        let report = Engine::new(self.mix.clone(), Arc::new(connect), self.bounds)
            .authority(self.target.authority.clone())
            .tls(self.tls.clone())
            .headers(self.headers.clone())
            .clock(origin)
            .abandon_on(abandon)
            .on_attempt(move |attempt| {
                counts.add(&attempt);
                if let Some(teller) = &each {
                    teller.attempt(attempt.clone());
                }
                if let Some(sender) = &sender {
                    // A writer that is gone has failed: its error is reported at the end.
                    let _ = sender.send(attempt);
                }
            })
            .run(self.duration, stop)
            .await
            .context("the load generator could not run");
        interrupts.abort();
        progress.finish();
        if let (Some(teller), Ok(report)) = (&teller, &report) {
            teller.ended(origin.elapsed(), report.total.requests);
        }
        drop::<Option<Teller>>(teller);
        if let Some(lines) = lines {
            lines.finish().await.context("the report could not be printed")?;
        }
        if let Some(writer) = writer {
            writer.finish().await.context("the results file could not be written")?;
        }
        report
    }
}

/// What the generator itself did not do has to be known before the numbers are believed.
fn warn(report: &LoadReport, limit: usize) {
    let say = |text: String| {
        // Nobody is left to tell when standard error is closed.
        let _ = writeln!(io::stderr(), "warning: {text}");
    };
    match report.total.count(Outcome::Unsent) {
        0 => {}
        unsent if report.peak_in_flight >= limit => say(format!(
            "{unsent} requests were not sent because {limit} were outstanding; \
             --max-in-flight raises the limit"
        )),
        unsent => say(format!(
            "{unsent} requests were not sent because this machine had no file descriptor or \
             port left"
        )),
    }
    match report.total.count(Outcome::TlsUntrusted) {
        0 => {}
        untrusted => say(format!(
            "{untrusted} requests met a certificate that is not trusted (see Error Set): name its \
             authority with --ca FILE, or the name that it is for with --server-name NAME"
        )),
    }
    match report.total.count(Outcome::Abandoned) {
        0 => {}
        abandoned => {
            say(format!("{abandoned} requests were given up with their answers outstanding"));
        }
    }
}

/// How https is spoken, where it is.
fn tls(args: &AttackArgs, target: &Target) -> anyhow::Result<Option<Tls>> {
    if !target.secure {
        for (option, given) in [
            ("--ca", args.ca.is_some()),
            ("--server-name", args.server_name.is_some()),
            ("--insecure", args.insecure),
        ] {
            anyhow::ensure!(
                !given,
                "{option} is for https: write the URL with https, or leave it out"
            );
        }
        return Ok(None);
    }
    let trust = match &args.ca {
        _ if args.insecure => Trust::Anybody,
        None => Trust::System,
        Some(path) => {
            let of = || format!("--ca {}", path.display());
            let pem = crate::input::read(path, None).with_context(of)?;
            Trust::only(&pem).with_context(of)?
        }
    };
    let name = args.server_name.as_deref().unwrap_or_else(|| target.host());
    Tls::new(&trust, name).map(Some).map_err(|error| match error {
        TlsError::NoSystemAuthorities(_) => anyhow::anyhow!("{error}: name one with --ca FILE"),
        TlsError::ServerName(_) => anyhow::anyhow!("--server-name: {error}"),
        error => error.into(),
    })
}

fn body(args: &AttackArgs) -> anyhow::Result<Payload> {
    match (&args.body, &args.body_file) {
        (Some(text), _) => Ok(Payload::Given(Bytes::copy_from_slice(text.as_bytes()))),
        (None, Some(path)) => crate::input::read(path, None)
            .map(|bytes| Payload::Given(bytes.into()))
            .with_context(|| format!("--body-file {}", path.display())),
        (None, None) => Ok(Payload::Filler(0)),
    }
}

fn parse_method(text: &str) -> anyhow::Result<Method> {
    Method::from_bytes(text.as_bytes())
        .ok()
        .filter(|method| *method != Method::CONNECT)
        .with_context(|| format!("--method `{text}` is not a method: write GET or POST"))
}

fn headers(lines: &[String]) -> anyhow::Result<HeaderMap> {
    let mut headers = HeaderMap::new();
    for line in lines {
        let wrong = || format!("--header `{line}` is not a header: write 'Name: value'");
        let (name, value) = line.split_once(':').with_context(wrong)?;
        let name: HeaderName = name.trim().parse().ok().with_context(wrong)?;
        let value: HeaderValue = value.trim().parse().ok().with_context(wrong)?;
        headers.append(name, value);
    }
    Ok(headers)
}
