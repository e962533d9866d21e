//! VRRP with FRR's vrrpd as the other router: take-over both ways.

#![expect(clippy::expect_used, reason = "a test fails by panicking")]

use evenkeel_lab::{Director, Node, Process, Stage};
use evenkeel_lab_tests::{LIMIT, alone, can_run, program, switch, unique_name};
use std::{
    net::IpAddr,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    sync::Arc,
    time::{Duration, Instant},
};

/// Where Debian has FRR's daemons.
const FRR: &str = "/usr/lib/frr";

/// FRR's zebra and vrrpd, which live in a directory of their own.
struct Frr {
    directory: PathBuf,
    node: Arc<Node>,
    _processes: [Process; 2],
}

impl Frr {
    fn start(node: Arc<Node>, directory: &Path, text: &str) -> Frr {
        std::fs::create_dir(directory).expect("a directory can be made");
        std::fs::write(directory.join("vrrpd.conf"), text).expect("the file is written");
        std::fs::write(directory.join("zebra.conf"), "").expect("the file is written");
        // They would run as a user who cannot reach the directory; root may be theirs once it is in their group.
        let group = std::fs::read_to_string("/etc/group").expect("there are groups");
        let with_root =
            |line: &str| if line.starts_with("frrvty:") { format!("{line},root\n") } else { format!("{line}\n") };
        let groups = directory.join("group");
        std::fs::write(&groups, group.lines().map(with_root).collect::<String>()).expect("the file is written");
        let daemon = |name: &str| {
            let file = |suffix: &str| directory.join(format!("{name}.{suffix}"));
            let mut command = Command::new("unshare");
            command
                .args(["-m", "sh", "-c", "mount --bind \"$1\" /etc/group && shift && exec \"$@\"", "sh"])
                .arg(&groups);
            command.arg(Path::new(FRR).join(name)).args(["-u", "root", "-g", "root"]);
            command.args(["-P", "0", "--log", "stdout", "-f"]).arg(file("conf"));
            command.arg("-i").arg(file("pid")).arg("-z").arg(directory.join("zserv"));
            command.arg("--vty_socket").arg(directory);
            command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
            Process::new(name, node.spawn(command).expect("FRR starts"))
        };
        let zebra = daemon("zebra");
        wait("zebra listened", || directory.join("zserv").exists());
        let vrrpd = daemon("vrrpd");
        Frr { directory: directory.to_owned(), node: Arc::clone(&node), _processes: [zebra, vrrpd] }
    }

    fn is(&self, state: &str) -> bool {
        let mut command = Command::new("vtysh");
        command.arg("--vty_socket").arg(&self.directory).args(["-c", "show vrrp"]);
        let said = self.node.output(command).unwrap_or_default();
        said.lines().any(|line| line.contains("Status (v4)") && line.contains(state))
    }
}

fn wait(what: &str, mut good: impl FnMut() -> bool) {
    let until = Instant::now() + LIMIT;
    while !good() {
        assert!(Instant::now() < until, "never {what}");
        std::thread::park_timeout(Duration::from_millis(50));
    }
}

#[test]
fn frr_is_relieved_and_relieves() {
    if !can_run() {
        return;
    }
    if !Path::new(FRR).join("vrrpd").exists() {
        println!("skipped: needs FRR (apt install frr)");
        return;
    }
    let _alone = alone();
    let host = |name, last| (name, vec![(IpAddr::from([10, 77, 0, last]), 24)]);
    let stage = Stage::raise(&unique_name(), &switch::topology([host("d1", 1), host("d2", 2)])).expect("it is built");
    let node = |name: &str| Arc::clone(stage.node(name).expect("it is there"));
    // FRR has the address on an interface with the virtual router's MAC address, which is made for it.
    for words in [
        "link add vr link eth0 type macvlan mode bridge",
        "link set dev vr address 00:00:5e:00:01:33",
        "addr add 10.77.0.100/32 dev vr",
        "link set dev vr up",
    ] {
        let mut command = Command::new("ip");
        command.args(words.split(' '));
        node("d2").output(command).expect("ip runs");
    }
    let text = "interface eth0\n vrrp 51 version 3\n vrrp 51 priority 100\n vrrp 51 advertisement-interval 1000\n vrrp 51 ip \
                10.77.0.100\n";
    let frr = Frr::start(node("d2"), &stage.directory().join("frr"), text);
    wait("FRR was master", || frr.is("Master"));
    let toml = "[vrrp.pair]\ninterface = \"eth0\"\nvrid = 51\npriority = 150\naddresses = [\"10.77.0.100/24\"]\n";
    let path = stage.directory().join("pair.toml");
    std::fs::write(&path, toml).expect("the file is written");
    let mut ours = Director::new(node("d1"), program(), stage.directory());
    for _ in 0..2 {
        // The better one takes over, and is followed when it leaves.
        ours.start(&[path.to_str().expect("a plain path")]).expect("evenkeel starts");
        ours.wait("was master", LIMIT, |status| status.ha[0].state == "master").expect("it takes over");
        wait("FRR was backup", || frr.is("Backup"));
        assert!(ours.terminate().expect("it ends").success(), "{}", ours.log());
        assert!(ours.log().contains("10.77.0.2 has taken over"), "{}", ours.log());
        wait("FRR was master again", || frr.is("Master"));
    }
}
