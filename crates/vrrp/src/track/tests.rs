use super::*;
use evenkeel_model::{
    Script,
    vrrp::{File, Initial, Instance, Quorum, ScriptRhythm, SyncGroup, Version, Vrid},
};
use proptest::prelude::*;

const SECOND: Duration = Duration::from_secs(1);

fn at(seconds: u64) -> Instant {
    Instant::at(Duration::from_secs(seconds))
}

fn track(weight: i32, reverse: bool) -> Track {
    Track { target: Target::Script("chk".into()), weight, reverse }
}

#[test]
fn weights_mean_what_they_mean_to_keepalived() {
    use Effect::{Adds, Unfit, Waits};
    use Standing::{Down, Number, Unknown, Up};
    // weight, reverse, standing, effect
    let table = [
        (0, false, Up, Adds(0)),
        (0, false, Down, Unfit),
        (0, true, Up, Unfit),
        (0, true, Down, Adds(0)),
        (0, false, Unknown, Waits),
        (0, true, Unknown, Waits),
        (20, false, Up, Adds(20)),
        (20, false, Down, Adds(0)),
        (20, true, Up, Adds(-20)),
        (20, true, Down, Adds(0)),
        (-20, false, Up, Adds(0)),
        (-20, false, Down, Adds(-20)),
        (-20, true, Up, Adds(0)),
        (-20, true, Down, Adds(20)),
        (20, false, Unknown, Adds(0)),
        (-20, true, Unknown, Adds(0)),
        // Files: with weight 0 every number but 0 is a fault.
        (0, false, Number(0), Adds(0)),
        (0, false, Number(1), Unfit),
        (0, false, Number(-1), Unfit),
        (0, true, Number(0), Unfit),
        (0, true, Number(5), Adds(0)),
        (1, false, Number(30), Adds(30)),
        (2, false, Number(-30), Adds(-60)),
        (-2, false, Number(-30), Adds(60)),
        (2, true, Number(30), Adds(-60)),
        (1, false, Number(-253), Adds(-253)),
        (1, false, Number(-254), Unfit),
        (2, false, Number(-127), Unfit),
        (1, false, Number(253), Adds(253)),
        (1, false, Number(i64::from(i32::MAX)), Adds(253)),
        (254, false, Number(i64::MIN), Unfit),
        (254, true, Number(i64::MIN), Adds(253)),
    ];
    for (weight, reverse, standing, effect) in table {
        let told = Effect::of(&track(weight, reverse), standing);
        assert_eq!(told, effect, "weight {weight} reverse {reverse} {standing:?}");
    }
}

fn instance(name: &str, tracks: Vec<Track>) -> Instance {
    let vrid = Vrid::new(51).unwrap();
    Instance { tracks, ..Instance::new(name.into(), "eth0".into(), vrid, Version::Three, Vec::new()) }
}

fn script(name: &str, rise: u32, fall: u32, initially: Initial) -> Tracker {
    let script = Script {
        program: "/bin/true".into(),
        arguments: Vec::new(),
        environment: Vec::new(),
        shell: false,
        account: None,
        weighs: false,
    };
    let rhythm = ScriptRhythm { interval: SECOND, timeout: SECOND, rise, fall, initially };
    Tracker::Script { name: name.into(), script, account: None, rhythm }
}

fn process(name: &str, least: u32, most: Option<u32>, fork: u64, end: u64) -> Tracker {
    Tracker::Process(Process {
        name: name.into(),
        program: name.into(),
        whole_command: false,
        parameters: None,
        quorum: Quorum { least, most },
        fork_delay: Duration::from_secs(fork),
        terminate_delay: Duration::from_secs(end),
    })
}

/// One tracking and what it said.
struct Bed {
    tracking: Tracking,
    out: Outbox<Said>,
}

impl Bed {
    /// Instances without an interface of their own to follow.
    fn new(trackers: Vec<Tracker>, tracks: Vec<Track>) -> Bed {
        let mut one = instance("one", tracks);
        one.needs_interface = false;
        let wanted = Elections { instances: vec![one], trackers, ..Elections::default() };
        let mut bed = Bed { tracking: Tracking::new(), out: Outbox::new() };
        bed.configure(&wanted);
        bed.said();
        bed
    }

    fn configure(&mut self, wanted: &Elections) {
        self.tracking.configure(at(0), wanted, wanted.instances.iter().enumerate(), &mut self.out);
    }

    fn see(&mut self, seconds: u64, target: &Target, sight: Sight) -> Vec<Said> {
        self.tracking.see(at(seconds), target, sight, &mut self.out);
        self.said()
    }

    fn settle(&mut self, seconds: u64) -> Vec<Said> {
        self.tracking.settle(at(seconds), &mut self.out);
        self.said()
    }

    fn said(&mut self) -> Vec<Said> {
        self.out.drain().collect()
    }
}

fn broken(yes: bool) -> Said {
    Said::Tell(0, Input::Broken(yes))
}

#[test]
fn a_script_falls_after_so_many_failures_and_rises_after_so_many_good_runs() {
    let chk = Target::Script("chk".into());
    let mut bed = Bed::new(vec![script("chk", 2, 3, Initial::Unknown)], vec![track(0, false)]);
    // The first good run is enough.
    let known = vec![Said::Changed(chk.clone(), Standing::Up), Said::Tell(0, Input::Unknown(false))];
    assert_eq!(bed.see(0, &chk, Sight::Ran(true)), known);
    for good in [false, false, true, false, false] {
        assert_eq!(bed.see(1, &chk, Sight::Ran(good)), vec![]);
    }
    let fell = vec![Said::Changed(chk.clone(), Standing::Down), broken(true)];
    assert_eq!(bed.see(2, &chk, Sight::Ran(false)), fell);
    for good in [true, false, true] {
        assert_eq!(bed.see(3, &chk, Sight::Ran(good)), vec![]);
    }
    let rose = vec![Said::Changed(chk.clone(), Standing::Up), broken(false)];
    assert_eq!(bed.see(4, &chk, Sight::Ran(true)), rose);
}

#[test]
fn a_script_that_fails_at_first_breaks_its_instance_at_once() {
    let chk = Target::Script("chk".into());
    let mut bed = Bed::new(vec![script("chk", 1, 9, Initial::Unknown)], vec![track(0, false)]);
    let told = bed.see(0, &chk, Sight::Ran(false));
    let order = vec![Said::Changed(chk, Standing::Down), broken(true), Said::Tell(0, Input::Unknown(false))];
    assert_eq!(told, order, "it must not begin in between");
}

#[test]
fn a_script_that_is_to_count_as_failed_must_rise() {
    let chk = Target::Script("chk".into());
    let tracks = vec![track(0, false)];
    let wanted = Elections {
        instances: vec![Instance { needs_interface: false, ..instance("one", tracks) }],
        trackers: vec![script("chk", 2, 1, Initial::Down)],
        ..Elections::default()
    };
    let mut bed = Bed { tracking: Tracking::new(), out: Outbox::new() };
    bed.configure(&wanted);
    assert!(bed.said().contains(&broken(true)));
    assert_eq!(bed.see(0, &chk, Sight::Ran(true)), vec![]);
    assert!(bed.see(1, &chk, Sight::Ran(true)).contains(&broken(false)));
}

#[test]
fn a_quorum_that_is_lost_counts_after_the_delay_and_not_when_it_comes_back_before() {
    let web = Target::Process("web".into());
    let tracks = vec![Track { target: web.clone(), weight: 0, reverse: false }];
    let mut bed = Bed::new(vec![process("web", 2, Some(3), 1, 2)], tracks);
    assert!(bed.see(0, &web, Sight::Count(2)).contains(&Said::Tell(0, Input::Unknown(false))));
    assert_eq!(bed.see(1, &web, Sight::Count(1)), vec![]);
    assert_eq!(bed.tracking.deadline(), Some(at(3)));
    assert_eq!(bed.see(2, &web, Sight::Count(2)), vec![]);
    assert_eq!(bed.tracking.deadline(), None);
    assert_eq!(bed.see(4, &web, Sight::Count(1)), vec![]);
    assert_eq!(bed.settle(5), vec![]);
    assert_eq!(bed.settle(6), vec![Said::Changed(web.clone(), Standing::Down), broken(true)]);
    assert_eq!(bed.see(7, &web, Sight::Count(3)), vec![]);
    assert_eq!(bed.settle(8), vec![Said::Changed(web.clone(), Standing::Up), broken(false)]);
    // Too many is as wrong as too few.
    assert_eq!(bed.see(9, &web, Sight::Count(4)), vec![]);
    assert_eq!(bed.settle(10), vec![Said::Changed(web, Standing::Down), broken(true)]);
}

#[test]
fn a_link_that_flaps_shorter_than_its_delay_is_not_noticed() {
    let link = Target::Interface("eth1".into());
    let delays = LinkDelays { down: 2 * SECOND, up: SECOND };
    let trackers = vec![Tracker::Interface { name: "eth1".into(), delays }];
    let mut bed = Bed::new(trackers, vec![Track { target: link.clone(), weight: -30, reverse: false }]);
    assert_eq!(bed.see(0, &link, Sight::Up(true)), vec![Said::Changed(link.clone(), Standing::Up)]);
    assert_eq!(bed.see(1, &link, Sight::Up(false)), vec![]);
    assert_eq!(bed.see(2, &link, Sight::Up(true)), vec![]);
    assert_eq!(bed.settle(9), vec![]);
    bed.see(10, &link, Sight::Up(false));
    let lost = vec![Said::Changed(link, Standing::Down), Said::Tell(0, Input::Adjust(-30))];
    assert_eq!(bed.settle(12), lost);
}

#[test]
fn an_instance_follows_its_interface_and_its_groups_tracks() {
    let chk = Target::Script("chk".into());
    let group = SyncGroup { name: "g".into(), tracks: vec![track(0, false)] };
    let mut one = instance("one", Vec::new());
    one.group = Some("g".into());
    let two = Instance { interface: "eth1".into(), ..instance("two", vec![]) };
    let wanted = Elections {
        instances: vec![one, two],
        groups: vec![group],
        trackers: vec![script("chk", 1, 1, Initial::Unknown)],
        ..Elections::default()
    };
    let mut bed = Bed { tracking: Tracking::new(), out: Outbox::new() };
    bed.configure(&wanted);
    bed.said();
    bed.see(0, &Target::Interface("eth0".into()), Sight::Up(true));
    let up = bed.see(0, &Target::Interface("eth1".into()), Sight::Up(true));
    assert!(up.contains(&Said::Tell(1, Input::Unknown(false))), "{up:?}");
    let good = bed.see(0, &chk, Sight::Ran(true));
    assert!(good.contains(&Said::Tell(0, Input::Unknown(false))), "{good:?}");
    let down = bed.see(1, &Target::Interface("eth0".into()), Sight::Up(false));
    assert!(down.contains(&broken(true)) && !down.contains(&Said::Tell(1, Input::Broken(true))), "{down:?}");
}

#[test]
fn what_is_known_outlives_a_new_configuration_unless_its_tracker_is_another() {
    let (chk, web) = (Target::Script("chk".into()), Target::Process("web".into()));
    let follow = |target: &Target| Track { target: target.clone(), weight: 0, reverse: false };
    let tracks = vec![follow(&chk), follow(&web)];
    let one = Instance { needs_interface: false, ..instance("one", tracks) };
    let with = |quorum| Elections {
        instances: vec![one.clone()],
        trackers: vec![process("web", quorum, None, 0, 0), script("chk", 1, 1, Initial::Unknown)],
        ..Elections::default()
    };
    let mut bed = Bed { tracking: Tracking::new(), out: Outbox::new() };
    bed.configure(&with(1));
    bed.see(0, &chk, Sight::Ran(false));
    bed.see(0, &web, Sight::Count(1));
    bed.configure(&with(1));
    assert!(bed.said().contains(&broken(true)));
    bed.configure(&with(2));
    assert!(bed.said().contains(&Said::Tell(0, Input::Unknown(true))), "the processes are counted anew");
}

/// Targets of the property tests.
fn some_target() -> impl Strategy<Value = Target> {
    prop_oneof![
        (0..3u8).prop_map(|n| Target::Interface(format!("eth{n}"))),
        (0..3u8).prop_map(|n| Target::Script(format!("s{n}"))),
        (0..2u8).prop_map(|n| Target::File(format!("f{n}"))),
        (0..2u8).prop_map(|n| Target::Process(format!("p{n}"))),
        Just(Target::Bfd("b".into())),
    ]
}

fn some_sight() -> impl Strategy<Value = Sight> {
    prop_oneof![
        any::<bool>().prop_map(Sight::Up),
        any::<bool>().prop_map(Sight::Ran),
        (-300..300i64).prop_map(Sight::Number),
        (0..5u32).prop_map(Sight::Count),
    ]
}

fn some_track() -> impl Strategy<Value = Track> {
    let weight = prop_oneof![Just(0), -254..=254i32];
    (some_target(), weight, any::<bool>()).prop_map(|(target, weight, reverse)| Track { target, weight, reverse })
}

fn some_elections() -> impl Strategy<Value = Elections> {
    let instances = prop::collection::vec((prop::collection::vec(some_track(), 0..5), any::<bool>()), 1..5);
    (instances, prop::collection::vec(some_track(), 0..3)).prop_map(|(instances, shared)| Elections {
        instances: instances
            .into_iter()
            .map(|(tracks, grouped)| Instance { group: grouped.then(|| "g".into()), ..instance("x", tracks) })
            .collect(),
        groups: vec![SyncGroup { name: "g".into(), tracks: shared }],
        trackers: vec![
            script("s0", 1, 1, Initial::Unknown),
            script("s1", 3, 2, Initial::Down),
            script("s2", 2, 3, Initial::Unknown),
            Tracker::File(File { name: "f0".into(), path: "/f0".into(), initial: None, overwrite: false }),
            process("p0", 1, None, 0, 0),
            process("p1", 2, Some(3), 1, 2),
            Tracker::Interface { name: "eth1".into(), delays: LinkDelays { down: SECOND, up: 2 * SECOND } },
        ],
        ..Elections::default()
    })
}

proptest! {
    #[test]
    fn what_was_told_step_by_step_is_what_counting_anew_gives(
        elections in prop::collection::vec(some_elections(), 1..3),
        sights in prop::collection::vec((some_target(), some_sight(), 0..3u64), 0..60),
    ) {
        let mut bed = Bed { tracking: Tracking::new(), out: Outbox::new() };
        let mut told: HashMap<(Place, &str), i32> = HashMap::new();
        let mut now = 0;
        for (round, wanted) in elections.iter().enumerate() {
            bed.configure(wanted);
            for (target, sight, passed) in sights.iter().skip(round) {
                now += passed;
                bed.tracking.settle(at(now), &mut bed.out);
                bed.tracking.see(at(now), target, *sight, &mut bed.out);
                for said in bed.said() {
                    match said {
                        Said::Tell(place, Input::Broken(yes)) => drop(told.insert((place, "unfit"), yes.into())),
                        Said::Tell(place, Input::Unknown(yes)) => drop(told.insert((place, "waits"), yes.into())),
                        Said::Tell(place, Input::Adjust(by)) => drop(told.insert((place, "adds"), by)),
                        Said::Tell(..) => prop_assert!(false, "{said:?}"),
                        Said::Changed(..) => {}
                    }
                }
                let kept = bed.tracking.sums.clone();
                bed.tracking.recount();
                prop_assert_eq!(&kept, &bed.tracking.sums);
                for (place, sum) in kept.iter().enumerate() {
                    let heard = |what| told.get(&(place, what)).copied();
                    prop_assert_eq!(heard("unfit"), Some(i32::from(sum.unfit > 0)));
                    prop_assert_eq!(heard("waits"), Some(i32::from(sum.waits > 0)));
                    prop_assert_eq!(heard("adds"), Some(sum.adds));
                }
            }
        }
    }
}
