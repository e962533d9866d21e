//! What was done and what is so, for a caller to act on and a person to read.

use std::{fmt, net::IpAddr};

use crate::arp::Parameter;
use evenkeel_dataplane_ebpf::unwrap::Counts;

/// What a command did, in order.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Report {
    /// The steps.
    pub steps: Vec<Step>,
}

/// One step.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    /// The VIP was added to lo.
    Added(IpAddr),
    /// The VIP was on lo already.
    AlreadyUp(IpAddr),
    /// The VIP was deleted from lo.
    Deleted(IpAddr),
    /// The VIP was on lo before us and stays.
    Kept(IpAddr),
    /// The VIP was to be deleted, but somebody did that already.
    Gone(IpAddr),
    /// The VIP was never brought up by us.
    NotUp(IpAddr),
    /// Tunnel packets for the VIP are unwrapped.
    Unwraps {
        /// The VIP.
        vip: IpAddr,
        /// Largest TCP segment that clients are asked for.
        mss: u16,
    },
    /// They no longer are.
    NoLongerUnwraps(IpAddr),
    /// Tunnel packets that come in by this device are unwrapped.
    Attached(String),
    /// A tunnel device of the kernel was set up.
    DeviceUp {
        /// The device.
        device: String,
        /// What it takes.
        takes: String,
    },
    /// It was there and up.
    DeviceThere {
        /// The device.
        device: String,
        /// What it takes.
        takes: String,
    },
    /// It was deleted.
    DeviceDeleted(String),
    /// That of the kernel's module was set down again.
    DeviceDown(String),
    /// The kernel takes GUE packets at a UDP port.
    PortOpened {
        /// The port.
        port: u16,
        /// Over IPv6.
        ipv6: bool,
    },
    /// It did so before.
    PortThere {
        /// The port.
        port: u16,
        /// Over IPv6.
        ipv6: bool,
    },
    /// It no longer does.
    PortClosed {
        /// The port.
        port: u16,
        /// Over IPv6.
        ipv6: bool,
    },
    /// A kernel parameter was set.
    Set {
        /// Which.
        parameter: Parameter,
        /// Its value when we first came.
        before: String,
        /// Its value now.
        after: String,
    },
    /// A kernel parameter got its old value.
    Restored {
        /// Which.
        parameter: Parameter,
        /// The old value.
        value: String,
    },
    /// A kernel parameter was changed by somebody else meanwhile and stays so.
    LeftAlone {
        /// Which.
        parameter: Parameter,
        /// Its value.
        value: String,
        /// The value we had set.
        ours: String,
    },
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Step::Added(vip) => write!(f, "{vip}: added to lo"),
            Step::AlreadyUp(vip) => write!(f, "{vip}: is on lo already"),
            Step::Deleted(vip) => write!(f, "{vip}: deleted from lo"),
            Step::Kept(vip) => write!(f, "{vip}: was on lo before and stays"),
            Step::Gone(vip) => write!(f, "{vip}: somebody has deleted it already"),
            Step::NotUp(vip) => write!(f, "{vip}: was not up"),
            Step::Unwraps { vip, mss } => {
                write!(f, "{vip}: tunnel packets are unwrapped, clients asked for an MSS of {mss}")
            }
            Step::NoLongerUnwraps(vip) => write!(f, "{vip}: tunnel packets are no longer unwrapped"),
            Step::Attached(device) => write!(f, "{device}: attached"),
            Step::DeviceUp { device, takes } => write!(f, "{device}: up, takes {takes}"),
            Step::DeviceThere { device, takes } => write!(f, "{device}: is up already, takes {takes}"),
            Step::DeviceDeleted(device) => write!(f, "{device}: deleted"),
            Step::DeviceDown(device) => write!(f, "{device}: down again"),
            Step::PortOpened { port, ipv6 } => write!(f, "{}: gue packets are taken", udp(*port, *ipv6)),
            Step::PortThere { port, ipv6 } => write!(f, "{}: gue packets are taken already", udp(*port, *ipv6)),
            Step::PortClosed { port, ipv6 } => write!(f, "{}: gue packets are no longer taken", udp(*port, *ipv6)),
            Step::Set { parameter, before, after } => write!(f, "{parameter}: {before} -> {after}"),
            Step::Restored { parameter, value } => write!(f, "{parameter}: back to {value}"),
            Step::LeftAlone { parameter, value, ours } => {
                write!(f, "{parameter}: somebody set it to {value} (we had set {ours}), and it stays so")
            }
        }
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        lines(f, &self.steps)
    }
}

/// How things stand.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Status {
    /// What was found.
    pub findings: Vec<Finding>,
}

impl Status {
    /// Whether this host is a real server, and nothing of it was undone.
    pub fn is_up(&self) -> bool {
        !self.findings.is_empty() && !self.is_broken()
    }

    /// Whether somebody undid a part.
    pub fn is_broken(&self) -> bool {
        self.findings.iter().any(|finding| match finding {
            Finding::Up(_)
            | Finding::Set { .. }
            | Finding::Unwraps { .. }
            | Finding::Attached { .. }
            | Finding::Unwrapped(_)
            | Finding::DeviceUp { .. }
            | Finding::PortOpen { .. } => false,
            Finding::Removed(_)
            | Finding::Changed { .. }
            | Finding::Answers(_)
            | Finding::Detached(_)
            | Finding::DeviceGone
            | Finding::DeviceDown(_)
            | Finding::PortClosed { .. } => true,
        })
    }
}

/// One thing found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Finding {
    /// The VIP is on lo.
    Up(IpAddr),
    /// The VIP was taken away by somebody else.
    Removed(IpAddr),
    /// A kernel parameter is as we set it.
    Set {
        /// Which.
        parameter: Parameter,
        /// What `down` goes back to.
        before: String,
        /// Its value.
        after: String,
    },
    /// A kernel parameter was changed by somebody else.
    Changed {
        /// Which.
        parameter: Parameter,
        /// Its value; absent when the interface is gone.
        value: Option<String>,
        /// The value we had set.
        after: String,
    },
    /// On this interface the host answers ARP for its VIPs.
    Answers(String),
    /// Tunnel packets for the VIP are unwrapped.
    Unwraps {
        /// The VIP.
        vip: IpAddr,
        /// Largest TCP segment that clients are asked for.
        mss: u16,
    },
    /// Those that come in by this device.
    Attached {
        /// The device.
        device: String,
        /// `tcx` or `clsact`.
        way: &'static str,
    },
    /// Somebody has taken our programs from this device.
    Detached(String),
    /// A device that they were attached to is gone.
    DeviceGone,
    /// How much was unwrapped.
    Unwrapped(Counts),
    /// A tunnel device of the kernel is up.
    DeviceUp {
        /// The device.
        device: String,
        /// What it takes.
        takes: String,
    },
    /// Somebody has set it down or deleted it.
    DeviceDown(String),
    /// The kernel takes GUE packets at a UDP port.
    PortOpen {
        /// The port.
        port: u16,
        /// Over IPv6.
        ipv6: bool,
    },
    /// Somebody has closed it.
    PortClosed {
        /// The port.
        port: u16,
        /// Over IPv6.
        ipv6: bool,
    },
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Finding::Up(vip) => write!(f, "{vip}: up on lo"),
            Finding::Removed(vip) => write!(f, "{vip}: somebody took it from lo; `realserver up {vip}` puts it back"),
            Finding::Set { parameter, before, after } => write!(f, "{parameter}: {after} (was {before})"),
            Finding::Changed { parameter, value: Some(value), after } => {
                write!(f, "{parameter}: somebody set it to {value}, we had set {after}; `realserver up` sets it again")
            }
            Finding::Changed { parameter, value: None, after: _ } => write!(f, "{parameter}: its interface is gone"),
            Finding::Answers(interface) => write!(f, "{interface}: answers ARP for the VIP in place of the director"),
            Finding::Unwraps { vip, mss } => {
                write!(f, "{vip}: tunnel packets are unwrapped, clients asked for an MSS of {mss}")
            }
            Finding::Attached { device, way } => write!(f, "{device}: tunnel packets are unwrapped ({way})"),
            Finding::Detached(device) => {
                write!(f, "{device}: somebody took our programs off; `realserver up --mode tun` puts them back")
            }
            Finding::DeviceGone => f.write_str("a device whose tunnel packets were unwrapped is gone"),
            Finding::Unwrapped(Counts { ipip, gre, gue, clamped }) => {
                write!(f, "unwrapped: {ipip} ipip, {gre} gre, {gue} gue packets; MSS cut in {clamped} SYNs")
            }
            Finding::DeviceUp { device, takes } => write!(f, "{device}: up, takes {takes}"),
            Finding::DeviceDown(device) => {
                write!(f, "{device}: somebody deleted it or set it down; `realserver up` brings it back")
            }
            Finding::PortOpen { port, ipv6 } => write!(f, "{}: gue packets are taken", udp(*port, *ipv6)),
            Finding::PortClosed { port, ipv6 } => {
                write!(f, "{}: somebody closed it to gue packets; `realserver up` opens it again", udp(*port, *ipv6))
            }
        }
    }
}

impl fmt::Display for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.findings.is_empty() {
            return f.write_str("no VIP is up on this host");
        }
        lines(f, &self.findings)
    }
}

fn udp(port: u16, ipv6: bool) -> String {
    format!("UDP port {port} of {}", if ipv6 { "IPv6" } else { "IPv4" })
}

fn lines<T: fmt::Display>(f: &mut fmt::Formatter<'_>, items: &[T]) -> fmt::Result {
    for (n, item) in items.iter().enumerate() {
        if n > 0 {
            f.write_str("\n")?;
        }
        item.fmt(f)?;
    }
    Ok(())
}
