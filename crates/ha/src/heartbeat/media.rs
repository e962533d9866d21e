//! The sockets of media and ping nodes, which come and go with their interfaces.

use super::silence::{self, Silence};
use crate::{events::Events, links::Links};
use evenkeel_heartbeat::{Lines, Message, Path};
use evenkeel_machine::Instant;
use evenkeel_model::heartbeat::{Heartbeat, Medium, PingNode};
use evenkeel_netlink::{Announcer, MediumSocket, MediumTarget, PingSocket};
use evenkeel_os::SerialLine;
use std::{
    collections::{BTreeMap, VecDeque},
    net::{IpAddr, Ipv4Addr},
    time::Duration,
};

/// Keys of what the loop waits for: media by the numbers they get, then those of ping nodes.
const PINGS: u64 = 1 << 32;
/// Heartbeat's port, where no medium has one.
const PORT: u16 = 694;
/// The shortest and longest time before a serial line that could not be opened is tried again.
const SOON: Duration = Duration::from_secs(1);
const LATER: Duration = Duration::from_secs(60);
/// Paths taken of one node.
const MOST_LEARNED: usize = 16;

/// All of them.
pub(super) struct Media {
    /// Those of the files, then those that were learned.
    ways: Vec<Way>,
    /// Ways there were so far.
    numbers: u64,
    /// How many are of the files.
    written: usize,
    /// Where the nodes that are evenkeels have resource addresses, besides: interface and address, by node.
    learned: BTreeMap<usize, Vec<(String, IpAddr)>>,
    pings: Vec<PingNode>,
    /// Of IPv4 and IPv6, where there are ping nodes of that family.
    echoes: [Option<PingSocket>; 2],
    /// Asks for hosts that are silent.
    asker: Announcer,
    keepalive: Duration,
}

/// One medium.
struct Way {
    /// The key of what it waits for.
    number: u64,
    medium: Medium,
    /// When a serial line is tried again, and how long it waits then.
    again: Option<(Instant, Duration)>,
    line: Option<Line>,
    /// What the node was told.
    told: Option<bool>,
    /// Of the host at its other end, where it is one.
    silence: Silence,
}

/// A medium that is open.
enum Line {
    Udp { socket: MediumSocket, ifindex: u32 },
    Serial { line: SerialLine, lines: Lines, whole: VecDeque<Vec<u8>> },
}

/// What was received: where, how many bytes, and from whom.
pub(super) type Received = (Path, usize, Option<IpAddr>);

impl Media {
    /// `asker` asks for hosts that are silent.
    pub(super) fn new(wanted: &Heartbeat, asker: Announcer) -> Media {
        let ways = (0..).zip(&wanted.media).map(|(number, medium)| Way::new(number, medium.clone()));
        Media {
            ways: ways.collect(),
            numbers: wanted.media.len() as u64,
            written: wanted.media.len(),
            learned: BTreeMap::new(),
            pings: wanted.pings.clone(),
            echoes: [None, None],
            asker,
            keepalive: wanted.timing.keepalive,
        }
    }

    /// Has the media and ping nodes of `wanted` from now on. One that is there goes on.
    pub(super) fn configure(&mut self, wanted: &Heartbeat) {
        let learned = self.ways.split_off(self.written);
        let mut before: Vec<Way> = std::mem::take(&mut self.ways);
        for medium in &wanted.media {
            let mut way = self.way(&mut before, medium);
            // Places are other ones.
            way.told = None;
            self.ways.push(way);
        }
        self.written = wanted.media.len();
        // Which of these are needed still is seen with the links.
        self.ways.extend(learned);
        self.pings.clone_from(&wanted.pings);
        self.keepalive = wanted.timing.keepalive;
    }

    /// The one of `before`, or a new one.
    fn way(&mut self, before: &mut Vec<Way>, medium: &Medium) -> Way {
        let known = before.iter().position(|way| way.medium == *medium);
        known.map(|at| before.remove(at)).unwrap_or_else(|| {
            self.numbers += 1;
            Way::new(self.numbers, medium.clone())
        })
    }

    /// When something that could not be opened is tried again.
    pub(super) fn deadline(&self) -> Option<Instant> {
        self.ways.iter().filter(|way| way.line.is_none()).filter_map(|way| way.again).map(|(at, _)| at).min()
    }

    /// Opens what can be opened and is not, closes what has lost its interface. Gives the media that can be sent on now, or
    /// no longer, and what did not work.
    pub(super) fn follow(&mut self, links: &Links, events: &Events, now: Instant) -> (Vec<(usize, bool)>, Vec<String>) {
        let (mut turned, mut troubles) = (Vec::new(), Vec::new());
        self.meet(links);
        for (place, way) in self.ways.iter_mut().enumerate() {
            if let Err(why) = way.follow(links, events, now) {
                troubles.push(why);
            }
            let up = way.is_up(links);
            if way.told != Some(up) {
                way.told = Some(up);
                // The cluster knows those of the files.
                turned.extend((place < self.written).then_some((place, up)));
            }
        }
        for (echo, ipv6) in self.echoes.iter_mut().zip([false, true]) {
            let asked = self.pings.iter().flat_map(|ping| &ping.addresses).any(|address| address.is_ipv6() == ipv6);
            if !asked || echo.is_some() {
                continue;
            }
            let identifier = (std::process::id() & 0xffff) as u16;
            let opened = PingSocket::open(ipv6, identifier).map_err(|e| e.to_string());
            match opened.and_then(|socket| events.add(&socket, PINGS + u64::from(ipv6)).map(|()| socket)) {
                Ok(socket) => *echo = Some(socket),
                Err(why) => troubles.push(why),
            }
        }
        (turned, troubles)
    }

    /// A node has its resource addresses beside these: it is spoken to there too, so that one pulled cable is never a split.
    /// Says whether that is new.
    pub(super) fn learn(&mut self, node: usize, paths: &[String]) -> bool {
        let path = |text: &String| {
            let (interface, address) = text.split_once(' ')?;
            Some((interface.to_owned(), address.parse().ok()?))
        };
        let paths: Vec<_> = paths.iter().filter_map(path).take(MOST_LEARNED).collect();
        self.learned.insert(node, paths.clone()) != Some(paths)
    }

    /// Has a way for each learned path that a written medium does not go already.
    fn meet(&mut self, links: &Links) {
        let port = self.ways.iter().take(self.written).find_map(|way| port(&way.medium)).unwrap_or(PORT);
        let mut wanted = Vec::new();
        for (there, peer) in self.learned.values().flatten() {
            let Some(here) = near(there, *peer, links) else { continue };
            let medium = Medium::Unicast { interface: here, peer: *peer, port };
            let goes = |way: &Way| way.interface() == interface(&medium) && !is_elsewhere(&way.medium, *peer);
            if !wanted.contains(&medium) && !self.ways.iter().take(self.written).any(goes) {
                wanted.push(medium);
            }
        }
        let mut before = self.ways.split_off(self.written);
        for medium in &wanted {
            let way = self.way(&mut before, medium);
            self.ways.push(way);
        }
    }

    /// Whether a medium takes messages as lines of text only.
    pub(super) fn has_serial(&self) -> bool {
        self.ways.iter().any(|way| matches!(way.medium, Medium::Serial { .. }))
    }

    /// Sends on one medium, or on all; `text` is the same message for serial lines. Gives what did not work.
    pub(super) fn send(
        &mut self,
        medium: Option<usize>,
        (bytes, text): (&[u8], &[u8]),
        links: &Links,
        now: Instant,
    ) -> Vec<String> {
        let mut troubles = Vec::new();
        for (place, way) in self.ways.iter_mut().enumerate() {
            if medium.is_some_and(|medium| medium != place) {
                continue;
            }
            troubles.extend(way.line.as_mut().and_then(|line| line.send(bytes, text).err()));
            if way.silence.asks(now, self.keepalive) {
                troubles.extend(way.ask(&self.asker, links));
            }
        }
        troubles
    }

    /// Sends to each address of a ping node. Gives what did not work.
    pub(super) fn ping(&mut self, ping: usize, bytes: &[u8]) -> Vec<String> {
        let addresses = self.pings.get(ping).map(|ping| ping.addresses.as_slice()).unwrap_or_default();
        let mut troubles = Vec::new();
        for &address in addresses {
            let [v4, v6] = &mut self.echoes;
            let echo = if address.is_ipv6() { v6 } else { v4 };
            if let Some(Err(e)) = echo.as_mut().map(|echo| echo.send(address, bytes)) {
                troubles.push(e.to_string());
            }
        }
        troubles
    }

    /// Something came on a medium. Gives what did not work.
    pub(super) fn heard(&mut self, path: Path, links: &Links, now: Instant) -> Option<String> {
        let Path::Medium(place) = path else { return None };
        let way = self.ways.get_mut(place)?;
        if way.silence.ends(now, self.keepalive) { way.ask(&self.asker, links) } else { None }
    }

    /// The next of what waits under `key`.
    pub(super) fn receive(&mut self, key: u64, buffer: &mut [u8]) -> Result<Option<Received>, String> {
        if let Some(family) = key.checked_sub(PINGS) {
            return self.receive_echo(usize::try_from(family).unwrap_or(usize::MAX), buffer);
        }
        let Some(place) = self.ways.iter().position(|way| way.number == key) else { return Ok(None) };
        let line = self.ways.get_mut(place).and_then(|way| way.line.as_mut());
        match line {
            Some(Line::Udp { socket, ifindex }) => {
                let ifindex = *ifindex;
                let received = socket.receive(buffer).map_err(|e| e.to_string())?;
                Ok(received.map(|(length, source)| {
                    (Path::Medium(self.medium_of(place, ifindex, source)), length, Some(source))
                }))
            }
            Some(Line::Serial { line, lines, whole }) => {
                if whole.is_empty() {
                    let length = match line.receive(buffer) {
                        Ok(length) => length,
                        Err(e) => {
                            // It would be readable for ever.
                            self.ways.get_mut(place).into_iter().for_each(|way| way.line = None);
                            return Err(e.to_string());
                        }
                    };
                    let bytes = buffer.get(..length).unwrap_or_default();
                    lines.push(bytes, |message| whole.push_back(message.to_vec()));
                }
                let Some(message) = whole.pop_front() else { return Ok(None) };
                let (length, place) = (message.len().min(buffer.len()), Path::Medium(place));
                if let (Some(start), Some(message)) = (buffer.get_mut(..length), message.get(..length)) {
                    start.copy_from_slice(message);
                }
                Ok(Some((place, length, None)))
            }
            None => Ok(None),
        }
    }

    /// Which ping node a message is of: several may have the address it came from, so what it names counts.
    pub(super) fn sender(&self, path: Path, source: Option<IpAddr>, message: &Message) -> Option<Path> {
        let Path::Ping(_) = path else { return Some(path) };
        let is_of = |ping: &PingNode| {
            message.text("src") == Some(ping.name.as_str()) && source.is_some_and(|from| ping.addresses.contains(&from))
        };
        self.pings.iter().position(is_of).map(Path::Ping)
    }

    fn receive_echo(&self, family: usize, buffer: &mut [u8]) -> Result<Option<Received>, String> {
        let Some(echo) = self.echoes.get(family).and_then(Option::as_ref) else { return Ok(None) };
        while let Some((length, source)) = echo.receive(buffer).map_err(|e| e.to_string())? {
            let ping = self.pings.iter().position(|ping| ping.addresses.contains(&source));
            if let Some(ping) = ping {
                return Ok(Some((Path::Ping(ping), length, Some(source))));
            }
        }
        Ok(None)
    }

    /// Of several unicast media of one interface and port the kernel gives a message to any: the one to its sender counts.
    fn medium_of(&self, place: usize, ifindex: u32, source: IpAddr) -> usize {
        let is_to = |way: &Way| match (&way.medium, &way.line) {
            (Medium::Unicast { peer, .. }, Some(Line::Udp { ifindex: there, .. })) => {
                *peer == source && *there == ifindex
            }
            _ => false,
        };
        match self.ways.get(place) {
            Some(way) if !is_to(way) && matches!(way.medium, Medium::Unicast { .. }) => {
                self.ways.iter().position(is_to).unwrap_or(place)
            }
            _ => place,
        }
    }
}

impl Way {
    fn new(number: u64, medium: Medium) -> Way {
        Way { number, medium, again: None, line: None, told: None, silence: Silence::default() }
    }

    fn follow(&mut self, links: &Links, events: &Events, now: Instant) -> Result<(), String> {
        let key = self.number;
        let Some(interface) = self.interface() else { return self.open_serial(events, now) };
        let ifindex = links.named(interface).map(|link| link.index);
        if let Some(Line::Udp { ifindex: open, .. }) = &self.line
            && Some(*open) != ifindex
        {
            self.line = None;
        }
        let (None, Some(ifindex)) = (&self.line, ifindex) else { return Ok(()) };
        let Some((target, port)) = target(&self.medium, ifindex, links) else { return Ok(()) };
        let socket = MediumSocket::open(ifindex, target, port).map_err(|e| e.to_string())?;
        events.add(&socket, key)?;
        self.line = Some(Line::Udp { socket, ifindex });
        Ok(())
    }

    /// A device that is gone, such as an adapter that was pulled, is tried again, later each time.
    fn open_serial(&mut self, events: &Events, now: Instant) -> Result<(), String> {
        let (Medium::Serial { device, baud }, None) = (&self.medium, &self.line) else { return Ok(()) };
        if self.again.is_some_and(|(at, _)| now < at) {
            return Ok(());
        }
        let opened = SerialLine::open(device, *baud).map_err(|e| e.to_string());
        match opened.and_then(|line| events.add(&line, self.number).map(|()| line)) {
            Ok(line) => {
                self.again = None;
                self.line = Some(Line::Serial { line, lines: Lines::default(), whole: VecDeque::new() });
                Ok(())
            }
            Err(why) => {
                let wait = self.again.map_or(SOON, |(_, wait)| (wait * 2).min(LATER));
                self.again = Some((now + wait, wait));
                Err(why)
            }
        }
    }

    fn interface(&self) -> Option<&str> {
        interface(&self.medium)
    }

    /// Asks for the host at its other end, if it is one on the link. Gives what did not work.
    fn ask(&self, asker: &Announcer, links: &Links) -> Option<String> {
        let (Medium::Unicast { peer, .. }, Some(Line::Udp { ifindex, .. })) = (&self.medium, &self.line) else {
            return None;
        };
        let question = silence::question(*ifindex, *peer, links)?;
        asker.ask(&question).err().map(|e| e.to_string())
    }

    /// Whether messages leave by it.
    fn is_up(&self, links: &Links) -> bool {
        self.line.is_some() && self.interface().is_none_or(|name| links.named(name).is_some_and(|link| link.running))
    }
}

impl Line {
    fn send(&mut self, bytes: &[u8], text: &[u8]) -> Result<(), String> {
        match self {
            Line::Udp { socket, .. } => socket.send(bytes).map_err(|e| e.to_string()),
            Line::Serial { line, .. } => line.send(text).map_err(|e| e.to_string()),
        }
    }
}

fn interface(medium: &Medium) -> Option<&str> {
    match medium {
        Medium::Unicast { interface, .. }
        | Medium::Broadcast { interface, .. }
        | Medium::Multicast { interface, .. }
        | Medium::Multicast6 { interface, .. } => Some(interface),
        Medium::Serial { .. } => None,
    }
}

fn port(medium: &Medium) -> Option<u16> {
    match medium {
        Medium::Unicast { port, .. } | Medium::Broadcast { port, .. } => Some(*port),
        // A group has a port of its own.
        Medium::Multicast { .. } | Medium::Multicast6 { .. } | Medium::Serial { .. } => None,
    }
}

/// Whether a medium on the right interface goes to another host than `peer`.
fn is_elsewhere(medium: &Medium, peer: IpAddr) -> bool {
    matches!(medium, Medium::Unicast { peer: other, .. } if *other != peer)
}

/// The interface here that leads to the other node's `address` on its `interface`: the one of the same subnet, of the same
/// name where there are several.
fn near(interface: &str, address: IpAddr, links: &Links) -> Option<String> {
    let named = |index: u32| links.links.iter().find(|link| link.index == index).map(|link| &link.name);
    let subnets = links.addresses.iter().filter(|own| own.protocol != Some(super::PROTOCOL) && own.address != address);
    let fitting = subnets.filter(|own| {
        evenkeel_model::Prefix::new(own.address, own.prefix).is_ok_and(|subnet| subnet.contains(address))
    });
    let names: Vec<&String> = fitting.filter_map(|own| named(own.ifindex)).collect();
    names.iter().find(|name| **name == interface).or(names.first()).map(|name| (*name).clone())
}

/// Where messages go, and the port; `None` while the interface has no address to broadcast from.
fn target(medium: &Medium, ifindex: u32, links: &Links) -> Option<(MediumTarget, u16)> {
    Some(match medium {
        Medium::Unicast { peer, port, .. } => (MediumTarget::Host(*peer), *port),
        Medium::Broadcast { port, .. } => (MediumTarget::Broadcast(broadcast(ifindex, links)?), *port),
        Medium::Multicast { group, port, ttl, own, .. } => {
            (MediumTarget::Group { group: (*group).into(), hops: *ttl, own: *own }, *port)
        }
        Medium::Multicast6 { group, port, hops, own, .. } => {
            (MediumTarget::Group { group: (*group).into(), hops: *hops, own: *own }, *port)
        }
        Medium::Serial { .. } => return None,
    })
}

/// The broadcast address of an interface: that of its first address that has one.
fn broadcast(ifindex: u32, links: &Links) -> Option<Ipv4Addr> {
    let own = links.addresses.iter().filter(|own| own.ifindex == ifindex && own.protocol != Some(super::PROTOCOL));
    own.filter_map(|own| match own.address {
        IpAddr::V4(address) => own.broadcast.or_else(|| super::addresses::broadcast(address, own.prefix)),
        IpAddr::V6(_) => None,
    })
    .next()
}

#[cfg(test)]
mod tests {
    use super::*;
    use rustix::{
        pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt},
        termios::{OptionalActions, tcgetattr, tcsetattr},
    };
    use std::{fs, os::fd::OwnedFd, os::unix::fs::symlink, path};

    /// An adapter, plugged in as this device: the other end of its line.
    fn plug_in(device: &path::Path) -> OwnedFd {
        let end = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC).expect("a pty");
        grantpt(&end).expect("it is ours");
        unlockpt(&end).expect("it is open");
        let mut settings = tcgetattr(&end).expect("settings");
        settings.make_raw();
        tcsetattr(&end, OptionalActions::Now, &settings).expect("they are set");
        let name = ptsname(&end, Vec::new()).expect("it has a name").into_string().expect("of letters");
        let _ = fs::remove_file(device);
        symlink(name, device).expect("a link");
        end
    }

    fn wait(events: &mut Events, key: u64) {
        let mut readable = Vec::new();
        while !readable.contains(&key) {
            events.wait(None, &mut readable).expect("epoll");
        }
    }

    #[test]
    fn a_serial_line_that_vanishes_is_tried_again_later_each_time_and_comes_back() {
        let Ok(asker) = Announcer::open() else {
            println!("skipped: may not open packet sockets");
            return;
        };
        let directory = std::env::temp_dir().join(format!("evenkeel-serial-{}", std::process::id()));
        fs::create_dir_all(&directory).expect("a directory");
        let device = directory.join("ttyUSB0");
        let line = plug_in(&device);
        let baud = std::num::NonZeroU32::new(19_200).expect("not 0");
        let medium = Medium::Serial { device: device.clone(), baud };
        let mut media = Media {
            ways: vec![Way::new(0, medium)],
            numbers: 1,
            written: 1,
            learned: BTreeMap::new(),
            pings: Vec::new(),
            echoes: [None, None],
            asker,
            keepalive: Duration::from_secs(1),
        };
        let (links, mut events) = (Links { links: Vec::new(), addresses: Vec::new() }, Events::open().expect("epoll"));
        let at = |seconds| Instant::at(Duration::from_secs(seconds));
        assert_eq!(media.follow(&links, &events, at(0)), (vec![(0, true)], vec![]));
        assert_eq!(media.deadline(), None);

        drop(line);
        wait(&mut events, 0);
        let mut buffer = [0; 4096];
        media.receive(0, &mut buffer).expect_err("it is gone");
        fs::remove_file(&device).expect("the device goes with it");
        let mut tried = Vec::new();
        for second in 10..140 {
            let (turned, troubles) = media.follow(&links, &events, at(second));
            assert_eq!(turned, if second == 10 { vec![(0, false)] } else { vec![] });
            tried.extend(troubles.iter().map(|_| second));
        }
        assert_eq!(tried, [10, 11, 13, 17, 25, 41, 73, 133]);
        assert_eq!(media.deadline(), Some(at(133 + 60)));

        let line = plug_in(&device);
        assert_eq!(media.follow(&links, &events, at(192)), (vec![], vec![]), "not yet");
        assert_eq!(media.follow(&links, &events, at(193)), (vec![(0, true)], vec![]));
        rustix::io::write(&line, b">>>\nt=status\n<<<\n").expect("it is said");
        wait(&mut events, 0);
        let (path, length, _) = media.receive(0, &mut buffer).expect("it is there").expect("a message");
        assert_eq!((path, &buffer[..length]), (Path::Medium(0), &b">>>\nt=status\n<<<\n"[..]));
        fs::remove_dir_all(&directory).expect("it is removed");
    }
}
