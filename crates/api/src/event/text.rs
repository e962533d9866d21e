//! What each event says.

use super::Event;
use crate::words::{count, lasting};
use std::fmt;

fn connections(number: u64) -> String {
    count(usize::try_from(number).unwrap_or(usize::MAX), "connection")
}

impl fmt::Display for Event {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Event::Started { version, services, real_servers, adopted } => {
                let (services, servers) = (count(*services, "service"), count(*real_servers, "real server"));
                write!(f, "evenkeel {version} serves {services} with {servers}")?;
                match adopted {
                    0 => Ok(()),
                    _ => write!(f, "; {adopted} went on serving from the run before"),
                }
            }
            Event::Stopping { removed, left } => {
                write!(f, "stopping: {} taken out", count(*removed, "service"))?;
                match left {
                    0 => Ok(()),
                    _ => write!(f, ", {left} left serving (cleanstop=no)"),
                }
            }
            Event::ServerUp { service, server, address, why, down_s, weight, drained, up, of } => {
                write!(f, "{server} is up{}: {why}.", at(server, address))?;
                if let Some(down_s) = down_s {
                    write!(f, "  It was down for {}.", lasting(*down_s))?;
                }
                write!(f, "  {service} now has {up} of {of} servers, this one ")?;
                if *drained { write!(f, "drained.") } else { write!(f, "with weight {weight}.") }
            }
            Event::ServerDown { service, server, address, why, failed, up_s, quiesced, up, of, fallback } => {
                let went = if up_s.is_some() { "went" } else { "is" };
                write!(f, "{server} {went} down{}: {why}", at(server, address))?;
                match failed {
                    0 => write!(f, ".")?,
                    _ => write!(f, " ({failed} of {failed} tries).")?,
                }
                if let Some(up_s) = up_s {
                    write!(f, "  It was up for {}.", lasting(*up_s))?;
                }
                write!(f, "  {service} now has {up} of {of} servers")?;
                match (up, fallback, quiesced) {
                    (_, Some(fallback), _) => write!(f, "; the fallback {fallback} answers."),
                    (0, None, _) => write!(f, " and no fallback: nothing answers."),
                    (_, _, true) => write!(f, "; its connections stay, new ones go to the others."),
                    (_, _, false) => write!(f, "; it is out of the table."),
                }
            }
            Event::FallbackInUse { service, idle, fallback } => {
                let none = Unserved(*idle);
                write!(f, "{service} {none}: the fallback {fallback} answers.  Next: evenkeel status {service}")
            }
            Event::FallbackLeft { service, fallback, used_s } => {
                write!(f, "{service} has left the fallback {fallback} after {}", lasting(*used_s))
            }
            Event::QuorumLost { service, weight, needed, fallback } => {
                write!(f, "{service} has lost its quorum: weight {weight} is up, {needed} needed")?;
                match fallback {
                    Some(fallback) => write!(f, "; the fallback {fallback} answers alone.")?,
                    None => write!(f, ".")?,
                }
                write!(f, "  Next: evenkeel status {service}")
            }
            Event::QuorumReached { service, weight, lost_s, fallback } => {
                write!(f, "{service} has its quorum again, with weight {weight}, after {}", lasting(*lost_s))?;
                match fallback {
                    Some(fallback) => write!(f, "; it has left the fallback {fallback}."),
                    None => write!(f, "."),
                }
            }
            Event::WeightFollowed { service, server, weight, why } => {
                write!(f, "{server} of {service} has weight {weight} now: {why}.")
            }
            Event::ServiceDown { service, idle: 0 } => write!(
                f,
                "{service} has no real server up and no fallback: new connections are dropped.  Next: evenkeel status {service}"
            ),
            Event::ServiceDown { service, idle } => {
                let none = Unserved(*idle);
                write!(
                    f,
                    "{service} {none}, and there is no fallback: new connections are dropped.  Next: evenkeel status {service}"
                )
            }
            Event::ServiceUp { service, down_s } => {
                write!(f, "{service} answers again after {}", lasting(*down_s))
            }
            Event::ChecksSuspect { down, of, own_fault, why } => {
                write!(f, "{down} of {of} real servers went down at once, e.g. {why}.")?;
                match own_fault {
                    0 => write!(f, "  Likely: what lies between this director and them, not each of them.")?,
                    _ => write!(
                        f,
                        "  {own_fault} of these failures are this director's own: the real servers may be fine."
                    )?,
                }
                write!(f, "  Next: look at routes, link and limits of this director")
            }
            Event::Reloaded { changes, services, real_servers } => {
                let (services, servers) = (count(*services, "service"), count(*real_servers, "real server"));
                write!(f, "reloaded: {} to the table, now {services} with {servers}", count(*changes, "change"))
            }
            Event::ReloadFailed { why } => write!(f, "reload refused, the old configuration runs on: {why}"),
            Event::ProgramFailed { change, why, retry_s } => {
                write!(f, "the data plane refused to {change}: {why}.")?;
                match retry_s {
                    Some(retry_s) => write!(f, "  Next try in {retry_s} s"),
                    None => write!(f, "  No further try until the next reload"),
                }
            }
            Event::ProgramRecovered { after_s } => {
                write!(f, "the data plane is as it should be again after {}", lasting(*after_s))
            }
            Event::TableRepaired { services } => {
                write!(
                    f,
                    "the data plane's table had been changed by somebody else: {} put right",
                    count(*services, "service")
                )
            }
            Event::Drained { service, server, for_s } => {
                write!(f, "{service}/{server} drains: no new connections")?;
                match for_s {
                    Some(for_s) => write!(f, " for {}", lasting(*for_s)),
                    None => write!(f, " until `evenkeel undrain {service}/{server}`"),
                }
            }
            Event::DrainedIdle { service, server, after_s, left } => {
                let left = if *left == 0 { "no active connections".to_owned() } else { connections(*left) };
                write!(f, "{service}/{server} has {left} left after {}", lasting(*after_s))
            }
            Event::DrainEnded { service, server, after_s, ended, late } => {
                let (after, ended) = (lasting(*after_s), connections(*ended));
                match late {
                    true => {
                        write!(f, "{service}/{server} is drained: its deadline has passed after {after}, {ended} ended")
                    }
                    false => write!(f, "{service}/{server} is drained after {after}: {ended} left ended"),
                }
            }
            Event::Flushed { which, ended } => {
                write!(f, "{} {which} ended", connections(*ended))
            }
            Event::Edited { first, more: 0 } => write!(f, "the table was edited: {first}"),
            Event::Edited { first, more } => {
                write!(f, "the table was edited: {first}, and {more} more")
            }
            Event::Undrained { service, server, expired } => {
                let why = if *expired { ": its time is over" } else { "" };
                write!(f, "{service}/{server} is no longer drained{why}")
            }
            Event::WeightSet { service, server, from, to, as_configured } => {
                let whose = if *as_configured { ", as configured" } else { ", over what the file says" };
                write!(f, "{service}/{server} has weight {to} (was {from}){whose}")
            }
            Event::Disabled { service, server: Some(server) } => {
                write!(f, "{service}/{server} is disabled until `evenkeel enable {service}/{server}`")
            }
            Event::Disabled { service, server: None } => {
                write!(
                    f,
                    "{service} is disabled until `evenkeel enable {service}`: it is out of the table, and nothing answers for it"
                )
            }
            Event::Enabled { service, server: Some(server) } => write!(f, "{service}/{server} is enabled"),
            Event::Enabled { service, server: None } => write!(f, "{service} is enabled"),
            Event::MaintenanceBegan { service, server, file } => {
                write!(f, "{service}/{server} counts as down: the maintenance file {file} names it")
            }
            Event::MaintenanceEnded { service, server } => {
                write!(f, "{service}/{server} is no longer in maintenance")
            }
            Event::AttachmentChanged { interface, mode: Some(mode), why } => {
                write!(f, "packets on {interface} are taken by {mode}: {why}")
            }
            Event::AttachmentChanged { interface, mode: None, why } => {
                write!(f, "packets on {interface} are not taken: {why}")
            }
            Event::NextHopLost { address, why } => {
                write!(f, "the way to {address} is lost: {why}.  Its new and old connections stall until it is found")
            }
            Event::NextHopFound { address, mac, interface } => {
                write!(f, "{address} is reached at {mac} on {interface}")
            }
            Event::TableFull { dropped, capacity } => write!(
                f,
                "the connection table is full ({capacity}): {dropped} new connections dropped, established ones kept.  \
                 Next: a larger --connections"
            ),
            Event::FirewallBypassed { service, rule } => write!(
                f,
                "traffic of {service} is not seen by this host's firewall rule {rule}.  Next: say it with the service's allow \
                 and deny lists"
            ),
            Event::CommandFailed { command, why } => write!(f, "`{command}` failed: {why}"),
            // A master until its successor speaks.
            Event::RoleChanged { instance, from, to, why, addresses } if from == to => {
                write!(f, "{instance} leaves: {why}.  It has {} until another node has", addresses.join(", "))
            }
            Event::RoleChanged { instance, from: _, to, why, addresses } => {
                write!(f, "{instance} is {to} now: {why}.")?;
                match to.as_str() {
                    "master" => write!(f, "  It has {}", addresses.join(", ")),
                    _ => Ok(()),
                }
            }
            Event::BfdChanged { session, neighbour, up, by_will: _, why } => {
                let state = if *up { "up" } else { "down" };
                write!(f, "BFD session {session} with {neighbour} is {state}: {why}")
            }
            Event::MailFailed { to, why } => write!(f, "mail to {to} was not sent: {why}"),
            Event::MailsDropped { changes } => {
                write!(f, "{} told by no mail: too many at once", count(*changes, "change"))
            }
        }
    }
}

/// Why no real server answers, with how many are up all the same.
struct Unserved(usize);

impl fmt::Display for Unserved {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            0 => write!(f, "has no real server up"),
            1 => write!(f, "has no real server that takes connections, the one that is up has weight 0"),
            idle => write!(f, "has no real server that takes connections, the {idle} that are up have weight 0"),
        }
    }
}

/// ` (192.0.2.1:80)`, unless that is the name.
fn at(server: &str, address: &str) -> String {
    if server == address { String::new() } else { format!(" ({address})") }
}
