//! What the daemon knows of its VRRP instances: the thread that holds their elections tells, clients ask.

use evenkeel_api::{Event, HaStatus, Severity};
use evenkeel_ha::{Command, Ha, News};
use evenkeel_machine::Instant;
use evenkeel_model::vrrp;
use evenkeel_vrrp::{Notice, Role, Why};
use tokio::sync::mpsc;

/// News that wait for the core; what does not fit is told by the next news of the same instance.
const NEWS: usize = 1024;

/// The instances of this node, and the thread that speaks for them.
#[derive(Default)]
pub(crate) struct Elections {
    wanted: vrrp::Elections,
    standings: Vec<Standing>,
    ha: Option<Ha>,
    ready: bool,
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
    /// Begins to hold elections; gives where news come from.
    pub(crate) fn start(&mut self, wanted: &vrrp::Elections, now: Instant) -> Result<mpsc::Receiver<News>, String> {
        let (tell, news) = mpsc::channel(NEWS);
        self.wanted = wanted.clone();
        let instances = &wanted.instances;
        if instances.is_empty() {
            return Ok(news);
        }
        self.standings = instances
            .iter()
            .map(|instance| Standing {
                instance: instance.clone(),
                role: Role::Stopped,
                priority: instance.priority.get(),
                why: "begins".to_owned(),
                since: now,
            })
            .collect();
        let ha = evenkeel_ha::start(wanted.clone(), move |one| drop(tell.try_send(one)));
        self.ha = Some(ha.map_err(|why| format!("cannot hold VRRP elections: {why}"))?);
        Ok(news)
    }

    /// What of these instances takes a restart, as a sentence.
    pub(crate) fn difference(&self, wanted: &vrrp::Elections) -> Option<String> {
        (self.wanted != *wanted)
            .then(|| "VRRP goes on as it was until a restart; the files say something else about it".to_owned())
    }

    /// This node can serve: it may replace a working master.
    pub(crate) fn ready(&mut self) {
        if let (false, Some(ha)) = (std::mem::replace(&mut self.ready, true), &self.ha) {
            ha.tell(Command::Ready(true));
        }
    }

    /// Whether [`Elections::ready`] is still to be said.
    pub(crate) fn await_readiness(&self) -> bool {
        self.ha.is_some() && !self.ready
    }

    fn standing(&mut self, name: &str) -> Option<&mut Standing> {
        self.standings.iter_mut().find(|standing| standing.instance.name == name)
    }

    /// Takes news.
    pub(crate) fn take(&mut self, news: News, now: Instant) -> Option<Told> {
        match news {
            News::Turned { instance, from, to, why, priority } => {
                let standing = self.standing(&instance)?;
                let told = sentence(&why);
                *standing =
                    Standing { role: to, priority, why: told.clone(), since: now, instance: standing.instance.clone() };
                Some(Told::Event(Event::RoleChanged {
                    instance: standing.instance.name.clone(),
                    from: name(from).to_owned(),
                    to: name(to).to_owned(),
                    why: told,
                    addresses: addresses(&standing.instance),
                }))
            }
            News::Noticed { instance, notice } => {
                let (severity, text) = remark(&notice);
                Some(Told::Line(severity, format!("{instance}: {text}")))
            }
            News::Dropped { instance, source, reason, count } => {
                let times = if count == 1 { String::new() } else { format!(", {count} times in a minute") };
                let text = format!("{instance}: an advertisement of {source} was dropped{times}: {reason}");
                Some(Told::Line(Severity::Warning, text))
            }
            News::Report(_) | News::Tracked { .. } => None,
            News::Priority { instance, priority } => {
                let standing = self.standing(&instance)?;
                let before = std::mem::replace(&mut standing.priority, priority);
                let text = format!("{instance}: what it tracks changes its priority from {before} to {priority}");
                Some(Told::Line(Severity::Info, text))
            }
            News::Trouble(text) => Some(Told::Line(Severity::Warning, format!("VRRP: {text}"))),
        }
    }

    /// For clients.
    pub(crate) fn status(&self, now: Instant) -> Vec<HaStatus> {
        let of = |standing: &Standing| HaStatus {
            name: standing.instance.name.clone(),
            protocol: "vrrp".to_owned(),
            state: name(standing.role).to_owned(),
            priority: standing.priority.into(),
            addresses: addresses(&standing.instance),
            since_s: (now - standing.since).as_secs(),
            reason: standing.why.clone(),
        };
        self.standings.iter().map(of).collect()
    }

    /// Hands everything over; returns when no address is held any more.
    pub(crate) async fn stop(&mut self) {
        if let Some(ha) = self.ha.take() {
            let _ = tokio::task::spawn_blocking(move || ha.stop()).await;
        }
    }
}

fn addresses(instance: &vrrp::Instance) -> Vec<String> {
    instance.addresses.iter().map(ToString::to_string).collect()
}

/// As the status has it. A master that leaves is one until its successor speaks.
fn name(role: Role) -> &'static str {
    match role {
        Role::Stopped => "init",
        Role::Backup => "backup",
        Role::Master | Role::Leaving => "master",
        Role::Fault => "fault",
    }
}

fn sentence(why: &Why) -> String {
    match why {
        Why::Started => "it was started".to_owned(),
        Why::Owner => "it owns the addresses (priority 255)".to_owned(),
        Why::Resumed => "it found its addresses as the run before had left them".to_owned(),
        Why::Silence => "no master was heard".to_owned(),
        Why::MasterLeft => "the master said that it leaves".to_owned(),
        Why::MasterUnreachable => "the master cannot be reached".to_owned(),
        Why::Better { source, priority } => format!("{source} has priority {priority}"),
        Why::Group => "its sync group did".to_owned(),
        Why::Frozen { silent } => format!("this host stood still for {} ms", silent.as_millis()),
        Why::Broken => "its interface is down".to_owned(),
        Why::Unknown => "it waits until all it tracks was looked at".to_owned(),
        Why::Known => "all it tracks was looked at".to_owned(),
        Why::GroupBroken => "another member of its sync group is at fault".to_owned(),
        Why::NoAddress => "its interface has no address to send from".to_owned(),
        Why::Mended => "what was wrong is mended".to_owned(),
        Why::Stopped => "it was told to end".to_owned(),
        Why::Succeeded { by } => format!("{by} has taken over"),
        Why::NoSuccessor => "nobody has taken over".to_owned(),
    }
}

fn remark(notice: &Notice) -> (Severity, String) {
    match notice {
        Notice::Lower { source, priority } => (
            Severity::Warning,
            format!(
                "{source} says it is master too, with priority {priority}.  Next: see whether it hears this node, and \
                 whether both are the same virtual router on purpose"
            ),
        ),
        Notice::SecondOwner { source } => (
            Severity::Error,
            format!(
                "{source} says it owns the addresses (priority 255), as this node does.  Next: lower one of the two"
            ),
        ),
        Notice::Late { by } => (
            Severity::Warning,
            format!(
                "this host was {} ms late, so that no election was begun; it listens for another interval",
                by.as_millis()
            ),
        ),
    }
}
