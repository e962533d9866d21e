//! The command lines of heartbeat 3.0.6: heartbeat itself, cl_status, hb_standby, hb_takeover; and crm_mon, which the
//! clusters before and after it have. All over the state of the running daemon; exit statuses are the old ones.

mod cl_status;
mod crm_mon;
mod daemon;

use crate::{client::Client, exit::Trouble, print};
use evenkeel_api::{Reply, Request, Share, Status};
use std::{
    ffi::OsString,
    path::{Path, PathBuf},
    process::ExitCode,
};

/// Which of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Program {
    Heartbeat,
    ClStatus,
    Standby,
    Takeover,
    CrmMon,
}

impl Program {
    /// By the name of a link, or the first word.
    pub(crate) fn named(name: &str) -> Option<Program> {
        match name {
            "heartbeat" => Some(Program::Heartbeat),
            "cl_status" => Some(Program::ClStatus),
            "hb_standby" => Some(Program::Standby),
            "hb_takeover" => Some(Program::Takeover),
            "crm_mon" => Some(Program::CrmMon),
            _ => None,
        }
    }
}

/// The process beside a daemon that ends its addresses when it is dead.
pub(crate) fn guard() -> Result<ExitCode, Trouble> {
    evenkeel_runtime::heartbeat_guard().map(|()| ExitCode::SUCCESS).map_err(Trouble::failed)
}

/// What is to be written where, and the exit status.
#[derive(Debug, Default, PartialEq, Eq)]
struct Answer {
    out: String,
    err: String,
    status: u8,
}

impl Answer {
    fn says(out: impl Into<String>) -> Answer {
        Answer { out: out.into(), ..Answer::default() }
    }

    fn fails(status: u8, err: impl Into<String>) -> Answer {
        Answer { err: err.into(), status, ..Answer::default() }
    }

    fn give(self) -> ExitCode {
        let printed = print(&self.out);
        eprint!("{}", self.err);
        match printed {
            Ok(_) => ExitCode::from(self.status),
            Err(trouble) => trouble.tell(),
        }
    }
}

/// Runs `program`, which was called `called`, with the arguments after its name.
pub(crate) fn main(program: Program, called: &str, arguments: &[OsString]) -> ExitCode {
    let words: Vec<String> = arguments.iter().map(|word| word.to_string_lossy().into_owned()).collect();
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    match program {
        Program::Heartbeat => daemon::main(&words),
        Program::ClStatus => cl_status::main(&words).give(),
        Program::Standby => hand_over(called, &words, |share| Request::Standby { share, group: None, to: None }).give(),
        Program::Takeover => hand_over(called, &words, |share| Request::Takeover { share, group: None }).give(),
        Program::CrmMon => crm_mon::main(&words),
    }
}

/// Where the daemon runs that these speak to.
fn runtime_dir() -> PathBuf {
    std::env::var_os("EVENKEEL_RUNTIME_DIR").map_or_else(|| PathBuf::from("/run/evenkeel"), PathBuf::from)
}

/// The state of the daemon, if one runs.
pub(crate) fn status(runtime_dir: &Path) -> Result<Box<Status>, Trouble> {
    match Client::connect(runtime_dir)?.ask(&Request::Status { service: None })? {
        Reply::Status(status) => Ok(status),
        _ => Err(Trouble::other_answer("status")),
    }
}

/// hb_standby and hb_takeover: one word says which resources, and none means all of them.
fn hand_over(called: &str, words: &[&str], request: impl FnOnce(Share) -> Request) -> Answer {
    let usage = format!("usage:\n{called} [all|foreign|local|failback]\n");
    let share = match words {
        [] | ["all"] => Share::All,
        ["local"] => Share::Local,
        ["foreign" | "failback"] => Share::Foreign,
        ["--help"] => return Answer::fails(1, usage),
        [other] => return Answer::fails(1, format!("{called}: wrong resources({other}).\n{usage}")),
        _ => return Answer::fails(1, format!("{called}: too many arguments\n{usage}")),
    };
    let outcome = Client::connect(&runtime_dir()).and_then(|mut client| client.ask_patiently(&request(share)));
    match outcome {
        Ok(Reply::Done { .. }) => Answer::default(),
        Ok(_) => Answer::fails(1, format!("{called}: the daemon gave another answer\n")),
        Err(trouble) => Answer::fails(1, format!("{called}: {}\n", trouble.text)),
    }
}
