use super::*;

struct Known;

impl Names for Known {
    fn address(&self, host: &str) -> Option<Ipv4Addr> {
        (host == "localhost").then_some(Ipv4Addr::LOCALHOST)
    }

    fn port(&self, service: &str, protocol: u8) -> Option<u16> {
        (service == "http" && protocol == 6).then_some(80)
    }

    fn host(&self, _: IpAddr) -> Option<String> {
        None
    }

    fn service(&self, _: u16, _: u8) -> Option<String> {
        None
    }
}

fn call(line: &str) -> Result<Call, Fault> {
    let words: Vec<String> = line.split_whitespace().map(str::to_owned).collect();
    parse("ipvsadm", &words, &Known)
}

fn edit(line: &str) -> Edit {
    match call(line) {
        Ok(Call::Edit(edit)) => edit,
        other => panic!("{line}: {other:?}"),
    }
}

fn fault(line: &str) -> (u8, String) {
    let fault = call(line).expect_err(line);
    (fault.status, fault.text)
}

fn key(protocol: u8, at: &str) -> Key {
    let at: SocketAddr = at.parse().expect("an address");
    Key::Address { address: at.ip(), protocol, port: at.port() }
}

fn service(scheduler: &str) -> ServiceEntry {
    ServiceEntry {
        scheduler: scheduler.to_owned(),
        flags: 0,
        persistent_s: None,
        prefix: None,
        engine: None,
        one_packet: false,
    }
}

fn server(line: &str) -> (SocketAddr, ServerEntry) {
    match edit(line) {
        Edit::AddServer(_, server, entry) | Edit::EditServer(_, server, entry) => (server, entry),
        other => panic!("{line}: {other:?}"),
    }
}

#[test]
fn services_are_named_by_protocol_address_and_port_or_by_a_mark() {
    for (line, key) in [
        ("-D -t 10.9.0.1:80", key(6, "10.9.0.1:80")),
        ("-D -u 10.9.0.1:53", key(17, "10.9.0.1:53")),
        ("-D --sctp-service [fd00::1]:80", key(132, "[fd00::1]:80")),
        ("-D -t localhost:http", key(6, "127.0.0.1:80")),
        ("-D -f 7", Key::Mark { mark: 7, ipv6: false }),
        ("--delete-service --fwmark-service=7 --ipv6", Key::Mark { mark: 7, ipv6: true }),
    ] {
        assert_eq!(edit(line), Edit::RemoveService(key), "{line}");
    }
}

#[test]
fn a_service_has_these_options() {
    let plain = Edit::AddService(key(6, "10.9.0.1:80"), service("wlc"));
    assert_eq!(edit("-A -t 10.9.0.1:80"), plain);
    assert_eq!(edit("-A -t 10.9.0.1:80 -M 255.255.255.0 --sort -s wlc"), plain);
    let full = ServiceEntry {
        flags: 2,
        persistent_s: Some(360),
        prefix: Some(24),
        engine: Some("sip".to_owned()),
        one_packet: true,
        ..service("sh")
    };
    let line = "-E -u 10.9.0.1:80 -s sh -b sh-port -p -M 255.255.255.0 --pe sip -o";
    assert_eq!(edit(line), Edit::EditService(key(17, "10.9.0.1:80"), full.clone()));
    let line = "--edit-service --udp-service 10.9.0.1:80 --scheduler sh --sched-flags flag-2 --persistent 360 --netmask 255.255.255.0 --pe sip --ops";
    assert_eq!(edit(line), Edit::EditService(key(17, "10.9.0.1:80"), full));
    let v6 = ServiceEntry { persistent_s: Some(5), prefix: Some(64), ..service("wlc") };
    assert_eq!(edit("-A -t [fd00::1]:80 -p 5 -M 64"), Edit::AddService(key(6, "[fd00::1]:80"), v6));
    // A mask before the address is one of IPv4, and forgotten.
    let v6 = ServiceEntry { persistent_s: Some(5), ..service("wlc") };
    assert_eq!(edit("-A -M 64 -t [fd00::1]:80 -p 5"), Edit::AddService(key(6, "[fd00::1]:80"), v6));
}

#[test]
fn a_real_server_has_these_options() {
    let dr = ServerEntry { forward: Forward::Dr, weight: 1, upper: 0, lower: 0 };
    let at = |text: &str| text.parse::<SocketAddr>().expect("an address");
    assert_eq!(server("-a -t 10.9.0.1:80 -r 10.0.0.1:8080"), (at("10.0.0.1:80"), dr.clone()));
    let nat = ServerEntry { forward: Forward::Nat, weight: 0, upper: 10, lower: 5 };
    let line = "-e -t 10.9.0.1:80 -r 10.0.0.1:8080 -m -w 0 -x 10 -y 5";
    assert_eq!(server(line), (at("10.0.0.1:8080"), nat.clone()));
    let line = "--edit-server --tcp-service 10.9.0.1:80 --real-server 10.0.0.1:8080 --masquerading --weight 0 --u-threshold 10 --l-threshold 5";
    assert_eq!(server(line), (at("10.0.0.1:8080"), nat));
    assert_eq!(server("-a -f 7 -r 10.0.0.1 --gatewaying").0, at("10.0.0.1:0"));
    // The service's port is known only where it stands first.
    assert_eq!(server("-a -r 10.0.0.1 -t 10.9.0.1:80 -m").0, at("10.0.0.1:0"));
    for (options, forward) in [
        ("-i", Forward::Ipip),
        ("--ipip --tun-type ipip", Forward::Ipip),
        ("-i --tun-type gue --tun-port 6080", Forward::Gue { port: 6080, checksum: 0 }),
        ("-i --tun-type gue --tun-port 6080 --tun-csum", Forward::Gue { port: 6080, checksum: 1 }),
        ("-i --tun-type gue --tun-port 6080 --tun-remcsum", Forward::Gue { port: 6080, checksum: 2 }),
        ("-i --tun-type gre --tun-nocsum", Forward::Gre { checksum: false }),
        ("-i --tun-type gre --tun-csum", Forward::Gre { checksum: true }),
    ] {
        let (at, entry) = server(&format!("-a -t 10.9.0.1:80 -r fd00::1 {options}"));
        assert_eq!((at.to_string().as_str(), entry.forward), ("[fd00::1]:80", forward), "{options}");
    }
    let removed = Edit::RemoveServer(key(6, "10.9.0.1:80"), at("10.0.0.1:80"));
    assert_eq!(edit("-d -t 10.9.0.1:80 -r 10.0.0.1"), removed);
    assert_eq!(edit("--delete-server --tcp-service 10.9.0.1:http --real-server 10.0.0.1:http"), removed);
}

#[test]
fn the_other_commands() {
    assert_eq!(edit("-C"), Edit::Clear {});
    assert_eq!(edit("--clear"), Edit::Clear {});
    assert_eq!(edit("-Z"), Edit::Zero(None));
    assert_eq!(edit("--zero -f 7"), Edit::Zero(Some(Key::Mark { mark: 7, ipv6: false })));
    assert_eq!(edit("--set 900 0 300"), Edit::Timeouts { tcp: 900, tcp_fin: 0, udp: 300 });
    assert_eq!(call("-S"), Ok(Call::Save { numeric: false }));
    assert_eq!(call("--save --numeric"), Ok(Call::Save { numeric: true }));
    assert_eq!(call("-R"), Ok(Call::Restore { atomic: false }));
    assert_eq!(call("--restore --atomic"), Ok(Call::Restore { atomic: true }));
    assert_eq!(call("-h extra"), Ok(Call::Help));
    assert_eq!(call("--version -t"), Ok(Call::Version));
    for options in [
        "",
        " --mcast-interface eth0 --syncid 5 --sync-maxlen 1000 --mcast-group 224.0.0.9 --mcast-port 5 --mcast-ttl 3",
        " --mcast-group ff02::5",
    ] {
        assert_eq!(call(&format!("--start-daemon master{options}")), Ok(Call::StartDaemon), "{options}");
    }
    assert_eq!(call("--stop-daemon=backup --syncid 5"), Ok(Call::StopDaemon));
}

#[test]
fn lists_have_these_forms() {
    let list = |columns| Ok(Call::List(None, View { columns, ..View::default() }));
    for (line, columns) in [
        ("-L", Columns::Plain),
        ("-l", Columns::Plain),
        ("--list --sort", Columns::Plain),
        ("-L --stats --rate", Columns::Stats),
        ("-L --rate --thresholds", Columns::Rates),
        ("-L --persistent-conn --thresholds", Columns::Thresholds),
        ("-L --tun-info --persistent-conn", Columns::Persistent),
        ("-L --tun-info --syncid 5", Columns::Tunnels),
    ] {
        assert_eq!(call(line), list(columns), "{line}");
    }
    let view = View { numeric: true, exact: true, unsorted: true, columns: Columns::Plain };
    assert_eq!(call("-LnX --nosort -f 7"), Ok(Call::List(Some(Key::Mark { mark: 7, ipv6: false }), view)));
    assert_eq!(call("-L --numeric --exact --nosort"), Ok(Call::List(None, view)));
    assert_eq!(call("-Lc"), Ok(Call::Connections { numeric: false, engines: false }));
    assert_eq!(call("-L --connection -n --persistent-conn"), Ok(Call::Connections { numeric: true, engines: true }));
    assert_eq!(call("-L --timeout"), Ok(Call::Timeouts));
    assert_eq!(call("-L --daemon"), Ok(Call::Daemons));
}

#[test]
fn wrong_calls_are_told_as_ipvsadm_does() {
    for (line, status, text) in [
        ("", 255, "Try `ipvsadm -h' or 'ipvsadm --help' for more information."),
        ("-n -L", 255, "Try `ipvsadm -h' or 'ipvsadm --help' for more information."),
        ("--start-daemon", 255, "Try `ipvsadm -h' or 'ipvsadm --help' for more information."),
        ("-L --atomic", 255, "--atomic: unknown option"),
        ("-AD", 2, "invalid option `-AD'"),
        ("-A --start-daemon master", 2, "invalid option `master'"),
        ("-L extra", 2, "unexpected argument extra"),
        ("--start-daemon x", 2, "illegal start-daemon parameter specified"),
        ("--stop-daemon x", 2, "illegal start_daemon specified"),
        ("--set 1 2", 2, "--set option requires 3 timeout values"),
        ("--set 1 x 3", 2, "invalid timeout value `x' specified"),
        ("--set 2678401 1 1", 2, "invalid timeout value `2678401' specified"),
        ("-A -t 10.9.0.1:80 -p 0", 2, "invalid timeout value `0' specified"),
        ("-A -t 10.9.0.1:80 -M 255.255.255.256", 2, "illegal virtual server persistent mask specified"),
        ("-A -t [fd00::1]:80 -M 129", 2, "illegal ipv6 netmask specified"),
        ("-A -f 0", 2, "invalid fwmark value `0' specified"),
        ("-A -6 -f 1", 2, "-6 used before -f\n"),
        ("-A -t 10.9.0.1:99999", 2, "illegal virtual server address[:port] specified"),
        ("-A -s rr", 2, "You need to supply the 'service-address' option for the 'add-service' command"),
        ("-A -t 10.9.0.1:0", 2, "Zero port specified for non-persistent service"),
        ("-A -t 10.9.0.1:80 -o", 2, "One-Packet Scheduling is only for UDP virtual services"),
        ("-A -t 10.9.0.1:80 -b x", 2, "invalid scheduler flag `x'"),
        ("-A -t 10.9.0.1:80 -t 10.9.0.1:80", 2, "multiple 'service-address' options specified"),
        ("-C -n", 2, "Illegal 'numeric' option with the 'flush' command"),
        ("-a -t 10.9.0.1:80 -r x", 2, "illegal real server address[:port] specified"),
        ("-a -t 10.9.0.1:80 -w -1", 2, "illegal weight specified"),
        ("-a -t 10.9.0.1:80 -x -1", 2, "illegal u_threshold specified"),
        ("-a -t 10.9.0.1:80 -y -1", 2, "illegal l_threshold specified"),
        ("-a -t 10.9.0.1:80 -g -m", 2, "multiple 'forwarding-method' options specified"),
        ("-a -t 10.9.0.1:80 -r fd00::1", 2, "Different address family is allowed only for tunneling servers"),
        ("-a -t 10.9.0.1:80 -r 10.0.0.1 --tun-csum", 2, "Tunnel options conflict with forward method"),
        ("-a -t 10.9.0.1:80 -r 10.0.0.1 -i --tun-type x", 2, "illegal tunnel type specified"),
        ("-a -t 10.9.0.1:80 -r 10.0.0.1 -i --tun-port 0", 2, "illegal tunnel port specified"),
        (
            "-a -t 10.9.0.1:80 -r 10.0.0.1 -i --tun-type gue",
            2,
            "You need to supply the 'tun-port' option for the 'gue' tunnel type",
        ),
        (
            "-a -t 10.9.0.1:80 -r 10.0.0.1 -i --tun-type gre --tun-csum --tun-nocsum",
            2,
            "The option 'tun-csum' conflicts with the 'tun-nocsum' option in the 'gre' tunnel type",
        ),
        ("-L -c --stats", 2, "options conflicts in the list command"),
        ("-L --timeout --persistent-conn", 2, "options conflicts in the list command"),
        ("-L --daemon -c", 2, "The option 'daemon' conflicts with the 'connection' option in the 'list' command"),
        ("--start-daemon master --syncid 256", 2, "illegal syncid specified"),
        ("--start-daemon master --sync-maxlen 0", 2, "illegal sync-maxlen specified"),
        ("--start-daemon master --mcast-port 0", 2, "illegal mcast-port specified"),
        ("--start-daemon master --mcast-ttl 0", 2, "illegal mcast-ttl specified"),
        ("--start-daemon master --mcast-group 10.0.0.1", 2, "invalid IPv4 mcast-group `10.0.0.1'"),
        ("--start-daemon master --mcast-group fd00::1", 2, "invalid IPv6 mcast-group `fd00::1'"),
    ] {
        assert_eq!(fault(line), (status, text.to_owned()), "{line}");
    }
}

#[test]
fn only_words_that_are_no_options_let_a_restore_go_on() {
    assert!(!call("-A --nosuch").expect_err("unknown").ends);
    assert!(call("-A -t x!").expect_err("no address").ends);
    assert!(call("nonsense").expect_err("no command").ends);
}

#[test]
fn a_mask_with_holes_fails_unless_it_says_nothing() {
    let key = key(6, "10.9.0.1:80");
    assert_eq!(call("-A -t 10.9.0.1:80 -p -M 24"), Ok(Call::MaskWithHoles { key, adds: true }));
    assert_eq!(call("-E -t 10.9.0.1:80 -M 255.0.255.0 -p"), Ok(Call::MaskWithHoles { key, adds: false }));
    for (adds, other) in [(true, "Service already exists"), (false, "No such service")] {
        assert_eq!(Fault::mask_with_holes(adds, adds).text, other);
        assert_eq!(Fault::mask_with_holes(adds, !adds).text, "illegal virtual server persistent mask specified");
    }
    assert_eq!(edit("-A -t 10.9.0.1:80 -M 24"), Edit::AddService(key, service("wlc")));
}
