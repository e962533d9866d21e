//! Tunnels: are packets unwrapped after `up`, and is nothing left after `down`?

#![allow(clippy::expect_used, reason = "a test")]

use std::{net::IpAddr, os::fd::AsFd, process};

use evenkeel_netlink::{Address, Netlink, VethEnd};
use evenkeel_os::Namespace;
use evenkeel_realserver::{Error, Finding, KernelTunnel, Step, Tunnel, down, script, status, up_kernel, up_tunnel};

#[test]
fn tunnel_packets_are_unwrapped_until_down() {
    if !rustix::process::geteuid().is_root() {
        println!("skipped: needs root");
        return;
    }
    let name = format!("ektun{}", process::id());
    let namespace = Namespace::create(&name).expect("create a namespace");
    let mut netlink = Netlink::open_in(namespace.as_fd()).expect("netlink");
    netlink.create_veth(VethEnd::new("e0"), VethEnd::new("e1")).expect("veth");
    for (device, address) in [("e0", "192.0.2.2"), ("e1", "192.0.2.3")] {
        let index = netlink.link(device).expect("ask").expect("there").index;
        netlink.set_up(index, true).expect("up");
        netlink.add_address(&Address::new(index, address.parse().expect("an address"), 24)).expect("address");
    }
    let vips: Vec<IpAddr> = ["192.0.2.80", "2001:db8::80"].map(|vip| vip.parse().expect("an address")).into();
    let directory = tempfile::tempdir().expect("a directory");
    let directory = directory.path().join("state");
    let tunnel = Tunnel { devices: vec!["e0".to_owned()], gue_port: 6080 };
    let (report, found, gone, after) = namespace
        .run(|| {
            let first = up_tunnel(&directory, &vips, &tunnel).expect("up");
            let again = up_tunnel(&directory, &vips[..1], &tunnel).expect("up again");
            assert!(again.steps.contains(&Step::AlreadyUp(vips[0])));
            let found = status(&directory).expect("status");
            let gone = down(&directory, &[]).expect("down");
            (first, found, gone, status(&directory).expect("status"))
        })
        .expect("enter");
    // 1500 - 52 - 40 and - 60.
    assert!(report.steps.contains(&Step::Unwraps { vip: vips[0], mss: 1408 }), "{report}");
    assert!(report.steps.contains(&Step::Unwraps { vip: vips[1], mss: 1388 }), "{report}");
    assert!(found.is_up(), "{found}");
    assert!(found.findings.contains(&Finding::Unwraps { vip: vips[0], mss: 1408 }), "{found}");
    let attached = |finding: &&Finding| matches!(finding, Finding::Attached { device, .. } if device == "e0");
    assert_eq!(found.findings.iter().filter(attached).count(), 1, "{found}");
    assert!(gone.steps.contains(&Step::NoLongerUnwraps(vips[1])), "{gone}");
    assert_eq!(after.findings, []);
    let left = process::Command::new("ip").args(["netns", "exec", &name, "bpftool", "net", "show"]).output();
    let left = String::from_utf8_lossy(&left.expect("bpftool").stdout).into_owned();
    assert!(!left.contains("evenkeel"), "{left}");
    Namespace::delete(&name).expect("delete");
}

#[test]
fn without_such_devices_in_the_kernel_nothing_is_changed_and_with_them_all_is_undone() {
    if !rustix::process::geteuid().is_root() {
        println!("skipped: needs root");
        return;
    }
    let name = format!("ekdev{}", process::id());
    let namespace = Namespace::create(&name).expect("create a namespace");
    let mut netlink = Netlink::open_in(namespace.as_fd()).expect("netlink");
    netlink.create_veth(VethEnd::new("e0"), VethEnd::new("e1")).expect("veth");
    let index = netlink.link("e0").expect("ask").expect("there").index;
    netlink.add_address(&Address::new(index, "192.0.2.2".parse().expect("an address"), 24)).expect("address");
    let vips: [IpAddr; 1] = ["192.0.2.80".parse().expect("an address")];
    let directory = tempfile::tempdir().expect("a directory");
    let directory = directory.path().join("state");
    for (tunnel, missing) in [
        (KernelTunnel::Ipip, ("ipip", "ipip")),
        (KernelTunnel::Gre { checksum: true }, ("gre", "ip_gre")),
        (KernelTunnel::Gue(6080), ("ipip", "ipip")),
    ] {
        let (outcome, at_once) = namespace
            .run(|| (up_kernel(&directory, &vips, tunnel), status(&directory).expect("status")))
            .expect("enter");
        match outcome {
            Err(Error::NoTunnel { kind, module }) => {
                assert_eq!((kind, module), missing);
                assert_eq!(at_once.findings, []);
                assert!(netlink.addresses().expect("addresses").iter().all(|one| one.address != vips[0]));
            }
            Err(error) => panic!("{error}"),
            Ok(report) => {
                assert!(report.steps.iter().any(|step| matches!(step, Step::DeviceUp { .. })), "{report}");
                assert!(at_once.is_up(), "{at_once}");
                namespace.run(|| down(&directory, &[]).expect("down")).expect("enter");
            }
        }
        let links = netlink.links().expect("links");
        assert!(
            links.iter().all(|link| !(link.name.starts_with("ek-") || link.name == "sit0" && link.up)),
            "{links:?}"
        );
        assert_eq!(namespace.run(|| status(&directory).expect("status")).expect("enter").findings, []);
    }
    Namespace::delete(&name).expect("delete");
}

#[test]
fn the_script_for_a_kernel_device_is_one_a_shell_takes() {
    let vips = ["192.0.2.80".parse().expect("an address")];
    for tunnel in [KernelTunnel::Ipip, KernelTunnel::Gre { checksum: true }, KernelTunnel::Gue(6080)] {
        let text = script(&vips, Some(tunnel));
        let shell = process::Command::new("sh").args(["-n", "-c", &text]).output().expect("sh");
        assert!(shell.status.success(), "{}", String::from_utf8_lossy(&shell.stderr));
        assert!(text.contains("tunnel_up"));
    }
}
