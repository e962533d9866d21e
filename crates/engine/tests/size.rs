//! 10 000 services with 10 real servers each.
#![allow(clippy::expect_used, clippy::unwrap_used, reason = "tests")]

mod bed;

use bed::*;
use evenkeel_dataplane::Change;
use evenkeel_engine::Effect;
use evenkeel_model::{Cluster, Weight};
use std::time::{Duration, Instant};

fn large() -> Cluster {
    let service = |number: u32| {
        let real = |server: u32| {
            let target = format!("10.{}.{}.{server}:80", number / 250, number % 250 + 1);
            let mut real = real_server(&format!("real-{server}"), &target, 10);
            real.check = http(&target, "/health").into();
            real
        };
        let vip = format!("172.16.{}.{}:80", number / 250, number % 250 + 1);
        service(&format!("web-{number}"), &vip, (1..=10).map(real).collect())
    };
    cluster((0..10_000).map(service).collect())
}

#[test]
fn one_changed_weight_among_100_000_real_servers_is_one_change() {
    let cluster = large();
    let mut bed = Bed::running(&cluster);
    assert_eq!(bed.table.services.len(), 10_000);
    // First checks of so many are spread over ten seconds.
    bed.pass(Duration::from_secs(11));
    assert_eq!(bed.probes.len(), 100_000);
    let open: Vec<_> = bed.probes.keys().copied().collect();
    for check in open {
        bed.answer_check(check, true);
    }
    bed.events();

    let mut changed = cluster.clone();
    changed.services[7_777].real_servers[3].weight = Weight::new(11).unwrap();
    let begun = Instant::now();
    bed.reload(&changed);
    println!("reload with one changed weight: {:?} (building the cluster included)", begun.elapsed());
    let [Change::EditRealServer(key, address, server)] = bed.changes.as_slice() else {
        panic!("not one edit: {:?}", bed.changes);
    };
    assert_eq!((key, address), (&changed.services[7_777].key, &changed.services[7_777].real_servers[3].address));
    assert_eq!(server.weight.get(), 11);
    let disturbs = |effect: &Effect| matches!(effect, Effect::Probe(_) | Effect::CancelProbe { .. });
    assert!(!bed.log.iter().any(disturbs), "no watch is disturbed");

    bed.events();
    bed.reload(&changed);
    assert_eq!(bed.changes, vec![], "the same again changes nothing");
}
