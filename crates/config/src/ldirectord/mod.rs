//! ldirectord.cf, the whole grammar of ldirectord 4.12: [`table`] names every directive, [`parse`] reads lines into
//! options, [`lower`] turns them into services.

mod blank;
pub(crate) mod check;
pub(crate) mod lower;
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
pub use table::compat_markdown;

/// Reads one ldirectord.cf.
pub(crate) fn read(sources: &Sources, file: FileId, resolver: &Resolver<'_>, out: &mut Vec<Diagnostic>) -> Draft {
    let syntax = parse::parse(sources, file, out);
    lower::lower(syntax, resolver, out)
}
