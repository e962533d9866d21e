//! The loop: what has come is heard first, then what is due is done, then everything is carried out.

use crate::{
    Command, News,
    addresses::Addresses,
    bfd::{self, Bfd},
    events::Events,
    fixed::Fixed,
    links::Links,
    member::{self, Member},
    tally::{TOLD_EVERY, Tallies},
    teller::Orders,
    tracking::Watcher,
    vmac,
};
use evenkeel_machine::{Instant, Machine, Outbox};
use evenkeel_model::vrrp::{self, Vrid};
use evenkeel_netlink::{Event, Monitor, VrrpSocket};
use evenkeel_vrrp::{Input, Output, Packet, Place, Reason, Role, Router, lease};
use std::{
    collections::{BTreeSet, HashMap, VecDeque},
    net::IpAddr,
    sync::Arc,
    time::Duration,
};

/// Packets read from one socket before timers have their turn.
const BATCH: usize = 256;
/// Things that do not work and are said within [`TOLD_EVERY`]; more are not.
const TROUBLES: usize = 32;
/// Keys of what the loop waits for besides sockets.
const WAKE: u64 = u64::MAX - 1;
const MONITOR: u64 = u64::MAX - 2;

/// A socket and what it hears.
pub(crate) struct Wire {
    pub(crate) socket: VrrpSocket,
    ifindex: u32,
    ipv6: bool,
    header: bool,
    /// What it hears by multicast.
    group: IpAddr,
    /// The instances of each virtual router that speak by it.
    listeners: HashMap<Vrid, Vec<Place>>,
}

impl Wire {
    /// Whether `member` listens here.
    pub(crate) fn carries(&self, member: &Member) -> bool {
        self.speaks_for(member, member.ifindex) || self.speaks_for(member, member.vmac_ifindex)
    }

    /// Whether `member` speaks here where it does so on the interface with that index.
    fn speaks_for(&self, member: &Member, ifindex: Option<u32>) -> bool {
        (Some(self.ifindex), self.group, self.header)
            == (ifindex, member.instance.multicast_group(), member.has_header())
    }
}

/// Everything the thread owns.
pub(crate) struct Elections {
    pub(crate) router: Router,
    /// By the router's places.
    pub(crate) members: Vec<Member>,
    /// What the first turn begins with.
    wanted: vrrp::Elections,
    pub(crate) watcher: Watcher,
    pub(crate) bfd: Bfd,
    /// By the key the loop waits for them under; the place of one whose interface is gone is taken by the next.
    pub(crate) wires: Vec<Option<Wire>>,
    pub(crate) links: Links,
    pub(crate) addresses: Addresses,
    pub(crate) fixed: Fixed,
    monitor: Monitor,
    pub(crate) events: Events,
    orders: Orders<Command>,
    pub(crate) tell: Box<dyn FnMut(News) + Send>,
    /// Interfaces whose `promote_secondaries` was set.
    pub(crate) promoted: BTreeSet<String>,
    /// Whether reports of IGMP were turned off.
    pub(crate) quietened: bool,
    pub(crate) out: Outbox<(Place, Output)>,
    /// What of it is done after all words; kept so that nothing is allocated.
    later: VecDeque<(Place, Output)>,
    pub(crate) wrong: Tallies<Kind>,
    /// What was said lately of what did not work.
    troubles: Vec<(String, Instant)>,
    buffer: Vec<u8>,
    readable: Vec<u64>,
    pub(crate) ready: bool,
    /// No wait for a silent master begins before (`vrrp_startup_delay`, `vrrp_delay_after_boot`).
    pub(crate) not_before: Option<Instant>,
    stopping: bool,
}

/// What an advertisement with a mistake was about, who sent it and what was wrong.
type Kind = (Place, IpAddr, Reason);

impl Elections {
    /// Makes everything that can fail.
    pub(crate) fn prepare(
        wanted: vrrp::Elections,
        orders: Orders<Command>,
        tell: Box<dyn FnMut(News) + Send>,
    ) -> Result<Elections, String> {
        let events = Events::open()?;
        // Listening before looking: nothing that changes in between is missed.
        let monitor = Monitor::open().map_err(|e| e.to_string())?;
        let mut addresses = Addresses::open().map_err(|e| e.to_string())?;
        let (links, known) = addresses.look().map_err(|e| e.to_string())?;
        events.add(&*orders.wake, WAKE)?;
        events.add(&monitor, MONITOR)?;
        let mut bfd = Bfd::new();
        if let Some(why) = bfd.follow(&wanted.bfd, &events).into_iter().next() {
            return Err(why);
        }
        Ok(Elections {
            router: Router::new(),
            members: Vec::new(),
            wanted,
            watcher: Watcher::default(),
            bfd,
            not_before: None,
            wires: Vec::new(),
            links: Links { links, addresses: known },
            addresses,
            fixed: Fixed::default(),
            monitor,
            events,
            orders,
            tell,
            promoted: BTreeSet::new(),
            quietened: false,
            out: Outbox::new(),
            later: VecDeque::new(),
            wrong: Tallies::new(),
            troubles: Vec::new(),
            buffer: vec![0; member::longest_packet()],
            readable: Vec::new(),
            ready: false,
            stopping: false,
        })
    }

    /// Until everything is handed over.
    pub(crate) fn run(mut self) {
        for refused in [evenkeel_os::be_realtime(), evenkeel_os::lock_memory()] {
            if let Err(e) = refused {
                let text = format!("cannot {e}: on a busy machine advertisements may be late");
                (self.tell)(News::Trouble(text));
            }
        }
        let wanted = std::mem::take(&mut self.wanted);
        self.not_before = self.events.not_before(wanted.startup_delay, wanted.boot_delay);
        self.configure(wanted);
        self.carry_out();
        self.sweep_routing();
        self.elect();
        self.quieten(false);
        self.unfix();
    }

    fn elect(&mut self) {
        loop {
            self.carry_out();
            if self.stopping && self.is_stopped() {
                return self.promote();
            }
            if let Err(why) = self.turn() {
                (self.tell)(News::Trouble(why));
                // Nothing can be waited for any more: the addresses go while they can.
                return self.give_up();
            }
        }
    }

    fn is_stopped(&self) -> bool {
        let role = |place| self.router.instance(place).map(evenkeel_vrrp::Instance::role);
        (0..self.members.len()).all(|place| role(place) == Some(Role::Stopped))
    }

    pub(crate) fn handle(&mut self, place: Place, input: Input) {
        self.router.handle(self.events.now(), (place, input), &mut self.out);
    }

    /// How long ago a former run renewed the addresses of this instance: the kernel tells what is left of their
    /// lifetime, in whole seconds, so that it may be a second less.
    pub(crate) fn since_renewal(&self, place: Place) -> Option<Duration> {
        let member = self.members.get(place)?;
        let left = |vip: &vrrp::Vip| {
            let ours = |address: &&evenkeel_netlink::Address| {
                address.address == vip.address && address.protocol == Some(crate::PROTOCOL)
            };
            self.links.addresses.iter().find(ours).and_then(|address| address.lifetime)
        };
        let left = member.instance.vips().filter_map(left).min()?;
        Some(lease::LENGTH.saturating_sub(left))
    }

    /// One turn of the loop.
    fn turn(&mut self) -> Result<(), String> {
        let mut readable = std::mem::take(&mut self.readable);
        let paced = self.addresses.pacing.deadline();
        let deadlines = [self.router.deadline(), self.watcher.deadline(), self.bfd.deadline(), paced];
        let deadline = deadlines.into_iter().flatten().min();
        let waited = self.events.wait(deadline, &mut readable);
        for &key in &readable {
            match key {
                MONITOR => self.hear_links(),
                WAKE => self.take_commands(),
                key if bfd::KEYS.contains(&key) => self.hear_bfd(key),
                wire => self.hear(usize::try_from(wire).unwrap_or(usize::MAX)),
            }
        }
        self.readable = readable;
        waited?;
        self.settle_bfd();
        self.settle();
        let now = self.events.now();
        if self.router.deadline().is_some_and(|due| due <= now) {
            self.router.handle_timeout(now, &mut self.out);
        }
        if self.addresses.pacing.deadline().is_some_and(|due| due <= now) {
            self.announce_due(now);
        }
        Ok(())
    }

    /// Announces what has waited for its turn.
    fn announce_due(&mut self, now: Instant) {
        let mut refused = Vec::new();
        self.addresses.announce_due(now, &self.members, &self.links.links, &mut refused);
        for e in refused {
            self.complain(e.to_string());
        }
    }

    fn take_commands(&mut self) {
        self.orders.heard();
        while let Some(command) = self.orders.take() {
            match command {
                Command::Report { clear } => self.report(clear),
                Command::Seen(target, sight) => self.see(&target, sight),
                Command::Ready(ready) => {
                    self.ready = ready;
                    for place in 0..self.members.len() {
                        self.handle(place, Input::Ready(ready));
                    }
                }
                Command::Configure(wanted) => self.configure(*wanted),
                Command::Stop => {
                    self.stopping = true;
                    self.stop_bfd();
                    for place in 0..self.members.len() {
                        self.retire(place);
                    }
                }
            }
        }
    }

    /// Reads what waits on a wire and hands it to the instances it is about.
    fn hear(&mut self, wire: usize) {
        for _ in 0..BATCH {
            let Some(Some(Wire { socket, ipv6, listeners, .. })) = self.wires.get(wire) else { return };
            let received = match socket.receive(&mut self.buffer) {
                Ok(Some(received)) => received,
                Ok(None) => return,
                Err(e) => return self.complain(e.to_string()),
            };
            let now = self.events.now();
            let bytes = self.buffer.get(..received.length).unwrap_or_default();
            let packet = if *ipv6 {
                let (Some(source), Some(destination)) = (received.source, received.destination) else { continue };
                Packet::ipv6(source, destination, received.hops, bytes)
            } else {
                // What is not even a packet of ours is nobody's.
                let Ok(packet) = Packet::ipv4(bytes) else { continue };
                packet
            };
            let places = packet.vrid().and_then(|vrid| listeners.get(&vrid));
            for &place in places.into_iter().flatten() {
                let Some(member) = self.members.get_mut(place) else { continue };
                let Some(own) = member.source else { continue };
                if member.vmacs.is_copy(wire, bytes) {
                    continue;
                }
                let judged = member.judge(&packet, own);
                member.statistics.hear(judged);
                let wrong = match judged {
                    Ok(heard) => heard.other_addresses.then_some(Reason::Addresses),
                    Err(reason) => Some(reason),
                };
                if let Some(reason) = wrong
                    && let Some(count) = self.wrong.count(now, (place, packet.source, reason))
                {
                    let (instance, source, dropped) = (Arc::clone(&member.name), packet.source, judged.is_err());
                    (self.tell)(News::Wrong { instance, source, reason, dropped, count });
                }
                if let Ok(heard) = judged {
                    self.router.handle(now, (place, Input::Heard(heard)), &mut self.out);
                }
            }
        }
    }

    fn hear_links(&mut self) {
        match self.monitor.read_events() {
            Ok(events) => {
                let (mut changed, mut lost) = (false, false);
                for event in events {
                    lost |= self.addresses.routing.is_hit(&event);
                    changed |= match event {
                        Event::Overrun => self.look_anew(),
                        event => self.links.take(event),
                    };
                }
                if changed {
                    self.look_at_links();
                    self.restore_addresses();
                    self.restore_fixed();
                }
                if changed || lost {
                    self.restore_routing(lost);
                }
            }
            Err(e) => self.complain(e.to_string()),
        }
    }

    fn look_anew(&mut self) -> bool {
        match self.addresses.look() {
            Ok((links, addresses)) => self.links = Links { links, addresses },
            Err(e) => self.complain(e.to_string()),
        }
        true
    }

    /// Tells each instance how its interface stands, and opens the sockets it needs.
    pub(crate) fn look_at_links(&mut self) {
        for wire in &mut self.wires {
            let lives = |wire: &mut Wire| self.links.links.iter().any(|link| link.index == wire.ifindex);
            drop(wire.take_if(|wire| !lives(wire)));
        }
        let mut told = Vec::new();
        for place in (0..self.members.len()).filter(|&place| !self.router.is_free(place)).collect::<Vec<_>>() {
            let Some(member) = self.members.get_mut(place) else { continue };
            let furnished = self.addresses.furnish(member, &mut self.links, &mut told);
            let ifindex = self.links.named(&member.instance.interface).map(|link| link.index);
            let source = self.links.source(&member.instance).filter(|_| furnished);
            let moved = std::mem::replace(&mut member.ifindex, ifindex) != ifindex;
            let spoke = std::mem::replace(&mut member.source, source);
            let (group, header) = (member.instance.multicast_group(), member.has_header());
            let vmac = vmac::listens_at(member, &self.links);
            let vmac_moved = std::mem::replace(&mut member.vmac_ifindex, vmac) != vmac;
            for (moved, ifindex) in [(moved, ifindex), (vmac_moved, vmac)] {
                if let (true, Some(ifindex)) = (moved, ifindex) {
                    self.open_wire(ifindex, group, header);
                }
            }
            if spoke != source {
                self.handle(place, Input::Address(source));
            }
        }
        self.see_links();
        for wire in self.wires.iter_mut().flatten() {
            wire.listeners.clear();
            for (place, member) in self.members.iter().enumerate() {
                if wire.carries(member) && !self.router.is_free(place) {
                    wire.listeners.entry(member.instance.vrid).or_default().push(place);
                }
            }
        }
        for why in told {
            self.complain(why);
        }
        self.promote();
    }

    fn open_wire(&mut self, ifindex: u32, group: IpAddr, header: bool) {
        let known = |wire: &Wire| (wire.ifindex, wire.group, wire.header) == (ifindex, group, header);
        if self.wires.iter().flatten().any(known) {
            return;
        }
        let place = self.wires.iter().position(Option::is_none).unwrap_or(self.wires.len());
        if place == self.wires.len() {
            self.wires.push(None);
        }
        let opened = VrrpSocket::open(ifindex, group, header).map_err(|e| e.to_string());
        match opened.and_then(|socket| self.events.add(&socket, place as u64).map(|()| socket)) {
            Ok(socket) => {
                self.wires[place] =
                    Some(Wire { socket, ifindex, ipv6: group.is_ipv6(), header, group, listeners: HashMap::new() });
            }
            Err(why) => self.complain(why),
        }
    }

    /// Puts back addresses that somebody took from a master.
    fn restore_addresses(&mut self) {
        for place in 0..self.members.len() {
            let Some(member) = self.members.get(place) else { continue };
            if member.holds.is_none() {
                continue;
            }
            let there = |vip: &vrrp::Vip| self.links.addresses.iter().any(|known| known.address == vip.address);
            if !member.instance.vips().all(there) || vmac::is_down(member, &self.links) {
                self.out.push((place, Output::Hold));
                self.out.push((place, Output::Announce { rounds: member.instance.rounds.burst }));
            }
        }
    }

    pub(crate) fn carry_out(&mut self) {
        let (mut refused, mut told) = (Vec::new(), Vec::new());
        // Words first: what is changed in the kernel may have to wait there.
        while let Some((place, output)) = self.out.pop() {
            let Some(member) = self.members.get_mut(place) else { continue };
            match output {
                // The word of a VMAC comes from where its addresses have to be before; others may want them there too.
                Output::Advertise { priority } if member.instance.vmacs.is_empty() && !member.waits => {
                    member.statistics.say(&output);
                    advertise(member, &self.wires, member.ifindex, priority, &mut refused);
                }
                output => {
                    member.waits = true;
                    self.later.push_back((place, output));
                }
            }
        }
        while let Some((place, output)) = self.later.pop_front() {
            let role = self.router.instance(place).map(evenkeel_vrrp::Instance::role);
            let Some(member) = self.members.get_mut(place) else { continue };
            member.waits = false;
            member.statistics.say(&output);
            match output {
                Output::Advertise { priority } => {
                    let master = matches!(role, Some(Role::Master | Role::Leaving));
                    if role == Some(Role::Master) && member.holds.is_none() && !member.instance.vmacs.is_empty() {
                        // The word moves the virtual MAC address to this port of the switch: what answers there is
                        // to be there before.
                        self.addresses.take(place, member, &mut self.links, &mut refused);
                    } else if role == Some(Role::Leaving) {
                        vmac::hush(member);
                    }
                    let ifindex = vmac::speaks_at(member, &self.links, master);
                    advertise(member, &self.wires, ifindex, priority, &mut refused);
                }
                Output::Hold => {
                    if vmac::is_down(member, &self.links) || !self.addresses.renew(member) {
                        self.addresses.take(place, member, &mut self.links, &mut refused);
                    }
                    self.addresses.routing.hold(Some(place), &mut told);
                }
                Output::Release => {
                    self.addresses.routing.release(Some(place), &mut told);
                    self.addresses.leave(place, member, &mut self.links, &mut refused);
                }
                Output::Announce { rounds } => {
                    let now = self.events.now();
                    self.addresses.announce(now, (place, member), &self.links.links, rounds, &mut refused);
                }
                Output::Candidate => {}
                Output::Turned { from, to, why } => {
                    let priority = self.router.instance(place).map_or(0, |instance| instance.priority().get());
                    (self.tell)(News::Turned { instance: Arc::clone(&member.name), from, to, why, priority });
                    if to == Role::Stopped {
                        self.bury(place);
                    }
                }
                Output::Noticed(notice) => {
                    (self.tell)(News::Noticed { instance: Arc::clone(&member.name), notice });
                }
            }
        }
        refused.extend(self.addresses.renewals.refusals());
        for e in refused {
            self.complain(e.to_string());
        }
        self.complain_of(told);
    }

    /// Says what did not work; the same again only after a while.
    pub(crate) fn complain(&mut self, why: String) {
        let now = self.events.now();
        self.troubles.retain(|(_, told)| now - *told < TOLD_EVERY);
        if self.troubles.len() < TROUBLES && self.troubles.iter().all(|(known, _)| *known != why) {
            self.troubles.push((why.clone(), now));
            (self.tell)(News::Trouble(why));
        }
    }

    fn give_up(&mut self) {
        for place in 0..self.members.len() {
            self.handle(place, Input::Stop { patience: Duration::ZERO });
        }
        self.carry_out();
        for place in 0..self.members.len() {
            self.strip(place);
        }
    }

    /// Removes the VMACs of a member that has ended, and sets back what they stood on where no others stand.
    pub(crate) fn strip(&mut self, place: Place) {
        let Some(member) = self.members.get_mut(place) else { return };
        let mut refused = Vec::new();
        self.addresses.strip(member, &mut self.links, &mut refused);
        self.addresses.restore_bases(|below| self.members.iter().any(|member| member.vmacs.stand_on(member, below)));
        for e in refused {
            self.complain(e.to_string());
        }
    }
}

/// Sends an advertisement on the interface with this index.
fn advertise(
    member: &mut Member,
    wires: &[Option<Wire>],
    ifindex: Option<u32>,
    priority: u8,
    refused: &mut Vec<evenkeel_netlink::Error>,
) {
    let Some(wire) = wires.iter().flatten().find(|wire| wire.speaks_for(member, ifindex)) else { return };
    member.advertise(priority, |bytes, source, destination, hops| {
        refused.extend(wire.socket.send(bytes, source, destination, hops).err());
    });
}
