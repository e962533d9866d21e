//! What is said about keywords by their status: refused, without effect, not carried out yet.

use super::{
    table::{Argument, Keyword, Status},
    tree::Node,
};
use crate::{codes, host::shown};
use evenkeel_source::{Code, Diagnostic, Span};
use std::collections::{BTreeMap, BTreeSet};

/// Tells it.
pub(crate) fn report(nodes: &[Node], out: &mut Vec<Diagnostic>) {
    let mut seen = Seen::default();
    seen.walk(nodes, out);
    for (why, places) in &seen.later {
        out.extend(places.tell(why));
    }
}

#[derive(Default)]
struct Seen {
    /// By what is not carried out yet.
    later: BTreeMap<&'static str, Places>,
    told: BTreeSet<&'static str>,
}

/// What of one kind is there.
#[derive(Default)]
struct Places {
    first: Option<(Span, String)>,
    counts: BTreeMap<&'static str, usize>,
}

impl Seen {
    fn walk(&mut self, nodes: &[Node], out: &mut Vec<Diagnostic>) {
        for node in nodes {
            let Keyword { name, argument, status, .. } = node.keyword;
            match status {
                Status::Done | Status::Partly(_) => self.walk(&node.block, out),
                Status::Refused(why) => {
                    let code = refusal(*argument, name);
                    out.push(Diagnostic::error(code, node.span, format!("`{name}`: {why}")));
                }
                Status::Later(why) => {
                    let places = self.later.entry(why).or_default();
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
    fn tell(&self, why: &str) -> Option<Diagnostic> {
        let (span, what) = self.first.as_ref()?;
        let d = Diagnostic::warning(codes::LATER, *span, format!("{what}: {why}"));
        if self.counts.values().sum::<usize>() < 2 {
            return Some(d);
        }
        let counts: Vec<String> = self.counts.iter().map(|(name, count)| format!("{count} {name}")).collect();
        Some(d.note(format!("there are {}", counts.join(", "))))
    }
}
