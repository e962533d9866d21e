//! `cargo xtask test`: everything a change must pass, and one summed line at the end.

use std::io::{BufRead, BufReader, IsTerminal, Write};
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc;
use std::time::{Duration, Instant};

use crate::bench::host;
use crate::ebpf::{self, Checked, OBJECT_SETTING};
use crate::process::{cargo, is_root, probe, root, run as execute};
use crate::summary::{Reader, Summary};
use crate::{install, lab};

/// The whole of `cargo test` on two cores, a build from nothing included; a test that hangs ends here.
const TEST_LIMIT: Duration = Duration::from_secs(30 * 60);
/// Every fuzz target runs for this long: it shows that the target works, finding things is for longer runs.
const FUZZ_SECONDS: u32 = 5;
/// The coverage instrumentation libFuzzer feeds on; the stable compiler has it without the address sanitizer.
const FUZZ_FLAGS: &[&str] = &[
    "--cfg=fuzzing",
    "-Cpasses=sancov-module",
    "-Cllvm-args=-sanitizer-coverage-level=4",
    "-Cllvm-args=-sanitizer-coverage-inline-8bit-counters",
    "-Cllvm-args=-sanitizer-coverage-pc-table",
    "-Ccodegen-units=1",
    "-Cdebug-assertions=on",
    "-Coverflow-checks=on",
];

pub(crate) fn run() -> Result<(), String> {
    let begun = Instant::now();
    install::test_packages()?;
    let mut summary = Summary::default();
    let mut step = |name: &str, outcome: Result<(), String>| {
        match &outcome {
            Ok(()) => println!("test: {name}: ok"),
            Err(message) => println!("test: {name}: FAILED: {message}"),
        }
        summary.check(outcome.is_ok());
    };
    step("format", execute(cargo().args(["fmt", "--all", "--check"])));
    // Outside of the workspace, so that `--all` does not reach it.
    let program = ["fmt", "--manifest-path", "ebpf/program/Cargo.toml", "--check"];
    step("format of the eBPF program", execute(cargo().args(program)));
    step(
        "clippy",
        execute(cargo().args(["clippy", "--workspace", "--all-targets", "--quiet", "--", "-D", "warnings"])),
    );
    step("eBPF sources", ebpf::check_sources());
    let rebuilt = install::bpf_toolchain().and_then(|()| ebpf::rebuild());
    step("eBPF object", rebuilt.as_ref().map(|_| ()).map_err(Clone::clone));
    let object = match rebuilt {
        Ok(Checked::Rebuilt(path)) => Some(path),
        Ok(Checked::Reproduced) | Err(_) => None,
    };
    match rust_tests(object) {
        Ok(tests) => summary.add(tests),
        Err(message) => {
            println!("test: cargo test: FAILED: {message}");
            summary.check(false);
        }
    }
    summary.add(fuzz());
    println!("test: {} s in all", begun.elapsed().as_secs());
    println!("{summary}");
    if summary.failed == 0 { Ok(()) } else { Err(format!("{} failed", summary.failed)) }
}

/// `cargo test` of the whole workspace, with its output streamed and counted.
fn rust_tests(object: Option<PathBuf>) -> Result<Summary, String> {
    let evenkeel = lab::build()?;
    let mut command = cargo();
    command
        .args(["test", "--workspace", "--no-fail-fast", "--", "--show-output"])
        .env("EVENKEEL_PROGRAM", evenkeel)
        .stdin(Stdio::null())
        .stdout(Stdio::piped());
    if let Some(object) = object {
        command.env(OBJECT_SETTING, object);
    }
    if !is_root() {
        if probe("sudo", &["--version"]).is_some() {
            eprintln!("xtask: using sudo: tests with real packets make network namespaces and load eBPF programs");
            execute(Command::new("sudo").arg("--validate"))?;
            command.env(format!("CARGO_TARGET_{}_RUNNER", host()?), "sudo --preserve-env --");
        } else {
            eprintln!("xtask: not root and no sudo: tests that need root will say that they are skipped");
        }
    }
    // A group of its own can be ended as a whole. On a terminal that would cut sudo off from the keyboard.
    let group = !std::io::stdin().is_terminal();
    if group {
        command.process_group(0);
    }
    let mut child = command.spawn().map_err(|e| format!("cannot start cargo test: {e}"))?;
    let mut reader = Reader::default();
    let in_time = follow(&mut child, &mut reader)?;
    if !in_time {
        println!("test: cargo test took longer than {} minutes and is ended", TEST_LIMIT.as_secs() / 60);
        end(&mut child, group)?;
    }
    let status = child.wait().map_err(|e| format!("cannot wait for cargo test: {e}"))?;
    reader.finish();
    // A build that fails, or a limit reached, fails without any test to blame.
    if !status.success() && reader.total.failed == 0 {
        reader.total.check(false);
    }
    Ok(reader.total)
}

/// Shows the output as it comes; says whether it ended in time.
fn follow(child: &mut Child, reader: &mut Reader) -> Result<bool, String> {
    let stdout = child.stdout.take().ok_or("cargo test has no output")?;
    let (sender, lines) = mpsc::sync_channel(1024);
    std::thread::spawn(move || {
        for line in BufReader::new(stdout).split(b'\n').map_while(Result::ok) {
            if sender.send(String::from_utf8_lossy(&line).into_owned()).is_err() {
                return;
            }
        }
    });
    let end = Instant::now() + TEST_LIMIT;
    loop {
        match lines.recv_timeout(end.saturating_duration_since(Instant::now())) {
            Ok(line) => {
                if reader.line(&line) {
                    println!("{line}");
                    let _ = std::io::stdout().flush();
                }
            }
            Err(mpsc::RecvTimeoutError::Disconnected) => return Ok(true),
            Err(mpsc::RecvTimeoutError::Timeout) => return Ok(false),
        }
    }
}

fn end(child: &mut Child, group: bool) -> Result<(), String> {
    let pid = i32::try_from(child.id()).ok().and_then(rustix::process::Pid::from_raw).ok_or("cargo test has no pid")?;
    let kill = rustix::process::Signal::KILL;
    let done =
        if group { rustix::process::kill_process_group(pid, kill) } else { rustix::process::kill_process(pid, kill) };
    done.map_err(|e| format!("cannot end cargo test: {e}"))
}

/// A short run of every fuzz target.
fn fuzz() -> Summary {
    let mut summary = Summary::default();
    let manifest = root().join("fuzz/Cargo.toml");
    if !manifest.is_file() {
        println!("test: fuzz: FAILED: there is no fuzz/Cargo.toml");
        summary.check(false);
        return summary;
    }
    let folder = lab::target().join("fuzz");
    let mut build = cargo();
    build.args(["build", "--quiet", "--release", "--bins", "--manifest-path"]).arg(&manifest);
    build.arg("--target-dir").arg(&folder).env("CARGO_ENCODED_RUSTFLAGS", FUZZ_FLAGS.join("\x1f"));
    // With the host named as target, build scripts and macros stay free of the instrumentation.
    let host = host_triple();
    build.args(["--target", &host]);
    if let Err(message) = execute(&mut build) {
        println!("test: fuzz: FAILED: {message}");
        summary.check(false);
        return summary;
    }
    for name in fuzz_targets() {
        let corpus = folder.join("corpus").join(&name);
        let begun = std::fs::create_dir_all(&corpus).map_err(|e| format!("cannot make {}: {e}", corpus.display()));
        let program = folder.join(&host).join("release").join(&name);
        let mut command = Command::new(program);
        command.arg(format!("-max_total_time={FUZZ_SECONDS}")).args(["-print_final_stats=0", "-verbosity=0"]);
        command.arg(format!("-artifact_prefix={}/", folder.display())).arg(&corpus);
        let seeds = root().join("fuzz/seeds").join(&name);
        if seeds.is_dir() {
            command.arg(seeds);
        }
        let outcome = begun.and_then(|()| execute(&mut command));
        println!(
            "test: fuzz {name}: {}",
            outcome.as_ref().map_or_else(|message| format!("FAILED: {message}"), |()| "ok".into())
        );
        summary.check(outcome.is_ok());
    }
    summary
}

fn host_triple() -> String {
    let text = probe("rustc", &["-vV"]).unwrap_or_default();
    text.lines().find_map(|line| line.strip_prefix("host: ")).unwrap_or("x86_64-unknown-linux-gnu").to_owned()
}

/// The names of the files in fuzz/fuzz_targets, which are the names of the targets.
fn fuzz_targets() -> Vec<String> {
    let entries = std::fs::read_dir(root().join("fuzz/fuzz_targets")).into_iter().flatten().flatten();
    let mut names: Vec<String> = entries
        .map(|entry| entry.path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "rs"))
        .filter_map(|path| path.file_stem().map(|stem| stem.to_string_lossy().into_owned()))
        .collect();
    names.sort();
    names
}
