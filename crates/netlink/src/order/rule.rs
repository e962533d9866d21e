//! A rule into a message (struct fib_rule_hdr, RTM_NEWRULE and RTM_DELRULE).

use super::{Change, byte, number, prefix};
use crate::message::Request;
use evenkeel_model::{
    Family, Prefix,
    vrrp::{Action, Rule, TABLE_MAIN},
};
use std::ops::RangeInclusive;

/// sizeof(struct fib_rule_hdr)
const HEADER: usize = 12;
const FIB_RULE_INVERT: u8 = 2;

const FRA_DST: u16 = 1;
const FRA_SRC: u16 = 2;
const FRA_IIFNAME: u16 = 3;
const FRA_GOTO: u16 = 4;
const FRA_PRIORITY: u16 = 6;
const FRA_FWMARK: u16 = 10;
const FRA_FLOW: u16 = 11;
const FRA_TUN_ID: u16 = 12;
const FRA_SUPPRESS_IFGROUP: u16 = 13;
const FRA_SUPPRESS_PREFIXLEN: u16 = 14;
const FRA_TABLE: u16 = 15;
const FRA_FWMASK: u16 = 16;
const FRA_OIFNAME: u16 = 17;
const FRA_L3MDEV: u16 = 19;
const FRA_UID_RANGE: u16 = 20;
const FRA_PROTOCOL: u16 = 21;
const FRA_IP_PROTO: u16 = 22;
const FRA_SPORT_RANGE: u16 = 23;
const FRA_DPORT_RANGE: u16 = 24;

pub(super) fn request(rule: &Rule, change: Change) -> Request {
    let (kind, flags) = match change {
        // Without it the kernel would take the same rule again and again.
        Change::Add => (libc::RTM_NEWRULE, libc::NLM_F_CREATE | libc::NLM_F_EXCL),
        Change::Delete => (libc::RTM_DELRULE, 0),
    };
    let table = match rule.action {
        Action::Lookup(table) => Some(table),
        Action::L3mdev | Action::Goto(_) | Action::Nop => None,
        Action::Blackhole | Action::Unreachable | Action::Prohibit => None,
    };
    let length = |prefix: Option<Prefix>| prefix.map_or(0, Prefix::length);
    let mut body = [0; HEADER];
    body[0] = family(rule.family);
    body[1] = length(rule.to);
    body[2] = length(rule.from);
    body[3] = rule.tos;
    body[4] = table.and_then(|table| u8::try_from(table).ok()).unwrap_or(libc::RT_TABLE_UNSPEC);
    body[7] = number_of(rule.action);
    // Flags of four bytes in the order of this machine.
    let flags_of_rule = if rule.not { u32::from(FIB_RULE_INVERT) } else { 0 };
    body[8..12].copy_from_slice(&flags_of_rule.to_ne_bytes());
    let mut request = Request::new(kind, flags | libc::NLM_F_ACK, &body).u32(FRA_PRIORITY, rule.priority);
    for (kind, written) in [(FRA_DST, rule.to), (FRA_SRC, rule.from)] {
        if let Some(written) = written {
            request = prefix(request, kind, written);
        }
    }
    request = number(request, FRA_TABLE, table.filter(|table| *table > TABLE_MAIN + 1));
    request = number(request, FRA_FWMARK, rule.mark.map(|(mark, _)| mark));
    request = number(request, FRA_FWMASK, rule.mark.and_then(|(_, mask)| mask));
    request = number(request, FRA_FLOW, rule.realms);
    request = number(request, FRA_SUPPRESS_PREFIXLEN, rule.suppress_prefix);
    request = number(request, FRA_SUPPRESS_IFGROUP, rule.suppress_group);
    for (kind, name) in [(FRA_IIFNAME, &rule.input), (FRA_OIFNAME, &rule.output)] {
        if let Some(name) = name {
            request = request.text(kind, name);
        }
    }
    if rule.tunnel != 0 {
        request = request.attribute(FRA_TUN_ID, &rule.tunnel.to_be_bytes());
    }
    if let Some(users) = &rule.users {
        request = request.attribute(FRA_UID_RANGE, &[users.start().to_ne_bytes(), users.end().to_ne_bytes()].concat());
    }
    request = byte(request, FRA_L3MDEV, (rule.action == Action::L3mdev).then_some(1));
    request = byte(request, FRA_PROTOCOL, Some(rule.protocol));
    request = byte(request, FRA_IP_PROTO, rule.ip_protocol);
    request = ports(request, FRA_SPORT_RANGE, rule.source_ports.as_ref());
    request = ports(request, FRA_DPORT_RANGE, rule.destination_ports.as_ref());
    match rule.action {
        Action::Goto(priority) => request.u32(FRA_GOTO, priority),
        Action::Lookup(_) | Action::L3mdev | Action::Nop => request,
        Action::Blackhole | Action::Unreachable | Action::Prohibit => request,
    }
}

fn ports(request: Request, kind: u16, ports: Option<&RangeInclusive<u16>>) -> Request {
    match ports {
        Some(ports) => request.attribute(kind, &[ports.start().to_ne_bytes(), ports.end().to_ne_bytes()].concat()),
        None => request,
    }
}

fn family(family: Family) -> u8 {
    crate::message::family(family.unspecified())
}

/// FR_ACT_...
fn number_of(action: Action) -> u8 {
    match action {
        Action::Lookup(_) | Action::L3mdev => 1,
        Action::Goto(_) => 2,
        Action::Nop => 3,
        Action::Blackhole => 6,
        Action::Unreachable => 7,
        Action::Prohibit => 8,
    }
}

/// Who made the rule that RTM_NEWRULE or RTM_DELRULE speaks of; 0 where nothing is said.
pub(crate) fn protocol(body: &[u8]) -> u8 {
    let said = crate::message::attributes(body, HEADER).find(|(kind, _)| *kind == FRA_PROTOCOL);
    said.and_then(|(_, value)| crate::message::u8_at(value, 0)).unwrap_or_default()
}
