//! Carries out actions on resources, and tells their outcomes.

use crate::{call, child::run, judge::judge, places::Places};
use evenkeel_resource::{Action, Order, Outcome, Task};
use std::{cell::RefCell, collections::HashMap, fmt, rc::Rc};
use tokio::{sync::Semaphore, task::AbortHandle};

/// Starts, stops and questions before them that run at a time; others wait.
const STEPS: usize = 128;
/// Looks at what runs that run at a time: they must not keep a takeover waiting.
const LOOKS: usize = 32;

/// Carries out actions on resources. Each of them is a task; how many there are is bounded by the resources there are.
/// Dropped, it kills what is under way.
pub struct Agents {
    shared: Rc<Shared>,
}

struct Shared {
    places: RefCell<Rc<Places>>,
    running: RefCell<HashMap<Task, AbortHandle>>,
    steps: Semaphore,
    looks: Semaphore,
    tell: Box<dyn Fn(Task, Outcome)>,
}

impl fmt::Debug for Agents {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Agents").field("running", &self.shared.running.borrow().len()).finish_non_exhaustive()
    }
}

impl Agents {
    /// Has none yet. `tell` is told every outcome but those of cancelled tasks.
    pub fn new(places: Places, tell: impl Fn(Task, Outcome) + 'static) -> Agents {
        Agents {
            shared: Rc::new(Shared {
                places: RefCell::new(Rc::new(places)),
                running: RefCell::default(),
                steps: Semaphore::new(STEPS),
                looks: Semaphore::new(LOOKS),
                tell: Box::new(tell),
            }),
        }
    }

    /// What is begun from now on is looked for here.
    pub fn move_to(&self, places: Places) {
        *self.shared.places.borrow_mut() = Rc::new(places);
    }

    /// Begins with `order`; its outcome is told. Addresses and services of evenkeel are not for here, and fail.
    pub fn run(&self, order: Order) {
        let (shared, task) = (Rc::clone(&self.shared), order.task);
        let work = tokio::task::spawn_local(async move {
            let outcome = shared.carry_out(&order).await;
            shared.running.borrow_mut().remove(&order.task);
            (shared.tell)(order.task, outcome);
        });
        self.shared.running.borrow_mut().insert(task, work.abort_handle());
    }

    /// Breaks `task` off: whatever runs for it is killed, and its outcome is not told.
    pub fn cancel(&self, task: Task) {
        if let Some(work) = self.shared.running.borrow_mut().remove(&task) {
            work.abort();
        }
    }
}

impl Drop for Agents {
    fn drop(&mut self) {
        self.shared.running.borrow_mut().drain().for_each(|(_, work)| work.abort());
    }
}

impl Shared {
    async fn carry_out(&self, order: &Order) -> Outcome {
        let room = if order.action == Action::Monitor { &self.looks } else { &self.steps };
        let Ok(_room) = room.acquire().await else { return Outcome::TimedOut };
        let places = Rc::clone(&self.places.borrow());
        match call::of(order, &places) {
            Ok((call, manner)) => judge(manner, order.action, &run(&call, order.within).await),
            // What is not there does not run; heartbeat would restart the host when it cannot be stopped.
            Err(_) if order.action == Action::Stop => Outcome::NotRunning,
            Err(why) => Outcome::Failed { why },
        }
    }
}
