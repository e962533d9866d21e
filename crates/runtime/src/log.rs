//! Log lines on standard error.

use std::io::{self, IsTerminal, Write};
use tracing_subscriber::{EnvFilter, fmt::MakeWriter};

/// Lets log lines go to standard error from now on; `EVENKEEL_LOG` says how much (error, warn, info, debug, trace).
/// A second call changes nothing.
pub fn to_stderr() {
    let filter = EnvFilter::try_from_env("EVENKEEL_LOG").unwrap_or_else(|_| EnvFilter::new("info"));
    let colour = io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty());
    let subscriber = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_target(false)
        .with_ansi(colour)
        .with_writer(Stderr)
        .finish();
    // Another one is there already in tests that run several daemons.
    let _ = tracing::subscriber::set_global_default(subscriber);
}

struct Stderr;

impl<'a> MakeWriter<'a> for Stderr {
    type Writer = Stderr;

    fn make_writer(&'a self) -> Stderr {
        Stderr
    }
}

impl Write for Stderr {
    /// A reader that has gone away costs the lines, never the daemon.
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let _ = io::stderr().write_all(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
