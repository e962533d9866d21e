//! Why a message is dropped.

use std::fmt;

/// The first thing that is wrong with a message; each has a counter of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Reason {
    /// It is longer than [`crate::LONGEST`].
    Size,
    /// It begins as no form of message does, or does not end as it began.
    Form,
    /// A length in it, or its own, is wrong.
    Length,
    /// It has more than [`crate::MOST_FIELDS`] fields.
    Fields,
    /// A field is not `NAME=VALUE`.
    Field,
    /// A field of a type that there is not.
    Type,
    /// A text that is not UTF-8, or holds a NUL.
    Text,
    /// A field that holds fields; only cluster resource managers send such.
    Nested,
    /// A compressed field, which could be of any size once it is not.
    Compressed,
    /// It has no signature.
    Unsigned,
    /// Signed with a key that is not in authkeys.
    UnknownKey,
    /// Signed by another method than the one its key has here.
    Method,
    /// Its signature is wrong.
    Signature,
    /// It does not say of what type it is, or who sent it.
    Anonymous,
    /// Its sequence number or its generation is no number.
    Sequence,
    /// From a node that is not in the configuration.
    UnknownNode,
    /// From a node of the configuration, in upper case.
    UpperCase,
    /// This node's own, come back.
    Own,
    /// Another host that goes by this node's name.
    Twin,
    /// From an earlier life of its sender.
    Replay,
}

impl Reason {
    /// All of them, in the order of their declaration.
    pub const ALL: [Reason; 20] = [
        Reason::Size,
        Reason::Form,
        Reason::Length,
        Reason::Fields,
        Reason::Field,
        Reason::Type,
        Reason::Text,
        Reason::Nested,
        Reason::Compressed,
        Reason::Unsigned,
        Reason::UnknownKey,
        Reason::Method,
        Reason::Signature,
        Reason::Anonymous,
        Reason::Sequence,
        Reason::UnknownNode,
        Reason::UpperCase,
        Reason::Own,
        Reason::Twin,
        Reason::Replay,
    ];

    /// The name of its counter.
    pub fn name(self) -> &'static str {
        match self {
            Reason::Size => "size",
            Reason::Form => "form",
            Reason::Length => "length",
            Reason::Fields => "fields",
            Reason::Field => "field",
            Reason::Type => "type",
            Reason::Text => "text",
            Reason::Nested => "nested",
            Reason::Compressed => "compressed",
            Reason::Unsigned => "unsigned",
            Reason::UnknownKey => "unknown-key",
            Reason::Method => "method",
            Reason::Signature => "signature",
            Reason::Anonymous => "anonymous",
            Reason::Sequence => "sequence",
            Reason::UnknownNode => "unknown-node",
            Reason::UpperCase => "upper-case",
            Reason::Own => "own",
            Reason::Twin => "twin",
            Reason::Replay => "replay",
        }
    }
}

impl fmt::Display for Reason {
    /// A fragment that reads well after "a message was dropped: ".
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Reason::Size => "it is longer than 64 KiB",
            Reason::Form => "it is no message of heartbeat (neither ### to %%% nor >>> to <<<)",
            Reason::Length => "a length in it is wrong, or it is cut off",
            Reason::Fields => "it has more than 256 fields",
            Reason::Field => "a field of it is not NAME=VALUE",
            Reason::Type => "a field of it is of a type that there is not",
            Reason::Text => "a text in it is not UTF-8",
            Reason::Nested => "a field of it holds other fields, as only cluster resource managers send them",
            Reason::Compressed => "it is compressed (set compression_threshold higher on its sender)",
            Reason::Unsigned => "it has no signature",
            Reason::UnknownKey => "it is signed with a key number that is not in authkeys here",
            Reason::Method => "it is signed by another method than its key has in authkeys here",
            Reason::Signature => "its signature is wrong (authkeys differ, or it was changed on its way)",
            Reason::Anonymous => "it does not say what it is or who sent it",
            Reason::Sequence => "its sequence number or generation is no number",
            Reason::UnknownNode => "its sender is not in the configuration",
            Reason::UpperCase => "its sender writes its name in upper case; names are lower case on the wire",
            Reason::Own => "it is this node's own",
            Reason::Twin => "another host sends under this node's name",
            Reason::Replay => "it is from before its sender's last start (replayed, or the sender lost its generation)",
        })
    }
}

/// How often each reason was met.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Drops {
    counts: [u64; Reason::ALL.len()],
}

impl Drops {
    /// So many more.
    pub fn count(&mut self, reason: Reason, more: u64) {
        if let Some(count) = self.counts.get_mut(reason as usize) {
            *count = count.saturating_add(more);
        }
    }

    /// What was met, in the order of [`Reason::ALL`].
    pub fn iter(&self) -> impl Iterator<Item = (Reason, u64)> {
        Reason::ALL.into_iter().zip(self.counts).filter(|(_, count)| *count > 0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_reason_has_its_own_counter_name_and_sentence() {
        for (place, reason) in Reason::ALL.into_iter().enumerate() {
            assert_eq!(reason as usize, place);
            let same = |other: &Reason| other.name() == reason.name() || other.to_string() == reason.to_string();
            assert_eq!(Reason::ALL.iter().filter(|other| same(other)).count(), 1, "{reason:?}");
            let mut drops = Drops::default();
            drops.count(reason, 3);
            assert_eq!(drops.iter().collect::<Vec<_>>(), [(reason, 3)]);
        }
    }
}
