//! The watchdog device, with the kernel's own software watchdog: in a guest, which it may restart.

#![expect(clippy::expect_used, reason = "a test fails by panicking")]

mod duo;

use duo::{Duo, Files, Player};
use evenkeel_lab_tests::{can_run, guest, program};
use evenkeel_os::Watchdog;
use rustix::process::{Pid, Signal, kill_process};
use std::{
    fs,
    os::unix::fs::PermissionsExt,
    path::Path,
    process::{Command, Stdio},
    thread::sleep,
    time::{Duration, Instant},
};

/// Beside the one of user mode Linux itself.
const DEVICE: &str = "/dev/watchdog1";
const SECOND: Duration = Duration::from_secs(1);
/// `uml-run`: the machine died before the command had ended.
const DIED: i32 = 125;

const MODULES: &str = "/usr/lib/uml/modules";
/// The software watchdog among those of a kernel.
const SOFTDOG: &str = "kernel/drivers/watchdog/softdog.ko";

/// Whether there is a guest that has it; says so where not.
fn ready() -> bool {
    let mut kernels = fs::read_dir(MODULES).into_iter().flatten().flatten();
    let there = kernels.any(|kernel| kernel.path().join(SOFTDOG).exists());
    if can_run() && !there {
        println!("skipped: needs the module softdog of the package user-mode-linux");
    }
    can_run() && there
}

/// Loads the module; whether it lets itself be stopped.
fn load(nowayout: bool) {
    let release = rustix::system::uname().release().to_string_lossy().into_owned();
    let module = Path::new(MODULES).join(release).join(SOFTDOG);
    let nowayout = format!("nowayout={}", u8::from(nowayout));
    let done = Command::new("insmod").arg(module).arg(nowayout).status().expect("insmod runs");
    assert!(done.success(), "the module is loaded");
}

fn open(timeout: Duration) -> Watchdog {
    Watchdog::open(Path::new(DEVICE), timeout).expect("the watchdog opens")
}

/// Runs the test `name` in a guest, which has to die of it.
fn dies(name: &str, modules: &str, environment: &[String]) {
    let Some(mut command) = guest::boot(modules, 100) else { return };
    for variable in environment {
        command.args(["-e", variable]);
    }
    command.arg("--").arg(std::env::current_exe().expect("this program has a path"));
    command.args(["--exact", name, "--nocapture", "--test-threads", "1"]);
    let done = command.stdin(Stdio::null()).output().expect("uml-run runs");
    let text = format!("{}{}", String::from_utf8_lossy(&done.stdout), String::from_utf8_lossy(&done.stderr));
    assert_eq!(done.status.code(), Some(DIED), "the guest lives:\n{text}");
    assert!(text.contains("it counts"), "it died too early:\n{text}");
}

/// Says that everything before worked, and lives for longer than any time set here.
fn await_death() -> ! {
    println!("it counts");
    sleep(30 * SECOND);
    std::process::abort()
}

#[test]
fn petted_it_restarts_nothing_and_closed_it_stops() {
    const NAME: &str = "petted_it_restarts_nothing_and_closed_it_stops";
    if !ready() {
        return;
    }
    if !guest::inside() {
        return guest::run(NAME, "", 100);
    }
    load(false);
    let watchdog = open(Duration::from_millis(1100));
    assert_eq!(watchdog.timeout(), Some(2 * SECOND), "whole seconds, rounded up");
    assert!(!watchdog.has_no_way_out());
    let begun = Instant::now();
    while begun.elapsed() < 5 * SECOND {
        watchdog.pet().expect("it is petted");
        sleep(SECOND / 4);
    }
    assert!(Watchdog::open(Path::new(DEVICE), SECOND).is_err(), "only one may have it");
    watchdog.close().expect("it is closed");
    // For longer than its time.
    sleep(5 * SECOND);
}

#[test]
fn a_program_that_dies_takes_the_host_with_it() {
    const NAME: &str = "a_program_that_dies_takes_the_host_with_it";
    if !ready() {
        return;
    }
    if !guest::inside() {
        return dies(NAME, "", &[]);
    }
    load(false);
    drop(open(SECOND));
    await_death();
}

#[test]
fn without_a_way_out_it_says_so_and_goes_on_when_closed() {
    const NAME: &str = "without_a_way_out_it_says_so_and_goes_on_when_closed";
    if !ready() {
        return;
    }
    if !guest::inside() {
        return dies(NAME, "", &[]);
    }
    load(true);
    let watchdog = open(SECOND);
    assert!(watchdog.has_no_way_out());
    watchdog.close().expect("it is written to");
    await_death();
}

/// Where a program that this node cannot be without has died, nothing is written to the watchdog any more.
#[test]
fn the_end_of_a_failfast_program_restarts_the_host() {
    const NAME: &str = "the_end_of_a_failfast_program_restarts_the_host";
    if !ready() {
        return;
    }
    if !guest::inside() {
        return dies(NAME, "bridge", &[format!("EVENKEEL_PROGRAM={}", program().display())]);
    }
    load(false);
    fs::write("/tmp/vital", "#!/bin/sh\necho $$ > /tmp/vital.pid\nexec sleep infinity\n").expect("a file is written");
    fs::set_permissions("/tmp/vital", fs::Permissions::from_mode(0o755)).expect("its mode is set");
    let files = Files::quick(200, 1000).with(&format!("watchdog {DEVICE}\nfailfast root /tmp/vital\n"));
    let mut duo = Duo::new([Player::Evenkeel; 2], files);
    duo.start(0);
    duo.wait_owners_within(&[0], 60 * SECOND);
    // For longer than its time.
    sleep(5 * SECOND);
    assert!(Watchdog::open(Path::new(DEVICE), SECOND).is_err(), "evenkeel has it");
    let id = fs::read_to_string("/tmp/vital.pid").ok().and_then(|id| id.trim().parse().ok());
    kill_process(id.and_then(Pid::from_raw).expect("it runs"), Signal::KILL).expect("it is killed");
    duo.wait_log(0, "it is vital (failfast)");
    await_death()
}
