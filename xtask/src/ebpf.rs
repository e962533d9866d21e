//! The committed eBPF object: built here, and checked against its sources.
//!
//! `evenkeel.toml` beside the object records the hash of the sources, of the object and the versions of the tools. The
//! hash of the sources must always agree. The same tools must give the same bytes; other versions of them (Debian's
//! toolchain rolls) give another object, which is then the one the packet tests have to run.

use std::fmt;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::install::{self, LLVM};
use crate::lab::target;
use crate::process::{cargo, root, run};

const OBJECT: &str = "crates/dataplane-ebpf/object/evenkeel.o";
const RECORD: &str = "crates/dataplane-ebpf/object/evenkeel.toml";
const PROGRAM: &str = "ebpf/program";
/// The binary of that package which is the packet path.
const NAME: &str = "evenkeel";
/// Binaries of that package which are not.
const OTHERS: &str = "ebpf/program/src/bin";
const TARGET: &str = "bpfel-unknown-none";
/// Everything the bytes of the object depend on, besides the tools.
const SOURCES: &[&str] = &[
    "ebpf/abi/Cargo.toml",
    "ebpf/abi/src",
    "ebpf/program/.cargo",
    "ebpf/program/Cargo.lock",
    "ebpf/program/Cargo.toml",
    "ebpf/program/src",
];
/// Name of the packet tests' setting: the object to load instead of the committed one.
pub(crate) const OBJECT_SETTING: &str = "EVENKEEL_EBPF_OBJECT";
/// Name of the benchmarks' setting: the object with their driver and the programs to compare with.
pub(crate) const BENCH_SETTING: &str = "EVENKEEL_EBPF_BENCH_OBJECT";

/// What `check` found, when nothing is wrong.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Checked {
    /// The recorded tools are installed and gave the committed bytes.
    Reproduced,
    /// Other tools are installed; what they built is in this file, for the packet tests to run.
    Rebuilt(PathBuf),
}

impl fmt::Display for Checked {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Reproduced => write!(f, "build-ebpf: the committed object is reproduced byte for byte"),
            Self::Rebuilt(path) => write!(
                f,
                "build-ebpf: the installed tools are not the recorded ones; run the packet tests with {OBJECT_SETTING}={}",
                path.display()
            ),
        }
    }
}

/// Builds the object and its record in place.
pub(crate) fn build() -> Result<(), String> {
    install::bpf_toolchain()?;
    let tools = Tools::installed()?;
    let object = root().join(OBJECT);
    let folder = object.parent().ok_or("the object has no directory")?;
    std::fs::create_dir_all(folder).map_err(|e| format!("cannot make {}: {e}", folder.display()))?;
    compile(NAME, &object)?;
    let record = Record { sources: sources_hash()?, object: file_hash(&object)?, tools };
    let path = root().join(RECORD);
    std::fs::write(&path, record.to_string()).map_err(|e| format!("cannot write {}: {e}", path.display()))?;
    println!("build-ebpf: wrote {OBJECT}, {} bytes", length(&object)?);
    Ok(())
}

/// Fails unless the committed object is what its sources give.
pub(crate) fn check() -> Result<Checked, String> {
    check_sources()?;
    install::bpf_toolchain()?;
    rebuild()
}

/// The half of the check that needs no tools: the record speaks of these sources and of this object.
pub(crate) fn check_sources() -> Result<(), String> {
    let record = Record::read()?;
    let sources = sources_hash()?;
    if sources != record.sources {
        return Err(format!(
            "the sources of the eBPF program are not those of {OBJECT} (hash {sources}, recorded {}): run `cargo xtask \
             build-ebpf` and commit the object",
            record.sources
        ));
    }
    let object = file_hash(&root().join(OBJECT))?;
    if object != record.object {
        return Err(format!("{OBJECT} has the hash {object}, {RECORD} says {}", record.object));
    }
    Ok(())
}

/// The other half: builds again and compares.
pub(crate) fn rebuild() -> Result<Checked, String> {
    let record = Record::read()?;
    let tools = Tools::installed()?;
    let rebuilt = target().join("ebpf/evenkeel.o");
    compile(NAME, &rebuilt)?;
    if tools != record.tools {
        eprintln!("xtask: installed {tools:?}, recorded {:?}", record.tools);
        return Ok(Checked::Rebuilt(rebuilt));
    }
    let hash = file_hash(&rebuilt)?;
    if hash == record.object {
        return Ok(Checked::Reproduced);
    }
    Err(format!("the recorded tools now give an object of hash {hash}, the committed one has {}", record.object))
}

/// Builds the programs of the packet benchmark and says where their object is; it is not committed.
pub(crate) fn build_bench() -> Result<PathBuf, String> {
    install::bpf_toolchain()?;
    let object = target().join("ebpf/bench.o");
    compile("bench", &object)?;
    Ok(object)
}

/// Compiles a program and strips what describes the building machine; `.BTF` stays.
fn compile(program: &str, object: &Path) -> Result<(), String> {
    let target = target().join("ebpf");
    let home = std::env::var_os("CARGO_HOME").map(PathBuf::from);
    let home = home.or_else(|| std::env::home_dir().map(|home| home.join(".cargo"))).ok_or("there is no home")?;
    let mut flags = vec![
        "-C".to_owned(),
        "target-cpu=v3".to_owned(),
        "-C".to_owned(),
        "link-arg=--btf".to_owned(),
        // Paths end up in the line information of .BTF, which the kernel shows in its verifier log.
        format!("--remap-path-prefix={}=/b", root().display()),
        format!("--remap-path-prefix={}=/c", home.display()),
    ];
    // Which registry the crates came from is no part of the program. Of several prefixes that fit, the last one counts.
    for sources in std::fs::read_dir(home.join("registry/src")).into_iter().flatten().flatten() {
        flags.push(format!("--remap-path-prefix={}=/c", sources.path().display()));
    }
    let mut command = cargo();
    command
        .current_dir(root().join(PROGRAM))
        .args(["build", "--release", "--locked", "--bin", program, "--target", TARGET, "--target-dir"])
        .arg(&target)
        // Debian's compiler has `core` for this target; its library needs features a stable compiler locks.
        .env("RUSTC", "/usr/bin/rustc")
        .env("RUSTC_WRAPPER", std::env::current_exe().map_err(|e| format!("cannot find this program: {e}"))?)
        .env(WRAPPER, "1")
        .env("RUSTC_BOOTSTRAP", "1")
        .env("CARGO_ENCODED_RUSTFLAGS", flags.join("\x1f"))
        .env_remove("RUSTFLAGS")
        .env_remove("RUSTUP_TOOLCHAIN");
    run(&mut command)?;
    let built = target.join(TARGET).join("release").join(program);
    let unstripped = object.with_extension("new");
    std::fs::copy(&built, &unstripped).map_err(|e| format!("cannot copy {}: {e}", built.display()))?;
    run(Command::new(format!("{LLVM}/bin/llvm-strip")).arg("-g").arg(&unstripped))?;
    std::fs::rename(&unstripped, object).map_err(|e| format!("cannot write {}: {e}", object.display()))
}

/// Set while this program stands between cargo and the compiler.
pub(crate) const WRAPPER: &str = "EVENKEEL_XTASK_COMPILES";
/// Crates whose names are in the object.
const NAMED: [&str; 3] = ["evenkeel", "bench", "evenkeel_abi"];

/// Runs the compiler as cargo wants it, but with the crate's name where cargo has a hash of this checkout's path: the hash
/// would be in the names of functions, and no other checkout would give the same bytes.
pub(crate) fn compile_steadily(arguments: &[String]) -> Result<(), String> {
    let [compiler, arguments @ ..] = arguments else { return Err("there is no compiler to run".to_owned()) };
    let status = Command::new(compiler).args(steady(arguments)).status();
    let status = status.map_err(|e| format!("cannot run {compiler}: {e}"))?;
    if status.success() { Ok(()) } else { Err(format!("{compiler} failed")) }
}

/// The compiler's arguments with a steady hash.
fn steady(arguments: &[String]) -> Vec<String> {
    let name = arguments.iter().skip_while(|word| *word != "--crate-name").nth(1);
    let Some(name) = name.filter(|name| NAMED.contains(&name.as_str())) else { return arguments.to_vec() };
    let word = |word: &String| if word.starts_with("metadata=") { format!("metadata={name}") } else { word.clone() };
    arguments.iter().map(word).collect()
}

#[derive(Debug, PartialEq, Eq)]
struct Tools {
    rustc_web: String,
    bpf_linker: String,
    llvm: String,
}

impl Tools {
    fn installed() -> Result<Self, String> {
        let package = |name| install::package_version(name).ok_or(format!("{name} is not installed"));
        Ok(Self {
            rustc_web: package("rustc-web")?,
            bpf_linker: install::bpf_linker_version().ok_or("bpf-linker is not installed")?,
            llvm: package("llvm-22-dev")?,
        })
    }
}

#[derive(Debug, PartialEq, Eq)]
struct Record {
    sources: String,
    object: String,
    tools: Tools,
}

impl Record {
    fn read() -> Result<Self, String> {
        let path = root().join(RECORD);
        let text = std::fs::read_to_string(&path).map_err(|e| format!("cannot read {RECORD}: {e}"))?;
        Self::parse(&text)
    }

    fn parse(text: &str) -> Result<Self, String> {
        let get = |key| {
            let found = text.lines().find_map(|line| value(line, key));
            found.map(str::to_owned).ok_or_else(|| format!("{RECORD} does not say `{key}`"))
        };
        let tools = Tools { rustc_web: get("rustc-web")?, bpf_linker: get("bpf-linker")?, llvm: get("llvm")? };
        Ok(Self { sources: get("sources")?, object: get("object")?, tools })
    }
}

impl fmt::Display for Record {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "# Written by `cargo xtask build-ebpf`: what evenkeel.o was built from, and with what.")?;
        writeln!(f, "sources = \"{}\"", self.sources)?;
        writeln!(f, "object = \"{}\"", self.object)?;
        writeln!(f, "rustc-web = \"{}\"", self.tools.rustc_web)?;
        writeln!(f, "bpf-linker = \"{}\"", self.tools.bpf_linker)?;
        writeln!(f, "llvm = \"{}\"", self.tools.llvm)
    }
}

/// The text of `key = "text"`.
fn value<'a>(line: &'a str, key: &str) -> Option<&'a str> {
    let (name, text) = line.split_once('=')?;
    (name.trim() == key).then(|| text.trim().trim_matches('"'))
}

/// One hash over the names and the hashes of all source files, in the order of their names.
fn sources_hash() -> Result<String, String> {
    let mut files = Vec::new();
    for source in SOURCES {
        collect(&root().join(source), &mut files)?;
    }
    files.sort();
    let mut list = String::new();
    for file in &files {
        let name = file.strip_prefix(root()).unwrap_or(file);
        list.push_str(&format!("{}  {}\n", file_hash(file)?, name.display()));
    }
    hash(Stdio::piped(), Some(list.as_bytes()))
}

/// `path` itself when it is a file, all files below it when it is a directory, nothing when it does not exist.
fn collect(path: &Path, files: &mut Vec<PathBuf>) -> Result<(), String> {
    if path.ends_with(OTHERS) {
        return Ok(());
    }
    if path.is_file() {
        files.push(path.to_path_buf());
        return Ok(());
    }
    let Ok(entries) = std::fs::read_dir(path) else { return Ok(()) };
    for entry in entries {
        let entry = entry.map_err(|e| format!("cannot list {}: {e}", path.display()))?;
        collect(&entry.path(), files)?;
    }
    Ok(())
}

fn file_hash(path: &Path) -> Result<String, String> {
    let file = std::fs::File::open(path).map_err(|e| format!("cannot open {}: {e}", path.display()))?;
    hash(Stdio::from(file), None)
}

/// SHA-256 as `sha256sum` of coreutils computes it, so that anybody can repeat it by hand.
fn hash(stdin: Stdio, bytes: Option<&[u8]>) -> Result<String, String> {
    let failed = |e| format!("cannot run sha256sum: {e}");
    let mut child = Command::new("sha256sum").stdin(stdin).stdout(Stdio::piped()).spawn().map_err(failed)?;
    if let (Some(mut pipe), Some(bytes)) = (child.stdin.take(), bytes) {
        pipe.write_all(bytes).map_err(failed)?;
    }
    let done = child.wait_with_output().map_err(failed)?;
    let text = String::from_utf8_lossy(&done.stdout).into_owned();
    let sum = text.split_whitespace().next().filter(|sum| done.status.success() && sum.len() == 64);
    sum.map(str::to_owned).ok_or_else(|| "sha256sum gave no sum".to_owned())
}

fn length(path: &Path) -> Result<u64, String> {
    std::fs::metadata(path).map(|m| m.len()).map_err(|e| format!("cannot look at {}: {e}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_reads_back_as_it_was_written() {
        let tools = Tools { rustc_web: "1.96.0-1".into(), bpf_linker: "0.13.0".into(), llvm: "1:22.1".into() };
        let record = Record { sources: "ab".into(), object: "cd".into(), tools };
        assert_eq!(Record::parse(&record.to_string()), Ok(record));
    }

    #[test]
    fn a_record_without_a_hash_is_refused() {
        assert_eq!(
            Record::parse("sources = \"ab\"\nrustc-web = \"1\"\nbpf-linker = \"2\"\nllvm = \"3\"\n"),
            Err(format!("{RECORD} does not say `object`"))
        );
    }

    #[test]
    fn names_do_not_depend_on_the_checkout() {
        let words = |line: &str| line.split(' ').map(str::to_owned).collect::<Vec<_>>();
        let ours = words("--crate-name evenkeel -C metadata=12ab -C extra-filename=-12ab");
        assert_eq!(steady(&ours), words("--crate-name evenkeel -C metadata=evenkeel -C extra-filename=-12ab"));
        let other = words("--crate-name aya_ebpf -C metadata=12ab");
        assert_eq!(steady(&other), other);
    }

    #[test]
    fn the_hash_is_sha_256() {
        let expected = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
        assert_eq!(hash(Stdio::piped(), Some(b"abc")), Ok(expected.to_owned()));
    }
}
