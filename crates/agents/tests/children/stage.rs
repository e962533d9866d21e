//! A directory with programs, and a world in which tasks run.

use evenkeel_agents::Places;
use std::{
    fs,
    future::Future,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    sync::{Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

/// While one test writes a program no other one may fork: a program that somebody holds open for writing does not start.
static ALONE: Mutex<()> = Mutex::new(());

/// Longer than anything takes, on however busy a machine.
pub(crate) const LONG: Duration = Duration::from_secs(30);

pub(crate) struct Stage {
    directory: tempfile::TempDir,
    _alone: MutexGuard<'static, ()>,
}

impl Stage {
    pub(crate) fn new() -> Stage {
        let alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
        Stage { directory: tempfile::tempdir().unwrap(), _alone: alone }
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    /// A shell script. `$STAGE` is the directory.
    pub(crate) fn script(&self, name: &str, text: &str) -> PathBuf {
        let path = self.path(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, format!("#!/bin/sh\nSTAGE={}\n{text}\n", self.directory.path().display())).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
        path
    }

    /// Everything below the directory, and the host's shell commands.
    pub(crate) fn places(&self) -> Places {
        Places {
            scripts: vec![self.path("resource.d"), self.path("init.d")],
            ocf: self.path("ocf"),
            external: self.path("plugins"),
            programs: vec![self.path("bin"), "/usr/sbin".into(), "/usr/bin".into(), "/bin".into()],
            environment: vec![("HA_CURHOST".into(), "ha1".into()), ("HA_color".into(), "blue".into())],
        }
    }

    pub(crate) fn text(&self, name: &str) -> String {
        fs::read_to_string(self.path(name)).unwrap_or_default()
    }
}

/// Runs `work` with tasks beside it.
pub(crate) fn run<T>(work: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    tokio::task::LocalSet::new().block_on(&runtime, async { tokio::time::timeout(LONG, work).await.expect("it ends") })
}

/// Waits until it is so.
pub(crate) async fn until(what: &str, mut is_so: impl FnMut() -> bool) {
    let end = Instant::now() + LONG;
    while !is_so() {
        assert!(Instant::now() < end, "never: {what}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

/// Whether the process that wrote its number there is gone, or about to be.
pub(crate) fn is_gone(file: &Path) -> bool {
    let number = fs::read_to_string(file).unwrap();
    let state = fs::read_to_string(format!("/proc/{}/stat", number.trim())).unwrap_or_default();
    state.is_empty() || state.contains(") Z ") || state.contains(") X ")
}
