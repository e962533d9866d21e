//! What only all VRRP instances together can tell.

use super::VrrpDraft;
use crate::{codes, host::shown};
use evenkeel_source::{Diagnostic, Span};
use std::{collections::HashMap, net::IpAddr};

/// Reports virtual routers, names and addresses that two instances claim, and sync groups of one.
pub(super) fn report(instances: &[VrrpDraft], out: &mut Vec<Diagnostic>) {
    let mut routers: HashMap<(&str, u8, bool), Span> = HashMap::new();
    let mut names: HashMap<&str, Span> = HashMap::new();
    let mut claims: HashMap<IpAddr, Span> = HashMap::new();
    let mut groups: HashMap<&str, (Span, u32)> = HashMap::new();
    for VrrpDraft { instance, name, vrid, addresses, .. } in instances {
        let router = (instance.interface.as_str(), instance.vrid.get(), instance.is_ipv6());
        if let Some(first) = routers.insert(router, *vrid) {
            let message =
                format!("two instances are virtual router {} on {}", instance.vrid, shown(&instance.interface));
            out.push(Diagnostic::error(codes::VRRP_ID, *vrid, message).label(first, "the other one"));
        }
        if let Some(first) = names.insert(&instance.name, *name) {
            let message = format!("two VRRP instances are named `{}`", shown(&instance.name));
            out.push(Diagnostic::error(codes::VRRP_NAME, *name, message).label(first, "the other one"));
        }
        for (vip, span) in instance.addresses.iter().zip(addresses) {
            if let Some(first) = claims.insert(vip.address, *span) {
                let message = format!("{} is claimed twice", vip.address);
                out.push(Diagnostic::error(codes::VRRP_ADDRESS, *span, message).label(first, "first here"));
            }
        }
        if let Some(group) = &instance.group {
            groups.entry(group).or_insert((*name, 0)).1 += 1;
        }
    }
    let mut lonely: Vec<(&str, Span)> =
        groups.into_iter().filter(|(_, (_, members))| *members == 1).map(|(group, (span, _))| (group, span)).collect();
    lonely.sort_by_key(|(_, span)| span.start);
    for (group, span) in lonely {
        let message = format!("sync group `{}` has one member only", shown(group));
        out.push(Diagnostic::warning(codes::SYNC_GROUP, span, message));
    }
}
