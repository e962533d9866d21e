//! How VRRP instances stand: asked of the thread that holds their elections, and waited for a moment.

use evenkeel_ha::Report;
use std::{
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

/// How long the answer is waited for. The thread has real-time priority and answers in its next turn; without an answer
/// the last one has to do.
const PATIENCE: Duration = Duration::from_millis(50);

/// The last answer.
#[derive(Clone, Debug, Default)]
pub(crate) struct Reports(Arc<Shared>);

#[derive(Debug, Default)]
struct Shared {
    latest: Mutex<Latest>,
    told: Condvar,
}

#[derive(Debug, Default)]
struct Latest {
    /// How many answers there were.
    count: u64,
    reports: Arc<[Report]>,
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, Latest> {
        self.latest.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Reports {
    /// Keeps an answer.
    pub(crate) fn put(&self, reports: &[Report]) {
        let reports = reports.into();
        let mut latest = self.0.lock();
        latest.count += 1;
        latest.reports = reports;
        drop(latest);
        self.0.told.notify_all();
    }

    /// The answer that follows on `ask`, else the last one.
    pub(crate) fn after(&self, ask: impl FnOnce()) -> Arc<[Report]> {
        let before = self.0.lock().count;
        ask();
        let waited = self.0.told.wait_timeout_while(self.0.lock(), PATIENCE, |latest| latest.count == before);
        let (latest, _) = waited.unwrap_or_else(PoisonError::into_inner);
        Arc::clone(&latest.reports)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use evenkeel_vrrp::{Output, Role, Statistics};
    use std::thread;

    /// Of one that has advertised once.
    fn report() -> Report {
        let mut statistics = Statistics::default();
        statistics.say(&Output::Advertise { priority: 100 });
        Report {
            instance: "a".into(),
            role: Role::Backup,
            priority: 100,
            source: None,
            ifindex: None,
            link_works: true,
            holds: false,
            due_in: None,
            socket: None,
            statistics,
        }
    }

    #[test]
    fn the_answer_to_a_question_is_waited_for_and_an_old_one_has_to_do_where_there_is_none() {
        let reports = Reports::default();
        assert!(reports.after(|| {}).is_empty());
        let other = reports.clone();
        let mut thread = None;
        let told = reports.after(|| thread = Some(thread::spawn(move || other.put(&[report()]))));
        thread.expect("asked").join().expect("it ends");
        // A machine that stands still for so long is forgiven.
        assert!(told.is_empty() || told[0].statistics.sent == 1);
        assert_eq!(reports.after(|| {})[0].statistics.sent, 1);
    }
}
