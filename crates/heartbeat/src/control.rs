//! Messages about messages (HB-8, HB-9): acknowledgements, requests to send again, and refusals of these.

use crate::Message;
use evenkeel_model::heartbeat::NodeName;

const ACKNOWLEDGE: &str = "NS_ackmsg";
const ASK: &str = "NS_rexmit";
const REFUSE: &str = "NS_nak_rexmit";

/// One of them, without whom it is from and for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Control {
    /// All up to this number were heard.
    Acknowledged(u64),
    /// Send these again.
    Asked {
        /// The first.
        first: u64,
        /// The last; not before the first.
        last: u64,
    },
    /// This one cannot be sent again.
    Refused(u64),
}

impl Control {
    /// `None` for a message of another type, or one whose numbers make no sense.
    pub fn read(message: &Message) -> Option<Control> {
        match message.kind() {
            ACKNOWLEDGE => message.hex("ackseq").map(Control::Acknowledged),
            ASK => {
                let number = |name| message.text(name)?.parse().ok().filter(|number| *number > 0);
                let (first, last) = (number("firstseq")?, number("lastseq")?);
                (first <= last).then_some(Control::Asked { first, last })
            }
            REFUSE => message.hex("firstseq").map(Control::Refused),
            _ => None,
        }
    }
}

/// Tells `node` that all its messages up to `sequence` were heard.
pub fn acknowledge(node: &NodeName, sequence: u64) -> Message {
    Message::new(ACKNOWLEDGE).with("dest", node).with("ackseq", format_args!("{sequence:x}"))
}

/// Asks `node` for some of its messages. These numbers alone are decimal.
pub fn ask(node: &NodeName, first: u64, last: u64) -> Message {
    Message::new(ASK).with("dest", node).with("firstseq", first).with("lastseq", last)
}

/// Tells `node` that a message it asked for is not kept any more.
pub fn refuse(node: &NodeName, sequence: u64) -> Message {
    let message = Message::new(REFUSE).with("firstseq", format_args!("{sequence:x}"));
    message.with("dest", node).with("info", "seqno too low")
}
