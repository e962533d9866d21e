//! What the guard is told, and what follows from it.

use std::{collections::BTreeSet, fmt, net::IpAddr, str::FromStr, time::Duration};

/// Addresses that are guarded; what is more is left to its lease.
const MOST: usize = 4096;

/// An address on an interface.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(in crate::heartbeat) struct Key {
    /// Index of the interface.
    pub(in crate::heartbeat) ifindex: u32,
    /// The address.
    pub(in crate::heartbeat) address: IpAddr,
}

/// One line of the pipe.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Line {
    /// A status is sent. Unless another one is, their leases do by `renew`, and addresses end at `end`: in nanoseconds, by
    /// CLOCK_BOOTTIME.
    Until { end: Duration, renew: Duration },
    /// The daemon holds this one.
    Hold(Key),
    /// It holds it no more.
    Drop(Key),
}

impl fmt::Display for Line {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Line::Until { end, renew } => writeln!(f, "until {} {}", end.as_nanos(), renew.as_nanos()),
            Line::Hold(key) => writeln!(f, "hold {} {}", key.ifindex, key.address),
            Line::Drop(key) => writeln!(f, "drop {} {}", key.ifindex, key.address),
        }
    }
}

impl FromStr for Line {
    type Err = ();

    fn from_str(text: &str) -> Result<Line, ()> {
        let mut words = text.split(' ');
        let mut word = || words.next().ok_or(());
        let (verb, first) = (word()?, word()?);
        let time = |text: &str| text.parse().map(Duration::from_nanos).map_err(|_| ());
        let mut key = || {
            let ifindex = first.parse().map_err(|_| ())?;
            Ok(Key { ifindex, address: word()?.parse().map_err(|_| ())? })
        };
        let line = match verb {
            "until" => Line::Until { end: time(first)?, renew: time(word()?)? },
            "hold" => Line::Hold(key()?),
            "drop" => Line::Drop(key()?),
            _ => return Err(()),
        };
        if words.next().is_some() { Err(()) } else { Ok(line) }
    }
}

/// What the guard knows.
#[derive(Debug, Default)]
pub(super) struct Book {
    /// `None` before the first status, and once they were removed.
    until: Option<Duration>,
    /// `None` once that was done since the last status.
    renew: Option<Duration>,
    held: BTreeSet<Key>,
}

impl Book {
    pub(super) fn take(&mut self, line: &Line) {
        match *line {
            Line::Until { end, renew } => (self.until, self.renew) = (Some(end), Some(renew)),
            Line::Hold(key) if self.held.len() < MOST => {
                self.held.insert(key);
            }
            Line::Hold(_) => {}
            Line::Drop(key) => {
                self.held.remove(&key);
            }
        }
    }

    /// What is to be removed at [`Book::due`].
    pub(super) fn held(&self) -> &BTreeSet<Key> {
        &self.held
    }

    /// When the addresses end, by CLOCK_BOOTTIME, unless another status is sent.
    pub(super) fn due(&self) -> Option<Duration> {
        self.until.filter(|_| !self.held.is_empty())
    }

    /// When their leases, which are shorter than that, are made to reach there, unless another status is sent.
    pub(super) fn renewal(&self) -> Option<Duration> {
        let due = self.due()?;
        self.renew.filter(|renew| *renew < due)
    }

    /// They reach there.
    pub(super) fn is_renewed(&mut self) {
        self.renew = None;
    }

    /// They were removed.
    pub(super) fn is_over(&mut self) {
        self.until = None;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn book(lines: &[&str]) -> Book {
        let mut book = Book::default();
        for line in lines {
            book.take(&line.parse().unwrap());
        }
        book
    }

    #[test]
    fn a_line_is_read_as_it_was_written_and_nothing_else_is() {
        for text in ["until 140000000 700000000", "hold 3 192.0.2.1", "drop 3 2001:db8::1"] {
            let line: Line = text.parse().unwrap();
            assert_eq!(line.to_string(), format!("{text}\n"));
        }
        for text in [
            "",
            "until",
            "until x",
            "until 1",
            "until 1 x",
            "until 1 2 3",
            "hold 3",
            "hold x 192.0.2.1",
            "drop 1 192.0.2",
            "halt 1",
        ] {
            assert_eq!(text.parse::<Line>(), Err(()), "{text:?}");
        }
    }

    #[test]
    fn addresses_end_when_the_last_status_said() {
        assert_eq!(book(&["until 150 700"]).due(), None, "nothing is held");
        assert_eq!(book(&["hold 2 192.0.2.1"]).due(), None, "no status");
        let mut book = book(&["hold 2 192.0.2.1", "until 150 700"]);
        assert_eq!(book.due(), Some(Duration::from_nanos(150)));
        book.take(&"until 190 700".parse().unwrap());
        assert_eq!(book.due(), Some(Duration::from_nanos(190)));
        book.is_over();
        assert_eq!(book.due(), None, "once is enough");
        book.take(&"until 500 700".parse().unwrap());
        assert_eq!(book.due(), Some(Duration::from_nanos(500)), "it was frozen and is back");
        book.take(&"drop 2 192.0.2.1".parse().unwrap());
        assert_eq!(book.due(), None);
    }

    #[test]
    fn leases_that_end_too_early_are_renewed_once_after_each_status() {
        assert_eq!(book(&["hold 2 192.0.2.1", "until 150 700"]).renewal(), None, "they end later");
        assert_eq!(book(&["until 2600 700"]).renewal(), None, "nothing is held");
        let mut book = book(&["hold 2 192.0.2.1", "until 2600 700"]);
        assert_eq!(book.renewal(), Some(Duration::from_nanos(700)));
        book.is_renewed();
        assert_eq!(book.renewal(), None);
        book.take(&"until 2800 900".parse().unwrap());
        assert_eq!(book.renewal(), Some(Duration::from_nanos(900)));
        book.is_over();
        assert_eq!(book.renewal(), None);
    }

    #[test]
    fn a_book_has_an_end() {
        let mut book = Book::default();
        for ifindex in 0..5000 {
            book.take(&Line::Hold(Key { ifindex, address: IpAddr::from([192, 0, 2, 1]) }));
        }
        assert_eq!(book.held().len(), MOST);
    }
}
