//! Directives whose value is one of a few words: protocol, scheduler and its flags, mail states, and what is refused.

use super::{check::near, options::Options};
use crate::{codes, host::shown};
use evenkeel_model::{Family, HashFlags, Persistence, PersistenceEngine, Protocol, Scheduler};
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
    let mut scheduler: Scheduler = match &options.scheduler {
        None => Scheduler::WeightedRoundRobin,
        Some(word) => match word.value.parse() {
            Ok(scheduler) => scheduler,
            Err(why) => {
                let d =
                    Diagnostic::error(codes::VALUE, word.span, format!("scheduler `{}`: {why}", shown(&word.value)));
                out.push(d.note("ldirectord goes on with an empty table here: no connection is answered"));
                return None;
            }
        },
    };
    if let Some(flags) = &options.schedflags {
        for flag in flags.value.split(',') {
            scheduler = scheduler_flag(scheduler, flags, flag, out);
        }
    }
    Some(scheduler)
}

/// The scheduler with one flag more. The kernel takes any flag with any scheduler; most mean nothing to it.
fn scheduler_flag(scheduler: Scheduler, flags: &Spanned<String>, flag: &str, out: &mut Vec<Diagnostic>) -> Scheduler {
    let is_known =
        matches!(flag, "sh-port" | "sh-fallback" | "mh-port" | "mh-fallback" | "flag-1" | "flag-2" | "flag-3");
    if !is_known {
        let message = format!("`{}` is no scheduler flag", shown(flag));
        let d = Diagnostic::error(codes::SCHED_FLAGS, flags.span, message);
        out.push(d.help("sh-port, sh-fallback, mh-port, mh-fallback or flag-1 to flag-3"));
        return scheduler;
    }
    if let Some(known) = scheduler.flags() {
        let name = scheduler.name();
        if flag == "flag-1" || flag == format!("{name}-fallback") {
            return scheduler.with_flags(HashFlags { fallback: true, ..known }).unwrap_or(scheduler);
        }
        if flag == "flag-2" || flag == format!("{name}-port") {
            return scheduler.with_flags(HashFlags { port: true, ..known }).unwrap_or(scheduler);
        }
    }
    if flag.starts_with("flag-") {
        let message = format!("{flag} means nothing to scheduler `{scheduler}`");
        out.push(Diagnostic::warning(codes::SCHED_FLAGS, flags.span, message));
    } else {
        let message = format!("{flag} with scheduler `{scheduler}`");
        let d = Diagnostic::error(codes::SCHED_FLAGS, flags.span, message);
        out.push(d.note("ipvsadm refuses it, and ldirectord then leaves the service out"));
    }
    scheduler
}

/// `persistent` with `netmask`.
pub(crate) fn persistence(options: &Options, family: Family, out: &mut Vec<Diagnostic>) -> Option<Persistence> {
    let prefix = options.netmask.as_ref().and_then(|mask| prefix(mask, family, out));
    let Some(persistent) = &options.persistent else {
        if let Some(netmask) = &options.netmask {
            let message = "netmask has no effect without persistent";
            out.push(Diagnostic::warning(codes::NO_EFFECT, netmask.span, message));
        }
        return None;
    };
    if persistent.value > Persistence::LONGEST_TIMEOUT {
        let message = format!("persistence lasts for {} s at most", Persistence::LONGEST_TIMEOUT);
        out.push(Diagnostic::error(codes::PERSISTENCE, persistent.span, message));
        return None;
    }
    let prefix = prefix.unwrap_or(family.bits());
    Some(Persistence { timeout: persistent.value, prefix, engine: PersistenceEngine::Address })
}

/// A dotted mask of IPv4, a number of bits of IPv6.
fn prefix(mask: &Spanned<String>, family: Family, out: &mut Vec<Diagnostic>) -> Option<u8> {
    let (bits, help) = match family {
        Family::V4 => (dotted(&mask.value), "a mask such as 255.255.255.0"),
        Family::V6 => (mask.value.parse().ok().filter(|bits| (1..=128).contains(bits)), "a number from 1 to 128"),
    };
    if bits.is_none() {
        let message = format!("`{}` is no netmask", shown(&mask.value));
        out.push(Diagnostic::error(codes::VALUE, mask.span, message).help(help));
    }
    bits
}

/// The bits of a mask whose ones come first, at least one of them.
pub(crate) fn dotted(mask: &str) -> Option<u8> {
    let mask = u32::from(mask.parse::<std::net::Ipv4Addr>().ok()?);
    let bits = mask.leading_ones();
    (mask != 0 && mask.count_ones() == bits).then(|| u8::try_from(bits).unwrap_or(32))
}

/// `ops=yes`, which only UDP has, and marks, of which any packet may be UDP.
pub(crate) fn one_packet(options: &Options, protocol: Option<Protocol>, out: &mut Vec<Diagnostic>) -> bool {
    let Some(ops) = options.ops.filter(|ops| ops.value) else { return false };
    let takes_it = matches!(protocol, None | Some(Protocol::Udp));
    if !takes_it {
        let d = Diagnostic::error(codes::ONE_PACKET, ops.span, "one-packet scheduling of a service that is not UDP");
        out.push(d.note("ipvsadm refuses it, and ldirectord then leaves the service out"));
    }
    takes_it
}
