//! What a compiler does not check: who depends on whom, where unsafe code may be, and that no file names this machine.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

use crate::process::{cargo, output, probe, root};

/// A crate may depend on crates of its own layer or a lower one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Layer {
    /// Nouns, no I/O.
    Vocabulary,
    /// Codecs that several protocols share.
    Wire,
    /// Machines of one protocol each; they do not know one another.
    Protocol,
    /// Text in, model out; messages to clients.
    Text,
    /// All machines of one node.
    Engine,
    /// The only places that touch the kernel.
    Kernel,
    /// What is built on them.
    Backend,
    /// The loops.
    Runtime,
    /// Subcommands.
    People,
    /// The binary.
    Program,
}

const LAYERS: &[(&str, Layer)] = &[
    ("evenkeel-abi", Layer::Vocabulary),
    ("evenkeel-machine", Layer::Vocabulary),
    ("evenkeel-model", Layer::Vocabulary),
    ("evenkeel-source", Layer::Vocabulary),
    ("evenkeel-wire", Layer::Wire),
    ("evenkeel-dataplane", Layer::Wire),
    ("evenkeel-bfd", Layer::Protocol),
    ("evenkeel-ftp", Layer::Protocol),
    ("evenkeel-health", Layer::Protocol),
    ("evenkeel-heartbeat", Layer::Protocol),
    ("evenkeel-ipvs-sync", Layer::Protocol),
    ("evenkeel-resource", Layer::Protocol),
    ("evenkeel-vrrp", Layer::Protocol),
    ("evenkeel-api", Layer::Text),
    ("evenkeel-config", Layer::Text),
    ("evenkeel-ipvsadm", Layer::Text),
    ("evenkeel-keepalived", Layer::Text),
    ("evenkeel-cluster", Layer::Engine),
    ("evenkeel-engine", Layer::Engine),
    ("evenkeel-netlink", Layer::Kernel),
    ("evenkeel-os", Layer::Kernel),
    ("evenkeel-agents", Layer::Backend),
    ("evenkeel-dataplane-ebpf", Layer::Backend),
    ("evenkeel-dataplane-ipvs", Layer::Backend),
    ("evenkeel-ha", Layer::Backend),
    ("evenkeel-lab", Layer::Backend),
    ("evenkeel-probe", Layer::Backend),
    ("evenkeel-realserver", Layer::Backend),
    ("evenkeel-runtime", Layer::Runtime),
    ("evenkeel-cli", Layer::People),
    ("evenkeel", Layer::Program),
    ("evenkeel-lab-tests", Layer::Program),
    ("xtask", Layer::Program),
];

/// Crates that reach the kernel or bring a runtime: nothing up to the engine may name them.
const WORLD: &[&str] = &["async-std", "aya", "hyper", "libc", "mio", "nix", "rustix", "smol", "socket2", "tokio"];

/// Runs every check and says how many there were.
pub(crate) fn run() -> Result<usize, String> {
    let metadata = output(cargo().args(["metadata", "--format-version", "1", "--no-deps", "--locked"]))?;
    let metadata: Value = serde_json::from_str(&metadata).map_err(|e| format!("cannot read cargo metadata: {e}"))?;
    let checks = [dependencies(&metadata), unsafe_code(), machine_paths()];
    let wrong: Vec<String> = checks.iter().flatten().cloned().collect();
    if wrong.is_empty() { Ok(checks.len()) } else { Err(format!("tidy found:\n  {}", wrong.join("\n  "))) }
}

fn dependencies(metadata: &Value) -> Vec<String> {
    let layers: BTreeMap<&str, Layer> = LAYERS.iter().copied().collect();
    let mut wrong = Vec::new();
    for package in metadata["packages"].as_array().into_iter().flatten() {
        let name = package["name"].as_str().unwrap_or_default();
        let Some(layer) = layers.get(name) else {
            wrong.push(format!("{name} has no layer: name it in xtask/src/tidy.rs"));
            continue;
        };
        for dependency in package["dependencies"].as_array().into_iter().flatten() {
            // What only the tests of a crate use says nothing about its direction.
            if dependency["kind"].as_str() != Some("dev") {
                let on = dependency["name"].as_str().unwrap_or_default();
                wrong.extend(edge(name, *layer, on, layers.get(on).copied()));
            }
        }
    }
    wrong
}

fn edge(name: &str, layer: Layer, on: &str, on_layer: Option<Layer>) -> Option<String> {
    let pure = layer <= Layer::Engine;
    match on_layer {
        None if pure && WORLD.contains(&on) => Some(format!("{name} is pure and may not depend on {on}")),
        None => None,
        Some(lower) if lower > layer => Some(format!("{name} ({layer:?}) may not depend on {on} ({lower:?})")),
        Some(Layer::Protocol) if layer == Layer::Protocol => {
            Some(format!("{name} and {on} are protocols: only the engine introduces them"))
        }
        Some(_) => None,
    }
}

/// The workspace denies unsafe code; only these places may take that back.
fn unsafe_code() -> Vec<String> {
    let allowed = ["crates/os/", "crates/netlink/", "crates/dataplane-ebpf/", "ebpf/", "tests/", "fuzz/"];
    let takes_back = [concat!("allow(", "unsafe_code"), concat!("expect(", "unsafe_code")];
    let mut wrong = Vec::new();
    for path in files() {
        let name = path.to_string_lossy();
        let test = name.contains("/tests/") || name.ends_with("/tests.rs");
        let text = std::fs::read_to_string(root().join(&path)).unwrap_or_default();
        if name.ends_with(".rs") && !test && !allowed.iter().any(|place| name.starts_with(place)) {
            let lines = text.lines().zip(1..).filter(|(line, _)| takes_back.iter().any(|words| line.contains(words)));
            wrong.extend(lines.map(|(_, number)| format!("{name}:{number}: unsafe code has no place in this crate")));
        }
        let places = ["crates/", "tests/", "xtask/"];
        let member = name.ends_with("/Cargo.toml") && places.iter().any(|place| name.starts_with(place));
        if member && !text.contains("[lints]\nworkspace = true") {
            wrong.push(format!("{name}: lacks `[lints] workspace = true`"));
        }
    }
    wrong
}

/// A path of the machine that wrote a file helps nobody, and breaks reproducible objects.
fn machine_paths() -> Vec<String> {
    let home = std::env::home_dir().filter(|home| home.starts_with("/home"));
    let places: Vec<String> = std::iter::once(root())
        .chain(home)
        .filter(|place| place.components().count() > 2)
        .map(|place| place.to_string_lossy().into_owned())
        .collect();
    let mut wrong = Vec::new();
    for path in files() {
        let bytes = std::fs::read(root().join(&path)).unwrap_or_default();
        for place in &places {
            if names_path(&bytes, place.as_bytes()) {
                wrong.push(format!("{}: contains the path {place}", path.display()));
            }
        }
    }
    wrong
}

/// Whether `place` is in the text as a path of its own, not as the tail of a longer one.
fn names_path(text: &[u8], place: &[u8]) -> bool {
    let starts = text.windows(place.len()).enumerate().filter(|(_, window)| *window == place);
    let word = |byte: Option<&u8>| byte.is_some_and(|b| b.is_ascii_alphanumeric() || *b == b'_' || *b == b'-');
    starts
        .into_iter()
        .any(|(at, _)| !word(at.checked_sub(1).and_then(|i| text.get(i))) && !word(text.get(at + place.len())))
}

/// The files of the project: what git tracks, or everything there is when this is no git checkout.
fn files() -> Vec<PathBuf> {
    let folder = root();
    let arguments = ["-c", "safe.directory=*", "-C", &folder.to_string_lossy(), "ls-files"];
    if let Some(list) = probe("git", &arguments) {
        return list.lines().map(PathBuf::from).collect();
    }
    let mut found = Vec::new();
    walk(&folder, &folder, &mut found);
    found.sort();
    found
}

fn walk(folder: &Path, base: &Path, found: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
        let path = entry.path();
        let ignored = ["target", ".git", "corpus", "artifacts"].iter().any(|name| entry.file_name() == *name);
        if path.is_dir() && !path.is_symlink() && !ignored {
            walk(&path, base, found);
        } else if path.is_file() {
            found.push(path.strip_prefix(base).unwrap_or(&path).to_path_buf());
        }
    }
}

/// The compiler that builds the workspace, for reports.
pub(crate) fn compiler() -> String {
    let rustc = std::env::var("RUSTC").unwrap_or_else(|_| "rustc".into());
    output(Command::new(rustc).arg("--version")).map_or_else(|_| "unknown".into(), |text| text.trim().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_tree_is_tidy() {
        assert_eq!(run().map(|_| ()), Ok(()));
    }

    #[test]
    fn an_edge_against_the_grain_is_named() {
        assert!(edge("evenkeel-model", Layer::Vocabulary, "evenkeel-os", Some(Layer::Kernel)).is_some());
        assert!(edge("evenkeel-health", Layer::Protocol, "evenkeel-vrrp", Some(Layer::Protocol)).is_some());
        assert!(edge("evenkeel-engine", Layer::Engine, "tokio", None).is_some());
        assert!(edge("evenkeel-runtime", Layer::Runtime, "tokio", None).is_none());
        assert!(edge("evenkeel-engine", Layer::Engine, "evenkeel-health", Some(Layer::Protocol)).is_none());
    }

    #[test]
    fn a_path_is_found_only_as_a_whole() {
        assert!(names_path(b"see /srv/tree/x.rs", b"/srv/tree"));
        assert!(!names_path(b"see /srv/trees/x.rs", b"/srv/tree"));
        assert!(!names_path(b"see a/srv/tree", b"/srv/tree"));
    }
}
