//! The samples were written by the real tools: `samples/host.nft` loaded and listed by nft 1.0.6, and a legacy iptables
//! 1.8.9.

use super::*;
use crate::{Namespace, child::start_in};

const NFT: &str = include_str!("samples/host.nft");
const NFT_JSON: &str = include_str!("samples/host.json");
const IPTABLES: &str = include_str!("samples/host.iptables-save");

fn service(address: &str, protocol: Protocol, port: u16) -> Traffic {
    Traffic::Requests(ServiceEndpoint { address: address.parse().expect("an address"), protocol, port })
}

fn answers(address: &str, protocol: Option<Protocol>, port: u16) -> Traffic {
    Traffic::Answers(AnswerEndpoint { address: address.parse().expect("an address"), protocol, port })
}

/// The rules as they are told, without the quotes around what the rule itself says.
fn lines(rules: &Rules, traffic: Traffic) -> Vec<String> {
    let told = bypassed(rules, &[traffic]).iter().map(BypassedRule::to_string).collect::<Vec<_>>();
    assert!(told.iter().all(|line| line.starts_with('`') && line.contains("` (")), "{told:?}");
    told.into_iter().map(|line| line.replace('`', "")).collect()
}

fn nft(traffic: Traffic) -> Vec<String> {
    lines(&Rules::from_nft_json(NFT_JSON).expect("the sample"), traffic)
}

const SOME: &str = "(drops a part of the service's traffic)";
const ALL: &str = "(drops all of the service's traffic)";

#[test]
fn a_web_service_misses_what_its_address_and_port_would_have_met() {
    // No policy: the chain `web` accepts whatever it does not drop. Not the rules for 25, 53, 8000, ICMP or lo.
    let expected = [
        format!("inet filter input rule 13: ip saddr @banned drop comment \"bad people\" {SOME}"),
        format!("inet filter web rule 7: ip saddr 10.66.0.0/16 drop {SOME}"),
        format!("inet filter web rule 8: limit rate 100 burst 5 per second inv true drop {SOME}"),
        format!("ip maps held rule 3: reject type icmp expr port-unreachable {ALL}"),
        format!("ip raw prerouting rule 3: fib result oif flags saddr,iif false drop {SOME}"),
        format!("netdev early ingress rule 2: tcp dport 80 drop {ALL}"),
    ];
    let mut found = nft(service("192.0.2.80", Protocol::Tcp, 80));
    found.sort();
    // The order of a JSON object's fields is not ours.
    let found: Vec<String> = found.into_iter().map(|line| normal(&line)).collect();
    assert_eq!(found, expected.map(|line| normal(&line)));
}

/// The words in order, for texts whose parts have none of their own.
fn normal(line: &str) -> String {
    if !line.contains("limit") && !line.contains("reject") && !line.contains("fib") {
        return line.to_owned();
    }
    let mut words: Vec<&str> = line.split(' ').collect();
    words.sort_unstable();
    words.join(" ")
}

#[test]
fn the_policy_counts_for_what_no_rule_accepts() {
    let found = nft(service("192.0.2.80", Protocol::Udp, 69));
    assert!(
        found.iter().any(|l| l == "inet filter input: policy drop (the chain's policy drops what no rule accepts)")
    );
    let found = nft(service("192.0.2.80", Protocol::Tcp, 22));
    assert!(!found.iter().any(|line| line.contains("policy")), "ssh is accepted: {found:?}");
    let found = nft(service("192.0.2.80", Protocol::Udp, 53));
    assert!(found.contains(&format!("inet filter input rule 17: udp dport 53 drop {ALL}")), "{found:?}");
    assert!(!found.iter().any(|line| line.contains("policy")), "the rule takes all: {found:?}");
}

#[test]
fn destinations_ports_and_maps_are_told_apart() {
    let hits = |address, protocol, port| -> Vec<(String, u64)> {
        let rules = Rules::from_nft_json(NFT_JSON).expect("the sample");
        let found = bypassed(&rules, &[service(address, protocol, port)]);
        found.into_iter().filter_map(|rule| Some((rule.table, rule.number?))).collect()
    };
    let has = |found: &[(String, u64)], table: &str, number| found.contains(&(table.to_owned(), number));
    assert!(has(&hits("192.0.2.1", Protocol::Tcp, 25), "filter", 18));
    assert!(!has(&hits("192.0.2.2", Protocol::Tcp, 25), "filter", 18));
    assert!(has(&hits("192.0.2.1", Protocol::Tcp, 8080), "filter", 20));
    assert!(has(&hits("192.0.2.1", Protocol::Tcp, 0), "filter", 20), "every port is among them");
    assert!(!has(&hits("192.0.2.1", Protocol::Udp, 8080), "filter", 20));
    assert!(has(&hits("198.51.100.1", Protocol::Tcp, 80), "raw", 2), "outside the allowed destinations");
    assert!(has(&hits("192.0.2.9", Protocol::Tcp, 9), "maps", 5));
    assert!(hits("192.0.2.8", Protocol::Tcp, 81).iter().all(|(table, _)| table != "maps"), "accepted by its address");
    assert!(has(&hits("192.0.2.7", Protocol::Tcp, 81), "maps", 7));
}

#[test]
fn tables_of_the_other_family_do_not_count() {
    let found = nft(service("2001:db8::80", Protocol::Tcp, 443));
    assert!(found.iter().all(|line| !line.starts_with("ip ")), "{found:?}");
    assert!(found.contains(&format!("ip6 six in rule 4: ip6 saddr 2001:db8:bad::/48 drop {SOME}")), "{found:?}");
    assert!(found.contains(&format!("ip6 six in rule 5: tcp dport != 80 drop {ALL}")), "{found:?}");
    assert!(!found.iter().any(|line| line.contains("saddr @banned") || line.contains("10.66")), "{found:?}");
    let found = nft(service("2001:db8::80", Protocol::Udp, 53));
    assert!(found.iter().any(|line| line.starts_with("ip6 six gone rule 3: reject")), "{found:?}");
    assert!(!found.iter().any(|line| line.contains("rule 5")), "a UDP packet has no TCP port: {found:?}");
}

#[test]
fn one_rule_names_all_its_services() {
    let services = [80, 443, 22].map(|port| service("192.0.2.80", Protocol::Tcp, port));
    let rules = Rules::from_nft_json(NFT_JSON).expect("the sample");
    let found = bypassed(&rules, &services);
    let of = |number| found.iter().find(|r| r.table == "filter" && r.number == Some(number)).map(|r| r.traffic.len());
    assert_eq!((of(13), of(7)), (Some(3), Some(2)));
}

#[test]
fn legacy_rules_are_numbered_as_iptables_does() {
    let rules = Rules::from_iptables_save(IPTABLES, true);
    let found = lines(&rules, service("192.0.2.80", Protocol::Tcp, 80));
    let expected = [
        format!("ip filter INPUT rule 2: -s 198.51.100.0/24 -i eth0 -j DROP {SOME}"),
        format!(
            "ip filter INPUT rule 5: -d 192.0.2.80/32 -p tcp -m tcp --dport 80 -j REJECT --reject-with tcp-reset {ALL}"
        ),
        format!("ip filter web rule 2: -s 10.66.0.0/16 -j DROP {SOME}"),
        format!("ip mangle PREROUTING rule 1: -m mark --mark 0x7 -j DROP {SOME}"),
        format!("ip raw PREROUTING rule 1: -s 203.0.113.7/32 -j DROP {SOME}"),
    ];
    assert_eq!(found, expected);
    let udp = lines(&rules, service("192.0.2.80", Protocol::Udp, 9));
    assert!(udp.iter().any(|line| line.starts_with("ip filter INPUT: policy drop")), "{udp:?}");
    let tcp = lines(&rules, service("192.0.2.80", Protocol::Tcp, 9));
    assert!(tcp.contains(&format!(
        "ip filter INPUT rule 9: -p tcp -m tcp ! --dport 80 -m comment --comment \"not \\\"web\\\" at all\" -j DROP {ALL}"
    )), "{tcp:?}");
    let far = lines(&rules, service("198.51.100.9", Protocol::Udp, 9));
    assert!(far.contains(&format!("ip filter INPUT rule 6: ! -d 192.0.2.0/24 -j DROP {ALL}")), "{far:?}");
    assert_eq!(lines(&rules, service("2001:db8::1", Protocol::Tcp, 80)), Vec::<String>::new());
}

#[test]
fn an_iptables_rule_in_nftables_counts_by_its_target() {
    let text = r#"{"nftables": [
        {"chain": {"family": "ip", "table": "filter", "name": "INPUT", "type": "filter", "hook": "input", "policy": "accept"}},
        {"rule": {"family": "ip", "table": "filter", "chain": "INPUT", "handle": 4, "expr": [
            {"match": {"op": "==", "left": {"payload": {"protocol": "tcp", "field": "dport"}}, "right": 80}},
            {"xt": {"type": "match", "name": "hashlimit"}}, {"counter": {"packets": 0, "bytes": 0}},
            {"xt": {"type": "target", "name": "REJECT"}}]}}]}"#;
    let rules = Rules::from_nft_json(text).expect("sound");
    assert_eq!(
        lines(&rules, service("192.0.2.80", Protocol::Tcp, 80)),
        [format!("ip filter INPUT rule 4: tcp dport 80 hashlimit counter REJECT {SOME}")]
    );
    assert!(lines(&rules, service("192.0.2.80", Protocol::Tcp, 81)).is_empty());
}

#[test]
fn answers_of_translated_real_servers_would_have_met_forward_and_prerouting() {
    let text = "*raw\n:PREROUTING ACCEPT [0:0]\n-A PREROUTING -s 10.0.0.0/24 -p udp -j DROP\nCOMMIT\n\
                *filter\n:INPUT DROP [0:0]\n:FORWARD DROP [0:0]\n\
                -A FORWARD -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT\n\
                -A FORWARD -s 10.0.0.9/32 -j DROP\n\
                -A FORWARD -s 10.0.0.11/32 -p tcp -m tcp --sport 8080 -j ACCEPT\n\
                -A FORWARD -s 10.0.0.12/32 -d 203.0.113.0/24 -j ACCEPT\n\
                -A FORWARD -p tcp -m tcp --dport 25 -j REJECT\nCOMMIT\n";
    let rules = Rules::from_iptables_save(text, true);
    let some = "(drops a part of the real servers' answers)";
    let policy =
        "ip filter FORWARD: policy drop (the chain's policy drops the real servers' answers that no rule accepts)";
    let mail = format!("ip filter FORWARD rule 5: -p tcp -m tcp --dport 25 -j REJECT {some}");
    // The rule that accepts all of it takes it before the policy and the rule for mail.
    assert_eq!(lines(&rules, answers("10.0.0.11", Some(Protocol::Tcp), 8080)), Vec::<String>::new());
    assert_eq!(lines(&rules, answers("10.0.0.11", Some(Protocol::Tcp), 80)), [policy.to_owned(), mail.clone()]);
    assert_eq!(lines(&rules, answers("10.0.0.12", Some(Protocol::Tcp), 80)), [policy.to_owned(), mail]);
    let all = "(drops all of the real servers' answers)";
    assert_eq!(
        lines(&rules, answers("10.0.0.11", Some(Protocol::Udp), 53)),
        [policy.to_owned(), format!("ip raw PREROUTING rule 1: -s 10.0.0.0/24 -p udp -j DROP {all}")]
    );
    // Any protocol, of a service by mark.
    assert_eq!(lines(&rules, answers("10.0.0.13", None, 0)).len(), 3);
    // Requests do not come through FORWARD, nor answers through INPUT.
    let requests = lines(&rules, service("10.0.0.100", Protocol::Tcp, 25));
    assert_eq!(requests, ["ip filter INPUT: policy drop (the chain's policy drops what no rule accepts)"]);
}

#[test]
fn rules_of_nftables_are_told_by_their_source_too() {
    let rule = |handle: u32, expression: &str| {
        format!(
            r#"{{"rule": {{"family": "inet", "table": "t", "chain": "f", "handle": {handle}, "expr": [{expression}, {{"drop": null}}]}}}}"#
        )
    };
    let equals = |protocol: &str, field: &str, right: &str| {
        format!(
            r#"{{"match": {{"op": "==", "left": {{"payload": {{"protocol": "{protocol}", "field": "{field}"}}}}, "right": {right}}}}}"#
        )
    };
    let text = format!(
        r#"{{"nftables": [{{"chain": {{"family": "inet", "table": "t", "name": "f", "type": "filter", "hook": "forward", "policy": "accept"}}}}, {}, {}, {}]}}"#,
        rule(1, &equals("ip", "saddr", "\"10.0.0.9\"")),
        rule(2, &equals("tcp", "sport", "80")),
        rule(3, &equals("ip", "saddr", r#"{"prefix": {"addr": "10.0.0.0", "len": 24}}"#)),
    );
    let rules = Rules::from_nft_json(&text).expect("sound");
    let hits = |traffic| -> Vec<Option<u64>> { bypassed(&rules, &[traffic]).iter().map(|rule| rule.number).collect() };
    assert_eq!(hits(answers("10.0.0.11", Some(Protocol::Tcp), 80)), [Some(2)]);
    assert_eq!(hits(answers("10.0.0.11", Some(Protocol::Tcp), 81)), [Some(3)]);
    assert_eq!(hits(answers("10.1.0.11", Some(Protocol::Udp), 80)), []);
    assert_eq!(hits(service("10.0.0.11", Protocol::Tcp, 80)), []);
}

#[test]
fn broken_and_strange_texts_are_told_or_passed_over() {
    for text in ["", "{}", "[]", "{\"nftables\": 5}", "{\"nftables\": ["] {
        assert!(Rules::from_nft_json(text).is_err(), "{text}");
    }
    let strange =
        r#"{"nftables": [5, {}, {"rule": {}}, {"chain": 7}, {"rule": {"expr": [null, {"match": 1}, {"vmap": {}}]}}]}"#;
    let rules = Rules::from_nft_json(strange).expect("a list");
    assert!(lines(&rules, service("192.0.2.80", Protocol::Tcp, 80)).is_empty());
    for text in [
        "-A",
        "-A INPUT",
        ":",
        "*",
        "-A INPUT -j",
        "[1:2",
        "-A INPUT --dport x:y -p",
        "-A X -m comment --comment \"open",
    ] {
        Rules::from_iptables_save(text, true);
    }
}

#[test]
fn chains_that_lead_to_each_other_end() {
    let loops: String = (0..40).fold(":INPUT ACCEPT\n".to_owned(), |text, n| {
        text + &format!("-A c{n} -s 10.0.0.0/8 -j c{}\n-A c{n} -j c{}\n-A c{n} -j DROP\n", (n + 1) % 40, (n + 2) % 40)
    });
    let rules = Rules::from_iptables_save(&format!("*filter\n{loops}-A INPUT -j c0\nCOMMIT\n"), true);
    let found = bypassed(&rules, &[service("192.0.2.80", Protocol::Tcp, 80)]);
    assert!((1..=40).contains(&found.len()), "{}", found.len());
}

/// A namespace with the sample's rules, if there are root and nft.
pub(super) fn host() -> Option<(String, Namespace)> {
    if !rustix::process::geteuid().is_root() {
        println!("skipped: needs root");
        return None;
    }
    let name = format!("ek-fw-{}-{:?}", std::process::id(), std::thread::current().id()).replace(['(', ')'], "-");
    Some((name.clone(), Namespace::create(&name).expect("create")))
}

pub(super) fn sh(namespace: &Namespace, script: &str) -> bool {
    let mut command = std::process::Command::new("sh");
    command.args(["-c", script]).env("PATH", "/usr/sbin:/sbin:/usr/bin:/bin");
    start_in(&mut command, namespace).expect("arrange");
    let done = crate::child::run_to_end(command, std::time::Duration::from_secs(20), 1 << 16).expect("run");
    done.status.is_some_and(|status| status.success())
}

#[test]
fn the_hosts_own_tools_are_asked() {
    let Some((name, namespace)) = host() else { return };
    let file = tempfile::NamedTempFile::new().expect("a file");
    std::fs::write(file.path(), NFT).expect("write");
    let nft = sh(&namespace, &format!("nft -f {}", file.path().display()));
    let legacy =
        sh(&namespace, "iptables-legacy -A INPUT -p tcp --dport 80 -j DROP && command -v iptables-legacy-save");
    let tables: &[String] = if nft { &["inet filter".to_owned()] } else { &[] };
    let seen = namespace.run(|| HostRules::read(tables, "evenkeel")).expect("enter");
    let without = namespace.run(|| HostRules::read(tables, "filter")).expect("enter");
    Namespace::delete(&name).expect("delete");
    assert_eq!(seen.unseen, Vec::<String>::new());
    let found = seen.bypassed(&[service("192.0.2.80", Protocol::Tcp, 80)]);
    let has = |table: &str, number| found.iter().any(|rule| rule.table == table && rule.number == Some(number));
    println!("nft {nft}, legacy {legacy}: {} rules", found.len());
    assert_eq!(has("filter", 13), nft);
    let found_without = without.bypassed(&[service("192.0.2.80", Protocol::Tcp, 80)]);
    assert!(!found_without.iter().any(|rule| rule.table == "filter" && rule.family == "inet"), "{found_without:?}");
    assert_eq!(found.iter().any(|rule| rule.chain == "INPUT"), legacy);
}
