//! What breaks, and what undoes it.

use super::Chaos;
use crate::pair::MILLI;
use evenkeel_heartbeat::{Input, Request, Share};

/// What can happen to a node; some need one that runs.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Fault {
    /// The daemon dies, or its host.
    Kill,
    /// An operator stops it.
    Stop,
    /// All its cables are pulled.
    Unplug,
    /// One of its cables is pulled.
    Cable,
    /// Nobody hears anybody.
    Apart,
    /// Another one does not hear it.
    Mute,
    /// It and another one do not hear each other.
    Cut,
    Freeze,
    /// It reaches no ping node.
    Ping,
    Clock,
    /// A group cannot run on it.
    Resource,
    /// An operator asks for a share.
    Share,
    /// An operator moves a group.
    Move,
}

/// What undoes a fault.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Mend {
    Start(usize),
    Thaw(usize),
    Network,
    Ping(usize),
    Resource(usize),
}

impl Chaos {
    fn below(&mut self, limit: usize) -> usize {
        usize::try_from(self.world.rng.below(limit as u64)).unwrap()
    }

    pub(super) fn fault(&mut self) {
        let nodes = self.world.hosts.len();
        let host = self.below(nodes);
        let other = (host + 1 + self.below(nodes - 1)) % nodes;
        let keepalive = self.timing().keepalive;
        let mut length = keepalive * u32::try_from(self.below(40)).unwrap() + MILLI * 13;
        let kind = self.kinds[self.below(self.kinds.len())];
        if !self.can_happen(kind, host) {
            return;
        }
        self.faults += 1;
        self.note(format!("{kind:?} of {host} and {other} for {length:?}"));
        let mend = match kind {
            Fault::Kill => {
                let power = self.world.rng.chance(50) || self.world.hosts[host].real;
                self.world.kill(host, power);
                Mend::Start(host)
            }
            Fault::Stop => {
                self.world.tell(host, Input::Stop);
                length += keepalive * 4;
                Mend::Start(host)
            }
            Fault::Unplug => {
                (0..self.media()).for_each(|medium| self.world.plug(host, medium, false));
                Mend::Network
            }
            Fault::Cable => {
                let medium = self.below(self.media());
                self.world.plug(host, medium, false);
                Mend::Network
            }
            Fault::Apart => {
                for from in 0..nodes {
                    (0..nodes).filter(|to| *to != from).for_each(|to| self.mute(from, to));
                }
                Mend::Network
            }
            Fault::Mute => {
                self.mute(host, other);
                Mend::Network
            }
            Fault::Cut => {
                self.mute(host, other);
                self.mute(other, host);
                Mend::Network
            }
            Fault::Freeze => {
                self.world.freeze(host);
                Mend::Thaw(host)
            }
            Fault::Ping => {
                self.world.hosts[host].reaches = false;
                Mend::Ping(host)
            }
            Fault::Resource => {
                let group = self.below(self.owner.len());
                self.world.hosts[host].pace[group].fails = true;
                if self.world.holders(group) == [host] && self.world.runs(host) {
                    self.world.fail(host, group);
                }
                (self.moved, self.failed) = (true, true);
                Mend::Resource(host)
            }
            Fault::Clock => {
                self.world.hosts[host].clock += if self.below(2) == 0 { 3_600_000 } else { -3_600_000 };
                return;
            }
            Fault::Share => {
                let share = [Share::All, Share::Local, Share::Foreign][self.below(3)];
                let what = if self.below(2) == 0 { Request::Standby(share) } else { Request::Takeover(share) };
                return self.ask(host, what);
            }
            Fault::Move => {
                let (group, to) = (self.below(self.owner.len()), self.below(nodes));
                return self.ask(host, Request::Move { group, to: Some(to) });
            }
        };
        self.broken.push((self.world.now + length, mend));
    }

    fn can_happen(&self, kind: Fault, host: usize) -> bool {
        match kind {
            Fault::Kill | Fault::Stop | Fault::Freeze => self.world.runs(host),
            Fault::Share | Fault::Move => self.world.runs(host) && self.seed % 2 == 1,
            Fault::Resource => self.seed % 4 == 3,
            Fault::Unplug | Fault::Cable | Fault::Apart | Fault::Mute | Fault::Cut | Fault::Ping | Fault::Clock => true,
        }
    }

    fn media(&self) -> usize {
        self.world.hosts[0].view.media.len()
    }

    fn mute(&mut self, from: usize, to: usize) {
        for medium in 0..self.media() {
            self.world.open.insert((from, to, medium), false);
        }
    }

    fn ask(&mut self, host: usize, what: Request) {
        self.moved = true;
        self.world.ask(host, 1, what);
    }

    pub(super) fn mend(&mut self, mend: Mend) {
        self.note(format!("{mend:?}"));
        match mend {
            Mend::Start(host) => {
                self.off.retain(|off| *off != host);
                if self.is_fit(host) {
                    return;
                }
                // A heartbeat that is gone has taken its addresses along, or a reboot has.
                if self.world.hosts[host].real {
                    self.world.kill(host, true);
                }
                self.world.start(host);
            }
            Mend::Thaw(host) => self.world.thaw(host),
            Mend::Network => self.world.open.clear(),
            Mend::Ping(host) => self.world.hosts[host].reaches = true,
            Mend::Resource(host) => self.world.hosts[host].pace.iter_mut().for_each(|pace| pace.fails = false),
        }
    }
}
