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
        let name = (*name).to_owned();
        let link = bed.director.node().run(move || Netlink::open()?.link(&name));
        let link = link.expect("the director's node lives").expect("links are listed");
        let peer = link.and_then(|link| link.peer).expect("it is one end of a cable");
        pass_everything(bed.node(node).expect("the node is there"), peer);
    }
}

/// Has the interface `index` of `node` compute checksums itself, and lets a program on it pass everything.
pub fn pass_everything(node: &Node, index: u32) {
    let port = node
        .run(move || -> Result<Option<String>, evenkeel_netlink::Error> {
            let mut netlink = Netlink::open()?;
            let Some(link) = netlink.link_at(index)? else { return Ok(None) };
            // A checksum that is left to the receiver's driver is never computed on this way.
            netlink.set_tx_checksum(&link.name, false)?;
            Ok(Some(link.name))
        })
        .expect("the node lives")
        .expect("its port takes settings")
        .expect("its port is there");
    let object = Path::new(env!("CARGO_MANIFEST_DIR")).join(OBJECT);
    let mut pass = Command::new("ip");
    pass.args(["link", "set", "dev", &port, "xdpdrv", "object"]).arg(object).args(["program", "evenkeel_pass"]);
    node.output(pass).expect("the peer takes a program that passes everything");
}
