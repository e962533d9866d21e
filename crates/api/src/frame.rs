//! Lines out of bytes that arrive in any portions, and bytes out of values.

use serde::Serialize;
use std::{error::Error, fmt};

/// Collects bytes and hands out whole lines. Holds at most one line of the limit and what was pushed last.
#[derive(Debug)]
pub struct Lines {
    bytes: Vec<u8>,
    /// Where the next line begins.
    begin: usize,
    /// Up to here there is no line feed after `begin`.
    searched: usize,
    limit: usize,
}

impl Lines {
    /// Lines of at most `limit` bytes, line feed excluded.
    pub fn new(limit: usize) -> Lines {
        Lines { bytes: Vec::new(), begin: 0, searched: 0, limit }
    }

    /// Takes bytes as they arrived.
    pub fn push(&mut self, bytes: &[u8]) {
        self.bytes.drain(..self.begin);
        self.searched -= self.begin;
        self.begin = 0;
        self.bytes.extend_from_slice(bytes);
    }

    /// The next whole line without its line feed; `None` until more arrives. After an error the conversation cannot go
    /// on: where the next line starts is unknown.
    pub fn next_line(&mut self) -> Result<Option<String>, FrameError> {
        let unsearched = self.bytes.get(self.searched..).unwrap_or_default();
        let end = unsearched.iter().position(|b| *b == b'\n').map(|at| self.searched + at);
        if end.unwrap_or(self.bytes.len()) - self.begin > self.limit {
            return Err(FrameError::TooLong { limit: self.limit });
        }
        let Some(end) = end else {
            self.searched = self.bytes.len();
            return Ok(None);
        };
        let line = self.bytes.get(self.begin..end).unwrap_or_default();
        let line = std::str::from_utf8(line).map_err(|_| FrameError::NotUtf8)?.to_owned();
        self.begin = end + 1;
        self.searched = self.begin;
        Ok(Some(line))
    }

    /// Whether part of a line waits for its end.
    pub fn is_midline(&self) -> bool {
        self.begin < self.bytes.len()
    }
}

/// Why bytes are no line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FrameError {
    /// No line feed within the limit.
    TooLong {
        /// The limit in bytes.
        limit: usize,
    },
    /// A byte sequence that is no UTF-8.
    NotUtf8,
}

impl fmt::Display for FrameError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            FrameError::TooLong { limit } => write!(f, "the line is longer than {limit} bytes"),
            FrameError::NotUtf8 => f.write_str("the line is not UTF-8"),
        }
    }
}

impl Error for FrameError {}

/// One line of JSON with its line feed.
pub fn to_line<T: Serialize>(value: &T) -> Result<Vec<u8>, serde_json::Error> {
    let mut line = serde_json::to_vec(value)?;
    line.push(b'\n');
    Ok(line)
}
