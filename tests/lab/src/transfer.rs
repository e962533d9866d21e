//! A transfer there and back, byte by byte, over TCP, UDP or SCTP; and who sends everything back.

use std::io::{Error, ErrorKind, Read, Result, Write};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, Shutdown, SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::os::fd::OwnedFd;
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use rustix::net::{self, AddressFamily, SocketFlags, SocketType, ipproto};

/// Bytes of a datagram: fits any tunnel.
const DATAGRAM: usize = 1280;
/// Datagrams under way at once: few enough for any socket buffer.
const WINDOW: usize = 16;
/// How often a datagram is sent again before it is lost.
const TRIES: u32 = 5;
/// What neither side waits for longer.
const PATIENCE: Duration = Duration::from_secs(10);
/// Bytes of an SCTP message: larger than a packet.
const MESSAGE: usize = 8 << 10;
const BACKLOG: i32 = 16;

/// What a transfer goes over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Protocol {
    /// A stream.
    Tcp,
    /// Datagrams, sent again when they are lost.
    Udp,
    /// A stream in messages.
    Sctp,
}

impl Protocol {
    /// Its name in the documentation, and in a service's address.
    pub fn word(self) -> &'static str {
        match self {
            Protocol::Tcp => "tcp",
            Protocol::Udp => "udp",
            Protocol::Sctp => "sctp",
        }
    }

    /// Sends `bytes` from `own` to `target` and compares what comes back.
    pub fn transfer(self, own: IpAddr, target: SocketAddr, bytes: usize) -> Result<()> {
        match self {
            Protocol::Tcp => stream(&TcpStream::connect_timeout(&target, PATIENCE)?, bytes, usize::MAX),
            Protocol::Udp => datagrams(target, bytes),
            Protocol::Sctp => {
                let socket = sctp(target)?;
                // From one address: else the other ones stand in the handshake, and the server sends there as well.
                net::bind(&socket, &SocketAddr::new(own, 0))?;
                let connection = TcpStream::from(socket);
                connect_in_time(&connection, target)?;
                stream(&connection, bytes, MESSAGE)
            }
        }
    }

    /// Sends back whatever comes to `at`, for as long as the process lives. An address that is in use has somebody who
    /// does so already.
    pub fn serve(self, at: SocketAddr) -> Result<()> {
        let begun = match self {
            Protocol::Tcp => TcpListener::bind(at).map(|listener| spawn(move || echo_streams(&listener))),
            Protocol::Udp => UdpSocket::bind(at).map(|socket| spawn(move || echo_datagrams(&socket))),
            Protocol::Sctp => sctp_listener(at).map(|listener| spawn(move || echo_streams(&listener))),
        };
        match begun {
            Err(error) if error.kind() == ErrorKind::AddrInUse => Ok(()),
            begun => begun,
        }
    }
}

fn spawn(work: impl FnOnce() + Send + 'static) {
    std::thread::spawn(work);
}

/// A socket of one association, which reads and writes as one of TCP does.
fn sctp(target: SocketAddr) -> Result<OwnedFd> {
    let family = if target.is_ipv4() { AddressFamily::INET } else { AddressFamily::INET6 };
    Ok(net::socket_with(family, SocketType::STREAM, SocketFlags::CLOEXEC, Some(ipproto::SCTP))?)
}

/// The kernel itself would try for minutes.
fn connect_in_time(connection: &TcpStream, target: SocketAddr) -> Result<()> {
    connection.set_nonblocking(true)?;
    match net::connect(connection, &target) {
        Ok(()) => {}
        Err(Errno::INPROGRESS) => {
            let limit = Timespec { tv_sec: PATIENCE.as_secs().cast_signed(), tv_nsec: 0 };
            if poll(&mut [PollFd::new(connection, PollFlags::OUT)], Some(&limit))? == 0 {
                return Err(Error::new(ErrorKind::TimedOut, format!("{target} does not answer")));
            }
            connection.take_error()?.map_or(Ok(()), Err)?;
        }
        Err(error) => return Err(error.into()),
    }
    connection.set_nonblocking(false)
}

fn sctp_listener(at: SocketAddr) -> Result<TcpListener> {
    let socket = sctp(at)?;
    net::bind(&socket, &at)?;
    net::listen(&socket, BACKLOG)?;
    Ok(socket.into())
}

fn echo_datagrams(socket: &UdpSocket) {
    let mut datagram = [0; 2 * DATAGRAM];
    while let Ok((length, from)) = socket.recv_from(&mut datagram) {
        // A client that is gone is no reason to stop.
        let _ = socket.send_to(&datagram[..length], from);
    }
}

fn echo_streams(listener: &TcpListener) {
    while let Ok((stream, _)) = listener.accept() {
        std::thread::spawn(move || {
            // What goes wrong is the client's to tell.
            let _ = echo(&stream);
            let _ = stream.shutdown(Shutdown::Write);
        });
    }
}

/// The standard library would have the kernel copy, which it does for TCP only.
fn echo(mut stream: &TcpStream) -> Result<()> {
    let mut part = vec![0; 8 * MESSAGE];
    loop {
        match stream.read(&mut part)? {
            0 => return Ok(()),
            length => part[..length].chunks(MESSAGE).try_for_each(|part| stream.write_all(part))?,
        }
    }
}

/// Bytes that are the same for everybody and the same nowhere.
fn content(bytes: usize) -> Vec<u8> {
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let word = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state.to_le_bytes()
    };
    std::iter::repeat_with(word).flatten().take(bytes).collect()
}

/// In parts of `part` bytes. SCTP knows no half-closed association, so all is read before the end is told.
fn stream(stream: &TcpStream, bytes: usize, part: usize) -> Result<()> {
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.set_write_timeout(Some(PATIENCE))?;
    let sent = content(bytes);
    let mut received = vec![0; bytes];
    let mut so_far = 0;
    let outcome = std::thread::scope(|scope| {
        let writer = scope.spawn(|| sent.chunks(part).try_for_each(|part| (&mut &*stream).write_all(part)));
        let mut read = || {
            while so_far < bytes {
                match (&mut &*stream).read(&mut received[so_far..])? {
                    0 => return Err(Error::from(ErrorKind::UnexpectedEof)),
                    length => so_far += length,
                }
            }
            Ok(())
        };
        let read = read();
        let written = writer.join().unwrap_or_else(|_| Err(Error::other("the writer panicked")));
        read.and(written)
    });
    outcome.map_err(|error| Error::new(error.kind(), format!("{error} after {so_far} of {bytes} bytes")))?;
    if received != sent {
        return Err(Error::other("other bytes came back than were sent"));
    }
    stream.shutdown(Shutdown::Write)?;
    match (&mut &*stream).read(&mut [0]) {
        Ok(0) => Ok(()),
        // An association has no end that is read; it is there or it is not.
        Err(error) if error.kind() == ErrorKind::NotConnected => Ok(()),
        Ok(_) => Err(Error::other("more bytes came back than were sent")),
        Err(error) => Err(error),
    }
}

fn datagrams(target: SocketAddr, bytes: usize) -> Result<()> {
    let any: IpAddr = if target.is_ipv4() { Ipv4Addr::UNSPECIFIED.into() } else { Ipv6Addr::UNSPECIFIED.into() };
    let socket = UdpSocket::bind((any, 0))?;
    socket.connect(target)?;
    socket.set_read_timeout(Some(Duration::from_millis(500)))?;
    let sent = content(bytes);
    let parts: Vec<&[u8]> = sent.chunks(DATAGRAM - 4).collect();
    let datagram = |number: usize| [&(number as u32).to_be_bytes()[..], parts[number]].concat();
    let mut missing: Vec<usize> = (0..parts.len()).collect();
    for _ in 0..TRIES {
        let mut left = Vec::new();
        for window in missing.chunks(WINDOW) {
            for number in window {
                socket.send(&datagram(*number))?;
            }
            let mut wanted: Vec<usize> = window.to_vec();
            let mut answer = [0; 2 * DATAGRAM];
            while !wanted.is_empty() {
                let Ok(length) = socket.recv(&mut answer) else { break };
                let number = u32::from_be_bytes([answer[0], answer[1], answer[2], answer[3]]) as usize;
                if number >= parts.len() || answer[..length] != datagram(number)[..] {
                    return Err(Error::other(format!("datagram {number} came back changed")));
                }
                wanted.retain(|other| *other != number);
            }
            // Nobody answers at all: more of the same would take minutes.
            if wanted.len() == window.len() && left.len() > 2 * WINDOW {
                return Err(Error::other("no datagram comes back"));
            }
            left.extend(wanted);
        }
        missing = left;
        if missing.is_empty() {
            return Ok(());
        }
    }
    Err(Error::other(format!("{} of {} datagrams never came back", missing.len(), parts.len())))
}
