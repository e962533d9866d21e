//! `strict_mode` and `vrrp_strict`: what of a file the RFCs of VRRP do not have. keepalived 2.2.7 says so and goes on
//! without it, and so do we, but for what closes the gap when a split heals. Its manual forbids unicast as well; 2.2.7
//! takes it.

use super::{Vrrp, VrrpInstance, VrrpState, vmac};
use crate::codes;
use evenkeel_model::vrrp::{Authentication, Instance, Preempt, Priority, Version};
use evenkeel_source::{Diagnostic, Span};
use std::time::Duration;

/// Advertisements that may be missed, as the RFCs have it.
const DOWN_ADVERTS: u8 = 3;

/// Whether it is asked for, for this instance.
pub(super) fn is_on(vrrp: &Vrrp, instance: &VrrpInstance) -> bool {
    instance.strict.map_or(vrrp.defaults.strict, |strict| strict.value)
}

/// The priority: where none is written, `state MASTER` claims to own the addresses.
pub(super) fn priority(from: &VrrpInstance) -> Priority {
    let claims = from.state.is_some_and(|state| state.value == VrrpState::Master);
    let default = if claims { Priority::OWNER } else { Priority::DEFAULT };
    from.priority.and_then(|number| Priority::new(number.value)).unwrap_or(default)
}

/// Whether keepalived takes it for a master from the start, which knows no patience. In strict mode the priority says
/// so, whatever `state` says.
pub(super) fn begins_as_master(vrrp: &Vrrp, from: &VrrpInstance) -> bool {
    if is_on(vrrp, from) {
        return priority(from) == Priority::OWNER;
    }
    from.state.is_some_and(|state| state.value == VrrpState::Master)
}

/// Whether it takes packets to its addresses. The RFCs have that as an exception, and only since version 3.
pub(super) fn accepts(vrrp: &Vrrp, from: &VrrpInstance, version: Version) -> bool {
    let (strict, owns) = (is_on(vrrp, from), priority(from) == Priority::OWNER);
    match from.accept.map(|accept| accept.value) {
        None => owns || !strict,
        Some(true) => owns || !strict || version == Version::Three,
        Some(false) => false,
    }
}

/// Goes on without what the RFCs do not have.
pub(super) fn tighten(instance: &mut Instance) {
    instance.authentication = Authentication::None;
    if let Preempt::After(delay) = &mut instance.preempt {
        *delay = Duration::ZERO;
    }
    instance.down_adverts = DOWN_ADVERTS;
    instance.answer_lower = false;
}

/// Reports what it goes on without.
pub(super) fn judge(vrrp: &Vrrp, instance: &VrrpInstance, version: u8, out: &mut Vec<Diagnostic>) {
    let mut tell = |at: Span, message: &str, note: &str| {
        out.push(Diagnostic::warning(codes::VRRP_STATE, at, format!("strict mode: {message}")).note(note.to_owned()));
    };
    let owns = priority(instance) == Priority::OWNER;
    if let Some(state) = instance.state.filter(|state| (state.value == VrrpState::Master) != owns) {
        let message = if owns { "priority 255 begins as master" } else { "`state MASTER` is for priority 255" };
        tell(state.span, message, "keepalived goes by the priority, as without `state`");
    }
    if let Some(authentication) = &instance.authentication {
        let at = authentication.password.as_ref().map_or(instance.name.span, |password| password.span);
        tell(at, "no authentication", "keepalived leaves it out: a node that has it does not understand this one");
    }
    if let Some(first) = instance.peers.iter().flatten().next() {
        tell(
            first.address.span,
            "no unicast",
            "the manual of keepalived says so; 2.2.7 takes it all the same, as here",
        );
    }
    if let Some(delay) = instance.preempt_delay.filter(|delay| !delay.value.is_zero()) {
        tell(delay.span, "no `preempt_delay`", "keepalived leaves it out");
    }
    let down = instance.down_timer_adverts.or(vrrp.defaults.down_timer_adverts);
    if let Some(down) = down.filter(|down| down.value != DOWN_ADVERTS) {
        tell(down.span, "3 advertisements may be missed", "keepalived takes 3");
    }
    if let Some(accept) = instance.accept.filter(|accept| accept.value && !owns && version == 2) {
        tell(accept.span, "VRRP version 2 has no `accept`", "keepalived takes `no_accept`");
    }
    let garp = &instance.garp;
    for (number, name) in [(garp.lower_repeat, "repeat"), (garp.lower_delay, "delay")] {
        if let Some(number) = number.filter(|number| number.value != 0) {
            tell(
                number.span,
                &format!("no `garp_lower_prio_{name}`"),
                "keepalived takes 0; evenkeel announces as ever: that closes a gap when a split heals",
            );
        }
    }
    if let Some(word) = instance.lower_no_advert.filter(|word| !word.value) {
        tell(word.span, "a lower master is not answered", "keepalived takes `lower_prio_no_advert true`");
    }
    if let Some(word) = instance.higher_send_advert.filter(|word| word.value) {
        tell(word.span, "no `higher_prio_send_advert`", "keepalived leaves it out; evenkeel says a last word as ever");
    }
    if let Some(line) = &instance.vmac {
        if vmac::words(&line.value).mac.is_some() {
            tell(line.span, "the MAC address of a VMAC is that of the RFC", "keepalived takes it");
        }
        if instance.switches.contains(&"vmac_xmit_base") {
            tell(line.span, "no `vmac_xmit_base`", "keepalived leaves it out");
        }
    }
}
