//! Sections and options into services and settings.

use super::{
    check::{self, Checked, near, split_command},
    options::{Options, RealLine, Section, Syntax},
    table::{DIRECTIVES, Status},
};
use crate::{
    address::{self, Resolved, forwarding, socket_text},
    codes,
    draft::{Draft, ServiceDraft, SettingsDraft, report_port},
    host::{Family, Resolver, shown},
    load::MOST_DIAGNOSTICS,
};
use evenkeel_model::{
    Alerts, Fallback, FallbackCommand, Forwarding, OnFail, Protocol, RealServer, Scheduler, SchedulerError, Service,
    ServiceKey, Sources, StartState, Weight,
};
use evenkeel_source::{Diagnostic, Severity, Span, Spanned};
use std::{
    collections::HashSet,
    net::{IpAddr, Ipv4Addr, SocketAddr},
    path::PathBuf,
    time::Duration,
};

/// Real servers one range may stand for.
const LARGEST_RANGE: u32 = 4096;

/// Syslog facilities a `logfile=` may name.
const FACILITIES: &[&str] = &[
    "auth", "authpriv", "cron", "daemon", "ftp", "kern", "lpr", "mail", "news", "syslog", "user", "uucp", "local0",
    "local1", "local2", "local3", "local4", "local5", "local6", "local7",
];

/// The mail states of ldirectord.
pub(crate) const ALERT_STATES: [&str; 4] = ["starting", "running", "stopping", "reloading"];

/// Turns the syntax of one file into a draft.
pub(crate) fn lower(syntax: Syntax<'_>, resolver: &Resolver<'_>, out: &mut Vec<Diagnostic>) -> Draft {
    let Syntax { mut globals, execute, sections } = syntax;
    report_ignored(&mut globals, out);
    let mut draft = Draft { settings: settings(&globals, execute, out), ..Draft::default() };
    // Judged once more where a virtual service has no words of its own; the same diagnostic is told once.
    alert_states(globals.emailalertstatus.as_ref(), out);
    if let Some(command) = &globals.fallbackcommand {
        split_command(command, out);
    }
    let mut lowering = Lowering {
        fallbacks: [global_fallback(&globals, false, resolver, out), global_fallback(&globals, true, resolver, out)],
        globals,
        resolver,
        names: HashSet::new(),
    };
    for mut section in sections {
        if out.len() > MOST_DIAGNOSTICS {
            break;
        }
        report_ignored(&mut section.options, out);
        match lowering.section(&section, out) {
            Some(service) => draft.services.push(service),
            None => draft.broken_services += 1,
        }
    }
    draft
}

/// Directives that are read and have no effect; `no` has none with ldirectord either.
fn report_ignored(options: &mut Options, out: &mut Vec<Diagnostic>) {
    use super::table::Argument;
    for directive in DIRECTIVES {
        let Status::Ignored(why) = directive.status else { continue };
        let span = match directive.argument {
            Argument::YesNo(slot) => slot(options).filter(|yes| yes.value).map(|yes| yes.span),
            Argument::Quoted(slot) | Argument::Text(slot) => slot(options).as_ref().map(|text| text.span),
            _ => None,
        };
        if let Some(span) = span {
            let message = format!("`{}` has no effect: {why}", directive.name);
            out.push(Diagnostic::note_at(codes::NO_EFFECT, span, message));
        }
    }
}

fn settings(globals: &Options, execute: Vec<Spanned<String>>, out: &mut Vec<Diagnostic>) -> SettingsDraft {
    let path =
        |text: &Option<Spanned<String>>| text.as_ref().map(|text| Spanned::new(PathBuf::from(&text.value), text.span));
    let mut settings = SettingsDraft {
        autoreload: globals.autoreload,
        callback: path(&globals.callback),
        maintenance_dir: path(&globals.maintenancedir),
        supervised: globals.supervised,
        ..SettingsDraft::default()
    };
    for file in execute {
        if !settings.execute.contains(&file.value) {
            settings.execute.push(file.value);
        }
    }
    if let Some(logfile) = &globals.logfile {
        if logfile.value.starts_with('/') {
            settings.log_file = path(&globals.logfile);
        } else if let Some(facility) = near(logfile, FACILITIES, "path and no syslog facility", codes::VALUE, out) {
            settings.log_facility = Some(Spanned::new(facility.to_owned(), logfile.span));
        }
    }
    settings
}

/// A `fallback=` whose address is known.
#[derive(Clone)]
struct FallbackLine {
    address: Resolved,
    port: Option<String>,
    span: Span,
    /// Its port was already reported against some service.
    told: bool,
}

fn global_fallback(
    globals: &Options,
    six: bool,
    resolver: &Resolver<'_>,
    out: &mut Vec<Diagnostic>,
) -> Option<FallbackLine> {
    let text = if six { &globals.fallback6 } else { &globals.fallback };
    fallback_line(text.as_ref()?, six, resolver, out)
}

fn fallback_line(
    text: &Spanned<String>,
    six: bool,
    resolver: &Resolver<'_>,
    out: &mut Vec<Diagnostic>,
) -> Option<FallbackLine> {
    let (target, method) = text.value.split_once(' ').unwrap_or((&text.value, "gate"));
    let span = address::part(text.span, 0, target.len());
    let Some(split) = address::split(target) else {
        out.push(Diagnostic::error(codes::ADDRESS, span, format!("`{}` is no address", shown(target))));
        return None;
    };
    let family = if six { Family::V6 } else { Family::V4 };
    let address = address::resolve(split.host, family, split.host_span(span), resolver, out)?;
    forwarding_method(Spanned::new(method, text.span), out)?;
    Some(FallbackLine { address, port: split.port.map(str::to_owned), span, told: false })
}

/// `gate`; the other methods are refused by name.
fn forwarding_method(method: Spanned<&str>, out: &mut Vec<Diagnostic>) -> Option<()> {
    let what = match method.value {
        "gate" => return Some(()),
        "masq" => "network address translation (masq)",
        "ipip" => "tunnels (ipip)",
        other => {
            let message = format!("`{}` is no forwarding method", shown(other));
            out.push(Diagnostic::error(codes::VALUE, method.span, message).help("write `gate` for direct routing"));
            return None;
        }
    };
    out.push(
        Diagnostic::error(codes::FORWARDING, method.span, format!("{what} is not in this release"))
            .help("direct routing is `gate`: the real server needs the virtual address on its lo then"),
    );
    None
}

/// What is known of the virtual service when its real servers are read.
struct Known<'a> {
    six: bool,
    key: Option<ServiceKey>,
    checked: &'a Checked,
    plan: Option<&'a check::CheckPlan>,
}

struct Lowering<'a> {
    globals: Options,
    /// For IPv4 and for IPv6.
    fallbacks: [Option<FallbackLine>; 2],
    resolver: &'a Resolver<'a>,
    /// Names given by `servicename=`.
    names: HashSet<String>,
}

impl Lowering<'_> {
    /// One virtual service, all its mistakes reported; `None` when it is not known what it answers for.
    fn section(&mut self, section: &Section<'_>, out: &mut Vec<Diagnostic>) -> Option<ServiceDraft> {
        if section.head.value.is_empty() {
            return None;
        }
        let errors = out.len();
        let options = &section.options;
        let key = self.key(section, out);
        let scheduler = scheduler(options, out);
        report_refused(options, out);
        let checked = key.map(|key| Checked { vip: SocketAddr::new(key.address, key.port), protocol: key.protocol });
        // Without a key the checks are read all the same, for the sake of their mistakes.
        let nowhere = Checked { vip: SocketAddr::new(Ipv4Addr::UNSPECIFIED.into(), 80), protocol: Protocol::Tcp };
        let checked = checked.unwrap_or(nowhere);
        let plan = check::plan(section, &self.globals, &checked, self.resolver, out);
        let mut real_servers = Vec::with_capacity(section.real_servers.len());
        let mut spans = Vec::with_capacity(section.real_servers.len());
        let known = Known { six: section.six, key, checked: &checked, plan: plan.as_ref() };
        for line in &section.real_servers {
            self.real_servers(line, &known, &mut real_servers, out);
            spans.resize(real_servers.len(), line.target.span);
        }
        let fallback = self.fallback(section, key, out);
        let fallback_command = self.fallback_command(options, out);
        let alerts = self.alerts(options, out);
        let broken = section.broken || out[errors..].iter().any(|d| d.severity == Severity::Error);
        let key = key?;
        let globals = &self.globals;
        let quiescent = options.quiescent.or(globals.quiescent).is_some_and(|yes| yes.value);
        let clean_stop = options.cleanstop.or(globals.cleanstop).is_none_or(|yes| yes.value);
        let name = self.name(options, key);
        Some(ServiceDraft {
            service: Service {
                name,
                key,
                scheduler: scheduler.unwrap_or(Scheduler::WeightedRoundRobin),
                real_servers,
                fallback,
                fallback_command,
                on_fail: if quiescent { OnFail::Quiesce } else { OnFail::Remove },
                start: StartState::Down,
                sources: Sources::default(),
                clean_stop,
                monitor_file: options.monitorfile.as_ref().map(|file| PathBuf::from(&file.value)),
                alerts,
            },
            name: None,
            key: section.head.span,
            scheduler: options.scheduler.as_ref().map(|s| s.span),
            real_servers: spans,
            broken,
        })
    }

    /// `servicename=`, when no other service has it; ldirectord does not ask that it be unique.
    fn name(&mut self, options: &Options, key: ServiceKey) -> String {
        let written = options.servicename.as_ref().map(|name| name.value.clone()).filter(|name| !name.is_empty());
        written.filter(|name| self.names.insert(name.clone())).unwrap_or_else(|| key.to_string())
    }

    fn key(&self, section: &Section<'_>, out: &mut Vec<Diagnostic>) -> Option<ServiceKey> {
        let head = &section.head;
        if head.value.bytes().all(|b| b.is_ascii_digit()) {
            let mark = head.value.trim_start_matches('0');
            out.push(if mark.is_empty() {
                Diagnostic::error(codes::FIREWALL_MARK, head.span, "firewall mark 0 means no mark")
            } else {
                Diagnostic::error(
                    codes::MARK_SERVICE,
                    head.span,
                    format!("a virtual service by firewall mark ({}) is not possible on this data plane", shown(mark)),
                )
                .note("the packet path comes before the firewall that would set the mark")
                .help("write virtual=ADDRESS:PORT; protocol and every port of an address have services of their own")
            });
            return None;
        }
        let Some(split) = address::split(&head.value) else {
            let message = format!("`{}` is no address", shown(&head.value));
            out.push(Diagnostic::error(codes::ADDRESS, head.span, message));
            return None;
        };
        let Some(port) = split.port else {
            let message = format!("virtual service `{}` has no port", shown(&head.value));
            let end = Span { start: head.span.end, ..head.span };
            out.push(Diagnostic::error(codes::PORT, head.span, message).suggest("for HTTP", end, ":80"));
            return None;
        };
        if split.host.contains(':') && !section.six {
            out.push(Diagnostic::error(codes::FAMILY, head.span, "an IPv6 address needs virtual6").replace(
                "write `virtual6`",
                section.word,
                "virtual6",
            ));
            return None;
        }
        let protocol = protocol(&section.options, port, out);
        let family = if section.six { Family::V6 } else { Family::V4 };
        let address = address::resolve(split.host, family, split.host_span(head.span), self.resolver, out);
        let port = address::port(port, protocol?, split.port_span(head.span), self.resolver, out);
        Some(ServiceKey { address: address?.address, protocol: protocol?, port: port? })
    }

    fn real_servers(
        &self,
        line: &RealLine<'_>,
        of: &Known<'_>,
        real_servers: &mut Vec<RealServer>,
        out: &mut Vec<Diagnostic>,
    ) -> Option<()> {
        let Known { six, key, checked, plan } = *of;
        if line.six != six {
            let (written, right) = if six { ("real", "real6") } else { ("real6", "real") };
            out.push(
                Diagnostic::error(
                    codes::FAMILY,
                    line.word,
                    format!("`{written}` in a virtual service of the other family"),
                )
                .replace(format!("write `{right}`"), line.word, right),
            );
            return None;
        }
        let method = forwarding_method(line.method, out);
        let (targets, port) = self.targets(six, line, checked.protocol, out)?;
        method?;
        let weight = Weight::new(line.weight.map_or(1, |w| w.value)).unwrap_or(Weight::MAX);
        let span = line.target.span;
        let forward = |address| key.map_or(Forwarding::DirectRouting, |key| forwarding(address, key.address));
        if let (Some(port), Some(key)) = (port, key) {
            report_port(codes::PORT_REWRITE, port, key.port, forward(targets.first), span, out);
        }
        for target in targets.addresses() {
            let address = SocketAddr::new(target.address, checked.vip.port());
            let check = plan?.check(line, target.address, port, checked, self.resolver, out)?;
            real_servers.push(RealServer {
                name: socket_text(address),
                aliases: target.name.into_iter().collect(),
                address,
                forwarding: forward(target.address),
                weight,
                check,
            });
        }
        Some(())
    }

    /// The addresses of a line, one or a range, and the port that is written.
    fn targets(
        &self,
        six: bool,
        line: &RealLine<'_>,
        protocol: Protocol,
        out: &mut Vec<Diagnostic>,
    ) -> Option<(Targets, Option<u16>)> {
        let span = line.target.span;
        let text = line.target.value;
        let (first, rest, rest_at) = match text.split_once("->") {
            Some((first, last)) => (Some(first), last, first.len() + 2),
            None => (None, text, 0),
        };
        let Some(split) = address::split(rest) else {
            out.push(Diagnostic::error(codes::ADDRESS, span, format!("`{}` is no address", shown(rest))));
            return None;
        };
        let rest_span = address::part(span, rest_at, rest.len());
        let family = if six { Family::V6 } else { Family::V4 };
        let last = address::resolve(split.host, family, split.host_span(rest_span), self.resolver, out);
        let first = match first {
            Some(first) => {
                let at = address::part(span, 0, first.len());
                let host = first.trim_start_matches('[').trim_end_matches(']');
                Some(address::resolve(host, family, at, self.resolver, out)?)
            }
            None => None,
        };
        let port = match split.port {
            // ldirectord's own word for "the service's port".
            Some("0") | None => None,
            Some(port) => Some(address::port(port, protocol, split.port_span(rest_span), self.resolver, out)?),
        };
        let last = last?;
        let addresses = match first {
            Some(first) => range(first.address, last.address, span, out)?,
            None => Targets { first: last.address, more: 0, name: last.name },
        };
        Some((addresses, port))
    }

    fn fallback(
        &mut self,
        section: &Section<'_>,
        key: Option<ServiceKey>,
        out: &mut Vec<Diagnostic>,
    ) -> Option<Fallback> {
        let options = &section.options;
        let (own, other, wrong, right) = match section.six {
            true => (&options.fallback6, &options.fallback, "fallback", "fallback6"),
            false => (&options.fallback, &options.fallback6, "fallback6", "fallback"),
        };
        if let Some(other) = other {
            let message = format!("`{wrong}` in a virtual service of the other family");
            out.push(Diagnostic::error(codes::FAMILY, other.span, message).help(format!("write `{right}`")));
        }
        let line = match own {
            Some(text) => fallback_line(text, section.six, self.resolver, out),
            None => self.fallbacks[usize::from(section.six)].clone(),
        }?;
        let key = key?;
        let forwarding = forwarding(line.address.address, key.address);
        if let Some(port) = &line.port {
            let port = address::port(port, key.protocol, line.span, self.resolver, out)?;
            if !line.told {
                let before = out.len();
                report_port(codes::PORT_REWRITE, port, key.port, forwarding, line.span, out);
                if let (None, Some(global)) = (own, &mut self.fallbacks[usize::from(section.six)]) {
                    global.told = out.len() > before;
                }
            }
        }
        Some(Fallback { address: SocketAddr::new(line.address.address, key.port), forwarding })
    }

    fn fallback_command(&self, options: &Options, out: &mut Vec<Diagnostic>) -> Option<FallbackCommand> {
        let command = options.fallbackcommand.as_ref().or(self.globals.fallbackcommand.as_ref())?;
        let (program, arguments) = split_command(command, out)?;
        Some(FallbackCommand { program, arguments })
    }

    fn alerts(&self, options: &Options, out: &mut Vec<Diagnostic>) -> Option<Alerts> {
        let globals = &self.globals;
        let to = options.emailalert.as_ref().or(globals.emailalert.as_ref())?;
        let recipients = to.value.split(|c: char| c == ',' || c.is_whitespace()).filter(|r| !r.is_empty());
        let status = options.emailalertstatus.as_ref().or(globals.emailalertstatus.as_ref());
        let repeat = options.emailalertfreq.or(globals.emailalertfreq).map_or(0, |n| n.value);
        Some(Alerts {
            to: recipients.map(str::to_owned).collect(),
            from: globals.emailalertfrom.as_ref().map(|from| from.value.clone()),
            smtp: options.smtp.as_ref().or(globals.smtp.as_ref()).map(|smtp| smtp.value.clone()),
            repeat: Duration::from_secs(u64::from(repeat)),
            status: alert_states(status, out),
        })
    }
}

fn alert_states(status: Option<&Spanned<String>>, out: &mut Vec<Diagnostic>) -> Vec<String> {
    let all = || ALERT_STATES.map(str::to_owned).to_vec();
    let Some(status) = status else { return all() };
    let words: Vec<&str> = status.value.split([',', ' ']).filter(|w| !w.is_empty()).collect();
    if let Some(wrong) = words.iter().find(|w| !ALERT_STATES.contains(w) && !["all", "none"].contains(w)) {
        let message = format!("`{}` is no state of the daemon", shown(wrong));
        let help = format!("all, none or some of {}", ALERT_STATES.join(","));
        out.push(Diagnostic::error(codes::VALUE, status.span, message).help(help));
    } else if words.contains(&"none") && words.len() > 1 {
        out.push(Diagnostic::error(codes::VALUE, status.span, "`none` together with other states"));
    }
    if words.contains(&"all") {
        return all();
    }
    ALERT_STATES.iter().filter(|state| words.contains(state)).map(|state| (*state).to_owned()).collect()
}

fn protocol(options: &Options, port: &str, out: &mut Vec<Diagnostic>) -> Option<Protocol> {
    let Some(word) = &options.protocol else {
        return Some(if matches!(port, "53" | "domain") { Protocol::Udp } else { Protocol::Tcp });
    };
    if word.value == "fwm" {
        let message = "protocol fwm with an address and port";
        out.push(Diagnostic::error(codes::VALUE, word.span, message).help("write protocol=tcp or protocol=udp"));
        return None;
    }
    near(word, &["tcp", "udp"], "protocol", codes::VALUE, out)
        .map(|name| if name == "udp" { Protocol::Udp } else { Protocol::Tcp })
}

fn scheduler(options: &Options, out: &mut Vec<Diagnostic>) -> Option<Scheduler> {
    let mut scheduler = match &options.scheduler {
        None => Scheduler::WeightedRoundRobin,
        Some(word) => match word.value.parse::<Scheduler>() {
            Ok(scheduler) => scheduler,
            Err(why) => {
                let code = if why == SchedulerError::NotYet { codes::SCHEDULER } else { codes::VALUE };
                let d = Diagnostic::error(code, word.span, format!("scheduler `{}`: {why}", shown(&word.value)));
                out.push(match why {
                    SchedulerError::NotYet => d,
                    SchedulerError::Unknown => {
                        d.note("ldirectord goes on with an empty table here: no connection is answered")
                    }
                });
                return None;
            }
        },
    };
    if let Some(flags) = &options.schedflags {
        for flag in flags.value.split(',') {
            match (&mut scheduler, flag) {
                (Scheduler::MaglevHash { port }, "mh-port") => *port = true,
                _ => {
                    let message = format!("scheduler flag `{}` is not in this release", shown(flag));
                    out.push(
                        Diagnostic::error(codes::SCHED_FLAGS, flags.span, message).help("mh-port with scheduler=mh is"),
                    );
                }
            }
        }
    }
    Some(scheduler)
}

/// What would send clients elsewhere if it were ignored.
fn report_refused(options: &Options, out: &mut Vec<Diagnostic>) {
    if let Some(persistent) = &options.persistent {
        out.push(
            Diagnostic::error(codes::PERSISTENCE, persistent.span, "persistence is not in this release")
                .help("scheduler=mh sends a client address to the same real server as long as that one is up"),
        );
    } else if let Some(netmask) = &options.netmask {
        out.push(Diagnostic::warning(codes::NO_EFFECT, netmask.span, "netmask has no effect without persistent"));
    }
    if let Some(ops) = options.ops.filter(|ops| ops.value) {
        out.push(Diagnostic::error(codes::ONE_PACKET, ops.span, "one-packet scheduling is not in this release"));
    }
}

/// The real servers one line stands for: an address and how many follow it.
struct Targets {
    first: IpAddr,
    more: u32,
    name: Option<String>,
}

impl Targets {
    fn addresses(self) -> impl Iterator<Item = Resolved> {
        let Targets { first, more, mut name } = self;
        (0..=more).map(move |step| {
            let address = match first {
                IpAddr::V4(first) => IpAddr::V4(Ipv4Addr::from(u32::from(first).saturating_add(step))),
                IpAddr::V6(_) => first,
            };
            Resolved { address, name: name.take() }
        })
    }
}

fn range(first: IpAddr, last: IpAddr, span: Span, out: &mut Vec<Diagnostic>) -> Option<Targets> {
    let (IpAddr::V4(first), IpAddr::V4(last)) = (first, last) else {
        out.push(Diagnostic::error(codes::RANGE, span, "a range of IPv6 addresses").help("write one line for each"));
        return None;
    };
    let (low, high) = (u32::from(first), u32::from(last));
    if low > high {
        let message = format!("the range goes down, from {first} to {last}");
        out.push(Diagnostic::error(codes::RANGE, span, message).help(format!("write {last}->{first}")));
        return None;
    }
    if high - low >= LARGEST_RANGE {
        let message = format!("the range holds {} addresses; {LARGEST_RANGE} is the most", u64::from(high - low) + 1);
        out.push(Diagnostic::error(codes::RANGE, span, message));
        return None;
    }
    Some(Targets { first: first.into(), more: high - low, name: None })
}
