//! A TCP connection to the target of a probe.

use evenkeel_health::{Reason, printable};
use evenkeel_model::Origin;
use rustix::io::Errno;
use socket2::{Domain, Protocol, Socket, Type};
use std::{
    io,
    net::{IpAddr, SocketAddr},
};
use tokio::net::{TcpSocket, TcpStream, UdpSocket};

/// The tcp probe: a connection that is established.
pub(crate) async fn attempt(target: SocketAddr, origin: &Origin) -> Result<String, Reason> {
    connect(target, origin).await?;
    Ok("connected".to_owned())
}

/// Connects, from `origin`; the stream is reset when dropped (see the crate's documentation for why).
pub(crate) async fn connect(target: SocketAddr, origin: &Origin) -> Result<TcpStream, Reason> {
    let failed = |error: io::Error| failure(&error, target.ip(), Reason::Refused { target });
    let socket = socket(target.ip(), Type::STREAM, Some(Protocol::TCP), origin).map_err(failed)?;
    let socket = TcpSocket::from_std_stream(socket.into());
    socket.set_zero_linger().map_err(failed)?;
    let stream = socket.connect(target).await.map_err(failed)?;
    // A local port that nobody listens on may be chosen as the source port of the very attempt; TCP then connects the
    // socket to itself.
    if stream.local_addr().is_ok_and(|local| local == target) {
        return Err(Reason::Refused { target });
    }
    Ok(stream)
}

/// A datagram socket that is connected to `target` and hears of every ICMP error.
pub(crate) async fn datagrams(target: SocketAddr, origin: &Origin) -> io::Result<UdpSocket> {
    let socket = socket(target.ip(), Type::DGRAM, Some(Protocol::UDP), origin)?;
    evenkeel_os::receive_errors(&socket, target.is_ipv6())?;
    let socket = UdpSocket::from_std(socket.into())?;
    socket.connect(target).await?;
    Ok(socket)
}

/// A socket that talks to `target` from `origin`; it never blocks.
pub(crate) fn socket(target: IpAddr, kind: Type, protocol: Option<Protocol>, origin: &Origin) -> io::Result<Socket> {
    let domain = if target.is_ipv4() { Domain::IPV4 } else { Domain::IPV6 };
    let socket = Socket::new(domain, kind.nonblocking(), protocol)?;
    if let Some(mark) = origin.mark {
        socket.set_mark(mark.get())?;
    }
    if let Some(interface) = &origin.interface {
        socket.bind_device(Some(interface.as_bytes()))?;
    }
    if origin.address.is_some() || origin.port.is_some() {
        let any = if target.is_ipv4() { IpAddr::from([0; 4]) } else { IpAddr::from([0; 16]) };
        let from = SocketAddr::new(origin.address.unwrap_or(any), origin.port.unwrap_or(0));
        socket.bind(&from.into())?;
    }
    Ok(socket)
}

/// What `error` says about `target`; `reset` for a connection the other side ended.
pub(crate) fn failure(error: &io::Error, target: IpAddr, reset: Reason) -> Reason {
    match Errno::from_io_error(error) {
        Some(Errno::CONNREFUSED | Errno::CONNRESET | Errno::PIPE) => reset,
        Some(Errno::HOSTUNREACH | Errno::HOSTDOWN | Errno::TIMEDOUT) => Reason::Unreachable { target },
        Some(Errno::NETUNREACH | Errno::NETDOWN) => Reason::NoRoute { target },
        Some(
            Errno::MFILE
            | Errno::NFILE
            | Errno::NOBUFS
            | Errno::NOMEM
            | Errno::ADDRNOTAVAIL
            | Errno::ADDRINUSE
            | Errno::AGAIN
            | Errno::ACCESS
            | Errno::PERM
            | Errno::AFNOSUPPORT,
        ) => Reason::Local(text(error)),
        Some(_) => Reason::NotStarted(text(error)),
        None if error.kind() == io::ErrorKind::UnexpectedEof => reset,
        None => Reason::BadAnswer(text(error)),
    }
}

/// The error in the operator's words, without "(os error 24)".
pub(crate) fn text(error: &io::Error) -> String {
    let text = error.to_string();
    let text = text.split(" (os error").next().unwrap_or_default();
    let mut characters = text.chars();
    let lowered = characters.next().map(|first| first.to_lowercase().chain(characters).collect::<String>());
    printable(&lowered.unwrap_or_default())
}
