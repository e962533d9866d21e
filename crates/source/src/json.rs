//! Diagnostics for programs: one JSON object each, places as path, line and column.

use crate::{Diagnostic, Edit, Fix, Label, Sources, Span};
use serde::Serialize;

#[derive(Serialize)]
struct Place<'a> {
    file: String,
    line: usize,
    column: usize,
    end_line: usize,
    end_column: usize,
    start_byte: u32,
    end_byte: u32,
    #[serde(skip_serializing_if = "str::is_empty")]
    label: &'a str,
}

#[derive(Serialize)]
struct OneEdit<'a> {
    #[serde(flatten)]
    place: Place<'a>,
    replacement: &'a str,
}

#[derive(Serialize)]
struct OneFix<'a> {
    message: &'a str,
    certain: bool,
    edits: Vec<OneEdit<'a>>,
}

#[derive(Serialize)]
struct Record<'a> {
    code: &'a str,
    severity: &'a str,
    message: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    place: Option<Place<'a>>,
    labels: Vec<Place<'a>>,
    notes: &'a [String],
    helps: &'a [String],
    #[serde(skip_serializing_if = "Option::is_none")]
    fix: Option<OneFix<'a>>,
}

/// The diagnostics as one JSON array:
/// `[{"code","severity","message","place":{"file","line","column","end_line","end_column","start_byte","end_byte",`
/// `"label"},"labels":[place],"notes","helps","fix":{"message","certain","edits":[place + "replacement"]}}]`.
/// `place` is missing for a file that could not be read, `fix` where there is none; a fix that is not `certain` is a guess.
pub fn to_json(diagnostics: &[Diagnostic], sources: &Sources) -> String {
    let records: Vec<Record<'_>> = diagnostics.iter().map(|d| record(d, sources)).collect();
    // Strings and numbers only: serialising them into memory cannot fail.
    serde_json::to_string(&records).unwrap_or_default()
}

fn record<'a>(d: &'a Diagnostic, sources: &Sources) -> Record<'a> {
    let label = |label: &'a Label| place(label.span, &label.text, sources);
    Record {
        code: d.code.0,
        severity: d.severity.name(),
        message: &d.message,
        place: d.primary.as_ref().map(label),
        labels: d.labels.iter().map(label).collect(),
        notes: &d.notes,
        helps: &d.helps,
        fix: d.fix.as_ref().map(|fix| one_fix(fix, sources)),
    }
}

fn one_fix<'a>(fix: &'a Fix, sources: &Sources) -> OneFix<'a> {
    let one = |edit: &'a Edit| OneEdit { place: place(edit.span, "", sources), replacement: &edit.replacement };
    OneFix { message: &fix.message, certain: fix.certain, edits: fix.edits.iter().map(one).collect() }
}

fn place<'a>(span: Span, label: &'a str, sources: &Sources) -> Place<'a> {
    let (start, end) = (sources.line_column(span.file, span.start), sources.line_column(span.file, span.end));
    Place {
        file: sources.path(span.file).display().to_string(),
        line: start.line,
        column: start.column,
        end_line: end.line,
        end_column: end.column,
        start_byte: span.start,
        end_byte: span.end,
        label,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Code;

    #[test]
    fn a_diagnostic_is_one_object_with_its_places() {
        let mut sources = Sources::new();
        let file = sources.add("f.cf", "a\nquiescent=YES\n".to_owned());
        let span = Span::new(file, 12, 15);
        let d = Diagnostic::warning(Code("E0104"), span, "m").replace("write `yes`", span, "yes").label(span, "here");
        let json: serde_json::Value = serde_json::from_str(&to_json(&[d], &sources)).unwrap();
        assert_eq!(json[0]["place"]["line"], 2);
        assert_eq!(json[0]["place"]["column"], 11);
        assert_eq!(json[0]["place"]["end_column"], 14);
        assert_eq!(json[0]["labels"][0]["label"], "here");
        assert_eq!(json[0]["fix"]["edits"][0]["replacement"], "yes");
        assert_eq!(json[0]["severity"], "warning");
    }
}
