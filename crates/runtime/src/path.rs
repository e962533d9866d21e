//! The packet path as the daemon uses it: a data plane, and the doors it is attached by.

use evenkeel_api::Attachment;
use evenkeel_dataplane::Dataplane;
use std::{fmt, io, os::fd::BorrowedFd, str::FromStr};

/// Which front door to attach by.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Door {
    /// The best the interface has: native XDP where its driver has it and it leads to a wire, else tcx, else clsact.
    #[default]
    Auto,
    /// The tcx hook, kernel 6.6 and later.
    Tcx,
    /// A filter of the clsact queueing discipline.
    Clsact,
    /// XDP in the driver.
    Xdp,
    /// XDP in the stack.
    Generic,
}

impl Door {
    /// The word of `--attach`.
    pub fn name(self) -> &'static str {
        match self {
            Door::Auto => "auto",
            Door::Tcx => "tcx",
            Door::Clsact => "clsact",
            Door::Xdp => "xdp",
            Door::Generic => "generic",
        }
    }
}

impl FromStr for Door {
    type Err = String;

    fn from_str(word: &str) -> Result<Door, String> {
        [Door::Auto, Door::Tcx, Door::Clsact, Door::Xdp, Door::Generic]
            .into_iter()
            .find(|door| door.name() == word)
            .ok_or_else(|| format!("there is no way to attach called {word:?}; use auto, tcx, clsact, xdp or generic"))
    }
}

impl fmt::Display for Door {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// A data plane that takes packets from interfaces.
pub trait PacketPath: Dataplane {
    /// The word of the status contract: `ebpf`.
    fn kind(&self) -> &'static str;

    /// Readable when fragments have come before the first one of their packet; `None` where none ever do.
    fn early_fragments(&self) -> Option<BorrowedFd<'_>> {
        None
    }

    /// Sends them on (PP-50); whether there were some, or some wait still. To be called when they come, and then a hundred
    /// times a second until there are none.
    fn settle_fragments(&mut self) -> io::Result<bool> {
        Ok(false)
    }

    /// Takes the packets of an interface. One that is attached already stays as it is, where the door fits; an error is
    /// a sentence fragment that reads well after "cannot attach to eth0:".
    fn attach(&mut self, interface: &str, door: Door) -> Result<Attachment, String>;

    /// Leaves an interface alone again.
    fn detach(&mut self, interface: &str) -> Result<(), String>;

    /// Where it is attached, as the kernel says it.
    fn attachments(&mut self) -> Vec<Attachment>;

    /// Why a crash of the daemon would interrupt the traffic, where it would.
    fn frailty(&self) -> Option<String>;

    /// Ends it and removes all it added to the host.
    fn remove(self: Box<Self>) -> Result<(), String>;

    /// Ends it and leaves the program serving.
    fn leave(self: Box<Self>);
}
