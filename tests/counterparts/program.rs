//! Finding programs, and stopping them.

#[path = "../common/program.rs"]
mod found;

use std::{
    net::TcpListener,
    process::{Child, Command, Stdio},
};

pub(crate) use self::found::find;

/// A program that is killed when the test ends.
pub(crate) struct Running(pub(crate) Child);

impl Running {
    pub(crate) fn start(command: &mut Command) -> Self {
        Self(command.stdin(Stdio::null()).spawn().expect("it starts"))
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // Already dead, as a rule.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// A port that is free now.
pub(crate) fn free_port() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    listener.local_addr().expect("it is bound").port()
}
