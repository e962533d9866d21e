//! Lines into sections and options: what stands where, with every quirk of files in the field read as meant.

use super::{
    blank::{Gathered, Telling, has_no_width, is_blank, skip, trim_end},
    options::{Section, Syntax},
    real::real_line,
    slot::{Quoted, read_option},
    table::{Argument, DIRECTIVES, Directive, find},
    value::{Strict, Value},
};
use crate::{codes, host::shown, load::MOST_DIAGNOSTICS, nearest::nearest, status::Status};
use evenkeel_source::{Diagnostic, FileId, Sources, Span, Spanned};
use std::ops::Range;

/// No directive is longer.
const LONGEST_LINE: usize = 64 * 1024;

/// Columns a directive of a virtual service is indented by at least; a tab counts as four.
const INDENTATION: usize = 4;

/// Reads a text but for the sections at `known`; what is wrong goes to `out`.
pub(crate) fn parse<'a>(
    sources: &'a Sources,
    file: FileId,
    known: &[Range<usize>],
    out: &mut Vec<Diagnostic>,
) -> Syntax<'a> {
    let mut parser = Parser {
        file,
        syntax: Syntax::default(),
        open: false,
        end_of_section: 0,
        only_blank_since: false,
        last: None,
        odd: Gathered::default(),
        indented: Gathered::default(),
        line_ends: Gathered::default(),
        out,
    };
    let text = sources.text(file);
    let mut from = 0;
    for place in known {
        parser.lines(from, text.get(from..place.start).unwrap_or(""));
        parser.open = false;
        from = place.end;
    }
    parser.lines(from, text.get(from..).unwrap_or(""));
    let Parser { syntax, odd, indented, line_ends, out, .. } = parser;
    out.extend(odd.tell(sources, &ODD_BLANKS));
    out.extend(indented.tell(sources, &INDENTED_GLOBALS));
    out.extend(line_ends.tell(sources, &LINE_ENDS));
    syntax
}

const ODD_BLANKS: Telling = Telling {
    code: codes::ODD_BLANKS,
    message: [
        "a line contains blanks that are no ASCII blanks, probably copied from a web page",
        "{} lines contain blanks that are no ASCII blanks, probably copied from a web page",
    ],
    label: "no-break space or the like",
    note: "ldirectord takes them for part of the word beside them; they are read as ordinary blanks",
    fix: "replace them by ordinary blanks",
};

const INDENTED_GLOBALS: Telling = Telling {
    code: codes::INDENTATION,
    message: ["a global directive is indented", "{} global directives are indented"],
    label: "blanks before a global directive",
    note: "ldirectord takes the line for an unknown command and refuses the file",
    fix: "start in the first column",
};

const LINE_ENDS: Telling = Telling {
    code: codes::LINE_ENDS,
    message: ["a line ends in CR LF", "{} lines end in CR LF"],
    label: "carriage return",
    note: "ldirectord refuses `yes` and `no` before a carriage return; it is read as part of the line end",
    fix: "end lines in LF",
};

struct Parser<'o, 'a> {
    file: FileId,
    syntax: Syntax<'a>,
    /// Indented lines belong to the last section.
    open: bool,
    /// Where the last line of the last section ends.
    end_of_section: usize,
    /// Only empty lines came since then.
    only_blank_since: bool,
    /// The directive of the last line.
    last: Option<&'static Directive>,
    odd: Gathered,
    indented: Gathered,
    line_ends: Gathered,
    out: &'o mut Vec<Diagnostic>,
}

/// A line that holds a directive.
struct Line<'a> {
    start: usize,
    /// Bytes of blanks before the directive.
    indentation: usize,
    columns: usize,
    name: Span,
    value: Value<'a>,
}

impl<'a> Parser<'_, 'a> {
    fn lines(&mut self, start: usize, text: &'a str) {
        let mut at = start;
        for line in text.split_inclusive('\n') {
            if self.out.len() > MOST_DIAGNOSTICS {
                break;
            }
            self.line(at, line);
            at += line.len();
        }
    }

    fn line(&mut self, start: usize, line: &'a str) {
        let line = line.strip_suffix('\n').unwrap_or(line);
        let content = line.strip_suffix('\r').unwrap_or(line);
        let body = skip(content);
        // A comment is one for ldirectord only when the blanks before it are ordinary.
        if body.starts_with('#') {
            self.odd.blanks(self.file, start, content.get(..content.len() - body.len()).unwrap_or(""), false);
        } else {
            if content.len() < line.len() && !body.is_empty() {
                let end = start + content.len();
                self.line_ends.push(Span::new(self.file, end, end + 1), "");
            }
            if content.len() <= LONGEST_LINE && !content.is_ascii() {
                self.odd.blanks(self.file, start, content, true);
            }
        }
        if body.is_empty() {
            self.open = false;
        } else if body.starts_with('#') {
            self.only_blank_since = false;
        } else if content.len() > LONGEST_LINE {
            let span = Span::new(self.file, start, start + content.len());
            let message = format!("the line is {} bytes long; {LONGEST_LINE} is the most", content.len());
            self.out.push(Diagnostic::error(codes::LONG_LINE, span, message));
        } else {
            self.directive_line(start, content, body);
        }
    }

    fn directive_line(&mut self, start: usize, content: &'a str, body: &'a str) {
        let indentation = content.len() - body.len();
        let columns = columns(content.get(..indentation).unwrap_or(""));
        let at = start + indentation;
        let Some(equals) = body.bytes().position(|b| b == b'=') else {
            self.no_equals(start, at, body);
            return;
        };
        let name = trim_end(body.get(..equals).unwrap_or(""));
        let span = Span::new(self.file, at, at + name.len());
        let Some(directive) = self.directive(name, span) else { return };
        let in_section = directive.scope.is_virtual() && columns > 0;
        let value = Value {
            file: self.file,
            line_start: start,
            at: at + equals + 1,
            text: body.get(equals + 1..).unwrap_or(""),
            in_section,
        };
        let line = Line { start, indentation, columns, name: span, value };
        let end = start + content.len();
        self.place(directive, &line, end);
    }

    /// Bare `supervised` was a directive once; anything else is none.
    fn no_equals(&mut self, start: usize, at: usize, body: &str) {
        let body = trim_end(body);
        let span = Span::new(self.file, at, at + body.len());
        if body == "supervised" {
            self.out.push(
                Diagnostic::warning(codes::DEPRECATED, span, "`supervised` alone is read as `supervised=yes`").replace(
                    "write it out",
                    span,
                    "supervised=yes",
                ),
            );
            self.syntax.globals.supervised = Some(Spanned::new(true, span));
            return;
        }
        let name = body.split(is_blank).next().unwrap_or("");
        let d = if find(name).is_some() {
            Diagnostic::error(codes::NO_VALUE, span, format!("`{name}` has no `=` and no value"))
        } else {
            let insert = Span::new(self.file, at, at);
            Diagnostic::error(codes::UNKNOWN_WORD, span, format!("`{}` is no directive", shown(body))).suggest(
                "make it a comment if it is a remark",
                insert,
                "# ",
            )
        };
        debug_assert!(at >= start, "a body lies in its line");
        self.out.push(d.note("ldirectord refuses the file at this line"));
    }

    /// The directive that is meant by `name`.
    fn directive(&mut self, name: &str, span: Span) -> Option<&'static Directive> {
        // Most lines are `real=` behind another.
        if let Some(last) = self.last.filter(|last| last.name == name) {
            return Some(last);
        }
        if let Some(directive) = find(name) {
            self.last = Some(directive);
            return Some(directive);
        }
        let lower = name.to_ascii_lowercase();
        let (code, meant) = match find(&lower) {
            Some(directive) => (codes::CASE, Some(directive)),
            None => (codes::NEAR_MISS, nearest(name, DIRECTIVES.iter().map(|d| d.name)).and_then(find)),
        };
        let Some(meant) = meant else {
            let message = format!("`{}` is no directive of ldirectord.cf", shown(name));
            self.out.push(
                Diagnostic::error(codes::UNKNOWN_WORD, span, message).note("ldirectord refuses the file at this line"),
            );
            return None;
        };
        self.out.push(
            Diagnostic::warning(code, span, format!("`{}` is read as `{}`", shown(name), meant.name))
                .note("ldirectord refuses the file at this line")
                .replace(format!("write `{}`", meant.name), span, meant.name),
        );
        Some(meant)
    }

    /// Decides which section the directive belongs to.
    fn place(&mut self, directive: &'static Directive, line: &Line<'a>, end: usize) {
        if matches!(directive.argument, Argument::Section) {
            if line.columns > 0 {
                let span = Span::new(self.file, line.start, line.start + line.indentation);
                self.out.push(
                    Diagnostic::warning(codes::INDENTATION, line.name, "an indented virtual service")
                        .note("ldirectord refuses the file at this line")
                        .replace("start in the first column", span, ""),
                );
            }
            self.open_section(directive, line);
            self.section_goes_to(end);
        } else if line.columns == 0 {
            self.place_unindented(directive, line, end);
        } else if self.open {
            self.place_indented(directive, line, end);
        } else {
            self.place_stray(directive, line, end);
        }
    }

    fn section_goes_to(&mut self, end: usize) {
        self.open = true;
        self.end_of_section = end;
        self.only_blank_since = true;
    }

    fn place_unindented(&mut self, directive: &'static Directive, line: &Line<'a>, end: usize) {
        if directive.scope.is_global() {
            self.open = false;
            self.only_blank_since = false;
            self.read(directive, line.value, line.name, false);
        } else if self.syntax.sections.is_empty() {
            self.before_any_section(directive, line);
        } else {
            let insert = Span { end: line.name.start, ..line.name };
            self.out.push(
                Diagnostic::warning(codes::INDENTATION, line.name, format!("`{}` is not indented", directive.name))
                    .note("ldirectord refuses the file at this line; it is read as part of the virtual service above")
                    .replace("indent it", insert, "        "),
            );
            self.read(directive, Value { in_section: true, ..line.value }, line.name, true);
            self.section_goes_to(end);
        }
    }

    fn place_indented(&mut self, directive: &'static Directive, line: &Line<'a>, end: usize) {
        if !directive.scope.is_virtual() {
            self.out.push(
                Diagnostic::warning(
                    codes::INDENTATION,
                    line.name,
                    format!("`{}` is a global directive", directive.name),
                )
                .note("ldirectord refuses the file at this line; it is read as global")
                .help("write it in the first column, before the first virtual service"),
            );
            self.read(directive, line.value, line.name, false);
            self.section_goes_to(end);
            return;
        }
        if line.columns < INDENTATION {
            let span = Span::new(self.file, line.start, line.start + line.indentation);
            let blanks = if line.columns == 1 { "blank" } else { "blanks" };
            let message = format!("`{}` is indented by {} {blanks} only", directive.name, line.columns);
            self.out.push(
                Diagnostic::warning(codes::INDENTATION, span.to(line.name), message)
                    .note("ldirectord needs four or a tab, and refuses the file at this line")
                    .replace("indent it by more", span, "        "),
            );
        }
        self.read(directive, line.value, line.name, true);
        self.section_goes_to(end);
    }

    /// An indented line that belongs to no section.
    fn place_stray(&mut self, directive: &'static Directive, line: &Line<'a>, end: usize) {
        let before_any = self.syntax.sections.is_empty();
        let indentation = Span::new(self.file, line.start, line.start + line.indentation);
        if directive.scope.is_global() && (before_any || !directive.scope.is_virtual()) {
            self.indented.push(indentation, "");
            self.read(directive, Value { in_section: false, ..line.value }, line.name, false);
        } else if before_any {
            self.before_any_section(directive, line);
        } else if directive.scope.is_global() {
            self.out.push(
                Diagnostic::error(
                    codes::SECTION,
                    line.name,
                    format!("`{}` stands behind an empty line", directive.name),
                )
                .note("the empty line ends the virtual service, and ldirectord refuses the file at this line")
                .help("delete the empty line if it is meant for the virtual service above")
                .help("start in the first column if it is meant for all"),
            );
        } else {
            let message = "an empty line inside a virtual service";
            let d = Diagnostic::warning(codes::SECTION, line.name, message)
                .labelled("read as part of the virtual service above")
                .note("ldirectord ends the virtual service at the empty line and refuses the file here");
            let gap = Span::new(self.file, self.end_of_section, line.start.saturating_sub(1));
            self.out.push(match self.only_blank_since {
                true => d.replace("delete the empty lines", gap, ""),
                false => d.help("write it right behind the other lines of the virtual service"),
            });
            self.read(directive, line.value, line.name, true);
            self.section_goes_to(end);
        }
    }

    fn before_any_section(&mut self, directive: &Directive, line: &Line<'a>) {
        let message = format!("`{}` stands before any virtual service", directive.name);
        self.out.push(Diagnostic::error(codes::SECTION, line.name, message).help("write it below a `virtual=` line"));
    }

    fn open_section(&mut self, directive: &Directive, line: &Line<'a>) {
        let (head, rest) = line.value.word();
        if head.value.is_empty() {
            let message = format!("`{}` has no address", directive.name);
            self.out.push(Diagnostic::error(codes::NO_VALUE, line.name, message));
        } else {
            Value { in_section: false, ..rest }.remark(Strict::No, self.out);
        }
        // Services of one file are often alike.
        let like_the_last = self.syntax.sections.last().map_or(0, |section| section.real_servers.len());
        self.syntax.sections.push(Section {
            six: directive.name == "virtual6",
            word: line.name,
            head: Spanned::new(head.value.to_owned(), head.span),
            options: Box::default(),
            real_servers: Vec::with_capacity(like_the_last),
            broken: false,
        });
    }

    /// Reads the value into the globals or into the last section.
    fn read(&mut self, directive: &'static Directive, value: Value<'a>, name: Span, in_section: bool) {
        let value = Value { in_section, ..value };
        if value.is_over() {
            let d = Diagnostic::error(codes::NO_VALUE, name, format!("`{}` has no value", directive.name));
            self.out.push(d.note("ldirectord refuses the file at this line"));
            return;
        }
        let Parser { syntax, out, .. } = self;
        if let Status::Refused(why) = directive.status
            && !matches!(directive.argument, Argument::Number { .. })
        {
            let message = format!("`{}` was given up by ldirectord: {why}", directive.name);
            out.push(Diagnostic::error(codes::DEPRECATED, name, message));
            return;
        }
        if let (Argument::RealServer, Some(section)) = (directive.argument, syntax.sections.last_mut()) {
            match real_line(directive.name == "real6", name, value, out) {
                Some(real) => section.real_servers.push(real),
                None => section.broken = true,
            }
            return;
        }
        if let Argument::File = directive.argument {
            let read = Quoted::Maybe.read(directive.name, value, out);
            syntax.execute.extend(read.map(|file| Spanned::new(file.value.to_owned(), file.span)));
            return;
        }
        let options = match syntax.sections.last_mut().filter(|_| in_section) {
            Some(section) => &mut section.options,
            None => &mut syntax.globals,
        };
        read_option(directive, value, name, options, out);
    }
}

/// Columns of a run of blanks.
fn columns(blanks: &str) -> usize {
    blanks.chars().map(|c| if c == '\t' { INDENTATION } else { usize::from(!has_no_width(c)) }).sum()
}
