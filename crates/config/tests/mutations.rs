//! The fuzz targets' functions over mutated files, a bounded number of them and the same ones in every run.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod common;
mod dice;

use dice::Dice;
use evenkeel_config::fuzzing;
use proptest::prelude::*;
use std::{fs, path::PathBuf};

/// Runs of a target.
const RUNS: u32 = 10_000;

/// Pieces that make a difference to a parser.
const PIECES: [&str; 89] = [
    "\u{a0}",
    "\u{3000}",
    "\u{feff}",
    "\r\n",
    "\n\n",
    "\n",
    "\0",
    "\t",
    "    ",
    "  ",
    " ",
    "=",
    "\"",
    "'",
    "#",
    "->",
    ":",
    "::1",
    "[",
    "]",
    "0",
    "-1",
    "65536",
    "99999999999",
    "yes",
    "YES ",
    "gate",
    "masq 5",
    "l:3",
    "virtual=10.1:80\n",
    "virtual6=[::1]:80\n",
    "\treal=1.2.3.4 gate\n",
    "real=10.0.0.1->10.0.0.9:80 gate\n",
    "receive=\"(\"",
    "500ms",
    "fallback=127.1",
    "\u{201c}x\u{201d}",
    "{",
    "}",
    ",",
    "[service.x]\n",
    "check = \"http:/\"\n",
    "\u{1f600}",
    "\u{fc}",
    "$X=1\n",
    "$X",
    "${X}",
    "${X}=",
    "$X= \\\n",
    "\\\n",
    "~SEQ(X,1,3) ",
    "~SEQx(X,0x1,-1,3)",
    "~LST({A,B},{1,2})",
    "@director ",
    "@^x ",
    "include x*\n",
    "!",
    "{\n}\n",
    "virtual_server 192.0.2.1 80 {\n",
    "virtual_server group g {\n",
    "virtual_server_group g {\n",
    "real_server 192.0.2.9 80 {\n",
    "vrrp_instance v {\n",
    "TCP_CHECK {\n",
    "HTTP_GET { url {\n",
    "lvs_method TUN type gue port 1",
    "fwmark 3",
    "10.0.0.1-9",
    "2001:db8::1/64",
    "dev eth0 label x",
    "weight 3 reverse",
    "regex \"a\\x41(\"",
    "node ha1\n",
    "node HA2 ha1\n",
    "bcast eth0\n",
    "ucast eth1 192.0.2.2\n",
    "mcast eth0 225.0.0.1 694 1 0\n",
    "keepalive 100 ms\n",
    "ping\n192.0.2.254\n",
    "respawn hacluster /x/ipfail\n",
    "stonith_host * ipmi a b\n",
    "=== authkeys\n",
    "=== haresources\n",
    "=== ldirectord.cf\n",
    "auth 1\n1 sha1 abc\n",
    "ha1 192.0.2.9/24/eth0:1/192.0.2.255 x::y",
    "IPaddr2::",
    "[group.x]\nresources = [\"service:x\"]\n",
    "failback = false\n",
];

fn mutate(seed: &[u8], dice: &mut Dice) -> Vec<u8> {
    let mut bytes = seed.to_vec();
    for _ in 0..=dice.roll(6) {
        let at = dice.roll(bytes.len() + 1);
        let end = (at + dice.roll(12)).min(bytes.len());
        match dice.roll(6) {
            0 => bytes.insert(at, dice.roll(256) as u8),
            1 => drop(bytes.drain(at..end)),
            2 => bytes.truncate(at),
            3 => {
                let copy = bytes[at..end].to_vec();
                let to = dice.roll(bytes.len() + 1);
                bytes.splice(to..to, copy);
            }
            _ => {
                let piece = PIECES[dice.roll(PIECES.len())].bytes();
                bytes.splice(at..at, piece);
            }
        }
    }
    bytes
}

fn seeds(directory: &str, extension: &str) -> Vec<Vec<u8>> {
    let directory = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join(directory);
    let mut paths: Vec<PathBuf> = fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().path()).collect();
    paths.retain(|path| path.extension().is_some_and(|e| e == extension));
    paths.sort();
    paths.iter().map(|path| fs::read(path).unwrap()).collect()
}

fn run(seeds: &[Vec<u8>], runs: u32, target: fn(&[u8])) {
    assert!(!seeds.is_empty());
    let mut dice = Dice(0x9E37_79B9_7F4A_7C15);
    for run in 0..runs {
        let mutated = mutate(&seeds[dice.roll(seeds.len())], &mut dice);
        if std::panic::catch_unwind(|| target(&mutated)).is_err() {
            panic!("run {run} fails on {:?}", String::from_utf8_lossy(&mutated));
        }
    }
}

#[test]
fn mutated_ldirectord_files_keep_every_promise() {
    let mut seeds = seeds("../../tests/conformance/ldirectord", "cf");
    seeds.extend(self::seeds("tests/setups", "cf"));
    run(&seeds, RUNS, fuzzing::ldirectord);
}

#[test]
fn mutated_keepalived_files_keep_every_promise() {
    let mut seeds = seeds("../../tests/conformance/keepalived", "conf");
    seeds.extend(self::seeds("tests/setups", "conf"));
    // One of them is there to reach a bound, which takes its time.
    seeds.retain(|seed| seed.len() < 8192);
    // Each reads several files, and blocks are larger than lines.
    run(&seeds, RUNS / 3, fuzzing::keepalived);
}

#[test]
fn mutated_files_of_heartbeat_keep_every_promise() {
    run(&seeds("../../tests/conformance/heartbeat", "cf"), RUNS, fuzzing::heartbeat);
}

#[test]
fn mutated_native_files_keep_every_promise() {
    let mut outputs = seeds("../../tests/conformance/ldirectord", "out");
    outputs.extend(seeds("../../tests/conformance/heartbeat", "out"));
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let mut native: Vec<Vec<u8>> = outputs
        .iter()
        .filter_map(|out| text(out).split_once("---\n").map(|(_, toml)| toml.as_bytes().to_vec()))
        .filter(|toml| toml.starts_with(b"["))
        .collect();
    native.extend(seeds("tests/golden", "toml"));
    run(&native, RUNS, fuzzing::native);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 500, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_text_at_all_keeps_every_promise(text in "(?s)(virtual=|real=|\t|    |[a-z]{1,12}|=|.|\n){0,60}") {
        fuzzing::ldirectord(text.as_bytes());
        fuzzing::native(text.as_bytes());
    }

    #[test]
    fn any_blocks_at_all_keep_every_promise(
        text in "(?s)(virtual_server |real_server |vrrp_instance |[a-z_]{1,12} |[{}\n]|[$~@\"'\\\\]|.|\n){0,60}"
    ) {
        fuzzing::keepalived(text.as_bytes());
    }

    #[test]
    fn any_words_of_heartbeat_keep_every_promise(
        text in "(?s)(node ha1\n|bcast eth0\n|ucast |=== authkeys\n|=== haresources\n|[0-9]{1,3} |::|[a-z_0-9/.]{1,9} |[=,#\\\\]|.|\n){0,60}"
    ) {
        fuzzing::heartbeat(text.as_bytes());
    }

    #[test]
    fn any_bytes_at_all_keep_every_promise(bytes: Vec<u8>) {
        fuzzing::ldirectord(&bytes);
        fuzzing::keepalived(&bytes);
        fuzzing::heartbeat(&bytes);
        fuzzing::native(&bytes);
    }
}
