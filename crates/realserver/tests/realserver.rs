//! A real server and a neighbour on one cable: is the VIP taken, kept silent about, and gone without a trace?

#![allow(clippy::expect_used, reason = "a test")]

use std::{
    fs,
    io::Write,
    net::IpAddr,
    os::fd::AsFd,
    path::Path,
    process::{self, Command, Stdio},
};

use evenkeel_netlink::{Address, Event, MacAddress, Monitor, NeighbourSocket, Netlink, VethEnd, nexthop::Question};
use evenkeel_os::{Namespace, Sysctl, child::start_in};
use evenkeel_realserver::{Error, Finding, Report, Status, Step, down, script, status, up};
use rustix::event::{PollFd, PollFlags, poll};

const V4: &str = "192.0.2.80";
const OTHER_V4: &str = "192.0.2.81";
const V6: &str = "2001:db8::80";

struct Host {
    name: String,
    namespace: Namespace,
    netlink: Netlink,
    monitor: Monitor,
    /// Interfaces and addresses that the kernel has told of.
    told: Vec<(u32, IpAddr)>,
}

impl Host {
    fn new(name: String) -> Host {
        let namespace = Namespace::create(&name).expect("create a namespace");
        let netlink = Netlink::open_in(namespace.as_fd()).expect("netlink");
        let monitor = Monitor::open_in(namespace.as_fd()).expect("monitor");
        Host { name, namespace, netlink, monitor, told: Vec::new() }
    }

    fn index(&mut self, name: &str) -> u32 {
        self.netlink.link(name).expect("ask").expect("the interface").index
    }

    fn set_up(&mut self, name: &str, addresses: &[(&str, u8)]) {
        // No link-local address: it would come at a time of its own, in the middle of a comparison.
        let mode = Sysctl::ipv6(name, "addr_gen_mode").expect("a name");
        self.namespace.run(|| mode.write("1")).expect("enter").expect("write");
        let index = self.index(name);
        self.netlink.set_up(index, true).expect("up");
        for (address, prefix) in addresses {
            self.netlink.add_address(&Address::new(index, ip(address), *prefix)).expect("address");
        }
    }

    /// Waits until an address is in force: the kernel does not join the group of an IPv6 address until it is idle, and not
    /// without a carrier, and tells of the address then.
    fn await_address(&mut self, interface: &str, address: &str) {
        let wanted = (self.index(interface), ip(address));
        while !self.told.contains(&wanted) {
            let limit = rustix::time::Timespec { tv_sec: 10, tv_nsec: 0 };
            let ready = poll(&mut [PollFd::new(&self.monitor, PollFlags::IN)], Some(&limit)).expect("poll");
            assert_ne!(ready, 0, "{address} is not in force on {interface}");
            for event in self.monitor.read_events().expect("events") {
                match event {
                    Event::Address(added) => self.told.push((added.ifindex, added.address)),
                    Event::AddressGone(gone) => self.told.retain(|one| *one != (gone.ifindex, gone.address)),
                    _ => {}
                }
            }
        }
    }
}

impl Drop for Host {
    fn drop(&mut self) {
        let _ = Namespace::delete(&self.name);
    }
}

struct Bed {
    server: Host,
    neighbour: Host,
    directory: tempfile::TempDir,
}

fn ip(text: &str) -> IpAddr {
    text.parse().expect("an address")
}

fn ips(texts: &[&str]) -> Vec<IpAddr> {
    texts.iter().map(|text| ip(text)).collect()
}

impl Bed {
    fn new(test: &str) -> Option<Bed> {
        if !rustix::process::geteuid().is_root() {
            println!("skipped: needs root");
            return None;
        }
        let mut server = Host::new(format!("ek-rs-{}-{test}-a", process::id()));
        let mut neighbour = Host::new(format!("ek-rs-{}-{test}-b", process::id()));
        let end = VethEnd::new("eth0").in_namespace(neighbour.namespace.as_fd());
        server.netlink.create_veth(VethEnd::new("eth0"), end).expect("veth");
        server.set_up("lo", &[]);
        server.set_up("eth0", &[("10.7.0.2", 24), ("fd07::2", 64)]);
        neighbour.set_up("eth0", &[("10.7.0.1", 24), ("fd07::1", 64)]);
        server.await_address("eth0", "fd07::2");
        neighbour.await_address("eth0", "fd07::1");
        Some(Bed { server, neighbour, directory: tempfile::tempdir().expect("a directory") })
    }

    fn inside<T: Send>(&self, work: impl FnOnce(&Path) -> T + Send) -> T {
        let directory = self.directory.path().join("run");
        self.server.namespace.run(|| work(&directory)).expect("enter")
    }

    fn up(&self, vips: &[&str]) -> Result<Report, Error> {
        self.inside(|directory| up(directory, &ips(vips)))
    }

    fn down(&self, vips: &[&str]) -> Report {
        self.inside(|directory| down(directory, &ips(vips))).expect("down")
    }

    fn status(&self) -> Status {
        self.inside(status).expect("status")
    }

    fn set(&self, interface: &str, name: &str, value: &str) {
        let parameter = Sysctl::ipv4(interface, name).expect("a name");
        self.inside(|_| parameter.write(value)).expect("write");
    }

    /// Everything that could have been changed, a line each.
    fn snapshot(&mut self) -> Vec<String> {
        let mut all = self.inside(|_| {
            let mut lines = Vec::new();
            for family in ["ipv4", "ipv6"] {
                for conf in fs::read_dir(format!("/proc/sys/net/{family}/conf")).expect("conf").flatten() {
                    for file in fs::read_dir(conf.path()).expect("parameters").flatten() {
                        let text = fs::read_to_string(file.path()).unwrap_or_default();
                        lines.push(format!("{} {text:?}", file.path().display()));
                    }
                }
            }
            lines
        });
        let addresses = self.server.netlink.addresses().expect("addresses");
        all.extend(addresses.iter().map(|address| format!("{address:?}")));
        let lo = self.server.netlink.link("lo").expect("ask").expect("lo");
        all.push(format!("lo up {}", lo.up));
        all.sort();
        all
    }

    #[track_caller]
    fn assert_same(&mut self, before: &[String]) {
        let now = self.snapshot();
        let differ =
            |a: &[String], b: &[String]| a.iter().filter(|line| !b.contains(line)).cloned().collect::<Vec<_>>();
        assert_eq!((differ(before, &now), differ(&now, before)), (vec![], vec![]), "before and now");
    }

    /// Whether the neighbour gets an answer for `vip`. Asked first, the real server's own address ends the wait: its
    /// answer comes after any to the first question.
    fn answers(&mut self, vip: &str, own: &str) -> bool {
        let mut ears = NeighbourSocket::open_in(self.neighbour.namespace.as_fd()).expect("packet sockets");
        let link = self.neighbour.netlink.link("eth0").expect("ask").expect("eth0");
        let source = if ip(vip).is_ipv4() { ip("10.7.0.1") } else { ip("fd07::1") };
        let question = |ip, destination| Question {
            ifindex: link.index,
            ip,
            destination,
            source: Some(source),
            source_mac: link.mac.expect("a MAC address"),
        };
        let server: MacAddress = self.server.netlink.link("eth0").expect("ask").and_then(|l| l.mac).expect("a MAC");
        // To everyone, and to the server alone: a group it does not listen to must not be the reason of its silence.
        ears.ask(&question(ip(vip), None)).expect("ask");
        ears.ask(&question(ip(vip), Some(server))).expect("ask");
        ears.ask(&question(ip(own), Some(server))).expect("ask");
        let mut answered = false;
        loop {
            let limit = rustix::time::Timespec { tv_sec: 10, tv_nsec: 0 };
            let ready = poll(&mut [PollFd::new(&ears, PollFlags::IN)], Some(&limit)).expect("poll");
            assert_ne!(ready, 0, "{own} does not answer");
            for heard in ears.read_heard().expect("hear") {
                answered |= heard.ip == ip(vip);
                if heard.ip == ip(own) {
                    return answered;
                }
            }
        }
    }

    fn answers_v4(&mut self) -> bool {
        self.answers(V4, "10.7.0.2")
    }

    fn answers_v6(&mut self) -> bool {
        self.answers(V6, "fd07::2")
    }

    fn shell(&self, text: &str, word: &str) -> String {
        let mut command = Command::new("sh");
        command.args(["-s", word]).env("EVENKEEL_REALSERVER_STATE", self.directory.path().join("sh"));
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        start_in(&mut command, &self.server.namespace).expect("arrange");
        let mut child = command.spawn().expect("run sh");
        child.stdin.take().expect("stdin").write_all(text.as_bytes()).expect("write");
        let output = child.wait_with_output().expect("wait");
        let all = [output.stdout, output.stderr].concat();
        let all = String::from_utf8_lossy(&all).into_owned();
        assert!(output.status.success(), "sh -s {word}: {all}");
        all
    }
}

#[test]
fn the_vip_is_taken_in_silence_and_gone_without_a_trace() {
    let Some(mut bed) = Bed::new("plain") else { return };
    let before = bed.snapshot();
    let done = bed.up(&[V4, V6]).expect("up");
    assert_eq!(done.steps.len(), 4, "{done}");
    assert!(!bed.answers_v4(), "ARP for the VIP is answered");
    assert!(!bed.answers_v6(), "a solicitation for the VIP is answered");
    let state = bed.status();
    assert!(state.is_up(), "{state}");
    let ours = bed.server.netlink.route_to(ip(V4)).expect("look up").expect("a route");
    assert!(ours.is_local, "packets for the VIP are taken");
    assert!(bed.server.netlink.route_to(ip(V6)).expect("look up").expect("a route").is_local);
    let during = bed.snapshot();
    let again = bed.up(&[V4, V6]).expect("up again");
    assert_eq!(again.steps, [Step::AlreadyUp(ip(V4)), Step::AlreadyUp(ip(V6))]);
    bed.assert_same(&during);
    bed.down(&[]);
    bed.assert_same(&before);
    assert_eq!(bed.status().findings, []);
}

#[test]
fn without_the_parameters_the_vip_would_be_answered_for() {
    let Some(mut bed) = Bed::new("control") else { return };
    let lo = bed.server.index("lo");
    bed.server.netlink.add_address(&Address::new(lo, ip(V4), 32)).expect("add");
    bed.server.netlink.add_address(&Address::new(lo, ip(V6), 128)).expect("add");
    assert!(bed.answers_v4(), "the question of the other tests can be answered");
    assert!(!bed.answers_v6(), "IPv6 keeps silent about addresses of lo by itself");
    let eth0 = bed.server.index("eth0");
    bed.server.netlink.delete_address(&Address::new(lo, ip(V6), 128)).expect("delete");
    bed.server.netlink.add_address(&Address::new(eth0, ip(V6), 128)).expect("add");
    bed.server.await_address("eth0", V6);
    assert!(bed.answers_v6(), "the question of the other tests can be answered");
}

#[test]
fn values_that_would_answer_are_replaced_and_come_back() {
    let Some(mut bed) = Bed::new("values") else { return };
    for (all, own) in [("0", "3"), ("3", "0"), ("4", "2"), ("8", "0"), ("2", "8"), ("1", "5"), ("0", "0")] {
        bed.set("all", "arp_ignore", all);
        bed.set("eth0", "arp_ignore", own);
        bed.set("all", "arp_announce", "1");
        let before = bed.snapshot();
        bed.up(&[V4]).expect("up");
        // 8 answers for no address at all, so there is nothing to wait for.
        if own != "8" && all != "8" {
            assert!(!bed.answers_v4(), "all {all}, eth0 {own}");
        }
        assert!(bed.status().is_up(), "{}", bed.status());
        bed.down(&[V4]);
        bed.assert_same(&before);
    }
}

#[test]
fn the_parameters_stay_until_the_last_vip_goes() {
    let Some(mut bed) = Bed::new("count") else { return };
    let before = bed.snapshot();
    bed.up(&[V4]).expect("up");
    bed.up(&[OTHER_V4, V6]).expect("up");
    bed.down(&[V4]);
    assert!(bed.status().is_up());
    assert!(!bed.answers(OTHER_V4, "10.7.0.2"));
    bed.down(&[OTHER_V4]);
    assert_eq!(bed.status().findings, [Finding::Up(ip(V6))]);
    let parameters = |all: &[String]| all.iter().filter(|line| line.starts_with("/proc")).cloned().collect::<Vec<_>>();
    assert_eq!(parameters(&bed.snapshot()), parameters(&before), "IPv6 needs no parameter");
    assert_eq!(bed.down(&[V4]).steps, [Step::NotUp(ip(V4))]);
    bed.down(&[V6]);
    bed.assert_same(&before);
}

#[test]
fn an_address_that_was_there_before_stays() {
    let Some(mut bed) = Bed::new("kept") else { return };
    let lo = bed.server.index("lo");
    let mut theirs = Address::new(lo, ip(V4), 32);
    theirs.label = Some("lo:0".into());
    bed.server.netlink.add_address(&theirs).expect("add");
    let before = bed.snapshot();
    bed.up(&[V4]).expect("up");
    assert!(!bed.answers_v4());
    assert!(bed.down(&[V4]).steps.contains(&Step::Kept(ip(V4))));
    bed.assert_same(&before);
}

#[test]
fn a_vip_on_another_interface_is_refused_before_anything_is_changed() {
    let Some(mut bed) = Bed::new("elsewhere") else { return };
    let eth0 = bed.server.index("eth0");
    bed.server.netlink.add_address(&Address::new(eth0, ip(V4), 32)).expect("add");
    let before = bed.snapshot();
    let why = bed.up(&[V6, V4]).expect_err("refused").to_string();
    assert!(why.starts_with("192.0.2.80 is an address of eth0, where this host answers for it"), "{why}");
    bed.assert_same(&before);
}

#[test]
fn what_somebody_else_undoes_is_told_and_done_again() {
    let Some(mut bed) = Bed::new("undone") else { return };
    let before = bed.snapshot();
    bed.up(&[V4]).expect("up");
    bed.set("all", "arp_ignore", "0");
    let lo = bed.server.index("lo");
    bed.server.netlink.delete_address(&Address::new(lo, ip(V4), 32)).expect("delete");
    let found = bed.status();
    assert!(found.is_broken() && !found.is_up());
    let text = found.to_string();
    assert!(text.contains("192.0.2.80: somebody took it from lo"), "{text}");
    assert!(text.contains("net.ipv4.conf.all.arp_ignore: somebody set it to 0, we had set 1"), "{text}");
    assert!(text.contains("eth0: answers ARP for the VIP in place of the director"), "{text}");
    bed.up(&[V4]).expect("up again");
    assert!(bed.status().is_up());
    // A value that an administrator chose meanwhile is not ours to change.
    bed.set("all", "arp_ignore", "8");
    let done = bed.down(&[]);
    assert!(done.to_string().contains("somebody set it to 8"), "{done}");
    bed.set("all", "arp_ignore", "0");
    bed.assert_same(&before);
}

#[test]
fn a_crash_after_any_step_can_be_undone() {
    let Some(mut bed) = Bed::new("crash") else { return };
    let before = bed.snapshot();
    bed.up(&[V4, V6]).expect("up");
    let run = bed.directory.path().join("run");
    let written =
        fs::read_dir(&run).expect("run").flatten().find(|f| f.path().extension().is_some_and(|e| e == "json"));
    let file = written.expect("the state").path();
    let state = fs::read(&file).expect("read");
    bed.down(&[]);
    assert!(!file.exists());
    let (ignore, announce) = (("all", "arp_ignore", "1"), ("all", "arp_announce", "2"));
    for steps in [&[][..], &[ignore], &[ignore, announce]] {
        fs::write(&file, &state).expect("the state as the crash leaves it");
        steps.iter().for_each(|(interface, name, value)| bed.set(interface, name, value));
        assert!(bed.status().is_broken(), "the addresses are missing");
        bed.down(&[]);
        bed.assert_same(&before);
    }
    fs::write(&file, &state).expect("the state as the crash leaves it");
    bed.up(&[V4]).expect("up goes on where it ended");
    assert!(!bed.answers_v4());
    bed.down(&[]);
    bed.assert_same(&before);
}

#[test]
fn a_state_file_that_is_not_ours_stops_everything() {
    let Some(mut bed) = Bed::new("state") else { return };
    let cookie = bed.server.netlink.namespace_cookie().expect("cookie");
    let file = bed.directory.path().join("run").join(format!("realserver-{cookie}.json"));
    bed.down(&[]);
    let before = bed.snapshot();
    for text in ["", "{}", "[1]", r#"{"version":2,"vips":[],"parameters":[],"loopback_was_down":false}"#] {
        fs::write(&file, text).expect("write");
        assert!(matches!(bed.up(&[V4]), Err(Error::BadState { .. })), "{text}");
    }
    bed.assert_same(&before);
}

#[test]
fn a_loopback_that_was_down_is_down_again() {
    let Some(mut bed) = Bed::new("lo") else { return };
    let lo = bed.server.index("lo");
    bed.server.netlink.set_up(lo, false).expect("down");
    let before = bed.snapshot();
    bed.up(&[V4]).expect("up");
    assert!(bed.snapshot().contains(&"lo up true".to_owned()));
    bed.down(&[V4]);
    bed.assert_same(&before);
}

#[test]
fn the_script_reaches_the_same_state_and_leaves_none() {
    let Some(mut bed) = Bed::new("script") else { return };
    if Command::new("ip").arg("-V").output().is_err() {
        println!("skipped: no ip");
        return;
    }
    bed.set("eth0", "arp_ignore", "3");
    let before = bed.snapshot();
    bed.up(&[V4, V6]).expect("up");
    let ours = bed.snapshot();
    bed.down(&[]);
    let text = script(&ips(&[V4, V6]), None);
    let said = bed.shell(&text, "up");
    assert_eq!(said, "192.0.2.80: up\n2001:db8::80: up\n");
    bed.assert_same(&ours);
    bed.shell(&text, "up");
    bed.assert_same(&ours);
    assert!(!bed.answers_v4() && !bed.answers_v6());
    let other = script(&ips(&[OTHER_V4]), None);
    bed.shell(&other, "up");
    bed.shell(&text, "down");
    assert!(!bed.answers(OTHER_V4, "10.7.0.2"), "the parameters stay for the other script's VIP");
    bed.shell(&other, "down");
    bed.assert_same(&before);
    assert!(!bed.directory.path().join("sh").exists());
    assert_eq!(bed.shell(&text, "down"), "192.0.2.80: was not up\n2001:db8::80: was not up\n");
}

#[test]
fn the_script_is_plain_posix_shell() {
    let text = script(&ips(&[V4, V6]), None);
    assert!(text.starts_with("#!/bin/sh\n") && text.contains("VIPS='192.0.2.80 2001:db8::80'\n"));
    let Ok(checked) = Command::new("dash").args(["-n", "-c", &text]).output() else {
        println!("skipped: no dash");
        return;
    };
    assert!(checked.status.success(), "{}", String::from_utf8_lossy(&checked.stderr));
}

#[test]
fn what_is_no_virtual_address_is_refused_before_anything_is_changed() {
    let nowhere = std::path::Path::new("/nonexistent/evenkeel");
    for (vip, what) in [
        ("127.0.0.1", "make 127.0.0.1 a virtual address: it is a loopback address, which every host has for itself"),
        ("0.0.0.0", "make 0.0.0.0 a virtual address: it is the word for every address"),
        ("ff02::1", "make ff02::1 a virtual address: it is the address of many hosts at once"),
        ("fe80::1", "make fe80::1 a virtual address: it is link-local and names no interface"),
    ] {
        let refused = evenkeel_realserver::up(nowhere, &[vip.parse().unwrap()]).unwrap_err();
        assert_eq!(refused.to_string(), what);
    }
}
