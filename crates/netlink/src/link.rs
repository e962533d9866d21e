//! Interfaces: what they are, and making, changing and removing them.

use std::os::fd::{AsRawFd, BorrowedFd};

use crate::{
    error::Error,
    mac::MacAddress,
    message::{Message, Request, attributes, text, u8_at, u16_at, u32_at},
    socket::Netlink,
};

const VETH_INFO_PEER: u16 = 1;
const IFLA_VLAN_ID: u16 = 1;
const IFLA_VLAN_PROTOCOL: u16 = 5;
const DOT1Q: u16 = 0x8100;
const DOT1AD: u16 = 0x88a8;
const IFLA_XDP_ATTACHED: u16 = 2;
const IFLA_BR_FORWARD_DELAY: u16 = 1;
const IFLA_BR_MCAST_SNOOPING: u16 = 23;
pub(crate) const IFINFO: usize = 16;

/// What sort of interface it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LinkKind {
    /// One end of a virtual cable.
    Veth,
    /// A software switch.
    Bridge,
    /// A VLAN on top of another interface.
    Vlan,
    /// Several interfaces as one.
    Bond,
    /// A second MAC address on top of another interface.
    Macvlan,
    /// An interface that leads nowhere.
    Dummy,
    /// The host itself.
    Loopback,
    /// An Ethernet device with a driver of its own.
    Physical,
    /// Another kind, in the kernel's word; empty when it has none.
    Other(String),
}

/// Where an XDP program sits on an interface.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum XdpMode {
    /// In the driver.
    Native,
    /// In the stack.
    Generic,
    /// On the device.
    Offload,
    /// Several at once.
    Several,
}

/// The tag that a VLAN's frames have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct VlanTag {
    /// Its identifier.
    pub id: u16,
    /// It is one of 802.1ad, else of 802.1Q.
    pub is_service: bool,
}

/// An interface.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Link {
    /// Its number in this network namespace; never reused while it lives.
    pub index: u32,
    /// Its name.
    pub name: String,
    /// Its Ethernet address, when it is of that sort.
    pub mac: Option<MacAddress>,
    /// Its sort.
    pub kind: LinkKind,
    /// Set up by the administrator.
    pub up: bool,
    /// Up and with a carrier: packets can leave.
    pub running: bool,
    /// Does not resolve neighbours (`NOARP`, loopback).
    pub noarp: bool,
    /// Largest packet in bytes.
    pub mtu: u32,
    /// The other end of a veth, the interface below a VLAN or macvlan.
    pub peer: Option<u32>,
    /// Whether `peer` counts in another network namespace.
    pub peer_elsewhere: bool,
    /// The tag of a VLAN.
    pub vlan: Option<VlanTag>,
    /// The bridge or bond it belongs to.
    pub master: Option<u32>,
    /// The XDP program's place, if there is one.
    pub xdp: Option<XdpMode>,
}

impl Link {
    /// An interface that is up and running, as large as Ethernet's; no more is known of it.
    pub fn new(index: u32, name: impl Into<String>, kind: LinkKind) -> Link {
        Link {
            index,
            name: name.into(),
            mac: None,
            kind,
            up: true,
            running: true,
            noarp: false,
            mtu: 1500,
            peer: None,
            peer_elsewhere: false,
            vlan: None,
            master: None,
            xdp: None,
        }
    }
}

/// One end of a veth pair to be made.
#[derive(Clone, Copy, Debug)]
pub struct VethEnd<'a> {
    /// Its name.
    pub name: &'a str,
    /// The network namespace it goes to; the socket's own when absent.
    pub namespace: Option<BorrowedFd<'a>>,
    /// Its MAC address; the kernel's choice when absent.
    pub mac: Option<MacAddress>,
}

impl<'a> VethEnd<'a> {
    /// An end called `name` in the socket's namespace with a MAC address of the kernel's choice.
    pub fn new(name: &'a str) -> VethEnd<'a> {
        VethEnd { name, namespace: None, mac: None }
    }

    /// The same in another network namespace.
    pub fn in_namespace(self, namespace: BorrowedFd<'a>) -> VethEnd<'a> {
        VethEnd { namespace: Some(namespace), ..self }
    }

    fn write(self, request: Request) -> Request {
        let request = request.text(libc::IFLA_IFNAME, self.name);
        let request = match self.mac {
            Some(mac) => request.attribute(libc::IFLA_ADDRESS, &mac.0),
            None => request,
        };
        match self.namespace {
            Some(fd) => request.attribute(libc::IFLA_NET_NS_FD, &fd.as_raw_fd().to_ne_bytes()),
            None => request,
        }
    }
}

pub(crate) const CREATE: i32 = libc::NLM_F_ACK | libc::NLM_F_CREATE | libc::NLM_F_EXCL;

impl Netlink {
    /// Every interface of the namespace.
    pub fn links(&mut self) -> Result<Vec<Link>, Error> {
        self.dump("read the interfaces", libc::RTM_GETLINK, &[0; IFINFO], |m| read_link(m.body))
    }

    /// The interface called `name`.
    pub fn link(&mut self, name: &str) -> Result<Option<Link>, Error> {
        let request = Request::new(libc::RTM_GETLINK, libc::NLM_F_ACK, &[0; IFINFO]).text(libc::IFLA_IFNAME, name);
        self.one_link(&format!("read interface {name}"), request)
    }

    /// The interface with this index.
    pub fn link_at(&mut self, index: u32) -> Result<Option<Link>, Error> {
        let request = Request::new(libc::RTM_GETLINK, libc::NLM_F_ACK, &ifinfo(index, 0, 0));
        self.one_link(&format!("read interface {index}"), request)
    }

    fn one_link(&mut self, what: &str, request: Request) -> Result<Option<Link>, Error> {
        match self.ask(what, request, |m| read_link(m.body)) {
            Ok(link) => Ok(Some(link)),
            Err(e) if e.is_missing() => Ok(None),
            Err(e) => Err(e),
        }
    }

    /// Makes a veth pair.
    pub fn create_veth(&mut self, one: VethEnd<'_>, other: VethEnd<'_>) -> Result<(), Error> {
        let request =
            one.write(Request::new(libc::RTM_NEWLINK, CREATE, &[0; IFINFO])).nested(libc::IFLA_LINKINFO, |info| {
                info.text(libc::IFLA_INFO_KIND, "veth").nested(libc::IFLA_INFO_DATA, |data| {
                    data.nested(VETH_INFO_PEER, |peer| other.write(peer.raw(&[0; IFINFO])))
                })
            });
        self.change(&format!("create the veth pair {} and {}", one.name, other.name), request)
    }

    /// Makes a bridge that forwards at once (no forward delay) and floods multicast.
    pub fn create_bridge(&mut self, name: &str) -> Result<(), Error> {
        let request = Request::new(libc::RTM_NEWLINK, CREATE, &[0; IFINFO]).text(libc::IFLA_IFNAME, name).nested(
            libc::IFLA_LINKINFO,
            |info| {
                info.text(libc::IFLA_INFO_KIND, "bridge").nested(libc::IFLA_INFO_DATA, |data| {
                    data.u32(IFLA_BR_FORWARD_DELAY, 0).attribute(IFLA_BR_MCAST_SNOOPING, &[0])
                })
            },
        );
        self.change(&format!("create bridge {name}"), request)
    }

    /// Makes a dummy interface.
    pub fn create_dummy(&mut self, name: &str) -> Result<(), Error> {
        let request = Request::new(libc::RTM_NEWLINK, CREATE, &[0; IFINFO])
            .text(libc::IFLA_IFNAME, name)
            .nested(libc::IFLA_LINKINFO, |info| info.text(libc::IFLA_INFO_KIND, "dummy"));
        self.change(&format!("create dummy interface {name}"), request)
    }

    /// Makes VLAN `id` on top of interface `below`.
    pub fn create_vlan(&mut self, name: &str, below: u32, id: u16) -> Result<(), Error> {
        let request = Request::new(libc::RTM_NEWLINK, CREATE, &[0; IFINFO])
            .text(libc::IFLA_IFNAME, name)
            .u32(libc::IFLA_LINK, below)
            .nested(libc::IFLA_LINKINFO, |info| {
                info.text(libc::IFLA_INFO_KIND, "vlan")
                    .nested(libc::IFLA_INFO_DATA, |data| data.attribute(IFLA_VLAN_ID, &id.to_ne_bytes()))
            });
        self.change(&format!("create VLAN interface {name}"), request)
    }

    /// Sets an interface up or down.
    pub fn set_up(&mut self, index: u32, up: bool) -> Result<(), Error> {
        let flag = libc::IFF_UP.cast_unsigned();
        let request = Request::new(libc::RTM_NEWLINK, libc::NLM_F_ACK, &ifinfo(index, if up { flag } else { 0 }, flag));
        self.change(&format!("set interface {index} {}", if up { "up" } else { "down" }), request)
    }

    /// Gives an interface another MAC address.
    pub fn set_mac(&mut self, index: u32, mac: MacAddress) -> Result<(), Error> {
        let request = set(index).attribute(libc::IFLA_ADDRESS, &mac.0);
        self.change(&format!("set the MAC address of interface {index} to {mac}"), request)
    }

    /// Sets the largest packet of an interface.
    pub fn set_mtu(&mut self, index: u32, mtu: u32) -> Result<(), Error> {
        self.change(&format!("set the MTU of interface {index} to {mtu}"), set(index).u32(libc::IFLA_MTU, mtu))
    }

    /// Puts an interface into a bridge or bond, or takes it out.
    pub fn set_master(&mut self, index: u32, master: Option<u32>) -> Result<(), Error> {
        let request = set(index).u32(libc::IFLA_MASTER, master.unwrap_or(0));
        self.change(&format!("set the master of interface {index}"), request)
    }

    /// Renames an interface.
    pub fn rename(&mut self, index: u32, name: &str) -> Result<(), Error> {
        self.change(&format!("rename interface {index} to {name}"), set(index).text(libc::IFLA_IFNAME, name))
    }

    /// Moves an interface to another network namespace.
    pub fn move_link(&mut self, index: u32, namespace: BorrowedFd<'_>) -> Result<(), Error> {
        let request = set(index).attribute(libc::IFLA_NET_NS_FD, &namespace.as_raw_fd().to_ne_bytes());
        self.change(&format!("move interface {index} to another network namespace"), request)
    }

    /// Removes an interface (of a veth pair: both ends).
    pub fn delete_link(&mut self, index: u32) -> Result<(), Error> {
        let request = Request::new(libc::RTM_DELLINK, libc::NLM_F_ACK, &ifinfo(index, 0, 0));
        self.change(&format!("delete interface {index}"), request)
    }
}

fn set(index: u32) -> Request {
    Request::new(libc::RTM_NEWLINK, libc::NLM_F_ACK, &ifinfo(index, 0, 0))
}

/// struct ifinfomsg.
pub(crate) fn ifinfo(index: u32, flags: u32, change: u32) -> [u8; IFINFO] {
    let mut body = [0; IFINFO];
    body[4..8].copy_from_slice(&index.to_ne_bytes());
    body[8..12].copy_from_slice(&flags.to_ne_bytes());
    body[12..16].copy_from_slice(&change.to_ne_bytes());
    body
}

/// The index of the interface a link message speaks of.
pub(crate) fn read_index(message: Message<'_>) -> Option<u32> {
    u32_at(message.body, 4)
}

/// Reads the body of RTM_NEWLINK.
pub(crate) fn read_link(body: &[u8]) -> Option<Link> {
    // A bridge speaks of its ports in messages of family AF_BRIDGE; those lack most of the attributes.
    if u8_at(body, 0)? != 0 {
        return None;
    }
    let hardware = u16_at(body, 2)?;
    let flags = u32_at(body, 8)?.cast_signed();
    let ethernet = hardware == libc::ARPHRD_ETHER;
    let kind = match hardware {
        libc::ARPHRD_ETHER => LinkKind::Physical,
        libc::ARPHRD_LOOPBACK => LinkKind::Loopback,
        _ => LinkKind::Other(String::new()),
    };
    let mut link = Link {
        up: flags & libc::IFF_UP != 0,
        running: flags & libc::IFF_UP != 0 && flags & libc::IFF_LOWER_UP != 0,
        noarp: flags & (libc::IFF_NOARP | libc::IFF_LOOPBACK) != 0,
        mtu: 0,
        ..Link::new(u32_at(body, 4)?, "", kind)
    };
    for (kind, value) in attributes(body, IFINFO) {
        match kind {
            libc::IFLA_IFNAME => link.name = text(value)?,
            libc::IFLA_ADDRESS if ethernet => link.mac = MacAddress::from_bytes(value),
            libc::IFLA_MTU => link.mtu = u32_at(value, 0)?,
            // An interface that is its own peer has none (some tunnels say so).
            libc::IFLA_LINK => link.peer = u32_at(value, 0).filter(|peer| *peer != 0 && *peer != link.index),
            libc::IFLA_LINK_NETNSID => link.peer_elsewhere = true,
            libc::IFLA_MASTER => link.master = u32_at(value, 0),
            libc::IFLA_LINKINFO => {
                let word = attributes(value, 0).find(|(k, _)| *k == libc::IFLA_INFO_KIND).and_then(|(_, v)| text(v));
                link.kind = word.map_or(link.kind, named_kind);
                if link.kind == LinkKind::Vlan {
                    link.vlan =
                        attributes(value, 0).find(|(k, _)| *k == libc::IFLA_INFO_DATA).and_then(|(_, v)| vlan(v));
                }
            }
            libc::IFLA_XDP => {
                let mode = attributes(value, 0).find(|(k, _)| *k == IFLA_XDP_ATTACHED).and_then(|(_, v)| u8_at(v, 0));
                link.xdp = mode.and_then(xdp_mode);
            }
            _ => {}
        }
    }
    Some(link)
}

/// The tag of a VLAN.
fn vlan(data: &[u8]) -> Option<VlanTag> {
    let attribute = |wanted: u16| attributes(data, 0).find(|(kind, _)| *kind == wanted).map(|(_, value)| value);
    let protocol = attribute(IFLA_VLAN_PROTOCOL).and_then(|value| u16_at(value, 0)).map(u16::from_be);
    let is_service = match protocol {
        None | Some(DOT1Q) => false,
        Some(DOT1AD) => true,
        Some(_) => return None,
    };
    Some(VlanTag { id: u16_at(attribute(IFLA_VLAN_ID)?, 0)?, is_service })
}

fn named_kind(word: String) -> LinkKind {
    match word.as_str() {
        "veth" => LinkKind::Veth,
        "bridge" => LinkKind::Bridge,
        "vlan" => LinkKind::Vlan,
        "bond" => LinkKind::Bond,
        "macvlan" => LinkKind::Macvlan,
        "dummy" => LinkKind::Dummy,
        _ => LinkKind::Other(word),
    }
}

fn xdp_mode(attached: u8) -> Option<XdpMode> {
    match attached {
        1 => Some(XdpMode::Native),
        2 => Some(XdpMode::Generic),
        3 => Some(XdpMode::Offload),
        4 => Some(XdpMode::Several),
        _ => None,
    }
}
