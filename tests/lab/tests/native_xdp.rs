//! The native XDP door, on a virtual cable made fit for it.

use std::net::SocketAddr;

use evenkeel_lab::{alternates, configuration};
use evenkeel_lab_tests::{Bed, LIMIT, all_up, can_run, native};

#[test]
fn both_families_alternate_through_the_native_xdp_door() {
    if !can_run() {
        return;
    }
    let mut bed = Bed::new(|_| {});
    native::prepare(&bed, &[("eth0", "router")]);
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
