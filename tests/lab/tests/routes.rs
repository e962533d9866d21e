//! Routes and rules that move with an instance, and what stays on the node: what the kernel has of them beside what
//! keepalived puts there from the same file, and what becomes of them at a take-over, a stop and a crash.

#![expect(clippy::expect_used, reason = "a test fails by panicking")]

use evenkeel_lab::{Director, Node, Process, Stage};
use evenkeel_lab_tests::{LIMIT, among_others, can_run, program, switch, unique_name};
use rustix::process::Signal;
use std::{
    net::IpAddr,
    process::{Command, Stdio},
    sync::{Arc, RwLockReadGuard},
    time::Instant,
};

/// Hosts with a second interface, `e1`, that nobody else is on.
struct Bed {
    stage: Stage,
    _turn: RwLockReadGuard<'static, ()>,
}

impl Bed {
    fn new() -> Bed {
        let turn = among_others();
        let host = |name, last: u8| {
            let v4 = IpAddr::from([10, 79, 0, last]);
            let v6: IpAddr = format!("fd79::{last}").parse().expect("an address");
            (name, vec![(v4, 24), (v6, 64)])
        };
        let topology = switch::topology([host("d1", 1), host("d2", 2)]);
        let stage = Stage::raise(&unique_name(), &topology).expect("the stage is built");
        let bed = Bed { stage, _turn: turn };
        for name in ["d1", "d2"] {
            for words in [
                "link add e1 type veth peer name e2",
                "link set e2 up",
                "link set e1 up",
                "addr add 10.81.0.1/24 dev e1",
                "addr add fd81::1/64 dev e1 nodad",
            ] {
                bed.ip(name, words);
            }
        }
        bed
    }

    fn node(&self, name: &str) -> &Arc<Node> {
        self.stage.node(name).expect("it is there")
    }

    fn ip(&self, name: &str, words: &str) -> String {
        let mut command = Command::new("ip");
        command.args(words.split(' '));
        self.node(name).output(command).unwrap_or_else(|e| panic!("ip {words}: {e}"))
    }

    fn director(&self, name: &str) -> Director {
        let directory = self.stage.directory().join(name);
        std::fs::create_dir_all(&directory).expect("a directory can be made");
        Director::new(Arc::clone(self.node(name)), program(), &directory)
    }

    fn write(&self, name: &str, file: &str, text: &str) -> String {
        let directory = self.stage.directory().join(name);
        std::fs::create_dir_all(&directory).expect("a directory can be made");
        let path = directory.join(file);
        std::fs::write(&path, text).expect("the file is written");
        path.to_str().expect("a plain path").to_owned()
    }

    /// Every route and rule that is marked as VRRP's, a line each.
    fn routing(&self, name: &str) -> Vec<String> {
        let mut lines = Vec::new();
        for family in ["-4", "-6"] {
            for words in ["-o -d route show table all proto keepalived", "-o -d rule show"] {
                let text = self.ip(name, &format!("{family} {words}"));
                let ours = text.lines().filter(|line| words.contains("proto") || line.contains("proto keepalived"));
                lines.extend(ours.map(|line| {
                    // What is left of a lifetime changes while one looks.
                    let mut words: Vec<&str> = line.split_whitespace().collect();
                    if let Some(at) = words.iter().position(|word| *word == "expires") {
                        words.truncate(at);
                    }
                    format!("{family} {}", words.join(" "))
                }));
            }
        }
        lines.sort();
        lines
    }

    /// Every address on `e1`, without what is left of it and who put it there.
    fn addresses(&self, name: &str) -> Vec<String> {
        let text = self.ip(name, "-o addr show dev e1");
        let line = |line: &str| {
            let line = line.split('\\').next().unwrap_or_default();
            let words: Vec<&str> = line.split_whitespace().skip(2).collect();
            let mut kept = Vec::new();
            let mut words = words.into_iter();
            while let Some(word) = words.next() {
                match word {
                    "proto" => drop(words.next()),
                    // Ours have a lease, which makes them dynamic.
                    "dynamic" => {}
                    word => kept.push(word),
                }
            }
            kept.join(" ")
        };
        let mut lines: Vec<String> = text.lines().map(line).collect();
        lines.sort();
        lines
    }

    fn wait(&self, what: &str, mut good: impl FnMut() -> bool, tell: impl Fn() -> String) {
        let until = Instant::now() + LIMIT;
        while !good() {
            assert!(Instant::now() < until, "never {what}: {}", tell());
            std::thread::park_timeout(std::time::Duration::from_millis(10));
        }
    }
}

/// Lines of every kind. Those that the kernel refuses are left out by both.
const EVERYTHING: &str = "
global_defs {
    vrrp_version 3
}
static_ipaddress {
    10.82.0.1/24 dev e1
    10.82.1.1/32 dev e1 scope link
    10.82.2.1/24 brd + dev e1 label e1:x
    10.82.3.1 peer 10.82.3.2 dev e1
    fd82::1/64 dev e1
    fd82:0:0:1::1/128 dev e1 home
    fd82:0:0:2::1/64 dev e1 noprefixroute preferred_lft forever
}
static_routes {
    10.90.0.0/16 via 10.81.0.9 dev e1
    to 10.91.0.0/16 via 10.81.0.9 src 10.82.0.1 metric 50 table 200
    blackhole 10.92.0.0/16
    prohibit 10.93.0.0/16 table 0x100
    unreachable fd90::/16 metric 7
    throw 10.94.0.0/16 table 300
}
static_rules {
    from 10.82.0.0/24 table 200 priority 100
    from fd82::/64 lookup 200 preference 101
}
vrrp_instance pair {
    state BACKUP
    interface eth0
    virtual_router_id 51
    priority 150
    advert_int 0.2
    virtual_ipaddress {
        10.79.0.100/24
        10.82.9.1/24 dev e1 scope link brd -
    }
    virtual_ipaddress_excluded {
        fd82:0:0:3::1/64 dev e1
        fd82:0:0:4::1/128 dev e1
    }
    virtual_routes {
        src 10.79.0.100 to 10.100.0.0/16 via 10.79.0.2 dev eth0
        10.101.0.0/16 gw 10.81.0.9 or 10.81.0.8
        10.102.0.0/16 nexthop via 10.81.0.9 dev e1 weight 3 nexthop via 10.79.0.2 dev eth0 weight 200 onlink
        10.103.0.0/16 via 192.0.2.1 dev e1 onlink no_track
        10.104.0.0/16 dev e1 scope link tos 0x10
        10.105.0.0/16 dev e1 mtu lock 1400 advmss 1300 hoplimit 20 initcwnd 7 initrwnd 9 window 1000
        10.106.0.0/16 dev e1 rtt 0.5s rttvar 300ms rto_min 250 ssthresh 40 cwnd lock 30 reordering 5
        10.107.0.0/16 dev e1 features ecn quickack 1 congctl reno fastopen_no_cookie 1
        10.108.0.0/16 dev e1 protocol static no_track
        10.109.0.0/16 dev e1 realms 3/4
        10.110.1.2 dev e1 metric 9
        default via 10.81.0.9 dev e1 table 400
        fda0::/16 via fd81::9 dev e1 pref high
        fda1::/16 dev e1 metric 77 expires 3000
        fda2::/16 nexthop via fd81::9 dev e1 nexthop via fd79::2 dev eth0
        fda3::/16 via fe80::1 dev e1 mtu 1300 hoplimit 9
        default6 via fd81::9 dev e1 table 401
        blackhole fda4::/16
    }
    virtual_rules {
        from 10.100.0.0/16 table 400 priority 200
        to 10.101.0.0/16 lookup main priority 201
        not from 10.102.0.0/16 to 10.103.0.0/16 table 400 priority 202
        fwmark 0x10/0xf0 table 400 priority 203
        fwmark 7 table 0x190 order 204
        iif e1 oif eth0 table 400 priority 205
        ipproto tcp sport 80-90 dport 1000-2000 table 400 priority 206
        uidrange 100-200 tos 0x10 table 400 priority 207
        priority 208 goto 32766
        priority 209 from 10.104.0.0/16 blackhole
        priority 210 from 10.105.0.0/16 prohibit
        priority 211 from fda0::/16 unreachable
        priority 212 table main suppress_prefixlength 0 suppress_ifgroup 5
        priority 213 from fda1::/16 to fda2::/16 table 401
        priority 214 from 10.106.0.0/16 l3mdev
        priority 215 tunnel-id 12 table 400 realms 5
        from 10.107.0.0/16 table 400
        from fda5::/16 table 401
    }
}
";

#[test]
fn the_kernel_has_what_keepalived_would_put_there() {
    if !can_run() || Command::new("keepalived").arg("--version").stderr(Stdio::null()).status().is_err() {
        return;
    }
    let bed = Bed::new();
    let path = bed.write("d1", "keepalived.conf", EVERYTHING);
    let before = (bed.routing("d1"), bed.addresses("d1"));
    let is_master = || !bed.ip("d1", "-o addr show to 10.79.0.100").is_empty();
    // The last rule is the last thing that is added.
    let has_all = || is_master() && bed.ip("d1", "-6 rule show").contains("from fda5::/16");

    let mut command = Command::new("keepalived");
    command.args(["-P", "-n", "-l", "-D", "-G", "-f", &path]);
    for (option, name) in [("-p", "pid"), ("-r", "vrrp"), ("-b", "bfd"), ("-c", "checkers")] {
        command.arg(option).arg(bed.stage.directory().join("d1").join(name));
    }
    let log = bed.stage.directory().join("d1/log");
    command.stdin(Stdio::null()).stdout(std::fs::File::create(&log).expect("a log")).stderr(Stdio::null());
    let mut keepalived = Process::new("keepalived", bed.node("d1").spawn(command).expect("keepalived starts"));
    let said = || std::fs::read_to_string(&log).unwrap_or_default();
    bed.wait("was keepalived master", has_all, said);
    let (routes, addresses) = (bed.routing("d1"), bed.addresses("d1"));
    keepalived.signal(Signal::TERM).expect("it is told");
    keepalived.wait(LIMIT).expect("it ends");
    // 2.2.7 leaves an address with a peer behind: it asks for the deletion of one without.
    bed.ip("d1", "addr del 10.82.3.1 peer 10.82.3.2 dev e1");
    assert_eq!((bed.routing("d1"), bed.addresses("d1")), before, "keepalived cleans up");

    let mut director = bed.director("d1");
    director.start(&[&path]).expect("evenkeel starts");
    bed.wait("was evenkeel master", has_all, || director.log());
    assert_eq!(bed.routing("d1"), routes, "{}\n{}", director.log(), said());
    assert_eq!(bed.addresses("d1"), addresses, "{}", director.log());
    assert!(routes.len() > 40, "{routes:#?}");
    assert!(director.terminate().expect("it ends").success(), "{}", director.log());
    assert_eq!((bed.routing("d1"), bed.addresses("d1")), before, "{}", director.log());
}

/// A node of a pair, with routes, a rule and things that stay.
fn node_of_a_pair(priority: u8) -> String {
    format!(
        "[vrrp.pair]\ninterface = \"eth0\"\nvrid = 51\npriority = {priority}\ninterval = \"200ms\"\n\
         addresses = [\"10.79.0.100/24\"]\nroutes = [\"10.100.0.0/16 via 10.81.0.9 dev e1\", \
         \"10.101.0.0/16 via 10.79.0.9 src 10.79.0.100\"]\nrules = [\"from 10.79.0.100 priority 100 lookup 200\"]\n\n\
         [static]\naddresses = [{{ addr = \"10.82.0.1/24\", dev = \"e1\" }}]\nroutes = [\"blackhole 10.90.0.0/16\"]\n\
         rules = [\"from 10.82.0.0/24 priority 50 lookup 200\"]\n"
    )
}

/// What moves and what stays, as `ip` shows it in short.
fn moving(bed: &Bed, name: &str) -> [bool; 3] {
    let routes = bed.ip(name, "route show proto keepalived");
    let rules = bed.ip(name, "rule show");
    [routes.contains("10.100.0.0/16"), routes.contains("10.101.0.0/16"), rules.contains("from 10.79.0.100 lookup 200")]
}

fn staying(bed: &Bed, name: &str) -> [bool; 3] {
    let routes = bed.ip(name, "route show proto keepalived");
    let rules = bed.ip(name, "rule show");
    let addresses = bed.ip(name, "-o addr show dev e1");
    [routes.contains("10.90.0.0/16"), rules.contains("from 10.82.0.0/24"), addresses.contains("10.82.0.1/24")]
}

const ALL: [bool; 3] = [true; 3];
const NONE: [bool; 3] = [false; 3];

#[test]
fn routes_and_rules_are_where_the_master_is_and_come_through_a_crash() {
    if !can_run() {
        return;
    }
    let bed = Bed::new();
    let paths = [bed.write("d1", "a.toml", &node_of_a_pair(150)), bed.write("d2", "b.toml", &node_of_a_pair(100))];
    let (mut first, mut second) = (bed.director("d1"), bed.director("d2"));
    first.start(&[&paths[0]]).expect("evenkeel starts");
    bed.wait("had the master all", || moving(&bed, "d1") == ALL, || first.log());
    second.start(&[&paths[1]]).expect("evenkeel starts");
    assert_eq!((moving(&bed, "d2"), staying(&bed, "d2")), (NONE, ALL), "{}", second.log());

    // A crash leaves everything; the next run finds it as it was, and nothing is added twice.
    let (before, marked) = (bed.routing("d1"), bed.addresses("d1"));
    first.kill().expect("it is killed");
    assert_eq!((moving(&bed, "d1"), staying(&bed, "d1")), (ALL, ALL));
    first.start(&[&paths[0]]).expect("evenkeel starts");
    bed.wait(
        "was it master again",
        || first.status_json().is_ok_and(|text| text.contains("\"master\"")),
        || first.log(),
    );
    assert_eq!((bed.routing("d1"), bed.addresses("d1")), (before, marked), "{}", first.log());

    // What somebody deletes is put back, what somebody else has is left alone.
    bed.ip("d1", "route add 10.110.0.0/16 via 10.81.0.9 dev e1");
    for words in
        ["route del 10.100.0.0/16", "rule del priority 100", "rule del priority 50", "route del blackhole 10.90.0.0/16"]
    {
        bed.ip("d1", words);
    }
    bed.wait("was it put back", || (moving(&bed, "d1"), staying(&bed, "d1")) == (ALL, ALL), || first.log());
    assert!(first.log().contains("was gone, and is put back"), "{}", first.log());
    bed.ip("d1", "addr del 10.82.0.1/24 dev e1");
    bed.wait("was the address put back", || staying(&bed, "d1") == ALL, || first.log());

    // With the mastership they go to the other node.
    assert!(first.terminate().expect("it ends").success(), "{}", first.log());
    assert_eq!((moving(&bed, "d1"), staying(&bed, "d1")), (NONE, NONE), "{}", first.log());
    assert!(bed.ip("d1", "route show").contains("10.110.0.0/16"), "somebody else's");
    bed.wait("had the other node all", || moving(&bed, "d2") == ALL, || second.log());
    first.start(&[&paths[0]]).expect("evenkeel starts");
    bed.wait("did they come back", || (moving(&bed, "d1"), moving(&bed, "d2")) == (ALL, NONE), || first.log());
    assert!(second.terminate().expect("it ends").success(), "{}", second.log());
    assert_eq!((moving(&bed, "d2"), staying(&bed, "d2")), (NONE, NONE), "{}", second.log());
}

#[test]
fn a_crashed_master_that_comes_back_as_backup_leaves_no_routes() {
    if !can_run() {
        return;
    }
    let bed = Bed::new();
    let paths = [bed.write("d1", "a.toml", &node_of_a_pair(100)), bed.write("d2", "b.toml", &node_of_a_pair(150))];
    let (mut first, mut second) = (bed.director("d1"), bed.director("d2"));
    first.start(&[&paths[0]]).expect("evenkeel starts");
    bed.wait("had the master all", || moving(&bed, "d1") == ALL, || first.log());
    first.kill().expect("it is killed");
    second.start(&[&paths[1]]).expect("evenkeel starts");
    bed.wait("did the other one take over", || moving(&bed, "d2") == ALL, || second.log());
    // Its lease has run out, and with the address the route that came from it; nobody could take the others.
    bed.wait("was the lease over", || bed.ip("d1", "-o addr show to 10.79.0.100").is_empty(), || second.log());
    assert_eq!(moving(&bed, "d1"), [true, false, true]);
    first.start(&[&paths[0]]).expect("evenkeel starts");
    bed.wait("are they gone", || moving(&bed, "d1") == NONE, || first.log());
    assert_eq!(staying(&bed, "d1"), ALL);
}

#[test]
fn a_refused_route_is_told_and_the_others_are_there() {
    if !can_run() {
        return;
    }
    let bed = Bed::new();
    let text = node_of_a_pair(150)
        .replace("\"10.100.0.0/16 via", "\"10.99.0.0/16 via 192.0.2.1 dev e1\", \"10.100.0.0/16 via");
    let path = bed.write("d1", "a.toml", &text);
    let mut first = bed.director("d1");
    first.start(&[&path]).expect("evenkeel starts");
    bed.wait("had the master the others", || moving(&bed, "d1") == ALL, || first.log());
    let wanted = "add route 10.99.0.0/16 via 192.0.2.1 dev e1: ";
    bed.wait("was it told", || first.log().contains(wanted), || first.log());
    assert!(first.log().contains("Nexthop has invalid gateway"), "{}", first.log());
}

#[test]
fn an_instance_is_at_fault_without_the_interface_of_a_tracked_route() {
    if !can_run() {
        return;
    }
    let bed = Bed::new();
    let path = bed.write("d1", "a.toml", &node_of_a_pair(150));
    let mut first = bed.director("d1");
    first.start(&[&path]).expect("evenkeel starts");
    bed.wait("had the master all", || moving(&bed, "d1") == ALL, || first.log());
    bed.ip("d1", "link set e1 down");
    let state = |wanted: &str| first.status_json().is_ok_and(|text| text.contains(&format!("\"{wanted}\"")));
    bed.wait("was it at fault", || state("fault"), || first.log());
    assert_eq!(moving(&bed, "d1"), NONE, "{}", first.log());
    bed.ip("d1", "link set e1 up");
    bed.wait("did it recover", || moving(&bed, "d1") == ALL, || first.log());
}

#[test]
fn a_reload_changes_what_is_written_otherwise_and_nothing_else() {
    if !can_run() {
        return;
    }
    let bed = Bed::new();
    let text = node_of_a_pair(150);
    let path = bed.write("d1", "a.toml", &text);
    let mut first = bed.director("d1");
    first.start(&[&path]).expect("evenkeel starts");
    bed.wait("had the master all", || moving(&bed, "d1") == ALL, || first.log());
    let monitor = bed.stage.directory().join("d1/monitor");
    let mut command = Command::new("ip");
    command.args(["monitor", "route", "rule"]).stdin(Stdio::null());
    command.stdout(std::fs::File::create(&monitor).expect("a file")).stderr(Stdio::null());
    let mut watcher = Process::new("ip monitor", bed.node("d1").spawn(command).expect("ip runs"));
    let seen = || std::fs::read_to_string(&monitor).unwrap_or_default();
    // It hears once it says what somebody does; of a route that is replaced by the same the kernel tells nobody.
    let mut mtu = 1000;
    bed.wait(
        "did the watcher hear",
        || {
            mtu += 1;
            bed.ip("d1", &format!("route replace 10.120.0.0/16 via 10.81.0.9 dev e1 mtu {mtu}"));
            seen().contains("10.120.0.0/16")
        },
        seen,
    );
    let other =
        text.replace("10.100.0.0/16 via 10.81.0.9", "10.130.0.0/16 via 10.81.0.9").replace("10.90.0.0", "10.91.0.0");
    bed.write("d1", "a.toml", &other);
    first.signal(Signal::HUP).expect("it is told");
    let routes = || bed.ip("d1", "route show proto keepalived");
    bed.wait(
        "were the new ones there",
        || routes().contains("10.130.0.0/16") && routes().contains("10.91.0.0/16"),
        || first.log(),
    );
    bed.wait(
        "were the old ones gone",
        || !routes().contains("10.100.0.0/16") && !routes().contains("10.90.0.0/16"),
        || first.log(),
    );
    watcher.signal(Signal::TERM).expect("it is told");
    watcher.wait(LIMIT).expect("it ends");
    let touched = |what: &str| seen().contains(what);
    assert!(touched("10.130.0.0/16") && !touched("10.101.0.0/16") && !touched("lookup 200"), "{}", seen());
    assert!(first.terminate().expect("it ends").success(), "{}", first.log());
    assert_eq!((moving(&bed, "d1"), staying(&bed, "d1")), (NONE, NONE), "{}", first.log());
    assert!(routes().is_empty(), "{}", routes());
}
