//! Tells scripts, FIFOs and mailboxes of changes: [`teller`] decides, this carries out.

mod fifo;
mod reader;
mod teller;
mod words;

use crate::{commands, mail::Letter};
use evenkeel_api::Event;
use evenkeel_model::{
    Account, Cluster, Notify,
    notify::{Bracket, Moment, NotifyScript},
};
use evenkeel_os::{Ids, trust};
use fifo::Pipe;
use reader::Reader;
use std::time::Duration;
use teller::{Deed, Teller};

/// What a notify script may take. The next one of the same instance waits for it.
const DEADLINE: Duration = Duration::from_secs(120);
/// Accounts that are looked up once; more are looked up each time.
const ACCOUNTS: usize = 256;

/// Who is told, and all it takes.
#[derive(Debug, Default)]
pub(crate) struct Notifier {
    teller: Teller,
    notify: Notify,
    pipes: Vec<Pipe>,
    readers: Vec<Reader>,
    /// Users of the host that were found, or why not.
    accounts: Vec<(Option<Account>, Result<Ids, String>)>,
    /// How this node is called.
    node: String,
}

/// What the rest of the daemon is to do.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Errand {
    /// Run a program.
    Run(commands::Order),
    /// A program that would have to be run is not: the program, and why.
    Refused(String, String),
    /// Send a mail.
    Send(Letter),
    /// Tell the operator.
    Say(String),
}

impl Notifier {
    pub(crate) fn new(node: String) -> Notifier {
        Notifier { node, ..Notifier::default() }
    }

    /// Takes what is configured, at the start and at each reload.
    pub(crate) fn configure(&mut self, cluster: &Cluster) -> Vec<Errand> {
        let mut errands = Vec::new();
        self.accounts.clear();
        self.notify = cluster.notify.clone();
        self.open(&mut errands);
        for (whom, script) in scripts(&cluster.notify) {
            match self.vet(script) {
                Ok(trust::Vetted { doubt: Some(doubt), .. }) => errands.push(Errand::Say(format!(
                    "the notify script of {whom} runs as root, and {doubt}.  Next: correct that, and write \
                     enable_script_security (native: strict = true)"
                ))),
                Ok(_) => {}
                Err(why) => errands.push(Errand::Say(format!("the notify script of {whom} will not be run: {why}"))),
            }
        }
        let mut deeds = Vec::new();
        self.teller.configure(cluster, &mut deeds);
        self.carry_out(deeds, &mut errands);
        errands
    }

    /// Opens the FIFOs that are wanted; those that stay as they are go on with their readers.
    fn open(&mut self, errands: &mut Vec<Errand>) {
        let wanted = self.notify.fifos.clone();
        let (kept, gone) = std::mem::take(&mut self.pipes).into_iter().partition(|pipe| wanted.contains(&pipe.fifo));
        self.pipes = kept;
        let gone: Vec<Pipe> = gone;
        for pipe in gone {
            self.readers.retain(|reader| reader.fifo != pipe.fifo.path);
            pipe.close();
        }
        for fifo in wanted {
            if self.pipes.iter().any(|pipe| pipe.fifo == fifo) {
                continue;
            }
            let opened = self.ids(fifo.owner.as_ref()).and_then(|owner| Pipe::open(&fifo, owner));
            match opened {
                Ok(pipe) => self.pipes.push(pipe),
                Err(why) => {
                    errands.push(Errand::Say(format!("changes are not written: {why}")));
                    continue;
                }
            }
            let Some(script) = &fifo.script else { continue };
            match self.order("FIFO".to_owned(), script, vec![fifo.path.display().to_string()]) {
                Ok(order) => self.readers.push(Reader::start(fifo.path.clone(), order)),
                Err((program, why)) => errands.push(Errand::Refused(program, why)),
            }
        }
    }

    /// An instance has become something.
    pub(crate) fn turned(&mut self, name: &str, moment: Moment, priority: u8) -> Vec<Errand> {
        self.tell(|teller, deeds| teller.turned(name, moment, priority, deeds))
    }

    /// A master has heard a lower one.
    pub(crate) fn lower_heard(&mut self, name: &str) -> Vec<Errand> {
        self.tell(|teller, deeds| teller.lower_heard(name, deeds))
    }

    /// What an instance tracks has changed its priority.
    pub(crate) fn priority_changed(&mut self, name: &str, priority: u8) -> Vec<Errand> {
        self.tell(|teller, deeds| teller.priority_changed(name, priority, deeds))
    }

    /// Something has happened.
    pub(crate) fn hear(&mut self, event: &Event) -> Vec<Errand> {
        self.tell(|teller, deeds| teller.hear(event, deeds))
    }

    /// The services end.
    pub(crate) fn end(&mut self) -> Vec<Errand> {
        self.tell(Teller::end)
    }

    /// Nothing is told any more: FIFOs and their readers go. Gives how many lines were dropped last.
    pub(crate) fn close(&mut self) -> u64 {
        let dropped = std::mem::take(&mut self.pipes).into_iter().map(Pipe::close).sum();
        self.readers.clear();
        dropped
    }

    /// The script around the daemon's life, if it may be run.
    pub(crate) fn bracket(&mut self, bracket: &Bracket) -> Result<commands::Order, (String, String)> {
        let mut order = self.order(String::new(), &bracket.script, Vec::new())?;
        order.deadline = bracket.timeout;
        Ok(order)
    }

    /// The script that comes behind everything.
    pub(crate) fn shutdown(&mut self) -> Option<commands::Order> {
        let bracket = self.notify.shutdown.clone()?;
        match self.bracket(&bracket) {
            Ok(order) => Some(order),
            Err((program, why)) => {
                tracing::warn!("the shutdown script `{program}` is not run: {why}");
                None
            }
        }
    }

    fn tell(&mut self, what: impl FnOnce(&mut Teller, &mut Vec<Deed>)) -> Vec<Errand> {
        let (mut deeds, mut errands) = (Vec::new(), Vec::new());
        what(&mut self.teller, &mut deeds);
        self.carry_out(deeds, &mut errands);
        errands
    }

    fn carry_out(&mut self, deeds: Vec<Deed>, errands: &mut Vec<Errand>) {
        for deed in deeds {
            match deed {
                Deed::Run { subject, script, more } => errands.push(match self.order(subject, &script, more) {
                    Ok(order) => Errand::Run(order),
                    Err((program, why)) => Errand::Refused(program, why),
                }),
                Deed::Line(subject, line) => {
                    let pipes = self.pipes.iter_mut().filter(|pipe| pipe.is_about(subject));
                    errands.extend(pipes.filter_map(|pipe| pipe.write(&line)).map(Errand::Say));
                }
                Deed::Mail { subject, body } => errands.extend(self.letter(&subject, body).map(Errand::Send)),
            }
        }
    }

    fn letter(&self, subject: &str, body: String) -> Option<Letter> {
        let route = self.notify.mail.as_ref()?;
        let node = route.node.as_ref().unwrap_or(&self.node);
        Some(Letter {
            to: route.to.clone(),
            from: Some(route.from.clone().unwrap_or_else(|| format!("keepalived@{}", self.node))),
            smtp: Some(route.smtp.clone()),
            helo: route.helo.clone(),
            timeout: Some(route.timeout),
            subject: format!("[{node}] {subject}"),
            body,
        })
    }

    /// The error is the program and why it is not run.
    fn order(
        &mut self,
        subject: String,
        script: &NotifyScript,
        more: Vec<String>,
    ) -> Result<commands::Order, (String, String)> {
        let arguments: Vec<String> = script.arguments.iter().cloned().chain(more).collect();
        let vetted = self.vet(script).and_then(|vetted| Ok((vetted, self.ids(script.user.as_ref())?)));
        match vetted {
            Ok((vetted, ids)) => Ok(commands::Order {
                subject,
                program: vetted.program,
                arguments,
                ids: Some(ids),
                deadline: DEADLINE,
                outlives: true,
            }),
            Err(why) => {
                let words =
                    arguments.iter().fold(script.program.display().to_string(), |all, one| format!("{all} {one}"));
                Err((words, why))
            }
        }
    }

    fn vet(&mut self, script: &NotifyScript) -> Result<trust::Vetted, String> {
        let ids = self.ids(script.user.as_ref())?;
        trust::vet(&script.program, ids, self.notify.strict).map_err(|e| e.to_string())
    }

    fn ids(&mut self, account: Option<&Account>) -> Result<Ids, String> {
        if let Some((_, ids)) = self.accounts.iter().find(|(known, _)| known.as_ref() == account) {
            return ids.clone();
        }
        let ids = Ids::of_script(account).map_err(|e| e.to_string());
        if self.accounts.len() < ACCOUNTS {
            self.accounts.push((account.cloned(), ids.clone()));
        }
        ids
    }
}

/// Every script, with whom it is about.
pub(crate) fn scripts(notify: &Notify) -> impl Iterator<Item = (String, &NotifyScript)> {
    let instances = notify.instances.iter().map(|(name, role)| (format!("instance {name}"), role));
    let groups = notify.groups.iter().map(|(name, role)| (format!("sync group {name}"), role));
    let of_roles = instances
        .chain(groups)
        .flat_map(|(whom, role)| role.scripts.values().chain(&role.any).map(move |script| (whom.clone(), script)));
    let of_services = notify.services.iter().flat_map(|(key, told)| {
        let servers = told.servers.iter().flat_map(move |(address, told)| {
            told.up.iter().chain(&told.down).map(move |script| (format!("real server {address} of {key}"), script))
        });
        told.up.iter().chain(&told.down).map(move |script| (format!("virtual server {key}"), script)).chain(servers)
    });
    let of_fifos =
        notify.fifos.iter().filter_map(|fifo| Some((format!("FIFO {}", fifo.path.display()), fifo.script.as_ref()?)));
    of_roles.chain(of_services).chain(of_fifos)
}
