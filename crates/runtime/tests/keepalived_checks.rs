//! The same check of the same server by keepalived 2.2.7 and by this program, with the same verdict.
//!
//! What keepalived said is written down with each case. With `EVENKEEL_FAKE_IPVS` naming a library that, preloaded, makes
//! keepalived believe that the kernel has IPVS, it is asked again (root).

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

use evenkeel_config::{Format, Host, load};
use evenkeel_probe::Prober;
use rustix::process::{Pid, Signal, kill_process};
use std::{
    collections::BTreeMap,
    fs,
    net::SocketAddr,
    process::{Command, Stdio},
    sync::{Mutex, PoisonError},
    time::Duration,
};
use tokio::{
    io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader},
    net::{TcpListener, UdpSocket},
};

/// What listens at the address of a case.
#[derive(Clone, Copy)]
enum Server {
    Nobody,
    /// A UDP port that answers with these bytes behind the first two of the question; `None`: never.
    Udp(Option<&'static [u8]>),
    /// A UDP port that answers with the question.
    Echo,
    /// A TCP port that says these one after another, each but the first behind a line of the client; then it closes.
    Lines(&'static [&'static str]),
    /// A TCP port that reads a request and answers.
    Page(&'static str),
}
use Server::{Echo, Lines, Nobody, Page, Udp};

/// A checker block, what listens, and whether keepalived 2.2.7 finds it up.
type Case = (&'static str, Server, bool);

/// Behind the first two bytes, which are the question's own.
const NO_ERROR: &[u8] = &[0x81, 0x80, 0, 1, 0, 0, 0, 0, 0, 0];
const NXDOMAIN: &[u8] = &[0x81, 0x83, 0, 1, 0, 0, 0, 0, 0, 0];
const NO_ANSWER: &[u8] = &[0x01, 0x00, 0, 1, 0, 0, 0, 0, 0, 0];

const PAGE: &str = "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello";
const CLOSED: &str = "HTTP/1.0 200 OK\r\n\r\nhello";
const LONGER: &str = "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello, world";
const FAULTY: &str = "HTTP/1.1 503 Sorry\r\nContent-Length: 5\r\n\r\nhello";
const EMPTY: &str = "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n";

const CASES: &[Case] = &[
    ("UDP_CHECK { }", Nobody, false),
    ("UDP_CHECK { }", Udp(None), true),
    ("UDP_CHECK { }", Echo, true),
    ("UDP_CHECK { require_reply }", Udp(None), false),
    ("UDP_CHECK { require_reply }", Echo, true),
    ("UDP_CHECK { payload abcd\n require_reply ab cd }", Echo, true),
    ("UDP_CHECK { payload abcd\n require_reply ab ce }", Echo, false),
    ("UDP_CHECK { payload abcd\n require_reply ab cX }", Echo, true),
    ("UDP_CHECK { payload abcd\n require_reply ab cd ef }", Echo, true),
    ("UDP_CHECK { payload ab c\n require_reply ab 0c }", Echo, true),
    ("UDP_CHECK { payload abcd\n require_reply\n min_reply_length 9 }", Echo, true),
    ("UDP_CHECK { payload abcd\n require_reply ab\n min_reply_length 3 }", Echo, false),
    ("UDP_CHECK { payload abcd\n require_reply ab\n max_reply_length 1 }", Echo, false),
    ("UDP_CHECK { payload abcd\n require_reply ab\n max_reply_length 2 }", Echo, true),
    ("DNS_CHECK { }", Nobody, false),
    ("DNS_CHECK { }", Udp(None), false),
    ("DNS_CHECK { }", Udp(Some(NO_ERROR)), true),
    ("DNS_CHECK { type A\n name www.example.org }", Udp(Some(NO_ERROR)), true),
    ("DNS_CHECK { type TXT\n name example.org. }", Udp(Some(NXDOMAIN)), false),
    ("DNS_CHECK { }", Udp(Some(NO_ANSWER)), false),
    ("DNS_CHECK { }", Udp(Some(&[0x81])), false),
    ("SMTP_CHECK { }", Nobody, false),
    ("SMTP_CHECK { }", Lines(&["220 mx\r\n", "250 hello\r\n", "221 bye\r\n"]), true),
    ("SMTP_CHECK { }", Lines(&["220 mx\n", "250 hello\n", "500 what\r\n"]), true),
    ("SMTP_CHECK { }", Lines(&["554 away\r\n", "250 hello\r\n", "221 bye\r\n"]), false),
    ("SMTP_CHECK { }", Lines(&["220 mx\r\n", "421 busy\r\n", "221 bye\r\n"]), false),
    ("SMTP_CHECK { }", Lines(&["220 mx\r\n", "250 hello\r\n"]), false),
    ("SMTP_CHECK { }", Lines(&[]), false),
    ("HTTP_GET { url { path / } }", Nobody, false),
    ("HTTP_GET { url { path / } }", Page(PAGE), true),
    ("HTTP_GET { url { path / } }", Page(FAULTY), false),
    ("HTTP_GET { url { path /\n status_code 200 500-504 } }", Page(FAULTY), true),
    ("HTTP_GET { url { path /\n digest 5d41402abc4b2a76b9719d911017c592 } }", Page(PAGE), true),
    ("HTTP_GET { url { path /\n digest 5D41402ABC4B2A76B9719D911017C592 } }", Page(CLOSED), true),
    ("HTTP_GET { url { path /\n digest 5d41402abc4b2a76b9719d911017c592 } }", Page(LONGER), true),
    ("HTTP_GET { url { path /\n digest 5d41402abc4b2a76b9719d911017c592 } }", Page(FAULTY), false),
    ("HTTP_GET { url { path /\n digest 5d41402abc4b2a76b9719d911017c593 } }", Page(PAGE), false),
    ("HTTP_GET { url { path /\n digest d41d8cd98f00b204e9800998ecf8427e } }", Page(EMPTY), true),
    ("HTTP_GET { url { path /\n regex \"l+o\" } }", Page(PAGE), true),
    ("HTTP_GET { url { path /\n regex \"L+O\" } }", Page(PAGE), false),
    ("HTTP_GET { url { path /\n regex \"L+O\"\n regex_options caseless } }", Page(PAGE), true),
    ("HTTP_GET { url { path /\n regex \"l+o\"\n regex_no_match } }", Page(PAGE), false),
    ("HTTP_GET { url { path /\n regex \"x\"\n regex_no_match } }", Page(PAGE), true),
    ("HTTP_GET { url { path /\n regex \"l\"\n regex_min_offset 3 } }", Page(PAGE), true),
    ("HTTP_GET { url { path /\n regex \"l\"\n regex_max_offset 1 } }", Page(PAGE), false),
    ("HTTP_GET { http_protocol 1.1\n url { path /\n digest 5d41402abc4b2a76b9719d911017c592 } }", Page(PAGE), true),
];

/// Where the two differ, with why.
const DIFFERENT: &[(Case, &str)] = &[
    (
        ("SMTP_CHECK { }", Lines(&["220\r\n", "250 hello\r\n", "221 bye\r\n"]), false),
        "a reply may have no text (RFC 5321 4.2): up",
    ),
    (
        ("HTTP_GET { url { path /\n regex \"h\"\n regex_min_offset 1 } }", Page(PAGE), true),
        "keepalived 2.2.7 counts from the header where that comes in one packet with the body: down",
    ),
    (
        ("HTTP_GET { url { path /\n regex \"l\"\n regex_max_offset 2 } }", Page(PAGE), false),
        "the same, the other way round: up",
    ),
    (
        ("HTTP_GET { url { path /\n regex \"Content-Length\" } }", Page(PAGE), true),
        "the same: a pattern is about the body: down",
    ),
    (
        ("SMTP_CHECK { }", Lines(&["220-mx\r\n220 ESMTP\r\n", "250 hello\r\n", "221 bye\r\n"]), false),
        "a reply may have several lines (RFC 5321 4.2.1): up",
    ),
    (
        ("SMTP_CHECK { }", Lines(&["220 mx\r\n", "250-mx\r\n250 HELP\r\n", "221 bye\r\n"]), false),
        "a reply may have several lines (RFC 5321 4.2.1): up",
    ),
];

fn all() -> Vec<Case> {
    CASES.iter().copied().chain(DIFFERENT.iter().map(|(case, _)| *case)).collect()
}

fn address(index: usize) -> SocketAddr {
    SocketAddr::from(([127, 91, 7, u8::try_from(index + 1).unwrap()], 17_007))
}

/// Every case is a real server of one virtual server.
fn configuration() -> String {
    let mut text = "virtual_server 192.0.2.1 80 {\n lvs_sched rr\n lvs_method NAT\n protocol TCP\n alpha\n".to_owned();
    text += " delay_loop 1\n connect_timeout 1\n retry 1\n delay_before_retry 1\n warmup 0\n";
    for (index, (checker, _, _)) in all().iter().enumerate() {
        let (at, checker) = (address(index), checker.replace("{ ", "{\n ").replace(" }", "\n }"));
        text += &format!(" real_server {} {} {{\n{checker}\n }}\n", at.ip(), at.port());
    }
    text + "}\n"
}

async fn serve(at: SocketAddr, server: Server) {
    match server {
        Nobody => {}
        Udp(_) | Echo => {
            let socket = UdpSocket::bind(at).await.unwrap();
            tokio::spawn(async move {
                let mut question = [0; 512];
                while let Ok((length, client)) = socket.recv_from(&mut question).await {
                    let answer = match server {
                        Echo => question[..length].to_vec(),
                        Udp(Some(answer)) => [&question[..2], answer].concat(),
                        _ => continue,
                    };
                    let _gone = socket.send_to(&answer, client).await;
                }
            });
        }
        Lines(lines) => {
            let listener = TcpListener::bind(at).await.unwrap();
            tokio::spawn(async move {
                while let Ok((stream, _)) = listener.accept().await {
                    tokio::spawn(async move {
                        let mut stream = BufReader::new(stream);
                        for line in lines {
                            let _gone = stream.get_mut().write_all(line.as_bytes()).await;
                            let mut said = String::new();
                            let _gone = stream.read_line(&mut said).await;
                        }
                    });
                }
            });
        }
        Page(page) => {
            let listener = TcpListener::bind(at).await.unwrap();
            tokio::spawn(async move {
                while let Ok((mut stream, _)) = listener.accept().await {
                    tokio::spawn(async move {
                        let mut request = Vec::new();
                        while !request.ends_with(b"\r\n\r\n") {
                            let Ok(byte) = stream.read_u8().await else { return };
                            request.push(byte);
                        }
                        let _gone = stream.write_all(page.as_bytes()).await;
                    });
                }
            });
        }
    }
}

async fn serve_all() {
    for (index, (_, server, _)) in all().into_iter().enumerate() {
        serve(address(index), server).await;
    }
}

/// Both tests have the same addresses.
static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());

fn run(test: impl Future<Output = ()>) {
    let _turn = ONE_AT_A_TIME.lock().unwrap_or_else(PoisonError::into_inner);
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(test);
}

#[test]
fn this_program_judges_as_keepalived_does() {
    run(async {
        serve_all().await;
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("keepalived.conf");
        fs::write(&file, configuration()).unwrap();
        let loaded = load(&[file], Some(Format::Keepalived), &Host::NONE);
        let cluster = loaded.cluster.unwrap_or_else(|| panic!("{:#?}", loaded.diagnostics));
        let prober = Prober::new();
        for (index, (checker, _, keepalived)) in all().into_iter().enumerate() {
            let real =
                cluster.services[0].real_servers.iter().find(|real| real.address.ip() == address(index).ip()).unwrap();
            let verdict = prober.attempt(&real.check.probe, Duration::from_secs(1)).await;
            let expected = keepalived != (index >= CASES.len());
            assert_eq!(verdict.is_good(), expected, "{}: {checker}: {verdict}", address(index));
        }
    });
}

#[test]
fn keepalived_judges_as_it_is_written_here() {
    let Some(library) = std::env::var_os("EVENKEEL_FAKE_IPVS") else {
        println!("skipped: EVENKEEL_FAKE_IPVS names no library");
        return;
    };
    run(async move {
        let directory = tempfile::tempdir().unwrap();
        let at = |name: &str| directory.path().join(name);
        fs::write(at("keepalived.conf"), configuration()).unwrap();
        serve_all().await;
        let mut child = Command::new("/usr/sbin/keepalived")
            .args(["--check", "--dont-fork", "--log-console", "--log-detail", "--no-syslog"])
            .arg("--use-file")
            .arg(at("keepalived.conf"))
            .arg("--pid")
            .arg(at("pid"))
            .arg("--checkers_pid")
            .arg(at("checkers"))
            .env("LD_PRELOAD", library)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(fs::File::create(at("log")).unwrap())
            .spawn()
            .unwrap();
        // Two rounds of everything: one of a second, its timeouts, and the next.
        tokio::time::sleep(Duration::from_secs(6)).await;
        kill_process(Pid::from_child(&child), Signal::TERM).unwrap();
        child.wait().unwrap();
        let log = fs::read_to_string(at("log")).unwrap();
        let mut wrong = BTreeMap::new();
        for (index, (checker, _, up)) in all().into_iter().enumerate() {
            let at = address(index);
            let added = log.contains(&format!("Adding service [{}]:tcp:{} to VS", at.ip(), at.port()));
            if added != up {
                wrong.insert(at, (checker, added));
            }
        }
        assert!(wrong.is_empty(), "{wrong:#?}\n{log}");
    });
}
