//! What directives mean together: defaults, rules between them, and the model.

use super::{
    here, node,
    options::{FenceLine, Options},
    value::{REFUSED, truth},
};
use crate::{
    codes,
    draft::ClusterDraft,
    host::{Host, shown},
    nearest::nearest,
};
use evenkeel_model::heartbeat::{Failback, Form, Heartbeat, Keys, Medium, NodeName, Timing};
use evenkeel_source::{Diagnostic, Severity, Span, Spanned};
use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    time::Duration,
};

const KEEPALIVE: Duration = Duration::from_secs(1);
const DEADTIME: Duration = Duration::from_secs(30);
/// Where init's scripts are.
const INIT: &str = "/etc/init.d";
/// Where heartbeat's own files are.
const OWN: &str = "/etc/ha.d";

/// The cluster that an ha.cf and its keys mean, groups left out. `whole` is a span of the file's beginning.
pub(super) fn lower(
    mut options: Options,
    keys: Option<Keys>,
    directory: &Path,
    whole: Span,
    host: &Host<'_>,
    out: &mut Vec<Diagnostic>,
) -> ClusterDraft {
    manager(&options, out);
    scripts(directory, whole, host, out);
    let node = this_node(&options, whole, host, out);
    if !here::leave_out_own(&mut options.media, host, out) {
        options.broken_media += 1;
    }
    media(&options, whole, out);
    keep_unused(&mut options);
    pings(&options, out);
    let timing = timing(&options, out);
    let failback = failback(&options, out);
    let form = match options.msgfmt.as_ref().map(|word| word.value.as_str()) {
        Some("netstring") => Form::Netstring,
        _ => Form::Classic,
    };
    netstring(&options, out);
    let log_facility = options.logfacility.as_ref().and_then(|word| facility(word, out));
    let fences = fences(&options, node.as_ref(), out);
    if let Some(watchdog) = &options.watchdog {
        let missing = here::device(&watchdog.value, None, watchdog.span, host);
        out.extend(
            missing.map(|d| d.note("heartbeat tells it in its log and goes on without").help("modprobe softdog")),
        );
    }
    let nodes = options.nodes.clone();
    let names = nodes.iter().map(|node| node.value.clone()).collect();
    let heartbeat = node.zip(keys).zip(timing).map(|((node, keys), timing)| Heartbeat {
        cluster: options.cluster.map_or_else(|| Heartbeat::NAME.to_owned(), |name| name.value),
        media: options.media.into_iter().map(|medium| medium.value).collect(),
        pings: options.pings.into_iter().map(|ping| ping.value).collect(),
        form,
        failback,
        ipfail: options.ipfail.is_some(),
        fences,
        watchdog: options.watchdog.map(|device| PathBuf::from(device.value)),
        children: options.children,
        environment: environment(options.unused, options.environment),
        hop_fudge: options.hopfudge.and_then(|n| u8::try_from(n.value).ok()).unwrap_or(Heartbeat::HOP_FUDGE),
        rexmit_delay: options
            .rexmit_delay
            .map_or(Heartbeat::REXMIT_DELAY, |ms| Duration::from_millis(u64::from(ms.value))),
        resource_dirs: resource_dirs(directory, host),
        notify_dir: Some(directory.join("rc.d")).filter(|path| (host.file_mode)(path).is_some()),
        log_file: options.logfile.map(|path| PathBuf::from(path.value)),
        log_facility,
        ..Heartbeat::new(node, names, timing, keys)
    });
    ClusterDraft { heartbeat, nodes, order: Vec::new(), place: whole }
}

/// Speed and port belong to media; without one that has them scripts find what is written.
fn keep_unused(options: &mut Options) {
    let has = |which: fn(&Medium) -> bool| options.media.iter().any(|medium| which(&medium.value));
    let serial = has(|medium| matches!(medium, Medium::Serial { .. }));
    let ported = has(|medium| matches!(medium, Medium::Unicast { .. } | Medium::Broadcast { .. }));
    let written = [("baud", options.baud.filter(|_| !serial)), ("udpport", options.udpport.filter(|_| !ported))];
    for (name, number) in written {
        let number = number.map(|number| (name.to_owned(), number.value.to_string()));
        options.unused.extend(number);
    }
}

/// What scripts find: what `env` says comes before what a directive does.
fn environment(mut unused: BTreeMap<String, String>, said: Vec<(String, String)>) -> Vec<(String, String)> {
    unused.retain(|name, _| !said.iter().any(|(known, _)| known == name));
    unused.into_iter().chain(said).collect()
}

/// Where scripts are looked for: beside ha.cf if there are any, in heartbeat's own place, in init's.
pub(crate) fn resource_dirs(directory: &Path, host: &Host<'_>) -> Vec<PathBuf> {
    let (beside, own) = (directory.join("resource.d"), Path::new(OWN).join("resource.d"));
    let beside = Some(beside).filter(|path| *path != own && (host.file_mode)(path).is_some());
    beside.into_iter().chain([own, PathBuf::from(INIT)]).collect()
}

/// Resource managers that are not ours.
fn manager(options: &Options, out: &mut Vec<Diagnostic>) {
    if let Some(crm) = &options.crm
        && truth(&crm.value) != Some(false)
    {
        let message = format!("resources are left to pacemaker (`{}`)", shown(&crm.value));
        let d = Diagnostic::error(codes::MANAGER, crm.span, message);
        let d = d.note("evenkeel moves the resources of haresources, and speaks to no pacemaker");
        out.push(d.help(
            "write `crm off` and put the resources into haresources; or keep the cluster on pacemaker with corosync",
        ));
    }
    if let Some(autojoin) = options.autojoin.as_ref().filter(|word| word.value != "none") {
        let message = format!("autojoin {}: nodes that no line names", autojoin.value);
        let d = Diagnostic::error(codes::MANAGER, autojoin.span, message);
        out.push(
            d.note("heartbeat refuses it together with haresources")
                .help("write `autojoin none` and a node line for each"),
        );
    }
}

fn this_node(options: &Options, whole: Span, host: &Host<'_>, out: &mut Vec<Diagnostic>) -> Option<NodeName> {
    if options.nodes.is_empty() {
        if options.broken_nodes == 0 {
            let d = Diagnostic::error(codes::NODE, whole, "no node is named").note(REFUSED);
            out.push(d.help(format!("write `node {}` and a line for the other", host.full_name)));
        }
        return None;
    }
    let node = node::this_host(&options.nodes, host, out);
    if let [alone] = options.nodes.as_slice()
        && options.broken_nodes == 0
    {
        let d = Diagnostic::warning(codes::NODE, alone.span, "the cluster has one node");
        out.push(d.note("nothing takes over from it").help("write a node line for the other"));
    }
    if let Some(third) = options.nodes.get(2) {
        let message = format!("{} nodes: each group moves by itself, along the order of nodes", options.nodes.len());
        let d = Diagnostic::new(Severity::Note, codes::MANY_NODES, third.span, message);
        let d = d.note("heartbeat with haresources is made for two; of more it has no rule who takes a group");
        out.push(d.help(
            "all of them must be evenkeels, no heartbeat among them: docs/manual/heartbeat.md, More than two nodes",
        ));
    }
    node
}

/// Types of messages that heartbeat deals with itself. It comes with a script for `ask_resources`, which it does not run.
const NOT_TOLD: [&str; 6] = ["starting", "resource", "shutdone", "reqnodes", "repnodes", "query-cstatus"];

/// Scripts of rc.d that nothing runs.
fn scripts(directory: &Path, whole: Span, host: &Host<'_>, out: &mut Vec<Diagnostic>) {
    for kind in NOT_TOLD {
        let path = directory.join("rc.d").join(kind);
        if (host.file_mode)(&path).is_some() {
            let message = format!("{} is never run", path.display());
            let d = Diagnostic::new(Severity::Note, codes::NOT_TOLD, whole, message);
            let d = d.note(format!("heartbeat deals with {kind} messages itself, and runs no script for them"));
            out.push(d.help("call it status: that is run when a node comes or goes, with HA_src and HA_st"));
        }
    }
}

fn media(options: &Options, whole: Span, out: &mut Vec<Diagnostic>) {
    let Some(first) = options.media.first() else {
        if options.broken_media == 0 {
            let d = Diagnostic::error(codes::MEDIUM, whole, "nodes have no way to hear each other");
            let d = d.note("heartbeat refuses to start: No heartbeat media defined");
            out.push(d.help("write `bcast eth1`, or `ucast eth1 ADDRESS` with the other node's address"));
        }
        return;
    };
    if options.broken_media == 0 {
        report_single_path(&options.media, out);
    }
    if let Some(baud) = options.baud.as_ref() {
        let is_early = |medium: &&Spanned<Medium>| {
            matches!(medium.value, Medium::Serial { .. }) && medium.span.start < baud.span.start
        };
        if let Some(early) = options.media.iter().find(is_early) {
            let message = format!("baud {} comes too late for this serial line", baud.value);
            let d = Diagnostic::warning(codes::MEDIUM, baud.span, message).label(early.span, "this one");
            out.push(
                d.note("heartbeat has opened it with the speed before; so does evenkeel").help("move the line up"),
            );
        }
    }
    if let Some(port) = options.udpport.as_ref().filter(|port| port.span.start > first.span.start) {
        let of_udp = |medium: &&Spanned<Medium>| {
            matches!(medium.value, Medium::Unicast { .. } | Medium::Broadcast { .. })
                && medium.span.start < port.span.start
        };
        if let Some(early) = options.media.iter().find(of_udp) {
            let message = format!("udpport {} comes too late for this heartbeat path", port.value);
            let d = Diagnostic::warning(codes::MEDIUM, port.span, message).label(early.span, "this one");
            out.push(d.note("heartbeat has opened it with the port before; so does evenkeel").help("move the line up"));
        }
    }
}

/// One cable or interface less, and nodes do not hear each other.
pub(crate) fn report_single_path(media: &[Spanned<Medium>], out: &mut Vec<Diagnostic>) {
    let Some(first) = media.first() else { return };
    let only = first.value.link();
    if media.iter().any(|medium| medium.value.link() != only) {
        return;
    }
    let message = format!("nodes hear each other through {only} alone");
    let d = Diagnostic::warning(codes::SINGLE_PATH, first.span, message);
    let d = d.note("without it both nodes of a heartbeat pair hold every resource, until it is back");
    let d = d.note(
        "two evenkeels use the interfaces of their addresses besides; with a heartbeat on the other side they cannot",
    );
    out.push(d.help("write a second path through another interface"));
}

fn pings(options: &Options, out: &mut Vec<Diagnostic>) {
    for ping in &options.pings {
        if let Some(node) = options.nodes.iter().find(|node| node.value == ping.value.name) {
            let d = Diagnostic::error(codes::NODE, ping.span, format!("{} is a node and a ping node", node.value));
            out.push(d.label(node.span, "the node").help("let another host be pinged, such as the gateway"));
        }
    }
    if let Some(place) = options.ipfail
        && options.pings.is_empty()
    {
        let d = Diagnostic::warning(codes::IPFAIL, place, "ipfail has no ping node to look at");
        out.push(d.help("write `ping ADDRESS` with the address of the gateway"));
    }
}

fn timing(options: &Options, out: &mut Vec<Diagnostic>) -> Option<Timing> {
    let or = |written: Option<Spanned<Duration>>, usual: Duration| written.map_or(usual, |time| time.value);
    let keepalive = or(options.keepalive, KEEPALIVE);
    let deadtime = or(options.deadtime, DEADTIME);
    let usual = Timing::usual(keepalive, deadtime);
    let timing = Timing {
        warntime: or(options.warntime, usual.warntime),
        initdead: or(options.initdead, usual.initdead),
        deadping: or(options.deadping, usual.deadping),
        ..usual
    };
    let place = |name: Option<Spanned<Duration>>| name.map(|time| time.span);
    let places = Places {
        keepalive: place(options.keepalive),
        deadtime: place(options.deadtime),
        warntime: place(options.warntime),
        initdead: place(options.initdead),
        deadping: place(options.deadping),
    };
    judge(timing, &places, ["keepalive", "deadtime", "warntime", "initdead", "deadping"], out).then_some(timing)
}

/// Where times were written.
#[derive(Default)]
pub(crate) struct Places {
    pub(crate) keepalive: Option<Span>,
    pub(crate) deadtime: Option<Span>,
    pub(crate) warntime: Option<Span>,
    pub(crate) initdead: Option<Span>,
    pub(crate) deadping: Option<Span>,
}

/// Rules between times, told in the words of the file; `false` where one is broken.
pub(crate) fn judge(timing: Timing, places: &Places, words: [&str; 5], out: &mut Vec<Diagnostic>) -> bool {
    let [keepalive, deadtime, warntime, initdead, deadping] = words;
    let text = crate::native::duration_text;
    let mut good = true;
    let mut error = |place: Option<Span>, other: Option<Span>, message: String, help: String| {
        let Some(place) = place.or(other) else { return };
        good = false;
        let d = Diagnostic::error(codes::TIMING, place, message).help(help);
        let d = if keepalive == "keepalive" { d.note(REFUSED) } else { d };
        out.push(match other.filter(|other| *other != place) {
            Some(other) => d.label(other, "and this"),
            None => d,
        });
    };
    let twice = timing.keepalive * 2;
    if timing.deadtime <= twice {
        let message =
            format!("{deadtime} ({}) is not above twice {keepalive} ({})", text(timing.deadtime), text(twice));
        let help = format!("a node that is alive is then taken for dead; ten times {keepalive} is usual");
        error(places.deadtime, places.keepalive, message, help);
    }
    if timing.deadping <= twice && (places.deadping.is_some() || timing.deadtime > twice) {
        let message =
            format!("{deadping} ({}) is not above twice {keepalive} ({})", text(timing.deadping), text(twice));
        error(places.deadping, places.keepalive, message, format!("write a longer {deadping}"));
    }
    if timing.initdead < timing.deadtime {
        let message = format!("{initdead} ({}) is below {deadtime} ({})", text(timing.initdead), text(timing.deadtime));
        error(places.initdead, places.deadtime, message, format!("write twice {deadtime}"));
    }
    if let Some(place) = places.warntime.filter(|_| timing.warntime >= timing.deadtime) {
        let message =
            format!("{warntime} ({}) is never reached: {deadtime} is {}", text(timing.warntime), text(timing.deadtime));
        let d = Diagnostic::warning(codes::TIMING, place, message);
        out.push(d.note("heartbeat takes it, and warns of no late status").help(format!("write half of {deadtime}")));
    } else if let Some(place) = places.warntime.filter(|_| timing.warntime <= timing.keepalive) {
        let message = format!("{warntime} ({}) is not above {keepalive}: every status is late", text(timing.warntime));
        out.push(Diagnostic::warning(codes::TIMING, place, message).help(format!("write half of {deadtime}")));
    }
    out.extend((good && timing.deadtime < SHORTEST_LEASE).then(|| short(timing.deadtime, places, deadtime)).flatten());
    good
}

/// The kernel ends an address whose lease of one second nobody renews by then.
const SHORTEST_LEASE: Duration = Duration::from_millis(1600);

/// What holds, and what does not, where the dead time is over before a lease can be.
fn short(time: Duration, places: &Places, deadtime: &str) -> Option<Diagnostic> {
    let text = crate::native::duration_text;
    let message = format!(
        "{deadtime} ({}) is below {}: the addresses of a dead daemon depend on its guard",
        text(time),
        text(SHORTEST_LEASE)
    );
    let d = Diagnostic::note_at(codes::GUARD, places.deadtime.or(places.keepalive)?, message);
    let d = d.note(
        "when evenkeel is killed or hangs, the process ha-guard beside it ends its addresses just before the other node claims them",
    );
    let d = d.note(
        "when that is killed with it, the kernel ends them 1 s to 1.6 s after the last status: until then both nodes answer for them",
    );
    Some(d.help(format!(
        "write `KillMode=process` in its systemd unit, else systemd kills both; or a {deadtime} of {} or more",
        text(SHORTEST_LEASE)
    )))
}

fn failback(options: &Options, out: &mut Vec<Diagnostic>) -> Failback {
    let failback = match options.auto_failback.as_ref().map(|word| word.value.as_str()) {
        Some("on") => Failback::On,
        Some("off") => Failback::Off,
        _ => Failback::Legacy,
    };
    if let Some(nice) = &options.nice_failback {
        let d = Diagnostic::warning(codes::DEPRECATED, nice.span, "nice_failback was given up by heartbeat");
        let meant = if nice.value { "off" } else { "on" };
        let d = d.note("heartbeat 3 reads it as auto_failback legacy, whatever stands behind it");
        out.push(d.help(format!("write `auto_failback {meant}`")));
    }
    if failback == Failback::Legacy && !options.broken_failback {
        let place = options.auto_failback.as_ref().map(|word| word.span).or(options.ipfail);
        let place = place.or(options.nodes.first().map(|node| node.span));
        if let Some(place) = place {
            let message = "auto_failback is legacy: a node takes its resources whenever it starts";
            let d = Diagnostic::warning(codes::LEGACY, place, message);
            let d = d.note("hb_standby and ipfail do nothing then; so it is with heartbeat, which warns three times");
            out.push(d.help("write `auto_failback on` or `auto_failback off` on all nodes"));
        }
    }
    failback
}

fn netstring(options: &Options, out: &mut Vec<Diagnostic>) {
    if let Some(form) = options.msgfmt.as_ref().filter(|form| form.value == "netstring") {
        let d = Diagnostic::warning(
            codes::NETSTRING,
            form.span,
            "a heartbeat with msgfmt netstring cannot move haresources",
        );
        let d = d.note(
            "what its scripts say never leaves the host: take-overs of a heartbeat peer hang (not of evenkeel's)",
        );
        out.push(d.help("write `msgfmt classic` while there is a heartbeat in the cluster"));
    }
}

/// The names of facilities that syslog has.
const FACILITIES: [&str; 20] = [
    "auth", "authpriv", "cron", "daemon", "ftp", "kern", "lpr", "mail", "news", "syslog", "user", "uucp", "local0",
    "local1", "local2", "local3", "local4", "local5", "local6", "local7",
];

/// Whether syslog has a facility of this name.
pub(crate) fn is_facility(name: &str) -> bool {
    FACILITIES.contains(&name)
}

/// The facility a word names; `none` is none.
fn facility(word: &Spanned<String>, out: &mut Vec<Diagnostic>) -> Option<String> {
    let name = word.value.to_ascii_lowercase();
    if name == "none" {
        return None;
    }
    if is_facility(&name) {
        if name != word.value {
            let d = Diagnostic::warning(codes::CASE, word.span, format!("`{}` is read as `{name}`", word.value));
            out.push(d.note(REFUSED).replace(format!("write `{name}`"), word.span, name.as_str()));
        }
        return Some(name);
    }
    let message = format!("`{}` is no syslog facility", shown(&word.value));
    let d = Diagnostic::error(codes::VALUE, word.span, message).note(REFUSED);
    out.push(match nearest(&name, FACILITIES) {
        Some(meant) => d.suggest(format!("did you mean `{meant}`?"), word.span, meant),
        None => d.help("write daemon or local0 to local7, or none"),
    });
    None
}

/// The devices this node can use.
fn fences(
    options: &Options,
    node: Option<&NodeName>,
    out: &mut Vec<Diagnostic>,
) -> Vec<evenkeel_model::heartbeat::Fence> {
    let mut used = Vec::new();
    for Spanned { value: FenceLine { from, fence }, .. } in &options.fences {
        match from {
            None => used.push(fence.clone()),
            Some(from) if Some(&from.value) == node => used.push(fence.clone()),
            Some(from) => {
                if !options.nodes.iter().any(|known| known.value == from.value) && options.broken_nodes == 0 {
                    let message = format!("`{}` is no node: nobody uses this fence device", from.value);
                    let d = Diagnostic::new(Severity::Warning, codes::FENCE, from.span, message);
                    out.push(d.help("write the node that reaches the device, or * for each of them"));
                }
            }
        }
    }
    used
}
