//! What the front ends must ask the host. They ask through this, so that reading a file stays a pure function.

use crate::codes;
use evenkeel_model::Protocol;
use evenkeel_source::{Diagnostic, Span};
use std::{
    cell::{Cell, RefCell},
    collections::{BTreeSet, HashMap},
    net::IpAddr,
    path::Path,
};

/// What resolves names and judges patterns while files are read.
pub struct Host<'a> {
    /// The addresses of a host name; `Err` says why there are none, e.g. `host not found`.
    pub resolve_host: &'a dyn Fn(&str) -> Result<Vec<IpAddr>, String>,
    /// The port of a service name, as /etc/services has it.
    pub resolve_service: &'a dyn Fn(&str, Protocol) -> Option<u16>,
    /// Whether a text is a regular expression the probes can run; `Err` says why not.
    pub check_regex: &'a dyn Fn(&str) -> Result<(), String>,
    /// The bytes of a file that another one includes; `Err` says why there are none, e.g. `it does not exist`.
    pub read_file: &'a dyn Fn(&Path) -> Result<Vec<u8>, String>,
    /// The names in a directory, for patterns of an include; none where it cannot be listed.
    pub list_directory: &'a dyn Fn(&Path) -> Vec<String>,
    /// A variable of the environment.
    pub environment: &'a dyn Fn(&str) -> Option<String>,
    /// The user that scripts of a keepalived.conf run as where it names none; `None`: evenkeel's own.
    pub script_user: &'a dyn Fn() -> Option<String>,
    /// The name of this node: what `@id` lines of a keepalived.conf are compared with.
    pub node: &'a str,
    /// The name of this node as `uname -n` has it: what the nodes of a cluster are compared with.
    pub full_name: &'a str,
    /// Type and permissions (`st_mode`) of what a path leads to; `None` where there is nothing.
    pub file_mode: &'a dyn Fn(&Path) -> Option<u32>,
    /// What the kernel calls the sort of a device, such as `tty`; `None` where it does not say.
    pub device_sort: &'a dyn Fn(&Path) -> Option<String>,
    /// The host's own network.
    pub network: &'a dyn Fn() -> OwnNetwork,
}

/// The network of this host, as far as files are compared with it; empty where it is not known.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct OwnNetwork {
    /// Its addresses.
    pub addresses: BTreeSet<IpAddr>,
    /// Interfaces that are down.
    pub down: BTreeSet<String>,
}

impl<'a> Host<'a> {
    /// The same host, called `node` where that is said. As another node it has no network of its own.
    #[must_use]
    pub fn called(&self, node: Option<&'a str>) -> Host<'a> {
        let own = |name: &str| [self.node, self.full_name].iter().any(|own| own.eq_ignore_ascii_case(name));
        let network = if node.is_none_or(own) { self.network } else { &OwnNetwork::default };
        Host { node: node.unwrap_or(self.node), full_name: node.unwrap_or(self.full_name), network, ..*self }
    }
}

impl Host<'static> {
    /// A host that knows no name and takes every pattern, for texts that need neither.
    pub const NONE: Host<'static> = Host {
        resolve_host: &|_| Err("no name is resolved here".to_owned()),
        resolve_service: &|_, _| None,
        check_regex: &|_| Ok(()),
        read_file: &|_| Err("no file is read here".to_owned()),
        list_directory: &|_| Vec::new(),
        environment: &|_| None,
        script_user: &|| None,
        node: "",
        full_name: "",
        file_mode: &|_| None,
        device_sort: &|_| None,
        network: &OwnNetwork::default,
    };
}

/// Whether what has this mode can be run: a file, executable by somebody.
pub(crate) fn is_program(mode: u32) -> bool {
    const TYPE: u32 = 0o170_000;
    const FILE: u32 = 0o100_000;
    mode & TYPE == FILE && mode & 0o111 != 0
}

/// Which address families a place can take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Family {
    V4,
    V6,
    Any,
}

impl Family {
    pub(crate) fn of(address: IpAddr) -> Family {
        if address.is_ipv4() { Family::V4 } else { Family::V6 }
    }

    pub(crate) fn takes(self, address: IpAddr) -> bool {
        self == Family::Any || self == Family::of(address)
    }

    fn name(self) -> &'static str {
        match self {
            Family::V4 => "IPv4 ",
            Family::V6 => "IPv6 ",
            Family::Any => "",
        }
    }
}

/// A [`Host`] that asks each question once.
pub(crate) struct Resolver<'a> {
    host: &'a Host<'a>,
    hosts: RefCell<HashMap<String, Result<Vec<IpAddr>, String>>>,
    regexes: RefCell<HashMap<String, Result<(), String>>>,
    asked: Cell<u64>,
}

impl<'a> Resolver<'a> {
    pub(crate) fn new(host: &'a Host<'a>) -> Resolver<'a> {
        Resolver { host, hosts: RefCell::default(), regexes: RefCell::default(), asked: Cell::default() }
    }

    /// The host itself.
    pub(crate) fn ask(&self) -> &'a Host<'a> {
        self.host
    }

    /// How often something was asked for that another answer may be given to the next time.
    pub(crate) fn asked(&self) -> u64 {
        self.asked.get()
    }

    /// The first address of `family` that `name` has; a second, different one is worth a note.
    pub(crate) fn host(&self, name: &str, family: Family, span: Span, out: &mut Vec<Diagnostic>) -> Option<IpAddr> {
        self.asked.update(|asked| asked + 1);
        let mut hosts = self.hosts.borrow_mut();
        if !hosts.contains_key(name) {
            hosts.insert(name.to_owned(), (self.host.resolve_host)(name));
        }
        let found = hosts.get(name)?.as_ref();
        let addresses = match found {
            Ok(addresses) => addresses,
            Err(why) => {
                let message = format!("cannot resolve `{}`: {why}", shown(name));
                out.push(Diagnostic::error(codes::ADDRESS, span, message));
                return None;
            }
        };
        let mut fitting = addresses.iter().copied().filter(|a| family.takes(*a));
        let Some(first) = fitting.next() else {
            let message = format!("`{}` has no {}address", shown(name), family.name());
            out.push(Diagnostic::error(codes::ADDRESS, span, message));
            return None;
        };
        if let Some(second) = fitting.find(|a| *a != first) {
            out.push(
                Diagnostic::note_at(
                    codes::ALIASES,
                    span,
                    format!("`{}` has several addresses; {first} is used", shown(name)),
                )
                .note(format!("another is {second}"))
                .help("write the address that is meant"),
            );
        }
        Some(first)
    }

    /// The port of a service name.
    pub(crate) fn service(&self, name: &str, protocol: Protocol) -> Option<u16> {
        self.asked.update(|asked| asked + 1);
        (self.host.resolve_service)(name, protocol).filter(|port| *port != 0)
    }

    /// Whether `pattern` is a regular expression.
    pub(crate) fn regex(&self, pattern: &str, span: Span, out: &mut Vec<Diagnostic>) -> bool {
        let mut regexes = self.regexes.borrow_mut();
        if !regexes.contains_key(pattern) {
            regexes.insert(pattern.to_owned(), (self.host.check_regex)(pattern));
        }
        match regexes.get(pattern) {
            Some(Err(why)) => {
                out.push(
                    Diagnostic::error(codes::REGEX, span, format!("not a regular expression: {why}"))
                        .help("put a backslash before a character that is meant as itself"),
                );
                false
            }
            Some(Ok(())) | None => true,
        }
    }
}

/// A text of the operator for use in a message: one line, no control characters, not endless.
pub(crate) fn shown(text: &str) -> String {
    const MOST: usize = 60;
    let mut short: String = text.chars().take(MOST).flat_map(visible).collect();
    if text.chars().nth(MOST).is_some() {
        short.push('…');
    }
    short
}

fn visible(c: char) -> Vec<char> {
    if c.is_control() || c == '\u{feff}' || (c.is_whitespace() && c != ' ') {
        c.escape_unicode().collect()
    } else {
        vec![c]
    }
}
