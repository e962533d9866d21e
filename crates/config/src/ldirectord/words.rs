//! Directives whose value is one of a few words: protocol, scheduler and its flags, mail states, and what is refused.

use super::{check::near, options::Options};
use crate::{
    codes,
    host::shown,
    schedule::{self, Unusable},
};
use evenkeel_model::{HashFlags, Protocol, Scheduler};
use evenkeel_source::{Diagnostic, Spanned};

/// The mail states of ldirectord.
pub(crate) const ALERT_STATES: [&str; 4] = ["starting", "running", "stopping", "reloading"];

pub(crate) fn alert_states(status: Option<&Spanned<String>>, out: &mut Vec<Diagnostic>) -> Vec<String> {
    let all = || ALERT_STATES.map(str::to_owned).to_vec();
    let Some(status) = status else { return all() };
    let words: Vec<&str> = status.value.split([',', ' ']).filter(|w| !w.is_empty()).collect();
    if let Some(wrong) = words.iter().find(|w| !ALERT_STATES.contains(w) && !["all", "none"].contains(w)) {
        let message = format!("`{}` is no state of the daemon", shown(wrong));
        let help = format!("all, none or some of {}", ALERT_STATES.join(","));
        out.push(Diagnostic::error(codes::VALUE, status.span, message).help(help));
    } else if words.contains(&"none") && words.len() > 1 {
        out.push(Diagnostic::error(codes::VALUE, status.span, "`none` together with other states"));
    }
    if words.contains(&"all") {
        return all();
    }
    ALERT_STATES.iter().filter(|state| words.contains(state)).map(|state| (*state).to_owned()).collect()
}

pub(crate) fn protocol(options: &Options, port: &str, out: &mut Vec<Diagnostic>) -> Option<Protocol> {
    let Some(word) = &options.protocol else {
        return Some(if matches!(port, "53" | "domain") { Protocol::Udp } else { Protocol::Tcp });
    };
    if word.value == "fwm" {
        let message = "protocol fwm with an address and port";
        out.push(Diagnostic::error(codes::VALUE, word.span, message).help("write protocol=tcp or protocol=udp"));
        return None;
    }
    near(word, &["tcp", "udp"], "protocol", codes::VALUE, out)
        .map(|name| if name == "udp" { Protocol::Udp } else { Protocol::Tcp })
}

pub(crate) fn scheduler(options: &Options, out: &mut Vec<Diagnostic>) -> Option<Scheduler> {
    let mut scheduler = match &options.scheduler {
        None => Scheduler::WeightedRoundRobin,
        Some(word) => match schedule::scheduler(&word.value) {
            Ok(scheduler) => scheduler,
            Err(why) => {
                let code = if why == Unusable::NotYet { codes::SCHEDULER } else { codes::VALUE };
                let d = Diagnostic::error(code, word.span, format!("scheduler `{}`: {why}", shown(&word.value)));
                out.push(match why {
                    Unusable::NotYet => d,
                    Unusable::Unknown => {
                        d.note("ldirectord goes on with an empty table here: no connection is answered")
                    }
                });
                return None;
            }
        },
    };
    if let Some(flags) = &options.schedflags {
        for flag in flags.value.split(',') {
            match (&mut scheduler, flag) {
                (Scheduler::MaglevHash(HashFlags { port, .. }), "mh-port") => *port = true,
                _ => {
                    let message = format!("scheduler flag `{}` is not in this release", shown(flag));
                    out.push(
                        Diagnostic::error(codes::SCHED_FLAGS, flags.span, message).help("mh-port with scheduler=mh is"),
                    );
                }
            }
        }
    }
    Some(scheduler)
}

/// What would send clients elsewhere if it were ignored.
pub(crate) fn report_refused(options: &Options, out: &mut Vec<Diagnostic>) {
    if let Some(persistent) = &options.persistent {
        out.push(
            Diagnostic::error(codes::PERSISTENCE, persistent.span, "persistence is not in this release")
                .help("scheduler=mh sends a client address to the same real server as long as that one is up"),
        );
    } else if let Some(netmask) = &options.netmask {
        out.push(Diagnostic::warning(codes::NO_EFFECT, netmask.span, "netmask has no effect without persistent"));
    }
    if let Some(ops) = options.ops.filter(|ops| ops.value) {
        out.push(Diagnostic::error(codes::ONE_PACKET, ops.span, "one-packet scheduling is not in this release"));
    }
}
