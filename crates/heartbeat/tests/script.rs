//! The tests of document 003 (its step 7) one after the other on one pair, as its reader makes them, in virtual time.

mod pair;

use evenkeel_heartbeat::Input;
use evenkeel_model::heartbeat::{Failback, Medium};
use pair::{MILLI, SECOND, World, cluster, timing};
use std::time::Duration;

const ETH1: usize = 0;
const ETH0: usize = 1;
const DEADTIME: Duration = Duration::from_secs(30);

/// The pair, and what a client has noticed.
struct Script {
    world: World,
    /// The longest time without an owner since it was looked at.
    gap: Duration,
    /// Both had it.
    both: bool,
}

impl Script {
    fn watch(&mut self, time: Duration) {
        self.until(time, |_| false);
    }

    fn wait(&mut self, most: Duration, owners: &[usize]) -> Duration {
        let begun = self.world.now;
        assert!(self.until(most, |world| world.holders(0) == owners), "{}", self.world.state());
        self.world.now - begun
    }

    fn until(&mut self, most: Duration, done: impl Fn(&World) -> bool) -> bool {
        let (end, mut gone) = (self.world.now + most, None);
        while !done(&self.world) {
            if !self.world.step(end) {
                return false;
            }
            let owners = self.world.holders(0).len();
            self.both |= owners > 1;
            gone = gone.or_else(|| (owners == 0).then_some(self.world.now));
            self.gap = self.gap.max(gone.map_or(Duration::ZERO, |gone| self.world.now - gone));
            gone = gone.filter(|_| owners == 0);
        }
        true
    }

    /// What was noticed since the last look; after it the main node serves again, and nobody is in the midst of something.
    fn look(&mut self) -> (Duration, bool) {
        self.wait(SECOND * 90, &[0]);
        self.watch(SECOND * 60);
        assert!(self.world.both_stable() && self.world.holders(0) == [0], "{}", self.world.state());
        (std::mem::take(&mut self.gap), std::mem::take(&mut self.both))
    }

    fn eth0(&mut self, up: bool) {
        self.world.plug(0, ETH0, up);
        self.world.hosts[0].reaches = up;
    }
}

#[test]
fn the_whole_list_of_tests_of_the_document_ends_as_it_says() {
    let mut timing = timing(SECOND * 2, DEADTIME);
    (timing.initdead, timing.warntime) = (SECOND * 60, SECOND * 10);
    let mut document = cluster(timing, Failback::On, &["ha1"]);
    // What evenkeels learn of each other: where a resource address is, they hear each other too.
    document.media.push(Medium::Broadcast { interface: "eth0".to_owned(), port: 694 });
    let mut script = Script { world: World::new(3, &document, &[false, false]), gap: Duration::ZERO, both: false };
    script.world.start(0);
    script.world.start(1);
    script.wait(SECOND * 5, &[0]);
    script.look();

    // 1) The main node's heartbeat is stopped, or begins anew: nobody notices.
    script.world.tell(0, Input::Stop);
    script.wait(SECOND, &[1]);
    script.until(SECOND * 10, |world| world.hosts[0].stopped);
    script.world.start(0);
    let (gap, both) = script.look();
    assert!(gap <= MILLI * 100 && !both, "restart: {gap:?}");

    // 2) `ifdown eth0`: the other one has it once the ping node is called dead.
    script.eth0(false);
    let took = script.wait(DEADTIME + SECOND * 5, &[1]);
    assert!(took > DEADTIME - SECOND * 3, "{took:?}");
    script.watch(SECOND * 60);
    script.eth0(true);
    let (gap, both) = script.look();
    assert!(gap <= MILLI * 100 && !both, "eth0: {gap:?}");

    // 3) `halt`, without a word: after 30 s.
    script.world.kill(0, true);
    let took = script.wait(DEADTIME + MILLI * 50, &[1]);
    assert!(took > DEADTIME - SECOND * 3, "{took:?}");
    script.world.start(0);
    let (_, both) = script.look();
    assert!(!both);

    // 4) `ifdown eth1`: the cable of the heartbeats alone moves nothing. Then `ifdown eth0`.
    script.world.plug(0, ETH1, false);
    script.watch(SECOND * 120);
    assert_eq!((script.world.holders(0), script.gap, script.both), (vec![0], Duration::ZERO, false));
    script.eth0(false);
    let took = script.wait(DEADTIME + MILLI * 50, &[0, 1]);
    assert!(took > DEADTIME - SECOND * 3, "{took:?}");
    script.world.plug(0, ETH1, true);
    script.eth0(true);
    let (gap, _) = script.look();
    assert_eq!(gap, Duration::ZERO, "one of the two has served on");

    // 5) `killall -9 heartbeat`: after 30 s, and never both.
    script.world.kill(0, false);
    script.wait(DEADTIME + MILLI * 50, &[1]);
    assert!(script.gap < SECOND * 3 && !script.both, "{:?}", script.gap);
    script.world.start(0);
    let (_, both) = script.look();
    assert!(!both);
}
