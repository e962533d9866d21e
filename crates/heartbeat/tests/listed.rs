//! Faults that pairs of heartbeats are known to fall for, by the numbers of tests/conformance/heartbeat/README.md, where no
//! other file has them.

mod pair;

use evenkeel_heartbeat::{Identity, Input, Message, News, Node, NodeState, Output, Path, Request, Share};
use evenkeel_machine::{Instant, Machine, Outbox};
use evenkeel_model::heartbeat::{Failback, Heartbeat, Medium};
use pair::{MILLI, SECOND, World, cluster, fence, is_dead, timing};
use std::{sync::Arc, time::Duration};

const DEADTIME: Duration = Duration::from_secs(10);

fn files(failback: Failback) -> Heartbeat {
    cluster(timing(SECOND, DEADTIME), failback, &["ha1"])
}

fn begin(mut world: World) -> World {
    world.start(0);
    world.start(1);
    world.run(SECOND * 60);
    assert!(world.both_stable() && world.holders(0) == [0], "{}", world.state());
    world.forget();
    world
}

fn settled(cluster: &Heartbeat) -> World {
    begin(World::new(1, cluster, &[false, false]))
}

/// For so long `ha1` alone has the address.
fn stays(world: &mut World, time: Duration) {
    let until = world.now + time;
    while world.step(until) {
        assert_eq!(world.holders(0), [0], "{}", world.state());
    }
}

/// Fault 9.
#[test]
fn a_cable_that_flaps_ten_times_a_second_moves_nothing() {
    let mut world = settled(&files(Failback::On));
    for flap in 0..300 {
        world.plug(0, 0, flap % 2 == 1);
        world.hosts[0].reaches = flap % 2 == 1;
        stays(&mut world, MILLI * 100);
    }
    stays(&mut world, SECOND * 60);
    assert!(!world.hosts.iter().any(|host| host.news.iter().any(is_dead)));
}

/// Fault 10: the second node hears nothing of the first one, and takes its group. That one hears it, and is the only one who
/// can give way; heartbeat's both serve for as long as it lasts.
#[test]
fn where_one_does_not_hear_the_other_the_one_that_hears_gives_way() {
    for failback in [Failback::On, Failback::Off] {
        let mut world = settled(&files(failback));
        world.open.insert((0, 1, 0), false);
        world.wait(DEADTIME + SECOND, |world| world.holders(0) == [0, 1]);
        let told = |news: &News| matches!(news, News::Both { group: 0, node: 1, keeps: true });
        world.wait(SECOND * 2, |world| failback == Failback::Off || world.hosts[0].news.iter().any(told));
        let both = world.wait(DEADTIME + SECOND * 3, |world| world.holders(0) == [1]);
        assert!(both >= DEADTIME - SECOND * 2, "it was given time to give way itself: {both:?}");
        let until = world.now + SECOND * 120;
        while world.step(until) {
            assert_eq!(world.holders(0), [1], "{}", world.state());
        }
        world.open.clear();
        let until = world.now + SECOND * 120;
        while world.step(until) {
            assert_ne!(world.holders(0), [0, 1], "{}", world.state());
        }
        let owner = usize::from(failback == Failback::Off);
        assert!(world.both_stable() && world.holders(0) == [owner], "{}", world.state());
    }
}

/// Fault 10, the other way round: the one that hears has nothing, and takes nothing.
#[test]
fn a_node_that_hears_takes_nothing_though_it_is_not_heard() {
    let mut world = settled(&files(Failback::On));
    world.open.insert((1, 0, 0), false);
    stays(&mut world, SECOND * 120);
    world.open.clear();
    stays(&mut world, SECOND * 60);
    assert!(world.both_stable(), "{}", world.state());
}

/// Fault 12, with files that differ: by its own each would keep what both have.
#[test]
fn of_two_whose_files_say_otherwise_who_keeps_a_group_one_yields_in_the_end() {
    let mut world = World::new(1, &files(Failback::Off), &[false, false]);
    world.hosts[0].view.failback = Failback::On;
    world.start(1);
    world.wait(SECOND * 30, |world| world.holders(0) == [1]);
    world.plug(0, 0, false);
    world.start(0);
    world.run(SECOND * 60);
    assert_eq!(world.holders(0), [0, 1]);
    world.plug(0, 0, true);
    let both = world.wait(DEADTIME * 2, |world| world.holders(0).len() == 1);
    assert!(both >= DEADTIME - SECOND * 2, "{both:?}");
    let until = world.now + SECOND * 300;
    while world.step(until) {
        assert_eq!(world.holders(0).len(), 1, "{}", world.state());
    }
    assert!(world.both_stable(), "{}", world.state());
}

/// Fault 14: each message comes over two media, at any time within half a second, in any order.
#[test]
fn messages_that_come_twice_and_in_any_order_move_nothing() {
    for seed in 0..4 {
        let mut two = files(Failback::On);
        two.media.push(Medium::Broadcast { interface: "eth0".to_owned(), port: 694 });
        let mut world = World::new(seed, &two, &[false, false]);
        world.delay = MILLI * 500;
        let mut world = begin(world);
        stays(&mut world, SECOND * 3600);
        let turned = |news: &News| matches!(news, News::Node { .. } | News::Lost { .. } | News::Restarted { .. });
        assert!(!world.hosts.iter().any(|host| host.news.iter().any(turned)), "seed {seed}");
        // Nor is a word of a hand-over taken for a second one.
        for (from, to) in [(0, 1), (1, 0)] {
            world.ask(from, 1, Request::Standby(Share::All));
            world.run(SECOND * 30);
            assert_eq!((world.holders(0), world.hosts[from].answers.last()), (vec![to], Some(&(1, Ok(())))));
        }
    }
}

/// Fault 58: what is asked who is right has gone away itself.
#[test]
fn a_ping_node_that_is_gone_for_both_moves_nothing() {
    for (first, second) in [(0, 1), (1, 0)] {
        let mut world = settled(&files(Failback::On));
        world.hosts[first].reaches = false;
        stays(&mut world, SECOND);
        world.hosts[second].reaches = false;
        stays(&mut world, SECOND * 300);
        world.hosts[first].reaches = true;
        stays(&mut world, SECOND);
        world.hosts[second].reaches = true;
        stays(&mut world, SECOND * 300);
    }
}

/// Fault 55: the device says that the other node is off, and then that node is heard. It is told, and one owner is left.
#[test]
fn a_node_that_lives_on_after_it_was_fenced_is_told_and_one_owner_is_left() {
    let mut fenced = files(Failback::On);
    fenced.fences.push(fence());
    let mut world = settled(&fenced);
    world.hosts[1].fences = false;
    world.plug(0, 0, false);
    world.wait(DEADTIME + SECOND, |world| world.hosts[1].news.iter().any(|news| matches!(news, News::Fencing { .. })));
    world.tell(1, Input::Fenced { node: 0, ok: true });
    world.wait(SECOND, |world| world.holders(0) == [0, 1]);
    world.plug(0, 0, true);
    world.wait(SECOND * 3, |world| world.hosts[1].news.contains(&News::FencedButHeard { node: 0 }));
    world.wait(SECOND * 3, |world| world.holders(0).len() == 1);
    let until = world.now + SECOND * 120;
    while world.step(until) {
        assert_eq!(world.holders(0).len(), 1, "{}", world.state());
    }
}

/// Fault 87: whoever recorded all that a node said can say it again, and moves nothing by it.
#[test]
fn what_a_node_said_before_means_nothing_when_it_is_said_again() {
    let mut world = settled(&files(Failback::On));
    // Its numbers go further than those of its next run will.
    world.run(SECOND * 600);
    world.tell(0, Input::Stop);
    world.wait(SECOND * 10, |world| world.hosts[0].stopped);
    let mut recorded: Vec<Arc<Message>> = said(&world);
    assert!(recorded.iter().any(|message| message.kind() == "shutdone"));
    world.start(0);
    world.run(SECOND * 60);
    world.forget();
    world.ask(0, 1, Request::Standby(Share::All));
    world.run(SECOND * 20);
    world.ask(0, 2, Request::Takeover(Share::All));
    world.run(SECOND * 60);
    recorded.extend(said(&world));
    assert_eq!(world.holders(0), [0]);
    world.forget();
    for message in &recorded {
        let message = Message::clone(message);
        world.tell(1, Input::Heard { path: Path::Medium(0), message });
        stays(&mut world, MILLI * 300);
    }
    let turned = |news: &News| matches!(news, News::Node { .. } | News::Restarted { .. } | News::Holder { .. });
    assert!(!world.hosts[1].news.iter().any(turned), "{:?}", world.hosts[1].news);
    // And it does not live by its old words.
    world.kill(0, true);
    let died = world.now;
    while world.node(1).view().nodes[0].state != NodeState::Dead {
        assert!(world.now < died + DEADTIME + SECOND, "{}", world.state());
        for message in &recorded {
            let message = Message::clone(message);
            world.tell(1, Input::Heard { path: Path::Medium(0), message });
        }
        world.run(MILLI * 100);
    }
    world.wait(SECOND, |world| world.holders(0) == [1]);
}

/// All that `ha1` has said since it was forgotten.
fn said(world: &World) -> Vec<Arc<Message>> {
    world.hosts[0].said.iter().map(|(_, message)| Arc::clone(message)).collect()
}

/// `ha2` by itself, with a fence device, hand-fed.
struct Alone {
    node: Node,
    now: Instant,
    said: u64,
}

impl Alone {
    fn start() -> Alone {
        let mut cluster = files(Failback::On);
        cluster.fences.push(fence());
        cluster.node = pair::name("ha2");
        let identity = Identity {
            uuid: [2; 16],
            generation: 1,
            version: String::new(),
            configuration: 0,
            seed: 1,
            heard: Vec::new(),
        };
        let mut alone = Alone { node: Node::new(&cluster, identity), now: Instant::START, said: 0 };
        alone.tell(Input::Start);
        alone
    }

    fn tell(&mut self, input: Input) -> Vec<Output> {
        let mut out = Outbox::new();
        self.node.handle(self.now, input, &mut out);
        out.drain().collect()
    }

    /// `ha1` is heard.
    fn hear(&mut self) -> Vec<Output> {
        self.said += 1;
        let message = Message::new("status").with("st", "active").with("src", "ha1").with("seq", self.said);
        self.tell(Input::Heard { path: Path::Medium(0), message: message.with("hg", 1) })
    }

    fn run(&mut self, time: Duration) -> Vec<Output> {
        let (end, mut all) = (self.now + time, Vec::new());
        while let Some(due) = self.node.deadline().filter(|due| *due <= end) {
            self.now = self.now.max(due);
            let mut out = Outbox::new();
            self.node.handle_timeout(self.now, &mut out);
            all.extend(out.drain());
        }
        self.now = end;
        all
    }
}

fn fences(outputs: &[Output]) -> usize {
    outputs.iter().filter(|output| matches!(output, Output::Fence { node: 0 })).count()
}

fn acquires(outputs: &[Output]) -> bool {
    outputs.iter().any(|output| matches!(output, Output::Acquire { .. }))
}

/// Fault 54: the answer of a device never comes, for whoever ran it is gone.
#[test]
fn a_fence_of_which_nothing_is_heard_has_failed_and_is_tried_again() {
    let mut alone = Alone::start();
    let begun = alone.run(DEADTIME * 2 + SECOND);
    assert_eq!(fences(&begun), 1);
    let later = alone.run(SECOND * 60);
    assert_eq!(fences(&later), 1, "{later:?}");
    let failed = |output: &Output| matches!(output, Output::Tell(News::FenceFailed { node: 0, attempt: 1, .. }));
    assert!(later.iter().any(failed) && !acquires(&later));
    let done = alone.tell(Input::Fenced { node: 0, ok: true });
    assert!(acquires(&done), "{done:?}");
}

/// Fault 55: the node came back while its device was at work, and died again: an answer of then says nothing of now.
#[test]
fn the_answer_of_an_older_fence_is_not_taken_for_that_of_a_new_one() {
    let mut alone = Alone::start();
    assert_eq!(fences(&alone.run(DEADTIME * 2 + SECOND)), 1);
    alone.hear();
    let silent = alone.run(DEADTIME + SECOND * 5);
    let dead = |output: &Output| matches!(output, Output::Tell(News::Node { node: 0, state: NodeState::Dead }));
    assert!(silent.iter().any(dead), "{silent:?}");
    assert_eq!(fences(&silent), 0, "the first one is still at work");
    let late = alone.tell(Input::Fenced { node: 0, ok: true });
    assert!(!acquires(&late), "{late:?}");
    assert_eq!(fences(&late), 1, "now it is fenced");
    assert!(acquires(&alone.tell(Input::Fenced { node: 0, ok: true })));
}
