//! The real server's half of tunnels: our own programs take the outer header off, and have clients send segments that fit.
//!
//! The VIP is put on `lo` as for direct routing. What is unwrapped stands in pinned maps below the state's directory, so that
//! `down` and `status` need no more than these.

use std::{
    fs,
    net::IpAddr,
    path::{Path, PathBuf},
};

use evenkeel_dataplane_ebpf::unwrap::{self, Limits, Unwrap};
use evenkeel_netlink::{LinkKind, Netlink};
use evenkeel_os::{holds_pins, lasting_bpffs, remove_bpffs};

use crate::{
    error::Error,
    report::{Finding, Report, Step},
};

/// The longest outer header: IPv6, UDP and the GUE header.
const OUTER: u32 = 40 + 8 + 4;
/// IP and TCP header without options.
const fn headers(vip: IpAddr) -> u32 {
    if vip.is_ipv4() { 20 + 20 } else { 40 + 20 }
}

/// How tunnel packets come.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tunnel {
    /// Devices they come in by; none: every Ethernet device with an address.
    pub devices: Vec<String>,
    /// UDP port of GUE.
    pub gue_port: u16,
}

impl Tunnel {
    /// The port of most examples of GUE, and of its registration.
    pub const GUE_PORT: u16 = 6080;
}

fn mount(directory: &Path) -> PathBuf {
    std::path::absolute(directory).unwrap_or_else(|_| directory.to_owned()).join("bpf")
}

/// The pins of one network namespace.
fn pins(bpffs: &Path, cookie: u64) -> PathBuf {
    bpffs.join(format!("tunnel-{cookie}"))
}

/// Has packets for `vips` unwrapped.
pub(crate) fn up(
    directory: &Path,
    netlink: &mut Netlink,
    vips: &[IpAddr],
    tunnel: &Tunnel,
    report: &mut Report,
) -> Result<(), Error> {
    let devices = devices(netlink, tunnel)?;
    let mtu = devices.iter().map(|(_, mtu)| *mtu).min().unwrap_or(1500);
    let bpffs = lasting_bpffs(&mount(directory))?;
    let mut unwrap = Unwrap::open(&pins(bpffs.path(), netlink.namespace_cookie()?))?;
    for vip in vips {
        let mss = u16::try_from(mtu.saturating_sub(OUTER + headers(*vip))).unwrap_or(u16::MAX);
        unwrap.add(*vip, Limits { mss, gue_port: tunnel.gue_port })?;
        report.steps.push(Step::Unwraps { vip: *vip, mss });
    }
    for (device, _) in devices {
        unwrap.attach(&device)?;
        report.steps.push(Step::Attached(device));
    }
    Ok(())
}

/// The devices and their MTUs.
fn devices(netlink: &mut Netlink, tunnel: &Tunnel) -> Result<Vec<(String, u32)>, Error> {
    let (links, addresses) = (netlink.links()?, netlink.addresses()?);
    if tunnel.devices.is_empty() {
        let found = links.into_iter().filter(|link| {
            let has_address = addresses.iter().any(|address| address.ifindex == link.index);
            link.up && link.mac.is_some() && link.kind != LinkKind::Loopback && has_address
        });
        let found: Vec<_> = found.map(|link| (link.name, link.mtu)).collect();
        return if found.is_empty() { Err(Error::NoDevice) } else { Ok(found) };
    }
    let find = |name: &String| {
        let link = links.iter().find(|link| link.name == *name);
        link.map(|link| (link.name.clone(), link.mtu)).ok_or_else(|| Error::NoSuchDevice(name.clone()))
    };
    tunnel.devices.iter().map(find).collect()
}

/// Undoes [`up`] for one VIP.
pub(crate) fn down(directory: &Path, cookie: u64, vip: IpAddr, report: &mut Report) -> Result<(), Error> {
    let mount = mount(directory);
    if !holds_pins(&mount) {
        return Ok(());
    }
    let pins = pins(lasting_bpffs(&mount)?.path(), cookie);
    let Some(before) = unwrap::status(&pins)? else { return Ok(()) };
    if before.vips.iter().any(|(known, _)| *known == vip) {
        unwrap::forget(&pins, vip)?;
        report.steps.push(Step::NoLongerUnwraps(vip));
    }
    if !pins.exists() && remove_bpffs(&mount)? {
        // A directory that something else lies in stays.
        let _ = fs::remove_dir(mount);
    }
    Ok(())
}

/// What is unwrapped.
pub(crate) fn findings(directory: &Path, cookie: u64) -> Result<Vec<Finding>, Error> {
    let mount = mount(directory);
    if !holds_pins(&mount) {
        return Ok(Vec::new());
    }
    let Some(status) = unwrap::status(&pins(lasting_bpffs(&mount)?.path(), cookie))? else { return Ok(Vec::new()) };
    let mut findings: Vec<Finding> =
        status.vips.iter().map(|(vip, limits)| Finding::Unwraps { vip: *vip, mss: limits.mss }).collect();
    for device in status.devices {
        findings.push(match device.name {
            Some(name) if device.attached => Finding::Attached { device: name, way: device.way },
            Some(name) => Finding::Detached(name),
            None => Finding::DeviceGone,
        });
    }
    findings.push(Finding::Unwrapped(status.counts));
    Ok(findings)
}
