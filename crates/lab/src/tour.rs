//! The tour: a lab that shows, one line an event, what a director does on a good and on a bad day.

use std::net::{IpAddr, SocketAddr};
use std::time::{Duration, Instant};

use evenkeel_api::{ServerState, Status};
use serde_json::json;

use crate::args::LabArgs;
use crate::error::Error;
use crate::interrupt::Interrupt;
use crate::lab::{Lab, Options, configuration};
use crate::narrator::{Narrator, millis, text};
use crate::report::{Exchange, alternates};

/// Nothing in the tour takes this long unless it is broken.
const LIMIT: Duration = Duration::from_secs(20);
/// Requests that the load makes before and after each event.
const REQUESTS: usize = 100;

/// A step of the tour: its name, and what it does.
type Step = (&'static str, fn(&mut Tour) -> Result<(), Error>);

const STEPS: &[Step] = &[
    ("start", Tour::start),
    ("alternate", |tour| tour.alternate(0)),
    ("failure", Tour::failure),
    ("fallback", Tour::fallback),
    ("recovery", Tour::recovery),
    ("crash", Tour::crash),
    ("stop", Tour::stop),
];

struct Tour {
    narrator: Narrator,
    lab: Lab,
    rate: u32,
    run: Vec<String>,
}

/// Builds a lab, plays the tour and removes the lab.
pub(crate) fn run(arguments: &LabArgs) -> Result<(), Error> {
    let narrator = Narrator::new(arguments.json);
    narrator.conclude(play(arguments, narrator))
}

fn play(arguments: &LabArgs, narrator: Narrator) -> Result<(), (&'static str, Error)> {
    let interrupt = Interrupt::listen().map_err(|error| ("build", error))?;
    let program = std::env::current_exe().map_err(|e| ("build", Error::because("find this program", e)))?;
    let lab = Lab::dr(Options::new(arguments.name(), program)).map_err(|error| ("build", error))?;
    let run = arguments_of_run(&lab, arguments.connections).map_err(|error| ("build", error))?;
    let names: Vec<&str> =
        ["client", "router", "director"].into_iter().chain(lab.real_servers.iter().map(|s| s.name())).collect();
    narrator.tell(
        "build",
        &format!("{} are up after {}", names.join(", "), text(lab.build_time())),
        json!({ "build_ms": millis(lab.build_time()) }),
    );
    let mut tour = Tour { narrator, lab, rate: arguments.rate.max(1), run };
    for (name, step) in STEPS {
        let done = step(&mut tour);
        // Ctrl-C goes to the director as well, so what failed then is no news.
        interrupt.check().and(done).map_err(|error| (*name, error))?;
    }
    let begun = Instant::now();
    tour.lab.end().map_err(|error| ("clean-up", error))?;
    let event = format!("namespaces, processes and mounts are gone after {}", text(begun.elapsed()));
    narrator.tell("clean-up", &event, json!({ "clean_up_ms": millis(begun.elapsed()) }));
    Ok(())
}

/// Writes the director's configuration and gives the arguments of `evenkeel run` for it.
pub(crate) fn arguments_of_run(lab: &Lab, connections: u32) -> Result<Vec<String>, Error> {
    let path = lab.write("director.toml", &configuration(&lab.options().plan))?;
    Ok(vec![path, "--connections".into(), connections.to_string()])
}

/// How often ten requests are made again after a recovery. Of a connection that a dead real server has refused the director sees
/// the SYN alone, and keeps it half open for a minute (PP-13). Linux begins with other ephemeral ports every ten seconds, so that a
/// request may meet the port of one of them: its SYN then goes where that went and takes no turn (PP-14), as with IPVS. It was seen
/// once in about a hundred tours: of 14 000 ports some eight are half open.
const RIPPLES: u32 = 2;

impl Tour {
    fn start(&mut self) -> Result<(), Error> {
        let run: Vec<&str> = self.run.iter().map(String::as_str).collect();
        let began = self.lab.director.start(&run)?;
        let event = format!("the director serves {} after {}", join(&self.vips()), text(began));
        self.narrator.tell("start", &event, json!({ "start_ms": millis(began) }));
        let begun = Instant::now();
        let status = self.lab.director.wait("had every real server up", LIMIT, all_up)?;
        let doors: Vec<String> = status
            .dataplane
            .attachments
            .iter()
            .map(|attachment| format!("{} on {}", attachment.mode, attachment.interface))
            .collect();
        let event = format!(
            "both real servers are in after {}; data plane {} ({})",
            text(begun.elapsed()),
            status.dataplane.kind,
            doors.join(", ")
        );
        self.narrator.tell("start", &event, json!({ "in_ms": millis(begun.elapsed()) }));
        Ok(())
    }

    /// `ripples`: how often the ten requests may be made again.
    fn alternate(&mut self, ripples: u32) -> Result<(), Error> {
        for vip in self.vips() {
            let begun = Instant::now();
            let mut bodies = self.lab.client.bodies(SocketAddr::new(vip, 80), 10)?;
            for _ in 0..ripples {
                if !alternates(&bodies) {
                    bodies = self.lab.client.bodies(SocketAddr::new(vip, 80), 10)?;
                }
            }
            if !alternates(&bodies) {
                return Err(Error::new(format!("ten requests to {vip} did not alternate: {}", bodies.join(" "))));
            }
            let event = format!("ten requests to {vip}: {}", bodies.join(" "));
            self.narrator.tell("alternate", &event, json!({ "bodies": bodies, "took_ms": millis(begun.elapsed()) }));
        }
        Ok(())
    }

    fn failure(&mut self) -> Result<(), Error> {
        let load = self.load()?;
        load.wait_for(REQUESTS, LIMIT)?;
        let died = self.server(0)?.stop()?;
        self.narrator.tell("failure", "the web server of real-1 is killed", json!({ "rate": self.rate }));
        self.wait_state(0, ServerState::Down)?;
        load.wait_for(REQUESTS, LIMIT)?;
        let report = load.stop();
        let out = report.last_bad_after(died, Exchange::is_ok).unwrap_or_default();
        let event =
            format!("real-1 is out after {}; {} requests were refused by it meanwhile", text(out), report.failed());
        self.narrator.tell("failure", &event, json!({ "out_ms": millis(out), "failed": report.failed() }));
        self.only("failure", &self.body(1)?)
    }

    fn fallback(&mut self) -> Result<(), Error> {
        self.server(1)?.stop()?;
        self.narrator.tell("fallback", "the web server of real-2 is killed", json!({}));
        self.wait_state(1, ServerState::Down)?;
        self.lab.director.wait("used the fallback", LIMIT, |status| {
            status.services.iter().all(|service| service.fallback.as_ref().is_some_and(|fallback| fallback.in_use))
        })?;
        self.only("fallback", self.lab.fallback.body())
    }

    fn recovery(&mut self) -> Result<(), Error> {
        let begun = Instant::now();
        for number in 0..self.lab.real_servers.len() {
            self.server(number)?.start()?;
        }
        self.narrator.tell("recovery", "both web servers are started again", json!({}));
        self.lab.director.wait("had every real server up", LIMIT, all_up)?;
        let event = format!("both real servers are in again after {}", text(begun.elapsed()));
        self.narrator.tell("recovery", &event, json!({ "in_ms": millis(begun.elapsed()) }));
        self.alternate(RIPPLES)
    }

    fn crash(&mut self) -> Result<(), Error> {
        let load = self.load()?;
        load.wait_for(REQUESTS, LIMIT)?;
        self.lab.director.kill()?;
        let event = format!("kill -9 of the director under {} requests a second", self.rate);
        self.narrator.tell("crash", &event, json!({ "rate": self.rate }));
        load.wait_for(REQUESTS, LIMIT)?;
        self.narrator.tell(
            "crash",
            &format!("{REQUESTS} more requests without a daemon"),
            json!({ "requests": REQUESTS }),
        );
        let run: Vec<&str> = self.run.iter().map(String::as_str).collect();
        let began = self.lab.director.start(&run)?;
        self.lab.director.wait("had every real server up", LIMIT, all_up)?;
        let event = format!("the next start took over the running data plane after {}", text(began));
        self.narrator.tell("crash", &event, json!({ "start_ms": millis(began) }));
        load.wait_for(REQUESTS, LIMIT)?;
        let report = load.stop();
        if let Some(failure) = report.failures().next() {
            let why = failure.outcome.as_ref().err().cloned().unwrap_or_default();
            return Err(Error::new(format!("{} of {} requests were lost: {why}", report.failed(), report.total())));
        }
        let event = format!("{} requests, none lost, longest gap {}", report.total(), text(report.longest_gap()));
        let gap = millis(report.longest_gap());
        self.narrator.tell("crash", &event, json!({ "requests": report.total(), "failed": 0, "longest_gap_ms": gap }));
        Ok(())
    }

    fn stop(&mut self) -> Result<(), Error> {
        let begun = Instant::now();
        let status = self.lab.director.terminate()?;
        if !status.success() {
            return Err(Error::new(format!("the director ended with {status}\n{}", self.lab.director.log())));
        }
        let event = format!("the director took its program and tables away and ended after {}", text(begun.elapsed()));
        self.narrator.tell("stop", &event, json!({ "stop_ms": millis(begun.elapsed()) }));
        Ok(())
    }

    /// Ten requests, all of which must give `body`.
    fn only(&self, step: &str, body: &str) -> Result<(), Error> {
        let target = self.target()?;
        let bodies = self.lab.client.bodies(target, 10)?;
        if bodies.iter().any(|answer| answer != body) {
            return Err(Error::new(format!("ten requests should all give {body}, got {}", bodies.join(" "))));
        }
        self.narrator.tell(step, &format!("ten requests, all answered by {body}"), json!({ "bodies": bodies }));
        Ok(())
    }

    fn load(&self) -> Result<crate::client::Load, Error> {
        self.lab.client.load(self.target()?, self.rate)
    }

    fn target(&self) -> Result<SocketAddr, Error> {
        self.lab.target().ok_or_else(|| Error::new("the lab has no virtual address"))
    }

    fn vips(&self) -> Vec<IpAddr> {
        self.lab.options().plan.vips.clone()
    }

    fn server(&mut self, number: usize) -> Result<&mut crate::real_server::WebServer, Error> {
        let server = self.lab.real_servers.get_mut(number);
        server.ok_or_else(|| Error::new(format!("the lab has no real server {}", number + 1)))
    }

    fn body(&self, number: usize) -> Result<String, Error> {
        let server = self.lab.real_servers.get(number);
        server.map(|server| server.body().to_owned()).ok_or_else(|| Error::new("the lab has too few real servers"))
    }

    /// Waits until the director sees every address of a real server in `state`.
    fn wait_state(&mut self, number: usize, state: ServerState) -> Result<(), Error> {
        let addresses: Vec<String> = self.server(number)?.addresses().iter().map(IpAddr::to_string).collect();
        addresses.iter().try_for_each(|address| self.lab.director.wait_state(address, state, LIMIT))
    }
}

/// Whether every real server of every service serves.
pub(crate) fn all_up(status: &Status) -> bool {
    let mut servers = status.services.iter().flat_map(|service| &service.real_servers).peekable();
    servers.peek().is_some() && servers.all(|server| server.state == ServerState::Up)
}

fn join(addresses: &[IpAddr]) -> String {
    addresses.iter().map(IpAddr::to_string).collect::<Vec<_>>().join(" and ")
}
