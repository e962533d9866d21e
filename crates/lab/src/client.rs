//! The client: single requests and a steady load, each request on record with its times and its outcome.

use std::collections::VecDeque;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use crate::error::{Context, Error};
use crate::node::Node;
use crate::report::{Exchange, Report};

/// A request that takes longer has failed.
const PATIENCE: Duration = Duration::from_secs(5);
/// Requests under way at once; one more is on record as failed.
const UNDER_WAY: usize = 4096;
/// Finished requests that are kept; older ones only count.
const KEPT: usize = 1 << 20;
const ANSWER: u64 = 64 * 1024;
const STACK: usize = 128 * 1024;

/// Makes requests from the client's node.
#[derive(Debug, Clone)]
pub struct Client {
    node: Arc<Node>,
}

impl Client {
    /// One that lives in `node`.
    pub fn new(node: Arc<Node>) -> Self {
        Self { node }
    }

    /// The node it lives in.
    pub fn node(&self) -> &Node {
        &self.node
    }

    /// One HTTP/1.0 request on a connection of its own.
    pub fn get(&self, target: SocketAddr) -> Result<Exchange, Error> {
        self.get_host(target, &target.ip().to_string())
    }

    /// The same with a host name in the request.
    pub fn get_host(&self, target: SocketAddr, host: &str) -> Result<Exchange, Error> {
        let host = host.to_owned();
        self.node.run(move || exchange(target, &host))
    }

    /// The bodies of `count` requests, one after the other; an error in the place of a body where one failed.
    pub fn bodies(&self, target: SocketAddr, count: usize) -> Result<Vec<String>, Error> {
        let host = target.ip().to_string();
        self.node.run(move || {
            let answers = (0..count).map(|_| exchange(target, &host).outcome);
            answers.map(|outcome| outcome.unwrap_or_else(|error| format!("failed: {error}"))).collect()
        })
    }

    /// Starts a load of `rate` requests a second, each on a connection of its own.
    pub fn load(&self, target: SocketAddr, rate: u32) -> Result<Load, Error> {
        let shared = Arc::new(Shared::default());
        let pace = Duration::from_secs(1) / rate.max(1);
        let inside = Arc::clone(&shared);
        let thread = self.node.run(move || {
            std::thread::Builder::new().name("load".into()).spawn(move || send_at(pace, target, &inside))
        })?;
        Ok(Load { shared, thread: Some(thread.context("start the load")?) })
    }
}

#[derive(Debug, Default)]
struct Shared {
    log: Mutex<Log>,
    finished: Condvar,
    under_way: AtomicUsize,
    stop: AtomicBool,
}

#[derive(Debug, Default)]
struct Log {
    kept: VecDeque<Exchange>,
    total: usize,
}

impl Shared {
    fn record(&self, exchange: Exchange) {
        let mut log = self.log.lock().unwrap_or_else(PoisonError::into_inner);
        log.total += 1;
        if log.kept.len() == KEPT {
            log.kept.pop_front();
        }
        log.kept.push_back(exchange);
        drop(log);
        self.finished.notify_all();
    }
}

/// A running load. Dropping it ends it.
#[derive(Debug)]
pub struct Load {
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

impl Load {
    #[cfg(test)]
    pub(crate) fn idle() -> Self {
        Self { shared: Arc::default(), thread: None }
    }

    /// Waits until `count` more requests have finished, well or badly.
    pub fn wait_for(&self, count: usize, limit: Duration) -> Result<(), Error> {
        let log = self.shared.log.lock().unwrap_or_else(PoisonError::into_inner);
        let goal = log.total + count;
        let (log, _) = self
            .shared
            .finished
            .wait_timeout_while(log, limit, |log| log.total < goal)
            .unwrap_or_else(PoisonError::into_inner);
        if log.total >= goal {
            return Ok(());
        }
        Err(Error::new(format!("{} of {count} requests finished within {limit:?}", log.total + count - goal)))
    }

    /// Waits until a request that began after `since` has been answered so that `good` is content.
    pub fn wait_until(
        &self,
        since: Instant,
        limit: Duration,
        mut good: impl FnMut(&Exchange) -> bool,
    ) -> Result<Exchange, Error> {
        let end = Instant::now() + limit;
        let mut seen = since;
        let mut log = self.shared.log.lock().unwrap_or_else(PoisonError::into_inner);
        loop {
            // Requests are on record in the order of their ends.
            let new = log.kept.iter().rev().take_while(|exchange| exchange.ended >= seen);
            let new: Vec<&Exchange> = new.filter(|exchange| exchange.started >= since).collect();
            if let Some(found) = new.into_iter().rev().find(|exchange| good(exchange)) {
                return Ok(found.clone());
            }
            seen = log.kept.back().map_or(seen, |last| last.ended.max(seen));
            let left = end.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Err(Error::new(format!("no request had the awaited outcome within {limit:?}")));
            }
            log = self.shared.finished.wait_timeout(log, left).unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    /// Everything up to now.
    pub fn report(&self) -> Report {
        let log = self.shared.log.lock().unwrap_or_else(PoisonError::into_inner);
        Report::new(log.kept.iter().cloned().collect())
    }

    /// The requests that ended in the last `window`, and how many there were since the start.
    pub fn recent(&self, window: Duration) -> (Report, usize) {
        let log = self.shared.log.lock().unwrap_or_else(PoisonError::into_inner);
        let now = Instant::now();
        let recent = log.kept.iter().rev().take_while(|exchange| now.duration_since(exchange.ended) < window);
        let mut recent: Vec<Exchange> = recent.cloned().collect();
        recent.reverse();
        (Report::new(recent), log.total)
    }

    /// Ends the load, waits for the requests under way, and gives everything.
    pub fn stop(mut self) -> Report {
        self.end();
        self.report()
    }

    fn end(&mut self) {
        self.shared.stop.store(true, Ordering::Release);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
        // Every request ends within its patience, so that this wait does too.
        let log = self.shared.log.lock().unwrap_or_else(PoisonError::into_inner);
        let busy = |_: &mut Log| self.shared.under_way.load(Ordering::Acquire) > 0;
        drop(self.shared.finished.wait_timeout_while(log, PATIENCE * 3, busy));
    }
}

impl Drop for Load {
    fn drop(&mut self) {
        self.end();
    }
}

/// Sends at an even pace; a machine that falls behind catches up, so that the rate holds.
fn send_at(pace: Duration, target: SocketAddr, shared: &Arc<Shared>) {
    let host: Arc<str> = target.ip().to_string().into();
    let mut next = Instant::now();
    while !shared.stop.load(Ordering::Acquire) {
        std::thread::sleep(next.saturating_duration_since(Instant::now()));
        next += pace;
        let refused = |why: &str| {
            let now = Instant::now();
            Exchange { started: now, ended: now, outcome: Err(why.to_owned()) }
        };
        if shared.under_way.fetch_add(1, Ordering::AcqRel) >= UNDER_WAY {
            shared.under_way.fetch_sub(1, Ordering::AcqRel);
            shared.record(refused("too many requests are under way"));
            continue;
        }
        let (inside, host) = (Arc::clone(shared), Arc::clone(&host));
        // A thread is in the namespace of the thread that started it: this one is in the client's.
        let sent = std::thread::Builder::new().stack_size(STACK).spawn(move || {
            let done = exchange(target, &host);
            inside.under_way.fetch_sub(1, Ordering::AcqRel);
            inside.record(done);
        });
        if let Err(error) = sent {
            shared.under_way.fetch_sub(1, Ordering::AcqRel);
            shared.record(refused(&error.to_string()));
        }
    }
}

/// One request, from the thread's own namespace.
fn exchange(target: SocketAddr, host: &str) -> Exchange {
    let started = Instant::now();
    let outcome = request(target, host, started + PATIENCE).map_err(|error| error.to_string());
    Exchange { started, ended: Instant::now(), outcome }
}

fn request(target: SocketAddr, host: &str, end: Instant) -> std::io::Result<String> {
    let mut connection = TcpStream::connect_timeout(&target, PATIENCE)?;
    connection.set_nodelay(true)?;
    connection.set_write_timeout(Some(PATIENCE))?;
    connection.write_all(format!("GET /index.html HTTP/1.0\r\nHost: {host}\r\n\r\n").as_bytes())?;
    let left = end.saturating_duration_since(Instant::now()).max(Duration::from_millis(1));
    connection.set_read_timeout(Some(left))?;
    let mut answer = String::new();
    connection.take(ANSWER).read_to_string(&mut answer)?;
    let bad = |why: String| std::io::Error::new(std::io::ErrorKind::InvalidData, why);
    let (head, body) =
        answer.split_once("\r\n\r\n").ok_or_else(|| bad("the connection ended before the answer".into()))?;
    let status = head.split(' ').nth(1).unwrap_or_default();
    if status == "200" { Ok(body.to_owned()) } else { Err(bad(format!("status {status}"))) }
}
