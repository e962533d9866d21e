//! The same for hosts without evenkeel: a plain POSIX shell script.

use std::net::IpAddr;

const BODY: &str = include_str!("script.sh");

/// Tunnels that devices of the kernel take the packets of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KernelTunnel {
    /// IP in IP.
    Ipip,
    /// GRE.
    Gre {
        /// Packets must have a checksum; without, they must have none.
        checksum: bool,
    },
    /// GUE at this UDP port.
    Gue(u16),
}

/// A script that makes a host a real server for `vips` (`sh -s up`, or without a word) and undoes that (`sh -s down`).
/// It needs ip(8) and the rights of root.
pub fn script(vips: &[IpAddr], tunnel: Option<KernelTunnel>) -> String {
    // An address is written with digits, letters a to f, dots and colons only: nothing the shell could take amiss.
    let list = vips.iter().map(IpAddr::to_string).collect::<Vec<_>>().join(" ");
    let (kind, port) = match tunnel {
        None => ("", 0),
        Some(KernelTunnel::Ipip) => ("ipip", 0),
        Some(KernelTunnel::Gre { checksum: false }) => ("gre", 0),
        Some(KernelTunnel::Gre { checksum: true }) => ("gre-csum", 0),
        Some(KernelTunnel::Gue(port)) => ("gue", port),
    };
    let method = if tunnel.is_some() { "tunnels" } else { "direct routing" };
    format!(
        "#!/bin/sh\n\
         # Makes this host a real server for {method}: {list}\n\
         # Use: sh -s up (the default), sh -s down. Made by `evenkeel realserver script`.\n\
         set -eu\n\
         VIPS='{list}'\n\
         TUNNEL='{kind}'\n\
         GUE_PORT='{port}'\n\
         {BODY}"
    )
}
