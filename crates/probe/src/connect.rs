//! A TCP connection to the target of a probe.

use evenkeel_health::{Reason, printable};
use rustix::io::Errno;
use std::{
    io,
    net::{IpAddr, SocketAddr},
};
use tokio::net::{TcpSocket, TcpStream};

/// The tcp probe: a connection that is established.
pub(crate) async fn attempt(target: SocketAddr, source: Option<IpAddr>) -> Result<String, Reason> {
    connect(target, source).await?;
    Ok("connected".to_owned())
}

/// Connects, from `source` where one is given; the stream is reset when dropped (see the crate's documentation for why).
pub(crate) async fn connect(target: SocketAddr, source: Option<IpAddr>) -> Result<TcpStream, Reason> {
    let failed = |error: io::Error| failure(&error, target.ip(), Reason::Refused { target });
    let socket = if target.is_ipv4() { TcpSocket::new_v4() } else { TcpSocket::new_v6() }.map_err(failed)?;
    socket.set_zero_linger().map_err(failed)?;
    socket.set_nodelay(true).map_err(failed)?;
    if let Some(source) = source {
        socket.bind(SocketAddr::new(source, 0)).map_err(failed)?;
    }
    let stream = socket.connect(target).await.map_err(failed)?;
    // A local port that nobody listens on may be chosen as the source port of the very attempt; TCP then connects the
    // socket to itself.
    if stream.local_addr().is_ok_and(|local| local == target) {
        return Err(Reason::Refused { target });
    }
    Ok(stream)
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
