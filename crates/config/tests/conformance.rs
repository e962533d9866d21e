//! tests/conformance/ldirectord: one small file for each rule of ldirectord.cf, and what it means.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod common;

use common::{brief, golden, ldirectord};
use evenkeel_config::{compat_markdown, to_toml};
use std::{fs, path::PathBuf};

fn cases() -> Vec<PathBuf> {
    let directory = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../tests/conformance/ldirectord");
    let mut files: Vec<PathBuf> = fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.retain(|path| path.extension().is_some_and(|e| e == "cf"));
    files.sort();
    files
}

#[test]
fn every_rule_reads_as_written_down() {
    let cases = cases();
    assert!(cases.len() > 100, "only {} cases found", cases.len());
    for path in cases {
        let text = fs::read_to_string(&path).unwrap();
        let loaded = ldirectord(&text);
        let mut out: String = brief(&loaded).iter().map(|line| format!("{line}\n")).collect();
        out += "---\n";
        out += &loaded.cluster.as_ref().map_or("no cluster\n".to_owned(), to_toml);
        golden(&path.with_extension("out").to_string_lossy(), &out);
    }
}

#[test]
fn every_directive_has_a_case() {
    let texts: Vec<String> = cases().iter().map(|path| fs::read_to_string(path).unwrap()).collect();
    let table = compat_markdown();
    let directives: Vec<&str> = table.lines().filter_map(|line| line.strip_prefix("| `")?.split('`').next()).collect();
    assert!(directives.len() > 50);
    for directive in directives {
        let is_used = |text: &String| {
            text.lines().any(|line| line.trim().strip_prefix(directive).is_some_and(|rest| rest.starts_with('=')))
        };
        assert!(texts.iter().any(is_used), "no case for {directive}");
    }
}

#[test]
fn the_table_in_docs_is_the_one_the_parser_uses() {
    golden("../../docs/compat/ldirectord.md", &compat_markdown());
}
