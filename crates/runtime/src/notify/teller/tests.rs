use super::*;
use evenkeel_config::{Format, Host, Input, load_texts};
use evenkeel_model::notify::MailRoute;
use std::collections::BTreeSet;

const VRRP: &str = include_str!("../../../../../tests/conformance/notify/vrrp.lines");
const LVS: &str = include_str!("../../../../../tests/conformance/notify/lvs.lines");
const MAILS: &str = include_str!("../../../../../tests/conformance/notify/lvs.mails");

/// What a keepalived.conf means.
fn read(text: &str) -> Cluster {
    let input = Input { path: "keepalived.conf".into(), bytes: text.as_bytes().to_vec() };
    let loaded = load_texts(vec![input], Some(Format::Keepalived), &Host::NONE);
    loaded.cluster.unwrap_or_else(|| panic!("{:#?}", loaded.diagnostics))
}

const GLOBALS: &str = "global_defs {\n router_id R1\n notification_email {\n a@example.org\n }\n smtp_server 127.0.0.1\n \
                       vrrp_notify_priority_changes\n}\n";

fn role(name: &str) -> String {
    let word = |moment: &str| format!("notify_{moment} \"/bin/told {name} {moment}\"\n");
    let words: String = ["master", "backup", "fault", "stop"].map(word).concat();
    format!("{words}notify \"/bin/told {name} any\"\n")
}

fn instance(name: &str, id: u8, priority: u8, more: &str) -> String {
    let head = format!("vrrp_instance {name} {{\n interface eth0\n virtual_router_id {id}\n priority {priority}\n");
    let lower = format!("notify_master_rx_lower_pri \"/bin/told {name} lower\"\n");
    let addresses = format!("virtual_ipaddress {{\n 192.0.2.{id}\n }}\n");
    format!("{head}{addresses}{}{lower}{more}}}\n", role(name))
}

/// The cluster of the recording; `more` is what V3 says besides.
fn elections(more: &str) -> Cluster {
    let group = format!("vrrp_sync_group G1 {{\n group {{\n V1\n V2\n }}\n {}}}\n", role("G1"));
    let instances = [instance("V1", 1, 120, ""), instance("V2", 2, 120, ""), instance("V3", 3, 110, more)].concat();
    read(&format!("{GLOBALS}{group}{instances}"))
}

fn teller(cluster: &Cluster) -> Teller {
    let mut teller = Teller::default();
    teller.configure(cluster, &mut Vec::new());
    teller
}

fn lines(deeds: &[Deed]) -> String {
    let line = |deed: &Deed| match deed {
        Deed::Line(_, line) => Some(line.clone()),
        Deed::Run { .. } | Deed::Mail { .. } => None,
    };
    deeds.iter().filter_map(line).collect()
}

/// What scripts get: their own argument, and what tells.
fn runs(deeds: &[Deed]) -> Vec<String> {
    let run = |deed: &Deed| match deed {
        Deed::Run { script, more, .. } => Some([&script.arguments[..], more].concat().join(" ")),
        Deed::Line(..) | Deed::Mail { .. } => None,
    };
    deeds.iter().filter_map(run).collect()
}

fn mails(deeds: &[Deed]) -> Vec<String> {
    let mail = |deed: &Deed| match deed {
        Deed::Mail { subject, body } => Some(format!("[R1] {subject}\n{}\n", body.lines().next().unwrap_or_default())),
        Deed::Line(..) | Deed::Run { .. } => None,
    };
    deeds.iter().filter_map(mail).collect()
}

/// The part of a recording behind a heading; empty: that before the first.
fn part<'a>(recording: &'a str, heading: &str) -> &'a str {
    let begin = match heading {
        "" => 0,
        _ => {
            let line = format!("--- {heading}\n");
            recording.find(&line).unwrap_or_else(|| panic!("no {line}")) + line.len()
        }
    };
    let rest = &recording[begin..];
    &rest[..rest.find("---").unwrap_or(rest.len())]
}

#[test]
fn instances_and_groups_are_told_of_line_by_line_as_keepalived_does() {
    let mut teller = teller(&elections(""));
    let mut turn = |name: &str, moment, priority| {
        let mut deeds = Vec::new();
        teller.turned(name, moment, priority, &mut deeds);
        lines(&deeds)
    };
    let all = |turn: &mut dyn FnMut(&str, Moment, u8) -> String, order: [&str; 3], moment| -> String {
        order.map(|name| turn(name, moment, if name == "V3" { 110 } else { 120 })).concat()
    };
    let begun =
        all(&mut turn, ["V1", "V2", "V3"], Moment::Backup) + &all(&mut turn, ["V2", "V1", "V3"], Moment::Master);
    assert_eq!(begun, part(VRRP, ""));
    assert_eq!(all(&mut turn, ["V1", "V2", "V3"], Moment::Fault), part(VRRP, "link down"));
    let up = all(&mut turn, ["V1", "V2", "V3"], Moment::Backup) + &all(&mut turn, ["V2", "V1", "V3"], Moment::Master);
    assert_eq!(up, part(VRRP, "link up"));
    assert_eq!(all(&mut turn, ["V1", "V2", "V3"], Moment::Stop), part(VRRP, "stop"));
}

#[test]
fn priorities_and_lower_masters_are_told_of_as_keepalived_does() {
    let mut teller = teller(&elections(""));
    teller.turned("V3", Moment::Master, 110, &mut Vec::new());
    let mut deeds = Vec::new();
    teller.priority_changed("V3", 90, &mut deeds);
    teller.priority_changed("V3", 90, &mut deeds);
    teller.turned("V3", Moment::Backup, 90, &mut deeds);
    assert_eq!(lines(&deeds), part(VRRP, "script fails: priority falls"));
    let mut deeds = Vec::new();
    teller.priority_changed("V3", 110, &mut deeds);
    teller.turned("V3", Moment::Master, 110, &mut deeds);
    assert_eq!(lines(&deeds), part(VRRP, "script ok"));
    let mut deeds = Vec::new();
    teller.lower_heard("V3", &mut deeds);
    assert_eq!(lines(&deeds), part(VRRP, "the other hears nothing for a while"));
    // The script for all hears nothing of it.
    assert_eq!(runs(&deeds), ["V3 lower"]);
}

#[test]
fn scripts_get_their_own_arguments_and_the_one_for_all_four_more() {
    let mut teller = teller(&elections(""));
    let mut deeds = Vec::new();
    teller.turned("V1", Moment::Backup, 120, &mut deeds);
    let wanted = ["G1 backup", "G1 any GROUP G1 BACKUP 0", "V1 backup", "V1 any INSTANCE V1 BACKUP 120"];
    assert_eq!(runs(&deeds), wanted);
    // One after the other for each that is told of, and no others.
    let subjects: BTreeSet<&str> = deeds
        .iter()
        .filter_map(|deed| match deed {
            Deed::Run { subject, .. } => Some(subject.as_str()),
            Deed::Line(..) | Deed::Mail { .. } => None,
        })
        .collect();
    assert_eq!(Vec::from_iter(subjects), ["GROUP G1", "INSTANCE V1"]);
}

#[test]
fn mails_of_instances_go_where_they_are_asked_for_and_faults_may_be_left_out() {
    let mut cluster = elections("smtp_alert\n");
    cluster.notify.groups.get_mut("G1").unwrap().mail = true;
    let mut loud = teller(&cluster);
    let mut deeds = Vec::new();
    for name in ["V1", "V2", "V3"] {
        loud.turned(name, Moment::Fault, 110, &mut deeds);
    }
    let wanted = [
        "[R1] VRRP Group G1 - Entering FAULT state\n=> All VRRP group instances are now in FAULT state <=\n",
        "[R1] VRRP Instance V3 - Entering FAULT state\n=> VRRP Instance is no longer owning VRRP VIPs <=\n",
    ];
    assert_eq!(mails(&deeds), wanted);
    cluster.notify.mail = cluster.notify.mail.map(|route| MailRoute { faults: false, ..route });
    let mut quiet = teller(&cluster);
    let mut deeds = Vec::new();
    quiet.turned("V3", Moment::Fault, 110, &mut deeds);
    assert_eq!(mails(&deeds), Vec::<String>::new());
    quiet.turned("V3", Moment::Stop, 110, &mut deeds);
    assert_eq!(mails(&deeds), ["[R1] VRRP Instance V3 - Stopping\n=> VRRP Instance stopping <=\n"]);
}

#[test]
fn what_a_reload_removes_is_told_once_as_it_ends_and_the_rest_goes_on() {
    let mut cluster = elections("notify_deleted \"/bin/told V3 deleted\"\n");
    let mut teller = teller(&cluster);
    for name in ["V1", "V2", "V3"] {
        teller.turned(name, Moment::Master, 110, &mut Vec::new());
    }
    cluster.vrrp.instances.truncate(1);
    cluster.notify.states_on_reload = true;
    let mut deeds = Vec::new();
    teller.configure(&cluster, &mut deeds);
    assert_eq!(lines(&deeds), "GROUP \"G1\" MASTER 0\nINSTANCE \"V1\" MASTER 110\n");
    let mut deeds = Vec::new();
    for name in ["V2", "V3"] {
        teller.turned(name, Moment::Stop, 110, &mut deeds);
        teller.turned(name, Moment::Stop, 110, &mut deeds);
    }
    assert_eq!(lines(&deeds), "INSTANCE \"V2\" FAULT 110\nINSTANCE \"V3\" DELETED 110\n");
    assert_eq!(runs(&deeds)[2..], ["V3 deleted", "V3 any INSTANCE V3 DELETED 110"]);
}

const WEB: &str = "10.88.0.100:80/tcp";
/// Instead of an address: the engine tells of the quorum, or of a service without one.
const QUORUM: &str = "quorum";
const SERVED: &str = "served";
const MARKED: &str = "mark-7";

/// The cluster of the recording; the virtual server on an address and its first real server say more.
fn services(of_web: &str, of_first: &str) -> Cluster {
    let told = |name: &str| format!("notify_up \"/bin/told {name} up\"\n notify_down \"/bin/told {name} down\"\n");
    let real = |last: u8, more: &str| {
        let told = told(&last.to_string());
        format!("real_server 127.0.0.{last} 80 {{\n {told} {more} TCP_CHECK {{\n }}\n }}\n")
    };
    let reals = real(11, of_first) + &real(12, "") + &real(13, "");
    let quorum = "quorum_up \"/bin/told up\"\n quorum_down \"/bin/told down\"\n smtp_alert\n";
    let marked = format!(
        "real_server 127.0.0.11 {{\n {} HTTP_GET {{\n connect_port 80\n url {{\n path /\n }}\n }}\n }}\n",
        told("marked")
    );
    read(&format!(
        "{GLOBALS}virtual_server 10.88.0.100 80 {{\n lb_kind DR\n protocol TCP\n {quorum} {of_web} {reals}}}\n\
         virtual_server fwmark 7 {{\n lb_kind DR\n {quorum} {marked}}}\n"
    ))
}

fn event(service: &str, address: &str, up: bool) -> Event {
    if address == QUORUM {
        let (service, fallback) = (service.to_owned(), None);
        return if up {
            Event::QuorumReached { service, weight: 3, lost_s: 1, fallback }
        } else {
            Event::QuorumLost { service, weight: 0, needed: 1, fallback }
        };
    }
    if address == SERVED {
        let service = service.to_owned();
        return if up { Event::ServiceUp { service, down_s: 1 } } else { Event::ServiceDown { service, idle: 0 } };
    }
    let (service, server, address, why) = (service.into(), address.into(), address.into(), String::new());
    if up {
        let (weight, drained, up, of) = (1, false, 1, 1);
        Event::ServerUp { service, server, address, why, down_s: None, weight, drained, up, of }
    } else {
        let (failed, quiesced, up, of) = (1, false, 0, 1);
        Event::ServerDown { service, server, address, why, failed, up_s: None, quiesced, up, of, fallback: None }
    }
}

/// Service, address, and whether it is up.
type Heard = (&'static str, &'static str, bool);

#[test]
fn real_servers_and_quorums_are_told_of_line_by_line_as_keepalived_does() {
    let mut teller = teller(&services("quorum 2\n hysteresis 1\n", ""));
    let mut hear = |events: &[Heard]| {
        let mut deeds = Vec::new();
        for (service, address, up) in events {
            teller.hear(&event(service, address, *up), &mut deeds);
            teller.hear(&event(service, address, *up), &mut deeds);
        }
        deeds
    };
    let [one, two, three, marked] = ["127.0.0.11:80", "127.0.0.12:80", "127.0.0.13:80", "127.0.0.11:0"];
    let steps: [(&str, &[Heard]); 7] = [
        ("", &[(WEB, one, true), (WEB, two, true), (WEB, three, true), (MARKED, marked, true)]),
        ("127.0.0.12 down", &[(WEB, two, false)]),
        ("127.0.0.11 down", &[(MARKED, marked, false), (MARKED, SERVED, false), (WEB, one, false)]),
        ("127.0.0.13 down", &[(WEB, three, false), (WEB, QUORUM, false)]),
        ("127.0.0.12 up", &[(WEB, two, true)]),
        ("127.0.0.11 up", &[(WEB, one, true), (MARKED, marked, true), (MARKED, SERVED, true)]),
        ("127.0.0.13 up", &[(WEB, three, true), (WEB, QUORUM, true)]),
    ];
    for (heading, events) in steps {
        let deeds = hear(events);
        assert_eq!(lines(&deeds), part(LVS, heading), "{heading}");
        // Mails travel side by side, so that their order is chance.
        let recorded = part(MAILS, heading);
        let wanted: BTreeSet<String> =
            recorded.lines().collect::<Vec<_>>().chunks(2).map(|mail| mail.join("\n") + "\n").collect();
        assert_eq!(BTreeSet::from_iter(mails(&deeds)), wanted, "{heading}");
    }
}

#[test]
fn at_the_end_what_is_up_goes_down_where_omega_says_so() {
    let mut teller = teller(&services("omega\n", ""));
    for (service, address) in [(WEB, "127.0.0.11:80"), (MARKED, "127.0.0.11:0")] {
        teller.hear(&event(service, address, true), &mut Vec::new());
    }
    let mut deeds = Vec::new();
    teller.end(&mut deeds);
    let wanted = "RS [127.0.0.11]:tcp:80 [10.88.0.100]:tcp:80 DOWN\nVS [10.88.0.100]:tcp:80 DOWN\n";
    assert_eq!(lines(&deeds), wanted);
    assert_eq!(runs(&deeds), ["11 down", "down"]);
}

#[test]
fn a_good_first_check_is_told_where_that_is_asked_for_and_a_bad_one_always() {
    let mut teller = teller(&services("", "alpha\n"));
    let mut deeds = Vec::new();
    teller.hear(&event(WEB, "127.0.0.11:80", true), &mut deeds);
    teller.hear(&event(WEB, "127.0.0.12:80", true), &mut deeds);
    teller.hear(&event(WEB, "127.0.0.13:80", false), &mut deeds);
    let wanted = "RS [127.0.0.11]:tcp:80 [10.88.0.100]:tcp:80 UP\nVS [10.88.0.100]:tcp:80 UP\n\
                  RS [127.0.0.13]:tcp:80 [10.88.0.100]:tcp:80 DOWN\n";
    assert_eq!(lines(&deeds), wanted);
}
