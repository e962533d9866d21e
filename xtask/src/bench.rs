//! `cargo xtask bench [NAME...]`: runs the benchmarks of the workspace in release and writes docs/benchmarks.md; with names
//! only those, whose sections it puts in the place of the same ones.
//!
//! A benchmark is a `[[bench]]` target with `harness = false` whose standard output is sections of that page, in
//! Markdown; its progress goes to standard error. It runs as root, since loading programs needs it, and finds the object
//! with the driver and the programs to compare with where `EVENKEEL_EBPF_BENCH_OBJECT` says.

use std::process::Stdio;

use serde_json::Value;

use crate::ebpf::{self, BENCH_SETTING};
use crate::process::{cargo, is_root, output, root};
use crate::tidy::compiler;

const PAGE: &str = "docs/benchmarks.md";

pub(crate) fn run(names: &[&str]) -> Result<(), String> {
    let metadata = output(cargo().args(["metadata", "--format-version", "1", "--no-deps"]))?;
    let metadata: Value = serde_json::from_str(&metadata).map_err(|e| format!("cannot read cargo metadata: {e}"))?;
    let mut benchmarks = benchmarks(&metadata);
    if benchmarks.is_empty() {
        return Err("the workspace has no benchmark".into());
    }
    if let Some(unknown) = names.iter().find(|name| benchmarks.iter().all(|(_, known)| known != *name)) {
        let known: Vec<&str> = benchmarks.iter().map(|(_, name)| name.as_str()).collect();
        return Err(format!("there is no benchmark {unknown}; there are {}", known.join(", ")));
    }
    let head = format!("# Benchmarks\n\nWritten by `cargo xtask bench`. {}\n", machine());
    let mut page = head.clone();
    if !names.is_empty() {
        page = std::fs::read_to_string(root().join(PAGE)).map_err(|e| format!("cannot read {PAGE}: {e}"))?;
        if !page.starts_with(&head) {
            return Err(format!("{PAGE} is from another machine, kernel or compiler: run all benchmarks"));
        }
        benchmarks.retain(|(_, name)| names.contains(&name.as_str()));
    }
    let object = ebpf::build_bench()?;
    for (package, name) in &benchmarks {
        let mut command = cargo();
        command.args(["bench", "--quiet", "--package", package, "--bench", name]).stdin(Stdio::null());
        command.env(BENCH_SETTING, &object);
        if !is_root() {
            eprintln!("xtask: using sudo: the benchmarks load eBPF programs");
            command.env(format!("CARGO_TARGET_{}_RUNNER", host()?), "sudo --preserve-env --");
        }
        let sections = output(&mut command)?;
        if !sections.contains(HEADING) {
            return Err(format!("benchmark {name} has printed no section"));
        }
        page = with_sections(&page, &sections);
    }
    std::fs::write(root().join(PAGE), page).map_err(|e| format!("cannot write {PAGE}: {e}"))?;
    println!("bench: wrote {PAGE} from {} benchmarks", benchmarks.len());
    Ok(())
}

/// The page with these sections: each in the place of the one of the same heading, a new one behind the one before it.
fn with_sections(page: &str, sections: &str) -> String {
    let mut all = split(page);
    let mut at = all.len();
    for section in split(sections).into_iter().filter(|section| section.starts_with(HEADING)) {
        match all.iter().position(|known| known.lines().next() == section.lines().next()) {
            Some(known) => {
                all[known] = section;
                at = known + 1;
            }
            None => {
                all.insert(at, section);
                at += 1;
            }
        }
    }
    all.join("\n\n") + "\n"
}

const HEADING: &str = "## ";

/// What stands before the first heading, and each heading with what follows it.
fn split(text: &str) -> Vec<String> {
    let mut parts = vec![String::new()];
    for line in text.lines() {
        if line.starts_with(HEADING) {
            parts.push(String::new());
        }
        if let Some(part) = parts.last_mut() {
            part.push_str(line);
            part.push('\n');
        }
    }
    parts.iter().map(|part| part.trim().to_owned()).filter(|part| !part.is_empty()).collect()
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

#[cfg(test)]
mod tests {
    use super::with_sections;

    #[test]
    fn sections_take_the_place_of_their_like() {
        let page = "# Page\n\nText.\n\n## One\n\nold\n\n## Two\n\n| a |\n";
        assert_eq!(
            with_sections(page, "## One\n\nnew\n\n## One more\n\nfresh\n"),
            "# Page\n\nText.\n\n## One\n\nnew\n\n## One more\n\nfresh\n\n## Two\n\n| a |\n"
        );
        assert_eq!(with_sections("# Page\n", "## Three\nx"), "# Page\n\n## Three\nx\n");
    }
}
