//! Why a host could not be made, or unmade, a real server.

use std::{error, fmt, io, net::IpAddr, path::PathBuf};

/// Why not.
#[derive(Debug)]
pub enum Error {
    /// The system refused.
    System(evenkeel_os::Error),
    /// The kernel's network refused.
    Network(evenkeel_netlink::Error),
    /// A file cannot be read.
    Read {
        /// Which.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The state file is not one of ours.
    BadState {
        /// Where it is.
        path: PathBuf,
        /// What is wrong with it.
        why: String,
    },
    /// The VIP is an address of another interface than lo.
    Elsewhere {
        /// The VIP.
        vip: IpAddr,
        /// That interface.
        interface: String,
    },
    /// No virtual address can be this one.
    Unfit {
        /// The address.
        vip: IpAddr,
        /// What it is instead.
        what: &'static str,
    },
    /// This network namespace has no loopback interface.
    NoLoopback,
    /// The packet programs cannot be loaded or attached.
    Programs(evenkeel_dataplane_ebpf::Error),
    /// No such device.
    NoSuchDevice(String),
    /// No device could get tunnel packets.
    NoDevice,
    /// No address that tunnel packets could come to.
    NoAddress,
    /// The kernel has no such tunnels.
    NoTunnel {
        /// Their kind.
        kind: &'static str,
        /// The module that has them.
        module: &'static str,
    },
    /// Another device takes these packets, or has the name.
    TunnelTaken {
        /// The device that was to be made.
        device: String,
        /// Its kind.
        kind: &'static str,
    },
    /// The device takes packets of another sort already.
    OtherTunnel {
        /// The device.
        device: String,
        /// What it takes.
        takes: String,
    },
    /// Our own programs unwrap the VIP's packets already, or the kernel does.
    OtherWay {
        /// The VIP.
        vip: IpAddr,
        /// Who does.
        who: &'static str,
    },
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Error::System(e) => e.fmt(f),
            Error::Network(e) => e.fmt(f),
            Error::Read { path, source } => write!(f, "read {}: {source}", path.display()),
            Error::BadState { path, why } => {
                write!(f, "{} does not say what was changed ({why}); remove it once that is undone", path.display())
            }
            Error::Elsewhere { vip, interface } => write!(
                f,
                "{vip} is an address of {interface}, where this host answers for it: remove it there first (ip address \
                 del {vip} dev {interface})"
            ),
            Error::Unfit { vip, what } => write!(f, "make {vip} a virtual address: it is {what}"),
            Error::Programs(e) => write!(f, "unwrap tunnel packets: {e}"),
            Error::NoSuchDevice(name) => write!(f, "unwrap what comes in by {name}: there is no such device"),
            Error::NoDevice => f.write_str("unwrap tunnel packets: no Ethernet device is up and has an address"),
            Error::NoAddress => f.write_str("receive tunnel packets: this host has no address that they could come to"),
            Error::NoTunnel { kind, module } => write!(
                f,
                "receive tunnel packets by a device of the kernel: this one has no {kind} (module {module}); without \
                 --kernel-device evenkeel unwraps them itself"
            ),
            Error::TunnelTaken { device, kind } => write!(
                f,
                "create {device}: there is one already, or another {kind} device that takes the packets of all senders \
                 (ip -d link show type {kind})"
            ),
            Error::OtherTunnel { device, takes } => {
                write!(f, "receive other tunnel packets by {device}, which takes {takes}: first run `realserver down`")
            }
            Error::OtherWay { vip, who } => {
                write!(
                    f,
                    "change how the tunnel packets of {vip} are unwrapped, which {who} now: first run `realserver down`"
                )
            }
            Error::NoLoopback => f.write_str("this network namespace has no loopback interface"),
        }
    }
}

impl error::Error for Error {
    fn source(&self) -> Option<&(dyn error::Error + 'static)> {
        match self {
            Error::System(e) => Some(e),
            Error::Network(e) => Some(e),
            Error::Read { source, .. } => Some(source),
            Error::Programs(e) => Some(e),
            Error::BadState { .. }
            | Error::Elsewhere { .. }
            | Error::Unfit { .. }
            | Error::NoLoopback
            | Error::NoSuchDevice(_)
            | Error::NoDevice
            | Error::NoAddress
            | Error::NoTunnel { .. }
            | Error::TunnelTaken { .. }
            | Error::OtherTunnel { .. }
            | Error::OtherWay { .. } => None,
        }
    }
}

impl From<evenkeel_os::Error> for Error {
    fn from(e: evenkeel_os::Error) -> Error {
        Error::System(e)
    }
}

impl From<evenkeel_dataplane_ebpf::Error> for Error {
    fn from(e: evenkeel_dataplane_ebpf::Error) -> Error {
        Error::Programs(e)
    }
}

impl From<evenkeel_netlink::Error> for Error {
    fn from(e: evenkeel_netlink::Error) -> Error {
        Error::Network(e)
    }
}
