//! `notify` of instances, services and real servers, `[notify]`, and `[alert.mail]` of single changes.

use super::{
    Mails,
    reader::{Keys, Table, Value, quoted, string_of, wrong_type},
    units::duration_text,
    write::{inline, line, list},
};
use crate::{codes, draft::NotifyDraft, host::shown};
use evenkeel_model::{
    Account, Notify,
    notify::{Bracket, Fifo, MailRoute, Moment, NotifyScript, RoleNotify, ServerNotify, ServiceNotify, Subject},
};
use evenkeel_source::{Diagnostic, Spanned};
use std::{path::PathBuf, time::Duration};
use toml::de::DeValue;

const ROLE: Keys = Keys {
    of: "notify",
    known: &["master", "backup", "fault", "stop", "deleted", "lower_heard", "any", "priorities", "mail"],
    later: &[],
    instead: &[("notify", "write `any`"), ("smtp_alert", "write `mail`")],
};

const SERVICE: Keys = Keys {
    of: "notify",
    known: &["up", "down", "mail", "omega"],
    later: &[],
    instead: &[("quorum_up", "write `up`"), ("quorum_down", "write `down`")],
};

const SERVER: Keys = Keys {
    of: "notify",
    known: &["up", "down", "mail", "first"],
    later: &[],
    instead: &[("notify_up", "write `up`"), ("notify_down", "write `down`")],
};

const NOTIFY: Keys = Keys {
    of: "[notify]",
    known: &["fifos", "strict", "states_on_reload", "startup", "shutdown", "group"],
    later: &[],
    instead: &[("fifo", "write `fifos`"), ("enable_script_security", "write `strict`")],
};

const FIFO: Keys = Keys { of: "a FIFO", known: &["path", "about", "owner", "script"], later: &[], instead: &[] };
const SCRIPT: Keys =
    Keys { of: "a script", known: &["run", "user"], later: &[], instead: &[("script", "write `run`")] };
const BRACKET: Keys = Keys { of: "a script", known: &["run", "user", "timeout"], later: &[], instead: &[] };

const MOMENTS: [(&str, Moment); 6] = [
    ("master", Moment::Master),
    ("backup", Moment::Backup),
    ("fault", Moment::Fault),
    ("stop", Moment::Stop),
    ("deleted", Moment::Deleted),
    ("lower_heard", Moment::LowerHeard),
];

const SUBJECTS: [(&str, Subject); 3] =
    [("all", Subject::All), ("vrrp", Subject::Vrrp), ("services", Subject::Services)];

/// Seconds a startup or shutdown script may take where nothing is said.
const USUAL_BRACKET: Duration = Duration::from_secs(10);

/// `notify` of an instance or a group.
pub(super) fn role(table: &Table<'_>, key: &str, out: &mut Vec<Diagnostic>) -> RoleNotify {
    let Some(inner) = table.table(key, out) else { return RoleNotify::default() };
    inner.only(&ROLE, out);
    let mut role = RoleNotify {
        any: script(&inner, "any", out),
        priorities: is_on(&inner, "priorities", out),
        mail: is_on(&inner, "mail", out),
        ..RoleNotify::default()
    };
    for (key, moment) in MOMENTS {
        if let (Moment::Deleted, Some(DeValue::Boolean(yes))) = (moment, inner.get(key).map(|value| value.value)) {
            role.deleted = *yes;
        } else if let Some(script) = script(&inner, key, out) {
            role.deleted |= moment == Moment::Deleted;
            role.scripts.insert(moment, script);
        }
    }
    role
}

/// `notify` of a service.
pub(super) fn service(table: &Table<'_>, out: &mut Vec<Diagnostic>) -> ServiceNotify {
    let Some(inner) = table.table("notify", out) else { return ServiceNotify::default() };
    inner.only(&SERVICE, out);
    ServiceNotify {
        up: script(&inner, "up", out),
        down: script(&inner, "down", out),
        mail: is_on(&inner, "mail", out),
        omega: is_on(&inner, "omega", out),
        ..ServiceNotify::default()
    }
}

/// `notify` of a real server.
pub(super) fn server(table: Option<&Table<'_>>, mails: &Mails, out: &mut Vec<Diagnostic>) -> ServerNotify {
    let silent = ServerNotify { mail: mails.each, ..ServerNotify::default() };
    let Some(inner) = table.and_then(|table| table.table("notify", out)) else { return silent };
    inner.only(&SERVER, out);
    ServerNotify {
        up: script(&inner, "up", out),
        down: script(&inner, "down", out),
        mail: inner.boolean("mail", out).map_or(mails.each, |yes| yes.value),
        first: is_on(&inner, "first", out),
    }
}

/// `[notify]`
pub(super) fn read(table: &Table<'_>, into: &mut NotifyDraft, out: &mut Vec<Diagnostic>) {
    table.only(&NOTIFY, out);
    into.rest.strict = is_on(table, "strict", out);
    into.rest.states_on_reload = is_on(table, "states_on_reload", out);
    into.rest.startup = bracket(table, "startup", out);
    into.rest.shutdown = bracket(table, "shutdown", out);
    if let Some(groups) = table.table("group", out) {
        let names: Vec<Spanned<&str>> = groups.tables(out).into_iter().map(|(name, _)| name).collect();
        for name in names {
            let role = self::role(&groups, name.value, out);
            into.rest.groups.insert(name.value.to_owned(), role);
        }
    }
    let items = table.get("fifos").and_then(|value| table.items(value, out)).unwrap_or_default();
    for item in items {
        let Some(inner) = table.inner(item) else {
            wrong_type(item.span, "a table", item.value, out);
            continue;
        };
        let Some(fifo) = fifo(&inner, out) else { continue };
        if into.fifos.iter().any(|first| first.value.about == fifo.about || first.value.path == fifo.path) {
            let message = "a second FIFO for the same, or at the same path";
            out.push(Diagnostic::error(codes::VALUE, item.span, message));
            continue;
        }
        into.fifos.push(Spanned::new(fifo, item.span));
    }
}

fn fifo(table: &Table<'_>, out: &mut Vec<Diagnostic>) -> Option<Fifo> {
    table.only(&FIFO, out);
    let path = table.string("path", out).filter(|path| super::not_empty("path", path, out));
    if !table.has("path") {
        let d = Diagnostic::error(codes::MISSING_KEY, table.span, "the FIFO has no path");
        out.push(d.help("write { path = \"/run/evenkeel/changes\" }"));
    }
    let about = table.word("about", &SUBJECTS, out).map_or(Subject::All, |about| about.value);
    let owner = table.string("owner", out).and_then(|text| account(text, out));
    let script = script(table, "script", out);
    Some(Fifo { about, path: PathBuf::from(path?.value), owner, script })
}

/// A program, or a program and its arguments, or `{ run, user }`.
fn script(table: &Table<'_>, key: &str, out: &mut Vec<Diagnostic>) -> Option<NotifyScript> {
    let value = table.get(key)?;
    match table.inner(value) {
        Some(inner) => {
            inner.only(&SCRIPT, out);
            from_table(&inner, out)
        }
        None => program(table, value, None, out),
    }
}

fn from_table(inner: &Table<'_>, out: &mut Vec<Diagnostic>) -> Option<NotifyScript> {
    let user = inner.string("user", out).and_then(|text| account(text, out));
    match inner.get("run") {
        Some(run) => program(inner, run, user, out),
        None => {
            let d = Diagnostic::error(codes::MISSING_KEY, inner.span, "a script without a program");
            out.push(d.help("write run = [\"/path/to/program\", \"argument\"]"));
            None
        }
    }
}

fn program(
    table: &Table<'_>,
    value: Value<'_>,
    user: Option<Account>,
    out: &mut Vec<Diagnostic>,
) -> Option<NotifyScript> {
    let items = match value.value {
        DeValue::String(_) => vec![string_of(value, out)?],
        DeValue::Array(_) => {
            let items = table.items(value, out)?;
            items.into_iter().filter_map(|item| string_of(item, out)).collect()
        }
        other => {
            wrong_type(value.span, "a program, or an array of it and its arguments,", other, out);
            return None;
        }
    };
    let mut words = items.into_iter().map(|text| text.value.to_owned());
    let program = words.next().filter(|program| !program.is_empty());
    if program.is_none() {
        out.push(Diagnostic::error(codes::VALUE, value.span, "no program is named"));
    }
    Some(NotifyScript { program: PathBuf::from(program?), arguments: words.collect(), user })
}

/// `user` or `user:group`
pub(super) fn account(text: Spanned<&str>, out: &mut Vec<Diagnostic>) -> Option<Account> {
    let account = Account::parse(text.value);
    if account.is_none() {
        let d = Diagnostic::error(codes::VALUE, text.span, format!("`{}` is no user", shown(text.value)));
        out.push(d.help("write \"user\" or \"user:group\""));
    }
    account
}

fn bracket(table: &Table<'_>, key: &str, out: &mut Vec<Diagnostic>) -> Option<Bracket> {
    let Some(inner) = table.get(key).and_then(|value| table.inner(value)) else {
        return Some(Bracket { script: script(table, key, out)?, timeout: USUAL_BRACKET });
    };
    inner.only(&BRACKET, out);
    let timeout = inner.duration("timeout", Duration::from_secs(1), out).map_or(USUAL_BRACKET, |time| time.value);
    Some(Bracket { script: from_table(&inner, out)?, timeout })
}

fn is_on(table: &Table<'_>, key: &str, out: &mut Vec<Diagnostic>) -> bool {
    table.boolean(key, out).is_some_and(|yes| yes.value)
}

/// `[alert.mail]` with `style = "keepalived"`: a mail for each change.
pub(super) fn mail(table: &Table<'_>, to: Vec<String>, out: &mut Vec<Diagnostic>) -> MailRoute {
    for key in ["repeat", "on"] {
        if let Some(span) = table.key_span(key) {
            let message = format!("{key} is not for mails of single changes");
            out.push(Diagnostic::error(codes::CONFLICTING_KEYS, span, message).help("leave it out, or the style"));
        }
    }
    let text = |key, out: &mut Vec<Diagnostic>| table.string(key, out).map(|text| text.value.to_owned());
    let timeout = table.duration("timeout", Duration::from_secs(1), out);
    MailRoute {
        to,
        from: text("from", out),
        smtp: text("server", out).unwrap_or_else(|| "localhost".to_owned()),
        helo: text("helo", out),
        timeout: timeout.map_or(MailRoute::TIMEOUT, |time| time.value),
        node: text("name", out),
        faults: table.boolean("faults", out).is_none_or(|yes| yes.value),
    }
}

/// The keys of [`mail`] that other mails do not have.
pub(super) const OF_SINGLE_CHANGES: [&str; 4] = ["helo", "timeout", "name", "faults"];

/// Writes a script so that [`script`] reads it as the same.
fn script_text(script: &NotifyScript) -> String {
    let run = run_text(script);
    match &script.user {
        None => run,
        Some(user) => inline(&[("run", run), ("user", quoted(&user.to_string()))]),
    }
}

fn run_text(script: &NotifyScript) -> String {
    let program = script.program.to_string_lossy().into_owned();
    list(std::iter::once(&program).chain(&script.arguments))
}

pub(super) fn role_text(role: &RoleNotify) -> Option<String> {
    let mut keys = Vec::new();
    for (key, moment) in MOMENTS {
        match role.scripts.get(&moment) {
            Some(script) => keys.push((key, script_text(script))),
            None if moment == Moment::Deleted && role.deleted => keys.push((key, "true".to_owned())),
            None => {}
        }
    }
    keys.extend(role.any.as_ref().map(|script| ("any", script_text(script))));
    for (key, on) in [("priorities", role.priorities), ("mail", role.mail)] {
        keys.extend(on.then(|| (key, "true".to_owned())));
    }
    (!keys.is_empty()).then(|| inline(&keys))
}

pub(super) fn service_text(told: &ServiceNotify) -> Option<String> {
    let mut keys = ends(&told.up, &told.down);
    for (key, on) in [("mail", told.mail), ("omega", told.omega)] {
        keys.extend(on.then(|| (key, "true".to_owned())));
    }
    (!keys.is_empty()).then(|| inline(&keys))
}

/// `each`: whether real servers are mailed about that say nothing.
pub(super) fn server_text(told: &ServerNotify, each: bool) -> Option<String> {
    let mut keys = ends(&told.up, &told.down);
    keys.extend((told.mail != each).then(|| ("mail", told.mail.to_string())));
    keys.extend(told.first.then(|| ("first", "true".to_owned())));
    (!keys.is_empty()).then(|| inline(&keys))
}

fn ends(up: &Option<NotifyScript>, down: &Option<NotifyScript>) -> Vec<(&'static str, String)> {
    let ends = [("up", up), ("down", down)];
    ends.into_iter().filter_map(|(key, script)| Some((key, script_text(script.as_ref()?)))).collect()
}

/// `[alert.mail]` of single changes.
pub(super) fn mail_text(route: &MailRoute, text: &mut String) {
    text.push_str("[alert.mail]\nstyle = \"keepalived\"\n");
    line(text, "to", &list(&route.to));
    for (key, value) in [("from", &route.from), ("helo", &route.helo), ("name", &route.node)] {
        value.iter().for_each(|value| line(text, key, &quoted(value)));
    }
    line(text, "server", &quoted(&route.smtp));
    if route.timeout != MailRoute::TIMEOUT {
        line(text, "timeout", &quoted(&duration_text(route.timeout)));
    }
    if !route.faults {
        line(text, "faults", "false");
    }
    text.push('\n');
}

/// `[notify]`
pub(super) fn write(notify: &Notify, text: &mut String) {
    let before = text.len();
    text.push_str("[notify]\n");
    let head = text.len();
    for (key, on) in [("strict", notify.strict), ("states_on_reload", notify.states_on_reload)] {
        if on {
            line(text, key, "true");
        }
    }
    for (key, bracket) in [("startup", &notify.startup), ("shutdown", &notify.shutdown)] {
        let Some(Bracket { script, timeout }) = bracket else { continue };
        let mut keys = vec![("run", run_text(script))];
        keys.extend(script.user.as_ref().map(|user| ("user", quoted(&user.to_string()))));
        keys.push(("timeout", quoted(&duration_text(*timeout))));
        line(text, key, &inline(&keys));
    }
    if !notify.fifos.is_empty() {
        let fifos: Vec<String> = notify.fifos.iter().map(|fifo| format!("  {},\n", fifo_text(fifo))).collect();
        line(text, "fifos", &format!("[\n{}]", fifos.concat()));
    }
    for (name, role) in &notify.groups {
        line(text, &format!("group.{}", quoted(name)), &role_text(role).unwrap_or_else(|| "{}".to_owned()));
    }
    if text.len() == head {
        text.truncate(before);
    } else {
        text.push('\n');
    }
}

fn fifo_text(fifo: &Fifo) -> String {
    let mut keys = vec![("path", quoted(&fifo.path.to_string_lossy()))];
    let about = SUBJECTS.iter().find(|(_, subject)| *subject == fifo.about);
    keys.extend(about.map(|(word, _)| ("about", quoted(word))));
    keys.extend(fifo.owner.as_ref().map(|owner| ("owner", quoted(&owner.to_string()))));
    keys.extend(fifo.script.as_ref().map(|script| ("script", script_text(script))));
    inline(&keys)
}
