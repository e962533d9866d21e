//! Texts and places in them.

use std::path::{Path, PathBuf};

/// Lines longer than this count their columns in bytes, so that finding a column stays cheap.
const LONG_LINE: usize = 64 * 1024;

/// One file of a [`Sources`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct FileId(u32);

/// A stretch of bytes in one file: `start` inclusive, `end` exclusive, both on character boundaries.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Span {
    /// The file.
    pub file: FileId,
    /// First byte.
    pub start: u32,
    /// One past the last byte.
    pub end: u32,
}

impl Span {
    /// The span of the bytes `start..end`. Offsets past 4 GiB saturate; [`Sources::add`] takes no such text.
    pub fn new(file: FileId, start: usize, end: usize) -> Span {
        let offset = |at: usize| u32::try_from(at).unwrap_or(u32::MAX);
        Span { file, start: offset(start), end: offset(end.max(start)) }
    }

    /// The bytes as a range of `usize`.
    pub fn range(self) -> std::ops::Range<usize> {
        self.start as usize..self.end as usize
    }

    /// From the start of this span to the end of `other`, which lies in the same file.
    pub fn to(self, other: Span) -> Span {
        Span { file: self.file, start: self.start.min(other.start), end: self.end.max(other.end) }
    }
}

/// A value and where it was written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Spanned<T> {
    /// The value.
    pub value: T,
    /// Where.
    pub span: Span,
}

impl<T> Spanned<T> {
    /// `value`, written at `span`.
    pub fn new(value: T, span: Span) -> Spanned<T> {
        Spanned { value, span }
    }
}

/// A place as an editor shows it; both count from 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct LineColumn {
    /// Line.
    pub line: usize,
    /// Column in characters (in bytes on lines longer than 64 KiB).
    pub column: usize,
}

#[derive(Clone, Debug)]
struct File {
    path: PathBuf,
    text: String,
    line_starts: Vec<u32>,
}

/// The texts that were read, in the order in which they were read.
#[derive(Clone, Debug, Default)]
pub struct Sources {
    files: Vec<File>,
}

impl Sources {
    /// No text yet.
    pub fn new() -> Sources {
        Sources::default()
    }

    /// Adds a text. Text past 4 GiB is cut off at a character boundary.
    pub fn add(&mut self, path: impl Into<PathBuf>, mut text: String) -> FileId {
        if text.len() > u32::MAX as usize {
            text.truncate(text.floor_char_boundary(u32::MAX as usize));
        }
        let newline_ends = text.bytes().enumerate().filter(|(_, b)| *b == b'\n').map(|(at, _)| at as u32 + 1);
        let line_starts = std::iter::once(0).chain(newline_ends).collect();
        let id = FileId(u32::try_from(self.files.len()).unwrap_or(u32::MAX));
        self.files.push(File { path: path.into(), text, line_starts });
        id
    }

    /// Every file.
    pub fn files(&self) -> impl Iterator<Item = FileId> + use<> {
        (0..self.files.len()).map(|at| FileId(at as u32))
    }

    /// The file's path as it was given.
    pub fn path(&self, file: FileId) -> &Path {
        &self.file(file).path
    }

    /// The whole text.
    pub fn text(&self, file: FileId) -> &str {
        &self.file(file).text
    }

    /// The text of a span.
    pub fn slice(&self, span: Span) -> &str {
        self.text(span.file).get(span.range()).unwrap_or("")
    }

    /// How many lines the file has.
    pub fn line_count(&self, file: FileId) -> usize {
        self.file(file).line_starts.len()
    }

    /// Line (from 1) and column (from 1) of a byte offset.
    pub fn line_column(&self, file: FileId, offset: u32) -> LineColumn {
        let line = self.line(file, offset);
        let start = self.line_range(file, line).start;
        let before = self.text(file).get(start..offset as usize).unwrap_or("");
        let column = if before.len() > LONG_LINE { before.len() } else { before.chars().count() };
        LineColumn { line, column: column + 1 }
    }

    /// The line (from 1) a byte offset lies in.
    pub fn line(&self, file: FileId, offset: u32) -> usize {
        self.file(file).line_starts.partition_point(|start| *start <= offset)
    }

    /// The bytes of a line (from 1), its newline included.
    pub fn line_range(&self, file: FileId, line: usize) -> std::ops::Range<usize> {
        let starts = &self.file(file).line_starts;
        let start = starts.get(line.saturating_sub(1)).map_or(self.text(file).len(), |at| *at as usize);
        let end = starts.get(line).map_or(self.text(file).len(), |at| *at as usize);
        start..end
    }

    /// `path:line:column` of the start of a span.
    pub fn place(&self, span: Span) -> String {
        let at = self.line_column(span.file, span.start);
        format!("{}:{}:{}", self.path(span.file).display(), at.line, at.column)
    }

    fn file(&self, file: FileId) -> &File {
        &self.files[file.0 as usize]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_count_characters_and_lines_count_from_one() {
        let mut sources = Sources::new();
        let file = sources.add("a.cf", "x\n\u{a0}\u{4e2d}y\r\nz".to_owned());
        assert_eq!(sources.line_column(file, 0), LineColumn { line: 1, column: 1 });
        assert_eq!(sources.line_column(file, 7), LineColumn { line: 2, column: 3 });
        assert_eq!(sources.line_column(file, 10), LineColumn { line: 3, column: 1 });
        assert_eq!(sources.slice(Span::new(file, 7, 8)), "y");
        assert_eq!(sources.place(Span::new(file, 7, 8)), "a.cf:2:3");
        assert_eq!(sources.line_range(file, 3), 10..11);
        assert_eq!(sources.line_range(file, 9), 11..11);
    }
}
