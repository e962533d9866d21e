//! What the host's own rules give firewall marks to (docs/adr on marks): read at start and reload, when a client first asks
//! for a mark, and every few seconds while a service depends on it.

use evenkeel_dataplane::Table;
use evenkeel_engine::HostMarks;
use evenkeel_model::{Cluster, Prefix, ServiceKey};
use evenkeel_netlink::nf_tables;
use evenkeel_os::firewall::{HostMarks as Rules, Unexpressed};
use std::collections::BTreeSet;
use tokio::sync::mpsc;

/// What a look at the host's rules found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Learned {
    /// By the keys of services.
    pub(crate) marks: HostMarks,
    /// Rules that cannot be followed, and what could not be seen, a sentence each.
    pub(crate) unfollowed: Vec<String>,
}

impl Learned {
    /// Where the packets go that have a mark.
    pub(crate) fn destinations(&self) -> BTreeSet<Prefix> {
        self.marks.values().flatten().map(|one| one.destination).collect()
    }
}

/// Whether a service of the files, or one that is in the table already, leaves it to the host's rules what has its mark.
pub(crate) fn are_asked_for(cluster: &Cluster, observed: &Table) -> bool {
    let is_marked = |key: &ServiceKey| key.mark().is_some();
    cluster.services.iter().any(asks) || observed.services.keys().any(is_marked)
}

fn asks(service: &evenkeel_model::Service) -> bool {
    service.key.mark().is_some() && service.matches.is_empty()
}

/// Looks now; waits for the host's tools.
pub(crate) fn look() -> Learned {
    let Rules { marks, unseen } = read();
    let rules = marks.unexpressed.iter().map(not_followed);
    let unfollowed = unseen.into_iter().chain(rules).collect();
    let key = |(mark, family)| ServiceKey::Mark { mark, family };
    Learned { marks: marks.matches.into_iter().map(|(of, matches)| (key(of), matches)).collect(), unfollowed }
}

/// What a cluster's services by mark lose, as far as they leave it to the host's rules what has their mark.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Lost {
    /// Rules that set such a mark, or nobody knows which, and cannot be followed; a sentence each.
    pub(crate) rules: Vec<String>,
    /// What could not be seen, a sentence each.
    pub(crate) unseen: Vec<String>,
}

/// Looks what the services of a cluster lose; waits for the host's tools where there is such a service.
pub(crate) fn lost(cluster: &Cluster) -> Lost {
    let asked: BTreeSet<_> = cluster.services.iter().filter(|s| asks(s)).filter_map(|s| s.key.mark()).collect();
    if asked.is_empty() {
        return Lost::default();
    }
    let Rules { marks, unseen } = read();
    let concerns = |rule: &&Unexpressed| rule.mark.is_none_or(|mark| asked.contains(&mark));
    Lost { rules: marks.unexpressed.iter().filter(concerns).map(not_followed).collect(), unseen }
}

fn not_followed(rule: &Unexpressed) -> String {
    format!("a rule of the host that sets marks is not followed: {rule}")
}

fn read() -> Rules {
    let (tables, trouble) = match nf_tables() {
        Ok(tables) => (tables, None),
        Err(e) => (Vec::new(), Some(format!("whether nftables sets marks cannot be seen: {e}"))),
    };
    let Rules { marks, unseen } = Rules::read(&tables);
    Rules { marks, unseen: trouble.into_iter().chain(unseen).collect() }
}

/// Looks on a thread of its own and tells what was found.
pub(crate) fn look_aside(tell: mpsc::Sender<Learned>) {
    tokio::task::spawn_local(async move {
        let Ok(learned) = tokio::task::spawn_blocking(look).await else { return };
        // Nobody listens any more when the daemon ends.
        let _ = tell.send(learned).await;
    });
}
