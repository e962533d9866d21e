//! Lines out of a stream, however it was cut into packets.

/// Longest line with its end: a command with the longest path of Linux, twice.
pub const LINE: usize = 8192;

/// What came.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Line {
    /// One with its end.
    Whole(Vec<u8>),
    /// One longer than [`LINE`]; none of it is kept.
    TooLong,
}

/// What has come and is not yet a line.
#[derive(Debug, Default)]
pub(crate) struct Lines {
    bytes: Vec<u8>,
    /// Up to here there is no end of a line.
    searched: usize,
    /// The rest of a line that was too long is still to come.
    skips: bool,
}

impl Lines {
    /// More of the stream.
    pub(crate) fn push(&mut self, bytes: &[u8]) {
        self.bytes.extend_from_slice(bytes);
    }

    /// Bytes that wait.
    pub(crate) fn len(&self) -> usize {
        self.bytes.len()
    }

    /// The next line, if it is there.
    pub(crate) fn next(&mut self) -> Option<Line> {
        loop {
            let end = self.bytes[self.searched..].iter().position(|byte| *byte == b'\n');
            let Some(end) = end.map(|end| self.searched + end + 1) else {
                self.searched = self.bytes.len();
                if self.searched <= LINE {
                    return None;
                }
                self.rest();
                let again = std::mem::replace(&mut self.skips, true);
                return (!again).then_some(Line::TooLong);
            };
            let line: Vec<u8> = self.bytes.drain(..end).collect();
            self.searched = 0;
            match std::mem::take(&mut self.skips) {
                true => {}
                false if line.len() > LINE => return Some(Line::TooLong),
                false => return Some(Line::Whole(line)),
            }
        }
    }

    /// All that waits, line or not.
    pub(crate) fn rest(&mut self) -> Vec<u8> {
        self.searched = 0;
        std::mem::take(&mut self.bytes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all(lines: &mut Lines) -> Vec<Line> {
        std::iter::from_fn(|| lines.next()).collect()
    }

    #[test]
    fn lines_are_the_same_however_they_are_cut() {
        let text = b"USER a\r\nPASS b\nCWD \xff\xfe\r\n";
        let whole: Vec<Line> =
            [&b"USER a\r\n"[..], b"PASS b\n", b"CWD \xff\xfe\r\n"].map(|line| Line::Whole(line.to_vec())).into();
        for piece in 1..=text.len() {
            let mut lines = Lines::default();
            let cut = text.chunks(piece).flat_map(|chunk| {
                lines.push(chunk);
                all(&mut lines)
            });
            assert_eq!(cut.collect::<Vec<_>>(), whole, "in pieces of {piece}");
        }
    }

    #[test]
    fn a_line_that_is_too_long_is_told_once_and_forgotten() {
        for piece in [1, 100, 3 * LINE] {
            let mut text = vec![b'x'; 2 * LINE + 1];
            text.extend(b"\r\nNOOP\r\n");
            let mut lines = Lines::default();
            let mut found = Vec::new();
            for chunk in text.chunks(piece) {
                lines.push(chunk);
                found.extend(all(&mut lines));
                assert!(lines.len() <= LINE);
            }
            assert_eq!(found, [Line::TooLong, Line::Whole(b"NOOP\r\n".to_vec())], "in pieces of {piece}");
        }
    }

    #[test]
    fn the_longest_line_is_a_line() {
        let mut text = vec![b'x'; LINE - 1];
        text.push(b'\n');
        let mut lines = Lines::default();
        lines.push(&text);
        assert_eq!(all(&mut lines), [Line::Whole(text)]);
    }
}
