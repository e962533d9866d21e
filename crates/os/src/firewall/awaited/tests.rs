use super::*;

/// A heartbeat by unicast, from 10.0.0.2 on eth1.
fn heartbeat() -> Awaited {
    Awaited {
        interface: "eth1".to_owned(),
        ipv4: true,
        source: Some([10, 0, 0, 2].into()),
        destination: None,
        cast: Cast::One,
        protocol: 17,
        port: Some(694),
    }
}

fn broadcast() -> Awaited {
    Awaited { source: None, cast: Cast::All, ..heartbeat() }
}

fn vrrp() -> Awaited {
    let group = [224, 0, 0, 18].into();
    Awaited { source: None, destination: Some(group), cast: Cast::Group, protocol: 112, port: None, ..heartbeat() }
}

/// Each barrier as `! rule` where it surely is one, as `? rule` where it may be.
fn shown(rules: &Rules, awaited: &Awaited) -> Vec<String> {
    let line = |barrier: &Barrier| format!("{} {barrier}", if barrier.surely { '!' } else { '?' });
    barriers(rules, awaited).iter().map(line).collect()
}

/// What a chain INPUT of these rules does, which drops what none accepts.
fn input(policy: &str, lines: &[&str], awaited: &Awaited) -> Vec<String> {
    let lines: String = lines.iter().map(|line| format!("-A {line}\n")).collect();
    let text = format!("*filter\n:INPUT {policy} [0:0]\n:FORWARD DROP [0:0]\n:mine - [0:0]\n{lines}COMMIT\n");
    shown(&Rules::from_iptables_save(&text, true), awaited)
}

fn after(lines: &[&str], awaited: &Awaited) -> Vec<String> {
    input("DROP", lines, awaited)
}

const POLICY: &str = "! ip filter INPUT: policy drop";
const MAYBE: &str = "? ip filter INPUT: policy drop";

#[test]
fn what_no_rule_accepts_is_kept_out_by_the_policy() {
    assert_eq!(after(&[], &heartbeat()), [POLICY]);
    assert_eq!(input("ACCEPT", &[], &heartbeat()), [""; 0]);
    for other in [
        "INPUT -p udp -m udp --dport 695 -j ACCEPT",
        "INPUT -p tcp -m tcp --dport 694 -j ACCEPT",
        "INPUT -i lo -j ACCEPT",
        "INPUT -i eth0 -j ACCEPT",
        "INPUT ! -i eth+ -j ACCEPT",
        "INPUT -s 10.0.0.3/32 -j ACCEPT",
        "INPUT -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT",
        "INPUT -m state --state ESTABLISHED -p udp -j ACCEPT",
        "INPUT -m addrtype --dst-type MULTICAST -j ACCEPT",
        "INPUT -p vrrp -j ACCEPT",
    ] {
        assert_eq!(after(&[other], &heartbeat()), [POLICY], "{other}");
    }
}

#[test]
fn an_accept_of_the_port_the_interface_or_the_peer_lets_it_in() {
    for accept in [
        "INPUT -p udp -m udp --dport 694 -j ACCEPT",
        "INPUT -p udp -m multiport --dports 53,690:700 -j ACCEPT",
        "INPUT -i eth1 -j ACCEPT",
        "INPUT -i eth+ -p udp -j ACCEPT",
        "INPUT -s 10.0.0.0/24 -j ACCEPT",
        "INPUT -m conntrack --ctstate NEW,ESTABLISHED -j ACCEPT",
        "INPUT -m state ! --state INVALID -p udp -j ACCEPT",
        "INPUT -m addrtype --dst-type LOCAL -j ACCEPT",
        "INPUT -m pkttype --pkt-type unicast -j ACCEPT",
    ] {
        assert_eq!(after(&[accept, "INPUT -j DROP"], &heartbeat()), [""; 0], "{accept}");
    }
    let reject = "INPUT -p udp -m udp --dport 694 -j REJECT --reject-with icmp-port-unreachable";
    assert_eq!(
        input("ACCEPT", &["INPUT -i lo -j ACCEPT", reject, "INPUT -p udp -m udp --dport 694 -j ACCEPT"], &heartbeat()),
        ["! ip filter INPUT rule 2: -p udp -m udp --dport 694 -j REJECT --reject-with icmp-port-unreachable"]
    );
}

#[test]
fn what_is_not_understood_makes_it_a_maybe() {
    assert_eq!(after(&["INPUT -m set --match-set peers src -j ACCEPT"], &heartbeat()), [MAYBE]);
    assert_eq!(after(&["INPUT -p udp -m limit --limit 9/sec -j ACCEPT"], &heartbeat()), [MAYBE]);
    let recent = "INPUT -m recent --update --name bad --rsource -j DROP";
    assert_eq!(input("ACCEPT", &[recent], &heartbeat()), [format!("? ip filter INPUT rule 1: {}", &recent[6..])]);
    assert_eq!(
        input("ACCEPT", &["INPUT -p udp -j NFQUEUE --queue-num 1"], &heartbeat()),
        ["? ip filter INPUT rule 1: -p udp -j NFQUEUE --queue-num 1"]
    );
    // It is let in by what comes first, or dropped for sure whatever came before.
    assert_eq!(after(&["INPUT -i eth1 -j ACCEPT", recent], &heartbeat()), [""; 0]);
    assert_eq!(after(&[recent, "INPUT -m limit --limit 5/min -j LOG", "INPUT -j DROP"], &heartbeat()).len(), 1);
}

#[test]
fn chains_are_followed_and_returned_from() {
    let way =
        ["INPUT -i eth1 -j mine", "mine -p tcp -j DROP", "mine -p udp -m udp --dport 694 -j RETURN", "mine -j DROP"];
    assert_eq!(input("ACCEPT", &way, &heartbeat()), [""; 0]);
    assert_eq!(after(&way, &heartbeat()), [POLICY]);
    assert_eq!(input("ACCEPT", &way, &vrrp()), ["! ip filter mine rule 3: -j DROP"]);
    // Whoever goes there does not come back.
    let way = ["INPUT -i eth1 -g mine", "INPUT -j DROP", "mine -p tcp -j DROP"];
    assert_eq!(input("ACCEPT", &way, &heartbeat()), [""; 0]);
    assert_eq!(after(&way, &heartbeat()), [POLICY]);
    // Some may have come back.
    let way = ["INPUT -j mine", "INPUT -j DROP", "mine -m mark --mark 0x1 -j RETURN", "mine -j ACCEPT"];
    assert_eq!(input("ACCEPT", &way, &heartbeat()), ["? ip filter INPUT rule 2: -j DROP"]);
}

#[test]
fn what_ufw_writes_keeps_out_everything_but_groups_it_knows() {
    let ufw = [
        "INPUT -j ufw-before-input",
        "INPUT -j ufw-after-input",
        "ufw-before-input -i lo -j ACCEPT",
        "ufw-before-input -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT",
        "ufw-before-input -m conntrack --ctstate INVALID -j DROP",
        "ufw-before-input -p udp -m udp --sport 67 --dport 68 -j ACCEPT",
        "ufw-before-input -j ufw-not-local",
        "ufw-before-input -d 224.0.0.251/32 -p udp -m udp --dport 5353 -j ACCEPT",
        "ufw-not-local -m addrtype --dst-type LOCAL -j RETURN",
        "ufw-not-local -m addrtype --dst-type MULTICAST -j RETURN",
        "ufw-not-local -m addrtype --dst-type BROADCAST -j RETURN",
        "ufw-not-local -j DROP",
        "ufw-after-input -m addrtype --dst-type BROADCAST -j DROP",
    ];
    assert_eq!(after(&ufw, &heartbeat()), [POLICY]);
    assert_eq!(after(&ufw, &vrrp()), [POLICY]);
    assert_eq!(
        after(&ufw, &broadcast()),
        ["! ip filter ufw-after-input rule 1: -m addrtype --dst-type BROADCAST -j DROP"]
    );
}

/// Written by nft 1.0.6.
fn nft(chain: &str, expressions: &[&str]) -> Rules {
    let rule = |(at, expression): (usize, &&str)| {
        format!(
            r#",{{"rule": {{"family": "inet", "table": "t", "chain": "c", "handle": {}, "expr": [{expression}]}}}}"#,
            at + 1
        )
    };
    let rules: String = expressions.iter().enumerate().map(rule).collect();
    let chain = format!(r#"{{"chain": {{"family": "inet", "table": "t", "name": "c", "type": "filter", {chain}}}}}"#);
    Rules::from_nft_json(&format!(r#"{{"nftables": [{chain}{rules}]}}"#)).expect("sound")
}

const DROPS: &str = r#""hook": "input", "policy": "drop""#;
const TAKES: &str = r#""hook": "input", "policy": "accept""#;

#[test]
fn rules_of_nftables_are_read_likewise() {
    let policy = ["! inet t c: policy drop"];
    let accept = r#"{"accept": null}"#;
    let after = |left: &str, op: &str, right: &str| {
        let condition = format!(r#"{{"match": {{"op": "{op}", "left": {left}, "right": {right}}}}}, {accept}"#);
        shown(&nft(DROPS, &[&condition]), &heartbeat())
    };
    let state = r#"{"ct": {"key": "state"}}"#;
    assert_eq!(after(state, "in", r#"["established", "related"]"#), policy);
    assert_eq!(after(state, "!=", r#""new""#), policy);
    assert_eq!(after(state, "in", r#"["established", "new"]"#), [""; 0]);
    let interface = r#"{"meta": {"key": "iifname"}}"#;
    assert_eq!(after(interface, "==", r#"{"set": ["eth0", "lo"]}"#), policy);
    assert_eq!(after(interface, "==", r#"{"set": ["eth0", "eth1"]}"#), [""; 0]);
    assert_eq!(after(interface, "==", r#""eth*""#), [""; 0]);
    assert_eq!(after(interface, "==", r#""@inside""#), ["? inet t c: policy drop"]);
    assert_eq!(after(r#"{"meta": {"key": "pkttype"}}"#, "==", r#"{"set": ["broadcast", "multicast"]}"#), policy);
    assert_eq!(after(r#"{"fib": {"result": "type", "flags": ["daddr"]}}"#, "==", r#""local""#), [""; 0]);
    assert_eq!(after(r#"{"ct": {"key": "status"}}"#, "in", r#""dnat""#), policy);
    assert_eq!(after(r#"{"meta": {"key": "l4proto"}}"#, "==", r#"{"set": ["ah", "vrrp"]}"#), policy);
    assert_eq!(after(r#"{"meta": {"key": "l4proto"}}"#, "==", r#""udp""#), [""; 0]);
    let strange = r#"{"concat": [{"payload": {"protocol": "ip", "field": "saddr"}}]}"#;
    assert_eq!(after(strange, "==", r#"{"set": []}"#), ["? inet t c: policy drop"]);
}

#[test]
fn the_answers_to_lost_routes_concern_no_neighbour_and_maps_are_told_apart() {
    let lost = r#"{"match": {"op": "==", "left": {"fib": {"result": "oif", "flags": ["saddr", "mark", "iif"]}}, "right": false}},
                  {"drop": null}"#;
    let states = r#"{"vmap": {"key": {"ct": {"key": "state"}}, "data": {"set": [["established", {"accept": null}],
                    ["invalid", {"drop": null}]]}}}"#;
    assert_eq!(shown(&nft(TAKES, &[lost, states]), &heartbeat()), [""; 0]);
    let of_vrrp = r#"{"match": {"op": "==", "left": {"payload": {"protocol": "ip", "field": "protocol"}}, "right": "vrrp"}},
                     {"reject": {"type": "icmpx", "expr": "port-unreachable"}}"#;
    let found = shown(&nft(TAKES, &[lost, states, of_vrrp]), &vrrp());
    assert!(found.len() == 1 && found[0].starts_with("! inet t c rule 3: ip protocol vrrp reject"), "{found:?}");
    assert_eq!(shown(&nft(TAKES, &[of_vrrp]), &heartbeat()), [""; 0]);
    // Signed by a header, they are of another protocol.
    assert_eq!(shown(&nft(TAKES, &[of_vrrp]), &Awaited { protocol: 51, ..vrrp() }), [""; 0]);
}

#[test]
fn chains_of_other_hooks_interfaces_and_families_do_not_count() {
    let drop = [r#"{"drop": null}"#];
    for hook in ["output", "forward", "postrouting"] {
        let chain = format!(r#""hook": "{hook}", "policy": "drop""#);
        assert_eq!(shown(&nft(&chain, &drop), &heartbeat()), [""; 0]);
    }
    let ingress = |dev: &str| format!(r#""hook": "ingress", {dev} "policy": "accept""#);
    assert_eq!(shown(&nft(&ingress(r#""dev": "eth0","#), &drop), &heartbeat()), [""; 0]);
    assert_eq!(shown(&nft(&ingress(r#""dev": ["eth0", "eth1"],"#), &drop), &heartbeat()), ["! inet t c rule 1: drop"]);
    let six = Rules::from_iptables_save("*filter\n:INPUT DROP [0:0]\nCOMMIT\n", false);
    assert_eq!(shown(&six, &heartbeat()), [""; 0]);
    assert_eq!(shown(&six, &Awaited { ipv4: false, source: None, ..heartbeat() }).len(), 1);
}

#[test]
fn the_remedy_is_a_rule_of_the_tool_that_made_the_barrier() {
    let remedy = |rules: &Rules, awaited: &Awaited| barriers(rules, awaited)[0].remedy(awaited);
    let saved = Rules::from_iptables_save("*filter\n:INPUT DROP [0:0]\nCOMMIT\n", true);
    assert_eq!(remedy(&saved, &heartbeat()), "iptables -I INPUT -i eth1 -s 10.0.0.2 -p udp --dport 694 -j ACCEPT");
    assert_eq!(remedy(&saved, &vrrp()), "iptables -I INPUT -i eth1 -p vrrp -j ACCEPT");
    let raw = Rules::from_iptables_save("*raw\n:PREROUTING ACCEPT [0:0]\n-A PREROUTING -j DROP\nCOMMIT\n", true);
    assert_eq!(remedy(&raw, &broadcast()), "iptables -t raw -I PREROUTING -i eth1 -p udp --dport 694 -j ACCEPT");
    let rules = nft(DROPS, &[]);
    assert_eq!(
        remedy(&rules, &heartbeat()),
        "nft insert rule inet t c iifname \"eth1\" ip saddr 10.0.0.2 udp dport 694 accept"
    );
    assert_eq!(remedy(&rules, &vrrp()), "nft insert rule inet t c iifname \"eth1\" meta l4proto vrrp accept");
    let zones = r#"{"nftables": [{"chain": {"family": "inet", "table": "firewalld", "name": "filter_INPUT", "type": "filter",
                   "hook": "input", "policy": "drop"}}]}"#;
    let zones = Rules::from_nft_json(zones).expect("sound");
    assert_eq!(remedy(&zones, &vrrp()), "firewall-cmd --permanent --add-protocol=vrrp && firewall-cmd --reload");
    assert_eq!(remedy(&zones, &broadcast()), "firewall-cmd --permanent --add-port=694/udp && firewall-cmd --reload");
}

#[test]
fn chains_that_lead_to_each_other_end() {
    let loops: String = (0..40).fold(String::new(), |text, n| {
        text + &format!(
            "-A c{n} -m mark --mark 1 -j c{}\n-A c{n} -j c{}\n-A c{n} -j DROP\n",
            (n + 1) % 40,
            (n + 2) % 40
        )
    });
    let text = format!("*filter\n:INPUT ACCEPT [0:0]\n{loops}-A INPUT -j c0\nCOMMIT\n");
    assert!(barriers(&Rules::from_iptables_save(&text, true), &heartbeat()).len() <= 2);
}

/// What the tools of a host say when these commands have made its rules; `None` where there is no root or such a tool.
fn of_a_host(script: &str, tables: &[&str], awaited: &[Awaited]) -> Option<Vec<Vec<Barrier>>> {
    let (name, namespace) = super::super::tests::host()?;
    let made = super::super::tests::sh(&namespace, script);
    let tables: Vec<String> = tables.iter().map(|table| (*table).to_owned()).collect();
    let host = namespace.run(|| super::super::HostRules::read(&tables, "evenkeel")).expect("enter");
    let found = awaited.iter().map(|one| host.barriers(one)).collect();
    // A remedy is a command that the tool takes, and it helps.
    let remedied = made.then(|| {
        for one in awaited {
            for barrier in host.barriers(one) {
                assert!(super::super::tests::sh(&namespace, &barrier.remedy(one)), "{}", barrier.remedy(one));
            }
        }
        let again = namespace.run(|| super::super::HostRules::read(&tables, "evenkeel")).expect("enter");
        for one in awaited {
            assert_eq!(again.barriers(one), [], "{one:?}");
        }
        found
    });
    crate::Namespace::delete(&name).expect("delete");
    if remedied.is_none() {
        println!("skipped: no such tool");
    }
    remedied
}

#[test]
fn the_rules_of_iptables_in_nftables_are_read_by_their_own_tool() {
    let script = "iptables-nft -P INPUT DROP && iptables-nft -A INPUT -m conntrack --ctstate ESTABLISHED,RELATED -j ACCEPT \
                  && iptables-nft -A INPUT -m addrtype --dst-type BROADCAST -j ACCEPT \
                  && iptables-nft -t raw -A PREROUTING -m rpfilter --validmark --invert -j DROP";
    let tables = ["ip filter", "ip raw"];
    let Some(found) = of_a_host(script, &tables, &[broadcast(), heartbeat(), vrrp()]) else { return };
    assert_eq!(found[0], []);
    for barriers in &found[1..] {
        assert!(barriers.len() == 1 && barriers[0].surely && barriers[0].text == "policy drop", "{barriers:?}");
    }
}

#[test]
fn rules_of_nftables_and_of_legacy_iptables_are_told_as_their_tools_number_them() {
    let script = "nft add table inet guard && nft add chain inet guard input '{ type filter hook input priority 0; }' && \
                  nft add rule inet guard input ct state vmap '{ established : accept, invalid : drop }' && \
                  nft add rule inet guard input fib daddr type multicast accept && \
                  nft add rule inet guard input iifname != lo udp dport '{ 600-700, 5353 }' reject";
    if let Some(found) = of_a_host(script, &["inet guard"], &[heartbeat(), vrrp()]) {
        assert!(found[0].len() == 1 && found[0][0].surely && found[0][0].number.is_some(), "{found:?}");
        assert_eq!(found[1], []);
    }
    let script = "iptables-legacy -A INPUT -i lo -j ACCEPT && iptables-legacy -A INPUT -p vrrp -j REJECT && command -v \
                  iptables-legacy-save";
    if let Some(found) = of_a_host(script, &[], &[heartbeat(), vrrp()]) {
        assert_eq!(found[0], []);
        assert!(found[1].len() == 1 && found[1][0].number == Some(2), "{found:?}");
    }
}
