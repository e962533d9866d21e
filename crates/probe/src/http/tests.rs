//! Answers no server should give, through the exchange itself and without sockets.

use super::*;
use std::sync::Mutex;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

fn check() -> Http {
    Http {
        target: "192.168.0.207:80".parse().unwrap(),
        tls: false,
        verify: false,
        server_name: None,
        host: "www.example.com".into(),
        method: HttpMethod::Get,
        path: "/a/b".into(),
        status: StatusSet(vec![(200, 299)]),
        body: Body::PerlRegex("ok".into()),
        redirects: 3,
        size_cap: 1000,
        rules: evenkeel_model::HttpRules::default(),
    }
}

/// What the exchange makes of `bytes` as the whole answer of a server.
async fn exchange_with(bytes: &[u8]) -> Result<Answer, Reason> {
    let (own, mut other) = tokio::io::duplex(64 * 1024);
    let (http, progress) = (check(), Progress(Mutex::new(Phase::Answer)));
    let dialogue = converse(own, request(&http, &http.path)?, &http, &progress);
    let serve = async {
        let mut first = [0; 16];
        other.read_exact(&mut first).await.unwrap();
        other.write_all(bytes).await.unwrap();
        other.shutdown().await.unwrap();
    };
    let (answer, ()) = tokio::join!(dialogue, serve);
    answer
}

struct Generator(u64);

impl Generator {
    fn below(&mut self, limit: usize) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        usize::try_from(self.0 >> 33).unwrap() % limit
    }
}

#[test]
fn no_damaged_answer_is_more_than_a_bad_answer() {
    let answers: [&[u8]; 4] = [
        b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\nConnection: close\r\n\r\nok\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3;x=y\r\nok\n\r\n0\r\nTrailer: x\r\n\r\n",
        b"HTTP/1.1 302 Found\r\nLocation: http://www.example.com:80/x?y#z\r\nContent-Length: 0\r\n\r\n",
        b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.0 200 OK\r\n\r\nok",
    ];
    let mut generator = Generator(1);
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let (mut good, mut bad) = (0, 0);
    for _ in 0..5000 {
        let mut bytes = answers[generator.below(answers.len())].to_vec();
        for _ in 0..generator.below(4) {
            let at = generator.below(bytes.len());
            match generator.below(4) {
                0 => bytes[at] = u8::try_from(generator.below(256)).unwrap(),
                1 => bytes.truncate(at.max(1)),
                2 => bytes.insert(at, b"\r\n:/[]@\0 9"[generator.below(10)]),
                _ => bytes.extend_from_within(at..),
            }
        }
        match runtime.block_on(exchange_with(&bytes)) {
            Ok(answer) => {
                good += 1;
                if let Ok(path) = redirect(&check(), "/a/b", &answer) {
                    assert!(request(&check(), &path).is_ok(), "{path:?}");
                }
            }
            Err(Reason::BadAnswer(_) | Reason::Closed { .. }) => bad += 1,
            Err(why) => panic!("{}: {why:?}", bytes.escape_ascii()),
        }
    }
    assert!(good > 500 && bad > 500, "{good} good, {bad} bad");
}

#[test]
fn a_relative_redirect_starts_from_the_path_that_was_asked() {
    let cases = [("/x", "/x"), ("x", "/a/x"), ("?q=1", "/a/b?q=1"), ("x/y:z", "/a/x/y:z"), ("", "/a/b?c")];
    for (location, path) in cases {
        let answer = Answer { status: 302, location: Some(location.into()), length: 0, body: Vec::new(), digest: None };
        assert_eq!(redirect(&check(), "/a/b?c", &answer), Ok(path.into()), "{location}");
    }
}

#[test]
fn a_redirect_to_the_real_servers_own_address_stays() {
    let answer = |location: &str| Answer {
        status: 302,
        location: Some(location.into()),
        length: 0,
        body: Vec::new(),
        digest: None,
    };
    let v6 = Http { target: "[2001:db8::1]:8080".parse().unwrap(), host: "[2001:db8::1]:8080".into(), ..check() };
    assert_eq!(redirect(&v6, "/", &answer("http://[2001:db8::1]:8080/x")), Ok("/x".into()));
    assert!(redirect(&v6, "/", &answer("http://[2001:db8::2]:8080/x")).is_err());
    assert!(redirect(&check(), "/", &answer("javascript:alert(1)")).is_err());
    assert_eq!(redirect(&check(), "/", &answer("HTTP://WWW.EXAMPLE.COM")), Ok(String::new()));
}
