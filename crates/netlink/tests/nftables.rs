//! Tables of the kernel's packet filter, made and read in a namespace of their own, and looked at with nft(8).

#![allow(clippy::expect_used, reason = "a test")]

mod bed;

use std::process::Command;

use bed::Bed;
use evenkeel_netlink::{NfBatch, NfEnd, NfFamily, NfMonitor, NfRegister, NfRule, NfTable, NfTables, NfVerdict};

const TABLE: NfTable<'static> = NfTable { family: NfFamily::Ipv4, name: "ek-test" };
/// nft(8)'s number of IPv4 addresses.
const ADDRESSES: u32 = 7;
const FIRST: [u8; 4] = [192, 0, 2, 1];
const SECOND: [u8; 4] = [192, 0, 2, 2];

/// Runs `work` in the namespace; says that it was skipped where the kernel has no nf_tables.
fn run(bed: &Bed, work: impl FnOnce(NfTables) + Send + 'static) {
    let outcome = bed.namespace.run(move || {
        let mut tables = NfTables::open().expect("open nf_tables");
        match tables.comment(TABLE) {
            Err(e) if e.lacks_nf_tables() => println!("skipped: needs nf_tables"),
            other => {
                assert_eq!(other.expect("ask"), None);
                work(tables);
            }
        }
    });
    outcome.expect("the namespace can be entered");
}

fn table() -> NfBatch {
    let mut batch = NfBatch::new();
    batch.add_table(TABLE, "made by a test");
    batch.add_chain(TABLE, "in", false, -1);
    batch.add_set(TABLE, "vips", ADDRESSES, 4);
    let first = NfRegister(0);
    let rule = NfRule::new().load_address(NfFamily::Ipv4, NfEnd::Destination, first).is_in("vips", first);
    batch.add_rule(TABLE, "in", &rule.counted().verdict(NfVerdict::Drop));
    batch.add_elements(TABLE, "vips", [FIRST, SECOND].iter().map(|key| key.as_slice()));
    batch
}

fn sorted(mut keys: Vec<Vec<u8>>) -> Vec<Vec<u8>> {
    keys.sort();
    keys
}

#[test]
fn a_table_is_made_read_changed_and_deleted() {
    let Some(bed) = Bed::new("whole") else { return };
    run(&bed, |mut tables| {
        tables.commit("make it", table()).expect("it is made");
        assert_eq!(tables.comment(TABLE).expect("ask").as_deref(), Some("made by a test"));
        assert_eq!(tables.comment(NfTable { family: NfFamily::Ipv6, ..TABLE }).expect("ask"), None);
        assert_eq!(tables.rules(TABLE).expect("ask"), 1);
        assert_eq!(sorted(tables.elements(TABLE, "vips").expect("ask")), [FIRST.to_vec(), SECOND.to_vec()]);
        if let Ok(output) = Command::new("nft").args(["list", "ruleset"]).output() {
            let text = String::from_utf8_lossy(&output.stdout).into_owned();
            for line in ["ip daddr @vips counter packets 0 bytes 0 drop", "priority filter - 1; policy accept;"] {
                assert!(text.contains(line), "{text}");
            }
        }
        let mut batch = NfBatch::new();
        // What is there already is no mistake.
        batch.add_elements(TABLE, "vips", [FIRST].iter().map(|key| key.as_slice()));
        batch.delete_elements(TABLE, "vips", [SECOND].iter().map(|key| key.as_slice()));
        tables.commit("change it", batch).expect("it is changed");
        assert_eq!(tables.elements(TABLE, "vips").expect("ask"), [FIRST.to_vec()]);
        let mut batch = NfBatch::new();
        batch.delete_table(TABLE);
        tables.commit("delete it", batch).expect("it is deleted");
        assert_eq!(tables.comment(TABLE).expect("ask"), None);
        assert_eq!(tables.elements(TABLE, "vips").expect("ask"), Vec::<Vec<u8>>::new());
    });
}

#[test]
fn a_batch_with_a_mistake_changes_nothing() {
    let Some(bed) = Bed::new("mistake") else { return };
    run(&bed, |mut tables| {
        let mut batch = table();
        batch.delete_elements(TABLE, "vips", [[192, 0, 2, 9]].iter().map(|key| key.as_slice()));
        let refused = tables.commit("make it", batch).expect_err("there is no such element");
        assert!(refused.is_missing(), "{refused}");
        assert_eq!(tables.comment(TABLE).expect("ask"), None);
        // And the next one is answered for itself.
        tables.commit("make it", table()).expect("it is made");
    });
}

#[test]
fn what_somebody_takes_from_a_table_is_heard_and_what_others_do_is_not() {
    let Some(bed) = Bed::new("heard") else { return };
    run(&bed, |mut tables| {
        let mut monitor = NfMonitor::open().expect("listen");
        let ours = |name: &str| name == TABLE.name;
        tables.commit("make it", table()).expect("it is made");
        assert!(!monitor.takes(ours).expect("read"), "nothing was taken");
        let other = NfTable { name: "another", ..TABLE };
        for make in [true, false] {
            let mut batch = NfBatch::new();
            if make {
                batch.add_table(other, "")
            } else {
                batch.delete_table(other)
            }
            tables.commit("change another", batch).expect("it is changed");
        }
        assert!(!monitor.takes(ours).expect("read"), "another table is none of ours");
        let mut batch = NfBatch::new();
        batch.delete_elements(TABLE, "vips", [SECOND].iter().map(|key| key.as_slice()));
        tables.commit("change it", batch).expect("it is changed");
        assert!(monitor.takes(ours).expect("read"));
        assert!(!monitor.takes(ours).expect("read"), "it was told once");
    });
}
