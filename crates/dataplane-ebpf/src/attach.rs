//! The doors: where packets enter the program, and what keeps them open without the daemon.
//!
//! XDP and tcx attachments are links whose pin holds them; a clsact filter is held by its interface and told by a
//! priority and handle of our own. Facts of the kernel that this rests on are in docs/adr/0002.

use crate::{
    error::{Error, root_cause},
    kernel,
    plane::EbpfDataplane,
};
use aya::programs::{
    ProgramInfo, SchedClassifier, TcAttachType, Xdp, XdpMode,
    links::FdLink,
    tc::{self, NlOptions, SchedClassifierLink, TcAttachOptions, TcHandle},
};
use evenkeel_netlink::{LinkKind, Netlink};
use std::{
    collections::{BTreeMap, BTreeSet},
    fmt, fs,
    path::PathBuf,
    str::FromStr,
};

/// Which door is wanted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Attach {
    /// Native XDP where the interface is a network card whose driver has it, else tcx, else clsact.
    #[default]
    Auto,
    /// tcx (Linux 6.6 and later).
    Tcx,
    /// A filter in the clsact qdisc.
    Clsact,
    /// Native XDP.
    Xdp,
    /// Generic XDP.
    Generic,
}

impl FromStr for Attach {
    type Err = String;

    fn from_str(word: &str) -> Result<Attach, String> {
        match word {
            "auto" => Ok(Attach::Auto),
            "tcx" => Ok(Attach::Tcx),
            "clsact" => Ok(Attach::Clsact),
            "xdp" => Ok(Attach::Xdp),
            "generic" => Ok(Attach::Generic),
            _ => Err(format!("no such way to attach: {word}; use auto, tcx, clsact, xdp or generic")),
        }
    }
}

/// Which door is open.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Mode {
    /// tcx.
    Tcx,
    /// A filter in the clsact qdisc.
    Clsact,
    /// Native XDP.
    Xdp,
    /// Generic XDP.
    Generic,
}

impl Mode {
    /// The word of the status contract.
    pub fn name(self) -> &'static str {
        match self {
            Mode::Tcx => "tcx",
            Mode::Clsact => "clsact",
            Mode::Xdp => "xdp",
            Mode::Generic => "generic",
        }
    }

    pub(crate) fn from_name(name: &str) -> Option<Mode> {
        [Mode::Tcx, Mode::Clsact, Mode::Xdp, Mode::Generic].into_iter().find(|m| m.name() == name)
    }

    pub(crate) fn is_xdp(self) -> bool {
        match self {
            Mode::Xdp | Mode::Generic => true,
            Mode::Tcx | Mode::Clsact => false,
        }
    }

    /// Name of the program and of its pin.
    pub(crate) fn program(self) -> &'static str {
        if self.is_xdp() { XDP } else { TC }
    }
}

impl fmt::Display for Mode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// An open door.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Attachment {
    /// Interface.
    pub interface: String,
    /// Its index.
    pub index: u32,
    /// Which door.
    pub mode: Mode,
    /// The kernel's number of the program.
    pub program_id: u32,
}

const XDP: &str = "evenkeel_xdp";
const TC: &str = "evenkeel_tc";
/// Priority and handle of our filter among those of an interface.
const PRIORITY: u16 = 77;
const HANDLE: u16 = 1;

/// What is attached, by interface index.
#[derive(Default)]
pub(crate) struct Links {
    pub(crate) doors: BTreeMap<u32, Door>,
    /// Interfaces whose clsact qdisc this process has made.
    qdiscs: BTreeSet<u32>,
}

pub(crate) struct Door {
    pub(crate) attachment: Attachment,
    /// Keeps the door open when there is no pin that does.
    pub(crate) link: Option<FdLink>,
}

impl EbpfDataplane {
    /// What is attached now.
    pub fn attachments(&self) -> Vec<Attachment> {
        self.links.doors.values().map(|door| door.attachment.clone()).collect()
    }

    /// Opens a door at an interface. Where one of ours is open already, adopted or not, it stays as it is.
    pub fn attach(&mut self, interface: &str, want: Attach) -> Result<Attachment, Error> {
        let index = kernel::interface_index(interface).ok_or_else(|| Error::NoInterface(interface.to_owned()))?;
        if let Some(door) = self.links.doors.get(&index) {
            return Ok(door.attachment.clone());
        }
        match want {
            Attach::Tcx => self.attach_as(interface, index, Mode::Tcx),
            Attach::Clsact => self.attach_as(interface, index, Mode::Clsact),
            Attach::Xdp => self.attach_as(interface, index, Mode::Xdp),
            Attach::Generic => self.attach_as(interface, index, Mode::Generic),
            Attach::Auto => {
                let modes: &[Mode] = if is_network_card(index) {
                    &[Mode::Xdp, Mode::Tcx, Mode::Clsact]
                } else {
                    &[Mode::Tcx, Mode::Clsact]
                };
                let mut refused = None;
                for mode in modes {
                    match self.attach_as(interface, index, *mode) {
                        Ok(attachment) => return Ok(attachment),
                        Err(error) => refused = Some(error),
                    }
                }
                Err(refused.unwrap_or_else(|| Error::NoInterface(interface.to_owned())))
            }
        }
    }

    /// Closes the door at an interface; none there is no error.
    pub fn detach(&mut self, index: u32) -> Result<(), Error> {
        let Some(door) = self.links.doors.remove(&index) else { return Ok(()) };
        drop(door.link);
        let Attachment { interface, mode, .. } = door.attachment;
        if mode == Mode::Clsact {
            // A filter goes when its link is dropped. An interface that is gone took it along.
            if let Ok(link) = clsact_link(&interface) {
                drop(link);
            }
            self.remove_qdisc(index)?;
        }
        if let Some(pin) = self.pin(mode, index)
            && pin.exists()
        {
            if mode != Mode::Clsact {
                // A link whose interface is gone is severed already.
                let _ = kernel::detach_link(&pin);
            }
            fs::remove_file(pin).map_err(|cause| Error::Io { what: "cannot remove a pin", cause })?;
        }
        Ok(())
    }

    /// Removes the qdisc that was made for our filter, unless somebody else has put a filter into it since.
    fn remove_qdisc(&mut self, index: u32) -> Result<(), Error> {
        let noted = self.qdisc_note(index).is_some_and(|note| fs::remove_file(note).is_ok());
        if (self.links.qdiscs.remove(&index) || noted) && kernel::interface_name(index).is_some() {
            let removed = Netlink::open().and_then(|mut netlink| netlink.remove_unused_clsact(index));
            removed.map_err(|e| Error::Io {
                what: "cannot remove the clsact qdisc",
                cause: std::io::Error::other(e.to_string()),
            })?;
        }
        Ok(())
    }

    /// The pin that notes that an interface's qdisc is of our making.
    fn qdisc_note(&self, index: u32) -> Option<PathBuf> {
        self.pins.as_ref().map(|pins| pins.join(format!("qdisc_{index}")))
    }

    /// Forgets doors whose interface is gone; their indices.
    pub fn prune(&mut self) -> Result<Vec<u32>, Error> {
        let gone: Vec<u32> = self
            .links
            .doors
            .values()
            .map(|door| &door.attachment)
            .filter(|a| kernel::interface_name(a.index).as_deref() != Some(a.interface.as_str()))
            .map(|a| a.index)
            .collect();
        for index in &gone {
            self.detach(*index)?;
        }
        Ok(gone)
    }

    /// Removes everything this data plane has added to the system.
    pub fn remove_all(mut self) -> Result<(), Error> {
        for index in self.links.doors.keys().copied().collect::<Vec<_>>() {
            self.detach(index)?;
        }
        if let Some(pins) = self.pins.take() {
            crate::open::clear(&pins)?;
            fs::remove_dir(&pins).map_err(|cause| Error::Io { what: "cannot remove the pin directory", cause })?;
        }
        Ok(())
    }

    fn pin(&self, mode: Mode, index: u32) -> Option<PathBuf> {
        self.pins.as_ref().map(|pins| pins.join(format!("link_{mode}_{index}")))
    }

    fn attach_as(&mut self, interface: &str, index: u32, mode: Mode) -> Result<Attachment, Error> {
        let refused = |why: String| Error::Attach { interface: interface.to_owned(), mode: mode.name(), why };
        self.load(mode)?;
        let link = match mode {
            Mode::Xdp => Some(self.xdp()?.attach_link(index, XdpMode::Driver).map_err(refused)?),
            Mode::Generic => Some(self.xdp()?.attach_link(index, XdpMode::Skb).map_err(refused)?),
            Mode::Tcx => Some(attach_tcx(self.tc()?, interface).map_err(refused)?),
            Mode::Clsact => {
                let made = attach_clsact(self.tc()?, interface).map_err(refused)?;
                if made {
                    self.links.qdiscs.insert(index);
                    if let Some(note) = self.qdisc_note(index) {
                        self.tc()?.pin(&note).map_err(|e| Error::Pin { path: note, why: root_cause(&e) })?;
                    }
                }
                None
            }
        };
        let program_id = self.program_id(mode)?;
        let link = self.keep(link, mode, index)?;
        let attachment = Attachment { interface: interface.to_owned(), index, mode, program_id };
        self.links.doors.insert(index, Door { attachment: attachment.clone(), link });
        Ok(attachment)
    }

    /// Pins a link, or the program of a filter as the note that there is one.
    fn keep(&mut self, link: Option<FdLink>, mode: Mode, index: u32) -> Result<Option<FdLink>, Error> {
        let Some(path) = self.pin(mode, index) else { return Ok(link) };
        let wrong = |why| Error::Pin { path: path.clone(), why };
        match link {
            Some(link) => {
                link.pin(&path).map_err(|e| wrong(root_cause(&e)))?;
            }
            None => {
                self.tc()?.pin(&path).map_err(|e| wrong(root_cause(&e)))?;
            }
        }
        self.pin_program(mode)?;
        Ok(None)
    }

    /// Pins the program itself, by which the next start knows whether it is the same.
    pub(crate) fn pin_program(&mut self, mode: Mode) -> Result<(), Error> {
        let Some(path) = self.pins.as_ref().map(|pins| pins.join(mode.program())) else { return Ok(()) };
        let wrong = |why| Error::Pin { path: path.clone(), why };
        if path.exists() {
            fs::remove_file(&path).map_err(|e| wrong(e.to_string()))?;
        }
        let pinned = if mode.is_xdp() { self.xdp()?.pin(&path) } else { self.tc()?.pin(&path) };
        pinned.map_err(|e| wrong(root_cause(&e)))
    }

    pub(crate) fn xdp(&mut self) -> Result<&mut Xdp, Error> {
        let program = self.object.program_mut(XDP).and_then(|p| p.try_into().ok());
        program.ok_or_else(|| Error::Load(format!("the object has no program {XDP}")))
    }

    pub(crate) fn tc(&mut self) -> Result<&mut SchedClassifier, Error> {
        let program = self.object.program_mut(TC).and_then(|p| p.try_into().ok());
        program.ok_or_else(|| Error::Load(format!("the object has no program {TC}")))
    }

    /// Has the kernel verify the door's program, once.
    pub(crate) fn load(&mut self, mode: Mode) -> Result<(), Error> {
        let loaded = if mode.is_xdp() {
            let program = self.xdp()?;
            if program.fd().is_ok() { Ok(()) } else { program.load() }
        } else {
            let program = self.tc()?;
            if program.fd().is_ok() { Ok(()) } else { program.load() }
        };
        loaded.map_err(|e| Error::Load(root_cause(&e)))
    }

    pub(crate) fn program_info(&mut self, mode: Mode) -> Result<ProgramInfo, Error> {
        let info = if mode.is_xdp() { self.xdp()?.info() } else { self.tc()?.info() };
        info.map_err(|e| Error::Load(root_cause(&e)))
    }

    pub(crate) fn program_id(&mut self, mode: Mode) -> Result<u32, Error> {
        Ok(self.program_info(mode)?.id())
    }
}

trait AttachLink {
    fn attach_link(&mut self, index: u32, mode: XdpMode) -> Result<FdLink, String>;
}

impl AttachLink for Xdp {
    fn attach_link(&mut self, index: u32, mode: XdpMode) -> Result<FdLink, String> {
        let id = self.attach_to_if_index(index, mode).map_err(|e| root_cause(&e))?;
        let link = self.take_link(id).map_err(|e| root_cause(&e))?;
        link.try_into().map_err(|e: aya::programs::links::LinkError| root_cause(&e))
    }
}

fn attach_tcx(program: &mut SchedClassifier, interface: &str) -> Result<FdLink, String> {
    let options = TcAttachOptions::TcxOrder(aya::programs::LinkOrder::default());
    let id = program.attach_with_options(interface, TcAttachType::Ingress, options).map_err(|e| root_cause(&e))?;
    let link = program.take_link(id).map_err(|e| root_cause(&e))?;
    link.try_into().map_err(|e: aya::programs::links::LinkError| root_cause(&e))
}

/// Adds our filter; whether the qdisc had to be made for it.
fn attach_clsact(program: &mut SchedClassifier, interface: &str) -> Result<bool, String> {
    let made = match tc::qdisc_add_clsact(interface) {
        Ok(()) => true,
        Err(error) => {
            let cause = root_cause(&error);
            if !cause.contains("File exists") {
                return Err(cause);
            }
            false
        }
    };
    let options = NlOptions { priority: PRIORITY, handle: TcHandle::new(0, HANDLE), classid: None };
    let options = TcAttachOptions::Netlink(options);
    let id = program.attach_with_options(interface, TcAttachType::Ingress, options).map_err(|e| root_cause(&e))?;
    // Dropping a filter's link would remove the filter.
    std::mem::forget(program.take_link(id).map_err(|e| root_cause(&e))?);
    Ok(made)
}

pub(crate) fn clsact_link(interface: &str) -> std::io::Result<SchedClassifierLink> {
    SchedClassifierLink::attached(interface, TcAttachType::Ingress, PRIORITY, TcHandle::new(0, HANDLE), None)
}

/// A device with a driver behind it, as against veth, bridges, tunnels and other software devices. Asked of the kernel:
/// sysfs may show another network namespace.
fn is_network_card(index: u32) -> bool {
    let link = Netlink::open().and_then(|mut netlink| netlink.link_at(index));
    matches!(link, Ok(Some(link)) if link.kind == LinkKind::Physical)
}
