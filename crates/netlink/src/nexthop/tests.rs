//! A small world: one host, its interfaces and routes, and neighbours that answer or do not.

use evenkeel_model::Prefix;

use super::*;
use crate::{
    address::Address,
    link::{Link, LinkKind, XdpMode},
    monitor::Event,
    neighbour::{Neighbour, NeighbourState},
    route::RouteEntry,
};

const ETH0: u32 = 2;
const HOST_MAC: MacAddress = mac(1);

const fn mac(last: u8) -> MacAddress {
    MacAddress([2, 0, 0, 0, 0, last])
}

fn ip(text: &str) -> IpAddr {
    text.parse().expect("an address")
}

fn prefix(text: &str, length: u8) -> Prefix {
    Prefix::new(ip(text), length).expect("a prefix")
}

fn link(index: u32, running: bool) -> Link {
    Link { mac: Some(HOST_MAC), running, ..Link::new(index, format!("eth{index}"), LinkKind::Physical) }
}

/// The machine and everything around it.
struct World {
    now: Instant,
    machine: NextHops,
    /// Who answers, and from which MAC address.
    answering: BTreeMap<IpAddr, MacAddress>,
    /// Prefix, interface, gateway, source; the longest prefix wins.
    routes: Vec<(Prefix, u32, Option<IpAddr>, Option<IpAddr>)>,
    local: BTreeSet<IpAddr>,
    links: Vec<Link>,
    addresses: Vec<Address>,
    questions: Vec<(Instant, Question)>,
    lookups: usize,
    resolves: usize,
    outcomes: Vec<(Instant, IpAddr, Outcome)>,
}

impl World {
    fn new() -> World {
        let mut world = World {
            now: Instant::START,
            machine: NextHops::new(),
            answering: BTreeMap::new(),
            routes: vec![(prefix("10.0.0.0", 8), ETH0, None, Some(ip("10.0.0.1")))],
            local: BTreeSet::from([ip("10.0.0.1"), ip("127.0.0.1")]),
            links: vec![link(ETH0, true)],
            addresses: vec![Address::new(ETH0, ip("10.0.0.1"), 8)],
            questions: Vec::new(),
            lookups: 0,
            resolves: 0,
            outcomes: Vec::new(),
        };
        world.tell(Input::Facts { links: world.links.clone(), addresses: world.addresses.clone() });
        world
    }

    fn tell(&mut self, input: Input) {
        let mut out = Outbox::new();
        self.machine.handle(self.now, input, &mut out);
        self.carry_out(out);
    }

    fn carry_out(&mut self, mut out: Outbox<Output>) {
        while let Some(output) = out.pop() {
            let answer = match output {
                Output::ReadFacts => {
                    Some(Input::Facts { links: self.links.clone(), addresses: self.addresses.clone() })
                }
                Output::AskRoute(ip) => {
                    self.lookups += 1;
                    Some(Input::Route { ip, route: self.route(ip) })
                }
                Output::Resolve { .. } => {
                    self.resolves += 1;
                    None
                }
                Output::Probe(question) => {
                    self.questions.push((self.now, question));
                    let mac = self.answering.get(&question.ip).copied();
                    let reached = mac.filter(|mac| question.destination.is_none_or(|to| to == *mac));
                    let Question { ifindex, ip, .. } = question;
                    reached.map(|mac| Input::Heard(Heard { ifindex, ip, mac }))
                }
                Output::Outcome { real_server, outcome } => {
                    self.outcomes.push((self.now, real_server, outcome));
                    None
                }
            };
            if let Some(input) = answer {
                self.machine.handle(self.now, input, &mut out);
            }
        }
    }

    fn route(&self, to: IpAddr) -> Option<Route> {
        if self.local.contains(&to) {
            return Some(Route { ifindex: 1, gateway: None, source: None, mtu: None, is_local: true });
        }
        let fits = self.routes.iter().filter(|(prefix, ..)| prefix.contains(to));
        let (_, ifindex, gateway, source) = fits.max_by_key(|(prefix, ..)| prefix.length())?;
        Some(Route { ifindex: *ifindex, gateway: *gateway, source: *source, mtu: None, is_local: false })
    }

    fn run(&mut self, span: Duration) {
        let end = self.now + span;
        while let Some(at) = self.machine.deadline().filter(|at| *at <= end) {
            self.now = at.max(self.now);
            let mut out = Outbox::new();
            self.machine.handle_timeout(self.now, &mut out);
            self.carry_out(out);
        }
        self.now = end;
    }

    fn watch(&mut self, text: &str, at: MacAddress) -> IpAddr {
        let address = ip(text);
        self.answering.insert(address, at);
        self.tell(Input::Want(address));
        address
    }

    fn destination(&self, real_server: IpAddr) -> Option<MacAddress> {
        match self.machine.outcome(real_server)? {
            Outcome::Resolved(hop) => Some(hop.destination_mac),
            Outcome::Local | Outcome::Unresolved(_) => None,
        }
    }
}

const SECOND: Duration = Duration::from_secs(1);

#[test]
fn a_real_server_on_the_link_is_resolved_at_once() {
    let mut world = World::new();
    let server = world.watch("10.0.0.2", mac(2));
    let expected = NextHop { ifindex: ETH0, source_mac: HOST_MAC, destination_mac: mac(2), gateway: None };
    assert_eq!(world.machine.outcome(server), Some(Outcome::Resolved(expected)));
    assert_eq!(world.questions[0].1.source, Some(ip("10.0.0.1")));
}

#[test]
fn a_silent_change_of_the_mac_address_is_followed_within_half_a_second() {
    for after in (0..400).step_by(7) {
        let mut world = World::new();
        let server = world.watch("10.0.0.2", mac(2));
        world.run(SECOND + Duration::from_millis(after));
        world.answering.insert(server, mac(9));
        let changed = world.now;
        world.run(SECOND);
        assert_eq!(world.destination(server), Some(mac(9)));
        let (at, ..) = world.outcomes.last().expect("the change was told");
        assert!(*at - changed <= INTERVAL + ANSWER, "{:?} after {after} ms", *at - changed);
    }
}

#[test]
fn a_next_hop_that_answers_is_asked_alone_and_one_that_does_not_everybody() {
    let mut world = World::new();
    let server = world.watch("10.0.0.2", mac(2));
    world.run(10 * SECOND);
    let asked = world.questions.split_off(1);
    assert!(asked.iter().all(|(_, q)| q.destination == Some(mac(2))), "{asked:?}");
    assert!((26..=30).contains(&asked.len()), "{} questions in ten seconds", asked.len());
    world.answering.remove(&server);
    world.questions.clear();
    world.run(60 * SECOND);
    let to_all = world.questions.iter().filter(|(_, q)| q.destination.is_none()).count();
    assert!((50..=75).contains(&to_all), "{to_all} questions to everyone in a minute of silence");
    assert_eq!(world.destination(server), Some(mac(2)), "a silent next hop keeps its address");
}

#[test]
fn a_gateway_stands_in_for_its_real_servers_and_one_change_is_told_for_each() {
    let mut world = World::new();
    world.routes.push((prefix("172.16.0.0", 12), ETH0, Some(ip("10.0.0.254")), None));
    world.answering.insert(ip("10.0.0.254"), mac(254));
    let servers: Vec<IpAddr> = (1..=5).map(|n| world.watch(&format!("172.16.0.{n}"), mac(n))).collect();
    assert_eq!(world.questions.len(), 1, "the gateway is asked once");
    for server in &servers {
        let Some(Outcome::Resolved(hop)) = world.machine.outcome(*server) else { panic!("unresolved") };
        assert_eq!((hop.destination_mac, hop.gateway), (mac(254), Some(ip("10.0.0.254"))));
    }
    world.outcomes.clear();
    world.tell(Input::Heard(Heard { ifindex: ETH0, ip: ip("10.0.0.254"), mac: mac(253) }));
    assert_eq!(world.outcomes.len(), 5);
}

#[test]
fn a_local_real_server_is_delivered_here() {
    let mut world = World::new();
    for own in ["10.0.0.1", "127.0.0.1"] {
        world.tell(Input::Want(ip(own)));
        assert_eq!(world.machine.outcome(ip(own)), Some(Outcome::Local));
    }
    assert!(world.questions.is_empty());
}

#[test]
fn one_that_never_answers_is_told_so_once_and_the_kernel_is_asked_too() {
    let mut world = World::new();
    world.tell(Input::Want(ip("10.0.0.3")));
    world.run(10 * SECOND);
    let told: Vec<Outcome> = world.outcomes.iter().map(|(_, _, outcome)| *outcome).collect();
    assert_eq!(told, [Outcome::Unresolved(Why::Resolving), Outcome::Unresolved(Why::NoAnswer)]);
    assert_eq!(world.resolves, 1);
    assert!(world.questions.iter().any(|(_, q)| q.source.is_none()), "some questions come from no address");
    world.answering.insert(ip("10.0.0.3"), mac(3));
    world.run(2 * SECOND);
    assert_eq!(world.destination(ip("10.0.0.3")), Some(mac(3)));
}

#[test]
fn a_route_change_is_followed_and_touches_only_what_it_covers() {
    let mut world = World::new();
    world.links.push(link(3, true));
    world.tell(Input::Event(Event::Link(link(3, true))));
    let moved = world.watch("10.1.0.2", mac(2));
    for n in 0..100 {
        world.watch(&format!("10.2.0.{n}"), mac(7));
    }
    world.run(SECOND);
    world.lookups = 0;
    let destination = prefix("10.1.0.0", 16);
    world.routes.push((destination, 3, Some(ip("10.1.0.1")), None));
    world.answering.insert(ip("10.1.0.1"), mac(77));
    world.tell(Input::Event(Event::Route(RouteEntry::new(destination))));
    assert_eq!(world.lookups, 1);
    let Some(Outcome::Resolved(hop)) = world.machine.outcome(moved) else { panic!("unresolved") };
    assert_eq!((hop.ifindex, hop.destination_mac), (3, mac(77)));
    world.routes.clear();
    world.tell(Input::Event(Event::RouteGone(RouteEntry::new(prefix("0.0.0.0", 0)))));
    assert_eq!(world.lookups, 102);
    assert_eq!(world.machine.outcome(moved), Some(Outcome::Unresolved(Why::NoRoute)));
}

#[test]
fn a_link_that_goes_down_and_up_takes_its_next_hops_along() {
    let mut world = World::new();
    let server = world.watch("10.0.0.2", mac(2));
    let routes = std::mem::take(&mut world.routes);
    world.tell(Input::Event(Event::Link(link(ETH0, false))));
    assert_eq!(world.machine.outcome(server), Some(Outcome::Unresolved(Why::NoRoute)));
    // The server was replaced meanwhile.
    world.answering.insert(server, mac(8));
    world.run(10 * SECOND);
    world.routes = routes;
    world.tell(Input::Event(Event::Link(link(ETH0, true))));
    assert_eq!(world.destination(server), Some(mac(8)));
}

#[test]
fn a_link_that_is_down_with_its_route_in_place_is_told_and_asked_nothing() {
    let mut world = World::new();
    let server = world.watch("10.0.0.2", mac(2));
    world.tell(Input::Event(Event::Link(link(ETH0, false))));
    world.questions.clear();
    world.run(10 * SECOND);
    assert_eq!(world.machine.outcome(server), Some(Outcome::Unresolved(Why::LinkDown)));
    assert!(world.questions.is_empty());
}

#[test]
fn an_interface_made_anew_is_followed_to_its_new_index() {
    let mut world = World::new();
    let server = world.watch("10.0.0.2", mac(2));
    world.routes.clear();
    world.tell(Input::Event(Event::LinkGone(ETH0)));
    assert_eq!(world.machine.outcome(server), Some(Outcome::Unresolved(Why::NoRoute)));
    world.tell(Input::Event(Event::Link(link(9, true))));
    world.routes.push((prefix("10.0.0.0", 8), 9, None, None));
    world.tell(Input::Event(Event::Route(RouteEntry::new(prefix("10.0.0.0", 8)))));
    let Some(Outcome::Resolved(hop)) = world.machine.outcome(server) else { panic!("unresolved") };
    assert_eq!(hop.ifindex, 9);
}

#[test]
fn a_new_mac_address_of_our_own_interface_is_told() {
    let mut world = World::new();
    let server = world.watch("10.0.0.2", mac(2));
    let changed = Link { mac: Some(mac(42)), xdp: Some(XdpMode::Native), ..link(ETH0, true) };
    world.tell(Input::Event(Event::Link(changed)));
    let Some(Outcome::Resolved(hop)) = world.machine.outcome(server) else { panic!("unresolved") };
    assert_eq!(hop.source_mac, mac(42));
}

#[test]
fn an_overrun_reads_everything_anew() {
    let mut world = World::new();
    let server = world.watch("10.0.0.2", mac(2));
    // The old interface went and a new one came, unheard.
    world.links = vec![link(9, true)];
    world.routes = vec![(prefix("10.0.0.0", 8), 9, None, None)];
    world.tell(Input::Event(Event::Overrun));
    let Some(Outcome::Resolved(hop)) = world.machine.outcome(server) else { panic!("unresolved") };
    assert_eq!(hop.ifindex, 9);
}

#[test]
fn a_removed_own_address_has_its_routes_looked_up_anew() {
    let mut world = World::new();
    let server = world.watch("10.0.0.2", mac(2));
    world.routes = vec![];
    world.tell(Input::Event(Event::AddressGone(Address::new(ETH0, ip("10.0.0.1"), 8))));
    world.run(SOURCE_DELAY);
    assert_eq!(world.machine.outcome(server), Some(Outcome::Unresolved(Why::NoRoute)));
}

#[test]
fn the_kernels_word_counts_until_the_neighbour_itself_was_heard() {
    let mut world = World::new();
    let told = |mac| Neighbour { ifindex: ETH0, address: ip("10.0.0.2"), mac: Some(mac), state: NeighbourState::Stale };
    world.tell(Input::Event(Event::Neighbour(told(mac(5)))));
    world.tell(Input::Want(ip("10.0.0.2")));
    assert_eq!(world.destination(ip("10.0.0.2")), Some(mac(5)));
    world.answering.insert(ip("10.0.0.2"), mac(6));
    world.run(SECOND);
    assert_eq!(world.destination(ip("10.0.0.2")), Some(mac(6)));
    world.questions.clear();
    world.tell(Input::Event(Event::Neighbour(told(mac(5)))));
    assert_eq!(world.destination(ip("10.0.0.2")), Some(mac(6)));
    assert_eq!(world.questions[0].1.destination, None, "a contradiction is settled by asking everyone");
}

#[test]
fn answers_from_groups_from_ourselves_and_for_others_change_nothing() {
    let mut world = World::new();
    let server = world.watch("10.0.0.2", mac(2));
    let vip = ip("10.0.0.100");
    for (who, from, ifindex) in [
        (server, MacAddress::BROADCAST, ETH0),
        (server, MacAddress([0; 6]), ETH0),
        (server, HOST_MAC, ETH0),
        (server, mac(66), 77),
        (vip, mac(66), ETH0),
    ] {
        world.tell(Input::Heard(Heard { ifindex, ip: who, mac: from }));
    }
    assert_eq!(world.destination(server), Some(mac(2)));
    assert_eq!(world.machine.outcome(vip), None);
}

#[test]
fn questions_never_come_from_an_address_that_a_real_server_may_have_too() {
    let mut world = World::new();
    world.addresses = vec![
        Address::new(ETH0, ip("10.0.0.100"), 32),
        Address { secondary: true, ..Address::new(ETH0, ip("10.0.0.101"), 8) },
        Address::new(ETH0, ip("10.0.0.1"), 8),
        Address::new(ETH0, ip("fd00::100"), 128),
        Address::new(ETH0, ip("fd00::1"), 64),
        Address::new(ETH0, ip("fe80::1"), 64),
    ];
    world.routes.push((prefix("fd00::", 64), ETH0, None, Some(ip("fd00::100"))));
    world.tell(Input::Event(Event::Overrun));
    world.watch("10.0.0.2", mac(2));
    world.watch("fd00::2", mac(3));
    let sources: Vec<_> = world.questions.iter().map(|(_, q)| q.source).collect();
    assert_eq!(sources, [Some(ip("10.0.0.1")), Some(ip("fe80::1"))]);
}

#[test]
fn thousands_of_next_hops_are_asked_evenly_and_within_the_bounds() {
    let mut world = World::new();
    let servers: Vec<IpAddr> = (0..3000u32).map(|n| Ipv4Addr::from_bits(0x0a01_0000 + n).into()).collect();
    for server in &servers {
        world.answering.insert(*server, mac(2));
        world.tell(Input::Want(*server));
    }
    world.run(2 * SECOND);
    assert!(servers.iter().all(|server| world.destination(*server).is_some()));
    world.run(SECOND);
    world.questions.clear();
    let begin = world.now;
    world.run(7 * SECOND);
    let rounds = world.questions.len() / servers.len();
    assert!((19..=20).contains(&rounds), "{rounds} rounds in seven seconds");
    let mut in_window = [0u32; 700];
    for (at, _) in &world.questions {
        in_window[((*at - begin).as_millis() / 10).min(699) as usize] += 1;
    }
    let most = in_window.iter().max().expect("windows");
    assert!(*most <= 100 + PROBE_BURST, "{most} questions within 10 ms");
}

#[test]
fn a_segment_that_falls_silent_is_not_flooded() {
    let mut world = World::new();
    for n in 0..3000u32 {
        world.watch(&Ipv4Addr::from_bits(0x0a01_0000 + n).to_string(), mac(2));
    }
    world.run(3 * SECOND);
    world.answering.clear();
    world.questions.clear();
    world.run(3 * SECOND);
    let to_all = world.questions.iter().filter(|(_, q)| q.destination.is_none()).count();
    assert!(to_all <= 3 * 2500 + BROADCAST_BURST as usize + 1, "{to_all} questions to everyone in three seconds");
}

#[test]
fn what_is_forgotten_leaves_nothing_behind() {
    let mut world = World::new();
    let servers: Vec<IpAddr> = (2..50).map(|n| world.watch(&format!("10.0.0.{n}"), mac(n))).collect();
    world.tell(Input::Want(ip("192.0.2.1")));
    world.run(SECOND);
    servers.iter().for_each(|server| world.tell(Input::Forget(*server)));
    world.tell(Input::Forget(ip("192.0.2.1")));
    assert_eq!(world.machine.deadline(), None);
    assert!(world.machine.hops.is_empty() && world.machine.unrouted.is_empty() && world.machine.audits.is_empty());
}
