//! One call out of the words of its command line.
//!
//! The order of judgements is that of ipvsadm, since scripts see the first message: values as they are read, words that
//! are left over, options that do not go with the command, then what only the whole tells.

#[cfg(test)]
mod tests;

use crate::{
    address::host_and_port,
    call::{Call, Columns, Fault, View},
    check::{self, Tunnel},
    flags,
    names::Names,
    number::{ipv4, leading, number, unsigned},
    options::{Command, Given, Opt, Tag},
    scan::{Found, Scanner},
};
use evenkeel_api::table::{Edit, Forward, Key, ServerEntry, ServiceEntry};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

/// 31 days.
const LONGEST_TIMEOUT: u32 = 31 * 24 * 60 * 60;
/// Seconds of `-p` alone.
const PERSISTENT: u32 = 360;
const LARGEST_WEIGHT: u32 = 0x7fff_ffff;
/// Also what is said about a mask with holes.
pub(crate) const WRONG_MASK: &str = "illegal virtual server persistent mask specified";
const SCHEDULER: &str = "wlc";
/// Most of a datagram.
const LONGEST_SYNC: u32 = 65507;

/// Reads the words after the program's name, which is `program` as it was called.
pub fn parse(program: &str, words: &[String], names: &dyn Names) -> Result<Call, Fault> {
    let mut scanner = Scanner::new(words);
    let Ok(Some(Found { tag: Tag::Command(command), value })) = scanner.next() else {
        return Err(Fault::try_help(program));
    };
    match command {
        Command::Help => return Ok(Call::Help),
        Command::Version => return Ok(Call::Version),
        Command::StartDaemon if !is_state(value.as_deref()) => {
            return Err(Fault::wrong("illegal start-daemon parameter specified"));
        }
        Command::StopDaemon if !is_state(value.as_deref()) => {
            return Err(Fault::wrong("illegal start_daemon specified"));
        }
        Command::AddService
        | Command::EditService
        | Command::DeleteService
        | Command::Flush
        | Command::List
        | Command::AddServer
        | Command::DeleteServer
        | Command::EditServer
        | Command::Set
        | Command::StartDaemon
        | Command::StopDaemon
        | Command::Restore
        | Command::Save
        | Command::Zero => {}
    }
    let mut line = Line::default();
    loop {
        match scanner.next() {
            Ok(Some(found)) => line.take(command, found, scanner.last_word(), names)?,
            Ok(None) => break,
            Err(bad) => return Err(Fault::bad_word(bad.text)),
        }
    }
    let mut rest = scanner.rest().into_iter();
    let timeouts = if command == Command::Set { Some(timeouts(&mut rest)?) } else { None };
    if let Some(word) = rest.next() {
        return Err(Fault::wrong(format!("unexpected argument {word}")));
    }
    check::command(command, line.given)?;
    line.call(command, timeouts)
}

fn is_state(word: Option<&str>) -> bool {
    matches!(word, Some("master" | "backup"))
}

fn timeouts<'a>(rest: &mut impl Iterator<Item = &'a str>) -> Result<Edit, Fault> {
    let (Some(tcp), Some(tcp_fin), Some(udp)) = (rest.next(), rest.next(), rest.next()) else {
        return Err(Fault::wrong("--set option requires 3 timeout values"));
    };
    Ok(Edit::Timeouts { tcp: timeout(tcp, 0)?, tcp_fin: timeout(tcp_fin, 0)?, udp: timeout(udp, 0)? })
}

fn timeout(text: &str, least: u32) -> Result<u32, Fault> {
    unsigned(text, least, LONGEST_TIMEOUT)
        .ok_or_else(|| Fault::wrong(format!("invalid timeout value `{text}' specified")))
}

/// A mask as it is written: bits of IPv4, a length of IPv6.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Mask {
    V4(u32),
    V6(u8),
}

impl Mask {
    /// Leading bits; `None` where all count.
    fn prefix(self) -> Option<u8> {
        match self {
            Mask::V4(mask) => u8::try_from(mask.leading_ones()).ok().filter(|bits| *bits != 32),
            Mask::V6(bits) => Some(bits).filter(|bits| *bits != 128),
        }
    }

    /// Whether bits count behind one that does not: `-M 24` means 0.0.0.24.
    fn has_holes(self) -> bool {
        match self {
            Mask::V4(mask) => mask.leading_ones() + mask.trailing_zeros() < 32,
            Mask::V6(_) => false,
        }
    }
}

/// What the options read so far have said.
#[derive(Debug, Default)]
struct Line {
    given: Given,
    /// None as long as no address or mark has been read.
    address: Option<IpAddr>,
    protocol: u8,
    port: u16,
    mark: u32,
    mask: Option<Mask>,
    scheduler: String,
    flags: String,
    engine: String,
    persistent: Option<u32>,
    server: Option<SocketAddr>,
    method: Method,
    tunnel: Tunnel,
    tunnel_port: u16,
    checksum: u8,
    weight: Option<u32>,
    upper: u32,
    lower: u32,
    atomic: bool,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Method {
    #[default]
    Dr,
    Nat,
    Tunnel,
}

impl Line {
    fn take(&mut self, command: Command, found: Found, word: &str, names: &dyn Names) -> Result<(), Fault> {
        let value = found.value.as_deref();
        let text = value.unwrap_or_default();
        match found.tag {
            Tag::Command(_) => return Err(Fault::wrong(format!("invalid option `{word}'"))),
            Tag::Atomic if command == Command::Restore => self.atomic = true,
            // As if there were no such word, which is so for ipvsadm.
            Tag::Atomic => return Err(Fault::bad_word(format!("{word}: unknown option"))),
            Tag::Tcp => self.service(6, text, names)?,
            Tag::Udp => self.service(17, text, names)?,
            Tag::Sctp => self.service(132, text, names)?,
            Tag::Mark => self.mark(text)?,
            Tag::Ipv6 => self.ipv6()?,
            Tag::Masquerading => self.method(Method::Nat)?,
            Tag::Gatewaying => self.method(Method::Dr)?,
            Tag::Tunneling => self.method(Method::Tunnel)?,
            Tag::Sort => {}
            Tag::Opt(option) => {
                self.once(option)?;
                self.option(option, value, names)?;
            }
        }
        Ok(())
    }

    fn once(&mut self, option: Opt) -> Result<(), Fault> {
        if self.given.add(option) {
            return Ok(());
        }
        Err(Fault::wrong(format!("multiple '{}' options specified", option.name())))
    }

    fn option(&mut self, option: Opt, value: Option<&str>, names: &dyn Names) -> Result<(), Fault> {
        let text = value.unwrap_or_default();
        match option {
            Opt::Scheduler => self.scheduler = text.to_owned(),
            Opt::Persistent => self.persistent = Some(value.map_or(Ok(PERSISTENT), |text| timeout(text, 1))?),
            Opt::Netmask => self.mask = Some(self.netmask(text)?),
            Opt::Server => self.server = Some(self.real_server(text, names)?),
            Opt::Weight => self.weight = Some(bounded(text, 0, LARGEST_WEIGHT, "illegal weight specified")?),
            Opt::Upper => self.upper = bounded(text, 0, LARGEST_WEIGHT, "illegal u_threshold specified")?,
            Opt::Lower => self.lower = bounded(text, 0, LARGEST_WEIGHT, "illegal l_threshold specified")?,
            Opt::Engine => self.engine = text.to_owned(),
            Opt::Flags => self.flags = text.to_owned(),
            Opt::Syncid => drop(bounded(text, 0, 255, "illegal syncid specified")?),
            Opt::McastGroup => group(text)?,
            Opt::McastPort => drop(bounded(text, 1, 65535, "illegal mcast-port specified")?),
            Opt::McastTtl => drop(bounded(text, 1, 255, "illegal mcast-ttl specified")?),
            Opt::SyncMaxlen => drop(bounded(text, 1, LONGEST_SYNC, "illegal sync-maxlen specified")?),
            Opt::TunType => {
                self.tunnel = Tunnel::read(text).ok_or_else(|| Fault::wrong("illegal tunnel type specified"))?;
            }
            Opt::TunPort => {
                let port = bounded(text, 1, 65535, "illegal tunnel port specified")?;
                self.tunnel_port = u16::try_from(port).unwrap_or_default();
            }
            Opt::TunNocsum => self.checksum = 0,
            Opt::TunCsum => self.checksum = 1,
            Opt::TunRemcsum => self.checksum = 2,
            // Those without a value have been said by being there.
            Opt::Numeric
            | Opt::Connection
            | Opt::Service
            | Opt::Forward
            | Opt::McastInterface
            | Opt::Timeout
            | Opt::Daemon
            | Opt::Stats
            | Opt::Rate
            | Opt::Thresholds
            | Opt::PersistentConn
            | Opt::Nosort
            | Opt::Exact
            | Opt::Ops
            | Opt::TunInfo => {}
        }
        Ok(())
    }

    fn service(&mut self, protocol: u8, text: &str, names: &dyn Names) -> Result<(), Fault> {
        self.once(Opt::Service)?;
        self.protocol = protocol;
        let (address, port) = host_and_port(text, protocol, names)
            .ok_or_else(|| Fault::wrong("illegal virtual server address[:port] specified"))?;
        if address.is_ipv6() {
            self.mask = None;
        }
        (self.address, self.port) = (Some(address), port.unwrap_or_default());
        Ok(())
    }

    fn mark(&mut self, text: &str) -> Result<(), Fault> {
        self.once(Opt::Service)?;
        let mark = unsigned(text, 1, u32::MAX);
        self.mark = mark.ok_or_else(|| Fault::wrong(format!("invalid fwmark value `{text}' specified")))?;
        // Names of ports of real servers are looked up as those of TCP.
        (self.protocol, self.address) = (6, Some(Ipv4Addr::UNSPECIFIED.into()));
        Ok(())
    }

    fn ipv6(&mut self) -> Result<(), Fault> {
        if self.mark == 0 {
            // ipvsadm has one line feed too many here.
            return Err(Fault::wrong("-6 used before -f\n"));
        }
        (self.address, self.mask) = (Some(Ipv6Addr::UNSPECIFIED.into()), None);
        Ok(())
    }

    fn method(&mut self, method: Method) -> Result<(), Fault> {
        self.once(Opt::Forward)?;
        self.method = method;
        Ok(())
    }

    fn netmask(&self, text: &str) -> Result<Mask, Fault> {
        if self.address.is_some_and(|address| address.is_ipv6()) {
            let bits = u8::try_from(leading(text)).ok().filter(|bits| (1..=128).contains(bits));
            return bits.map(Mask::V6).ok_or_else(|| Fault::wrong("illegal ipv6 netmask specified"));
        }
        let mask = ipv4(text).map(|mask| Mask::V4(mask.into()));
        mask.ok_or_else(|| Fault::wrong(WRONG_MASK))
    }

    fn real_server(&self, text: &str, names: &dyn Names) -> Result<SocketAddr, Fault> {
        let (address, port) = host_and_port(text, self.protocol, names)
            .ok_or_else(|| Fault::wrong("illegal real server address[:port] specified"))?;
        // The service's port, if the service was named before.
        Ok(SocketAddr::new(address, port.unwrap_or(self.port)))
    }

    fn call(self, command: Command, timeouts: Option<Edit>) -> Result<Call, Fault> {
        Ok(match command {
            Command::Help => Call::Help,
            Command::Version => Call::Version,
            Command::AddService | Command::EditService => {
                let (key, entry, adds) = (self.needed_key()?, self.entry()?, command == Command::AddService);
                match self.mask {
                    Some(mask) if mask.has_holes() && self.persistent.is_some() => Call::MaskWithHoles { key, adds },
                    Some(_) | None if adds => Call::Edit(Edit::AddService(key, entry)),
                    Some(_) | None => Call::Edit(Edit::EditService(key, entry)),
                }
            }
            Command::DeleteService => Call::Edit(Edit::RemoveService(self.needed_key()?)),
            Command::Flush => Call::Edit(Edit::Clear {}),
            Command::AddServer | Command::EditServer => {
                let (key, (server, entry)) = (self.needed_key()?, self.server_entry()?);
                Call::Edit(match command {
                    Command::AddServer => Edit::AddServer(key, server, entry),
                    _ => Edit::EditServer(key, server, entry),
                })
            }
            Command::DeleteServer => Call::Edit(Edit::RemoveServer(self.needed_key()?, self.needed_server()?)),
            Command::Zero => Call::Edit(Edit::Zero(self.key())),
            Command::Set => timeouts.map_or(Call::Help, Call::Edit),
            Command::StartDaemon => Call::StartDaemon,
            Command::StopDaemon => Call::StopDaemon,
            Command::Restore => Call::Restore { atomic: self.atomic },
            Command::Save => Call::Save { numeric: self.given.has(Opt::Numeric) },
            Command::List => self.list()?,
        })
    }

    fn key(&self) -> Option<Key> {
        let address = self.address?;
        Some(match self.mark {
            0 => Key::Address { address, protocol: self.protocol, port: self.port },
            mark => Key::Mark { mark, ipv6: address.is_ipv6() },
        })
    }

    fn needed_key(&self) -> Result<Key, Fault> {
        self.key().ok_or_else(|| Fault::wrong("You need to supply the 'service-address' option"))
    }

    fn needed_server(&self) -> Result<SocketAddr, Fault> {
        self.server.ok_or_else(|| Fault::wrong("You need to supply the 'real-server' option"))
    }

    fn entry(&self) -> Result<ServiceEntry, Fault> {
        let scheduler = if self.scheduler.is_empty() { SCHEDULER } else { &self.scheduler };
        let flags = flags::read(scheduler, &self.flags).map_err(Fault::wrong)?;
        if self.mark == 0 && self.port == 0 && self.persistent.is_none() {
            return Err(Fault::wrong("Zero port specified for non-persistent service"));
        }
        let one_packet = self.given.has(Opt::Ops);
        if one_packet && self.mark == 0 && self.protocol != 17 {
            return Err(Fault::wrong("One-Packet Scheduling is only for UDP virtual services"));
        }
        // Without persistence a mask says nothing.
        let prefix = match (self.mask, self.persistent) {
            (Some(mask), Some(_)) => mask.prefix(),
            (_, _) => None,
        };
        Ok(ServiceEntry {
            scheduler: scheduler.to_owned(),
            flags,
            persistent_s: self.persistent,
            prefix,
            engine: Some(self.engine.clone()).filter(|name| !name.is_empty()),
            one_packet,
        })
    }

    fn server_entry(&self) -> Result<(SocketAddr, ServerEntry), Fault> {
        let mut server = self.needed_server()?;
        if self.mark == 0 && self.method != Method::Nat {
            server.set_port(self.port);
        }
        if self.method != Method::Tunnel && self.address.is_some_and(|a| a.is_ipv4() != server.is_ipv4()) {
            return Err(Fault::wrong("Different address family is allowed only for tunneling servers"));
        }
        let tunnel_options = [Opt::TunType, Opt::TunPort, Opt::TunNocsum, Opt::TunCsum, Opt::TunRemcsum];
        if self.method != Method::Tunnel && self.given.any(&tunnel_options) {
            return Err(Fault::wrong("Tunnel options conflict with forward method"));
        }
        if self.method == Method::Tunnel {
            check::tunnel(self.tunnel, self.given)?;
        }
        let forward = match (self.method, self.tunnel) {
            (Method::Dr, _) => Forward::Dr,
            (Method::Nat, _) => Forward::Nat,
            (Method::Tunnel, Tunnel::Ipip) => Forward::Ipip,
            (Method::Tunnel, Tunnel::Gue) => Forward::Gue { port: self.tunnel_port, checksum: self.checksum },
            (Method::Tunnel, Tunnel::Gre) => Forward::Gre { checksum: self.checksum == 1 },
        };
        let weight = self.weight.unwrap_or(1);
        Ok((server, ServerEntry { forward, weight, upper: self.upper, lower: self.lower }))
    }

    fn list(&self) -> Result<Call, Fault> {
        let given = self.given;
        let others = [Opt::Stats, Opt::Rate, Opt::Thresholds];
        let conflict = given.any(&[Opt::Connection, Opt::Timeout, Opt::Daemon]) && given.any(&others)
            || given.any(&[Opt::Timeout, Opt::Daemon]) && given.has(Opt::PersistentConn);
        if conflict {
            return Err(Fault::wrong("options conflicts in the list command"));
        }
        let numeric = given.has(Opt::Numeric);
        if given.has(Opt::Connection) {
            return Ok(Call::Connections { numeric, engines: given.has(Opt::PersistentConn) });
        }
        if given.has(Opt::Timeout) {
            return Ok(Call::Timeouts);
        }
        if given.has(Opt::Daemon) {
            return Ok(Call::Daemons);
        }
        let columns = [
            (Opt::Stats, Columns::Stats),
            (Opt::Rate, Columns::Rates),
            (Opt::Thresholds, Columns::Thresholds),
            (Opt::PersistentConn, Columns::Persistent),
            (Opt::TunInfo, Columns::Tunnels),
        ];
        let columns = columns.into_iter().find(|(option, _)| given.has(*option)).map_or(Columns::Plain, |(_, c)| c);
        let view = View { numeric, exact: given.has(Opt::Exact), unsorted: given.has(Opt::Nosort), columns };
        Ok(Call::List(self.key(), view))
    }
}

fn bounded(text: &str, least: u32, most: u32, wrong: &str) -> Result<u32, Fault> {
    number(text, least.into(), most.into()).and_then(|n| u32::try_from(n).ok()).ok_or_else(|| Fault::wrong(wrong))
}

/// A multicast group of the daemons.
fn group(text: &str) -> Result<(), Fault> {
    let (family, multicast) = match text.parse::<Ipv6Addr>() {
        Ok(address) => ("IPv6", address.is_multicast()),
        Err(_) => ("IPv4", ipv4(text).is_some_and(|address| address.is_multicast())),
    };
    if multicast { Ok(()) } else { Err(Fault::wrong(format!("invalid {family} mcast-group `{text}'"))) }
}
