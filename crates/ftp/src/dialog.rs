//! One control connection, both ways.
//!
//! Lines are taken in order, and while a data connection is being opened the side that waits for it stands still: the client
//! must not read of a port that does not lead anywhere yet, the server not be told of one. A refusal of ours takes its place
//! among the server's replies: it is said when the server owes none.

use crate::{
    command::Command,
    line::{LINE, Line, Lines},
    place,
    reply::{Part, Replies},
};
use evenkeel_machine::{Instant, Machine, Outbox};
use std::{
    net::{IpAddr, SocketAddr},
    time::Duration,
};

/// Bytes that one input has at the most.
pub const CHUNK: usize = 4096;
/// Without a byte for so long the connection is given up. Servers have a bound of their own (RFC 959 5.3.1), which is much
/// shorter; nothing is said while a file is on its way.
pub const IDLE: Duration = Duration::from_secs(24 * 60 * 60);
/// A refusal waits no longer than this for the replies that the server owes.
pub const PATIENCE: Duration = Duration::from_secs(30);
/// Ports below this are not a client's to name (RFC 2577 3).
const FIRST_PORT: u16 = 1024;

/// Who talks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ends {
    /// The client.
    pub client: IpAddr,
    /// Where both sides meet data connections.
    pub meeting: IpAddr,
}

/// A data connection to be opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Order {
    /// From the client to this port of the server.
    Passive(u16),
    /// From the server to this port of the client.
    Active(u16),
}

/// What happened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Input {
    /// The client said this, at most [`CHUNK`] bytes; asked for by [`Dialog::hears_client`].
    FromClient(Vec<u8>),
    /// The client says no more.
    ClientEnded,
    /// The server said this; asked for by [`Dialog::hears_server`].
    FromServer(Vec<u8>),
    /// The server says no more.
    ServerEnded,
    /// What was ordered is open, at this port of the meeting address; `None`: it cannot be.
    Opened(Option<u16>),
}

/// What is to be done, in order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Output {
    /// Say this to the client.
    ToClient(Vec<u8>),
    /// Say this to the server.
    ToServer(Vec<u8>),
    /// Open a data connection in place of the one before, and answer with [`Input::Opened`]. There is one such question at a time.
    Open(Order),
    /// Tell the server that the client says no more.
    EndServer,
    /// Close both; nothing comes after this.
    End,
}

/// The form in which the place of a data connection was told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Form {
    Old,
    Extended,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Talks,
    /// A data connection for this reply of the server is being opened.
    OpensPassive(Form),
    /// The same for this command of the client.
    OpensActive(Form),
    /// The client has to be told this.
    Refuses {
        text: &'static str,
        until: Instant,
    },
    Ended,
}

/// The end of what the client says, which the server is not told before all of that.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Ending {
    NotYet,
    Come,
    Told,
}

/// See the module.
#[derive(Debug)]
pub struct Dialog {
    ends: Ends,
    state: State,
    client: Lines,
    server: Lines,
    replies: Replies,
    /// Replies that the server has not given yet, its greeting included.
    owed: u32,
    heard: Instant,
    ending: Ending,
}

impl Dialog {
    /// One that begins `now`.
    pub fn new(now: Instant, ends: Ends) -> Dialog {
        Dialog {
            ends,
            state: State::Talks,
            client: Lines::default(),
            server: Lines::default(),
            replies: Replies::default(),
            owed: 1,
            heard: now,
            ending: Ending::NotYet,
        }
    }

    /// Whether more of the client is wanted now.
    pub fn hears_client(&self) -> bool {
        let waits = matches!(self.state, State::OpensActive(_) | State::Refuses { .. } | State::Ended);
        !waits && self.ending == Ending::NotYet && self.client.len() <= LINE
    }

    /// Whether more of the server is wanted now.
    pub fn hears_server(&self) -> bool {
        !matches!(self.state, State::OpensPassive(_) | State::Ended) && self.server.len() <= LINE
    }

    /// Takes lines for as long as there are some that may be taken.
    fn go_on(&mut self, now: Instant, out: &mut Outbox<Output>) {
        while self.server_line(out) || self.client_line(now, out) {}
        if self.ending == Ending::Come && self.state == State::Talks {
            // A command without an end is none, and was not looked at.
            drop(self.client.rest());
            self.ending = Ending::Told;
            out.push(Output::EndServer);
        }
    }

    /// Takes a line of the server; `false`: there is none, or it has to wait.
    fn server_line(&mut self, out: &mut Outbox<Output>) -> bool {
        if matches!(self.state, State::OpensPassive(_) | State::Ended) {
            return false;
        }
        match self.server.next() {
            None => false,
            Some(Line::TooLong) => {
                self.give_up("421 The real server's reply is too long.", out);
                true
            }
            Some(Line::Whole(line)) => {
                self.reply(line, out);
                true
            }
        }
    }

    fn reply(&mut self, line: Vec<u8>, out: &mut Outbox<Output>) {
        let Part::Last(code) = self.replies.part(&line) else {
            return out.push(Output::ToClient(line));
        };
        let text = String::from_utf8_lossy(line.get(3..).unwrap_or_default());
        let (form, port) = match code {
            227 => (Form::Old, place::of_227(&text)),
            229 => (Form::Extended, place::of_229(&text)),
            _ => {
                out.push(Output::ToClient(line));
                // Of a preliminary reply the other is still to come.
                if code >= 200 {
                    self.replied(out);
                }
                return;
            }
        };
        let told = form == Form::Extended || self.ends.meeting.is_ipv4();
        match port.filter(|port| *port > 0 && told && self.state == State::Talks) {
            Some(port) => {
                self.state = State::OpensPassive(form);
                out.push(Output::Open(Order::Passive(port)));
            }
            None => {
                say("425 The real server names no place for a data connection.", out);
                self.replied(out);
            }
        }
    }

    /// The server owes one reply less.
    fn replied(&mut self, out: &mut Outbox<Output>) {
        self.owed = self.owed.saturating_sub(1);
        if let State::Refuses { text, .. } = self.state
            && self.owed == 0
        {
            say(text, out);
            self.state = State::Talks;
        }
    }

    /// Takes a line of the client; `false`: there is none, or it has to wait.
    fn client_line(&mut self, now: Instant, out: &mut Outbox<Output>) -> bool {
        if self.state != State::Talks {
            return false;
        }
        match self.client.next() {
            None => return false,
            Some(Line::TooLong) => self.refuse(now, "500 This line is too long.", out),
            Some(Line::Whole(line)) => match Command::of(&line) {
                Command::Port(place) => self.active(now, Form::Old, place, out),
                Command::Eprt(place) => self.active(now, Form::Extended, place, out),
                Command::Auth => self.refuse(now, "534 Encryption cannot be offered through address translation.", out),
                Command::Long => self.refuse(now, "502 Use EPRT or EPSV.", out),
                Command::Other => self.ask(line, out),
            },
        }
        true
    }

    fn ask(&mut self, line: Vec<u8>, out: &mut Outbox<Output>) {
        self.owed = self.owed.saturating_add(1);
        out.push(Output::ToServer(line));
    }

    /// The client waits for the server.
    fn active(&mut self, now: Instant, form: Form, place: Option<SocketAddr>, out: &mut Outbox<Output>) {
        match place {
            None => self.refuse(now, "501 This is no address and port.", out),
            // RFC 2577 3: whoever may name another host can have it attacked from here.
            Some(place) if place.ip() != self.ends.client || place.port() < FIRST_PORT => {
                self.refuse(
                    now,
                    "504 Data connections are made to the client's own address only, not to system ports.",
                    out,
                );
            }
            Some(place) => {
                self.state = State::OpensActive(form);
                out.push(Output::Open(Order::Active(place.port())));
            }
        }
    }

    fn refuse(&mut self, now: Instant, text: &'static str, out: &mut Outbox<Output>) {
        if self.owed == 0 {
            say(text, out);
        } else {
            self.state = State::Refuses { text, until: now + PATIENCE };
        }
    }

    fn opened(&mut self, now: Instant, port: Option<u16>, out: &mut Outbox<Output>) {
        match std::mem::replace(&mut self.state, State::Talks) {
            State::OpensPassive(form) => {
                match (port, form, self.ends.meeting) {
                    (Some(port), Form::Old, IpAddr::V4(meeting)) => {
                        say(&format!("227 Entering Passive Mode ({}).", place::port(meeting, port)), out);
                    }
                    (Some(port), Form::Extended, _) => {
                        say(&format!("229 Entering Extended Passive Mode (|||{port}|)"), out);
                    }
                    (None, _, _) | (Some(_), Form::Old, IpAddr::V6(_)) => {
                        say("425 No data connection can be made now.", out)
                    }
                }
                self.replied(out);
            }
            State::OpensActive(form) => match (port, form, self.ends.meeting) {
                (Some(port), Form::Old, IpAddr::V4(meeting)) => {
                    self.ask(format!("PORT {}\r\n", place::port(meeting, port)).into_bytes(), out);
                }
                (Some(port), _, meeting) => {
                    self.ask(format!("EPRT {}\r\n", place::eprt(meeting, port)).into_bytes(), out)
                }
                (None, _, _) => self.refuse(now, "425 No data connection can be made now.", out),
            },
            // Nobody has asked.
            other @ (State::Talks | State::Refuses { .. } | State::Ended) => self.state = other,
        }
    }

    fn give_up(&mut self, why: &str, out: &mut Outbox<Output>) {
        say(why, out);
        self.end(out);
    }

    fn end(&mut self, out: &mut Outbox<Output>) {
        self.state = State::Ended;
        out.push(Output::End);
    }
}

/// A line to the client.
fn say(text: &str, out: &mut Outbox<Output>) {
    out.push(Output::ToClient(format!("{text}\r\n").into_bytes()));
}

impl Machine for Dialog {
    type Input = Input;
    type Output = Output;

    fn handle(&mut self, now: Instant, input: Input, out: &mut Outbox<Output>) {
        if self.state == State::Ended {
            return;
        }
        self.heard = now;
        match input {
            Input::FromClient(bytes) if self.client.len() + bytes.len() <= LINE + CHUNK => self.client.push(&bytes),
            Input::FromServer(bytes) if self.server.len() + bytes.len() <= LINE + CHUNK => self.server.push(&bytes),
            // Nobody has asked for so much.
            Input::FromClient(_) | Input::FromServer(_) => return self.give_up("421 Too much at a time.", out),
            Input::ClientEnded if self.ending == Ending::NotYet => self.ending = Ending::Come,
            Input::ClientEnded => {}
            Input::ServerEnded => {
                if !matches!(self.state, State::OpensPassive(_)) && self.server.len() > 0 {
                    out.push(Output::ToClient(self.server.rest()));
                }
                return self.end(out);
            }
            Input::Opened(port) => self.opened(now, port, out),
        }
        self.go_on(now, out);
    }

    fn handle_timeout(&mut self, now: Instant, out: &mut Outbox<Output>) {
        match self.state {
            State::Ended => {}
            State::Refuses { text, until } if until <= now => {
                // The server owes nothing: we counted wrongly.
                self.owed = 0;
                say(text, out);
                self.state = State::Talks;
                self.go_on(now, out);
            }
            State::Talks | State::OpensPassive(_) | State::OpensActive(_) | State::Refuses { .. } => {
                if now - self.heard >= IDLE {
                    self.give_up("421 Nothing was said for too long.", out);
                }
            }
        }
    }

    fn deadline(&self) -> Option<Instant> {
        let idle = self.heard + IDLE;
        match self.state {
            State::Ended => None,
            State::Refuses { until, .. } => Some(until.min(idle)),
            State::Talks | State::OpensPassive(_) | State::OpensActive(_) => Some(idle),
        }
    }
}

#[cfg(test)]
mod tests;
