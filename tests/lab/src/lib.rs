//! The bed of the tests with real packets: a lab for each test, one test at a time, and a look at the director's log
//! when a test fails.

use std::ops::{Deref, DerefMut};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{OnceLock, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};
use std::time::{Duration, Instant};

use evenkeel_api::{ServerState, Status};
use evenkeel_lab::{Lab, Options};

pub mod cells;
pub mod dns;
pub mod frr;
pub mod guest;
pub mod heartbeat;
pub mod mailer;
pub mod native;
pub mod nginx;
pub mod null_modem;
pub mod pings;
pub mod pty;
pub mod room;
pub mod scripts;
pub mod smtp;
pub mod switch;
pub mod transfer;
pub mod vsftpd;

/// Nothing that works takes this long.
pub const LIMIT: Duration = Duration::from_secs(20);

static MACHINE: RwLock<()> = RwLock::new(());

/// Whether the test can run; says why not.
pub fn can_run() -> bool {
    if rustix::process::geteuid().is_root() {
        return true;
    }
    println!("skipped: needs root, for network namespaces and eBPF programs");
    false
}

/// Waits until something is so.
///
/// # Panics
///
/// When that takes longer than anything that works.
pub fn until(what: &str, mut good: impl FnMut() -> bool) {
    let end = Instant::now() + LIMIT;
    while !good() {
        assert!(Instant::now() < end, "never {what}");
        std::thread::park_timeout(Duration::from_millis(5));
    }
}

/// The evenkeel program: the one `EVENKEEL_PROGRAM` names, else the one of this checkout, built when needed.
pub fn program() -> PathBuf {
    static PROGRAM: OnceLock<PathBuf> = OnceLock::new();
    PROGRAM.get_or_init(find_program).clone()
}

fn find_program() -> PathBuf {
    if let Some(path) = std::env::var_os("EVENKEEL_PROGRAM") {
        return path.into();
    }
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let mut build = Command::new(cargo);
    build.current_dir(env!("CARGO_MANIFEST_DIR")).args(["build", "--quiet", "--package", "evenkeel"]);
    if std::env::current_exe().is_ok_and(|path| path.components().any(|part| part.as_os_str() == "release")) {
        build.arg("--release");
    }
    let built = build.status().is_ok_and(|status| status.success());
    assert!(built, "cargo cannot build evenkeel");
    // This test is TARGET/debug/deps/NAME.
    let test = std::env::current_exe().unwrap_or_default();
    let folder = test.ancestors().nth(2).unwrap_or(Path::new("."));
    folder.join("evenkeel")
}

/// A file of the set-ups that the field's guides tell their readers to type.
pub fn setup(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("setups").join(name)
}

/// A name no other lab of this machine has.
pub fn unique_name() -> String {
    static NUMBER: AtomicU32 = AtomicU32::new(0);
    format!("t{}x{}", std::process::id(), NUMBER.fetch_add(1, Ordering::Relaxed))
}

/// Waits for the other tests of this program to end: two loads at once would disturb each other's times.
pub fn alone() -> RwLockWriteGuard<'static, ()> {
    MACHINE.write().unwrap_or_else(PoisonError::into_inner)
}

/// Waits for the tests that are [`alone`] to end: for a test of a few hosts that wait for each other most of the time.
pub fn among_others() -> RwLockReadGuard<'static, ()> {
    MACHINE.read().unwrap_or_else(PoisonError::into_inner)
}

/// A lab that is alone on the machine, as far as this program goes.
pub struct Bed {
    lab: Option<Lab>,
    _alone: RwLockWriteGuard<'static, ()>,
}

impl Bed {
    /// Builds the lab that `change` makes of the usual one.
    pub fn new(change: impl FnOnce(&mut Options)) -> Bed {
        let alone = alone();
        let mut options = Options::new(&unique_name(), program());
        change(&mut options);
        let lab = Lab::dr(options).unwrap_or_else(|error| panic!("cannot build the lab: {error}"));
        Bed { lab: Some(lab), _alone: alone }
    }

    /// Removes the lab; says how many things were left to remove.
    pub fn end(mut self) -> usize {
        let lab = self.lab.take().unwrap_or_else(|| unreachable!("only `end` takes the lab"));
        lab.end().unwrap_or_else(|error| panic!("cannot remove the lab: {error}"))
    }
}

impl Deref for Bed {
    type Target = Lab;
    fn deref(&self) -> &Lab {
        self.lab.as_ref().unwrap_or_else(|| unreachable!("only `end` takes the lab"))
    }
}

impl DerefMut for Bed {
    fn deref_mut(&mut self) -> &mut Lab {
        self.lab.as_mut().unwrap_or_else(|| unreachable!("only `end` takes the lab"))
    }
}

impl Drop for Bed {
    fn drop(&mut self) {
        if let Some(lab) = self.lab.as_ref().filter(|_| std::thread::panicking()) {
            println!(
                "--- the director's log ---\n{}--- its state ---\n{:?}",
                lab.director.log(),
                lab.director.status_json()
            );
        }
    }
}

/// Whether every real server of every service is up.
pub fn all_up(status: &Status) -> bool {
    let mut servers = status.services.iter().flat_map(|service| &service.real_servers).peekable();
    servers.peek().is_some() && servers.all(|server| server.state == ServerState::Up)
}

/// Whether a way to every real server is known.
pub fn all_reachable(status: &Status) -> bool {
    let mut servers = status.services.iter().flat_map(|service| &service.real_servers).peekable();
    servers.peek().is_some() && servers.all(|server| !server.unreachable)
}

/// Whether every service is answered by its fallback.
pub fn all_on_fallback(status: &Status) -> bool {
    let mut services = status.services.iter().peekable();
    services.peek().is_some()
        && services.all(|service| service.fallback.as_ref().is_some_and(|fallback| fallback.in_use))
}

/// What a command printed, standard output first, and whether it succeeded.
pub fn talk(lab: &Lab, arguments: &[&str]) -> (bool, String) {
    let command = lab.director.command(arguments);
    let run = move || {
        let mut command = command;
        command.stdin(std::process::Stdio::null()).output()
    };
    let done = lab.director.node().run(run).unwrap_or_else(|error| panic!("{error}"));
    let done = done.unwrap_or_else(|error| panic!("cannot run evenkeel: {error}"));
    let text = format!("{}{}", String::from_utf8_lossy(&done.stdout), String::from_utf8_lossy(&done.stderr));
    (done.status.success(), text)
}
