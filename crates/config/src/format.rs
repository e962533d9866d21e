//! Which format a file is in, by its name and by what it says.

use std::{error::Error, fmt, path::Path, str::FromStr};

/// The formats evenkeel knows of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// Our own TOML.
    Native,
    /// keepalived.conf.
    Keepalived,
    /// ldirectord.cf.
    Ldirectord,
    /// ha.cf, haresources and authkeys.
    Heartbeat,
    /// Lines of ipvsadm or ipvsadm-save.
    Ipvsadm,
}

impl Format {
    /// The word `--format` takes.
    pub fn name(self) -> &'static str {
        match self {
            Format::Native => "native",
            Format::Keepalived => "keepalived",
            Format::Ldirectord => "ldirectord",
            Format::Heartbeat => "heartbeat",
            Format::Ipvsadm => "ipvsadm",
        }
    }

    /// The format a file name stands for.
    pub fn of_name(path: &Path) -> Option<Format> {
        let name = path.file_name()?.to_str()?.to_ascii_lowercase();
        match name.as_str() {
            "ha.cf" | "haresources" | "authkeys" => Some(Format::Heartbeat),
            // A copy of one of them: what it says decides.
            _ if name.starts_with("ha.") => None,
            _ if name.ends_with(".toml") => Some(Format::Native),
            _ if name.ends_with(".cf") => Some(Format::Ldirectord),
            _ if name.starts_with("keepalived") && name.ends_with(".conf") => Some(Format::Keepalived),
            _ => None,
        }
    }

    /// The format a text looks like: that of the first line which can only be of one.
    pub fn of_text(text: &str) -> Option<Format> {
        const LINES: usize = 10_000;
        text.lines().take(LINES).find_map(|line| {
            let line = line.trim_start_matches('\u{feff}').trim();
            let word = line.split(|c: char| c.is_whitespace() || matches!(c, '=' | '{')).next()?;
            match word {
                _ if line.starts_with('#') || line.starts_with('!') => None,
                "global_defs"
                | "vrrp_instance"
                | "vrrp_sync_group"
                | "vrrp_script"
                | "vrrp_track_process"
                | "track_file"
                | "bfd_instance"
                | "static_ipaddress"
                | "static_routes"
                | "static_rules"
                | "virtual_server"
                | "virtual_server_group" => Some(Format::Keepalived),
                "virtual" | "virtual6" | "checktimeout" | "negotiatetimeout" | "checkinterval" | "quiescent"
                    if line.contains('=') =>
                {
                    Some(Format::Ldirectord)
                }
                "-A" | "-a" | "ipvsadm" | "--add-service" => Some(Format::Ipvsadm),
                "ucast" | "bcast" | "mcast" | "udpport" | "keepalive" | "deadtime" | "node" if !line.contains('=') => {
                    Some(Format::Heartbeat)
                }
                "auth" if line.split_whitespace().nth(1).is_some_and(|number| number.parse::<u8>().is_ok()) => {
                    Some(Format::Heartbeat)
                }
                _ if line.starts_with('[') && line.contains(']') => Some(Format::Native),
                _ => None,
            }
        })
    }
}

impl fmt::Display for Format {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// The word is no format.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct UnknownFormat;

impl fmt::Display for UnknownFormat {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("no such format; use native, keepalived, ldirectord, heartbeat or ipvsadm")
    }
}

impl Error for UnknownFormat {}

impl FromStr for Format {
    type Err = UnknownFormat;

    fn from_str(word: &str) -> Result<Format, UnknownFormat> {
        [Format::Native, Format::Keepalived, Format::Ldirectord, Format::Heartbeat, Format::Ipvsadm]
            .into_iter()
            .find(|format| format.name() == word)
            .ok_or(UnknownFormat)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_format_is_told_by_name_and_by_content() {
        let of_name = |name: &str| Format::of_name(Path::new(name));
        assert_eq!(of_name("/etc/ha.d/ldirectord.cf"), Some(Format::Ldirectord));
        assert_eq!(of_name("/etc/ha.d/ha.cf"), Some(Format::Heartbeat));
        assert_eq!(of_name("/etc/ha.d/ha.verbatim.cf"), None);
        assert_eq!(of_name("web.toml"), Some(Format::Native));
        assert_eq!(of_name("keepalived.conf"), Some(Format::Keepalived));
        assert_eq!(of_name("notes.txt"), None);
        assert_eq!(Format::of_text("# x\nvirtual = 10.0.0.1:80\n"), Some(Format::Ldirectord));
        assert_eq!(Format::of_text("[service.web]\n"), Some(Format::Native));
        assert_eq!(Format::of_text("! c\nvrrp_instance VI_1 {\n"), Some(Format::Keepalived));
        assert_eq!(Format::of_text("$X=1\nvirtual_server 10.0.0.1 80\n{\n"), Some(Format::Keepalived));
        assert_eq!(Format::of_text("-A -t 10.0.0.1:80 -s rr\n"), Some(Format::Ipvsadm));
        assert_eq!(Format::of_text("logfile\n/x\nnode\u{a0}HA1\n"), Some(Format::Heartbeat));
        assert_eq!(Format::of_text("auth 1\n1 crc\n"), Some(Format::Heartbeat));
        assert_eq!(Format::of_text("hello\n"), None);
        assert_eq!("ldirectord".parse(), Ok(Format::Ldirectord));
        assert_eq!("nginx".parse::<Format>(), Err(UnknownFormat));
    }
}
