use super::{Dialect, Names, Priority, route, rule};
use crate::{
    host::Host,
    keepalived::{
        table::{ROUTE_WORDS, RULE_WORDS},
        word::Word,
    },
};
use evenkeel_source::{Diagnostic, Sources, Span, Spanned};
use proptest::{collection::vec, prelude::*, sample::select};

/// The places of these lines do not matter.
fn nowhere() -> Span {
    Span::new(Sources::new().add("a", String::new()), 0, 0)
}

fn words(text: &str) -> Vec<Word> {
    let span = nowhere();
    text.split(' ').map(|word| Word { text: word.to_owned(), span, quoted: false, made: false }).collect()
}

fn read_route(text: &str, dialect: Dialect) -> (Option<String>, Vec<Diagnostic>) {
    let mut out = Vec::new();
    let found = route(&words(text), Some(&mut None), dialect, &Names::new(&Host::NONE), &mut out);
    (found.map(|route| route.to_string()), out)
}

fn read_rule(text: &str, dialect: Dialect) -> (Option<String>, Vec<Diagnostic>) {
    let mut out = Vec::new();
    let found = rule(&words(text), Some(&mut None), dialect, &Names::new(&Host::NONE), &mut out);
    (found.map(|(rule, _)| rule.to_string()), out)
}

/// Reads a line and writes it again.
type Read = fn(&str, Dialect) -> (Option<String>, Vec<Diagnostic>);

/// A line, and the one it means.
#[track_caller]
fn means(read: Read, line: &str, meant: &str) {
    let (found, out) = read(line, Dialect::Keepalived);
    assert_eq!(found.as_deref(), Some(meant), "{line}: {out:?}");
    let (again, out) = read(meant, Dialect::Native);
    assert_eq!(again.as_deref(), Some(meant), "{out:?}");
    assert!(out.is_empty(), "{meant}: {out:?}");
}

#[test]
fn lines_of_routes_are_read_as_ip_route_means_them() {
    for (line, meant) in [
        (
            "src 192.168.100.1 to 192.168.109.0/24 via 192.168.200.254 dev eth1",
            "192.168.109.0/24 via 192.168.200.254 dev eth1 src 192.168.100.1",
        ),
        ("192.168.110.0/24 via 192.168.200.254 dev eth1", "192.168.110.0/24 via 192.168.200.254 dev eth1"),
        ("192.168.111.0/24 dev eth2 no_track", "192.168.111.0/24 dev eth2 no_track"),
        ("192.168.112.0/24 via 192.168.100.254", "192.168.112.0/24 via 192.168.100.254"),
        (
            "192.168.113.0/24 via 192.168.200.254 or 192.168.100.254 dev eth1",
            "192.168.113.0/24 nexthop via 192.168.200.254 nexthop via 192.168.100.254",
        ),
        ("blackhole 192.168.114.0/24", "blackhole 192.168.114.0/24"),
        ("prohibit to 10.0.0.0/8 table 0x20", "prohibit 10.0.0.0/8 table 32"),
        ("to unreachable default metric 5", "unreachable default metric 5"),
        ("0.0.0.0/0 gw 192.168.0.1 table 123", "default via 192.168.0.1 table 123"),
        ("inet6 default via fe80::1 dev eth0 pref high", "::/0 via fe80::1 dev eth0 pref 1"),
        ("default6 via fe80::1 dev eth0 pref low expires 30", "::/0 via fe80::1 dev eth0 pref 3 expires 30"),
        ("default dev eth0 via inet6 fe80::1", "::/0 via fe80::1 dev eth0"),
        ("10.0.0.0/8 dev eth0 via inet6 fe80::1", "10.0.0.0/8 via inet6 fe80::1 dev eth0"),
        ("0.0.0.0/0 dev eth0 via inet6 fe80::1", "inet default via inet6 fe80::1 dev eth0"),
        (
            "10.0.0.0/8 dev eth0 mtu lock 1400 advmss 1300 rtt 0.5s rttvar 300ms rto_min 250 hoplimit 64",
            "10.0.0.0/8 dev eth0 mtu lock 1400 rtt 4000 rttvar 1200 advmss 1300 hoplimit 64 rto_min 250",
        ),
        (
            "10.0.0.0/8 dev eth0 features ecn quickack 1 congctl lock cubic initcwnd 10 initrwnd 20 window 9 cwnd lock 3",
            "10.0.0.0/8 dev eth0 window 9 cwnd lock 3 initcwnd 10 features ecn initrwnd 20 quickack 1 congctl lock cubic",
        ),
        (
            "10.0.0.0/8 dev eth0 scope link tos 0x10 protocol static no_track realms 3/4 append",
            "10.0.0.0/8 dev eth0 realms 3/4 tos 0x10 scope 253 protocol 4 append no_track",
        ),
        (
            "10.0.0.0/8 add nexthop via 10.1.0.1 dev eth0 weight 3 onlink nexthop dev eth1 encap ip id 7 dst 10.2.0.1 ttl 9",
            "10.0.0.0/8 add nexthop via 10.1.0.1 dev eth0 weight 3 onlink nexthop dev eth1 encap ip id 7 dst 10.2.0.1 ttl 9",
        ),
        (
            "10.0.0.0/8 encap mpls 100/200 via 10.1.0.1 ttl-propagate enabled",
            "10.0.0.0/8 via 10.1.0.1 ttl-propagate enabled encap mpls 100/200",
        ),
        ("fd00::/8 from fd01::/16 dev eth0 encap ila 1:2:3:4", "fd00::/8 from fd01::/16 dev eth0 encap ila 1:2:3:4"),
        ("10.1.2.3/8 dev eth0 track_group g", "10.0.0.0/8 dev eth0"),
        ("10.1.2.3 dev eth0", "10.1.2.3/32 dev eth0"),
    ] {
        means(read_route, line, meant);
    }
}

#[test]
fn lines_of_rules_are_read_as_ip_rule_means_them() {
    for (line, meant) in [
        ("from 192.168.100.0/24 table 16 priority 100", "from 192.168.100.0/24 priority 100 lookup 16"),
        ("to 10.0.0.0/8 preference 7 lookup main no_track", "from all to 10.0.0.0/8 priority 7 lookup 254 no_track"),
        (
            "not from 10.0.0.0/8 iif eth0 oif eth1 fwmark 0x10/0xff order 7 prohibit",
            "not from 10.0.0.0/8 priority 7 fwmark 0x10/0xff iif eth0 oif eth1 prohibit",
        ),
        ("inet6 priority 9 goto 20", "inet6 from all priority 9 goto 20"),
        (
            "priority 9 ipproto udp sport 53-54 dport 1000-2000 uidrange 0-99 l3mdev",
            "from all priority 9 ipproto 17 sport 53-54 dport 1000-2000 uidrange 0-99 l3mdev",
        ),
        (
            "priority 9 table local suppress_prefixlength 0 suppress_ifgroup 3 realms 5 tunnel-id 12 tos 8",
            "from all priority 9 tos 0x8 tunnel-id 12 realms 5 suppress_prefixlength 0 suppress_ifgroup 3 lookup 255",
        ),
        ("from fd00::/8 priority 9 type blackhole", "from fd00::/8 priority 9 blackhole"),
        ("dev eth0 priority 9 nop track_group g", "from all priority 9 iif eth0 nop"),
    ] {
        means(read_rule, line, meant);
    }
}

#[track_caller]
fn refused(read: Read, line: &str, why: &str) {
    let (found, out) = read(line, Dialect::Native);
    assert_eq!(found, None, "{line}");
    assert!(out.iter().any(|d| d.message.contains(why)), "{line}: {out:?}");
}

#[test]
fn a_route_that_cannot_be_is_refused_with_the_reason() {
    for (line, why) in [
        ("via 10.0.0.1", "without a destination"),
        ("10.0.0.0/8", "without a next hop"),
        ("10.0.0.0/33 dev eth0", "the mask of `10.0.0.0/33` is not from 0 to 32"),
        ("10.0.0.0/8 via", "`via` has no value"),
        ("10.0.0.0/8 via fe80::1", "another family"),
        ("10.0.0.0/8 via inet6 10.0.0.1", "not of the family that stands before it"),
        ("10.0.0.0/8 dev eth0 pref high", "IPv6 routes only"),
        ("fd00::/8 dev eth0 realms 3", "realms are of IPv4 only"),
        ("10.0.0.0/8 dev eth0 table nowhere", "`nowhere` is no routing table"),
        ("10.0.0.0/8 dev eth0 metrc 5", "`metrc` is no word of a route"),
        ("10.0.0.0/8 dev eth0 mtu big", "mtu `big` is no number from 0 to 4294967295"),
        ("10.0.0.0/8 dev eth0 rtt soon", "`soon` is no time"),
        ("10.0.0.0/8 dev a/b", "no name of an interface"),
        ("10.0.0.0/8 nexthop via 10.0.0.1 weight 0", "weight `0` is no number from 1 to 256"),
        ("10.0.0.0/8 nexthop via 10.0.0.1 metric 5", "`metric` is no word"),
        ("10.0.0.0/8 dev eth0 vrf blue", "the table of a VRF"),
        ("10.0.0.0/8 dev eth0 encap gre", "no kind of encap"),
        ("10.0.0.0/8 dev eth0 encap mpls 1048576", "no list of labels"),
        ("blackhole 10.0.0.0/8 dev eth0", "has no next hop"),
        ("nat 10.0.0.0/8 via 10.0.0.1", "no nat routes"),
    ] {
        refused(read_route, line, why);
    }
}

#[test]
fn a_rule_that_cannot_be_is_refused_with_the_reason() {
    for (line, why) in [
        ("from 10.0.0.0/8 priority 5", "does nothing"),
        ("from 10.0.0.0/8 table 5", "without a priority"),
        ("priority 5 table 5 blackhole", "does one thing"),
        ("priority 5 goto 5", "a rule goes forwards"),
        ("priority 5 nop suppress_prefixlength 0", "of rules with a table only"),
        ("priority 5 table 0", "no table 0"),
        ("priority 5 table 5 from 10.0.0.0/8 to fd00::/8", "another family"),
        ("priority 5 table 5 fwmark 1/", "no mark"),
        ("priority 5 table 5 dport 9-3", "no range"),
        ("priority 5 table 5 ipproto ether", "no protocol of IP"),
        ("priority -1 table 5", "priority `-1` is no number"),
    ] {
        refused(read_rule, line, why);
    }
}

#[test]
fn in_keepalived_conf_a_mistake_costs_the_line_and_says_so() {
    let (found, out) = read_route("10.0.0.0/8 via", Dialect::Keepalived);
    assert_eq!(found, None);
    assert!(out[0].notes.iter().any(|note| note.contains("leaves out the route")), "{out:?}");
    // One port is read as it was meant, and what keepalived makes of it is told.
    let (found, out) = read_rule("priority 5 table 5 dport 80", Dialect::Keepalived);
    assert_eq!(found.as_deref(), Some("from all priority 5 dport 80-80 lookup 5"));
    assert!(out[0].notes.iter().any(|note| note.contains("2.2.7")), "{out:?}");
    let rule = rule(&words("table 5"), None, Dialect::Keepalived, &Names::new(&Host::NONE), &mut Vec::new());
    assert!(matches!(rule, Some((_, Priority::Missing))));
}

const VALUES: &[&str] = &[
    "10.0.0.0/8",
    "10.1.2.3",
    "default",
    "fd00::/8",
    "fe80::1",
    "0.0.0.0/0",
    "::/0",
    "eth0",
    "lo",
    "5",
    "0",
    "0x10",
    "4294967295",
    "99999999999",
    "-1",
    "3/4",
    "1-2",
    "lock",
    "ecn",
    "0.5s",
    "300ms",
    "high",
    "enabled",
    "main",
    "all",
    "ip",
    "ip6",
    "mpls",
    "ila",
    "id",
    "dst",
    "ttl",
    "1:2:3:4",
    "forever",
    "",
    "a b",
    "cubic",
    "tcp",
    "/",
    "ünï",
];

fn line(vocabulary: &'static [&'static str]) -> impl Strategy<Value = Vec<String>> {
    let word = prop_oneof![select(vocabulary), select(VALUES), select(&["dev", "via", "nexthop", "to", "table"][..])];
    vec(word.prop_map(str::to_owned), 0..14)
}

fn spanned(line: &[String]) -> Vec<Word> {
    let span = nowhere();
    line.iter().map(|word| Word { text: word.clone(), span, quoted: true, made: false }).collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    #[test]
    fn any_route_that_is_read_reads_the_same_when_it_is_written(line in line(ROUTE_WORDS)) {
        let names = Names::new(&Host::NONE);
        for dialect in [Dialect::Keepalived, Dialect::Native] {
            let mut out = Vec::new();
            let Some(found) = route(&spanned(&line), Some(&mut None), dialect, &names, &mut out) else {
                prop_assert!(line.is_empty() || !out.is_empty(), "left out without a word");
                continue;
            };
            let text = found.to_string();
            let words = super::native_words(Spanned::new(text.as_str(), nowhere()));
            let again = route(&words, None, Dialect::Native, &names, &mut out);
            prop_assert_eq!(again.as_ref(), Some(&found), "{}", text);
        }
    }

    #[test]
    fn any_rule_that_is_read_reads_the_same_when_it_is_written(line in line(RULE_WORDS)) {
        let names = Names::new(&Host::NONE);
        let mut out = Vec::new();
        if let Some((found, _)) = rule(&spanned(&line), Some(&mut None), Dialect::Keepalived, &names, &mut out) {
            let text = found.to_string();
            let words = super::native_words(Spanned::new(text.as_str(), nowhere()));
            let again = rule(&words, None, Dialect::Native, &names, &mut out);
            prop_assert_eq!(again.map(|(rule, _)| rule), Some(found), "{}", text);
        } else {
            prop_assert!(line.is_empty() || !out.is_empty(), "left out without a word");
        }
    }
}
