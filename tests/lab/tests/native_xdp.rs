//! The native XDP door, on a virtual cable made fit for it: a network card of which this kernel has none would need
//! neither the program on its peer nor the checksums computed there.

use std::net::SocketAddr;
use std::path::Path;
use std::process::Command;

use evenkeel_lab::{alternates, configuration};
use evenkeel_lab_tests::{Bed, LIMIT, all_up, can_run};
use evenkeel_netlink::Netlink;

const OBJECT: &str = "../../crates/dataplane-ebpf/object/evenkeel.o";

#[test]
fn both_families_alternate_through_the_native_xdp_door() {
    if !can_run() {
        return;
    }
    let mut bed = Bed::new(|_| {});
    let eth0 = bed.director.node().run(|| Netlink::open()?.link("eth0")).expect("the director's node lives");
    let peer = eth0.expect("links are listed").and_then(|link| link.peer).expect("eth0 is one end of a cable");
    let router = bed.node("router").expect("there is a router");
    let port = router
        .run(move || -> Result<Option<String>, evenkeel_netlink::Error> {
            let mut netlink = Netlink::open()?;
            let Some(link) = netlink.link_at(peer)? else { return Ok(None) };
            // A checksum that is left to the receiver's driver is never computed on this way.
            netlink.set_tx_checksum(&link.name, false)?;
            Ok(Some(link.name))
        })
        .expect("the router's node lives")
        .expect("its port takes settings")
        .expect("its port is there");
    let object = Path::new(env!("CARGO_MANIFEST_DIR")).join(OBJECT);
    let mut pass = Command::new("ip");
    pass.args(["link", "set", "dev", &port, "xdpdrv", "object"]).arg(object).args(["program", "evenkeel_pass"]);
    router.output(pass).expect("the peer takes a program that passes everything");

    let path = bed.write("director.toml", &configuration(&bed.options().plan)).expect("the file is written");
    bed.director.start(&[&path, "--connections", "65536", "--attach", "xdp"]).expect("the director starts");
    let status = bed.director.wait("had both real servers up", LIMIT, all_up).expect("both come in");
    let modes: Vec<&str> = status.dataplane.attachments.iter().map(|a| a.mode.as_str()).collect();
    assert_eq!(modes, ["xdp"]);
    for vip in &bed.options().plan.vips {
        let bodies = bed.client.bodies(SocketAddr::new(*vip, 80), 10).expect("ten requests");
        assert!(alternates(&bodies), "{vip}: {bodies:?}");
    }
    let status = bed.director.terminate().expect("the director ends");
    assert!(status.success(), "it ended with {status}");
}
