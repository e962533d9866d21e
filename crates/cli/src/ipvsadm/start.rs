//! Starting an instance with an empty table.

use crate::{
    client::Client,
    exit::{FAILED, Trouble},
    ldirectord, run,
    stop::{LAST_STEPS, LOOK, is_gone},
};
use evenkeel_api::RefusalCode;
use evenkeel_os::{Herald, RuntimeDir, Side, close_inherited, detach};
use evenkeel_runtime::{Configuration, Options};
use std::{
    path::{Path, PathBuf},
    sync::Arc,
    thread,
    time::{Duration, Instant},
};

/// What the daemon may take until it serves.
const START: Duration = Duration::from_secs(60);
/// Two first commands at once start one instance.
const LOCK: &str = "start.lock";
/// Where the log of an instance goes that nobody configured.
const LOG_FILE: &str = "/var/log/evenkeel.log";

/// Whether this user could start one.
pub(super) fn may_start() -> bool {
    run::needs_root(ldirectord::dataplane(), "").is_ok()
}

/// Which of two processes this is once an instance has been started.
pub(super) enum Started {
    /// The one that was called; the instance answers.
    Caller(Client),
    /// The instance, which has ended with this status.
    Instance(u8),
}

/// Starts an instance and waits until it answers; in the process of the instance, until it ends.
pub(super) fn start(runtime_dir: &Path) -> Result<Started, Trouble> {
    // Before anything of ours is open: the daemon is to keep nothing of the caller's.
    close_inherited().map_err(failed)?;
    let directory = std::path::absolute(runtime_dir).unwrap_or_else(|_| runtime_dir.to_owned());
    let prepared = RuntimeDir::prepare(&directory).map_err(failed)?;
    let lock = prepared.wait_for(LOCK).map_err(failed)?;
    // Who was first has started one meanwhile.
    let end = Instant::now() + LAST_STEPS;
    loop {
        match Client::connect(&directory) {
            Err(trouble) if trouble.status == RefusalCode::NotRunning.exit_status() => {}
            connected => return connected.map(Started::Caller),
        }
        // A process that has the directory and does not answer starts just now, or was killed and is still dying.
        if is_gone(&directory.join("pid")) || Instant::now() > end {
            break;
        }
        thread::sleep(LOOK);
    }
    match detach().map_err(failed)? {
        Side::Caller(waiter) => {
            waiter.wait(START).map_err(failed)?;
            drop(lock);
            Client::connect(&directory).map(Started::Caller)
        }
        Side::Daemon(herald) => {
            drop(lock);
            // What the caller's directory is on can be unmounted.
            let _ = std::env::set_current_dir("/");
            Ok(Started::Instance(serve(directory, herald)))
        }
    }
}

fn failed(e: evenkeel_os::Error) -> Trouble {
    Trouble { status: FAILED, text: format!("no evenkeel daemon runs, and none can be started: {e}") }
}

fn serve(runtime_dir: PathBuf, herald: Herald) -> u8 {
    let options = run::options(runtime_dir, nothing(), Arc::new(|| Ok(nothing())));
    let options = Options { keep_all: true, ..options };
    u8::from(run::heralded(Some(herald), run::opener(ldirectord::dataplane()), options).is_err())
}

/// No services, and a log.
fn nothing() -> Configuration {
    let mut configuration = Configuration::default();
    configuration.cluster.settings.log_file = Some(PathBuf::from(LOG_FILE));
    configuration
}
