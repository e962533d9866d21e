//! heartbeat itself: starts the daemon on /etc/ha.d, ends it, says whether it runs.

use super::Answer;
use crate::{VERSION, exit::Trouble, ldirectord::dataplane, load, run, stop};
use evenkeel_config::{Format, Memory};
use evenkeel_os::{Herald, Side, detach};
use evenkeel_runtime::{Configuration, files};
use std::{path::PathBuf, process::ExitCode, time::Duration};

/// Of a configuration that cannot be carried out, as there.
const CONFIG: u8 = 6;
/// Of a wrong option.
const USAGE: u8 = 2;
/// Of anything else.
const FAILED: u8 = 1;
/// What the daemon may take until it serves.
const START: Duration = Duration::from_secs(60);
/// Where its files are.
const FILES: &str = "/etc/ha.d";

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Act {
    #[default]
    Start,
    Stop,
    Status,
    Reload,
    Version,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Call {
    act: Act,
    foreground: bool,
}

/// Options in one word or several, as getopt takes them. Those about debugging and logging change nothing.
fn parse(words: &[&str]) -> Result<Call, String> {
    let usage = "\nUsage: heartbeat [-dDkMrRsvWlVf] [-C Current-resource-state]\n\t-C only valid with -R\n\t-r is mutually \
                 exclusive with -R\n";
    let mut call = Call::default();
    for word in words {
        let Some(letters) = word.strip_prefix('-').filter(|letters| !letters.is_empty()) else { continue };
        for letter in letters.chars() {
            match letter {
                'k' => call.act = Act::Stop,
                's' => call.act = Act::Status,
                'r' => call.act = Act::Reload,
                'V' => call.act = Act::Version,
                'f' => call.foreground = true,
                'd' | 'v' | 'l' | 'D' | 'W' => {}
                'M' | 'R' | 'C' => {
                    let why = match letter {
                        'M' => "heartbeat -M manages no resources, which is what evenkeel is for",
                        _ => "heartbeat uses -R and -C to start itself again; evenkeel does not need to",
                    };
                    return Err(format!("heartbeat: -{letter} is not taken: {why}\n"));
                }
                other => return Err(format!("heartbeat: invalid option -- '{other}'\n{usage}")),
            }
        }
    }
    Ok(call)
}

pub(super) fn main(words: &[&str]) -> ExitCode {
    let call = match parse(words) {
        Ok(call) => call,
        Err(why) => return Answer::fails(USAGE, why).give(),
    };
    let runtime_dir = super::runtime_dir();
    match call.act {
        Act::Version => Answer::says(format!("evenkeel {VERSION}, as heartbeat 3.0.6\n")).give(),
        Act::Status => state(&runtime_dir).give(),
        Act::Stop if super::status(&runtime_dir).is_err() => Answer::says("INFO: Heartbeat already stopped.\n").give(),
        Act::Stop => ended(stop::end(&runtime_dir).map(|_| ())),
        Act::Reload => ended(crate::operate::reload(&runtime_dir).map(|_| ())),
        Act::Start => ended(start(call, runtime_dir)),
    }
}

fn ended(outcome: Result<(), Trouble>) -> ExitCode {
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(trouble) => {
            if !trouble.text.is_empty() {
                eprintln!("heartbeat: {}", trouble.text);
            }
            ExitCode::from(trouble.status)
        }
    }
}

fn state(runtime_dir: &std::path::Path) -> Answer {
    match super::status(runtime_dir) {
        Ok(status) => {
            let pid = std::fs::read_to_string(runtime_dir.join("pid")).unwrap_or_default();
            let node = &status.node;
            Answer::says(format!("heartbeat OK [pid {} et al] is running on {node} [{node}]...\n", pid.trim()))
        }
        Err(_) => Answer { status: 1, ..Answer::says("heartbeat is stopped. No process\n") },
    }
}

fn start(call: Call, runtime_dir: PathBuf) -> Result<(), Trouble> {
    if super::status(&runtime_dir).is_ok() {
        eprintln!("heartbeat: already running");
        return Ok(());
    }
    let files = vec![PathBuf::from(FILES)];
    let mut memory = Memory::default();
    let first = load::configuration(&files, Some(Format::Heartbeat), CONFIG, Some(&mut memory))?;
    if first.cluster.heartbeat.is_none() {
        return Err(Trouble { status: CONFIG, text: format!("there is no ha.cf in {FILES}") });
    }
    let dataplane = dataplane();
    run::needs_root(dataplane, "addresses and packets are the kernel's, which needs root")?;
    if call.foreground {
        evenkeel_runtime::log::to_stderr();
        return serve(runtime_dir, files, memory, first, None);
    }
    let failed = |why: String| Trouble { status: FAILED, text: why };
    match detach().map_err(|e| failed(e.to_string()))? {
        Side::Caller(waiter) => waiter.wait(START).map_err(|e| failed(format!("cannot serve: {e}"))),
        Side::Daemon(herald) => serve(runtime_dir, files, memory, first, Some(herald)),
    }
}

fn serve(
    runtime_dir: PathBuf,
    files: Vec<PathBuf>,
    memory: Memory,
    first: Configuration,
    herald: Option<Herald>,
) -> Result<(), Trouble> {
    let options = run::options(runtime_dir, first, files::loader(files, Some(Format::Heartbeat), memory));
    run::heralded(herald, run::opener(dataplane()), options)
        .map_err(|failure| Trouble { status: FAILED, text: format!("cannot serve: {failure}") })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn options_are_taken_as_getopt_does() {
        let act =
            |line: &str| parse(&line.split_whitespace().collect::<Vec<_>>()).map(|call| (call.act, call.foreground));
        assert_eq!(act(""), Ok((Act::Start, false)));
        assert_eq!(act("-f -d -v"), Ok((Act::Start, true)));
        assert_eq!(act("-dk"), Ok((Act::Stop, false)));
        assert_eq!(act("-s"), Ok((Act::Status, false)));
        assert_eq!(act("-r"), Ok((Act::Reload, false)));
        assert_eq!(act("-V"), Ok((Act::Version, false)));
        assert!(
            act("-Z").is_err_and(|why| why.starts_with("heartbeat: invalid option -- 'Z'\n\nUsage: heartbeat [-dDk"))
        );
        assert!(act("-M").is_err_and(|why| why.contains("manages no resources")));
    }
}
