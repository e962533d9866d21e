//! `cargo xtask test`: everything a change must pass, and one summed line at the end.

use std::io::{BufRead, BufReader, IsTerminal};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc;
use std::time::{Duration, Instant};

use crate::bench::host;
use crate::ebpf::{self, Checked, OBJECT_SETTING};
use crate::process::{cargo, is_root, probe, quietly, root, run as execute};
use crate::summary::{Reader, Summary};
use crate::{install, lab};

/// All tests on two cores, which take half of it; a test that hangs ends here.
const TEST_LIMIT: Duration = Duration::from_secs(45 * 60);
/// The package whose tests build networks and play with them.
const LAB_TESTS: &str = "evenkeel-lab-tests";
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
    summary.check("format", execute(cargo().args(["fmt", "--all", "--check"])));
    // Outside of the workspace, so that `--all` does not reach it.
    let program = ["fmt", "--manifest-path", "ebpf/program/Cargo.toml", "--check"];
    summary.check("format of the eBPF program", execute(cargo().args(program)));
    let clippy = ["clippy", "--workspace", "--all-targets", "--quiet", "--", "-D", "warnings"];
    summary.check("clippy", execute(cargo().args(clippy)));
    summary.check("eBPF sources", ebpf::check_sources());
    let rebuilt = install::bpf_toolchain().and_then(|()| ebpf::rebuild());
    summary.check("eBPF object", rebuilt.as_ref().map(|_| ()).map_err(Clone::clone));
    let object = match rebuilt {
        Ok(Checked::Rebuilt(path)) => Some(path),
        Ok(Checked::Reproduced) | Err(_) => None,
    };
    let built = execute(cargo().args(["test", "--workspace", "--no-run", "--quiet"]));
    let can_test = built.is_ok();
    summary.check("build of the tests", built);
    if can_test {
        match rust_tests(object.as_deref()) {
            Ok(tests) => summary.add(tests),
            Err(message) => summary.fail(format!("cargo test: {message}")),
        }
    }
    fuzz(&mut summary);
    println!("test: {} s in all", begun.elapsed().as_secs());
    println!("{summary}");
    if summary.failed == 0 { Ok(()) } else { Err(format!("{} failed", summary.failed)) }
}

/// `cargo test` of the whole workspace, counted: the tests of the lab, which mostly wait for something to happen, are shown
/// as they go, and beside them run all others, which give way to them and are shown when they are through.
fn rust_tests(object: Option<&Path>) -> Result<Summary, String> {
    let evenkeel = lab::build()?;
    let sudo = !is_root() && probe("sudo", &["--version"]).is_some();
    if sudo {
        eprintln!("xtask: using sudo: tests with real packets make network namespaces and load eBPF programs");
        execute(Command::new("sudo").arg("--validate"))?;
    } else if !is_root() {
        eprintln!("xtask: not root and no sudo: tests that need root will say that they are skipped");
    }
    let runner = if sudo { Some(format!("CARGO_TARGET_{}_RUNNER", host()?)) } else { None };
    let run = |mut command: Command, packages: &[&str], show: &mut dyn FnMut(String)| {
        command.arg("test").args(packages).args(["--no-fail-fast", "--", "--show-output"]);
        command.current_dir(root()).env("EVENKEEL_PROGRAM", &evenkeel).stdin(Stdio::null()).stdout(Stdio::piped());
        if let Some(object) = object {
            command.env(OBJECT_SETTING, object);
        }
        if let Some(runner) = &runner {
            command.env(runner, "sudo --preserve-env --");
        }
        counted(command, show)
    };
    std::thread::scope(|scope| {
        let others = scope.spawn(|| {
            let mut command = Command::new("nice");
            command.args(["-n", "19"]).arg(cargo().get_program());
            let mut lines = String::new();
            let total = run(command, &["--workspace", "--exclude", LAB_TESTS], &mut |line| lines += &(line + "\n"));
            print!("{lines}");
            total
        });
        let lab = run(cargo(), &["--package", LAB_TESTS], &mut |line| println!("{line}"));
        let mut total = others.join().map_err(|_| "a thread has panicked")??;
        total.add(lab?);
        Ok(total)
    })
}

/// Runs it, showing what is worth it, and adds its tests up.
fn counted(mut command: Command, show: &mut dyn FnMut(String)) -> Result<Summary, String> {
    // A group of its own can be ended as a whole. On a terminal that would cut sudo off from the keyboard.
    let group = !std::io::stdin().is_terminal();
    if group {
        command.process_group(0);
    }
    let mut child = command.spawn().map_err(|e| format!("cannot start cargo test: {e}"))?;
    let mut reader = Reader::default();
    let in_time = follow(&mut child, &mut reader, show)?;
    if !in_time {
        end(&mut child, group)?;
        reader.total.fail(format!("cargo test took longer than {} minutes and was ended", TEST_LIMIT.as_secs() / 60));
    }
    let status = child.wait().map_err(|e| format!("cannot wait for cargo test: {e}"))?;
    reader.finish();
    if !status.success() && reader.total.failed == 0 {
        reader.total.fail(format!("cargo test ended with {status}"));
    }
    Ok(reader.total)
}

/// Shows the output as it comes; says whether it ended in time.
fn follow(child: &mut Child, reader: &mut Reader, show: &mut dyn FnMut(String)) -> Result<bool, String> {
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
                    show(line);
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
fn fuzz(summary: &mut Summary) {
    let manifest = root().join("fuzz/Cargo.toml");
    let folder = lab::target().join("fuzz");
    let mut build = cargo();
    build.args(["build", "--quiet", "--release", "--bins", "--manifest-path"]).arg(&manifest);
    build.arg("--target-dir").arg(&folder).env("CARGO_ENCODED_RUSTFLAGS", FUZZ_FLAGS.join("\x1f"));
    // With the host named as target, build scripts and macros stay free of the instrumentation.
    let host = host_triple();
    build.args(["--target", &host]);
    let built = execute(&mut build);
    let can_run = built.is_ok();
    summary.check("build of the fuzz targets", built);
    if !can_run {
        return;
    }
    for name in fuzz_targets() {
        summary
            .check(&format!("fuzz {name}"), fuzz_one(&name, &folder, &folder.join(&host).join("release").join(&name)));
    }
}

/// Runs one target on what it had found before and on its seeds. It talks a lot, which is shown only if it fails.
fn fuzz_one(name: &str, folder: &Path, program: &Path) -> Result<(), String> {
    let corpus = folder.join("corpus").join(name);
    std::fs::create_dir_all(&corpus).map_err(|e| format!("cannot make {}: {e}", corpus.display()))?;
    let mut command = Command::new(program);
    command.arg(format!("-max_total_time={FUZZ_SECONDS}")).args(["-print_final_stats=0", "-verbosity=0"]);
    command.arg(format!("-artifact_prefix={}/", folder.display())).arg(&corpus);
    let seeds = root().join("fuzz/seeds").join(name);
    if seeds.is_dir() {
        command.arg(seeds);
    }
    quietly(&mut command)
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
