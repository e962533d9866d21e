//! The watchdog device: the kernel or the hardware restarts the host when nobody writes to it in time.
//!
//! Closed with the character `V` it stops counting, unless the driver was loaded with `nowayout`; closed without, as
//! when the process dies, it goes on.

#![allow(unsafe_code, reason = "a watchdog is set by ioctl")]

use crate::error::{Error, Result};
use rustix::{
    fs::{Mode, OFlags},
    io::Errno,
};
use std::{
    os::fd::{AsRawFd, OwnedFd},
    path::{Path, PathBuf},
    time::Duration,
};

/// linux/watchdog.h: `WDIOC_SETTIMEOUT`, `_IOWR('W', 6, int)`.
const SET_TIMEOUT: libc::c_ulong = 0xc004_5706;
/// `WDIOC_GETTIMEOUT`, `_IOR('W', 7, int)`.
const GET_TIMEOUT: libc::c_ulong = 0x8004_5707;
/// `WDIOC_SETOPTIONS`, `_IOR('W', 4, int)`, with these.
const SET_OPTIONS: libc::c_ulong = 0x8004_5704;
const DISABLE: libc::c_int = 1;
const ENABLE: libc::c_int = 2;

/// An open watchdog: it counts.
#[derive(Debug)]
pub struct Watchdog {
    device: OwnedFd,
    path: PathBuf,
    timeout: Option<Duration>,
    nowayout: bool,
}

impl Watchdog {
    /// Opens the device, which starts it, and has it restart the host after `timeout` without a [`Watchdog::pet`], in whole
    /// seconds, rounded up. Only one process can have it open.
    pub fn open(path: &Path, timeout: Duration) -> Result<Watchdog> {
        let device = rustix::fs::open(path, OFlags::WRONLY | OFlags::CLOEXEC | OFlags::NONBLOCK, Mode::empty());
        let device = device.map_err(|e| Error::at("open the watchdog", path, e))?;
        let whole = timeout.as_secs() + u64::from(timeout.subsec_nanos() > 0);
        let set = number(&device, SET_TIMEOUT, libc::c_int::try_from(whole.max(1)).unwrap_or(libc::c_int::MAX));
        let timeout = match set {
            Ok(seconds) => Some(seconds),
            // Its timeout cannot be set: it has its own, if it tells.
            Err(Errno::NOTTY | Errno::OPNOTSUPP | Errno::NOSYS) => number(&device, GET_TIMEOUT, 0).ok(),
            Err(e) => {
                // It must not restart the host because it was given a wrong time.
                let _ = rustix::io::write(&device, b"V");
                return Err(Error::at(&format!("set {whole} s as the time of the watchdog"), path, e));
            }
        };
        let timeout = timeout.and_then(|seconds| u64::try_from(seconds).ok()).map(Duration::from_secs);
        let nowayout = cannot_be_stopped(&device);
        Ok(Watchdog { device, path: path.to_owned(), timeout, nowayout })
    }

    /// After how long without petting it restarts the host; `None`: the device does not tell.
    pub fn timeout(&self) -> Option<Duration> {
        self.timeout
    }

    /// Whether it cannot be stopped again (`nowayout`): then the end of the program is the end of the host, too.
    pub fn has_no_way_out(&self) -> bool {
        self.nowayout
    }

    /// Has it count anew.
    pub fn pet(&self) -> Result<()> {
        match rustix::io::write(&self.device, b"\0") {
            Ok(_) => Ok(()),
            Err(e) => Err(Error::at("write to the watchdog", &self.path, e)),
        }
    }

    /// Stops it, if it can be stopped. Dropped instead, it goes on, and restarts the host.
    pub fn close(self) -> Result<()> {
        match rustix::io::write(&self.device, b"V") {
            Ok(_) => Ok(()),
            Err(e) => Err(Error::at("stop the watchdog", &self.path, e)),
        }
    }
}

/// Passes a number in and gets one back.
fn number(device: &OwnedFd, request: libc::c_ulong, value: libc::c_int) -> std::result::Result<libc::c_int, Errno> {
    let mut value = value;
    // SAFETY: all these requests read or write one int, which lives until the call returns.
    let outcome = unsafe { libc::ioctl(device.as_raw_fd(), request as _, &raw mut value) };
    if outcome == 0 {
        return Ok(value);
    }
    let error = std::io::Error::last_os_error().raw_os_error().unwrap_or_default();
    Err(Errno::from_raw_os_error(error))
}

/// Tries to stop it for a moment: with `nowayout` the kernel refuses. Drivers that do not know the request stop by `V`.
fn cannot_be_stopped(device: &OwnedFd) -> bool {
    match number(device, SET_OPTIONS, DISABLE) {
        Ok(_) => {
            // Opening it has started it; it was stopped for this long.
            let _ = number(device, SET_OPTIONS, ENABLE);
            false
        }
        Err(e) => e == Errno::BUSY,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rustix::fs::{CWD, FileType, mknodat};

    /// A FIFO stands for a device without ioctls; what is written can be read back.
    fn fifo() -> (tempfile::TempDir, PathBuf, OwnedFd) {
        let dir = tempfile::tempdir().expect("a directory");
        let path = dir.path().join("watchdog");
        mknodat(CWD, &path, FileType::Fifo, Mode::from(0o600), 0).expect("a FIFO");
        let reader = rustix::fs::open(&path, OFlags::RDONLY | OFlags::NONBLOCK, Mode::empty()).expect("opened");
        (dir, path, reader)
    }

    fn written(reader: &OwnedFd) -> Vec<u8> {
        let mut bytes = [0; 64];
        let length = rustix::io::read(reader, &mut bytes).unwrap_or(0);
        bytes[..length].to_vec()
    }

    #[test]
    fn it_is_petted_with_anything_and_stopped_with_a_v() {
        let (_dir, path, reader) = fifo();
        let watchdog = Watchdog::open(&path, Duration::from_millis(2500)).expect("opened");
        assert_eq!((watchdog.timeout(), watchdog.has_no_way_out()), (None, false), "a FIFO tells nothing");
        watchdog.pet().expect("written");
        watchdog.pet().expect("written");
        assert_eq!(written(&reader), b"\0\0");
        watchdog.close().expect("written");
        assert_eq!(written(&reader), b"V");
    }

    #[test]
    fn a_process_that_dies_leaves_it_counting() {
        let (_dir, path, reader) = fifo();
        drop(Watchdog::open(&path, Duration::from_secs(30)).expect("opened"));
        assert_eq!(written(&reader), b"");
    }

    #[test]
    fn a_missing_device_is_named() {
        let why =
            Watchdog::open(Path::new("/dev/no-watchdog"), Duration::from_secs(1)).expect_err("missing").to_string();
        assert!(why.starts_with("open the watchdog /dev/no-watchdog: "), "{why}");
    }
}
