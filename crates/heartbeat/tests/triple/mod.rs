//! Three evenkeels, by hand and through random faults ([`chaos`](crate::chaos)).

use crate::chaos::{Chaos, Fault, Plan};
use crate::pair::{self, SECOND, World, fence, timing};
use evenkeel_heartbeat::News;
use evenkeel_model::heartbeat::{Failback, Heartbeat, Medium};
use std::time::Duration;

/// Seeds of runs that failed once.
pub(crate) const KEPT: [u64; 7] = [94, 149, 191, 194, 200, 269, 986];

const FAULTS: [Fault; 12] = [
    Fault::Kill,
    Fault::Stop,
    Fault::Unplug,
    Fault::Apart,
    Fault::Mute,
    Fault::Cut,
    Fault::Freeze,
    Fault::Ping,
    Fault::Clock,
    Fault::Resource,
    Fault::Share,
    Fault::Move,
];

/// `ha1`, `ha2`, `ha3`, and a group for each list of those that it prefers.
pub(crate) fn three(keepalive: Duration, failback: Failback, prefer: &[&[&str]]) -> Heartbeat {
    let first: Vec<&str> = prefer.iter().map(|nodes| nodes[0]).collect();
    let mut cluster = pair::cluster(timing(keepalive, keepalive * 8), failback, &first);
    cluster.timing.initdead = keepalive * 12;
    cluster.nodes.push(pair::name("ha3"));
    for (group, nodes) in cluster.groups.iter_mut().zip(prefer) {
        group.prefer = nodes.iter().map(|node| pair::name(node)).collect();
    }
    cluster
}

/// How often a group was taken by a node.
pub(crate) fn claims(world: &World, group: usize) -> usize {
    let took = |host: usize| {
        let news = &world.hosts[host].news;
        let taken = |news: &&News| matches!(news, News::Holder { group: it, node: Some(node), why: Some(_) } if (*it, *node) == (group, host));
        news.iter().filter(taken).count()
    };
    (0..3).map(took).sum()
}

/// A run from its start until all is quiet.
pub(crate) fn chaos(seed: u64) -> Chaos {
    let keepalive = SECOND * [10, 2, 60][usize::try_from(seed % 3).unwrap()];
    let failback = if seed % 4 < 3 { Failback::On } else { Failback::Off };
    let prefer: &[&[&str]] = &[&["ha1", "ha2", "ha3"], &["ha2"], &["ha3", "ha1"]];
    let mut cluster = three(keepalive, failback, &prefer[..1 + usize::try_from(seed % 2).unwrap() * 2]);
    if seed % 3 == 1 {
        cluster.media.push(Medium::Broadcast { interface: "eth0".to_owned(), port: 694 });
    }
    if seed % 5 == 4 {
        cluster.fences.push(fence());
    }
    let lossy = seed % 7 >= 5;
    let plan = Plan { seed, cluster: &cluster, real: &[false; 3], faults: &FAULTS, dense: true, lossy };
    let mut chaos = Chaos::new(&plan);
    if seed % 10 == 9 {
        chaos.break_device(usize::try_from(seed % 3).unwrap());
    }
    chaos.run(keepalive * 3000);
    chaos.settle();
    chaos
}
