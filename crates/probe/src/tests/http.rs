use super::*;

async fn http(http: Http) -> Verdict {
    attempt(&Probe::Http(http), LONG).await
}

fn ok(body: &str) -> String {
    format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{body}", body.len())
}

#[test]
fn a_good_answer_is_good() {
    run(async {
        let target = answering(ok("ok\n")).await;
        let body = Body::PerlRegex("^ok$".into());
        assert_eq!(detail(http(Http { body, ..get(target) }).await), "200, 3 bytes");
    });
}

#[test]
fn the_request_carries_what_the_check_says_and_no_more() {
    run(async {
        let target = server(|mut stream| async move {
            let request = request(&mut stream).await;
            let answer = ok(&request.replace("\r\n", "|"));
            stream.write_all(answer.as_bytes()).await.unwrap();
        })
        .await;
        let whole = "^GET /a%20b\\?c=%7B%C3%A9%7D HTTP/1.1\\|host: www.example.com\\|user-agent: evenkeel\\|\
                     connection: close\\|\\|$";
        let body = Body::PerlRegex(whole.into());
        let path = "a b?c={é}#fragment".into();
        assert!(http(Http { body, path, ..get(target) }).await.is_good());
    });
}

#[test]
fn refused_silent_and_closing_servers_are_told_apart() {
    run(async {
        let target = nobody().await;
        assert_eq!(reason(http(get(target)).await), Reason::Refused { target });

        let mute = Probe::Http(get(silent().await));
        let verdict = attempt(&mute, SHORT).await;
        assert!(verdict.took >= SHORT);
        assert_eq!(reason(verdict), Reason::Timeout { phase: Phase::Answer, after: SHORT });

        let target = server(|mut stream| async move { drop(request(&mut stream).await) }).await;
        assert_eq!(reason(http(get(target)).await), Reason::Closed { phase: Phase::Answer });

        let target = answering("HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf").await;
        assert_eq!(reason(http(get(target)).await), Reason::Closed { phase: Phase::Body });
    });
}

#[test]
fn the_status_must_be_in_the_set() {
    run(async {
        let target = answering("HTTP/1.1 503 Sorry\r\nContent-Length: 0\r\n\r\n").await;
        let status = StatusSet(vec![(200, 299), (304, 304)]);
        let verdict = http(Http { status, ..get(target) }).await;
        assert_eq!(verdict.to_string(), "got 503, wanted 200-299, 304");
        let status = StatusSet(vec![(503, 503)]);
        assert_eq!(detail(http(Http { status, ..get(target) }).await), "503, 0 bytes");
    });
}

#[test]
fn the_body_must_match() {
    run(async {
        let target = answering(ok("sorry")).await;
        let body = Body::PerlRegex("ok".into());
        let verdict = http(Http { body, ..get(target) }).await;
        assert_eq!(verdict.to_string(), "body does not match \"ok\": got \"sorry\"");
    });
}

#[test]
fn of_a_long_body_that_does_not_match_the_beginning_is_shown() {
    run(async {
        let page: &'static str = Box::leak(format!("<html>\r\n{}", "x".repeat(500)).into_boxed_str());
        let target = answering(ok(page)).await;
        let body = Body::PerlRegex("ok".into());
        let verdict = http(Http { body, ..get(target) }).await;
        let shown = format!("body does not match \"ok\": got \"<html>\\r\\n{}…\"", "x".repeat(52));
        assert_eq!(verdict.to_string(), shown);
    });
}

#[test]
fn an_invalid_or_costly_pattern_is_bad_and_says_so() {
    run(async {
        let target = answering(ok(&"a".repeat(50_000))).await;
        let body = Body::PerlRegex("(a".into());
        let why = reason(http(Http { body, ..get(target) }).await);
        assert_eq!(why, Reason::NotStarted("a ( without its )".into()));
        let pattern = String::from("(a*)*\\1b");
        let body = Body::PerlRegex(pattern.clone());
        assert_eq!(reason(http(Http { body, ..get(target) }).await), Reason::PatternTooCostly { pattern });
    });
}

#[test]
fn chunked_and_unsized_bodies_are_read() {
    run(async {
        let body = || Body::PerlRegex("^one two$".into());
        let chunked = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\none \r\n3\r\ntwo\r\n0\r\n\r\n";
        for answer in [chunked, "HTTP/1.1 200 OK\r\n\r\none two", "HTTP/1.0 200 OK\r\n\r\none two"] {
            let target = answering(answer).await;
            assert_eq!(detail(http(Http { body: body(), ..get(target) }).await), "200, 7 bytes");
        }
    });
}

#[test]
fn head_gets_no_body_so_no_pattern_matches() {
    run(async {
        let target = server(|mut stream| async move {
            assert!(request(&mut stream).await.starts_with("HEAD /.ok.html HTTP/1.1\r\n"));
            stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n").await.unwrap();
        })
        .await;
        let head = Http { method: HttpMethod::Head, ..get(target) };
        assert_eq!(detail(http(head.clone()).await), "200, 0 bytes");
        let pattern = String::from("ok");
        let verdict = http(Http { body: Body::PerlRegex(pattern.clone()), ..head }).await;
        assert_eq!(reason(verdict), Reason::NoMatch { pattern, got: String::new() });
    });
}

#[test]
fn a_trickling_body_ends_at_the_deadline() {
    run(async {
        let target = server(|mut stream| async move {
            request(&mut stream).await;
            let mut answer: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n";
            while stream.write_all(answer).await.is_ok() {
                answer = b"x";
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        })
        .await;
        let why = reason(attempt(&Probe::Http(get(target)), SHORT).await);
        assert_eq!(why, Reason::Timeout { phase: Phase::Body, after: SHORT });
    });
}

#[test]
fn of_an_endless_body_only_the_first_bytes_are_read_and_searched() {
    run(async {
        let target = server(|mut stream| async move {
            request(&mut stream).await;
            let _gone = stream.write_all(b"HTTP/1.1 200 OK\r\n\r\nok").await;
            while stream.write_all(&[b'x'; 4096]).await.is_ok() {}
        })
        .await;
        let body = |pattern: &str| Body::PerlRegex(pattern.into());
        let size_cap = 10_000;
        let verdict = http(Http { size_cap, body: body("^okx{9998}\\z"), ..get(target) }).await;
        assert_eq!(detail(verdict), "200, 10000 bytes");
        let verdict = http(Http { size_cap: 1, body: body("ok"), ..get(target) }).await;
        assert_eq!(reason(verdict), Reason::NoMatch { pattern: "ok".into(), got: "o".into() });
    });
}

#[test]
fn an_endless_header_is_cut_off() {
    run(async {
        let long_line = server(|mut stream| async move {
            request(&mut stream).await;
            let _gone = stream.write_all(b"HTTP/1.1 200 OK\r\nX: ").await;
            while stream.write_all(&[b'x'; 4096]).await.is_ok() {}
        })
        .await;
        let many_lines = server(|mut stream| async move {
            request(&mut stream).await;
            let _gone = stream.write_all(b"HTTP/1.1 200 OK\r\n").await;
            while stream.write_all(b"X: x\r\n").await.is_ok() {}
        })
        .await;
        for target in [long_line, many_lines] {
            let why = reason(http(get(target)).await);
            assert!(matches!(&why, Reason::BadAnswer(text) if text.contains("header with more than")), "{why}");
        }
    });
}

#[test]
fn garbage_is_a_bad_answer() {
    run(async {
        let garbage: [&[u8]; 7] = [
            b"SSH-2.0-OpenSSH_9.2p1 Debian-2\r\n",
            b"220 mail.example.com ESMTP\r\n\r\n",
            b"\x15\x03\x03\x00\x02\x02\x28\r\n\r\n",
            b"HTTP/1.1 abc OK\r\n\r\n",
            b"HTTP/9.9 200 OK\r\n\r\n",
            b"HTTP/1.1 200 OK\r\nContent-Length: -5\r\n\r\n",
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
        ];
        for answer in garbage {
            let why = reason(http(get(answering(answer).await)).await);
            assert!(matches!(why, Reason::BadAnswer(_)), "{}: {why:?}", answer.escape_ascii());
        }
    });
}

#[test]
fn a_server_that_speaks_first_is_a_bad_answer() {
    run(async {
        let target = server(|mut stream| async move {
            let _gone = stream.write_all(b"SSH-2.0-OpenSSH_9.2p1 Debian-2\r\n").await;
            let mut sink = Vec::new();
            let _gone = stream.read_to_end(&mut sink).await;
        })
        .await;
        for _ in 0..20 {
            let why = reason(http(get(target)).await);
            assert!(matches!(why, Reason::BadAnswer(_)), "{why:?}");
        }
    });
}

/// A server that redirects `/.ok.html` to `location` and answers any other path with it.
async fn redirecting(location: impl Fn(SocketAddr) -> String + Send + Sync + Clone + 'static) -> SocketAddr {
    server(move |mut stream| {
        let location = location(stream.local_addr().unwrap());
        async move {
            let request = request(&mut stream).await;
            let path = request.split(' ').nth(1).unwrap();
            let answer = if path == "/.ok.html" {
                format!("HTTP/1.1 302 Found\r\nLocation: {location}\r\nContent-Length: 0\r\n\r\n")
            } else {
                ok(path)
            };
            stream.write_all(answer.as_bytes()).await.unwrap();
        }
    })
    .await
}

#[test]
fn a_redirect_is_followed_only_on_the_same_real_server() {
    run(async {
        let follow = |target| Http { redirects: 2, body: Body::PerlRegex("^/there".into()), ..get(target) };
        let target = redirecting(|_| "/there".into()).await;
        assert_eq!(http(get(target)).await.to_string(), "got 302, wanted 200-299");
        assert!(http(follow(target)).await.is_good());
        let target = redirecting(|_| "there?x=1".into()).await;
        assert!(http(follow(target)).await.is_good());
        let target = redirecting(|_| "http://www.example.com/there".into()).await;
        assert!(http(follow(target)).await.is_good());
        let target = redirecting(|own| format!("http://{own}/there")).await;
        assert!(http(follow(target)).await.is_good());
        let elsewhere = [
            "http://169.254.169.254/there",
            "//169.254.169.254/there",
            "https://www.example.com/there",
            "http://www.example.com:99/there",
            "http://www.example.com@evil/there",
            "gopher://www.example.com/there",
        ];
        for location in elsewhere {
            let target = redirecting(move |_| location.into()).await;
            let verdict = http(follow(target)).await;
            assert_eq!(verdict.to_string(), format!("bad answer: redirect to {location} leaves {target}"));
        }
    });
}

#[test]
fn redirects_end_after_as_many_as_allowed() {
    run(async {
        let target = redirecting(|_| "/.ok.html".into()).await;
        let verdict = http(Http { redirects: 5, ..get(target) }).await;
        assert_eq!(verdict.to_string(), "got 302, wanted 200-299");
        let target = answering("HTTP/1.1 302 Found\r\nContent-Length: 0\r\n\r\n").await;
        let verdict = http(Http { redirects: 5, ..get(target) }).await;
        assert_eq!(verdict.to_string(), "bad answer: 302 without Location");
    });
}

#[test]
fn a_request_that_cannot_be_sent_says_why() {
    run(async {
        let target = nobody().await;
        let why = reason(http(Http { host: "a\r\nX: y".into(), ..get(target) }).await);
        assert_eq!(why.to_string(), "check cannot be made: \"a\\r\\nX: y\" is no Host header");
    });
}
