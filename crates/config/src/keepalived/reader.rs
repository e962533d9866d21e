//! Files into tokens: comments, `@id` lines, definitions, sequences and includes are gone behind this.
//!
//! What a definition stands for is put in where it is used, not where it is written (keepalived.conf(5), "Parameter
//! substitution"). Everything that could grow without end is bounded by [`MOST_STEPS`].

use super::{
    expand::{DEEPEST, definition},
    include::{self, Strictness},
    sequence,
    word::{self, Piece, Place, Token, Word},
};
use crate::{
    codes,
    host::{Host, shown},
    ldirectord::blank::{Gathered, Telling, is_blank, is_odd, plain, skip},
    load::MOST_DIAGNOSTICS,
};
use evenkeel_source::{Diagnostic, FileId, Sources, Span};
use std::{
    collections::{BTreeMap, HashMap},
    path::PathBuf,
    rc::Rc,
};

/// Bytes of a line that is read.
pub(crate) const LONGEST_LINE: usize = 64 * 1024;

/// Lines of one configuration. The largest one in keepalived.conf(5) makes a million.
const MOST_STEPS: usize = 1_500_000;

/// Definitions put in; that one has 1.4 million.
const MOST_SUBSTITUTIONS: usize = 5_000_000;

/// How deep files include each other.
const DEEPEST_FILE: usize = 16;

/// Files of one configuration.
const MOST_FILES: usize = 1000;

/// A line of a definition.
#[derive(Debug)]
pub(crate) struct Line {
    pub(crate) text: String,
    pub(crate) place: Place,
}

/// Files on their way to tokens.
pub(crate) struct Reader<'a> {
    pub(super) sources: &'a mut Sources,
    pub(super) host: &'a Host<'a>,
    pub(super) out: &'a mut Vec<Diagnostic>,
    tokens: Vec<Token>,
    pub(super) definitions: HashMap<String, Rc<Vec<Line>>>,
    /// The files that are being read, the innermost last.
    pub(super) open: Vec<PathBuf>,
    files: usize,
    pub(super) steps: usize,
    pub(super) substitutions: usize,
    pub(super) random: u64,
    pub(super) strictness: Strictness,
    /// `@id` words with their first place, and whether a line of theirs was read.
    conditions: BTreeMap<String, (Span, bool)>,
}

/// What a file holds.
pub(crate) struct Tokens {
    pub(crate) tokens: Vec<Token>,
    /// Nothing was given up on the way.
    pub(crate) complete: bool,
}

/// Reads a file and all it includes.
pub(crate) fn tokens(sources: &mut Sources, file: FileId, host: &Host<'_>, out: &mut Vec<Diagnostic>) -> Tokens {
    let seed = host
        .node
        .bytes()
        .fold(0xcbf2_9ce4_8422_2325_u64, |hash, b| (hash ^ u64::from(b)).wrapping_mul(0x100_0000_01b3));
    let path = sources.path(file).to_owned();
    // What lies behind is moved no more often than that. Lines of a usual file have eight bytes for each token.
    let expected = sources.text(file).len() / 8;
    let mut reader = Reader {
        sources,
        host,
        out,
        tokens: Vec::with_capacity(expected),
        definitions: HashMap::new(),
        open: vec![path],
        files: 1,
        steps: MOST_STEPS,
        substitutions: MOST_SUBSTITUTIONS,
        random: seed | 1,
        strictness: Strictness::default(),
        conditions: BTreeMap::new(),
    };
    reader.file(file);
    reader.report_conditions();
    let complete = reader.steps > 0 && reader.out.len() <= MOST_DIAGNOSTICS;
    // What came of a sequence that was as good as endless is not worth looking at.
    if !complete && reader.tokens.len() > MOST_STEPS {
        reader.tokens.clear();
    }
    Tokens { complete, tokens: reader.tokens }
}

impl Reader<'_> {
    pub(super) fn file(&mut self, file: FileId) {
        let strictness = self.strictness;
        let mut odd = Gathered::default();
        let lines = self.sources.line_count(file);
        let mut number = 1;
        while number <= lines && self.steps > 0 && self.out.len() <= MOST_DIAGNOSTICS {
            number = self.line(file, number, &mut odd) + 1;
        }
        self.out.extend(odd.tell(
            self.sources,
            &Telling {
                code: codes::ODD_BLANKS,
                message: [
                    "a line has blanks that are no ASCII blanks",
                    "{} lines have blanks that are no ASCII blanks",
                ],
                label: "keepalived takes this for part of the word",
                note: "probably copied from a web page; read as ordinary blanks",
                fix: "replace them by ordinary blanks",
            },
        ));
        self.strictness = strictness;
    }

    /// Reads the line of this number and those that go on with it; returns the last one's number.
    fn line(&mut self, file: FileId, number: usize, odd: &mut Gathered) -> usize {
        let Some(mut line) = self.physical(file, number, odd) else { return number };
        if include::is_include(&line.text) {
            self.include(&line);
            return number;
        }
        let mut number = number;
        let lines = self.sources.line_count(file);
        let Some(first) = line.text.strip_suffix('\\').map(|text| text.trim_end_matches(is_blank).to_owned()) else {
            self.emit(&line.text, line.place, 0);
            return number;
        };
        line.text = first;
        let mut block = vec![line];
        // Empty lines do not end a definition of several lines.
        while number < lines {
            number += 1;
            let Some(mut next) = self.physical(file, number, odd) else { continue };
            let goes_on = next.text.strip_suffix('\\').map(|text| text.trim_end_matches(is_blank).to_owned());
            let is_last = goes_on.is_none();
            next.text = goes_on.unwrap_or(next.text);
            block.push(next);
            if is_last {
                break;
            }
        }
        self.several(block);
        number
    }

    /// A line without comment and blanks around it; `None` when nothing is left.
    fn physical(&mut self, file: FileId, number: usize, odd: &mut Gathered) -> Option<Line> {
        let range = self.sources.line_range(file, number);
        let whole = self.sources.text(file).get(range.clone()).unwrap_or("");
        let body = skip(whole.trim_end_matches(['\n', '\r']));
        let start = range.start + (whole.trim_end_matches(['\n', '\r']).len() - body.len());
        let before = whole.get(..start - range.start).unwrap_or("");
        if before.contains(is_odd) {
            let plain = if body.is_empty() { String::new() } else { plain(before).replace('\u{feff}', "") };
            odd.push(Span::new(file, range.start, start), plain);
        }
        if body.is_empty() || body.starts_with(['#', '!']) {
            return None;
        }
        if body.len() > LONGEST_LINE {
            let span = Span::new(file, start, start + body.len());
            let message = format!("the line is {} bytes long; {LONGEST_LINE} is the most", body.len());
            self.out.push(Diagnostic::error(codes::LONG_LINE, span, message));
            return None;
        }
        let content = word::content(body);
        let text = content.text.trim_end_matches(is_blank);
        let place = Place::At(file, start);
        if !whole.is_ascii() {
            let to_the_end = content.text.len() == body.len();
            for run in word::odd_runs(content.text) {
                let is_last = to_the_end && run.end == body.len();
                let blanks = body.get(run.clone()).unwrap_or("");
                odd.push(place.span(run.start, run.end), if is_last { String::new() } else { plain(blanks) });
            }
        }
        let cut = content.cuts_a_word.then(|| place.span(content.text.len(), content.text.len() + 1));
        let open = content.open_quote.map(|at| place.span(at, at + 1));
        let line = Line { text: text.to_owned(), place };
        if let Some(span) = cut {
            self.out.push(
                Diagnostic::note_at(codes::COMMENT, span, "a comment begins in the middle of a word").help(
                    "put the word in double quotes if this character belongs to it, or a blank before the comment",
                ),
            );
        }
        if let Some(span) = open {
            let d = Diagnostic::warning(codes::QUOTES, span, "a double quote is opened and not closed");
            self.out.push(d.note("the rest of the line is read as quoted; keepalived reports it as unmatched"));
        }
        Some(line).filter(|line| !line.text.is_empty())
    }

    /// Lines that were joined by backslashes: a definition of several lines, or one long line.
    fn several(&mut self, mut block: Vec<Line>) {
        let Some(first) = block.first() else { return };
        let (text, place) = (first.text.clone(), first.place);
        let Some((text, place)) = self.conditional(&text, place) else { return };
        let Some((name, at)) = definition(text) else {
            for line in &block {
                self.pieces(&line.text, line.place, 0, false);
            }
            self.tokens.push(Token::End);
            return;
        };
        let value = text.get(at..).unwrap_or("").to_owned();
        let (name, place) = (name.to_owned(), place.from(at));
        if value.is_empty() {
            block.remove(0);
        } else if let Some(first) = block.first_mut() {
            *first = Line { text: value, place };
        }
        for line in &mut block {
            line.place = line.place.repeated();
        }
        self.definitions.insert(name, Rc::new(block));
    }

    /// The rest of a line behind its `@id` words; `None` when the line is for another node.
    fn conditional<'t>(&mut self, text: &'t str, place: Place) -> Option<(&'t str, Place)> {
        let mut at = 0;
        while let Some(word) = text.get(at..).and_then(|rest| rest.strip_prefix('@')) {
            let end = word.find(is_blank).unwrap_or(word.len());
            let id = word.get(..end).unwrap_or("");
            let (negative, name) = id.strip_prefix('^').map_or((false, id), |name| (true, name));
            let matches = (name == self.host.node) != negative;
            let span = place.span(at, at + 1 + end);
            let known = self.conditions.entry(name.to_owned()).or_insert((span, false));
            known.1 |= name == self.host.node || negative;
            if !matches {
                return None;
            }
            let rest = word.get(end..).unwrap_or("");
            at += 1 + end + (rest.len() - skip(rest).len());
        }
        Some((text.get(at..).unwrap_or(""), place.from(at)))
    }

    /// Takes one step of the bound.
    pub(super) fn step(&mut self, span: Span) -> bool {
        if self.steps == 1 {
            let message = format!("definitions and sequences make more than {MOST_STEPS} lines");
            self.out.push(Diagnostic::error(codes::EXPANSION, span, message));
        }
        self.steps = self.steps.saturating_sub(1);
        self.steps > 0
    }

    /// One line, whatever it was made of.
    pub(super) fn emit(&mut self, text: &str, place: Place, depth: usize) {
        let span = place.span(0, text.len());
        if !self.step(span) {
            return;
        }
        if depth > DEEPEST {
            self.steps = 0;
            let message = format!("definitions use each other more than {DEEPEST} deep");
            let d = Diagnostic::error(codes::EXPANSION, span, message);
            self.out.push(d.note("does one of them use itself? keepalived does not end then"));
            return;
        }
        let blanks = text.len() - skip(text).len();
        let (text, place) = (skip(text), place.from(blanks));
        let Some((text, place)) = self.conditional(text, place) else { return };
        if text.starts_with("~SEQ") || text.starts_with("~LST") {
            return self.sequence(text, place, depth);
        }
        if let Some((name, at)) = definition(text) {
            let value = text.get(at..).unwrap_or("");
            let line = Line { text: value.to_owned(), place: place.from(at) };
            self.definitions.insert(name.to_owned(), Rc::new(vec![line]));
            return;
        }
        if self.pieces(text, place, depth, true) {
            self.tokens.push(Token::End);
        }
    }

    fn sequence(&mut self, text: &str, place: Place, depth: usize) {
        let head = sequence::head_length(text);
        let Some(head) = head.filter(|head| text.get(*head..).is_some()) else {
            let d = Diagnostic::error(
                codes::EXPANSION,
                place.span(0, text.len()),
                "a sequence without its closing bracket",
            );
            self.out.push(
                d.note("keepalived leaves out the line")
                    .help("write ~SEQ(NAME, FIRST, LAST) and what is to be repeated"),
            );
            return;
        };
        let span = place.span(0, head);
        let written = text.get(..head).unwrap_or("");
        let words = if written.contains('$') { self.expand(written, span, depth) } else { Some(written.to_owned()) };
        let values = match words.as_deref().map(sequence::values) {
            Some(Ok(values)) => values,
            Some(Err(why)) => {
                self.out.push(Diagnostic::error(codes::EXPANSION, span, why).note("keepalived leaves out the line"));
                return;
            }
            None => return,
        };
        let rest = text.get(head..).unwrap_or("").to_owned();
        for assignment in values {
            for (name, value) in assignment {
                let line = Line { text: value, place: Place::Whole(span) };
                self.definitions.insert(name, Rc::new(vec![line]));
            }
            self.emit(&rest, place.from(head).repeated(), depth + 1);
            if self.steps == 0 {
                return;
            }
        }
    }

    /// The words of a line with their definitions put in. `false`: the line turned out to be something else and was
    /// read as that.
    fn pieces(&mut self, text: &str, place: Place, depth: usize, is_line: bool) -> bool {
        let mut at = 0;
        let mut first = is_line;
        while let Some(piece) = word::next_piece(text, at) {
            let (start, end, quoted) = match piece {
                Piece::Open(start) => {
                    self.tokens.push(Token::Open(place.span(start, start + 1)));
                    (at, first) = (start + 1, false);
                    continue;
                }
                Piece::Close(start) => {
                    self.tokens.push(Token::Close(place.span(start, start + 1)));
                    (at, first) = (start + 1, false);
                    continue;
                }
                Piece::Word { start, end, quoted } => (start, end, quoted),
            };
            let (raw, span) = (text.get(start..end).unwrap_or(""), place.span(start, end));
            at = end;
            if !raw.contains('$') {
                self.tokens.push(Token::Word(Word { text: word::unquoted(raw), span, quoted, made: place.is_made() }));
            } else if let Some(lines) = self.whole(raw) {
                if !first {
                    self.tokens.push(Token::End);
                }
                for line in lines.iter() {
                    self.emit(&line.text, line.place, depth + 1);
                }
            } else if let Some(expanded) = self.expand(raw, span, depth) {
                let begins = expanded.starts_with(['@', '~']) || definition(&expanded).is_some();
                if first && begins && !quoted && expanded != raw {
                    let line = expanded + text.get(end..).unwrap_or("");
                    self.emit(&line, Place::Whole(span), depth + 1);
                    return false;
                }
                self.put(&expanded, raw, span, quoted);
            }
            first = false;
            if self.steps == 0 {
                return false;
            }
        }
        true
    }

    /// What a word became, as words.
    fn put(&mut self, expanded: &str, raw: &str, span: Span, quoted: bool) {
        if quoted || expanded == raw {
            self.tokens.push(Token::Word(Word { text: word::unquoted(expanded), span, quoted, made: true }));
            return;
        }
        let mut at = 0;
        while let Some(piece) = word::next_piece(expanded, at) {
            at = match piece {
                Piece::Open(start) => {
                    self.tokens.push(Token::Open(span));
                    start + 1
                }
                Piece::Close(start) => {
                    self.tokens.push(Token::Close(span));
                    start + 1
                }
                Piece::Word { start, end, quoted } => {
                    let text = word::unquoted(expanded.get(start..end).unwrap_or(""));
                    self.tokens.push(Token::Word(Word { text, span, quoted, made: true }));
                    end
                }
            };
        }
    }

    /// Opens an included file; `false` when it must not be.
    pub(super) fn may_open(&mut self, path: &PathBuf, span: Span) -> bool {
        let problem = if self.open.contains(path) {
            "the file includes itself".to_owned()
        } else if self.open.len() >= DEEPEST_FILE {
            format!("files include each other more than {DEEPEST_FILE} deep")
        } else if self.files >= MOST_FILES {
            format!("more than {MOST_FILES} files are included")
        } else {
            self.files += 1;
            return true;
        };
        if self.files < MOST_FILES + 1 {
            self.out.push(Diagnostic::error(codes::INCLUDE, span, problem));
        }
        self.files += usize::from(self.files >= MOST_FILES);
        false
    }

    fn report_conditions(&mut self) {
        let unread: Vec<(&String, Span)> =
            self.conditions.iter().filter(|(_, (_, read))| !read).map(|(id, (span, _))| (id, *span)).collect();
        let is_named = self.conditions.contains_key(self.host.node);
        let Some((_, first)) = unread.iter().min_by_key(|(_, span)| *span).filter(|_| !is_named).copied() else {
            return;
        };
        let ids: Vec<String> = unread.iter().take(8).map(|(id, _)| format!("`{}`", shown(id))).collect();
        let message = format!("lines for {} are left out: this node is `{}`", ids.join(", "), shown(self.host.node));
        self.out.push(Diagnostic::note_at(codes::CONDITION, first, message));
    }
}
