//! `check --fix` over every case of tests/conformance/ldirectord.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod common;

use common::{HOST, brief, ldirectord};
use evenkeel_config::{Format, fixes};
use evenkeel_source::Severity;
use std::{fs, path::PathBuf};

#[test]
fn a_fixed_file_means_what_it_meant_and_needs_no_more_fixing() {
    let directory = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../tests/conformance/ldirectord");
    let mut changed = 0;
    for entry in fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_none_or(|e| e != "cf") {
            continue;
        }
        let text = fs::read_to_string(&path).unwrap();
        let loaded = ldirectord(&text);
        let Some(fixed) = fixes(&loaded, Some(Format::Ldirectord), &HOST).into_iter().next() else { continue };
        changed += 1;
        let again = ldirectord(&fixed.text);
        let left: Vec<_> = again.diagnostics.iter().filter(|d| d.fix.as_ref().is_some_and(|f| f.certain)).collect();
        assert!(left.is_empty(), "{}: {:#?}\n{}", path.display(), brief(&again), fixed.text);
        if loaded.cluster.is_some() {
            assert_eq!(again.cluster, loaded.cluster, "{}\n{}", path.display(), fixed.text);
        }
        assert!(again.count(Severity::Error) <= loaded.count(Severity::Error), "{}", path.display());
    }
    assert!(changed > 20, "only {changed} cases have fixes");
}

#[test]
fn a_file_without_quirks_is_left_alone() {
    let loaded = ldirectord("virtual=192.0.2.1:80\n\treal=192.0.2.11:80 gate\n");
    assert_eq!(fixes(&loaded, Some(Format::Ldirectord), &HOST), []);
}
