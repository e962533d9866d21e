//! Edits of the table by clients, as `ipvsadm` makes them.
//!
//! A service that a client makes has no checks and belongs to no file: it stays over reloads and restarts until a client
//! removes it or a file names its key, whose it is from then on. An edit of a service that a file names holds until the
//! next reload or start.
//!
//! The edits of one request are made in the engine first, each with the changes it means for the data plane and with what
//! undoes it. One batch takes all the changes. Where the data plane refuses one, the edit it belongs to and those behind it
//! are undone - with `atomic` all of them - and what of them is in force already is put right as every difference is. What
//! is no change of the table, zeroing and timeouts, is done after the rest, and stays done.

mod adopt;
mod make;

pub use adopt::kept;

use crate::{
    EditOrder, Effect, Followed, Operation, ProgramFailure, Token,
    balance::{Balance, ending, wanted},
    program::{After, difference},
    service::Cover,
    words,
};
use evenkeel_api::{
    Event, Refusal, RefusalCode, Reply,
    table::{EditError, EditFailure},
};
use evenkeel_dataplane::Change;
use evenkeel_machine::{Instant, Outbox};
use evenkeel_model::ServiceKey;
use make::{Making, Step};
use std::collections::{BTreeSet, VecDeque};

/// Requests that wait at the most.
const WAITING: usize = 64;

/// Who edits, and who waits to.
#[derive(Debug, Default)]
pub(crate) struct Edits {
    waiting: VecDeque<EditOrder>,
    open: Option<Open>,
    /// The last place that was given.
    places: u64,
}

/// A request that the data plane is busy with.
#[derive(Debug)]
struct Open {
    token: Token,
    atomic: bool,
    /// How many edits there are, and what the first one is.
    told: (usize, String),
    batch: u64,
    /// Which edit is being carried out; `None`: the changes of all of them.
    operating: Option<u32>,
    changes: Vec<Change>,
    steps: Vec<Step>,
    operations: VecDeque<(u32, Operation)>,
    failed: Option<EditError>,
}

impl Edits {
    /// Whether this outcome is waited for here.
    pub(crate) fn is_open(&self, batch: u64) -> bool {
        self.open.as_ref().is_some_and(|open| open.batch == batch)
    }

    /// Those who wait and will not be served any more. The one that is open gets its answer.
    pub(crate) fn give_up(&mut self) -> Vec<Token> {
        self.waiting.drain(..).map(|order| order.token).collect()
    }
}

impl Balance {
    /// A client's edits come in.
    pub(crate) fn edit(&mut self, order: EditOrder, out: &mut Outbox<Effect>) {
        if self.edits.waiting.len() >= WAITING {
            let refusal = Refusal::new(RefusalCode::Busy, "too many others edit the table");
            out.push(Effect::Reply { token: order.token, reply: Reply::Refused(refusal) });
            return;
        }
        self.edits.waiting.push_back(order);
    }

    /// Makes the edits that wait, one request at a time, while the data plane takes batches.
    pub(crate) fn next_edits(&mut self, now: Instant, out: &mut Outbox<Effect>) {
        while !self.program.is_open()
            && let Some(order) = self.edits.waiting.pop_front()
        {
            if self.is_running() {
                self.begin_edits(now, order, out);
            } else {
                out.push(Effect::Reply { token: order.token, reply: Reply::Refused(ending()) });
            }
            // What follows from one request is on its way before the next is looked at.
            self.flush(now, out);
        }
    }

    fn begin_edits(&mut self, now: Instant, order: EditOrder, out: &mut Outbox<Effect>) {
        let EditOrder { token, edits, atomic, own } = order;
        let mut making = Making::default();
        let mut failed = None;
        for (index, edit) in (0..).zip(&edits) {
            making.index = index;
            if let Err((failure, message)) = self.make(now, edit, &own, &mut making) {
                failed = Some(EditError { index, failure, message });
                break;
            }
        }
        let Making { mut changes, mut steps, operations, whole, .. } = making;
        if let Some(error) = failed.take_if(|_| atomic) {
            self.undo(now, steps);
            out.push(Effect::Reply { token, reply: Reply::NotEdited(error) });
            return;
        }
        self.compare_whole(now, &whole, &mut changes);
        let more: Vec<Followed> = steps.iter_mut().flat_map(|step| step.more.clone()).collect();
        if !more.is_empty() {
            out.push(Effect::Follow { more, less: Vec::new() });
        }
        let told = (edits.len(), edits.first().map(words::edit).unwrap_or_default());
        let mut open = Open { token, atomic, told, batch: 0, operating: None, changes, steps, operations, failed };
        if open.changes.is_empty() {
            self.operate(now, open, out);
        } else {
            open.batch = self.program.send(&open.changes, out);
            self.edits.open = Some(open);
        }
    }

    fn compare_whole(&mut self, now: Instant, whole: &BTreeSet<ServiceKey>, changes: &mut Vec<Change>) {
        let mut removals = Vec::new();
        for key in whole {
            self.reconsider(now, *key);
            let have = self.program.in_force().services.get(key);
            difference(*key, have, wanted(&self.services, &self.watches, &self.marks, key), changes, &mut removals);
        }
        changes.append(&mut removals);
    }

    /// The outcome of what is open.
    pub(crate) fn edited(&mut self, now: Instant, outcome: Result<(), ProgramFailure>, out: &mut Outbox<Effect>) {
        let Some(mut open) = self.edits.open.take() else { return };
        let applied = match &outcome {
            Ok(()) => open.changes.len(),
            Err(failure) => failure.applied.min(open.changes.len()),
        };
        self.program.sent(open.changes.drain(..applied));
        if let Err(ProgramFailure { why, .. }) = outcome {
            let index = open.operating.unwrap_or_else(|| edit_of(&open.steps, applied));
            let message = format!("the data plane refuses it: {why}");
            open.failed = Some(EditError { index, failure: EditFailure::Refused, message });
            open.operations.clear();
            // An operation has no step of its own: those of the edits before it stay unless all are to go.
            let stay = if open.atomic { 0 } else { open.steps.partition_point(|step| step.index < index) };
            let stay = if open.operating.is_some() && !open.atomic { open.steps.len() } else { stay };
            let undone = open.steps.split_off(stay);
            let less: Vec<Followed> = undone.iter().flat_map(|step| step.more.clone()).collect();
            if !less.is_empty() {
                out.push(Effect::Follow { more: Vec::new(), less });
            }
            self.undo(now, undone);
        }
        open.changes.clear();
        self.operate(now, open, out);
    }

    /// What is no change of the table, one after the other; then the end.
    fn operate(&mut self, now: Instant, mut open: Open, out: &mut Outbox<Effect>) {
        while let Some((index, operation)) = open.operations.pop_front() {
            let gone = match &operation {
                Operation::Zero(Some(key)) => !self.program.in_force().services.contains_key(key),
                Operation::Zero(None) | Operation::Timeouts(_) => false,
            };
            if gone {
                continue;
            }
            open.batch = self.program.open_other();
            open.operating = Some(index);
            out.push(Effect::Operate { batch: open.batch, operation });
            self.edits.open = Some(open);
            return;
        }
        self.settle_edits(now, open, out);
    }

    /// What was edited is in force: nothing of it is undone any more.
    fn settle_edits(&mut self, now: Instant, open: Open, out: &mut Outbox<Effect>) {
        let Open { token, told: (count, first), steps, failed, .. } = open;
        let made = failed.as_ref().map_or(count, |error| if open.atomic { 0 } else { error.index as usize });
        let less: Vec<Followed> = steps.iter().flat_map(|step| step.less.clone()).collect();
        if !less.is_empty() {
            out.push(Effect::Follow { more: Vec::new(), less });
        }
        self.close_steps(now, steps, out);
        let event = Event::Edited { first, more: made.saturating_sub(1) };
        let reply = match failed {
            Some(error) => Reply::NotEdited(error),
            None => Reply::Done { message: event.to_string() },
        };
        out.push(Effect::Reply { token, reply });
        if made > 0 {
            self.program.hold(After::Try, Effect::Event(event));
        }
    }

    /// What depends on services that were edited is brought up to date.
    fn follow_edits(&mut self, now: Instant, keys: BTreeSet<ServiceKey>) {
        for key in keys {
            let Some(service) = self.services.get_mut(&key) else { continue };
            service.restate(now, &self.watches);
            // That nobody answers for a service that is being made is no news, unless it was told before.
            let covered = !service.is_by_edit() || service.cover != Cover::Servers;
            self.program.touch(key);
            if covered {
                self.cover(now, key);
            }
        }
    }
}

/// The edit that a change belongs to.
fn edit_of(steps: &[Step], change: usize) -> u32 {
    let behind = steps.partition_point(|step| step.first <= change);
    behind.checked_sub(1).and_then(|place| steps.get(place)).map_or(0, |step| step.index)
}
