//! The program as people and init scripts call it, with a table in memory: no root is needed.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use evenkeel_api::{ServerState, Status};
use rustix::process::{Pid, Signal, kill_process};
use std::{
    fs,
    io::{BufRead, BufReader, Read, Write},
    net::{SocketAddr, TcpListener},
    os::unix::{fs::PermissionsExt, net::UnixDatagram},
    path::{Path, PathBuf},
    process::{Child, Command, Output, Stdio},
    thread,
    time::{Duration, Instant},
};

/// Long enough on the busiest machine.
const LIMIT: Duration = Duration::from_secs(30);

struct Bed {
    dir: tempfile::TempDir,
}

impl Bed {
    fn new(text: &str) -> Bed {
        let bed = Bed { dir: tempfile::tempdir().unwrap() };
        fs::write(bed.file(), text).unwrap();
        bed
    }

    fn file(&self) -> PathBuf {
        self.dir.path().join("web.cf")
    }

    fn runtime_dir(&self) -> PathBuf {
        self.dir.path().join("run")
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_evenkeel"));
        command.args(arguments).env("EVENKEEL_RUNTIME_DIR", self.runtime_dir()).env("EVENKEEL_DATAPLANE", "memory");
        command.stdin(Stdio::null());
        command
    }

    fn call(&self, arguments: &[&str]) -> Output {
        self.command(arguments).output().unwrap()
    }

    fn code(&self, arguments: &[&str]) -> i32 {
        let output = self.call(arguments);
        output.status.code().unwrap_or_else(|| panic!("{arguments:?}: {output:?}"))
    }

    /// Starts `run` and waits until it answers.
    fn run(&self) -> Daemon {
        let mut command = self.command(&["run", "--dataplane", "memory"]);
        let child = command.arg(self.file()).stderr(Stdio::piped()).spawn().unwrap();
        let mut daemon = Daemon { child };
        until("answers", || {
            assert!(daemon.child.try_wait().unwrap().is_none(), "{}", daemon.said());
            self.code(&["status"]) == 0
        });
        daemon
    }

    fn status(&self) -> Status {
        let output = self.call(&["status", "--json"]);
        serde_json::from_slice(&output.stdout).unwrap_or_else(|e| panic!("{e}: {output:?}"))
    }
}

struct Daemon {
    child: Child,
}

impl Daemon {
    fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.child), signal).unwrap();
    }

    fn said(&mut self) -> String {
        let mut text = String::new();
        self.child.stderr.take().unwrap().read_to_string(&mut text).unwrap();
        text
    }

    fn end(&mut self) -> Option<i32> {
        until("ends", || self.child.try_wait().unwrap().is_some());
        self.child.wait().unwrap().code()
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
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

/// A web server of one answer, for as long as the test runs.
fn web(address: [u8; 4]) -> SocketAddr {
    let listener = TcpListener::bind(SocketAddr::from((address, 0))).unwrap();
    let at = listener.local_addr().unwrap();
    thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let mut stream = BufReader::new(stream);
            let mut line = String::new();
            let _ = stream.read_line(&mut line);
            let _ = stream.get_mut().write_all(b"HTTP/1.0 200 OK\r\n\r\nRS\n");
        }
    });
    at
}

fn good(net: u8) -> String {
    let server = web([127, net, 0, 1]);
    let port = server.port();
    format!(
        "checkinterval=1\nchecktimeout=3\nvirtual=127.{net}.0.100:{port}\n\treal={server} gate\n\tservice=http\n\
         \tscheduler=rr\n\trequest=\"/\"\n\treceive=\"RS\"\n"
    )
}

const BROKEN: &str = "virtual=192.0.2.1:80\n\treal=192.0.2.2 gate\n\tnonsense=1\n\tscheduler=fastest\n";

#[test]
fn a_daemon_serves_and_ends_with_0_after_sigterm_and_a_second_one_changes_nothing() {
    let bed = Bed::new(&good(51));
    let mut daemon = bed.run();
    until("up", || bed.status().services[0].real_servers[0].state == ServerState::Up);
    daemon.signal(Signal::TERM);
    // May come too late, which is as good.
    let _ = kill_process(Pid::from_child(&daemon.child), Signal::TERM);
    assert_eq!(daemon.end(), Some(0));
    assert_eq!(bed.code(&["status"]), 3);
    assert_eq!(bed.code(&["reload"]), 3);
    assert_eq!(bed.code(&["stop"]), 3);
}

#[test]
fn stop_works_with_a_broken_file_and_without_any() {
    for remove in [false, true] {
        let bed = Bed::new(&good(52));
        let mut daemon = bed.run();
        fs::write(bed.file(), BROKEN).unwrap();
        if remove {
            fs::remove_file(bed.file()).unwrap();
        }
        assert_eq!(bed.code(&["stop"]), 0);
        assert_eq!(daemon.end(), Some(0));
    }
}

#[test]
fn sighup_reloads_and_a_bad_file_is_refused_with_1() {
    let bed = Bed::new(&good(53));
    let daemon = bed.run();
    let wrr = fs::read_to_string(bed.file()).unwrap().replace("scheduler=rr", "scheduler=wrr");
    fs::write(bed.file(), wrr).unwrap();
    daemon.signal(Signal::HUP);
    until("reloaded", || bed.status().services[0].scheduler == "wrr");
    fs::write(bed.file(), BROKEN).unwrap();
    let output = bed.call(&["reload"]);
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    assert!(text(&output.stderr).contains("web.cf:3"), "{}", text(&output.stderr));
    assert_eq!(bed.status().services[0].scheduler, "wrr");
}

#[test]
fn a_service_manager_is_told_when_it_serves_reloads_and_stops() {
    let bed = Bed::new(&good(64));
    let path = bed.dir.path().join("notify");
    let socket = UnixDatagram::bind(&path).unwrap();
    socket.set_read_timeout(Some(LIMIT)).unwrap();
    let hear = || {
        let mut message = [0; 200];
        let n = socket.recv(&mut message).unwrap();
        text(&message[..n])
    };
    let mut command = bed.command(&["run", "--dataplane", "memory"]);
    let child = command.arg(bed.file()).env("NOTIFY_SOCKET", &path).stderr(Stdio::null()).spawn().unwrap();
    let mut daemon = Daemon { child };
    assert!(hear().starts_with("READY=1"));
    assert_eq!(bed.code(&["status"]), 0, "ready means that it answers");
    daemon.signal(Signal::HUP);
    assert!(hear().starts_with("RELOADING=1\nMONOTONIC_USEC="));
    assert!(hear().starts_with("READY=1"));
    daemon.signal(Signal::TERM);
    assert!(hear().starts_with("STOPPING=1"));
    assert_eq!(daemon.end(), Some(0));
}

#[test]
fn a_service_manager_that_does_not_read_holds_nothing_up() {
    let bed = Bed::new(&good(64));
    let path = bed.dir.path().join("notify");
    let _manager = UnixDatagram::bind(&path).unwrap();
    let full = UnixDatagram::unbound().unwrap();
    full.set_nonblocking(true).unwrap();
    while full.send_to(b"WATCHDOG=1", &path).is_ok() {}
    let mut command = bed.command(&["run", "--dataplane", "memory"]);
    let child = command.arg(bed.file()).env("NOTIFY_SOCKET", &path).stderr(Stdio::null()).spawn().unwrap();
    let mut daemon = Daemon { child };
    until("answers", || bed.code(&["status"]) == 0);
    assert_eq!(bed.code(&["reload"]), 0);
    daemon.signal(Signal::TERM);
    assert_eq!(daemon.end(), Some(0));
}

#[test]
fn operators_commands_have_the_exit_statuses_of_the_manual() {
    let bed = Bed::new(&good(54));
    let _daemon = bed.run();
    until("up", || bed.code(&["status", "--brief"]) == 0);
    let server = bed.status().services[0].real_servers[0].address.clone();
    assert_eq!(bed.code(&["drain", &server]), 5, "it is the last one");
    assert_eq!(bed.code(&["drain", &server, "--force"]), 0);
    assert_eq!(bed.code(&["status", "--brief"]), 2);
    assert_eq!(bed.code(&["undrain", &server]), 0);
    assert_eq!(bed.code(&["weight", &server, "7"]), 0);
    assert_eq!(bed.status().services[0].real_servers[0].weight, 7);
    assert_eq!(bed.code(&["weight", &server, "file"]), 0);
    assert_eq!(bed.code(&["weight", &server, "heavy"]), 2);
    assert_eq!(bed.code(&["disable", &server, "--force"]), 0);
    assert_eq!(bed.code(&["enable", &server]), 0);
    assert_eq!(bed.code(&["drain", "nobody"]), 2);
    let shown = bed.call(&["status"]);
    assert!(text(&shown.stdout).contains("SERVICE") && shown.stderr.is_empty(), "{shown:?}");
}

#[test]
fn files_with_mistakes_do_not_start_and_all_mistakes_are_shown() {
    let bed = Bed::new(BROKEN);
    let file = bed.file();
    let file = file.to_str().unwrap();
    for arguments in [["run", "--dataplane", "memory", file].as_slice(), &["check", file]] {
        let output = bed.call(arguments);
        assert_eq!(output.status.code(), Some(1), "{output:?}");
        let said = text(&output.stderr) + &text(&output.stdout);
        assert!(said.contains("nonsense") && said.contains("fastest"), "{said}");
    }
    assert_eq!(bed.code(&["check", "/nonexistent.cf"]), 1);
    assert_eq!(bed.code(&["convert", "/nonexistent.cf"]), 1);
    assert!(!bed.runtime_dir().exists());
}

#[test]
fn check_mends_what_can_be_mended_and_prints_json() {
    let bed = Bed::new(&good(55).replace("scheduler=rr", "scheduler=\u{a0}rr"));
    let file = bed.file();
    let file = file.to_str().unwrap();
    assert_eq!(bed.code(&["check", file]), 0);
    assert_eq!(bed.code(&["check", "--deny-warnings", file]), 1);
    let output = bed.call(&["check", "--output", "json", file]);
    let list: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert!(list.as_array().unwrap().iter().all(|d| d["code"].is_string()), "{list}");
    assert_eq!(bed.code(&["check", "--fix", file]), 0);
    assert!(!fs::read_to_string(bed.file()).unwrap().contains('\u{a0}'));
}

#[test]
fn a_converted_file_runs() {
    let bed = Bed::new(&good(56));
    let output = bed.call(&["convert", bed.file().to_str().unwrap()]);
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    let toml = bed.dir.path().join("evenkeel.toml");
    fs::write(&toml, &output.stdout).unwrap();
    assert_eq!(bed.code(&["check", toml.to_str().unwrap()]), 0, "{}", text(&output.stdout));
}

#[test]
fn a_dry_run_prints_a_plan_and_changes_nothing() {
    let bed = Bed::new(&good(57));
    let output = bed.call(&["run", "--dry-run", "--interface", "eth7", bed.file().to_str().unwrap()]);
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    let plan = text(&output.stdout);
    assert!(plan.contains("+ service") && plan.contains("+ bpf       auto on eth7"), "{plan}");
    assert!(text(&output.stderr).contains("nothing was changed"));
    assert!(!bed.runtime_dir().exists());
}

#[test]
fn without_a_file_flags_make_a_service() {
    let bed = Bed::new("");
    let server = web([127, 58, 0, 1]);
    let vip = format!("127.58.0.100:{}", server.port());
    let mut command = bed.command(&["run", "--dataplane", "memory", "--vip", &vip, "--to", "127.58.0.1"]);
    let child = command.args(["--check", "http:/", "--schedule", "wrr"]).stderr(Stdio::piped()).spawn().unwrap();
    let mut daemon = Daemon { child };
    until("up", || {
        assert!(daemon.child.try_wait().unwrap().is_none(), "{}", daemon.said());
        bed.code(&["status", "--brief"]) == 0
    });
    assert_eq!(bed.status().services[0].scheduler, "wrr");
    assert_eq!(bed.code(&["run", "--vip", "nonsense", "--to", "127.58.0.1", "--dataplane", "memory"]), 2);
}

#[test]
fn a_keepalived_conf_with_vrrp_serves_its_virtual_servers_alone_where_that_is_asked_for() {
    let bed = Bed::new("");
    let file = bed.dir.path().join("keepalived.conf");
    let real = web([127, 77, 0, 9]);
    let instance = "vrrp_instance VI_1 {\n  interface eth0\n  virtual_router_id 51\n  virtual_ipaddress {\n    127.77.0.1\n  }\n}\n";
    let service = format!(
        "virtual_server 127.77.0.1 {port} {{\n  lvs_method DR\n  protocol TCP\n  delay_loop 1\n  real_server {ip} {port} \
         {{\n    TCP_CHECK {{\n    }}\n  }}\n}}\n",
        ip = real.ip(),
        port = real.port()
    );
    fs::write(&file, format!("{instance}{service}")).unwrap();
    let path = file.to_str().unwrap();

    let checked = bed.call(&["check", path]);
    assert_eq!(checked.status.code(), Some(0), "{checked:?}");
    let planned = bed.call(&["run", "--dry-run", path]);
    assert!(text(&planned.stdout).contains("+ service"), "{planned:?}");
    let converted = text(&bed.call(&["convert", path]).stdout);
    assert!(converted.contains("listen = \"127.77.0.1:"), "{converted}");

    let child =
        bed.command(&["run", "--dataplane", "memory", "--no-vrrp", path]).stderr(Stdio::piped()).spawn().unwrap();
    let mut daemon = Daemon { child };
    until("serves", || {
        assert!(daemon.child.try_wait().unwrap().is_none(), "{}", daemon.said());
        bed.code(&["status"]) == 0 && bed.status().services[0].real_servers[0].state == ServerState::Up
    });
    assert_eq!(bed.code(&["reload"]), 0);
    daemon.signal(Signal::TERM);
    assert_eq!(daemon.end(), Some(0));
}

#[test]
fn a_keepalived_conf_is_read_as_the_node_that_is_named() {
    let bed = Bed::new("");
    let file = bed.dir.path().join("keepalived.conf");
    let text =
        "@a $P=81\n@b $P=82\nvirtual_server 192.0.2.1 $P {\n  protocol TCP\n  real_server 192.0.2.2 80 {\n  }\n}\n";
    fs::write(&file, text).unwrap();
    let path = file.to_str().unwrap();
    for (node, port) in [("a", "192.0.2.1:81"), ("b", "192.0.2.1:82")] {
        let converted = bed.call(&["convert", "--node", node, path]);
        assert!(self::text(&converted.stdout).contains(port), "{converted:?}");
        let planned = bed.call(&["run", "--dry-run", "--node", node, path]);
        assert!(self::text(&planned.stdout).contains(port), "{planned:?}");
        assert_eq!(bed.code(&["check", "--node", node, path]), 0);
    }
    assert_eq!(bed.code(&["check", "--node", "c", path]), 1, "the port is nowhere");
}

#[test]
fn small_commands_do_what_they_say() {
    let bed = Bed::new("");
    assert!(text(&bed.call(&["version"]).stdout).starts_with("evenkeel "));
    let version: serde_json::Value = serde_json::from_slice(&bed.call(&["version", "--json"]).stdout).unwrap();
    assert!(version["version"].is_string());
    assert!(text(&bed.call(&["explain", "e0102"]).stdout).starts_with("E0102: "));
    assert_eq!(bed.code(&["explain", "E9999"]), 2);
    assert!(text(&bed.call(&["completion", "bash"]).stdout).contains("complete"));
    assert!(text(&bed.call(&["realserver", "script", "192.0.2.1"]).stdout).contains("192.0.2.1"));
    assert_eq!(bed.code(&["nonsense"]), 2);
    assert_eq!(bed.code(&["ipvsadm", "-L"]), 0);
}

#[test]
fn without_root_the_sentence_names_the_command() {
    if rustix::process::geteuid().is_root() {
        println!("skipped: needs a user other than root");
        return;
    }
    let bed = Bed::new(&good(59));
    let output = bed.call(&["run", bed.file().to_str().unwrap()]);
    assert_eq!(output.status.code(), Some(4));
    let said = text(&output.stderr);
    assert!(said.contains("run: sudo ") && said.lines().count() == 1, "{said}");
}

/// The personality keeps instance, pid file and exit statuses apart by the file's name.
fn ldirectord(bed: &Bed, word: &str) -> Output {
    bed.call(&["ldirectord", bed.file().to_str().unwrap(), word])
}

fn ldirectord_code(bed: &Bed, word: &str) -> i32 {
    ldirectord(bed, word).status.code().unwrap()
}

fn pid_file(bed: &Bed) -> PathBuf {
    bed.runtime_dir().join("ldirectord.web.cf.pid")
}

/// A file whose daemon logs into the bed instead of /var/log.
fn logged(bed: &Bed, text: &str) {
    fs::write(bed.file(), format!("logfile=\"{}\"\n{text}", bed.dir.path().join("log").display())).unwrap();
}

fn pid(path: &Path) -> u32 {
    fs::read_to_string(path).unwrap().trim().parse().unwrap()
}

#[test]
fn ldirectord_starts_reloads_tells_its_status_and_stops_as_the_old_one_did() {
    let bed = Bed::new("");
    logged(&bed, &good(60));
    assert_eq!(ldirectord_code(&bed, "status"), 3);
    assert_eq!(ldirectord_code(&bed, "reload"), 1);
    assert_eq!(ldirectord_code(&bed, "stop"), 0);
    assert_eq!(ldirectord_code(&bed, "try-restart"), 0);
    assert_eq!(ldirectord_code(&bed, "dance"), 255);

    let started = ldirectord(&bed, "start");
    assert_eq!(started.status.code(), Some(0), "{started:?}");
    let status = ldirectord(&bed, "status");
    assert_eq!(status.status.code(), Some(0));
    let first = pid(&pid_file(&bed));
    assert!(text(&status.stderr).contains(&format!("is running with pid: {first}")), "{status:?}");
    assert_eq!(ldirectord_code(&bed, "start"), 0, "already running");
    assert_eq!(pid(&pid_file(&bed)), first);
    assert_eq!(ldirectord_code(&bed, "reload"), 0);

    let file = fs::read_to_string(bed.file()).unwrap();
    fs::write(bed.file(), BROKEN).unwrap();
    for (word, code) in [("reload", 2), ("status", 0), ("force-reload", 2), ("restart", 2), ("try-restart", 2)] {
        assert_eq!(ldirectord_code(&bed, word), code, "{word} with a broken file");
    }
    assert_eq!(pid(&pid_file(&bed)), first, "a broken file ends nothing that runs");
    assert_eq!(ldirectord_code(&bed, "status"), 0);
    fs::write(bed.file(), file).unwrap();
    assert_eq!(ldirectord_code(&bed, "restart"), 0);
    assert_ne!(pid(&pid_file(&bed)), first);

    fs::write(bed.file(), BROKEN).unwrap();
    assert_eq!(ldirectord_code(&bed, "stop"), 0, "a broken file keeps nobody from stopping");
    let stopped = ldirectord(&bed, "status");
    assert_eq!(stopped.status.code(), Some(3));
    assert!(text(&stopped.stdout).contains("ldirectord is stopped for"), "{stopped:?}");
    assert!(!pid_file(&bed).exists());
    assert_eq!(ldirectord_code(&bed, "start"), 2);
    assert!(fs::read_to_string(bed.dir.path().join("log")).unwrap().contains("serves 1 service"));
}

#[test]
fn ldirectord_tells_a_stale_pid_file_and_a_missing_file() {
    let bed = Bed::new(&good(61));
    fs::create_dir(bed.runtime_dir()).unwrap();
    fs::write(pid_file(&bed), "2147483646\n").unwrap();
    let status = ldirectord(&bed, "status");
    assert_eq!(status.status.code(), Some(1), "{status:?}");
    assert!(text(&status.stderr).contains("stale pid file"));
    fs::remove_file(bed.file()).unwrap();
    for word in ["start", "reload", "stop"] {
        assert_eq!(ldirectord_code(&bed, word), 1, "{word}");
    }
}

#[test]
fn ldirectord_starts_and_stops_the_instances_of_execute() {
    let bed = Bed::new("");
    let other = bed.dir.path().join("other.cf");
    fs::write(&other, format!("logfile=\"{}\"\n{}", bed.dir.path().join("log2").display(), good(62))).unwrap();
    logged(&bed, &format!("execute={}\n{}", other.display(), good(63)));
    assert_eq!(ldirectord_code(&bed, "start"), 0);
    let other_pid = bed.runtime_dir().join("ldirectord.other.cf.pid");
    until("the other instance runs", || {
        bed.call(&["ldirectord", other.to_str().unwrap(), "status"]).status.code() == Some(0)
    });
    assert_ne!(pid(&other_pid), pid(&pid_file(&bed)));
    assert_eq!(ldirectord_code(&bed, "stop"), 0);
    until("the other instance has ended", || !other_pid.exists());
}

/// A directory of heartbeat's files.
fn heartbeat_files(bed: &Bed) -> PathBuf {
    let directory = bed.dir.path().join("ha.d");
    fs::create_dir(&directory).unwrap();
    let write = |name: &str, text: &str| {
        let path = directory.join(name);
        fs::write(&path, text).unwrap();
        fs::set_permissions(path, fs::Permissions::from_mode(0o600)).unwrap();
    };
    write("ha.cf", "keeplive 1\nbcast lo\nauto_failback on\nnode ha1 ha2\n");
    write("authkeys", "auth 1\n1 sha1 0123456789abcdef0123\n");
    write("haresources", "ha1 192.0.2.100/24/lo ldirectord::web.cf\n");
    write("web.cf", &good(58));
    directory
}

#[test]
fn the_directory_of_a_heartbeat_is_checked_mended_and_converted() {
    let bed = Bed::new("");
    let directory = heartbeat_files(&bed);
    let path = directory.to_str().unwrap();
    let checked = bed.call(&["check", "--node", "HA1", path]);
    assert_eq!(checked.status.code(), Some(0), "{checked:?}");
    assert!(text(&checked.stdout).contains("`keeplive` is read as `keepalive`"), "{}", text(&checked.stdout));
    let stranger = bed.call(&["check", "--node", "ha3", path]);
    assert_eq!(stranger.status.code(), Some(1), "{stranger:?}");
    assert_eq!(bed.code(&["check", "--fix", "--node", "ha1", path]), 0);
    assert!(fs::read_to_string(directory.join("ha.cf")).unwrap().starts_with("keepalive 1\n"));
    let converted = bed.call(&["convert", "--node", "ha1", path]);
    let toml = text(&converted.stdout);
    assert!(toml.contains("[cluster]") && toml.contains("[service."), "{toml}");
    let keys = directory.join("authkeys");
    fs::set_permissions(&keys, fs::Permissions::from_mode(0o644)).unwrap();
    let refused = bed.call(&["convert", "--node", "ha1", path]);
    assert_eq!(refused.status.code(), Some(1), "{refused:?}");
    assert!(text(&refused.stderr).contains("chmod 600") && !text(&refused.stderr).contains("0123456789abcdef"));
}
