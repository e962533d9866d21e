//! What has to be right of a message before the cluster hears of it (HB-4, HB-6).

use crate::{Message, Reason, codec};
use evenkeel_model::heartbeat::{Keys, NodeName};
use std::collections::BTreeSet;

/// Judges what comes over the media and from ping nodes.
#[derive(Clone, Debug)]
pub struct Receiver {
    own: NodeName,
    uuid: [u8; 16],
    known: BTreeSet<NodeName>,
    keys: Keys,
}

impl Receiver {
    /// One for node `own`, with its `uuid`, that listens to the nodes and ping nodes in `known`.
    pub fn new(own: NodeName, uuid: [u8; 16], known: impl IntoIterator<Item = NodeName>, keys: Keys) -> Receiver {
        Receiver { own, uuid, known: known.into_iter().collect(), keys }
    }

    /// Judges by other keys (authkeys were read again).
    pub fn change_keys(&mut self, keys: Keys) {
        self.keys = keys;
    }

    /// Listens to these nodes and ping nodes from now on.
    pub fn listen_to(&mut self, known: impl IntoIterator<Item = NodeName>) {
        self.known = known.into_iter().collect();
    }

    /// Reads what came as one packet, or as one message of a serial line.
    pub fn receive(&self, bytes: &[u8]) -> Result<Message, Reason> {
        let (message, _) = codec::decode(bytes, &self.keys)?;
        let source = message.text("src").filter(|_| !message.kind().is_empty()).ok_or(Reason::Anonymous)?;
        self.judge_source(source, &message)?;
        judge_numbers(&message)?;
        Ok(message)
    }

    fn judge_source(&self, source: &str, message: &Message) -> Result<(), Reason> {
        let name = NodeName::new(source).ok_or(Reason::UnknownNode)?;
        if name == self.own {
            let stranger = message.binary("srcuuid").is_some_and(|uuid| uuid != self.uuid);
            return Err(if stranger { Reason::Twin } else { Reason::Own });
        }
        if !self.known.contains(&name) {
            return Err(Reason::UnknownNode);
        }
        // HB-6: names are compared exactly on the wire.
        if name.as_str() != source { Err(Reason::UpperCase) } else { Ok(()) }
    }
}

/// HB-7: without a sequence number only those whose type begins with `NS_`; the generation may be missing.
fn judge_numbers(message: &Message) -> Result<(), Reason> {
    let sequence = message.is_sequenced().then(|| message.hex("seq").unwrap_or(0));
    let generation = message.text("hg").map(|_| message.hex("hg"));
    if sequence == Some(0) || generation == Some(None) { Err(Reason::Sequence) } else { Ok(()) }
}
