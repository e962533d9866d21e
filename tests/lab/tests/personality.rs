//! The set-up of the keepalived guide, its file as it stands, run by a program that is called keepalived: what init
//! scripts, operators and exporters do with it.

#![expect(clippy::expect_used, reason = "a test fails by panicking")]

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use evenkeel_lab::{Process, Stage};
use evenkeel_lab_tests::{LIMIT, alone, can_run, program, setup, switch, unique_name};
use rustix::process::Signal;

/// A daemon of the bed, and where it writes.
struct Keepalived<'a> {
    stage: &'a Stage,
    link: PathBuf,
    temporary: PathBuf,
    process: Process,
}

impl Keepalived<'_> {
    fn start<'a>(stage: &'a Stage, file: &Path) -> Keepalived<'a> {
        let (link, temporary) = (stage.directory().join("keepalived"), stage.directory().join("tmp"));
        std::os::unix::fs::symlink(program(), &link).expect("a link can be made");
        fs::create_dir(&temporary).expect("a directory can be made");
        let mut command = Command::new(&link);
        command.args(["-n", "-l", "-f"]).arg(file).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        command.env("EVENKEEL_RUNTIME_DIR", stage.directory().join("run")).env("TMPDIR", &temporary);
        let node = stage.node("lvs1").expect("it is there");
        let process = Process::new("keepalived", node.spawn(command).expect("it starts"));
        Keepalived { stage, link, temporary, process }
    }

    fn pid(&self, name: &str) -> Option<String> {
        fs::read_to_string(self.stage.directory().join("run").join(name)).ok().map(|text| text.trim().to_owned())
    }

    /// As an exporter does: `kill -s $(keepalived --signum=NAME) $(cat keepalived.pid)`.
    fn signal(&self, name: &str) {
        let number = Command::new(&self.link).arg(format!("--signum={name}")).output().expect("it answers").stdout;
        let pid = self.pid("keepalived.pid").expect("it runs");
        let number = String::from_utf8_lossy(&number).trim().to_owned();
        assert!(Command::new("kill").args(["-s", &number, &pid]).status().expect("kill runs").success());
    }

    /// Asks for a file until it says what is looked for.
    fn asked(&self, name: &str, file: &str, good: impl Fn(&str) -> bool) -> String {
        let end = Instant::now() + LIMIT;
        loop {
            self.signal(name);
            let asked = Instant::now();
            while asked.elapsed() < Duration::from_millis(200) {
                let text = fs::read_to_string(self.temporary.join(file)).unwrap_or_default();
                if good(&text) {
                    return text;
                }
                assert!(Instant::now() < end, "{file} never says it:\n{text}");
                std::thread::sleep(Duration::from_millis(10));
            }
        }
    }
}

#[test]
fn the_file_as_it_stands_runs_under_the_old_name_and_answers_the_old_signals() {
    if !can_run() {
        return;
    }
    let _alone = alone();
    let hosts = [("lvs1", 135), ("client", 10)].map(|(name, last)| (name, vec![([192, 168, 1, last].into(), 24)]));
    let stage = Stage::raise(&unique_name(), &switch::topology(hosts)).expect("the stage is built");
    let file = stage.directory().join("keepalived.conf");
    fs::copy(setup("002-keepalived-dr/keepalived.conf"), &file).expect("the set-up is there");
    let mut daemon = Keepalived::start(&stage, &file);
    let end = Instant::now() + LIMIT;
    while !stage.directory().join("run/control.sock").exists() {
        assert!(Instant::now() < end, "it never serves");
        std::thread::sleep(Duration::from_millis(10));
    }
    // All of them name the one process.
    let pid = daemon.pid("keepalived.pid");
    assert!(pid.is_some());
    assert_eq!((daemon.pid("vrrp.pid"), daemon.pid("checkers.pid")), (pid.clone(), pid.clone()));

    let data = daemon.asked("DATA", "keepalived.data", |text| text.contains("\n   State = MASTER\n"));
    for line in ["   Virtual Router ID = 51", "   Priority = 100", "   Interface = eth0", "   VRRP Version = 2"] {
        assert!(data.lines().any(|one| one == line), "{line} is not in:\n{data}");
    }
    assert!(data.contains("     192.168.1.150 dev eth0 scope global set\n"), "{data}");
    let json = daemon.asked("JSON", "keepalived.json", |text| text.contains("\"become_master\":1"));
    assert!(json.starts_with("[{\"data\":{\"iname\":\"VI_1\"") && json.contains("\"state\":2"), "{json}");
    let sent = |text: &str| {
        let line = text.lines().find_map(|line| line.strip_prefix("    Sent: ")).unwrap_or("0");
        line.parse::<u64>().unwrap_or(0)
    };
    daemon.asked("STATS", "keepalived.stats", |text| sent(text) >= 2);
    daemon.asked("STATS_CLEAR", "keepalived.stats", |text| text.contains("  Became master: "));
    // Counted anew: the mastership itself was before.
    daemon.asked("STATS", "keepalived.stats", |text| text.contains("  Became master: 0\n"));

    let text = fs::read_to_string(&file).expect("it is there").replace("priority 100", "priority 120");
    fs::write(&file, text).expect("it can be written");
    daemon.signal("RELOAD");
    let data = daemon.asked("DATA", "keepalived.data", |text| text.contains("\n   Priority = 120\n"));
    assert!(data.contains("\n   State = MASTER\n"), "a reload moves no address:\n{data}");
    assert_eq!(daemon.pid("keepalived.pid"), pid);

    daemon.process.signal(Signal::TERM).expect("it can be signalled");
    let status = daemon.process.wait(LIMIT).expect("it ends");
    assert_eq!(status.code(), Some(0));
    assert_eq!((daemon.pid("keepalived.pid"), daemon.pid("vrrp.pid"), daemon.pid("checkers.pid")), (None, None, None));
}
