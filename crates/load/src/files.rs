//! The limit of open files, which is also that of connections.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// Lets this process have as many connections as the system permits it.
///
/// Shells start programs with 1,024 files, which a stalled server uses up within seconds.
pub fn raise_file_limit() {
    let Rlimit { current, maximum } = getrlimit(Resource::Nofile);
    if current != maximum {
        // Without it requests may end up unsent, which is reported.
        let _ = setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum });
    }
}
