//! `use_vmac` of keepalived.conf and `vmac` of the native file: which interfaces are made, and where addresses are put.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod common;

use common::{brief, errors, keepalived, native};
use evenkeel_config::to_toml;
use evenkeel_model::vrrp::Instance;

/// Names of VMACs with what is below them and their last bytes, and names of interfaces by address.
fn told(instance: &Instance) -> (Vec<String>, Vec<String>) {
    let vmac = |vmac: &evenkeel_model::vrrp::Vmac| {
        let [.., kind, last] = vmac.mac;
        format!("{} on {} {kind:02x}:{last:02x}{}", vmac.name, vmac.below, if vmac.speaks { " speaks" } else { "" })
    };
    let place = |vip: &evenkeel_model::vrrp::Vip| format!("{vip} {}", instance.interface_of(vip));
    (instance.vmacs.iter().map(vmac).collect(), instance.vips().map(place).collect())
}

#[test]
fn addresses_are_put_on_the_vmac_of_their_interface_as_keepalived_does() {
    let loaded = keepalived(
        "vrrp_instance a {\n interface eth0\n virtual_router_id 51\n use_vmac\n use_vmac_addr\n virtual_ipaddress {\n \
         10.9.0.100/24\n 10.9.0.102/24 dev eth0\n 10.8.0.100/24 dev eth1\n }\n}\nvrrp_instance b {\n interface eth0\n \
         virtual_router_id 52\n use_vmac vx 02:11:22:33:44\n vmac_xmit_base\n virtual_ipaddress {\n 10.9.0.112/24\n \
         10.8.0.112/24 dev eth1\n }\n}\nvrrp_instance c {\n interface eth0\n virtual_router_id 53\n use_vmac\n \
         virtual_ipaddress {\n fe80::53/64\n }\n}\n",
    );
    assert_eq!(errors(&loaded), Vec::<String>::new());
    let cluster = loaded.cluster.unwrap();
    let [a, b, c] = cluster.vrrp.instances.as_slice() else { panic!("three instances") };
    let (vmacs, places) = told(a);
    assert_eq!(vmacs, ["vrrp.51 on eth0 01:33 speaks", "vrrp1.51 on eth1 01:33"]);
    assert_eq!(places, ["10.9.0.100/24 vrrp.51", "10.9.0.102/24 vrrp.51", "10.8.0.100/24 vrrp1.51"]);
    assert!(!a.from_base);
    let (vmacs, places) = told(b);
    assert_eq!(vmacs, ["vx on eth0 44:34 speaks"]);
    assert_eq!(places, ["10.9.0.112/24 vx", "10.8.0.112/24 eth1"]);
    assert!(b.from_base);
    assert_eq!(told(c).0, ["vrrp.53 on eth0 02:35 speaks"]);
    assert_eq!(native(&to_toml(&cluster)).cluster, Some(cluster));
}

#[test]
fn unicast_leaves_from_the_base_interface_and_that_is_said() {
    let loaded = keepalived(
        "vrrp_instance a {\n interface eth0\n virtual_router_id 51\n use_vmac\n unicast_peer {\n 10.9.0.2\n }\n \
         virtual_ipaddress {\n 10.9.0.100/24\n }\n}\n",
    );
    assert!(brief(&loaded).iter().any(|told| told.contains("vmac_xmit_base")), "{:?}", brief(&loaded));
    assert!(loaded.cluster.unwrap().vrrp.instances[0].from_base);
}

#[test]
fn what_is_no_vmac_is_told() {
    for word in ["vm 51", "01:00:5e:00:00:01", "much.too.long.name"] {
        let loaded = keepalived(&format!(
            "vrrp_instance a {{\n interface eth0\n virtual_router_id 51\n use_vmac {word}\n virtual_ipaddress {{\n \
             10.9.0.100/24\n }}\n}}\n"
        ));
        assert_eq!(errors(&loaded).len(), 1, "{word}: {:?}", brief(&loaded));
    }
    for value in ["1", "\"much.too.long.name\"", "{ mac = \"01:00:5e:00:00:01\" }", "{ others = [{ name = \"x\" }] }"] {
        let loaded = native(&format!(
            "[vrrp.web]\ninterface = \"eth0\"\nvrid = 51\naddresses = [\"10.9.0.100/24\"]\nvmac = {value}\n"
        ));
        assert_eq!(errors(&loaded).len(), 1, "{value}: {:?}", brief(&loaded));
    }
}

#[test]
fn the_native_word_is_short() {
    let loaded = native("[vrrp.web]\ninterface = \"eth0\"\nvrid = 51\naddresses = [\"10.9.0.100/24\"]\nvmac = true\n");
    assert_eq!(brief(&loaded), Vec::<String>::new());
    let cluster = loaded.cluster.unwrap();
    let (vmacs, places) = told(&cluster.vrrp.instances[0]);
    assert_eq!(
        (vmacs, places),
        (vec!["vrrp.51 on eth0 01:33 speaks".to_owned()], vec!["10.9.0.100/24 vrrp.51".to_owned()])
    );
}
