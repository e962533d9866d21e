//! Running other programs: every command is shown before it runs, and sudo is used only with a reason.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// The root of the source tree.
pub(crate) fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().map_or_else(|| PathBuf::from("."), Path::to_path_buf)
}

pub(crate) fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}

/// The cargo that started us, so that toolchain choices hold for what we start.
pub(crate) fn cargo() -> Command {
    let mut command = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    command.current_dir(root());
    command
}

/// `program` as root: itself when we are root, through sudo otherwise, saying why.
pub(crate) fn as_root(program: impl AsRef<OsStr>, reason: &str) -> Command {
    if is_root() {
        return Command::new(program);
    }
    eprintln!("xtask: using sudo: {reason}");
    let mut command = Command::new("sudo");
    command.arg("--").arg(program);
    command
}

/// Shows the command, runs it with our own output, and fails when it fails.
pub(crate) fn run(command: &mut Command) -> Result<(), String> {
    eprintln!("+ {}", shown(command));
    let status = command.status().map_err(|e| format!("cannot start {}: {e}", shown(command)))?;
    if status.success() { Ok(()) } else { Err(format!("{} ended with {status}", shown(command))) }
}

/// Shows the command and runs it; what it says is shown only when it fails.
pub(crate) fn quietly(command: &mut Command) -> Result<(), String> {
    eprintln!("+ {}", shown(command));
    let done = command.stdin(Stdio::null()).output().map_err(|e| format!("cannot start {}: {e}", shown(command)))?;
    if done.status.success() {
        return Ok(());
    }
    eprintln!("{}{}", String::from_utf8_lossy(&done.stdout), String::from_utf8_lossy(&done.stderr));
    Err(format!("{} ended with {}", shown(command), done.status))
}

/// What the command prints; its complaints go to our standard error.
pub(crate) fn output(command: &mut Command) -> Result<String, String> {
    let done = command
        .stdin(Stdio::null())
        .stderr(Stdio::inherit())
        .output()
        .map_err(|e| format!("cannot start {}: {e}", shown(command)))?;
    if !done.status.success() {
        return Err(format!("{} ended with {}", shown(command), done.status));
    }
    String::from_utf8(done.stdout).map_err(|_| format!("{} printed something that is not UTF-8", shown(command)))
}

/// What the command prints, or nothing when it does not exist or fails.
pub(crate) fn probe(program: &str, arguments: &[&str]) -> Option<String> {
    let done = Command::new(program).args(arguments).stdin(Stdio::null()).stderr(Stdio::null()).output().ok()?;
    let text = String::from_utf8(done.stdout).ok()?;
    done.status.success().then(|| text.trim().to_owned())
}

fn shown(command: &Command) -> String {
    let words = std::iter::once(command.get_program()).chain(command.get_args());
    words.map(|word| word.to_string_lossy().into_owned()).collect::<Vec<_>>().join(" ")
}
