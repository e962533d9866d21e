//! What would change of the VRRP instances.

use super::line;
use evenkeel_api::{PlanAction, PlanLine};
use evenkeel_model::vrrp::{Elections, Fixed, Instance, Route, Rule, Vip};
use std::{collections::BTreeMap, fmt::Display};

/// From the instances there are, none where no daemon runs, to those that are wanted, and the addresses they would hold.
pub(super) fn compare(have: &Elections, wanted: &Elections) -> Vec<PlanLine> {
    let mut lines = Vec::new();
    let mut left: BTreeMap<&str, &Instance> = have.instances.iter().map(|one| (one.name.as_str(), one)).collect();
    for instance in &wanted.instances {
        match left.remove(instance.name.as_str()) {
            None => {
                let text = format!("{}, priority {}", header(instance), instance.priority);
                lines.push(line(PlanAction::Add, "vrrp", false, text));
                lines.extend(instance.vips().map(|vip| address(PlanAction::Add, instance, vip)));
                routing((&[], &[]), (&instance.routes, &instance.rules), MOVES, &mut lines);
            }
            Some(old) if old != instance => change(old, instance, &mut lines),
            Some(_) => {}
        }
    }
    lines.extend(left.values().map(|old| line(PlanAction::Remove, "vrrp", false, header(old))));
    fixed(&have.fixed, &wanted.fixed, &mut lines);
    lines
}

/// Behind what a master has.
const MOVES: &str = " as master";

/// What stays on the node.
fn fixed(old: &Fixed, new: &Fixed, lines: &mut Vec<PlanLine>) {
    let text = |vip: &Vip| format!("{vip} on {}", vip.interface.as_deref().unwrap_or_default());
    let texts = |fixed: &Fixed| fixed.addresses.iter().map(text).collect::<Vec<_>>();
    differ("address", &texts(old), &texts(new), ("", false), lines);
    differ("route", &old.routes, &new.routes, ("", false), lines);
    differ("rule", &old.rules, &new.rules, ("", false), lines);
}

/// Routes, then rules.
type Routing<'a> = (&'a [Route], &'a [Rule]);

fn routing(old: Routing<'_>, new: Routing<'_>, of: &str, lines: &mut Vec<PlanLine>) {
    differ("route", old.0, new.0, (of, true), lines);
    differ("rule", old.1, new.1, (of, true), lines);
}

fn differ<T: PartialEq + Display>(
    kind: &'static str,
    old: &[T],
    new: &[T],
    (of, within): (&str, bool),
    lines: &mut Vec<PlanLine>,
) {
    let mut tell = |action: PlanAction, one: &T| lines.push(line(action, kind, within, format!("{one}{of}")));
    new.iter().filter(|one| !old.contains(one)).for_each(|one| tell(PlanAction::Add, one));
    old.iter().filter(|one| !new.contains(one)).for_each(|one| tell(PlanAction::Remove, one));
}

fn change(old: &Instance, new: &Instance, lines: &mut Vec<PlanLine>) {
    let mut parts = Vec::new();
    let mut differ = |what: &str, old: String, new: String| {
        if old != new {
            parts.push(format!("{what} {old} -> {new}"));
        }
    };
    differ("interface", old.interface.clone(), new.interface.clone());
    differ("virtual router", old.vrid.to_string(), new.vrid.to_string());
    differ("version", old.version.number().to_string(), new.version.number().to_string());
    differ("priority", old.priority.to_string(), new.priority.to_string());
    let millis = |instance: &Instance| format!("{} ms", instance.interval.get().as_millis());
    differ("interval", millis(old), millis(new));
    let packets = |instance: &Instance| if instance.is_closed() { "dropped" } else { "accepted" }.to_owned();
    differ("packets to its addresses", packets(old), packets(new));
    let text = if parts.is_empty() { header(new) } else { format!("{}: {}", new.name, parts.join(", ")) };
    lines.push(line(PlanAction::Change, "vrrp", false, text));
    let lacks = |instance: &Instance, vip: &Vip| !instance.vips().any(|known| known == vip);
    lines.extend(new.vips().filter(|vip| lacks(old, vip)).map(|vip| address(PlanAction::Add, new, vip)));
    lines.extend(old.vips().filter(|vip| lacks(new, vip)).map(|vip| address(PlanAction::Remove, old, vip)));
    routing((&old.routes, &old.rules), (&new.routes, &new.rules), MOVES, lines);
}

fn header(instance: &Instance) -> String {
    format!("{}: virtual router {} on {}", instance.name, instance.vrid, instance.interface)
}

fn address(action: PlanAction, instance: &Instance, vip: &Vip) -> PlanLine {
    line(action, "address", true, format!("{vip} on {} as master", instance.interface_of(vip)))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

    use super::*;
    use evenkeel_model::{
        Family, Prefix,
        vrrp::{Action, Priority, RouteKind, Version, Vrid},
    };

    fn instance(name: &str, addresses: &[u8]) -> Instance {
        let vips = addresses.iter().map(|last| Vip::new([192, 0, 2, *last].into(), 24)).collect();
        Instance::new(name.to_owned(), "eth0".to_owned(), Vrid::new(51).unwrap(), Version::Three, vips)
    }

    fn lines(have: &[Instance], wanted: &[Instance]) -> Vec<String> {
        let of = |instances: &[Instance]| Elections { instances: instances.to_vec(), ..Elections::default() };
        let lines = compare(&of(have), &of(wanted));
        lines.into_iter().map(|line| format!("{} {} {}", line.action.sign(), line.kind, line.text)).collect()
    }

    #[test]
    fn an_instance_that_goes_on_shows_what_is_different() {
        let mut other = instance("one", &[1, 3]);
        other.priority = Priority::new(150).unwrap();
        assert_eq!(
            lines(&[instance("one", &[1, 2]), instance("same", &[9])], &[instance("same", &[9]), other]),
            [
                "~ vrrp one: priority 100 -> 150",
                "+ address 192.0.2.3/24 on eth0 as master",
                "- address 192.0.2.2/24 on eth0 as master",
            ]
        );
    }

    #[test]
    fn instances_come_with_their_addresses_and_go() {
        assert_eq!(
            lines(&[instance("old", &[1])], &[instance("new", &[1])]),
            [
                "+ vrrp new: virtual router 51 on eth0, priority 100",
                "+ address 192.0.2.1/24 on eth0 as master",
                "- vrrp old: virtual router 51 on eth0",
            ]
        );
    }

    #[test]
    fn routes_and_rules_and_what_stays_are_shown() {
        let blackhole = |third: u8| {
            let to = Prefix::new([10, 9, third, 0].into(), 24).unwrap();
            Route { kind: RouteKind::Blackhole, ..Route::new(to) }
        };
        let mut one = instance("one", &[1]);
        one.routes = vec![blackhole(1)];
        let mut other = one.clone();
        other.routes = vec![blackhole(2)];
        other.rules = vec![Rule::new(Family::V4, 7, Action::Nop)];
        let of = |instance, fixed| Elections { instances: vec![instance], fixed, ..Elections::default() };
        let stays = Fixed { routes: vec![blackhole(3)], ..Fixed::default() };
        let found = compare(&of(one, Fixed::default()), &of(other, stays));
        let found: Vec<_> =
            found.iter().map(|line| format!("{} {} {}", line.action.sign(), line.kind, line.text)).collect();
        assert_eq!(
            found,
            [
                "~ vrrp one: virtual router 51 on eth0",
                "+ route blackhole 10.9.2.0/24 as master",
                "- route blackhole 10.9.1.0/24 as master",
                "+ rule from all priority 7 nop as master",
                "+ route blackhole 10.9.3.0/24",
            ]
        );
    }

    #[test]
    fn what_has_no_words_of_its_own_is_a_change_all_the_same() {
        let mut other = instance("one", &[1]);
        other.answer_lower = false;
        assert_eq!(lines(&[instance("one", &[1])], &[other]), ["~ vrrp one: virtual router 51 on eth0"]);
    }
}
