//! Takes over the doors that an earlier daemon left open.

use crate::{
    attach::{Attachment, Door, Mode},
    detach,
    error::{Error, root_cause},
    filter, kernel,
    plane::EbpfDataplane,
};
use aya::programs::links::{FdLink, PinnedLink};
use std::{
    fs,
    path::{Path, PathBuf},
};

impl EbpfDataplane {
    /// Takes over the doors an earlier daemon left open. One that leads into another program is led into this one,
    /// without a moment in which it is closed.
    pub(crate) fn adopt_links(&mut self) -> Result<(), Error> {
        let Some(pins) = self.pins.clone() else { return Ok(()) };
        let io = |cause| Error::Io { what: "cannot read the pin directory", cause };
        for entry in fs::read_dir(&pins).map_err(io)? {
            let pin = entry.map_err(io)?.path();
            if let Some((mode, index)) = detach::door_of(&pin) {
                self.adopt(mode, index, pin)?;
            }
        }
        Ok(())
    }

    fn adopt(&mut self, mode: Mode, index: u32, pin: PathBuf) -> Result<(), Error> {
        let wrong = |why: String| Error::Pin { path: pin.clone(), why };
        let interface = kernel::interface_name(index).unwrap_or_default();
        let held = program_of(mode, index, &pin)?;
        let attachment = Attachment { interface: interface.clone(), index, mode, program_id: held.unwrap_or_default() };
        let door = Door { attachment, link: None };
        let Some(held) = held else {
            // The device is gone, or somebody has closed the door.
            return self.close(door);
        };
        if self.links.doors.contains_key(&index) {
            // The last daemon died while it replaced one by the other.
            return self.close(door);
        }
        self.load(mode)?;
        self.links.doors.insert(index, door);
        if kernel::program_tag(held).map_err(|e| wrong(e.to_string()))? != self.program_info(mode)?.tag().to_be_bytes()
        {
            self.replace(mode, &interface, &pin).map_err(wrong)?;
            let program_id = self.program_id(mode)?;
            if let Some(door) = self.links.doors.get_mut(&index) {
                door.attachment.program_id = program_id;
            }
        }
        Ok(())
    }

    fn replace(&mut self, mode: Mode, interface: &str, pin: &Path) -> Result<(), String> {
        if mode == Mode::Clsact {
            return self.lead_filter(interface);
        }
        let link = FdLink::from(PinnedLink::from_pin(pin).map_err(|e| root_cause(&e))?);
        // Closing the link afterwards does not close the door: its pin holds it.
        if mode.is_xdp() {
            let link = link.try_into().map_err(|e| root_cause(&e))?;
            let program = self.xdp().map_err(|e| e.to_string())?;
            let id = program.attach_to_link(link).map_err(|e| root_cause(&e))?;
            drop(program.take_link(id).map_err(|e| root_cause(&e))?);
        } else {
            let link = link.try_into().map_err(|e| root_cause(&e))?;
            let program = self.tc().map_err(|e| e.to_string())?;
            let id = program.attach_to_link(link).map_err(|e| root_cause(&e))?;
            drop(program.take_link(id).map_err(|e| root_cause(&e))?);
        }
        Ok(())
    }
}

/// The program a door leads into; `None`: there is no such door any more.
fn program_of(mode: Mode, index: u32, pin: &Path) -> Result<Option<u32>, Error> {
    if kernel::interface_name(index).is_none() {
        return Ok(None);
    }
    if mode == Mode::Clsact {
        return filter::program(index);
    }
    let info = kernel::link_info(pin).map_err(|e| Error::Pin { path: pin.to_owned(), why: e.to_string() })?;
    let (program, on) = info;
    Ok((on == index).then_some(program))
}
