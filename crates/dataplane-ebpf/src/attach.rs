//! The doors: where packets enter the program, and what keeps them open without the daemon.
//!
//! XDP and tcx attachments are links whose pin holds them; a clsact filter is held by its interface and told by a
//! priority and handle of our own. Facts of the kernel that this rests on are in docs/adr/0002.

use crate::{
    error::{Error, refusal, root_cause},
    kernel,
    plane::EbpfDataplane,
};
use aya::programs::{ProgramInfo, SchedClassifier, TcAttachType, Xdp, XdpMode, links::FdLink, tc::TcAttachOptions};
use evenkeel_netlink::{LinkKind, Netlink};
use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
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

impl Attach {
    /// Whether a door is of the kind that is wanted.
    fn takes(self, mode: Mode) -> bool {
        match self {
            Attach::Auto => true,
            Attach::Tcx => mode == Mode::Tcx,
            Attach::Clsact => mode == Mode::Clsact,
            Attach::Xdp => mode == Mode::Xdp,
            Attach::Generic => mode == Mode::Generic,
        }
    }

    /// What to try, in order.
    fn modes(self, index: u32) -> &'static [Mode] {
        match self {
            Attach::Auto if is_network_card(index) => &[Mode::Xdp, Mode::Tcx, Mode::Clsact],
            Attach::Auto => &[Mode::Tcx, Mode::Clsact],
            Attach::Tcx => &[Mode::Tcx],
            Attach::Clsact => &[Mode::Clsact],
            Attach::Xdp => &[Mode::Xdp],
            Attach::Generic => &[Mode::Generic],
        }
    }
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

    /// Name of the program.
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

/// What is attached, by interface index.
#[derive(Default)]
pub(crate) struct Links {
    pub(crate) doors: BTreeMap<u32, Door>,
    /// Interfaces whose clsact qdisc this process has made.
    pub(crate) qdiscs: BTreeSet<u32>,
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

    /// Opens a door at an interface. Where one of ours of that kind is open already, adopted or not, it stays as it is; one
    /// of another kind is replaced.
    pub fn attach(&mut self, interface: &str, want: Attach) -> Result<Attachment, Error> {
        let index = kernel::interface_index(interface).ok_or_else(|| Error::NoInterface(interface.to_owned()))?;
        let Some(open) = self.links.doors.get_mut(&index) else { return self.open_door(interface, index, want) };
        open.attachment.interface = interface.to_owned();
        if want.takes(open.attachment.mode) {
            return Ok(open.attachment.clone());
        }
        self.replace_door(interface, index, want)
    }

    fn open_door(&mut self, interface: &str, index: u32, want: Attach) -> Result<Attachment, Error> {
        let mut refused = None;
        for mode in want.modes(index) {
            match self.attach_as(interface, index, *mode) {
                Ok(attachment) => return Ok(attachment),
                Err(error) => refused = Some(error),
            }
        }
        Err(refused.unwrap_or_else(|| Error::NoInterface(interface.to_owned())))
    }

    /// The new door is open before the old one closes, unless the kernel has both in the same place.
    fn replace_door(&mut self, interface: &str, index: u32, want: Attach) -> Result<Attachment, Error> {
        let Some(old) = self.links.doors.remove(&index) else { return self.open_door(interface, index, want) };
        let mode = old.attachment.mode;
        if mode.is_xdp() && want.modes(index).iter().any(|mode| mode.is_xdp()) {
            self.close(old)?;
            return self.open_door(interface, index, want).or_else(|refused| {
                // Better the old door than none.
                self.attach_as(interface, index, mode).and(Err(refused))
            });
        }
        match self.open_door(interface, index, want) {
            Ok(attachment) => self.close(old).map(|()| attachment),
            Err(refused) => {
                self.links.doors.insert(index, old);
                Err(refused)
            }
        }
    }

    fn attach_as(&mut self, interface: &str, index: u32, mode: Mode) -> Result<Attachment, Error> {
        let refused = |why: String| Error::Attach { interface: interface.to_owned(), mode: mode.name(), why };
        if let (Mode::Generic, Some(server)) = (mode, self.translated()) {
            return Err(refused(format!(
                "real server {server} is reached by address translation, which generic XDP cannot do; tcx, clsact and native \
                 XDP can"
            )));
        }
        self.load(mode)?;
        let link = match mode {
            Mode::Xdp => Some(self.xdp()?.attach_link(index, XdpMode::Driver).map_err(refused)?),
            Mode::Generic => Some(self.xdp()?.attach_link(index, XdpMode::Skb).map_err(refused)?),
            Mode::Tcx => Some(attach_tcx(self.tc()?, interface).map_err(refused)?),
            Mode::Clsact => {
                self.add_filter(interface, index)?;
                None
            }
        };
        let program_id = self.program_id(mode)?;
        let link = match (link, self.pin(mode, index)) {
            (Some(link), Some(path)) => {
                link.pin(&path).map_err(|e| Error::Pin { path, why: root_cause(&e) })?;
                None
            }
            (link, _) => link,
        };
        let attachment = Attachment { interface: interface.to_owned(), index, mode, program_id };
        self.links.doors.insert(index, Door { attachment: attachment.clone(), link });
        Ok(attachment)
    }

    /// The pin of a link, or of the note that there is a filter.
    pub(crate) fn pin(&self, mode: Mode, index: u32) -> Option<PathBuf> {
        self.pins.as_ref().map(|pins| pins.join(format!("link_{mode}_{index}")))
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
            if program.fd().is_ok() { Ok(()) } else { kernel::uninterrupted(|| program.load()) }
        } else {
            let program = self.tc()?;
            if program.fd().is_ok() { Ok(()) } else { kernel::uninterrupted(|| program.load()) }
        };
        loaded.map_err(|e| Error::Load(refusal(&e)))
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
        let id = self.attach_to_if_index(index, mode).map_err(|e| in_use(root_cause(&e)))?;
        let link = self.take_link(id).map_err(|e| root_cause(&e))?;
        link.try_into().map_err(|e: aya::programs::links::LinkError| root_cause(&e))
    }
}

/// The kernel's word for it says only that something is busy or exists.
fn in_use(cause: String) -> String {
    if cause.contains("Device or resource busy") || cause.contains("File exists") {
        return format!("another XDP program is attached there already ({cause})");
    }
    cause
}

fn attach_tcx(program: &mut SchedClassifier, interface: &str) -> Result<FdLink, String> {
    let options = TcAttachOptions::TcxOrder(aya::programs::LinkOrder::default());
    let id = program.attach_with_options(interface, TcAttachType::Ingress, options).map_err(|e| root_cause(&e))?;
    let link = program.take_link(id).map_err(|e| root_cause(&e))?;
    link.try_into().map_err(|e: aya::programs::links::LinkError| root_cause(&e))
}

/// A device with a driver behind it, as against veth, bridges, tunnels and other software devices. Asked of the kernel:
/// sysfs may show another network namespace.
fn is_network_card(index: u32) -> bool {
    let link = Netlink::open().and_then(|mut netlink| netlink.link_at(index));
    matches!(link, Ok(Some(link)) if link.kind == LinkKind::Physical)
}
