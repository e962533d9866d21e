//! What only the ethtool ioctl tells: the driver's name, and switching checksum offload.

#![allow(unsafe_code, reason = "SIOCETHTOOL takes a pointer to a struct of the command")]

use std::{io, os::fd::AsRawFd};

use crate::{error::Error, message::text, socket::Netlink};

const ETHTOOL_GDRVINFO: u32 = 0x03;
const ETHTOOL_GTXCSUM: u32 = 0x16;
const ETHTOOL_STXCSUM: u32 = 0x17;
/// sizeof(struct ethtool_drvinfo); the driver's name is the 32 bytes behind the command.
const DRVINFO: usize = 196;

impl Netlink {
    /// The driver of an interface, as `ethtool -i` says it; `None` when the interface has none.
    pub fn driver(&mut self, name: &str) -> Result<Option<String>, Error> {
        let mut info = [0u8; DRVINFO];
        info[..4].copy_from_slice(&ETHTOOL_GDRVINFO.to_ne_bytes());
        match self.ethtool(name, &mut info) {
            Ok(()) => Ok(text(&info[4..36]).filter(|driver| !driver.is_empty())),
            Err(e) if e.raw_os_error() == Some(libc::EOPNOTSUPP) => Ok(None),
            Err(e) => Err(Error::new(format!("read the driver of interface {name}"), e)),
        }
    }

    /// Whether the interface leaves the transport checksum to its peer or device.
    pub fn tx_checksum(&mut self, name: &str) -> Result<bool, Error> {
        let mut value = command(ETHTOOL_GTXCSUM, 0);
        self.ethtool(name, &mut value).map_err(|e| Error::new(format!("read checksum offload of {name}"), e))?;
        Ok(value[4..] != [0; 4])
    }

    /// Switches transport checksum offload, as `ethtool -K NAME tx on|off`.
    pub fn set_tx_checksum(&mut self, name: &str, on: bool) -> Result<(), Error> {
        let mut value = command(ETHTOOL_STXCSUM, u32::from(on));
        self.ethtool(name, &mut value).map_err(|e| Error::new(format!("switch checksum offload of {name}"), e))
    }

    fn ethtool(&mut self, name: &str, command: &mut [u8]) -> io::Result<()> {
        // SAFETY: all-zero bytes are a valid ifreq.
        let mut request: libc::ifreq = unsafe { std::mem::zeroed() };
        if name.len() >= request.ifr_name.len() {
            return Err(io::Error::from_raw_os_error(libc::ENODEV));
        }
        for (to, from) in request.ifr_name.iter_mut().zip(name.bytes()) {
            *to = from.cast_signed() as libc::c_char;
        }
        request.ifr_ifru.ifru_data = command.as_mut_ptr().cast();
        // SAFETY: `command` is at least as long as the struct its first word asks for and outlives the call.
        let result = unsafe { libc::ioctl(self.control.as_raw_fd(), libc::SIOCETHTOOL as _, &raw mut request) };
        if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
    }
}

/// struct ethtool_value.
fn command(command: u32, value: u32) -> [u8; 8] {
    let mut bytes = [0; 8];
    bytes[..4].copy_from_slice(&command.to_ne_bytes());
    bytes[4..].copy_from_slice(&value.to_ne_bytes());
    bytes
}
