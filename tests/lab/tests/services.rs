//! Kinds of services, and what is none.

#![expect(clippy::expect_used, reason = "a test fails by panicking")]

use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use evenkeel_lab::{Node, alternates, configuration};
use evenkeel_lab_tests::{Bed, LIMIT, all_up, can_run, program, talk};

fn serving(text: impl FnOnce(&Bed) -> String) -> (Bed, String) {
    let mut bed = Bed::new(|_| {});
    let text = text(&bed);
    let path = bed.write("director.toml", &text).expect("the file is written");
    bed.director.start(&[&path, "--connections", "65536"]).expect("the director starts");
    bed.director.wait("had both real servers up", LIMIT, all_up).expect("both real servers come in");
    (bed, path)
}

fn target(bed: &Bed) -> SocketAddr {
    bed.target().expect("the lab has a VIP")
}

#[test]
fn udp_clients_alternate_and_each_keeps_its_real_server() {
    if !can_run() {
        return;
    }
    let services = [
        ("names", "10.77.0.100:53", ["10.77.0.11", "10.77.0.12"]),
        ("names6", "[fd77::100]:53", ["fd77::11", "fd77::12"]),
    ];
    let (bed, _) = serving(|_| {
        let service = |(name, listen, [one, two]): (&str, &str, [&str; 2])| {
            format!(
                "[service.{name}]\nlisten = \"udp://{listen}\"\nforward = \"dr\"\nschedule = \"rr\"\n\
                 real_servers = [\"{one}\", \"{two}\"]\ncheck = {{ ping = true, every = \"500ms\" }}\n"
            )
        };
        services.map(service).concat()
    });
    for (_, listen, _) in services {
        let address: SocketAddr = listen.parse().expect("an address");
        for server in &bed.real_servers {
            echo(server.node(), address, server.name());
        }
        let mut firsts = Vec::new();
        for _ in 0..6 {
            let answers = bed.client.node().run(move || ask_twice(address)).expect("the client lives");
            let [first, second] = answers.unwrap_or_else(|error| panic!("{listen}: {error}"));
            assert_eq!(first, second, "{listen}: a client was to keep its real server");
            firsts.push(first);
        }
        assert!(alternates(&firsts), "{listen}: {firsts:?}");
    }
}

/// Answers every datagram to `address` with `name`, for as long as the test runs.
fn echo(node: &Node, address: SocketAddr, name: &str) {
    let socket = node.run(move || UdpSocket::bind(address)).expect("the node lives").expect("the VIP is on lo");
    let name = name.to_owned();
    std::thread::spawn(move || {
        let mut datagram = [0; 64];
        while let Ok((_, client)) = socket.recv_from(&mut datagram) {
            if socket.send_to(name.as_bytes(), client).is_err() {
                return;
            }
        }
    });
}

/// Two questions from one port, and their answers.
fn ask_twice(address: SocketAddr) -> std::io::Result<[String; 2]> {
    let any: IpAddr = if address.is_ipv4() { [0, 0, 0, 0].into() } else { [0_u16; 8].into() };
    let socket = UdpSocket::bind((any, 0))?;
    socket.connect(address)?;
    socket.set_read_timeout(Some(Duration::from_secs(5)))?;
    let ask = || -> std::io::Result<String> {
        socket.send(b"who?")?;
        let mut answer = [0; 64];
        let length = socket.recv(&mut answer)?;
        Ok(String::from_utf8_lossy(&answer[..length]).into_owned())
    };
    Ok([ask()?, ask()?])
}

#[test]
fn a_denied_source_gets_no_connection_until_the_list_is_changed() {
    if !can_run() {
        return;
    }
    let with =
        |bed: &Bed| configuration(&bed.options().plan).replace("forward ", "deny = [\"10.77.9.0/24\"]\nforward ");
    let (bed, path) = serving(|bed| with(bed));
    let refused = bed.client.get(target(&bed)).expect("a request");
    assert!(refused.outcome.is_err(), "a denied client was answered: {:?}", refused.outcome);
    let drops = bed.director.status().expect("a state").dataplane.drops;
    assert!(drops.get("denied").is_some_and(|count| *count > 0), "{drops:?}");
    std::fs::write(&path, configuration(&bed.options().plan)).expect("the file is written");
    let (reloaded, said) = talk(&bed, &["reload"]);
    assert!(reloaded, "evenkeel reload: {said}");
    let bodies = bed.client.bodies(target(&bed), 10).expect("ten requests");
    assert!(alternates(&bodies), "{bodies:?}");
}

#[test]
fn without_a_file_one_command_serves() {
    if !can_run() {
        return;
    }
    let mut bed = Bed::new(|_| {});
    let run = ["--vip", "10.77.0.100:80", "--to", "10.77.0.11", "--to", "10.77.0.12", "--check", "http:/"];
    let run = [run.as_slice(), &["--connections", "65536"]].concat();
    bed.director.start(&run).expect("the director starts");
    bed.director.wait("had both real servers up", LIMIT, all_up).expect("both real servers come in");
    let bodies = bed.client.bodies(target(&bed), 10).expect("ten requests");
    assert!(alternates(&bodies), "{bodies:?}");
}

#[test]
fn what_is_no_service_passes_to_the_director_itself() {
    if !can_run() {
        return;
    }
    let (bed, _) = serving(|bed| configuration(&bed.options().plan));
    for (address, _) in &bed.options().plan.director {
        let bodies = bed.client.bodies(SocketAddr::new(*address, 80), 3).expect("three requests");
        assert!(bodies.iter().all(|body| body == "director"), "{address}: {bodies:?}");
    }
    // Nobody listens on the VIP's port 81: the director's stack says so at once, as it would without us.
    let closed = bed.client.get(SocketAddr::new(target(&bed).ip(), 81)).expect("a request");
    assert!(closed.outcome.as_ref().is_err_and(|error| error.contains("refused")), "{:?}", closed.outcome);
    assert!(closed.duration() < Duration::from_secs(1));
}

#[test]
fn two_instances_serve_side_by_side_at_one_interface() {
    if !can_run() {
        return;
    }
    let mut bed = Bed::new(|_| {});
    let first = ["--vip", "10.77.0.100:80", "--to", "10.77.0.11", "--to", "10.77.0.12", "--check", "http:/"];
    let first = [first.as_slice(), &["--connections", "65536", "--attach", "tcx"]].concat();
    if bed.director.start(&first).is_err() && bed.director.log().contains("tcx") {
        println!("skipped: this kernel has no tcx");
        return;
    }
    bed.director.wait("had both real servers up", LIMIT, all_up).expect("both real servers come in");
    let other = bed.directory().join("other");
    let mut run = Command::new(program());
    run.args(["run", "--vip", "[fd77::100]:80", "--to", "fd77::11", "--to", "fd77::12", "--check", "http:/"]);
    run.args(["--connections", "65536", "--attach", "tcx", "--runtime-dir"]).arg(&other).stderr(Stdio::null());
    let mut second = bed.director.node().spawn(run).expect("a second instance starts");
    let serves = || {
        let mut status = Command::new(program());
        status.args(["status", "--brief", "--runtime-dir"]).arg(&other);
        bed.director.node().output(status).is_ok()
    };
    let end = Instant::now() + LIMIT;
    while !serves() {
        assert!(Instant::now() < end, "the second instance never served");
        std::thread::yield_now();
    }
    for vip in &bed.options().plan.vips {
        let bodies = bed.client.bodies(SocketAddr::new(*vip, 80), 10).expect("ten requests");
        assert!(alternates(&bodies), "{vip}: {bodies:?}");
    }
    let id = rustix::process::Pid::from_child(&second);
    rustix::process::kill_process(id, rustix::process::Signal::TERM).expect("it is told to end");
    assert!(second.wait().expect("it ends").success());
    let bodies = bed.client.bodies(target(&bed), 10).expect("ten requests");
    assert!(alternates(&bodies), "{bodies:?}");
}
