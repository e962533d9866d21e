//! The names that iproute2 gives to tables, scopes and so on: files of this host.

use crate::host::Host;
use std::{cell::RefCell, collections::HashMap, path::Path};

/// Where an operator's names are, and those of newer distributions.
const DIRECTORIES: [&str; 2] = ["/etc/iproute2", "/usr/share/iproute2"];
/// Names of a kind that are looked at; more have no effect.
const MOST: usize = 65_536;

/// What has names.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Kind {
    Table,
    Scope,
    Protocol,
    Dsfield,
    Realm,
    Group,
}

impl Kind {
    fn file(self) -> &'static str {
        match self {
            Kind::Table => "rt_tables",
            Kind::Scope => "rt_scopes",
            Kind::Protocol => "rt_protos",
            Kind::Dsfield => "rt_dsfield",
            Kind::Realm => "rt_realms",
            Kind::Group => "group",
        }
    }

    /// Names that need no file.
    fn usual(self) -> &'static [(&'static str, u32)] {
        match self {
            Kind::Table => &[("default", 253), ("main", 254), ("local", 255)],
            Kind::Scope => &[("global", 0), ("site", 200), ("link", 253), ("host", 254), ("nowhere", 255)],
            Kind::Protocol => &[
                ("none", 0),
                ("redirect", 1),
                ("kernel", 2),
                ("boot", 3),
                ("static", 4),
                ("gated", 8),
                ("ra", 9),
                ("mrt", 10),
                ("zebra", 11),
                ("bird", 12),
                ("dnrouted", 13),
                ("xorp", 14),
                ("ntk", 15),
                ("dhcp", 16),
                ("keepalived", 18),
                ("babel", 42),
            ],
            Kind::Dsfield | Kind::Realm | Kind::Group => &[],
        }
    }

    /// The largest number.
    pub(super) fn most(self) -> u32 {
        match self {
            Kind::Table | Kind::Group => u32::MAX,
            Kind::Scope | Kind::Protocol | Kind::Dsfield => 255,
            Kind::Realm => 0xffff,
        }
    }

    pub(super) fn what(self) -> &'static str {
        match self {
            Kind::Table => "routing table",
            Kind::Scope => "scope",
            Kind::Protocol => "routing protocol",
            Kind::Dsfield => "type of service",
            Kind::Realm => "realm",
            Kind::Group => "group of interfaces",
        }
    }

    /// Where the operator writes names.
    pub(super) fn path(self) -> String {
        format!("{}/{}", DIRECTORIES[0], self.file())
    }
}

/// The names of this host, each file read once, when it is first needed.
pub(crate) struct Names<'a> {
    host: &'a Host<'a>,
    directories: [String; 2],
    known: RefCell<HashMap<Kind, HashMap<String, u32>>>,
}

impl<'a> Names<'a> {
    pub(crate) fn new(host: &'a Host<'a>) -> Names<'a> {
        Names { host, directories: DIRECTORIES.map(str::to_owned), known: RefCell::default() }
    }

    /// Looks for names in other directories: the operator's, and the distribution's.
    pub(crate) fn within(mut self, directories: [Option<String>; 2]) -> Names<'a> {
        for (own, written) in self.directories.iter_mut().zip(directories) {
            *own = written.unwrap_or_else(|| std::mem::take(own));
        }
        self
    }

    /// What a number or name stands for.
    pub(crate) fn find(&self, kind: Kind, text: &str) -> Option<u32> {
        if let Some(number) = number(text) {
            return Some(number).filter(|number| *number <= kind.most());
        }
        let mut known = self.known.borrow_mut();
        known.entry(kind).or_insert_with(|| self.read(kind)).get(text).copied()
    }

    /// The first that names something counts.
    fn read(&self, kind: Kind) -> HashMap<String, u32> {
        let mut names = HashMap::new();
        let mut take = |path: &Path| {
            let bytes = (self.host.read_file)(path).unwrap_or_default();
            for (number, name) in String::from_utf8_lossy(&bytes).lines().filter_map(entry) {
                if number <= kind.most() && names.len() < MOST {
                    names.entry(name.to_owned()).or_insert(number);
                }
            }
        };
        for directory in &self.directories {
            let directory = Path::new(directory);
            take(&directory.join(kind.file()));
            let more = directory.join(format!("{}.d", kind.file()));
            let mut files = (self.host.list_directory)(&more);
            files.sort();
            for file in files.iter().filter(|file| file.ends_with(".conf")) {
                take(&more.join(file));
            }
        }
        for (name, number) in kind.usual() {
            names.entry((*name).to_owned()).or_insert(*number);
        }
        names
    }
}

/// `100 name`
fn entry(line: &str) -> Option<(u32, &str)> {
    let line = line.split('#').next()?;
    let mut words = line.split_ascii_whitespace();
    let (number, name, None) = (number(words.next()?)?, words.next()?, words.next()) else { return None };
    Some((number, name))
}

/// As strtoul(3) reads it with base 0: decimal, `0x` hexadecimal, `0` octal.
pub(super) fn number(text: &str) -> Option<u32> {
    let digits = |text: &str, radix| {
        (!text.is_empty() && text.chars().all(|c| c.is_digit(radix))).then(|| u32::from_str_radix(text, radix).ok())?
    };
    match text.strip_prefix("0x").or_else(|| text.strip_prefix("0X")) {
        Some(hexadecimal) => digits(hexadecimal, 16),
        None if text.len() > 1 && text.starts_with('0') => digits(text.get(1..)?, 8),
        None => digits(text, 10),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_come_from_the_files_of_the_host_and_numbers_need_none() {
        let read = |path: &Path| match path.to_str() {
            Some("/etc/iproute2/rt_tables") => {
                Ok(b"# comment\n0xc8 uplink\n7\tblue # the other\n8 two words\n".to_vec())
            }
            Some("/etc/iproute2/rt_tables.d/a.conf") => Ok(b"300 far\n9 blue\n".to_vec()),
            _ => Err("it does not exist".to_owned()),
        };
        let list = |path: &Path| if path.ends_with("rt_tables.d") { vec!["a.conf".into(), "b".into()] } else { vec![] };
        let host = Host { read_file: &read, list_directory: &list, ..Host::NONE };
        let names = Names::new(&host);
        let table = |text| names.find(Kind::Table, text);
        assert_eq!(
            [table("uplink"), table("blue"), table("far"), table("main")],
            [Some(200), Some(7), Some(300), Some(254)]
        );
        assert_eq!([table("two"), table(""), table("4294967296"), table("0x")], [None; 4]);
        assert_eq!([table("0x10"), table("010"), table("4294967295")], [Some(16), Some(8), Some(u32::MAX)]);
        assert_eq!([names.find(Kind::Scope, "link"), names.find(Kind::Scope, "256")], [Some(253), None]);
    }
}
