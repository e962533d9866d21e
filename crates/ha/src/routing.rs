//! Routes and rules in the kernel: those of instances, which are added after their addresses and removed before them,
//! and those that stay on the node. Each is there once, however many want it; messages are made when the
//! configuration or a link changes, not when an election turns.

use crate::elections::Elections;
use evenkeel_model::vrrp::{Route, Rule};
use evenkeel_netlink::{Error, Event, Link, Netlink, Order};
use evenkeel_vrrp::Place;
use std::collections::{HashMap, HashSet};

/// Who wants something: an instance by its place, or the node.
pub(crate) type Owner = Option<Place>;

/// What is wanted.
#[derive(Debug)]
enum Wanted {
    Route(Box<Route>),
    Rule(Box<Rule>),
}

impl Wanted {
    fn protocol(&self) -> u8 {
        match self {
            Wanted::Route(route) => route.protocol,
            Wanted::Rule(rule) => rule.protocol,
        }
    }

    /// Equal ones are one and the same, whoever is to follow them.
    fn key(&self) -> String {
        match self {
            Wanted::Route(route) => Route { tracked: true, ..(**route).clone() }.to_string(),
            Wanted::Rule(rule) => Rule { tracked: true, ..(**rule).clone() }.to_string(),
        }
    }
}

/// A route or rule, who wants it and who has it now.
#[derive(Debug)]
struct Entry {
    wanted: Wanted,
    /// The messages; without an interface it names there are none, but that name.
    order: Result<Order, String>,
    /// The interfaces the messages speak of.
    indexes: Vec<Option<u32>>,
    owners: Vec<Owner>,
    holders: Vec<Owner>,
    /// It is in the kernel.
    set: bool,
}

impl Entry {
    fn new(wanted: Wanted, links: &[Link]) -> Entry {
        let mut entry = Entry {
            wanted,
            order: Err(String::new()),
            indexes: vec![Some(0)],
            owners: Vec::new(),
            holders: Vec::new(),
            set: false,
        };
        entry.look(links);
        entry
    }

    /// Makes the messages anew where an interface is another one than before.
    fn look(&mut self, links: &[Link]) {
        let index = |name: &str| links.iter().find(|link| link.name == name).map(|link| link.index);
        match &self.wanted {
            Wanted::Route(route) => {
                let indexes: Vec<_> = route.interfaces().map(|name| index(name)).collect();
                if indexes != self.indexes {
                    self.order = Order::route(route, index);
                    self.indexes = indexes;
                    // With its interface a route goes.
                    self.set = false;
                }
            }
            Wanted::Rule(rule) => {
                if !self.indexes.is_empty() {
                    self.order = Ok(Order::rule(rule));
                    self.indexes.clear();
                }
            }
        }
    }

    fn add(&mut self, netlink: &mut Netlink) -> Result<(), String> {
        let added = match &mut self.order {
            Ok(order) => netlink.add(order),
            Err(name) => return Err(format!("{} waits for interface {name}, which is not there", self.wanted.key())),
        };
        match added {
            // One that is there already does as well; whose it is, its protocol number tells.
            Err(e) if !e.is_exists() => Err(e.to_string()),
            Ok(()) | Err(_) => {
                self.set = true;
                Ok(())
            }
        }
    }

    fn delete(&mut self, netlink: &mut Netlink) -> Result<(), String> {
        self.set = false;
        let Ok(order) = &mut self.order else { return Ok(()) };
        match netlink.delete(order) {
            Err(e) if !e.is_missing() => Err(e.to_string()),
            Ok(()) | Err(_) => Ok(()),
        }
    }
}

/// Routes and rules of all owners.
pub(crate) struct Routing {
    netlink: Netlink,
    /// Those nobody wants are taken by the next.
    entries: Vec<Entry>,
    known: HashMap<String, usize>,
    of: HashMap<Owner, Vec<usize>>,
}

impl Routing {
    pub(crate) fn open() -> Result<Routing, Error> {
        let netlink = Netlink::open()?;
        Ok(Routing { netlink, entries: Vec::new(), known: HashMap::new(), of: HashMap::new() })
    }

    /// What `owner` has from now on while it holds anything, routes first. What it holds and is not to have goes now.
    pub(crate) fn want(
        &mut self,
        owner: Owner,
        (routes, rules): (&[Route], &[Rule]),
        links: &[Link],
        told: &mut Vec<String>,
    ) {
        let before = self.of.remove(&owner).unwrap_or_default();
        let routes = routes.iter().map(|route| Wanted::Route(Box::new(route.clone())));
        let rules = rules.iter().map(|rule| Wanted::Rule(Box::new(rule.clone())));
        let mut now = Vec::new();
        let mut seen = HashSet::new();
        for wanted in routes.chain(rules) {
            let at = self.entry(wanted, links);
            let Some(entry) = self.entries.get_mut(at).filter(|_| seen.insert(at)) else { continue };
            now.push(at);
            if !entry.owners.contains(&owner) {
                entry.owners.push(owner);
                entry.holders.reserve(entry.owners.len());
            }
        }
        for at in before.into_iter().rev().filter(|at| !seen.contains(at)) {
            self.let_go(at, owner, told);
            let Some(entry) = self.entries.get_mut(at) else { continue };
            entry.owners.retain(|other| *other != owner);
            if entry.owners.is_empty() {
                self.known.remove(&entry.wanted.key());
            }
        }
        if !now.is_empty() {
            self.of.insert(owner, now);
        }
    }

    fn entry(&mut self, wanted: Wanted, links: &[Link]) -> usize {
        let key = wanted.key();
        if let Some(&at) = self.known.get(&key) {
            return at;
        }
        let entry = Entry::new(wanted, links);
        let free = self.entries.iter().position(|entry| entry.owners.is_empty());
        let at = free.unwrap_or(self.entries.len());
        match self.entries.get_mut(at) {
            Some(place) => *place = entry,
            None => self.entries.push(entry),
        }
        self.known.insert(key, at);
        at
    }

    /// Adds what `owner` wants, as far as it is not there.
    pub(crate) fn hold(&mut self, owner: Owner, told: &mut Vec<String>) {
        let Some(of) = self.of.get(&owner) else { return };
        for &at in of {
            let Some(entry) = self.entries.get_mut(at) else { continue };
            if !entry.holders.contains(&owner) {
                entry.holders.push(owner);
            }
            if !entry.set {
                told.extend(entry.add(&mut self.netlink).err());
            }
        }
    }

    /// Removes what `owner` holds, last things first, as far as nobody else holds it.
    pub(crate) fn release(&mut self, owner: Owner, told: &mut Vec<String>) {
        let Some(of) = self.of.remove(&owner) else { return };
        for &at in of.iter().rev() {
            self.let_go(at, owner, told);
        }
        self.of.insert(owner, of);
    }

    fn let_go(&mut self, at: usize, owner: Owner, told: &mut Vec<String>) {
        let Some(entry) = self.entries.get_mut(at) else { return };
        let held = entry.holders.len();
        entry.holders.retain(|other| *other != owner);
        if entry.holders.is_empty() && held > 0 {
            told.extend(entry.delete(&mut self.netlink).err());
        }
    }

    /// Removes what a former run left behind and nobody holds now.
    pub(crate) fn sweep(&mut self, told: &mut Vec<String>) {
        for entry in self.entries.iter_mut().filter(|entry| !entry.owners.is_empty() && entry.holders.is_empty()) {
            told.extend(entry.delete(&mut self.netlink).err());
        }
    }

    /// Follows interfaces that come, go, or are made anew.
    pub(crate) fn look(&mut self, links: &[Link]) {
        for entry in self.entries.iter_mut().filter(|entry| !entry.owners.is_empty()) {
            entry.look(links);
        }
    }

    /// Whether `event` may mean that something of ours is gone. With links and addresses the kernel drops routes and
    /// does not tell of all.
    pub(crate) fn is_hit(&self, event: &Event) -> bool {
        let ours = |protocol: u8| {
            let held = self.entries.iter().filter(|entry| !entry.holders.is_empty());
            held.map(|entry| entry.wanted.protocol()).any(|own| own == protocol)
        };
        match event {
            Event::RouteGone(route) => ours(route.protocol),
            Event::RuleGone(protocol) => ours(*protocol),
            Event::Link(_) | Event::LinkGone(_) | Event::AddressGone(_) | Event::Overrun => true,
            Event::Address(_) | Event::Route(_) | Event::Rule(_) | Event::Neighbour(_) | Event::NeighbourGone(_) => {
                false
            }
        }
    }

    /// Puts back what is held and gone; `lost`: anything may be, else only what was refused before. What the kernel
    /// does not want now is told by the next [`Routing::hold`].
    pub(crate) fn restore(&mut self, lost: bool, told: &mut Vec<String>) {
        for entry in self.entries.iter_mut().filter(|entry| !entry.holders.is_empty()) {
            let was_set = std::mem::take(&mut entry.set);
            if was_set && !lost {
                entry.set = true;
                continue;
            }
            let Ok(order) = &mut entry.order else { continue };
            match self.netlink.add(order) {
                Ok(()) => {
                    entry.set = true;
                    if was_set {
                        told.push(format!("{order} was gone, and is put back"));
                    }
                }
                Err(e) => entry.set = e.is_exists(),
            }
        }
    }
}

impl Elections {
    /// What routes and rules the member at `place` has while it is master; new ones are added by the next
    /// [`Output::Hold`](evenkeel_vrrp::Output::Hold), after its addresses.
    pub(crate) fn want_routing(&mut self, place: Place) {
        let Some(member) = self.members.get(place) else { return };
        let mut told = Vec::new();
        let wanted = (&member.instance.routes[..], &member.instance.rules[..]);
        self.addresses.routing.want(Some(place), wanted, &self.links.links, &mut told);
        self.complain_of(told);
    }

    /// It has none any more.
    pub(crate) fn forget_routing(&mut self, place: Place) {
        let mut told = Vec::new();
        self.addresses.routing.want(Some(place), (&[], &[]), &self.links.links, &mut told);
        self.complain_of(told);
    }

    /// Puts back routes and rules that are held and gone.
    pub(crate) fn restore_routing(&mut self, lost: bool) {
        let mut told = Vec::new();
        self.addresses.routing.look(&self.links.links);
        self.addresses.routing.restore(lost, &mut told);
        self.complain_of(told);
    }

    /// Removes routes and rules of a former run that was master where this one is not.
    pub(crate) fn sweep_routing(&mut self) {
        let mut told = Vec::new();
        self.addresses.routing.sweep(&mut told);
        self.complain_of(told);
    }

    pub(crate) fn complain_of(&mut self, told: Vec<String>) {
        for why in told {
            self.complain(why);
        }
    }
}
