//! What this host has of what the files name: interfaces, devices, scripts, agents. Nothing of it is an error, since
//! files are looked at on other hosts as well.

use super::agent::Places;
use crate::{
    codes,
    host::{Host, is_program, shown},
    nearest::nearest,
};
use evenkeel_model::heartbeat::{Agent, Medium};
use evenkeel_source::{Diagnostic, Span, Spanned};
use std::path::{Path, PathBuf};

/// Where units of systemd are.
const UNITS: [&str; 4] =
    ["/etc/systemd/system", "/run/systemd/system", "/usr/lib/systemd/system", "/lib/systemd/system"];
/// Where OCF agents are, by their providers.
const AGENTS: &str = "/usr/lib/ocf/resource.d";
/// Where plugins of cluster-glue are.
const PLUGINS: [&str; 2] = ["/usr/lib/stonith/plugins", "/usr/lib64/stonith/plugins"];
/// Where programs without a path are looked for.
const PROGRAMS: [&str; 6] = ["/usr/local/sbin", "/usr/local/bin", "/usr/sbin", "/usr/bin", "/sbin", "/bin"];
/// A node is left dead and its groups nowhere.
const UNFENCED: &str = "nothing of a dead node is taken while it cannot be fenced";

/// Whether anything is known of what is installed.
fn is_known(host: &Host<'_>) -> bool {
    (host.file_mode)(Path::new("/usr/lib")).is_some()
}

/// Whether this host has an interface of this name.
pub(super) fn has_interface(host: &Host<'_>, name: &str) -> bool {
    !name.contains('/') && (host.file_mode)(&Path::new("/proc/sys/net/ipv4/conf").join(name)).is_some()
}

/// Says when this host has no such interface, or it is down.
pub(crate) fn interface(name: &str, place: Span, host: &Host<'_>) -> Option<Diagnostic> {
    // Unlike /sys/class/net it is of the network namespace of who asks.
    let all = Path::new("/proc/sys/net/ipv4/conf");
    if (host.file_mode)(all).is_some() && (host.file_mode)(&all.join(name)).is_none() {
        let message = format!("this host has no interface {}", shown(name));
        return Some(Diagnostic::warning(codes::MEDIUM, place, message));
    }
    let is_down = (host.network)().down.contains(name);
    is_down.then(|| {
        let d = Diagnostic::warning(codes::MEDIUM, place, format!("interface {} is down", shown(name)));
        d.note("no heartbeat is sent or heard on it until it is up").help(format!("ip link set {} up", shown(name)))
    })
}

/// Says when this host has no such device, or it is of another sort than `sort`.
pub(crate) fn device(path: &str, sort: Option<&str>, place: Span, host: &Host<'_>) -> Option<Diagnostic> {
    const TYPE: u32 = 0o170_000;
    const CHARACTERS: u32 = 0o020_000;
    // Else nothing is known of devices.
    (host.file_mode)(Path::new("/dev"))?;
    let message = match (host.file_mode)(Path::new(path)) {
        None => format!("this host has no {}", shown(path)),
        Some(mode) if mode & TYPE != CHARACTERS => format!("{} is no device", shown(path)),
        Some(_) => match ((host.device_sort)(Path::new(path)), sort) {
            (Some(found), Some(wanted)) if found != wanted => {
                format!("{} is no {wanted} but a device of the sort `{}`", shown(path), shown(&found))
            }
            _ => return None,
        },
    };
    Some(Diagnostic::warning(codes::DEVICE, place, message))
}

/// Leaves out the unicast paths that lead to this host itself: so one file serves all nodes. `false` where nothing else is
/// there, which is told.
pub(crate) fn leave_out_own(media: &mut Vec<Spanned<Medium>>, host: &Host<'_>, out: &mut Vec<Diagnostic>) -> bool {
    let unicast = |medium: &Spanned<Medium>| matches!(medium.value, Medium::Unicast { .. });
    if !media.iter().any(unicast) {
        return true;
    }
    let addresses = (host.network)().addresses;
    let own: Vec<Spanned<Medium>> = media
        .extract_if(.., |medium| matches!(&medium.value, Medium::Unicast { peer, .. } if addresses.contains(peer)))
        .collect();
    let Some(first) = own.first() else { return true };
    if media.iter().any(unicast) {
        for one in &own {
            let Medium::Unicast { peer, .. } = &one.value else { continue };
            let d = Diagnostic::note_at(
                codes::MEDIUM,
                one.span,
                format!("{peer} is this host: the line is for the others"),
            );
            out.push(d.note("heartbeat leaves it out likewise, so that one file serves all nodes"));
        }
        return true;
    }
    let message = "every unicast path leads to this host itself";
    let help = "write the other node's address; the line of this one may stay beside it";
    if media.is_empty() {
        out.push(
            Diagnostic::error(codes::MEDIUM, first.span, message)
                .note("nodes have no way to hear each other")
                .help(help),
        );
        return false;
    }
    out.push(Diagnostic::warning(codes::MEDIUM, first.span, message).help(help));
    true
}

/// Whether systemd has a unit of this name.
pub(crate) fn has_unit(host: &Host<'_>, unit: &str) -> bool {
    UNITS.iter().any(|place| (host.file_mode)(&Path::new(place).join(unit)).is_some())
}

/// Says when systemd has no such unit; `written` stands at `place`.
pub(crate) fn unit(unit: &str, place: Span, host: &Host<'_>) -> Option<Diagnostic> {
    if !is_known(host) || has_unit(host, unit) {
        return None;
    }
    let d = Diagnostic::warning(codes::RESOURCE, place, format!("systemd has no unit {} on this host", shown(unit)));
    let all = files(host, &UNITS.map(PathBuf::from));
    let d = d.note("a group with it cannot start on a node that has no such unit");
    Some(match nearest(unit, all.iter().map(String::as_str)) {
        Some(meant) => d.help(format!("did you mean {meant}?")),
        None => d,
    })
}

/// Says when there is no such OCF agent.
pub(crate) fn agent(provider: &str, name: &str, place: Span, host: &Host<'_>) -> Option<Diagnostic> {
    let directory = Path::new(AGENTS).join(provider);
    let is_there = |path: &Path| (host.file_mode)(path).is_some_and(is_program);
    if !is_known(host) || is_there(&directory.join(name)) {
        return None;
    }
    let message = format!("there is no OCF agent {}:{} on this host", shown(provider), shown(name));
    let d = Diagnostic::warning(codes::RESOURCE, place, message);
    let d = d.note(format!("looked for in {}", directory.display()));
    let d = d.note("a group with it cannot start on a node that has no such agent");
    let all = files(host, std::slice::from_ref(&directory));
    Some(match nearest(name, all.iter().map(String::as_str)) {
        Some(meant) => d.help(format!("did you mean {meant}?")),
        None if provider == "heartbeat" => d.help("install resource-agents"),
        None => d,
    })
}

/// Says when what a resource of the native file names is not on this host.
pub(crate) fn resource(resource: &Agent, place: Span, places: &Places<'_>) -> Option<Diagnostic> {
    let Places { host, scripts, .. } = places;
    match resource {
        Agent::Ocf { provider, name, .. } => agent(provider, name, place, host),
        Agent::Systemd { unit: name } => unit(name, place, host),
        Agent::Script { name, .. } => {
            let is_there = |path: &Path| (host.file_mode)(path).is_some_and(is_program);
            // An absolute path stays as it is.
            if !is_known(host) || scripts.iter().any(|directory| is_there(&directory.join(name))) {
                return None;
            }
            let message = format!("there is no script {} on this host", shown(name));
            let d = Diagnostic::warning(codes::RESOURCE, place, message);
            let d = d.note("a group with it cannot start on a node that has no such script");
            Some(match near_script(name, scripts, std::iter::empty(), host) {
                Some(meant) => d.help(format!("did you mean {meant}?")),
                None => d,
            })
        }
        Agent::Ip(_) | Agent::Services { .. } => None,
    }
}

/// The script, wrapper or unit whose name is near.
pub(super) fn near_script<'a>(
    name: &str,
    scripts: &[PathBuf],
    wrappers: impl Iterator<Item = &'a str>,
    host: &Host<'_>,
) -> Option<String> {
    let mut all: Vec<String> = files(host, scripts);
    all.extend(wrappers.map(str::to_owned));
    let units = files(host, &UNITS.map(PathBuf::from));
    all.extend(units.iter().filter_map(|unit| unit.strip_suffix(".service")).map(str::to_owned));
    nearest(name, all.iter().map(String::as_str)).map(str::to_owned)
}

/// Says when cluster-glue has no such plugin.
pub(crate) fn plugin(kind: &str, place: Span, host: &Host<'_>) -> Option<Diagnostic> {
    let file = if kind.starts_with("external/") { kind.to_owned() } else { format!("stonith2/{kind}.so") };
    let is_there = |place: &str| (host.file_mode)(&Path::new(place).join(&file)).is_some();
    if !is_known(host) || PLUGINS.into_iter().any(is_there) {
        return None;
    }
    let d =
        Diagnostic::warning(codes::FENCE, place, format!("there is no stonith plugin {} on this host", shown(kind)));
    let d = d.note(format!("heartbeat refuses to start; here {UNFENCED}"));
    let below = |name: &str| files(host, &PLUGINS.map(|place| Path::new(place).join(name)));
    let mut all: Vec<String> = below("external").iter().map(|name| format!("external/{name}")).collect();
    all.extend(below("stonith2").iter().filter_map(|name| name.strip_suffix(".so")).map(str::to_owned));
    Some(match nearest(kind, all.iter().map(String::as_str)) {
        Some(meant) => d.help(format!("did you mean {meant}?")),
        None if all.is_empty() => d.help("install cluster-glue"),
        None => d.help("`stonith -L` lists those that are here"),
    })
}

/// Says when there is no such fence agent.
pub(crate) fn fence_agent(name: &str, place: Span, host: &Host<'_>) -> Option<Diagnostic> {
    let is_there = |path: &Path| (host.file_mode)(path).is_some_and(is_program);
    let found = if name.starts_with('/') {
        is_there(Path::new(name))
    } else {
        PROGRAMS.iter().any(|place| is_there(&Path::new(place).join(name)))
    };
    if !is_known(host) || found {
        return None;
    }
    let d = Diagnostic::warning(codes::FENCE, place, format!("there is no fence agent {} on this host", shown(name)));
    let mut all = files(host, &PROGRAMS.map(PathBuf::from));
    all.retain(|name| name.starts_with("fence_"));
    let d = d.note(UNFENCED);
    Some(match nearest(name, all.iter().map(String::as_str)) {
        Some(meant) => d.help(format!("did you mean {meant}?")),
        None if all.is_empty() => d.help("install fence-agents"),
        None => d,
    })
}

/// The names in these directories, each once.
fn files(host: &Host<'_>, directories: &[PathBuf]) -> Vec<String> {
    let mut names: Vec<String> = directories.iter().flat_map(|directory| (host.list_directory)(directory)).collect();
    names.sort_unstable();
    names.dedup();
    names
}
