//! Signals that ask a lab to end: a terminal that is closed, Ctrl-C, a build that is cancelled.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};

use crate::error::{Context, Error};

/// Told once: the lab removes what it built and ends. Told again: it ends at once, and the next start removes the rest.
#[derive(Debug, Clone)]
pub(crate) struct Interrupt(Arc<AtomicBool>);

impl Interrupt {
    /// Listens from now on.
    pub(crate) fn listen() -> Result<Self, Error> {
        let asked = Arc::new(AtomicBool::new(false));
        for signal in [SIGHUP, SIGINT, SIGTERM] {
            // The order matters: the first of them sets what the second time is told by.
            signal_hook::flag::register_conditional_default(signal, asked.clone()).context("listen to signals")?;
            signal_hook::flag::register(signal, asked.clone()).context("listen to signals")?;
        }
        Ok(Self(asked))
    }

    /// Whether the lab was asked to end.
    pub(crate) fn is_asked(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }

    /// An error once the lab was asked to end.
    pub(crate) fn check(&self) -> Result<(), Error> {
        if self.is_asked() { Err(Error::new("a signal asked the lab to end")) } else { Ok(()) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_terminal_that_is_closed_asks_the_lab_to_end() {
        let interrupt = Interrupt::listen().unwrap();
        assert!(!interrupt.is_asked());
        interrupt.check().unwrap();
        signal_hook::low_level::raise(SIGHUP).unwrap();
        assert!(interrupt.is_asked());
        assert!(interrupt.check().unwrap_err().to_string().contains("a signal"));
    }
}
