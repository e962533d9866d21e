//! Mails about state changes, sent by SMTP one after another, each with a deadline and some more tries.

use lettre::{
    AsyncSmtpTransport, AsyncTransport, Message, Tokio1Executor,
    message::{Mailbox, header::ContentType},
    transport::smtp::extension::ClientId,
};
use std::{collections::VecDeque, time::Duration};
use tokio::{sync::mpsc, time::Instant};

/// Mails that wait to be sent.
const WAITING: usize = 100;
/// What sending one mail may take.
const DEADLINE: Duration = Duration::from_secs(20);

/// From each try that failed to the next; after the last one the mail is given up.
const WAITS: [Duration; 4] =
    [Duration::from_secs(10), Duration::from_secs(60), Duration::from_secs(300), Duration::from_secs(1800)];

/// A mail to send.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Letter {
    /// Recipients.
    pub to: Vec<String>,
    /// Sender; `None`: `evenkeel` at this node.
    pub from: Option<String>,
    /// SMTP server and port; `None`: this host.
    pub smtp: Option<String>,
    /// Name in HELO; `None`: that of this node.
    pub helo: Option<String>,
    /// What sending it may take; `None`: the usual.
    pub timeout: Option<Duration>,
    /// One line.
    pub subject: String,
    /// The text.
    pub body: String,
}

/// A mail that was not sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Unsent {
    /// To whom.
    pub to: String,
    /// Why.
    pub why: String,
}

/// Takes mails; the task behind it ends when this is dropped and the mails that wait are sent.
#[derive(Clone, Debug)]
pub(crate) struct Post(mpsc::Sender<Letter>);

impl Post {
    /// Starts the task. `report` is told of every mail that could not be sent: of its first try and of its last.
    pub(crate) fn start(node: String, report: impl Fn(Unsent) + 'static) -> (Post, tokio::task::JoinHandle<()>) {
        Post::start_with(node, &WAITS, report)
    }

    fn start_with(
        node: String,
        waits: &'static [Duration],
        report: impl Fn(Unsent) + 'static,
    ) -> (Post, tokio::task::JoinHandle<()>) {
        let (sender, letters) = mpsc::channel::<Letter>(WAITING);
        let task = tokio::task::spawn_local(deliver(node, waits, letters, report));
        (Post(sender), task)
    }

    /// Hands in a mail; refused when too many wait.
    pub(crate) fn send(&self, letter: Letter) -> Result<(), Unsent> {
        let to = letter.to.join(", ");
        self.0.try_send(letter).map_err(|_| Unsent { to, why: format!("{WAITING} mails wait already") })
    }
}

/// A mail that has failed and is tried again.
struct Again {
    at: Instant,
    /// Tries made.
    tries: usize,
    letter: Letter,
}

/// Sends until nobody can hand in mails any more; those that wait for another try then have it at once, as their last.
async fn deliver(node: String, waits: &[Duration], mut letters: mpsc::Receiver<Letter>, report: impl Fn(Unsent)) {
    let mut again: VecDeque<Again> = VecDeque::new();
    loop {
        let next = again.iter().map(|waiting| waiting.at).min();
        let fresh = tokio::select! {
            letter = letters.recv() => match letter {
                Some(letter) => Some(Again { at: Instant::now(), tries: 0, letter }),
                None => break,
            },
            () = tokio::time::sleep_until(next.unwrap_or_else(Instant::now)), if next.is_some() => None,
        };
        let due = again.iter().position(|waiting| waiting.at <= Instant::now());
        let Some(mut mail) = fresh.or_else(|| due.and_then(|at| again.remove(at))) else { continue };
        let Err(Fault { why, lasting }) = attempt(&node, &mail.letter).await else { continue };
        let to = mail.letter.to.join(", ");
        let wait = waits.get(mail.tries).copied().filter(|_| !lasting && again.len() < WAITING);
        mail.tries += 1;
        match wait {
            Some(wait) => {
                if mail.tries == 1 {
                    report(Unsent { to, why: format!("{why}.  Next try in {} s", wait.as_secs()) });
                }
                again.push_back(Again { at: Instant::now() + wait, ..mail });
            }
            None if mail.tries == 1 => report(Unsent { to, why }),
            None => report(Unsent { to, why: format!("{why}.  Given up after {} tries", mail.tries) }),
        }
    }
    for Again { tries, letter, .. } in again {
        if let Err(Fault { why, .. }) = attempt(&node, &letter).await {
            let why = format!("{why}.  Given up after {} tries", tries + 1);
            report(Unsent { to: letter.to.join(", "), why });
        }
    }
}

/// Why a try failed.
struct Fault {
    why: String,
    /// Another try would fail as well.
    lasting: bool,
}

impl Fault {
    fn lasting(why: String) -> Fault {
        Fault { why, lasting: true }
    }
}

async fn attempt(node: &str, letter: &Letter) -> Result<(), Fault> {
    let deadline = letter.timeout.unwrap_or(DEADLINE);
    match tokio::time::timeout(deadline, send(node, letter, deadline)).await {
        Ok(sent) => sent,
        Err(_) => Err(Fault { why: format!("no answer within {} s", deadline.as_secs()), lasting: false }),
    }
}

async fn send(node: &str, letter: &Letter, deadline: Duration) -> Result<(), Fault> {
    let (message, host, port) = composed(node, letter).map_err(Fault::lasting)?;
    let transport = AsyncSmtpTransport::<Tokio1Executor>::builder_dangerous(host)
        .port(port)
        .hello_name(ClientId::Domain(letter.helo.clone().unwrap_or_else(|| domain(node))))
        .timeout(Some(deadline))
        .build();
    let sent = transport.send(message).await.map(drop);
    sent.map_err(|e| Fault { why: explain(&e), lasting: e.is_permanent() })
}

fn composed(node: &str, letter: &Letter) -> Result<(Message, String, u16), String> {
    let sender = letter.from.clone().unwrap_or_else(|| format!("evenkeel@{}", domain(node)));
    let mut message =
        Message::builder().from(mailbox(&sender)?).subject(letter.subject.clone()).header(ContentType::TEXT_PLAIN);
    for to in &letter.to {
        message = message.to(mailbox(to)?);
    }
    let message = message.body(letter.body.clone()).map_err(|e| e.to_string())?;
    let (host, port) = server(letter.smtp.as_deref())?;
    Ok((message, host, port))
}

/// The error and what caused it, in one line; a cause that is told already is not told again.
fn explain(e: &dyn std::error::Error) -> String {
    let mut text = e.to_string();
    let mut cause = e.source();
    while let Some(inner) = cause {
        let words = inner.to_string();
        if !text.contains(&words) {
            text.push_str(": ");
            text.push_str(&words);
        }
        cause = inner.source();
    }
    text.replace(['\r', '\n'], " ")
}

fn mailbox(address: &str) -> Result<Mailbox, String> {
    address.parse().map_err(|e| format!("{address:?} is no mail address: {e}"))
}

/// A name fit for a mail address and for HELO: a bare host name is one of `localdomain`.
fn domain(node: &str) -> String {
    if node.contains('.') { node.to_owned() } else { format!("{node}.localdomain") }
}

/// `host`, `host:port`, `[v6]:port` or a bare IPv6 address; port 25 where none is given.
fn server(text: Option<&str>) -> Result<(String, u16), String> {
    let text = text.unwrap_or("localhost");
    let parse = |port: &str| port.parse().map_err(|_| format!("{text:?} has no valid port"));
    if let Some(rest) = text.strip_prefix('[') {
        let (host, port) = rest.split_once(']').ok_or(format!("{text:?} lacks a ]"))?;
        let port = port.strip_prefix(':').map_or(Ok(25), parse)?;
        return Ok((host.to_owned(), port));
    }
    match text.split_once(':') {
        Some((host, port)) if !port.contains(':') => Ok((host.to_owned(), parse(port)?)),
        Some(_) | None => Ok((text.to_owned(), 25)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::{cell::RefCell, rc::Rc};
    use tokio::{
        io::{AsyncBufReadExt, AsyncWriteExt, BufReader},
        net::TcpListener,
        task::LocalSet,
    };

    /// Takes one mail and gives back what was said to it.
    async fn mail_server(listener: TcpListener) -> String {
        let (stream, _) = listener.accept().await.unwrap();
        let mut stream = BufReader::new(stream);
        stream.write_all(b"220 here\r\n").await.unwrap();
        let (mut said, mut data) = (String::new(), false);
        loop {
            let mut line = String::new();
            if stream.read_line(&mut line).await.unwrap() == 0 {
                return said;
            }
            said.push_str(&line);
            let answer: &[u8] = match line.trim_end() {
                "." => b"250 taken\r\n",
                _ if data => continue,
                "DATA" => b"354 go on\r\n",
                "QUIT" => return said,
                _ => b"250 ok\r\n",
            };
            data = line.trim_end() == "DATA";
            stream.write_all(answer).await.unwrap();
            if line.trim_end() == "." {
                return said;
            }
        }
    }

    fn letter(smtp: String) -> Letter {
        Letter {
            to: vec!["admin@example.org".into()],
            from: None,
            smtp: Some(smtp),
            helo: None,
            timeout: None,
            subject: "real-1 went down".into(),
            body: "connect to 192.0.2.2:80 refused\n".into(),
        }
    }

    #[tokio::test]
    async fn a_mail_arrives_with_sender_subject_and_text() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let smtp = listener.local_addr().unwrap().to_string();
        LocalSet::new()
            .run_until(async {
                let server = tokio::task::spawn_local(mail_server(listener));
                let (post, _task) = Post::start("lvs1".into(), |unsent| panic!("{unsent:?}"));
                post.send(letter(smtp)).unwrap();
                let said = server.await.unwrap();
                assert!(said.contains("EHLO lvs1.localdomain"), "{said}");
                assert!(said.contains("MAIL FROM:<evenkeel@lvs1.localdomain>"), "{said}");
                assert!(said.contains("RCPT TO:<admin@example.org>"), "{said}");
                assert!(said.contains("Subject: real-1 went down"), "{said}");
                assert!(said.contains("connect to 192.0.2.2:80 refused"), "{said}");
            })
            .await;
    }

    #[tokio::test]
    async fn what_cannot_be_sent_is_reported_and_a_full_queue_refuses() {
        // Nobody listens there any more.
        let smtp = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap().to_string();
        LocalSet::new()
            .run_until(async {
                let reports = Rc::new(RefCell::new(Vec::new()));
                let sink = reports.clone();
                let (post, task) = Post::start_with("n".into(), &[], move |unsent| sink.borrow_mut().push(unsent));
                for _ in 0..WAITING {
                    post.send(letter(smtp.clone())).unwrap();
                }
                assert_eq!(post.send(letter(smtp)).unwrap_err().why, "100 mails wait already");
                drop(post);
                task.await.unwrap();
                assert_eq!(reports.borrow().len(), WAITING);
                let why = reports.borrow()[0].why.clone();
                assert_eq!(why.to_lowercase().matches("refused").count(), 1, "{why}");
            })
            .await;
    }

    #[tokio::test]
    async fn a_mail_that_fails_is_tried_again_and_arrives() {
        const SOON: [Duration; 2] = [Duration::from_millis(1); 2];
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let smtp = listener.local_addr().unwrap().to_string();
        LocalSet::new()
            .run_until(async {
                let server = tokio::task::spawn_local(async move {
                    drop(listener.accept().await.unwrap());
                    drop(listener.accept().await.unwrap());
                    mail_server(listener).await
                });
                let reports = Rc::new(RefCell::new(Vec::new()));
                let sink = reports.clone();
                let (post, _task) = Post::start_with("n".into(), &SOON, move |unsent| sink.borrow_mut().push(unsent));
                post.send(letter(smtp)).unwrap();
                assert!(server.await.unwrap().contains("Subject: real-1 went down"));
                let whys: Vec<String> = reports.borrow().iter().map(|unsent| unsent.why.clone()).collect();
                assert!(matches!(whys.as_slice(), [why] if why.ends_with(".  Next try in 0 s")), "{whys:?}");
            })
            .await;
    }

    #[tokio::test]
    async fn tries_end_and_what_no_try_can_mend_has_only_one() {
        const SOON: [Duration; 2] = [Duration::from_millis(1); 2];
        let smtp = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap().to_string();
        LocalSet::new()
            .run_until(async {
                let (told, mut reports) = mpsc::channel(8);
                let (post, _task) =
                    Post::start_with("n".into(), &SOON, move |unsent: Unsent| told.try_send(unsent.why).unwrap());
                post.send(letter(smtp.clone())).unwrap();
                assert!(reports.recv().await.unwrap().ends_with("Next try in 0 s"));
                assert!(reports.recv().await.unwrap().ends_with("Given up after 3 tries"));
                post.send(Letter { to: vec!["nobody".into()], ..letter(smtp) }).unwrap();
                assert!(reports.recv().await.unwrap().starts_with("\"nobody\" is no mail address"));
            })
            .await;
    }

    #[test]
    fn mail_servers_are_read_in_every_usual_form() {
        for (text, want) in [
            (None, ("localhost", 25)),
            (Some("mail.example.org"), ("mail.example.org", 25)),
            (Some("192.0.2.1:587"), ("192.0.2.1", 587)),
            (Some("[2001:db8::1]:26"), ("2001:db8::1", 26)),
            (Some("2001:db8::1"), ("2001:db8::1", 25)),
        ] {
            assert_eq!(server(text).unwrap(), (want.0.to_owned(), want.1));
        }
        assert!(server(Some("host:mail")).is_err());
    }
}
