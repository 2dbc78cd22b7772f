//! Prometheus' HTTP API, as Grafana uses it.

use std::{
    collections::BTreeMap,
    fmt::Write as _,
    io::{self, Read as _, Write as _},
    net::{SocketAddr, TcpStream},
    time::Duration,
};

use serde_json::Value;

/// No query takes as long.
const PATIENCE: Duration = Duration::from_secs(30);

/// The part of time that is asked about, in unix seconds.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Window {
    pub(crate) from: f64,
    pub(crate) to: f64,
}

impl Window {
    pub(crate) fn seconds(self) -> u64 {
        (self.to - self.from).ceil() as u64
    }
}

/// A series of an answer: its labels, and its values in order of time.
#[derive(Debug, Clone)]
pub(crate) struct Series {
    pub(crate) labels: BTreeMap<String, String>,
    pub(crate) values: Vec<f64>,
}

impl Series {
    pub(crate) fn label(&self, name: &str) -> &str {
        self.labels.get(name).map_or("", String::as_str)
    }

    /// Its last value.
    pub(crate) fn last(&self) -> f64 {
        *self.values.last().expect("no series is without values")
    }
}

/// A Prometheus that listens here.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Prometheus(pub(crate) SocketAddr);

impl Prometheus {
    /// An instant query at the end of the window.
    pub(crate) fn query(self, expr: &str, window: Window) -> Result<Vec<Series>, String> {
        let to = window.to.to_string();
        self.series("/api/v1/query", &[("query", expr), ("time", &to)])
    }

    /// A range query over the window, a step a second.
    pub(crate) fn query_range(self, expr: &str, window: Window) -> Result<Vec<Series>, String> {
        let (from, to) = (window.from.to_string(), window.to.to_string());
        let asked = [("query", expr), ("start", &from), ("end", &to), ("step", "1")];
        self.series("/api/v1/query_range", &asked)
    }

    /// The label sets of the series that match, in the window.
    pub(crate) fn matching(self, selector: &str, window: Window) -> Result<Vec<Value>, String> {
        let (from, to) = (window.from.to_string(), window.to.to_string());
        let asked = [("match[]", selector), ("start", from.as_str()), ("end", to.as_str())];
        let data = self.ask("/api/v1/series", &asked)?;
        Ok(data.as_array().cloned().unwrap_or_default())
    }

    /// The values of a label.
    pub(crate) fn label_values(self, label: &str) -> Result<Vec<Value>, String> {
        let data = self.ask(&format!("/api/v1/label/{label}/values"), &[])?;
        Ok(data.as_array().cloned().unwrap_or_default())
    }

    /// Every rule that it has loaded.
    pub(crate) fn rules(self) -> Result<Vec<Value>, String> {
        let data = self.ask("/api/v1/rules", &[])?;
        let groups = data["groups"].as_array().into_iter().flatten();
        let rules = groups.flat_map(|group| group["rules"].as_array().into_iter().flatten());
        Ok(rules.cloned().collect())
    }

    fn series(self, path: &str, asked: &[(&str, &str)]) -> Result<Vec<Series>, String> {
        let data = self.ask(path, asked)?;
        let labels = |metric: &Value| {
            let pairs = metric.as_object().into_iter().flatten();
            let pairs = pairs.map(|(k, v)| (k.clone(), v.as_str().unwrap_or_default().to_owned()));
            pairs.collect()
        };
        let number = |sample: &Value| sample[1].as_str().and_then(|text| text.parse().ok());
        Ok(match (&data["resultType"], &data["result"]) {
            (kind, Value::Array(result)) if kind == "vector" || kind == "matrix" => {
                let each = result.iter().map(|series| Series {
                    labels: labels(&series["metric"]),
                    values: match &series["values"] {
                        Value::Array(samples) => samples.iter().filter_map(number).collect(),
                        _ => number(&series["value"]).into_iter().collect(),
                    },
                });
                each.filter(|series| !series.values.is_empty()).collect()
            }
            (_, scalar) => {
                let values = number(scalar).into_iter().collect();
                vec![Series { labels: BTreeMap::new(), values }]
            }
        })
    }

    fn ask(self, path: &str, asked: &[(&str, &str)]) -> Result<Value, String> {
        let mut target = path.to_owned();
        for (n, (key, value)) in asked.iter().enumerate() {
            let _ = write!(
                target,
                "{}{}={}",
                if n == 0 { '?' } else { '&' },
                escaped(key),
                escaped(value)
            );
        }
        let body = get(self.0, &target).map_err(|error| error.to_string())?;
        let answer: Value =
            serde_json::from_str(&body).map_err(|error| format!("{error}: {body}"))?;
        if answer["status"] == "success" {
            Ok(answer["data"].clone())
        } else {
            Err(answer["error"].as_str().unwrap_or(&body).to_owned())
        }
    }
}

fn escaped(text: &str) -> String {
    text.bytes().fold(String::new(), |mut out, byte| {
        if byte.is_ascii_alphanumeric() {
            out.push(char::from(byte));
        } else {
            let _ = write!(out, "%{byte:02X}");
        }
        out
    })
}

/// The body of an answer. HTTP/1.0, so that it ends with the connection.
fn get(address: SocketAddr, target: &str) -> io::Result<String> {
    let mut stream = TcpStream::connect(address)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    write!(stream, "GET {target} HTTP/1.0\r\n\r\n")?;
    let mut text = String::new();
    stream.read_to_string(&mut text)?;
    let body = text.split_once("\r\n\r\n").map(|(_, body)| body.to_owned());
    body.ok_or_else(|| io::Error::other("no whole answer"))
}
