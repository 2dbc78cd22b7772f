//! A headless Chromium, driven over the DevTools protocol.

use std::{
    path::Path,
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use futures_util::{SinkExt as _, StreamExt as _};
use serde_json::{Value, json};
use tokio::net::TcpStream;
use tokio_tungstenite::{WebSocketStream, tungstenite::Message};

/// Longer than anything takes on a busy machine.
const LIMIT: Duration = Duration::from_secs(60);

pub(crate) struct Browser {
    process: Child,
    socket: WebSocketStream<TcpStream>,
    profile: tempfile::TempDir,
    next: u64,
    session: Option<String>,
    /// Every event so far.
    pub(crate) events: Vec<Value>,
}

/// The browser's program, if there is one.
fn program() -> Option<&'static str> {
    ["chromium", "chromium-browser", "google-chrome"].into_iter().find(|name| {
        let version = Command::new(name).arg("--version").stderr(Stdio::null()).output();
        version.is_ok_and(|output| output.status.success())
    })
}

impl Browser {
    /// Starts one with an empty page; `None`, and a message, where there is no Chromium.
    pub(crate) async fn start() -> Option<Self> {
        let Some(program) = program() else {
            eprintln!("skipped: there is no chromium (Debian: apt-get install chromium)");
            return None;
        };
        let profile = tempfile::tempdir().expect("a directory");
        let process = Command::new(program)
            .args([
                "--headless",
                "--no-sandbox",
                "--disable-gpu",
                "--disable-quic",
                "--no-first-run",
                "--disable-background-networking",
                "--disable-component-update",
                "--disable-sync",
                "--remote-debugging-port=0",
                "--window-size=1280,900",
            ])
            .arg(format!("--user-data-dir={}", profile.path().display()))
            .arg("about:blank")
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("chromium starts");
        let (port, path) = devtools(profile.path()).await;
        let stream = TcpStream::connect(("127.0.0.1", port)).await.expect("DevTools listens");
        let url = format!("ws://127.0.0.1:{port}{path}");
        let (socket, _) =
            tokio_tungstenite::client_async(url, stream).await.expect("DevTools answers");
        let mut browser =
            Self { process, socket, profile, next: 0, session: None, events: Vec::new() };
        let target = browser.call("Target.createTarget", json!({"url": "about:blank"})).await;
        let attached = browser
            .call("Target.attachToTarget", json!({"targetId": target["targetId"], "flatten": true}))
            .await;
        browser.session = attached["sessionId"].as_str().map(str::to_owned);
        browser.call("Performance.enable", json!({"timeDomain": "threadTicks"})).await;
        for domain in ["Page", "Runtime", "Network", "Log"] {
            browser.call(&format!("{domain}.enable"), json!({})).await;
        }
        Some(browser)
    }

    /// Calls a method and gives its result.
    pub(crate) async fn call(&mut self, method: &str, params: Value) -> Value {
        self.next += 1;
        let id = self.next;
        let mut request = json!({"id": id, "method": method, "params": params});
        if let Some(session) = &self.session {
            request["sessionId"] = json!(session);
        }
        let text = Message::text(request.to_string());
        self.socket.send(text).await.expect("DevTools takes a request");
        loop {
            let message = self.message().await;
            if message["id"] == id {
                assert!(message.get("error").is_none(), "{method}: {message}");
                return message["result"].clone();
            }
            self.events.push(message);
        }
    }

    async fn message(&mut self) -> Value {
        let next = tokio::time::timeout(LIMIT, self.socket.next()).await;
        let message = next.expect("DevTools answers in time").expect("it is there");
        let message = message.expect("the connection holds");
        serde_json::from_str(message.to_text().expect("text")).expect("JSON")
    }

    /// Opens a file and waits until its charts are drawn; gives the time this took.
    pub(crate) async fn open(&mut self, path: &Path) -> Duration {
        // Nothing of a page from before may be taken for this one.
        self.call("Page.navigate", json!({"url": "about:blank"})).await;
        let began = Instant::now();
        let url = format!("file://{}", path.display());
        self.call("Page.navigate", json!({"url": url})).await;
        while self.eval("document.documentElement?.dataset.drawn ?? ''").await != "yes" {
            assert!(began.elapsed() < LIMIT, "the charts are not drawn: {:?}", self.problems());
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        began.elapsed()
    }

    /// The processor time that the page's own thread has used: what loading costs however busy
    /// the machine is.
    pub(crate) async fn thread_time(&mut self) -> Duration {
        let metrics = self.call("Performance.getMetrics", json!({})).await;
        let metrics = metrics["metrics"].as_array().cloned().unwrap_or_default();
        let task = metrics.iter().find(|metric| metric["name"] == "TaskDuration");
        Duration::from_secs_f64(task.and_then(|m| m["value"].as_f64()).expect("a metric"))
    }

    /// The value of an expression in the page.
    pub(crate) async fn eval(&mut self, expression: &str) -> Value {
        let params = json!({"expression": expression, "returnByValue": true, "awaitPromise": true});
        let result = self.call("Runtime.evaluate", params).await;
        assert!(result.get("exceptionDetails").is_none(), "{expression}: {result}");
        result["result"]["value"].clone()
    }

    /// Presses and releases a key.
    pub(crate) async fn press(&mut self, key: &str) {
        let text = if key.len() == 1 { key } else { "" };
        for kind in ["keyDown", "keyUp"] {
            let params = json!({"type": kind, "key": key, "text": text});
            self.call("Input.dispatchKeyEvent", params).await;
        }
    }

    /// Presses the mouse at one point and releases it at another.
    pub(crate) async fn drag(&mut self, from: (f64, f64), to: (f64, f64)) {
        let middle = (f64::midpoint(from.0, to.0), f64::midpoint(from.1, to.1));
        for (kind, (x, y), button) in [
            ("mouseMoved", from, "none"),
            ("mousePressed", from, "left"),
            ("mouseMoved", middle, "left"),
            ("mouseMoved", to, "left"),
            ("mouseReleased", to, "left"),
        ] {
            let params = json!({
                "type": kind, "x": x, "y": y, "button": button, "clickCount": 1,
                "buttons": i32::from(button == "left" && kind != "mouseReleased"),
            });
            self.call("Input.dispatchMouseEvent", params).await;
        }
    }

    /// What the page complained of, and every address it asked for beyond itself.
    pub(crate) fn problems(&self) -> Vec<String> {
        let problem = |event: &Value| {
            let params = &event["params"];
            match event["method"].as_str()? {
                "Runtime.exceptionThrown" => Some(params["exceptionDetails"].to_string()),
                "Runtime.consoleAPICalled" => {
                    (params["type"] == "error").then(|| params["args"].to_string())
                }
                "Log.entryAdded" => {
                    (params["entry"]["level"] == "error").then(|| params["entry"].to_string())
                }
                "Network.requestWillBeSent" => {
                    let url = params["request"]["url"].as_str()?;
                    let own = ["file:", "data:", "about:"].iter().any(|own| url.starts_with(own));
                    (!own).then(|| format!("request to {url}"))
                }
                _ => None,
            }
        };
        self.events.iter().filter_map(problem).collect()
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        // It may have ended by itself; its profile is removed with `profile`.
        let _ = self.process.kill();
        let _ = self.process.wait();
        let _ = self.profile.path();
    }
}

/// Where DevTools listens: Chromium writes it into its profile.
async fn devtools(profile: &Path) -> (u16, String) {
    let began = Instant::now();
    loop {
        let text = std::fs::read_to_string(profile.join("DevToolsActivePort")).unwrap_or_default();
        if let Some((port, path)) = text.split_once('\n') {
            return (port.trim().parse().expect("a port"), path.trim().to_owned());
        }
        assert!(began.elapsed() < LIMIT, "chromium does not come up");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}
