//! Replies of a server (RFC 959 4.2): a code, and text over one line or more.

/// Which part of a reply a line is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Part {
    /// A line with more to come, or none of a reply at all.
    Text,
    /// The last line of a reply with this code.
    Last(u16),
}

/// Follows the replies of one server.
#[derive(Debug, Default)]
pub(crate) struct Replies {
    /// Of this code more lines are to come.
    code: Option<u16>,
}

impl Replies {
    /// The next line.
    pub(crate) fn part(&mut self, line: &[u8]) -> Part {
        let (code, goes_on) = match line {
            [a, b, c, rest @ ..] if [a, b, c].iter().all(|byte| byte.is_ascii_digit()) => {
                let digit = |byte: &u8| u16::from(byte - b'0');
                let code = digit(a) * 100 + digit(b) * 10 + digit(c);
                match rest {
                    [b'-', ..] => (code, true),
                    [b' ' | b'\r' | b'\n', ..] | [] => (code, false),
                    [..] => return Part::Text,
                }
            }
            [..] => return Part::Text,
        };
        match self.code {
            None if goes_on => {
                self.code = Some(code);
                Part::Text
            }
            // Text between may begin with numbers, too.
            Some(open) if goes_on || open != code => Part::Text,
            None | Some(_) => {
                self.code = None;
                Part::Last(code)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reply_ends_with_its_code_and_a_blank() {
        let mut replies = Replies::default();
        for (line, part) in [
            ("220 welcome\r\n", Part::Last(220)),
            ("211-Features:\r\n", Part::Text),
            (" EPSV\r\n", Part::Text),
            ("227 (1,2,3,4,5,6)\r\n", Part::Text),
            ("211-more\r\n", Part::Text),
            ("2111 more\r\n", Part::Text),
            ("211 End\r\n", Part::Last(211)),
            ("nonsense\r\n", Part::Text),
            ("226\r\n", Part::Last(226)),
            ("22", Part::Text),
            ("", Part::Text),
        ] {
            assert_eq!(replies.part(line.as_bytes()), part, "{line:?}");
        }
    }
}
