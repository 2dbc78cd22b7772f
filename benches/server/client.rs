//! A blocking HTTP/1.1 client of one request, with a limit on everything.

use std::{
    io::{self, Read, Write},
    net::{SocketAddr, TcpStream},
    time::Duration,
};

/// No answer takes longer, even under valgrind.
const LIMIT: Duration = Duration::from_secs(20);

/// Sends a GET and gives the connection, before anything is read.
pub(crate) fn send(address: SocketAddr, path: &str) -> io::Result<TcpStream> {
    let mut stream = TcpStream::connect_timeout(&address, LIMIT)?;
    stream.set_read_timeout(Some(LIMIT))?;
    stream.set_nodelay(true)?;
    write!(stream, "GET {path} HTTP/1.1\r\nHost: bench\r\n\r\n")?;
    Ok(stream)
}

/// Reads an answer to its last byte and gives its status. Its body has a length.
pub(crate) fn receive(stream: &mut TcpStream) -> io::Result<u16> {
    let mut received = Vec::new();
    let mut buffer = [0; 4096];
    loop {
        if let Some(response) = Response::parse(&received)
            && received.len() >= response.length
        {
            return Ok(response.status);
        }
        match stream.read(&mut buffer)? {
            0 => return Err(io::ErrorKind::UnexpectedEof.into()),
            count => received.extend_from_slice(&buffer[..count]),
        }
    }
}

/// The head of an answer.
pub(crate) struct Response {
    pub(crate) status: u16,
    /// Bytes of head and body together.
    pub(crate) length: usize,
    /// Whether it says that the connection ends with it.
    pub(crate) closes: bool,
}

impl Response {
    /// Reads a head, once it is complete.
    pub(crate) fn parse(received: &[u8]) -> Option<Self> {
        let head = received.windows(4).position(|end| end == b"\r\n\r\n")?;
        let text = str::from_utf8(&received[..head]).ok()?;
        let mut lines = text.split("\r\n");
        let status = lines.next()?.split(' ').nth(1)?.parse().ok()?;
        let mut response = Self { status, length: head + 4, closes: false };
        for (name, value) in lines.filter_map(|line| line.split_once(": ")) {
            if name.eq_ignore_ascii_case("content-length") {
                response.length += value.parse::<usize>().ok()?;
            } else if name.eq_ignore_ascii_case("connection") {
                response.closes = value.eq_ignore_ascii_case("close");
            }
        }
        Some(response)
    }
}
