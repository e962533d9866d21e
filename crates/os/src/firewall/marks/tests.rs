use super::*;

fn marks(rules: &str) -> Marks {
    Marks::from_iptables_save(&format!("*mangle\n:PREROUTING ACCEPT [0:0]\n{rules}\nCOMMIT\n"), true)
}

fn shown(marks: &Marks) -> Vec<String> {
    let all = marks.matches.iter().flat_map(|((mark, family), list)| {
        let suffix = if *family == Family::V6 { "/6" } else { "" };
        list.iter().map(move |one| format!("{mark}{suffix}: {one}"))
    });
    all.collect()
}

fn refused(marks: &Marks) -> Vec<String> {
    marks.unexpressed.iter().map(|rule| format!("{:?} {}", rule.mark.map(NonZeroU32::get), rule.why)).collect()
}

#[test]
fn what_ldirectord_s_manual_writes_is_followed() {
    let found = marks(
        "-A PREROUTING -d 192.0.2.1/32 -p tcp -m tcp --dport 80 -j MARK --set-xmark 0x1/0xffffffff\n\
         -A PREROUTING -d 192.0.2.1/32 -p tcp -m multiport --dports 443,8000:8010 -m comment --comment \"a b\" -j MARK --set-xmark 0x1/0xffffffff\n\
         [5:300] -A PREROUTING -s 198.51.100.0/24 -d 192.0.2.0/255.255.255.0 -p esp -j MARK --set-xmark 0x2/0xffffffff",
    );
    assert_eq!(
        shown(&found),
        [
            "1: 192.0.2.1/32 tcp 80",
            "1: 192.0.2.1/32 tcp 443",
            "1: 192.0.2.1/32 tcp 8000-8010",
            "2: 192.0.2.0/24 protocol 50 from 198.51.100.0/24"
        ]
    );
    assert_eq!(refused(&found), Vec::<String>::new());
}

#[test]
fn what_asks_for_more_is_named() {
    let found = marks(
        "-A PREROUTING -i eth0 -d 192.0.2.1/32 -j MARK --set-xmark 0x1/0xffffffff\n\
         -A PREROUTING ! -s 10.0.0.0/8 -d 192.0.2.1/32 -j MARK --set-xmark 0x2/0xffffffff\n\
         -A PREROUTING -d 192.0.2.1/32 -m state --state NEW -j MARK --set-xmark 0x3/0xffffffff\n\
         -A PREROUTING -d 192.0.2.1/32 -j MARK --set-xmark 0x4/0xff\n\
         -A PREROUTING -j CONNMARK --restore-mark --nfmask 0xffffffff --ctmask 0xffffffff\n\
         -A PREROUTING -d 192.0.2.1/255.0.255.0 -j MARK --set-xmark 0x5/0xffffffff",
    );
    assert_eq!(shown(&found), Vec::<String>::new());
    assert_eq!(
        refused(&found),
        [
            "Some(1) asks for `-i`",
            "Some(2) asks for `! -s`",
            "Some(3) asks for `-m state`",
            "None changes a part of the mark (`--set-xmark 0x4/0xff`)",
            "None takes the mark from the connection",
            "Some(5) asks for the addresses `192.0.2.1/255.0.255.0`",
        ]
    );
    assert!(found.unexpressed[0].rule.starts_with("ip mangle PREROUTING: -i eth0 -d 192.0.2.1/32"));
}

#[test]
fn the_last_mark_counts_and_what_overlaps_is_named() {
    let found = marks(
        "-A PREROUTING -d 192.0.2.1/32 -p tcp --dport 80 -j MARK --set-xmark 0x1/0xffffffff\n\
         -A PREROUTING -d 192.0.2.0/24 -p tcp --dport 80 -j MARK --set-xmark 0x2/0xffffffff\n\
         -A PREROUTING -d 192.0.2.7/32 -p tcp --dport 80 -j MARK --set-xmark 0x3/0xffffffff",
    );
    assert_eq!(shown(&found), ["3: 192.0.2.7/32 tcp 80"], "1 is covered by 2, and 2 is cut by 3");
    assert_eq!(
        refused(&found),
        [
            "Some(2) is overruled for some of its packets by `ip mangle PREROUTING: -d 192.0.2.7/32 -p tcp --dport 80 -j MARK --set-xmark 0x3/0xffffffff`"
        ]
    );
}

#[test]
fn chains_are_followed_and_what_leaves_them_is_heeded() {
    let found = marks(
        ":WEB - [0:0]\n\
         -A PREROUTING -d 192.0.2.9/32 -j ACCEPT\n\
         -A PREROUTING -d 192.0.2.0/24 -p tcp -j WEB\n\
         -A PREROUTING -d 192.0.2.9/32 -j MARK --set-xmark 0x9/0xffffffff\n\
         -A PREROUTING -d 192.0.2.3/32 -p tcp --dport 80 -j MARK --set-xmark 0x4/0xffffffff\n\
         -A WEB -d 192.0.2.3/32 -j RETURN\n\
         -A WEB -d 192.0.2.1/32 -p tcp --dport 80 -j MARK --set-xmark 0x1/0xffffffff\n\
         -A WEB -d 192.0.2.3/32 -p tcp --dport 80 -j MARK --set-xmark 0x2/0xffffffff\n\
         -A WEB -p tcp --dport 81 -j MARK --set-xmark 0x5/0xffffffff",
    );
    assert_eq!(shown(&found), ["1: 192.0.2.1/32 tcp 80", "4: 192.0.2.3/32 tcp 80"]);
    assert_eq!(refused(&found), ["Some(5) some of its packets never come to it"]);
}

#[test]
fn rules_of_nftables_are_followed_in_the_order_of_their_chains() {
    let chain = |name: &str, hook: &str, priority: i32| {
        format!(
            r#"{{"chain":{{"family":"inet","table":"m","name":"{name}","type":"filter","hook":"{hook}","prio":{priority},"policy":"accept"}}}}"#
        )
    };
    let rule = |chain: &str, expressions: &str| {
        format!(r#"{{"rule":{{"family":"inet","table":"m","chain":"{chain}","handle":1,"expr":[{expressions}]}}}}"#)
    };
    let daddr = |right: &str| {
        format!(r#"{{"match":{{"op":"==","left":{{"payload":{{"protocol":"ip","field":"daddr"}}}},"right":{right}}}}}"#)
    };
    let dport = |right: &str| {
        format!(
            r#"{{"match":{{"op":"==","left":{{"payload":{{"protocol":"tcp","field":"dport"}}}},"right":{right}}}}}"#
        )
    };
    let set = |mark: u32| format!(r#"{{"mangle":{{"key":{{"meta":{{"key":"mark"}}}},"value":{mark}}}}}"#);
    let net = r#"{"prefix":{"addr":"192.0.2.0","len":24}}"#;
    let objects = [
        chain("late", "input", -150),
        chain("early", "prerouting", -150),
        rule("late", &format!("{},{}", daddr("\"192.0.2.1\""), set(2))),
        rule("early", &format!("{},{},{}", daddr(net), dport(r#"{"set":[80,{"range":[443,445]}]}"#), set(1))),
        rule("early", &format!(r#"{},{}"#, dport("53"), set(7))),
        rule(
            "early",
            &format!(r#"{{"match":{{"op":"==","left":{{"meta":{{"key":"iifname"}}}},"right":"eth0"}}}},{}"#, set(8)),
        ),
    ];
    let found = Marks::from_nft_json(&format!(r#"{{"nftables":[{}]}}"#, objects.join(","))).unwrap();
    assert_eq!(
        shown(&found),
        ["2: 192.0.2.1/32", "7/6: ::/0 tcp 53"],
        "1 and 7 are cut by 2, which is later: only IPv6 is left of 7"
    );
    assert_eq!(found.unexpressed.iter().filter(|rule| rule.why.starts_with("is overruled")).count(), 2, "{found:#?}");
    assert!(refused(&found).iter().any(|why| why.starts_with("Some(8) asks for `")), "{found:#?}");
}

#[test]
fn chains_of_iptables_nft_are_left_to_iptables() {
    let objects = r#"{"nftables":[{"chain":{"family":"ip","table":"mangle","name":"PREROUTING","type":"filter","hook":"prerouting","prio":-150}},
        {"rule":{"family":"ip","table":"mangle","chain":"PREROUTING","handle":2,"expr":[{"xt":{"type":"target","name":"MARK"}}]}}]}"#;
    assert_eq!(Marks::from_nft_json(objects).unwrap(), Marks::default());
    assert!(Marks::from_nft_json("{").is_err());
}
