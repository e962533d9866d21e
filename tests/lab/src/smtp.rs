//! A mail server that keeps what it is given.

use evenkeel_lab::Node;
use std::{
    io::{BufRead, BufReader, Write},
    net::{SocketAddr, TcpListener, TcpStream},
    sync::{Arc, Condvar, Mutex, PoisonError},
    time::{Duration, Instant},
};

/// A mail as it came.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Mail {
    /// Name in HELO or EHLO.
    pub helo: String,
    /// Sender of the envelope.
    pub from: String,
    /// Recipients of the envelope.
    pub to: Vec<String>,
    /// `Subject:` of the message.
    pub subject: String,
    /// Lines behind the headers, empty ones left out.
    pub text: Vec<String>,
}

#[derive(Default)]
struct Kept {
    mails: Mutex<Vec<Mail>>,
    came: Condvar,
}

/// Where the mails are.
pub struct Mailbox(Arc<Kept>);

impl Mailbox {
    /// Listens at `address` of `node` for as long as this process lives.
    pub fn open(node: &Node, address: SocketAddr) -> Result<Mailbox, String> {
        let kept = Arc::new(Kept::default());
        let listener = node.run(move || TcpListener::bind(address)).map_err(|e| e.to_string())?;
        let listener = listener.map_err(|e| format!("listen at {address}: {e}"))?;
        let shared = Arc::clone(&kept);
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let shared = Arc::clone(&shared);
                std::thread::spawn(move || drop(take(&stream, &shared)));
            }
        });
        Ok(Mailbox(kept))
    }

    /// All that have come.
    pub fn mails(&self) -> Vec<Mail> {
        self.0.mails.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Waits until what has come is `good`; gives it.
    pub fn wait(&self, limit: Duration, mut good: impl FnMut(&[Mail]) -> bool) -> Result<Vec<Mail>, Vec<Mail>> {
        let until = Instant::now() + limit;
        let mut mails = self.0.mails.lock().unwrap_or_else(PoisonError::into_inner);
        while !good(&mails) {
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Err(mails.clone());
            }
            mails = self.0.came.wait_timeout(mails, left).unwrap_or_else(PoisonError::into_inner).0;
        }
        Ok(mails.clone())
    }
}

fn take(stream: &TcpStream, kept: &Kept) -> std::io::Result<()> {
    let mut output = stream;
    output.write_all(b"220 here\r\n")?;
    let (mut mail, mut lines) = (Mail::default(), None::<Vec<String>>);
    for line in BufReader::new(stream).lines() {
        let line = line?;
        let answer = match (&mut lines, line.as_str()) {
            (Some(message), ".") => {
                let head: Vec<&String> = message.iter().take_while(|line| !line.is_empty()).collect();
                let subject = head.iter().find_map(|line| line.strip_prefix("Subject: ")).unwrap_or_default();
                subject.clone_into(&mut mail.subject);
                mail.text = message.iter().skip(head.len()).filter(|line| !line.is_empty()).cloned().collect();
                kept.mails.lock().unwrap_or_else(PoisonError::into_inner).push(std::mem::take(&mut mail));
                kept.came.notify_all();
                lines = None;
                "250 taken"
            }
            (Some(message), line) => {
                // A long header goes on in the next line.
                match message.last_mut().filter(|_| line.starts_with(' ')) {
                    Some(last) => last.push_str(line),
                    None => message.push(line.to_owned()),
                }
                continue;
            }
            (None, "DATA") => {
                lines = Some(Vec::new());
                "354 go on"
            }
            (None, "QUIT") => return output.write_all(b"221 bye\r\n"),
            (None, line) => {
                let inside = || line.split_once('<').and_then(|(_, rest)| rest.split_once('>')).map(|(text, _)| text);
                match line.split([' ', ':']).next() {
                    Some("HELO" | "EHLO") => mail.helo = line.get(5..).unwrap_or_default().to_owned(),
                    Some("MAIL") => mail.from = inside().unwrap_or_default().to_owned(),
                    Some("RCPT") => mail.to.extend(inside().map(str::to_owned)),
                    _ => {}
                }
                "250 ok"
            }
        };
        output.write_all(format!("{answer}\r\n").as_bytes())?;
    }
    Ok(())
}
