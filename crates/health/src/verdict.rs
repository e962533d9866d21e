//! What one attempt found, in a form that crosses process boundaries and reads well in `status`.

use serde::{Deserialize, Serialize};
use std::{
    fmt,
    net::{IpAddr, SocketAddr},
    time::Duration,
};

/// The result of one attempt.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Verdict {
    /// What was found.
    pub outcome: Outcome,
    /// How long the attempt took.
    pub took: Duration,
    /// What a good one makes of the real server's weight.
    #[serde(default)]
    pub weighing: Weighing,
}

/// What a check makes of the weight of a real server that it finds up.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Weighing {
    /// Nothing.
    #[default]
    None,
    /// It is this instead of what the file says.
    Set(u32),
    /// So much more, or less.
    Add(i64),
}

/// Good or bad, and why.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Outcome {
    /// The real server answered as it should.
    Good {
        /// What it answered, e.g. "200, 12 bytes".
        detail: String,
    },
    /// It did not.
    Bad(Reason),
}

/// The step of an attempt that was under way.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Phase {
    /// Establishing the TCP connection.
    Connect,
    /// The TLS handshake.
    Tls,
    /// Waiting for the status line and header of the answer.
    Answer,
    /// Reading the body of the answer.
    Body,
    /// Waiting for an echo reply.
    Echo,
    /// Waiting for a datagram.
    Datagram,
    /// Waiting for the check program to end.
    Script,
    /// The attempt as a whole: nobody told how far it came.
    Report,
}

/// Why an attempt failed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Reason {
    /// The real server's kernel refused the connection.
    Refused {
        /// Where to.
        target: SocketAddr,
    },
    /// Nobody has the UDP port.
    PortUnreachable {
        /// Where to.
        target: SocketAddr,
    },
    /// The real server's host does not answer at all.
    Unreachable {
        /// Whom.
        target: IpAddr,
    },
    /// The director has no route to the real server.
    NoRoute {
        /// Whom.
        target: IpAddr,
    },
    /// The deadline passed.
    Timeout {
        /// In which step.
        phase: Phase,
        /// The time that was given.
        after: Duration,
    },
    /// The connection ended too early.
    Closed {
        /// In which step.
        phase: Phase,
    },
    /// Another status code than wanted.
    WrongStatus {
        /// The status code that came.
        got: u16,
        /// The status codes that are good, as text.
        wanted: String,
    },
    /// The body does not match the pattern.
    NoMatch {
        /// The pattern.
        pattern: String,
        /// How what came instead begins; empty when nothing did.
        got: String,
    },
    /// The pattern could not be decided within its bound of steps.
    PatternTooCostly {
        /// The pattern.
        pattern: String,
    },
    /// The TLS handshake failed.
    Tls(String),
    /// The answer is not what the protocol allows.
    BadAnswer(String),
    /// The check program ended with this exit status.
    ExitStatus(i32),
    /// The check program was ended by this signal.
    Signal(i32),
    /// The attempt could not be started as ordered: a program that is missing, a pattern that is none.
    NotStarted(String),
    /// The director itself lacks what the attempt needs: file descriptors, ports, a permission.
    Local(String),
    /// The check is set to be always down.
    AlwaysOff,
    /// The BFD session is not up.
    SessionDown {
        /// Its name.
        name: String,
        /// What is known of it.
        why: String,
    },
    /// The MD5 of the body is another one.
    WrongDigest {
        /// That of the body that came.
        got: String,
    },
    /// The body matches the pattern, and must not.
    Matches {
        /// The pattern.
        pattern: String,
    },
}

impl Verdict {
    /// A good one.
    pub fn good(detail: impl Into<String>, took: Duration) -> Verdict {
        Verdict { outcome: Outcome::Good { detail: detail.into() }, took, weighing: Weighing::None }
    }

    /// A bad one.
    pub fn bad(reason: Reason, took: Duration) -> Verdict {
        Verdict { outcome: Outcome::Bad(reason), took, weighing: Weighing::None }
    }

    /// Whether the real server answered as it should.
    pub fn is_good(&self) -> bool {
        matches!(self.outcome, Outcome::Good { .. })
    }

    /// Why it is bad; `None` when it is good.
    pub fn reason(&self) -> Option<&Reason> {
        match &self.outcome {
            Outcome::Good { .. } => None,
            Outcome::Bad(reason) => Some(reason),
        }
    }
}

impl Reason {
    /// Whether the director, not the real server, is at fault. When every check fails at once for such reasons the
    /// real servers are most likely fine.
    pub fn is_own_fault(&self) -> bool {
        match self {
            Reason::NoRoute { .. } | Reason::Local(_) => true,
            Reason::Timeout { phase, .. } => *phase == Phase::Report,
            Reason::Refused { .. }
            | Reason::PortUnreachable { .. }
            | Reason::SessionDown { .. }
            | Reason::WrongDigest { .. }
            | Reason::Matches { .. }
            | Reason::Unreachable { .. }
            | Reason::Closed { .. }
            | Reason::WrongStatus { .. }
            | Reason::NoMatch { .. }
            | Reason::PatternTooCostly { .. }
            | Reason::Tls(_)
            | Reason::BadAnswer(_)
            | Reason::ExitStatus(_)
            | Reason::Signal(_)
            | Reason::NotStarted(_)
            | Reason::AlwaysOff => false,
        }
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.outcome {
            Outcome::Good { detail } => f.write_str(detail),
            Outcome::Bad(reason) => reason.fmt(f),
        }
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Reason::Refused { target } => write!(f, "connect to {target} refused"),
            Reason::PortUnreachable { target } => write!(f, "port unreachable at {target}"),
            Reason::SessionDown { name, why } => write!(f, "BFD session {}: {}", printable(name), printable(why)),
            Reason::WrongDigest { got } => write!(f, "the body's MD5 is {got}"),
            Reason::Matches { pattern } => write!(f, "body matches \"{}\"", printable(pattern)),
            Reason::Unreachable { target } => write!(f, "{target} is unreachable"),
            Reason::NoRoute { target } => write!(f, "no route to {target}"),
            Reason::Timeout { phase, after } => {
                let after = after.as_secs_f64();
                match phase {
                    Phase::Connect => write!(f, "no connection within {after} s"),
                    Phase::Tls => write!(f, "TLS handshake not done within {after} s"),
                    Phase::Answer => write!(f, "connected, but no answer within {after} s"),
                    Phase::Body => write!(f, "answer not complete within {after} s"),
                    Phase::Datagram => write!(f, "no answer within {after} s"),
                    Phase::Echo => write!(f, "no echo reply within {after} s"),
                    Phase::Script => write!(f, "check program still running after {after} s, killed"),
                    Phase::Report => write!(f, "no report of the check within {after} s"),
                }
            }
            Reason::Closed { phase } => match phase {
                Phase::Connect | Phase::Answer | Phase::Echo | Phase::Datagram | Phase::Script | Phase::Report => {
                    f.write_str("connection closed before an answer")
                }
                Phase::Tls => f.write_str("connection closed during the TLS handshake"),
                Phase::Body => f.write_str("connection closed before the answer was complete"),
            },
            Reason::WrongStatus { got, wanted } => write!(f, "got {got}, wanted {wanted}"),
            Reason::NoMatch { pattern, got } if got.is_empty() => {
                write!(f, "body does not match \"{}\": it is empty", printable(pattern))
            }
            Reason::NoMatch { pattern, got } => {
                write!(f, "body does not match \"{}\": got \"{}\"", printable(pattern), printable(got))
            }
            Reason::PatternTooCostly { pattern } => {
                write!(f, "pattern \"{}\" needs too many steps on this body", printable(pattern))
            }
            Reason::Tls(text) => write!(f, "TLS: {}", printable(text)),
            Reason::BadAnswer(text) => write!(f, "bad answer: {}", printable(text)),
            Reason::ExitStatus(status) => write!(f, "check program ended with exit status {status}"),
            Reason::Signal(signal) => write!(f, "check program ended by signal {signal}"),
            Reason::NotStarted(text) => write!(f, "check cannot be made: {}", printable(text)),
            Reason::Local(text) => write!(f, "this host cannot check: {}", printable(text)),
            Reason::AlwaysOff => f.write_str("check is set to always off"),
        }
    }
}

/// Characters of foreign text shown at the most.
pub const MAX_TEXT: usize = 200;

/// `text` fit for one line of a log or a terminal: control characters escaped, cut after [`MAX_TEXT`] characters.
///
/// Answers of real servers end up in logs; they must not be able to write lines of their own.
pub fn printable(text: &str) -> String {
    let mut line = String::new();
    for (index, c) in text.chars().enumerate() {
        if index == MAX_TEXT {
            line.push('…');
            break;
        }
        if c.is_control() { line.extend(c.escape_default()) } else { line.push(c) }
    }
    line
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reasons_read_well_in_status() {
        let target: SocketAddr = "192.168.0.207:80".parse().unwrap();
        let three = Duration::from_secs(3);
        let cases = [
            (Reason::Refused { target }, "connect to 192.168.0.207:80 refused"),
            (Reason::WrongStatus { got: 503, wanted: "200-299".into() }, "got 503, wanted 200-299"),
            (
                Reason::NoMatch { pattern: "ok".into(), got: "so\nrry".into() },
                "body does not match \"ok\": got \"so\\nrry\"",
            ),
            (Reason::NoMatch { pattern: "ok".into(), got: String::new() }, "body does not match \"ok\": it is empty"),
            (Reason::Timeout { phase: Phase::Answer, after: three }, "connected, but no answer within 3 s"),
            (Reason::Timeout { phase: Phase::Connect, after: three / 2 }, "no connection within 1.5 s"),
            (Reason::ExitStatus(2), "check program ended with exit status 2"),
            (Reason::AlwaysOff, "check is set to always off"),
        ];
        for (reason, text) in cases {
            assert_eq!(reason.to_string(), text);
        }
    }

    #[test]
    fn an_answer_cannot_write_a_log_line_of_its_own() {
        let reason = Reason::BadAnswer("x\nroot logged in\u{1b}[2J".into());
        assert_eq!(reason.to_string(), "bad answer: x\\nroot logged in\\u{1b}[2J");
        assert_eq!(printable(&"y".repeat(10_000)).chars().count(), MAX_TEXT + 1);
    }

    #[test]
    fn a_verdict_survives_the_way_between_processes() {
        let verdict = Verdict::bad(
            Reason::Timeout { phase: Phase::Tls, after: Duration::from_millis(1500) },
            Duration::from_millis(1501),
        );
        let text = serde_json::to_string(&verdict).unwrap();
        assert_eq!(serde_json::from_str::<Verdict>(&text).unwrap(), verdict);
    }
}
