//! Subcommands, tables and the personalities of the old tools.
//!
//! [`main`] looks at the name it was called by, then at the first word: a link called `ldirectord`, and
//! `evenkeel ldirectord`, are the old program's command line; everything else is evenkeel's own.
#![forbid(unsafe_code)]

mod args;
mod check;
mod client;
mod conns;
mod exit;
mod heartbeat;
mod ipvsadm;
mod keepalived;
mod ldirectord;
mod live;
mod load;
mod operate;
mod realserver;
mod run;
mod status;
mod stop;
mod terminal;
mod typography;

use args::{Cli, Command};
use clap::{CommandFactory, Parser};
use exit::Trouble;
use std::{
    ffi::{OsStr, OsString},
    io::Write,
    path::Path,
    process::ExitCode,
};

/// Version of the program.
pub(crate) const VERSION: &str = env!("CARGO_PKG_VERSION");

/// Runs the program with these arguments, the first of which is the name it was called by.
pub fn main(arguments: impl IntoIterator<Item = OsString>) -> ExitCode {
    let arguments = typography::mended(arguments.into_iter().collect());
    match personality(&arguments) {
        Personality::Ldirectord(rest) => ldirectord::main(rest),
        Personality::Ipvsadm(program, called, rest) => ipvsadm::main(program, &called, rest),
        Personality::Keepalived(called, rest) => keepalived::main(&called, rest),
        Personality::Heartbeat(program, called, rest) => heartbeat::main(program, &called, rest),
        Personality::Evenkeel => match Cli::try_parse_from(&arguments) {
            Ok(cli) => dispatch(cli).unwrap_or_else(|trouble| trouble.tell()),
            Err(e) => {
                // Nothing can be done about a closed terminal.
                let _ = e.print();
                ExitCode::from(u8::try_from(e.exit_code()).unwrap_or(exit::USAGE))
            }
        },
    }
}

#[derive(Debug, PartialEq, Eq)]
enum Personality<'a> {
    Evenkeel,
    Ldirectord(&'a [OsString]),
    /// Which of the three, and how it was called.
    Ipvsadm(ipvsadm::Program, String, &'a [OsString]),
    /// How it was called.
    Keepalived(String, &'a [OsString]),
    /// Which of them, and how it was called.
    Heartbeat(heartbeat::Program, String, &'a [OsString]),
}

fn personality(arguments: &[OsString]) -> Personality<'_> {
    let Some((path, rest)) = arguments.split_first() else { return Personality::Evenkeel };
    let called = Path::new(path).file_name().unwrap_or(OsStr::new("evenkeel")).to_string_lossy().into_owned();
    let word = rest.first().map(|w| w.to_string_lossy().into_owned()).unwrap_or_default();
    if let Some(program) = ipvsadm::Program::named(&called) {
        return Personality::Ipvsadm(program, path.to_string_lossy().into_owned(), rest);
    }
    if let (Some(program), "evenkeel") = (ipvsadm::Program::named(&word), called.as_str()) {
        return Personality::Ipvsadm(program, word, rest.get(1..).unwrap_or_default());
    }
    if let Some(program) = heartbeat::Program::named(&called) {
        return Personality::Heartbeat(program, path.to_string_lossy().into_owned(), rest);
    }
    if let (Some(program), "evenkeel") = (heartbeat::Program::named(&word), called.as_str()) {
        return Personality::Heartbeat(program, word, rest.get(1..).unwrap_or_default());
    }
    match (called.as_str(), word.as_str()) {
        ("ldirectord", _) => Personality::Ldirectord(rest),
        ("keepalived", _) => Personality::Keepalived(path.to_string_lossy().into_owned(), rest),
        (_, "ldirectord") => Personality::Ldirectord(rest.get(1..).unwrap_or_default()),
        (_, "keepalived") => Personality::Keepalived(word, rest.get(1..).unwrap_or_default()),
        _ => Personality::Evenkeel,
    }
}

fn dispatch(cli: Cli) -> Result<ExitCode, Trouble> {
    let Cli { runtime_dir, command } = cli;
    match command {
        Command::Run(arguments) => run::run(runtime_dir, *arguments),
        Command::Check(arguments) => check::check(&arguments),
        Command::Convert(arguments) => check::convert(&arguments),
        Command::Reload => operate::reload(&runtime_dir),
        Command::Diff => operate::diff(&runtime_dir),
        Command::Status(arguments) => status::status(&runtime_dir, &arguments),
        Command::Stop => stop::stop(&runtime_dir),
        Command::Conns(arguments) => conns::conns(&runtime_dir, &arguments),
        Command::Flush(arguments) => conns::flush(&runtime_dir, &arguments),
        Command::Drain(arguments) => operate::drain(&runtime_dir, arguments),
        Command::Undrain(arguments) => operate::undrain(&runtime_dir, arguments),
        Command::Weight(arguments) => operate::weight(&runtime_dir, arguments),
        Command::Disable(arguments) => operate::disable(&runtime_dir, arguments),
        Command::Enable(arguments) => operate::enable(&runtime_dir, arguments),
        Command::Standby(arguments) => operate::standby(&runtime_dir, arguments),
        Command::Takeover(arguments) => operate::takeover(&runtime_dir, arguments),
        Command::Confirm { what } => operate::confirm(&runtime_dir, what),
        Command::Failover(arguments) => operate::failover(&runtime_dir, arguments),
        Command::Realserver(arguments) => realserver::realserver(&runtime_dir, arguments),
        Command::Lab(arguments) => Ok(evenkeel_lab::run(arguments)),
        Command::LabServer(arguments) => Ok(evenkeel_lab::serve(arguments)),
        Command::HeartbeatGuard => heartbeat::guard(),
        Command::Explain { code } => explain(&code),
        Command::Completion { shell } => {
            clap_complete::generate(shell, &mut Cli::command(), "evenkeel", &mut std::io::stdout());
            Ok(ExitCode::SUCCESS)
        }
        Command::Version { json } => version(json),
    }
}

fn explain(code: &str) -> Result<ExitCode, Trouble> {
    let text = evenkeel_config::explain(code).or_else(|| evenkeel_runtime::host::explain(code));
    let text = text.ok_or_else(|| Trouble::usage(format!("there is no code {code:?}")))?;
    print(&format!("{}: {text}\n", code.to_ascii_uppercase()))
}

fn version(json: bool) -> Result<ExitCode, Trouble> {
    if json {
        let object = serde_json::json!({ "version": VERSION, "protocol": evenkeel_api::PROTOCOL });
        print(&format!("{object}\n"))
    } else {
        print(&format!("evenkeel {VERSION}\n"))
    }
}

/// Writes data to standard output. A reader that has gone (`| head`) is no failure.
pub(crate) fn print(text: &str) -> Result<ExitCode, Trouble> {
    let mut out = std::io::stdout().lock();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Ok(()) => Ok(ExitCode::SUCCESS),
        Err(e) if e.kind() == std::io::ErrorKind::BrokenPipe => Ok(ExitCode::SUCCESS),
        Err(e) => Err(Trouble::failed(format!("cannot write to standard output: {e}"))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(line: &str) -> String {
        let arguments: Vec<OsString> = line.split(' ').map(OsString::from).collect();
        match personality(&arguments) {
            Personality::Evenkeel => "evenkeel".to_owned(),
            Personality::Ldirectord(rest) => format!("ldirectord {}", rest.len()),
            Personality::Ipvsadm(program, called, rest) => format!("{program:?} {called} {}", rest.len()),
            Personality::Keepalived(called, rest) => format!("keepalived {called} {}", rest.len()),
            Personality::Heartbeat(program, called, rest) => format!("{program:?} {called} {}", rest.len()),
        }
    }

    #[test]
    fn the_name_it_is_called_by_decides_then_the_first_word() {
        assert_eq!(of("/usr/sbin/ldirectord ldirectord.cf start"), "ldirectord 2");
        assert_eq!(of("evenkeel ldirectord ldirectord.cf start"), "ldirectord 2");
        assert_eq!(of("ldirectord ldirectord start"), "ldirectord 2");
        assert_eq!(of("/usr/bin/evenkeel run ldirectord"), "evenkeel");
        assert_eq!(of("/sbin/ipvsadm -L -n"), "Ipvsadm /sbin/ipvsadm 2");
        assert_eq!(of("evenkeel ipvsadm-save -n"), "Save ipvsadm-save 1");
        assert_eq!(of("ipvsadm-restore"), "Restore ipvsadm-restore 0");
        assert_eq!(of("ipvsadm ldirectord start"), "Ipvsadm ipvsadm 2");
        assert_eq!(of("/usr/sbin/keepalived -n -f x"), "keepalived /usr/sbin/keepalived 3");
        assert_eq!(of("evenkeel keepalived -t"), "keepalived keepalived 1");
        assert_eq!(of("evenkeel cl_status listnodes"), "ClStatus cl_status 1");
        assert_eq!(of("/usr/share/heartbeat/hb_standby"), "Standby /usr/share/heartbeat/hb_standby 0");
        assert_eq!(personality(&[]), Personality::Evenkeel);
    }
}
