//! Every forwarding method, family and protocol through every door: ten megabytes there and back, byte by byte. The cells
//! are those of docs/compat/lvs.md.

use evenkeel_lab_tests::can_run;
use evenkeel_lab_tests::cells::{Cell, Place, bed, start, stop, unwrap_at_the_second};
use evenkeel_lab_tests::transfer::Protocol;

/// Bytes of one transfer, each way.
const BYTES: usize = 10 << 20;
const PROTOCOLS: &[Protocol] = &[Protocol::Tcp, Protocol::Udp];

fn through(door: &str, cells: &[Cell]) {
    if !can_run() {
        return;
    }
    let mut bed = bed(door);
    unwrap_at_the_second(&bed, &["--mode", "tun"]);
    start(&mut bed, door, &[], cells);
    let wrong: Vec<String> = cells.iter().filter_map(|cell| cell.try_it(&bed, BYTES).err()).collect();
    assert!(wrong.is_empty(), "through {door}:\n{}", wrong.join("\n"));
    stop(&mut bed);
}

#[test]
fn everything_through_the_tc_door() {
    through("tcx", &Cell::all(PROTOCOLS));
}

#[test]
fn everything_through_the_older_tc_door() {
    through("clsact", &Cell::all(PROTOCOLS));
}

#[test]
fn everything_through_the_native_xdp_door() {
    through("xdp", &Cell::all(PROTOCOLS));
}

#[test]
fn what_is_not_translated_through_the_generic_xdp_door() {
    let cells: Vec<Cell> = Cell::all(PROTOCOLS)
        .into_iter()
        .filter(|cell| !matches!(cell.place(), Place::Inside | Place::Stranger))
        .collect();
    through("generic", &cells);
}

#[test]
fn every_cell_is_in_the_documentation() {
    let text = include_str!("../../../docs/compat/lvs.md");
    for cell in Cell::all(PROTOCOLS) {
        assert!(text.contains(&format!("| {} |", cell.name())), "docs/compat/lvs.md does not name `{}`", cell.name());
    }
}
