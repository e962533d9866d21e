//! `run`: reads the files, shows what there is to say about them, and serves in the foreground.

use crate::{
    VERSION,
    args::{AttachArg, DataplaneArg, RunArgs},
    exit::{FAILED, Trouble, USAGE},
    load, print,
};
use evenkeel_config::Memory;
use evenkeel_model::{Scheduler, vrrp::Elections};
use evenkeel_os::Herald;
use evenkeel_runtime::{Configuration, Door, Failure, Loader, Opener, Options, files, host, log, memory, open_ebpf};
use std::{cell::RefCell, path::PathBuf, process::ExitCode, rc::Rc, sync::Arc};

const NOTHING_TO_RUN: &str = "name a file or a directory, for example: evenkeel run ldirectord.cf; or without any: \
                              evenkeel run --vip 192.0.2.1:80 --to 192.0.2.2";

impl From<AttachArg> for Door {
    fn from(word: AttachArg) -> Door {
        match word {
            AttachArg::Auto => Door::Auto,
            AttachArg::Tcx => Door::Tcx,
            AttachArg::Clsact => Door::Clsact,
            AttachArg::Xdp => Door::Xdp,
            AttachArg::Generic => Door::Generic,
        }
    }
}

pub(crate) fn run(runtime_dir: PathBuf, arguments: RunArgs) -> Result<ExitCode, Trouble> {
    if arguments.paths.is_empty() && arguments.vip.is_none() && !arguments.empty {
        return Err(Trouble::usage(NOTHING_TO_RUN));
    }
    if !arguments.dry_run {
        needs_root(arguments.dataplane, "the packet path is loaded into the kernel, which needs root")?;
        log::to_stderr();
    }
    let (first, loader) = read(&arguments)?;
    if arguments.dry_run {
        return dry_run(&first, &arguments);
    }
    let open = opener(arguments.dataplane);
    let options = Options {
        node: arguments.node.unwrap_or_else(node_name),
        interfaces: arguments.interface,
        door: arguments.attach.map(Door::from),
        connections: arguments.connections,
        keep_all: arguments.empty,
        ..options(runtime_dir, first, loader)
    };
    match evenkeel_runtime::run(options, open) {
        Ok(()) => Ok(ExitCode::SUCCESS),
        Err(failure) => Err(Trouble::failed(format!("cannot serve: {failure}"))),
    }
}

/// Refuses to go on where the packet path would be refused anyway.
pub(crate) fn needs_root(dataplane: DataplaneArg, why: &str) -> Result<(), Trouble> {
    match dataplane {
        DataplaneArg::Auto | DataplaneArg::Ebpf if !rustix::process::geteuid().is_root() => {
            Err(Trouble::needs_root(why))
        }
        DataplaneArg::Auto | DataplaneArg::Ebpf | DataplaneArg::Memory => Ok(()),
    }
}

/// What opens the packet path. `auto` is the one there is.
pub(crate) fn opener(dataplane: DataplaneArg) -> Opener {
    match dataplane {
        DataplaneArg::Auto | DataplaneArg::Ebpf => Box::new(open_ebpf),
        DataplaneArg::Memory => Box::new(memory::open),
    }
}

fn read(arguments: &RunArgs) -> Result<(Configuration, Loader), Trouble> {
    match &arguments.vip {
        None if arguments.empty => Ok((Configuration::default(), Arc::new(|| Ok(Configuration::default())))),
        Some(vip) => without_file(vip, arguments),
        None => {
            let (paths, format) = (absolute(&arguments.paths), arguments.format.map(Into::into));
            let mut memory = Memory::of_node(arguments.node.clone());
            let first = load::configuration(&paths, format, FAILED, Some(&mut memory))?;
            let loader = files::loader(paths, format, memory);
            if arguments.no_vrrp {
                return Ok((without_vrrp(first), Arc::new(move || loader().map(without_vrrp))));
            }
            Ok((first, loader))
        }
    }
}

/// The virtual servers alone, as `keepalived -C` serves them.
fn without_vrrp(mut read: Configuration) -> Configuration {
    // Checks may rest on sessions.
    let bfd = std::mem::take(&mut read.cluster.vrrp.bfd);
    read.cluster.vrrp = Elections { bfd, ..Elections::default() };
    read
}

/// Paths that stay right when the daemon changes its directory.
pub(crate) fn absolute(paths: &[PathBuf]) -> Vec<PathBuf> {
    paths.iter().map(|path| std::path::absolute(path).unwrap_or_else(|_| path.clone())).collect()
}

fn without_file(vip: &str, arguments: &RunArgs) -> Result<(Configuration, Loader), Trouble> {
    let schedule = match arguments.schedule.as_deref().map(str::parse::<Scheduler>) {
        Some(Err(e)) => return Err(Trouble::usage(format!("--schedule: {e}"))),
        Some(Ok(scheduler)) => Some(scheduler),
        None => None,
    };
    let (vip, to, check) = (vip.to_owned(), arguments.to.clone(), arguments.check.clone());
    // Names are resolved anew at each reload.
    let make = move || {
        files::with_host(|host| evenkeel_config::from_flags(&vip, &to, check.as_deref(), schedule, host))
            .map(|cluster| Configuration { cluster, ..Configuration::default() })
            .map_err(|errors| errors.join("; "))
    };
    let first = make().map_err(|text| Trouble { status: USAGE, text })?;
    Ok((first, Arc::new(make)))
}

fn dry_run(first: &Configuration, arguments: &RunArgs) -> Result<ExitCode, Trouble> {
    let door = arguments.attach.map(Door::from);
    let written = first.cluster.settings.attach.clone();
    let door = door.map(|door| door.name().to_owned()).or(written).unwrap_or_else(|| Door::Auto.name().to_owned());
    let lines = host::dry_run(&first.cluster, &arguments.interface, &door);
    let text: String = lines.iter().map(|line| format!("{line}\n")).collect();
    print(&text)?;
    for doubt in host::doubts(&first.cluster, &arguments.interface, door.parse().unwrap_or_default()) {
        eprintln!("warning: {doubt}");
    }
    eprintln!("nothing was changed");
    Ok(ExitCode::SUCCESS)
}

/// Runs the daemon. Where there is a herald, it tells the caller that the daemon serves, or why it does not.
pub(crate) fn heralded(herald: Option<Herald>, open: Opener, options: Options) -> Result<(), Failure> {
    // Shared by the one who tells that it serves and the one who tells that it cannot.
    let herald = Rc::new(RefCell::new(herald));
    let ready = herald.clone();
    let ready = Box::new(move || {
        if let Some(herald) = ready.borrow_mut().take() {
            herald.ready();
        }
    });
    let served = evenkeel_runtime::run(Options { ready, ..options }, open);
    if let (Err(failure), Some(herald)) = (&served, herald.borrow_mut().take()) {
        herald.failed(&failure.to_string());
    }
    served
}

/// This program on this host, where nothing is said but what it is to run.
pub(crate) fn options(runtime_dir: PathBuf, first: Configuration, loader: Loader) -> Options {
    Options {
        runtime_dir,
        node: node_name(),
        version: VERSION.to_owned(),
        first,
        loader,
        interfaces: Vec::new(),
        door: None,
        connections: None,
        operators: Vec::new(),
        program: own_program(),
        pid_files: Vec::new(),
        dumps: None,
        keep_all: false,
        ready: Box::new(|| {}),
    }
}

/// `uname -n`
fn node_name() -> String {
    rustix::system::uname().nodename().to_string_lossy().into_owned()
}

/// This program's file, to run it again.
fn own_program() -> PathBuf {
    std::env::current_exe().unwrap_or_else(|_| PathBuf::from("evenkeel"))
}
