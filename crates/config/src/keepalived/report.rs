//! What is said about keywords by their status: refused, without effect, not carried out yet.

use super::{
    table::{Argument, Keyword, Later, Status},
    tree::Node,
};
use crate::{codes, host::shown};
use evenkeel_source::{Code, Diagnostic, Span};
use std::collections::{BTreeMap, BTreeSet};

/// Tells it, and returns what `run` refuses.
pub(crate) fn report(nodes: &[Node], out: &mut Vec<Diagnostic>) -> Vec<Diagnostic> {
    let mut seen = Seen { elects: nodes.iter().any(|node| node.keyword.name == "vrrp_instance"), ..Seen::default() };
    seen.walk(nodes, false, out);
    let mut unserved = Vec::new();
    for (later, places) in &seen.later {
        let Some(d) = places.tell(*later) else { continue };
        if *later == Later::Vrrp {
            unserved.push(d.clone());
        }
        out.push(d);
    }
    unserved
}

#[derive(Default)]
struct Seen {
    /// Whether there is an instance.
    elects: bool,
    later: BTreeMap<Later, Places>,
    told: BTreeSet<&'static str>,
}

/// What of one kind is there.
#[derive(Default)]
struct Places {
    first: Option<(Span, String)>,
    counts: BTreeMap<&'static str, usize>,
}

impl Seen {
    /// `within`: of an instance or a group, where every word asks for something.
    fn walk(&mut self, nodes: &[Node], within: bool, out: &mut Vec<Diagnostic>) {
        for node in nodes {
            let Keyword { name, argument, status, .. } = node.keyword;
            match status {
                Status::Done | Status::Partly(_) => {
                    let within = within || matches!(*name, "vrrp_instance" | "vrrp_sync_group");
                    self.walk(&node.block, within, out);
                }
                Status::Refused(why) => {
                    let code = refusal(*argument, name);
                    out.push(Diagnostic::error(code, node.span, format!("`{name}`: {why}")));
                }
                Status::Later(Later::Vrrp) if !within && !argument.opens() => {
                    // Settings of VRRP without VRRP ask for nothing.
                    if self.elects && self.told.insert(name) {
                        let message = format!("`{name}`: {}", Later::Vrrp.words());
                        out.push(Diagnostic::warning(codes::VRRP, node.span, message));
                    }
                }
                Status::Later(later) => {
                    let places = self.later.entry(*later).or_default();
                    let title = node.args.first().map_or(String::new(), |word| format!(" {}", shown(&word.text)));
                    places.first.get_or_insert_with(|| (node.span, format!("`{name}`{title}")));
                    *places.counts.entry(name).or_default() += 1;
                }
                Status::Nothing(why) => {
                    if self.told.insert(name) {
                        let message = format!("`{name}` has no effect: {why}");
                        out.push(Diagnostic::note_at(codes::NO_EFFECT, node.span, message));
                    }
                }
            }
        }
    }
}

fn refusal(argument: Argument, name: &str) -> Code {
    match argument {
        Argument::Block(_) => codes::PROBE,
        _ if name.starts_with("net_namespace") => codes::LATER,
        _ => codes::CHECK_PART,
    }
}

impl Places {
    fn tell(&self, later: Later) -> Option<Diagnostic> {
        let (span, what) = self.first.as_ref()?;
        let code = match later {
            Later::Vrrp => codes::VRRP,
            Later::Sync => codes::LATER,
        };
        let mut d = Diagnostic::warning(code, *span, format!("{what}: {}", later.words()));
        let total: usize = self.counts.values().sum();
        if total > 1 {
            let counts: Vec<String> = self.counts.iter().map(|(name, count)| format!("{count} {name}")).collect();
            d = d.note(format!("there are {}", counts.join(", ")));
        }
        match later {
            Later::Vrrp => {
                d = d
                    .note("it is checked as far as it goes; `evenkeel run` refuses the file")
                    .help("`evenkeel run --no-vrrp` serves its virtual servers alone, as `keepalived -C` does")
            }
            Later::Sync => {}
        }
        Some(d)
    }
}
