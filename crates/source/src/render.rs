//! Diagnostics as text, in the form rustc made familiar.

use crate::{Diagnostic, Edit, FileId, Label, Severity, Sources};
use annotate_snippets::{Annotation, AnnotationKind, Group, Level, Origin, Patch, Renderer, Snippet};
use std::borrow::Cow;

/// Whether escape sequences for a terminal are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Colour {
    /// Plain text.
    No,
    /// With ANSI escape sequences.
    Yes,
}

/// Diagnostics printed by [`render_all`] before it only counts.
pub const MOST_RENDERED: usize = 500;

/// Lines longer than this are named but not shown.
const LONGEST_SHOWN: usize = 4096;

/// Places at most this many lines apart are shown in one picture.
const SAME_PICTURE: usize = 6;

/// Edits shown as a difference; more are only counted.
const MOST_PATCHES: usize = 4;

/// One diagnostic, several lines, ending in a newline.
pub fn render(diagnostic: &Diagnostic, sources: &Sources, colour: Colour) -> String {
    let level = match diagnostic.severity {
        Severity::Error => Level::ERROR,
        Severity::Warning => Level::WARNING,
        Severity::Note => Level::NOTE,
    };
    let mut group = level.primary_title(diagnostic.message.as_str()).id(diagnostic.code.0).elements(pictures(
        diagnostic.primary.as_ref(),
        &diagnostic.labels,
        sources,
    ));
    for note in &diagnostic.notes {
        group = group.element(Level::NOTE.message(note.as_str()));
    }
    for help in &diagnostic.helps {
        group = group.element(Level::HELP.message(help.as_str()));
    }
    let mut groups = vec![group];
    if let Some(fix) = &diagnostic.fix {
        match patches(&fix.edits, sources) {
            Some(snippet) => groups.push(Level::HELP.secondary_title(fix.message.as_str()).element(snippet)),
            None => {
                let counted = format!("{} ({} edits)", fix.message, fix.edits.len());
                let last = groups.pop().unwrap_or_else(|| Group::with_level(Level::HELP));
                groups.push(last.element(Level::HELP.message(counted)));
            }
        }
    }
    let renderer = match colour {
        Colour::No => Renderer::plain(),
        Colour::Yes => Renderer::styled(),
    };
    let mut text = renderer.render(&groups);
    text.push('\n');
    text
}

/// Every diagnostic, a blank line between two; after [`MOST_RENDERED`] the rest is counted.
pub fn render_all(diagnostics: &[Diagnostic], sources: &Sources, colour: Colour) -> String {
    let shown = &diagnostics[..diagnostics.len().min(MOST_RENDERED)];
    let mut text: String = shown.iter().map(|d| render(d, sources, colour) + "\n").collect();
    if diagnostics.len() > shown.len() {
        text += &format!("and {} more\n", diagnostics.len() - shown.len());
    }
    text
}

/// A place, the line it is in and whether it is the one the message is about.
struct Place<'a> {
    label: &'a Label,
    first_line: usize,
    last_line: usize,
    kind: AnnotationKind,
}

/// The source lines around the places: the primary's picture first, distant places in pictures of their own.
fn pictures<'a>(primary: Option<&'a Label>, labels: &'a [Label], sources: &'a Sources) -> Vec<Picture<'a>> {
    let Some(primary) = primary else { return Vec::new() };
    let place = |label: &'a Label, kind| Place {
        label,
        first_line: sources.line(label.span.file, label.span.start),
        last_line: sources.line(label.span.file, label.span.end.max(label.span.start + 1) - 1),
        kind,
    };
    let mut open = vec![vec![place(primary, AnnotationKind::Primary)]];
    let mut others: Vec<Place<'a>> = labels.iter().map(|l| place(l, AnnotationKind::Context)).collect();
    others.sort_by_key(|p| p.label.span);
    for other in others {
        let near = |p: &Place<'_>| {
            p.label.span.file == other.label.span.file && p.first_line.abs_diff(other.first_line) <= SAME_PICTURE
        };
        match open.iter_mut().find(|picture| picture.iter().any(near)) {
            Some(picture) => picture.push(other),
            None => open.push(vec![other]),
        }
    }
    open.into_iter().map(|places| picture(&places, sources)).collect()
}

/// What stands for one stretch of a file.
enum Picture<'a> {
    Lines(Snippet<'a, Annotation<'a>>),
    Name(Origin<'a>),
}

impl<'a> From<Picture<'a>> for annotate_snippets::Element<'a> {
    fn from(picture: Picture<'a>) -> Self {
        match picture {
            Picture::Lines(snippet) => snippet.into(),
            Picture::Name(origin) => origin.into(),
        }
    }
}

fn picture<'a>(places: &[Place<'a>], sources: &'a Sources) -> Picture<'a> {
    let Some(first) = places.first() else { return Picture::Name(Origin::path("")) };
    let file = first.label.span.file;
    let first_line = places.iter().map(|p| p.first_line).min().unwrap_or(1);
    let last_line = places.iter().map(|p| p.last_line).max().unwrap_or(1);
    let path = sources.path(file).to_string_lossy();
    if !is_showable(sources, file, first_line, last_line) {
        let at = sources.line_column(file, first.label.span.start);
        return Picture::Name(Origin::path(path).line(at.line).char_column(at.column));
    }
    let window = sources.line_range(file, first_line).start..sources.line_range(file, last_line).end;
    let shift = window.start;
    let length = window.len();
    let text = sources.text(file).get(window).unwrap_or("");
    let annotations = places.iter().map(|p| {
        let range = p.label.span.range();
        let inside = (range.start - shift).min(length)..(range.end - shift).min(length);
        let annotation = p.kind.span(inside);
        if p.label.text.is_empty() { annotation } else { annotation.label(p.label.text.as_str()) }
    });
    Picture::Lines(Snippet::source(text).path(path).line_start(first_line).annotations(annotations))
}

fn is_showable(sources: &Sources, file: FileId, first_line: usize, last_line: usize) -> bool {
    last_line - first_line <= 4 * SAME_PICTURE
        && (first_line..=last_line).all(|line| sources.line_range(file, line).len() <= LONGEST_SHOWN)
}

/// The edits as a difference, when they are few, near each other and in one file.
fn patches<'a>(edits: &'a [Edit], sources: &'a Sources) -> Option<Snippet<'a, Patch<'a>>> {
    let file = edits.first()?.span.file;
    if edits.len() > MOST_PATCHES || edits.iter().any(|e| e.span.file != file) {
        return None;
    }
    let first_line = edits.iter().map(|e| sources.line(file, e.span.start)).min()?;
    let last_line = edits.iter().map(|e| sources.line(file, e.span.end)).max()?;
    if !is_showable(sources, file, first_line, last_line) {
        return None;
    }
    let window = sources.line_range(file, first_line).start..sources.line_range(file, last_line).end;
    let shift = window.start;
    let text = sources.text(file).get(window)?;
    let path: Cow<'a, str> = sources.path(file).to_string_lossy();
    let mut ordered: Vec<&Edit> = edits.iter().collect();
    ordered.sort_by_key(|edit| edit.span);
    let patches = ordered
        .into_iter()
        .map(|e| Patch::new(e.span.start as usize - shift..e.span.end as usize - shift, e.replacement.as_str()));
    Some(Snippet::source(text).path(path).line_start(first_line).patches(patches))
}

#[cfg(test)]
mod tests;
