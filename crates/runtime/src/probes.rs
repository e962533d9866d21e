//! Makes the attempts the engine orders, many at a time.
//!
//! Orders come in and reports go out as plain messages: this is to become a process of its own. Each attempt is a task;
//! one that panics is a failed attempt and nothing more.

use evenkeel_engine::{CheckId, ProbeOrder};
use evenkeel_health::{Reason, Verdict};
use evenkeel_probe::Prober;
use std::{
    collections::{BTreeMap, HashMap, VecDeque},
    rc::Rc,
    time::Duration,
};
use tokio::{
    sync::mpsc,
    task::{AbortHandle, Id, JoinSet},
};

/// Reports that wait for the core.
const REPORTS: usize = 1024;

/// To the probes.
#[derive(Debug)]
pub(crate) enum ToProbes {
    /// Make an attempt.
    Order(Box<ProbeOrder>),
    /// Give one up.
    Cancel(CheckId, u64),
}

/// From the probes.
#[derive(Debug, PartialEq)]
pub(crate) enum Report {
    /// The attempt has got its turn.
    Begun(CheckId, u64),
    /// The attempt has ended.
    Ended(CheckId, u64, Verdict),
}

/// The core's side. Orders need no bound of their own: the engine has at most one attempt of a check open.
pub(crate) struct Probes {
    /// Takes orders.
    pub orders: mpsc::UnboundedSender<ToProbes>,
    /// Gives reports.
    pub reports: mpsc::Receiver<Report>,
}

impl Probes {
    /// Starts to take orders; attempts above `at_a_time` wait their turn.
    pub(crate) fn start(prober: Prober, at_a_time: usize) -> Probes {
        let prober = Rc::new(prober);
        Probes::with(at_a_time, move |order: ProbeOrder| {
            let prober = prober.clone();
            async move { prober.attempt_from(&order.origin, &order.probe, order.timeout).await }
        })
    }

    fn with<A, F>(limit: usize, attempt: A) -> Probes
    where
        A: Fn(ProbeOrder) -> F + 'static,
        F: Future<Output = Verdict> + 'static,
    {
        let (orders, incoming) = mpsc::unbounded_channel();
        let (outgoing, reports) = mpsc::channel(REPORTS);
        let bench = Bench {
            attempt,
            limit,
            waiting: VecDeque::new(),
            running: JoinSet::new(),
            by_task: HashMap::new(),
            by_attempt: BTreeMap::new(),
            reports: outgoing,
        };
        tokio::task::spawn_local(bench.work(incoming));
        Probes { orders, reports }
    }
}

/// Nobody listens to reports any more.
struct Over;

struct Bench<A> {
    attempt: A,
    limit: usize,
    waiting: VecDeque<ProbeOrder>,
    running: JoinSet<Verdict>,
    by_task: HashMap<Id, (CheckId, u64)>,
    by_attempt: BTreeMap<(CheckId, u64), AbortHandle>,
    reports: mpsc::Sender<Report>,
}

impl<A, F> Bench<A>
where
    A: Fn(ProbeOrder) -> F,
    F: Future<Output = Verdict> + 'static,
{
    async fn work(mut self, mut orders: mpsc::UnboundedReceiver<ToProbes>) {
        loop {
            let step = tokio::select! {
                order = orders.recv() => match order {
                    Some(ToProbes::Order(order)) => {
                        self.waiting.push_back(*order);
                        Ok(())
                    }
                    Some(ToProbes::Cancel(check, attempt)) => {
                        self.cancel(check, attempt);
                        Ok(())
                    }
                    None => Err(Over),
                },
                Some(ended) = self.running.join_next_with_id(), if !self.running.is_empty() => self.ended(ended).await,
            };
            if step.is_err() || self.begin().await.is_err() {
                return;
            }
        }
    }

    /// Gives attempts their turn while there is room.
    async fn begin(&mut self) -> Result<(), Over> {
        while self.running.len() < self.limit
            && let Some(order) = self.waiting.pop_front()
        {
            let name = (order.check, order.attempt);
            self.tell(Report::Begun(name.0, name.1)).await?;
            let task = self.running.spawn_local((self.attempt)(order));
            self.by_task.insert(task.id(), name);
            self.by_attempt.insert(name, task);
        }
        Ok(())
    }

    async fn ended(&mut self, ended: Result<(Id, Verdict), tokio::task::JoinError>) -> Result<(), Over> {
        let (id, verdict) = match ended {
            Ok((id, verdict)) => (id, verdict),
            Err(e) => {
                let why = if e.is_cancelled() { "given up" } else { "the probe failed within itself" };
                (e.id(), Verdict::bad(Reason::Local(why.to_owned()), Duration::ZERO))
            }
        };
        // A cancelled attempt has been forgotten: nobody wants its verdict.
        let Some((check, attempt)) = self.by_task.remove(&id) else { return Ok(()) };
        self.by_attempt.remove(&(check, attempt));
        self.tell(Report::Ended(check, attempt, verdict)).await
    }

    fn cancel(&mut self, check: CheckId, attempt: u64) {
        match self.by_attempt.remove(&(check, attempt)) {
            Some(task) => {
                self.by_task.remove(&task.id());
                task.abort();
            }
            None => self.waiting.retain(|order| (order.check, order.attempt) != (check, attempt)),
        }
    }

    async fn tell(&self, report: Report) -> Result<(), Over> {
        self.reports.send(report).await.map_err(|_| Over)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use evenkeel_model::{Origin, Probe};
    use tokio::task::LocalSet;

    fn order(check: u64, attempt: u64) -> ToProbes {
        let check = CheckId::from_number(check);
        let order = ProbeOrder {
            check,
            attempt,
            probe: Probe::AlwaysOn,
            origin: Origin::default(),
            timeout: Duration::from_secs(1),
        };
        ToProbes::Order(Box::new(order))
    }

    fn id(check: u64) -> CheckId {
        CheckId::from_number(check)
    }

    fn good() -> Verdict {
        Verdict::good("fine", Duration::ZERO)
    }

    /// Check 1 hangs, check 2 panics, all others are good.
    async fn behave(order: ProbeOrder) -> Verdict {
        match order.check.get() {
            1 => std::future::pending().await,
            2 => panic!("a fault in a probe"),
            _ => good(),
        }
    }

    #[tokio::test]
    async fn a_panic_in_a_probe_is_a_failed_attempt_and_others_go_on() {
        LocalSet::new()
            .run_until(async {
                let mut probes = Probes::with(8, behave);
                probes.orders.send(order(2, 7)).unwrap();
                assert_eq!(probes.reports.recv().await, Some(Report::Begun(id(2), 7)));
                let Some(Report::Ended(check, 7, verdict)) = probes.reports.recv().await else { panic!() };
                assert_eq!(check, id(2));
                assert!(verdict.reason().unwrap().is_own_fault());
                probes.orders.send(order(3, 1)).unwrap();
                assert_eq!(probes.reports.recv().await, Some(Report::Begun(id(3), 1)));
                assert_eq!(probes.reports.recv().await, Some(Report::Ended(id(3), 1, good())));
            })
            .await;
    }

    #[tokio::test]
    async fn an_attempt_waits_its_turn_and_a_cancelled_one_makes_room_without_a_report() {
        LocalSet::new()
            .run_until(async {
                let mut probes = Probes::with(1, behave);
                probes.orders.send(order(1, 1)).unwrap();
                probes.orders.send(order(4, 1)).unwrap();
                probes.orders.send(order(5, 1)).unwrap();
                assert_eq!(probes.reports.recv().await, Some(Report::Begun(id(1), 1)));
                // The one that waits is taken back before its turn, the one that hangs while it has it.
                probes.orders.send(ToProbes::Cancel(id(4), 1)).unwrap();
                probes.orders.send(ToProbes::Cancel(id(1), 1)).unwrap();
                assert_eq!(probes.reports.recv().await, Some(Report::Begun(id(5), 1)));
                assert_eq!(probes.reports.recv().await, Some(Report::Ended(id(5), 1, good())));
            })
            .await;
    }
}
