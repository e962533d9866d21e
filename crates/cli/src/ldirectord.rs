//! The command line of ldirectord 4: its commands, places, texts and exit statuses.
//!
//! `ldirectord [-d] [-h] [-v] [--] [configfile] start|stop|restart|try-restart|status|reload|force-reload`. Each name of a
//! configuration file is an instance of its own. Otherwise than there, a broken file never keeps `stop` or `status` from
//! working, and `start` returns 0 only once the daemon serves.

#[cfg(test)]
mod tests;

use crate::{VERSION, args::DataplaneArg, client::Client, exit::Trouble, load, run, stop};
use evenkeel_api::{Reply, Request};
use evenkeel_config::{Format, Memory};
use evenkeel_os::{Herald, Holder, PidFile, Side, detach};
use evenkeel_runtime::{Configuration, Loader, Opener, Options, files, log};
use std::{
    ffi::OsString,
    path::{Path, PathBuf},
    process::ExitCode,
    sync::Arc,
    time::Duration,
};

/// A running instance was asked for and there is none, or the other way round; also a file that is missing.
const FAILED: u8 = 1;
/// The configuration is wrong.
const CONFIG: u8 = 2;
/// `status` of an instance that is stopped.
const STOPPED: u8 = 3;
/// Not a command.
const NO_COMMAND: u8 = 255;
/// What the daemon may take until it serves.
const START: Duration = Duration::from_secs(60);
/// Where the log goes when the file names no other place.
const LOG_FILE: &str = "/var/log/ldirectord.log";

const USAGE: &str = "\
ldirectord - Linux Director Daemon (evenkeel)

Usage: ldirectord [-d] [-h] [-v] [--] [configfile] start|stop|restart|try-restart|status|reload|force-reload

  configfile    searched as /etc/ha.d/NAME, /etc/ha.d/conf/NAME and NAME; ldirectord.cf when none is given
  start         start the daemon of this file; ends with 0 once it serves
  stop          end it; what it added is removed, as far as cleanstop says so
  restart       stop and start
  try-restart   restart where it runs, else nothing
  status        0 running, 3 stopped, 1 a process is gone and its pid file is left, or there is no such file
  reload        read the file again (force-reload is the same)
  -d            stay in the foreground and say more
  -h            this text
  -v            the version
";

/// One call.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Call {
    debug: bool,
    /// As given.
    name: Option<String>,
    command: Command,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Command {
    Start,
    Stop,
    Restart,
    TryRestart,
    Status,
    Reload,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Parsed {
    Help,
    Version,
    Call(Call),
    Wrong(String),
}

/// Runs the personality with the arguments after its name.
pub(crate) fn main(arguments: &[OsString]) -> ExitCode {
    let words: Vec<String> = arguments.iter().map(|a| a.to_string_lossy().into_owned()).collect();
    match parse(&words) {
        Parsed::Help => {
            println!("{USAGE}");
            ExitCode::SUCCESS
        }
        Parsed::Version => {
            println!("ldirectord of evenkeel {VERSION}");
            ExitCode::SUCCESS
        }
        Parsed::Wrong(why) => {
            // The manual has always gone to standard output.
            eprintln!("ldirectord: {why}");
            println!("{USAGE}");
            ExitCode::from(NO_COMMAND)
        }
        Parsed::Call(call) => {
            let instance = Instance::of(call.name.as_deref());
            carry_out(&call, &instance).unwrap_or_else(|trouble| {
                if !trouble.text.is_empty() {
                    eprintln!("ldirectord: {}", trouble.text);
                }
                ExitCode::from(trouble.status)
            })
        }
    }
}

fn parse(words: &[String]) -> Parsed {
    let mut debug = false;
    let mut rest = Vec::new();
    let mut options = true;
    for word in words {
        match word.as_str() {
            word if !options => rest.push(word.to_owned()),
            "--" => options = false,
            "-h" | "-?" | "--help" => return Parsed::Help,
            "-v" | "--version" => return Parsed::Version,
            "-d" | "--debug" => debug = true,
            option if option.starts_with('-') => return Parsed::Wrong(format!("unknown option {option}")),
            word => rest.push(word.to_owned()),
        }
    }
    let (name, command) = match rest.as_slice() {
        [command] => (None, command),
        // What comes after the command was never looked at.
        [name, command, ..] => (Some(name.clone()), command),
        [] => return Parsed::Wrong("no command is given".to_owned()),
    };
    let command = match command.as_str() {
        "start" => Command::Start,
        "stop" => Command::Stop,
        "restart" => Command::Restart,
        "try-restart" => Command::TryRestart,
        "status" => Command::Status,
        "reload" | "force-reload" => Command::Reload,
        other => return Parsed::Wrong(format!("unknown command {other}")),
    };
    Parsed::Call(Call { debug, name, command })
}

/// What belongs to one configuration file.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Instance {
    /// The file; where none is found, the last place looked at.
    file: PathBuf,
    runtime_dir: PathBuf,
    pid_file: PathBuf,
}

impl Instance {
    fn of(name: Option<&str>) -> Instance {
        // With a directory of its own (one for each network namespace, say) the pid file is in there as well.
        let own = std::env::var_os("EVENKEEL_RUNTIME_DIR").map(PathBuf::from);
        Instance::at(name, own.as_deref(), &|path| path.exists())
    }

    fn at(name: Option<&str>, own: Option<&Path>, exists: &dyn Fn(&Path) -> bool) -> Instance {
        let file = name.unwrap_or("ldirectord.cf");
        let places = [Path::new("/etc/ha.d").join(file), Path::new("/etc/ha.d/conf").join(file), PathBuf::from(file)];
        let found = places.iter().find(|place| exists(place)).cloned();
        let file = found.unwrap_or_else(|| PathBuf::from(file));
        // Without a name the instance is called ldirectord, so it is another than that of the name ldirectord.cf.
        let base = match name.map(Path::new).and_then(Path::file_name) {
            Some(base) => base.to_string_lossy().into_owned(),
            None => "ldirectord".to_owned(),
        };
        let runtime = own.unwrap_or(Path::new("/run/evenkeel")).join(format!("ldirectord.{base}"));
        let pids = own.unwrap_or(Path::new("/var/run"));
        Instance { file, runtime_dir: runtime, pid_file: pids.join(format!("ldirectord.{base}.pid")) }
    }

    fn holder(&self) -> Result<Holder, Trouble> {
        PidFile::holder(&self.pid_file).map_err(|e| Trouble { status: FAILED, text: e.to_string() })
    }

    fn is_running(&self) -> Result<bool, Trouble> {
        Ok(matches!(self.holder()?, Holder::Running(_)))
    }

    fn file_is_missing(&self) -> bool {
        !self.file.exists()
    }

    fn missing(&self) -> Trouble {
        Trouble { status: FAILED, text: format!("config file {} not found", self.file.display()) }
    }
}

fn carry_out(call: &Call, instance: &Instance) -> Result<ExitCode, Trouble> {
    match call.command {
        Command::Start => start(instance, call.debug),
        Command::Stop => stop_it(instance),
        Command::Restart => restart(instance, call.debug),
        Command::TryRestart if instance.is_running()? => restart(instance, call.debug),
        Command::TryRestart => Ok(ExitCode::SUCCESS),
        Command::Status => status(instance),
        Command::Reload => reload(instance),
    }
}

/// A file that could not be started leaves what runs alone: restarting a director must not be the end of it.
fn restart(instance: &Instance, debug: bool) -> Result<ExitCode, Trouble> {
    usable(instance)?;
    stop_it(instance)?;
    start(instance, debug)
}

/// The configuration, or what keeps it from being started.
fn usable(instance: &Instance) -> Result<(Vec<PathBuf>, Configuration), Trouble> {
    if instance.file_is_missing() {
        return Err(instance.missing());
    }
    let file = run::absolute(std::slice::from_ref(&instance.file));
    let first = load::configuration(&file, Some(Format::Ldirectord), CONFIG, None)?;
    Ok((file, first))
}

fn stop_it(instance: &Instance) -> Result<ExitCode, Trouble> {
    match stop::end(&instance.runtime_dir) {
        Ok(_) => Ok(ExitCode::SUCCESS),
        // Stopped already is what was asked for, if this ever was an instance.
        Err(trouble) if trouble.status == 3 && instance.file_is_missing() => Err(instance.missing()),
        Err(trouble) if trouble.status == 3 => Ok(ExitCode::SUCCESS),
        Err(trouble) => Err(Trouble { status: FAILED, ..trouble }),
    }
}

fn status(instance: &Instance) -> Result<ExitCode, Trouble> {
    let file = instance.file.display();
    // What goes to which stream is as it always was.
    let code = match instance.holder()? {
        Holder::Running(pid) => {
            eprintln!("ldirectord for {file} is running with pid: {pid}");
            return Ok(ExitCode::SUCCESS);
        }
        Holder::Stale | Holder::Unproven(_) | Holder::Absent if instance.file_is_missing() => {
            return Err(instance.missing());
        }
        Holder::Stale | Holder::Unproven(_) => {
            eprintln!("ldirectord stale pid file {} for {file}", instance.pid_file.display());
            FAILED
        }
        Holder::Absent => STOPPED,
    };
    println!("ldirectord is stopped for {file}");
    Ok(ExitCode::from(code))
}

fn reload(instance: &Instance) -> Result<ExitCode, Trouble> {
    if instance.file_is_missing() {
        return Err(instance.missing());
    }
    // The daemon would refuse it as well; here it is shown in full.
    load::configuration(std::slice::from_ref(&instance.file), Some(Format::Ldirectord), CONFIG, None)?;
    if !instance.is_running()? {
        let text = format!("ldirectord is stopped for {}", instance.file.display());
        return Err(Trouble { status: FAILED, text });
    }
    let reply = Client::connect(&instance.runtime_dir)
        .and_then(|mut client| client.ask_patiently(&Request::Reload {}))
        .map_err(|trouble| Trouble { status: FAILED, ..trouble })?;
    let Reply::Done { .. } = reply else {
        return Err(Trouble { status: FAILED, ..Trouble::other_answer("reload") });
    };
    Ok(ExitCode::SUCCESS)
}

fn start(instance: &Instance, debug: bool) -> Result<ExitCode, Trouble> {
    let (file, first) = usable(instance)?;
    if instance.is_running()? {
        return Ok(ExitCode::SUCCESS);
    }
    let dataplane = dataplane();
    run::needs_root(dataplane, "the packet path is loaded into the kernel, which needs root")
        .map_err(|trouble| Trouble { status: FAILED, ..trouble })?;
    let foreground = debug || first.cluster.settings.supervised;
    if foreground {
        log::to_stderr();
        return serve(instance, file, first, None, run::opener(dataplane));
    }
    match detach().map_err(|e| Trouble { status: FAILED, text: e.to_string() })? {
        Side::Caller(waiter) => match waiter.wait(START) {
            Ok(()) => Ok(ExitCode::SUCCESS),
            Err(e) => Err(Trouble { status: FAILED, text: format!("cannot serve: {e}") }),
        },
        Side::Daemon(herald) => serve(instance, file, first, Some(herald), run::opener(dataplane)),
    }
}

/// `EVENKEEL_DATAPLANE=memory` is for tests: the old command line has no word for it.
pub(crate) fn dataplane() -> DataplaneArg {
    match std::env::var("EVENKEEL_DATAPLANE").as_deref() {
        Ok("memory") => DataplaneArg::Memory,
        Ok(_) | Err(_) => DataplaneArg::Auto,
    }
}

fn serve(
    instance: &Instance,
    file: Vec<PathBuf>,
    first: Configuration,
    herald: Option<Herald>,
    open: Opener,
) -> Result<ExitCode, Trouble> {
    let in_background = herald.is_some();
    let first = logged(first, in_background);
    let options = Options {
        pid_files: vec![instance.pid_file.clone()],
        ..run::options(instance.runtime_dir.clone(), first, loader(file, in_background))
    };
    match run::heralded(herald, open, options) {
        Ok(()) => Ok(ExitCode::SUCCESS),
        Err(failure) => Err(Trouble { status: FAILED, text: format!("cannot serve: {failure}") }),
    }
}

fn loader(file: Vec<PathBuf>, in_background: bool) -> Loader {
    let read = files::loader(file, Some(Format::Ldirectord), Memory::default());
    Arc::new(move || read().map(|configuration| logged(configuration, in_background)))
}

/// A daemon without a terminal has to write somewhere.
fn logged(mut configuration: Configuration, in_background: bool) -> Configuration {
    let settings = &mut configuration.cluster.settings;
    if in_background && settings.log_file.is_none() && settings.log_facility.is_none() {
        settings.log_file = Some(PathBuf::from(LOG_FILE));
    }
    configuration
}
