//! One DNS question: the address of a name, from a server.

use std::net::{Ipv4Addr, SocketAddr, UdpSocket};
use std::time::Duration;

const TRIES: usize = 50;

/// Asks `server` for the IPv4 address of `name`, again while no server answers yet.
pub fn address_of(name: &str, server: SocketAddr) -> Result<Ipv4Addr, String> {
    let question = question(name);
    let mut last = String::new();
    for _ in 0..TRIES {
        match ask(&question, server) {
            Ok(answer) => return read(&question, &answer),
            Err(error) => last = error.to_string(),
        }
    }
    Err(format!("{server} does not answer: {last}"))
}

fn ask(question: &[u8], server: SocketAddr) -> std::io::Result<Vec<u8>> {
    let socket = UdpSocket::bind("0.0.0.0:0")?;
    socket.connect(server)?;
    socket.set_read_timeout(Some(Duration::from_millis(200)))?;
    socket.send(question)?;
    let mut answer = vec![0; 512];
    match socket.recv(&mut answer) {
        Ok(length) => {
            answer.truncate(length);
            Ok(answer)
        }
        Err(error) => {
            // A closed port says so at once; the server needs a moment to start.
            std::thread::sleep(Duration::from_millis(20));
            Err(error)
        }
    }
}

/// RFC 1035 4.1: a header with one question, then the name, type A, class IN.
fn question(name: &str) -> Vec<u8> {
    let mut message = vec![0x65, 0x6b, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0];
    for label in name.split('.') {
        message.push(u8::try_from(label.len()).unwrap_or(63));
        message.extend_from_slice(label.as_bytes());
    }
    message.extend_from_slice(&[0, 0, 1, 0, 1]);
    message
}

/// The first answer record, which points back to the question's name with two bytes.
fn read(question: &[u8], answer: &[u8]) -> Result<Ipv4Addr, String> {
    let odd = || format!("cannot read the answer {answer:?}");
    let code = answer.get(3).ok_or_else(odd)? & 15;
    if code != 0 {
        return Err(format!("the server answers with code {code}"));
    }
    let record = answer.get(question.len()..).ok_or_else(odd)?;
    match record {
        [_, _, 0, 1, 0, 1, _, _, _, _, 0, 4, a, b, c, d, ..] => Ok(Ipv4Addr::new(*a, *b, *c, *d)),
        [..] => Err(odd()),
    }
}
