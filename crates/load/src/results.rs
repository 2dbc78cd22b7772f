//! A file of single results that vegeta's own `report` and `plot` read.
//!
//! Vegeta reads three encodings and finds out by itself which one it was given. This writes
//! two of them: JSON lines and CSV; the third, Go's gob, belongs to Go.
//!
//! A CSV line has twelve fields: Unix time in nanoseconds, status (0 without a complete
//! answer), latency in nanoseconds, bytes out, bytes in, error, body (base64), attack name,
//! sequence number, method, URL, headers (base64). A JSON line is an object of the same, its
//! time in RFC 3339. Times are the intended ones, so that vegeta's latencies are counted from
//! there too. Bodies and headers are left empty. Vegeta knows success by the status alone: what
//! failed on the way has the status 0, and a WebSocket's 101 is none in its eyes.

use std::{
    fs::File,
    io::{self, BufWriter, Write},
    path::Path,
    str::FromStr,
    sync::mpsc,
    thread,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use serde::Serialize;

use super::{attempt::Attempt, mix::Mix};

/// How results are encoded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Encoding {
    /// An object a line.
    Json,
    /// Twelve fields a line, without a heading.
    Csv,
}

/// A file name that does not say its encoding.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "`{0}` does not end in .csv, .json, .jsonl or .ndjson, which are what can be written (vegeta reads all of them)"
)]
pub struct UnknownEncoding(String);

impl Encoding {
    /// The encoding that a file's name asks for.
    pub fn of(path: &Path) -> Result<Self, UnknownEncoding> {
        path.extension()
            .and_then(|extension| extension.to_str())
            .unwrap_or_default()
            .parse()
            .map_err(|UnknownEncoding(_)| UnknownEncoding(path.display().to_string()))
    }

    /// How the names of such files end.
    pub const fn extension(self) -> &'static str {
        match self {
            Self::Json => "json",
            Self::Csv => "csv",
        }
    }
}

impl FromStr for Encoding {
    type Err = UnknownEncoding;

    fn from_str(extension: &str) -> Result<Self, UnknownEncoding> {
        match extension.to_ascii_lowercase().as_str() {
            "csv" => Ok(Self::Csv),
            "json" | "jsonl" | "ndjson" => Ok(Self::Json),
            _ => Err(UnknownEncoding(extension.to_owned())),
        }
    }
}

/// Writes attempts as vegeta's results.
#[derive(Debug)]
pub struct ResultsWriter<W> {
    out: W,
    encoding: Encoding,
    name: String,
    origin: SystemTime,
    targets: Vec<VegetaTarget>,
}

#[derive(Debug)]
struct VegetaTarget {
    method: String,
    url: String,
}

/// One result with vegeta's names.
#[derive(Debug, Serialize)]
struct Line<'a> {
    attack: &'a str,
    seq: u64,
    code: u16,
    timestamp: String,
    latency: u64,
    bytes_out: u64,
    bytes_in: u64,
    error: &'a str,
    body: &'a str,
    method: &'a str,
    url: &'a str,
    headers: Option<()>,
}

impl ResultsWriter<BufWriter<File>> {
    /// Writes to a new file.
    ///
    /// # Errors
    /// When it cannot be created; the message names it.
    pub fn create(
        path: &Path,
        encoding: Encoding,
        name: &str,
        origin: SystemTime,
        mix: &Mix,
        base: &str,
    ) -> io::Result<Self> {
        let file = File::create(path).map_err(|error| {
            io::Error::new(error.kind(), format!("{}: {error}", path.display()))
        })?;
        Ok(Self::new(BufWriter::new(file), encoding, name, origin, mix, base))
    }
}

impl<W: Write> ResultsWriter<W> {
    /// Writes results of an attack called `name`, whose attempts count from `origin`; `base`
    /// is the part of the URLs before the path, such as `http://127.0.0.1:5000`.
    pub fn new(
        out: W,
        encoding: Encoding,
        name: &str,
        origin: SystemTime,
        mix: &Mix,
        base: &str,
    ) -> Self {
        let targets = mix
            .streams()
            .iter()
            .map(|spec| VegetaTarget {
                method: spec.method.to_string(),
                url: format!("{base}{}", spec.path),
            })
            .collect();
        Self { out, encoding, name: name.to_owned(), origin, targets }
    }

    /// Writes one result.
    ///
    /// # Errors
    /// Those of the writer.
    pub fn write(&mut self, attempt: &Attempt) -> io::Result<()> {
        let target = self.targets.get(attempt.stream).ok_or_else(|| {
            io::Error::other(format!("stream {} is not in the mix", attempt.stream))
        })?;
        let at = self.origin + attempt.intended;
        let code = attempt.complete_status().unwrap_or(0);
        let error = attempt.error.as_deref().unwrap_or_default();
        let latency = nanos(attempt.latency());
        match self.encoding {
            Encoding::Json => {
                let line = Line {
                    attack: &self.name,
                    seq: attempt.seq,
                    code,
                    timestamp: humantime::format_rfc3339_nanos(at).to_string(),
                    latency,
                    bytes_out: attempt.bytes_out,
                    bytes_in: attempt.bytes_in,
                    error,
                    body: "",
                    method: &target.method,
                    url: &target.url,
                    headers: None,
                };
                serde_json::to_writer(&mut self.out, &line)?;
                self.out.write_all(b"\n")
            }
            Encoding::Csv => writeln!(
                self.out,
                "{},{code},{latency},{},{},{},,{},{},{},{},",
                nanos(at.duration_since(UNIX_EPOCH).unwrap_or_default()),
                attempt.bytes_out,
                attempt.bytes_in,
                field(error),
                field(&self.name),
                attempt.seq,
                target.method,
                field(&target.url),
            ),
        }
    }

    /// Writes out what is buffered.
    ///
    /// # Errors
    /// Those of the writer.
    pub fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }

    /// Gives the writer back.
    pub fn into_inner(self) -> W {
        self.out
    }
}

/// Results that may wait for the disk; beyond that sending is held up, which the send delay
/// shows, rather than memory filled.
const QUEUED: usize = 16_384;

/// Writes results on a thread of its own, since a disk may stall.
#[derive(Debug)]
pub struct Background(thread::JoinHandle<io::Result<()>>);

impl Background {
    /// Starts writing what is sent to the first part, until that is dropped.
    ///
    /// # Errors
    /// When the system gives no thread.
    pub fn start<W: Write + Send + 'static>(
        mut writer: ResultsWriter<W>,
    ) -> io::Result<(mpsc::SyncSender<Attempt>, Self)> {
        let (sender, receiver) = mpsc::sync_channel::<Attempt>(QUEUED);
        let thread = thread::Builder::new().name("load-results".to_owned()).spawn(move || {
            for attempt in receiver {
                writer.write(&attempt)?;
            }
            writer.flush()
        })?;
        Ok((sender, Self(thread)))
    }

    /// Waits until everything is written.
    ///
    /// # Errors
    /// Those of the writer.
    pub async fn finish(self) -> io::Result<()> {
        let ended = || io::Error::other("the writer of results ended early");
        let joined = tokio::task::spawn_blocking(move || self.0.join()).await;
        joined.map_err(|_| ended())?.map_err(|_| ended())?
    }
}

fn nanos(duration: Duration) -> u64 {
    duration.as_nanos() as u64
}

/// A CSV field, quoted where RFC 4180 wants it.
fn field(text: &str) -> String {
    if text.contains(['"', ',', '\n', '\r']) || text.starts_with(' ') {
        format!("\"{}\"", text.replace('"', "\"\""))
    } else {
        text.to_owned()
    }
}
