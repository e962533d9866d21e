//! Addresses whose packets this host is not to take (`no_accept`): kept in the kernel beside the elections.

use evenkeel_ha::News;
use evenkeel_model::vrrp;
use evenkeel_netlink::nf_tables;
use evenkeel_os::firewall::refuse;
use std::{
    collections::BTreeSet,
    net::IpAddr,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};
use tokio::{sync::mpsc, task::JoinHandle};

/// What is refused, and who is told when that does not work.
#[derive(Debug)]
pub(crate) struct Refusals {
    /// `None` before anything was looked at: a former run may have left something.
    wanted: Option<BTreeSet<IpAddr>>,
    /// What is wanted last is done last, whoever comes first.
    latest: Arc<Mutex<BTreeSet<IpAddr>>>,
    /// Whose turn it is with the tool.
    turn: Arc<Mutex<()>>,
    tell: mpsc::Sender<News>,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Refusals {
    pub(crate) fn new(tell: mpsc::Sender<News>) -> Refusals {
        Refusals { wanted: None, latest: Arc::default(), turn: Arc::default(), tell }
    }

    /// Refuses what these instances do not accept, from now on.
    pub(crate) fn follow(&mut self, instances: &[vrrp::Instance]) {
        let wanted = instances.iter().flat_map(vrrp::Instance::refused_addresses).collect();
        if self.wanted.as_ref() != Some(&wanted) {
            self.begin(wanted);
        }
    }

    /// Refuses nothing any more.
    pub(crate) async fn end(&mut self) {
        if self.wanted.as_ref().is_some_and(|wanted| !wanted.is_empty())
            && let Some(work) = self.begin(BTreeSet::new())
        {
            let _ = work.await;
        }
    }

    fn begin(&mut self, wanted: BTreeSet<IpAddr>) -> Option<JoinHandle<()>> {
        self.wanted = Some(wanted.clone());
        *lock(&self.latest) = wanted;
        let (latest, turn, tell) = (Arc::clone(&self.latest), Arc::clone(&self.turn), self.tell.clone());
        let runtime = tokio::runtime::Handle::try_current().ok()?;
        Some(runtime.spawn_blocking(move || {
            let _turn = lock(&turn);
            let latest = lock(&latest).clone();
            let done = nf_tables().map_err(|e| e.to_string()).and_then(|tables| refuse(&latest, &tables));
            // Who may not look has left nothing either.
            if let Err(why) = done
                && !latest.is_empty()
            {
                let _ = tell.try_send(News::Trouble(why));
            }
        }))
    }
}
