//! The command line of keepalived 2.2.7: its options, places and exit statuses.
//!
//! One process does what keepalived does in four; all pid files hold its number. Otherwise than there, the caller of a
//! daemon that goes to the background hears whether it serves, and a test of the configuration that cannot read the file
//! has failed.

mod place;
mod test;

use crate::{VERSION, args::DataplaneArg, exit::Trouble, ldirectord::dataplane, load, print, run};
use evenkeel_config::{Format, Memory};
use evenkeel_keepalived::{Call, Parsed, parse, usage, version};
use evenkeel_model::vrrp::Target;
use evenkeel_os::{Herald, Holder, PidFile, Side, detach};
use evenkeel_runtime::{Configuration, DumpFiles, Loader, Options, files, log};
use place::Place;
use std::{
    ffi::OsString,
    path::{Path, PathBuf},
    process::ExitCode,
    sync::Arc,
    time::Duration,
};

/// Something keeps it from running: EXIT_FAILURE.
const FAILED: u8 = 1;
/// The configuration cannot be carried out.
const CONFIG: u8 = 2;
/// There is no configuration.
const NO_CONFIG: u8 = 6;
/// What the daemon may take until it serves.
const START: Duration = Duration::from_secs(60);

/// Runs the personality with the arguments after its name, which is `program`.
pub(crate) fn main(program: &str, arguments: &[OsString]) -> ExitCode {
    let words: Vec<String> = arguments.iter().map(|a| a.to_string_lossy().into_owned()).collect();
    match parse(&words) {
        Parsed::Help => {
            eprint!("{}", usage(program));
            ExitCode::SUCCESS
        }
        Parsed::Version => {
            let system = rustix::system::uname();
            let part = |text: &std::ffi::CStr| text.to_string_lossy().into_owned();
            let system = [system.sysname(), system.release(), system.version()].map(part).join(" ");
            eprint!("{}", version(VERSION, &system));
            ExitCode::SUCCESS
        }
        Parsed::Signal(number) => print(&format!("{number}\n")).unwrap_or_else(|trouble| trouble.tell()),
        Parsed::Wrong(lines) => {
            lines.iter().for_each(|line| eprintln!("{line}"));
            ExitCode::from(FAILED)
        }
        Parsed::Call(call) => {
            call.remarks.iter().for_each(|remark| eprintln!("{remark}"));
            let outcome = match &call.test {
                Some(log) => test::test(&call, log.as_deref()),
                None => serve(*call),
            };
            outcome.unwrap_or_else(|trouble| {
                if !trouble.text.is_empty() {
                    eprintln!("keepalived: {}", trouble.text);
                }
                ExitCode::from(trouble.status)
            })
        }
    }
}

fn failed(why: impl std::fmt::Display) -> Trouble {
    Trouble { status: FAILED, text: why.to_string() }
}

fn serve(call: Call) -> Result<ExitCode, Trouble> {
    let place = Place::of(&call);
    for (option, why) in &call.idle {
        eprintln!("keepalived: --{option} changes nothing: {why}");
    }
    if !call.file.exists() {
        return Err(Trouble { status: NO_CONFIG, text: format!("there is no {}", call.file.display()) });
    }
    let file = run::absolute(std::slice::from_ref(&call.file));
    let mut memory = Memory::of_node(call.config_id.clone());
    let first = load::configuration(&file, Some(Format::Keepalived), CONFIG, Some(&mut memory))?;
    let first = shaped(first, &call);
    // As there: what runs already is no failure.
    if let Holder::Running(pid) = PidFile::holder(&place.pid).map_err(failed)? {
        eprintln!("keepalived: daemon is already running (process {pid}, {})", place.pid.display());
        return Ok(ExitCode::SUCCESS);
    }
    let dataplane = dataplane();
    if !first.cluster.services.is_empty() || !first.cluster.vrrp.instances.is_empty() {
        run::needs_root(dataplane, "addresses and packets are the kernel's, which needs root")
            .map_err(|trouble| Trouble { status: FAILED, ..trouble })?;
    }
    if call.foreground {
        log::to_stderr();
        return run_daemon(call, &place, file, memory, first, None, dataplane);
    }
    match detach().map_err(failed)? {
        Side::Caller(waiter) => match waiter.wait(START) {
            Ok(()) => Ok(ExitCode::SUCCESS),
            Err(e) => Err(failed(format!("cannot serve: {e}"))),
        },
        Side::Daemon(herald) => run_daemon(call, &place, file, memory, first, Some(herald), dataplane),
    }
}

fn run_daemon(
    call: Call,
    place: &Place,
    file: Vec<PathBuf>,
    memory: Memory,
    first: Configuration,
    herald: Option<Herald>,
    dataplane: DataplaneArg,
) -> Result<ExitCode, Trouble> {
    let pid_files = place.pid_files(&first.cluster);
    let dumps = DumpFiles { directory: place.dumps.clone(), umask: call.umask };
    let options = run::options(place.runtime_dir.clone(), first, loader(file, memory, call));
    let options = Options { pid_files, dumps: Some(dumps), ..options };
    match run::heralded(herald, run::opener(dataplane), options) {
        Ok(()) => Ok(ExitCode::SUCCESS),
        Err(failure) => Err(failed(format!("cannot serve: {failure}"))),
    }
}

fn loader(file: Vec<PathBuf>, memory: Memory, call: Call) -> Loader {
    let read = files::loader(file, Some(Format::Keepalived), memory);
    Arc::new(move || Ok(shaped(read()?, &call)))
}

/// What was read, as far as this call wants it.
fn shaped(mut read: Configuration, call: &Call) -> Configuration {
    if !call.vrrp {
        read.cluster.vrrp = Default::default();
    }
    if !call.services {
        read.cluster.services.clear();
    }
    if !call.bfd {
        without_bfd(&mut read);
    }
    for service in &mut read.cluster.services {
        service.clean_stop &= !call.keep_services;
    }
    let settings = &mut read.cluster.settings;
    settings.log_file.clone_from(&call.log_file);
    // With `-l` in the foreground everything is on the console.
    let console = call.log_to_console && call.foreground;
    settings.log_facility = (call.syslog && !console).then(|| call.log_facility.clone());
    read
}

/// Sessions of BFD are left out, and so is what tracks them.
fn without_bfd(read: &mut Configuration) {
    let vrrp = &mut read.cluster.vrrp;
    vrrp.bfd.clear();
    let own = vrrp.instances.iter_mut().map(|instance| &mut instance.tracks);
    let shared = vrrp.groups.iter_mut().map(|group| &mut group.tracks);
    own.chain(shared).for_each(|tracks| tracks.retain(|track| !matches!(track.target, Target::Bfd(_))));
}

/// Whether two paths mean the same file, `/var/run` being `/run`.
fn same(left: &Path, right: &Path) -> bool {
    let plain = |path: &Path| path.strip_prefix("/var/run").map(|rest| Path::new("/run").join(rest));
    plain(left).unwrap_or_else(|_| left.to_owned()) == plain(right).unwrap_or_else(|_| right.to_owned())
}
