//! `auth_hmac` of an instance (keepalived 2.4).

use super::super::{tree::Node, value::Block, value::number};
use crate::{
    codes,
    hmac::{key, words},
    host::{Host, shown},
};
use evenkeel_model::vrrp::{AdvertInterval, AntiReplay, Hmac, HmacKey, HmacMode};
use evenkeel_source::{Diagnostic, Span, Spanned};
use std::{collections::BTreeMap, num::NonZeroU8, time::Duration};

/// `auth_hmac`
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VrrpHmac {
    /// The block.
    pub place: Span,
    /// `key`, by its number.
    pub keys: BTreeMap<NonZeroU8, HmacKey>,
    /// `active_key`
    pub active: Option<Spanned<NonZeroU8>>,
    /// `time_window`; three intervals, and at least 5 s.
    pub window: Option<Duration>,
    /// `anti_replay`; `time`.
    pub anti_replay: AntiReplay,
    /// `mode`; `enforce`.
    pub mode: HmacMode,
}

/// Reads the block. A mistake is an error: without the right key nobody is heard.
pub(super) fn read(node: &Node, host: &Host<'_>, out: &mut Vec<Diagnostic>) -> VrrpHmac {
    let block = Block(&node.block);
    let mut keys = BTreeMap::new();
    let mut wrong = false;
    for line in block.nodes("key") {
        let [id, text, ..] = line.args.as_slice() else { continue };
        let read = number(&id.text).and_then(|n| NonZeroU8::new(u8::try_from(n).ok()?));
        let told = match (read, key(&text.text, host)) {
            (None, _) => {
                let message = format!("`{}` is no number of a key; it goes from 1 to 255", shown(&id.text));
                Diagnostic::error(codes::VALUE, id.span, message)
            }
            (_, Err(why)) => Diagnostic::error(codes::VALUE, text.span, why)
                .help("make one with `openssl rand -hex 32` and write `hex:` before it"),
            (Some(id_read), Ok(key)) => {
                if keys.insert(id_read, key).is_none() {
                    continue;
                }
                Diagnostic::error(codes::VALUE, id.span, format!("there are two keys {id_read}"))
                    .help("give each key a number of its own: it stands in the advertisements")
            }
        };
        wrong = true;
        out.push(told);
    }
    let text = |name: &str| block.word(name).map(|word| word.text.as_str());
    let mode = text("mode").and_then(|text| words::meaning(&words::MODES, text)).unwrap_or(HmacMode::Enforce);
    let active = block.number::<u8>("active_key").and_then(|n| Some(Spanned::new(NonZeroU8::new(n.value)?, n.span)));
    let first = keys.keys().next();
    match active {
        // What is said of a key is enough.
        _ if wrong => {}
        _ if keys.is_empty() => {
            let d = Diagnostic::error(codes::MISSING_KEY, node.span, "auth_hmac has no key");
            out.push(d.help("write `key 1 hex:...` with 64 digits of `openssl rand -hex 32`, and `active_key 1`"));
        }
        Some(active) if !keys.contains_key(&active.value) => {
            let message = format!("active_key {}: there is no such key", active.value);
            out.push(Diagnostic::error(codes::VALUE, active.span, message));
        }
        None if mode != HmacMode::ReceiveOnly => {
            let d = Diagnostic::error(codes::MISSING_KEY, node.span, "auth_hmac has no active_key");
            out.push(d.help(format!("write `active_key {}`", first.map_or(1, |id| id.get()))));
        }
        Some(_) | None => {}
    }
    VrrpHmac {
        place: node.span,
        keys,
        active,
        window: block.time("time_window").map(|window| window.value),
        anti_replay: text("anti_replay")
            .and_then(|text| words::meaning(&words::ANTI_REPLAY, text))
            .unwrap_or(AntiReplay::Time),
        mode,
    }
}

/// As it is carried out.
pub(super) fn lower(from: &VrrpHmac, interval: AdvertInterval) -> Hmac {
    Hmac {
        keys: from.keys.clone(),
        active: from.active.map(|active| active.value),
        mode: from.mode,
        window: from.window.unwrap_or_else(|| Hmac::usual_window(interval)),
        anti_replay: from.anti_replay,
    }
}
