//! The program that reads a FIFO for as long as the daemon runs.

use crate::commands;
use rustix::process::{Pid, Signal, kill_process_group};
use std::{path::PathBuf, time::Duration};
use tokio::task::JoinHandle;

/// From its end to its next start: it may have ended because its host is busy.
const AGAIN: Duration = Duration::from_secs(10);

/// A running reader; dropped, it is told to end.
#[derive(Debug)]
pub(super) struct Reader {
    /// What it reads.
    pub(super) fifo: PathBuf,
    task: JoinHandle<()>,
}

impl Reader {
    pub(super) fn start(fifo: PathBuf, order: commands::Order) -> Reader {
        Reader { fifo, task: tokio::task::spawn_local(keep_running(order)) }
    }
}

impl Drop for Reader {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// Ends its group with SIGTERM, as keepalived does.
struct Group(Option<Pid>);

impl Drop for Group {
    fn drop(&mut self) {
        if let Some(group) = self.0 {
            // Gone in the meantime is as good.
            let _ = kill_process_group(group, Signal::TERM);
        }
    }
}

async fn keep_running(order: commands::Order) {
    loop {
        match order.command().spawn() {
            Ok(mut child) => {
                let id = child.id().and_then(|id| i32::try_from(id).ok()).and_then(Pid::from_raw);
                let mut group = Group(id);
                let ended = child.wait().await;
                // Its number may be another's from now on.
                group.0 = None;
                match ended {
                    Ok(status) => tracing::warn!("`{order}`, which reads a FIFO, has ended: {status}"),
                    Err(e) => tracing::warn!("`{order}`, which reads a FIFO, cannot be waited for: {e}"),
                }
            }
            Err(e) => tracing::warn!("`{order}`, which is to read a FIFO, cannot be run: {e}"),
        }
        tokio::time::sleep(AGAIN).await;
    }
}
