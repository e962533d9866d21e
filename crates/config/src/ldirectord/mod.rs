//! ldirectord.cf, the whole grammar of ldirectord 4.12: [`table`] names every directive, [`parse`] reads lines into
//! options, [`lower`] turns them into services.

pub(crate) mod blank;
pub(crate) mod check;
pub(crate) mod lower;
mod memory;
mod options;
mod parse;
mod quoted;
mod real;
mod slot;
mod table;
mod targets;
mod value;
pub(crate) mod words;

use crate::{draft::Draft, host::Resolver};
use evenkeel_source::{Diagnostic, FileId, Sources};
use lower::Lowered;
pub(crate) use memory::Memory;
use memory::Outline;
use std::collections::BTreeSet;
pub use table::compat_markdown;

/// Reads one ldirectord.cf.
pub(crate) fn read(sources: &Sources, file: FileId, resolver: &Resolver<'_>, out: &mut Vec<Diagnostic>) -> Draft {
    let syntax = parse::parse(sources, file, &[], out);
    lower::lower(syntax, resolver, out).draft
}

/// The same for a file that was read before; what did not change is remembered.
pub(crate) fn read_again(
    sources: &Sources,
    file: FileId,
    resolver: &Resolver<'_>,
    memory: &mut Memory,
    out: &mut Vec<Diagnostic>,
) -> Draft {
    let text = sources.text(file);
    let outline = Outline::of(text);
    let mut known = memory.recall(&outline, text, file);
    let before = out.len();
    let syntax = parse::parse(sources, file, &known.places, out);
    let told: Vec<usize> = out.iter().skip(before).filter_map(|d| d.place()).map(|span| span.range().start).collect();
    let Lowered { mut draft, mut clean } = lower::lower(syntax, resolver, out);
    if let Some(clean) = &mut clean {
        let told: BTreeSet<usize> = told.into_iter().filter_map(|at| outline.service_at(at)).collect();
        clean.retain(|at| outline.service_at(*at).is_some_and(|service| !told.contains(&service)));
    }
    memory.learn(outline, text, &draft.services, clean.as_deref());
    if !known.services.is_empty() {
        draft.services.append(&mut known.services);
        draft.services.sort_by_key(|service| service.key.start);
    }
    draft
}
