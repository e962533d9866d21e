//! Tagged frames (802.1Q): services that are reached through a VLAN, real servers behind one. The cells are those of
//! docs/compat/lvs.md, in a guest with Linux 6.1, whose kernel has VLANs for certain.

#![expect(clippy::expect_used, reason = "a test fails by panicking")]

use std::net::IpAddr;
use std::process::Command;

use evenkeel_lab::INNER;
use evenkeel_lab_tests::cells::{Cell, Place, bed, start, stop, unwrap_at_the_second};
use evenkeel_lab_tests::transfer::Protocol;
use evenkeel_lab_tests::{Bed, can_run, guest};

/// Bytes of one transfer, each way.
const BYTES: usize = 10 << 20;
/// No guest takes this long, on however busy a machine.
const SECONDS: u32 = 600;

/// Which of the director's two networks is a VLAN on its card.
struct Tags {
    /// Its name in the documentation.
    name: &'static str,
    outer: bool,
    inner: bool,
}

const TAGS: &[Tags] = &[
    Tags { name: "7 in, 7 and 9 out", outer: true, inner: true },
    Tags { name: "7 in, none out", outer: true, inner: false },
    Tags { name: "none in, 9 out", outer: false, inner: true },
];

/// Where the director takes frames.
struct Door {
    word: &'static str,
    /// It is at the card, where frames still have their tags; else where the kernel has sorted them.
    card: bool,
}

/// The first one alone, the others by name.
const DOORS: &[Door] = &[
    Door { word: "clsact", card: false },
    Door { word: "clsact", card: true },
    Door { word: "xdp", card: true },
    Door { word: "generic", card: true },
];

/// The cells of one way through VLANs: only what is translated leaves by the other network.
fn cells(tags: &Tags) -> Vec<Cell> {
    let all = Cell::all(&[Protocol::Tcp]).into_iter();
    let both = tags.outer && tags.inner;
    let is_there = |cell: &Cell| match cell.method() {
        "nat" => true,
        "dr" | "fullnat" | "tun ipip" | "local" => both && !cell.is_crossed(),
        _ => false,
    };
    all.filter(is_there).collect()
}

/// What the documentation says of a cell at a door.
fn outcome(tags: &Tags, door: &Door, cell: Cell) -> &'static str {
    let translated = matches!(cell.place(), Place::Inside | Place::Stranger);
    match door.word {
        "generic" if translated => "refused",
        // Answers go where a route of the kernel leads, and out of a VLAN's device only the stack and tc can send.
        "xdp" if translated && tags.outer => "no",
        _ => "yes",
    }
}

fn run(bed: &Bed, node: &str, line: &str) {
    let words: Vec<&str> = line.split(' ').collect();
    let mut command = Command::new(words[0]);
    command.args(&words[1..]);
    bed.node(node).expect("the node is there").output(command).expect("the command succeeds");
}

/// Moves the addresses of an interface to a VLAN on it, and the routes with them.
fn tag(bed: &Bed, node: &str, port: &str, id: u16, addresses: &[(IpAddr, u8)], gateways: &[IpAddr]) {
    run(bed, node, &format!("ip address flush dev {port} scope global"));
    run(bed, node, &format!("ip link add link {port} name {port}.{id} type vlan id {id}"));
    run(bed, node, &format!("ip link set {port}.{id} up"));
    for (address, length) in addresses {
        run(bed, node, &format!("ip address add {address}/{length} dev {port}.{id} nodad"));
    }
    for gateway in gateways {
        run(bed, node, &format!("ip route replace default via {gateway}"));
    }
}

/// Has a port write the tags of what it sends into the frame, as a card that leaves them there hands frames to XDP.
fn in_the_frame(bed: &Bed, node: &str, port: &str) {
    run(bed, node, &format!("ethtool -K {port} txvlan off"));
}

fn prepare(bed: &Bed, tags: &Tags) {
    let plan = &bed.options().plan;
    if tags.outer {
        let vips = plan.vips.iter().map(|vip| (*vip, if vip.is_ipv4() { 32 } else { 128 }));
        let addresses: Vec<_> = plan.director.iter().copied().chain(vips).collect();
        let gateways: Vec<_> = plan.router.iter().map(|(address, _)| *address).collect();
        tag(bed, "director", "eth0", 7, &addresses, &gateways);
        run(bed, "router", "ip link set director nomaster");
        tag(bed, "router", "director", 7, &[], &[]);
        run(bed, "router", "ip link set director.7 master br0");
    }
    if tags.inner {
        tag(bed, "director", INNER, 9, &plan.inner, &[]);
        let gateways: Vec<_> = plan.inner.iter().map(|(address, _)| *address).collect();
        tag(bed, "inside-1", "eth0", 9, &plan.inside[0], &gateways);
    }
    for (node, port) in [("director", "eth0"), ("director", INNER), ("router", "director"), ("inside-1", "eth0")] {
        in_the_frame(bed, node, port);
    }
}

fn through(tags: &Tags, door: &Door) -> Vec<String> {
    let cells: Vec<Cell> = cells(tags).into_iter().filter(|cell| outcome(tags, door, *cell) == "yes").collect();
    if cells.is_empty() {
        return Vec::new();
    }
    let mut bed = bed(door.word);
    prepare(&bed, tags);
    unwrap_at_the_second(&bed, &["--mode", "tun"]);
    let interfaces: &[&str] = if door.card { &["--interface", "eth0", "--interface", INNER] } else { &[] };
    start(&mut bed, door.word, interfaces, &cells);
    let at = if door.card { "at the card" } else { "at the VLAN" };
    let wrong = cells.iter().filter_map(|cell| cell.try_it(&bed, BYTES).err());
    let wrong = wrong.map(|why| format!("{} {at}, {}: {why}", door.word, tags.name)).collect();
    stop(&mut bed);
    wrong
}

fn in_the_guest(name: &str, door: &Door) {
    if !can_run() {
        return;
    }
    if !guest::inside() {
        guest::run(name, "8021q", SECONDS);
        return;
    }
    let wrong: Vec<String> = TAGS.iter().flat_map(|tags| through(tags, door)).collect();
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn tagged_frames_at_the_tc_door_of_a_vlan() {
    in_the_guest("tagged_frames_at_the_tc_door_of_a_vlan", &DOORS[0]);
}

#[test]
fn tagged_frames_at_the_tc_door_of_a_card() {
    in_the_guest("tagged_frames_at_the_tc_door_of_a_card", &DOORS[1]);
}

#[test]
fn tagged_frames_at_the_native_xdp_door_of_a_card() {
    in_the_guest("tagged_frames_at_the_native_xdp_door_of_a_card", &DOORS[2]);
}

#[test]
fn tagged_frames_at_the_generic_xdp_door_of_a_card() {
    in_the_guest("tagged_frames_at_the_generic_xdp_door_of_a_card", &DOORS[3]);
}

#[test]
fn every_cell_is_in_the_documentation() {
    let text = include_str!("../../../docs/compat/lvs.md");
    let text = text.split("### VLANs").nth(1).expect("a chapter");
    for tags in TAGS {
        for cell in cells(tags) {
            let outcomes: Vec<&str> = DOORS.iter().map(|door| outcome(tags, door, cell)).collect();
            let row = format!("| {}: {} | {} |\n", tags.name, cell.name(), outcomes.join(" | "));
            assert!(text.contains(&row), "docs/compat/lvs.md does not say {row}");
        }
    }
}
