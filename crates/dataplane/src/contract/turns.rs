//! Whose turn it is (PP-18 to PP-23).

use super::{
    MH_PORT,
    host::{Fate, Host},
    options,
};
use evenkeel_abi::Reason;
use evenkeel_model::{HashFlags, Scheduler};

pub(super) fn check(make: &mut dyn FnMut() -> Host) {
    rr_alternates_newest_first(make());
    rr_keeps_its_position_over_changes(make());
    wrr_gives_the_kernel_sequence(make());
    wrr_follows_changes_as_the_kernel_does(make());
    hashes_send_a_client_to_the_same_real_server(make);
    mh_drops_the_clients_of_the_quiesced(make());
    maglev_moves_only_the_clients_of_who_left(make());
    another_scheduler_takes_over(make());
}

/// Real servers of new connections from ports that were not used before.
fn turns(host: &mut Host, first: u16, count: u16) -> Vec<Fate> {
    (first..first + count).map(|port| host.syn(port)).collect()
}

fn to(hosts: &[u8]) -> Vec<Fate> {
    hosts.iter().copied().map(Fate::To).collect()
}

fn rr_alternates_newest_first(mut host: Host) {
    host.serve(Scheduler::RoundRobin, &[(11, 1), (12, 5), (13, 1)]);
    assert_eq!(turns(&mut host, 1000, 7), to(&[13, 12, 11, 13, 12, 11, 13]));
    let datagrams: Vec<Fate> = (1000..1004).map(|port| host.udp(port)).collect();
    assert_eq!(datagrams, to(&[13, 12, 11, 13]), "each service takes turns of its own");
}

fn rr_keeps_its_position_over_changes(mut host: Host) {
    host.serve(Scheduler::RoundRobin, &[(11, 1), (12, 1), (13, 1), (14, 1)]);
    assert_eq!(turns(&mut host, 1000, 2), to(&[14, 13]));
    host.weigh(11, 0);
    assert_eq!(turns(&mut host, 1010, 1), to(&[12]), "quiescing another changes nothing");
    assert_eq!(turns(&mut host, 1020, 2), to(&[14, 13]));
    host.weigh(11, 1);
    assert_eq!(turns(&mut host, 1030, 2), to(&[12, 11]), "who comes back has its old place");
    assert_eq!(turns(&mut host, 1040, 1), to(&[14]));
    host.remove(14);
    assert_eq!(turns(&mut host, 1050, 1), to(&[13]), "the one chosen last is removed");
    host.add(15, 1);
    assert_eq!(turns(&mut host, 1060, 4), to(&[12, 11, 15, 13]), "a new one becomes the head");
}

fn wrr_gives_the_kernel_sequence(mut host: Host) {
    host.serve(Scheduler::WeightedRoundRobin, &[(11, 1), (12, 2), (13, 3)]);
    assert_eq!(turns(&mut host, 1000, 14), to(&[13, 12, 11, 13, 13, 12, 13, 12, 11, 13, 13, 12, 13, 12]));
}

fn wrr_follows_changes_as_the_kernel_does(mut host: Host) {
    host.serve(Scheduler::WeightedRoundRobin, &[(11, 3), (12, 2), (13, 1)]);
    // With .11 alone g is 3 and mw 1: cw is 1, and stays so while the others come.
    assert_eq!(turns(&mut host, 1000, 4), to(&[13, 12, 11, 11]));
    // Now cw is 3 and stays so; the scan starts over.
    host.weigh(12, 1);
    assert_eq!(turns(&mut host, 1010, 6), to(&[11, 11, 13, 12, 11, 11]));
    // g is 3 again, mw 1, and so cw.
    host.weigh(12, 0);
    host.weigh(13, 0);
    assert_eq!(turns(&mut host, 1020, 3), to(&[11, 11, 11]));
    host.weigh(11, 0);
    assert_eq!(turns(&mut host, 1030, 1), [Fate::Dropped(Some(Reason::NoServer))]);
    host.weigh(13, 1);
    assert_eq!(turns(&mut host, 1040, 2), to(&[13, 13]));
}

fn hashes_send_a_client_to_the_same_real_server(make: &mut dyn FnMut() -> Host) {
    for scheduler in [MH_PORT, Scheduler::Maglev] {
        let (mut one, mut other) = (make(), make());
        one.serve(scheduler, &[(11, 1), (12, 1), (13, 1)]);
        other.serve(scheduler, &[(11, 1), (12, 1), (13, 1)]);
        let chosen = turns(&mut one, 1000, 64);
        assert!(to(&[11, 12, 13]).iter().all(|server| chosen.contains(server)), "{scheduler}: {chosen:?}");
        if scheduler != Scheduler::Maglev {
            assert_eq!(chosen, turns(&mut other, 1000, 64), "{scheduler}: the same for every instance");
        }
        // Ended connections are scheduled anew, and to the same.
        one.close(1000..1064);
        assert_eq!(turns(&mut one, 1000, 64), chosen, "{scheduler}: the same again");
    }
    let mut host = make();
    host.serve(Scheduler::MaglevHash(HashFlags::default()), &[(11, 1), (12, 1), (13, 1)]);
    let chosen = turns(&mut host, 1000, 8);
    assert!(chosen.iter().all(|server| *server == chosen[0]), "mh looks at the address only: {chosen:?}");
}

fn mh_drops_the_clients_of_the_quiesced(mut host: Host) {
    host.serve(MH_PORT, &[(11, 1), (12, 1), (13, 1)]);
    let before = turns(&mut host, 1000, 64);
    host.weigh(12, 0);
    let after = turns(&mut host, 2000, 64);
    assert!(after.contains(&Fate::Dropped(Some(Reason::NoServer))), "{after:?}");
    host.weigh(12, 1);
    host.close(1000..1064);
    assert_eq!(turns(&mut host, 1000, 64), before, "as before once it is back");
}

fn maglev_moves_only_the_clients_of_who_left(mut host: Host) {
    host.serve(Scheduler::Maglev, &[(11, 1), (12, 1), (13, 1), (14, 1)]);
    let before = turns(&mut host, 1000, 200);
    host.close(1000..1200);
    host.weigh(12, 0);
    let after = turns(&mut host, 1000, 200);
    assert!(!after.contains(&Fate::To(12)));
    let moved = before.iter().zip(&after).filter(|(old, new)| **old != Fate::To(12) && old != new).count();
    assert!(moved <= 8, "{moved} of the others moved");
}

fn another_scheduler_takes_over(mut host: Host) {
    host.serve(Scheduler::MaglevHash(HashFlags::default()), &[(11, 2), (12, 1)]);
    turns(&mut host, 1000, 5);
    host.edit(options(Scheduler::RoundRobin));
    assert_eq!(turns(&mut host, 1010, 3), to(&[12, 11, 12]));
    host.edit(options(Scheduler::WeightedRoundRobin));
    assert_eq!(turns(&mut host, 1020, 4), to(&[11, 12, 11, 11]));
    host.edit(options(Scheduler::RoundRobin));
    assert_eq!(turns(&mut host, 1030, 2), to(&[12, 11]));
}
