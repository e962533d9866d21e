//! What holds for all instances: pauses between announcements, delays, IGMP.

use super::{super::tree::Node, super::value::Block, Vrrp};
use crate::{codes, draft::Conduct, host::shown};
use evenkeel_model::vrrp::Pause;
use evenkeel_source::{Diagnostic, Span, Spanned};
use std::time::Duration;

/// `garp_group`
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VrrpGarpGroup {
    /// Where it stands.
    pub place: Span,
    /// `garp_interval`
    pub arp: Option<Spanned<Duration>>,
    /// `gna_interval`
    pub neighbour: Option<Spanned<Duration>>,
    /// `interface` and `interfaces`
    pub interfaces: Vec<Spanned<String>>,
}

pub(super) fn group(node: &Node) -> VrrpGarpGroup {
    let block = Block(&node.block);
    let lines = block.nodes("interfaces").flat_map(|list| list.lines.iter().flatten());
    let listed = lines.map(|word| Spanned::new(word.text.clone(), word.span));
    VrrpGarpGroup {
        place: node.span,
        arp: block.time("garp_interval"),
        neighbour: block.time("gna_interval"),
        interfaces: block.text("interface").into_iter().chain(listed).collect(),
    }
}

/// What is carried out of it.
pub(crate) fn lower(vrrp: &Vrrp, out: &mut Vec<Diagnostic>) -> Conduct {
    let defaults = &vrrp.defaults;
    let time = |written: Option<Spanned<Duration>>| written.map_or(Duration::ZERO, |time| time.value);
    let mut pauses: Vec<Spanned<Pause>> = vrrp.garp_groups.iter().filter_map(|group| pause(group, out)).collect();
    if let Some(written) = defaults.garp_interval.or(defaults.gna_interval) {
        let (arp, neighbour) = (time(defaults.garp_interval), time(defaults.gna_interval));
        pauses.push(Spanned::new(Pause { interfaces: Vec::new(), arp, neighbour }, written.span));
    }
    Conduct {
        startup_delay: time(defaults.startup_delay),
        boot_delay: time(defaults.boot_delay),
        pauses,
        quiet_igmp: defaults.quiet_igmp,
    }
}

fn pause(group: &VrrpGarpGroup, out: &mut Vec<Diagnostic>) -> Option<Spanned<Pause>> {
    let time = |written: Option<Spanned<Duration>>| written.map_or(Duration::ZERO, |time| time.value);
    let (arp, neighbour) = (time(group.arp), time(group.neighbour));
    let missing = if arp.is_zero() && neighbour.is_zero() {
        Some("neither garp_interval nor gna_interval")
    } else if group.interfaces.is_empty() {
        Some("no interface")
    } else {
        None
    };
    if let Some(missing) = missing {
        let message = format!("garp_group with {missing} has no effect");
        let d = Diagnostic::warning(codes::NO_EFFECT, group.place, message);
        out.push(d.note("keepalived leaves it out"));
        return None;
    }
    let mut interfaces: Vec<String> = Vec::new();
    for interface in &group.interfaces {
        if interfaces.contains(&interface.value) {
            let message = format!("{} is in this garp_group twice", shown(&interface.value));
            out.push(Diagnostic::warning(codes::EXTRA_WORDS, interface.span, message));
        } else {
            interfaces.push(interface.value.clone());
        }
    }
    Some(Spanned::new(Pause { interfaces, arp, neighbour }, group.place))
}
