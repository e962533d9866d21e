//! Routes and rules of instances and of the node, and the priorities of rules that name none.

use super::{
    super::{tree::Node, word::Word},
    VrrpGrouped,
};
use crate::{
    codes,
    routing::{Dialect, Names, Priority, route, rule},
};
use evenkeel_model::{
    Family,
    vrrp::{Route, Rule},
};
use evenkeel_source::{Diagnostic, Span, Spanned};

/// Where keepalived begins to count down, for each family apart.
const FIRST: u32 = 16_384;

/// Reads routes and rules of a file in the order of the file.
pub(super) struct Reader<'a> {
    names: &'a Names<'a>,
    /// The next priority of IPv4 and of IPv6.
    next: [u32; 2],
    /// What has a group that tracks it.
    grouped: Vec<VrrpGrouped>,
}

impl<'a> Reader<'a> {
    pub(super) fn new(names: &'a Names<'a>) -> Reader<'a> {
        Reader { names, next: [FIRST; 2], grouped: Vec::new() }
    }

    /// The names of this host.
    pub(super) fn names(&self) -> &'a Names<'a> {
        self.names
    }

    /// The routes of the lists called `name` in `block`.
    pub(super) fn routes(&mut self, block: &[Node], name: &str, out: &mut Vec<Diagnostic>) -> Vec<Spanned<Route>> {
        let fixed = name == "static_routes";
        let mut routes = Vec::new();
        for line in lines(block, name) {
            let mut group = None;
            let found = route(line, fixed.then_some(&mut group), Dialect::Keepalived, self.names, out);
            if let (Some(Route { hops, .. }), Some(group), Some(place)) = (&found, group, place(line)) {
                let only = hops.first().filter(|_| hops.len() == 1).and_then(|hop| hop.interface.as_ref());
                self.group(group, place, only, out);
            }
            routes.extend(found.zip(place(line)).map(|(route, span)| Spanned::new(route, span)));
        }
        routes
    }

    /// The rules of the lists called `name` in `block`.
    pub(super) fn rules(&mut self, block: &[Node], name: &str, out: &mut Vec<Diagnostic>) -> Vec<Spanned<Rule>> {
        let fixed = name == "static_rules";
        let mut rules = Vec::new();
        for line in lines(block, name) {
            let mut group = None;
            let found = rule(line, fixed.then_some(&mut group), Dialect::Keepalived, self.names, out);
            if let (Some((rule, _)), Some(group), Some(place)) = (&found, group, place(line)) {
                self.group(group, place, rule.input.as_ref(), out);
            }
            let (Some((mut rule, priority)), Some(span)) = (found, place(line)) else { continue };
            if priority == Priority::Missing {
                rule.priority = self.take(rule.family);
                let message = format!("a rule without a priority gets {}", rule.priority);
                let d = Diagnostic::warning(codes::VRRP_ROUTE, span, message);
                out.push(d.note("keepalived counts down from 16384").help("write `priority 1000`, below 32766"));
            }
            rules.push(Spanned::new(rule, span));
        }
        rules
    }

    /// Notes a group; without an interface there is nothing to track.
    pub(super) fn group(
        &mut self,
        group: Spanned<String>,
        line: Span,
        interface: Option<&String>,
        out: &mut Vec<Diagnostic>,
    ) {
        match interface {
            Some(interface) => self.grouped.push(VrrpGrouped { group, line, interface: interface.clone() }),
            None => {
                let d = Diagnostic::warning(codes::VRRP_ROUTE, group.span, "`track_group` without an interface");
                out.push(d.note("keepalived ignores it").help("write `dev INTERFACE`"));
            }
        }
    }

    /// Everything that has a group.
    pub(super) fn into_grouped(self) -> Vec<VrrpGrouped> {
        self.grouped
    }

    fn take(&mut self, family: Family) -> u32 {
        let next = &mut self.next[usize::from(family == Family::V6)];
        let own = *next;
        *next = own.saturating_sub(1);
        own
    }
}

fn lines<'a>(block: &'a [Node], name: &str) -> impl Iterator<Item = &'a Vec<Word>> {
    block.iter().filter(move |node| node.keyword.name == name).flat_map(|node| &node.lines)
}

/// All of a line, as far as it is in one file.
fn place(line: &[Word]) -> Option<Span> {
    let (first, last) = (line.first()?, line.last()?);
    Some(if first.span.file == last.span.file { first.span.to(last.span) } else { first.span })
}
