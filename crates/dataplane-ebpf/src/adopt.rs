//! Takes over the doors that an earlier daemon left open.

use crate::{
    attach::{Attachment, Door, Mode, clsact_link},
    error::{Error, root_cause},
    kernel,
    plane::EbpfDataplane,
};
use aya::programs::{
    ProgramInfo,
    links::{FdLink, PinnedLink},
};
use std::{fs, path::PathBuf};

impl EbpfDataplane {
    /// Takes over the doors an earlier daemon left open. One that leads into another program is led into this one,
    /// without a moment in which it is closed.
    pub(crate) fn adopt_links(&mut self) -> Result<(), Error> {
        let Some(pins) = self.pins.clone() else { return Ok(()) };
        let io = |cause| Error::Io { what: "cannot read the pin directory", cause };
        for entry in fs::read_dir(&pins).map_err(io)? {
            let path = entry.map_err(io)?.path();
            let name = path.file_name().and_then(|n| n.to_str()).unwrap_or_default().to_owned();
            let Some((mode, index)) = name.strip_prefix("link_").and_then(|rest| rest.split_once('_')) else {
                continue;
            };
            if let (Some(mode), Ok(index)) = (Mode::from_name(mode), index.parse()) {
                self.adopt(mode, index, path)?;
            }
        }
        Ok(())
    }

    fn adopt(&mut self, mode: Mode, index: u32, path: PathBuf) -> Result<(), Error> {
        let wrong = |why: String| Error::Pin { path: path.clone(), why };
        let remove = || fs::remove_file(&path).map_err(|e| Error::Pin { path: path.clone(), why: e.to_string() });
        let Some(interface) = kernel::interface_name(index) else { return remove() };
        let mut program_id = 0;
        let link = if mode == Mode::Clsact {
            None
        } else {
            let link = FdLink::from(PinnedLink::from_pin(&path).map_err(|e| wrong(root_cause(&e)))?);
            let (program, on) = kernel::link_info(&path).map_err(|e| wrong(e.to_string()))?;
            if on != index {
                // The device is gone, and with it what the link held.
                return remove();
            }
            program_id = program;
            Some(link)
        };
        let pinned = self.pins.as_ref().and_then(|pins| ProgramInfo::from_pin(pins.join(mode.program())).ok());
        self.load(mode)?;
        let same = match &pinned {
            Some(old) => old.tag() == self.program_info(mode)?.tag(),
            None => false,
        };
        if same {
            program_id = pinned.map_or(program_id, |old| old.id());
        } else {
            self.replace(mode, &interface, link).map_err(wrong)?;
            program_id = self.program_id(mode)?;
            self.pin_program(mode)?;
        }
        let attachment = Attachment { interface, index, mode, program_id };
        self.links.doors.insert(index, Door { attachment, link: None });
        Ok(())
    }

    fn replace(&mut self, mode: Mode, interface: &str, link: Option<FdLink>) -> Result<(), String> {
        let text = |e: Error| e.to_string();
        match (mode, link) {
            (Mode::Xdp | Mode::Generic, Some(link)) => {
                let link = link.try_into().map_err(|e| root_cause(&e))?;
                let program = self.xdp().map_err(text)?;
                let id = program.attach_to_link(link).map_err(|e| root_cause(&e))?;
                // Closing the link does not open the door: its pin holds it.
                drop(program.take_link(id).map_err(|e| root_cause(&e))?);
            }
            (Mode::Tcx, Some(link)) => {
                let link = link.try_into().map_err(|e| root_cause(&e))?;
                let program = self.tc().map_err(text)?;
                let id = program.attach_to_link(link).map_err(|e| root_cause(&e))?;
                drop(program.take_link(id).map_err(|e| root_cause(&e))?);
            }
            (Mode::Clsact, _) => {
                let link = clsact_link(interface).map_err(|e| e.to_string())?;
                let program = self.tc().map_err(text)?;
                let id = program.attach_to_link(link).map_err(|e| root_cause(&e))?;
                // Dropping a filter's link would remove the filter.
                std::mem::forget(program.take_link(id).map_err(|e| root_cause(&e))?);
            }
            (Mode::Xdp | Mode::Generic | Mode::Tcx, None) => return Err("the link is missing".to_owned()),
        }
        Ok(())
    }
}
