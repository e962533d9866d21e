//! What a word of haresources means: an address, a script, an OCF agent, a unit, or services of our own.

use super::{here, media::interface_name};
use crate::{
    codes,
    host::{Host, is_program, shown},
    inet::Written,
};
use evenkeel_model::heartbeat::{Agent, IpResource, Monitor, Resource};
use evenkeel_source::{Diagnostic, Severity, Span, Spanned};
use std::{
    net::{IpAddr, Ipv4Addr},
    path::{Path, PathBuf},
    time::Duration,
};

/// How long a resource may take, and how it is watched.
#[derive(Clone, Copy)]
pub(crate) struct Deadlines {
    /// Seconds.
    start: u64,
    /// Seconds.
    stop: u64,
    /// Seconds between looks, and for one.
    monitor: Option<(u64, u64)>,
}

/// An address is there or not, within milliseconds.
const ADDRESS: Deadlines = Deadlines { start: 20, stop: 20, monitor: Some((10, 20)) };
/// Scripts are left the time that a database may need.
const SCRIPT: Deadlines = Deadlines { start: 120, stop: 120, monitor: Some((10, 30)) };
/// systemd's own bound is 90 s.
const UNIT: Deadlines = Deadlines { start: 100, stop: 100, monitor: Some((10, 30)) };
const AGENT: Deadlines = Deadlines { start: 60, stop: 60, monitor: Some((10, 30)) };
const DISK: Deadlines = Deadlines { start: 60, stop: 60, monitor: Some((20, 40)) };
const SLOW: Deadlines = Deadlines { start: 300, stop: 300, monitor: Some((30, 60)) };
/// They do something once; there is nothing to look at.
const ONCE: Deadlines = Deadlines { start: 20, stop: 20, monitor: None };

/// Failed looks in a row that are met by a restart before the group moves.
pub(crate) const RESTARTS: u32 = 3;

/// A script of heartbeat that is nothing but a wrapper of an OCF agent.
struct Wrapper {
    name: &'static str,
    /// The parameter of each argument.
    parameters: &'static [&'static str],
    /// Arguments that must be there.
    least: usize,
    deadlines: Deadlines,
}

const fn wrapper(
    name: &'static str,
    parameters: &'static [&'static str],
    least: usize,
    deadlines: Deadlines,
) -> Wrapper {
    Wrapper { name, parameters, least, deadlines }
}

/// The wrappers of heartbeat 3.0.6 with the arguments they take.
const WRAPPERS: &[Wrapper] = &[
    wrapper("AudibleAlarm", &["nodelist"], 1, ONCE),
    wrapper("Delay", &["startdelay", "stopdelay"], 0, AGENT),
    wrapper("Filesystem", &["device", "directory", "fstype", "options"], 2, DISK),
    wrapper("ICP", &["driveid", "device"], 2, AGENT),
    wrapper("IPsrcaddr", &["ipaddress"], 1, AGENT),
    wrapper("LVM", &["volgrpname"], 1, DISK),
    wrapper("LinuxSCSI", &["scsi"], 1, AGENT),
    wrapper("MailTo", &["email", "subject"], 1, ONCE),
    wrapper("Raid1", &["raidconf", "raiddev"], 2, DISK),
    wrapper("SendArp", &["ip", "nic"], 1, ONCE),
    wrapper("ServeRAID", &["serveraid", "mergegroup"], 2, AGENT),
    wrapper("WAS", &["config"], 0, SLOW),
    wrapper("WinPopup", &["hostfile"], 0, ONCE),
    wrapper("Xinetd", &["service"], 1, AGENT),
    wrapper("apache", &["configfile"], 0, AGENT),
    wrapper("db2", &["instance"], 1, SLOW),
    wrapper("ids", &["informixdir", "informixserver", "onconfig"], 0, SLOW),
    wrapper("portblock", &["protocol", "portno", "action"], 3, AGENT),
];

/// Names under which heartbeat adds an address.
const ADDRESSES: [&str; 3] = ["IPaddr", "IPaddr2", "IPv6addr"];

/// Rows for docs/compat.
pub(super) fn rows() -> Vec<String> {
    let times = |d: Deadlines| {
        let look = d.monitor.map_or("never".to_owned(), |(every, within)| format!("every {every} s, for {within} s"));
        format!("{} s, {} s | {look}", d.start, d.stop)
    };
    let row = |written: &str, what: &str, arguments: &str, d| {
        format!("| {written} | {what} | {arguments} | {} |\n", times(d))
    };
    let address = "address, prefix length, interface, label, broadcast";
    let mut rows = vec![
        row("`192.0.2.1/24/eth0`, `IPaddr`, `IPaddr2`, `IPv6addr`", "evenkeel", address, ADDRESS),
        row("`ldirectord::FILE`", "evenkeel's own services", "the file", ONCE),
        row("a script of `resource.d`, `/etc/init.d`", "the script", "as they are", SCRIPT),
        row("`systemd:UNIT`, or a name that only a unit has", "systemd", "none", UNIT),
        row("`ocf:PROVIDER:NAME::name=value`", "the OCF agent", "parameters", AGENT),
    ];
    rows.extend(WRAPPERS.iter().map(|one| {
        let what = format!("`ocf:heartbeat:{}`, unless `resource.d` has a script", one.name);
        row(&format!("`{}`", one.name), &what, &one.parameters.join(", "), one.deadlines)
    }));
    rows
}

/// What a resource of this kind is given: deadlines and how it is watched.
pub(crate) fn resource(name: String, agent: Agent) -> Resource {
    let d = deadlines(&agent);
    let seconds = Duration::from_secs;
    let monitor =
        d.monitor.map(|(every, within)| Monitor { every: seconds(every), within: seconds(within), restarts: RESTARTS });
    Resource { name, agent, start_within: seconds(d.start), stop_within: seconds(d.stop), monitor }
}

fn deadlines(agent: &Agent) -> Deadlines {
    match agent {
        Agent::Ip(_) => ADDRESS,
        Agent::Script { .. } => SCRIPT,
        Agent::Systemd { .. } => UNIT,
        Agent::Services { .. } => ONCE,
        Agent::Ocf { provider, name, .. } => {
            let known = WRAPPERS.iter().find(|one| provider == "heartbeat" && one.name == name);
            known.map_or(AGENT, |one| one.deadlines)
        }
    }
}

/// Whether heartbeat takes a word for an address: four numbers, and what follows a slash.
pub(super) fn is_address(text: &str) -> bool {
    let address = text.split('/').next().unwrap_or_default();
    let parts: Vec<&str> = address.split('.').collect();
    parts.len() == 4 && parts.iter().all(|part| !part.is_empty() && part.bytes().all(|b| b.is_ascii_digit()))
}

/// Where scripts and files are looked for.
pub(crate) struct Places<'a> {
    pub(crate) host: &'a Host<'a>,
    /// Of resource scripts, in order; the first is heartbeat's.
    pub(crate) scripts: &'a [PathBuf],
    /// The directory of haresources.
    pub(crate) directory: &'a Path,
}

/// What a word means. `None` where it means nothing, which is told.
pub(super) fn agent(word: &str, span: Span, places: &Places<'_>, out: &mut Vec<Diagnostic>) -> Option<Agent> {
    if is_address(word) || word.split('/').next().is_some_and(|text| text.parse::<IpAddr>().is_ok()) {
        return ip(Spanned::new(word, span), out).map(Agent::Ip);
    }
    let (name, rest) = word.split_once("::").map_or((word, None), |(name, rest)| (name, Some(rest)));
    let arguments: Vec<&str> =
        rest.into_iter().flat_map(|rest| rest.split("::")).filter(|one| !one.is_empty()).collect();
    if name.is_empty() {
        let d = Diagnostic::error(codes::RESOURCE, span, "a resource without a name");
        out.push(d.help("write the name of a script before `::`"));
        return None;
    }
    if rest.is_some_and(|rest| rest.split("::").any(str::is_empty)) && name != "IPv6addr" {
        let d = Diagnostic::warning(codes::RESOURCE, span, format!("`{}` has an empty argument", shown(word)));
        out.push(d.note("heartbeat leaves it out, so that the next one moves up; so does evenkeel"));
    }
    match name {
        // An IPv6 address may hold `::` itself.
        "IPv6addr" | "IPaddr" | "IPaddr2" => address_of(name, rest, span, out),
        "ldirectord" => {
            let file = arguments.first().copied().unwrap_or("ldirectord.cf");
            Some(Agent::Services { file: services_file(file, places) })
        }
        "ocf" => {
            let message = "the provider and name of an OCF agent stand behind single colons";
            let d = Diagnostic::error(codes::RESOURCE, span, message);
            let d = d.note("heartbeat looks for a script called `ocf`, and the group does not start");
            out.push(match arguments.as_slice() {
                [provider, agent, ..] if word.starts_with(&format!("ocf::{provider}::{agent}")) => {
                    let whole = crate::address::part(span, 0, "ocf::::".len() + provider.len() + agent.len());
                    let single = format!("ocf:{provider}:{agent}");
                    d.suggest(format!("write {}", shown(&single)), whole, single)
                }
                _ => d.help("write ocf:heartbeat:Filesystem::device=/dev/sdb1::directory=/data"),
            });
            None
        }
        _ if name.starts_with("ocf:") => ocf(name, &arguments, span, places.host, out),
        _ if name.starts_with("systemd:") => unit(name, &arguments, span, places.host, out),
        _ => script(name.strip_prefix("lsb:").unwrap_or(name), &arguments, span, places, out),
    }
}

fn address_of(name: &str, rest: Option<&str>, span: Span, out: &mut Vec<Diagnostic>) -> Option<Agent> {
    let text = rest.unwrap_or_default();
    if text.is_empty()
        || (name != "IPv6addr" && text.parse::<IpAddr>().is_err() && text.contains("::") && !text.contains('/'))
    {
        let d = Diagnostic::error(codes::RESOURCE, span, format!("`{name}` needs an address"));
        out.push(d.help(format!("write {name}::192.0.2.100/24/eth0")));
        return None;
    }
    let at = name.len() + 2;
    let place = crate::address::part(span, at, text.len());
    ip(Spanned::new(text, place), out).map(Agent::Ip)
}

/// `ip[/prefix[/nic[:label]][/broadcast]]`; the third part is the broadcast address when it begins with a digit.
pub(crate) fn ip(text: Spanned<&str>, out: &mut Vec<Diagnostic>) -> Option<IpResource> {
    let mut parts = text.value.split('/');
    let first = parts.next().unwrap_or_default();
    let (prefix, third, fourth, fifth) = (parts.next(), parts.next(), parts.next(), parts.next());
    let wrong = |message: String, help: &str| {
        Diagnostic::error(codes::ADDRESS, text.span, message)
            .note("heartbeat finds out when it starts the resource, and gives the group up")
            .help(help)
    };
    let Some(address) = crate::inet::address(first) else {
        out.push(wrong(format!("`{}` is no address", shown(first)), "write 192.0.2.100/24/eth0"));
        return None;
    };
    if let Written::OtherBase(meant) = address {
        out.push(wrong(format!("`{}` is not in decimal", shown(first)), &format!("write {meant} if that is meant")));
        return None;
    }
    let address = address.address();
    if super::media::is_nobody(address) || address.is_loopback() {
        out.push(wrong(format!("{address} cannot be moved between nodes"), "write an address that clients ask for"));
        return None;
    }
    let bits = if address.is_ipv4() { 32 } else { 128 };
    let length = match prefix.filter(|text| !text.is_empty()) {
        None => None,
        Some(written) => match written.parse::<u8>().ok().filter(|n| *n <= bits).or_else(|| dotted(written, address)) {
            Some(length) => Some(length),
            None => {
                let message = format!("`{}` is no prefix length of {address}", shown(written));
                let nic = interface_name(written).filter(|_| !written.starts_with(|c: char| c.is_ascii_digit()));
                out.push(match nic {
                    Some(nic) => wrong(message, &format!("the prefix length comes first: write {first}/24/{nic}")),
                    None => wrong(message, &format!("write a number from 0 to {bits}")),
                });
                return None;
            }
        },
    };
    let digit = |text: &&str| text.starts_with(|c: char| c.is_ascii_digit());
    let (nic, broadcast) = match third {
        Some(_) if third.as_ref().is_some_and(digit) => (None, third),
        _ => (third.filter(|text| !text.is_empty()), fourth),
    };
    if let Some(more) = fifth.or(if nic.is_none() { fourth } else { None }) {
        out.push(wrong(format!("nothing is known of `/{}`", shown(more)), "write ip/prefix/interface/broadcast"));
        return None;
    }
    let (interface, label) = match nic {
        None => (None, None),
        Some(nic) => {
            let (name, label) = nic.split_once(':').map_or((nic, None), |(name, label)| (name, Some(label)));
            let Some(interface) = interface_name(name).filter(|name| !name.contains(',')) else {
                out.push(wrong(
                    format!("`{}` cannot be the name of an interface", shown(name)),
                    if name.contains(',') {
                        "write a blank in place of the comma"
                    } else {
                        "write a name such as eth0"
                    },
                ));
                return None;
            };
            let label = label.filter(|label| !label.is_empty()).map(|label| format!("{name}:{label}"));
            if label.as_ref().is_some_and(|label| label.len() > 15 || !label.bytes().all(|b| b.is_ascii_graphic())) {
                out.push(wrong(
                    format!("`{}` is no label", shown(nic)),
                    "a label has 15 characters at most, the interface included",
                ));
                return None;
            }
            (Some(interface), label)
        }
    };
    let broadcast = match broadcast.filter(|text| !text.is_empty()) {
        None => None,
        Some(written) => match written.parse::<Ipv4Addr>() {
            Ok(broadcast) if address.is_ipv4() => Some(IpAddr::V4(broadcast)),
            _ => {
                out.push(wrong(
                    format!("`{}` is no broadcast address", shown(written)),
                    "write it as 192.0.2.255, or leave it out",
                ));
                return None;
            }
        },
    };
    Some(IpResource { address, prefix: length, interface, label, broadcast })
}

/// The bits of a mask such as 255.255.255.0.
fn dotted(mask: &str, address: IpAddr) -> Option<u8> {
    address.is_ipv4().then(|| crate::ldirectord::words::dotted(mask)).flatten()
}

/// `ldirectord` looks beside heartbeat's own files, in `conf` below, and then for the path itself.
fn services_file(file: &str, places: &Places<'_>) -> PathBuf {
    let candidates = [places.directory.join(file), places.directory.join("conf").join(file)];
    let found = candidates.iter().find(|path| (places.host.file_mode)(path).is_some());
    found.cloned().unwrap_or_else(|| places.directory.join(file))
}

/// `ocf:heartbeat:Filesystem` with parameters as `name=value`.
fn ocf(name: &str, arguments: &[&str], span: Span, host: &Host<'_>, out: &mut Vec<Diagnostic>) -> Option<Agent> {
    let parts: Vec<&str> = name.split(':').collect();
    let [_, provider, agent] = parts[..] else {
        let d = Diagnostic::error(codes::RESOURCE, span, format!("`{}` names no agent", shown(name)));
        out.push(d.help("write ocf:heartbeat:Filesystem::device=/dev/sdb1::directory=/data"));
        return None;
    };
    let mut parameters: Vec<(String, String)> = Vec::new();
    for argument in arguments {
        let Some((key, value)) = argument.split_once('=').filter(|(key, _)| super::other::is_variable(key)) else {
            let message = format!("`{}` is no parameter of an OCF agent", shown(argument));
            out.push(Diagnostic::error(codes::RESOURCE, span, message).help("write NAME=VALUE"));
            return None;
        };
        parameters.push((key.to_owned(), value.to_owned()));
    }
    let is_name = |text: &str| !text.is_empty() && !text.contains('/') && !text.starts_with('.');
    if !is_name(provider) || !is_name(agent) {
        out.push(Diagnostic::error(codes::RESOURCE, span, format!("`{}` names no agent", shown(name))));
        return None;
    }
    out.extend(here::agent(provider, agent, span, host));
    Some(Agent::Ocf { provider: provider.to_owned(), name: agent.to_owned(), parameters })
}

fn unit(name: &str, arguments: &[&str], span: Span, host: &Host<'_>, out: &mut Vec<Diagnostic>) -> Option<Agent> {
    let unit = unit_name(name.strip_prefix("systemd:").unwrap_or(name));
    if unit.is_none() || !arguments.is_empty() {
        let d = Diagnostic::error(codes::RESOURCE, span, format!("`{}` is no unit of systemd", shown(name)));
        out.push(d.help("write systemd:nginx"));
        return None;
    }
    out.extend(unit.as_ref().and_then(|unit| here::unit(unit, span, host)));
    unit.map(|unit| Agent::Systemd { unit })
}

/// With its suffix.
pub(crate) fn unit_name(text: &str) -> Option<String> {
    const SUFFIXES: [&str; 5] = [".service", ".mount", ".target", ".socket", ".timer"];
    let fits = !text.is_empty() && text.len() < 200 && !text.starts_with('-') && !text.contains('/');
    (fits && text.chars().all(|c| c.is_ascii_graphic())).then(|| {
        if SUFFIXES.iter().any(|suffix| text.ends_with(suffix)) { text.to_owned() } else { format!("{text}.service") }
    })
}

/// A name without a kind: a script of heartbeat, an agent that heartbeat wraps, a script of init, a unit.
fn script(name: &str, arguments: &[&str], span: Span, places: &Places<'_>, out: &mut Vec<Diagnostic>) -> Option<Agent> {
    if let Some((before, _)) = name.split_once(':')
        && (ADDRESSES.contains(&before) || WRAPPERS.iter().any(|one| one.name == before))
    {
        let message = format!("the arguments of {before} stand behind `::`");
        let d = Diagnostic::error(codes::RESOURCE, span, message);
        let d = d.note("heartbeat looks for a script of the whole name, and the group does not start");
        out.push(d.suggest("write `::`", crate::address::part(span, before.len(), 1), "::"));
        return None;
    }
    if !name.starts_with('/') && (name.contains('/') || name.starts_with('.')) {
        let message = format!("`{}` is neither the name of a script nor an absolute path", shown(name));
        let d = Diagnostic::error(codes::RESOURCE, span, message);
        let d = d.note("heartbeat finds out when it starts the resource, and gives the group up");
        out.push(d.help("write the name of a script in resource.d, with arguments behind `::`"));
        return None;
    }
    let is_there = |directory: &Path| (places.host.file_mode)(&directory.join(name)).is_some_and(is_program);
    let made =
        || Agent::Script { name: name.to_owned(), arguments: arguments.iter().map(|one| (*one).to_owned()).collect() };
    let of_init = places.scripts.last().is_some_and(|init| is_there(init));
    let of_heartbeat = places.scripts.split_last().is_some_and(|(_, own)| own.iter().any(|one| is_there(one)));
    if of_heartbeat {
        // Heartbeat's own takes the same arguments; an operator's of this name may take others.
        let mut wrong = Vec::new();
        if let Some(wrapper) = WRAPPERS.iter().find(|one| one.name == name)
            && wrapped(wrapper, arguments, span, &mut wrong).is_none()
        {
            out.extend(wrong.into_iter().map(|d| Diagnostic { severity: Severity::Warning, ..d }));
        }
        return Some(made());
    }
    if let Some(wrapper) = WRAPPERS.iter().find(|one| one.name == name && (!arguments.is_empty() || !of_init)) {
        let made = wrapped(wrapper, arguments, span, out)?;
        out.extend(here::agent("heartbeat", wrapper.name, span, places.host));
        return Some(made);
    }
    if of_init {
        return Some(made());
    }
    let known = unit_name(name).filter(|unit| arguments.is_empty() && here::has_unit(places.host, unit));
    if let Some(unit) = known {
        let d =
            Diagnostic::note_at(codes::RESOURCE, span, format!("`{}` is started as {unit} of systemd", shown(name)));
        out.push(
            d.note("there is no script of this name; heartbeat would not find it")
                .help(format!("write systemd:{unit}")),
        );
        return Some(Agent::Systemd { unit });
    }
    let path = Path::new(name);
    if path.is_absolute() && (places.host.file_mode)(path).is_some_and(is_program) {
        return Some(made());
    }
    let directories: Vec<String> = places.scripts.iter().map(|path| path.display().to_string()).collect();
    let message = format!("there is no script `{}` on this host", shown(name));
    let d = Diagnostic::warning(codes::RESOURCE, span, message);
    let d = d.note(format!("looked for in {}, and among the units of systemd", directories.join(", ")));
    let d = d.note("a group with it cannot start on a node that has no such script");
    let wrappers = WRAPPERS.iter().map(|one| one.name).chain(ADDRESSES).chain(["ldirectord"]);
    out.push(match here::near_script(name, places.scripts, wrappers, places.host) {
        Some(meant) => {
            d.suggest(format!("did you mean `{meant}`?"), crate::address::part(span, 0, name.len()), meant.as_str())
        }
        None if here::has_interface(places.host, name) => {
            d.help(format!("it is an interface: write it behind the address, 192.0.2.100/24/{name}"))
        }
        None => {
            let own = places.scripts.first().map(|path| path.display().to_string()).unwrap_or_default();
            d.help(format!("install what brings it, or put a script of this name into {own}"))
        }
    });
    Some(made())
}

/// The OCF agent behind a wrapper, with its arguments by name.
fn wrapped(wrapper: &Wrapper, arguments: &[&str], span: Span, out: &mut Vec<Diagnostic>) -> Option<Agent> {
    let joined;
    let split: Vec<&str>;
    let arguments = match wrapper.name {
        // All of them are one list.
        "AudibleAlarm" if !arguments.is_empty() => {
            joined = arguments.join(" ");
            std::slice::from_ref(&joined).iter().map(String::as_str).collect()
        }
        // `address/interface`
        "SendArp" => {
            split = arguments.iter().flat_map(|one| one.splitn(2, '/')).collect();
            split
        }
        _ => arguments.to_vec(),
    };
    if arguments.len() < wrapper.least || arguments.len() > wrapper.parameters.len() {
        let form: Vec<String> = wrapper.parameters.iter().map(|name| name.to_uppercase()).collect();
        let most = wrapper.parameters.len();
        let wanted = if wrapper.least == most { most.to_string() } else { format!("{} to {most}", wrapper.least) };
        let message = format!(
            "`{}` takes {wanted} argument{}, not {}",
            wrapper.name,
            if most == 1 { "" } else { "s" },
            arguments.len()
        );
        let d = Diagnostic::error(codes::RESOURCE, span, message);
        out.push(d.help(format!("write {}::{}", wrapper.name, form.join("::"))));
        return None;
    }
    let name_of = |parameter: &'static str, value: &str| match wrapper.name {
        // Its only argument is a port where it is a number.
        "WAS" if value.bytes().all(|b| b.is_ascii_digit()) => "port",
        _ => parameter,
    };
    let pairs = wrapper.parameters.iter().zip(&arguments);
    let mut parameters: Vec<(String, String)> =
        pairs.map(|(parameter, value)| (name_of(parameter, value).to_owned(), (*value).to_owned())).collect();
    if wrapper.name == "Delay" && parameters.is_empty() {
        parameters.push(("startdelay".to_owned(), "10".to_owned()));
    }
    Some(Agent::Ocf { provider: "heartbeat".to_owned(), name: wrapper.name.to_owned(), parameters })
}
