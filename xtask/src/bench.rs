//! `cargo xtask bench`: runs every benchmark of the workspace in release and writes docs/benchmarks.md.
//!
//! A benchmark is a `[[bench]]` target with `harness = false` whose standard output is a section of that page, in
//! Markdown; its progress goes to standard error. It runs as root, since loading programs needs it, and finds the object
//! with the driver and the programs to compare with where `EVENKEEL_EBPF_BENCH_OBJECT` says.

use std::process::Stdio;

use serde_json::Value;

use crate::ebpf::{self, BENCH_SETTING};
use crate::process::{cargo, is_root, output, root};
use crate::tidy::compiler;

const PAGE: &str = "docs/benchmarks.md";

pub(crate) fn run() -> Result<(), String> {
    let metadata = output(cargo().args(["metadata", "--format-version", "1", "--no-deps"]))?;
    let metadata: Value = serde_json::from_str(&metadata).map_err(|e| format!("cannot read cargo metadata: {e}"))?;
    let benchmarks = benchmarks(&metadata);
    if benchmarks.is_empty() {
        return Err("the workspace has no benchmark".into());
    }
    let object = ebpf::build_bench()?;
    let mut page = format!("# Benchmarks\n\nWritten by `cargo xtask bench`. {}\n", machine());
    for (package, name) in &benchmarks {
        let mut command = cargo();
        command.args(["bench", "--quiet", "--package", package, "--bench", name]).stdin(Stdio::null());
        command.env(BENCH_SETTING, &object);
        if !is_root() {
            eprintln!("xtask: using sudo: the benchmarks load eBPF programs");
            command.env(format!("CARGO_TARGET_{}_RUNNER", host()?), "sudo --preserve-env --");
        }
        page.push('\n');
        page.push_str(output(&mut command)?.trim());
        page.push('\n');
    }
    std::fs::write(root().join(PAGE), page).map_err(|e| format!("cannot write {PAGE}: {e}"))?;
    println!("bench: wrote {PAGE} from {} benchmarks", benchmarks.len());
    Ok(())
}

fn benchmarks(metadata: &Value) -> Vec<(String, String)> {
    let mut found = Vec::new();
    for package in metadata["packages"].as_array().into_iter().flatten() {
        for target in package["targets"].as_array().into_iter().flatten() {
            let kinds = target["kind"].as_array().into_iter().flatten();
            if kinds.into_iter().any(|kind| kind == "bench")
                && let (Some(package), Some(name)) = (package["name"].as_str(), target["name"].as_str())
            {
                found.push((package.to_owned(), name.to_owned()));
            }
        }
    }
    found
}

/// The host's target as cargo writes it in names of settings.
pub(crate) fn host() -> Result<String, String> {
    let text = output(std::process::Command::new("rustc").arg("-vV"))?;
    let host = text.lines().find_map(|line| line.strip_prefix("host: ")).ok_or("rustc does not name its host")?;
    Ok(host.to_uppercase().replace(['-', '.'], "_"))
}

/// One sentence on where the numbers come from.
fn machine() -> String {
    let cpu = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model = cpu.lines().find_map(|line| line.strip_prefix("model name")?.split_once(": ").map(|(_, name)| name));
    let cpus = std::thread::available_parallelism().map_or(1, usize::from);
    let kernel = std::fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    let release = kernel.trim().split('-').next().unwrap_or_default();
    format!("This run: {cpus} CPUs ({}), Linux {release}, {}.", model.unwrap_or("model unknown"), compiler())
}
