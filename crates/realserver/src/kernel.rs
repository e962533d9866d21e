//! Tunnel devices of the kernel in place of our own programs, where that is wanted.
//!
//! Each kind gets a device of its own that takes the packets of every director, beside whatever devices this host uses
//! already. Only for IPv6 in IPv4 there is no such device: it is the one that the kernel's module makes, `sit0`. What is to
//! be made is written down first, so that `down` removes it after a crash too. A module stays loaded.

use std::{
    net::{IpAddr, Ipv4Addr},
    process::Command,
    time::Duration,
};

use evenkeel_netlink::{Address, GuePort, GuePorts, Link, Netlink, TunnelKind};
use evenkeel_os::{Sysctl, child::run_to_end};
use serde::{Deserialize, Serialize};

use crate::{
    Host, SCOPE_HOST,
    error::Error,
    report::{Finding, Report, Step},
    script::KernelTunnel,
    state::State,
};

/// The module's own device for IPv6 in IPv4.
const SIT0: &str = "sit0";
/// RFC 7600 4.8: an address for where none is needed.
const DUMMY: Ipv4Addr = Ipv4Addr::new(192, 0, 0, 8);
/// Loading a module takes milliseconds.
const LOADING: Duration = Duration::from_secs(10);

/// What was changed of the kernel's tunnels.
#[derive(Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Kernel {
    /// Whose packets come that way; with the last one all is undone.
    pub(crate) vips: Vec<IpAddr>,
    devices: Vec<Device>,
    ports: Vec<Port>,
}

impl Kernel {
    pub(crate) fn is_untouched(&self) -> bool {
        *self == Kernel::default()
    }
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Device {
    name: String,
    /// The packets that it takes.
    takes: String,
    /// It was made, not only set up.
    made: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Port {
    port: u16,
    ipv6: bool,
}

impl Port {
    fn wire(self) -> GuePort {
        GuePort { port: self.port, ipv6: self.ipv6 }
    }
}

/// Has packets for `vips` taken by the kernel. A call that fails leaves nothing of itself behind.
pub(crate) fn up(host: &mut Host, vips: &[IpAddr], tunnel: KernelTunnel, report: &mut Report) -> Result<(), Error> {
    let mut state = host.store.load()?;
    let before = (state.kernel.devices.clone(), state.kernel.ports.clone());
    let outcome = make(host, &mut state, vips, tunnel, report);
    if outcome.is_err() {
        let (devices, ports) = before;
        for device in state.kernel.devices.iter().filter(|device| !devices.contains(device)) {
            // The first failure is the news.
            let _ = unmake(&mut host.netlink, device);
        }
        for port in state.kernel.ports.iter().filter(|port| !ports.contains(port)) {
            let _ = close(*port);
        }
        (state.kernel.devices, state.kernel.ports) = (devices, ports);
    } else {
        let new = vips.iter().filter(|vip| !state.kernel.vips.contains(vip)).copied().collect::<Vec<_>>();
        state.kernel.vips.extend(new);
    }
    host.store.save(&state)?;
    outcome
}

fn make(
    host: &mut Host,
    state: &mut State,
    vips: &[IpAddr],
    tunnel: KernelTunnel,
    report: &mut Report,
) -> Result<(), Error> {
    let (outer4, outer6) = families(host, vips)?;
    for kind in kinds(tunnel, vips, outer4, outer6) {
        device(host, state, kind, report)?;
    }
    let KernelTunnel::Gue(port) = tunnel else { return Ok(()) };
    let mut open = gue_ports()?;
    let there = open.list()?;
    for ipv6 in [false, true].into_iter().filter(|ipv6| if *ipv6 { outer6 } else { outer4 }) {
        let port = Port { port, ipv6 };
        if there.contains(&port.wire()) {
            report.steps.push(Step::PortThere { port: port.port, ipv6 });
            continue;
        }
        if !state.kernel.ports.contains(&port) {
            state.kernel.ports.push(port);
            host.store.save(state)?;
        }
        open.add(port.wire())?;
        report.steps.push(Step::PortOpened { port: port.port, ipv6 });
    }
    Ok(())
}

/// The families that this host can be reached in, its VIPs aside.
fn families(host: &mut Host, vips: &[IpAddr]) -> Result<(bool, bool), Error> {
    let addresses = host.netlink.addresses()?;
    let own = addresses.iter().filter(|one| one.ifindex != host.loopback.index && !vips.contains(&one.address));
    let own: Vec<IpAddr> = own.map(|one| one.address).collect();
    let outer4 = own.iter().any(IpAddr::is_ipv4);
    let outer6 = own.iter().any(|own| matches!(own, IpAddr::V6(own) if !own.is_unicast_link_local()));
    if outer4 || outer6 { Ok((outer4, outer6)) } else { Err(Error::NoAddress) }
}

fn kinds(tunnel: KernelTunnel, vips: &[IpAddr], outer4: bool, outer6: bool) -> Vec<TunnelKind> {
    let inner4 = vips.iter().any(IpAddr::is_ipv4);
    let inner6 = vips.iter().any(IpAddr::is_ipv6);
    let wanted = match tunnel {
        // What is inside of GUE goes to the devices of plain IP in IP.
        KernelTunnel::Ipip | KernelTunnel::Gue(_) => vec![
            (outer4 && inner4, TunnelKind::Ipip),
            (outer4 && inner6, TunnelKind::Sit),
            (outer6, TunnelKind::Ip6tnl),
        ],
        KernelTunnel::Gre { checksum } => {
            vec![(outer4, TunnelKind::Gre { checksum }), (outer6, TunnelKind::Ip6gre { checksum })]
        }
    };
    wanted.into_iter().filter(|(wanted, _)| *wanted).map(|(_, kind)| kind).collect()
}

/// The packets that a device takes, in words.
fn takes(kind: TunnelKind) -> &'static str {
    match kind {
        TunnelKind::Ipip => "IPv4 in IPv4",
        TunnelKind::Sit => "IPv6 in IPv4",
        TunnelKind::Ip6tnl => "IPv4 and IPv6 in IPv6",
        TunnelKind::Gre { checksum: false } => "gre in IPv4",
        TunnelKind::Gre { checksum: true } => "gre with checksum in IPv4",
        TunnelKind::Ip6gre { checksum: false } => "gre in IPv6",
        TunnelKind::Ip6gre { checksum: true } => "gre with checksum in IPv6",
    }
}

/// Has a device take packets of `kind`.
fn device(host: &mut Host, state: &mut State, kind: TunnelKind, report: &mut Report) -> Result<(), Error> {
    let (name, takes) = (format!("ek-{}", kind.word()), takes(kind).to_owned());
    let is_it = |device: &&Device| device.name == name || (kind == TunnelKind::Sit && device.name == SIT0);
    let known = state.kernel.devices.iter().find(is_it).cloned();
    if let Some(other) = known.as_ref().filter(|known| known.takes != takes) {
        return Err(Error::OtherTunnel { device: other.name.clone(), takes: other.takes.clone() });
    }
    let there = match &known {
        // Whoever has set it down may have deleted it as well.
        Some(known) => host.netlink.link(&known.name)?,
        None => None,
    };
    let link = match there {
        Some(link) => link,
        None => create(host, state, &name, kind)?,
    };
    let device = link.name.clone();
    if link.up {
        report.steps.push(Step::DeviceThere { device, takes });
        return Ok(());
    }
    if kind != TunnelKind::Sit {
        accept_clients(&mut host.netlink, &link)?;
    }
    host.netlink.set_up(link.index, true)?;
    report.steps.push(Step::DeviceUp { device, takes });
    Ok(())
}

/// Makes the device, or finds that of the module; it stands in `state` then.
fn create(host: &mut Host, state: &mut State, name: &str, kind: TunnelKind) -> Result<Link, Error> {
    let note = |state: &mut State, name: &str, made: bool| {
        state.kernel.devices.push(Device { name: name.to_owned(), takes: takes(kind).to_owned(), made });
    };
    state.kernel.devices.retain(|device| device.name != name && (kind != TunnelKind::Sit || device.name != SIT0));
    if host.netlink.link(name)?.is_some() {
        return Err(Error::TunnelTaken { device: name.to_owned(), kind: kind.word() });
    }
    note(state, name, true);
    host.store.save(state)?;
    let Err(refused) = host.netlink.create_tunnel(name, kind) else {
        return host.netlink.link(name)?.ok_or_else(|| Error::NoSuchDevice(name.to_owned()));
    };
    state.kernel.devices.retain(|device| device.name != name);
    if refused.is_unsupported() {
        return Err(Error::NoTunnel { kind: kind.word(), module: kind.module() });
    }
    let taken = || Error::TunnelTaken { device: name.to_owned(), kind: kind.word() };
    match host.netlink.link(SIT0)? {
        Some(sit0) if refused.is_exists() && kind == TunnelKind::Sit => {
            if !sit0.up {
                note(state, SIT0, false);
                host.store.save(state)?;
            }
            Ok(sit0)
        }
        Some(_) | None if refused.is_exists() => Err(taken()),
        Some(_) | None => Err(refused.into()),
    }
}

/// Packets of clients come in by the device, and answers leave by another one: strict filtering of sources would drop them. The
/// kernel takes the larger of this value and that of `all`; of a device without an address even loose filtering takes nothing.
fn accept_clients(netlink: &mut Netlink, device: &Link) -> Result<(), Error> {
    let own = Sysctl::ipv4(&device.name, "rp_filter")?;
    own.write("0")?;
    if Sysctl::ipv4("all", "rp_filter")?.number()? == 0 {
        return Ok(());
    }
    own.write("2")?;
    let mut address = Address::new(device.index, DUMMY.into(), 32);
    address.scope = SCOPE_HOST;
    match netlink.add_address(&address) {
        Err(e) if !e.is_exists() => Err(e.into()),
        Ok(()) | Err(_) => Ok(()),
    }
}

/// The kernel's FOU; its module is not loaded by asking.
fn gue_ports() -> Result<GuePorts, Error> {
    if let Some(ports) = GuePorts::open()? {
        return Ok(ports);
    }
    let mut modprobe = Command::new("modprobe");
    modprobe.args(["-q", "fou"]);
    // Whether it could be loaded shows in what is there then.
    let _ = run_to_end(modprobe, LOADING, 0);
    GuePorts::open()?.ok_or(Error::NoTunnel { kind: "gue", module: "fou" })
}

/// Undoes [`up`] for one VIP.
pub(crate) fn down(host: &mut Host, state: &mut State, vip: IpAddr, report: &mut Report) -> Result<(), Error> {
    if !state.kernel.vips.contains(&vip) {
        return Ok(());
    }
    if state.kernel.vips.len() == 1 {
        while let Some(port) = state.kernel.ports.last().copied() {
            report.steps.extend(close(port)?);
            state.kernel.ports.pop();
        }
        while let Some(device) = state.kernel.devices.last().cloned() {
            report.steps.extend(unmake(&mut host.netlink, &device)?);
            state.kernel.devices.pop();
        }
    }
    state.kernel.vips.retain(|known| *known != vip);
    host.store.save(state)
}

fn unmake(netlink: &mut Netlink, device: &Device) -> Result<Option<Step>, Error> {
    let Some(link) = netlink.link(&device.name)? else { return Ok(None) };
    let name = device.name.clone();
    if device.made {
        netlink.delete_link(link.index)?;
        return Ok(Some(Step::DeviceDeleted(name)));
    }
    netlink.set_up(link.index, false)?;
    Ok(Some(Step::DeviceDown(name)))
}

fn close(port: Port) -> Result<Option<Step>, Error> {
    let Some(mut open) = GuePorts::open()? else { return Ok(None) };
    if !open.list()?.contains(&port.wire()) {
        return Ok(None);
    }
    open.delete(port.wire())?;
    Ok(Some(Step::PortClosed { port: port.port, ipv6: port.ipv6 }))
}

/// What takes tunnel packets, and what somebody undid.
pub(crate) fn findings(netlink: &mut Netlink, kernel: &Kernel) -> Result<Vec<Finding>, Error> {
    let mut findings = Vec::new();
    for device in &kernel.devices {
        let is_up = netlink.link(&device.name)?.is_some_and(|link| link.up);
        let (device, takes) = (device.name.clone(), device.takes.clone());
        findings.push(if is_up { Finding::DeviceUp { device, takes } } else { Finding::DeviceDown(device) });
    }
    if kernel.ports.is_empty() {
        return Ok(findings);
    }
    let there = GuePorts::open()?.map_or(Ok(Vec::new()), |mut open| open.list())?;
    for port in &kernel.ports {
        let (number, ipv6) = (port.port, port.ipv6);
        findings.push(if there.contains(&port.wire()) {
            Finding::PortOpen { port: number, ipv6 }
        } else {
            Finding::PortClosed { port: number, ipv6 }
        });
    }
    Ok(findings)
}
