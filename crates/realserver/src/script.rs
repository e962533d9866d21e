//! The same for hosts without evenkeel: a plain POSIX shell script.

use std::net::IpAddr;

const BODY: &str = include_str!("script.sh");

/// A script that makes a host a real server for `vips` (`sh -s up`, or without a word) and undoes that (`sh -s down`).
/// It needs ip(8) and the rights of root.
pub fn script(vips: &[IpAddr]) -> String {
    // An address is written with digits, letters a to f, dots and colons only: nothing the shell could take amiss.
    let list = vips.iter().map(IpAddr::to_string).collect::<Vec<_>>().join(" ");
    format!(
        "#!/bin/sh\n\
         # Makes this host a real server for direct routing: {list}\n\
         # Use: sh -s up (the default), sh -s down. Made by `evenkeel realserver script`.\n\
         set -eu\n\
         VIPS='{list}'\n\
         {BODY}"
    )
}
