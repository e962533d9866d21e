//! The clsact door: a filter that its interface holds, told by a priority and handle of our own.
//!
//! There is no link that could be pinned. Pins of the program beside the tables note that there is a filter and that the
//! qdisc is of our making; each is made before what it notes, so that a crash leaves nothing that is not noted.

use crate::{
    attach::Mode,
    error::{Error, root_cause},
    kernel,
    plane::EbpfDataplane,
};
use aya::programs::{
    TcAttachType,
    tc::{self, NlOptions, SchedClassifierLink, TcAttachOptions, TcHandle},
};
use evenkeel_netlink::Netlink;
use std::{
    fs, io,
    path::{Path, PathBuf},
};

/// Priority and handle of our filter among those of an interface.
const PRIORITY: u16 = 77;
const HANDLE: u16 = 1;

impl EbpfDataplane {
    /// Adds our filter, and the qdisc for it where there is none.
    pub(crate) fn add_filter(&mut self, interface: &str, index: u32) -> Result<(), Error> {
        let refused = |why: String| Error::Attach { interface: interface.to_owned(), mode: Mode::Clsact.name(), why };
        if program(index)?.is_some() {
            return Err(refused(format!(
                "a filter of priority {PRIORITY} is there already, of another instance or left by one; `tc filter del dev \
                 {interface} ingress pref {PRIORITY}` removes it"
            )));
        }
        self.note(self.pin(Mode::Clsact, index))?;
        self.add_qdisc(interface, index).map_err(refused)?;
        let options = NlOptions { priority: PRIORITY, handle: TcHandle::new(0, HANDLE), classid: None };
        let tc = self.tc()?;
        let id = tc.attach_with_options(interface, TcAttachType::Ingress, TcAttachOptions::Netlink(options));
        match id.and_then(|id| tc.take_link(id)) {
            Ok(link) => {
                // Dropping a filter's link would remove the filter.
                std::mem::forget(link);
                Ok(())
            }
            Err(cause) => {
                if let Some(note) = self.pin(Mode::Clsact, index) {
                    // The next start finds no filter to the note and removes it.
                    let _ = fs::remove_file(note);
                }
                self.remove_qdisc(index)?;
                Err(refused(root_cause(&cause)))
            }
        }
    }

    fn add_qdisc(&mut self, interface: &str, index: u32) -> Result<(), String> {
        let note = self.qdisc_note(index);
        let noted = note.as_ref().is_some_and(|note| note.exists());
        self.note(note.clone()).map_err(|e| e.to_string())?;
        let Err(error) = tc::qdisc_add_clsact(interface) else {
            self.links.qdiscs.insert(index);
            return Ok(());
        };
        if let Some(note) = note.filter(|_| !noted) {
            fs::remove_file(note).map_err(|e| e.to_string())?;
        }
        let cause = root_cause(&error);
        if cause.contains("File exists") { Ok(()) } else { Err(cause) }
    }

    /// Pins the program as a note.
    fn note(&mut self, path: Option<PathBuf>) -> Result<(), Error> {
        match path {
            Some(path) if !path.exists() => self.tc()?.pin(&path).map_err(|e| Error::Pin { path, why: root_cause(&e) }),
            _ => Ok(()),
        }
    }

    /// Leads our filter into this program instead of the one it leads into.
    pub(crate) fn lead_filter(&mut self, interface: &str) -> Result<(), String> {
        let link = link(interface).map_err(|e| e.to_string())?;
        let program = self.tc().map_err(|e| e.to_string())?;
        let id = program.attach_to_link(link).map_err(|e| root_cause(&e))?;
        std::mem::forget(program.take_link(id).map_err(|e| root_cause(&e))?);
        Ok(())
    }

    /// Removes the qdisc that was made for our filter, unless somebody else has put a filter into it since.
    pub(crate) fn remove_qdisc(&mut self, index: u32) -> Result<(), Error> {
        let noted = self.qdisc_note(index).is_some_and(|note| fs::remove_file(note).is_ok());
        if self.links.qdiscs.remove(&index) || noted { remove_unused_qdisc(index) } else { Ok(()) }
    }

    fn qdisc_note(&self, index: u32) -> Option<PathBuf> {
        self.pins.as_ref().map(|pins| qdisc_note(pins, index))
    }
}

/// The pin that notes that an interface's qdisc is of our making.
pub(crate) fn qdisc_note(pins: &Path, index: u32) -> PathBuf {
    pins.join(format!("qdisc_{index}"))
}

/// The program our filter leads into; `None`: there is no filter of ours.
pub(crate) fn program(index: u32) -> Result<Option<u32>, Error> {
    let found = Netlink::open().and_then(|mut netlink| netlink.ingress_program(index, PRIORITY, u32::from(HANDLE)));
    found.map_err(|e| Error::Io { what: "cannot read the interface's filters", cause: io::Error::other(e.to_string()) })
}

/// Removes our filter, if it is there.
pub(crate) fn remove(index: u32) -> Result<(), Error> {
    let Some(interface) = kernel::interface_name(index) else { return Ok(()) };
    if program(index)?.is_some()
        && let Ok(link) = link(&interface)
    {
        drop(link);
    }
    Ok(())
}

/// Removes the clsact qdisc of an interface, unless there is a filter in it.
pub(crate) fn remove_unused_qdisc(index: u32) -> Result<(), Error> {
    if kernel::interface_name(index).is_none() {
        return Ok(());
    }
    let removed = Netlink::open().and_then(|mut netlink| netlink.remove_unused_clsact(index));
    match removed {
        // Somebody was faster.
        Err(e) if e.is_missing() => Ok(()),
        Err(e) => Err(Error::Io { what: "cannot remove the clsact qdisc", cause: io::Error::other(e.to_string()) }),
        Ok(_) => Ok(()),
    }
}

fn link(interface: &str) -> io::Result<SchedClassifierLink> {
    SchedClassifierLink::attached(interface, TcAttachType::Ingress, PRIORITY, TcHandle::new(0, HANDLE), None)
}
