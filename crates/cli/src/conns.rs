//! `conns` and `flush`: the connections, listed, counted and ended.

use crate::{
    args::{ConnsArgs, FilterArgs, FlushArgs},
    client::Client,
    exit::Trouble,
    print,
};
use evenkeel_api::{
    Reply, Request, ServiceStatus, count,
    table::{ConnectionEntry, ConnectionFilter, Key},
};
use std::{
    collections::BTreeSet,
    fmt::Write as _,
    io::{self, BufWriter, Write},
    net::{IpAddr, SocketAddr},
    path::Path,
    process::ExitCode,
};

const HEAD: &str =
    "PROTO  CLIENT                 VIRTUAL                REAL SERVER            STATE         LEFT  SERVICE\n";

pub(crate) fn conns(runtime_dir: &Path, arguments: &ConnsArgs) -> Result<ExitCode, Trouble> {
    let mut client = Client::connect(runtime_dir)?;
    let filter = filter(&mut client, &arguments.filter)?;
    if arguments.count {
        let connections = counted(&mut client, filter)?;
        return print(&match arguments.json {
            true => format!("{{\"connections\":{connections}}}\n"),
            false => format!("{connections}\n"),
        });
    }
    client.wait_forever()?;
    client.send(&Request::Connections { filter })?;
    let mut list = List::new(arguments);
    if let Err(e) = list.begin() {
        return broken(&e);
    }
    loop {
        let Some(Reply::Connections { connections, last }) = client.next()? else {
            return Err(Trouble::failed("the daemon hung up before the last connection"));
        };
        for connection in &connections {
            match list.show(connection) {
                Ok(true) => {}
                Ok(false) => return list.end().map_or_else(|e| broken(&e), |()| Ok(ExitCode::SUCCESS)),
                Err(e) => return broken(&e),
            }
        }
        if last {
            return list.end().map_or_else(|e| broken(&e), |()| Ok(ExitCode::SUCCESS));
        }
    }
}

pub(crate) fn flush(runtime_dir: &Path, arguments: &FlushArgs) -> Result<ExitCode, Trouble> {
    let FilterArgs { service, server, client } = &arguments.filter;
    if !arguments.all && service.is_none() && server.is_none() && client.is_none() {
        return Err(Trouble::usage("say whose connections: --service, --server or --client, or --all of them"));
    }
    let mut daemon = Client::connect(runtime_dir)?;
    let filter = filter(&mut daemon, &arguments.filter)?;
    if arguments.dry_run {
        let connections = counted(&mut daemon, filter)?;
        let connections = usize::try_from(connections).unwrap_or(usize::MAX);
        eprintln!("{} would be ended; nothing was changed", count(connections, "connection"));
        return Ok(ExitCode::SUCCESS);
    }
    match daemon.ask_patiently(&Request::Flush { filter })? {
        Reply::Done { message } => {
            eprintln!("{message}");
            Ok(ExitCode::SUCCESS)
        }
        _ => Err(Trouble::other_answer("flush")),
    }
}

fn counted(client: &mut Client, filter: ConnectionFilter) -> Result<u64, Trouble> {
    match client.ask_patiently(&Request::Count { filter })? {
        Reply::Counted { connections } => Ok(connections),
        _ => Err(Trouble::other_answer("conns")),
    }
}

/// The filter in the daemon's words: names become addresses.
fn filter(client: &mut Client, arguments: &FilterArgs) -> Result<ConnectionFilter, Trouble> {
    let mut filter = ConnectionFilter { client: arguments.client, ..ConnectionFilter::default() };
    let mut services = |service: Option<String>| match client.ask(&Request::Status { service })? {
        Reply::Status(status) => Ok(status.services),
        _ => Err(Trouble::other_answer("status")),
    };
    if let Some(name) = &arguments.service {
        let found = services(Some(name.clone()))?;
        filter.service = found.first().and_then(key);
    }
    if let Some(text) = &arguments.server {
        filter.real_server = Some(match address(text) {
            Some(address) => address,
            None => named(text, &services(arguments.service.clone())?)?,
        });
    }
    Ok(filter)
}

/// An address; port 0 where none is written.
fn address(text: &str) -> Option<SocketAddr> {
    text.parse::<IpAddr>().map(|ip| SocketAddr::new(ip, 0)).or_else(|_| text.parse()).ok()
}

/// The one real server of this name.
fn named(text: &str, services: &[ServiceStatus]) -> Result<SocketAddr, Trouble> {
    let called = |service: &ServiceStatus, name: &str| {
        name == text || text.strip_prefix(&service.name).and_then(|rest| rest.strip_prefix('/')) == Some(name)
    };
    let found: BTreeSet<SocketAddr> = services
        .iter()
        .flat_map(|service| service.real_servers.iter().filter(|server| called(service, &server.name)))
        .filter_map(|server| server.address.parse().ok())
        .collect();
    match found.len() {
        1 => found.first().copied().ok_or_else(|| Trouble::usage("no real server")),
        0 => Err(Trouble::usage(format!("no real server is called {text:?}"))),
        many => {
            Err(Trouble::usage(format!("{text:?} fits {many} real servers: write its address, or name the service")))
        }
    }
}

/// The key of a service as the status tells it.
fn key(service: &ServiceStatus) -> Option<Key> {
    let protocol = match service.protocol.as_str() {
        "tcp" => 6,
        "udp" => 17,
        "sctp" => 132,
        _ => {
            let of_six = |address: &str| address.starts_with('[');
            let ipv6 = service.real_servers.iter().any(|server| of_six(&server.address));
            return Some(Key::Mark { mark: service.address.parse().ok()?, ipv6 });
        }
    };
    let address: SocketAddr = service.address.parse().ok()?;
    Some(Key::Address { address: address.ip(), protocol, port: address.port() })
}

/// A reader that has gone (`| head`) is no failure.
fn broken(e: &io::Error) -> Result<ExitCode, Trouble> {
    match e.kind() {
        io::ErrorKind::BrokenPipe => Ok(ExitCode::SUCCESS),
        _ => Err(Trouble::failed(format!("cannot write to standard output: {e}"))),
    }
}

/// What is written while it arrives: a million connections are never in memory at once.
struct List<W> {
    out: W,
    json: bool,
    headers: bool,
    left: u64,
    shown: u64,
}

impl List<BufWriter<io::StdoutLock<'static>>> {
    fn new(arguments: &ConnsArgs) -> Self {
        List {
            out: BufWriter::new(io::stdout().lock()),
            json: arguments.json,
            headers: !arguments.no_headers,
            left: arguments.limit.unwrap_or(u64::MAX),
            shown: 0,
        }
    }
}

impl<W: Write> List<W> {
    fn begin(&mut self) -> io::Result<()> {
        match (self.json, self.headers) {
            (true, _) => self.out.write_all(b"["),
            (false, true) => self.out.write_all(HEAD.as_bytes()),
            (false, false) => Ok(()),
        }
    }

    /// False: no more are wanted.
    fn show(&mut self, connection: &ConnectionEntry) -> io::Result<bool> {
        if self.left == 0 {
            return Ok(false);
        }
        self.left -= 1;
        if self.json {
            self.out.write_all(if self.shown == 0 { b"\n" } else { b",\n" })?;
            serde_json::to_writer(&mut self.out, connection).map_err(io::Error::from)?;
        } else {
            self.out.write_all(row(connection).as_bytes())?;
        }
        self.shown += 1;
        Ok(self.left > 0)
    }

    fn end(&mut self) -> io::Result<()> {
        if self.json {
            self.out.write_all(if self.shown == 0 { b"]\n" } else { b"\n]\n" })?;
        }
        self.out.flush()
    }
}

fn row(connection: &ConnectionEntry) -> String {
    let ConnectionEntry { client, virtual_address, real_server, state, expires_s, service, .. } = connection;
    let protocol = match connection.protocol {
        0 => "any".to_owned(),
        1 => "icmp".to_owned(),
        6 => "tcp".to_owned(),
        17 => "udp".to_owned(),
        58 => "icmp6".to_owned(),
        132 => "sctp".to_owned(),
        other => other.to_string(),
    };
    let mut text = format!("{protocol:<6} ");
    let state = if connection.template { format!("client {state}") } else { state.clone() };
    let (client, virtual_address) = (client.to_string(), virtual_address.to_string());
    // Writing to a string cannot fail.
    let _ = write!(text, "{client:<22} {virtual_address:<22} {:<22} ", real_server.to_string());
    let _ = write!(text, "{state:<12} {:>5}  {service}", evenkeel_api::lasting((*expires_s).into()));
    if let Some(translated) = connection.translated_client {
        let _ = write!(text, "  as {translated}");
    }
    text.push('\n');
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry() -> ConnectionEntry {
        ConnectionEntry {
            protocol: 6,
            client: "198.51.100.7:4242".parse().expect("an address"),
            virtual_address: "192.0.2.1:80".parse().expect("an address"),
            real_server: "192.0.2.2:80".parse().expect("an address"),
            translated_client: None,
            state: "ESTABLISHED".into(),
            expires_s: 899,
            template: false,
            engine: None,
            service: "web".into(),
        }
    }

    fn list(json: bool, left: u64, count: usize) -> String {
        let mut list = List { out: Vec::new(), json, headers: true, left, shown: 0 };
        list.begin().expect("written");
        for _ in 0..count {
            if !list.show(&entry()).expect("written") {
                break;
            }
        }
        list.end().expect("written");
        String::from_utf8(list.out).expect("text")
    }

    #[test]
    fn a_connection_is_a_line_and_no_more_are_shown_than_asked_for() {
        let line =
            "tcp    198.51.100.7:4242      192.0.2.1:80           192.0.2.2:80           ESTABLISHED  14m59s  web\n";
        assert_eq!(list(false, 2, 3), format!("{HEAD}{line}{line}"));
        let template = ConnectionEntry { template: true, state: "ASSURED".into(), protocol: 0, ..entry() };
        assert!(row(&template).starts_with("any "), "{}", row(&template));
    }

    #[test]
    fn json_is_an_array_whatever_comes() {
        for count in 0..3 {
            let text = list(true, u64::MAX, count);
            let read: Vec<ConnectionEntry> = serde_json::from_str(&text).expect("an array");
            assert_eq!(read.len(), count);
        }
    }

    #[test]
    fn a_real_server_is_found_by_its_name() {
        let service = |name: &str, ip: &str| {
            let server =
                evenkeel_api::RealServerStatus { name: "real-1".into(), address: ip.into(), ..Default::default() };
            ServiceStatus { name: name.into(), real_servers: vec![server], ..Default::default() }
        };
        let services = [service("web", "192.0.2.2:80"), service("mail", "192.0.2.3:25")];
        assert_eq!(named("web/real-1", &services).ok(), address("192.0.2.2:80"));
        assert!(named("real-1", &services).is_err_and(|trouble| trouble.text.contains("fits 2")));
        assert!(named("real-9", &services).is_err());
    }
}
