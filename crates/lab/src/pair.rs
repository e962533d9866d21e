//! The pair of document 003: two nodes with heartbeat's files, an address that moves between them, and their client.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use evenkeel_netlink::Netlink;

use crate::client::Client;
use crate::director::Director;
use crate::error::{Context, Error};
use crate::real_server::WebServer;
use crate::stage::Stage;
use crate::topology::{PAIR, PAIR_VIP, SWITCH, pair};

/// How often the addresses of the nodes are looked at while something is awaited.
const LOOK: Duration = Duration::from_millis(2);

/// Those of the document, with a `keepalive` of 200 ms, and without the logs, which would be the host's.
const HA: &str = "keepalive 200ms\ndeadtime 1500ms\nwarntime 800ms\ninitdead 10\nudpport 694\nauto_failback on\nnode ha1\n\
                  node ha2\nping 10.168.0.1\nrespawn hacluster /usr/lib64/heartbeat/ipfail\n";
const AUTHKEYS: &str = "auth 1\n1 sha1 a-secret-of-the-lab\n";
const HARESOURCES: &str = "ha1 10.168.0.160/24/eth0 nginx\n";

/// Which of the two have the address.
pub(crate) type Owners = [bool; 2];

/// A node of the pair.
#[derive(Debug)]
pub(crate) struct Member {
    /// Its name.
    pub(crate) name: &'static str,
    /// Its evenkeel; not started yet.
    pub(crate) evenkeel: Director,
    /// What the document starts at boot as nginx: it answers with the name of its node.
    pub(crate) web: WebServer,
    files: PathBuf,
    addresses: Netlink,
}

/// The two and what is around them. Dropping it removes everything it made.
#[derive(Debug)]
pub(crate) struct Pair {
    /// The nodes, the main one first.
    pub(crate) members: [Member; 2],
    /// The client.
    pub(crate) client: Client,
    switch: Netlink,
    // The last: it removes what the others run in.
    stage: Stage,
}

impl Pair {
    /// Builds it; the web servers run afterwards, evenkeel does not.
    pub(crate) fn raise(name: &str, program: &Path) -> Result<Pair, Error> {
        let stage = Stage::raise(name, &pair())?;
        let [first, second] = PAIR;
        let members = [Member::new(&stage, program, first, 2)?, Member::new(&stage, program, second, 1)?];
        let client = Client::new(Arc::clone(stage.node("client")?));
        let switch = stage.node(SWITCH)?.run(Netlink::open)??;
        Ok(Pair { members, client, switch, stage })
    }

    /// Ends and removes everything.
    pub(crate) fn end(self) -> Result<(), Error> {
        drop(self.members);
        self.stage.end()
    }

    /// Pulls cables out of the switches, or puts them back.
    pub(crate) fn plug(&mut self, ports: &[&str], up: bool) -> Result<(), Error> {
        for port in ports {
            let link = self.switch.link(port)?;
            let link = link.ok_or_else(|| Error::new(format!("the switch has no port {port}")))?;
            self.switch.set_up(link.index, up)?;
        }
        Ok(())
    }

    /// Who has the address.
    pub(crate) fn owners(&mut self) -> Result<Owners, Error> {
        let [first, second] = &mut self.members;
        let had = first.has_address()?;
        let second = second.has_address()?;
        // Asked twice, so that an address that moves meanwhile is not seen on both.
        Ok([had && first.has_address()?, second])
    }

    /// Waits until the address is where it is `wanted`; every other state that was seen before, in order.
    pub(crate) fn wait_owners(&mut self, wanted: Owners, limit: Duration) -> Result<Vec<Owners>, Error> {
        let end = Instant::now() + limit;
        let mut seen: Vec<Owners> = Vec::new();
        loop {
            let owners = self.owners()?;
            if owners == wanted {
                return Ok(seen);
            }
            if seen.last() != Some(&owners) {
                seen.push(owners);
            }
            if Instant::now() > end {
                let logs: Vec<String> = self.members.iter().map(|member| member.evenkeel.log()).collect();
                let (wanted, owners) = (names(wanted), names(owners));
                return Err(Error::because(
                    format!("bring the address to {wanted}: it is at {owners}"),
                    logs.join("\n----\n"),
                ));
            }
            std::thread::sleep(LOOK);
        }
    }
}

impl Member {
    fn new(stage: &Stage, program: &Path, name: &'static str, other: u8) -> Result<Member, Error> {
        let node = stage.node(name)?;
        let directory = stage.directory().join(name);
        let files = directory.join("ha.d");
        write_files(&files, other).context(format_args!("write the files of {name}"))?;
        let control = directory.join("web.sock");
        let mut web = WebServer::new(Arc::clone(node), program.to_owned(), control, name, Vec::new());
        web.start()?;
        let evenkeel = Director::new(Arc::clone(node), program.to_owned(), &directory);
        let addresses = node.run(Netlink::open)??;
        Ok(Member { name, evenkeel, web, files, addresses })
    }

    /// Starts evenkeel, and says how long that took.
    pub(crate) fn start(&mut self) -> Result<Duration, Error> {
        self.evenkeel.start(&[&self.files.to_string_lossy(), "--node", self.name])
    }

    /// Starts evenkeel without waiting for it.
    pub(crate) fn spawn(&mut self) -> Result<(), Error> {
        self.evenkeel.spawn(&[&self.files.to_string_lossy(), "--node", self.name])
    }

    /// An orderly end of evenkeel, waited for.
    pub(crate) fn stop(&mut self) -> Result<(), Error> {
        let status = self.evenkeel.terminate()?;
        if status.success() {
            return Ok(());
        }
        Err(Error::because(format!("end evenkeel on {}: {status}", self.name), self.evenkeel.log()))
    }

    fn has_address(&mut self) -> Result<bool, Error> {
        Ok(self.addresses.addresses()?.iter().any(|entry| entry.address == PAIR_VIP))
    }
}

fn write_files(directory: &Path, other: u8) -> std::io::Result<()> {
    fs::create_dir_all(directory.join("resource.d"))?;
    let write = |name: &str, text: &str, mode: u32| {
        let path = directory.join(name);
        fs::write(&path, text)?;
        fs::set_permissions(&path, fs::Permissions::from_mode(mode))
    };
    write("ha.cf", &format!("{HA}ucast eth1 10.0.0.{other}\n"), 0o644)?;
    write("authkeys", AUTHKEYS, 0o600)?;
    write("haresources", HARESOURCES, 0o644)?;
    // nginx runs since boot, and goes on: the script only notes what it was told.
    let state = directory.join("nginx.state");
    let state = state.display();
    let script = format!(
        "#!/bin/sh\ncase $1 in\nstart) : > '{state}';;\nstop) rm -f '{state}';;\nstatus) if [ -e '{state}' ]; then echo \
         running; else echo not there; exit 3; fi;;\nesac\nexit 0\n"
    );
    write("resource.d/nginx", &script, 0o755)
}

/// Who has it, for people.
pub(crate) fn names(owners: Owners) -> String {
    let names: Vec<&str> = PAIR.into_iter().zip(owners).filter(|(_, has)| *has).map(|(name, _)| name).collect();
    if names.is_empty() { "neither".to_owned() } else { names.join(" and ") }
}
