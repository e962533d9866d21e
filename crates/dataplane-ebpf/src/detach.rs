//! Closes doors, and removes what was pinned.

use crate::{
    attach::{Attachment, Door, Mode},
    error::Error,
    filter, kernel,
    plane::EbpfDataplane,
};
use std::{
    fs, io,
    path::{Path, PathBuf},
};

impl EbpfDataplane {
    /// Closes the door at an interface; none there is no error.
    pub fn detach(&mut self, index: u32) -> Result<(), Error> {
        match self.links.doors.remove(&index) {
            Some(door) => self.close(door),
            None => Ok(()),
        }
    }

    pub(crate) fn close(&mut self, door: Door) -> Result<(), Error> {
        let Attachment { mode, index, .. } = door.attachment;
        drop(door.link);
        if mode == Mode::Clsact {
            filter::remove(index)?;
            self.remove_qdisc(index)?;
        }
        match self.pin(mode, index) {
            Some(pin) if pin.exists() => close_pinned(mode, &pin),
            _ => Ok(()),
        }
    }

    /// Looks whether the doors are still open. Forgets those that are not, because their interface is gone or somebody has
    /// closed them; their indices.
    pub fn prune(&mut self) -> Result<Vec<u32>, Error> {
        let mut shut = Vec::new();
        for door in self.links.doors.values_mut() {
            let Attachment { index, mode, .. } = door.attachment;
            let Some(name) = kernel::interface_name(index) else {
                shut.push(index);
                continue;
            };
            door.attachment.interface = name;
            let pin = self.pins.as_ref().map(|pins| pins.join(format!("link_{mode}_{index}")));
            // What cannot be told is taken for open.
            let open = match (mode, pin) {
                (Mode::Clsact, _) => filter::program(index).map_or(true, |program| program.is_some()),
                (Mode::Tcx | Mode::Xdp | Mode::Generic, Some(pin)) => {
                    kernel::link_info(&pin).map_or(true, |(_, on)| on == index)
                }
                (Mode::Tcx | Mode::Xdp | Mode::Generic, None) => true,
            };
            if !open {
                shut.push(index);
            }
        }
        for index in &shut {
            self.detach(*index)?;
        }
        Ok(shut)
    }

    /// Removes everything this data plane has added to the system. What cannot be removed does not keep the rest; the first
    /// failure is told.
    pub fn remove_all(mut self) -> Result<(), Error> {
        let mut result = Ok(());
        for door in std::mem::take(&mut self.links.doors).into_values() {
            result = result.and(self.close(door));
        }
        if let Some(pins) = self.pins.take() {
            result = result.and(remove_pins(&pins));
        }
        result
    }
}

/// Removes what a daemon of whatever version has left serving under its pin directory, without loading anything. Whether
/// there was something.
pub fn remove_leftovers(parent: &Path) -> Result<bool, Error> {
    let mut found = false;
    let mut result = Ok(());
    for pins in entries(parent)? {
        let is_layout = pins.file_name().and_then(|n| n.to_str()).is_some_and(|n| n.starts_with('v'));
        if is_layout && pins.is_dir() {
            found |= pins.join(crate::maps::HEADER).exists();
            result = result.and(remove_pins(&pins));
        }
    }
    result.map(|()| found)
}

/// The mode and the interface that a pin's name says it is the door of.
pub(crate) fn door_of(pin: &Path) -> Option<(Mode, u32)> {
    let (mode, index) = pin.file_name()?.to_str()?.strip_prefix("link_")?.split_once('_')?;
    Some((Mode::from_name(mode)?, index.parse().ok()?))
}

fn remove_pins(pins: &Path) -> Result<(), Error> {
    clear(pins)?;
    fs::remove_dir(pins).map_err(|cause| Error::Io { what: "cannot remove the pin directory", cause })
}

/// Closes every door that a pin tells of, and removes every pin. The header goes first: what is left by a crash on the way
/// is then taken for what it is.
pub(crate) fn clear(pins: &Path) -> Result<(), Error> {
    let header = pins.join(crate::maps::HEADER);
    let mut result = if header.exists() { remove_pin(&header) } else { Ok(()) };
    for pin in entries(pins)? {
        if pin == header {
            continue;
        }
        result = result.and(match door_of(&pin) {
            Some((Mode::Clsact, index)) => close_filter(pins, &pin, index),
            Some((mode @ (Mode::Tcx | Mode::Xdp | Mode::Generic), _)) => close_pinned(mode, &pin),
            // The note of a qdisc goes with its filter, or has none.
            None if pin.exists() => remove_pin(&pin),
            None => Ok(()),
        });
    }
    result
}

fn close_filter(pins: &Path, pin: &Path, index: u32) -> Result<(), Error> {
    filter::remove(index)?;
    let note = filter::qdisc_note(pins, index);
    if note.exists() {
        remove_pin(&note)?;
        filter::remove_unused_qdisc(index)?;
    }
    remove_pin(pin)
}

fn close_pinned(mode: Mode, pin: &Path) -> Result<(), Error> {
    if mode != Mode::Clsact {
        // A link whose interface is gone is severed already.
        let _ = kernel::detach_link(pin);
    }
    remove_pin(pin)
}

fn remove_pin(pin: &Path) -> Result<(), Error> {
    fs::remove_file(pin).map_err(|e| Error::Pin { path: pin.to_owned(), why: format!("cannot be removed: {e}") })
}

fn entries(directory: &Path) -> Result<Vec<PathBuf>, Error> {
    let read = |directory: &Path| fs::read_dir(directory)?.map(|entry| Ok(entry?.path())).collect::<io::Result<_>>();
    read(directory).map_err(|cause| Error::Io { what: "cannot read the pin directory", cause })
}
