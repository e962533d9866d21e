//! Mistakes that are easily made in ha.cf, authkeys and haresources, each alone in files that are right otherwise: what is
//! said of them, with the place and what to write.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod common;

use common::{HOST, golden, rendered};
use evenkeel_config::{Host, Input, load_texts};
use std::path::Path;

const HA: &str = "keepalive 2\ndeadtime 30\nauto_failback on\nbcast eth0\nbcast eth1\nnode ha1\nnode ha2\n";
const KEYS: &str = "auth 1\n1 sha1 5f4dcc3b5aa765d61d8327deb882cf99\n";
const RESOURCES: &str = "ha1 192.0.2.100/24/eth0 nginx\n";

/// Lines that are added to ha.cf.
const ADDED: &[&str] = &[
    "keepalive: 2",
    "setenv FOO=bar",
    "include /etc/ha.d/more.cf",
    "auth 1",
    "haresources /etc/ha.d/haresources",
    "ucast 10.0.0.2",
    "ucast eth0 10.0.0.2:694",
    "ucast eth0:694 10.0.0.2",
    "bcast eth0:0",
    "mcast eth0 10.0.0.1 694 1 0",
    "ping 192.0.2.0/24",
    "ping_group 192.0.2.1 192.0.2.2",
    "serial /dev/ttyS0 19200",
    "node 10.0.0.3",
    "respawn hacluster /usr/lib/heartbeat/ipfial",
    "respawn /usr/lib/heartbeat/ipfail",
    "watchdog on",
    "logfile syslog",
    "logfile var/log/ha-log",
    "logfacility local9",
    "env A = b",
    "auto_failback yes please",
];

const AUTHKEYS: &[&str] = &[
    "auth 1\nsha1 not-to-be-shown-at-all\n",
    "auth 1\n1 not-to-be-shown-at-all\n",
    "auth 1\nnot-to-be-shown-at-all\n",
    "auth sha1\n1 sha1 5f4dcc3b5aa765d61d8327deb882cf99\n",
    "auth 1\n1 sha-1 not-to-be-shown-at-all\n",
    "auth 1\n1 sha512 not-to-be-shown-at-all\n",
];

const HARESOURCES: &[&str] = &[
    "ha1: 192.0.2.100/24/eth0",
    "192.0.2.100/24/eth0 nginx",
    "ha1 192.0.2.100/24/eth0, nginx",
    "ha1 192.0.2.100/24/eth0,nginx",
    "ha1 192.0.2.100/eth0/24",
    "ha1 192.0.2.100/33/eth0",
    "ha1 192.0.2.256/24/eth0",
    "ha1 IPaddr:192.0.2.100/24/eth0",
    "ha1 IPAddr::192.0.2.100/24/eth0",
    "ha1 eth0 192.0.2.100",
    "ha1 Filesystem::/dev/sdb1:/mnt:ext4",
    "ha1 Filesystem:/dev/sdb1:/mnt:ext4",
    "ha1 LVM",
    "ha1 ocf::heartbeat::IPaddr2::ip=192.0.2.100",
    "ha1 scripts/start-web",
    "ha1 drbddisk::r0",
];

fn mode(path: &Path) -> Option<u32> {
    match path.to_str()? {
        "/etc/init.d/nginx" | "/etc/ha.d/resource.d/LVM" => Some(0o100_755),
        "/proc/sys/net/ipv4/conf" | "/proc/sys/net/ipv4/conf/eth0" | "/proc/sys/net/ipv4/conf/eth1" => Some(0o040_755),
        _ => None,
    }
}

fn said(ha: &str, keys: &str, resources: &str) -> String {
    let files = [("ha.cf", ha), ("authkeys", keys), ("haresources", resources)];
    let input = |(name, text): (&str, &str)| Input { path: Path::new("/etc/ha.d").join(name), bytes: text.into() };
    let host = Host { node: "ha1", full_name: "ha1", file_mode: &mode, ..HOST };
    rendered(&load_texts(files.map(input).into(), None, &host))
}

#[test]
fn files_without_a_mistake_are_met_by_silence() {
    assert_eq!(said(HA, KEYS, RESOURCES), "");
}

#[test]
fn each_mistake_is_told_with_its_place_and_what_to_write() {
    let mut text = String::new();
    for line in ADDED {
        text += &format!("===== ha.cf: {line}\n{}", said(&format!("{HA}{line}\n"), KEYS, RESOURCES));
    }
    for keys in AUTHKEYS {
        let said = said(HA, keys, RESOURCES);
        assert!(!said.contains("not-to-be"), "{said}");
        text += &format!("===== authkeys\n{said}");
    }
    for line in HARESOURCES {
        text += &format!("===== haresources: {line}\n{}", said(HA, KEYS, &format!("{line}\n")));
    }
    golden("tests/golden/heartbeat-mistakes.txt", &text);
}
