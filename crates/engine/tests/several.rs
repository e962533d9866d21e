//! Real servers with several checks, quorums, weights that follow checks, and checks that rest.
#![allow(clippy::expect_used, clippy::unwrap_used, reason = "tests")]

mod bed;

use bed::*;
use evenkeel_api::{Event, ServerState};
use evenkeel_engine::Input;
use evenkeel_health::{Verdict, Weighing};
use evenkeel_machine::Machine;
use evenkeel_model::{Check, Cluster, OnFail, Probe, Quorum, Script, StartState};
use std::{collections::BTreeSet, sync::Arc, time::Duration};

const THREE: &str = "192.168.214.147:80";
const OTHER_PORT: &str = "192.168.214.143:443";
const SORRY: &str = "127.0.0.1:80";

fn both(one: &str, two: &str) -> Arc<Check> {
    Check::all(vec![tcp(one).into(), tcp(two).into()]).unwrap()
}

/// One real server, watched at two places; the second place is all there is for another real server.
fn watched_twice() -> Cluster {
    let mut cluster = pair();
    let servers = &mut cluster.services[0].real_servers;
    servers[0].check = both(ONE, OTHER_PORT);
    servers[1].check = tcp(OTHER_PORT).into();
    cluster
}

fn weights(bed: &Bed, addresses: &[&str]) -> Vec<Option<u32>> {
    addresses.iter().map(|at| bed.weight(key(VIP), address(at))).collect()
}

fn state_of(bed: &mut Bed, name: &str) -> (ServerState, String) {
    let status = bed.status();
    let server = status.services[0].real_servers.iter().find(|server| server.name == name).unwrap();
    (server.state, server.reason.clone())
}

#[test]
fn all_checks_of_a_real_server_must_be_good_and_one_bad_takes_it_out() {
    let mut bed = Bed::running(&watched_twice());
    assert_eq!(bed.probes.len(), 2, "the same check of two real servers is made once");
    bed.answer(address(ONE), true);
    assert_eq!(weights(&bed, &[ONE, TWO]), [None, None]);
    assert_eq!(state_of(&mut bed, "real-1").0, ServerState::Unchecked);
    bed.answer(address(OTHER_PORT), true);
    assert_eq!(weights(&bed, &[ONE, TWO]), [Some(1), Some(1)]);
    bed.events();
    bed.next_answer(address(ONE), false);
    assert_eq!(weights(&bed, &[ONE, TWO]), [None, Some(1)]);
    let (state, why) = state_of(&mut bed, "real-1");
    assert_eq!(state, ServerState::Down);
    assert!(why.contains("connect to 192.168.214.143:80 refused"), "the check that failed is named: {why}");
    let events = bed.events();
    assert!(matches!(events.as_slice(), [Event::ServerDown { up: 1, of: 2, .. }]), "{events:?}");
    bed.next_answer(address(OTHER_PORT), false);
    assert_eq!(weights(&bed, &[ONE, TWO, SORRY]), [None, None, Some(1)]);
    // One of the two good again is not enough.
    bed.next_answer(address(ONE), true);
    assert_eq!(weights(&bed, &[ONE]), [None]);
    bed.next_answer(address(OTHER_PORT), true);
    assert_eq!(weights(&bed, &[ONE, TWO, SORRY]), [Some(1), Some(1), None]);
}

#[test]
fn a_reload_that_adds_a_check_keeps_the_real_server_in_until_that_fails() {
    let mut bed = serving();
    let mut cluster = pair();
    cluster.services[0].real_servers[0].check = both(ONE, OTHER_PORT);
    bed.reload(&cluster);
    assert_eq!(weights(&bed, &[ONE, TWO]), [Some(1), Some(1)]);
    bed.next_answer(address(OTHER_PORT), false);
    assert_eq!(weights(&bed, &[ONE, TWO]), [None, Some(1)]);
    // And one that takes it away again forgets what it said.
    bed.reload(&pair());
    bed.next_answer(address(ONE), true);
    assert_eq!(weights(&bed, &[ONE, TWO]), [Some(1), Some(1)]);
    assert!(!bed.probes.values().any(|order| target_of(&order.probe) == Some(address(OTHER_PORT))));
}

/// Three real servers, of which two must be up, one more to reach that again, and a sorry server.
fn guarded(quorum: Quorum) -> Cluster {
    let servers = [("a", ONE), ("b", TWO), ("c", THREE)].map(|(name, at)| real_server(name, at, 1));
    let mut service = service("web", VIP, servers.to_vec());
    service.quorum = quorum;
    cluster(vec![service])
}

#[test]
fn a_lost_quorum_puts_the_sorry_server_in_place_of_those_that_are_up_and_the_hysteresis_keeps_it() {
    let quorum = Quorum { weight: 2, hysteresis: 1, begins_lost: true };
    let mut bed = Bed::running(&guarded(quorum));
    bed.answer(address(ONE), true);
    bed.answer(address(TWO), true);
    assert_eq!(weights(&bed, &[ONE, TWO, SORRY]), [None, None, Some(1)], "alpha: quorum and hysteresis are needed");
    bed.answer(address(THREE), true);
    assert_eq!(weights(&bed, &[ONE, TWO, THREE, SORRY]), [Some(1), Some(1), Some(1), None]);
    bed.events();
    bed.next_answer(address(ONE), false);
    bed.next_answer(address(TWO), false);
    assert_eq!(weights(&bed, &[THREE, SORRY]), [Some(1), None], "two less one is enough to keep it");
    bed.next_answer(address(THREE), false);
    let lost = bed.events().into_iter().find(|event| matches!(event, Event::QuorumLost { .. }));
    let Some(Event::QuorumLost { weight: 0, needed: 3, fallback: Some(fallback), .. }) = lost else {
        panic!("{lost:?}")
    };
    assert_eq!(fallback, SORRY);
    bed.next_answer(address(ONE), true);
    bed.next_answer(address(TWO), true);
    assert_eq!(weights(&bed, &[ONE, TWO, SORRY]), [None, None, Some(1)], "up, and not used");
    assert_eq!(state_of(&mut bed, "a").0, ServerState::Up);
    bed.next_answer(address(THREE), true);
    assert_eq!(weights(&bed, &[ONE, TWO, THREE, SORRY]), [Some(1), Some(1), Some(1), None]);
    assert!(bed.events().iter().any(|event| matches!(event, Event::QuorumReached { weight: 3, .. })));
}

#[test]
fn without_a_sorry_server_those_that_are_up_go_on_while_the_quorum_is_lost() {
    let mut cluster = guarded(Quorum { weight: 2, ..Quorum::default() });
    cluster.services[0].fallback = None;
    let mut bed = Bed::running(&cluster);
    for at in [ONE, TWO, THREE] {
        bed.answer(address(at), true);
    }
    bed.events();
    bed.next_answer(address(ONE), false);
    bed.next_answer(address(TWO), false);
    assert_eq!(weights(&bed, &[THREE]), [Some(1)]);
    let told = bed.events();
    assert!(told.iter().any(|event| matches!(event, Event::QuorumLost { weight: 1, needed: 2, fallback: None, .. })));
}

#[test]
fn an_inhibited_sorry_server_waits_with_weight_0_and_a_real_server_may_differ_from_the_others() {
    let mut cluster = pair();
    let service = &mut cluster.services[0];
    service.fallback.as_mut().unwrap().quiesce = true;
    service.real_servers[1].on_fail = Some(OnFail::Quiesce);
    let mut bed = Bed::running(&cluster);
    bed.answer(address(ONE), true);
    bed.answer(address(TWO), true);
    assert_eq!(weights(&bed, &[ONE, TWO, SORRY]), [Some(1), Some(1), Some(0)]);
    bed.next_answer(address(ONE), false);
    bed.next_answer(address(TWO), false);
    assert_eq!(weights(&bed, &[ONE, TWO, SORRY]), [None, Some(0), Some(1)]);
    bed.next_answer(address(ONE), true);
    assert_eq!(weights(&bed, &[ONE, SORRY]), [Some(1), Some(0)]);
}

fn weighing_script(name: &str) -> Check {
    let script = Script {
        program: name.into(),
        arguments: Vec::new(),
        environment: Vec::new(),
        shell: false,
        account: None,
        weighs: true,
    };
    Check::new(Probe::Script(script), rhythm())
}

impl Weigh for Bed {
    fn weighs(&mut self, program: &str, weighing: Weighing) {
        for _ in 0..10 {
            let is_it = |probe: &Probe| matches!(probe, Probe::Script(script) if script.program.ends_with(program));
            if let Some(check) = self.probes.values().find(|order| is_it(&order.probe)).map(|order| order.check) {
                let order = self.probes.remove(&check).unwrap();
                let verdict = Verdict { weighing, ..Verdict::good("exit status", Duration::ZERO) };
                return self.handle(Input::Verdict { check, attempt: order.attempt, verdict });
            }
            let at = self.engine.deadline().unwrap();
            self.pass(at - self.now);
        }
        panic!("{program} is not run");
    }
}

/// A good answer of a program that says a weight.
trait Weigh {
    fn weighs(&mut self, program: &str, weighing: Weighing);
}

#[test]
fn a_weight_follows_its_checks_and_counts_for_the_quorum() {
    let mut cluster = pair();
    let service = &mut cluster.services[0];
    service.quorum = Quorum { weight: 5, ..Quorum::default() };
    service.real_servers[0] = real_server("real-1", ONE, 10);
    service.real_servers[0].check =
        Check::all(vec![weighing_script("/one").into(), weighing_script("/two").into()]).unwrap();
    let mut bed = Bed::running(&cluster);
    bed.answer(address(TWO), false);
    bed.weighs("/one", Weighing::None);
    bed.weighs("/two", Weighing::None);
    assert_eq!(weights(&bed, &[ONE]), [Some(10)]);
    bed.events();
    bed.weighs("/one", Weighing::Set(20));
    assert_eq!(weights(&bed, &[ONE]), [Some(20)]);
    let told = bed.events();
    assert!(matches!(told.as_slice(), [Event::WeightFollowed { weight: 20, .. }]), "{told:?}");
    // Both changes count, each as it differs from the file.
    bed.weighs("/two", Weighing::Add(-16));
    assert_eq!(weights(&bed, &[ONE, SORRY]), [None, Some(1)], "weight 4 is below the quorum");
    bed.weighs("/two", Weighing::Add(-15));
    assert_eq!(weights(&bed, &[ONE, SORRY]), [Some(5), None]);
    bed.weighs("/two", Weighing::Add(-99));
    assert_eq!(weights(&bed, &[SORRY]), [Some(1)], "never below 0");
}

#[test]
fn checks_rest_while_the_address_is_elsewhere_and_are_made_at_once_when_it_comes() {
    let mut cluster = pair();
    cluster.services[0].suspend = true;
    cluster.services[0].start = StartState::Up;
    let mut bed = Bed::running(&cluster);
    bed.answer(address(ONE), true);
    bed.answer(address(TWO), true);
    bed.handle(Input::Held(BTreeSet::new()));
    assert!(bed.probes.is_empty());
    bed.pass(Duration::from_secs(100));
    assert!(bed.probes.is_empty(), "nothing is checked for a hundred seconds");
    assert_eq!(weights(&bed, &[ONE, TWO]), [Some(1), Some(1)], "what is known stays");
    bed.handle(Input::Held(BTreeSet::from([address(VIP).ip()])));
    assert_eq!(bed.probes.len(), 2);
    bed.answer(address(ONE), false);
    assert_eq!(weights(&bed, &[ONE, TWO]), [None, Some(1)]);
    // A check that another service needs as well is made all the same.
    cluster.services.push(service("more", "192.168.214.141:80", vec![real_server("real-1", ONE, 1)]));
    bed.reload(&cluster);
    bed.handle(Input::Held(BTreeSet::new()));
    bed.pass(Duration::from_secs(3));
    let targets: Vec<_> = bed.probes.values().filter_map(|order| target_of(&order.probe)).collect();
    assert_eq!(targets, [address(ONE)]);
}

#[test]
fn a_bfd_session_takes_a_real_server_out_at_once_and_brings_it_back() {
    let mut cluster = pair();
    let session = |name: &str| Arc::new(Check::new(Probe::Bfd { name: name.into() }, rhythm()));
    cluster.services[0].real_servers[0].check = session("peer");
    let mut bed = Bed::running(&cluster);
    assert_eq!(bed.probes.len(), 1, "no attempt is made");
    assert_eq!(state_of(&mut bed, "real-1").0, ServerState::Unchecked);
    let tell = |bed: &mut Bed, up: bool| {
        bed.handle(Input::Session { name: "peer".into(), up, why: "detection time expired".into() });
    };
    tell(&mut bed, true);
    assert_eq!(weights(&bed, &[ONE]), [Some(1)]);
    bed.events();
    tell(&mut bed, false);
    assert_eq!(weights(&bed, &[ONE]), [None]);
    let why = state_of(&mut bed, "real-1").1;
    assert_eq!(why, "BFD session peer: detection time expired");
    // A real server that comes later knows what was told before.
    tell(&mut bed, true);
    cluster.services.push(service(
        "more",
        "192.168.214.141:80",
        vec![{
            let mut real = real_server("real-1", "192.168.214.143:81", 1);
            real.check = Check::all(vec![session("peer"), tcp(TWO).into()]).unwrap();
            real
        }],
    ));
    bed.reload(&cluster);
    bed.next_answer(address(TWO), true);
    assert_eq!(bed.weight(key("192.168.214.141:80"), address("192.168.214.143:81")), Some(1));
}
