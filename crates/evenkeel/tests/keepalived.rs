//! The program called keepalived, as init scripts and exporters call it, with a table in memory: no root is needed.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use rustix::process::{Pid, Signal, kill_process};
use std::{
    fs,
    os::unix::fs::{PermissionsExt, symlink},
    path::PathBuf,
    process::{Command, Output, Stdio},
    thread,
    time::{Duration, Instant},
};

/// Long enough on the busiest machine.
const LIMIT: Duration = Duration::from_secs(30);

const GOOD: &str = "\
global_defs {
    router_id director_1
}
virtual_server 127.70.0.100 80 {
    delay_loop 6
    lb_algo wrr
    lb_kind DR
    protocol TCP
    real_server 127.70.0.1 80 {
        weight 2
        TCP_CHECK {
            connect_timeout 3
        }
    }
}
";

struct Bed {
    dir: tempfile::TempDir,
}

impl Bed {
    fn new(text: &str) -> Bed {
        let bed = Bed { dir: tempfile::tempdir().unwrap() };
        fs::write(bed.path("keepalived.conf"), text).unwrap();
        symlink(env!("CARGO_BIN_EXE_evenkeel"), bed.path("keepalived")).unwrap();
        fs::create_dir(bed.path("tmp")).unwrap();
        bed
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// `keepalived -f FILE` and these words, by a link of that name.
    fn call(&self, words: &[&str]) -> Output {
        let mut command = Command::new(self.path("keepalived"));
        command.arg("-f").arg(self.path("keepalived.conf")).args(words).stdin(Stdio::null());
        command.env("EVENKEEL_RUNTIME_DIR", self.path("run")).env("TMPDIR", self.path("tmp"));
        command.env("EVENKEEL_DATAPLANE", "memory").output().unwrap()
    }

    fn code(&self, words: &[&str]) -> i32 {
        self.call(words).status.code().unwrap()
    }

    fn pid(&self, name: &str) -> Option<i32> {
        fs::read_to_string(self.path("run").join(name)).ok()?.trim().parse().ok()
    }

    /// As `kill -s $(keepalived --signum=NAME) $(cat keepalived.pid)`.
    fn signal(&self, name: &str) {
        let number = text(&self.call(&[&format!("--signum={name}")]).stdout);
        let pid = self.pid("keepalived.pid").unwrap().to_string();
        assert!(Command::new("kill").args(["-s", number.trim(), &pid]).status().unwrap().success());
    }

    /// What a dump file says, once it says so.
    fn dump(&self, name: &str, good: impl Fn(&str) -> bool) -> String {
        let mut last = String::new();
        until(name, || {
            last = fs::read_to_string(self.path("tmp").join(name)).unwrap_or_default();
            good(&last)
        });
        last
    }
}

impl Drop for Bed {
    fn drop(&mut self) {
        if let Some(pid) = self.pid("keepalived.pid").and_then(Pid::from_raw) {
            let _ = kill_process(pid, Signal::KILL);
        }
    }
}

fn until(what: &str, mut good: impl FnMut() -> bool) {
    let end = Instant::now() + LIMIT;
    while !good() {
        assert!(Instant::now() < end, "never {what}");
        thread::sleep(Duration::from_millis(10));
    }
}

fn text(output: &[u8]) -> String {
    String::from_utf8_lossy(output).into_owned()
}

#[test]
fn a_test_of_the_configuration_ends_as_scripts_know_it() {
    let bed = Bed::new(GOOD);
    let good = bed.call(&["-t"]);
    assert_eq!(good.status.code(), Some(0), "{good:?}");
    fs::write(bed.path("keepalived.conf"), GOOD.replace("delay_loop 6", "delay_lop 6")).unwrap();
    let wrong = bed.call(&["--config-test"]);
    assert_eq!(wrong.status.code(), Some(5));
    assert!(text(&wrong.stderr).contains("keepalived.conf:5:5"), "more is said than there: {wrong:?}");
    let script = GOOD.replace(
        "        TCP_CHECK {\n            connect_timeout 3\n        }\n",
        "        MISC_CHECK {\n            misc_path /bin/true\n        }\n",
    );
    fs::write(bed.path("keepalived.conf"), &script).unwrap();
    let insecure = bed.call(&["-t"]);
    assert_eq!(insecure.status.code(), Some(6), "{insecure:?}");
    assert!(text(&insecure.stderr).contains("enable_script_security"));
    fs::write(bed.path("keepalived.conf"), script.replace("router_id", "enable_script_security\nrouter_id")).unwrap();
    assert_eq!(bed.code(&["-t"]), 0);
    fs::remove_file(bed.path("keepalived.conf")).unwrap();
    assert_eq!(bed.code(&["-t"]), 5);
    assert_eq!(bed.code(&["-n"]), 6, "there is nothing to serve");
}

#[test]
fn a_test_writes_to_the_file_that_it_is_told_and_follows_no_link() {
    let bed = Bed::new(&GOOD.replace("delay_loop 6", "delay_lop 6"));
    let log = bed.path("log");
    let option = format!("--config-test={}", log.display());
    let quiet = bed.call(&[&option]);
    assert_eq!((quiet.status.code(), text(&quiet.stderr)), (Some(5), String::new()));
    assert!(fs::read_to_string(&log).unwrap().contains("delay_lop"));
    let precious = bed.path("precious");
    fs::write(&precious, "keep").unwrap();
    fs::remove_file(&log).unwrap();
    symlink(&precious, &log).unwrap();
    assert_eq!(bed.code(&[&option]), 1);
    assert_eq!(fs::read_to_string(&precious).unwrap(), "keep");
}

#[test]
fn it_answers_what_programs_around_it_ask() {
    let bed = Bed::new(GOOD);
    for (name, number) in [("DATA", "10\n"), ("STATS", "12\n"), ("JSON", "36\n"), ("STATS_CLEAR", "63\n")] {
        assert_eq!(text(&bed.call(&[&format!("--signum={name}")]).stdout), number);
    }
    let version = bed.call(&["-v"]);
    assert_eq!(version.status.code(), Some(0));
    assert!(text(&version.stderr).starts_with("Keepalived v2.2.7 (evenkeel "));
    assert_eq!(bed.code(&["--signum=TDATA"]), 1);
    let unknown = bed.call(&["-Z"]);
    assert_eq!((unknown.status.code(), text(&unknown.stderr).as_str()), (Some(1), "Unknown option -Z\n"));
    let refused = bed.call(&["-V"]);
    assert_eq!(refused.status.code(), Some(1));
    assert!(text(&refused.stderr).contains("--dont-release-vrrp is not supported"), "{refused:?}");
}

#[test]
fn a_daemon_starts_writes_what_signals_ask_for_reloads_and_stops() {
    let bed = Bed::new(GOOD);
    let started = bed.call(&["-D", "-G"]);
    assert_eq!(started.status.code(), Some(0), "{started:?}");
    // One process; there is no VRRP, so there is no file of it.
    let pid = bed.pid("keepalived.pid").unwrap();
    assert_eq!((bed.pid("checkers.pid"), bed.pid("vrrp.pid")), (Some(pid), None));
    let again = bed.call(&[]);
    assert_eq!(again.status.code(), Some(0));
    assert!(text(&again.stderr).contains("already running"), "{again:?}");

    // Somebody has put a link where the file goes.
    let precious = bed.path("precious");
    fs::write(&precious, "keep").unwrap();
    symlink(&precious, bed.path("tmp/keepalived_check.data")).unwrap();
    bed.signal("DATA");
    let check = bed.dump("keepalived_check.data", |text| text.contains("Health checkers"));
    assert!(check.contains(" VS VIP = 127.70.0.100, VPORT = 80\n"), "{check}");
    assert!(check.contains("   RIP = 127.70.0.1, RPORT = 80, WEIGHT = 2 EFF WEIGHT = 2\n"), "{check}");
    assert_eq!(fs::read_to_string(&precious).unwrap(), "keep");
    let data = bed.dump("keepalived.data", |text| text.contains("------< Interfaces >------"));
    assert!(data.contains(" Router ID = director_1\n"), "{data}");
    let mode = fs::metadata(bed.path("tmp/keepalived.data")).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    bed.signal("STATS");
    until("numbers, of nobody", || bed.path("tmp/keepalived.stats").exists());

    let file = bed.path("keepalived.conf");
    fs::write(&file, GOOD.replace("127.70.0.100 80", "127.70.0.101 80").replace("director_1", "director_2")).unwrap();
    bed.signal("RELOAD");
    until("the new service", || {
        bed.signal("DATA");
        fs::read_to_string(bed.path("tmp/keepalived_check.data")).unwrap().contains(" VS VIP = 127.70.0.101, ")
    });
    bed.dump("keepalived.data", |text| text.contains(" Router ID = director_2\n"));
    assert_eq!(bed.pid("keepalived.pid"), Some(pid));

    bed.signal("STOP");
    until("gone", || bed.pid("keepalived.pid").is_none() && bed.pid("checkers.pid").is_none());
}
