//! What one node sends, in the order it was sent (HB-7 to HB-9): replays and repetitions are told, what comes early waits
//! a little, what is missing is asked for.

#[cfg(test)]
mod tests;

use crate::{Message, control::Control};
use evenkeel_machine::{Instant, Outbox, Rng};
use std::{collections::BTreeMap, time::Duration};

/// How long a message waits for those before it: a node sends its answer to a message of its own before that message.
pub const TOLERANCE: Duration = Duration::from_millis(50);
/// Between two requests for the same message.
pub const REPEAT: Duration = Duration::from_millis(250);
/// The most messages that are waited for; beyond it the oldest are given up.
pub const MOST_MISSING: usize = 500;
/// More lost at once than this are not asked for.
pub const LOST_AT_ONCE: u64 = 250;
/// Requests for a message until it is given up.
pub const MOST_REQUESTS: u32 = 40;
/// The most messages that wait for those before them.
pub const MOST_EARLY: usize = 256;
/// One in so many messages is acknowledged.
pub const ACKNOWLEDGE: u64 = 10;
/// Numbers below the newest of which a second copy comes over another medium rather than out of a recording.
const RECENT: u64 = 16;
/// Types that say how things are: a late one is of no use once a newer one was heard.
const STATES: [&str; 3] = ["status", "resource", "num_ping_nodes"];

/// What a message was.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Taken {
    /// The next one.
    InOrder,
    /// One before it is missing; it waits for [`TOLERANCE`].
    Early,
    /// It was missing, and others did not wait for it any more.
    Late,
    /// Without a number; delivered as it comes.
    Unnumbered,
    /// A further copy of a recent one: its medium works, and that is all it says.
    Duplicate,
    /// An old one that was heard before: sent again for another node, or recorded by somebody. Nothing follows from it.
    Old,
    /// One of an earlier run of its sender, recorded by somebody. Nothing follows from it.
    Replay,
}

/// What is to be done.
#[derive(Clone, Debug, PartialEq)]
pub enum Output {
    /// The node has restarted; what is delivered from here on is of its new run.
    Restarted,
    /// Act on this, if it is for this node.
    Deliver(Message),
    /// Ask the sender for these again, by [`crate::control::ask`].
    Ask {
        /// The first.
        first: u64,
        /// The last; not before the first.
        last: u64,
    },
    /// Tell the sender that all up to this were heard, by [`crate::control::acknowledge`].
    Acknowledge(u64),
    /// These never came.
    Lost {
        /// The first.
        first: u64,
        /// The last; not before the first.
        last: u64,
    },
}

/// The messages of one node.
#[derive(Clone, Debug)]
pub struct Stream {
    /// The highest seen; 0: none.
    generation: u64,
    longest_delay: Duration,
    rng: Rng,
    trigger: u64,
    run: Option<Run>,
}

/// Since the node's start, or since it was heard first.
#[derive(Clone, Debug)]
struct Run {
    /// The next number to deliver.
    next: u64,
    /// The highest number seen.
    newest: u64,
    /// Heard before those in front of them, and when.
    early: BTreeMap<u64, (Instant, Message)>,
    missing: BTreeMap<u64, Missing>,
    acknowledged: u64,
    /// Whether the sender wants acknowledgements: its statuses tell a `protocol`.
    flow_control: bool,
    /// The newest of each of [`STATES`].
    stated: [u64; STATES.len()],
    /// It fell silent: what it sent meanwhile is not asked for.
    resuming: bool,
}

/// When a number is asked for next, and how often it was.
#[derive(Clone, Copy, Debug)]
struct Missing {
    ask_at: Instant,
    asked: u32,
}

impl Stream {
    /// Of a node whose highest `generation` so far is remembered (0: none), which is asked for what is missing within
    /// `longest_delay` (`max_rexmit_delay`); `seed` for what is random.
    pub fn new(generation: u64, longest_delay: Duration, seed: u64) -> Stream {
        let mut rng = Rng::new(seed);
        let trigger = rng.below(ACKNOWLEDGE);
        Stream { generation, longest_delay, rng, trigger, run: None }
    }

    /// From now on it is asked for what is missing within `longest_delay`.
    pub fn ask_within(&mut self, longest_delay: Duration) {
        self.longest_delay = longest_delay;
    }

    /// The highest generation seen, to be remembered over a restart of this node.
    pub fn generation(&self) -> u64 {
        self.generation
    }

    /// Whether this node counts acknowledgements, and so gives them.
    pub fn wants_acknowledgements(&self) -> bool {
        self.run.as_ref().is_some_and(|run| run.flow_control)
    }

    /// Whether this message is the first that is heard of a new run of the node.
    pub fn begins_with(&self, message: &Message) -> bool {
        message.is_sequenced() && message.hex("hg").is_some_and(|generation| generation > self.generation)
    }

    /// Takes a message of this node.
    pub fn take(&mut self, now: Instant, message: Message, out: &mut Outbox<Output>) -> Taken {
        // HB-7: a generation only grows; a message without one is of generation 0.
        let generation = message.hex("hg").unwrap_or(0);
        if generation < self.generation {
            return Taken::Replay;
        }
        if !message.is_sequenced() {
            match (Control::read(&message), self.run.as_mut()) {
                (Some(Control::Refused(sequence)), Some(run)) => run.give_up(sequence..=sequence, out),
                (Some(Control::Refused(_)), None) => {}
                _ => out.push(Output::Deliver(message)),
            }
            self.acknowledge(out);
            return Taken::Unnumbered;
        }
        let Some(sequence) = message.hex("seq").filter(|sequence| *sequence > 0) else { return Taken::Old };
        if generation > self.generation {
            self.generation = generation;
            if self.run.take().is_some() {
                out.push(Output::Restarted);
            }
        }
        let delay = self.delay();
        let taken = match &mut self.run {
            Some(run) => run.take(now, sequence, message, delay, out),
            None => {
                let mut run = Run::starting_with(sequence);
                run.deliver(sequence, message, out);
                self.run = Some(run);
                Taken::InOrder
            }
        };
        self.acknowledge(out);
        taken
    }

    /// The node is taken for dead: nothing is asked of it, nor what it sends until it is heard again.
    pub fn fell_silent(&mut self, out: &mut Outbox<Output>) {
        if let Some(run) = &mut self.run {
            run.flush(out);
            run.resuming = true;
        }
    }

    /// When [`Stream::handle_timeout`] next has something to do.
    pub fn deadline(&self) -> Option<Instant> {
        let run = self.run.as_ref()?;
        let early = run.early.values().map(|(heard, _)| *heard + TOLERANCE);
        early.chain(run.missing.values().map(|missing| missing.ask_at)).min()
    }

    /// Delivers what has waited long enough, and asks for what is missing.
    pub fn handle_timeout(&mut self, now: Instant, out: &mut Outbox<Output>) {
        if let Some(run) = &mut self.run {
            run.stop_waiting(now, out);
            run.ask(now, out);
        }
        self.acknowledge(out);
    }

    /// HB-9: a random time, so that not all nodes ask at once; below 100 ms heartbeat leaves out the tolerance.
    fn delay(&mut self) -> Duration {
        let shortest = if self.longest_delay < 2 * TOLERANCE { Duration::ZERO } else { TOLERANCE };
        let range = (self.longest_delay - shortest).as_millis();
        shortest + Duration::from_millis(self.rng.below(u64::try_from(range).unwrap_or(0) + 1))
    }

    /// HB-8: one message in ten is acknowledged, and stands for all before it.
    fn acknowledge(&mut self, out: &mut Outbox<Output>) {
        let Some(run) = self.run.as_mut().filter(|run| run.flow_control) else { return };
        let complete = run.missing.keys().next().map_or(run.newest, |first| first - 1);
        let over = (complete % ACKNOWLEDGE + ACKNOWLEDGE - self.trigger) % ACKNOWLEDGE;
        match complete.checked_sub(over) {
            Some(sequence) if sequence > run.acknowledged => {
                run.acknowledged = sequence;
                out.push(Output::Acknowledge(sequence));
            }
            Some(_) | None => {}
        }
    }
}

impl Run {
    fn starting_with(sequence: u64) -> Run {
        Run {
            next: sequence,
            newest: sequence,
            early: BTreeMap::new(),
            missing: BTreeMap::new(),
            acknowledged: sequence - 1,
            flow_control: false,
            stated: [0; STATES.len()],
            resuming: false,
        }
    }

    fn take(
        &mut self,
        now: Instant,
        sequence: u64,
        message: Message,
        delay: Duration,
        out: &mut Outbox<Output>,
    ) -> Taken {
        let was_missing = self.missing.remove(&sequence).is_some();
        if sequence < self.next {
            return match was_missing {
                true => self.take_late(sequence, message, out),
                false if self.newest - sequence < RECENT => Taken::Duplicate,
                false => Taken::Old,
            };
        }
        if self.early.contains_key(&sequence) {
            return Taken::Duplicate;
        }
        let skipped = sequence.saturating_sub(self.newest.saturating_add(1));
        if self.resuming || skipped > LOST_AT_ONCE {
            self.flush(out);
            if !self.resuming {
                out.push(Output::Lost { first: self.next, last: sequence - 1 });
            }
            self.resuming = false;
            self.next = sequence;
        } else {
            let ask_at = now + delay;
            let numbers = self.newest.saturating_add(1)..sequence;
            self.missing.extend(numbers.map(|number| (number, Missing { ask_at, asked: 0 })));
            while self.missing.len() > MOST_MISSING {
                let Some(oldest) = self.missing.keys().next().copied() else { break };
                self.give_up(oldest..=oldest, out);
            }
        }
        self.newest = self.newest.max(sequence);
        if sequence == self.next {
            self.deliver(sequence, message, out);
            self.deliver_early(out);
            return Taken::InOrder;
        }
        self.early.insert(sequence, (now, message));
        if self.early.len() > MOST_EARLY {
            self.skip_to_early(out);
        }
        Taken::Early
    }

    fn take_late(&mut self, sequence: u64, message: Message, out: &mut Outbox<Output>) -> Taken {
        // HB-9: what was so has been said anew.
        let stated = place(&message).and_then(|place| self.stated.get_mut(place));
        if stated.is_none_or(|newest| std::mem::replace(newest, sequence.max(*newest)) < sequence) {
            out.push(Output::Deliver(message));
        }
        Taken::Late
    }

    fn deliver(&mut self, sequence: u64, message: Message, out: &mut Outbox<Output>) {
        self.next = sequence.saturating_add(1);
        if let Some(newest) = place(&message).and_then(|place| self.stated.get_mut(place)) {
            *newest = sequence;
        }
        if message.kind() == "status" {
            self.flow_control = message.text("protocol").is_some();
        }
        out.push(Output::Deliver(message));
    }

    /// Those that have waited for nothing but what is there now.
    fn deliver_early(&mut self, out: &mut Outbox<Output>) {
        while let Some((_, message)) = self.early.remove(&self.next) {
            self.deliver(self.next, message, out);
        }
    }

    /// Goes on with the first that waits.
    fn skip_to_early(&mut self, out: &mut Outbox<Output>) {
        if let Some((sequence, (_, message))) = self.early.pop_first() {
            self.deliver(sequence, message, out);
            self.deliver_early(out);
        }
    }

    fn stop_waiting(&mut self, now: Instant, out: &mut Outbox<Output>) {
        let due =
            |(sequence, (heard, _)): (&u64, &(Instant, Message))| (*heard + TOLERANCE <= now).then_some(*sequence);
        let Some(last) = self.early.iter().filter_map(due).next_back() else { return };
        while self.early.keys().next().is_some_and(|first| *first <= last) {
            self.skip_to_early(out);
        }
    }

    fn ask(&mut self, now: Instant, out: &mut Outbox<Output>) {
        let given_up = |missing: &Missing| missing.ask_at <= now && missing.asked >= MOST_REQUESTS;
        let lost: Vec<u64> =
            self.missing.iter().filter(|(_, missing)| given_up(missing)).map(|(&number, _)| number).collect();
        for (first, last) in ranges(lost) {
            self.give_up(first..=last, out);
        }
        let mut due = Vec::new();
        for (number, missing) in self.missing.iter_mut().filter(|(_, missing)| missing.ask_at <= now) {
            *missing = Missing { ask_at: now + REPEAT, asked: missing.asked + 1 };
            due.push(*number);
        }
        for (first, last) in ranges(due) {
            out.push(Output::Ask { first, last });
        }
    }

    /// Waits no more for those of these that are missing.
    fn give_up(&mut self, numbers: std::ops::RangeInclusive<u64>, out: &mut Outbox<Output>) {
        let lost: Vec<u64> = self.missing.range(numbers).map(|(number, _)| *number).collect();
        for number in &lost {
            self.missing.remove(number);
        }
        for (first, last) in ranges(lost) {
            out.push(Output::Lost { first, last });
        }
        // Nothing in front of it can come any more.
        let first = self.early.keys().next().copied();
        if first.is_some_and(|first| self.missing.range(self.next..first).next().is_none()) {
            self.skip_to_early(out);
        }
    }

    /// Delivers what waits, and gives up what is missing.
    fn flush(&mut self, out: &mut Outbox<Output>) {
        while !self.early.is_empty() {
            self.skip_to_early(out);
        }
        self.give_up(0..=u64::MAX, out);
        self.next = self.newest.saturating_add(1);
    }
}

/// Among [`STATES`].
fn place(message: &Message) -> Option<usize> {
    STATES.iter().position(|kind| *kind == message.kind())
}

/// Numbers in order, those that follow each other together.
fn ranges(numbers: Vec<u64>) -> Vec<(u64, u64)> {
    let mut ranges: Vec<(u64, u64)> = Vec::new();
    for number in numbers {
        match ranges.last_mut() {
            Some((_, last)) if *last + 1 == number => *last = number,
            Some(_) | None => ranges.push((number, number)),
        }
    }
    ranges
}
