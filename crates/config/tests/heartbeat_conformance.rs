//! tests/conformance/heartbeat: one small set of files for each rule of ha.cf, authkeys and haresources, and what it
//! means. Behind a line such as `=== authkeys` stands another file.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod common;

use common::{HOST, golden};
use evenkeel_config::{Host, Input, Loaded, heartbeat_markdown, load_texts, to_toml};
use std::{
    fs,
    net::IpAddr,
    path::{Path, PathBuf},
};

fn cases() -> Vec<PathBuf> {
    let directory = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../tests/conformance/heartbeat");
    let mut files: Vec<PathBuf> = fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.retain(|path| path.extension().is_some_and(|e| e == "cf"));
    files.sort();
    files
}

fn mode(path: &Path) -> Option<u32> {
    match path.to_str()? {
        "/etc/init.d/nginx" => Some(0o100_755),
        "/dev" | "/proc/sys/net/ipv4/conf" => Some(0o040_755),
        "/dev/ttyS0" | "/dev/ttyS1" | "/dev/watchdog" => Some(0o020_600),
        "/proc/sys/net/ipv4/conf/eth0" | "/proc/sys/net/ipv4/conf/eth1" => Some(0o120_777),
        "/usr/lib/systemd/system/only-a-unit.service" => Some(0o100_644),
        _ => None,
    }
}

fn resolve(name: &str) -> Result<Vec<IpAddr>, String> {
    match name {
        "ha2.example.org" => Ok(vec![IpAddr::from([192, 0, 2, 2])]),
        _ => Err("host not found".to_owned()),
    }
}

fn nothing(_: &Path) -> Result<Vec<u8>, String> {
    Err("it does not exist".to_owned())
}

/// ha1, where nginx has a script and `only-a-unit` a unit of systemd.
const HA1: Host<'static> =
    Host { node: "ha1", full_name: "ha1", file_mode: &mode, resolve_host: &resolve, read_file: &nothing, ..HOST };

fn load(text: &str) -> Loaded {
    let mut inputs = vec![Input { path: "/etc/ha.d/ha.cf".into(), bytes: Vec::new() }];
    for line in text.split_inclusive('\n') {
        match line.strip_prefix("=== ") {
            Some(name) => {
                let path = Path::new("/etc/ha.d").join(name.trim_end());
                inputs.push(Input { path, bytes: Vec::new() });
            }
            None => inputs.last_mut().unwrap().bytes.extend(line.as_bytes()),
        }
    }
    load_texts(inputs, None, &HA1)
}

/// Every diagnostic with its file.
fn brief(loaded: &Loaded) -> String {
    let one = |d: &evenkeel_source::Diagnostic| {
        let place = d.place().map_or("-".to_owned(), |span| loaded.sources.place(span));
        format!("{} {} {} {}\n", d.severity.name(), d.code, place.trim_start_matches("/etc/ha.d/"), d.message)
    };
    loaded.diagnostics.iter().map(one).collect()
}

#[test]
fn every_rule_reads_as_written_down() {
    let cases = cases();
    assert!(cases.len() > 100, "only {} cases found", cases.len());
    for path in cases {
        let loaded = load(&fs::read_to_string(&path).unwrap());
        let meaning = loaded.cluster.as_ref().map_or("no cluster\n".to_owned(), to_toml);
        golden(&path.with_extension("out").to_string_lossy(), &format!("{}---\n{meaning}", brief(&loaded)));
        if let Some(cluster) = loaded.cluster {
            let input = Input { path: "evenkeel.toml".into(), bytes: meaning.into() };
            let again = load_texts(vec![input], None, &HA1);
            assert_eq!(again.cluster, Some(cluster), "{}: {:#?}", path.display(), again.diagnostics);
        }
    }
}

#[test]
fn every_directive_has_a_case() {
    let texts: Vec<String> = cases().iter().map(|path| fs::read_to_string(path).unwrap()).collect();
    let table = heartbeat_markdown();
    let directives: Vec<&str> = table
        .lines()
        .take_while(|line| *line != "## Resources of haresources")
        .filter_map(|line| line.strip_prefix("| `")?.split('`').next())
        .collect();
    assert!(directives.len() > 50);
    for directive in directives {
        let is_used = |text: &String| {
            text.lines().any(|line| line.strip_prefix(directive).is_some_and(|rest| rest.starts_with(' ')))
        };
        assert!(texts.iter().any(is_used), "no case for {directive}");
    }
}
