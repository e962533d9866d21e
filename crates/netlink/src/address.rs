//! Addresses of the host.

use std::{
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
    time::Duration,
};

use evenkeel_model::vrrp::{Vip, VipOptions};

use crate::{
    error::Error,
    message::{Message, Request, address, attributes, family, text, u8_at, u32_at},
    socket::Netlink,
};

const IFA_PROTO: u16 = 11;
const IFADDR: usize = 8;
/// Seconds that an address without a lifetime has.
const FOREVER: u32 = u32::MAX;
/// Flags that somebody asks for, rather than the kernel.
const ASKED_FOR: u32 =
    libc::IFA_F_HOMEADDRESS | libc::IFA_F_MANAGETEMPADDR | libc::IFA_F_NOPREFIXROUTE | libc::IFA_F_MCAUTOJOIN;

/// An address on an interface.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Address {
    /// The interface.
    pub ifindex: u32,
    /// The address itself.
    pub address: IpAddr,
    /// Length of the prefix that is on the link.
    pub prefix: u8,
    /// The label of an IPv4 address (`eth0:0`).
    pub label: Option<String>,
    /// Who put it there (IFA_PROTO); kernels before 5.18 say nothing.
    pub protocol: Option<u8>,
    /// The kernel's scope: 0 global, 253 link, 254 host.
    pub scope: u8,
    /// IPv6: used at once, without duplicate address detection.
    pub nodad: bool,
    /// IPv6: duplicate address detection still runs, the address cannot be used yet.
    pub tentative: bool,
    /// IPv6: another host has it, so this one cannot be used.
    pub duplicate: bool,
    /// IPv4: not the first address of its prefix.
    pub secondary: bool,
    /// The broadcast address of an IPv4 address.
    pub broadcast: Option<Ipv4Addr>,
    /// For how long it stays, in whole seconds; `None`: until somebody deletes it. Of one that is read: what is left.
    pub lifetime: Option<Duration>,
    /// For how long the host chooses it as a source, in whole seconds; `None`: as long as it is there.
    pub preferred: Option<Duration>,
    /// The far end of a point-to-point link, whose prefix it then is.
    pub peer: Option<IpAddr>,
    /// Home address, no route to the prefix and the like: those of the kernel's IFA_F_ flags that are asked for.
    pub flags: u32,
}

impl Address {
    /// A global address without any of the options; IPv6 addresses skip duplicate detection (`nodad`).
    pub fn new(ifindex: u32, address: IpAddr, prefix: u8) -> Address {
        Address {
            ifindex,
            address,
            prefix,
            label: None,
            protocol: None,
            scope: 0,
            nodad: address.is_ipv6(),
            tentative: false,
            duplicate: false,
            secondary: false,
            broadcast: None,
            lifetime: None,
            preferred: None,
            peer: None,
            flags: 0,
        }
    }

    /// `vip` as it was written, on this interface.
    pub fn of(vip: &Vip, ifindex: u32) -> Address {
        let VipOptions { scope, broadcast, peer, preferred, .. } = vip.options;
        let flag = |yes: bool, flag: u32| if yes { flag } else { 0 };
        Address {
            label: vip.label.clone(),
            scope: scope.unwrap_or_default(),
            broadcast,
            peer,
            preferred: preferred.map(|seconds| Duration::from_secs(seconds.into())),
            nodad: vip.address.is_ipv6() && !vip.options.detect_duplicates,
            flags: flag(vip.options.home, libc::IFA_F_HOMEADDRESS)
                | flag(vip.options.temporary, libc::IFA_F_MANAGETEMPADDR)
                | flag(vip.options.no_prefix_route, libc::IFA_F_NOPREFIXROUTE)
                | flag(vip.options.join, libc::IFA_F_MCAUTOJOIN),
            ..Address::new(ifindex, vip.address, vip.prefix)
        }
    }

    fn request(&self, kind: u16, flags: i32) -> Request {
        let nodad = if self.nodad && self.address.is_ipv6() { libc::IFA_F_NODAD } else { 0 };
        let mut body = [0; IFADDR];
        body[0] = family(self.address);
        body[1] = self.prefix;
        body[2] = u8::try_from(nodad).unwrap_or_default();
        body[3] = self.scope;
        body[4..8].copy_from_slice(&self.ifindex.to_ne_bytes());
        let mut request = Request::new(kind, flags | libc::NLM_F_ACK, &body)
            .address(libc::IFA_LOCAL, self.address)
            .address(libc::IFA_ADDRESS, self.peer.unwrap_or(self.address));
        if self.flags != 0 {
            // It stands for those of the header too.
            request = request.u32(libc::IFA_FLAGS, nodad | (self.flags & ASKED_FOR));
        }
        if let Some(label) = &self.label {
            request = request.text(libc::IFA_LABEL, label);
        }
        if let Some(protocol) = self.protocol {
            request = request.attribute(IFA_PROTO, &[protocol]);
        }
        if let Some(broadcast) = self.broadcast {
            request = request.address(libc::IFA_BROADCAST, broadcast.into());
        }
        if self.lifetime.is_some() || self.preferred.is_some() {
            // struct ifa_cacheinfo: preferred, valid, and two times that only the kernel writes.
            let seconds = |time: Duration| u32::try_from(time.as_secs()).unwrap_or(FOREVER - 1);
            let valid = self.lifetime.map_or(FOREVER, seconds);
            let preferred = self.preferred.map_or(valid, |time| seconds(time).min(valid));
            let times = [preferred.to_ne_bytes(), valid.to_ne_bytes(), [0; 4], [0; 4]];
            request = request.attribute(libc::IFA_CACHEINFO, &times.concat());
        }
        request
    }

    fn text(&self) -> String {
        format!("address {}/{} on interface {}", self.address, self.prefix, self.ifindex)
    }
}

impl Netlink {
    /// Every address of the namespace.
    pub fn addresses(&mut self) -> Result<Vec<Address>, Error> {
        self.dump("read the addresses", libc::RTM_GETADDR, &[0; IFADDR], read_address)
    }

    /// Every address of the namespace, and when it was added or renewed last: in hundredths of a second, by a clock of the
    /// kernel's.
    pub fn addresses_with_change(&mut self) -> Result<Vec<(Address, u32)>, Error> {
        self.dump("read the addresses", libc::RTM_GETADDR, &[0; IFADDR], |message| {
            let (_, times) = attributes(message.body, IFADDR).find(|(kind, _)| *kind == libc::IFA_CACHEINFO)?;
            // struct ifa_cacheinfo: two lifetimes, when it was made, when it was changed.
            Some((read_address(message)?, u32_at(times, 12)?))
        })
    }

    /// Adds an address. One that is already there is an error ([`Error::is_exists`]).
    pub fn add_address(&mut self, address: &Address) -> Result<(), Error> {
        let request = address.request(libc::RTM_NEWADDR, libc::NLM_F_CREATE | libc::NLM_F_EXCL);
        self.change(&format!("add {}", address.text()), request)
    }

    /// Adds an address, or gives the one that is there this lifetime and these options.
    pub fn hold_address(&mut self, address: &Address) -> Result<(), Error> {
        let request = address.request(libc::RTM_NEWADDR, libc::NLM_F_CREATE | libc::NLM_F_REPLACE);
        self.change(&format!("hold {}", address.text()), request)
    }

    /// Deletes the address with this interface, value and prefix length.
    pub fn delete_address(&mut self, address: &Address) -> Result<(), Error> {
        self.change(&format!("delete {}", address.text()), Address::request(address, libc::RTM_DELADDR, 0))
    }
}

/// Reads RTM_NEWADDR and RTM_DELADDR.
pub(crate) fn read_address(message: Message<'_>) -> Option<Address> {
    let body = message.body;
    let any: IpAddr = match i32::from(u8_at(body, 0)?) {
        libc::AF_INET => Ipv4Addr::UNSPECIFIED.into(),
        libc::AF_INET6 => Ipv6Addr::UNSPECIFIED.into(),
        _ => return None,
    };
    let mut found = Address::new(u32_at(body, 4)?, any, u8_at(body, 1)?);
    found.scope = u8_at(body, 3)?;
    let mut flags = u32::from(u8_at(body, 2)?);
    let mut local = None;
    let mut remote = None;
    for (kind, value) in attributes(body, IFADDR) {
        match kind {
            libc::IFA_LOCAL => local = address(value),
            libc::IFA_ADDRESS => remote = address(value),
            libc::IFA_LABEL => found.label = text(value),
            libc::IFA_FLAGS => flags = u32_at(value, 0)?,
            libc::IFA_BROADCAST => {
                if let Some(IpAddr::V4(broadcast)) = address(value) {
                    found.broadcast = Some(broadcast);
                }
            }
            libc::IFA_CACHEINFO => {
                let valid = u32_at(value, 4).filter(|seconds| *seconds != FOREVER);
                found.lifetime = valid.map(|seconds| Duration::from_secs(seconds.into()));
                let preferred = u32_at(value, 0).filter(|seconds| *seconds != FOREVER);
                found.preferred = preferred.map(|seconds| Duration::from_secs(seconds.into()));
            }
            IFA_PROTO => found.protocol = u8_at(value, 0).filter(|protocol| *protocol != 0),
            _ => {}
        }
    }
    // IFA_ADDRESS is the far end of a point-to-point interface; IFA_LOCAL, where present, is ours.
    found.address = local.or(remote)?;
    found.peer = remote.filter(|remote| *remote != found.address);
    found.flags = flags & ASKED_FOR;
    found.nodad = flags & libc::IFA_F_NODAD != 0;
    found.tentative = flags & libc::IFA_F_TENTATIVE != 0;
    found.duplicate = flags & libc::IFA_F_DADFAILED != 0;
    found.secondary = found.address.is_ipv4() && flags & libc::IFA_F_SECONDARY != 0;
    Some(found)
}
