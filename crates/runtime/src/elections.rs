//! What the daemon knows of its VRRP instances: the thread that holds their elections tells, clients ask.

mod words;

use crate::{
    bfd::{self, Sessions},
    claims,
    remarks::Remarks,
    reports::Reports,
    tracking::{Fault, Tracking},
};
use evenkeel_api::{Event, HaCounters, HaFault, HaStatus, Severity};
use evenkeel_ha::{Command, Ha, News};
use evenkeel_machine::Instant;
use evenkeel_model::vrrp;
use evenkeel_netlink::MacAddress;
use evenkeel_vrrp::{Reason, Role, Statistics, Why, track};
use std::{
    collections::{HashMap, HashSet},
    net::IpAddr,
    time::Duration,
};
use tokio::sync::mpsc;

/// News that wait for the core; what does not fit is told by the next news of the same instance.
const NEWS: usize = 1024;

/// The instances of this node, and the thread that speaks for them.
pub(crate) struct Elections {
    held: vrrp::Elections,
    standings: Vec<Standing>,
    pub(crate) bfd: Sessions,
    /// Where each is in `standings`.
    places: HashMap<String, usize>,
    ha: Option<Ha>,
    tell: mpsc::Sender<News>,
    tracking: Tracking,
    ready: bool,
    /// What the thread had no room for.
    unsaid: Vec<Command>,
    remarks: Remarks,
    reports: Reports,
    /// Addresses have come or gone.
    turned: bool,
}

/// How one instance stands.
struct Standing {
    instance: vrrp::Instance,
    role: Role,
    priority: u8,
    why: String,
    since: Instant,
}

/// What is to be made of news.
pub(crate) enum Told {
    /// An event.
    Event(Event),
    /// A line.
    Line(Severity, String),
}

impl Elections {
    /// None yet; gives where news come from.
    pub(crate) fn new() -> (Elections, mpsc::Receiver<News>) {
        let (tell, news) = mpsc::channel(NEWS);
        let elections = Elections {
            held: vrrp::Elections::default(),
            standings: Vec::new(),
            bfd: Sessions::default(),
            places: HashMap::new(),
            ha: None,
            tell,
            tracking: Tracking::default(),
            ready: false,
            unsaid: Vec::new(),
            remarks: Remarks::default(),
            reports: Reports::default(),
            turned: false,
        };
        (elections, news)
    }

    /// Holds elections for these from now on; what did not change is not touched.
    pub(crate) fn hold(&mut self, wanted: &vrrp::Elections, now: Instant) -> Result<(), String> {
        if self.held == *wanted {
            return Ok(());
        }
        match &self.ha {
            Some(_) => self.say(Command::Configure(Box::new(wanted.clone()))),
            None => {
                let (tell, reports) = (self.tell.clone(), self.reports.clone());
                let ha = evenkeel_ha::start(wanted.clone(), move |one| {
                    if let News::Report(all) = &one {
                        reports.put(all);
                    }
                    drop(tell.try_send(one));
                });
                self.ha = Some(ha.map_err(|why| format!("cannot hold VRRP elections: {why}"))?);
                if self.ready {
                    self.say(Command::Ready(true));
                }
            }
        }
        if let Some(ha) = &self.ha {
            self.tracking.follow(wanted, &ha.teller());
        }
        self.held = wanted.clone();
        self.bfd.follow(&wanted.bfd, now);
        self.turned = true;
        let mut known: HashMap<String, Standing> = std::mem::take(&mut self.standings)
            .into_iter()
            .map(|standing| (standing.instance.name.clone(), standing))
            .collect();
        let names: HashSet<&str> = wanted.instances.iter().map(|instance| instance.name.as_str()).collect();
        let renamed = known.values().filter(|standing| !names.contains(standing.instance.name.as_str()));
        let renamed: HashMap<_, _> =
            renamed.map(|standing| (standing.instance.router(), standing.instance.name.clone())).collect();
        let mut find = |instance: &vrrp::Instance| {
            let found = known.remove(&instance.name);
            found.or_else(|| known.remove(renamed.get(&instance.router())?))
        };
        let standing = |instance: &vrrp::Instance| match find(instance) {
            Some(standing) => Standing { instance: instance.clone(), ..standing },
            None => Standing {
                instance: instance.clone(),
                role: Role::Stopped,
                priority: instance.priority.get(),
                why: "begins".to_owned(),
                since: now,
            },
        };
        self.standings = wanted.instances.iter().map(standing).collect();
        self.places = wanted.instances.iter().enumerate().map(|(place, one)| (one.name.clone(), place)).collect();
        Ok(())
    }

    /// What elections are held.
    pub(crate) fn held(&self) -> &vrrp::Elections {
        &self.held
    }

    /// Tells the thread something, in order, later where it has no room.
    fn say(&mut self, command: Command) {
        // Only the last configuration counts.
        if matches!(command, Command::Configure(_)) {
            self.unsaid.retain(|waiting| !matches!(waiting, Command::Configure(_)));
        }
        self.unsaid.push(command);
        self.say_again();
    }

    /// Says what the thread had no room for.
    pub(crate) fn say_again(&mut self) {
        let Some(ha) = &self.ha else { return };
        let mut waiting = std::mem::take(&mut self.unsaid).into_iter();
        for command in waiting.by_ref() {
            if !ha.tell(command.clone()) {
                self.unsaid.push(command);
                break;
            }
        }
        self.unsaid.extend(waiting);
    }

    /// This node can serve: it may replace a working master.
    pub(crate) fn ready(&mut self) {
        if !std::mem::replace(&mut self.ready, true) && self.ha.is_some() {
            self.say(Command::Ready(true));
        }
    }

    /// Whether [`Elections::ready`] is still to be said.
    pub(crate) fn await_readiness(&self) -> bool {
        !self.ready
    }

    fn standing(&mut self, name: &str) -> Option<&mut Standing> {
        self.standings.get_mut(*self.places.get(name)?)
    }

    /// Takes news.
    pub(crate) fn take(&mut self, news: News, now: Instant) -> Option<Told> {
        match news {
            News::Turned { instance, from, to, why, priority } => {
                self.turned = true;
                let told = if why == Why::Broken { self.broken(&instance) } else { words::sentence(&why) };
                let standing = self.standing(&instance)?;
                let why = if to == Role::Leaving { format!("it leaves, for {told}") } else { told.clone() };
                *standing = Standing { role: to, priority, why, since: now, instance: standing.instance.clone() };
                Some(Told::Event(Event::RoleChanged {
                    instance: standing.instance.name.clone(),
                    from: words::name(from).to_owned(),
                    to: words::name(to).to_owned(),
                    why: told,
                    addresses: addresses(&standing.instance),
                }))
            }
            News::Noticed { instance, notice } => {
                let (severity, text) = words::remark(&notice);
                let text = format!("{instance}: {text}");
                let patience = words::patience(&notice);
                let say = self.remarks.note(words::about(&instance, &notice), &text, patience, now);
                say.then_some(Told::Line(severity, text))
            }
            News::Wrong { instance, source, reason, dropped, count } => {
                let times = if count == 1 { String::new() } else { format!(", {count} times in a minute") };
                let fate = if dropped { "was dropped" } else { "counts all the same" };
                let next = words::remedy(reason).map(|what| format!(".  Next: {what}")).unwrap_or_default();
                let text = format!("{instance}: an advertisement of {source} {fate}{times}: {reason}{next}");
                let about = format!("{instance} {source} {reason:?}");
                // The thread counts, and tells no more often than it is to be said.
                self.remarks.note(about, &text, Duration::ZERO, now);
                Some(Told::Line(Severity::Warning, text))
            }
            // Taken before, by who asked for it.
            News::Report(_) => None,
            News::Tracked { target, standing } => {
                self.tracking.changed(target, standing, now);
                None
            }
            News::Priority { instance, priority } => {
                let standing = self.standing(&instance)?;
                let before = std::mem::replace(&mut standing.priority, priority);
                let text = format!("{instance}: its priority is {priority} now, after {before}");
                Some(Told::Line(Severity::Info, text))
            }
            // That is the core's, which tells checks too.
            News::Bfd { .. } => None,
            News::BfdDropped { session, source, reason, count } => {
                let text = bfd::dropped(session.as_deref(), source, reason, count);
                Some(Told::Line(Severity::Warning, text))
            }
            News::Trouble(text) => Some(Told::Line(Severity::Warning, format!("VRRP: {text}"))),
        }
    }

    /// What keeps an instance from being master, as a sentence fragment.
    fn broken(&self, name: &str) -> String {
        let standing = self.places.get(name).and_then(|&place| self.standings.get(place));
        let faults = standing.map(|standing| self.tracking.faults(&self.held, &standing.instance));
        let unfit = faults.into_iter().flatten().filter(|fault| fault.unfit);
        let told: Vec<String> = unfit.map(|fault| fault.to_string()).collect();
        if told.is_empty() { words::sentence(&Why::Broken) } else { told.join("; ") }
    }

    /// Somebody else has said that an address of a master here is his; gives what is to be said.
    pub(crate) fn rival(&mut self, address: IpAddr, mac: MacAddress, now: Instant) -> Option<String> {
        let has = |standing: &&Standing| {
            standing.role == Role::Master && standing.instance.vips().any(|vip| vip.address == address)
        };
        let name = &self.standings.iter().find(has)?.instance.name;
        let text = claims::words(name, address, mac);
        self.remarks.note(format!("{address} {mac}"), &text, Duration::ZERO, now).then_some(text)
    }

    /// Whether other addresses may be here than the last time.
    pub(crate) fn turned(&mut self) -> bool {
        std::mem::take(&mut self.turned)
    }

    /// The addresses that are here, each with its interface.
    pub(crate) fn present(&self) -> impl Iterator<Item = (IpAddr, String)> {
        let masters = self.standings.iter().filter(|standing| standing.role == Role::Master);
        masters.map(|standing| &standing.instance).flat_map(placed)
    }

    /// What goes on and should not.
    pub(crate) fn warnings(&self, now: Instant) -> impl Iterator<Item = String> {
        self.remarks.shown(now)
    }

    /// Asks the thread how all instances stand: [`News::Report`]. Says whether there is anybody to answer.
    pub(crate) fn ask(&mut self, clear: bool) -> bool {
        if self.ha.is_some() {
            self.say(Command::Report { clear });
        }
        self.ha.is_some()
    }

    /// An instance, since when it has its part, and how many of the things that it tracks keep it from being master.
    pub(crate) fn known(&self, name: &str) -> Option<(&vrrp::Instance, Instant, usize)> {
        let standing = self.standings.get(*self.places.get(name)?)?;
        let faults = self.tracking.faults(&self.held, &standing.instance);
        Some((&standing.instance, standing.since, faults.iter().filter(|fault| fault.unfit).count()))
    }

    /// What is tracked, and how it stands.
    pub(crate) fn tracked(&self) -> impl Iterator<Item = (&vrrp::Target, track::Standing)> {
        self.tracking.all()
    }

    /// For clients. The thread is asked for its counters.
    pub(crate) fn status(&mut self, now: Instant) -> Vec<HaStatus> {
        if self.standings.is_empty() {
            return Vec::new();
        }
        let reports = self.reports.clone().after(|| self.say(Command::Report { clear: false }));
        let counted: HashMap<&str, &Statistics> =
            reports.iter().map(|report| (&*report.instance, &report.statistics)).collect();
        let of = |standing: &Standing| HaStatus {
            name: standing.instance.name.clone(),
            protocol: "vrrp".to_owned(),
            state: words::name(standing.role).to_owned(),
            priority: standing.priority.into(),
            addresses: addresses(&standing.instance),
            since_s: (now - standing.since).as_secs(),
            reason: standing.why.clone(),
            base_priority: Some(standing.instance.priority.get().into()),
            faults: faults(&self.tracking.faults(&self.held, &standing.instance), now),
            counters: counted.get(standing.instance.name.as_str()).map(|statistics| counters(statistics)),
        };
        self.standings.iter().map(of).collect()
    }

    /// Hands everything over; returns when no address is held any more.
    pub(crate) async fn stop(&mut self) {
        self.tracking.stop();
        if let Some(ha) = self.ha.take() {
            let _ = tokio::task::spawn_blocking(move || ha.stop()).await;
        }
    }
}

fn counters(statistics: &Statistics) -> HaCounters {
    let wrong = Reason::ALL.into_iter().map(|reason| (reason.name().to_owned(), statistics.wrong(reason)));
    HaCounters {
        sent: statistics.sent,
        received: statistics.received,
        became_master: statistics.became_master,
        released_master: statistics.released_master,
        priority_zero_sent: statistics.farewells_sent,
        priority_zero_received: statistics.farewells_received,
        wrong: wrong.filter(|(_, count)| *count > 0).collect(),
    }
}

fn faults(faults: &[Fault], now: Instant) -> Vec<HaFault> {
    let of = |fault: &Fault| HaFault {
        unfit: fault.unfit,
        what: fault.what.clone(),
        why: fault.why.clone(),
        since_s: (now - fault.since).as_secs(),
    };
    faults.iter().map(of).collect()
}

fn placed(instance: &vrrp::Instance) -> impl Iterator<Item = (IpAddr, String)> {
    instance.vips().map(|vip| (vip.address, instance.interface_of(vip).clone()))
}

fn addresses(instance: &vrrp::Instance) -> Vec<String> {
    instance.addresses.iter().map(ToString::to_string).collect()
}
