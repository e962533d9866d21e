//! The files that IPVS has in /proc/net, for scripts that read them.

use super::{SIZE, list, mask_bits, protocol_name};
use evenkeel_api::table::{ConnectionEntry, Key, Table, TableService};
use std::{
    fmt::Write,
    net::{IpAddr, SocketAddr},
};

/// Timeouts of persistence are in ticks of the kernel's clock there; a script that wants seconds divides by this.
const TICKS: u64 = 100;

/// `ip_vs`.
pub fn proc_table(table: &Table) -> String {
    let mut out = format!(
        "IP Virtual Server version 1.2.1 (size={SIZE})\nProt LocalAddress:Port Scheduler Flags\n  -> RemoteAddress:Port \
         Forward Weight ActiveConn InActConn\n"
    );
    for service in &table.services {
        let _ = writeln!(out, "{}", service_line(service));
        for server in &service.servers {
            let (address, method) = (port(server.address), list::method(server.entry.forward));
            let (weight, active, inactive) = (server.entry.weight, server.active, server.inactive);
            let _ = writeln!(out, "  -> {address}      {method:<7} {weight:<6} {active:<10} {inactive:<10}");
        }
    }
    out
}

fn service_line(service: &TableService) -> String {
    let entry = &service.entry;
    let (scheduler, ops) = (&entry.scheduler, if entry.one_packet { "ops " } else { "" });
    let (mut line, ipv6) = match &service.key {
        Key::Address { address, protocol, port: number } => {
            let (name, place) = (protocol_name(*protocol), port(SocketAddr::new(*address, *number)));
            // One-packet scheduling is not told of IPv6 services, and they have one blank less.
            let end = if address.is_ipv6() { String::new() } else { format!("{ops} ") };
            (format!("{name}  {place} {scheduler} {end}"), address.is_ipv6())
        }
        Key::Mark { mark, ipv6 } => (format!("FWM  {mark:08X} {scheduler} {ops}"), *ipv6),
    };
    if let Some(seconds) = entry.persistent_s {
        // The length of an IPv6 mask stands there with its bytes turned round.
        let whole = if ipv6 { 128 } else { 32 };
        let prefix = entry.prefix.unwrap_or(whole);
        let mask = if ipv6 { u32::from(prefix).swap_bytes() } else { mask_bits(prefix) };
        let _ = write!(line, "persistent {} {mask:08X}", u64::from(seconds) * TICKS);
    }
    line
}

/// `0A000064:0050` or `[fd00:0000:…]:0050`.
fn port(address: SocketAddr) -> String {
    let host = host(address.ip());
    let number = address.port();
    if address.is_ipv6() { format!("[{host}]:{number:04X}") } else { format!("{host}:{number:04X}") }
}

fn host(address: IpAddr) -> String {
    match address {
        IpAddr::V4(address) => format!("{:08X}", u32::from(address)),
        IpAddr::V6(address) => address.segments().map(|word| format!("{word:04x}")).join(":"),
    }
}

/// The first line of `ip_vs_conn`.
pub fn proc_connections_title() -> &'static str {
    "Pro FromIP   FPrt ToIP     TPrt DestIP   DPrt State       Expires PEName PEData\n"
}

/// A line of `ip_vs_conn`.
pub fn proc_connection(entry: &ConnectionEntry) -> String {
    let part = |address: SocketAddr| format!("{} {:04X}", host(address.ip()), address.port());
    let (client, to, server) = (part(entry.client), part(entry.virtual_address), part(entry.real_server));
    let engine = entry.engine.as_ref().map(|e| format!(" {} {}", e.name, e.data)).unwrap_or_default();
    let (protocol, state, expires) = (protocol_name(entry.protocol), &entry.state, entry.expires_s);
    format!("{protocol:<3} {client} {to} {server} {state:<11} {expires:>7}{engine}\n")
}

/// `ip_vs_stats`.
pub fn proc_stats(table: &Table) -> String {
    let mut sums = [0_u64; 10];
    for traffic in table.services.iter().map(|service| &service.traffic) {
        let of = [
            traffic.connections,
            traffic.packets_in,
            traffic.packets_out,
            traffic.bytes_in,
            traffic.bytes_out,
            traffic.connections_rate,
            traffic.packets_in_rate,
            traffic.packets_out_rate,
            traffic.bytes_in_rate,
            traffic.bytes_out_rate,
        ];
        for (sum, n) in sums.iter_mut().zip(of) {
            *sum = sum.wrapping_add(n);
        }
    }
    let [conns, pkts_in, pkts_out, bytes_in, bytes_out, cps, pps_in, pps_out, bps_in, bps_out] = sums;
    format!(
        "   Total Incoming Outgoing         Incoming         Outgoing\n   Conns  Packets  Packets            Bytes            \
         Bytes\n{conns:8X} {pkts_in:8X} {pkts_out:8X} {bytes_in:16X} {bytes_out:16X}\n\n Conns/s   Pkts/s   Pkts/s          \
         Bytes/s          Bytes/s\n{cps:8X} {pps_in:8X} {pps_out:8X} {bps_in:16X} {bps_out:16X}\n"
    )
}
