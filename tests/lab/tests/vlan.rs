//! Tagged frames (802.1Q): services that are reached through a VLAN, real servers behind one. The cells are those of
//! docs/compat/lvs.md, in a guest with Linux 6.1, whose kernel has VLANs for certain.

#![expect(clippy::expect_used, reason = "a test fails by panicking")]

use std::net::IpAddr;
use std::process::Command;

use evenkeel_api::Status;
use evenkeel_lab::INNER;
use evenkeel_lab_tests::cells::{Cell, Place, bed, start, stop, unwrap_at_the_second};
use evenkeel_lab_tests::transfer::Protocol;
use evenkeel_lab_tests::{Bed, LIMIT, can_run, guest};

/// Bytes of one transfer, each way.
const BYTES: usize = 10 << 20;
/// Bytes where only the way matters.
const FEW: usize = 10_000;
/// No guest takes this long, on however busy a machine.
const SECONDS: u32 = 600;

/// Which of the director's two networks is a VLAN on its card.
struct Tags {
    /// Its name in the documentation.
    name: &'static str,
    /// The kernel's word for the kind of tag, or none.
    outer: Option<&'static str>,
    inner: bool,
}

const Q: Option<&str> = Some("802.1Q");
const AD: Option<&str> = Some("802.1ad");

const TAGS: &[Tags] = &[
    Tags { name: "7 in, 7 and 9 out", outer: Q, inner: true },
    Tags { name: "7 in, none out", outer: Q, inner: false },
    Tags { name: "none in, 9 out", outer: None, inner: true },
    Tags { name: "7 of 802.1ad in, 7 and none out", outer: AD, inner: false },
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
    let both = tags.outer.is_some() && tags.inner;
    let is_there = |cell: &Cell| match cell.method() {
        "nat" => true,
        "dr" | "fullnat" if tags.outer == AD => true,
        "dr" | "fullnat" | "tun ipip" | "local" => both && !cell.is_crossed(),
        _ => false,
    };
    all.filter(is_there).collect()
}

/// What the documentation says of a cell at a door.
fn outcome(door: &Door, cell: Cell) -> &'static str {
    let translated = matches!(cell.place(), Place::Inside | Place::Stranger);
    match door.word {
        "generic" if translated => "refused",
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
fn tag(bed: &Bed, node: &str, port: &str, vlan: (&str, u16), addresses: &[(IpAddr, u8)], gateways: &[IpAddr]) {
    let (kind, id) = vlan;
    run(bed, node, &format!("ip address flush dev {port} scope global"));
    run(bed, node, &format!("ip link add link {port} name {port}.{id} type vlan proto {kind} id {id}"));
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
    run(bed, node, &format!("ethtool -K {port} txvlan off tx-vlan-stag-hw-insert off"));
}

/// Makes the director's outer network VLAN 7 on `port`.
fn tag_outer(bed: &Bed, port: &str, kind: &str) {
    let plan = &bed.options().plan;
    let vips = plan.vips.iter().map(|vip| (*vip, if vip.is_ipv4() { 32 } else { 128 }));
    let addresses: Vec<_> = plan.director.iter().copied().chain(vips).collect();
    let gateways: Vec<_> = plan.router.iter().map(|(address, _)| *address).collect();
    tag(bed, "director", port, (kind, 7), &addresses, &gateways);
}

fn prepare(bed: &Bed, tags: &Tags) {
    let plan = &bed.options().plan;
    if let Some(kind) = tags.outer {
        tag_outer(bed, "eth0", kind);
        run(bed, "router", "ip link set director nomaster");
        tag(bed, "router", "director", (kind, 7), &[], &[]);
        run(bed, "router", "ip link set director.7 master br0");
    }
    if tags.inner {
        tag(bed, "director", INNER, ("802.1Q", 9), &plan.inner, &[]);
        let gateways: Vec<_> = plan.inner.iter().map(|(address, _)| *address).collect();
        tag(bed, "inside-1", "eth0", ("802.1Q", 9), &plan.inside[0], &gateways);
    }
    for (node, port) in [("director", "eth0"), ("director", INNER), ("router", "director"), ("inside-1", "eth0")] {
        in_the_frame(bed, node, port);
    }
}

fn through(tags: &Tags, door: &Door) -> Vec<String> {
    let cells: Vec<Cell> = cells(tags).into_iter().filter(|cell| outcome(door, *cell) == "yes").collect();
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

/// Of a service by NAT, whose real server is behind the director.
fn nat_cells() -> Vec<Cell> {
    Cell::all(&[Protocol::Tcp]).into_iter().filter(|cell| cell.method() == "nat").collect()
}

/// Tries these cells; what went wrong at this point.
fn try_all(bed: &Bed, cells: &[Cell], when: &str) {
    let wrong: Vec<String> = cells.iter().filter_map(|cell| cell.try_it(bed, FEW).err()).collect();
    assert!(wrong.is_empty(), "{when}: {}", wrong.join("\n"));
}

#[test]
fn native_xdp_follows_vlans_that_come_and_go() {
    if !can_run() {
        return;
    }
    if !guest::inside() {
        return guest::run("native_xdp_follows_vlans_that_come_and_go", "8021q", SECONDS);
    }
    let cells = nat_cells();
    let mut bed = bed("xdp");
    start(&mut bed, "xdp", &["--interface", "eth0", "--interface", INNER], &cells);
    try_all(&bed, &cells, "without a tag");
    prepare(&bed, &TAGS[1]);
    try_all(&bed, &cells, "by a VLAN that was made meanwhile");
    run(&bed, "director", "ip link set eth0.7 down");
    run(&bed, "director", "ip link set eth0.7 name clients");
    run(&bed, "director", "ip link set clients up");
    // Set down, an interface loses its routes, and its addresses of IPv6.
    let (router, _) = bed.options().plan.router[0];
    run(&bed, "director", &format!("ip route replace default via {router}"));
    try_all(&bed, &cells[..1], "by a VLAN of another name");

    // A VLAN on a bridge: no driver is below it.
    run(&bed, "director", "ip link delete clients");
    run(&bed, "director", "ip link add br9 type bridge");
    run(&bed, "director", "ip link set br9 up");
    run(&bed, "director", "ip link set eth0 master br9");
    tag_outer(&bed, "br9", "802.1Q");
    let warns = |status: &Status| status.warnings.iter().any(|text| text.contains("cannot send by br9.7"));
    bed.director.wait("warned", LIMIT, warns).expect("it is said that XDP cannot send there");
    let refused = cells[0].try_it(&bed, FEW);
    assert!(refused.is_err(), "the answers find no way");
    let counted = |status: &Status| status.dataplane.drops.get("not_by_xdp").is_some_and(|count| *count > 0);
    bed.director.wait("counted", LIMIT, counted).expect("every answer is counted");

    run(&bed, "director", "ip link delete br9.7");
    run(&bed, "director", "ip link delete br9");
    tag_outer(&bed, "eth0", "802.1Q");
    let silent = |status: &Status| !warns(status);
    bed.director.wait("was content", LIMIT, silent).expect("the warning goes");
    try_all(&bed, &cells, "by a VLAN on the card again");
    stop(&mut bed);
}

#[test]
fn every_cell_is_in_the_documentation() {
    let text = include_str!("../../../docs/compat/lvs.md");
    let text = text.split("### VLANs").nth(1).expect("a chapter");
    for tags in TAGS {
        for cell in cells(tags) {
            let outcomes: Vec<&str> = DOORS.iter().map(|door| outcome(door, cell)).collect();
            let row = format!("| {}: {} | {} |\n", tags.name, cell.name(), outcomes.join(" | "));
            assert!(text.contains(&row), "docs/compat/lvs.md does not say {row}");
        }
    }
}
