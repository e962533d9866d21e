//! `-S`: what `-R` reads.

use super::{Writer, is_ipv6, mask, protocol_of, signed};
use crate::{flags, names::Names, order};
use evenkeel_api::table::{Forward, Key, Table, TableServer, TableService};
use std::{fmt::Write, net::SocketAddr};

/// The rules of a table. Thresholds are not saved, as with ipvsadm.
pub fn save(table: &Table, numeric: bool, names: &dyn Names) -> String {
    let writer = Writer { numeric, names };
    let mut out = String::new();
    for service in order::services(&table.services) {
        let key = key(&service.key, writer);
        let _ = writeln!(out, "-A {key} {}", about(service));
        for server in order::servers(&service.servers) {
            let address = writer.address(server.address, protocol_of(&service.key));
            let _ = writeln!(out, "-a {key} -r {address} {}", about_server(server));
        }
    }
    out
}

fn key(key: &Key, writer: Writer<'_>) -> String {
    match key {
        Key::Address { address, protocol, port } => {
            let option = match protocol {
                17 => "-u",
                132 => "--sctp-service",
                _ => "-t",
            };
            format!("{option} {}", writer.address(SocketAddr::new(*address, *port), *protocol))
        }
        Key::Mark { mark, ipv6: false } => format!("-f {}", signed(*mark)),
        Key::Mark { mark, ipv6: true } => format!("-f {} -6", signed(*mark)),
    }
}

fn about(service: &TableService) -> String {
    let (entry, ipv6) = (&service.entry, is_ipv6(&service.key));
    let mut out = format!("-s {}", entry.scheduler);
    if let Some(seconds) = entry.persistent_s {
        let _ = write!(out, " -p {seconds}");
        if let Some(prefix) = entry.prefix.filter(|prefix| *prefix != if ipv6 { 128 } else { 32 }) {
            let _ = write!(out, " -M {}", mask(prefix, ipv6));
        }
    }
    if let Some(engine) = &entry.engine {
        let _ = write!(out, " --pe {engine}");
    }
    if entry.one_packet {
        out.push_str(" -o");
    }
    if entry.flags != 0 {
        let _ = write!(out, " -b {}", flags::names(&entry.scheduler, entry.flags));
    }
    out
}

fn about_server(server: &TableServer) -> String {
    let weight = server.entry.weight;
    match server.entry.forward {
        // What ipvsadm has no word for is nearest to this.
        Forward::Nat | Forward::Fullnat => format!("-m -w {weight}"),
        Forward::Dr | Forward::Local => format!("-g -w {weight}"),
        Forward::Ipip => format!("-i -w {weight} --tun-type ipip"),
        Forward::Gue { port, checksum } => {
            let checksum = ["nocsum", "csum", "remcsum"].get(usize::from(checksum)).copied().unwrap_or("nocsum");
            format!("-i -w {weight} --tun-type gue --tun-port {port} --tun-{checksum}")
        }
        Forward::Gre { checksum } => {
            format!("-i -w {weight} --tun-type gre --tun-{}", if checksum { "csum" } else { "nocsum" })
        }
    }
}
