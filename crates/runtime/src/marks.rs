//! What the host's own rules give firewall marks to (docs/adr on marks): read at start and reload, when a client first asks
//! for a mark, and every few seconds while a service depends on it.

use evenkeel_dataplane::Table;
use evenkeel_engine::HostMarks;
use evenkeel_model::{Cluster, Prefix, ServiceKey};
use evenkeel_netlink::nf_tables;
use evenkeel_os::firewall::HostMarks as Rules;
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
    let asks = |service: &evenkeel_model::Service| service.key.mark().is_some() && service.matches.is_empty();
    let is_marked = |key: &ServiceKey| key.mark().is_some();
    cluster.services.iter().any(asks) || observed.services.keys().any(is_marked)
}

/// Looks now; waits for the host's tools.
pub(crate) fn look() -> Learned {
    let (tables, trouble) = match nf_tables() {
        Ok(tables) => (tables, None),
        Err(e) => (Vec::new(), Some(format!("whether nftables sets marks cannot be seen: {e}"))),
    };
    let Rules { marks, unseen } = Rules::read(&tables);
    let rules =
        marks.unexpressed.iter().map(|rule| format!("a rule of the host that sets marks is not followed: {rule}"));
    let unfollowed = trouble.into_iter().chain(unseen).chain(rules).collect();
    let key = |(mark, family)| ServiceKey::Mark { mark, family };
    Learned { marks: marks.matches.into_iter().map(|(of, matches)| (key(of), matches)).collect(), unfollowed }
}

/// Looks on a thread of its own and tells what was found.
pub(crate) fn look_aside(tell: mpsc::Sender<Learned>) {
    tokio::task::spawn_local(async move {
        let Ok(learned) = tokio::task::spawn_blocking(look).await else { return };
        // Nobody listens any more when the daemon ends.
        let _ = tell.send(learned).await;
    });
}
