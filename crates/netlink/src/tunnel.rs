//! Tunnel devices of the kernel that take the packets of every sender, and the UDP ports of GUE (FOU, generic netlink).

use rustix::net::{SocketFlags, netlink::GENERIC};

use crate::{
    error::Error,
    link::{CREATE, IFINFO},
    message::{Message, Request, attributes, u8_at, u16_at},
    socket::{Netlink, netlink_socket},
};

const IPTUN_COLLECT_METADATA: u16 = 19;
const GRE_IFLAGS: u16 = 2;
const GRE_COLLECT_METADATA: u16 = 18;
/// The flag of a GRE header that says there is a checksum, as it is on the wire.
const GRE_CSUM: [u8; 2] = [0x80, 0];

/// nlctrl, which knows the numbers of all other families.
const CONTROL: u16 = 0x10;
const GET_FAMILY: u8 = 3;
const FAMILY_ID: u16 = 1;
const FAMILY_NAME: u16 = 2;
/// Command, version, two bytes of padding.
const GENLMSG: usize = 4;

const FOU_ADD: u8 = 1;
const FOU_DELETE: u8 = 2;
const FOU_GET: u8 = 3;
const FOU_PORT: u16 = 1;
const FOU_FAMILY: u16 = 2;
const FOU_TYPE: u16 = 4;
const GUE: u8 = 2;

/// A kind of tunnel device.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TunnelKind {
    /// IPv4 in IPv4.
    Ipip,
    /// IPv6 in IPv4.
    Sit,
    /// IPv4 and IPv6 in IPv6.
    Ip6tnl,
    /// Both in GRE over IPv4.
    Gre {
        /// Packets must have a checksum; without, they must have none.
        checksum: bool,
    },
    /// Both in GRE over IPv6.
    Ip6gre {
        /// As of [`TunnelKind::Gre`].
        checksum: bool,
    },
}

impl TunnelKind {
    /// The kernel's word for it.
    pub fn word(self) -> &'static str {
        match self {
            TunnelKind::Ipip => "ipip",
            TunnelKind::Sit => "sit",
            TunnelKind::Ip6tnl => "ip6tnl",
            TunnelKind::Gre { .. } => "gre",
            TunnelKind::Ip6gre { .. } => "ip6gre",
        }
    }

    /// The kernel module that has it.
    pub fn module(self) -> &'static str {
        match self {
            TunnelKind::Ipip => "ipip",
            TunnelKind::Sit => "sit",
            TunnelKind::Ip6tnl => "ip6_tunnel",
            TunnelKind::Gre { .. } => "ip_gre",
            TunnelKind::Ip6gre { .. } => "ip6_gre",
        }
    }

    fn settings(self, data: Request) -> Request {
        match self {
            // It takes every packet by being the one with no addresses.
            TunnelKind::Sit => data,
            TunnelKind::Ipip | TunnelKind::Ip6tnl => data.attribute(IPTUN_COLLECT_METADATA, &[]),
            TunnelKind::Gre { checksum } | TunnelKind::Ip6gre { checksum } => {
                let data = data.attribute(GRE_COLLECT_METADATA, &[]);
                if checksum { data.attribute(GRE_IFLAGS, &GRE_CSUM) } else { data }
            }
        }
    }
}

impl Netlink {
    /// Makes a tunnel device that takes packets of every sender to every address of this host, besides those that the
    /// module has made. The kernel loads the module. There is one such device of each kind.
    pub fn create_tunnel(&mut self, name: &str, kind: TunnelKind) -> Result<(), Error> {
        let request = Request::new(libc::RTM_NEWLINK, CREATE, &[0; IFINFO]).text(libc::IFLA_IFNAME, name).nested(
            libc::IFLA_LINKINFO,
            |info| {
                info.text(libc::IFLA_INFO_KIND, kind.word()).nested(libc::IFLA_INFO_DATA, |data| kind.settings(data))
            },
        );
        self.change(&format!("create the {} device {name}", kind.word()), request)
    }
}

/// The UDP ports at which the kernel takes GUE packets apart, for its tunnel devices.
#[derive(Debug)]
pub struct GuePorts {
    netlink: Netlink,
    family: u16,
}

/// A UDP port of IPv4 or of IPv6.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct GuePort {
    /// Its number.
    pub port: u16,
    /// It is one of IPv6.
    pub ipv6: bool,
}

impl GuePorts {
    /// Those of the caller's network namespace; `None`: the kernel has no FOU, or its module `fou` is not loaded.
    pub fn open() -> Result<Option<GuePorts>, Error> {
        let what = "find the kernel's FOU";
        let socket = netlink_socket(Some(GENERIC), 0, SocketFlags::CLOEXEC)
            .map_err(|e| Error::new("open a netlink socket", e))?;
        let mut netlink = Netlink::with(socket)?;
        let request = Request::new(CONTROL, libc::NLM_F_ACK, &[GET_FAMILY, 1, 0, 0]).text(FAMILY_NAME, "fou");
        match netlink.ask(what, request, family_number) {
            Ok(family) => Ok(Some(GuePorts { netlink, family })),
            Err(e) if e.is_missing() => Ok(None),
            Err(e) => Err(e),
        }
    }

    /// Takes packets at `port` from now on.
    pub fn add(&mut self, port: GuePort) -> Result<(), Error> {
        let request = self.request(FOU_ADD, port).attribute(FOU_TYPE, &[GUE]);
        self.netlink.change(&format!("take gue packets at UDP port {}", port.port), request)
    }

    /// No longer.
    pub fn delete(&mut self, port: GuePort) -> Result<(), Error> {
        let request = self.request(FOU_DELETE, port);
        self.netlink.change(&format!("give up UDP port {}", port.port), request)
    }

    /// All there are.
    pub fn list(&mut self) -> Result<Vec<GuePort>, Error> {
        self.netlink.dump("list the UDP ports of gue", self.family, &[FOU_GET, 1, 0, 0], read_port)
    }

    fn request(&self, command: u8, port: GuePort) -> Request {
        let family = if port.ipv6 { libc::AF_INET6 } else { libc::AF_INET };
        Request::new(self.family, libc::NLM_F_ACK, &[command, 1, 0, 0])
            .attribute(FOU_PORT, &port.port.to_be_bytes())
            .attribute(FOU_FAMILY, &[u8::try_from(family).unwrap_or_default()])
    }
}

fn family_number(message: Message<'_>) -> Option<u16> {
    attributes(message.body, GENLMSG).find(|(kind, _)| *kind == FAMILY_ID).and_then(|(_, value)| u16_at(value, 0))
}

/// A port of GUE; other kinds of FOU are somebody else's.
fn read_port(message: Message<'_>) -> Option<GuePort> {
    let value = |wanted: u16| attributes(message.body, GENLMSG).find(|(kind, _)| *kind == wanted).map(|(_, v)| v);
    if u8_at(value(FOU_TYPE)?, 0)? != GUE {
        return None;
    }
    let port = u16_at(value(FOU_PORT)?, 0).map(u16::from_be)?;
    Some(GuePort { port, ipv6: i32::from(u8_at(value(FOU_FAMILY)?, 0)?) == libc::AF_INET6 })
}
