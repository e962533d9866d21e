//! Blanks as they occur in files that went through a web page or a word processor, and diagnostics that gather many
//! places into one.

use evenkeel_source::{Code, Diagnostic, Edit, FileId, Fix, Severity, Sources, Span};

/// Whether `c` separates words. Next to the ASCII blanks these are the ones that look like one, or like nothing.
pub(crate) fn is_blank(c: char) -> bool {
    matches!(c, ' ' | '\t' | '\r' | '\u{b}' | '\u{c}') || is_odd(c)
}

/// A blank that ldirectord does not take for one.
pub(crate) fn is_odd(c: char) -> bool {
    matches!(c, '\u{a0}' | '\u{1680}' | '\u{2000}'..='\u{200b}' | '\u{202f}' | '\u{205f}' | '\u{3000}' | '\u{feff}')
}

/// `text` without blanks at its start.
pub(crate) fn skip(text: &str) -> &str {
    // Almost every blank is ASCII, and every line comes through here.
    let plain = text.bytes().take_while(|b| matches!(b, b' ' | b'\t')).count();
    text.get(plain..).unwrap_or("").trim_start_matches(is_blank)
}

/// The text with ordinary blanks for odd ones, as fixing the file would leave it.
pub(crate) fn plain(text: &str) -> String {
    text.chars().map(|c| if is_odd(c) { ' ' } else { c }).collect()
}

/// Takes no room on the screen, and so does not indent.
pub(crate) fn has_no_width(c: char) -> bool {
    matches!(c, '\u{200b}' | '\u{feff}')
}

/// A quotation mark of any kind.
pub(crate) fn is_quote(c: char) -> bool {
    matches!(c, '"' | '\'' | '\u{201c}'..='\u{201f}' | '\u{ab}' | '\u{bb}' | '\u{ff02}')
}

/// Bytes up to the first blank.
pub(crate) fn word_length(text: &str) -> usize {
    let plain = text.bytes().take_while(|b| b.is_ascii_graphic()).count();
    text.get(plain..).and_then(|rest| rest.find(is_blank)).map_or(text.len(), |more| plain + more)
}

/// `text` without blanks at its end.
pub(crate) fn trim_end(text: &str) -> &str {
    text.trim_end_matches(is_blank)
}

/// One quirk at many places, told once.
#[derive(Default)]
pub(crate) struct Gathered {
    places: Vec<Span>,
    edits: Vec<Edit>,
}

/// What is said about a gathered quirk.
pub(crate) struct Telling {
    pub(crate) code: Code,
    /// For one line and for several, `{}` being their number.
    pub(crate) message: [&'static str; 2],
    pub(crate) label: &'static str,
    pub(crate) note: &'static str,
    pub(crate) fix: &'static str,
}

impl Gathered {
    pub(crate) fn push(&mut self, place: Span, replacement: impl Into<String>) {
        self.places.push(place);
        self.edits.push(Edit { span: place, replacement: replacement.into() });
    }

    /// Gathers runs of blanks that hold an odd one: gone at the end of a line, as wide as before elsewhere. `to_the_end`:
    /// `content` goes to the end of its line.
    pub(crate) fn blanks(&mut self, file: FileId, start: usize, content: &str, to_the_end: bool) {
        // What stands in quotes is the operator's own.
        let quoted = content.find(is_quote).unwrap_or(content.len())..content.rfind(is_quote).unwrap_or(0);
        let mut at = 0;
        while let Some(found) = content.get(at..).and_then(|rest| rest.find(is_odd)) {
            let found = at + found;
            let before = content.get(at..found).unwrap_or("");
            let from = at + trim_end(before).len();
            let run = content.get(from..).unwrap_or("");
            let length = run.len() - skip(run).len();
            let blanks = run.get(..length).unwrap_or("");
            let replacement = if to_the_end && from + length == content.len() {
                String::new()
            } else if from == 0 {
                plain(&blanks.replace(has_no_width, ""))
            } else {
                plain(blanks)
            };
            if !quoted.contains(&from) {
                self.push(Span::new(file, start + from, start + from + length), replacement);
            }
            at = from + length;
        }
    }

    /// The diagnostic, if there was any place. The note names every line.
    pub(crate) fn tell(self, sources: &Sources, telling: &Telling) -> Option<Diagnostic> {
        const MOST_LABELS: usize = 3;
        const MOST_LINES: usize = 200;
        let first = *self.places.first()?;
        let mut lines: Vec<usize> = self.places.iter().map(|span| sources.line(span.file, span.start)).collect();
        lines.dedup();
        let [one, several] = telling.message;
        let message = if lines.len() == 1 { one.to_owned() } else { several.replace("{}", &lines.len().to_string()) };
        let mut d = Diagnostic::new(Severity::Warning, telling.code, first, message).labelled(telling.label);
        let mut shown_line = lines.first().copied();
        for place in &self.places {
            let line = Some(sources.line(place.file, place.start));
            if line != shown_line && d.labels.len() + 1 < MOST_LABELS {
                d = d.label(*place, "");
                shown_line = line;
            }
        }
        if lines.len() > 1 {
            let numbers: Vec<String> = lines.iter().take(MOST_LINES).map(usize::to_string).collect();
            let rest = match lines.len().saturating_sub(MOST_LINES) {
                0 => String::new(),
                more => format!(" and {more} more"),
            };
            d = d.note(format!("lines {}{rest}", numbers.join(", ")));
        }
        d = d.note(telling.note);
        d.fix = Some(Fix { message: telling.fix.to_owned(), edits: self.edits, separable: true, certain: true });
        Some(d)
    }
}
