//! The conversation with one client.

use super::{
    Call, Limits, Part, Parts, Service, Task,
    clients::{ClientId, Clients},
    greeting,
};
use evenkeel_api::{
    FrameError, Lines, Refusal, RefusalCode, Reply, Request, Role, count,
    table::{ConnectionFilter, Edit},
    to_line,
};
use serde::Serialize;
use std::{cell::RefCell, rc::Rc, time::Duration};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::UnixStream,
    sync::{broadcast::error::RecvError, oneshot},
    time::{MissedTickBehavior, interval, timeout},
};

/// The shortest time between two status objects of one watching client.
const WATCH_LEAST: Duration = Duration::from_millis(100);

/// Connections in one line of a reply.
const AT_ONCE: usize = 1024;

/// One client's task.
pub(super) struct Client {
    pub(super) id: ClientId,
    pub(super) role: Role,
    pub(super) limits: Limits,
    pub(super) clients: Rc<RefCell<Clients>>,
    pub(super) service: Rc<Service>,
}

impl Drop for Client {
    /// Also when the task is aborted.
    fn drop(&mut self) {
        self.clients.borrow_mut().left(self.id);
    }
}

/// The conversation is over: the client has gone, or is to go. To the client every reason looks the same.
struct Over;

impl Client {
    pub(super) async fn run(self, mut stream: UnixStream) {
        let Err(Over) = self.talk(&mut stream).await;
    }

    async fn talk(&self, stream: &mut UnixStream) -> Result<std::convert::Infallible, Over> {
        self.send(stream, &greeting(&self.service, self.role)).await?;
        let mut lines = Lines::new(self.limits.request_bytes);
        let mut joined = Vec::new();
        loop {
            let line = self.line(stream, &mut lines).await?;
            match self.allowed(&line) {
                Ok(Request::Watch { events, status_every_ms }) => {
                    return self.watch(stream, events, status_every_ms).await;
                }
                Ok(Request::Connections { filter }) => self.connections(stream, filter).await?,
                Ok(Request::Count { filter }) => self.count(stream, filter).await?,
                Ok(Request::Flush { filter }) => self.flush(stream, filter).await?,
                Ok(request) => {
                    let reply = match self.join(&mut joined, request, line.len()) {
                        Ok(request) => self.ask(request).await?,
                        Err(reply) => *reply,
                    };
                    self.send(stream, &reply).await?;
                }
                Err(refusal) => self.send(stream, &Reply::Refused(refusal)).await?,
            }
        }
    }

    /// Puts edits that are sent in several requests together: the whole, or what is to be answered instead.
    fn join(&self, joined: &mut Vec<Edit>, request: Request, bytes: usize) -> Result<Request, Box<Reply>> {
        let refused = |code, why: &str| Err(Box::new(Reply::Refused(Refusal::new(code, why))));
        match request {
            Request::Edit { edits, more: true, .. } => {
                if !self.clients.borrow_mut().joins(self.id, bytes) {
                    *joined = Vec::new();
                    self.clients.borrow_mut().parts(self.id);
                    let why =
                        format!("edits of more than {} bytes wait for the rest of them", self.limits.joined_bytes);
                    return refused(RefusalCode::TooLong, &why);
                }
                joined.extend(edits);
                Err(Box::new(Reply::Done { message: format!("{} taken", count(joined.len(), "edit")) }))
            }
            Request::Edit { edits, atomic, more: false } => {
                let mut all = std::mem::take(joined);
                self.clients.borrow_mut().parts(self.id);
                all.extend(edits);
                Ok(Request::Edit { edits: all, atomic, more: false })
            }
            request if joined.is_empty() => Ok(request),
            _ => refused(RefusalCode::BadRequest, "the last part of the edits is missing"),
        }
    }

    /// Sends the connections, a part at a time.
    async fn connections(&self, stream: &mut UnixStream, filter: ConnectionFilter) -> Result<(), Over> {
        let mut from = Some(0);
        while let Some(begin) = from {
            let part = match self.part(filter, begin, Task::List).await? {
                Ok(part) => part,
                Err(refusal) => return self.send(stream, &Reply::Refused(refusal)).await,
            };
            from = part.next;
            let mut rest = part.entries;
            while !rest.is_empty() {
                let behind = rest.split_off(rest.len().min(AT_ONCE));
                let connections = std::mem::replace(&mut rest, behind);
                self.send(stream, &Reply::Connections { connections, last: false }).await?;
                // Others come in between, however fast this one reads.
                tokio::task::yield_now().await;
            }
        }
        self.send(stream, &Reply::Connections { connections: Vec::new(), last: true }).await
    }

    async fn count(&self, stream: &mut UnixStream, filter: ConnectionFilter) -> Result<(), Over> {
        let reply = match self.through(filter, Task::Count).await? {
            Ok(connections) => Reply::Counted { connections },
            Err(refusal) => Reply::Refused(refusal),
        };
        self.send(stream, &reply).await
    }

    async fn flush(&self, stream: &mut UnixStream, filter: ConnectionFilter) -> Result<(), Over> {
        let reply = match self.through(filter, Task::End).await? {
            Ok(ended) => {
                let (reply, told) = oneshot::channel();
                self.service.calls.send(Call::Ended { filter, ended, reply }).await.map_err(|_| Over)?;
                Reply::Done { message: told.await.map_err(|_| Over)? }
            }
            Err(refusal) => Reply::Refused(refusal),
        };
        self.send(stream, &reply).await
    }

    /// Goes through all parts and counts.
    async fn through(&self, filter: ConnectionFilter, task: Task) -> Result<Result<u64, Refusal>, Over> {
        let (mut from, mut connections) = (Some(0), 0);
        while let Some(begin) = from {
            match self.part(filter, begin, task).await? {
                Ok(part) => {
                    connections += part.count;
                    from = part.next;
                }
                Err(refusal) => return Ok(Err(refusal)),
            }
        }
        Ok(Ok(connections))
    }

    async fn part(&self, filter: ConnectionFilter, from: u64, task: Task) -> Result<Result<Part, Refusal>, Over> {
        let (reply, answer) = oneshot::channel();
        let parts = Parts { filter, from, task, reply };
        self.service.calls.send(Call::Parts(parts)).await.map_err(|_| Over)?;
        answer.await.map_err(|_| Over)
    }

    /// The request in a line, if it is one and this caller may ask for it.
    fn allowed(&self, line: &str) -> Result<Request, Refusal> {
        let request: Request = serde_json::from_str(line).map_err(|e| {
            Refusal::new(RefusalCode::BadRequest, format!("no request of protocol {}: {e}", evenkeel_api::PROTOCOL))
        })?;
        if self.role < request.needs() {
            let (name, needs, role) = (request.name(), request.needs(), self.role);
            return Err(Refusal::new(
                RefusalCode::NotAllowed,
                format!("{name} needs the role {needs}, you have {role}"),
            ));
        }
        Ok(request)
    }

    /// The next line.
    async fn line(&self, stream: &mut UnixStream, lines: &mut Lines) -> Result<String, Over> {
        if !lines.is_midline() {
            // Without a buffer and without a timer: this is where idle clients are.
            *lines = Lines::new(self.limits.request_bytes);
            self.clients.borrow_mut().idle(self.id);
            stream.readable().await.map_err(|_| Over)?;
            self.clients.borrow_mut().busy(self.id);
        }
        let (code, why) = match timeout(self.limits.request_time, whole_line(stream, lines)).await {
            Ok(Ok(Some(line))) => return Ok(line),
            Ok(Ok(None)) => return Err(Over),
            Ok(Err(e @ FrameError::TooLong { .. })) => (RefusalCode::TooLong, e.to_string()),
            Ok(Err(e @ FrameError::NotUtf8)) => (RefusalCode::BadRequest, e.to_string()),
            Err(_) => (RefusalCode::BadRequest, "the request was not finished in time".to_owned()),
        };
        self.send(stream, &Reply::Refused(Refusal::new(code, why))).await?;
        Err(Over)
    }

    /// Asks the core. An answer may take long (`drain --until-idle`): until it comes, the client counts as idle.
    async fn ask(&self, request: Request) -> Result<Reply, Over> {
        let (reply, answer) = oneshot::channel();
        self.service.calls.send(Call::Request { request, role: self.role, reply }).await.map_err(|_| Over)?;
        self.clients.borrow_mut().idle(self.id);
        let reply = answer.await.map_err(|_| Over);
        self.clients.borrow_mut().busy(self.id);
        reply
    }

    async fn watch(
        &self,
        stream: &mut UnixStream,
        events: bool,
        status_every_ms: Option<u64>,
    ) -> Result<std::convert::Infallible, Over> {
        let mut feed = self.service.events.subscribe();
        let mut beat = interval(status_every_ms.map_or(Duration::MAX / 4, Duration::from_millis).max(WATCH_LEAST));
        beat.set_missed_tick_behavior(MissedTickBehavior::Delay);
        if status_every_ms.is_none() {
            beat.tick().await;
        }
        let mut ignored = [0; 256];
        loop {
            tokio::select! {
                event = feed.recv(), if events => match event {
                    Ok(line) => self.send_bytes(stream, &line).await?,
                    Err(RecvError::Lagged(events)) => self.send(stream, &Reply::Missed { events }).await?,
                    Err(RecvError::Closed) => return Err(Over),
                },
                _ = beat.tick(), if status_every_ms.is_some() => {
                    let reply = self.ask(Request::Status { service: None }).await?;
                    self.send(stream, &reply).await?;
                }
                // Only to notice that the client has hung up; what it says meanwhile is not heard.
                read = stream.read(&mut ignored) => if matches!(read, Ok(0) | Err(_)) { return Err(Over) },
            }
        }
    }

    async fn send<T: Serialize>(&self, stream: &mut UnixStream, value: &T) -> Result<(), Over> {
        let line = to_line(value).map_err(|_| Over)?;
        self.send_bytes(stream, &line).await
    }

    async fn send_bytes(&self, stream: &mut UnixStream, line: &[u8]) -> Result<(), Over> {
        self.clients.borrow_mut().owes(self.id, line.len());
        let mut rest = line;
        while !rest.is_empty() {
            let written = timeout(self.limits.reply_time, stream.write(rest)).await;
            let written = written.map_err(|_| Over)?.map_err(|_| Over)?;
            rest = rest.get(written..).filter(|_| written > 0).ok_or(Over)?;
        }
        self.clients.borrow_mut().owes(self.id, 0);
        Ok(())
    }
}

/// Reads up to the end of a line; `None` when the client has closed.
async fn whole_line(stream: &mut UnixStream, lines: &mut Lines) -> Result<Option<String>, FrameError> {
    loop {
        if let Some(line) = lines.next_line()? {
            return Ok(Some(line));
        }
        let mut chunk = [0; 4096];
        match stream.read(&mut chunk).await {
            Ok(0) | Err(_) => return Ok(None),
            Ok(n) => lines.push(chunk.get(..n).unwrap_or_default()),
        }
    }
}
