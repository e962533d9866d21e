//! The SMTP probe, as keepalived's SMTP_CHECK: banner 220, HELO, 250, QUIT and whatever answers it (RFC 5321).
//!
//! keepalived takes a reply of several lines for a wrong one; here its last line counts, as the RFC has it.

use crate::{
    Progress,
    connect::{connect, failure},
};
use evenkeel_health::{Phase, Reason, printable};
use evenkeel_model::Origin;
use std::{io, net::SocketAddr};
use tokio::{
    io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader},
    net::TcpStream,
};

/// Bytes of one line of a reply, line end included (RFC 5321 4.5.3.1.5).
const LINE: u64 = 512;

/// Lines of one reply.
const LINES: usize = 100;

/// Holds the dialogue.
pub(crate) async fn attempt(
    target: SocketAddr,
    helo: &str,
    origin: &Origin,
    phase: &Progress,
) -> Result<String, Reason> {
    let stream = connect(target, origin).await?;
    phase.set(Phase::Answer);
    let mut dialogue = Dialogue { target, stream: BufReader::new(stream) };
    dialogue.expect(220, "greeting").await?;
    dialogue.say(&format!("HELO {helo}\r\n")).await?;
    dialogue.expect(250, "answer to HELO").await?;
    dialogue.say("QUIT\r\n").await?;
    dialogue.reply().await?;
    Ok("220, 250".to_owned())
}

struct Dialogue {
    target: SocketAddr,
    stream: BufReader<TcpStream>,
}

impl Dialogue {
    async fn say(&mut self, line: &str) -> Result<(), Reason> {
        let sent = self.stream.get_mut().write_all(line.as_bytes()).await;
        sent.map_err(|error| self.broken(&error))
    }

    async fn expect(&mut self, wanted: u16, what: &str) -> Result<(), Reason> {
        let line = self.reply().await?;
        if code(&line) == Some((wanted, true)) {
            return Ok(());
        }
        Err(Reason::BadAnswer(format!("{what} is \"{}\", wanted {wanted}", printable(line.trim_end()))))
    }

    /// The last line of the next reply.
    async fn reply(&mut self) -> Result<String, Reason> {
        for _ in 0..LINES {
            let mut line = Vec::new();
            let read = (&mut self.stream).take(LINE).read_until(b'\n', &mut line).await;
            read.map_err(|error| self.broken(&error))?;
            if line.last() != Some(&b'\n') {
                let long = u64::try_from(line.len()).is_ok_and(|length| length >= LINE);
                let why = Reason::BadAnswer(format!("a line of more than {LINE} bytes"));
                return Err(if long { why } else { Reason::Closed { phase: Phase::Answer } });
            }
            let line = String::from_utf8_lossy(&line).into_owned();
            if !matches!(code(&line), Some((_, false))) {
                return Ok(line);
            }
        }
        Err(Reason::BadAnswer(format!("a reply of more than {LINES} lines")))
    }

    fn broken(&self, error: &io::Error) -> Reason {
        failure(error, self.target.ip(), Reason::Closed { phase: Phase::Answer })
    }
}

/// The code of a line, and whether the line is the last of its reply.
fn code(line: &str) -> Option<(u16, bool)> {
    let digits = line.get(..3).filter(|digits| digits.bytes().all(|byte| byte.is_ascii_digit()))?;
    let is_last = match line.as_bytes().get(3) {
        None | Some(b' ' | b'\r' | b'\n') => true,
        Some(b'-') => false,
        Some(_) => return None,
    };
    Some((digits.parse().ok()?, is_last))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_says_its_code_and_whether_more_follow() {
        assert_eq!(code("220 mx ESMTP\r\n"), Some((220, true)));
        assert_eq!(code("250\r\n"), Some((250, true)));
        assert_eq!(code("250-mx\r\n"), Some((250, false)));
        for wrong in ["", "\n", "22\n", "2200\n", "abc\n", "+20 x\n", "220x\n", "22é\n"] {
            assert_eq!(code(wrong), None, "{wrong:?}");
        }
    }
}
