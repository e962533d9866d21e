//! Who is told of changes: notify scripts, FIFOs, mails.

use super::{
    check::script_words,
    tree::Node,
    value::{Block, number},
    vrrp::{Vrrp, VrrpInstance, VrrpNotify, VrrpSyncGroup},
    word::Word,
};
use crate::{
    codes,
    draft::{Draft, NotifyDraft},
    host::shown,
};
use evenkeel_model::{
    Account,
    notify::{Bracket, Fifo, MailRoute, Moment, NotifyScript, RoleNotify, ServerNotify, ServiceNotify, Subject},
};
use evenkeel_source::{Diagnostic, Spanned};
use std::{collections::BTreeMap, path::PathBuf, time::Duration};

/// Seconds a startup or shutdown script may take where nothing is said.
const BRACKET: u64 = 10;

/// What `global_defs` says for all.
#[derive(Default)]
pub(crate) struct Told {
    /// Whether real servers are mailed about that say nothing.
    servers: bool,
    /// The same of virtual servers.
    services: bool,
    /// The same of instances and groups.
    roles: bool,
    /// Whether there is somebody to mail to.
    mails: bool,
    /// Whether good first checks are told.
    first: bool,
    /// Whether changes of priorities are told.
    priorities: bool,
    /// Who runs scripts that say nothing.
    pub(crate) user: Option<Account>,
}

impl Told {
    fn mailed(&self, own: Option<Spanned<bool>>, default: bool) -> bool {
        self.mails && own.map_or(default, |on| on.value)
    }
}

/// Every `global_defs`, as if they were one.
struct Globals<'a>(Vec<&'a Node>);

impl<'a> Globals<'a> {
    fn node(&self, name: &str) -> Option<&'a Node> {
        self.0.iter().rev().find_map(|node| Block(&node.block).node(name))
    }

    fn switch(&self, name: &str) -> Option<bool> {
        self.0.iter().rev().find_map(|node| Block(&node.block).switch(name)).map(|on| on.value)
    }

    fn text(&self, name: &str) -> Option<String> {
        self.node(name)?.args.first().map(|word| word.text.clone())
    }

    fn seconds(&self, name: &str) -> Option<Duration> {
        number(&self.text(name)?).and_then(|n| u64::try_from(n).ok()).map(Duration::from_secs)
    }

    fn is_there(&self, name: &str) -> bool {
        self.node(name).is_some()
    }
}

/// Reads what is said for all.
pub(crate) fn read(top: &[Node], into: &mut NotifyDraft, out: &mut Vec<Diagnostic>) -> Told {
    let globals = Globals(Block(top).nodes("global_defs").collect());
    let any = globals.switch("smtp_alert");
    into.mail = mail(&globals);
    let mails = into.mail.is_some();
    let told = Told {
        // Mails about real servers are on by default, unlike all others: keepalived.conf(5).
        servers: mails && globals.switch("smtp_alert_checker").or(any).unwrap_or(true),
        services: mails && globals.switch("smtp_alert_checker").or(any).unwrap_or(false),
        roles: mails && globals.switch("smtp_alert_vrrp").or(any).unwrap_or(false),
        mails,
        first: globals.is_there("rs_init_notifies"),
        priorities: globals.switch("vrrp_notify_priority_changes").unwrap_or(false),
        user: globals.node("script_user").and_then(|node| account(&node.args)),
    };
    into.rest.strict = globals.is_there("enable_script_security");
    into.rest.states_on_reload = globals.is_there("fifo_write_vrrp_states_on_reload");
    for (about, word) in FIFOS {
        into.fifos.extend(fifo(&globals, about, word, &told, out));
    }
    let bracket = |word: &str, timeout: &str| {
        let script = script(globals.node(word)?, &told)?;
        Some(Bracket { script, timeout: globals.seconds(timeout).unwrap_or(Duration::from_secs(BRACKET)) })
    };
    into.rest.startup = bracket("startup_script", "startup_script_timeout");
    into.rest.shutdown = bracket("shutdown_script", "shutdown_script_timeout");
    told
}

const FIFOS: [(Subject, &str); 3] =
    [(Subject::All, "notify_fifo"), (Subject::Vrrp, "vrrp_notify_fifo"), (Subject::Services, "lvs_notify_fifo")];

/// Nobody is mailed where no recipient or no server is named.
fn mail(globals: &Globals<'_>) -> Option<Spanned<MailRoute>> {
    let to = globals.0.iter().flat_map(|node| Block(&node.block).nodes("notification_email"));
    let to: Vec<String> =
        to.flat_map(|list| list.lines.iter().filter_map(|line| line.first())).map(|word| word.text.clone()).collect();
    let node = globals.node("smtp_server").filter(|_| !to.is_empty())?;
    let host = node.args.first()?.text.as_str();
    let smtp = match node.args.get(1).map(|port| port.text.as_str()).filter(|port| *port != "25") {
        Some(port) if host.contains(':') => format!("[{host}]:{port}"),
        Some(port) => format!("{host}:{port}"),
        None => host.to_owned(),
    };
    let route = MailRoute {
        to,
        from: globals.text("notification_email_from"),
        smtp,
        helo: globals.text("smtp_helo_name"),
        timeout: globals.seconds("smtp_connect_timeout").unwrap_or(MailRoute::TIMEOUT),
        node: globals.text("router_id"),
        faults: !globals.is_there("no_email_faults"),
    };
    Some(Spanned::new(route, node.span))
}

fn fifo(
    globals: &Globals<'_>,
    about: Subject,
    word: &str,
    told: &Told,
    out: &mut Vec<Diagnostic>,
) -> Option<Spanned<Fifo>> {
    let reader = globals.node(&format!("{word}_script"));
    let Some(node) = globals.node(word) else {
        if let Some(reader) = reader {
            let message = format!("`{word}_script` has no effect without `{word}`");
            out.push(Diagnostic::warning(codes::NO_EFFECT, reader.span, message));
        }
        return None;
    };
    let path = node.args.first()?;
    let taken = FIFOS.iter().take_while(|(_, other)| *other != word).find(|(_, other)| {
        globals.node(other).and_then(|other| other.args.first()).is_some_and(|other| other.text == path.text)
    });
    if let Some((_, other)) = taken {
        let message = format!("`{other}` writes to {} already, so `{word}` is left out", shown(&path.text));
        out.push(Diagnostic::warning(codes::NO_EFFECT, node.span, message).note("keepalived leaves it out too"));
        return None;
    }
    let owner = account(node.args.get(1..).unwrap_or_default()).or_else(|| told.user.clone());
    let script = reader.and_then(|node| script(node, told));
    Some(Spanned::new(Fifo { about, path: PathBuf::from(&path.text), owner, script }, node.span))
}

/// A user and perhaps a group.
pub(crate) fn account(words: &[Word]) -> Option<Account> {
    Some(Account::of(&words.first()?.text, words.get(1).map(|word| word.text.as_str())))
}

/// `"PROGRAM ARGUMENTS" [USER [GROUP]]`
fn script(node: &Node, told: &Told) -> Option<NotifyScript> {
    let (first, user) = node.args.split_first()?;
    let user = account(user).or_else(|| told.user.clone());
    program(script_words(&first.text), user)
}

fn program(words: Vec<String>, user: Option<Account>) -> Option<NotifyScript> {
    let mut words = words.into_iter();
    let program = PathBuf::from(words.next().filter(|program| !program.is_empty())?);
    Some(NotifyScript { program, arguments: words.collect(), user })
}

/// What is said about a virtual server, without its real servers.
pub(crate) fn service(block: Block<'_>, told: &Told) -> ServiceNotify {
    let run = |name: &str| block.node(name).and_then(|node| script(node, told));
    ServiceNotify {
        up: run("quorum_up"),
        down: run("quorum_down"),
        mail: told.mailed(block.switch("smtp_alert"), told.services),
        omega: block.is_there("omega"),
        servers: BTreeMap::new(),
    }
}

/// What is said about a real server of `virtual_server`.
pub(crate) fn server(block: Block<'_>, virtual_server: Block<'_>, told: &Told) -> ServerNotify {
    let run = |name: &str| block.node(name).and_then(|node| script(node, told));
    let alpha = block.switch("alpha").or_else(|| virtual_server.switch("alpha")).is_some_and(|on| on.value);
    ServerNotify {
        up: run("notify_up"),
        down: run("notify_down"),
        mail: told.mailed(block.switch("smtp_alert"), told.servers),
        first: told.first || alpha,
    }
}

/// What instances and groups say.
pub(crate) fn roles(told: &Told, draft: &mut Draft) {
    for instance in &mut draft.elections {
        let named = |one: &&VrrpInstance| one.name.value == instance.instance.name;
        if let Some(from) = draft.vrrp.instances.iter().find(named) {
            instance.told = instance_role(&draft.vrrp, from, told);
        }
    }
    for group in &draft.vrrp.sync_groups {
        let role = role(&group.notify, told.mailed(group.smtp_alert, told.roles), told);
        if role != RoleNotify::default() {
            draft.notify.rest.groups.insert(group.name.value.clone(), role);
        }
    }
}

fn instance_role(vrrp: &Vrrp, instance: &VrrpInstance, told: &Told) -> RoleNotify {
    let of = |group: &&VrrpSyncGroup| group.members.iter().any(|name| name.value == instance.name.value);
    let group = vrrp.sync_groups.iter().find(of).and_then(|group| group.priority_changes);
    let priorities = instance.priority_changes.or(group).map_or(told.priorities, |on| on.value);
    let mail = told.mailed(instance.smtp_alert, told.roles);
    let deleted = instance.switches.contains(&"notify_deleted");
    RoleNotify { priorities, deleted, ..role(&instance.notify, mail, told) }
}

/// Of several for the same the last counts.
fn role(scripts: &[VrrpNotify], mail: bool, told: &Told) -> RoleNotify {
    let mut role = RoleNotify { mail, ..RoleNotify::default() };
    for one in scripts {
        let user = match one.user.as_slice() {
            [] => told.user.clone(),
            [user, group @ ..] => Some(Account::of(user, group.first().map(String::as_str))),
        };
        let Some(script) = program(one.command.value.clone(), user) else { continue };
        match moment(one.on) {
            Some(moment) => drop(role.scripts.insert(moment, script)),
            None => role.any = Some(script),
        }
    }
    role
}

/// `None`: every one.
fn moment(word: &str) -> Option<Moment> {
    Some(match word {
        "notify_master" => Moment::Master,
        "notify_backup" => Moment::Backup,
        "notify_fault" => Moment::Fault,
        "notify_stop" => Moment::Stop,
        "notify_deleted" => Moment::Deleted,
        "notify_master_rx_lower_pri" => Moment::LowerHeard,
        _ => return None,
    })
}
