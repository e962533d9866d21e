//! Attempts against real sockets on the loopback interface.

mod datagram;
mod http;
mod mail;
mod pages;
mod script;
mod tls;

use super::*;
use evenkeel_health::Outcome;
use evenkeel_model::{Http, HttpMethod, HttpRules, StatusSet};
use std::{future::Future, net::SocketAddr};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    runtime::Builder,
};

/// Longer than any attempt here takes on a busy machine.
const LONG: Duration = Duration::from_secs(30);

/// Short enough to wait for; every test that uses it expects the deadline.
const SHORT: Duration = Duration::from_millis(300);

fn run<T>(test: impl Future<Output = T>) -> T {
    Builder::new_current_thread().enable_all().build().unwrap().block_on(test)
}

fn reason(verdict: Verdict) -> Reason {
    match verdict.outcome {
        Outcome::Bad(reason) => reason,
        Outcome::Good { detail } => panic!("good: {detail}"),
    }
}

fn detail(verdict: Verdict) -> String {
    match verdict.outcome {
        Outcome::Good { detail } => detail,
        Outcome::Bad(reason) => panic!("bad: {reason}"),
    }
}

async fn attempt(probe: &Probe, timeout: Duration) -> Verdict {
    Prober::new().attempt(probe, timeout).await
}

/// A server that hands each connection to `serve`.
async fn server<F>(serve: impl Fn(TcpStream) -> F + Send + 'static) -> SocketAddr
where
    F: Future<Output = ()> + Send + 'static,
{
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            tokio::spawn(serve(stream));
        }
    });
    address
}

/// Reads a request up to its empty line.
async fn request(stream: &mut TcpStream) -> String {
    let mut request = Vec::new();
    while !request.ends_with(b"\r\n\r\n") {
        request.push(stream.read_u8().await.unwrap());
    }
    String::from_utf8(request).unwrap()
}

/// A server that answers every request with `answer` and closes.
async fn answering(answer: impl AsRef<[u8]> + Clone + Send + Sync + 'static) -> SocketAddr {
    server(move |mut stream| {
        let answer = answer.clone();
        async move {
            request(&mut stream).await;
            let _gone = stream.write_all(answer.as_ref()).await;
        }
    })
    .await
}

/// A server that accepts, reads and never answers.
async fn silent() -> SocketAddr {
    server(|mut stream| async move {
        let mut sink = Vec::new();
        let _gone = stream.read_to_end(&mut sink).await;
    })
    .await
}

/// An address that nobody listens on.
async fn nobody() -> SocketAddr {
    TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap()
}

fn from(address: std::net::IpAddr) -> Origin {
    Origin { address: Some(address), ..Origin::default() }
}

fn get(target: SocketAddr) -> Http {
    Http {
        target,
        tls: false,
        verify: false,
        server_name: None,
        host: "www.example.com".into(),
        method: HttpMethod::Get,
        path: "/.ok.html".into(),
        status: StatusSet(vec![(200, 299)]),
        body: Body::Any,
        redirects: 0,
        size_cap: 64 * 1024,
        rules: HttpRules::default(),
    }
}

#[test]
fn a_fixed_check_needs_no_network() {
    run(async {
        assert!(attempt(&Probe::AlwaysOn, SHORT).await.is_good());
        assert_eq!(reason(attempt(&Probe::AlwaysOff, SHORT).await), Reason::AlwaysOff);
    });
}

#[test]
fn tcp_tells_who_listens() {
    run(async {
        let target = silent().await;
        assert_eq!(detail(attempt(&Probe::Tcp { target }, LONG).await), "connected");
        let target = nobody().await;
        assert_eq!(reason(attempt(&Probe::Tcp { target }, LONG).await), Reason::Refused { target });
    });
}

#[test]
fn an_attempt_comes_from_the_address_it_is_given() {
    run(async {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let target = listener.local_addr().unwrap();
        let source = "127.0.0.7".parse().unwrap();
        let verdict = Prober::new().attempt_from(&from(source), &Probe::Tcp { target }, LONG).await;
        assert_eq!(detail(verdict), "connected");
        assert_eq!(listener.accept().await.unwrap().1.ip(), source);
        let elsewhere = "192.0.2.77".parse().unwrap();
        let verdict = Prober::new().attempt_from(&from(elsewhere), &Probe::Tcp { target }, LONG).await;
        assert!(reason(verdict).is_own_fault());
    });
}

#[test]
fn tcp_tells_a_silent_host() {
    run(async {
        // A listener whose queue is full lets further handshakes hang, as a dead host does.
        let socket = tokio::net::TcpSocket::new_v4().unwrap();
        socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
        let listener = socket.listen(1).unwrap();
        let target = listener.local_addr().unwrap();
        let mut held = Vec::new();
        while let Ok(Ok(stream)) = tokio::time::timeout(SHORT, TcpStream::connect(target)).await {
            held.push(stream);
            assert!(held.len() < 100, "the queue never fills");
        }
        let why = reason(attempt(&Probe::Tcp { target }, SHORT).await);
        assert_eq!(why, Reason::Timeout { phase: Phase::Connect, after: SHORT });
    });
}

#[test]
fn a_closed_attempt_leaves_no_socket_waiting() {
    run(async {
        let target = answering("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok").await;
        let prober = Prober::new();
        for _ in 0..50 {
            assert!(prober.attempt(&Probe::Tcp { target }, LONG).await.is_good());
            assert!(prober.attempt(&Probe::Http(get(target)), LONG).await.is_good());
        }
        // In this table an address is four bytes in host order, a state of 06 is TIME_WAIT.
        let port = format!(":{:04X} 06", target.port());
        let table = std::fs::read_to_string("/proc/net/tcp").unwrap();
        assert!(table.lines().count() > 1, "the table of sockets is empty");
        assert_eq!(table.lines().filter(|line| line.contains(&port)).count(), 0);
    });
}

#[test]
fn ping_reaches_loopback() {
    run(async {
        for target in ["127.0.0.1", "::1"] {
            let probe = Probe::Ping { target: target.parse().unwrap(), tries: 1 };
            let verdict = attempt(&probe, LONG).await;
            if let Some(Reason::Local(text)) = verdict.reason() {
                assert!(!rustix::process::geteuid().is_root(), "{text}");
                println!("skipped: needs root or net.ipv4.ping_group_range");
                return;
            }
            assert_eq!(detail(verdict), "echo reply", "{target}");
        }
    });
}

#[test]
fn pings_of_one_host_do_not_take_each_others_answers() {
    if !rustix::process::geteuid().is_root() {
        println!("skipped: needs root");
        return;
    }
    run(async {
        let prober = Arc::new(Prober::new());
        let probe = Probe::Ping { target: "127.0.0.1".parse().unwrap(), tries: 1 };
        let pings: Vec<_> = (0..50)
            .map(|_| {
                let (prober, probe) = (Arc::clone(&prober), probe.clone());
                tokio::spawn(async move { prober.attempt(&probe, LONG).await })
            })
            .collect();
        for ping in pings {
            assert!(ping.await.unwrap().is_good());
        }
    });
}

#[test]
fn ping_of_a_host_that_does_not_answer_sends_all_its_tries() {
    if !rustix::process::geteuid().is_root() {
        println!("skipped: needs root");
        return;
    }
    run(async {
        // A multicast address nobody joined; loopback never answers for it.
        let probe = Probe::Ping { target: "224.0.0.77".parse().unwrap(), tries: 3 };
        let verdict = attempt(&probe, SHORT).await;
        let network = matches!(verdict.reason(), Some(Reason::NoRoute { .. } | Reason::Unreachable { .. }));
        let expired = verdict.reason() == Some(&Reason::Timeout { phase: Phase::Echo, after: SHORT });
        assert!(network || expired, "{verdict}");
    });
}

#[test]
fn fifty_silent_real_servers_do_not_delay_a_good_one() {
    run(async {
        let mute = silent().await;
        let good = answering("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok").await;
        let prober = Arc::new(Prober::new());
        let hanging: Vec<_> = (0..50)
            .map(|_| {
                let prober = Arc::clone(&prober);
                tokio::spawn(async move { prober.attempt(&Probe::Http(get(mute)), LONG).await })
            })
            .collect();
        for _ in 0..20 {
            assert!(prober.attempt(&Probe::Http(get(good)), LONG).await.is_good());
        }
        // Twenty good answers have come before the first of the silent ones reached its deadline.
        assert!(hanging.iter().all(|attempt| !attempt.is_finished()));
        hanging.iter().for_each(tokio::task::JoinHandle::abort);
    });
}

#[test]
fn a_thousand_attempts_at_a_time_take_little_room() {
    run(async {
        let prober = Prober::new();
        let probe = Probe::Http(get(nobody().await));
        let room = std::mem::size_of_val(&prober.attempt(&probe, LONG));
        assert!(room < 8 * 1024, "{room} bytes");
    });
}
