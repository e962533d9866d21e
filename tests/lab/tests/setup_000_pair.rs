//! The heartbeat guide's two directors with its files as they stand: ldirectord over LVS-DR on whichever has the address.

#![expect(clippy::expect_used, clippy::indexing_slicing, reason = "a test fails by panicking")]

use evenkeel_api::{ServerState, Status};
use evenkeel_lab::{
    Client, Director, Node, Stage, WebServer, alternates,
    topology::{self, Interface, Kind, Plan},
};
use evenkeel_lab_tests::{LIMIT, all_up, alone, can_run, program, setup, unique_name, until};
use std::{
    collections::BTreeSet,
    fs,
    net::{IpAddr, Ipv4Addr, SocketAddr},
    os::unix::fs::PermissionsExt,
    process::Command,
    sync::Arc,
    time::Duration,
};

const VIP: Ipv4Addr = Ipv4Addr::new(192, 168, 0, 85);
const TARGET: SocketAddr = SocketAddr::new(IpAddr::V4(VIP), 80);
const REAL_SERVERS: [Ipv4Addr; 2] = [Ipv4Addr::new(192, 168, 0, 206), Ipv4Addr::new(192, 168, 0, 207)];
/// The nodes as ha.cf names them.
const NODES: [&str; 2] = ["node1.a.org", "node2.a.org"];
/// Their places in the lab, whose names end up in names of interfaces.
const PLACES: [&str; 2] = ["node1", "node2"];
/// Requests a second while the service moves.
const RATE: u32 = 200;

struct Guide {
    directors: [Director; 2],
    webs: Vec<WebServer>,
    client: Client,
    stage: Stage,
}

/// Client, router and real servers of a direct-routing lab, and two directors whose eth1 are one cable.
fn topology() -> topology::Topology {
    let plan = Plan { vips: Vec::new(), ..Plan::ipv4(VIP, 1, 202, &REAL_SERVERS) };
    let mut all = topology::dr(&plan, false);
    let at = all.nodes.iter().position(|node| node.name == "director").expect("there is one");
    let director = all.nodes.remove(at);
    let router = all.nodes.iter_mut().find(|node| node.name == "router").expect("there is one");
    router.interfaces.push(Interface { name: "br1".into(), kind: Kind::Bridge, addresses: Vec::new() });
    let cable = |name: &str, peer: String, bridge: &str, address: [u8; 4]| Interface {
        name: name.into(),
        kind: Kind::Cable { node: "router".into(), peer, bridge: Some(bridge.into()), peer_addresses: Vec::new() },
        addresses: vec![(IpAddr::from(address), 24)],
    };
    for (number, place) in (1..).zip(PLACES) {
        let eth0 = cable("eth0", place.into(), "br0", [192, 168, 0, 201 + number]);
        let eth1 = cable("eth1", format!("line{number}"), "br1", [10, 0, 0, number]);
        all.nodes.push(topology::Node { name: place.into(), interfaces: vec![eth0, eth1], ..director.clone() });
    }
    all
}

impl Guide {
    fn new() -> Guide {
        let stage = Stage::raise(&unique_name(), &topology()).expect("the stage is built");
        let node = |name: &str| Arc::clone(stage.node(name).expect("it is there"));
        let directors = PLACES.map(|place| {
            let directory = stage.directory().join(place);
            fs::create_dir_all(&directory).expect("a directory can be made");
            Director::new(node(place), program(), &directory)
        });
        let web = |name: &str, body: &str| {
            let control = stage.directory().join(format!("{name}.sock"));
            let mut web = WebServer::new(node(name), program(), control, body, Vec::new());
            web.start().expect("a web server starts");
            web
        };
        let webs = vec![web("real-1", "ok one"), web("real-2", "ok two"), web("node1", "sorry"), web("node2", "sorry")];
        for name in ["real-1", "real-2"] {
            let mut command = Command::new(program());
            command.args(["realserver", "up", &VIP.to_string(), "--runtime-dir"]).arg(stage.directory().join(name));
            node(name).output(command).expect("a real server is made ready");
        }
        let client = Client::new(node("client"));
        Guide { directors, webs, client, stage }
    }

    /// `/etc/init.d/heartbeat start`, with the guide's files; its ldirectord.cf lies beside them.
    fn start(&mut self, at: usize) {
        let etc = self.stage.directory().join(PLACES[at]).join("ha.d");
        fs::create_dir_all(&etc).expect("a directory can be made");
        let files = [("ha.cf", "ha.cf"), ("authkeys", "authkeys"), ("ldirectord.cf", "ldirectord.verbatim.cf")];
        for (name, source) in files {
            let source = setup("000-heartbeat-ldirectord-dr").join(source);
            fs::copy(source, etc.join(name)).expect("a file is copied");
        }
        // The guide: chmod 600 authkeys.
        fs::set_permissions(etc.join("authkeys"), fs::Permissions::from_mode(0o600)).expect("its mode is set");
        let etc = etc.to_str().expect("a plain path");
        self.directors[at].start(&[etc, "--node", NODES[at], "--connections", "65536"]).expect("evenkeel starts");
    }

    /// `/etc/init.d/heartbeat stop`.
    fn stop(&mut self, at: usize) {
        let ended = self.directors[at].terminate().expect("evenkeel ends");
        assert!(ended.success(), "{}", self.directors[at].log());
    }

    fn has_vip(&self, at: usize) -> bool {
        let node: &Node = self.directors[at].node();
        let mut command = Command::new("ip");
        command.args(["-o", "addr", "show", "to", &VIP.to_string()]);
        !node.output(command).expect("ip answers").is_empty()
    }

    fn owners(&self) -> Vec<usize> {
        (0..2).filter(|at| self.has_vip(*at)).collect()
    }

    fn crm_mon(&self, at: usize) -> String {
        let mut command = Command::new(program());
        command.args(["crm_mon", "-1"]).env("EVENKEEL_RUNTIME_DIR", self.directors[at].runtime_dir());
        self.directors[at].node().output(command).expect("crm_mon answers")
    }

    fn wait(&mut self, at: usize, what: &str, good: impl Fn(&Status) -> bool) -> Status {
        self.directors[at].wait(what, LIMIT, good).expect("it comes to be so")
    }

    /// Waits until both nodes are in the cluster and `at` serves; each node then says so in `crm_mon`.
    fn wait_served(&mut self, at: usize, running: &[usize]) {
        until(&format!("the address was on {}", NODES[at]), || self.owners() == [at]);
        for &one in running {
            self.wait(one, "was at rest", |status| status.cluster.as_ref().is_some_and(|cluster| cluster.stable));
            let wanted = format!("Started {}", NODES[at]);
            let what = format!("crm_mon of {} said `{wanted}`", NODES[one]);
            until(&what, || self.crm_mon(one).contains(&wanted));
        }
        self.wait(at, "had both real servers up", all_up);
        let bodies: BTreeSet<String> = self.client.bodies(TARGET, 10).expect("ten requests").into_iter().collect();
        assert!(bodies.iter().eq(["ok one", "ok two"]), "{} serves {bodies:?}", NODES[at]);
    }
}

impl Drop for Guide {
    fn drop(&mut self) {
        if std::thread::panicking() {
            for (director, name) in self.directors.iter().zip(NODES) {
                println!("--- {name} ---\n{}--- its state ---\n{:?}", director.log(), director.status_json());
            }
        }
    }
}

/// Weight of each real server that is in the table.
fn weights(status: &Status) -> Vec<(String, u32)> {
    let servers = status.services[0].real_servers.iter().filter(|server| server.in_table);
    servers.map(|server| (server.address.clone(), server.weight)).collect()
}

#[test]
fn the_guides_two_directors_serve_and_hand_over() {
    if !can_run() {
        return;
    }
    let _alone = alone();
    let mut guide = Guide::new();
    guide.start(0);
    guide.start(1);
    guide.wait_served(0, &[0, 1]);
    let log = guide.directors[0].log();
    assert!(log.contains("the addresses of the services are one group that prefers node1.a.org"), "{log}");
    let said = guide.crm_mon(0);
    assert!(said.contains("Online: [ node1.a.org node2.a.org ]") && said.contains("192.168.0.85"), "{said}");

    // A dead real server keeps its place with weight 0, and with none left the fallback answers.
    let both = |one, two| vec![("192.168.0.206:80".to_owned(), one), ("192.168.0.207:80".to_owned(), two)];
    let bodies = guide.client.bodies(TARGET, 10).expect("ten requests");
    assert!(alternates(&bodies), "{bodies:?}");
    let status = guide.wait(0, "had both", all_up);
    assert_eq!(weights(&status), both(200, 600));
    guide.webs[0].stop().expect("it dies");
    guide.directors[0].wait_state("192.168.0.206", ServerState::Down, LIMIT).expect("its death is seen");
    guide.wait(0, "quiesced it", |status| weights(status) == both(0, 600));
    let bodies = guide.client.bodies(TARGET, 6).expect("six requests");
    assert!(bodies.iter().all(|body| body == "ok two"), "{bodies:?}");
    guide.webs[1].stop().expect("it dies");
    guide.directors[0].wait_state("192.168.0.207", ServerState::Down, LIMIT).expect("its death is seen");
    until("the fallback answered", || guide.client.bodies(TARGET, 1).expect("a request") == ["sorry"]);
    for web in &mut guide.webs[..2] {
        web.start().expect("it comes back");
    }
    guide.wait_served(0, &[0, 1]);

    // The end of the first director moves the service; its start brings it back, as auto_failback legacy has it.
    let stop = |guide: &mut Guide| guide.stop(0);
    moved(&mut guide, "stop", stop, 1, &[1]);
    let start = |guide: &mut Guide| guide.start(0);
    moved(&mut guide, "start", start, 0, &[0, 1]);
    let log = guide.directors[0].log();
    let (_, life) = log.rsplit_once("serves 1 service").expect("it has begun");
    let (before, _) = life.split_once("192.168.0.85 is on node1.a.org").expect("it took its group back");
    let checked = ["192.168.0.206:80 is up", "192.168.0.207:80 is up"].iter().all(|server| before.contains(server));
    assert!(checked, "it took its group before it knew its real servers: {life}");
}

/// Does something that moves the service to `to` under load; clients hardly notice.
fn moved(guide: &mut Guide, what: &str, act: impl Fn(&mut Guide), to: usize, running: &[usize]) {
    let load = guide.client.load(TARGET, RATE).expect("a load");
    load.wait_for(50, LIMIT).expect("it is under way");
    act(guide);
    guide.wait_served(to, running);
    load.wait_for(50, LIMIT).expect("it goes on");
    let report = load.stop();
    let (gap, failed, total) = (report.longest_gap(), report.failed(), report.total());
    println!("{what} of {}: no answer for {} ms, {failed} of {total} requests failed", NODES[0], gap.as_millis());
    // No more than may have been under way on a busy machine.
    assert!(failed <= 10, "{:?}", report.failures().collect::<Vec<_>>());
    report.failures().for_each(|one| println!("  {:?} after {:?}", one.outcome, one.duration()));
    assert!(gap < Duration::from_secs(1), "clients were without for {gap:?}");
    // Nobody else answered meanwhile, not even a director's own web server: the address goes before the services do.
    let bodies = report.bodies();
    assert!(bodies.keys().all(|body| ["ok one", "ok two"].contains(body)), "{bodies:?}");
}
