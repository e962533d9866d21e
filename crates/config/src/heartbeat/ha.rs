//! ha.cf: lines into directives, and what stands behind each into [`Options`].

use super::{
    options::Options,
    table::{Again, Argument, DIRECTIVES, Directive, Slot, find},
    value,
    words::{Line, placed, split, within},
};
use crate::{
    codes,
    host::{Resolver, shown},
    ldirectord::blank::{Gathered, Telling, is_blank, is_odd, skip, trim_end},
    load::MOST_DIAGNOSTICS,
    nearest::nearest,
    status::Status,
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
                    out.push(joined(text, directive.name, line, body));
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
fn joined(text: &str, name: &str, line: &Line<'_>, rest: Spanned<&str>) -> Diagnostic {
    let last = line.arguments().last().map_or(line.name.span, |word| word.span);
    let between = Span::new(rest.span.file, last.end as usize, rest.span.start as usize);
    let message = format!("this is read as the rest of `{name}` above");
    let d = Diagnostic::warning(codes::BROKEN_LINE, rest.span, message).label(line.name.span, "the directive");
    let d = d.note("heartbeat takes each line for a directive and refuses to start, with exit status 6");
    // A comment between them must not get lost.
    if text.get(between.range()).is_none_or(|between| between.contains('#')) {
        d.help("join the lines")
    } else {
        d.replace("join the lines", between, " ")
    }
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
    if let Some((before, _)) = word.split_once('=')
        && let Some(directive) = find(before)
    {
        let (at, left) = (before.len(), body.value.len() - before.len());
        let rest = Spanned::new(body.value.get(at..).unwrap_or(""), within(body.span, at, left));
        return Found::Directive(directive, line(Spanned::new(before, within(body.span, 0, at)), rest, out));
    }
    let (code, meant) = match find(&word.to_ascii_lowercase()) {
        Some(directive) => (codes::CASE, Some(directive)),
        None => (codes::NEAR_MISS, nearest(word, DIRECTIVES.iter().map(|d| d.name)).and_then(find)),
    };
    // `node1` behind a `node` that has no value is that value; `keeplive 2` is none.
    let is_whole = |directive: &Directive| split(rest, is_blank).len() >= directive.argument.least();
    // Joined, `=` would be one between the name and its value.
    let is_rest = !word.starts_with('=') && !meant.is_some_and(is_whole);
    if open && code == codes::NEAR_MISS && is_rest {
        return Found::Rest;
    }
    let refused = format!("heartbeat refuses to start, with exit status 6: Illegal directive [{}]", shown(word));
    if let Some(meant) = meant {
        let message = format!("`{}` is read as `{}`", shown(word), meant.name);
        let d = Diagnostic::warning(code, name.span, message).note(refused);
        out.push(d.replace(format!("write `{}`", meant.name), name.span, meant.name));
        return Found::Directive(meant, line(name, rest, out));
    }
    let d = Diagnostic::error(codes::UNKNOWN_WORD, name.span, format!("`{}` is no directive of ha.cf", shown(word)));
    let d = d.note(refused);
    out.push(match word {
        "setenv" => d.suggest("write `env`", name.span, "env"),
        "include" => d.help("heartbeat has one ha.cf: write what is in the other file here"),
        "auth" => d.help("keys are in authkeys, beside ha.cf"),
        "resource" | "resources" | "haresources" => d.help("resources are in haresources, beside ha.cf"),
        "virtual" | "real" | "checktype" => d.help("services are in ldirectord.cf, which haresources names"),
        _ => d.suggest("make it a comment if it is a remark", within(body.span, 0, 0), "# "),
    });
    Found::Nothing
}

/// A directive with what is behind it; `keepalive = 2` is told.
fn line<'a>(name: Spanned<&'a str>, rest: Spanned<&'a str>, out: &mut Vec<Diagnostic>) -> Line<'a> {
    let begin = rest.value.len() - skip(rest.value).len();
    let run = rest.value.len() - rest.value.trim_start_matches(|c| c == '=' || is_blank(c)).len();
    let last = rest.value.get(..run).and_then(|run| run.rfind('=')).filter(|_| name.value != "env");
    let Some(last) = last else { return Line { name, pieces: vec![rest] } };
    let behind = rest.value.get(last + 1..).unwrap_or("");
    let sign = within(rest.span, begin, last + 1 - begin);
    let blank = if begin == 0 && !behind.starts_with(is_blank) { " " } else { "" };
    out.push(
        Diagnostic::warning(codes::EQUALS, sign, format!("`=` behind `{}`", name.value))
            .note("a name and its value are separated by a blank; heartbeat refuses to start, with exit status 6")
            .replace("write a blank", sign, blank),
    );
    Line { name, pieces: vec![Spanned::new(behind, within(rest.span, last + 1, behind.len()))] }
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
        let written = match directive.argument {
            Argument::Own { read, .. } => {
                read(self, line);
                None
            }
            Argument::Time(slot) => {
                let words = self.plain(line);
                let times = value::times(&words);
                self.several(directive, times.get(1).and_then(|time| time.first()));
                for time in times {
                    self.set(slot, |out| value::time(directive.name, time, out));
                }
                self.options.unused_time.take().map(|time| value::time_text(time.value))
            }
            Argument::Number { least, most, slot } => self.each(directive, line, |reader, word| {
                reader.set(slot, |out| value::number(directive.name, word, least..=most, out));
            }),
            Argument::YesNo(slot) => self.each(directive, line, |reader, word| {
                reader.set(slot, |out| value::yes_no(directive.name, word, out));
            }),
            Argument::Choice(words, slot) => {
                self.each(directive, line, |reader, word| {
                    if !reader.set(slot, |out| value::choice(directive.name, word, words, out)) {
                        reader.count_broken(directive);
                    }
                });
                self.options.unused_text.take().map(|word| word.value)
            }
            Argument::Word(slot) => self.each(directive, line, |reader, word| {
                reader.set(slot, |_| Some(Spanned::new(word.value.to_owned(), word.span)));
            }),
            Argument::Path(slot) => {
                let words = self.arguments(line);
                self.several(directive, words.get(1));
                for word in words {
                    self.set(slot, |out| value::path(directive.name, word, out));
                }
                self.options.unused_text.take().map(|path| path.value)
            }
        };
        // Scripts find it all the same.
        if let (Status::Ignored(_), Some(written)) = (directive.status, written) {
            self.options.unused.insert(directive.name.to_owned(), written);
        }
    }

    /// Reads each value of a directive that has one; of several the last counts, which is given.
    fn each<'a>(
        &mut self,
        directive: &Directive,
        line: &Line<'a>,
        mut read: impl FnMut(&mut Self, Spanned<&'a str>),
    ) -> Option<String> {
        let words = self.plain(line);
        self.several(directive, words.get(1));
        for word in &words {
            read(self, *word);
        }
        words.last().map(|word| word.value.to_owned())
    }

    /// Puts what can be read where it belongs; `false` where it cannot.
    fn set<T>(&mut self, slot: Slot<T>, read: impl FnOnce(&mut Vec<Diagnostic>) -> Option<Spanned<T>>) -> bool {
        let Some(read) = read(self.out) else { return false };
        *slot(&mut self.options) = Some(read);
        true
    }

    fn several(&mut self, directive: &Directive, second: Option<&Spanned<&str>>) {
        let Some(word) = second else { return };
        let message = format!("`{}` is a second value of `{}`", shown(word.value), directive.name);
        let d = Diagnostic::warning(codes::TOO_MANY_WORDS, word.span, message);
        let d = d.note("heartbeat takes each word for a value, and the last one counts");
        self.out.push(d.suggest("make it a comment if it is a remark", within(word.span, 0, 0), "# "));
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
