//! What the end of a program says about a resource.

use crate::child::{Ended, How, plain};
use evenkeel_resource::{Action, Outcome};

/// Whose rules a program keeps to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Manner {
    /// A script of heartbeat: what it prints when asked for its status counts, its exit status does not.
    Heartbeat,
    /// A script of the host's init: exit statuses of the LSB.
    Init,
    /// An OCF resource agent: exit statuses of its API.
    Ocf,
    /// `systemctl`.
    Systemd,
}

/// What `ended` says of the resource that `action` was about.
pub(crate) fn judge(manner: Manner, action: Action, ended: &Ended) -> Outcome {
    match (&ended.how, action) {
        (How::Late, _) => Outcome::TimedOut,
        (How::NotRun(_) | How::Signal(_), _) => failed(manner, action, ended),
        (How::Status(0), Action::Start | Action::Stop) => Outcome::Done,
        (How::Status(_), Action::Start) => failed(manner, action, ended),
        (How::Status(status), Action::Stop) => match (manner, status) {
            // LSB and OCF: not installed. What is not there does not run.
            (Manner::Init | Manner::Ocf, 5) => Outcome::NotRunning,
            // systemd: there is no such unit.
            (Manner::Systemd, 5) => Outcome::NotRunning,
            _ => failed(manner, action, ended),
        },
        (How::Status(status), Action::Status | Action::Monitor) => answer(manner, action, *status, ended),
    }
}

fn answer(manner: Manner, action: Action, status: i32, ended: &Ended) -> Outcome {
    match (manner, status) {
        (Manner::Heartbeat, _) if says_it_runs(&ended.stdout) => Outcome::Done,
        (Manner::Heartbeat, _) => Outcome::NotRunning,
        // LSB: dead with a pid file, dead with a lock, stopped; 4 is unknown.
        (Manner::Init, 0) => Outcome::Done,
        (Manner::Init, 1..=3) => Outcome::NotRunning,
        // OCF: 7 not running, 8 running promoted.
        (Manner::Ocf, 0 | 8) => Outcome::Done,
        (Manner::Ocf, 7) => Outcome::NotRunning,
        (Manner::Systemd, 0) => Outcome::Done,
        (Manner::Systemd, _) => match ended.stdout.trim() {
            "inactive" | "unknown" => Outcome::NotRunning,
            "" => failed(manner, action, ended),
            state => Outcome::Failed { why: format!("systemd calls it {}", plain(state)) },
        },
        (Manner::Init | Manner::Ocf, _) => failed(manner, action, ended),
    }
}

/// ResourceManager of heartbeat 3.0.6: `not running` in any case of letters wins, else `running` or `OK` says so.
fn says_it_runs(text: &str) -> bool {
    let denies = text.to_ascii_lowercase().contains("not running");
    !denies && (text.contains("Running") || text.contains("running") || text.contains("OK"))
}

fn failed(manner: Manner, action: Action, ended: &Ended) -> Outcome {
    let said = match manner {
        // Its first line says what happened, the last one where to read more.
        Manner::Systemd => ended.stderr.lines().map(plain).find(|line| !line.is_empty()),
        Manner::Heartbeat | Manner::Init | Manner::Ocf => ended.last_line(),
    };
    let why = ended.reason(said);
    let name = match (manner, &ended.how) {
        (Manner::Ocf, How::Status(status)) => ocf_name(*status),
        (Manner::Init, How::Status(status)) if !action.only_asks() => lsb_name(*status),
        (Manner::Ocf | Manner::Init | Manner::Heartbeat | Manner::Systemd, _) => None,
    };
    let why = match name {
        Some(name) => why.replacen("exit status", &format!("{name}, exit status"), 1),
        None => why,
    };
    Outcome::Failed { why }
}

/// OCF resource agent API, exit statuses.
fn ocf_name(status: i32) -> Option<&'static str> {
    match status {
        2 => Some("wrong parameters"),
        3 => Some("the agent cannot do this"),
        4 => Some("not permitted"),
        5 => Some("not installed"),
        6 => Some("not configured"),
        9 => Some("failed as promoted"),
        _ => None,
    }
}

/// LSB 3.2 20.2: exit statuses of init scripts but for `status`.
fn lsb_name(status: i32) -> Option<&'static str> {
    match status {
        2 => Some("wrong arguments"),
        4 => Some("not permitted"),
        5 => Some("not installed"),
        6 => Some("not configured"),
        _ => None,
    }
}
