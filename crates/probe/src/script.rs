//! The script probe: a program whose exit status 0 means up.
//!
//! The program runs in a process group of its own, without a terminal, input or output: nothing it writes can fill
//! memory or block it. When it has ended, or its time is over, whatever is left of its group is killed. Only a
//! descendant that leaves the group on purpose (`setsid`) gets away.

use crate::connect::text;
use evenkeel_health::{Reason, Weighing, printable};
use evenkeel_model::Script;
use evenkeel_os::{Ids, trust};
use rustix::process::{Pid, PidfdFlags, Signal, kill_process_group, pidfd_open};
use std::{
    io::{self, ErrorKind},
    os::unix::process::{CommandExt, ExitStatusExt},
    process::{Child, Command, ExitStatus, Stdio},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};
use tokio::{net::unix::pipe::Receiver, runtime::Handle};

/// Where programs started by a check find others; nothing else is passed on from the daemon's environment.
const PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// Killed programs that have not gone yet (they hang in the kernel) before no more are started.
pub(crate) const MAX_UNDEAD: usize = 256;

/// How many killed programs have not gone yet.
#[derive(Clone, Debug, Default)]
pub(crate) struct Undead(Arc<AtomicUsize>);

impl Undead {
    pub(crate) fn count(&self) -> usize {
        self.0.load(Ordering::Relaxed)
    }
}

/// Runs the program to its end, with `strict` only where nobody but root could have changed what runs as root. Dropped
/// earlier, it kills it with all its group.
pub(crate) async fn attempt(script: &Script, strict: bool, undead: &Undead) -> Result<(String, Weighing), Reason> {
    let hanging = undead.count();
    if hanging >= MAX_UNDEAD {
        return Err(Reason::Local(format!("{hanging} killed check programs have not gone yet")));
    }
    let command = vetted(script, strict).await?;
    let status = Running::start(command, undead).map_err(|error| not_started(script, &error))?.ended().await;
    let status = status.map_err(|error| not_started(script, &error))?;
    match (status.code(), status.signal()) {
        (Some(0), _) => Ok(("exit status 0".to_owned(), Weighing::None)),
        (Some(code @ 2..=255), _) if script.weighs => {
            let weight = u32::try_from(code - 2).unwrap_or_default();
            Ok((format!("exit status {code}: weight {weight}"), Weighing::Set(weight)))
        }
        (Some(code), _) => Err(Reason::ExitStatus(code)),
        (None, signal) => Err(Reason::Signal(signal.unwrap_or_default())),
    }
}

/// The command as the user it is to run as. A name service, or a file system, may keep it waiting.
async fn vetted(script: &Script, strict: bool) -> Result<Command, Reason> {
    let mut command = command(script);
    if script.account.is_none() && !strict {
        return Ok(command);
    }
    let (account, program) = (script.account.clone(), script.program.clone());
    let shell = script.shell;
    let looked = tokio::task::spawn_blocking(move || {
        let ids = account.as_ref().map_or(Ok(Ids::own()), Ids::of)?;
        // The words of a shell are no program.
        if !shell {
            trust::vet(&program, ids, strict)?;
        }
        Ok(ids)
    });
    let refused = |why: String| Reason::NotStarted(printable(&why));
    let looked: evenkeel_os::Result<Ids> = looked.await.map_err(|e| Reason::Local(e.to_string()))?;
    looked.map_err(|e| refused(e.to_string()))?.take_on(&mut command);
    Ok(command)
}

pub(crate) fn not_started(script: &Script, error: &io::Error) -> Reason {
    let text = format!("{}: {}", printable(&script.program.to_string_lossy()), text(error));
    match error.kind() {
        ErrorKind::NotFound | ErrorKind::PermissionDenied | ErrorKind::InvalidInput | ErrorKind::NotADirectory => {
            Reason::NotStarted(text)
        }
        _ if error.raw_os_error() == Some(rustix::io::Errno::NOEXEC.raw_os_error()) => Reason::NotStarted(text),
        _ => Reason::Local(text),
    }
}

pub(crate) fn command(script: &Script) -> Command {
    let mut command = if script.shell {
        // The text may hold arguments and redirections of its own; the check's arguments follow them.
        let mut line = script.program.clone().into_os_string();
        line.push(" \"$@\"");
        let mut shell = Command::new("/bin/sh");
        shell.arg("-c").arg(line).arg(&script.program);
        shell
    } else {
        Command::new(&script.program)
    };
    command
        .args(&script.arguments)
        .env_clear()
        .env("PATH", PATH)
        .envs(script.environment.iter().map(|(name, value)| (name, value)))
        .current_dir("/")
        .process_group(0)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null());
    command
}

/// A program that has been started and not been waited for.
pub(crate) struct Running {
    /// `None` once it has been waited for.
    child: Option<Child>,
    group: Pid,
    /// Readable when the program has ended. It is a pidfd and no pipe, which to the readiness of both is the same;
    /// tokio's own process type would wait for the program before its group can be killed.
    exit: Option<Receiver>,
    undead: Undead,
}

impl Running {
    pub(crate) fn start(mut command: Command, undead: &Undead) -> io::Result<Running> {
        let child = command.spawn()?;
        let group = i32::try_from(child.id()).ok().and_then(Pid::from_raw).ok_or(ErrorKind::InvalidData)?;
        // From here on dropping `running` kills and waits, so that an early return leaves no zombie.
        let mut running = Running { child: Some(child), group, exit: None, undead: undead.clone() };
        let exit = pidfd_open(group, PidfdFlags::NONBLOCK)?;
        running.exit = Some(Receiver::from_owned_fd_unchecked(exit)?);
        Ok(running)
    }

    pub(crate) async fn ended(mut self) -> io::Result<ExitStatus> {
        if let Some(exit) = &self.exit {
            exit.readable().await?;
        }
        // The process is a zombie until it is waited for, so its number still names its group and no other.
        let _gone = kill_process_group(self.group, Signal::KILL);
        let mut child = self.child.take().ok_or(ErrorKind::NotFound)?;
        child.wait()
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let Some(mut child) = self.child.take() else { return };
        let _gone = kill_process_group(self.group, Signal::KILL);
        let (Some(exit), Ok(runtime)) = (self.exit.take(), Handle::try_current()) else {
            // Killed this moment, it ends this moment.
            let _reaped = child.wait();
            return;
        };
        let undead = self.undead.clone();
        undead.0.fetch_add(1, Ordering::Relaxed);
        runtime.spawn(async move {
            let _ready = exit.readable().await;
            let _reaped = child.wait();
            undead.0.fetch_sub(1, Ordering::Relaxed);
        });
    }
}
