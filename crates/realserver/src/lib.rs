//! The other half of direct routing and of tunnels: the VIP, the kernel parameters and the unwrapping on a real server, undoable.
//!
//! A real server takes packets for the VIP, so it has the VIP as an address; but only the director may answer for it
//! on the link. So the VIP goes to `lo`, and IPv4 gets `arp_ignore` and `arp_announce`; IPv6 answers a solicitation
//! only for addresses of the interface it came in by, so it needs nothing. What was there before is written down
//! first, and [`down`] puts back exactly that, after a crash too.
//!
//! Everything happens in the calling thread's network namespace.

#![forbid(unsafe_code)]

mod arp;
mod error;
mod kernel;
mod report;
mod script;
mod state;
mod tunnel;

use std::{collections::BTreeSet, net::IpAddr, path::Path};

use evenkeel_netlink::{Address, Link, LinkKind, Netlink};
use evenkeel_os::{RuntimeDir, Sysctl};

pub use crate::{
    arp::Parameter,
    error::Error,
    report::{Finding, Report, Status, Step},
    script::{KernelTunnel, script},
    tunnel::Tunnel,
};
use crate::{
    arp::{wanted, would_answer},
    state::{Change, Store, Vip},
};

/// Where state is kept unless said otherwise.
pub const DIRECTORY: &str = "/run/evenkeel";
/// Scope of an IPv4 VIP: never chosen as the source of this host's own connections.
const SCOPE_HOST: u8 = 254;

/// What an address is that no director can forward packets for.
fn unfit(vip: IpAddr) -> Option<&'static str> {
    if vip.is_loopback() {
        Some("a loopback address, which every host has for itself")
    } else if vip.is_unspecified() {
        Some("the word for every address")
    } else if vip.is_multicast() || vip == IpAddr::from([255, 255, 255, 255]) {
        Some("the address of many hosts at once")
    } else if matches!(vip, IpAddr::V6(v6) if v6.is_unicast_link_local()) {
        Some("link-local and names no interface")
    } else {
        None
    }
}

fn fit(vips: &[IpAddr]) -> Result<(), Error> {
    let first = vips.iter().find_map(|vip| Some((*vip, unfit(*vip)?)));
    first.map_or(Ok(()), |(vip, what)| Err(Error::Unfit { vip, what }))
}

/// Makes this host a real server for `vips`. What is in place already stays as it is; what somebody undid is done again.
pub fn up(directory: &Path, vips: &[IpAddr]) -> Result<Report, Error> {
    fit(vips)?;
    let mut host = Host::open(directory)?;
    let vips: BTreeSet<IpAddr> = vips.iter().copied().collect();
    for vip in &vips {
        host.refuse_elsewhere(*vip)?;
    }
    let mut report = Report::default();
    let mut state = host.store.load()?;
    for vip in &vips {
        if !state.vips.iter().any(|known| known.address == *vip) {
            // An address that was there before us stays when we go.
            state.vips.push(Vip { address: *vip, ours: !host.has(*vip) });
        }
    }
    if state.has_ipv4() {
        for (parameter, before, after) in wanted()? {
            state.remember(parameter, before, after);
        }
    }
    state.loopback_was_down |= !host.loopback.up;
    // First the state, so that whatever happens next can be undone; then silence; then the address.
    host.store.save(&state)?;
    for change in &state.parameters {
        apply(change, &mut report)?;
    }
    for vip in vips {
        host.add(vip, &mut report)?;
    }
    Ok(report)
}

/// The same for `vips` whose packets come through tunnels; see [`Tunnel`].
pub fn up_tunnel(directory: &Path, vips: &[IpAddr], tunnel: &Tunnel) -> Result<Report, Error> {
    let kernel = Host::open(directory)?.store.load()?.kernel;
    if let Some(vip) = vips.iter().find(|vip| kernel.vips.contains(vip)) {
        return Err(Error::OtherWay { vip: *vip, who: "devices of the kernel do" });
    }
    let mut report = up(directory, vips)?;
    let mut host = Host::open(directory)?;
    tunnel::up(directory, &mut host.netlink, vips, tunnel, &mut report)?;
    Ok(report)
}

/// The same by tunnel devices of the kernel, which are made for it.
pub fn up_kernel(directory: &Path, vips: &[IpAddr], tunnel: KernelTunnel) -> Result<Report, Error> {
    fit(vips)?;
    let mut report = Report::default();
    {
        let mut host = Host::open(directory)?;
        let unwrapped = tunnel::findings(directory, host.netlink.namespace_cookie()?)?;
        let by_us =
            |vip: &&IpAddr| unwrapped.iter().any(|f| matches!(f, Finding::Unwraps { vip: one, .. } if one == *vip));
        if let Some(vip) = vips.iter().find(by_us) {
            return Err(Error::OtherWay { vip: *vip, who: "evenkeel's programs do" });
        }
        // First the devices: where the kernel has none, nothing is changed.
        kernel::up(&mut host, vips, tunnel, &mut report)?;
    }
    report.steps.extend(up(directory, vips)?.steps);
    Ok(report)
}

/// Undoes [`up`], [`up_tunnel`] and [`up_kernel`] for `vips`; for all when none is named. The kernel parameters get their old values with the last
/// IPv4 VIP.
pub fn down(directory: &Path, vips: &[IpAddr]) -> Result<Report, Error> {
    let mut host = Host::open(directory)?;
    let mut report = Report::default();
    let mut state = host.store.load()?;
    let going: BTreeSet<IpAddr> = match vips {
        [] => state.vips.iter().map(|vip| vip.address).chain(state.kernel.vips.iter().copied()).collect(),
        named => named.iter().copied().collect(),
    };
    for address in going {
        kernel::down(&mut host, &mut state, address, &mut report)?;
        let Some(at) = state.vips.iter().position(|vip| vip.address == address) else {
            report.steps.push(Step::NotUp(address));
            continue;
        };
        let cookie = host.netlink.namespace_cookie()?;
        tunnel::down(directory, cookie, address, &mut report)?;
        let vip = state.vips.remove(at);
        host.delete(&vip, &mut report)?;
        // What the last one leaves to be restored stays written down until it is.
        host.store.save(&state)?;
    }
    if !state.has_ipv4() {
        for change in state.parameters.iter().rev() {
            restore(change, &mut report)?;
        }
        state.parameters.clear();
    }
    if state.vips.is_empty() && state.loopback_was_down {
        host.netlink.set_up(host.loopback.index, false)?;
        state.loopback_was_down = false;
    }
    host.store.save(&state)?;
    Ok(report)
}

/// What [`up`] did, and whether it still holds. Changes nothing.
pub fn status(directory: &Path) -> Result<Status, Error> {
    let mut netlink = Netlink::open()?;
    let state = Store::at(directory, netlink.namespace_cookie()?).load()?;
    let on_lo = on_loopback(&mut netlink)?;
    let mut status = Status::default();
    for vip in &state.vips {
        let present = on_lo.iter().any(|address| address.address == vip.address);
        status.findings.push(if present { Finding::Up(vip.address) } else { Finding::Removed(vip.address) });
    }
    for change in &state.parameters {
        let parameter = change.parameter.clone();
        let value = parameter.sysctl()?.read().ok();
        let (before, after) = (change.before.clone(), change.after.clone());
        status.findings.push(match value {
            Some(value) if value == change.after => Finding::Set { parameter, before, after },
            value => Finding::Changed { parameter, value, after },
        });
    }
    if state.has_ipv4() {
        status.findings.extend(would_answer()?.into_iter().map(Finding::Answers));
    }
    status.findings.extend(kernel::findings(&mut netlink, &state.kernel)?);
    status.findings.extend(tunnel::findings(directory, netlink.namespace_cookie()?)?);
    Ok(status)
}

/// The host as far as it counts here.
struct Host {
    netlink: Netlink,
    loopback: Link,
    store: Store,
    _lock: evenkeel_os::Lock,
}

impl Host {
    fn open(directory: &Path) -> Result<Host, Error> {
        let prepared = RuntimeDir::prepare(directory)?;
        let lock = prepared.claim("realserver.lock", "realserver command")?;
        let mut netlink = Netlink::open()?;
        let loopback = netlink.links()?.into_iter().find(|link| link.kind == LinkKind::Loopback);
        let loopback = loopback.ok_or(Error::NoLoopback)?;
        let store = Store::at(directory, netlink.namespace_cookie()?);
        Ok(Host { netlink, loopback, store, _lock: lock })
    }

    fn has(&mut self, vip: IpAddr) -> bool {
        on_loopback(&mut self.netlink).is_ok_and(|all| all.iter().any(|address| address.address == vip))
    }

    /// On another interface the VIP would be answered for whatever is set here.
    fn refuse_elsewhere(&mut self, vip: IpAddr) -> Result<(), Error> {
        let there = self.netlink.addresses()?;
        let Some(found) = there.iter().find(|a| a.address == vip && a.ifindex != self.loopback.index) else {
            return Ok(());
        };
        let name = self.netlink.link_at(found.ifindex)?.map(|link| link.name);
        Err(Error::Elsewhere { vip, interface: name.unwrap_or_else(|| found.ifindex.to_string()) })
    }

    fn vip(&self, vip: IpAddr) -> Address {
        let mut address = Address::new(self.loopback.index, vip, if vip.is_ipv4() { 32 } else { 128 });
        if vip.is_ipv4() {
            address.scope = SCOPE_HOST;
        }
        address
    }

    fn add(&mut self, vip: IpAddr, report: &mut Report) -> Result<(), Error> {
        if self.has(vip) {
            report.steps.push(Step::AlreadyUp(vip));
            return Ok(());
        }
        if !self.loopback.up {
            self.netlink.set_up(self.loopback.index, true)?;
        }
        self.netlink.add_address(&self.vip(vip))?;
        report.steps.push(Step::Added(vip));
        Ok(())
    }

    fn delete(&mut self, vip: &Vip, report: &mut Report) -> Result<(), Error> {
        let address = vip.address;
        report.steps.push(if !vip.ours {
            Step::Kept(address)
        } else if self.has(address) {
            self.netlink.delete_address(&self.vip(address))?;
            Step::Deleted(address)
        } else {
            Step::Gone(address)
        });
        Ok(())
    }
}

fn on_loopback(netlink: &mut Netlink) -> Result<Vec<Address>, Error> {
    let loopbacks: BTreeSet<u32> =
        netlink.links()?.into_iter().filter(|link| link.kind == LinkKind::Loopback).map(|link| link.index).collect();
    Ok(netlink.addresses()?.into_iter().filter(|address| loopbacks.contains(&address.ifindex)).collect())
}

fn apply(change: &Change, report: &mut Report) -> Result<(), Error> {
    let sysctl: Sysctl = change.parameter.sysctl()?;
    if sysctl.read()? != change.after {
        sysctl.write(&change.after)?;
        let (before, after) = (change.before.clone(), change.after.clone());
        report.steps.push(Step::Set { parameter: change.parameter.clone(), before, after });
    }
    Ok(())
}

fn restore(change: &Change, report: &mut Report) -> Result<(), Error> {
    let parameter = change.parameter.clone();
    let sysctl = parameter.sysctl()?;
    if !sysctl.exists() {
        // The interface is gone, and its parameters with it.
        return Ok(());
    }
    let value = sysctl.read()?;
    if value == change.after && value != change.before {
        sysctl.write(&change.before)?;
        report.steps.push(Step::Restored { parameter, value: change.before.clone() });
    } else if value != change.before {
        report.steps.push(Step::LeftAlone { parameter, value, ours: change.after.clone() });
    }
    Ok(())
}
