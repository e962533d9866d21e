//! Attaches the packet path to the interfaces it belongs on, and again when one of them is made anew.
//!
//! Interfaces named by the operator are taken exactly. Where they are derived from addresses and routes, more are taken
//! while the daemon runs, but none is let go before a reload: an address that is gone for a moment must not cost a service.
//!
//! The answers of real servers that are translated have to come in by a door as well: by the interface that leads to them.
//! Where interfaces are named, one that is missing for that is only warned about.

use crate::{
    follows::Follows,
    interfaces::{self, Interface},
    path::{Door, PacketPath},
};
use evenkeel_api::Event;
use evenkeel_model::{Prefix, Settings};
use std::{
    collections::{BTreeMap, BTreeSet},
    net::IpAddr,
};

/// An interface of the host, with the number it has while it lives.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Numbered {
    /// Never reused while the interface lives: another number is another interface.
    pub index: u32,
    /// It is a network card, not an interface of software.
    pub is_card: bool,
    /// It is a VLAN on top of something that XDP cannot send by.
    pub is_deaf: bool,
    /// The rest.
    pub interface: Interface,
}

/// What a look at the doors may change.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Look {
    /// Attach where something is missing.
    Mend,
    /// The same, where services are new: undecided addresses are guessed at.
    New,
    /// The files have been read: also let go of what is not wanted any more.
    Anew,
}

/// Where to attach, and where it is attached.
#[derive(Debug, Default)]
pub(crate) struct Doors {
    /// From the command line, which wins over the files.
    override_interfaces: Vec<String>,
    override_door: Option<Door>,
    named: BTreeSet<String>,
    /// Where the packets go that are to be taken.
    vips: BTreeSet<Prefix>,
    /// Interfaces towards real servers that are translated, and one of these for each.
    answers: BTreeMap<u32, IpAddr>,
    /// Of the interfaces that are not named although answers come in there.
    unnamed: BTreeMap<String, IpAddr>,
    door: Door,
    /// An address was undecided when the files were read.
    guessing: bool,
    attached: BTreeMap<String, u32>,
    failed: BTreeMap<String, String>,
    /// Attached by native XDP although they are no network cards.
    doubtful: BTreeSet<String>,
    /// A VLAN by which clients may be reached and XDP cannot send, and the interfaces with native XDP.
    deaf: Option<(String, Vec<String>)>,
}

impl Doors {
    /// With what the command line says.
    pub(crate) fn new(interfaces: Vec<String>, door: Option<Door>) -> Doors {
        Doors { override_interfaces: interfaces, override_door: door, ..Doors::default() }
    }

    /// Takes what this cluster wants; made true by [`Doors::settle`].
    pub(crate) fn want(&mut self, settings: &Settings, follows: &Follows) {
        let named = if self.override_interfaces.is_empty() { &settings.interfaces } else { &self.override_interfaces };
        self.named = named.iter().cloned().collect();
        self.vips = if self.named.is_empty() { follows.destinations() } else { BTreeSet::new() };
        let written = settings.attach.as_deref().and_then(|word| word.parse().ok());
        self.door = self.override_door.or(written).unwrap_or_default();
    }

    /// Packets to this prefix are to be taken as well; whether they are already, as far as is known of the host.
    pub(crate) fn add(&mut self, destination: Prefix, host: &[Numbered]) -> bool {
        if !self.named.is_empty() {
            return true;
        }
        self.vips.insert(destination);
        let names = interfaces::choose_for(destination, host.iter().map(|n| &n.interface));
        !names.is_empty()
            && names.iter().all(|name| self.attached.contains_key(*name) || self.failed.contains_key(*name))
    }

    /// No packets are taken for this prefix any more; the interfaces are kept until the next reload.
    pub(crate) fn remove(&mut self, destination: &Prefix) {
        self.vips.remove(destination);
    }

    /// By these interfaces the answers of translated real servers come in; whether that is another set than before.
    pub(crate) fn answer_by(&mut self, answers: BTreeMap<u32, IpAddr>) -> bool {
        let same = answers.keys().eq(self.answers.keys());
        self.answers = answers;
        !same
    }

    /// Attaches where it should be and is not, and detaches where a look allows it. Tells what has changed, and each
    /// failure once.
    pub(crate) fn settle(&mut self, path: &mut dyn PacketPath, host: &[Numbered], look: Look) -> Vec<Event> {
        let there: BTreeMap<&str, u32> = host.iter().map(|n| (n.interface.name.as_str(), n.index)).collect();
        // One that is gone, or made anew under its old name, has taken its attachment with it.
        let open = path.attachments();
        let is_open = |name: &str| open.iter().any(|a| a.interface == name);
        self.attached.retain(|name, index| there.get(name.as_str()) == Some(index) && is_open(name));
        let wanted = self.wanted(host, look);
        self.failed.retain(|name, _| wanted.contains(name));
        let vlan = host.iter().find(|n| n.is_deaf && n.interface.usable && !self.answers.is_empty());
        let vlan = vlan.map(|n| n.interface.name.clone());
        let mut events = Vec::new();
        for name in &wanted {
            match there.get(name.as_str()) {
                Some(index) => self.attach(path, name, *index, vlan.is_some(), &mut events),
                None => self.fail(name, "there is no such interface".to_owned(), &mut events),
            }
        }
        self.doubtful = doubtful(self.door, &wanted, host);
        self.deaf = vlan.map(|vlan| (vlan, native(path, &wanted))).filter(|(_, native)| !native.is_empty());
        if look == Look::Anew {
            for attachment in path.attachments() {
                if !wanted.contains(&attachment.interface) {
                    self.detach(path, &attachment.interface, &mut events);
                }
            }
        }
        events
    }

    fn wanted(&mut self, host: &[Numbered], look: Look) -> BTreeSet<String> {
        let answers = host.iter().filter(|n| n.interface.usable);
        let answers = answers.filter_map(|n| Some((n.interface.name.clone(), *self.answers.get(&n.index)?)));
        if !self.named.is_empty() {
            self.unnamed = answers.filter(|(name, _)| !self.named.contains(name)).collect();
            return self.named.clone();
        }
        self.unnamed.clear();
        let interfaces: Vec<Interface> = host.iter().map(|n| n.interface.clone()).collect();
        if look != Look::Mend {
            self.guessing = interfaces::is_a_guess(&self.vips, &interfaces);
        }
        let mut wanted = interfaces::choose(&self.vips, &interfaces, self.guessing);
        wanted.extend(answers.map(|(name, _)| name));
        wanted
    }

    /// `by_vlan`: answers of translated real servers may have to leave by a VLAN that XDP cannot send by.
    fn attach(&mut self, path: &mut dyn PacketPath, name: &str, index: u32, by_vlan: bool, events: &mut Vec<Event>) {
        if self.attached.contains_key(name) {
            return;
        }
        let attached = match self.door {
            Door::Auto if by_vlan => path.attach(name, Door::Tcx).or_else(|_| path.attach(name, Door::Clsact)),
            door => path.attach(name, door),
        };
        match attached {
            Ok(attachment) => {
                self.attached.insert(name.to_owned(), index);
                self.failed.remove(name);
                let why = match self.answers.get(&index).filter(|_| self.named.is_empty()) {
                    Some(server) => format!("the answers of {server}, which is translated, arrive there"),
                    None => "the virtual addresses' traffic arrives there".to_owned(),
                };
                events.push(Event::AttachmentChanged { interface: name.to_owned(), mode: Some(attachment.mode), why });
            }
            Err(why) => self.fail(name, why, events),
        }
    }

    fn fail(&mut self, name: &str, why: String, events: &mut Vec<Event>) {
        if self.failed.insert(name.to_owned(), why.clone()).as_ref() != Some(&why) {
            events.push(Event::AttachmentChanged { interface: name.to_owned(), mode: None, why });
        }
    }

    fn detach(&mut self, path: &mut dyn PacketPath, name: &str, events: &mut Vec<Event>) {
        self.attached.remove(name);
        let why = match path.detach(name) {
            Ok(()) => "no service's packets arrive there any more".to_owned(),
            Err(why) => format!("it should no longer be attached: {why}"),
        };
        events.push(Event::AttachmentChanged { interface: name.to_owned(), mode: None, why });
    }

    /// The addresses whose traffic is to be taken; none where the operator names the interfaces.
    pub(crate) fn vips(&self) -> &BTreeSet<Prefix> {
        &self.vips
    }

    /// Whether packets are taken anywhere.
    pub(crate) fn is_open(&self) -> bool {
        !self.attached.is_empty()
    }

    /// One sentence for each interface that should be attached and is not.
    pub(crate) fn complaints(&self) -> impl Iterator<Item = String> + '_ {
        self.failed.iter().map(|(name, why)| format!("not attached to {name}: {why}"))
    }

    /// One sentence for each interface on which the door may lose packets without a trace, and for each that is missing.
    pub(crate) fn doubts(&self) -> impl Iterator<Item = String> + '_ {
        let missing = |(name, server): (&String, &IpAddr)| {
            format!(
                "the answers of {server}, which is translated, arrive on {name}, which is not among the interfaces named: name it as well"
            )
        };
        let deaf = self.deaf.iter().map(|(vlan, native)| {
            format!(
                "native XDP on {} cannot send by {vlan}, which is no VLAN on a network card or a bond: clients that are reached there get no answers of real servers that are translated (counted as not_by_xdp); use auto or tcx instead of xdp",
                native.join(", ")
            )
        });
        self.doubtful.iter().map(|name| doubt(name)).chain(self.unnamed.iter().map(missing)).chain(deaf)
    }
}

/// Where native XDP is wanted and no driver of a network card carries it out: a virtual cable drops what is sent on it
/// unless its other end has a program as well.
pub(crate) fn doubtful(door: Door, wanted: &BTreeSet<String>, host: &[Numbered]) -> BTreeSet<String> {
    let software = host.iter().filter(|n| door == Door::Xdp && !n.is_card && wanted.contains(&n.interface.name));
    software.map(|n| n.interface.name.clone()).collect()
}

/// Of the interfaces that are `wanted`, those with native XDP.
fn native(path: &mut dyn PacketPath, wanted: &BTreeSet<String>) -> Vec<String> {
    let attachments = path.attachments().into_iter();
    attachments.filter(|a| a.mode == "xdp" && wanted.contains(&a.interface)).map(|a| a.interface).collect()
}

pub(crate) fn doubt(name: &str) -> String {
    format!("{name} is no network card, and native XDP may lose every packet there: use auto or tcx instead of xdp")
}

#[cfg(test)]
mod tests;
