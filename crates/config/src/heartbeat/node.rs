//! Names of nodes: which one this host is, and whom another file means.

use crate::{
    codes,
    host::{Host, shown},
};
use evenkeel_model::heartbeat::NodeName;
use evenkeel_source::{Diagnostic, Span, Spanned};

/// A node that a name means.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Meant<'a> {
    /// By its name, in whatever case.
    Exactly(&'a NodeName),
    /// One of the two is the short form of the other.
    Shortened(&'a NodeName),
}

/// The node that `name` means; of a short and a full name when only one node fits.
pub(crate) fn find<'a>(nodes: impl Iterator<Item = &'a NodeName> + Clone, name: &str) -> Option<Meant<'a>> {
    let name = name.to_ascii_lowercase();
    if let Some(node) = nodes.clone().find(|node| node.as_str() == name) {
        return Some(Meant::Exactly(node));
    }
    let label = |text: &str| text.split('.').next().unwrap_or_default().to_owned();
    let (short, is_short) = (label(&name), !name.contains('.'));
    let mut fitting = nodes.filter(|node| {
        let other = node.as_str();
        is_short == other.contains('.') && !short.is_empty() && label(other) == short
    });
    let first = fitting.next()?;
    fitting.next().is_none().then_some(Meant::Shortened(first))
}

/// Which of the nodes this host is.
pub(crate) fn this_host(nodes: &[Spanned<NodeName>], host: &Host<'_>, out: &mut Vec<Diagnostic>) -> Option<NodeName> {
    let first = nodes.first()?;
    let own = host.full_name;
    match find(nodes.iter().map(|node| &node.value), own) {
        Some(Meant::Exactly(node)) => Some(node.clone()),
        Some(Meant::Shortened(node)) => {
            let place = nodes.iter().find(|known| known.value == *node).map_or(first.span, |known| known.span);
            let message = format!("this host is `{}` and read as node `{node}`", shown(own));
            let d = Diagnostic::warning(codes::NODE, place, message);
            let refused = format!("heartbeat refuses to start: Current node [{}] not in configuration!", shown(own));
            out.push(d.note(refused).help("write what `uname -n` says, or give the host this name"));
            Some(node.clone())
        }
        None => {
            let names: Vec<String> = nodes.iter().map(|node| node.value.to_string()).collect();
            let own = if own.is_empty() { "a host without a name".to_owned() } else { format!("`{}`", shown(own)) };
            let d = Diagnostic::error(codes::NODE, first.span, format!("this host is {own}, and no node is called so"));
            let d = d.labelled(format!("the nodes are {}", names.join(", ")));
            let d = d.note("heartbeat refuses to start: Current node not in configuration!");
            out.push(d.help("name the node as `uname -n` does on it, or say with --node NAME which of them this is"));
            None
        }
    }
}

/// The node that another file means by `name`; a short form is told.
pub(super) fn named(nodes: &[NodeName], name: &str, span: Span, out: &mut Vec<Diagnostic>) -> Option<NodeName> {
    match find(nodes.iter(), name)? {
        Meant::Exactly(node) => Some(node.clone()),
        Meant::Shortened(node) => {
            let message = format!("`{}` is read as node `{node}`", shown(name));
            let d = Diagnostic::warning(codes::NODE, span, message);
            let refused = format!("heartbeat refuses to start: Bad nodename [{}]", shown(name));
            out.push(d.note(refused).replace(format!("write `{node}`"), span, node.as_str()));
            Some(node.clone())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(names: &[&str]) -> Vec<NodeName> {
        names.iter().map(|name| NodeName::new(name).unwrap()).collect()
    }

    #[test]
    fn a_node_is_found_in_any_case_and_by_its_short_name_when_that_is_one_nodes() {
        let nodes = names(&["HA1", "node2.a.org", "node3.a.org", "node3.b.org"]);
        let found = |name| find(nodes.iter(), name);
        assert_eq!(found("ha1"), Some(Meant::Exactly(&nodes[0])));
        assert_eq!(found("Ha1.example.org"), Some(Meant::Shortened(&nodes[0])));
        assert_eq!(found("node2"), Some(Meant::Shortened(&nodes[1])));
        assert_eq!(found("node3"), None, "there are two");
        assert_eq!(found("node2.b.org"), None, "another domain is another host");
        assert_eq!(found(""), None);
    }
}
