//! Doors: what opens and closes them, and what becomes of them when somebody else has a hand in it.
#![allow(unsafe_code, reason = "a test sends a frame as it stands")]
#![allow(clippy::unwrap_used, reason = "a test that cannot go on panics")]

#[path = "common/director.rs"]
mod director;
#[path = "common/host.rs"]
mod host;

use aya::{
    Ebpf,
    programs::{
        Xdp,
        links::{FdLink, PinnedLink},
    },
};
use director::{SYN, changes, counters, options, resolve, segment, server, service};
use evenkeel_dataplane::{Change, Connection, ConnectionFilter, Dataplane, RealServer};
use evenkeel_dataplane_ebpf::{Attach, EbpfDataplane, Mode, Opened};
use evenkeel_model::{Forwarding, Scheduler, Weight};
use host::{Pins, own_namespace, root, run, ways};
use std::{path::Path, process::Command};

fn output(line: &str) -> String {
    let mut words = line.split_whitespace();
    let output = Command::new(words.next().unwrap()).args(words).output().unwrap();
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// What is attached to an interface, as the kernel tells it.
fn attached(interface: &str) -> String {
    let net = output(&format!("bpftool net show dev {interface}"));
    let lines = net.lines().filter(|line| line.contains("id "));
    lines.collect::<Vec<_>>().join("; ")
}

fn pins_of(pins: &Pins) -> std::path::PathBuf {
    pins.0.join(format!("v{}", evenkeel_abi::LAYOUT))
}

/// Puts another program into the link, as an earlier release would have had one.
fn lead_elsewhere(object: &mut Ebpf, pin: &Path) {
    let link = FdLink::from(PinnedLink::from_pin(pin).unwrap());
    let program: &mut Xdp = object.program_mut("evenkeel_pass").unwrap().try_into().unwrap();
    if program.fd().is_err() {
        program.load().unwrap();
    }
    let id = program.attach_to_link(link.try_into().unwrap()).unwrap();
    drop(program.take_link(id).unwrap());
}

fn object() -> Ebpf {
    let file = concat!(env!("CARGO_MANIFEST_DIR"), "/object/evenkeel.o");
    Ebpf::load_file(file).unwrap()
}

#[test]
fn an_upgrade_leads_every_door_into_the_new_program() {
    if !root() {
        return;
    }
    own_namespace();
    let pins = Pins::new("upgrade");
    let (mut first, _) = EbpfDataplane::open(&options(Some(&pins.0))).unwrap();
    let doors = ["veth0", "veth1"].map(|interface| first.attach(interface, Attach::Generic).unwrap());
    std::mem::forget(first);
    let mut older = object();
    for door in &doors {
        lead_elsewhere(&mut older, &pins_of(&pins).join(format!("link_generic_{}", door.index)));
    }
    assert!(attached("veth0").contains("id") && !attached("veth0").contains(&format!("id {}", doors[0].program_id)));
    let (second, opened) = EbpfDataplane::open(&options(Some(&pins.0))).unwrap();
    assert_eq!(opened, Opened::Adopted);
    for door in second.attachments() {
        let there = attached(&door.interface);
        assert!(there.contains(&format!("id {}", door.program_id)), "{}: {there}", door.interface);
    }
    assert_eq!(second.attachments().len(), 2);
    second.remove_all().unwrap();
}

#[test]
fn a_renamed_interface_keeps_its_door() {
    if !root() {
        return;
    }
    for (want, mode) in ways() {
        own_namespace();
        let pins = Pins::new("rename");
        let (mut plane, _) = EbpfDataplane::open(&options(Some(&pins.0))).unwrap();
        let before = plane.attach("veth0", want).unwrap();
        run("ip link set veth0 down");
        run("ip link set veth0 name wan0");
        // The old name is another interface's now.
        run("ip link add veth0 type veth peer name other0");
        assert_eq!(plane.prune().unwrap(), [], "{mode}");
        let after = plane.attach("wan0", want).unwrap();
        assert_eq!(
            (after.index, after.program_id, after.interface.as_str()),
            (before.index, before.program_id, "wan0")
        );
        plane.remove_all().unwrap();
        assert_eq!(attached("wan0"), "", "{mode}");
        let qdiscs = output("tc qdisc show dev wan0");
        assert!(!qdiscs.contains("clsact"), "{mode}: {qdiscs}");
    }
}

#[test]
fn a_door_that_somebody_closed_is_opened_again() {
    if !root() {
        return;
    }
    for crash in [false, true] {
        for (want, mode) in ways() {
            own_namespace();
            let pins = Pins::new("closed");
            let (mut plane, _) = EbpfDataplane::open(&options(Some(&pins.0))).unwrap();
            plane.apply(&changes(Scheduler::RoundRobin, &[11])).unwrap();
            resolve(&mut plane, &[11]);
            let door = plane.attach("veth0", want).unwrap();
            takes_packets(&mut plane, 1);
            let pin = pins_of(&pins).join(format!("link_{mode}_{}", door.index));
            match mode {
                Mode::Clsact => run("tc qdisc del dev veth0 clsact"),
                Mode::Tcx | Mode::Xdp | Mode::Generic => run(&format!("bpftool link detach pinned {}", pin.display())),
            }
            assert_eq!(attached("veth0"), "", "{mode}");
            if crash {
                std::mem::forget(plane);
                plane = EbpfDataplane::open(&options(Some(&pins.0))).unwrap().0;
            }
            plane.prune().unwrap();
            assert_eq!(plane.attachments(), [], "{mode}, crash {crash}");
            plane.attach("veth0", want).unwrap();
            takes_packets(&mut plane, 2);
            plane.remove_all().unwrap();
            assert_eq!(attached("veth0"), "", "{mode}, crash {crash}");
        }
    }
}

#[test]
fn another_way_to_attach_takes_the_place_of_the_one_before() {
    if !root() {
        return;
    }
    own_namespace();
    let pins = Pins::new("modes");
    let (mut plane, _) = EbpfDataplane::open(&options(Some(&pins.0))).unwrap();
    plane.apply(&changes(Scheduler::RoundRobin, &[11])).unwrap();
    resolve(&mut plane, &[11]);
    let mut connections = 0;
    for (want, mode) in ways().chain(ways().rev()) {
        assert_eq!(plane.attach("veth0", want).unwrap().mode, mode);
        connections += 1;
        takes_packets(&mut plane, connections);
        let links = std::fs::read_dir(pins_of(&pins)).unwrap().flatten().map(|e| e.file_name());
        let links: Vec<_> = links.filter(|name| name.to_string_lossy().starts_with("link_")).collect();
        assert_eq!(links.len(), 1, "{mode}: {links:?}");
        assert_eq!(plane.attach("veth0", Attach::Auto).unwrap().mode, mode, "any will do");
    }
    assert_eq!(plane.attachments().len(), 1);
    plane.remove_all().unwrap();
    assert_eq!(attached("veth0"), "");
}

#[test]
fn what_is_attached_already_is_named() {
    if !root() {
        return;
    }
    own_namespace();
    let (one, two) = (Pins::new("one"), Pins::new("two"));
    let (mut first, _) = EbpfDataplane::open(&options(Some(&one.0))).unwrap();
    let (mut second, _) = EbpfDataplane::open(&options(Some(&two.0))).unwrap();
    first.attach("veth0", Attach::Clsact).unwrap();
    let refused = second.attach("veth0", Attach::Clsact).unwrap_err().to_string();
    assert!(refused.contains("tc filter del dev veth0 ingress pref 77"), "{refused}");
    first.attach("veth1", Attach::Generic).unwrap();
    let refused = second.attach("veth1", Attach::Generic).unwrap_err().to_string();
    assert!(refused.contains("another XDP program is attached"), "{refused}");
    second.remove_all().unwrap();
    assert_ne!(attached("veth0"), "", "the other instance's filter is left alone");
    first.remove_all().unwrap();
    assert_eq!(attached("veth0"), "");
}

#[test]
fn a_tagged_frame_is_taken_as_any_other_at_the_tc_door() {
    if !root() {
        return;
    }
    own_namespace();
    for (want, _) in ways().filter(|(_, mode)| [Mode::Tcx, Mode::Clsact].contains(mode)) {
        let mut plane = director::plane(Scheduler::RoundRobin, &[11]);
        plane.attach("veth0", want).unwrap();
        let untagged = segment(1, SYN);
        let mut tagged = segment(2, SYN);
        tagged.splice(12..12, [0x81, 0, 0, 7]);
        send("veth1", &tagged);
        send("veth1", &untagged);
        wait_for(&mut plane, 2);
        let mut clients = Vec::new();
        let mut note = |connection: Connection| {
            clients.push(connection.client.port());
            true
        };
        let mut next = Some(0);
        while let Some(from) = next {
            next = plane.connections(&ConnectionFilter::default(), from, &mut note).unwrap();
        }
        clients.sort_unstable();
        assert_eq!(clients, [1, 2], "{want:?}");
        plane.remove_all().unwrap();
    }
}

#[test]
fn generic_xdp_and_address_translation_refuse_each_other() {
    if !root() {
        return;
    }
    own_namespace();
    for forwarding in [Forwarding::Nat, Forwarding::FullNat] {
        let (mut plane, _) = EbpfDataplane::open(&options(None)).unwrap();
        plane.apply(&changes(Scheduler::RoundRobin, &[11])).unwrap();
        plane.attach("veth0", Attach::Generic).unwrap();
        let translated = RealServer::new(Weight::ONE, forwarding);
        for change in [
            Change::AddRealServer(service(), server(12), translated),
            Change::EditRealServer(service(), server(11), translated),
        ] {
            let refused = plane.apply(&[change]).unwrap_err().cause.to_string();
            assert!(refused.contains("through veth0") && refused.contains("generic XDP"), "{refused}");
        }
        assert_eq!(plane.attach("veth0", Attach::Xdp).unwrap().mode, Mode::Xdp);
        plane.apply(&[Change::AddRealServer(service(), server(12), translated)]).unwrap();
        let refused = plane.attach("veth1", Attach::Generic).unwrap_err().to_string();
        assert!(refused.contains("10.0.0.12:80") && refused.contains("address translation"), "{refused}");
        plane.remove_all().unwrap();
    }
}

/// Whether a SYN that is sent towards `veth0` is the plane's connection number `count`.
fn takes_packets(plane: &mut EbpfDataplane, count: u64) {
    send("veth1", &segment(count as u16, SYN));
    wait_for(plane, count);
}

fn wait_for(plane: &mut EbpfDataplane, connections: u64) {
    let deadline = std::time::Instant::now() + std::time::Duration::from_secs(20);
    while counters(plane).connections < connections {
        assert!(std::time::Instant::now() < deadline, "the frame does not arrive");
        std::thread::yield_now();
    }
}

/// Sends a frame out of an interface.
fn send(interface: &str, frame: &[u8]) {
    use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
    let name = std::ffi::CString::new(interface).unwrap();
    let protocol = 0x0300; // ETH_P_ALL in network order.
    // SAFETY: plain system calls on a descriptor made here; the address structure and the frame outlive the call.
    unsafe {
        let socket = libc::socket(libc::AF_PACKET, libc::SOCK_RAW, 0);
        assert!(socket >= 0);
        let socket = OwnedFd::from_raw_fd(socket);
        let mut address: libc::sockaddr_ll = std::mem::zeroed();
        address.sll_family = libc::AF_PACKET as u16;
        address.sll_protocol = protocol;
        address.sll_ifindex = libc::if_nametoindex(name.as_ptr()) as i32;
        let size = size_of::<libc::sockaddr_ll>() as u32;
        let sent =
            libc::sendto(socket.as_raw_fd(), frame.as_ptr().cast(), frame.len(), 0, (&raw const address).cast(), size);
        assert_eq!(sent, frame.len() as isize, "{}", std::io::Error::last_os_error());
    }
}
