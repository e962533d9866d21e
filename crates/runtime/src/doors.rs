//! Attaches the packet path to the interfaces it belongs on, and again when one of them is made anew.
//!
//! Interfaces named by the operator are taken exactly. Where they are derived from addresses and routes, more are taken
//! while the daemon runs, but none is let go before a reload: an address that is gone for a moment must not cost a service.

use crate::{
    interfaces::{self, Interface},
    path::{Door, PacketPath},
};
use evenkeel_api::Event;
use evenkeel_model::Cluster;
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
    /// The rest.
    pub interface: Interface,
}

/// Where to attach, and where it is attached.
#[derive(Debug, Default)]
pub(crate) struct Doors {
    /// From the command line, which wins over the files.
    override_interfaces: Vec<String>,
    override_door: Option<Door>,
    named: BTreeSet<String>,
    vips: BTreeSet<IpAddr>,
    door: Door,
    /// An address was undecided when the files were read.
    guessing: bool,
    attached: BTreeMap<String, u32>,
    failed: BTreeMap<String, String>,
    /// Attached by native XDP although they are no network cards.
    doubtful: BTreeSet<String>,
}

impl Doors {
    /// With what the command line says.
    pub(crate) fn new(interfaces: Vec<String>, door: Option<Door>) -> Doors {
        Doors { override_interfaces: interfaces, override_door: door, ..Doors::default() }
    }

    /// Takes what this cluster wants; made true by [`Doors::settle`].
    pub(crate) fn want(&mut self, cluster: &Cluster) {
        let named =
            if self.override_interfaces.is_empty() { &cluster.settings.interfaces } else { &self.override_interfaces };
        self.named = named.iter().cloned().collect();
        let derived = self.named.is_empty();
        self.vips = cluster.services.iter().filter(|_| derived).filter_map(|s| s.key.address()).collect();
        let written = cluster.settings.attach.as_deref().and_then(|word| word.parse().ok());
        self.door = self.override_door.or(written).unwrap_or_default();
    }

    /// Attaches where it should be and is not; with `leave`, detaches where it should not be. Tells what has changed,
    /// and each failure once.
    pub(crate) fn settle(&mut self, path: &mut dyn PacketPath, host: &[Numbered], leave: bool) -> Vec<Event> {
        let there: BTreeMap<&str, u32> = host.iter().map(|n| (n.interface.name.as_str(), n.index)).collect();
        // One that is gone, or made anew under its old name, has taken its attachment with it.
        let open = path.attachments();
        let is_open = |name: &str| open.iter().any(|a| a.interface == name);
        self.attached.retain(|name, index| there.get(name.as_str()) == Some(index) && is_open(name));
        let wanted = self.wanted(host, leave);
        self.failed.retain(|name, _| wanted.contains(name));
        let mut events = Vec::new();
        for name in &wanted {
            match there.get(name.as_str()) {
                Some(index) => self.attach(path, name, *index, &mut events),
                None => self.fail(name, "there is no such interface".to_owned(), &mut events),
            }
        }
        self.doubtful = doubtful(self.door, &wanted, host);
        if leave {
            for attachment in path.attachments() {
                if !wanted.contains(&attachment.interface) {
                    self.detach(path, &attachment.interface, &mut events);
                }
            }
        }
        events
    }

    fn wanted(&mut self, host: &[Numbered], anew: bool) -> BTreeSet<String> {
        if !self.named.is_empty() {
            return self.named.clone();
        }
        let interfaces: Vec<Interface> = host.iter().map(|n| n.interface.clone()).collect();
        if anew {
            self.guessing = interfaces::is_a_guess(&self.vips, &interfaces);
        }
        interfaces::choose(&self.vips, &interfaces, self.guessing)
    }

    fn attach(&mut self, path: &mut dyn PacketPath, name: &str, index: u32, events: &mut Vec<Event>) {
        if self.attached.contains_key(name) {
            return;
        }
        match path.attach(name, self.door) {
            Ok(attachment) => {
                self.attached.insert(name.to_owned(), index);
                self.failed.remove(name);
                let why = "the virtual addresses' traffic arrives there".to_owned();
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
    pub(crate) fn vips(&self) -> &BTreeSet<IpAddr> {
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

    /// One sentence for each interface on which the door may lose packets without a trace.
    pub(crate) fn doubts(&self) -> impl Iterator<Item = String> + '_ {
        self.doubtful.iter().map(|name| doubt(name))
    }
}

/// Where native XDP is wanted and no driver of a network card carries it out: a virtual cable drops what is sent on it
/// unless its other end has a program as well.
pub(crate) fn doubtful(door: Door, wanted: &BTreeSet<String>, host: &[Numbered]) -> BTreeSet<String> {
    let software = host.iter().filter(|n| door == Door::Xdp && !n.is_card && wanted.contains(&n.interface.name));
    software.map(|n| n.interface.name.clone()).collect()
}

pub(crate) fn doubt(name: &str) -> String {
    format!("{name} is no network card, and native XDP may lose every packet there: use auto or tcx instead of xdp")
}

#[cfg(test)]
mod tests;
