//! keepalived.conf, the language of keepalived 2.2.7 and what later ones added: [`reader`] makes tokens of files,
//! [`tree`] blocks of tokens by [`table`], [`service`] virtual services of blocks, [`vrrp`] typed instances.

mod check;
mod expand;
mod globals;
mod group;
mod include;
mod method;
mod notify;
mod reader;
mod report;
mod sequence;
mod service;
pub(crate) mod table;
mod tree;
pub(crate) mod value;
pub mod vrrp;
pub(crate) mod word;

use crate::{draft::Draft, host::Resolver};
use evenkeel_source::{Diagnostic, FileId, Sources};
pub use globals::GlobalWord;
pub use table::keepalived_markdown;

/// Reads one keepalived.conf and what it includes.
pub(crate) fn read(sources: &mut Sources, file: FileId, resolver: &Resolver<'_>, out: &mut Vec<Diagnostic>) -> Draft {
    let tokens = reader::tokens(sources, file, resolver.ask(), out);
    let nodes = tree::parse(sources, file, tokens, out);
    report::report(&nodes, out);
    let mut draft = Draft::default();
    let told = notify::read(&nodes, &mut draft.notify, out);
    globals::globals(&nodes, &mut draft.settings, out);
    service::services(&nodes, &told, resolver, &mut draft, out);
    draft.globals = globals::words(&nodes);
    draft.vrrp = vrrp::read(&nodes, resolver.ask(), out);
    draft.elections = vrrp::lower(&draft.vrrp);
    let tracking = vrrp::lower_tracking(&draft.vrrp, &mut draft.elections, out);
    (draft.trackers, draft.groups) = (tracking.trackers, tracking.groups);
    vrrp::follow_groups(&draft.vrrp, &draft.groups, &mut draft.elections);
    draft.conduct = vrrp::lower_conduct(&draft.vrrp, out);
    draft.fixed = vrrp::lower_fixed(&draft.vrrp);
    draft.settings.firewall = vrrp::lower_firewall(&draft.vrrp);
    draft.bfd = vrrp::lower_bfd(&draft.vrrp, out);
    notify::roles(&told, &mut draft);
    draft
}
