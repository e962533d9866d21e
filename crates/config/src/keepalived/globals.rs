//! What `global_defs` says about services: timeouts.

use super::{
    tree::Node,
    value::{Block, number},
    word::Word,
};
use crate::{codes, draft::SettingsDraft, host::shown};
use evenkeel_model::Timeouts;
use evenkeel_source::{Diagnostic, Spanned};

/// Seconds of the longest timeout of idle connections.
const LONGEST: u32 = 31 * 24 * 60 * 60;

/// A line or block of `global_defs`, as it was written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GlobalWord {
    /// The keyword.
    pub name: &'static str,
    /// What stands behind it.
    pub args: Vec<String>,
    /// The lines of a list.
    pub lines: Vec<Vec<String>>,
}

/// Every `global_defs`, word for word.
pub(crate) fn words(top: &[Node]) -> Vec<GlobalWord> {
    let texts = |words: &[Word]| words.iter().map(|word| word.text.clone()).collect();
    let one = |node: &Node| GlobalWord {
        name: node.keyword.name,
        args: texts(&node.args),
        lines: node.lines.iter().map(|line| texts(line)).collect(),
    };
    Block(top).nodes("global_defs").flat_map(|node| &node.block).map(one).collect()
}

/// Reads every `global_defs`, as if they were one.
pub(crate) fn globals(top: &[Node], settings: &mut SettingsDraft, out: &mut Vec<Diagnostic>) {
    let nodes: Vec<&Node> = Block(top).nodes("global_defs").collect();
    if let Some(node) = nodes.iter().rev().find_map(|node| Block(&node.block).node("lvs_timeouts")) {
        settings.timeouts = Some(Spanned::new(timeouts(node, out), node.span));
    }
}

/// `tcp 900 tcpfin 120 udp 300`
fn timeouts(node: &Node, out: &mut Vec<Diagnostic>) -> Timeouts {
    let mut timeouts = Timeouts::default();
    for pair in node.args.chunks(2) {
        let Some((name, value)) = pair.first().zip(pair.get(1)) else {
            let Some(name) = pair.first() else { continue };
            let message = format!("lvs_timeouts {} has no number", shown(&name.text));
            out.push(Diagnostic::warning(codes::NO_VALUE, name.span, message));
            continue;
        };
        let seconds = number(&value.text).and_then(|n| u32::try_from(n).ok()).filter(|n| (1..=LONGEST).contains(n));
        if seconds.is_none() {
            let message = format!("lvs_timeouts {} {} is outside 1..{LONGEST}", shown(&name.text), shown(&value.text));
            let d = Diagnostic::warning(codes::OUT_OF_RANGE, value.span, message);
            out.push(d.note("keepalived ignores it"));
            continue;
        }
        match name.text.as_str() {
            "tcp" => timeouts.tcp = seconds,
            "tcpfin" => timeouts.tcp_fin = seconds,
            "udp" => timeouts.udp = seconds,
            other => {
                let message = format!("lvs_timeouts has no `{}`", shown(other));
                out.push(Diagnostic::warning(codes::VALUE, name.span, message).help("tcp, tcpfin and udp"));
            }
        }
    }
    timeouts
}
