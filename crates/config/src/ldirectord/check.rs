//! checktype, service, request and receive into a [`Check`].

use super::options::{Options, RealLine, Section, Text};
use crate::{
    address::{self, host_header, request_path, server_name},
    codes,
    host::{Family, Resolver, shown},
    nearest::nearest,
};
use evenkeel_model::{
    Body, Check, Http, HttpMethod, HttpRules, Probe, Protocol, Rhythm, Script, ServiceKey, StatusSet,
};
use evenkeel_source::{Diagnostic, Span, Spanned};
use std::{
    net::{IpAddr, Ipv4Addr, SocketAddr},
    num::NonZeroU32,
    path::PathBuf,
    sync::Arc,
    time::Duration,
};

/// Bytes of an answer's body that are looked at.
pub(crate) const SIZE_CAP: usize = 64 * 1024;

/// How ldirectord's mail library greets.
const HELO: &str = "localhost.localdomain";

/// Redirects that are followed.
pub(crate) const REDIRECTS: u32 = 5;

/// ldirectord's services and their ports; a virtual port of the table makes its service the default.
pub(crate) const SERVICES: &[(&str, u16)] = &[
    ("ftp", 21),
    ("smtp", 25),
    ("dns", 53),
    ("http", 80),
    ("pop", 110),
    ("nntp", 119),
    ("imap", 143),
    ("ldap", 389),
    ("https", 443),
    ("submission", 587),
    ("ldaps", 636),
    ("imaps", 993),
    ("pops", 995),
    ("oracle", 1521),
    ("radius", 1812),
    ("http_proxy", 3128),
    ("mysql", 3306),
    ("sip", 5060),
    ("pgsql", 5432),
    ("simpletcp", 0),
    ("none", 0),
];

const TYPES: &[&str] = &["negotiate", "connect", "ping", "external", "external-perl", "on", "off"];

/// What is checked, for all real servers of one virtual service.
pub(crate) struct CheckPlan {
    kind: Kind,
    service: &'static str,
    checkport: Option<u16>,
    method: HttpMethod,
    virtualhost: Option<String>,
    request: String,
    receive: Text,
    command: (PathBuf, Vec<String>),
    pings: u32,
    rhythm: Rhythm,
    /// The check that does not look at the real server.
    same_for_all: Option<Arc<Check>>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Negotiate { connects_between: u32 },
    Connect,
    Ping,
    External { perl: bool },
    On,
    Off,
}

/// The virtual service a real server is checked for.
pub(crate) struct Checked {
    pub(crate) vip: SocketAddr,
    pub(crate) protocol: Protocol,
    /// Of a service by mark, which has no address.
    mark: Option<NonZeroU32>,
}

impl Checked {
    /// Without a key the checks are read all the same, for the sake of their mistakes.
    pub(crate) fn of(key: Option<ServiceKey>) -> Checked {
        let nowhere = |port| SocketAddr::new(Ipv4Addr::UNSPECIFIED.into(), port);
        match key {
            Some(ServiceKey::Address { address, protocol, port }) => {
                Checked { vip: SocketAddr::new(address, port), protocol, mark: None }
            }
            Some(ServiceKey::Mark { mark, .. }) => {
                Checked { vip: nowhere(0), protocol: Protocol::Tcp, mark: Some(mark) }
            }
            None => Checked { vip: nowhere(80), protocol: Protocol::Tcp, mark: None },
        }
    }
}

/// Reads what a section says about checks. `None` after an error.
pub(crate) fn plan(
    section: &Section<'_>,
    globals: &Options,
    key: &Checked,
    resolver: &Resolver<'_>,
    out: &mut Vec<Diagnostic>,
) -> Option<CheckPlan> {
    let errors = out.len();
    let options = &section.options;
    let kind = kind(options, out);
    let service = service(options, key.vip.port(), out);
    let method = method(options, out);
    let checkport = options.checkport.and_then(|port| match u16::try_from(port.value) {
        Ok(number) => Some(number),
        Err(_) => {
            let message = format!("checkport {} is above 65535", port.value);
            out.push(Diagnostic::error(codes::PORT, port.span, message));
            None
        }
    });
    if let Some(receive) = &options.receive {
        resolver.regex(&receive.value, receive.span, out);
    }
    let unsendable =
        |host: &&Spanned<String>| host.value.is_empty() || host.value.chars().any(|c| c.is_control() || c == ' ');
    if let Some(host) = options.virtualhost.as_ref().filter(unsendable) {
        let message = format!("`{}` is no host name", shown(&host.value));
        out.push(Diagnostic::error(codes::VALUE, host.span, message));
    }
    let (kind, service, method) = (kind?, service?, method?);
    report_service(section, kind, service, out);
    if let (HttpMethod::Head, Some(receive), Kind::Negotiate { .. }) = (method, &options.receive, kind) {
        out.push(
            Diagnostic::warning(codes::HEAD_BODY, receive.span, "receive never matches with httpmethod=HEAD")
                .note("an answer to HEAD has no body, so every real server is down; so it is with ldirectord")
                .help("write httpmethod=GET or leave receive out"),
        );
    }
    let command = command(options, kind, section.head.span, out);
    let rhythm = rhythm(options, globals, kind, out);
    let same_for_all = match kind {
        Kind::On => Some(Probe::AlwaysOn),
        Kind::Off => Some(Probe::AlwaysOff),
        Kind::Negotiate { .. } | Kind::Connect | Kind::Ping | Kind::External { .. } => None,
    };
    if out[errors..].iter().any(|d| d.severity == evenkeel_source::Severity::Error) {
        return None;
    }
    Some(CheckPlan {
        kind,
        service,
        checkport,
        method,
        virtualhost: options.virtualhost.as_ref().map(|host| host.value.clone()),
        request: options.request.as_ref().map_or_else(|| "/".to_owned(), |r| request_path(&r.value)),
        receive: options.receive.clone(),
        command: command?,
        pings: options.checkcount.or(globals.checkcount).map_or(1, |n| n.value),
        rhythm,
        same_for_all: same_for_all.map(|probe| Arc::new(Check::new(probe, rhythm))),
    })
}

fn kind(options: &Options, out: &mut Vec<Diagnostic>) -> Option<Kind> {
    let Some(word) = &options.checktype else { return Some(Kind::Negotiate { connects_between: 0 }) };
    if let Some(start) = word.value.find(|c: char| c.is_ascii_digit()) {
        // ldirectord takes the first digits it finds, as with every number.
        let digits: String = word.value.chars().skip(start).take_while(char::is_ascii_digit).collect();
        if let (0, Ok(connects_between)) = (start, word.value.parse()) {
            return Some(Kind::Negotiate { connects_between });
        }
        let message = format!("`{}` is neither a check type nor a number", shown(&word.value));
        let note = format!("ldirectord reads it as {digits}");
        out.push(Diagnostic::error(codes::VALUE, word.span, message).note(note));
        return None;
    }
    match near(word, TYPES, "check type", codes::VALUE, out)? {
        "connect" => Some(Kind::Connect),
        "ping" => Some(Kind::Ping),
        "external" => Some(Kind::External { perl: false }),
        "external-perl" => Some(Kind::External { perl: true }),
        "on" => Some(Kind::On),
        "off" => Some(Kind::Off),
        _ => Some(Kind::Negotiate { connects_between: 0 }),
    }
}

/// The word of `known` that is meant: exactly, or as a unique near miss with a warning.
pub(crate) fn near(
    word: &Spanned<String>,
    known: &[&'static str],
    what: &str,
    code: evenkeel_source::Code,
    out: &mut Vec<Diagnostic>,
) -> Option<&'static str> {
    if let Some(exact) = known.iter().find(|k| **k == word.value) {
        return Some(exact);
    }
    let written = shown(&word.value);
    let Some(meant) = nearest(&word.value, known.iter().copied()) else {
        let message = format!("`{written}` is no {what}");
        out.push(Diagnostic::error(code, word.span, message).help(format!("one of {}", known.join(", "))));
        return None;
    };
    let code = if meant.eq_ignore_ascii_case(&word.value) { codes::CASE } else { codes::NEAR_MISS };
    out.push(
        Diagnostic::warning(code, word.span, format!("`{written}` is read as `{meant}`"))
            .note("ldirectord refuses the file at this line")
            .replace(format!("write `{meant}`"), word.span, meant),
    );
    // `nearest` returns one of `known`, which lives as long as the program.
    known.iter().copied().find(|k| *k == meant)
}

fn service(options: &Options, port: u16, out: &mut Vec<Diagnostic>) -> Option<&'static str> {
    let Some(word) = &options.service else {
        let of_port = SERVICES.iter().find(|(_, default)| *default == port && port != 0);
        return Some(of_port.map_or("none", |(name, _)| name));
    };
    let known: Vec<&'static str> = SERVICES.iter().map(|(name, _)| *name).collect();
    near(word, &known, "service of ldirectord", codes::SERVICE_TYPE, out)
}

fn method(options: &Options, out: &mut Vec<Diagnostic>) -> Option<HttpMethod> {
    match &options.httpmethod {
        None => Some(HttpMethod::Get),
        Some(word) if word.value.eq_ignore_ascii_case("get") => Some(HttpMethod::Get),
        Some(word) if word.value.eq_ignore_ascii_case("head") => Some(HttpMethod::Head),
        Some(word) => {
            let message = format!("httpmethod is GET or HEAD, not `{}`", shown(&word.value));
            out.push(Diagnostic::error(codes::VALUE, word.span, message));
            None
        }
    }
}

/// Services without a probe, and checks that check nothing.
fn report_service(section: &Section<'_>, kind: Kind, service: &'static str, out: &mut Vec<Diagnostic>) {
    let Kind::Negotiate { .. } = kind else { return };
    let options = &section.options;
    let span = options.service.as_ref().map_or(section.head.span, |s| s.span);
    match service {
        "http" | "https" | "smtp" | "submission" => {}
        "none" if options.service.is_some() => {}
        "none" => out.push(
            Diagnostic::warning(
                codes::ALWAYS_UP,
                span,
                "no service is the default of this port, so nothing is checked",
            )
            .note("every real server counts as up; so it does with ldirectord")
            .help("write service=http, checktype=connect or another check"),
        ),
        other => {
            let why = if options.service.is_some() { "" } else { ", the default of this port," };
            let message = format!("service {other}{why} has no probe in this release");
            out.push(
                Diagnostic::error(codes::PROBE, span, message)
                    .help("write checktype=connect to check that a TCP connection is taken")
                    .help("write checktype=external and a checkcommand of your own"),
            );
        }
    }
}

fn command(options: &Options, kind: Kind, head: Span, out: &mut Vec<Diagnostic>) -> Option<(PathBuf, Vec<String>)> {
    let Kind::External { perl } = kind else { return Some((PathBuf::new(), Vec::new())) };
    let Some(command) = &options.checkcommand else {
        let span = options.checktype.as_ref().map_or(head, |t| t.span);
        out.push(
            Diagnostic::warning(codes::ALWAYS_UP, span, "an external check without checkcommand never fails")
                .note("ldirectord runs /bin/true then, and so every real server is always up")
                .help("write checkcommand=/path/of/a/program"),
        );
        return Some((PathBuf::from("/bin/true"), Vec::new()));
    };
    let (program, mut arguments) = split_command(command, out)?;
    if !arguments.is_empty() {
        out.push(
            Diagnostic::warning(codes::VALUE, command.span, "checkcommand with arguments")
                .note("ldirectord looks for a program of that whole name and finds none; they are read as arguments"),
        );
    }
    if perl {
        arguments.insert(0, program.to_string_lossy().into_owned());
        return Some((PathBuf::from("/usr/bin/perl"), arguments));
    }
    Some((program, arguments))
}

/// A command into program and arguments; what only a shell understands is an error.
pub(crate) fn split_command(command: &Spanned<String>, out: &mut Vec<Diagnostic>) -> Option<(PathBuf, Vec<String>)> {
    const FOR_A_SHELL: &str = "|&;<>()$`\\\"'*?[]{}~\n";
    if let Some(c) = command.value.chars().find(|c| FOR_A_SHELL.contains(*c)) {
        let message = format!("`{c}` needs a shell, and commands are run without one");
        out.push(Diagnostic::error(codes::SHELL, command.span, message).help("write a script and name it here"));
        return None;
    }
    let mut words = command.value.split_whitespace().map(str::to_owned);
    let program = words.next().map(PathBuf::from)?;
    Some((program, words.collect()))
}

fn rhythm(options: &Options, globals: &Options, kind: Kind, out: &mut Vec<Diagnostic>) -> Rhythm {
    let (check, negotiate) = (options.checktimeout, options.negotiatetimeout);
    let first =
        |values: [Option<Spanned<u32>>; 4], default| values.into_iter().flatten().next().map_or(default, |n| n.value);
    let checktimeout = first([check, negotiate, globals.checktimeout, globals.negotiatetimeout], 5);
    let negotiatetimeout = first([negotiate, check, globals.negotiatetimeout, globals.checktimeout], 30);
    let timeout = match kind {
        Kind::Negotiate { connects_between: 0 } => negotiatetimeout,
        Kind::Negotiate { .. } => {
            if let Some(word) = options.checktype.as_ref().filter(|_| checktimeout != negotiatetimeout) {
                let longer = checktimeout.max(negotiatetimeout);
                let message = format!("connects and negotiates both get {longer} seconds here");
                out.push(Diagnostic::note_at(codes::PRIVATE_TIMEOUTS, word.span, message).note(format!(
                    "ldirectord gives a connect {checktimeout} and a negotiate {negotiatetimeout} seconds"
                )));
            }
            checktimeout.max(negotiatetimeout)
        }
        Kind::Connect | Kind::Ping | Kind::External { .. } | Kind::On | Kind::Off => checktimeout,
    };
    if let Some(interval) = options.checkinterval.filter(|_| !globals.fork.is_some_and(|fork| fork.value)) {
        out.push(
            Diagnostic::warning(codes::NO_EFFECT, interval.span, "checkinterval of one virtual service is heeded here")
                .note("ldirectord ignores it unless fork=yes"),
        );
    }
    let seconds = |n: u32| Duration::from_secs(u64::from(n));
    Rhythm {
        every: seconds(options.checkinterval.or(globals.checkinterval).map_or(10, |n| n.value)),
        timeout: seconds(timeout),
        retry_after: None,
        rise: 1,
        fall: options.failurecount.or(globals.failurecount).map_or(1, |n| n.value),
        jitter_percent: 0,
    }
}

impl CheckPlan {
    /// The check of one real server; `written_port` is the one of its line. `None` after an error.
    pub(crate) fn check(
        &self,
        real: &RealLine<'_>,
        address: IpAddr,
        written_port: Option<u16>,
        key: &Checked,
        resolver: &Resolver<'_>,
        out: &mut Vec<Diagnostic>,
    ) -> Option<Arc<Check>> {
        if let Some(check) = &self.same_for_all {
            return Some(Arc::clone(check));
        }
        let default = SERVICES.iter().find(|(name, port)| *name == self.service && *port != 0).map(|(_, port)| *port);
        let port = self.checkport.or(written_port).or(default).unwrap_or(key.vip.port());
        let target = SocketAddr::new(address, port);
        if self.connects() && port == 0 {
            let message = "the virtual service has no port, so the check needs one";
            let d = Diagnostic::error(codes::CHECK_PORT, real.target.span, message);
            out.push(d.help("write checkport=80 or the port behind the address"));
            return None;
        }
        let clients_come_elsewhere = key.mark.is_none() && port != key.vip.port();
        if self.connects() && clients_come_elsewhere && self.checkport.or(written_port).is_none() {
            let message = format!("checked on port {port}, but clients come to port {}", key.vip.port());
            out.push(
                Diagnostic::warning(codes::OTHER_PORT, real.target.span, message)
                    .note(format!("without a port ldirectord checks the usual one of service {}", self.service))
                    .help(format!("write checkport={} or the port behind the address", key.vip.port())),
            );
        }
        let mut connects_between = 0;
        let probe = match self.kind {
            Kind::On => Probe::AlwaysOn,
            Kind::Off => Probe::AlwaysOff,
            Kind::Connect if key.protocol == Protocol::Tcp => Probe::Tcp { target },
            Kind::Connect | Kind::Ping => Probe::Ping { target: address, tries: self.pings },
            Kind::External { .. } => Probe::Script(self.script(target, written_port, key)),
            Kind::Negotiate { connects_between: connects } => match self.service {
                "http" | "https" => {
                    connects_between = connects;
                    self.http(real, target, resolver, out)?
                }
                "smtp" | "submission" => Probe::Smtp { target, helo: HELO.to_owned() },
                _ => Probe::AlwaysOn,
            },
        };
        Some(Arc::new(Check { connects_between, ..Check::new(probe, self.rhythm) }))
    }

    /// Whether the check has a port at all.
    fn connects(&self) -> bool {
        match self.kind {
            Kind::Connect => true,
            Kind::Negotiate { .. } => self.service != "none",
            Kind::Ping | Kind::External { .. } | Kind::On | Kind::Off => false,
        }
    }

    /// ldirectord's arguments: virtual address and port, real address and port as written (0 when it is not).
    fn script(&self, target: SocketAddr, written_port: Option<u16>, key: &Checked) -> Script {
        let (program, arguments) = &self.command;
        let mut arguments = arguments.clone();
        arguments.extend([
            key.mark.map_or_else(|| host_header(key.vip.ip()), |mark| mark.to_string()),
            key.vip.port().to_string(),
            host_header(target.ip()),
            written_port.unwrap_or(0).to_string(),
        ]);
        Script {
            program: program.clone(),
            arguments,
            environment: Vec::new(),
            shell: false,
            account: None,
            weighs: false,
        }
    }

    fn http(
        &self,
        real: &RealLine<'_>,
        target: SocketAddr,
        resolver: &Resolver<'_>,
        out: &mut Vec<Diagnostic>,
    ) -> Option<Probe> {
        let tls = self.service == "https";
        let mut http = Http {
            target,
            tls,
            verify: false,
            server_name: self.virtualhost.as_deref().and_then(server_name).filter(|_| tls),
            host: self.virtualhost.clone().unwrap_or_else(|| host_header(target.ip())),
            method: self.method,
            path: self.request.clone(),
            status: StatusSet(vec![(200, 299)]),
            body: body(self.receive.as_ref()),
            redirects: REDIRECTS,
            size_cap: SIZE_CAP,
            rules: HttpRules::default(),
        };
        if let Some(request) = &real.request {
            self.override_request(&mut http, request, resolver, out)?;
        }
        if let Some(receive) = &real.receive {
            if !resolver.regex(&receive.value, receive.span, out) {
                return None;
            }
            http.body = body(Some(receive));
        }
        Some(Probe::Http(http))
    }

    /// A request of the real server's own line: a path, or a whole URL that is asked at its own address.
    fn override_request(
        &self,
        http: &mut Http,
        request: &Spanned<String>,
        resolver: &Resolver<'_>,
        out: &mut Vec<Diagnostic>,
    ) -> Option<()> {
        let scheme = format!("{}://", self.service);
        let text = request.value.trim_start_matches('/');
        let Some(rest) = text.strip_prefix(&scheme) else {
            http.path = request_path(&request.value);
            return Some(());
        };
        let (authority, path) = rest.split_once('/').unwrap_or((rest, ""));
        let Some(target) = address::split(authority) else {
            let message = format!("`{}` is no address", shown(authority));
            out.push(Diagnostic::error(codes::ADDRESS, request.span, message));
            return None;
        };
        let found = address::resolve(target.host, Family::Any, request.span, resolver, out)?;
        let port = match target.port {
            Some(port) => address::port(port, Protocol::Tcp, request.span, resolver, out)?,
            None if http.tls => 443,
            None => 80,
        };
        http.target = SocketAddr::new(found.address, port);
        http.path = request_path(path);
        Some(())
    }
}

fn body(receive: Option<&Spanned<String>>) -> Body {
    match receive {
        Some(pattern) if !pattern.value.is_empty() => Body::PerlRegex(pattern.value.clone()),
        Some(_) | None => Body::Any,
    }
}
