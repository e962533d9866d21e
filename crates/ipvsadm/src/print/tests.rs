use super::*;
use crate::{
    call::{Columns, View},
    names::NoNames,
};
use evenkeel_api::table::{
    ConnectionEntry, EngineKey, Forward, ServerEntry, ServiceEntry, Table, TableServer, TableService, Traffic,
};

fn at(text: &str) -> SocketAddr {
    text.parse().expect("an address")
}

fn key(protocol: u8, text: &str) -> Key {
    let at = at(text);
    Key::Address { address: at.ip(), protocol, port: at.port() }
}

fn entry(scheduler: &str) -> ServiceEntry {
    ServiceEntry {
        scheduler: scheduler.to_owned(),
        flags: 0,
        persistent_s: None,
        prefix: None,
        engine: None,
        one_packet: false,
    }
}

fn service(key: Key, entry: ServiceEntry, servers: Vec<TableServer>) -> TableService {
    TableService { key, entry, traffic: Traffic::default(), servers }
}

fn server(text: &str, forward: Forward) -> TableServer {
    TableServer {
        address: at(text),
        entry: ServerEntry { forward, weight: 1, upper: 0, lower: 0 },
        active: 0,
        inactive: 0,
        persistent: 0,
        traffic: Traffic::default(),
    }
}

fn table(services: Vec<TableService>) -> Table {
    Table { services, connections: 1, timeouts: [900, 120, 300] }
}

fn numeric(columns: Columns) -> View {
    View { numeric: true, columns, ..View::default() }
}

/// Recorded from Linux 6.1 under traffic.
fn recorded() -> Table {
    let busy = |mut server: TableServer, active, inactive, persistent, traffic| {
        (server.active, server.inactive, server.persistent, server.traffic) = (active, inactive, persistent, traffic);
        server
    };
    let traffic = |bytes_in, bytes_in_rate| Traffic {
        connections: 1,
        packets_in: 1,
        bytes_in,
        bytes_in_rate,
        ..Traffic::default()
    };
    let of =
        |key, entry, server: TableServer| TableService { traffic: server.traffic, ..service(key, entry, vec![server]) };
    let persistent = |seconds, prefix| ServiceEntry { persistent_s: Some(seconds), prefix, ..entry("rr") };
    table(vec![
        of(key(17, "10.0.0.100:53"), entry("rr"), busy(server("10.0.0.11:53", Forward::Dr), 0, 1, 0, traffic(29, 4))),
        of(
            key(6, "10.0.0.100:80"),
            persistent(120, Some(24)),
            busy(server("10.0.0.11:8080", Forward::Nat), 1, 0, 1, traffic(60, 7)),
        ),
        of(
            key(17, "10.0.0.100:5060"),
            ServiceEntry { engine: Some("sip".to_owned()), ..persistent(60, None) },
            busy(server("10.0.0.11:5060", Forward::Nat), 0, 1, 1, traffic(133, 17)),
        ),
        of(
            key(6, "[fd00::100]:443"),
            entry("rr"),
            busy(server("[fd00::11]:443", Forward::Nat), 1, 0, 0, traffic(80, 10)),
        ),
        of(
            Key::Mark { mark: 7, ipv6: false },
            persistent(30, None),
            busy(server("10.0.0.11:0", Forward::Dr), 0, 1, 1, traffic(29, 4)),
        ),
    ])
}

#[test]
fn a_list_under_traffic() {
    assert_eq!(
        list(&recorded(), false, numeric(Columns::Persistent), &NoNames),
        "IP Virtual Server version 1.2.1 (size=4096)
Prot LocalAddress:Port            Weight    PersistConn ActiveConn InActConn 
  -> RemoteAddress:Port
TCP  10.0.0.100:80 rr persistent 120 mask 255.255.255.0
  -> 10.0.0.11:8080               1         1           1          0         
UDP  10.0.0.100:53 rr
  -> 10.0.0.11:53                 1         0           0          1         
UDP  10.0.0.100:5060 rr persistent 60 pe sip
  -> 10.0.0.11:5060               1         1           0          1         
TCP  [fd00::100]:443 rr
  -> [fd00::11]:443               1         0           1          0         
FWM  7 rr persistent 30
  -> 10.0.0.11:0                  1         1           0          1         
"
    );
    let rates = list(&recorded(), true, numeric(Columns::Rates), &NoNames);
    let lines = "Prot LocalAddress:Port                 CPS    InPPS   OutPPS    InBPS   OutBPS
  -> RemoteAddress:Port
TCP  10.0.0.100:80                       0        0        0        7        0
";
    assert!(rates.starts_with(lines), "{rates}");
}

#[test]
fn the_files_of_proc_under_traffic() {
    assert_eq!(
        proc_table(&recorded()),
        "IP Virtual Server version 1.2.1 (size=4096)
Prot LocalAddress:Port Scheduler Flags
  -> RemoteAddress:Port Forward Weight ActiveConn InActConn
UDP  0A000064:0035 rr  
  -> 0A00000B:0035      Route   1      0          1         
TCP  0A000064:0050 rr  persistent 12000 FFFFFF00
  -> 0A00000B:1F90      Masq    1      1          0         
UDP  0A000064:13C4 rr  persistent 6000 FFFFFFFF
  -> 0A00000B:13C4      Masq    1      0          1         
TCP  [fd00:0000:0000:0000:0000:0000:0000:0100]:01BB rr 
  -> [fd00:0000:0000:0000:0000:0000:0000:0011]:01BB      Masq    1      1          0         
FWM  00000007 rr persistent 3000 FFFFFFFF
  -> 0A00000B:0000      Route   1      0          1         
"
    );
    let lines = "   Total Incoming Outgoing         Incoming         Outgoing
   Conns  Packets  Packets            Bytes            Bytes
       5        5        0              14B                0

 Conns/s   Pkts/s   Pkts/s          Bytes/s          Bytes/s
       0        0        0               2A                0
";
    assert_eq!(proc_stats(&recorded()), lines);
}

#[test]
fn the_flags_of_services_in_proc() {
    let persistent =
        |scheduler: &str, seconds, prefix| ServiceEntry { persistent_s: Some(seconds), prefix, ..entry(scheduler) };
    let one_packet = |entry| ServiceEntry { one_packet: true, ..entry };
    let lines: Vec<String> = [
        (key(17, "10.0.0.1:82"), one_packet(entry("wlc"))),
        (key(6, "[fd00::1]:81"), persistent("sh", 8, Some(64))),
        (key(132, "10.0.0.1:84"), entry("wlc")),
        (Key::Mark { mark: 9, ipv6: true }, persistent("wlc", 360, None)),
        (Key::Mark { mark: 10, ipv6: false }, one_packet(persistent("wlc", 5, Some(16)))),
    ]
    .into_iter()
    .map(|(key, entry)| proc_table(&table(vec![service(key, entry, Vec::new())])))
    .map(|text| text.lines().nth(3).unwrap_or_default().to_owned())
    .collect();
    assert_eq!(
        lines,
        [
            "UDP  0A000001:0052 wlc ops  ",
            "TCP  [fd00:0000:0000:0000:0000:0000:0000:0001]:0051 sh persistent 800 40000000",
            "SCTP  0A000001:0054 wlc  ",
            "FWM  00000009 wlc persistent 36000 80000000",
            "FWM  0000000A wlc ops persistent 500 FFFF0000",
        ]
    );
}

/// Recorded from Linux 6.1.
fn connections() -> Vec<ConnectionEntry> {
    let of = |protocol, client, to, server, state: &str, expires_s| ConnectionEntry {
        protocol,
        client: at(client),
        virtual_address: at(to),
        real_server: at(server),
        translated_client: None,
        state: state.to_owned(),
        expires_s,
        template: false,
        engine: None,
        service: String::new(),
    };
    let sip = EngineKey { name: "sip".to_owned(), data: "abc123@host".to_owned() };
    vec![
        of(6, "192.168.1.10:40000", "10.0.0.100:80", "10.0.0.11:8080", "SYN_RECV", 59),
        of(6, "192.168.1.0:0", "10.0.0.100:80", "10.0.0.11:8080", "NONE", 119),
        of(6, "[fd01::10]:40000", "[fd00::100]:443", "[fd00::11]:443", "SYN_RECV", 59),
        of(0, "192.168.1.10:0", "0.0.0.7:0", "10.0.0.11:0", "NONE", 29),
        ConnectionEntry {
            engine: Some(sip),
            ..of(17, "192.168.1.10:0", "10.0.0.100:5060", "10.0.0.11:5060", "NONE", 59)
        },
    ]
}

fn lines(title: &str, line: impl Fn(&ConnectionEntry) -> String) -> String {
    connections().iter().map(line).fold(title.to_owned(), |text, line| text + &line)
}

#[test]
fn connections_with_and_without_what_engines_know() {
    assert_eq!(
        lines(&connections_title(false), |c| connection(c, false, true, &NoNames)),
        "IPVS connection entries
pro expire state       source             virtual            destination
TCP 00:59  SYN_RECV    192.168.1.10:40000 10.0.0.100:80      10.0.0.11:8080
TCP 01:59  NONE        192.168.1.0:0      10.0.0.100:80      10.0.0.11:8080
TCP 00:59  SYN_RECV    [fd01::10]:40000   [fd00::100]:443    [fd00::11]:443
IP  00:29  NONE        192.168.1.10:0     0.0.0.7:0          10.0.0.11:0
UDP 00:59  NONE        192.168.1.10:0     10.0.0.100:5060    10.0.0.11:5060
"
    );
    let engines = lines(&connections_title(true), |c| connection(c, true, true, &NoNames));
    let last =
        "UDP 00:59  NONE        192.168.1.10:0     10.0.0.100:5060    10.0.0.11:5060   sip                abc123@host";
    assert!(engines.starts_with(
        "IPVS connection entries\npro expire state       source             virtual            destination        pe name          pe_data\n"
    ));
    assert_eq!(engines.lines().last(), Some(last));
}

#[test]
fn connections_in_proc() {
    assert_eq!(
        lines(proc_connections_title(), proc_connection),
        "Pro FromIP   FPrt ToIP     TPrt DestIP   DPrt State       Expires PEName PEData
TCP C0A8010A 9C40 0A000064 0050 0A00000B 1F90 SYN_RECV         59
TCP C0A80100 0000 0A000064 0050 0A00000B 1F90 NONE            119
TCP fd01:0000:0000:0000:0000:0000:0000:0010 9C40 fd00:0000:0000:0000:0000:0000:0000:0100 01BB fd00:0000:0000:0000:0000:0000:0000:0011 01BB SYN_RECV         59
IP  C0A8010A 0000 00000007 0000 0A00000B 0000 NONE             29
UDP C0A8010A 0000 0A000064 13C4 0A00000B 13C4 NONE             59 sip abc123@host
"
    );
}

#[test]
fn large_numbers_are_shortened_unless_exact() {
    let shown = |n, exact| {
        let mut of = service(key(6, "10.9.0.1:80"), entry("rr"), Vec::new());
        of.traffic.connections = n;
        let view = View { exact, ..numeric(Columns::Stats) };
        let text = list(&table(vec![of]), true, view, &NoNames);
        let line = text.lines().nth(2).unwrap_or_default();
        line.get(33..line.len() - 36).unwrap_or_default().to_owned()
    };
    for (n, short, exact) in [
        (99_999_999, " 99999999", " 99999999"),
        (100_000_000, "  100000K", " 100000000"),
        (999_999_999, "  999999K", " 999999999"),
        (1_000_000_000, "    1000M", " 1000000000"),
        (99_999_999_999, "   99999M", " 99999999999"),
        (100_000_000_000, "     100G", " 100000000000"),
        (99_999_999_999_999, "   99999G", " 99999999999999"),
        (100_000_000_000_000, "     100T", " 100000000000000"),
        (u64::MAX, "18446744T", " 18446744073709551615"),
    ] {
        assert_eq!(shown(n, false), short);
        assert_eq!(shown(n, true), exact);
    }
}

#[test]
fn methods_and_tunnels_have_these_words() {
    let servers = vec![
        server("10.0.0.5:80", Forward::Gue { port: 6080, checksum: 2 }),
        server("10.0.0.4:80", Forward::Gre { checksum: true }),
        server("10.0.0.3:80", Forward::Ipip),
        server("10.0.0.2:80", Forward::Local),
        server("10.0.0.1:80", Forward::Fullnat),
    ];
    let of = table(vec![service(key(6, "10.9.0.1:80"), entry("rr"), servers)]);
    let text = list(&of, true, numeric(Columns::Tunnels), &NoNames);
    let body: Vec<&str> = text.lines().skip(3).collect();
    assert_eq!(
        body,
        [
            "  -> 10.0.0.1:80                  FullNAT n/a           1      0          0         ",
            "  -> 10.0.0.2:80                  Local   n/a           1      0          0         ",
            "  -> 10.0.0.3:80                  Tunnel  ipip          1      0          0         ",
            "  -> 10.0.0.4:80                  Tunnel  gre:+c        1      0          0         ",
            "  -> 10.0.0.5:80                  Tunnel  gue:6080:r+c  1      0          0         ",
        ]
    );
    let unsorted = View { unsorted: true, ..numeric(Columns::Plain) };
    let first = list(&of, true, unsorted, &NoNames);
    assert!(first.lines().nth(3).is_some_and(|line| line.contains("10.0.0.5:80")), "{first}");
    let rules = save(&of, true, &NoNames);
    assert!(rules.ends_with("-a -t 10.9.0.1:80 -r 10.0.0.5:80 -i -w 1 --tun-type gue --tun-port 6080 --tun-remcsum\n"));
    assert!(rules.contains("-a -t 10.9.0.1:80 -r 10.0.0.2:80 -g -w 1\n"), "{rules}");
}

#[test]
fn addresses_are_written_as_the_c_library_does() {
    for text in ["::", "::1", "::10.9.0.9", "::0.1.0.2", "::ffff:10.9.0.9", "fd00::1", "2001:db8:0:1:1:1:1:1"] {
        assert_eq!(shown(text.parse().expect("an address")), text);
    }
}
