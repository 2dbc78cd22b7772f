//! As much of Prometheus as the lab can tell apart from it: it reads the targets and scrapes them.

use std::{
    collections::BTreeMap,
    io::{self, Read as _, Write as _},
    net::{SocketAddr, TcpStream},
    thread::{self, JoinHandle},
    time::Duration,
};

use serde_json::Value;

use crate::harness::PATIENCE;

const INTERVAL: Duration = Duration::from_millis(200);

/// What was scraped: every series with its last value, by where it came from.
#[derive(Debug, Default)]
pub(crate) struct Scraped {
    /// Of the lab.
    pub(crate) lab: BTreeMap<String, f64>,
    /// Of every pod that was ever a target: its labels, and its series, if it answered.
    pub(crate) pods: BTreeMap<String, (Value, BTreeMap<String, f64>)>,
}

impl Scraped {
    /// The sum of the lab's series of this name that have all of these labels.
    pub(crate) fn sum(&self, name: &str, labels: &[&str]) -> f64 {
        let wanted = |series: &str| {
            series.split_once('{').is_some_and(|(found, rest)| {
                found == name && labels.iter().all(|label| rest.contains(label))
            })
        };
        self.lab.iter().filter(|(series, _)| wanted(series)).map(|(_, value)| value).sum()
    }
}

/// Scrapes until the lab is gone.
pub(crate) struct Scraper {
    thread: JoinHandle<Scraped>,
}

impl Scraper {
    pub(crate) fn start(lab: SocketAddr) -> Self {
        let thread = thread::spawn(move || {
            let mut scraped = Scraped::default();
            // An error means that the lab has gone.
            while round(lab, &mut scraped).is_ok() {
                thread::sleep(INTERVAL);
            }
            scraped
        });
        Self { thread }
    }

    /// What it has seen when the lab has gone.
    pub(crate) fn end(self) -> Scraped {
        self.thread.join().expect("it scraped")
    }
}

fn round(lab: SocketAddr, scraped: &mut Scraped) -> io::Result<()> {
    let targets: Value = serde_json::from_str(&get(lab, "/targets")?.1).expect("JSON");
    for group in targets.as_array().expect("a list") {
        let address = group["targets"][0].as_str().expect("an address");
        let seen = scraped.pods.entry(address.to_owned()).or_default();
        seen.0 = group["labels"].clone();
        // A pod may be gone by the time it is asked.
        if let Ok((_, text)) = get(address.parse().expect("an address"), "/metrics") {
            seen.1 = series(&text);
        }
    }
    scraped.lab = series(&get(lab, "/metrics")?.1);
    Ok(())
}

fn series(text: &str) -> BTreeMap<String, f64> {
    let lines = text.lines().filter(|line| !line.starts_with('#'));
    lines
        .map(|line| {
            let (series, value) = line.rsplit_once(' ').expect("a series and its value");
            (series.to_owned(), value.parse().expect("a number"))
        })
        .collect()
}

/// Status line and body of a whole answer.
pub(crate) fn get(address: SocketAddr, path: &str) -> io::Result<(String, String)> {
    let mut stream = TcpStream::connect(address)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    write!(stream, "GET {path} HTTP/1.1\r\nhost: {address}\r\nconnection: close\r\n\r\n")?;
    let mut text = String::new();
    stream.read_to_string(&mut text)?;
    let (head, body) =
        text.split_once("\r\n\r\n").ok_or_else(|| io::Error::other("no whole answer"))?;
    Ok((head.lines().next().unwrap_or_default().to_owned(), body.to_owned()))
}
