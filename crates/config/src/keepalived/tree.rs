//! Tokens into blocks. Where braces do not match, the table of words tells what was meant: a block that cannot stand
//! where it stands closes what is open, up to the block it can stand in.

use super::{
    reader::Tokens,
    table::{Argument, Keyword, Scope},
    value,
    word::{Token, Word},
};
use crate::{codes, host::shown, nearest::nearest};
use evenkeel_source::{Diagnostic, Edit, FileId, Sources, Span};
use std::{collections::HashMap, vec};

/// A line of a block, or a block within it.
#[derive(Debug)]
pub(crate) struct Node {
    pub(crate) keyword: &'static Keyword,
    /// Where the keyword stands.
    pub(crate) span: Span,
    pub(crate) args: Vec<Word>,
    /// What a block holds, real servers last.
    pub(crate) block: Vec<Node>,
    /// The lines of a list; none is empty.
    pub(crate) lines: Vec<Vec<Word>>,
}

/// What a frame's braces stand for.
#[derive(Clone, Copy)]
enum Kind {
    Block(Scope),
    List,
    /// An unknown block, or one at the wrong place: not read.
    Skipped,
    /// Braces behind a word that has none: what they hold belongs to the block around them.
    Bare(Scope),
}

struct Frame {
    kind: Kind,
    /// `None` for the whole, for skipped and for bare ones.
    node: Option<Node>,
    open: Span,
    children: Vec<Node>,
    lines: Vec<Vec<Word>>,
    /// The end of the last block that was closed in it, and that block's name.
    last_close: Option<(Span, &'static str)>,
}

/// Blocks within each other that are told apart; the language has five.
const DEEPEST: usize = 64;

struct Parser<'a> {
    sources: &'a Sources,
    out: &'a mut Vec<Diagnostic>,
    stack: Vec<Frame>,
    file: FileId,
    /// The last statement was one that wants a block and has none: it must not get the next one.
    awaits: bool,
    /// Braces opened deeper than [`DEEPEST`].
    deeper: usize,
    /// What [`near`] found, as words that are none come again and again.
    near: HashMap<(Scope, String), Option<&'static Keyword>>,
}

/// Reads the tokens of a file and its includes.
pub(crate) fn parse(sources: &Sources, file: FileId, tokens: Tokens, out: &mut Vec<Diagnostic>) -> Vec<Node> {
    let start = Span::new(file, 0, 0);
    let mut parser = Parser {
        sources,
        out,
        stack: vec![Frame::new(Kind::Block(Scope::Top), None, start)],
        file,
        awaits: false,
        deeper: 0,
        near: HashMap::new(),
    };
    let Tokens { tokens, mut complete } = tokens;
    let mut tokens = tokens.into_iter();
    while let Some(token) = tokens.next() {
        if parser.out.len() > crate::load::MOST_DIAGNOSTICS {
            complete = false;
            break;
        }
        match token {
            Token::End => {}
            Token::Close(span) => parser.close(span),
            Token::Open(span) => parser.bare(span),
            Token::Word(first) => {
                let words = words(&mut tokens);
                let mut open = None;
                // The brace may stand in the next line.
                let wants = parser.opens(&first);
                while wants && tokens.as_slice().first() == Some(&Token::End) {
                    tokens.next();
                }
                if let Some(Token::Open(span)) = tokens.as_slice().first() {
                    open = Some(*span);
                    tokens.next();
                }
                parser.statement(first, words, open);
            }
        }
    }
    parser.finish(complete)
}

/// The words that come next, in as much room as they take: a large file has a hundred thousand lines.
fn words(tokens: &mut vec::IntoIter<Token>) -> Vec<Word> {
    let count = tokens.as_slice().iter().take_while(|token| matches!(token, Token::Word(_))).count();
    let mut words = Vec::with_capacity(count);
    words.extend(tokens.take(count).filter_map(|token| match token {
        Token::Word(word) => Some(word),
        Token::Open(_) | Token::Close(_) | Token::End => None,
    }));
    words
}

impl Frame {
    fn new(kind: Kind, node: Option<Node>, open: Span) -> Frame {
        Frame { kind, node, open, children: Vec::new(), lines: Vec::new(), last_close: None }
    }

    fn scope(&self) -> Option<Scope> {
        match self.kind {
            Kind::Block(scope) | Kind::Bare(scope) => Some(scope),
            Kind::List | Kind::Skipped => None,
        }
    }

    fn name(&self) -> &'static str {
        self.node.as_ref().map_or("block", |node| node.keyword.name)
    }
}

impl Parser<'_> {
    fn top(&mut self) -> Option<&mut Frame> {
        self.stack.last_mut()
    }

    /// Whether this word opens a block where it stands.
    fn opens(&mut self, first: &Word) -> bool {
        let scope = self.stack.last().and_then(Frame::scope);
        let Some(scope) = scope else { return self.owner(first).is_some() };
        match scope.find(&first.text).or_else(|| in_another_case(scope, first)) {
            Some(keyword) => keyword.argument.opens(),
            None if self.owner(first).is_some() => true,
            None => self.near(scope, first).is_some_and(|keyword| keyword.argument.opens()),
        }
    }

    fn near(&mut self, scope: Scope, first: &Word) -> Option<&'static Keyword> {
        const MOST_REMEMBERED: usize = 10_000;
        if first.quoted {
            return None;
        }
        if self.near.len() > MOST_REMEMBERED {
            self.near.clear();
        }
        *self.near.entry((scope, first.text.clone())).or_insert_with(|| near(scope, first))
    }

    /// The innermost open block, not the last one, that this word can open a block in.
    fn owner(&self, first: &Word) -> Option<usize> {
        let outer = self.stack.get(..self.stack.len() - 1)?;
        let takes = |frame: &Frame| match frame.kind {
            Kind::Block(scope) => scope.find(&first.text).is_some_and(|keyword| keyword.argument.opens()),
            Kind::List | Kind::Skipped | Kind::Bare(_) => false,
        };
        outer.iter().rposition(takes).filter(|_| !first.quoted)
    }

    fn statement(&mut self, first: Word, words: Vec<Word>, open: Option<Span>) {
        if self.deeper > 0 {
            self.deeper += usize::from(open.is_some());
            return;
        }
        self.awaits = open.is_none() && self.opens(&first);
        let Some(frame) = self.stack.last() else { return };
        match (frame.kind, open) {
            (Kind::List, None) => {
                let mut line = vec![first];
                line.extend(words);
                if let Some(frame) = self.top() {
                    frame.lines.push(line);
                }
            }
            (Kind::List | Kind::Skipped, Some(open)) => match self.owner(&first) {
                Some(owner) => {
                    self.close_up_to(owner, &first);
                    self.statement(first, words, Some(open));
                }
                None => self.push(Frame::new(Kind::Skipped, None, open)),
            },
            (Kind::Skipped, None) => {}
            (Kind::Block(scope) | Kind::Bare(scope), _) => self.keyword(scope, first, words, open),
        }
    }

    fn keyword(&mut self, scope: Scope, first: Word, words: Vec<Word>, open: Option<Span>) {
        let Some(keyword) = scope.find(&first.text).or_else(|| self.read_in_another_case(scope, &first)) else {
            if let Some(owner) = open.and_then(|_| self.owner(&first)) {
                self.close_up_to(owner, &first);
                return self.statement(first, words, open);
            }
            return match self.meant(scope, &first) {
                Some(keyword) => self.known(keyword, &first, words, open),
                None => {
                    if let Some(open) = open {
                        self.push(Frame::new(Kind::Skipped, None, open));
                    }
                }
            };
        };
        self.known(keyword, &first, words, open);
    }

    fn known(&mut self, keyword: &'static Keyword, first: &Word, mut args: Vec<Word>, open: Option<Span>) {
        let is_valid = value::check(keyword, first.span, &mut args, self.out);
        let node = Node { keyword, span: first.span, args, block: Vec::new(), lines: Vec::new() };
        let kind = match (keyword.argument.scope(), keyword.argument.list()) {
            (Some(scope), _) => Some(Kind::Block(scope)),
            (None, Some(_)) => Some(Kind::List),
            (None, None) => None,
        };
        match (kind, open) {
            (Some(kind), Some(open)) if is_valid => self.push(Frame::new(kind, Some(node), open)),
            (Some(_), Some(open)) => self.push(Frame::new(Kind::Skipped, None, open)),
            (Some(_), None) => {
                let message = format!("`{}` has no `{{`", keyword.name);
                self.out.push(Diagnostic::warning(codes::BRACES, first.span, message).note("it is read as empty"));
                self.take(node, is_valid);
            }
            (None, Some(open)) => {
                self.take(node, is_valid);
                self.bare(open);
            }
            (None, None) => self.take(node, is_valid),
        }
    }

    fn push(&mut self, frame: Frame) {
        if self.stack.len() < DEEPEST {
            self.stack.push(frame);
        } else {
            self.deeper += 1;
        }
    }

    fn take(&mut self, node: Node, is_valid: bool) {
        if let Some(frame) = self.top().filter(|_| is_valid) {
            frame.children.push(node);
        }
    }

    fn bare(&mut self, open: Span) {
        if self.deeper > 0 {
            self.deeper += 1;
            return;
        }
        let kind = match self.stack.last().and_then(Frame::scope) {
            Some(scope) => {
                self.out.push(
                    Diagnostic::warning(codes::BRACES, open, "a `{` that opens nothing")
                        .note("keepalived ignores it, and takes its `}` for that of the block around it"),
                );
                Kind::Bare(scope)
            }
            None => Kind::Skipped,
        };
        self.push(Frame::new(kind, None, open));
    }

    fn read_in_another_case(&mut self, scope: Scope, first: &Word) -> Option<&'static Keyword> {
        let keyword = in_another_case(scope, first)?;
        self.read_as(codes::CASE, first, keyword.name);
        Some(keyword)
    }

    fn read_as(&mut self, code: evenkeel_source::Code, first: &Word, meant: &str) {
        let d = Diagnostic::warning(code, first.span, format!("`{}` is read as `{meant}`", shown(&first.text)))
            .note("keepalived does not know the word here and goes on without the line");
        self.out.push(first.replace(d, meant));
    }

    /// The word that is meant by one that has no meaning here, if that is certain. Otherwise it is told and left out.
    fn meant(&mut self, scope: Scope, first: &Word) -> Option<&'static Keyword> {
        let text = first.text.as_str();
        if let Some(keyword) = scope.find("retry").filter(|_| text == "nb_get_retry") {
            let message = format!("{} has no `nb_get_retry`: it is read as `retry`", scope.name());
            let d = Diagnostic::warning(codes::OTHER_WORD, first.span, message)
                .note("keepalived has the word in HTTP_GET and SSL_GET only, and ignores the line here");
            self.out.push(first.replace(d, "retry"));
            return Some(keyword);
        }
        if text == "nat_mask" && scope == Scope::VirtualServer {
            let message = "`nat_mask` is a word of old keepalived and has no effect";
            let d = Diagnostic::warning(codes::NO_EFFECT, first.span, message);
            self.out.push(d.note("keepalived calls it unknown and ignores the line"));
            return None;
        }
        let elsewhere = elsewhere(text);
        if !elsewhere.is_empty() {
            let of = elsewhere.iter().take(4).map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ");
            let message = format!("`{text}` is no word of {}", scope.name());
            let d = Diagnostic::warning(codes::WRONG_BLOCK, first.span, message)
                .note("keepalived does not know it here and ignores it");
            self.out.push(d.help(format!("it is one of {of}: is a `}}` missing or one too many?")));
            return None;
        }
        if let Some(keyword) = self.near(scope, first) {
            self.read_as(codes::NEAR_MISS, first, keyword.name);
            return Some(keyword);
        }
        let message = format!("`{}` is no word of {}", shown(text), scope.name());
        let d = Diagnostic::warning(codes::UNKNOWN_KEYWORD, first.span, message);
        self.out.push(d.note("keepalived calls it an unknown keyword and goes on without it"));
        None
    }

    /// Closes what is open behind the frame `owner`, since `first` can only stand there.
    fn close_up_to(&mut self, owner: usize, first: &Word) {
        let missing = self.stack.len() - 1 - owner;
        let Some(inner) = self.stack.last() else { return };
        let inside = inner.name();
        let message = match missing {
            1 => format!("`{}` inside `{inside}`: a `}}` is missing before it", shown(&first.text)),
            _ => format!("`{}` inside `{inside}`: {missing} `}}` are missing before it", shown(&first.text)),
        };
        let mut d = Diagnostic::warning(codes::BRACES, first.span, message)
            .labelled("missing before this")
            .label(inner.open, format!("`{inside}` is opened here"));
        if let Some((close, name)) = inner.last_close {
            d = d.label(close, format!("this closes `{name}`, not `{inside}`"));
        }
        d = d.note(match first.text.as_str() {
            "real_server" => {
                "keepalived ignores this real server: it runs with those before it, without a word about it"
            }
            _ => "keepalived ignores the block, and says no more than that braces do not match",
        });
        d = d.note("it is read as if the brace were there");
        if let Some(edit) = self.closing(first, missing) {
            d = d.edits("add it", vec![edit]);
        }
        self.out.push(d);
        for _ in 0..missing {
            self.pop(first.span);
        }
    }

    /// Braces in lines of their own, or in the same line where the word does not begin one.
    fn closing(&self, first: &Word, missing: usize) -> Option<Edit> {
        let file = first.span.file;
        let text = self.sources.text(file);
        (!first.made).then_some(())?;
        let line = self.sources.line_range(file, self.sources.line(file, first.span.start));
        let before = text.get(line.start..first.span.range().start)?;
        if !stands_free(text, line.clone()) {
            return None;
        }
        if before.chars().all(|c| c == ' ' || c == '\t') {
            let span = Span::new(file, line.start, line.start);
            return Some(Edit { span, replacement: format!("{before}}}\n").repeat(missing) });
        }
        let span = Span { end: first.span.start, ..first.span };
        Some(Edit { span, replacement: "} ".repeat(missing) })
    }

    fn close(&mut self, span: Span) {
        if self.deeper > 0 {
            self.deeper -= 1;
            return;
        }
        if self.stack.len() > 1 {
            self.pop(span);
            return;
        }
        let d = Diagnostic::warning(codes::BRACES, span, "a `}` that closes nothing");
        let d = d.note("keepalived reports an extra brace and goes on");
        let text = self.sources.text(span.file);
        let line = self.sources.line_range(span.file, self.sources.line(span.file, span.start));
        let is_alone = text.get(line.clone()).is_some_and(|line| line.trim() == "}");
        self.out.push(if is_alone && stands_free(text, line) && !self.awaits {
            d.replace("make it a comment", Span { end: span.start, ..span }, "# ")
        } else {
            d
        });
    }

    fn pop(&mut self, at: Span) {
        let Some(frame) = self.stack.pop() else { return };
        let name = frame.name();
        let is_skipped = matches!(frame.kind, Kind::Skipped);
        let Some(outer) = self.stack.last_mut() else { return };
        match frame.node {
            Some(node) => {
                // Real servers behind all else: they are many, and what is looked up stands before them.
                let mut block = frame.children;
                block.sort_by_key(|child| matches!(child.keyword.argument, Argument::Server(_)));
                block.shrink_to_fit();
                outer.children.push(Node { block, lines: frame.lines, ..node });
            }
            None if !is_skipped => outer.children.extend(frame.children),
            None => {}
        }
        if name != "block" {
            outer.last_close = Some((at, name));
        }
    }

    fn finish(mut self, complete: bool) -> Vec<Node> {
        let open = self.stack.len() - 1 + self.deeper;
        if let Some(inner) = self.stack.last().filter(|_| open > 0 && complete) {
            let end = self.sources.text(self.file).len();
            let message = match open {
                1 => format!("`{}` is not closed at the end of the file", inner.name()),
                _ => format!("`{}` and {} more are not closed at the end of the file", inner.name(), open - 1),
            };
            let mut d = Diagnostic::warning(codes::BRACES, inner.open, message)
                .labelled("opened here")
                .note("keepalived reports braces that do not match and goes on");
            let text = self.sources.text(self.file);
            if open < DEEPEST
                && self.stack.iter().all(|frame| frame.open.file == self.file)
                && !text.trim_end().ends_with('\\')
            {
                let newline = if self.sources.text(self.file).ends_with('\n') { "" } else { "\n" };
                let edit = Edit {
                    span: Span::new(self.file, end, end),
                    replacement: format!("{newline}{}", "}\n".repeat(open)),
                };
                d = d.edits("close it at the end", vec![edit]);
            }
            self.out.push(d);
        }
        let end = Span::new(self.file, 0, 0);
        while self.stack.len() > 1 {
            self.pop(end);
        }
        self.stack.pop().map(|frame| frame.children).unwrap_or_default()
    }
}

fn in_another_case(scope: Scope, first: &Word) -> Option<&'static Keyword> {
    let mut same = scope.keywords().filter(|keyword| keyword.name.eq_ignore_ascii_case(&first.text));
    same.next().filter(|_| same.next().is_none() && !first.quoted)
}

/// The blocks that have this word.
fn elsewhere(text: &str) -> Vec<&'static str> {
    Scope::ALL.iter().filter(|scope| scope.find(text).is_some()).map(|scope| scope.name()).collect()
}

/// The one word of the block that is a letter or two away, when the word is none of any block.
fn near(scope: Scope, first: &Word) -> Option<&'static Keyword> {
    if first.quoted || first.text == "nb_get_retry" || first.text == "nat_mask" || !elsewhere(&first.text).is_empty() {
        return None;
    }
    // Most words are too short or too long by far, and comparing letters is not cheap.
    let length = first.text.chars().count();
    let names = scope.keywords().map(|keyword| keyword.name).filter(|name| name.len().abs_diff(length) <= 2);
    nearest(&first.text, names).and_then(|name| scope.find(name))
}

/// Whether an edit of a brace in this line changes nothing but that: lines of definitions and sequences are read
/// otherwise.
fn stands_free(text: &str, line: std::ops::Range<usize>) -> bool {
    let goes_on = |text: Option<&str>| text.is_some_and(|text| text.trim_end().ends_with('\\'));
    // Empty lines and comments do not end what a backslash goes on with.
    let is_empty = |line: &&str| line.trim().is_empty() || line.trim_start().starts_with(['#', '!']);
    let previous = text.get(..line.start).and_then(|text| text.lines().rev().find(|line| !is_empty(line)));
    let is_made = text.get(line.clone()).is_some_and(|text| text.trim_start().starts_with(['~', '@', '$']));
    !is_made && !goes_on(text.get(line)) && !goes_on(previous)
}
