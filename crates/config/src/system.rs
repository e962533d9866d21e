//! The names this host knows: a shell around the C library's resolver and /etc/services. Nothing else in the crate but
//! [`load`](crate::load) touches the world.

use evenkeel_model::Protocol;
use std::{
    collections::HashMap,
    fs, io,
    net::{IpAddr, ToSocketAddrs},
    path::Path,
};

/// The addresses of a host name, in the resolver's order. Waits for DNS.
pub fn resolve_host(name: &str) -> Result<Vec<IpAddr>, String> {
    match (name, 0).to_socket_addrs() {
        Ok(found) => {
            let addresses: Vec<IpAddr> = found.map(|at| at.ip()).collect();
            if addresses.is_empty() { Err("it has no address".to_owned()) } else { Ok(addresses) }
        }
        Err(_) => Err("no host of that name is known".to_owned()),
    }
}

/// The bytes of a file that another one includes. A FIFO would wait for a writer, and a device may have no end.
pub fn read_file(path: &Path) -> Result<Vec<u8>, String> {
    let what = |error: &io::Error| match error.kind() {
        io::ErrorKind::NotFound => "it does not exist".to_owned(),
        io::ErrorKind::PermissionDenied => "permission denied".to_owned(),
        _ => error.to_string(),
    };
    let meta = fs::metadata(path).map_err(|error| what(&error))?;
    if !meta.is_file() {
        return Err("it is no file".to_owned());
    }
    if meta.len() > crate::LARGEST_FILE as u64 {
        return Err(format!("it is larger than {} MiB", crate::LARGEST_FILE >> 20));
    }
    fs::read(path).map_err(|error| what(&error))
}

/// The names in a directory; none where it cannot be listed.
pub fn list_directory(path: &Path) -> Vec<String> {
    let entries = fs::read_dir(path).into_iter().flatten().flatten();
    entries.filter_map(|entry| entry.file_name().into_string().ok()).collect()
}

/// Type and permissions of what a path leads to; `None` where there is nothing.
pub fn file_mode(path: &Path) -> Option<u32> {
    use std::os::unix::fs::MetadataExt;
    fs::metadata(path).ok().map(|meta| meta.mode())
}

/// What the kernel calls the sort of a device: `tty`, `mem`; `None` where it does not say.
pub fn device_sort(path: &Path) -> Option<String> {
    use std::os::unix::fs::{FileTypeExt, MetadataExt};
    let meta = fs::metadata(path).ok().filter(|meta| meta.file_type().is_char_device())?;
    let number = meta.rdev();
    // As makedev(3) puts them together.
    let major = ((number >> 8) & 0xfff) | ((number >> 32) & !0xfff);
    let minor = (number & 0xff) | ((number >> 12) & !0xff);
    let sort = fs::read_link(format!("/sys/dev/char/{major}:{minor}/subsystem")).ok()?;
    Some(sort.file_name()?.to_string_lossy().into_owned())
}

/// A variable of the environment.
pub fn environment(name: &str) -> Option<String> {
    std::env::var(name).ok()
}

/// The service names of /etc/services.
#[derive(Clone, Debug, Default)]
pub struct Services(HashMap<(String, Protocol), u16>);

impl Services {
    /// Reads /etc/services; without the file no name is known.
    pub fn system() -> Services {
        Services::parse(&fs::read_to_string(Path::new("/etc/services")).unwrap_or_default())
    }

    /// Reads `name port/protocol alias...` lines as services(5) has them. The first line of a name wins.
    pub fn parse(text: &str) -> Services {
        let mut services = HashMap::new();
        for line in text.lines() {
            let mut words = line.split('#').next().unwrap_or("").split_whitespace();
            let (Some(name), Some((port, protocol))) = (words.next(), words.next().and_then(|w| w.split_once('/')))
            else {
                continue;
            };
            let protocol = match protocol {
                "tcp" => Protocol::Tcp,
                "udp" => Protocol::Udp,
                _ => continue,
            };
            let Ok(port) = port.parse::<u16>() else { continue };
            for name in std::iter::once(name).chain(words) {
                services.entry((name.to_owned(), protocol)).or_insert(port);
            }
        }
        Services(services)
    }

    /// The port of a name.
    pub fn port(&self, name: &str, protocol: Protocol) -> Option<u16> {
        self.0.get(&(name.to_owned(), protocol)).copied()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_aliases_of_services_are_found_for_their_protocol() {
        let text = "# c\nhttp\t80/tcp\t\twww # web\ndomain 53/tcp\ndomain 53/udp\nbad x/tcp\nsctp 1/sctp\n";
        let services = Services::parse(text);
        assert_eq!(services.port("http", Protocol::Tcp), Some(80));
        assert_eq!(services.port("www", Protocol::Tcp), Some(80));
        assert_eq!(services.port("http", Protocol::Udp), None);
        assert_eq!(services.port("domain", Protocol::Udp), Some(53));
        assert_eq!(services.port("bad", Protocol::Tcp), None);
    }

    #[test]
    fn localhost_is_known_and_nonsense_is_not() {
        assert!(resolve_host("localhost").unwrap().iter().all(|a| a.is_loopback()));
        assert!(resolve_host("no-such-host.invalid").is_err());
    }
}
