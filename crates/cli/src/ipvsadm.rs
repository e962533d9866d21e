//! The command lines of ipvsadm, ipvsadm-save and ipvsadm-restore.
//!
//! What they read and print is in `evenkeel-ipvsadm`; here is who answers: the running instance, or one that is started
//! for the first change, as tmux starts its server. What only looks starts nothing: the table is empty.

mod names;
mod restore;
mod session;
mod start;

use crate::print;
use evenkeel_api::table::Table;
use evenkeel_ipvsadm::{Call, Fault, VERSION, parse, print as shapes, save_call, usage, wrong_save_call};
use names::SystemNames;
use session::Session;
use std::{
    ffi::OsString,
    io::{BufWriter, Read, Write},
    path::{Path, PathBuf},
    process::ExitCode,
};

/// Which of the three programs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Program {
    Ipvsadm,
    Save,
    Restore,
}

impl Program {
    /// By the name of a link or a subcommand.
    pub(crate) fn named(name: &str) -> Option<Program> {
        match name {
            "ipvsadm" => Some(Program::Ipvsadm),
            "ipvsadm-save" => Some(Program::Save),
            "ipvsadm-restore" => Some(Program::Restore),
            _ => None,
        }
    }
}

/// Kernels refuse with this; so does the daemon.
pub(crate) const REFUSED: u8 = 255;
/// There is nothing to talk to.
const NO_TABLE: u8 = 2;
const SYNC_IS_LATER: &str = "--start-daemon: connection synchronisation is not in this release";
const NO_DAEMON: &str = "No daemon is running";

/// Runs one of the programs. `called` is how it was called, which its messages repeat.
pub(crate) fn main(program: Program, called: &str, arguments: &[OsString]) -> ExitCode {
    let words: Vec<String> = arguments.iter().map(|word| word.to_string_lossy().into_owned()).collect();
    let (runtime_dir, words) = runtime_dir(words);
    let done = match program {
        Program::Ipvsadm => ipvsadm(called, &words, &runtime_dir),
        Program::Save => save(called, &words, &runtime_dir),
        Program::Restore => restore::ipvsadm_restore(&words, &runtime_dir),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(fault) => {
            if !fault.text.is_empty() {
                eprintln!("{}", fault.text);
            }
            ExitCode::from(fault.status)
        }
    }
}

/// Where the instance is; `--runtime-dir` is ours and stands first.
fn runtime_dir(mut words: Vec<String>) -> (PathBuf, Vec<String>) {
    let given = match words.first().map(String::as_str) {
        Some("--runtime-dir") if words.len() > 1 => {
            words.remove(0);
            Some(words.remove(0))
        }
        Some(word) if word.starts_with("--runtime-dir=") => {
            words.remove(0).split_once('=').map(|(_, directory)| directory.to_owned())
        }
        Some(_) | None => None,
    };
    let of_environment = || std::env::var_os("EVENKEEL_RUNTIME_DIR").filter(|d| !d.is_empty()).map(PathBuf::from);
    let directory = given.map(PathBuf::from).or_else(of_environment);
    (directory.unwrap_or_else(|| PathBuf::from("/run/evenkeel")), words)
}

fn ipvsadm(called: &str, words: &[String], runtime_dir: &Path) -> Result<(), Fault> {
    if let [option, file] = words
        && option == "--proc"
    {
        return proc(file, &mut Session::open(runtime_dir)?);
    }
    let names = SystemNames::default();
    let list = ["-L".to_owned()];
    let words = if words.is_empty() { list.as_slice() } else { words };
    // Who may not even look hears so before anything about its words, but help is for everybody.
    let (session, call) = (Session::open(runtime_dir), parse(called, words, &names));
    match call {
        Ok(Call::Help) => out(&usage(called)),
        Ok(Call::Version) => out(VERSION),
        call => {
            let mut session = session?;
            carry_out(called, call?, &mut session, &names)
        }
    }
}

fn carry_out(called: &str, call: Call, session: &mut Session, names: &SystemNames) -> Result<(), Fault> {
    match call {
        Call::Help => out(&usage(called)),
        Call::Version => out(VERSION),
        Call::Edit(edit) => match session.edit(std::slice::from_ref(&edit), false)? {
            None => Ok(()),
            Some(error) => Err(Fault::refused(&edit, &error)),
        },
        Call::MaskWithHoles { key, adds } => Err(Fault::mask_with_holes(adds, session.table(Some(key))?.is_some())),
        Call::List(key, view) => match session.table(key)? {
            Some(table) => out(&shapes::list(&table, key.is_some(), view, names)),
            None => Err(Fault { status: 1, text: "No such service".to_owned(), ends: true }),
        },
        Call::Connections { numeric, engines } => {
            let line = |entry: &_| shapes::connection(entry, engines, numeric, names);
            connections(&shapes::connections_title(engines), session, &line)
        }
        Call::Timeouts => out(&shapes::timeouts(whole(session)?.timeouts)),
        // There are none, so nothing is said of them.
        Call::Daemons => Ok(()),
        Call::Save { numeric } => out(&shapes::save(&whole(session)?, numeric, names)),
        Call::StartDaemon => Err(refused(SYNC_IS_LATER)),
        Call::StopDaemon => Err(refused(NO_DAEMON)),
        Call::Restore { atomic } => restore::restore(called, &input()?, atomic, session, names),
    }
}

fn refused(text: &str) -> Fault {
    Fault { status: REFUSED, text: text.to_owned(), ends: false }
}

fn whole(session: &mut Session) -> Result<Table, Fault> {
    Ok(session.table(None)?.unwrap_or_default())
}

fn connections(
    title: &str,
    session: &mut Session,
    line: &dyn Fn(&evenkeel_api::table::ConnectionEntry) -> String,
) -> Result<(), Fault> {
    let mut out = BufWriter::new(std::io::stdout().lock());
    let mut failed = out.write_all(title.as_bytes()).err();
    session.connections(&mut |entry| {
        let written = out.write_all(line(entry).as_bytes());
        failed = failed.take().or(written.err());
        failed.is_none()
    })?;
    match failed.or_else(|| out.flush().err()) {
        // A reader that has gone (`| head`) is no failure.
        Some(e) if e.kind() != std::io::ErrorKind::BrokenPipe => Err(cannot_write(&e)),
        Some(_) | None => Ok(()),
    }
}

fn cannot_write(e: &std::io::Error) -> Fault {
    Fault { status: 1, text: format!("cannot write to standard output: {e}"), ends: true }
}

fn out(text: &str) -> Result<(), Fault> {
    print(text).map(drop).map_err(|trouble| Fault { status: trouble.status, text: trouble.text, ends: true })
}

/// Rules from standard input.
fn input() -> Result<String, Fault> {
    let mut bytes = Vec::new();
    let read = std::io::stdin().lock().take(LARGEST_INPUT).read_to_end(&mut bytes);
    let failed = |text: String| Fault { status: 1, text, ends: true };
    match read {
        Err(e) => Err(failed(format!("cannot read standard input: {e}"))),
        Ok(length) if length as u64 == LARGEST_INPUT => {
            Err(failed(format!("standard input holds more than {} MiB", LARGEST_INPUT >> 20)))
        }
        Ok(_) => Ok(String::from_utf8_lossy(&bytes).into_owned()),
    }
}

/// Enough for a million rules.
const LARGEST_INPUT: u64 = 256 << 20;

fn save(called: &str, words: &[String], runtime_dir: &Path) -> Result<(), Fault> {
    let base = Path::new(called).file_name().map_or(called.into(), |name| name.to_string_lossy());
    let numeric = save_call(words).ok_or_else(|| Fault { status: 1, text: wrong_save_call(&base), ends: true })?;
    let mut session = Session::open(runtime_dir)?;
    out(&shapes::save(&whole(&mut session)?, numeric, &SystemNames::default()))
}

/// `--proc FILE`: what IPVS has in /proc/net.
fn proc(file: &str, session: &mut Session) -> Result<(), Fault> {
    match file {
        "ip_vs" => out(&shapes::proc_table(&whole(session)?)),
        "ip_vs_stats" => out(&shapes::proc_stats(&whole(session)?)),
        "ip_vs_conn" => connections(shapes::proc_connections_title(), session, &shapes::proc_connection),
        other => {
            let text = format!("--proc knows ip_vs, ip_vs_conn and ip_vs_stats, not {other}");
            Err(Fault { status: 2, text, ends: true })
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(line: &str) -> Vec<String> {
        line.split_whitespace().map(str::to_owned).collect()
    }

    #[test]
    fn the_directory_of_the_instance_may_stand_first() {
        for line in ["--runtime-dir /run/two -L -n", "--runtime-dir=/run/two -L -n"] {
            assert_eq!(runtime_dir(words(line)), (PathBuf::from("/run/two"), words("-L -n")), "{line}");
        }
        assert_eq!(runtime_dir(words("-L --runtime-dir /run/two")).1, words("-L --runtime-dir /run/two"));
    }

    #[test]
    fn three_names_are_programs() {
        assert_eq!(Program::named("ipvsadm-save"), Some(Program::Save));
        assert_eq!(Program::named("ipvsadm-backup"), None);
    }
}
