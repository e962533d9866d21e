//! From the instances there are to those that are wanted: what did not change is not touched.

use crate::{News, elections::Elections, member::Member};
use evenkeel_model::vrrp::{self, Pause, Vip, VirtualRouter};
use evenkeel_vrrp::{Input, Output, Place, Role};
use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
    time::Duration,
};

impl Elections {
    /// Holds elections for `wanted` from now on. An instance goes on as long as its name, interface and number stay;
    /// one that is wanted no more hands its addresses over.
    pub(crate) fn configure(&mut self, mut wanted: vrrp::Elections) {
        self.fix(std::mem::take(&mut wanted.fixed));
        self.pace(std::mem::take(&mut wanted.pauses));
        self.quieten(wanted.quiet_igmp);
        if let Err(why) = self.configure_closed(&wanted) {
            self.complain(why);
        }
        let running = || self.members.iter().enumerate().filter(|(_, member)| !member.retired);
        let by_name: HashMap<String, Place> =
            running().map(|(place, member)| (member.instance.name.clone(), place)).collect();
        let names: HashSet<&str> = wanted.instances.iter().map(|instance| instance.name.as_str()).collect();
        // An instance of another name is the same one if it is the same virtual router.
        let renamed: HashMap<VirtualRouter, Place> = running()
            .filter(|(_, member)| !names.contains(member.instance.name.as_str()))
            .map(|(place, member)| (member.instance.router(), place))
            .collect();
        let mut kept = HashSet::new();
        let mut begun = Vec::new();
        for instance in std::mem::take(&mut wanted.instances) {
            let place = by_name.get(&instance.name).or_else(|| renamed.get(&instance.router()));
            let Some(place) = place.copied().filter(|place| kept.insert(*place)) else {
                begun.push((instance, None));
                continue;
            };
            let Some(member) = self.members.get(place) else { continue };
            if member.instance == instance {
                continue;
            }
            if member.instance.router() == instance.router() {
                self.change(place, instance);
            } else {
                // The same addresses for another virtual router: its successor is this node, and begins as master.
                let was_master = member.holds.is_some();
                self.dismiss(place, Duration::ZERO);
                begun.push((instance, was_master.then_some(Duration::ZERO)));
            }
        }
        let over: Vec<Place> = by_name.into_values().filter(|place| !kept.contains(place)).collect();
        for place in over {
            self.retire(place);
        }
        let begun: Vec<_> = begun.into_iter().filter_map(|(one, since)| Some((self.add(one)?, since))).collect();
        self.regroup();
        self.follow(&wanted);
        self.configure_bfd(&wanted.bfd);
        // Before they begin: they have to know where they speak from.
        self.look_at_links();
        for (place, since) in begun {
            self.handle(place, Input::Ready(self.ready));
            if let Some(until) = self.not_before {
                self.handle(place, Input::NotBefore(until));
            }
            let since_renewal = since.or_else(|| self.since_renewal(place));
            self.handle(place, Input::Start { since_renewal });
        }
    }

    fn pace(&mut self, pauses: Vec<Pause>) {
        let (now, mut refused) = (self.events.now(), Vec::new());
        self.addresses.pace(now, pauses, &self.members, &self.links.links, &mut refused);
        for e in refused {
            self.complain(e.to_string());
        }
    }

    fn add(&mut self, instance: vrrp::Instance) -> Option<Place> {
        let name = instance.name.clone();
        let Some(member) = Member::new(instance) else {
            self.complain(format!("{name} has more than 255 addresses, and is left out"));
            return None;
        };
        let place = self.router.add(member.settings());
        match self.members.get_mut(place) {
            Some(free) => *free = member,
            None => self.members.push(member),
        }
        self.want_routing(place);
        self.tell_of_peers(place);
        Some(place)
    }

    /// Another configuration of a virtual router that goes on.
    fn change(&mut self, place: Place, instance: vrrp::Instance) {
        let Some(member) = self.members.get_mut(place) else { return };
        let name = instance.name.clone();
        let Some(before) = member.change(instance) else {
            return self.complain(format!("{name} would have more than 255 addresses, and stays as it was"));
        };
        self.want_routing(place);
        let Some(member) = self.members.get(place) else { return };
        let settings = member.settings();
        if member.holds.is_some() {
            let wanted: HashSet<_> = member.instance.vips().map(|vip| (vip.address, vip.prefix)).collect();
            let gone = before.vips().filter(|vip| !wanted.contains(&(vip.address, vip.prefix)));
            let gone: Vec<Vip> = gone.cloned().collect();
            let moved = !before.vips().eq(member.instance.vips());
            let flipped = before.is_closed() != member.instance.is_closed();
            if moved || flipped {
                let mut refused = Vec::new();
                if let Some(member) = self.members.get_mut(place) {
                    self.addresses.let_go(member);
                }
                self.addresses.release((place, &before), gone.iter(), &self.links.links, &mut refused);
                self.out.push((place, Output::Hold));
                if moved {
                    self.out.push((place, Output::Announce { rounds: settings.rounds.burst }));
                }
                for e in refused {
                    self.complain(e.to_string());
                }
            } else if (&before.routes, &before.rules) != (&member.instance.routes, &member.instance.rules) {
                self.out.push((place, Output::Hold));
            }
        }
        let (now, before) = (self.events.now(), self.priority(place));
        self.router.change(now, place, settings, &mut self.out);
        self.tell_of_peers(place);
        let priority = self.priority(place).filter(|priority| Some(*priority) != before);
        if let (Some(member), Some(priority)) = (self.members.get(place), priority) {
            (self.tell)(News::Priority { instance: Arc::clone(&member.name), priority });
        }
    }

    /// Without anybody to speak to it may not be master.
    fn tell_of_peers(&mut self, place: Place) {
        if let Some(member) = self.members.get(place) {
            self.handle(place, Input::NoPeers(member.instance.lacks_peers()));
        }
    }

    /// The instance is wanted no more: it hands over as gently as at an end.
    pub(crate) fn retire(&mut self, place: Place) {
        let patience = self.members.get(place).map_or(Duration::ZERO, Member::patience);
        self.dismiss(place, patience);
    }

    fn dismiss(&mut self, place: Place, patience: Duration) {
        if let Some(member) = self.members.get_mut(place) {
            member.retired = true;
            self.handle(place, Input::Stop { patience });
            self.carry_out();
        }
    }

    /// Frees the place of a retired instance that has ended.
    pub(crate) fn bury(&mut self, place: Place) {
        let ended = self.router.instance(place).is_some_and(|instance| instance.role() == Role::Stopped);
        if ended && self.members.get(place).is_some_and(|member| member.retired) {
            self.strip(place);
            self.router.remove(place);
            self.forget_routing(place);
            self.wrong.forget(|(of, _, _)| *of == place);
        }
    }

    /// Forms the sync groups of those that go on.
    fn regroup(&mut self) {
        let mut groups: Vec<(&str, Vec<Place>)> = Vec::new();
        let mut known: HashMap<&str, usize> = HashMap::new();
        for (place, member) in self.members.iter().enumerate().filter(|(_, member)| !member.retired) {
            let Some(name) = member.instance.group.as_deref() else { continue };
            let at = *known.entry(name).or_insert_with(|| {
                groups.push((name, Vec::new()));
                groups.len() - 1
            });
            groups[at].1.push(place);
        }
        let groups = groups.into_iter().map(|(_, places)| places).collect();
        let now = self.events.now();
        self.router.group(now, groups, &mut self.out);
    }
}
