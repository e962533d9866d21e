//! Tracked processes: /proc is read now and then, and at once when one that counted has ended.
//!
//! keepalived asks the kernel to tell of every process that begins or ends (its proc connector) instead. That is told in the
//! host's first network namespace only, and of every process of the host; /proc would have to be read besides. What would
//! be gained is the half second after which a start is seen, which delays little more than a priority that rises again.

use super::{Outlet, Task};
use evenkeel_model::vrrp::{ParameterMatch, Process, Target};
use evenkeel_vrrp::track::Sight;
use rustix::process::{Pid, PidfdFlags, pidfd_open};
use std::{
    collections::{BTreeSet, HashMap},
    fs,
    io::Read,
    path::Path,
    time::{Duration, Instant},
};
use tokio::{
    net::unix::pipe::Receiver,
    sync::mpsc,
    task::{AbortHandle, JoinSet},
};

/// Between two looks at all processes, at least.
const PAUSE: Duration = Duration::from_millis(500);
/// At the most.
const LONGEST: Duration = Duration::from_secs(10);
/// A look costs at most this part of the time: 1 in so many.
const SHARE: u32 = 50;
/// After a process has ended, before the next look; what ends together is seen together.
const GATHER: Duration = Duration::from_millis(5);
/// Processes whose end is awaited; of more only the looks tell.
const AWAITED: usize = 1024;
/// Bytes of a command line that are looked at.
const COMMAND_LINE: u64 = 64 * 1024;

/// Counts `wanted`; `None` where there are none.
pub(super) fn start(wanted: &[Process], outlet: Outlet) -> Option<Task> {
    if wanted.is_empty() {
        return None;
    }
    let wanted = wanted.to_vec();
    Some(Task::start(async move {
        let mut told: Vec<Option<u32>> = vec![None; wanted.len()];
        let (ended, mut ends) = mpsc::channel(1);
        let mut awaited = Awaited { ended, tasks: JoinSet::new(), by_pid: HashMap::new() };
        loop {
            let list = wanted.clone();
            let begun = Instant::now();
            let found = tokio::task::spawn_blocking(move || look(Path::new("/proc"), &list)).await;
            let cost = begun.elapsed();
            let found = found.unwrap_or_else(|_| vec![BTreeSet::new(); wanted.len()]);
            for ((process, pids), told) in wanted.iter().zip(&found).zip(&mut told) {
                let count = u32::try_from(pids.len()).unwrap_or(u32::MAX);
                if told.replace(count) != Some(count) {
                    let target = Target::Process(process.name.clone());
                    outlet.tell(&target, Sight::Count(count), detail(process, count)).await;
                }
            }
            awaited.follow(found.into_iter().flatten().collect());
            let pause = (cost * SHARE).clamp(PAUSE, LONGEST);
            if tokio::time::timeout(pause, ends.recv()).await.is_ok() {
                tokio::time::sleep(GATHER.max(cost)).await;
                let _seen = ends.try_recv();
            }
        }
    }))
}

/// `0 run, at least 1 must`.
fn detail(process: &Process, count: u32) -> String {
    match process.quorum.most {
        None => format!("{count} of `{}` run, at least {} must", process.program, process.quorum.least),
        Some(most) => {
            format!("{count} of `{}` run, {} to {most} must", process.program, process.quorum.least)
        }
    }
}

/// The processes whose end is awaited.
struct Awaited {
    ended: mpsc::Sender<()>,
    tasks: JoinSet<()>,
    by_pid: HashMap<i32, AbortHandle>,
}

impl Awaited {
    fn follow(&mut self, pids: BTreeSet<i32>) {
        while self.tasks.try_join_next().is_some() {}
        self.by_pid.retain(|pid, task| {
            let stays = pids.contains(pid) && !task.is_finished();
            if !stays {
                task.abort();
            }
            stays
        });
        for pid in pids {
            if self.by_pid.len() >= AWAITED {
                return;
            }
            if self.by_pid.contains_key(&pid) {
                continue;
            }
            let exit = Pid::from_raw(pid).and_then(|pid| pidfd_open(pid, PidfdFlags::NONBLOCK).ok());
            // A pidfd is no pipe, which to its readiness is the same.
            let Some(Ok(exit)) = exit.map(Receiver::from_owned_fd_unchecked) else { continue };
            let ended = self.ended.clone();
            let task = self.tasks.spawn_local(async move {
                if exit.readable().await.is_ok() {
                    // One word is enough for all.
                    let _told = ended.try_send(());
                }
            });
            self.by_pid.insert(pid, task);
        }
    }
}

/// The processes that are meant by each of `wanted`, by the files in `proc`.
fn look(proc: &Path, wanted: &[Process]) -> Vec<BTreeSet<i32>> {
    let mut found = vec![BTreeSet::new(); wanted.len()];
    let (lines, names) = (wanted.iter().any(|it| it.whole_command), wanted.iter().any(|it| !it.whole_command));
    for entry in fs::read_dir(proc).into_iter().flatten().flatten() {
        let Some(pid) = entry.file_name().to_str().and_then(|name| name.parse().ok()) else { continue };
        // The command line may have to be read from a disk; it is left alone unless it is needed.
        let line = if lines { command_line(&entry.path()) } else { Vec::new() };
        let name = if names { name(&entry.path()) } else { None };
        for (process, pids) in wanted.iter().zip(&mut found) {
            let meant = if process.whole_command {
                is_line(process, &line)
            } else {
                name.as_deref() == Some(process.program.as_bytes())
            };
            if meant {
                pids.insert(pid);
            }
        }
    }
    found
}

fn command_line(process: &Path) -> Vec<u8> {
    let mut line = Vec::new();
    if let Ok(file) = fs::File::open(process.join("cmdline")) {
        // One that has ended meanwhile is none.
        let _length = file.take(COMMAND_LINE).read_to_end(&mut line);
    }
    line
}

/// The kernel's name of a process, unless it has ended and was not waited for.
fn name(process: &Path) -> Option<Vec<u8>> {
    let stat = fs::read(process.join("stat")).ok()?;
    let begin = stat.iter().position(|byte| *byte == b'(')? + 1;
    let end = stat.iter().rposition(|byte| *byte == b')')?;
    let state = stat.get(end + 2)?;
    (!matches!(state, b'Z' | b'X')).then(|| stat.get(begin..end).map(<[u8]>::to_vec))?
}

fn is_line(process: &Process, line: &[u8]) -> bool {
    // Each word ends with a zero, the last one too.
    let line = line.strip_suffix(&[0]).unwrap_or(line);
    let mut words = line.split(|byte| *byte == 0);
    if words.next() != Some(process.program.as_bytes()) {
        return false;
    }
    let words: Vec<&[u8]> = words.collect();
    let begins = |wanted: &[String]| {
        words.len() >= wanted.len() && wanted.iter().zip(&words).all(|(wanted, word)| wanted.as_bytes() == *word)
    };
    match &process.parameters {
        None => true,
        Some(ParameterMatch::Exact(wanted)) => words.len() == wanted.len() && begins(wanted),
        Some(ParameterMatch::Leading(wanted)) => begins(wanted),
        Some(ParameterMatch::Initial(wanted)) => match wanted.split_last() {
            None => true,
            Some((last, before)) => {
                begins(before) && words.get(before.len()).is_some_and(|word| word.starts_with(last.as_bytes()))
            }
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use evenkeel_model::vrrp::Quorum;

    fn wanted(program: &str, whole_command: bool, parameters: Option<ParameterMatch>) -> Process {
        Process {
            name: "x".into(),
            program: program.into(),
            whole_command,
            parameters,
            quorum: Quorum { least: 1, most: None },
            fork_delay: Duration::ZERO,
            terminate_delay: Duration::ZERO,
        }
    }

    fn texts(words: &[&str]) -> Vec<String> {
        words.iter().map(|word| (*word).to_owned()).collect()
    }

    #[test]
    fn parameters_are_compared_as_keepalived_compares_them() {
        let line = b"/usr/sbin/web\0-c\0/etc/web.conf\0";
        let meant = |parameters| is_line(&wanted("/usr/sbin/web", true, parameters), line);
        assert!(meant(None));
        assert!(meant(Some(ParameterMatch::Exact(texts(&["-c", "/etc/web.conf"])))));
        assert!(!meant(Some(ParameterMatch::Exact(texts(&["-c"])))));
        assert!(meant(Some(ParameterMatch::Leading(texts(&["-c"])))));
        assert!(!meant(Some(ParameterMatch::Leading(texts(&["-c", "/etc/web"])))));
        assert!(meant(Some(ParameterMatch::Initial(texts(&["-c", "/etc/web"])))));
        assert!(!meant(Some(ParameterMatch::Exact(vec![]))));
        assert!(!is_line(&wanted("web", true, None), line));
        assert!(is_line(&wanted("web", true, Some(ParameterMatch::Exact(vec![]))), b"web\0"));
        assert!(!is_line(&wanted("web", true, None), b""));
    }

    #[test]
    fn processes_are_found_by_name_unless_they_have_ended() {
        let proc = tempfile::tempdir().unwrap();
        let make = |pid: &str, stat: &str, line: &str| {
            let place = proc.path().join(pid);
            fs::create_dir(&place).unwrap();
            fs::write(place.join("stat"), stat).unwrap();
            fs::write(place.join("cmdline"), line).unwrap();
        };
        make("10", "10 (web) S 1 10", "web\0-d\0");
        make("11", "11 (web) Z 1 10", "");
        make("12", "12 (a) (web) R 1 10", "x\0");
        make("self", "13 (web) R 1 10", "web\0");
        let list = [wanted("web", false, None), wanted("web", true, None), wanted("a) (web", false, None)];
        let found = look(proc.path(), &list);
        assert_eq!(found, [BTreeSet::from([10]), BTreeSet::from([10]), BTreeSet::from([12])]);
    }
}
