//! What a pod writes: its last lines for messages, and all of it to a file where one is wanted.

use std::{
    collections::VecDeque,
    fs::File,
    io::Write as _,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use tokio::{
    io::{AsyncRead, AsyncReadExt as _},
    sync::watch,
    time::timeout,
};

use super::error::LogTail;

/// So many lines are kept of each pod.
const LINES: usize = 50;
/// So many bytes of each line.
const LINE_BYTES: usize = 1000;
/// How long the end of the output is waited for once the process is gone.
const LAST_WORDS: Duration = Duration::from_millis(500);

/// A pod's output. Cheap to clone.
#[derive(Debug, Clone)]
pub(super) struct Logs {
    lines: Arc<Mutex<VecDeque<String>>>,
    file: Option<Arc<File>>,
    readers: watch::Sender<()>,
}

impl Logs {
    pub(super) fn new(file: Option<File>) -> Self {
        Self { lines: Arc::default(), file: file.map(Arc::new), readers: watch::Sender::new(()) }
    }

    /// Reads an output to its end, in the background.
    pub(super) fn follow(&self, output: impl AsyncRead + Send + Unpin + 'static) {
        let (logs, reading) = (self.clone(), self.readers.subscribe());
        tokio::spawn(async move {
            logs.read(output).await;
            drop(reading);
        });
    }

    async fn read(&self, mut output: impl AsyncRead + Unpin) {
        let mut chunk = vec![0; 8 * 1024];
        let mut line = Vec::new();
        while let Ok(length @ 1..) = output.read(&mut chunk).await {
            let chunk = &chunk[..length];
            if let Some(mut file) = self.file.as_deref() {
                // A page cache write; a full disk must not stop the pod.
                let _ = file.write_all(chunk);
            }
            for part in chunk.split_inclusive(|byte| *byte == b'\n') {
                let (text, ended) = match part.split_last() {
                    Some((b'\n', text)) => (text, true),
                    _ => (part, false),
                };
                let room = LINE_BYTES.saturating_sub(line.len()).min(text.len());
                line.extend_from_slice(&text[..room]);
                if ended {
                    self.push(&std::mem::take(&mut line));
                }
            }
        }
        if !line.is_empty() {
            self.push(&line);
        }
    }

    fn push(&self, line: &[u8]) {
        let mut lines = self.lines.lock().unwrap_or_else(PoisonError::into_inner);
        if lines.len() == LINES {
            lines.pop_front();
        }
        lines.push_back(String::from_utf8_lossy(line).trim_end().to_owned());
    }

    /// The last lines so far.
    pub(super) fn tail(&self) -> LogTail {
        let lines = self.lines.lock().unwrap_or_else(PoisonError::into_inner);
        LogTail(lines.iter().rev().take(20).rev().cloned().collect())
    }

    /// The last lines of a process that is gone.
    pub(super) async fn last_words(&self) -> LogTail {
        let _ = timeout(LAST_WORDS, self.readers.closed()).await;
        self.tail()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn the_last_lines_are_kept_and_bounded() {
        let logs = Logs::new(None);
        let lines: Vec<_> = (0..100).map(|n| format!("line {n}\r\n")).collect();
        let text = lines.concat() + &"x".repeat(5000);
        logs.follow(std::io::Cursor::new(text.into_bytes()));
        let LogTail(lines) = logs.last_words().await;
        assert_eq!(lines.len(), 20);
        assert_eq!(lines[18], "line 99");
        assert_eq!(lines[19].len(), LINE_BYTES);
        assert_eq!(logs.lines.lock().unwrap().len(), LINES);
    }

    #[test]
    fn a_tail_in_a_message() {
        assert_eq!(LogTail(vec![]).to_string(), "; it wrote nothing");
        let tail = LogTail(vec!["a".into(), "b".into()]);
        assert_eq!(tail.to_string(), "; its last output:\n    | a\n    | b");
    }
}
