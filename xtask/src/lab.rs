//! `cargo xtask lab`: the lab from the sources, as root only where the lab itself needs it.

use std::path::PathBuf;

use crate::process::{as_root, cargo, root, run as execute};

const REASON: &str = "the lab makes network namespaces and loads an eBPF program, and both need root";

/// `evenkeel lab dr`, with what the developer adds.
pub(crate) fn run(rest: &[&str]) -> Result<(), String> {
    let evenkeel = build()?;
    execute(as_root(evenkeel, REASON).args(["lab", "dr"]).args(rest))
}

/// `evenkeel lab clean`.
pub(crate) fn clean() -> Result<(), String> {
    let evenkeel = build()?;
    execute(as_root(evenkeel, REASON).args(["lab", "clean"]))
}

/// Builds the program and says where it is.
pub(crate) fn build() -> Result<PathBuf, String> {
    execute(cargo().args(["build", "--quiet", "--package", "evenkeel"]))?;
    Ok(target().join("debug/evenkeel"))
}

/// Where cargo puts what it builds.
pub(crate) fn target() -> PathBuf {
    std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| root().join("target"), PathBuf::from)
}
