//! What is said of interfaces, devices, scripts, agents and addresses that this host has not, or has itself.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod common;

use common::HOST;
use evenkeel_config::{Host, Input, Loaded, OwnNetwork, load_texts};
use evenkeel_model::heartbeat::Medium;
use std::path::Path;

const KEYS: &str = "auth 1\n1 sha1 5f4dcc3b5aa765d61d8327deb882cf99\n";
const TIMING: &str = "keepalive 1\ndeadtime 30\nauto_failback on\nnode ha1 ha2\n";

/// A host with eth0, eth1 and eth2, which is down; nginx, Filesystem, external/ipmi and fence_ipmilan.
fn mode(path: &Path) -> Option<u32> {
    match path.to_str()? {
        "/dev" | "/usr/lib" | "/proc/sys/net/ipv4/conf" => Some(0o040_755),
        "/proc/sys/net/ipv4/conf/eth0" | "/proc/sys/net/ipv4/conf/eth1" | "/proc/sys/net/ipv4/conf/eth2" => {
            Some(0o120_777)
        }
        "/dev/ttyS0" | "/dev/null" => Some(0o020_600),
        "/dev/watchdog" => Some(0o100_600),
        "/etc/init.d/nginx"
        | "/usr/lib/ocf/resource.d/heartbeat/Filesystem"
        | "/usr/lib/stonith/plugins/external/ipmi"
        | "/usr/sbin/fence_ipmilan" => Some(0o100_755),
        "/usr/lib/systemd/system/nfs-server.service" => Some(0o100_644),
        _ => None,
    }
}

fn sort(path: &Path) -> Option<String> {
    Some(if path == Path::new("/dev/null") { "mem" } else { "tty" }.to_owned())
}

fn names(directory: &Path) -> Vec<String> {
    let names: &[&str] = match directory.to_str().unwrap() {
        "/etc/init.d" => &["nginx", "cron"],
        "/usr/lib/ocf/resource.d/heartbeat" => &["Filesystem", "apache"],
        "/usr/lib/stonith/plugins/external" => &["ipmi"],
        "/usr/lib/systemd/system" => &["nfs-server.service", "rsyslog.service"],
        "/usr/sbin" => &["fence_ipmilan", "useradd"],
        _ => &[],
    };
    names.iter().map(|name| (*name).to_owned()).collect()
}

fn network() -> OwnNetwork {
    OwnNetwork { addresses: [[10, 0, 0, 1].into(), [192, 0, 2, 1].into()].into(), down: ["eth2".to_owned()].into() }
}

const HA1: Host<'static> = Host {
    node: "ha1",
    full_name: "ha1",
    file_mode: &mode,
    device_sort: &sort,
    list_directory: &names,
    network: &network,
    ..HOST
};

fn three(media: &str, resources: &str, host: &Host<'_>) -> Loaded {
    let ha = format!("{media}{TIMING}");
    let files = [("ha.cf", ha.as_str()), ("authkeys", KEYS), ("haresources", resources)];
    let input = |(name, text): (&str, &str)| Input { path: Path::new("/etc/ha.d").join(name), bytes: text.into() };
    load_texts(files.into_iter().map(input).collect(), None, host)
}

/// `ha.cf:1:8 warning: message (help)`
fn told(loaded: &Loaded) -> Vec<String> {
    let one = |d: &evenkeel_source::Diagnostic| {
        let place = d.place().map_or("-".to_owned(), |span| loaded.sources.place(span));
        let fix = d.fix.as_ref().map(|fix| fix.message.clone());
        let help = fix.or(d.helps.first().cloned()).unwrap_or_default();
        format!("{} {}: {} ({help})", place.trim_start_matches("/etc/ha.d/"), d.severity.name(), d.message)
    };
    loaded.diagnostics.iter().map(one).collect()
}

fn of_media(media: &str) -> Vec<String> {
    told(&three(media, "ha1 192.0.2.100/24/eth0 nginx\n", &HA1))
}

fn of_resources(resources: &str) -> Vec<String> {
    told(&three("bcast eth0 eth1\n", &format!("ha1 192.0.2.100/24/eth0 {resources}\n"), &HA1))
}

#[test]
fn a_unicast_line_of_this_host_is_for_the_others_and_alone_it_is_a_mistake() {
    let both = "ucast eth1 10.0.0.1\nucast eth1 10.0.0.2\nbcast eth0\n";
    assert_eq!(of_media(both), ["ha.cf:1:1 note: 10.0.0.1 is this host: the line is for the others ()"]);
    let media = three(both, "ha1 192.0.2.100/24/eth0\n", &HA1).cluster.unwrap().heartbeat.unwrap().media;
    assert_eq!(media.len(), 2, "{media:?}");
    assert!(matches!(&media[0], Medium::Unicast { peer, .. } if *peer == std::net::IpAddr::from([10, 0, 0, 2])));
    let help = "write the other node's address; the line of this one may stay beside it";
    let message = "every unicast path leads to this host itself";
    assert_eq!(
        of_media("ucast eth1 10.0.0.1\nucast eth0 192.0.2.1\n"),
        [format!("ha.cf:1:1 error: {message} ({help})")]
    );
    assert_eq!(of_media("ucast eth1 10.0.0.1\nbcast eth0 eth1\n"), [format!("ha.cf:1:1 warning: {message} ({help})")]);
    // Looked at for the other node, they are as they stand.
    let there = three(both, "ha1 192.0.2.100/24/eth0\n", &HA1.called(Some("ha2")));
    assert_eq!(there.cluster.unwrap().heartbeat.unwrap().media.len(), 3);
    assert!(told(&three(both, "ha1 192.0.2.100/24/eth0\n", &HA1.called(Some("HA1"))))[0].contains("is this host"));
}

#[test]
fn the_same_holds_for_the_native_file() {
    let text = |links: &str| {
        format!(
            "[cluster]\nlinks = [{links}]\nsecret = {{ sha1 = \"86f3d2c0a5b94e17cc20d3f1\" }}\nwatchdog = \"/dev/watchdog\"\n\
             [cluster.nodes]\nha1 = {{}}\nha2 = {{}}\n[group.web]\nresources = [\"ip:192.0.2.100/24@eth0\", \
             \"systemd:nfs-sever\"]\n[fence.ha2]\ndevice = \"fence_ipmilna\"\n"
        )
    };
    let load =
        |links: &str| load_texts(vec![Input { path: "evenkeel.toml".into(), bytes: text(links).into() }], None, &HA1);
    let loaded = load(
        r#"{ ucast = "eth1", peer = "10.0.0.1" }, { ucast = "eth1", peer = "10.0.0.2" }, "eth0", { serial = "/dev/null" }"#,
    );
    let all = told(&loaded);
    let has = |text: &str| assert!(all.iter().any(|one| one.contains(text)), "{text}: {all:#?}");
    has("note: 10.0.0.1 is this host");
    has("warning: /dev/null is no tty but a device of the sort `mem`");
    has("warning: /dev/watchdog is no device (modprobe softdog)");
    has("warning: systemd has no unit nfs-sever.service on this host (did you mean nfs-server.service?)");
    has("warning: there is no fence agent fence_ipmilna on this host (did you mean fence_ipmilan?)");
    assert_eq!((all.len(), loaded.cluster.unwrap().heartbeat.unwrap().media.len()), (5, 3), "{all:#?}");
    let all = told(&load(r#"{ ucast = "eth1", peer = "10.0.0.1" }"#));
    assert!(all.iter().any(|one| one.contains("error: every unicast path leads to this host itself")), "{all:#?}");
}

#[test]
fn interfaces_and_devices_that_are_not_there_or_down_are_told() {
    assert_eq!(
        of_media("bcast eth0 eth2\nmcast eth7 225.0.0.1 694 1 0\nserial /dev/ttyS0 /dev/ttyS1 /dev/null\n"),
        [
            "ha.cf:1:12 warning: interface eth2 is down (ip link set eth2 up)",
            "ha.cf:2:7 warning: this host has no interface eth7 ()",
            "ha.cf:3:19 warning: this host has no /dev/ttyS1 ()",
            "ha.cf:3:30 warning: /dev/null is no tty but a device of the sort `mem` ()",
        ]
    );
    assert_eq!(
        of_media("bcast eth0 eth1\nwatchdog /dev/watchdog\n"),
        ["ha.cf:2:10 warning: /dev/watchdog is no device (modprobe softdog)"]
    );
    assert_eq!(of_media("bcast eth0\nserial /dev/ttyS0\n"), [""; 0]);
}

#[test]
fn scripts_agents_and_units_that_are_not_there_are_told_with_what_is_near() {
    assert_eq!(
        of_resources("ngnix::a"),
        ["haresources:1:25 warning: there is no script `ngnix` on this host (did you mean `nginx`?)"]
    );
    assert_eq!(
        of_resources("rsylog"),
        ["haresources:1:25 warning: there is no script `rsylog` on this host (did you mean `rsyslog`?)"]
    );
    assert_eq!(
        of_resources("Filesytem::/dev/sdb1::/data"),
        ["haresources:1:25 warning: there is no script `Filesytem` on this host (did you mean `Filesystem`?)"]
    );
    assert_eq!(
        of_resources("ocf:heartbeat:Filesystme::device=/dev/sdb1"),
        [
            "haresources:1:25 warning: there is no OCF agent heartbeat:Filesystme on this host (did you mean Filesystem?)"
        ]
    );
    assert_eq!(
        of_resources("MailTo::root"),
        ["haresources:1:25 warning: there is no OCF agent heartbeat:MailTo on this host (install resource-agents)"]
    );
    assert_eq!(
        of_resources("systemd:nfs-sever"),
        [
            "haresources:1:25 warning: systemd has no unit nfs-sever.service on this host (did you mean nfs-server.service?)"
        ]
    );
    assert_eq!(of_resources("nginx Filesystem::/dev/sdb1::/data systemd:nfs-server"), [""; 0]);
}

#[test]
fn stonith_plugins_that_are_not_there_are_told() {
    let media = |line: &str| of_media(&format!("bcast eth0 eth1\n{line}\n"));
    assert_eq!(media("stonith_host * external/ipmi ha2 10.0.0.12"), [""; 0]);
    assert_eq!(
        media("stonith_host * external/impi ha2 10.0.0.12"),
        ["ha.cf:2:16 warning: there is no stonith plugin external/impi on this host (did you mean external/ipmi?)"]
    );
    assert_eq!(
        media("stonith ibmhmc /etc/ha.d/conf/stonith.cfg"),
        ["ha.cf:2:9 warning: there is no stonith plugin ibmhmc on this host (`stonith -L` lists those that are here)"]
    );
}
