//! The tour of `evenkeel lab heartbeat`: what the document tries with its pair, and what pulls the real one apart.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use evenkeel_api::Status;
use serde_json::json;

use crate::args::LabArgs;
use crate::client::Load;
use crate::error::Error;
use crate::interrupt::Interrupt;
use crate::narrator::{Narrator, millis, text};
use crate::pair::{Member, Owners, Pair, names};
use crate::report::Report;
use crate::topology::PAIR_VIP;

/// Nothing in the tour takes this long unless it is broken.
const LIMIT: Duration = Duration::from_secs(20);
/// Requests that are answered before and after each event.
const REQUESTS: usize = 50;
/// `deadtime` in the files of the pair.
const DEADTIME: Duration = Duration::from_millis(1500);
/// An orderly move that takes longer is none.
const MOVE: Duration = Duration::from_secs(1);

/// So long after its start a node asks for 2 s more than `deadtime`, as heartbeat's do: no time to try what happens at `deadtime`.
const FRESH: Duration = Duration::from_millis(5500);

const FIRST: Owners = [true, false];
const SECOND: Owners = [false, true];
const BOTH: Owners = [true, true];
const NEITHER: Owners = [false, false];
/// The switch ports of the main node's cables.
const ETH0: &str = "ha1";
const ETH1: &str = "line1";

/// A step of the tour: its name, and what it does.
type Step = (&'static str, fn(&mut Tour) -> Result<(), Error>);

const STEPS: &[Step] = &[
    ("hand-over", Tour::hand_over),
    ("fail-back", Tour::fail_back),
    ("eth0", Tour::service_cable),
    ("eth1", Tour::heartbeat_cable),
    ("split", Tour::split),
    ("heal", Tour::heal),
    ("crash", Tour::crash),
    ("power-off", Tour::power_off),
];

struct Tour {
    narrator: Narrator,
    load: Load,
    pair: Pair,
    /// When evenkeel was started on the main node.
    started: Instant,
}

/// Builds the pair, plays the tour and removes everything.
pub(crate) fn run(arguments: &LabArgs) -> Result<(), Error> {
    let narrator = Narrator::new(arguments.json);
    narrator.conclude(play(arguments, narrator))
}

fn play(arguments: &LabArgs, narrator: Narrator) -> Result<(), (&'static str, Error)> {
    let build = |error| ("build", error);
    let interrupt = Interrupt::listen().map_err(build)?;
    let program = std::env::current_exe().map_err(|why| build(Error::because("find this program", why)))?;
    let begun = Instant::now();
    let mut pair = Pair::raise(arguments.name(), &program).map_err(build)?;
    let event = format!("ha1, ha2, their switches and a client are up after {}", text(begun.elapsed()));
    narrator.tell("build", &event, json!({ "build_ms": millis(begun.elapsed()) }));
    start(narrator, &mut pair).map_err(|error| ("start", error))?;
    let load = pair.client.load(SocketAddr::new(PAIR_VIP, 80), arguments.rate.max(1));
    let mut tour = Tour { narrator, load: load.map_err(|error| ("start", error))?, pair, started: Instant::now() };
    for (name, step) in STEPS {
        let done = step(&mut tour);
        // Ctrl-C goes to the nodes as well, so what failed then is no news.
        interrupt.check().and(done).map_err(|error| (*name, error))?;
    }
    let Tour { load, mut pair, .. } = tour;
    // The last requests are answered before nobody answers any more.
    load.stop();
    stop(narrator, &mut pair).map_err(|error| ("stop", error))?;
    let begun = Instant::now();
    pair.end().map_err(|error| ("clean-up", error))?;
    let event = format!("namespaces and processes are gone after {}", text(begun.elapsed()));
    narrator.tell("clean-up", &event, json!({ "clean_up_ms": millis(begun.elapsed()) }));
    Ok(())
}

/// Both nodes, until each has heard the other and the address is where it belongs.
fn start(narrator: Narrator, pair: &mut Pair) -> Result<(), Error> {
    let begun = Instant::now();
    for member in &mut pair.members {
        member.start()?;
    }
    pair.wait_owners(FIRST, LIMIT)?;
    for member in &mut pair.members {
        settled(member)?;
    }
    let event = format!("both nodes run and {PAIR_VIP} is on ha1 after {}", text(begun.elapsed()));
    narrator.tell("start", &event, json!({ "owner": "ha1", "start_ms": millis(begun.elapsed()) }));
    Ok(())
}

/// Both nodes ended: the one without the address first, so that it moves no more.
fn stop(narrator: Narrator, pair: &mut Pair) -> Result<(), Error> {
    let begun = Instant::now();
    for member in pair.members.iter_mut().rev() {
        member.stop()?;
    }
    pair.wait_owners(NEITHER, LIMIT)?;
    let event = format!("both nodes ended, and took the address away, after {}", text(begun.elapsed()));
    narrator.tell("stop", &event, json!({ "stop_ms": millis(begun.elapsed()) }));
    Ok(())
}

/// Waits until a node has heard all others and its ping node, by every way, and moves nothing.
fn settled(member: &mut Member) -> Result<Status, Error> {
    member.evenkeel.wait("found all others", LIMIT, |status| {
        status.cluster.as_ref().is_some_and(|cluster| {
            let heard = |state: &str| state != "dead" && state != "init";
            cluster.stable
                && cluster.nodes.iter().chain(&cluster.pings).all(|node| heard(&node.state))
                && cluster.nodes.iter().flat_map(|node| &node.links).all(|link| link.state == "up")
        })
    })
}

impl Tour {
    fn hand_over(&mut self) -> Result<(), Error> {
        let begun = self.steady()?;
        self.main().stop()?;
        let seen = self.pair.wait_owners(SECOND, LIMIT)?;
        self.moved("hand-over", "evenkeel on ha1 is stopped", begun, SECOND, &seen, MOVE)
    }

    fn fail_back(&mut self) -> Result<(), Error> {
        self.back("fail-back")
    }

    fn service_cable(&mut self) -> Result<(), Error> {
        let begun = self.steady()?;
        self.pair.plug(&[ETH0], false)?;
        let seen = self.pair.wait_owners(SECOND, LIMIT)?;
        let event = "eth0 of ha1 is pulled, and its ping node out of reach (ipfail)";
        self.moved("eth0", event, begun, SECOND, &seen, DEADTIME + MOVE)?;
        let begun = self.steady()?;
        self.pair.plug(&[ETH0], true)?;
        let seen = self.pair.wait_owners(FIRST, LIMIT)?;
        self.moved("eth0", "eth0 of ha1 is put back", begun, FIRST, &seen, MOVE)?;
        self.all_settled()
    }

    fn heartbeat_cable(&mut self) -> Result<(), Error> {
        let begun = self.steady()?;
        self.pair.plug(&[ETH1], false)?;
        let missed = |status: &Status| {
            // Of itself a node says by what it can send, and the cable of ha2 is in.
            let others =
                status.cluster.iter().flat_map(|cluster| &cluster.nodes).filter(|node| node.heard_ms.is_some());
            let mut links = others.flat_map(|node| &node.links).filter(|link| link.name == "eth1").peekable();
            links.peek().is_some() && links.all(|link| link.state == "dead")
        };
        for member in &mut self.pair.members {
            member.evenkeel.wait("missed eth1", LIMIT, missed)?;
        }
        // Longer than a node that heard nothing would wait.
        let calm = Instant::now() + DEADTIME;
        while Instant::now() < calm {
            let owners = self.pair.owners()?;
            if owners != FIRST {
                return Err(Error::new(format!("eth1 alone was pulled, and the address is at {}", names(owners))));
            }
            self.load.wait_for(1, LIMIT)?;
        }
        self.moved("eth1", "eth1 of ha1 is pulled alone: nothing moves", begun, FIRST, &[], MOVE)?;
        self.pair.plug(&[ETH1], true)?;
        self.all_settled()
    }

    fn split(&mut self) -> Result<(), Error> {
        self.grown()?;
        let begun = self.steady()?;
        self.pair.plug(&[ETH0, ETH1], false)?;
        let seen = self.pair.wait_owners(BOTH, LIMIT)?;
        let event = "all cables of ha1 are pulled: each takes the other for dead";
        self.moved("split", event, begun, BOTH, &seen, DEADTIME + MOVE)
    }

    fn heal(&mut self) -> Result<(), Error> {
        let begun = self.steady()?;
        self.pair.plug(&[ETH0, ETH1], true)?;
        let seen = self.pair.wait_owners(FIRST, LIMIT)?;
        if seen.contains(&NEITHER) {
            return Err(Error::new("both nodes gave the address up"));
        }
        self.moved("heal", "they are put back: one node yields", begun, FIRST, &seen, MOVE)?;
        self.all_settled()
    }

    fn crash(&mut self) -> Result<(), Error> {
        self.grown()?;
        let begun = self.steady()?;
        self.main().evenkeel.kill()?;
        let seen = self.pair.wait_owners(SECOND, LIMIT)?;
        let event = "kill -9 of evenkeel on ha1: its address serves on until ha2 may take it";
        self.moved("crash", event, begun, SECOND, &seen, MOVE)?;
        self.back("crash")
    }

    fn power_off(&mut self) -> Result<(), Error> {
        self.grown()?;
        let begun = self.steady()?;
        self.pair.plug(&[ETH0, ETH1], false)?;
        self.main().evenkeel.kill()?;
        self.main().web.stop()?;
        let seen = self.pair.wait_owners(SECOND, LIMIT)?;
        self.moved("power-off", "ha1 loses its power", begun, SECOND, &seen, DEADTIME + MOVE)?;
        self.main().web.start()?;
        self.pair.plug(&[ETH0, ETH1], true)?;
        self.back("power-off")
    }

    fn main(&mut self) -> &mut Member {
        let [main, _] = &mut self.pair.members;
        main
    }

    /// Starts the main node again and waits until it has the address.
    fn back(&mut self, step: &str) -> Result<(), Error> {
        let begun = self.steady()?;
        self.main().start()?;
        self.started = Instant::now();
        let seen = self.pair.wait_owners(FIRST, LIMIT)?;
        self.moved(step, "ha1 is started again", begun, FIRST, &seen, MOVE)?;
        self.all_settled()
    }

    /// Waits until the other node gives the main one `deadtime` and no more.
    fn grown(&self) -> Result<(), Error> {
        while self.started.elapsed() < FRESH {
            self.load.wait_for(1, LIMIT)?;
        }
        Ok(())
    }

    fn all_settled(&mut self) -> Result<(), Error> {
        self.pair.members.iter_mut().try_for_each(|member| settled(member).map(drop))
    }

    /// Waits until requests are answered, so that a gap after this moment is one of the event that follows.
    fn steady(&mut self) -> Result<Instant, Error> {
        let begun = Instant::now();
        self.load.wait_for(REQUESTS, LIMIT)?;
        self.load.wait_until(begun, LIMIT, |exchange| exchange.is_ok())?;
        Ok(begun)
    }

    /// Waits until the client is served by who has the address now, and tells for how long nobody served it: the longest time between
    /// two answers, which must not exceed `most`. Both nodes at once may have it only where they were apart.
    fn moved(
        &self,
        step: &str,
        event: &str,
        begun: Instant,
        owners: Owners,
        seen: &[Owners],
        most: Duration,
    ) -> Result<(), Error> {
        // Of two that have it the second is the one whose cables are in.
        let server = if owners == FIRST { "ha1" } else { "ha2" };
        let good = |body: &Result<String, String>| body.as_deref() == Ok(server);
        self.load.wait_until(Instant::now(), LIMIT, |exchange| good(&exchange.outcome))?;
        self.load.wait_for(REQUESTS, LIMIT)?;
        let mut report: Report = self.load.report();
        report.exchanges.retain(|exchange| exchange.ended >= begun);
        let gap = report.longest_gap();
        if step != "heal" && seen.contains(&BOTH) {
            return Err(Error::new("both nodes had the address"));
        }
        if gap > most {
            return Err(Error::new(format!("{event}; nobody answered for {}", text(gap))));
        }
        let event = format!("{event}; the address is at {}, was away for {}", names(owners), text(gap));
        let facts = json!({ "owner": names(owners), "away_ms": millis(gap), "failed": report.failed() });
        self.narrator.tell(step, &event, facts);
        Ok(())
    }
}
