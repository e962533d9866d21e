//! Whether the kernel has nftables rules: asked of the kernel itself, since the tool that lists them may be missing.

use rustix::net::{SocketFlags, netlink::NETFILTER};

use crate::{
    error::Error,
    message::{attributes, text, u8_at},
    socket::{Netlink, netlink_socket},
};

/// NFNL_SUBSYS_NFTABLES and NFT_MSG_GETTABLE.
const GET_TABLE: u16 = 10 << 8 | 1;
const NFTA_TABLE_NAME: u16 = 1;
const NFGENMSG: usize = 4;

/// The nftables tables of the caller's network namespace, as `FAMILY NAME`; none where the kernel has no nftables.
pub fn nf_tables() -> Result<Vec<String>, Error> {
    let what = "read the nftables tables";
    let socket = match netlink_socket(Some(NETFILTER), 0, SocketFlags::CLOEXEC) {
        Ok(socket) => socket,
        Err(rustix::io::Errno::PROTONOSUPPORT) => return Ok(Vec::new()),
        Err(e) => return Err(Error::new(what, e)),
    };
    let mut netlink = Netlink::with(socket)?;
    let tables = netlink.dump(what, GET_TABLE, &[0; NFGENMSG], |message| {
        let name = attributes(message.body, NFGENMSG).find(|(kind, _)| *kind == NFTA_TABLE_NAME)?.1;
        Some(format!("{} {}", family(u8_at(message.body, 0)?), text(name)?))
    });
    match tables {
        // The subsystem is not built in, and its module is not there.
        Err(e) if e.errno() == Some(libc::EINVAL) || e.errno() == Some(libc::EOPNOTSUPP) => Ok(Vec::new()),
        other => other,
    }
}

fn family(number: u8) -> &'static str {
    match number {
        1 => "inet",
        2 => "ip",
        3 => "arp",
        5 => "netdev",
        7 => "bridge",
        10 => "ip6",
        _ => "unknown",
    }
}
