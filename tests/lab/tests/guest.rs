//! Cells of docs/compat/lvs.md that take a kernel with SCTP or tunnel devices: in a guest with Linux 6.1, one for each door.

#![expect(clippy::expect_used, reason = "a test fails by panicking")]

use std::process::Command;

use evenkeel_lab_tests::cells::{Cell, Place, bed, real_server, start, stop, try_real_server, unwrap_at_the_second};
use evenkeel_lab_tests::transfer::Protocol;
use evenkeel_lab_tests::{Bed, can_run, guest, native};

/// Bytes of one transfer, each way.
const BYTES: usize = 10 << 20;
/// The same of SCTP in tunnels other than ipip: a guest computes every CRC32c itself.
const FEWER: usize = 2 << 20;
/// No guest takes this long, on however busy a machine.
const SECONDS: u32 = 600;
/// Fits every tunnel, so that no path is looked for: SCTP does that at leisure, and the TCP cells do it anyway.
const SMALL_MTU: &str = "1400";

/// Runs the test `name` in a guest; whether this is it.
fn in_the_guest(name: &str) -> bool {
    if !can_run() {
        return false;
    }
    if !guest::inside() {
        guest::run(name, "sctp", SECONDS);
    }
    guest::inside()
}

/// Tries every cell; what went wrong.
fn try_all(bed: &Bed, cells: &[Cell]) -> Vec<String> {
    let bytes = |cell: &Cell| {
        let slow = cell.protocol() == Protocol::Sctp && cell.place() == Place::Unwraps && cell.method() != "tun ipip";
        if slow { FEWER } else { BYTES }
    };
    cells.iter().filter_map(|cell| cell.try_it(bed, bytes(cell)).err()).collect()
}

fn command(bed: &Bed, node: &str, words: &[&str]) -> String {
    let mut command = Command::new(words[0]);
    command.args(&words[1..]);
    bed.node(node).expect("the node is there").output(command).expect("the command succeeds")
}

/// The cells of SCTP at a door: where checksums cannot be seen to be complete, nothing is translated.
fn sctp_cells(door: &str) -> Vec<Cell> {
    let translated = |cell: &Cell| matches!(cell.place(), Place::Inside | Place::Stranger);
    Cell::all(&[Protocol::Sctp]).into_iter().filter(|cell| door != "generic" || !translated(cell)).collect()
}

fn sctp_through(door: &str) {
    let cells = sctp_cells(door);
    let mut bed = bed(door);
    native::finish_sctp(&bed, &["client", "director", "real-1", "real-2", "inside-1"]);
    for (router, _, _) in &bed.options().plan.client {
        let router = router.to_string();
        command(&bed, "client", &["ip", "route", "change", "default", "via", &router, "mtu", SMALL_MTU]);
    }
    unwrap_at_the_second(&bed, &["--mode", "tun"]);
    start(&mut bed, door, &[], &cells);
    let wrong = try_all(&bed, &cells);
    assert!(wrong.is_empty(), "through {door}:\n{}", wrong.join("\n"));
    stop(&mut bed);
}

#[test]
fn sctp_through_the_older_tc_door() {
    if in_the_guest("sctp_through_the_older_tc_door") {
        sctp_through("clsact");
    }
}

#[test]
fn sctp_through_the_native_xdp_door() {
    if in_the_guest("sctp_through_the_native_xdp_door") {
        sctp_through("xdp");
    }
}

#[test]
fn sctp_through_the_generic_xdp_door() {
    if in_the_guest("sctp_through_the_generic_xdp_door") {
        sctp_through("generic");
    }
}

/// The cells of tunnels whose packets a device takes that was made with this word.
fn tunnel_cells(kind: &str) -> Vec<Cell> {
    let cells = Cell::all(&[Protocol::Tcp]).into_iter();
    let is_of = |cell: &Cell| match cell.method() {
        "tun ipip" | "tun gue" | "tun gue +csum" | "tun gue remcsum" => kind == "gue",
        "tun gre" => kind == "gre",
        "tun gre +csum" => kind == "gre-csum",
        _ => false,
    };
    cells.filter(is_of).collect()
}

/// What of the second real server's network tunnels have a part in.
fn network(bed: &Bed) -> String {
    [&["ip", "-br", "link"][..], &["ip", "-br", "address"], &["ip", "fou", "show"]]
        .map(|words| command(bed, "real-2", words))
        .join("\n")
}

/// The strictest filter of sources that a host may have.
fn filter_sources(bed: &Bed) {
    command(bed, "real-2", &["sh", "-c", "echo 1 >/proc/sys/net/ipv4/conf/all/rp_filter"]);
}

fn devices_take_what_comes_through(door: &str) {
    let mut bed = bed(door);
    if door == "xdp" {
        filter_sources(&bed);
    }
    let cells: Vec<Cell> = ["gue", "gre", "gre-csum"].iter().flat_map(|kind| tunnel_cells(kind)).collect();
    // Once for nothing: a module stays loaded, and so do the devices that it makes.
    for kind in ["gue", "gre"] {
        unwrap_at_the_second(&bed, &["--mode", "tun", "--kernel-device", kind]);
    }
    start(&mut bed, door, &[], &cells);
    real_server(&bed, "down", &[]);
    let before = network(&bed);
    let mut wrong = Vec::new();
    for kind in ["gue", "gre", "gre-csum"] {
        real_server(&bed, "up", &["--mode", "tun", "--kernel-device", kind]);
        if kind == "gre-csum" && door == "clsact" {
            // What a network card that merges nothing would hand over: large packets carry no checksum.
            native::segment(&bed, &[("eth0", "router")]);
        }
        wrong.extend(try_all(&bed, &tunnel_cells(kind)));
        real_server(&bed, "status", &[]);
        real_server(&bed, "down", &[]);
        assert_eq!(network(&bed), before, "after {kind}");
    }
    assert!(wrong.is_empty(), "through {door}:\n{}", wrong.join("\n"));
    stop(&mut bed);
}

#[test]
fn the_script_makes_the_same_devices_and_what_fails_makes_none() {
    if !in_the_guest("the_script_makes_the_same_devices_and_what_fails_makes_none") {
        return;
    }
    let mut bed = bed("clsact");
    let cells: Vec<Cell> = tunnel_cells("gue").into_iter().filter(|cell| cell.method() == "tun gue").collect();
    unwrap_at_the_second(&bed, &["--mode", "tun", "--kernel-device", "gue"]);
    start(&mut bed, "clsact", &[], &cells);
    let made = devices(&bed);
    real_server(&bed, "down", &[]);
    let before = network(&bed);

    filter_sources(&bed);
    let text = real_server(&bed, "script", &["--mode", "tun", "--tunnel", "gue"]);
    let path = bed.write("realserver.sh", &text).expect("the file is written");
    let script = |action: &str| {
        let mut command = Command::new("sh");
        command.args([&path, action]).env("EVENKEEL_REALSERVER_STATE", format!("{path}.state"));
        bed.node("real-2").expect("the node is there").output(command).expect("the script succeeds");
    };
    script("up");
    assert_eq!(devices(&bed), made);
    let wrong = try_all(&bed, &cells);
    script("down");
    assert_eq!(network(&bed), before);
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));

    // Somebody else's device of that name: those made before it go again.
    command(&bed, "real-2", &["ip", "link", "add", "ek-ip6tnl", "type", "dummy"]);
    let before = network(&bed);
    let refused = try_real_server(&bed, "up", &["--mode", "tun", "--kernel-device", "gue"]).expect_err("it is taken");
    assert!(refused.contains("cannot create ek-ip6tnl: there is one already"), "{refused}");
    assert_eq!(network(&bed), before);
    stop(&mut bed);
}

/// What tunnel devices there are, and whether they are up.
fn devices(bed: &Bed) -> String {
    let text = command(bed, "real-2", &["ip", "-br", "link"]);
    let ours = text.lines().filter(|line| line.starts_with("ek-") || line.starts_with("sit0"));
    // The kernel numbers them as they come.
    let mut names: Vec<&str> = ours.collect();
    names.sort_unstable();
    names.join("\n")
}

#[test]
fn devices_of_the_kernel_take_what_comes_through_the_older_tc_door() {
    if in_the_guest("devices_of_the_kernel_take_what_comes_through_the_older_tc_door") {
        devices_take_what_comes_through("clsact");
    }
}

#[test]
fn devices_of_the_kernel_take_what_comes_through_the_native_xdp_door() {
    if in_the_guest("devices_of_the_kernel_take_what_comes_through_the_native_xdp_door") {
        devices_take_what_comes_through("xdp");
    }
}

#[test]
fn every_cell_is_in_the_documentation() {
    let text = include_str!("../../../docs/compat/lvs.md");
    let chapter = |name: &str| {
        let after = text.split(name).nth(1).expect("a chapter");
        after.split("\n#").next().expect("its text")
    };
    for cell in Cell::all(&[Protocol::Sctp]) {
        let last = if sctp_cells("generic").contains(&cell) { "yes" } else { "refused" };
        let row = format!("| {} | yes | yes | {last} |\n", cell.name());
        assert!(chapter("### SCTP").contains(&row), "docs/compat/lvs.md does not say {row}");
    }
    for cell in ["gue", "gre", "gre-csum"].iter().flat_map(|kind| tunnel_cells(kind)) {
        let row = format!("| {} | yes | yes |\n", cell.name());
        assert!(chapter("### Tunnel devices").contains(&row), "docs/compat/lvs.md does not say {row}");
    }
}
