//! The conversation with the instance, which there may not be yet.

use super::{
    NO_TABLE, REFUSED,
    start::{self, Started},
};
use crate::{client::Client, exit::Trouble};
use evenkeel_api::{
    JOINED_MAX, REQUEST_LINE_MAX, Refusal, RefusalCode, Reply, Request,
    table::{ConnectionEntry, ConnectionFilter, Edit, EditError, EditFailure, Key, Table},
    to_line,
};
use evenkeel_ipvsadm::Fault;
use std::path::{Path, PathBuf};

/// As IPVS has them.
const TIMEOUTS: [u32; 3] = [900, 120, 300];
/// What is around the edits of a line.
const AROUND: usize = 64;

pub(super) struct Session {
    runtime_dir: PathBuf,
    client: Option<Client>,
}

impl Session {
    /// With the instance if there is one. Who may not start one must reach one.
    pub(super) fn open(runtime_dir: &Path) -> Result<Session, Fault> {
        let client = match Client::connect(runtime_dir) {
            Ok(client) => Some(client),
            Err(trouble) if trouble.status == RefusalCode::NotRunning.exit_status() && start::may_start() => None,
            Err(trouble) => return Err(unreachable(&trouble)),
        };
        Ok(Session { runtime_dir: runtime_dir.to_owned(), client })
    }

    /// The table, or one service of it; `None` where there is no such service.
    pub(super) fn table(&mut self, key: Option<Key>) -> Result<Option<Table>, Fault> {
        match self.read(&Request::Table { service: key })? {
            None => {
                let empty = Table { timeouts: TIMEOUTS, ..Table::default() };
                Ok(Some(empty).filter(|_| key.is_none()))
            }
            Some(Reply::Table(table)) => Ok(Some(*table)),
            Some(Reply::Refused(refusal)) if refusal.code == RefusalCode::Unknown => Ok(None),
            Some(other) => Err(unexpected(other)),
        }
    }

    /// Makes edits; says which one was not made, so that those after it are not either, and with `atomic` none.
    pub(super) fn edit(&mut self, edits: &[Edit], atomic: bool) -> Result<Option<EditError>, Fault> {
        if edits.is_empty() {
            return Ok(None);
        }
        self.wake()?;
        if self.client.is_none() {
            match edits.iter().enumerate().find_map(|(index, edit)| of_nothing(index, edit)) {
                Some(Nothing::Fails(error)) => return Ok(Some(error)),
                Some(Nothing::NeedsInstance) => self.start()?,
                None => return Ok(None),
            }
        }
        let Some(client) = &mut self.client else { return Ok(None) };
        let requests = requests(edits, atomic)?;
        let mut last = None;
        for request in &requests {
            last = Some(client.answer(request).map_err(|t| unreachable(&t))?);
            if !matches!(last, Some(Reply::Done { .. })) {
                break;
            }
        }
        match last {
            Some(Reply::Done { .. }) | None => Ok(None),
            Some(Reply::NotEdited(error)) => Ok(Some(error)),
            Some(other) => Err(unexpected(other)),
        }
    }

    /// Shows every connection until told enough.
    pub(super) fn connections(&mut self, show: &mut dyn FnMut(&ConnectionEntry) -> bool) -> Result<(), Fault> {
        let mut part = self.read(&Request::Connections { filter: ConnectionFilter::default() })?;
        while let Some(reply) = part {
            let Reply::Connections { connections, last } = reply else { return Err(unexpected(reply)) };
            if !connections.iter().all(&mut *show) || last {
                break;
            }
            let Some(client) = &mut self.client else { break };
            part = Some(client.reply().map_err(|t| unreachable(&t))?);
        }
        Ok(())
    }

    /// Asks what changes nothing; `None` where there is no instance. An instance that was killed may have greeted and not
    /// answer any more: the one that follows is asked. An edit is never asked for again, as it may have been made.
    fn read(&mut self, request: &Request) -> Result<Option<Reply>, Fault> {
        self.wake()?;
        let Some(client) = &mut self.client else { return Ok(None) };
        match client.answer(request) {
            Err(_) if client.has_ended() => *self = Session::open(&self.runtime_dir)?,
            answer => return answer.map(Some).map_err(|t| unreachable(&t)),
        }
        self.wake()?;
        let Some(client) = &mut self.client else { return Ok(None) };
        client.answer(request).map(Some).map_err(|t| unreachable(&t))
    }

    /// What a killed instance has left serving is nobody's: one is started that takes it over.
    fn wake(&mut self) -> Result<(), Fault> {
        if self.client.is_none() && evenkeel_runtime::has_leftovers(&self.runtime_dir) {
            return self.start();
        }
        Ok(())
    }

    fn start(&mut self) -> Result<(), Fault> {
        match start::start(&self.runtime_dir).map_err(|trouble| unreachable(&trouble))? {
            Started::Caller(client) => {
                self.client = Some(client);
                Ok(())
            }
            Started::Instance(status) => Err(Fault { status, text: String::new(), ends: true }),
        }
    }
}

/// What becomes of an edit where there is no instance.
enum Nothing {
    NeedsInstance,
    Fails(EditError),
}

/// What an empty table makes of an edit; `None` where nothing is to do.
fn of_nothing(index: usize, edit: &Edit) -> Option<Nothing> {
    match edit {
        Edit::Clear {} | Edit::Zero(None) => None,
        Edit::AddService(..) | Edit::Timeouts { .. } => Some(Nothing::NeedsInstance),
        Edit::EditService(..)
        | Edit::RemoveService(_)
        | Edit::AddServer(..)
        | Edit::EditServer(..)
        | Edit::RemoveServer(..)
        | Edit::Zero(Some(_)) => Some(Nothing::Fails(EditError {
            index: u32::try_from(index).unwrap_or(u32::MAX),
            failure: EditFailure::NoService,
            message: "there is no such service".to_owned(),
        })),
    }
}

/// The edits in as few requests as the length of their lines allows.
fn requests(edits: &[Edit], atomic: bool) -> Result<Vec<Request>, Fault> {
    let mut parts = vec![Vec::new()];
    let (mut length, mut whole) = (AROUND, 0);
    for edit in edits {
        let size = to_line(edit).map_err(|e| not_written(&e.to_string()))?.len();
        if length + size > REQUEST_LINE_MAX {
            parts.push(Vec::new());
            length = AROUND;
        }
        (length, whole) = (length + size, whole + size);
        if let Some(part) = parts.last_mut() {
            part.push(edit.clone());
        }
    }
    if whole > JOINED_MAX - REQUEST_LINE_MAX {
        return Err(not_written("there are too many for one change"));
    }
    let last = parts.len() - 1;
    let request = |(at, edits)| Request::Edit { edits, atomic, more: at != last };
    Ok(parts.into_iter().enumerate().map(request).collect())
}

fn not_written(why: &str) -> Fault {
    Fault { status: REFUSED, text: format!("cannot write the edits: {why}"), ends: true }
}

/// What ipvsadm says without a kernel that has IPVS, and why.
fn unreachable(trouble: &Trouble) -> Fault {
    if trouble.status == crate::exit::NO_PERMISSION || !start::may_start() {
        return denied();
    }
    Fault { status: NO_TABLE, text: format!("Can't initialize ipvs: {}", trouble.text), ends: true }
}

fn denied() -> Fault {
    let text = "Can't initialize ipvs: Permission denied (you must be root)\n\
                Are you sure that IP Virtual Server is built in the kernel or as module?";
    Fault { status: NO_TABLE, text: text.to_owned(), ends: true }
}

fn unexpected(reply: Reply) -> Fault {
    match reply {
        Reply::Refused(Refusal { code: RefusalCode::NotAllowed, .. }) => denied(),
        Reply::Refused(refusal) => Fault { status: REFUSED, text: refusal.to_string(), ends: false },
        Reply::Done { .. }
        | Reply::Status(_)
        | Reply::Table(_)
        | Reply::NotEdited(_)
        | Reply::Connections { .. }
        | Reply::Counted { .. }
        | Reply::Plan { .. }
        | Reply::Event(_)
        | Reply::Missed { .. } => {
            Fault { status: REFUSED, text: "the daemon gave another answer than was asked for".to_owned(), ends: true }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn many_edits_are_joined_lines_that_are_short_enough() {
        let edit = Edit::RemoveService(Key::Mark { mark: 7, ipv6: false });
        let parts = requests(&vec![edit.clone(); 5000], true).expect("requests");
        assert!(parts.len() > 2);
        let mut edits = 0;
        for (at, part) in parts.iter().enumerate() {
            assert!(to_line(part).expect("a line").len() <= REQUEST_LINE_MAX);
            let Request::Edit { edits: of, atomic: true, more } = part else { panic!("{part:?}") };
            assert_eq!(*more, at + 1 < parts.len());
            edits += of.len();
        }
        assert_eq!(edits, 5000);
        assert_eq!(
            requests(std::slice::from_ref(&edit), false).expect("one"),
            [Request::Edit { edits: vec![edit], atomic: false, more: false }]
        );
    }

    #[test]
    fn more_than_one_change_may_hold_is_refused() {
        let edit = Edit::RemoveService(Key::Mark { mark: 7, ipv6: false });
        let size = to_line(&edit).expect("a line").len();
        let fault = requests(&vec![edit; JOINED_MAX / size + 1], true).expect_err("too many");
        assert!(fault.text.contains("too many"), "{}", fault.text);
    }

    #[test]
    fn clearing_nothing_starts_nothing() {
        assert!(of_nothing(0, &Edit::Clear {}).is_none());
        let key = Key::Mark { mark: 7, ipv6: false };
        assert!(matches!(of_nothing(3, &Edit::RemoveService(key)), Some(Nothing::Fails(e)) if e.index == 3));
        let timeouts = Edit::Timeouts { tcp: 1, tcp_fin: 1, udp: 1 };
        assert!(matches!(of_nothing(0, &timeouts), Some(Nothing::NeedsInstance)));
    }
}
