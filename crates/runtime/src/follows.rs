//! What the host's network has to do with the services: whose ways are followed, whose traffic is taken. Everything is
//! counted, so that an edit of one service costs what that service costs.

use evenkeel_engine::Followed;
use evenkeel_model::{Cluster, Forwarding, Match, Prefix, ServiceKey};
use std::{
    collections::{BTreeMap, BTreeSet},
    net::{IpAddr, SocketAddr},
};

/// How often a real server's address is named.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Uses {
    all: usize,
    /// So that its answers come back by the director.
    translated: usize,
}

/// See the module.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Follows {
    servers: BTreeMap<IpAddr, Uses>,
    destinations: BTreeMap<Prefix, usize>,
    /// Where the packets go that the host's own rules give a mark.
    marked: BTreeSet<Prefix>,
}

/// What has come or gone by an edit.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct News {
    /// Real servers, whose ways are to be followed or not any more.
    pub servers: Vec<IpAddr>,
    /// Where packets go that are to be taken or not any more.
    pub destinations: Vec<Prefix>,
    /// Real servers whose answers come back here, or not any more.
    pub translated: Vec<IpAddr>,
}

/// A service that a client made.
pub(crate) type Made = (ServiceKey, Vec<(SocketAddr, Forwarding)>);

impl Follows {
    /// All that a cluster has, and what clients have made beside it.
    pub(crate) fn of(cluster: &Cluster, made: impl Iterator<Item = Made>) -> Follows {
        let mut follows =
            Follows { servers: servers(cluster), destinations: destinations(cluster), marked: BTreeSet::new() };
        let mut made = made.peekable();
        if made.peek().is_none() {
            return follows;
        }
        let named: BTreeSet<ServiceKey> = cluster.services.iter().map(|service| service.key).collect();
        for (key, servers) in made.filter(|(key, _)| !named.contains(key)) {
            let servers = servers.into_iter().map(|(address, method)| Followed::RealServer(address.ip(), method));
            let all: Vec<Followed> = std::iter::once(Followed::Service(key)).chain(servers).collect();
            follows.more(&all);
        }
        follows
    }

    /// Each of these is named once more; what was not named before.
    pub(crate) fn more(&mut self, named: &[Followed]) -> News {
        let mut news = News::default();
        for one in named {
            match one {
                Followed::Service(key) => {
                    let Some(destination) = key.address().map(host) else { continue };
                    let count = self.destinations.entry(destination).or_default();
                    *count += 1;
                    news.destinations.extend((*count == 1).then_some(destination));
                }
                Followed::RealServer(_, Forwarding::Local) => {}
                Followed::RealServer(ip, method) => {
                    let uses = self.servers.entry(*ip).or_default();
                    uses.all += 1;
                    news.servers.extend((uses.all == 1).then_some(*ip));
                    if method.translates_ports() {
                        uses.translated += 1;
                        news.translated.extend((uses.translated == 1).then_some(*ip));
                    }
                }
            }
        }
        news
    }

    /// Each of these is named once less; what is not named any more.
    pub(crate) fn less(&mut self, named: &[Followed]) -> News {
        let mut news = News::default();
        for one in named {
            match one {
                Followed::Service(key) => {
                    let Some(destination) = key.address().map(host) else { continue };
                    let Some(count) = self.destinations.get_mut(&destination) else { continue };
                    *count -= 1;
                    if *count == 0 {
                        self.destinations.remove(&destination);
                        news.destinations.push(destination);
                    }
                }
                Followed::RealServer(_, Forwarding::Local) => {}
                Followed::RealServer(ip, method) => {
                    let Some(uses) = self.servers.get_mut(ip) else { continue };
                    uses.all -= 1;
                    if method.translates_ports() {
                        uses.translated = uses.translated.saturating_sub(1);
                        news.translated.extend((uses.translated == 0).then_some(*ip));
                    }
                    if uses.all == 0 {
                        self.servers.remove(ip);
                        news.servers.push(*ip);
                    }
                }
            }
        }
        news
    }

    /// Whether packets are sent to this address.
    pub(crate) fn names(&self, server: IpAddr) -> bool {
        self.servers.contains_key(&server)
    }

    /// Whom packets are sent to.
    pub(crate) fn servers(&self) -> BTreeSet<IpAddr> {
        self.servers.keys().copied().collect()
    }

    /// Those of them whose answers come back by this host.
    pub(crate) fn translated(&self) -> impl Iterator<Item = IpAddr> + '_ {
        self.servers.iter().filter(|(_, uses)| uses.translated > 0).map(|(ip, _)| *ip)
    }

    /// Where the packets go that are to be taken: virtual addresses, and what has a mark.
    pub(crate) fn destinations(&self) -> BTreeSet<Prefix> {
        self.destinations.keys().chain(&self.marked).copied().collect()
    }

    /// The host's own rules give marks to packets that go there; whether that is new.
    pub(crate) fn mark(&mut self, marked: BTreeSet<Prefix>) -> bool {
        let is_new = self.marked != marked;
        self.marked = marked;
        is_new
    }
}

/// The prefix of one address.
pub(crate) fn host(address: IpAddr) -> Prefix {
    let bits = if address.is_ipv4() { 32 } else { 128 };
    #[expect(clippy::expect_used, reason = "an address has as many bits as its family")]
    Prefix::new(address, bits).expect("a prefix of all bits is one")
}

/// Where the packets of a cluster's services go.
pub(crate) fn destinations(cluster: &Cluster) -> BTreeMap<Prefix, usize> {
    let of = |service: &evenkeel_model::Service| -> Vec<Prefix> {
        let marked = |one: &Match| one.destination;
        service.key.address().map(host).into_iter().chain(service.matches.iter().map(marked)).collect()
    };
    counted(cluster.services.iter().flat_map(of).map(|prefix| (prefix, ())), |count: &mut usize, ()| *count += 1)
}

fn servers(cluster: &Cluster) -> BTreeMap<IpAddr, Uses> {
    let all = cluster.services.iter().flat_map(|service| {
        let servers = service.real_servers.iter().map(|r| (r.address.ip(), r.forwarding));
        servers.chain(service.fallback.iter().map(|f| (f.address.ip(), f.forwarding)))
    });
    counted(all.filter(|(_, method)| *method != Forwarding::Local), |uses: &mut Uses, method| {
        uses.all += 1;
        uses.translated += usize::from(method.translates_ports());
    })
}

/// Sorted first: a tree that is made of many at a time is made faster than by inserting each.
fn counted<K: Ord + Copy, V: Copy, C: Default>(
    items: impl Iterator<Item = (K, V)>,
    count: impl Fn(&mut C, V),
) -> BTreeMap<K, C> {
    let mut items: Vec<(K, V)> = items.collect();
    items.sort_unstable_by_key(|(key, _)| *key);
    let groups = items.chunk_by(|(a, _), (b, _)| a == b);
    let one = |group: &[(K, V)]| {
        let mut sum = C::default();
        group.iter().for_each(|(_, value)| count(&mut sum, *value));
        group.first().map(|(key, _)| (*key, sum))
    };
    groups.filter_map(one).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use evenkeel_model::Protocol;

    fn named() -> Vec<Followed> {
        let ip = "192.0.2.2".parse().unwrap();
        vec![
            Followed::Service(ServiceKey::new("192.0.2.1".parse().unwrap(), Protocol::Tcp, 80)),
            Followed::Service(ServiceKey::new("192.0.2.1".parse().unwrap(), Protocol::Tcp, 443)),
            Followed::RealServer(ip, Forwarding::DirectRouting),
            Followed::RealServer(ip, Forwarding::Nat),
            Followed::RealServer("192.0.2.9".parse().unwrap(), Forwarding::Local),
        ]
    }

    #[test]
    fn what_is_named_twice_is_new_once_and_gone_with_the_second() {
        let mut follows = Follows::default();
        let news = follows.more(&named());
        assert_eq!(news.servers.len(), 1);
        assert_eq!(news.destinations.len(), 1);
        assert_eq!(follows.translated().count(), 1);
        assert_eq!(follows.more(&named()), News::default());
        assert_eq!(follows.less(&named()), News::default());
        let gone = follows.less(&named());
        assert_eq!((gone.servers.len(), gone.destinations.len(), gone.translated.len()), (1, 1, 1));
        assert_eq!(follows, Follows::default());
        assert_eq!(follows.less(&named()), News::default());
    }
}
