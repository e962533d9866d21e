//! What one instance has said, heard and dropped: keepalived's counters, and those of RFC 6527.

use crate::{Heard, Output, Reason, Role};

/// Counters of one instance since it began, or since they were cleared; and the last word of another router.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Statistics {
    /// Advertisements that counted, those of priority 0 included; and, as keepalived counts, those that are right but for
    /// their addresses.
    pub received: u64,
    /// Advertisements that were sent, those of priority 0 included.
    pub sent: u64,
    /// How often it became master.
    pub became_master: u64,
    /// How often it gave that up.
    pub released_master: u64,
    /// Masters that said they leave.
    pub farewells_received: u64,
    /// How often it said so itself.
    pub farewells_sent: u64,
    /// The last advertisement that counted; kept when counters are cleared.
    pub last: Option<Heard>,
    wrong: [u64; Reason::ALL.len()],
}

impl Statistics {
    /// Counts an advertisement as the receiver judged it.
    pub fn hear(&mut self, judged: Result<Heard, Reason>) {
        match judged {
            Ok(heard) => {
                self.received += 1;
                self.farewells_received += u64::from(heard.priority == 0);
                self.last = Some(heard);
                if heard.other_addresses {
                    self.count(Reason::Addresses);
                }
            }
            Err(reason) => {
                self.received += u64::from(reason == Reason::Addresses);
                self.count(reason);
            }
        }
    }

    fn count(&mut self, reason: Reason) {
        if let Some(count) = self.wrong.get_mut(reason as usize) {
            *count += 1;
        }
    }

    /// Counts what the election wants done.
    pub fn say(&mut self, output: &Output) {
        match *output {
            Output::Advertise { priority } => {
                self.sent += 1;
                self.farewells_sent += u64::from(priority == 0);
            }
            Output::Turned { from, to, .. } => {
                self.became_master += u64::from(to == Role::Master);
                self.released_master += u64::from(from == Role::Master);
            }
            Output::Hold | Output::Release | Output::Announce { .. } | Output::Candidate | Output::Noticed(_) => {}
        }
    }

    /// How many advertisements had this wrong. All of them were dropped, but those of version 3 that named other
    /// addresses.
    pub fn wrong(&self, reason: Reason) -> u64 {
        self.wrong.get(reason as usize).copied().unwrap_or(0)
    }

    /// All counters to 0.
    pub fn clear(&mut self) {
        *self = Statistics { last: self.last, ..Statistics::default() };
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Why;
    use std::time::Duration;

    fn heard(priority: u8) -> Heard {
        Heard { source: [192, 0, 2, 2].into(), priority, interval: Duration::from_secs(1), other_addresses: false }
    }

    #[test]
    fn every_reason_has_a_counter_of_its_own() {
        for reason in Reason::ALL {
            let mut statistics = Statistics::default();
            statistics.hear(Err(reason));
            let counted: Vec<Reason> = Reason::ALL.into_iter().filter(|it| statistics.wrong(*it) == 1).collect();
            let received = u64::from(reason == Reason::Addresses);
            assert_eq!((counted, statistics.received), (vec![reason], received));
        }
    }

    #[test]
    fn a_last_word_counts_as_an_advertisement_too() {
        let mut statistics = Statistics::default();
        statistics.hear(Ok(heard(100)));
        statistics.hear(Ok(heard(0)));
        statistics.say(&Output::Turned { from: Role::Backup, to: Role::Master, why: Why::MasterLeft });
        statistics.say(&Output::Advertise { priority: 100 });
        statistics.say(&Output::Advertise { priority: 0 });
        statistics.say(&Output::Turned { from: Role::Master, to: Role::Leaving, why: Why::Stopped });
        statistics.say(&Output::Turned { from: Role::Leaving, to: Role::Stopped, why: Why::NoSuccessor });
        let Statistics { received, sent, became_master, released_master, farewells_received, farewells_sent, .. } =
            statistics;
        assert_eq!((received, farewells_received), (2, 1));
        assert_eq!((sent, farewells_sent), (2, 1));
        assert_eq!((became_master, released_master), (1, 1));
        statistics.clear();
        assert_eq!(statistics, Statistics { last: Some(heard(0)), ..Statistics::default() });
    }
}
