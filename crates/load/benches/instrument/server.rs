//! What the load is sent to: a server in a process of its own that answers at once, but for a second.

use std::{
    env,
    error::Error,
    io::{BufRead as _, BufReader, Write as _},
    net::SocketAddr,
    process::{Child, ChildStdin, ChildStdout, Command, Stdio},
    sync::{
        Arc, OnceLock,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
    time::{Instant, sleep_until},
};
use websample_load::raise_file_limit;

const ANSWER: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n";

/// The process, which ends with this.
pub(crate) struct Server {
    pub(crate) address: SocketAddr,
    child: Child,
    // Its end is what the process waits for.
    stdin: Option<ChildStdin>,
    stdout: BufReader<ChildStdout>,
}

impl Server {
    /// Starts it; `stall` is what [`serve`] takes.
    pub(crate) fn start(stall: &[&str]) -> Result<Self, Box<dyn Error>> {
        let mut child = Command::new(env::current_exe()?)
            .arg("--serve")
            .args(stall)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()?;
        let stdin = child.stdin.take();
        let mut stdout = BufReader::new(child.stdout.take().ok_or("no pipe")?);
        let mut line = String::new();
        stdout.read_line(&mut line)?;
        Ok(Self { address: line.trim().parse()?, child, stdin, stdout })
    }

    /// Ends it, and tells how many connections it has accepted.
    pub(crate) fn accepted(mut self) -> Result<u64, Box<dyn Error>> {
        drop(self.stdin.take());
        let mut line = String::new();
        self.stdout.read_line(&mut line)?;
        Ok(line.trim().parse()?)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        drop(self.stdin.take());
        // An error would mean that it has gone already.
        let _ = self.child.wait();
    }
}

/// Where the stall begins, and how long it is.
#[derive(Clone, Copy)]
struct Stall {
    after: u64,
    lasts: Duration,
}

struct Shared {
    accepted: AtomicU64,
    requests: AtomicU64,
    stall: Option<Stall>,
    until: OnceLock<Instant>,
}

/// `[AFTER MILLISECONDS]`: the request after so many begins a stall of so long, in which nobody is
/// answered. Prints its address, and how many connections there were when its input has ended.
pub(crate) fn serve(arguments: &[String]) -> Result<(), Box<dyn Error>> {
    raise_file_limit();
    let stall = match arguments {
        [after, milliseconds] => {
            let lasts = Duration::from_millis(milliseconds.parse()?);
            Some(Stall { after: after.parse()?, lasts })
        }
        _ => None,
    };
    let shared = Arc::new(Shared {
        accepted: AtomicU64::new(0),
        requests: AtomicU64::new(0),
        stall,
        until: OnceLock::new(),
    });
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let serving = Arc::clone(&shared);
    std::thread::spawn(move || runtime.block_on(accept(serving)));
    let mut wanted = String::new();
    std::io::stdin().read_line(&mut wanted)?;
    println!("{}", shared.accepted.load(Ordering::SeqCst));
    Ok(())
}

async fn accept(shared: Arc<Shared>) -> std::io::Result<()> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    println!("{}", listener.local_addr()?);
    std::io::stdout().flush()?;
    loop {
        let (stream, _) = listener.accept().await?;
        shared.accepted.fetch_add(1, Ordering::SeqCst);
        tokio::spawn(answer(stream, Arc::clone(&shared)));
    }
}

/// Requests without bodies, one after the other.
async fn answer(mut stream: TcpStream, shared: Arc<Shared>) -> std::io::Result<()> {
    stream.set_nodelay(true)?;
    let mut head = [0; 4096];
    let mut filled = 0;
    loop {
        let read = stream.read(&mut head[filled..]).await?;
        filled += read;
        if read == 0 {
            return Ok(());
        }
        if !head[..filled].ends_with(b"\r\n\r\n") {
            continue;
        }
        filled = 0;
        let before = shared.requests.fetch_add(1, Ordering::SeqCst);
        if let Some(stall) = shared.stall
            && before >= stall.after
        {
            let until = *shared.until.get_or_init(|| Instant::now() + stall.lasts);
            if Instant::now() < until {
                sleep_until(until).await;
            }
        }
        stream.write_all(ANSWER).await?;
    }
}
