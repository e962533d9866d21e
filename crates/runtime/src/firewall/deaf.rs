//! Rules of the host's firewall that keep out heartbeats and advertisements of VRRP.

use evenkeel_model::{
    Cluster,
    heartbeat::{Heartbeat, Medium},
    vrrp::{Authentication, Instance, Reach},
};
use evenkeel_os::firewall::{Awaited, Barrier, Cast, HostRules};
use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
    net::IpAddr,
};

/// IP protocol numbers.
const UDP: u8 = 17;
const AH: u8 = 51;
const VRRP: u8 = 112;
/// Rules told of one kind of message.
const TOLD: usize = 3;

/// Who wants to hear something.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Listener {
    /// A node of a heartbeat cluster, by this medium.
    Medium(Medium),
    /// The VRRP instance of this name.
    Instance(String),
}

/// What is waited for, and by whom.
pub(super) type Listeners = BTreeMap<Awaited, BTreeSet<Listener>>;

/// Messages that do not come in, or may not.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Deaf {
    /// Who does not hear them.
    pub(crate) listeners: BTreeSet<Listener>,
    /// A rule certainly keeps them out.
    pub(crate) surely: bool,
    /// What, and by which rule.
    pub(crate) what: String,
    /// What lets them in.
    pub(crate) remedy: String,
}

impl fmt::Display for Deaf {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let next = if self.surely { "Next" } else { "If so" };
        write!(f, "{}.  {next}: {}", self.what, self.remedy)
    }
}

/// Everything that the nodes of `cluster` say to this one.
pub(super) fn listeners(cluster: &Cluster) -> Listeners {
    let mut listeners = Listeners::new();
    let media = cluster.heartbeat.as_ref().map(media).unwrap_or_default();
    let adverts = cluster.vrrp.instances.iter().flat_map(adverts);
    for (awaited, listener) in media.into_iter().chain(adverts) {
        listeners.entry(awaited).or_default().insert(listener);
    }
    listeners
}

fn media(cluster: &Heartbeat) -> Vec<(Awaited, Listener)> {
    let of = |medium: &Medium| {
        let (interface, port, ipv4, source, destination, cast) = match medium {
            Medium::Unicast { interface, peer, port } => {
                (interface, port, peer.is_ipv4(), Some(*peer), None, Cast::One)
            }
            Medium::Broadcast { interface, port } => (interface, port, true, None, None, Cast::All),
            Medium::Multicast { interface, group, port, .. } => {
                (interface, port, true, None, Some(IpAddr::V4(*group)), Cast::Group)
            }
            Medium::Multicast6 { interface, group, port, .. } => {
                (interface, port, false, None, Some(IpAddr::V6(*group)), Cast::Group)
            }
            Medium::Serial { .. } => return None,
        };
        let (interface, port) = (interface.clone(), Some(*port));
        let awaited = Awaited { interface, ipv4, source, destination, cast, protocol: UDP, port };
        Some((awaited, Listener::Medium(medium.clone())))
    };
    cluster.media.iter().filter_map(of).collect()
}

fn adverts(instance: &Instance) -> Vec<(Awaited, Listener)> {
    let by_group = Awaited {
        interface: instance.interface.clone(),
        ipv4: !instance.is_ipv6(),
        source: None,
        destination: Some(instance.multicast_group()),
        cast: Cast::Group,
        protocol: match instance.authentication {
            Authentication::Header(_) => AH,
            Authentication::None | Authentication::Password(_) => VRRP,
        },
        port: None,
    };
    let all = match &instance.reach {
        Reach::Multicast => vec![by_group],
        Reach::Unicast { peers, .. } => {
            let from = |source: IpAddr| Awaited {
                ipv4: source.is_ipv4(),
                source: Some(source),
                destination: instance.source,
                cast: Cast::One,
                ..by_group.clone()
            };
            peers.iter().map(|peer| from(peer.address)).collect()
        }
    };
    let listener = Listener::Instance(instance.name.clone());
    all.into_iter().map(|awaited| (awaited, listener.clone())).collect()
}

/// What these rules keep out.
pub(super) fn look(rules: &HostRules, listeners: &Listeners) -> Vec<Deaf> {
    let of = |(awaited, listeners): (&Awaited, &BTreeSet<Listener>)| deaf(awaited, listeners, &rules.barriers(awaited));
    listeners.iter().filter_map(of).collect()
}

/// `None` where there is no barrier.
fn deaf(awaited: &Awaited, listeners: &BTreeSet<Listener>, barriers: &[Barrier]) -> Option<Deaf> {
    let surely = barriers.first()?.surely;
    let Awaited { interface, source, protocol, port, .. } = awaited;
    let from = source.map(|source| format!(" of {source}")).unwrap_or_default();
    let what = match (port, listeners.first()) {
        (Some(port), _) => format!("heartbeats{from} on {interface} (UDP port {port})"),
        (None, Some(Listener::Instance(name))) => {
            let more = listeners.len().saturating_sub(1);
            let more = if more == 0 { String::new() } else { format!(" and {more} more") };
            format!("advertisements{from} for VRRP instance {name}{more} on {interface} (IP protocol {protocol})")
        }
        (None, _) => format!("packets{from} on {interface} (IP protocol {protocol})"),
    };
    let told = barriers.get(..TOLD.min(barriers.len())).unwrap_or_default();
    let rules: Vec<String> = told.iter().map(|barrier| format!("`{barrier}`")).collect();
    let rules = rules.join(" and ");
    let remedies: BTreeSet<String> = told.iter().map(|barrier| barrier.remedy(awaited)).collect();
    let what = if surely {
        format!("this host's firewall drops {what}: {rules}")
    } else {
        format!("this host's firewall may drop {what}, as not all that its rules ask for is known: {rules}")
    };
    let remedy = remedies.into_iter().collect::<Vec<_>>().join("; ");
    Some(Deaf { listeners: listeners.clone(), surely, what, remedy })
}

#[cfg(test)]
mod tests {
    use super::*;
    use evenkeel_model::vrrp::{Peer, Version, Vip, Vrid};

    fn instance() -> Instance {
        let vip = Vip::new([192, 0, 2, 10].into(), 24);
        let vrid = Vrid::new(5).expect("it is not 0");
        Instance::new("web".to_owned(), "eth0".to_owned(), vrid, Version::Two, vec![vip])
    }

    #[test]
    fn an_instance_listens_to_its_group_or_to_each_of_its_peers() {
        let of = |instance: &Instance| adverts(instance).into_iter().map(|(awaited, _)| awaited).collect::<Vec<_>>();
        let mut one = instance();
        let group = of(&one);
        assert!(group.len() == 1 && group[0].protocol == 112 && group[0].cast == Cast::Group, "{group:?}");
        assert_eq!(group[0].destination, Some([224, 0, 0, 18].into()));
        one.authentication = Authentication::Header([0; 8]);
        assert_eq!(of(&one)[0].protocol, 51);
        let peer = |last: u8| Peer { address: [192, 0, 2, last].into(), hops: 0..=255 };
        one.reach = Reach::Unicast { peers: vec![peer(2), peer(3)], check_source: false };
        let peers = of(&one);
        assert!(peers.len() == 2 && peers.iter().all(|peer| peer.cast == Cast::One && peer.destination.is_none()));
        assert_eq!(peers[1].source, Some([192, 0, 2, 3].into()));
    }

    #[test]
    fn instances_that_wait_for_the_same_are_told_together_with_what_to_do() {
        let mut cluster = Cluster::default();
        cluster.vrrp.instances = vec![instance(), Instance { name: "mail".to_owned(), ..instance() }];
        let all = listeners(&cluster);
        assert_eq!(all.len(), 1);
        let (awaited, listeners) = all.iter().next().expect("one");
        let saved = "*filter\n:INPUT DROP [0:0]\nCOMMIT\n";
        let rules = evenkeel_os::firewall::Rules::from_iptables_save(saved, true);
        let barriers = evenkeel_os::firewall::barriers(&rules, awaited);
        assert_eq!(
            deaf(awaited, listeners, &barriers).expect("a barrier").to_string(),
            "this host's firewall drops advertisements for VRRP instance mail and 1 more on eth0 (IP protocol 112): \
             `ip filter INPUT: policy drop`.  Next: iptables -I INPUT -i eth0 -p vrrp -j ACCEPT"
        );
    }
}
