//! News of the cluster as sentences, and clients' words as requests.

use evenkeel_api::{Request, Severity, Share};
use evenkeel_ha::heartbeat::Stray;
use evenkeel_heartbeat::{self as protocol, News, NodeState, Reason, Unheard, Why};
use evenkeel_model::heartbeat::{Agent, Group, Heartbeat, Medium, NodeName};
use evenkeel_os::UdpListener;
use evenkeel_resource::{Remark, Trouble};
use std::{
    collections::BTreeMap,
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
    path::PathBuf,
    time::Duration,
};

/// A sentence.
pub(super) struct Said {
    /// It goes on, and is then said once a minute: about what.
    pub(super) about: Option<String>,
    /// How much it matters.
    pub(super) severity: Severity,
    /// The sentence.
    pub(super) text: String,
}

/// What a client asks for.
pub(super) fn request(wanted: &Heartbeat, request: &Request) -> Result<protocol::Request, String> {
    let find_node = |node: &str| {
        place(wanted, node).ok_or_else(|| format!("there is no node `{node}`; there are {}", names(&wanted.nodes)))
    };
    let moved = |group: &str, to: Option<&str>| {
        let (group, to) = (find_group(wanted, group)?, to.map(find_node).transpose()?);
        Ok(protocol::Request::Move { group, to })
    };
    match request {
        Request::Standby { group: Some(group), to, .. } => moved(group, to.as_deref()),
        Request::Takeover { group: Some(group), .. } => moved(group, Some(wanted.node.as_str())),
        Request::Standby { group: None, to: Some(to), .. } => Ok(protocol::Request::MoveAll { to: find_node(to)? }),
        Request::Standby { share, group: None, to: None } => Ok(protocol::Request::Standby(part(*share))),
        Request::Takeover { share, group: None } => Ok(protocol::Request::Takeover(part(*share))),
        Request::Confirm { node } => Ok(protocol::Request::Confirm { node: find_node(node)? }),
        other => Err(format!("{} is not about a cluster", other.name())),
    }
}

fn part(share: Share) -> protocol::Share {
    match share {
        Share::All => protocol::Share::All,
        Share::Local => protocol::Share::Local,
        Share::Foreign => protocol::Share::Foreign,
    }
}

fn place(wanted: &Heartbeat, node: &str) -> Option<usize> {
    let name = NodeName::new(node)?;
    wanted.nodes.iter().position(|known| *known == name)
}

fn find_group(wanted: &Heartbeat, group: &str) -> Result<usize, String> {
    let known = wanted.groups.iter().position(|known| known.key == group);
    known.ok_or_else(|| {
        let all: Vec<&str> = wanted.groups.iter().map(|group| group.key.as_str()).collect();
        format!("there is no group `{group}`; there are {}", all.join(", "))
    })
}

fn names(nodes: &[NodeName]) -> String {
    nodes.iter().map(NodeName::as_str).collect::<Vec<_>>().join(", ")
}

/// The place of the group that an operator says has stopped. A node of that name is meant first.
pub(super) fn confirmed(wanted: &Heartbeat, request: &Request) -> Option<usize> {
    let Request::Confirm { node } = request else { return None };
    wanted.groups.iter().position(|group| group.key == *node).filter(|_| place(wanted, node).is_none())
}

/// Why a group stays where it is, and what to do.
pub(super) fn stuck(wanted: &Heartbeat, key: &str, why: &Trouble) -> String {
    let then = match wanted.watchdog {
        Some(_) => "the watchdog restarts this host while another node is there to take over",
        None => "nothing of the group is started elsewhere",
    };
    format!("{why}; {then}.  Next: end `{}` by hand, then `evenkeel confirm {key}`", why.resource)
}

/// How much a remark about a group matters.
pub(super) fn weight(remark: &Remark) -> Severity {
    match remark {
        Remark::TakenOver(_) | Remark::Gone | Remark::StoppedAnyway(_) => Severity::Info,
        Remark::Unsure(_) | Remark::Unwatched(_) | Remark::Restarted { .. } | Remark::StopAgain { .. } => {
            Severity::Warning
        }
        Remark::GoneStuck(_) => Severity::Error,
    }
}

/// A message that was dropped.
pub(super) fn dropped(reason: Reason, source: Option<IpAddr>, count: u64) -> (Severity, String) {
    let times = if count == 1 { String::new() } else { format!(", {count} times in a minute") };
    let from = source.map_or("on a serial line".to_owned(), |source| format!("of {source}"));
    (Severity::Warning, format!("a heartbeat message {from} was dropped{times}: {reason}"))
}

/// Why a group came or went.
pub(super) fn why(why: Why) -> &'static str {
    match why {
        Why::Nobody => "nobody had it",
        Why::Dead => "its node is dead",
        Why::Left => "its node has left",
        Why::Given => "it was handed over",
        Why::Both => "both nodes had it",
        Why::Frozen => "this host stood still for too long",
        Why::Failed => "it failed",
        Why::Leaving => "this node leaves",
    }
}

/// What a state means.
pub(super) fn state(state: NodeState) -> &'static str {
    match state {
        NodeState::Unknown => "it was not heard yet",
        NodeState::Up => "it has begun",
        NodeState::Active => "it takes part",
        NodeState::Dead => "it fell silent",
        NodeState::Left => "it has left in order",
    }
}

/// The sentence for a piece of news; `None` where it is nobody's business.
pub(super) fn said(wanted: &Heartbeat, news: &News) -> Option<Said> {
    let node = |node: usize| wanted.nodes.get(node).map_or("?", NodeName::as_str);
    let group = |group: usize| wanted.groups.get(group).map_or("?", |group| group.key.as_str());
    let info = |text: String| Some(Said { about: None, severity: Severity::Info, text });
    let warn = |text: String| Some(Said { about: None, severity: Severity::Warning, text });
    let goes_on = |about: String, severity, text: String| Some(Said { about: Some(about), severity, text });
    match news {
        News::Node { node: which, state: now } => {
            let text = format!("node {}: {}", node(*which), state(*now));
            if *now == NodeState::Dead { warn(text) } else { info(text) }
        }
        News::Link { node: which, medium, up } => {
            let medium = super::picture::medium(wanted, *medium);
            if *up {
                info(format!("node {} is heard by {medium}", node(*which)))
            } else {
                warn(format!("node {} is not heard by {medium} any more", node(*which)))
            }
        }
        News::Ping { ping, up } => {
            let name = wanted.pings.get(*ping).map_or("?", |ping| ping.name.as_str());
            if *up {
                info(format!("ping node {name} answers"))
            } else {
                warn(format!("ping node {name} does not answer"))
            }
        }
        News::Late { node: which, silent } => warn(format!(
            "node {} was silent for {} ms, which is more than its warntime",
            node(*which),
            silent.as_millis()
        )),
        News::SelfLate { by } => warn(format!(
            "this host was {} ms late, so that nobody is called dead for it; it listens for a while longer",
            by.as_millis()
        )),
        News::Frozen { silent } => warn(format!(
            "this host stood still for {} ms, longer than the others wait: it gives up what they may have taken",
            silent.as_millis()
        )),
        News::Returned { node: which } => {
            warn(format!("node {} is back and had never ended: the nodes could not hear each other", node(*which)))
        }
        News::Restarted { node: which } => info(format!("node {} has restarted", node(*which))),
        News::Both { group: which, node: other, keeps } => {
            let fate = if *keeps { "this one keeps it" } else { "this one yields" };
            warn(format!("{} was on this node and on {}: {fate}", group(*which), node(*other)))
        }
        News::Holder { group: which, node: holder, why: reason } => {
            let because = reason.map(|reason| format!(": {}", why(reason))).unwrap_or_default();
            info(match holder {
                Some(holder) => format!("{} is on {}{because}", group(*which), node(*holder)),
                None => format!("{} is on no node{because}", group(*which)),
            })
        }
        News::Lost { node: which, first, last } => {
            warn(format!("messages {first} to {last} of node {} are lost for good", node(*which)))
        }
        News::Stable { .. } | News::Evenkeel { .. } | News::Generation { .. } => None,
        News::Failed { group: which, to } => warn(match to {
            Some(to) => format!("{} failed here and goes to {}", group(*which), node(*to)),
            None => format!("{} failed here, and there is no node that it could go to", group(*which)),
        }),
        News::Ignored { node: which, why } => warn(format!("what node {} asked for was not done: {why}", node(*which))),
        News::Cancelled { why } => warn(format!("a hand-over was broken off: {why}")),
        News::Fencing { node: which, by, attempt } => {
            warn(format!("node {} is being fenced by {} (attempt {attempt})", node(*which), node(*by)))
        }
        News::FenceFailed { node: which, last: true, .. } => {
            Some(Said { about: None, severity: Severity::Error, text: unfenced(node(*which)) })
        }
        News::FenceFailed { node: which, attempt, last: false } => {
            let name = node(*which);
            let text = format!(
                "node {name} could not be fenced (attempt {attempt}); nothing of it is taken over.  it is tried again"
            );
            goes_on(format!("fence {name}"), Severity::Error, text)
        }
        News::FencedButHeard { node: which } => {
            Some(Said { about: None, severity: Severity::Error, text: fenced_but_heard(node(*which)) })
        }
        News::Configuration { node: which, differs: true } => warn(differs(node(*which))),
        News::Configuration { node: which, differs: false } => {
            info(format!("node {} has the same configuration", node(*which)))
        }
        News::Clock { node: which, ahead: 0 } => info(format!("the clock of node {} is right again", node(*which))),
        News::Clock { node: which, ahead } => warn(clock(node(*which), *ahead)),
        News::Deaf { node: which, deaf: true } => warn(format!(
            "node {0} is heard and acknowledges nothing.  Next: see whether it hears this node (a firewall there, a \
             cable that works one way)",
            node(*which)
        )),
        News::Deaf { node: which, deaf: false } => info(format!("node {} acknowledges again", node(*which))),
        News::CutOff { here, there } => warn(match there {
            Some(there) => {
                format!("this node reaches {here} ping nodes and the other one {there}: it gives its groups up")
            }
            None => format!("this node reaches {here} ping nodes, fewer than the other one: it gives its groups up"),
        }),
        News::Dropped { node: which, reason } => {
            let why = match reason {
                Unheard::OldGeneration => {
                    "it is of an earlier run of that node, or replayed.  Next: where that goes on, start that node again \
                     (its generation may have been lost)"
                }
                // Each message comes over every medium.
                Unheard::Again => return None,
                Unheard::Malformed => "it lacks a field, or has one that makes no sense",
            };
            let name = node(*which);
            let text = format!("a message of node {name} was dropped: {why}");
            goes_on(format!("dropped {name} {reason:?}"), Severity::Warning, text)
        }
    }
}

/// Fencing was given up.
pub(super) fn unfenced(node: &str) -> String {
    format!(
        "node {node} could not be fenced, and is not tried again; nothing of it is taken over.  Next: make sure by hand that \
         it is off, then `evenkeel confirm {node}`"
    )
}

/// A fence device did not do what it said.
pub(super) fn fenced_but_heard(node: &str) -> String {
    format!(
        "node {node} is heard although it was fenced and has not restarted.  Next: see whether its fence device is the right \
         one"
    )
}

/// Nodes have different files.
pub(super) fn differs(node: &str) -> String {
    format!("node {node} has another configuration.  Next: copy ha.cf and haresources to all nodes")
}

/// Nodes have different times.
pub(super) fn clock(node: &str, ahead: i64) -> String {
    let way = if ahead > 0 { "ahead of" } else { "behind" };
    format!("the clock of node {node} is {} s {way} this one's.  Next: set both by NTP", ahead.unsigned_abs())
}

/// What is answered when a request was carried out.
pub(super) fn done(request: &Request) -> &'static str {
    if matches!(request, Request::Confirm { .. }) {
        "done: that node counts as off, and what it had is taken over"
    } else {
        "done: the groups are where they were asked to be"
    }
}

/// Who hears heartbeats on this host already. Two on one port take messages from each other, and each would serve.
pub(super) fn heard_already(wanted: &Heartbeat) -> Option<String> {
    let ports = wanted.media.iter().filter_map(|medium| match medium {
        Medium::Unicast { peer, port, .. } if peer.is_ipv6() => Some((Ipv6Addr::UNSPECIFIED.into(), *port)),
        Medium::Unicast { port, .. } | Medium::Broadcast { port, .. } => Some((Ipv4Addr::UNSPECIFIED.into(), *port)),
        Medium::Multicast { group, port, .. } => Some(((*group).into(), *port)),
        Medium::Multicast6 { group, port, .. } => Some(((*group).into(), *port)),
        Medium::Serial { .. } => None,
    });
    let mut taken = ports.filter_map(|(address, port)| Some((port, UdpListener::find(address, port)?)));
    taken.find(|(_, listener)| listener.pid != Some(std::process::id())).map(|(port, listener)| {
        let who = match listener.pid {
            Some(pid) => format!("process {pid} ({})", listener.program),
            None => "another process".to_owned(),
        };
        format!("{who} has UDP port {port} of this host, on which heartbeats are heard: end it first, if it is heartbeat by `heartbeat -k`")
    })
}

/// Addresses of groups that this host has already, and not by their group.
pub(super) fn strays<'a>(strays: impl IntoIterator<Item = &'a Stray>) -> Option<String> {
    const SHOWN: usize = 8;
    let strays: Vec<&Stray> = strays.into_iter().collect();
    let first = strays.first()?;
    let told: Vec<String> =
        strays.iter().take(SHOWN).map(|stray| format!("{} ({})", stray.address, stray.interface)).collect();
    let more = if strays.len() > SHOWN { ", ..." } else { "" };
    let Stray { address, prefix, interface } = first;
    Some(format!(
        "this host has {}{more}, which a resource group is to hold, and evenkeel has not put it there: as long as another node \
         has the group, two hosts answer for it.  Next: `ip address del {address}/{prefix} dev {interface}`, and take it out \
         of whatever sets it at boot; evenkeel adds it where the group runs",
        told.join(", ")
    ))
}

/// The group that holds an address.
pub(super) fn group_of(wanted: &Heartbeat, address: IpAddr) -> Option<&str> {
    let has = |group: &&Group| {
        group.resources.iter().any(|resource| matches!(&resource.agent, Agent::Ip(ip) if ip.address == address))
    };
    wanted.groups.iter().find(has).map(|group| group.key.as_str())
}

/// What heartbeat 3.0.6 tells of directives that evenkeel has no use for, where ha.cf says nothing (`heartbeat -W`).
const UNUSED: [(&str, &str); 17] = [
    ("autojoin", "none"),
    ("compression", "zlib"),
    ("compression_threshold", "2"),
    ("conn_logd_time", "60"),
    ("coredumps", "true"),
    ("debug", "0"),
    ("enable_config_writes", "on"),
    ("hbgenmethod", "file"),
    ("log_badpack", "true"),
    ("memreserve", "6500"),
    ("pacemaker", "false"),
    ("realtime", "true"),
    ("record_config_changes", "on"),
    ("record_pengine_inputs", "on"),
    ("syslogmsgfmt", "true"),
    ("traditional_compression", "no"),
    ("uuidfrom", "file"),
];

/// What was configured, by heartbeat's names, as `cl_status hbparameter` has it and scripts find it.
pub(super) fn parameters(wanted: &Heartbeat) -> BTreeMap<String, String> {
    let time = |time: Duration| match time.subsec_millis() {
        0 => time.as_secs().to_string(),
        _ => format!("{}ms", time.as_millis()),
    };
    let port = wanted.media.iter().find_map(|medium| match medium {
        Medium::Unicast { port, .. } | Medium::Broadcast { port, .. } => Some(*port),
        Medium::Multicast { .. } | Medium::Multicast6 { .. } | Medium::Serial { .. } => None,
    });
    let baud = wanted.media.iter().find_map(|medium| match medium {
        Medium::Serial { baud, .. } => Some(baud.get()),
        Medium::Unicast { .. } | Medium::Broadcast { .. } | Medium::Multicast { .. } | Medium::Multicast6 { .. } => {
            None
        }
    });
    let timing = &wanted.timing;
    let all = [
        ("auto_failback", wanted.failback.word().to_owned()),
        ("baud", baud.unwrap_or(19_200).to_string()),
        ("cluster", wanted.cluster.clone()),
        ("deadping", time(timing.deadping)),
        ("deadtime", time(timing.deadtime)),
        ("hopfudge", wanted.hop_fudge.to_string()),
        ("initdead", time(timing.initdead)),
        ("keepalive", time(timing.keepalive)),
        ("max_rexmit_delay", wanted.rexmit_delay.as_millis().to_string()),
        ("msgfmt", wanted.form.word().to_owned()),
        ("node", names(&wanted.nodes).replace(", ", " ")),
        ("udpport", port.unwrap_or(694).to_string()),
        ("warntime", time(timing.warntime)),
    ];
    let path = |name, path: &Option<PathBuf>| path.as_ref().map(|path| (name, path.display().to_string()));
    let logs = [path("watchdog", &wanted.watchdog), path("logfile", &wanted.log_file)];
    let facility = wanted.log_facility.clone().map(|facility| ("logfacility", facility));
    let unused = UNUSED.into_iter().map(|(name, value)| (name, value.to_owned()));
    let all = unused.chain(all).chain(logs.into_iter().flatten()).chain(facility);
    let said = wanted.environment.iter().cloned();
    all.map(|(name, value)| (name.to_owned(), value)).chain(said).collect()
}
