//! Keeps programs running (`respawn`, `failfast` of ha.cf).
//!
//! One that ends is started again, unless its exit status is 100, which says that it does not want to be. One that ends
//! soon after its start is started again later each time, up to a minute; heartbeat gives such a one up after a while.

use crate::{child::plain, places::Places};
use evenkeel_model::heartbeat::Child;
use evenkeel_os::{Ids, child::signal_group};
use rustix::process::Signal;
use std::{fmt, os::unix::process::ExitStatusExt, process::Stdio, rc::Rc, time::Duration};
use tokio::{
    process::Command,
    sync::watch,
    task::JoinHandle,
    time::{Instant, sleep, timeout},
};

/// The exit status of a program that is not to be started again.
const ENOUGH: i32 = 100;
/// One that has run for so long is started again at once.
const STEADY: Duration = Duration::from_secs(30);
/// The shortest and longest time before one that has not is started again.
const SOON: Duration = Duration::from_secs(1);
const LATER: Duration = Duration::from_secs(60);
/// What a program may take to end when it is told to.
const FAREWELL: Duration = Duration::from_secs(5);

/// A program that was to be kept running has ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Departed {
    /// What was run, with its arguments.
    pub command: String,
    /// How it ended, or why it could not be run.
    pub how: String,
    /// This node is not to go on without it (`failfast`); it is not started again.
    pub vital: bool,
    /// When it is started again; `None`: it is not.
    pub again: Option<Duration>,
}

impl fmt::Display for Departed {
    /// A sentence.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Departed { command, how, vital, again } = self;
        write!(f, "`{command}`, which is to be kept running, has ended: {how}; ")?;
        match again {
            Some(Duration::ZERO) => write!(f, "it is started again"),
            Some(after) => write!(f, "it is started again in {} s", after.as_secs()),
            None if *vital => write!(f, "it is vital (failfast)"),
            None => write!(f, "it asked not to be started again"),
        }
    }
}

/// Programs that are kept running. Dropped, it kills them.
pub struct Keeper {
    kept: Vec<Kept>,
    tell: Rc<dyn Fn(Departed)>,
}

struct Kept {
    child: Child,
    end: watch::Sender<bool>,
    work: JoinHandle<()>,
}

impl Drop for Kept {
    fn drop(&mut self) {
        self.work.abort();
    }
}

impl fmt::Debug for Keeper {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Keeper").field("kept", &self.kept.len()).finish_non_exhaustive()
    }
}

impl Keeper {
    /// Keeps none yet. `tell` is told of each that ends.
    pub fn new(tell: impl Fn(Departed) + 'static) -> Keeper {
        Keeper { kept: Vec::new(), tell: Rc::new(tell) }
    }

    /// Keeps `wanted` running from now on: what is kept already goes on, and what is not wanted any more is told to end.
    pub fn keep(&mut self, wanted: &[Child], places: &Places) {
        let mut before = std::mem::take(&mut self.kept);
        for child in wanted {
            self.kept.push(match before.iter().position(|kept| kept.child == *child) {
                Some(at) => before.swap_remove(at),
                None => self.start(child, places),
            });
        }
        for gone in before {
            tokio::task::spawn_local(finish(gone));
        }
    }

    /// Has all end, by SIGTERM and after 5 s by SIGKILL.
    pub async fn stop(&mut self) {
        let all = std::mem::take(&mut self.kept);
        all.iter().for_each(|kept| {
            kept.end.send_replace(true);
        });
        for kept in all {
            finish(kept).await;
        }
    }

    fn start(&self, child: &Child, places: &Places) -> Kept {
        let (end, ends) = watch::channel(false);
        let (tell, environment, path) = (Rc::clone(&self.tell), places.environment.clone(), places.path());
        let of = child.clone();
        let work = tokio::task::spawn_local(async move {
            let mut wait = SOON;
            loop {
                let begun = Instant::now();
                let end = live(&of, &environment, &path, ends.clone()).await;
                if *ends.borrow() {
                    return;
                }
                // One that never lived did not die: that is no reason to restart the host.
                let (how, status, vital) = match end {
                    Ok((how, status)) => (how, status, of.vital && status != Some(ENOUGH)),
                    Err(why) => (format!("it cannot be run: {why}"), None, false),
                };
                let steady = begun.elapsed() >= STEADY;
                wait = if steady { SOON } else { wait };
                let again = match status {
                    Some(ENOUGH) => None,
                    _ if vital => None,
                    _ if steady => Some(Duration::ZERO),
                    _ => Some(wait),
                };
                tell(Departed { command: plain(&of.command.join(" ")), how, vital, again });
                let Some(again) = again else { return };
                let mut ends = ends.clone();
                if timeout(again, ends.wait_for(|end| *end)).await.is_ok() {
                    return;
                }
                wait = (wait * 2).min(LATER);
            }
        });
        Kept { child: child.clone(), end, work }
    }
}

/// Waits until it has ended, which it is told to.
async fn finish(mut kept: Kept) {
    kept.end.send_replace(true);
    // Its own patience and a little for the reaper.
    if timeout(FAREWELL + SOON, &mut kept.work).await.is_err() {
        kept.work.abort();
    }
}

/// One life of a program: how it ended, and its exit status. The error is why there was none.
async fn live(
    child: &Child,
    environment: &[(String, String)],
    path: &str,
    mut ends: watch::Receiver<bool>,
) -> Result<(String, Option<i32>), String> {
    let (program, arguments) = child.command.split_first().ok_or("it has no name")?;
    let ids = Ids::of(&child.account).map_err(|e| e.to_string())?;
    let mut command = std::process::Command::new(program);
    ids.log_in(&child.account, &mut command).map_err(|e| e.to_string())?;
    command.args(arguments).env_clear().env("PATH", path).current_dir("/");
    command.envs(environment.iter().map(|(name, value)| (name, value)));
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    let running = Command::from(command).process_group(0).kill_on_drop(true).spawn();
    let mut running = running.map_err(|e| e.to_string())?;
    let group = Group(running.id());
    let status = tokio::select! {
        status = running.wait() => status,
        _ = ends.wait_for(|end| *end) => {
            group.signal(Signal::TERM);
            let patience = sleep(FAREWELL);
            tokio::pin!(patience);
            tokio::select! {
                status = running.wait() => status,
                () = &mut patience => {
                    group.signal(Signal::KILL);
                    running.wait().await
                }
            }
        }
    };
    group.forget();
    let status = status.map_err(|e| format!("it cannot be waited for: {e}"))?;
    Ok(match (status.code(), status.signal()) {
        (Some(code), _) => (format!("exit status {code}"), Some(code)),
        (None, signal) => (format!("ended by signal {}", signal.unwrap_or_default()), None),
    })
}

/// The process group of a child that has not been waited for.
struct Group(Option<u32>);

impl Group {
    fn signal(&self, signal: Signal) {
        if let Some(leader) = self.0 {
            // Gone in the meantime is as good.
            let _ = signal_group(leader, signal);
        }
    }

    fn forget(mut self) {
        self.0 = None;
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        self.signal(Signal::KILL);
    }
}
