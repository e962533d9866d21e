//! UDP and DNS against scripted servers; what the network itself says.

use super::*;
use evenkeel_model::{Dns, Record, Udp, UdpReply};
use tokio::net::UdpSocket;

/// A server that answers each datagram with what `answer` makes of it.
async fn udp_server(answer: impl Fn(&[u8]) -> Vec<Vec<u8>> + Send + 'static) -> SocketAddr {
    let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let address = socket.local_addr().unwrap();
    tokio::spawn(async move {
        let mut question = [0; 512];
        while let Ok((length, client)) = socket.recv_from(&mut question).await {
            for datagram in answer(&question[..length]) {
                let _gone = socket.send_to(&datagram, client).await;
            }
        }
    });
    address
}

fn udp(target: SocketAddr, reply: Option<UdpReply>) -> Probe {
    Probe::Udp(Udp { target, payload: Some(b"ask".to_vec()), reply })
}

fn begins(bytes: &[u8]) -> UdpReply {
    UdpReply { begins: bytes.iter().map(|byte| (*byte, 0)).collect(), length: (0, 255) }
}

async fn nobody_there() -> SocketAddr {
    UdpSocket::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap()
}

#[test]
fn a_udp_port_that_nobody_has_is_down_and_a_silent_one_is_up() {
    run(async {
        let target = nobody_there().await;
        assert_eq!(reason(attempt(&udp(target, None), LONG).await), Reason::PortUnreachable { target });
        let silent = udp_server(|_| Vec::new()).await;
        assert_eq!(detail(attempt(&udp(silent, None), SHORT).await), "no error came back");
        let asked = Some(UdpReply { begins: Vec::new(), length: (0, 255) });
        let why = reason(attempt(&udp(silent, asked), SHORT).await);
        assert_eq!(why, Reason::Timeout { phase: Phase::Datagram, after: SHORT });
    });
}

#[test]
fn a_udp_answer_is_compared_with_what_is_wanted() {
    run(async {
        let echo = udp_server(|question| vec![question.to_vec()]).await;
        assert_eq!(detail(attempt(&udp(echo, None), LONG).await), "answered");
        assert_eq!(detail(attempt(&udp(echo, Some(begins(b"as"))), LONG).await), "answered, 3 bytes");
        let why = reason(attempt(&udp(echo, Some(begins(b"no"))), LONG).await);
        assert_eq!(why, Reason::BadAnswer("it does not begin as wanted: 61 73 6b".into()));
        let long = UdpReply { length: (0, 2), ..begins(b"as") };
        assert!(!attempt(&udp(echo, Some(long)), LONG).await.is_good());
        let longest = udp_server(|_| vec![vec![0; 9000]]).await;
        let any = UdpReply { begins: Vec::new(), length: (0, 255) };
        assert!(attempt(&udp(longest, Some(any)), LONG).await.is_good());
    });
}

/// The answer to `question` with these flags.
fn dns_answer(question: &[u8], flags: [u8; 2]) -> Vec<u8> {
    let mut answer = question.to_vec();
    answer[2..4].copy_from_slice(&flags);
    answer
}

fn dns(target: SocketAddr) -> Probe {
    Probe::Dns(Dns { target, name: "www.example.org".into(), record: Record::A })
}

#[test]
fn a_dns_server_is_up_if_it_answers_without_an_error_even_with_nothing() {
    run(async {
        let empty = udp_server(|question| vec![dns_answer(question, [0x81, 0x80])]).await;
        assert_eq!(detail(attempt(&dns(empty), LONG).await), "answered");
        let refusing = udp_server(|question| vec![dns_answer(question, [0x81, 0x85])]).await;
        let why = reason(attempt(&dns(refusing), LONG).await);
        assert_eq!(why, Reason::BadAnswer("error code 5 (REFUSED)".into()));
        let target = nobody_there().await;
        assert_eq!(reason(attempt(&dns(target), LONG).await), Reason::PortUnreachable { target });
    });
}

#[test]
fn an_answer_to_another_dns_question_is_passed_over() {
    run(async {
        let server = udp_server(|question| {
            let mut other = dns_answer(question, [0x81, 0x83]);
            other[0] ^= 0xff;
            vec![vec![0; 5], other, question.to_vec(), dns_answer(question, [0x81, 0x80])]
        });
        assert!(attempt(&dns(server.await), LONG).await.is_good());
        let never = udp_server(|question| vec![question.to_vec()]).await;
        let why = reason(attempt(&dns(never), SHORT).await);
        assert_eq!(why, Reason::Timeout { phase: Phase::Datagram, after: SHORT });
    });
}
