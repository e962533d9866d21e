//! What a service manager (systemd) is told by its socket, where there is one.

use sd_notify::NotifyState;
use std::{
    env,
    fmt::Write as _,
    io,
    os::{
        linux::net::SocketAddrExt as _,
        unix::{
            ffi::OsStrExt as _,
            net::{SocketAddr, UnixDatagram},
        },
    },
};

/// That the files are being read, and by systemd's rule since when.
pub(crate) fn reloading() {
    if let Ok(now) = NotifyState::monotonic_usec_now() {
        tell(&[NotifyState::Reloading, now]);
    }
}

/// Says it without waiting: a manager that does not read must not hold the daemon up, as `sd_notify::notify` would.
pub(crate) fn tell(states: &[NotifyState<'_>]) {
    // Without a manager there is nobody to tell, and nobody to complain to.
    let _ = send(states);
}

fn send(states: &[NotifyState<'_>]) -> io::Result<()> {
    let Some(path) = env::var_os("NOTIFY_SOCKET") else { return Ok(()) };
    let manager = match path.as_bytes() {
        [b'@', name @ ..] => SocketAddr::from_abstract_name(name)?,
        _ => SocketAddr::from_pathname(&path)?,
    };
    let mut text = String::new();
    for state in states {
        let _ = writeln!(text, "{state}");
    }
    let socket = UnixDatagram::unbound()?;
    socket.set_nonblocking(true)?;
    socket.send_to_addr(text.as_bytes(), &manager).map(drop)
}
