//! `check = { http = "/path", expect = "ok", every = "1s" }` and its short form `check = "http:/path"`.

use super::{
    notify, probes,
    reader::{Keys, Table, Value, inside, integer_of, string_of, wrong_type},
    units,
};
use crate::{
    address::{self, host_header, request_path, server_name},
    codes,
    host::{Family, Resolver, shown},
    ldirectord::check::{REDIRECTS, SIZE_CAP},
};
use evenkeel_model::{Body, Check, Http, HttpMethod, HttpRules, Origin, Probe, Protocol, Rhythm, Script, StatusSet};
use evenkeel_source::{Diagnostic, Span, Spanned};
use std::{
    net::{IpAddr, SocketAddr},
    path::PathBuf,
    sync::Arc,
    time::Duration,
};
use toml::de::DeValue;

/// The words one of which says what a check does.
const KINDS: [&str; 12] = ["http", "https", "tcp", "udp", "dns", "smtp", "ping", "script", "file", "bfd", "on", "off"];

const WEB: &[&str] = &["http", "https"];

/// Kinds that send packets.
const CONNECTING: &[&str] = &["http", "https", "tcp", "udp", "dns", "smtp", "ping"];

/// Keys that only some kinds have.
const OF_KIND: [(&str, &[&str]); 33] = [
    ("version", WEB),
    ("digest", WEB),
    ("unwanted", WEB),
    ("least_offset", WEB),
    ("most_offset", WEB),
    ("user", &["script"]),
    ("weighs", &["script"]),
    ("payload", &["udp"]),
    ("reply", &["udp"]),
    ("reply_least", &["udp"]),
    ("reply_most", &["udp"]),
    ("record", &["dns"]),
    ("helo", &["smtp"]),
    ("factor", &["file"]),
    ("reverse", &["file"]),
    ("bind", CONNECTING),
    ("bind_port", &["http", "https", "tcp", "udp", "dns", "smtp"]),
    ("bind_interface", CONNECTING),
    ("fwmark", CONNECTING),
    ("expect", &["http", "https"]),
    ("status", &["http", "https"]),
    ("host", &["http", "https"]),
    ("method", &["http", "https"]),
    ("redirects", &["http", "https"]),
    ("size_cap", &["http", "https"]),
    ("sni", &["https"]),
    ("verify", &["https"]),
    ("port", &["http", "https", "tcp", "udp", "dns", "smtp"]),
    ("connect", CONNECTING),
    ("echoes", &["ping"]),
    ("env", &["script"]),
    ("shell", &["script"]),
    ("connects_between", &["http", "https"]),
];

const KEYS: Keys = Keys {
    of: "a check",
    known: &[
        "http",
        "https",
        "tcp",
        "udp",
        "dns",
        "smtp",
        "ping",
        "script",
        "file",
        "bfd",
        "on",
        "off",
        "version",
        "digest",
        "unwanted",
        "least_offset",
        "most_offset",
        "user",
        "weighs",
        "payload",
        "reply",
        "reply_least",
        "reply_most",
        "record",
        "helo",
        "factor",
        "reverse",
        "bind",
        "bind_port",
        "bind_interface",
        "fwmark",
        "expect",
        "status",
        "host",
        "method",
        "redirects",
        "size_cap",
        "sni",
        "verify",
        "port",
        "connect",
        "echoes",
        "env",
        "shell",
        "connects_between",
        "every",
        "timeout",
        "retry_after",
        "rise",
        "fall",
        "tries",
        "jitter",
    ],
    later: &["ldap", "imap", "pop", "ftp", "mysql", "postgres", "grpc"],
    instead: &[
        ("interval", "write `every`"),
        ("path", "write `http = \"/path\"`"),
        ("receive", "write `expect`"),
        ("body", "write `expect`"),
    ],
};

/// The rhythm of a check that says nothing about it.
pub(crate) const RHYTHM: Rhythm = Rhythm {
    every: Duration::from_secs(1),
    timeout: Duration::from_secs(3),
    retry_after: None,
    rise: 1,
    fall: 2,
    jitter_percent: 10,
};

/// A check before it is told whom to check.
#[derive(Clone)]
pub(crate) struct CheckPlan {
    kind: Kind,
    rhythm: Rhythm,
    connects_between: u32,
    port: Option<u16>,
    connect: Option<(IpAddr, Option<u16>)>,
    origin: Option<Box<Origin>>,
    span: Span,
}

#[derive(Clone)]
enum Kind {
    /// The target, and the host where it is the default, are filled in later.
    Http {
        http: Box<Http>,
        host: Option<String>,
    },
    Tcp,
    Ping {
        echoes: u32,
    },
    Script(Script),
    On,
    Off,
    /// One of [`probes`]; where it goes is filled in later.
    Other(Box<Probe>),
    /// All of these.
    All(Vec<CheckPlan>),
}

impl CheckPlan {
    /// What is checked when the file says nothing: that a TCP connection is taken, or that a ping is answered where
    /// there is no TCP or no single port.
    pub(crate) fn standard(protocol: Protocol, port: u16, span: Span) -> CheckPlan {
        let kind = if protocol == Protocol::Tcp && port != 0 { Kind::Tcp } else { Kind::Ping { echoes: 1 } };
        CheckPlan::of(kind, None, span)
    }

    fn of(kind: Kind, port: Option<u16>, span: Span) -> CheckPlan {
        CheckPlan { kind, rhythm: RHYTHM, connects_between: 0, port, connect: None, origin: None, span }
    }

    /// The check of the real server at `address`; `port` is where it serves, 0 when that is every port.
    pub(crate) fn check(&self, address: IpAddr, port: u16, out: &mut Vec<Diagnostic>) -> Option<Arc<Check>> {
        if let Kind::All(plans) = &self.kind {
            return Check::all(plans.iter().filter_map(|plan| plan.check(address, port, out)).collect());
        }
        let (ip, connect_port) = self.connect.map_or((address, None), |(ip, port)| (ip, port));
        let target = SocketAddr::new(ip, self.port.or(connect_port).unwrap_or(port));
        let connects = match &self.kind {
            Kind::Http { .. } | Kind::Tcp => true,
            Kind::Other(probe) => probes::has_port(probe),
            Kind::Ping { .. } | Kind::Script(_) | Kind::On | Kind::Off | Kind::All(_) => false,
        };
        if connects && target.port() == 0 {
            let d =
                Diagnostic::error(codes::CHECK_PORT, self.span, "the service has every port, so the check needs one");
            out.push(d.help("write `port = 80` into the check"));
            return None;
        }
        let probe = match &self.kind {
            Kind::Http { http, host } => Probe::Http(Http {
                target,
                host: host.clone().unwrap_or_else(|| host_header(address)),
                ..(**http).clone()
            }),
            Kind::Tcp => Probe::Tcp { target },
            Kind::Ping { echoes } => Probe::Ping { target: ip, tries: *echoes },
            Kind::Script(script) => Probe::Script(script.clone()),
            Kind::On => Probe::AlwaysOn,
            Kind::Off | Kind::All(_) => Probe::AlwaysOff,
            Kind::Other(probe) => probes::at(probe, target),
        };
        let (connects_between, rhythm, origin) = (self.connects_between, self.rhythm, self.origin.clone());
        Some(Arc::new(Check { probe, connects_between, rhythm, origin }))
    }
}

/// Reads `check` of a table; `None` when it is not there or wrong.
pub(crate) fn read(
    table: &Table<'_>,
    value: Value<'_>,
    resolver: &Resolver<'_>,
    out: &mut Vec<Diagnostic>,
) -> Option<CheckPlan> {
    match value.value {
        DeValue::String(text) => short(&Spanned::new(text.as_ref(), value.span), out),
        DeValue::Table(_) => long(&table.inner(value)?, resolver, out),
        DeValue::Array(_) => several(table, value, resolver, out),
        other => {
            wrong_type(value.span, "a check, a string, a table or an array of them,", other, out);
            None
        }
    }
}

/// Checks that must all be good.
fn several(
    table: &Table<'_>,
    value: Value<'_>,
    resolver: &Resolver<'_>,
    out: &mut Vec<Diagnostic>,
) -> Option<CheckPlan> {
    const MOST: usize = 100;
    let items = table.items(value, out)?;
    if items.is_empty() || items.len() > MOST {
        let message = format!("{} checks of one real server", items.len());
        out.push(Diagnostic::error(codes::VALUE, value.span, message).help(format!("write from 1 to {MOST}")));
        return None;
    }
    let mut plans = Vec::with_capacity(items.len());
    for item in items {
        if let DeValue::Array(_) = item.value {
            out.push(Diagnostic::error(codes::VALUE, item.span, "an array of checks within another"));
            return None;
        }
        plans.push(read(table, item, resolver, out)?);
    }
    Some(CheckPlan::of(Kind::All(plans), None, value.span))
}

/// `http:/path`, `https:/path`, `tcp`, `tcp:8080`, `ping`, `on`, `off`, `script:/path`.
fn short(text: &Spanned<&str>, out: &mut Vec<Diagnostic>) -> Option<CheckPlan> {
    let (kind, argument) = match text.value.split_once(':') {
        Some((kind, argument)) => (kind, Some(argument)),
        None => (text.value, None),
    };
    let mut port = None;
    let kind = match (kind, argument) {
        ("http" | "https", path) => http_kind(kind == "https", path.unwrap_or("/")),
        ("tcp", None) => Kind::Tcp,
        ("tcp", Some(number)) => match number.parse::<u16>() {
            Ok(number) if number != 0 => {
                port = Some(number);
                Kind::Tcp
            }
            Ok(_) | Err(_) => {
                let message = format!("`{}` is no port", shown(number));
                out.push(Diagnostic::error(codes::PORT, text.span, message));
                return None;
            }
        },
        ("ping", None) => Kind::Ping { echoes: 1 },
        ("on", None) => Kind::On,
        ("off", None) => Kind::Off,
        ("script", Some(program)) if !program.is_empty() => Kind::Script(Script {
            program: PathBuf::from(program),
            arguments: Vec::new(),
            environment: Vec::new(),
            shell: false,
            account: None,
            weighs: false,
        }),
        _ => {
            let message = format!("`{}` is no check", shown(text.value));
            let d = Diagnostic::error(codes::VALUE, text.span, message);
            out.push(d.help("write http:/path, https:/path, tcp, tcp:PORT, ping, script:/path, on or off"));
            return None;
        }
    };
    Some(CheckPlan::of(kind, port, text.span))
}

fn http_kind(tls: bool, path: &str) -> Kind {
    let http = Http {
        target: SocketAddr::new(IpAddr::from([0, 0, 0, 0]), 0),
        tls,
        verify: false,
        server_name: None,
        host: String::new(),
        method: HttpMethod::Get,
        path: request_path(path),
        status: StatusSet(vec![(200, 299)]),
        body: Body::Any,
        redirects: REDIRECTS,
        size_cap: SIZE_CAP,
        rules: HttpRules::default(),
    };
    Kind::Http { http: Box::new(http), host: None }
}

fn long(table: &Table<'_>, resolver: &Resolver<'_>, out: &mut Vec<Diagnostic>) -> Option<CheckPlan> {
    table.only(&KEYS, out);
    let rhythm = rhythm(table, out);
    let mut written = KINDS.iter().copied().filter(|kind| table.has(kind));
    let Some(word) = written.next() else {
        let d = Diagnostic::error(codes::MISSING_KEY, table.span, "the check does not say what it does");
        out.push(d.help(format!("write one of {}", KINDS.join(", "))));
        return None;
    };
    if let Some(second) = written.next() {
        let span = table.key_span(second).unwrap_or(table.span);
        let first = table.key_span(word).unwrap_or(table.span);
        let message = format!("a check cannot be `{word}` and `{second}`");
        out.push(Diagnostic::error(codes::CONFLICTING_KEYS, span, message).label(first, "the other one"));
        return None;
    }
    for (key, kinds) in OF_KIND {
        if let Some(span) = table.key_span(key).filter(|_| !kinds.contains(&word)) {
            let message = format!("`{key}` has no meaning with `{word}`");
            out.push(Diagnostic::error(codes::CONFLICTING_KEYS, span, message));
        }
    }
    let kind = kind(word, table, resolver, out)?;
    Some(CheckPlan {
        kind,
        rhythm,
        connects_between: table.integer("connects_between", 0..=u32::MAX, out).map_or(0, |n| n.value),
        port: table.integer("port", 1..=65535, out).and_then(|n| u16::try_from(n.value).ok()),
        connect: connect(table, resolver, out),
        origin: probes::origin(table, out),
        span: table.span,
    })
}

fn kind(word: &str, table: &Table<'_>, resolver: &Resolver<'_>, out: &mut Vec<Diagnostic>) -> Option<Kind> {
    match word {
        "http" | "https" => http(word, table, resolver, out),
        "script" => script(table, out).map(Kind::Script),
        "udp" | "dns" | "smtp" | "file" | "bfd" => Some(Kind::Other(Box::new(probes::read(word, table, out)?))),
        _ => {
            let yes = table.boolean(word, out)?;
            if !yes.value {
                let d = Diagnostic::error(codes::VALUE, yes.span, format!("`{word} = false` says nothing"));
                out.push(d.help("write `off = true` for a real server that is never up"));
                return None;
            }
            Some(match word {
                "tcp" => Kind::Tcp,
                "ping" => Kind::Ping { echoes: table.integer("echoes", 1..=0x7fff_ffff, out).map_or(1, |n| n.value) },
                "on" => Kind::On,
                _ => Kind::Off,
            })
        }
    }
}

fn http(word: &str, table: &Table<'_>, resolver: &Resolver<'_>, out: &mut Vec<Diagnostic>) -> Option<Kind> {
    let path = table.string(word, out)?;
    if !path.value.starts_with('/') {
        let d = Diagnostic::error(
            codes::VALUE,
            path.span,
            format!("the path `{}` does not start with /", shown(path.value)),
        );
        out.push(d.replace("write it", path.span, super::reader::quoted(&format!("/{}", path.value))));
    }
    let Kind::Http { mut http, .. } = http_kind(word == "https", path.value) else { return None };
    let host = table.string("host", out);
    if let Some(host) = host.filter(|h| h.value.is_empty() || h.value.chars().any(|c| c.is_control() || c == ' ')) {
        let message = format!("`{}` is no host name", shown(host.value));
        out.push(Diagnostic::error(codes::VALUE, host.span, message));
    }
    if let Some(method) = table.word("method", &[("GET", HttpMethod::Get), ("HEAD", HttpMethod::Head)], out) {
        http.method = method.value;
    }
    if let Some(expect) = table.string("expect", out).filter(|e| !e.value.is_empty()) {
        resolver.regex(expect.value, expect.span, out);
        if http.method == HttpMethod::Head {
            let message = "an answer to HEAD has no body that could match";
            let d = Diagnostic::warning(codes::HEAD_BODY, expect.span, message);
            out.push(d.note("the real server is never up").help("use GET or leave `expect` out"));
        }
        http.body = Body::PerlRegex(expect.value.to_owned());
    }
    if let Some(status) = table.get("status") {
        http.status = status_set(table, status, out)?;
    }
    if let Some(redirects) = table.integer("redirects", 0..=20, out) {
        http.redirects = redirects.value;
    }
    if let Some(size) = size_cap(table, out) {
        http.size_cap = size;
    }
    let sni = table.string("sni", out);
    http.server_name = match sni {
        Some(sni) => Some(sni.value.to_owned()).filter(|name| !name.is_empty()),
        None => host.and_then(|host| server_name(host.value)),
    };
    http.server_name = http.server_name.filter(|_| http.tls);
    if let Some(verify) = table.boolean("verify", out) {
        http.verify = verify.value;
        if verify.value && http.server_name.is_none() {
            let message = "there is no name to verify the certificate for";
            out.push(Diagnostic::error(codes::MISSING_KEY, verify.span, message).help("write `sni` or `host`"));
        }
    }
    http.rules = probes::rules(table, &http, out);
    Some(Kind::Http { http, host: host.map(|host| host.value.to_owned()) })
}

/// `200`, `"200-299"`, or an array of these.
fn status_set(table: &Table<'_>, value: Value<'_>, out: &mut Vec<Diagnostic>) -> Option<StatusSet> {
    let items = match value.value {
        DeValue::Array(_) => table.items(value, out)?,
        _ => vec![value],
    };
    let ranges: Vec<_> = items.iter().filter_map(|item| status_range(*item, out)).collect();
    if ranges.is_empty() {
        if items.is_empty() {
            out.push(Diagnostic::error(codes::VALUE, value.span, "no status at all would be good"));
        }
        return None;
    }
    Some(StatusSet(ranges))
}

fn status_range(value: Value<'_>, out: &mut Vec<Diagnostic>) -> Option<(u16, u16)> {
    let range = match value.value {
        DeValue::String(text) => {
            let (low, high) = text.split_once('-').unwrap_or((text, text));
            low.trim().parse().ok().zip(high.trim().parse().ok())
        }
        _ => {
            let number = u16::try_from(integer_of(value, out)?).ok();
            number.zip(number)
        }
    };
    let range = range.filter(|(low, high)| low <= high && (100..=999).contains(low) && *high <= 999);
    if range.is_none() {
        let d = Diagnostic::error(codes::VALUE, value.span, "this is no HTTP status");
        out.push(d.help("write a number such as 200, or a range such as \"200-299\""));
    }
    range
}

fn size_cap(table: &Table<'_>, out: &mut Vec<Diagnostic>) -> Option<usize> {
    const LARGEST: u64 = 16 << 20;
    let value = table.get("size_cap")?;
    let bytes = match value.value {
        DeValue::Integer(_) => u64::try_from(integer_of(value, out)?).ok(),
        _ => units::size(string_of(value, out)?.value),
    };
    let bytes = bytes.filter(|bytes| (1..=LARGEST).contains(bytes)).and_then(|bytes| usize::try_from(bytes).ok());
    if bytes.is_none() {
        let d = Diagnostic::error(codes::VALUE, value.span, "this is no size from 1 byte to 16 MiB");
        out.push(d.help("write a number of bytes, or one with a unit such as \"64KiB\""));
    }
    bytes
}

/// `connect = "address[:port]"`: where to connect instead of the real server.
fn connect(table: &Table<'_>, resolver: &Resolver<'_>, out: &mut Vec<Diagnostic>) -> Option<(IpAddr, Option<u16>)> {
    let text = table.string("connect", out)?;
    let Some(split) = address::split(text.value) else {
        out.push(Diagnostic::error(codes::ADDRESS, text.span, format!("`{}` is no address", shown(text.value))));
        return None;
    };
    let host_span = inside(text, split.host_at, split.host.len());
    let address = address::resolve(split.host, Family::Any, host_span, resolver, out)?.address;
    let port = match split.port {
        Some(port) => Some(address::port(port, Protocol::Tcp, text.span, resolver, out)?),
        None => None,
    };
    Some((address, port))
}

fn script(table: &Table<'_>, out: &mut Vec<Diagnostic>) -> Option<Script> {
    let words = table.strings("script", out)?;
    let mut texts = words.value.into_iter().map(|word| word.value.to_owned());
    let Some(program) = texts.next().filter(|program| !program.is_empty()) else {
        out.push(Diagnostic::error(codes::MISSING_KEY, words.span, "the script has no name"));
        return None;
    };
    let mut environment = Vec::new();
    if let Some(env) = table.table("env", out) {
        let mut names: Vec<_> = env.entries.keys().collect();
        names.sort_by_key(|name| name.span().start);
        for name in names {
            if let Some(value) = env.string(name.get_ref(), out) {
                environment.push((name.get_ref().to_string(), value.value.to_owned()));
            }
        }
    }
    let shell = table.boolean("shell", out).is_some_and(|yes| yes.value);
    let weighs = table.boolean("weighs", out).is_some_and(|yes| yes.value);
    let account = table.string("user", out).and_then(|text| notify::account(text, out));
    Some(Script { program: PathBuf::from(program), arguments: texts.collect(), environment, shell, account, weighs })
}

fn rhythm(table: &Table<'_>, out: &mut Vec<Diagnostic>) -> Rhythm {
    const SHORTEST: Duration = Duration::from_millis(1);
    let tries = table.integer("tries", 1..=1_000_000, out);
    let fall = table.integer("fall", 1..=u32::MAX, out);
    if let (Some(tries), Some(fall)) = (tries, fall) {
        let d = Diagnostic::error(codes::CONFLICTING_KEYS, tries.span, "`tries` and `fall` are the same");
        out.push(d.label(fall.span, "the other one").help("leave `tries` out"));
    }
    Rhythm {
        every: table.duration("every", SHORTEST, out).map_or(RHYTHM.every, |d| d.value),
        timeout: table.duration("timeout", SHORTEST, out).map_or(RHYTHM.timeout, |d| d.value),
        retry_after: table.duration("retry_after", SHORTEST, out).map(|d| d.value),
        rise: table.integer("rise", 1..=u32::MAX, out).map_or(RHYTHM.rise, |n| n.value),
        fall: fall.or(tries).map_or(RHYTHM.fall, |n| n.value),
        jitter_percent: jitter(table, out).unwrap_or(RHYTHM.jitter_percent),
    }
}

/// `10` or `"10%"`.
fn jitter(table: &Table<'_>, out: &mut Vec<Diagnostic>) -> Option<u8> {
    let value = table.get("jitter")?;
    let percent = match value.value {
        DeValue::Integer(_) => u8::try_from(integer_of(value, out)?).ok(),
        _ => string_of(value, out)?.value.strip_suffix('%').and_then(|n| n.trim().parse().ok()),
    };
    let percent = percent.filter(|percent| *percent <= 50);
    if percent.is_none() {
        let d = Diagnostic::error(codes::VALUE, value.span, "jitter is a share of `every` from \"0%\" to \"50%\"");
        out.push(d);
    }
    percent
}
