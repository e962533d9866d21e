//! What the tests share: a host that knows a few names, and loading of texts.

#![allow(
    clippy::unwrap_used,
    dead_code,
    unreachable_pub,
    reason = "every test file uses another part, and a test fails by panicking"
)]

use evenkeel_config::{Format, Host, Input, Loaded, load_texts};
use evenkeel_model::Protocol;
use evenkeel_source::{Colour, Severity, render_all};
use std::net::IpAddr;

/// Knows www.example.org, six.example.org and two.example.org, http, domain and www, and refuses patterns with an open
/// bracket.
pub const HOST: Host<'static> = Host {
    resolve_host: &resolve_host,
    resolve_service: &resolve_service,
    check_regex: &check_regex,
    read_file: &evenkeel_config::system::read_file,
    list_directory: &evenkeel_config::system::list_directory,
    environment: &environment,
    script_user: &|| None,
    node: "director-1",
    full_name: "director-1.example.org",
    file_mode: &evenkeel_config::system::file_mode,
    device_sort: &|_| None,
    network: &evenkeel_config::OwnNetwork::default,
};

fn environment(name: &str) -> Option<String> {
    (name == "ROUTER").then(|| "lvs-7".to_owned())
}

fn resolve_host(name: &str) -> Result<Vec<IpAddr>, String> {
    let addresses: &[&str] = match name {
        "www.example.org" => &["192.0.2.80"],
        "rs1.example.org" => &["192.0.2.11"],
        "rs3.example.org" => &["192.0.2.13"],
        "six.example.org" => &["2001:db8::6"],
        "two.example.org" => &["192.0.2.21", "192.0.2.22", "2001:db8::2"],
        _ => return Err("host not found".to_owned()),
    };
    Ok(addresses.iter().map(|text| text.parse().unwrap()).collect())
}

fn resolve_service(name: &str, protocol: Protocol) -> Option<u16> {
    match (name, protocol) {
        ("http" | "www", Protocol::Tcp) => Some(80),
        ("domain", _) => Some(53),
        _ => None,
    }
}

fn check_regex(pattern: &str) -> Result<(), String> {
    if pattern.matches('(').count() == pattern.matches(')').count() {
        Ok(())
    } else {
        Err("unmatched parenthesis".to_owned())
    }
}

/// Loads one text.
pub fn load_text(name: &str, bytes: impl Into<Vec<u8>>, format: Format) -> Loaded {
    load_texts(vec![Input { path: name.into(), bytes: bytes.into() }], Some(format), &HOST)
}

/// Loads an ldirectord.cf.
pub fn ldirectord(text: &str) -> Loaded {
    load_text("ldirectord.cf", text, Format::Ldirectord)
}

/// Loads a keepalived.conf.
pub fn keepalived(text: &str) -> Loaded {
    load_text("keepalived.conf", text, Format::Keepalived)
}

/// Loads a native file.
pub fn native(text: &str) -> Loaded {
    load_text("evenkeel.toml", text, Format::Native)
}

/// Every diagnostic as `severity code line:column message`.
pub fn brief(loaded: &Loaded) -> Vec<String> {
    let one = |d: &evenkeel_source::Diagnostic| {
        let place = d.place().map(|span| loaded.sources.line_column(span.file, span.start));
        let place = place.map_or("-".to_owned(), |at| format!("{}:{}", at.line, at.column));
        format!("{} {} {place} {}", d.severity.name(), d.code, d.message)
    };
    loaded.diagnostics.iter().map(one).collect()
}

/// The only diagnostic there is.
pub fn only(loaded: &Loaded) -> String {
    let brief = brief(loaded);
    assert_eq!(brief.len(), 1, "{brief:#?}");
    brief.into_iter().next().unwrap()
}

/// Errors only.
pub fn errors(loaded: &Loaded) -> Vec<String> {
    assert_eq!(loaded.count(Severity::Error) == 0, loaded.cluster.is_some());
    brief(loaded).into_iter().filter(|line| line.starts_with("error")).collect()
}

/// The rendered diagnostics.
pub fn rendered(loaded: &Loaded) -> String {
    render_all(&loaded.diagnostics, &loaded.sources, Colour::No)
}

/// Compares with a committed file, or writes it when EVENKEEL_BLESS is set.
pub fn golden(path: &str, text: &str) {
    let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join(path);
    if std::env::var_os("EVENKEEL_BLESS").is_some() {
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, text).unwrap();
        return;
    }
    let wanted = std::fs::read_to_string(&path).unwrap_or_default();
    if wanted != text {
        let differs = wanted.lines().zip(text.lines()).position(|(a, b)| a != b);
        let line = differs.unwrap_or_else(|| wanted.lines().count().min(text.lines().count()));
        let show = |text: &str| text.lines().skip(line).take(5).collect::<Vec<_>>().join("\n");
        panic!(
            "{} is not what comes out now; EVENKEEL_BLESS=1 writes it anew. From line {}:\n--- committed\n{}\n--- now\n{}",
            path.display(),
            line + 1,
            show(&wanted),
            show(text)
        );
    }
}
