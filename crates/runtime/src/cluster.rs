//! What the daemon knows of its heartbeat cluster: the thread that takes part in it tells, clients ask.

mod hands;
pub(crate) mod identity;
mod picture;
mod words;

use crate::{claims, remarks::Remarks};
use evenkeel_api::{ClusterStatus, HaStatus, Refusal, RefusalCode, Reply, Request, Severity};
use evenkeel_engine::Token;
use evenkeel_ha::{
    Teller,
    heartbeat::{self, Addresses, Command, Ha, News},
};
use evenkeel_heartbeat::{self as protocol, Identity};
use evenkeel_machine::Instant;
use evenkeel_model::heartbeat::{Heartbeat, Medium};
use evenkeel_netlink::MacAddress;
pub(crate) use hands::Deed;
use hands::Hands;
use identity::Kept;
use picture::Picture;
use std::{
    collections::{BTreeMap, VecDeque},
    net::IpAddr,
    os::{fd::AsFd, unix::process::CommandExt},
};
use tokio::sync::mpsc;

/// The subcommand that runs [`guard`].
const GUARD: &str = "heartbeat-guard";
/// News that wait for the core.
const NEWS: usize = 4096;
/// Requests whose answers are open.
const REQUESTS: usize = 64;

/// The cluster of this node, and the thread that takes part in it.
pub(crate) struct Cluster {
    member: Option<Member>,
    ha: Option<Ha>,
    /// Outlives `ha` until the end: actions end while it stops.
    teller: Option<Teller<Command>>,
    tell: mpsc::Sender<News>,
    deeds: mpsc::UnboundedSender<Deed>,
    ready: bool,
    /// What the thread had no room for.
    unsaid: Vec<Command>,
    remarks: Remarks,
    asked: BTreeMap<u64, (Token, &'static str)>,
    requests: u64,
    /// Those of groups on this host, and whether they have changed.
    addresses: Addresses,
    turned: bool,
}

/// What it takes part in.
struct Member {
    wanted: Heartbeat,
    hands: Hands,
    picture: Picture,
    /// What the thread was told and has not taken yet, the latest last.
    coming: VecDeque<Heartbeat>,
    kept: Kept,
}

/// What is to be made of news.
pub(crate) enum Told {
    /// An event.
    Event(evenkeel_api::Event),
    /// A line.
    Line(Severity, String),
    /// An answer for a client.
    Answer(Token, Reply),
}

/// What the thread leaves to the daemon.
pub(crate) enum Order {
    /// An action of a resource.
    Run(evenkeel_resource::Order),
    /// It is to be broken off.
    Cancel(evenkeel_resource::Task),
    /// A node is to be fenced.
    Fence(usize),
    /// Scripts are to be told of a message.
    Notify(std::sync::Arc<protocol::Message>),
}

/// Guards the addresses of the daemon at the other end of the standard input, until it has given them up or is dead.
pub fn guard() -> Result<(), String> {
    let pipe = std::io::stdin().as_fd().try_clone_to_owned().map_err(|e| format!("have the pipe: {e}"))?;
    heartbeat::guard(&pipe)
}

impl Cluster {
    /// None yet; gives where news and what was carried out come from.
    pub(crate) fn new() -> (Cluster, mpsc::Receiver<News>, mpsc::UnboundedReceiver<Deed>) {
        let (tell, news) = mpsc::channel(NEWS);
        let (deeds, done) = mpsc::unbounded_channel();
        let cluster = Cluster {
            member: None,
            ha: None,
            teller: None,
            tell,
            deeds,
            ready: false,
            unsaid: Vec::new(),
            remarks: Remarks::default(),
            asked: BTreeMap::new(),
            requests: 0,
            addresses: Addresses::default(),
            turned: false,
        };
        (cluster, news, done)
    }

    /// Why it cannot take part in `wanted` from now on.
    pub(crate) fn refusal(&self, wanted: Option<&Heartbeat>) -> Option<String> {
        let member = self.member.as_ref()?;
        match wanted {
            Some(wanted) => evenkeel_cluster::refusal(member.latest(), wanted, &member.picture.real(&member.wanted)),
            None => Some(
                "the files name no heartbeat cluster any more, and this node does not leave one by a reload.  Next: stop \
                 evenkeel on this node and start it again"
                    .to_owned(),
            ),
        }
    }

    /// What an operator has to do besides where it takes part in `wanted` from now on.
    pub(crate) fn caution(&self, wanted: Option<&Heartbeat>) -> Option<String> {
        let member = self.member.as_ref()?;
        evenkeel_cluster::caution(member.latest(), wanted?, &member.picture.real(&member.wanted))
    }

    /// Takes part in `wanted` from now on, to which there is no [`Cluster::refusal`].
    pub(crate) fn hold(
        &mut self,
        wanted: Option<Heartbeat>,
        identity: impl FnOnce(&Heartbeat) -> Result<(Identity, Kept), String>,
        now: Instant,
    ) -> Result<(), String> {
        let Some(wanted) = wanted else { return Ok(()) };
        let Some(member) = self.member.as_mut() else { return self.join(wanted, identity, now) };
        if *member.latest() != wanted {
            member.hands.configure(&wanted);
            member.coming.push_back(wanted.clone());
            let configuration = identity::fingerprint(&wanted);
            self.say(Command::Configure { wanted: Box::new(wanted), configuration });
        }
        Ok(())
    }

    /// What it takes part in, or will in a moment.
    pub(crate) fn held(&self) -> Option<&Heartbeat> {
        self.member.as_ref().map(Member::latest)
    }

    fn join(
        &mut self,
        wanted: Heartbeat,
        identity: impl FnOnce(&Heartbeat) -> Result<(Identity, Kept), String>,
        now: Instant,
    ) -> Result<(), String> {
        if let Some(why) = words::heard_already(&wanted) {
            return Err(why);
        }
        let (identity, kept) = identity(&wanted)?;
        let tell = self.tell.clone();
        // This very program, even if its file has been replaced.
        let mut guard = std::process::Command::new("/proc/self/exe");
        guard.arg0("evenkeel-guard").arg(GUARD);
        let ha = heartbeat::start(wanted.clone(), identity, self.ready, guard, move |one| drop(tell.try_send(one)));
        let ha = ha.map_err(|why| format!("cannot take part in the heartbeat cluster: {why}"))?;
        self.teller = Some(ha.teller());
        self.ha = Some(ha);
        let hands = Hands::new(&wanted, self.deeds.clone());
        let picture = Picture::new(&wanted, now);
        self.member = Some(Member { picture, hands, kept, wanted, coming: VecDeque::new() });
        Ok(())
    }

    /// Tells the thread something, in order, later where it has no room.
    pub(crate) fn say(&mut self, command: Command) {
        self.unsaid.push(command);
        self.say_again();
    }

    /// Says what the thread had no room for.
    pub(crate) fn say_again(&mut self) {
        let Some(teller) = &self.teller else { return self.unsaid.clear() };
        let said = self.unsaid.iter().take_while(|command| teller.tell((*command).clone())).count();
        self.unsaid.drain(..said);
    }

    /// This node can serve: it may take over.
    pub(crate) fn ready(&mut self) {
        if !std::mem::replace(&mut self.ready, true) && self.ha.is_some() {
            self.say(Command::Ready(true));
        }
    }

    /// Asks the thread how its groups stand; once a second, for `status`. While it does not read it is not asked again.
    pub(crate) fn refresh(&mut self) {
        if self.ha.is_some() && self.unsaid.is_empty() {
            self.say(Command::Report);
        }
    }

    /// A client asks. What can be answered at once is.
    pub(crate) fn request(&mut self, token: Token, request: &Request) -> Option<Reply> {
        let refuse = |code, message: &str| Some(Reply::Refused(Refusal::new(code, message)));
        let Some(member) = &self.member else {
            return refuse(RefusalCode::Unknown, "the files name no heartbeat cluster");
        };
        if self.asked.len() >= REQUESTS {
            return refuse(RefusalCode::Busy, "too many requests are being carried out");
        }
        if !member.coming.is_empty() {
            return refuse(RefusalCode::Busy, "the files were read again a moment ago; ask once more");
        }
        let confirmed = words::confirmed(&member.wanted, request);
        if confirmed.is_some_and(|place| !member.picture.is_stuck(place)) {
            return refuse(RefusalCode::Failed, "there is nothing to confirm: the group has not failed to stop here");
        }
        let group = confirmed.and_then(|place| member.wanted.groups.get(place));
        let group = group.map(|group| group.key.as_str()).or_else(|| member.picture.leaving(request));
        if let Some(group) = group {
            let (key, message) = (group.into(), format!("group {group} counts as stopped here"));
            self.say(Command::ConfirmStopped(key));
            return Some(Reply::Done { message });
        }
        let what = match words::request(&member.wanted, request) {
            Ok(what) => what,
            Err(why) => return refuse(RefusalCode::Unknown, &why),
        };
        self.requests += 1;
        self.asked.insert(self.requests, (token, words::done(request)));
        self.say(Command::Request { id: self.requests, what });
        None
    }

    /// Takes news.
    pub(crate) fn take(&mut self, news: News, now: Instant) -> Option<Told> {
        let member = self.member.as_mut()?;
        let line = |(severity, text)| Told::Line(severity, text);
        match news {
            News::Told(protocol::News::Generation { node, generation }) => {
                let failed = member.kept.keep(node, generation).err()?;
                Some(line((Severity::Warning, failed)))
            }
            News::Told(news) => {
                member.picture.take(&news, now);
                let words::Said { about, severity, text } = words::said(&member.wanted, &news)?;
                let say = match about {
                    Some(about) => self.remarks.note(about, &text, std::time::Duration::ZERO, now),
                    None => true,
                };
                say.then(|| line((severity, text)))
            }
            News::Turned { group, standing, why } => {
                let event = member.picture.turn(&member.wanted, group, standing, why.as_ref(), now)?;
                Some(Told::Event(event))
            }
            News::Remark { group, remark } => Some(line((words::weight(&remark), format!("{group}: {remark}")))),
            News::Answer { id, result } => {
                let (token, done) = self.asked.remove(&id)?;
                let reply = match result {
                    Ok(()) => Reply::Done { message: done.to_owned() },
                    Err(why) => Reply::Refused(Refusal::new(RefusalCode::Failed, why.to_string())),
                };
                Some(Told::Answer(token, reply))
            }
            News::Dropped { reason, source, count } => {
                member.picture.count(reason, count);
                Some(line(words::dropped(reason, source, count)))
            }
            News::Configured(wanted) => {
                member.picture.configure(&member.wanted, &wanted, now);
                member.coming.pop_front();
                member.wanted = *wanted;
                None
            }
            News::Report(report, at) => {
                member.picture.report(*report, at, now);
                None
            }
            News::Trouble(text) => Some(line((Severity::Warning, format!("heartbeat: {text}")))),
            News::Run(order) => member.carry_out(Order::Run(order)),
            News::Cancel(task) => member.carry_out(Order::Cancel(task)),
            News::Fence { node } => member.carry_out(Order::Fence(node)),
            News::Notify(message) => member.carry_out(Order::Notify(message)),
            News::Addresses(addresses) => {
                self.turned = true;
                let before = std::mem::replace(&mut self.addresses, addresses);
                let more = self.addresses.strays.difference(&before.strays);
                let text = words::strays(more)?;
                Some(line((Severity::Warning, text)))
            }
        }
    }

    /// Takes what came of what the thread left to the daemon.
    pub(crate) fn take_deed(&mut self, deed: Deed, now: Instant) -> Option<Told> {
        let line = |severity, text| Some(Told::Line(severity, text));
        match deed {
            Deed::Done(task, outcome) => {
                self.say(Command::Done { task, outcome });
                None
            }
            Deed::Fenced(node, result) => {
                self.say(Command::Fenced { node, ok: result.is_ok() });
                let member = self.member.as_mut()?;
                member.picture.fenced(node, &result, now);
                let name = member.hands.node(node);
                match result {
                    Ok(by) => line(Severity::Warning, format!("node {name} was fenced by {by}")),
                    Err(why) => line(Severity::Error, format!("node {name} was not fenced: {why}")),
                }
            }
            Deed::Notice((script, how)) => line(Severity::Warning, format!("{script}: {how}")),
            Deed::Departed(departed) if departed.vital => {
                // Nobody waits for the answer.
                self.say(Command::Request { id: 0, what: protocol::Request::Standby(protocol::Share::All) });
                let watched = self.member.as_ref().is_some_and(|member| member.wanted.watchdog.is_some());
                if watched {
                    self.say(Command::Restart);
                }
                let next = match watched {
                    true => "its groups go to the other node, and the watchdog restarts this host",
                    false => {
                        "its groups go to the other node.  Next: start evenkeel again; heartbeat would restart this host, and \
                         so does evenkeel where ha.cf names a watchdog"
                    }
                };
                line(Severity::Error, format!("{departed}: {next}"))
            }
            Deed::Departed(departed) => line(Severity::Warning, departed.to_string()),
        }
    }

    /// What goes on and should not.
    pub(crate) fn warnings(&self, now: Instant) -> impl Iterator<Item = String> {
        let standing = self.member.as_ref().map(|member| member.picture.warnings()).unwrap_or_default();
        self.remarks.shown(now).chain(standing).chain(words::strays(&self.addresses.strays))
    }

    /// Whether other addresses may be here than the last time.
    pub(crate) fn turned(&mut self) -> bool {
        std::mem::take(&mut self.turned)
    }

    /// The addresses that groups hold here, each with its interface.
    pub(crate) fn present(&self) -> impl Iterator<Item = (IpAddr, String)> {
        self.addresses.held.iter().cloned()
    }

    /// Somebody else has said that an address of a group here is his; gives what is to be said.
    pub(crate) fn rival(&mut self, address: IpAddr, mac: MacAddress, now: Instant) -> Option<String> {
        let group = words::group_of(&self.member.as_ref()?.wanted, address)?;
        let text = claims::words(group, address, mac);
        self.remarks.note(format!("{address} {mac}"), &text, std::time::Duration::ZERO, now).then_some(text)
    }

    /// Whether another node was ever heard by this medium.
    pub(crate) fn has_heard(&self, medium: &Medium) -> bool {
        let Some(member) = &self.member else { return false };
        let place = member.wanted.media.iter().position(|known| known == medium);
        place.is_some_and(|place| member.picture.has_heard(&member.wanted, place))
    }

    /// For clients.
    pub(crate) fn status(&self, now: Instant) -> Option<ClusterStatus> {
        self.member.as_ref().map(|member| member.picture.status(&member.wanted, now))
    }

    /// The groups as `ha` has them.
    pub(crate) fn groups(&self, now: Instant) -> Vec<HaStatus> {
        let of = |member: &Member| member.picture.groups(&member.wanted, now);
        self.member.as_ref().map(of).unwrap_or_default()
    }

    /// Ends what runs beside it, once everything is given up.
    pub(crate) async fn rest(&mut self) {
        if let Some(member) = &mut self.member {
            member.hands.stop().await;
        }
    }

    /// Says that it ends with what cannot be stopped, too.
    pub(crate) fn insist(&mut self) {
        self.say(Command::Stop);
    }

    /// What keeps it from ending, or may still run here at the end: a sentence for each group that cannot be stopped.
    pub(crate) fn stuck(&self) -> Vec<String> {
        self.member.as_ref().map(|member| member.picture.stuck(&member.wanted)).unwrap_or_default()
    }

    /// Tells the thread to give everything up; gives what ends when it has. Its orders go on meanwhile.
    pub(crate) fn stop(&mut self) -> Option<tokio::task::JoinHandle<()>> {
        let ha = self.ha.take()?;
        Some(tokio::task::spawn_blocking(move || ha.stop()))
    }
}

impl Member {
    fn latest(&self) -> &Heartbeat {
        self.coming.back().unwrap_or(&self.wanted)
    }

    fn carry_out(&self, order: Order) -> Option<Told> {
        let failed = self.hands.take(order).err()?;
        Some(Told::Line(Severity::Warning, failed))
    }
}
