//! Sections and options into services and settings.

use super::{
    check::{self, Checked, near, split_command},
    options::{Options, RealLine, Section, Syntax},
    table::DIRECTIVES,
    targets::targets,
    words::{alert_states, one_packet, persistence, protocol, scheduler},
};
use crate::{
    address::{self, Resolved, forwarding, method, served_port, service_name, socket_text},
    codes,
    draft::{Draft, ServiceDraft, SettingsDraft, report_port},
    host::{Family, Resolver, shown},
    load::MOST_DIAGNOSTICS,
    status::Status,
};
use evenkeel_model::{
    Alerts, Behaviour, Fallback, FallbackCommand, Forwarding, OnFail, Protocol, Quorum, RealServer, Scheduler, Service,
    ServiceKey, Sources, StartState, Tunnel, Weight, notify::ServiceNotify,
};
use evenkeel_source::{Diagnostic, Severity, Span, Spanned};
use std::{collections::HashSet, net::SocketAddr, num::NonZeroU32, path::PathBuf, time::Duration};

/// Syslog facilities a `logfile=` may name.
const FACILITIES: &[&str] = &[
    "auth", "authpriv", "cron", "daemon", "ftp", "kern", "lpr", "mail", "news", "syslog", "user", "uucp", "local0",
    "local1", "local2", "local3", "local4", "local5", "local6", "local7",
];

/// What one file means.
pub(crate) struct Lowered {
    pub(crate) draft: Draft,
    /// Where services begin that mean the same again when they come again: nothing was told of them, and nobody was
    /// asked for them. `None`: that holds for none.
    pub(crate) clean: Option<Vec<usize>>,
}

/// Turns the syntax of one file into a draft.
pub(crate) fn lower(syntax: Syntax<'_>, resolver: &Resolver<'_>, out: &mut Vec<Diagnostic>) -> Lowered {
    let asked = resolver.asked();
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
        relies_on_another: false,
    };
    let mut clean = (resolver.asked() == asked).then(Vec::new);
    for mut section in sections {
        if out.len() > MOST_DIAGNOSTICS {
            clean = None;
            break;
        }
        let before = (out.len(), resolver.asked());
        lowering.relies_on_another = section.options.servicename.is_some();
        report_ignored(&mut section.options, out);
        let Some(service) = lowering.section(&section, out) else {
            draft.broken_services += 1;
            continue;
        };
        if let Some(clean) = &mut clean
            && before == (out.len(), resolver.asked())
            && !lowering.relies_on_another
            && !service.broken
        {
            clean.push(service.key.range().start);
        }
        draft.services.push(service);
    }
    Lowered { draft, clean }
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
    method: Forwarding,
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
    let method = forwarding_method(Spanned::new(method, text.span), out)?;
    Some(FallbackLine { address, port: split.port.map(str::to_owned), method, span, told: false })
}

/// `gate`, `masq` or `ipip`.
fn forwarding_method(method: Spanned<&str>, out: &mut Vec<Diagnostic>) -> Option<Forwarding> {
    match method.value {
        "gate" => Some(Forwarding::DirectRouting),
        "masq" => Some(Forwarding::Nat),
        "ipip" => Some(Forwarding::Tunnel(Tunnel::Ipip)),
        other => {
            let message = format!("`{}` is no forwarding method", shown(other));
            out.push(Diagnostic::error(codes::VALUE, method.span, message).help("write `gate` for direct routing"));
            None
        }
    }
}

/// `virtual=N`: the packets that have firewall mark N.
fn mark(section: &Section<'_>, out: &mut Vec<Diagnostic>) -> Option<ServiceKey> {
    let head = &section.head;
    if let Some(word) = section.options.protocol.as_ref().filter(|word| word.value != "fwm") {
        let message = format!("protocol {} with a firewall mark", shown(&word.value));
        out.push(
            Diagnostic::error(codes::VALUE, word.span, message)
                .note("ldirectord refuses the file at this line")
                .help("write protocol=fwm, or leave it out"),
        );
        return None;
    }
    let family = if section.six { evenkeel_model::Family::V6 } else { evenkeel_model::Family::V4 };
    let mark = match head.value.parse::<u32>().map(NonZeroU32::new) {
        Ok(Some(mark)) => mark,
        Ok(None) => {
            out.push(Diagnostic::error(codes::FIREWALL_MARK, head.span, "firewall mark 0 means no mark"));
            return None;
        }
        Err(_) => {
            let message = format!("firewall mark {} is above 4294967295", shown(&head.value));
            out.push(Diagnostic::error(codes::FIREWALL_MARK, head.span, message));
            return None;
        }
    };
    Some(ServiceKey::Mark { mark, family })
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
    /// What became of this virtual service hangs on those before it.
    relies_on_another: bool,
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
        let family = if section.six { evenkeel_model::Family::V6 } else { evenkeel_model::Family::V4 };
        let persistence = persistence(options, family, out);
        let one_packet = one_packet(options, key.and_then(|key| key.protocol()), out);
        let checked = Checked::of(key);
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
                quorum: Quorum::default(),
                suspend: false,
                start: StartState::Down,
                sources: Sources::default(),
                persistence,
                one_packet,
                behaviour: Behaviour::default(),
                matches: Vec::new(),
                ftp: key.is_ftp(),
                clean_stop,
                monitor_file: options.monitorfile.as_ref().map(|file| PathBuf::from(&file.value)),
                alerts,
            },
            name: None,
            key: section.head.span,
            scheduler: options.scheduler.as_ref().map(|s| s.span),
            real_servers: spans,
            told: ServiceNotify::default(),
            broken,
        })
    }

    /// `servicename=`, when no other service has it; ldirectord does not ask that it be unique.
    fn name(&mut self, options: &Options, key: ServiceKey) -> String {
        let written = options.servicename.as_ref().map(|name| name.value.clone()).filter(|name| !name.is_empty());
        written.filter(|name| self.names.insert(name.clone())).unwrap_or_else(|| service_name(key))
    }

    fn key(&self, section: &Section<'_>, out: &mut Vec<Diagnostic>) -> Option<ServiceKey> {
        let head = &section.head;
        if head.value.bytes().all(|b| b.is_ascii_digit()) {
            return mark(section, out);
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
        let address = address?.address;
        if let Some(why) = address::no_virtual_address(address) {
            out.push(Diagnostic::error(codes::ADDRESS, split.host_span(head.span), format!("{address} {why}")));
            return None;
        }
        Some(ServiceKey::Address { address, protocol: protocol?, port: port? })
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
        let written = forwarding_method(line.method, out);
        let (targets, port) = targets(six, line, checked.protocol, self.resolver, out)?;
        let written = written?;
        let weight = Weight::new(line.weight.map_or(1, |w| w.value)).unwrap_or(Weight::MAX);
        let span = line.target.span;
        let forward = |address| {
            key.map_or(Forwarding::DirectRouting, |key| method(forwarding(address, key.address()), Some(written)))
        };
        if let (Some(port), Some(key)) = (port, key) {
            report_port(codes::PORT_REWRITE, port, key.port(), forward(targets.first), span, out);
        }
        for target in targets.addresses() {
            let forwarding = forward(target.address);
            let served = key.map_or(0, |key| served_port(key, port, forwarding));
            let address = SocketAddr::new(target.address, served);
            let check = plan?.check(line, target.address, port, checked, self.resolver, out)?;
            real_servers.push(RealServer {
                name: socket_text(address),
                aliases: target.name.into_iter().collect(),
                address,
                forwarding,
                weight,
                thresholds: line.thresholds,
                on_fail: None,
                check,
            });
        }
        Some(())
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
        let forwarding = method(forwarding(line.address.address, key.address()), Some(line.method));
        let mut written = None;
        if let Some(port) = &line.port {
            let protocol = key.protocol().unwrap_or(Protocol::Tcp);
            let port = address::port(port, protocol, line.span, self.resolver, out)?;
            written = Some(port);
            if line.told {
                self.relies_on_another = true;
            } else {
                let before = out.len();
                report_port(codes::PORT_REWRITE, port, key.port(), forwarding, line.span, out);
                if let (None, Some(global)) = (own, &mut self.fallbacks[usize::from(section.six)]) {
                    global.told = out.len() > before;
                }
            }
        }
        let port = served_port(key, written, forwarding);
        Some(Fallback { address: SocketAddr::new(line.address.address, port), forwarding, quiesce: false })
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
