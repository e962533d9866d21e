//! haresources: which node prefers which resources.

use super::{
    agent::is_address,
    ha::ODD_BLANKS,
    node,
    words::{placed, split, within},
};
use crate::{
    codes,
    host::shown,
    ldirectord::blank::{Gathered, is_blank, is_odd},
    load::MOST_DIAGNOSTICS,
    nearest::nearest,
};
use evenkeel_model::heartbeat::NodeName;
use evenkeel_source::{Diagnostic, FileId, Sources, Span, Spanned};

/// A line: a node and what it prefers to have.
pub(super) struct GroupLine {
    pub(super) node: NodeName,
    pub(super) place: Span,
    pub(super) resources: Vec<Token>,
}

/// A word, perhaps of several lines.
#[derive(Clone)]
pub(super) struct Token {
    pub(super) text: String,
    /// Its first part.
    pub(super) span: Span,
    /// Its last part.
    last: Span,
}

/// Reads the file; what is wrong goes to `out`.
pub(super) fn read(sources: &Sources, file: FileId, nodes: &[NodeName], out: &mut Vec<Diagnostic>) -> Vec<GroupLine> {
    let mut odd = Gathered::default();
    let lines = lines(sources.text(file), file, &mut odd, out);
    out.extend(odd.tell(sources, &ODD_BLANKS));
    let lines = join(sources.text(file), lines, nodes, out);
    let mut groups = Vec::new();
    for line in lines {
        let mut words = line.into_iter();
        let Some(first) = words.next() else { continue };
        let resources: Vec<Token> = words.collect();
        let Some(node) = node::named(nodes, &first.text, first.span, out) else {
            out.push(no_node(&first, nodes));
            continue;
        };
        if resources.is_empty() {
            let d = Diagnostic::warning(codes::RESOURCE, first.span, format!("node {node} is given no resource"));
            out.push(d.help("write a resource behind it, such as 192.0.2.100/24/eth0, or leave the line out"));
            continue;
        }
        groups.push(GroupLine { node, place: first.span, resources });
    }
    groups
}

fn no_node(word: &Token, nodes: &[NodeName]) -> Diagnostic {
    let message = format!("`{}` is no node of the cluster", shown(&word.text));
    let names: Vec<&str> = nodes.iter().map(NodeName::as_str).collect();
    let d = Diagnostic::error(codes::NODE, word.span, message);
    let d = d.note(format!("heartbeat refuses to start: Bad nodename [{}]", shown(&word.text)));
    match nearest(&word.text, names.iter().copied()) {
        Some(meant) => d.suggest(format!("did you mean `{meant}`?"), word.span, meant),
        None if names.is_empty() => d.help("ha.cf names no node"),
        None => d.help(format!(
            "a line begins with one of {}; end the line above with a backslash if this is the rest of it",
            names.join(", ")
        )),
    }
}

/// The words of each line, lines that end in a backslash joined with the next.
fn lines(text: &str, file: FileId, odd: &mut Gathered, out: &mut Vec<Diagnostic>) -> Vec<Vec<Token>> {
    let mut found: Vec<Vec<Token>> = Vec::new();
    let mut words: Vec<Token> = Vec::new();
    // The line above ended in a backslash right behind a word.
    let mut glued = false;
    let mut start = 0;
    for line in text.split_inclusive('\n') {
        let whole = line.trim_end_matches(['\n', '\r']);
        if whole.len() > super::ha::LONGEST_LINE {
            let span = Span::new(file, start, start + whole.len());
            let message = format!("the line is {} bytes long; {} is the most", whole.len(), super::ha::LONGEST_LINE);
            out.push(Diagnostic::error(codes::LONG_LINE, span, message));
        } else {
            let content = whole.split('#').next().unwrap_or("");
            if content.contains(is_odd) {
                odd.blanks(file, start, content, content.len() == whole.len());
            }
            let (content, goes_on) = content.strip_suffix('\\').map_or((content, false), |content| (content, true));
            let mut these = split(placed(file, start, content), is_blank).into_iter();
            if glued
                && !content.starts_with(is_blank)
                && let Some(last) = words.last_mut()
                && let Some(rest) = these.next()
            {
                last.text.push_str(rest.value);
                last.last = rest.span;
            }
            words.extend(these.filter_map(|word| token(word, out)));
            if goes_on {
                glued = if content.is_empty() { glued } else { !content.ends_with(is_blank) };
            } else if !words.is_empty() {
                found.push(std::mem::take(&mut words));
            }
            if !goes_on {
                glued = false;
            }
        }
        start += line.len();
        if out.len() > MOST_DIAGNOSTICS {
            break;
        }
    }
    if !words.is_empty() {
        found.push(words);
    }
    found
}

/// A word; a comma behind it is told and left out.
fn token(word: Spanned<&str>, out: &mut Vec<Diagnostic>) -> Option<Token> {
    let text = word.value.trim_end_matches(',');
    let span = within(word.span, 0, text.len());
    if text.len() < word.value.len() {
        let comma = within(word.span, text.len(), word.value.len() - text.len());
        let d = Diagnostic::warning(codes::RESOURCE, comma, "a comma between resources");
        let d = d.note("heartbeat takes it for a part of the word, and the group does not start");
        out.push(d.replace("write a blank alone", comma, " "));
    }
    (!text.is_empty()).then(|| Token { text: text.to_owned(), span, last: span })
}

/// Lines that can only be the rest of the one above, joined with it.
fn join(text: &str, lines: Vec<Vec<Token>>, nodes: &[NodeName], out: &mut Vec<Diagnostic>) -> Vec<Vec<Token>> {
    let mut joined: Vec<Vec<Token>> = Vec::new();
    for line in lines {
        let Some(first) = line.first() else { continue };
        let is_node = node::find(nodes.iter(), &first.text).is_some();
        let rest_of_word = first.text.starts_with('/');
        let above = joined.last_mut().filter(|above| {
            let lacks_resources = above.len() == 1;
            !is_node && (rest_of_word || lacks_resources || is_address(&first.text) || first.text.contains("::"))
        });
        let Some(above) = above else {
            joined.push(line);
            continue;
        };
        if let Some(last) = above.last_mut() {
            let glued = rest_of_word && is_address(&last.text);
            let between = Span::new(first.span.file, last.last.end as usize, first.span.start as usize);
            let message = if glued {
                "this is read as the rest of the word above"
            } else {
                "this is read as the rest of the line above"
            };
            let d = Diagnostic::warning(codes::BROKEN_LINE, first.span, message).label(last.span, "begins here");
            let d = d.note(format!("heartbeat refuses to start: Bad nodename [{}]", shown(&first.text)));
            let between_them = text.get(between.range()).unwrap_or("#");
            out.push(if between_them.contains('#') {
                d.help("join the lines")
            } else {
                d.replace("join the lines", between, if glued { "" } else { " " })
            });
            let mut rest = line.into_iter();
            if glued && let Some(first) = rest.next() {
                last.text.push_str(&first.text);
                last.last = first.last;
            }
            above.extend(rest);
        }
    }
    joined
}
