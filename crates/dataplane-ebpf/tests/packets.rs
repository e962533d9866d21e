//! Each rule of single packets, on the real program.

mod common;

use common::topics;
use evenkeel_dataplane::reference::fixtures;

#[test]
fn the_program_does_what_the_table_says() {
    for topics in topics() {
        let Some(mut plane) = common::plane_on_host() else { return };
        let secret = plane.secret();
        let differences = fixtures::differences(&mut plane, &topics, secret).unwrap();
        assert!(differences.is_empty(), "{} cases differ:\n{}", differences.len(), differences.join("\n"));
    }
}
