//! Who hears on a UDP port of this host.

use std::{
    fs,
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
};

/// A process with a socket on a UDP port.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UdpListener {
    /// Its number; `None` where it is in another PID namespace, or ended meanwhile.
    pub pid: Option<u32>,
    /// Its name; empty where its number is not known.
    pub program: String,
}

impl UdpListener {
    /// The first process of this network namespace whose socket is bound to `address`, which may be the unspecified one, and
    /// `port`. `None`: there is none, or /proc cannot be read.
    pub fn find(address: IpAddr, port: u16) -> Option<UdpListener> {
        let table = if address.is_ipv6() { "/proc/self/net/udp6" } else { "/proc/self/net/udp" };
        let table = fs::read_to_string(table).ok()?;
        let inode = table.lines().skip(1).find_map(|line| inode(line, address, port))?;
        let holder = owner(&format!("socket:[{inode}]"));
        let name = |pid: u32| fs::read_to_string(format!("/proc/{pid}/comm")).unwrap_or_default().trim().to_owned();
        Some(UdpListener { pid: holder, program: holder.map(name).unwrap_or_default() })
    }
}

/// The inode in a line of /proc/net/udp, where it is about a socket that is bound to these.
fn inode(line: &str, address: IpAddr, port: u16) -> Option<u64> {
    let mut words = line.split_ascii_whitespace();
    let (bound, number) = words.nth(1)?.split_once(':')?;
    let is_it = u16::from_str_radix(number, 16).ok()? == port && local(bound)? == address;
    // Behind it: remote address, state, queues, timer, retransmissions, user, timeout.
    words.nth(7).filter(|_| is_it)?.parse().ok()
}

/// An address as the kernel writes it: in words of 32 bits, each in the order of this host.
fn local(text: &str) -> Option<IpAddr> {
    let word = |at: usize| text.get(at * 8..at * 8 + 8).and_then(|word| u32::from_str_radix(word, 16).ok());
    match text.len() {
        8 => Some(Ipv4Addr::from(word(0)?.to_ne_bytes()).into()),
        32 => {
            let mut bytes = [0; 16];
            for (at, place) in bytes.chunks_exact_mut(4).enumerate() {
                place.copy_from_slice(&word(at)?.to_ne_bytes());
            }
            Some(Ipv6Addr::from(bytes).into())
        }
        _ => None,
    }
}

/// The process with this among its descriptors.
fn owner(link: &str) -> Option<u32> {
    let processes = fs::read_dir("/proc").ok()?.flatten();
    let mut numbers = processes.filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok());
    numbers.find(|pid| {
        let Ok(descriptors) = fs::read_dir(format!("/proc/{pid}/fd")) else { return false };
        descriptors.flatten().any(|entry| fs::read_link(entry.path()).is_ok_and(|to| to.as_os_str() == link))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::UdpSocket;

    #[test]
    fn who_listens_is_found_by_its_port() {
        for address in ["127.0.0.1", "0.0.0.0", "::1"] {
            let address: IpAddr = address.parse().unwrap();
            let socket = UdpSocket::bind((address, 0)).unwrap();
            let port = socket.local_addr().unwrap().port();
            let found = UdpListener::find(address, port).unwrap();
            assert_eq!(found.pid, Some(std::process::id()), "{address}");
            assert!(!found.program.is_empty());
            let other: IpAddr = if address.is_ipv6() { "::2" } else { "127.0.0.2" }.parse().unwrap();
            assert_eq!(UdpListener::find(other, port), None);
            drop(socket);
            assert_eq!(UdpListener::find(address, port), None);
        }
    }
}
