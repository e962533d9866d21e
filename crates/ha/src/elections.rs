//! The loop: what has come is heard first, then what is due is done, then everything is carried out.

use crate::{
    Command, News,
    addresses::Addresses,
    bfd::{self, Bfd},
    closed,
    events::Events,
    fixed::Fixed,
    links::Links,
    member::{self, Member},
    tally::{TOLD_EVERY, Tallies},
    teller::Orders,
    tracking::Watcher,
    wires::Wire,
};
use evenkeel_machine::{Instant, Machine, Outbox};
use evenkeel_model::vrrp;
use evenkeel_netlink::{Event, Monitor};
use evenkeel_vrrp::{Input, Output, Place, Reason, Role, Router, lease};
use std::{
    collections::{BTreeSet, VecDeque},
    net::IpAddr,
    time::Duration,
};

/// Things that do not work and are said within [`TOLD_EVERY`]; more are not.
const TROUBLES: usize = 32;
/// Keys of what the loop waits for besides sockets.
const WAKE: u64 = u64::MAX - 1;
const MONITOR: u64 = u64::MAX - 2;

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
    pub(crate) later: VecDeque<(Place, Output)>,
    pub(crate) wrong: Tallies<Kind>,
    /// What was said lately of what did not work.
    troubles: Vec<(String, Instant)>,
    pub(crate) buffer: Vec<u8>,
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
        let mut elections = Elections {
            router: Router::new(),
            members: Vec::new(),
            wanted: vrrp::Elections::default(),
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
        };
        elections.configure_closed(&wanted)?;
        elections.wanted = wanted;
        Ok(elections)
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
        self.sweep_closed();
        self.elect();
        self.quieten(false);
        self.unfix();
        self.open_all();
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
                closed::KEY => self.hear_closed(),
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
                    self.sweep_closed();
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
