//! Two directors and a client on one switch, and a probe that pings the VIP.

#![allow(dead_code, reason = "each test file uses its part")]

use evenkeel_lab::{Director, Node, Process, Stage};
use evenkeel_lab_tests::{LIMIT, among_others, pings::Probe, program, switch, unique_name};
use rustix::process::{Pid, Signal, kill_process};
use std::{
    net::{IpAddr, Ipv4Addr, Ipv6Addr, UdpSocket},
    path::PathBuf,
    process::{Command, Stdio},
    sync::{Arc, RwLockReadGuard},
    time::{Duration, Instant},
};

/// How the two speak.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Wire {
    V2Password,
    V3,
    V3Unicast,
    V3Ipv6,
    /// Version 3 by another group than that of all VRRP routers.
    V3Group,
    /// The authentication header of version 2.
    V2Header,
    /// Version 3 with the virtual router's MAC address.
    Vmac,
    /// The same, with advertisements from the base interface.
    VmacFromBase,
    VmacIpv6,
}

impl Wire {
    fn is_ipv6(self) -> bool {
        matches!(self, Wire::V3Ipv6 | Wire::VmacIpv6)
    }

    fn has_vmac(self) -> bool {
        matches!(self, Wire::Vmac | Wire::VmacFromBase | Wire::VmacIpv6)
    }
}

/// Who plays a director.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Player {
    Evenkeel,
    Keepalived,
}

/// Whether Debian's keepalived is there; says so where not.
pub(crate) fn has_keepalived() -> bool {
    let there = Command::new("keepalived").arg("--version").stderr(Stdio::null()).status().is_ok();
    if !there {
        println!("skipped: needs keepalived (apt install keepalived)");
    }
    there
}

/// The interface with the virtual router's MAC address, as keepalived names it.
pub(crate) const VMAC: &str = "vrrp.51";

/// The first is the better one.
const PRIORITIES: [u8; 2] = [150, 100];
const NAMES: [&str; 2] = ["d1", "d2"];

enum Seat {
    Evenkeel(Box<Director>),
    Keepalived(Option<Process>),
}

/// The two and what is around them.
pub(crate) struct Pair {
    stage: Stage,
    seats: [Seat; 2],
    wire: Wire,
    /// Milliseconds between two adverts, where the wire lets one choose.
    interval: u32,
    /// The first of several has it.
    _turn: Option<RwLockReadGuard<'static, ()>>,
}

/// What a director may be started by: an evenkeel by the first, unless there is none.
struct Files {
    native: Option<String>,
    keepalived: String,
}

fn seat(stage: &Stage, at: usize, player: Player) -> Seat {
    let node = Arc::clone(stage.node(NAMES[at]).expect("it is there"));
    match player {
        Player::Evenkeel => {
            Seat::Evenkeel(Box::new(Director::new(node, program(), &stage.directory().join(NAMES[at]))))
        }
        Player::Keepalived => Seat::Keepalived(None),
    }
}

fn v4(last: u8) -> IpAddr {
    IpAddr::from([10, 79, 0, last])
}

fn v6(last: u16) -> IpAddr {
    IpAddr::from(Ipv6Addr::new(0xfd79, 0, 0, 0, 0, 0, 0, last))
}

impl Pair {
    pub(crate) fn new(wire: Wire, players: [Player; 2]) -> Pair {
        let turn = among_others();
        Pair { _turn: Some(turn), ..Pair::raise(wire, players) }
    }

    /// One more at the same time, for who compares.
    pub(crate) fn beside(&self, players: [Player; 2]) -> Pair {
        Pair::raise(self.wire, players).every(self.interval)
    }

    fn raise(wire: Wire, players: [Player; 2]) -> Pair {
        let host = |name, last: u8| (name, vec![(v4(last), 24), (v6(last.into()), 64)]);
        let topology = switch::topology([host("d1", 1), host("d2", 2), host("client", 9)]);
        let stage = Stage::raise(&unique_name(), &topology).expect("the stage is built");
        let seats = [0, 1].map(|at| {
            std::fs::create_dir(stage.directory().join(NAMES[at])).expect("a directory can be made");
            seat(&stage, at, players[at])
        });
        Pair { stage, seats, wire, interval: 1000, _turn: None }
    }

    /// With so many milliseconds between two adverts of version 3.
    pub(crate) fn every(self, interval: u32) -> Pair {
        Pair { interval, ..self }
    }

    /// Two evenkeels on version 3, the first of them master, the second a backup.
    pub(crate) fn settled() -> Pair {
        Pair::settled_by(Wire::V3)
    }

    /// The same, however they speak.
    pub(crate) fn settled_by(wire: Wire) -> Pair {
        Pair::new(wire, [Player::Evenkeel, Player::Evenkeel]).settle()
    }

    /// Starts two evenkeels, the first of them master, the second a backup.
    pub(crate) fn settle(mut self) -> Pair {
        self.start(0);
        self.wait_owners(&[0]);
        self.start(1);
        self.wait_role(1, "backup");
        self
    }

    pub(crate) fn node(&self, name: &str) -> &Arc<Node> {
        self.stage.node(name).expect("it is there")
    }

    pub(crate) fn vip(&self) -> IpAddr {
        if self.wire.is_ipv6() { v6(0x100) } else { v4(100) }
    }

    pub(crate) fn file(&self, at: usize, name: &str) -> PathBuf {
        self.stage.directory().join(NAMES[at]).join(name)
    }

    fn native(&self, at: usize) -> String {
        let (vip, priority, interval) = (self.vip(), PRIORITIES[at], self.interval);
        let mut text = format!("[vrrp.pair]\ninterface = \"eth0\"\nvrid = 51\npriority = {priority}\n");
        text += &match self.wire {
            Wire::V2Password => format!("version = 2\npassword = \"1111\"\naddresses = [\"{vip}/24\"]\n"),
            Wire::V3 => format!("interval = \"{interval}ms\"\naddresses = [\"{vip}/24\"]\n"),
            Wire::V3Unicast => {
                format!("addresses = [\"{vip}/24\"]\nttl = 64\npeers = [\"{}\"]\n", v4(if at == 0 { 2 } else { 1 }))
            }
            Wire::V3Ipv6 => format!("addresses = [\"fe80::100/64\", \"{vip}/64\"]\n"),
            Wire::V2Header => {
                format!("version = 2\npassword = \"1111\"\nauthentication = \"header\"\naddresses = [\"{vip}/24\"]\n")
            }
            Wire::V3Group => format!("addresses = [\"{vip}/24\"]\nmulticast = \"224.0.0.55\"\n"),
            Wire::Vmac => format!("addresses = [\"{vip}/24\"]\nvmac = true\n"),
            Wire::VmacFromBase => format!("addresses = [\"{vip}/24\"]\nvmac = {{ adverts = \"base\" }}\n"),
            Wire::VmacIpv6 => format!("addresses = [\"fe80::100/64\", \"{vip}/64\"]\nvmac = true\n"),
        };
        text
    }

    fn keepalived(&self, at: usize) -> String {
        let (vip, priority) = (self.vip(), PRIORITIES[at]);
        let version = if matches!(self.wire, Wire::V2Password | Wire::V2Header) { 2 } else { 3 };
        let interval = f64::from(self.interval) / 1000.0;
        let more = match self.wire {
            Wire::V2Password => "authentication {\n auth_type PASS\n auth_pass 1111\n }\n".to_owned(),
            Wire::V3Unicast => format!("unicast_peer {{\n {}\n }}\n", v4(if at == 0 { 2 } else { 1 })),
            Wire::V2Header => "authentication {\n auth_type AH\n auth_pass 1111\n }\n".to_owned(),
            Wire::V3 | Wire::V3Ipv6 | Wire::V3Group => String::new(),
            Wire::Vmac | Wire::VmacIpv6 => "use_vmac\n".to_owned(),
            Wire::VmacFromBase => "use_vmac\n vmac_xmit_base\n".to_owned(),
        };
        let vips = match self.wire {
            Wire::V3Ipv6 | Wire::VmacIpv6 => format!("fe80::100/64\n {vip}/64"),
            _ => format!("{vip}/24"),
        };
        let group = if self.wire == Wire::V3Group { " vrrp_mcast_group4 224.0.0.55\n" } else { "" };
        format!(
            "global_defs {{\n vrrp_version {version}\n{group}}}\nvrrp_instance pair {{\n state BACKUP\n interface eth0\n \
             virtual_router_id 51\n priority {priority}\n advert_int {interval}\n {more} virtual_ipaddress {{\n {vips}\n }}\n}}\n"
        )
    }

    pub(crate) fn start(&mut self, at: usize) {
        self.start_with(at, |text| text);
    }

    /// Starts one whose native file is changed.
    pub(crate) fn start_with(&mut self, at: usize, change: impl FnOnce(String) -> String) {
        let files = Files { native: Some(change(self.native(at))), keepalived: self.keepalived(at) };
        self.start_files(at, files);
    }

    /// Starts one by a keepalived.conf, whoever it is: with `blocks` of its own, and `words` within the instance.
    pub(crate) fn start_conf(&mut self, at: usize, blocks: &str, words: &str) {
        let usual = self.keepalived(at).replacen(" state BACKUP\n", &format!(" state BACKUP\n{words}\n"), 1);
        let keepalived = format!("global_defs {{\n script_user root\n}}\n{blocks}\n{usual}");
        self.start_files(at, Files { native: None, keepalived });
    }

    fn start_files(&mut self, at: usize, Files { native, keepalived }: Files) {
        let file = |name: &str| self.file(at, name);
        let node = Arc::clone(self.node(NAMES[at]));
        let started = match &self.seats[at] {
            Seat::Evenkeel(_) => {
                let (path, text) = match native {
                    Some(native) => (file("pair.toml"), native),
                    None => (file("keepalived.conf"), keepalived),
                };
                std::fs::write(&path, text).expect("the file is written");
                Ok(path)
            }
            Seat::Keepalived(_) => {
                let path = file("keepalived.conf");
                std::fs::write(&path, keepalived).expect("the file is written");
                let mut command = Command::new("keepalived");
                command.args(["-P", "-n", "-l", "-D", "-G", "-f"]).arg(&path);
                for (option, name) in [("-p", "pid"), ("-r", "vrrp"), ("-b", "bfd"), ("-c", "checkers")] {
                    command.arg(option).arg(file(name));
                }
                let log = std::fs::File::create(file("log")).expect("a log");
                command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(log);
                Err(Process::new("keepalived", node.spawn(command).expect("keepalived starts")))
            }
        };
        match (&mut self.seats[at], started) {
            (Seat::Evenkeel(director), Ok(path)) => {
                director.start(&[path.to_str().expect("a plain path")]).expect("evenkeel starts");
            }
            (Seat::Keepalived(process), Err(started)) => *process = Some(started),
            (Seat::Evenkeel(_), Err(_)) | (Seat::Keepalived(_), Ok(_)) => unreachable!("a seat starts its own player"),
        }
    }

    /// The first address more than the pair has.
    pub(crate) fn second_vip(&self) -> IpAddr {
        v4(101)
    }

    /// Writes another file for an evenkeel, made of the one it has; it is not read before [`Pair::reload`].
    pub(crate) fn rewrite(&self, at: usize, change: impl FnOnce(String) -> String) {
        std::fs::write(self.file(at, "pair.toml"), change(self.native(at))).expect("the file is written");
    }

    /// Has an evenkeel read its file again; gives what it answers.
    pub(crate) fn reload(&self, at: usize) -> (bool, String) {
        let Seat::Evenkeel(director) = &self.seats[at] else { unreachable!("only evenkeels are told") };
        let output = director.command(&["reload"]).output().expect("it answers");
        let said = [output.stdout, output.stderr].concat();
        (output.status.success(), String::from_utf8_lossy(&said).into_owned())
    }

    /// What an evenkeel has said.
    pub(crate) fn said(&self, at: usize) -> String {
        let Seat::Evenkeel(director) = &self.seats[at] else { unreachable!("only evenkeels are asked") };
        director.log()
    }

    /// Waits until the log of an evenkeel holds a text.
    pub(crate) fn wait_log(&self, at: usize, text: &str) {
        self.wait(&format!("{} said `{text}`", NAMES[at]), || self.said(at).contains(text));
    }

    /// Waits until `status --json` of an evenkeel, without spaces in front of values, holds a text.
    pub(crate) fn wait_status(&self, at: usize, text: &str) {
        self.wait(&format!("{} said `{text}`", NAMES[at]), || self.status(at).replace("\": ", "\":").contains(text));
    }

    /// Waits until something is so.
    pub(crate) fn wait_for(&self, what: &str, good: impl FnMut() -> bool) {
        self.wait(what, good);
    }

    /// Gives the client the VIP as well.
    pub(crate) fn claim(&self) {
        let mut command = Command::new("ip");
        command.args(["addr", "add", &format!("{}/32", self.vip()), "dev", "eth0"]);
        self.node("client").output(command).expect("the address is added");
    }

    /// Ends who plays a director; from now on it is played by `player`, who is not started yet.
    pub(crate) fn replace(&mut self, at: usize, player: Player) {
        self.stop(at);
        self.seats[at] = seat(&self.stage, at, player);
    }

    /// An orderly end, waited for.
    pub(crate) fn stop(&mut self, at: usize) {
        match &mut self.seats[at] {
            Seat::Evenkeel(director) => {
                assert!(director.terminate().expect("evenkeel ends").success(), "{}", director.log());
            }
            Seat::Keepalived(process) => {
                if let Some(mut process) = process.take() {
                    process.signal(Signal::TERM).expect("keepalived is told");
                    process.wait(LIMIT).expect("keepalived ends");
                }
            }
        }
    }

    /// Sends a signal to an evenkeel.
    pub(crate) fn signal(&mut self, at: usize, signal: Signal) {
        let Seat::Evenkeel(director) = &mut self.seats[at] else { unreachable!("only evenkeels are told") };
        director.signal(signal).expect("it is told");
    }

    /// Kills the process that holds elections.
    pub(crate) fn kill(&mut self, at: usize) {
        let child = self.file(at, "vrrp");
        match &mut self.seats[at] {
            Seat::Evenkeel(director) => {
                director.kill().expect("it is killed");
            }
            Seat::Keepalived(_) => {
                let text = std::fs::read_to_string(child).expect("the child has said who it is");
                let pid = text.trim().parse().ok().and_then(Pid::from_raw).expect("a process");
                kill_process(pid, Signal::KILL).expect("it is killed");
            }
        }
    }

    /// Kills every process that it consists of, the one that would begin another one first.
    pub(crate) fn kill_all(&mut self, at: usize) {
        if let Seat::Keepalived(process) = &mut self.seats[at]
            && let Some(process) = process
        {
            // Stopped, so that it cannot tell its child to end in order.
            process.signal(Signal::STOP).expect("it is stopped");
        }
        self.kill(at);
        if let Seat::Keepalived(process) = &mut self.seats[at]
            && let Some(mut process) = process.take()
        {
            process.kill().expect("it is killed");
        }
    }

    /// Waits until the second to start has found the first.
    pub(crate) fn wait_backup(&self, at: usize) {
        match &self.seats[at] {
            Seat::Evenkeel(_) => self.wait_role(at, "backup"),
            Seat::Keepalived(_) => {
                let log = || std::fs::read_to_string(self.file(at, "log")).unwrap_or_default();
                self.wait("it was a backup", || log().contains("Entering BACKUP STATE"));
            }
        }
    }

    /// Takes a director's link away.
    pub(crate) fn cut_off(&self, at: usize) {
        let mut command = Command::new("ip");
        command.args(["link", "set", "dev", NAMES[at], "down"]);
        self.node(switch::SWITCH).output(command).expect("the port is set");
    }

    /// What `status --json` of an evenkeel says.
    pub(crate) fn status(&self, at: usize) -> String {
        match &self.seats[at] {
            Seat::Evenkeel(director) => director.status_json().unwrap_or_default(),
            Seat::Keepalived(_) => String::new(),
        }
    }

    pub(crate) fn wait_role(&self, at: usize, role: &str) {
        let wanted = format!("\"state\":\"{role}\"");
        self.wait(&format!("{} was {role}", NAMES[at]), || self.status(at).replace(' ', "").contains(&wanted));
    }

    /// Waits until a director listens to the group of VRRP.
    pub(crate) fn wait_listening(&self, at: usize) {
        self.wait(&format!("{} listened", NAMES[at]), || {
            let mut command = Command::new("ip");
            command.args(["maddr", "show", "dev", "eth0"]);
            self.node(NAMES[at]).output(command).expect("ip runs").contains("224.0.0.18")
        });
    }

    fn holds(&self, at: usize) -> bool {
        self.has(at, self.vip())
    }

    /// Whether a director has an address.
    pub(crate) fn has(&self, at: usize, address: IpAddr) -> bool {
        // A VMAC may not be there yet.
        let dev = if self.wire.has_vmac() { VMAC } else { "eth0" };
        !self.run(NAMES[at], &format!("ip -o addr show dev {dev} to {address}")).is_empty()
    }

    /// Who has the VIP.
    pub(crate) fn owners(&self) -> Vec<usize> {
        (0..2).filter(|&at| self.holds(at)).collect()
    }

    pub(crate) fn wait_owners(&self, wanted: &[usize]) {
        self.wait(&format!("the VIP was at {wanted:?}"), || self.owners() == wanted);
    }

    /// Every other set of owners that was seen before `wanted` had it.
    pub(crate) fn watch_owners_until(&self, wanted: &[usize]) -> Vec<Vec<usize>> {
        let mut seen = Vec::new();
        self.wait(&format!("the VIP was at {wanted:?}"), || {
            let owners = self.owners();
            let done = owners == wanted;
            if !done && !seen.contains(&owners) {
                seen.push(owners);
            }
            done
        });
        seen
    }

    pub(crate) fn wait(&self, what: &str, mut good: impl FnMut() -> bool) {
        let until = Instant::now() + LIMIT;
        while !good() {
            assert!(Instant::now() < until, "never {what}: {:?} {}", self.owners(), self.tell());
            std::thread::park_timeout(Duration::from_millis(5));
        }
    }

    fn tell(&self) -> String {
        format!("{}\n----\n{}", self.log(0), self.log(1))
    }

    /// The switch passes nothing between the two; the client hears both.
    pub(crate) fn split(&self) {
        self.isolate("on");
    }

    pub(crate) fn heal(&self) {
        self.isolate("off");
    }

    fn isolate(&self, state: &str) {
        for port in NAMES {
            let mut command = Command::new("ip");
            command.args(["link", "set", "dev", port, "type", "bridge_slave", "isolated", state]);
            self.node(switch::SWITCH).output(command).expect("the port is set");
        }
    }

    /// What a command says on a host: `d1`, `d2`, `client`.
    pub(crate) fn run(&self, host: &str, words: &str) -> String {
        let mut words = words.split(' ');
        let mut command = Command::new(words.next().unwrap_or_default());
        command.args(words).stdin(Stdio::null());
        self.node(host).output(command).unwrap_or_default()
    }

    /// Waits until a command on a host says something that fits.
    pub(crate) fn wait_told(&self, host: &str, words: &str, good: impl Fn(&str) -> bool) {
        self.wait(&format!("`{words}` on {host} right"), || good(&self.run(host, words)));
    }

    /// The MAC address that the client finds for the VIP.
    pub(crate) fn mac_at_client(&self) -> String {
        let vip = self.vip();
        let any: IpAddr = if vip.is_ipv4() { Ipv4Addr::UNSPECIFIED.into() } else { Ipv6Addr::UNSPECIFIED.into() };
        let mut found = String::new();
        self.wait("answered for its MAC address", || {
            let send = move || UdpSocket::bind((any, 0)).and_then(|socket| socket.send_to(b"?", (vip, 9)));
            let _ = self.node("client").run(send);
            let told = self.run("client", &format!("ip neigh show to {vip}"));
            found = told.split_whitespace().skip_while(|word| *word != "lladdr").nth(1).unwrap_or_default().to_owned();
            !found.is_empty()
        });
        found
    }

    /// The log of an evenkeel or of a keepalived.
    pub(crate) fn log(&self, at: usize) -> String {
        match &self.seats[at] {
            Seat::Evenkeel(director) => director.log(),
            Seat::Keepalived(_) => std::fs::read_to_string(self.file(at, "log")).unwrap_or_default(),
        }
    }

    /// Begins to ping the VIP from the client.
    pub(crate) fn probe(&self) -> Probe {
        Probe::start(self.node("client"), self.vip())
    }
}
