//! SMTP against scripted servers.

use super::*;
use tokio::io::AsyncBufReadExt;

/// A mail server that says `lines` one after another, and waits for a line of the client in between. What the client said
/// is told.
async fn mail_server(lines: &'static [&'static str]) -> (SocketAddr, tokio::sync::mpsc::UnboundedReceiver<String>) {
    let (told, heard) = tokio::sync::mpsc::unbounded_channel();
    let address = server(move |stream| {
        let told = told.clone();
        async move {
            let mut stream = tokio::io::BufReader::new(stream);
            for line in lines {
                let _gone = stream.get_mut().write_all(line.as_bytes()).await;
                let mut said = String::new();
                if stream.read_line(&mut said).await.unwrap_or(0) > 0 {
                    let _nobody = told.send(said);
                }
            }
        }
    })
    .await;
    (address, heard)
}

fn smtp(target: SocketAddr) -> Probe {
    Probe::Smtp { target, helo: "lb.example.org".into() }
}

#[test]
fn a_mail_server_is_greeted_and_left() {
    run(async {
        let (target, mut heard) = mail_server(&["220 mx\r\n", "250 hello\r\n", "221 bye\r\n"]).await;
        assert_eq!(detail(attempt(&smtp(target), LONG).await), "220, 250");
        assert_eq!(heard.recv().await.unwrap(), "HELO lb.example.org\r\n");
        assert_eq!(heard.recv().await.unwrap(), "QUIT\r\n");
        // Whatever answers QUIT is good, and a reply of several lines is one reply.
        let (target, _heard) = mail_server(&["220-mx\r\n220 ESMTP\r\n", "250-a\n250 b\n", "500 what\r\n"]).await;
        assert!(attempt(&smtp(target), LONG).await.is_good());
    });
}

#[test]
fn a_mail_server_that_does_not_greet_is_down() {
    run(async {
        let why = |lines| async move { reason(attempt(&smtp(mail_server(lines).await.0), LONG).await).to_string() };
        assert_eq!(why(&["554 go away\r\n"]).await, "bad answer: greeting is \"554 go away\", wanted 220");
        let busy = why(&["220 mx\r\n", "421 busy\r\n"]).await;
        assert_eq!(busy, "bad answer: answer to HELO is \"421 busy\", wanted 250");
        assert_eq!(why(&["hello\r\n"]).await, "bad answer: greeting is \"hello\", wanted 220");
        assert_eq!(why(&["220 mx\r\n", "250 ok\r\n"]).await, "connection closed before an answer");
        assert_eq!(why(&[]).await, "connection closed before an answer");
    });
}

#[test]
fn a_mail_server_cannot_talk_for_ever() {
    run(async {
        let endless = server(|mut stream| async move { while stream.write_all(b"220-more\r\n").await.is_ok() {} });
        let why = reason(attempt(&smtp(endless.await), LONG).await);
        assert_eq!(why, Reason::BadAnswer("a reply of more than 100 lines".into()));
        let line = server(|mut stream| async move { while stream.write_all(&[b'x'; 99]).await.is_ok() {} });
        let why = reason(attempt(&smtp(line.await), LONG).await);
        assert_eq!(why, Reason::BadAnswer("a line of more than 512 bytes".into()));
        let target = silent().await;
        let why = reason(attempt(&smtp(target), SHORT).await);
        assert_eq!(why, Reason::Timeout { phase: Phase::Answer, after: SHORT });
    });
}
