//! Virtual cables made fit for the native XDP door: a network card of which this kernel has none would need neither the
//! program on its peer nor the checksums computed there.

#![expect(clippy::expect_used, reason = "a test fails by panicking")]

use std::path::Path;
use std::process::Command;

use evenkeel_lab::Node;
use evenkeel_netlink::Netlink;

use crate::Bed;

const OBJECT: &str = "../../crates/dataplane-ebpf/object/evenkeel.o";

/// Prepares interfaces of the director, each with the node at the other end of its cable.
pub fn prepare(bed: &Bed, cables: &[(&str, &str)]) {
    for (name, node) in cables {
        pass_everything(bed.node(node).expect("the node is there"), peer(bed, name));
    }
}

/// Has the other ends of interfaces of the director send what a network card would hand to the generic XDP door: segments
/// with checksums. The kernel redirects nothing larger than the MTU there.
pub fn segment(bed: &Bed, cables: &[(&str, &str)]) {
    for (name, node) in cables {
        compute_checksums(bed.node(node).expect("the node is there"), peer(bed, name));
    }
}

/// Has every node send SCTP as a network card takes it: in packets, each with its CRC32c. Else no receiver would look at one.
pub fn finish_sctp(bed: &Bed, nodes: &[&str]) {
    for name in nodes {
        let mut command = Command::new("ethtool");
        command.args(["-K", "eth0", "tx-sctp-segmentation", "off", "tx-checksum-sctp", "off"]);
        bed.node(name).expect("the node is there").output(command).expect("its port takes settings");
    }
}

/// The other end of the director's interface `name`.
fn peer(bed: &Bed, name: &str) -> u32 {
    let name = name.to_owned();
    let link = bed.director.node().run(move || Netlink::open()?.link(&name));
    let link = link.expect("the director's node lives").expect("links are listed");
    link.and_then(|link| link.peer).expect("it is one end of a cable")
}

/// Has the interface `index` of `node` compute checksums itself, and lets a program on it pass everything.
pub fn pass_everything(node: &Node, index: u32) {
    let port = compute_checksums(node, index);
    let object = Path::new(env!("CARGO_MANIFEST_DIR")).join(OBJECT);
    let mut pass = Command::new("ip");
    pass.args(["link", "set", "dev", &port, "xdpdrv", "object"]).arg(object).args(["program", "evenkeel_pass"]);
    node.output(pass).expect("the peer takes a program that passes everything");
}

/// Has the interface `index` of `node` compute checksums itself, before the cable, and with them make segments; its name.
fn compute_checksums(node: &Node, index: u32) -> String {
    node.run(move || -> Result<Option<String>, evenkeel_netlink::Error> {
        let mut netlink = Netlink::open()?;
        let Some(link) = netlink.link_at(index)? else { return Ok(None) };
        // A checksum that is left to the receiver's driver is never computed on this way.
        netlink.set_tx_checksum(&link.name, false)?;
        Ok(Some(link.name))
    })
    .expect("the node lives")
    .expect("its port takes settings")
    .expect("its port is there")
}
