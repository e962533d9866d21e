//! One control connection: what [`Dialog`] wants done, on two sockets.

use super::{Call, socket};
use crate::clock::Clock;
use evenkeel_ftp::{CHUNK, Dialog, Ends, Input, Output};
use evenkeel_machine::{Machine, Outbox};
use rustix::net::sockopt;
use std::{io, net::SocketAddr, time::Duration};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    sync::{mpsc, oneshot},
    time::{sleep_until, timeout},
};

/// What a connection to the real server may take.
const CONNECT: Duration = Duration::from_secs(20);
/// What it may take until somebody reads what is said.
const WRITE: Duration = Duration::from_secs(60);
/// How long the client may go on talking when all is over. With words unread its connection would end by a reset, and the last
/// reply be lost.
const FAREWELL: Duration = Duration::from_secs(2);

/// One session.
pub(crate) struct Line {
    /// Its number.
    pub session: u64,
    /// The client, and where.
    pub client: SocketAddr,
    /// Where it came to.
    pub virtual_address: SocketAddr,
    /// Where it goes.
    pub real_server: SocketAddr,
    /// To the core.
    pub calls: mpsc::Sender<Call>,
    pub clock: Clock,
}

/// Carries a session to its end.
pub(crate) async fn carry(line: Line, client: TcpStream) {
    let connected = timeout(CONNECT, connect(line.virtual_address, line.real_server)).await;
    match connected.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into())) {
        Ok(server) => line.relay(client, server).await,
        Err(_) => refuse(client, "421 The real server does not answer.").await,
    }
    // Gone when the daemon ends.
    let _ = line.calls.send(Call::Ended { session: line.session }).await;
}

/// Sends a client away.
pub(crate) async fn refuse(mut client: TcpStream, why: &str) {
    let _ = timeout(WRITE, client.write_all(format!("{why}\r\n").as_bytes())).await;
    part(client).await;
}

/// Lets the client read what was said last.
async fn part(mut client: TcpStream) {
    let rest = async {
        client.shutdown().await?;
        let mut ignored = [0; CHUNK];
        while client.read(&mut ignored).await? > 0 {}
        io::Result::Ok(())
    };
    let _ = timeout(FAREWELL, rest).await;
}

/// A connection to the real server from the virtual address, which data connections come from as well.
async fn connect(virtual_address: SocketAddr, real_server: SocketAddr) -> io::Result<TcpStream> {
    let socket = socket(virtual_address.ip())?;
    socket.bind(SocketAddr::new(virtual_address.ip(), 0))?;
    let stream = socket.connect(real_server).await?;
    prepare(&stream)?;
    Ok(stream)
}

/// Words go out at once, urgent ones are heard in their place, and who is gone without a word is noticed.
fn prepare(stream: &TcpStream) -> io::Result<()> {
    stream.set_nodelay(true)?;
    sockopt::set_socket_oobinline(stream, true)?;
    sockopt::set_socket_keepalive(stream, true)?;
    Ok(())
}

impl Line {
    async fn relay(&self, mut client: TcpStream, mut server: TcpStream) {
        if prepare(&client).is_ok() {
            let ends = Ends { client: self.client.ip(), meeting: self.virtual_address.ip() };
            let dialog = Dialog::new(self.clock.now(), ends);
            // Either way it is over.
            let _ = self.talk(dialog, &mut client, &mut server).await;
        }
        drop(server);
        part(client).await;
    }

    async fn talk(&self, mut dialog: Dialog, client: &mut TcpStream, server: &mut TcpStream) -> io::Result<()> {
        let mut out = Outbox::new();
        let (mut of_client, mut of_server) = ([0; CHUNK], [0; CHUNK]);
        let mut opening: Option<oneshot::Receiver<Option<u16>>> = None;
        loop {
            let Some(due) = dialog.deadline().map(|at| self.clock.timer(at)) else { return Ok(()) };
            let input = tokio::select! {
                read = client.read(&mut of_client), if dialog.hears_client() => match read? {
                    0 => Some(Input::ClientEnded),
                    length => Some(Input::FromClient(of_client[..length].to_vec())),
                },
                read = server.read(&mut of_server), if dialog.hears_server() => match read {
                    Ok(0) | Err(_) => Some(Input::ServerEnded),
                    Ok(length) => Some(Input::FromServer(of_server[..length].to_vec())),
                },
                port = answered(&mut opening) => {
                    opening = None;
                    Some(Input::Opened(port))
                }
                () = sleep_until(due) => None,
            };
            let now = self.clock.now();
            match input {
                Some(input) => dialog.handle(now, input, &mut out),
                None => dialog.handle_timeout(now, &mut out),
            }
            for output in out.drain() {
                match output {
                    Output::ToClient(bytes) => timeout(WRITE, client.write_all(&bytes)).await??,
                    // One that has hung up may have said why: that is read next.
                    Output::ToServer(bytes) => drop(timeout(WRITE, server.write_all(&bytes)).await?),
                    Output::Open(order) => {
                        let (answer, port) = oneshot::channel();
                        let call = Call::Open { session: self.session, order, answer };
                        self.calls.send(call).await.map_err(|_| io::ErrorKind::BrokenPipe)?;
                        opening = Some(port);
                    }
                    Output::EndServer => drop(server.shutdown().await),
                    Output::End => return Ok(()),
                }
            }
        }
    }
}

/// The port that is waited for; an answer that never comes is none.
async fn answered(opening: &mut Option<oneshot::Receiver<Option<u16>>>) -> Option<u16> {
    match opening {
        Some(answer) => answer.await.unwrap_or(None),
        None => std::future::pending().await,
    }
}

#[cfg(test)]
mod tests;
