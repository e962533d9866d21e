//! A service as the rules have it, by the pure functions.

use super::{Event, Flow, Recording, Server};
use evenkeel_dataplane::schedule::{Loaded, Member, dh, failover, least, locality, mh, rr, sh, thresholds, wrr};
use evenkeel_model::Scheduler;
use std::{
    collections::{HashMap, HashSet},
    net::SocketAddr,
};

/// A real server with what it carries.
struct Busy {
    server: Server,
    member: Member,
    active: u32,
    inactive: u32,
    is_overloaded: bool,
}

impl Busy {
    fn connections(&self) -> u64 {
        u64::from(self.active) + u64::from(self.inactive)
    }

    fn look(&mut self) {
        let Server { upper, lower, .. } = self.server;
        self.is_overloaded = thresholds::is_still_overloaded(self.is_overloaded, self.connections(), upper, lower);
    }

    fn loaded(&self) -> Loaded {
        let Busy { member, active, inactive, is_overloaded, .. } = *self;
        Loaded { weight: member.weight, active, inactive, is_overloaded }
    }
}

/// A service as the rules have it.
pub struct Service<'a> {
    recording: &'a Recording,
    /// Newest first.
    servers: Vec<Busy>,
    listed: Vec<u16>,
    rr: u64,
    wrr: wrr::Cursor,
    remembered: HashMap<u8, u16>,
    sets: HashMap<u8, locality::Set<u16>>,
    now: u64,
    open: HashMap<Flow, u16>,
    reset: HashSet<Flow>,
}

/// Of a destination's set, in the units of `now`.
const TIMEOUT: u64 = 10;

impl<'a> Service<'a> {
    pub fn new(recording: &'a Recording) -> Service<'a> {
        Service {
            recording,
            servers: Vec::new(),
            listed: Vec::new(),
            rr: 0,
            wrr: wrr::Cursor::default(),
            remembered: HashMap::new(),
            sets: HashMap::new(),
            now: 0,
            open: HashMap::new(),
            reset: HashSet::new(),
        }
    }

    fn place(&self, host: u16) -> Option<usize> {
        self.servers.iter().position(|busy| busy.server.host == host)
    }

    fn listed(&self) -> impl Iterator<Item = &Busy> {
        self.servers.iter().filter(|busy| busy.member.is_usable())
    }

    fn changed(&mut self) {
        let listed: Vec<u16> = self.listed().map(|busy| busy.server.host).collect();
        self.rr = rr::adjust(&self.listed, self.rr, &listed);
        let weights: Vec<u32> = self.listed().map(|busy| busy.member.weight).collect();
        self.wrr = wrr::adjust(self.wrr, &weights);
        self.listed = listed;
    }

    /// One event; what the scheduler chooses if it is a connection's first packet.
    pub fn step(&mut self, event: Event) -> Option<u16> {
        match event {
            Event::Add(server) => {
                let address = SocketAddr::new(self.recording.server(server.host), self.recording.port);
                let member = Member::new(address, server.weight);
                self.servers.insert(0, Busy { server, member, active: 0, inactive: 0, is_overloaded: false });
                self.changed();
            }
            Event::Edit(server) => {
                let place = self.place(server.host).expect("a real server");
                let busy = &mut self.servers[place];
                busy.is_overloaded &= (busy.server.upper, busy.server.lower) == (server.upper, server.lower);
                (busy.server, busy.member) = (server, busy.member.with_weight(server.weight));
                self.changed();
            }
            Event::Remove(host) => {
                self.servers.remove(self.place(host).expect("a real server"));
                self.changed();
            }
            Event::Open(flow, _) => {
                self.servers.iter_mut().for_each(Busy::look);
                let chosen = self.choose(flow);
                let place = self.place(chosen?)?;
                self.open.insert(flow, self.servers[place].server.host);
                let tcp = self.recording.tcp;
                self.servers[place].active += u32::from(tcp);
                self.servers[place].inactive += u32::from(!tcp);
                let busy = &mut self.servers[place];
                busy.is_overloaded |= thresholds::is_reached(busy.connections(), busy.server.upper);
                return chosen;
            }
            Event::Finish(flow) | Event::Reset(flow) => {
                let place = self.open.get(&flow).and_then(|host| self.place(*host))?;
                self.servers[place].active -= 1;
                self.servers[place].inactive += 1;
                if matches!(event, Event::Reset(_)) {
                    self.reset.insert(flow);
                }
            }
            Event::Gone => {
                for flow in std::mem::take(&mut self.reset) {
                    if let Some(place) = self.open.remove(&flow).and_then(|host| self.place(host)) {
                        self.servers[place].inactive -= 1;
                    }
                }
            }
            Event::Stale => self.now += TIMEOUT + 1,
        }
        None
    }

    fn choose(&mut self, flow: Flow) -> Option<u16> {
        let all: Vec<(u16, Loaded)> = self.servers.iter().map(|busy| (busy.server.host, busy.loaded())).collect();
        let loads: Vec<Loaded> = all.iter().map(|(_, loaded)| *loaded).collect();
        let members: Vec<Member> = self.servers.iter().map(|busy| busy.member).collect();
        let usable = |index: u32| loads[index as usize].is_usable();
        let client = self.recording.client(flow);
        let index = match self.recording.scheduler {
            Scheduler::RoundRobin | Scheduler::WeightedRoundRobin => return self.turn(),
            Scheduler::LeastConnections => least::lc(&loads),
            Scheduler::WeightedLeastConnections => least::wlc(&loads),
            Scheduler::ShortestExpectedDelay => least::sed(&loads),
            Scheduler::NeverQueue => least::nq(&loads),
            Scheduler::WeightedFailover => failover::fo(&loads),
            Scheduler::WeightedOverflow => failover::ovf(&loads),
            Scheduler::SourceHash(flags) => {
                let bucket = sh::bucket(client, flags.port.then_some(flow.port));
                sh::choose(&sh::table(&members), bucket, flags.fallback, usable).map(|index| index as usize)
            }
            Scheduler::MaglevHash(flags) => {
                let port = flags.port.then_some(flow.port);
                mh::choose(&mh::table(&members), client, port, flags.fallback, usable).map(|index| index as usize)
            }
            Scheduler::DestinationHash => {
                let bucket = dh::bucket(self.recording.vip(flow.vip));
                dh::choose(&dh::table(&members), bucket, usable).map(|index| index as usize)
            }
            Scheduler::LocalityLeastConnections => {
                let remembered = self.remembered.get(&flow.vip).and_then(|host| self.place(*host));
                let chosen = locality::lblc(&loads, remembered);
                self.remembered.extend(chosen.map(|index| (flow.vip, all[index].0)));
                chosen
            }
            Scheduler::LocalityLeastConnectionsReplicated => {
                return self.sets.entry(flow.vip).or_default().choose(&all, self.now, TIMEOUT);
            }
            Scheduler::Maglev | Scheduler::PowerOfTwo => panic!("no kernel of 6.1 has {}", self.recording.scheduler),
        };
        index.map(|index| all[index].0)
    }

    fn turn(&mut self) -> Option<u16> {
        let listed: Vec<(u16, u32, bool)> =
            self.listed().map(|busy| (busy.server.host, busy.member.weight, !busy.is_overloaded)).collect();
        let weights: Vec<u32> = listed.iter().map(|(_, weight, _)| *weight).collect();
        let usable = |index: usize| listed[index].2;
        let index = if self.recording.scheduler == Scheduler::RoundRobin {
            let (index, next) = rr::choose_usable(listed.len(), self.rr, usable)?;
            self.rr = next;
            index
        } else {
            let (index, next) = wrr::choose_usable(&weights, self.wrr, usable)?;
            self.wrr = next;
            index
        };
        Some(listed[index].0)
    }
}
