//! What HTTP checks of keepalived.conf ask for: digests, versions, patterns that must not match or only in a part; where
//! attempts come from; numbers in files and exit statuses that are weights.

use super::*;
use evenkeel_health::Weighing;
use evenkeel_model::{HttpVersion, NumberFile, Script};

/// `printf hello | md5sum`
const HELLO: [u8; 16] = *b"\x5d\x41\x40\x2a\xbc\x4b\x2a\x76\xb9\x71\x9d\x91\x10\x17\xc5\x92";

const PAGE: &str = "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello";

fn with(target: SocketAddr, rules: HttpRules, body: Body) -> Probe {
    Probe::Http(Http { rules, body, ..get(target) })
}

fn digest(digest: [u8; 16]) -> HttpRules {
    HttpRules { digest: Some(digest), ..HttpRules::default() }
}

#[test]
fn a_digest_is_of_the_whole_body_however_long() {
    run(async {
        let target = answering(PAGE).await;
        assert_eq!(detail(attempt(&with(target, digest(HELLO), Body::Any), LONG).await), "200, 5 bytes");
        let why = reason(attempt(&with(target, digest([0; 16]), Body::Any), LONG).await);
        assert_eq!(why, Reason::WrongDigest { got: "5d41402abc4b2a76b9719d911017c592".into() });
        // Longer than what is kept of a body: 200000 times x.
        let long = answering(format!("HTTP/1.0 200 OK\r\n\r\n{}", "x".repeat(200_000))).await;
        let of_long = *b"\x4b\x98\x14\x67\x05\xd4\xb0\xb9\x8b\x75\x8a\x78\xff\x6f\xb7\x3f";
        let got = attempt(&with(long, digest(of_long), Body::Any), LONG).await;
        assert_eq!(detail(got), "200, 200000 bytes");
    });
}

#[test]
fn the_request_has_the_version_that_is_asked_for() {
    run(async {
        let echo = server(|mut stream| async move {
            let request = request(&mut stream).await;
            let _gone = stream.write_all(format!("HTTP/1.0 200 OK\r\n\r\n{request}").as_bytes()).await;
        })
        .await;
        for (version, pattern) in [
            (HttpVersion::Http10, r"^GET [^ ]+ HTTP/1\.0\r\n(?!.*connection)"),
            (HttpVersion::Http10Close, r"^GET [^ ]+ HTTP/1\.0\r\n.*connection: close"),
            (HttpVersion::Http10KeepAlive, r"^GET [^ ]+ HTTP/1\.0\r\n.*connection: keep-alive"),
            (HttpVersion::Http11, r"^GET [^ ]+ HTTP/1\.1\r\n.*connection: close"),
        ] {
            let rules = HttpRules { version, ..HttpRules::default() };
            let body = Body::PerlRegex(format!("(?is){pattern}"));
            let verdict = attempt(&with(echo, rules, body), LONG).await;
            assert!(verdict.is_good(), "{version:?}: {verdict}");
        }
    });
}

#[test]
fn a_pattern_may_be_unwanted_or_looked_for_in_a_part() {
    run(async {
        let target = answering(PAGE).await;
        let cases = [
            ("l", false, 0, None, true),
            ("l", true, 0, None, false),
            ("x", true, 0, None, true),
            ("h", false, 1, None, false),
            ("l", false, 3, None, true),
            ("o", false, 0, Some(4), false),
            ("o", false, 0, Some(5), true),
            ("(?<=l)l", false, 3, Some(4), true),
            ("h", false, 99, None, false),
        ];
        for (pattern, unwanted, least_offset, most_offset, good) in cases {
            let rules = HttpRules { unwanted, least_offset, most_offset, ..HttpRules::default() };
            let verdict = attempt(&with(target, rules, Body::PerlRegex(pattern.into())), LONG).await;
            assert_eq!(verdict.is_good(), good, "{pattern} {unwanted} {least_offset} {most_offset:?}: {verdict}");
        }
    });
}

#[test]
fn an_attempt_comes_from_the_port_and_interface_that_are_asked_for() {
    run(async {
        let target = server(|stream| async move {
            let from = stream.peer_addr().unwrap();
            let mut stream = stream;
            request(&mut stream).await;
            let _gone = stream.write_all(format!("HTTP/1.0 200 OK\r\n\r\n{from}").as_bytes()).await;
        })
        .await;
        let port = nobody().await.port();
        let origin = Origin { address: Some([127, 0, 0, 9].into()), port: Some(port), ..Origin::default() };
        let body = Body::PerlRegex(format!("^127\\.0\\.0\\.9:{port}$"));
        let probe = Probe::Http(Http { body, ..get(target) });
        let verdict = Prober::new().attempt_from(&origin, &probe, LONG).await;
        assert!(verdict.is_good(), "{verdict}");
        let origin = Origin { interface: Some("none-such".into()), ..Origin::default() };
        let verdict = Prober::new().attempt_from(&origin, &Probe::Tcp { target }, LONG).await;
        assert!(!verdict.is_good(), "there is no such interface");
    });
}

#[test]
fn numbers_in_files_and_exit_statuses_are_weights() {
    run(async {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("number");
        let probe = |factor| Probe::File(NumberFile { path: path.clone(), factor, reverse: false });
        assert_eq!(attempt(&probe(3), LONG).await.weighing, Weighing::Add(0), "no file counts as 0");
        std::fs::write(&path, "-7\n").unwrap();
        assert_eq!(attempt(&probe(3), LONG).await.weighing, Weighing::Add(-21));
        assert!(!attempt(&probe(0), LONG).await.is_good());
        let script = |weighs, status: &str| {
            let arguments = vec!["-c".to_owned(), format!("exit {status}")];
            Probe::Script(Script {
                program: "/bin/sh".into(),
                arguments,
                environment: Vec::new(),
                shell: false,
                account: None,
                weighs,
            })
        };
        assert_eq!(attempt(&script(true, "12"), LONG).await.weighing, Weighing::Set(10));
        assert_eq!(attempt(&script(true, "0"), LONG).await.weighing, Weighing::None);
        assert_eq!(reason(attempt(&script(true, "1"), LONG).await), Reason::ExitStatus(1));
        assert_eq!(reason(attempt(&script(false, "12"), LONG).await), Reason::ExitStatus(12));
    });
}
