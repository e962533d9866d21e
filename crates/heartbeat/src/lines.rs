//! Messages out of what a serial line brings (HB-2): lines from `>>>` to `<<<`, and noise between them.

use crate::LONGEST;

const START: &[u8] = b">>>";
const END: &[u8] = b"<<<";

/// What has come of a message so far. What is longer than [`LONGEST`] is let go.
#[derive(Clone, Debug, Default)]
pub struct Lines {
    line: Vec<u8>,
    message: Vec<u8>,
}

impl Lines {
    /// Takes bytes as they come, and gives each message that is whole to `heard`.
    pub fn push(&mut self, bytes: &[u8], mut heard: impl FnMut(&[u8])) {
        for &byte in bytes {
            if byte == b'\n' {
                self.end_line(&mut heard);
            } else if self.line.len() + self.message.len() < LONGEST {
                self.line.push(byte);
            } else {
                self.line.clear();
                self.message.clear();
            }
        }
    }

    fn end_line(&mut self, heard: &mut impl FnMut(&[u8])) {
        let line = std::mem::take(&mut self.line);
        let line = line.strip_suffix(b"\r").unwrap_or(&line);
        // Noise may stand before the first line of a message; half of one before the next, where a cable was pulled.
        if line == START || self.message.is_empty() && line.ends_with(START) {
            self.message.clear();
            self.message.extend_from_slice(START);
        } else if self.message.is_empty() {
            return;
        } else {
            self.message.extend_from_slice(line);
        }
        self.message.push(b'\n');
        if line == END {
            heard(&self.message);
            self.message.clear();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn heard(parts: &[&[u8]]) -> Vec<String> {
        let (mut lines, mut found) = (Lines::default(), Vec::new());
        for part in parts {
            lines.push(part, |message| found.push(String::from_utf8_lossy(message).into_owned()));
            assert!(lines.line.len() + lines.message.len() <= LONGEST + 2);
        }
        found
    }

    #[test]
    fn messages_are_found_wherever_the_line_breaks_them() {
        let bytes = b">>>\nt=status\n<<<\n>>>\nt=NS_st\n<<<\n";
        let whole = heard(&[bytes]);
        assert_eq!(whole, [">>>\nt=status\n<<<\n", ">>>\nt=NS_st\n<<<\n"]);
        for at in 0..bytes.len() {
            assert_eq!(heard(&[&bytes[..at], &bytes[at..]]), whole);
        }
    }

    #[test]
    fn noise_and_halves_are_skipped() {
        assert_eq!(
            heard(&[b"\0\xff~\nt=x\n<<<\n\xff>>>\nt=half\n>>>\r\nt=whole\r\n<<<\r\n<<<\n"]),
            [">>>\nt=whole\n<<<\n"]
        );
    }

    #[test]
    fn a_value_may_look_like_the_beginning() {
        let message = ">>>\nt=x\ninfo=a>>>\n<<<\n";
        assert_eq!(heard(&[message.as_bytes()]), [message]);
    }

    #[test]
    fn a_line_that_never_ends_is_let_go() {
        let noise = vec![b'x'; 3 * LONGEST];
        assert_eq!(heard(&[b">>>\n", &noise, b"\n<<<\n>>>\nt=x\n<<<\n"]), [">>>\nt=x\n<<<\n"]);
        let many = b"a=b\n".repeat(LONGEST);
        assert_eq!(heard(&[b">>>\n", &many, b"<<<\n>>>\nt=x\n<<<\n"]), [">>>\nt=x\n<<<\n"]);
    }
}
