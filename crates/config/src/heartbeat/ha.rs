//! ha.cf: lines into directives, and what stands behind each into [`Options`].

use super::{
    options::Options,
    table::{Again, Argument, DIRECTIVES, Directive, Status, find},
    value,
    words::{Line, placed, within},
};
use crate::{
    codes,
    host::{Resolver, shown},
    ldirectord::blank::{Gathered, Telling, is_blank, is_odd, skip, trim_end},
    load::MOST_DIAGNOSTICS,
    nearest::nearest,
};
use evenkeel_source::{Diagnostic, Edit, FileId, Severity, Sources, Span, Spanned};
use std::collections::HashMap;

/// No directive is longer.
pub(super) const LONGEST_LINE: usize = 64 * 1024;

pub(super) const ODD_BLANKS: Telling = Telling {
    code: codes::ODD_BLANKS,
    message: [
        "a line contains blanks that are no ASCII blanks, probably copied from a web page",
        "{} lines contain blanks that are no ASCII blanks, probably copied from a web page",
    ],
    label: "no-break space or the like",
    note: "heartbeat takes them for part of the word beside them; they are read as ordinary blanks",
    fix: "replace them by ordinary blanks",
};

/// Reads one ha.cf; what is wrong goes to `out`.
pub(super) fn read(sources: &Sources, file: FileId, resolver: &Resolver<'_>, out: &mut Vec<Diagnostic>) -> Options {
    let mut odd = Gathered::default();
    let lines = lines(sources.text(file), file, &mut odd, out);
    let mut reader = Reader { options: Options::default(), resolver, seen: HashMap::new(), out };
    for (directive, line) in &lines {
        reader.read(directive, line);
    }
    let Reader { options, out, .. } = reader;
    out.extend(odd.tell(sources, &ODD_BLANKS));
    options
}

/// A line without its comment and the blanks around it.
pub(super) fn content<'a>(
    file: FileId,
    start: usize,
    line: &'a str,
    odd: &mut Gathered,
    out: &mut Vec<Diagnostic>,
) -> Option<Spanned<&'a str>> {
    let line = line.trim_end_matches(['\n', '\r']);
    if line.len() > LONGEST_LINE {
        let message = format!("the line is {} bytes long; {LONGEST_LINE} is the most", line.len());
        let span = Span::new(file, start, start + line.len());
        out.push(Diagnostic::error(codes::LONG_LINE, span, message));
        return None;
    }
    let content = line.split('#').next().unwrap_or("");
    if content.contains(is_odd) {
        odd.blanks(file, start, content, content.len() == line.len());
    }
    let body = skip(content);
    let at = start + content.len() - body.len();
    Some(placed(file, at, trim_end(body))).filter(|body| !body.value.is_empty())
}

/// The directives of a text. A line that can only be the rest of the one before is joined with it.
fn lines<'a>(
    text: &'a str,
    file: FileId,
    odd: &mut Gathered,
    out: &mut Vec<Diagnostic>,
) -> Vec<(&'static Directive, Line<'a>)> {
    let mut found: Vec<(&'static Directive, Line<'a>)> = Vec::new();
    let mut start = 0;
    for line in text.split_inclusive('\n') {
        if out.len() > MOST_DIAGNOSTICS {
            break;
        }
        if let Some(body) = content(file, start, line, odd, out) {
            let open = found.last_mut().filter(|(directive, line)| line.words().len() < directive.argument.least());
            match (directive(body, open.is_some(), out), open) {
                (Found::Directive(directive, line), _) => found.push((directive, line)),
                (Found::Rest, Some((directive, line))) => {
                    out.push(joined(directive.name, line, body));
                    line.pieces.push(body);
                }
                (Found::Rest, None) | (Found::Nothing, _) => {}
            }
        }
        start += line.len();
    }
    found
}

/// A line that a highlighter or a word processor broke off the one above.
fn joined(name: &str, line: &Line<'_>, rest: Spanned<&str>) -> Diagnostic {
    let last = line.arguments().last().map_or(line.name.span, |word| word.span);
    let between = Span::new(rest.span.file, last.end as usize, rest.span.start as usize);
    Diagnostic::warning(codes::BROKEN_LINE, rest.span, format!("this is read as the rest of `{name}` above"))
        .label(line.name.span, "the directive")
        .note("heartbeat takes each line for a directive and refuses to start, with exit status 6")
        .replace("join the lines", between, " ")
}

enum Found<'a> {
    Directive(&'static Directive, Line<'a>),
    /// No directive; the line above lacks something.
    Rest,
    /// Told already.
    Nothing,
}

/// The directive a line begins with.
fn directive<'a>(body: Spanned<&'a str>, open: bool, out: &mut Vec<Diagnostic>) -> Found<'a> {
    let length = body.value.find(|c| is_blank(c) || c == ',').unwrap_or(body.value.len());
    let (word, rest) = body.value.split_at_checked(length).unwrap_or((body.value, ""));
    let name = Spanned::new(word, within(body.span, 0, length));
    let rest = Spanned::new(rest, within(body.span, length, rest.len()));
    if let Some(directive) = find(word) {
        return Found::Directive(directive, line(name, rest, out));
    }
    // `keepalive=2`
    if let Some((before, behind)) = word.split_once('=')
        && let Some(directive) = find(before)
    {
        let name = Spanned::new(before, within(body.span, 0, before.len()));
        let at = before.len() + 1;
        let value = Spanned::new(body.value.get(at..).unwrap_or(""), within(body.span, at, body.value.len() - at));
        let sign = within(body.span, before.len(), 1);
        let blank = if behind.is_empty() { "" } else { " " };
        out.push(equals(directive, sign, blank));
        return Found::Directive(directive, Line { name, pieces: vec![value] });
    }
    let (code, meant) = match find(&word.to_ascii_lowercase()) {
        Some(directive) => (codes::CASE, Some(directive)),
        None if open => return Found::Rest,
        None => (codes::NEAR_MISS, nearest(word, DIRECTIVES.iter().map(|d| d.name)).and_then(find)),
    };
    let refused = format!("heartbeat refuses to start, with exit status 6: Illegal directive [{}]", shown(word));
    if let Some(meant) = meant {
        let message = format!("`{}` is read as `{}`", shown(word), meant.name);
        let d = Diagnostic::warning(code, name.span, message).note(refused);
        out.push(d.replace(format!("write `{}`", meant.name), name.span, meant.name));
        return Found::Directive(meant, line(name, rest, out));
    }
    let d = Diagnostic::error(codes::UNKNOWN_WORD, name.span, format!("`{}` is no directive of ha.cf", shown(word)));
    out.push(d.note(refused).suggest("make it a comment if it is a remark", within(body.span, 0, 0), "# "));
    Found::Nothing
}

/// A directive with what is behind it; `keepalive = 2` is told.
fn line<'a>(name: Spanned<&'a str>, rest: Spanned<&'a str>, out: &mut Vec<Diagnostic>) -> Line<'a> {
    let value = skip(rest.value);
    let at = rest.value.len() - value.len();
    let Some(behind) = value.strip_prefix('=').filter(|_| name.value != "env") else {
        return Line { name, pieces: vec![rest] };
    };
    let sign = within(rest.span, at, 1);
    if let Some(directive) = find(name.value) {
        let blank = if at == 0 && !behind.starts_with(is_blank) { " " } else { "" };
        out.push(equals(directive, sign, blank));
    }
    Line { name, pieces: vec![Spanned::new(behind, within(rest.span, at + 1, behind.len()))] }
}

fn equals(directive: &Directive, sign: Span, blank: &str) -> Diagnostic {
    Diagnostic::warning(codes::EQUALS, sign, format!("`=` behind `{}`", directive.name))
        .note("a name and its value are separated by a blank; heartbeat refuses to start, with exit status 6")
        .replace("write a blank", sign, blank)
}

/// Reads what stands behind directives.
pub(crate) struct Reader<'o, 'r> {
    pub(crate) options: Options,
    pub(crate) resolver: &'r Resolver<'r>,
    seen: HashMap<&'static str, Span>,
    pub(crate) out: &'o mut Vec<Diagnostic>,
}

impl Reader<'_, '_> {
    fn read(&mut self, directive: &'static Directive, line: &Line<'_>) {
        self.repeated(directive, line.name.span);
        match directive.status {
            Status::Refused(why) => {
                let d = Diagnostic::error(codes::NOT_HERE, line.span(), format!("`{}` is not read", directive.name));
                self.out.push(d.note(why).help("leave the line out"));
                return;
            }
            Status::Supported | Status::Partly(_) | Status::Ignored(_) => {}
        }
        let words = line.words();
        if words.iter().position(is_remark).unwrap_or(words.len()) < directive.argument.least() {
            let message = match directive.argument.least() {
                1 => format!("`{}` has no value", directive.name),
                least => format!("`{}` needs {least} words", directive.name),
            };
            let d = Diagnostic::error(codes::NO_VALUE, line.span(), message);
            let wanted = match directive.argument {
                Argument::Own { words, .. } => format!("write {} {}", directive.name, words.replace("\\|", "|")),
                _ => format!("write it behind `{}`", directive.name),
            };
            self.out.push(d.note("heartbeat refuses to start, with exit status 6").help(wanted));
            self.count_broken(directive);
            return;
        }
        match directive.argument {
            Argument::Own { read, .. } => read(self, line),
            Argument::Time(slot) => {
                if let Some(read) = value::time(directive.name, &self.plain(line), self.out) {
                    *slot(&mut self.options) = Some(read);
                }
            }
            Argument::Number { least, most, slot } => {
                let one = self.one(directive.name, line);
                if let Some(read) = one.and_then(|word| value::number(directive.name, word, least..=most, self.out)) {
                    *slot(&mut self.options) = Some(read);
                }
            }
            Argument::YesNo(slot) => {
                let one = self.one(directive.name, line);
                if let Some(read) = one.and_then(|word| value::yes_no(directive.name, word, self.out)) {
                    *slot(&mut self.options) = Some(read);
                }
            }
            Argument::Choice(words, slot) => {
                let one = self.one(directive.name, line);
                match one.and_then(|word| value::choice(directive.name, word, words, self.out)) {
                    Some(read) => *slot(&mut self.options) = Some(read),
                    None => self.count_broken(directive),
                }
            }
            Argument::Word(slot) => {
                if let Some(word) = self.one(directive.name, line) {
                    *slot(&mut self.options) = Some(Spanned::new(word.value.to_owned(), word.span));
                }
            }
            Argument::Path(slot) => {
                let words = self.arguments(line);
                if let Some(path) = words.first().and_then(|word| value::path(directive.name, *word, self.out)) {
                    *slot(&mut self.options) = Some(path);
                }
                self.too_many(directive.name, words.get(1..));
            }
        }
    }

    /// What could not be read is not missed besides.
    fn count_broken(&mut self, directive: &Directive) {
        match directive.name {
            "node" => self.options.broken_nodes += 1,
            "bcast" | "udp" | "ucast" | "ucast6" | "mcast" | "mcast6" | "serial" => self.options.broken_media += 1,
            "auto_failback" => self.options.broken_failback = true,
            _ => {}
        }
    }

    fn repeated(&mut self, directive: &'static Directive, span: Span) {
        let Some(first) = self.seen.insert(directive.name, span) else { return };
        let (severity, note) = match directive.again {
            Again::Adds => return,
            Again::Last => (Severity::Warning, "the last one counts, for heartbeat too"),
            Again::Refused => (Severity::Error, "heartbeat refuses to start, with exit status 6"),
        };
        let d = Diagnostic::new(severity, codes::REPEATED, span, format!("`{}` is there twice", directive.name));
        self.out.push(d.label(first, "first here").note(note).help("delete one of the two"));
    }

    /// Words of ASCII; what is in another script is a remark.
    pub(crate) fn plain<'a>(&mut self, line: &Line<'a>) -> Vec<Spanned<&'a str>> {
        let mut words = self.without_remark(line.words());
        // A comment goes to the end of the line, so the words behind it are lost as well.
        let glued = words.iter().position(|word| !word.value.is_ascii());
        if let Some(glued) = glued {
            words.truncate(glued + 1);
        }
        if let Some(word) = words.last_mut().filter(|_| glued.is_some())
            && let Some((value, remark)) =
                word.value.find(|c: char| !c.is_ascii()).and_then(|at| word.value.split_at_checked(at))
        {
            let place = within(word.span, value.len(), remark.len());
            self.out.push(self::remark(place, " # "));
            *word = Spanned::new(value, within(word.span, 0, value.len()));
        }
        words
    }

    /// Words between blanks, where commas are part of them; a word that begins in another script begins a remark.
    pub(crate) fn arguments<'a>(&mut self, line: &Line<'a>) -> Vec<Spanned<&'a str>> {
        self.without_remark(line.arguments())
    }

    fn without_remark<'a>(&mut self, mut words: Vec<Spanned<&'a str>>) -> Vec<Spanned<&'a str>> {
        let Some(at) = words.iter().position(is_remark) else { return words };
        let rest = words.split_off(at);
        if let (Some(first), Some(last)) = (rest.first(), rest.last()) {
            let whole = if last.span.start >= first.span.start { first.span.to(last.span) } else { first.span };
            self.out.push(remark(whole, "# "));
        }
        words
    }

    /// The only word there is.
    fn one<'a>(&mut self, name: &str, line: &Line<'a>) -> Option<Spanned<&'a str>> {
        let words = self.plain(line);
        self.too_many(name, words.get(1..));
        if words.is_empty() {
            let d = Diagnostic::error(codes::NO_VALUE, line.name.span, format!("`{name}` has no value"));
            self.out.push(d.note("heartbeat refuses to start, with exit status 6"));
        }
        words.first().copied()
    }

    /// Words that are left over.
    pub(crate) fn too_many(&mut self, name: &str, words: Option<&[Spanned<&str>]>) {
        let Some(word) = words.and_then(<[_]>::first) else { return };
        let d =
            Diagnostic::error(codes::TOO_MANY_WORDS, word.span, format!("`{name}` takes no `{}`", shown(word.value)));
        let d = d.note("heartbeat takes each word for a value of its own");
        self.out.push(d.suggest("make it a comment if it is a remark", within(word.span, 0, 0), "# "));
    }
}

/// A word that begins in another script.
fn is_remark(word: &Spanned<&str>) -> bool {
    word.value.starts_with(|c: char| !c.is_ascii())
}

/// Text in another script behind a value.
fn remark(span: Span, mark: &str) -> Diagnostic {
    Diagnostic::warning(codes::REMARK, span, "a remark without `#`")
        .labelled("not part of the value")
        .note("heartbeat takes it for a value and refuses to start, with exit status 6")
        .edits("make it a comment", vec![Edit { span: within(span, 0, 0), replacement: mark.to_owned() }])
}
