//! Any line that `-R` may meet, and rules that are read again after they were saved.

use evenkeel_api::table::{Edit, Table, TableServer, TableService, Traffic};
use evenkeel_ipvsadm::{Call, NoNames, Rules, parse, print};
use proptest::prelude::*;

/// Words that mean something, and some that do not.
fn word() -> impl Strategy<Value = String> {
    let known = prop::sample::select(vec![
        "-A",
        "-a",
        "-E",
        "-e",
        "-D",
        "-d",
        "-C",
        "-Z",
        "-L",
        "-S",
        "-R",
        "--set",
        "-t",
        "-u",
        "--sctp-service",
        "-f",
        "-6",
        "-r",
        "-g",
        "-i",
        "-m",
        "-w",
        "-x",
        "-y",
        "-s",
        "rr",
        "sh",
        "-b",
        "sh-port",
        "-p",
        "-M",
        "64",
        "255.255.0.0",
        "--pe",
        "sip",
        "-o",
        "--tun-type",
        "gue",
        "--tun-port",
        "6080",
        "--tun-csum",
        "-n",
        "-c",
        "--",
        "-",
        "10.9.0.1:80",
        "[fd00::1]:80",
        "10.0.0.1",
        "fd00::2",
        "7",
        "-w=3",
        "--weight=",
        "ipvsadm",
    ]);
    prop_oneof![8 => known.prop_map(str::to_owned), 1 => "[ -~]{0,12}", 1 => "\\PC{0,6}"]
}

fn service() -> impl Strategy<Value = String> {
    prop_oneof![
        (any::<u32>(), 1..=u16::MAX, prop::sample::select(vec!["-t", "-u", "--sctp-service"]))
            .prop_map(|(a, port, option)| format!("{option} {}:{port}", std::net::Ipv4Addr::from(a))),
        (any::<u128>(), 1..=u16::MAX).prop_map(|(a, port)| format!("-t [{}]:{port}", std::net::Ipv6Addr::from(a))),
        (1..=0x7fff_ffff_u32, any::<bool>()).prop_map(|(m, six)| format!("-f {m}{}", if six { " -6" } else { "" })),
    ]
}

fn rule() -> impl Strategy<Value = String> {
    let scheduler =
        prop::sample::select(vec!["rr", "wlc", "sh -b sh-port", "mh -b mh-fallback,mh-port", "lc -b flag-3"]);
    let persistence = prop::option::of((1_u32..2_678_401, prop::option::of(1_u32..32)));
    (service(), scheduler, persistence).prop_map(|(service, scheduler, persistence)| {
        let ipv6 = service.contains('[') || service.ends_with("-6");
        let persistence = persistence.map_or(String::new(), |(seconds, bits)| {
            let mask = bits.map_or(String::new(), |bits| {
                let v4 = std::net::Ipv4Addr::from(u32::MAX << (32 - bits)).to_string();
                format!(" -M {}", if ipv6 { bits.to_string() } else { v4 })
            });
            format!(" -p {seconds}{mask}")
        });
        format!("-A {service} -s {scheduler}{persistence}")
    })
}

fn edit(line: &str) -> Edit {
    let words: Vec<String> = line.split_whitespace().map(str::to_owned).collect();
    match parse("ipvsadm", &words, &NoNames) {
        Ok(Call::Edit(edit)) => edit,
        other => panic!("{line}: {other:?}"),
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(if cfg!(miri) { 8 } else { 2000 }))]

    #[test]
    fn no_line_is_met_with_a_panic(lines in prop::collection::vec(prop::collection::vec(word(), 0..8), 0..4)) {
        let text: String = lines.iter().map(|words| words.join(" ") + "\n").collect();
        for (_, words) in Rules::new(&text) {
            if let Err(fault) = parse("ipvsadm", &words, &NoNames) {
                prop_assert!(!fault.text.is_empty());
                prop_assert!(matches!(fault.status, 2 | 255));
            }
        }
    }

    #[test]
    fn what_is_saved_is_read_as_the_same(line in rule(), weight in 0..=0x7fff_ffff_u32) {
        let Edit::AddService(key, entry) = edit(&line) else { panic!("{line} adds no service") };
        let server = if line.contains('[') || line.contains(" -6") { "[fd00::9]:81" } else { "10.0.0.9:81" };
        let name = line.split(" -s ").next().unwrap_or_default().trim_start_matches("-A ").to_owned();
        let Edit::AddServer(_, address, server) = edit(&format!("-a {name} -r {server} -m -w {weight}")) else {
            panic!("{name} gets no real server")
        };
        let server = TableServer { address, entry: server, active: 1, inactive: 2, persistent: 3, traffic: Traffic::default() };
        let service = TableService { key, entry: entry.clone(), traffic: Traffic::default(), servers: vec![server.clone()] };
        // flag-3 of lc has a name, unlike that of sh.
        let table = Table { services: vec![service], connections: 1, timeouts: [0; 3] };
        let saved = print::save(&table, true, &NoNames);
        let edits: Vec<Edit> = saved.lines().map(edit).collect();
        prop_assert_eq!(edits, [Edit::AddService(key, entry), Edit::AddServer(key, address, server.entry)]);
    }
}
