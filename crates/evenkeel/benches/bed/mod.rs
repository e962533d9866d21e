//! A director in a network namespace, with a neighbour that answers for 250 addresses and is the way to more.

#![allow(dead_code, reason = "each benchmark uses its part")]

pub(crate) mod keepalived;
pub(crate) mod real_servers;

use evenkeel_model::Prefix;
use evenkeel_netlink::{Address, Netlink, RouteEntry, VethEnd};
use evenkeel_os::{Namespace, Usage, child};
use std::{
    fs,
    net::IpAddr,
    os::{fd::AsFd, unix::net::UnixDatagram},
    path::PathBuf,
    process::{Child, Command, Output, Stdio},
    time::{Duration, Instant},
};

/// Long enough on the busiest machine.
const LIMIT: Duration = Duration::from_secs(60);

/// A program that ends with what holds it.
pub(crate) struct Daemon(pub(crate) Child);

impl Daemon {
    /// Its process.
    pub(crate) fn id(&self) -> u32 {
        self.0.id()
    }

    /// CPU time and memory of its own, of it and its children.
    pub(crate) fn usage(&self) -> (Duration, u64) {
        let parent = self.id();
        let children = fs::read_to_string(format!("/proc/{parent}/task/{parent}/children")).unwrap();
        let children = children.split_whitespace().map(|child| child.parse().unwrap());
        let all: Vec<Usage> = std::iter::once(parent).chain(children).map(|one| Usage::of(one).unwrap()).collect();
        (all.iter().map(|one| one.cpu).sum(), all.iter().map(|one| one.anonymous).sum())
    }

    /// Asks it to end, and waits.
    pub(crate) fn terminate(mut self) {
        let process = rustix::process::Pid::from_child(&self.0);
        rustix::process::kill_process(process, rustix::process::Signal::TERM).unwrap();
        self.0.wait().unwrap();
    }

    /// `kill -9`
    pub(crate) fn kill(mut self) {
        self.0.kill().unwrap();
        self.0.wait().unwrap();
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// A director's namespace with a neighbour, and the files of one instance.
pub(crate) struct Bed {
    names: [String; 2],
    namespaces: [Namespace; 2],
    /// Of this bed's own files.
    pub(crate) directory: PathBuf,
    file: &'static str,
    ready: UnixDatagram,
}

impl Bed {
    /// `purpose` keeps beds of one process apart; `file` is what the configuration is called.
    pub(crate) fn new(purpose: &str, file: &'static str) -> Bed {
        let names = ["director", "far"].map(|end| format!("ek-{purpose}-{}-{end}", std::process::id()));
        let namespaces = [0, 1].map(|n: usize| Namespace::create(&names[n]).unwrap());
        let directory = PathBuf::from(format!("/run/ek-{purpose}-{}", std::process::id()));
        fs::create_dir(&directory).unwrap();
        let ready = UnixDatagram::bind(directory.join("notify")).unwrap();
        ready.set_read_timeout(Some(LIMIT)).unwrap();
        let bed = Bed { names, namespaces, directory, file, ready };
        bed.link();
        bed
    }

    fn link(&self) {
        let [director, far] = &self.namespaces;
        let near = || {
            let mut netlink = Netlink::open().unwrap();
            let far = VethEnd::new("far0").in_namespace(far.as_fd());
            netlink.create_veth(VethEnd::new("eth0"), far).unwrap();
            let index = netlink.link("eth0").unwrap().unwrap().index;
            let loopback = netlink.link("lo").unwrap().unwrap().index;
            netlink.set_up(loopback, true).unwrap();
            netlink.set_up(index, true).unwrap();
            netlink.add_address(&Address::new(index, "10.0.0.1".parse().unwrap(), 8)).unwrap();
            netlink.add_address(&Address::new(index, "192.0.2.1".parse().unwrap(), 24)).unwrap();
        };
        director.run(near).unwrap();
        let answer = || {
            let mut netlink = Netlink::open().unwrap();
            let index = netlink.link("far0").unwrap().unwrap().index;
            netlink.set_up(index, true).unwrap();
            for last in 2..252 {
                let address = format!("192.0.2.{last}").parse().unwrap();
                netlink.add_address(&Address::new(index, address, 24)).unwrap();
            }
        };
        far.run(answer).unwrap();
        let route = || {
            let mut netlink = Netlink::open().unwrap();
            let behind = Prefix::new("172.16.0.0".parse().unwrap(), 12).unwrap();
            netlink.add_route(&RouteEntry::new(behind).via("192.0.2.2".parse().unwrap())).unwrap();
        };
        director.run(route).unwrap();
    }

    /// One more cable from the director, whose end there has an address; the other end is up.
    pub(crate) fn cable(&self, near: &str, far: &str, address: &str) {
        let [director, neighbour] = &self.namespaces;
        let (near, far) = (near.to_owned(), far.to_owned());
        let (address, bits) = address.split_once('/').unwrap();
        let (address, bits): (IpAddr, u8) = (address.parse().unwrap(), bits.parse().unwrap());
        let end = far.clone();
        director
            .run(move || {
                let mut netlink = Netlink::open().unwrap();
                let end = VethEnd::new(&end).in_namespace(neighbour.as_fd());
                netlink.create_veth(VethEnd::new(&near), end).unwrap();
                let index = netlink.link(&near).unwrap().unwrap().index;
                netlink.set_up(index, true).unwrap();
                netlink.add_address(&Address::new(index, address, bits)).unwrap();
            })
            .unwrap();
        let up = move || {
            let mut netlink = Netlink::open().unwrap();
            let index = netlink.link(&far).unwrap().unwrap().index;
            netlink.set_up(index, true).unwrap();
        };
        neighbour.run(up).unwrap();
    }

    /// How many addresses the director has.
    pub(crate) fn addresses(&self) -> usize {
        let count = || {
            let mut netlink = Netlink::open().unwrap();
            // While many come or go, the list changes faster than it is read.
            std::iter::repeat_with(|| netlink.addresses()).find_map(Result::ok).unwrap().len()
        };
        self.namespaces[0].run(count).unwrap()
    }

    /// The configuration.
    pub(crate) fn file(&self) -> PathBuf {
        self.directory.join(self.file)
    }

    /// What the program that runs last has said.
    pub(crate) fn log(&self) -> PathBuf {
        self.directory.join("log")
    }

    /// A program that will run in the director's namespace.
    pub(crate) fn inside(&self, program: &str) -> Command {
        let mut command = Command::new(program);
        child::start_in(&mut command, &self.namespaces[0]).unwrap();
        command
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = self.inside(env!("CARGO_BIN_EXE_evenkeel"));
        command.args(arguments).env("EVENKEEL_RUNTIME_DIR", self.directory.join("run")).stdin(Stdio::null());
        command
    }

    /// Starts the program, and waits until it says that it serves.
    pub(crate) fn start(&self) -> (Daemon, f64) {
        let mut command = self.command(&["run", self.file().to_str().unwrap()]);
        let log = fs::File::create(self.log()).unwrap();
        command.env("NOTIFY_SOCKET", self.directory.join("notify")).stderr(log);
        self.forget_messages();
        let begun = Instant::now();
        let daemon = Daemon(command.spawn().unwrap());
        let mut message = [0; 4096];
        loop {
            let length = self.ready.recv(&mut message).unwrap();
            if message[..length].split(|b| *b == b'\n').any(|line| line == b"READY=1") {
                return (daemon, begun.elapsed().as_secs_f64());
            }
        }
    }

    /// A full socket would lose what it says, and an old message tells nothing of a new start.
    pub(crate) fn forget_messages(&self) {
        self.ready.set_nonblocking(true).unwrap();
        while self.ready.recv(&mut [0; 4096]).is_ok() {}
        self.ready.set_nonblocking(false).unwrap();
    }

    /// A command of the program, and how long it took.
    pub(crate) fn ask(&self, arguments: &[&str]) -> (Output, f64) {
        let begun = Instant::now();
        let output = self.command(arguments).output().unwrap();
        let took = begun.elapsed().as_secs_f64();
        assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
        (output, took)
    }

    /// Stops the daemon; how long that took.
    pub(crate) fn stop(&self, mut daemon: Daemon) -> f64 {
        let begun = Instant::now();
        self.ask(&["stop"]);
        let took = begun.elapsed().as_secs_f64();
        assert!(daemon.0.wait().unwrap().success());
        took
    }
}

impl Drop for Bed {
    fn drop(&mut self) {
        let _ = self.command(&["stop"]).output();
        self.names.iter().for_each(|name| drop(Namespace::delete(name)));
        let _ = fs::remove_dir_all(&self.directory);
    }
}

/// The middle one.
pub(crate) fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}
