//! One attempt of each kind of check.
//!
//! [`Prober::attempt`] makes one attempt and says how it went. It always ends by its timeout, connecting, TLS and body
//! included, and always talks to the address of the probe, whatever name it sends. Dropping the future gives the
//! attempt up: its connection is reset, its program killed. A prober may make thousands of attempts at a time on one
//! thread; how many is up to its caller.
//!
//! Connections are closed by a reset (`SO_LINGER` 0). A thousand probes a second would otherwise leave 60 000 sockets
//! in `TIME_WAIT`, twice the ports there are. It does no harm to the real server: by then it has sent its answer or is
//! not going to be listened to, and a socket it has already closed itself is freed the sooner.

#![forbid(unsafe_code)]

mod connect;
mod dns;
mod file;
mod http;
mod perl;
mod ping;
mod program;
mod script;
mod smtp;
mod tls;
mod udp;

pub use perl::{PerlRegex, TooCostly, compile};
pub use program::{Ended, Programs};

use evenkeel_health::{Phase, Reason, Verdict, Weighing};
use evenkeel_model::{Body, Origin, Probe};
use std::{
    collections::HashMap,
    path::PathBuf,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};
use tokio::time::Instant;

/// Where Debian and its kin keep the certificates a host trusts.
pub const ROOTS: &str = "/etc/ssl/certs/ca-certificates.crt";

/// Compiled patterns that are kept; more than any configuration has checks worth telling apart.
const MAX_PATTERNS: usize = 10_000;

/// Makes attempts, and keeps what they share: compiled patterns and TLS settings.
#[derive(Debug)]
pub struct Prober {
    patterns: Mutex<HashMap<String, Arc<Result<PerlRegex, String>>>>,
    tls: tls::Settings,
    scripts: script::Undead,
    strictness: Strictness,
}

/// Whether programs that run as root have to be root's alone (`enable_script_security`); shared by its clones.
#[derive(Clone, Debug, Default)]
pub struct Strictness(Arc<AtomicBool>);

impl Strictness {
    /// From the next program on.
    pub fn set(&self, strict: bool) {
        self.0.store(strict, Ordering::Relaxed);
    }

    fn get(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}

impl Default for Prober {
    fn default() -> Prober {
        Prober::new()
    }
}

impl Prober {
    /// One that verifies certificates, where asked to, against the host's roots at [`ROOTS`].
    pub fn new() -> Prober {
        Prober::with_roots(PathBuf::from(ROOTS))
    }

    /// One that verifies certificates against the PEM file `roots`, read when first needed.
    pub fn with_roots(roots: PathBuf) -> Prober {
        Prober {
            patterns: Mutex::new(HashMap::new()),
            tls: tls::Settings::new(roots),
            scripts: script::Undead::default(),
            strictness: Strictness::default(),
        }
    }

    /// Whether it is strict with programs, to be changed while it runs.
    pub fn strictness(&self) -> Strictness {
        self.strictness.clone()
    }

    /// Makes one attempt, which ends within `timeout`. To be called in a tokio runtime with I/O and time.
    pub async fn attempt(&self, probe: &Probe, timeout: Duration) -> Verdict {
        self.attempt_from(&Origin::default(), probe, timeout).await
    }

    /// As [`Prober::attempt`], from `origin`. A director needs that when the kernel would choose a virtual address: the
    /// real server has that address as well and answers to itself.
    pub async fn attempt_from(&self, origin: &Origin, probe: &Probe, timeout: Duration) -> Verdict {
        let begun = Instant::now();
        let phase = Progress(Mutex::new(Phase::Connect));
        let attempt = self.dispatch(origin, probe, timeout, &phase);
        let result = match tokio::time::timeout(timeout, attempt).await {
            Ok(result) => result,
            Err(_elapsed) => Err(Reason::Timeout { phase: phase.get(), after: timeout }),
        };
        let took = begun.elapsed();
        match result {
            Ok((detail, weighing)) => Verdict { weighing, ..Verdict::good(detail, took) },
            Err(reason) => Verdict::bad(reason, took),
        }
    }

    async fn dispatch(
        &self,
        origin: &Origin,
        probe: &Probe,
        timeout: Duration,
        phase: &Progress,
    ) -> Result<(String, Weighing), Reason> {
        let detail = match probe {
            Probe::AlwaysOn => Ok("check is set to always on".to_owned()),
            Probe::AlwaysOff => Err(Reason::AlwaysOff),
            Probe::Tcp { target } => connect::attempt(*target, origin).await,
            Probe::Ping { target, tries } => {
                phase.set(Phase::Echo);
                ping::attempt(*target, origin, *tries, timeout).await
            }
            Probe::Http(http) => {
                let pattern = match &http.body {
                    Body::Any => None,
                    Body::PerlRegex(pattern) => Some(self.pattern(pattern)),
                };
                http::attempt(http, origin, pattern.as_deref(), &self.tls, phase).await
            }
            Probe::Script(script) => {
                phase.set(Phase::Script);
                return script::attempt(script, self.strictness.get(), &self.scripts).await;
            }
            Probe::Udp(udp) => udp::attempt(udp, origin, timeout, phase).await,
            Probe::Dns(dns) => dns::attempt(dns, origin, phase).await,
            Probe::Smtp { target, helo } => smtp::attempt(*target, helo, origin, phase).await,
            Probe::File(file) => return file::attempt(file).await,
            // Nobody orders attempts of these.
            Probe::Bfd { .. } => Err(Reason::NotStarted("who holds the BFD session tells of it".to_owned())),
            Probe::All(_) => Err(Reason::NotStarted("each of its checks is made by itself".to_owned())),
        };
        detail.map(|detail| (detail, Weighing::None))
    }

    /// `pattern`, compiled now or earlier.
    fn pattern(&self, pattern: &str) -> Arc<Result<PerlRegex, String>> {
        let mut patterns = self.patterns.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = patterns.get(pattern) {
            return Arc::clone(known);
        }
        if patterns.len() >= MAX_PATTERNS {
            patterns.clear();
        }
        let compiled = Arc::new(compile(pattern));
        patterns.insert(pattern.to_owned(), Arc::clone(&compiled));
        compiled
    }
}

/// How far an attempt has come, for the case that its deadline cuts it off.
struct Progress(Mutex<Phase>);

impl Progress {
    fn set(&self, phase: Phase) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = phase;
    }

    fn get(&self) -> Phase {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests;
