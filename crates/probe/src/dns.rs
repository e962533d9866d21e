//! The DNS probe, as keepalived's DNS_CHECK: one question over UDP. What answers it, without an error code, is up; an
//! empty answer is one as well.

use crate::{
    Progress,
    connect::{datagrams, failure},
};
use evenkeel_health::{Phase, Reason, printable};
use evenkeel_model::{Dns, Origin, Record};
use simple_dns::{CLASS, Name, Packet, PacketFlag, QCLASS, QTYPE, Question, TYPE, header_buffer};
use std::{
    hash::{BuildHasher, RandomState},
    io,
};

/// Most bytes of an answer over UDP without extensions (RFC 1035 4.2.1); of a longer one the beginning is enough.
const ANSWER: usize = 512;

/// Asks, and waits for the answer to this question.
pub(crate) async fn attempt(dns: &Dns, origin: &Origin, phase: &Progress) -> Result<String, Reason> {
    phase.set(Phase::Datagram);
    let target = dns.target;
    let failed = |error: io::Error| failure(&error, target.ip(), Reason::PortUnreachable { target });
    // Nobody who does not see the question can answer it.
    let id = RandomState::new().hash_one(target) as u16;
    let question = question(dns, id)?;
    let socket = datagrams(target, origin).await.map_err(failed)?;
    socket.send(&question).await.map_err(failed)?;
    let mut answer = [0; ANSWER];
    loop {
        let length = socket.recv(&mut answer).await.map_err(failed)?;
        if let Some(code) = code(answer.get(..length).unwrap_or_default(), id) {
            return if code == 0 { Ok("answered".to_owned()) } else { Err(Reason::BadAnswer(error_text(code))) };
        }
    }
}

fn question(dns: &Dns, id: u16) -> Result<Vec<u8>, Reason> {
    let unfit = |why: String| Reason::NotStarted(format!("\"{}\": {why}", printable(&dns.name)));
    let name = Name::new(dns.name.trim_end_matches('.')).map_err(|error| unfit(error.to_string()))?;
    let record = match dns.record {
        Record::A => TYPE::A,
        Record::Ns => TYPE::NS,
        Record::Cname => TYPE::CNAME,
        Record::Soa => TYPE::SOA,
        Record::Mx => TYPE::MX,
        Record::Txt => TYPE::TXT,
        Record::Aaaa => TYPE::AAAA,
    };
    let mut packet = Packet::new_query(id);
    packet.set_flags(PacketFlag::RECURSION_DESIRED);
    packet.questions.push(Question::new(name, QTYPE::TYPE(record), QCLASS::CLASS(CLASS::IN), false));
    packet.build_bytes_vec().map_err(|error| unfit(error.to_string()))
}

/// The error code of an answer to the question `id`; `None`: it is none.
fn code(message: &[u8], id: u16) -> Option<u8> {
    let is_answer = header_buffer::id(message).ok()? == id
        && header_buffer::has_flags(message, PacketFlag::RESPONSE).unwrap_or(false);
    // The low four bits of the second byte of flags (RFC 1035 4.1.1); the crate folds those without a name into one.
    is_answer.then(|| message.get(3).map(|flags| flags & 0x0f)).flatten()
}

fn error_text(code: u8) -> String {
    let name = match code {
        1 => "FORMERR",
        2 => "SERVFAIL",
        3 => "NXDOMAIN",
        4 => "NOTIMP",
        5 => "REFUSED",
        _ => return format!("error code {code}"),
    };
    format!("error code {code} ({name})")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn dns(name: &str, record: Record) -> Dns {
        Dns { target: "192.0.2.53:53".parse().unwrap(), name: name.into(), record }
    }

    #[test]
    fn a_question_is_what_keepalived_asks() {
        let bytes = question(&dns("www.example.com", Record::Aaaa), 0x1234).unwrap();
        let expected = b"\x12\x34\x01\x00\x00\x01\x00\x00\x00\x00\x00\x00\x03www\x07example\x03com\x00\x00\x1c\x00\x01";
        assert_eq!(bytes, expected);
        let root = question(&dns(".", Record::Soa), 1).unwrap();
        assert_eq!(root, b"\x00\x01\x01\x00\x00\x01\x00\x00\x00\x00\x00\x00\x00\x00\x06\x00\x01");
        assert!(question(&dns(&"x".repeat(64), Record::A), 1).is_err());
    }

    #[test]
    fn only_the_answer_to_the_question_counts() {
        let answer = |flags: [u8; 2]| [0x12, 0x34, flags[0], flags[1], 0, 1, 0, 0, 0, 0, 0, 0];
        assert_eq!(code(&answer([0x81, 0x80]), 0x1234), Some(0));
        assert_eq!(code(&answer([0x81, 0x83]), 0x1234), Some(3));
        assert_eq!(code(&answer([0x81, 0x8f]), 0x1234), Some(15));
        assert_eq!(code(&answer([0x81, 0x80]), 0x1235), None, "another question");
        assert_eq!(code(&answer([0x01, 0x00]), 0x1234), None, "a question");
        for length in 0..12 {
            assert_eq!(code(&answer([0x81, 0x80])[..length], 0x1234), None, "cut to {length}");
        }
    }
}
