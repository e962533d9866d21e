//! A serial line between two hosts (null modem), as heartbeat sets it: 8 bits, no parity, hardware handshake, nothing
//! translated.

use crate::{Error, Result};
use rustix::{
    fs::{Mode, OFlags, open},
    io::{Errno, read, write},
    termios::{ControlModes, OptionalActions, QueueSelector, ioctl_tiocexcl, tcflush, tcgetattr, tcsetattr},
};
use std::{
    num::NonZeroU32,
    os::fd::{AsFd, BorrowedFd, OwnedFd},
    path::{Path, PathBuf},
};

/// Bytes that wait for the line; at 9600 baud more than ten seconds of it.
const WAITING: usize = 16 * 1024;

/// A line that sends and hears. It never blocks.
#[derive(Debug)]
pub struct SerialLine {
    line: OwnedFd,
    device: PathBuf,
    waiting: Vec<u8>,
}

impl SerialLine {
    /// Opens the device and takes it for this program alone.
    pub fn open(device: &Path, baud: NonZeroU32) -> Result<SerialLine> {
        let opened = || -> rustix::io::Result<OwnedFd> {
            let flags = OFlags::RDWR | OFlags::NOCTTY | OFlags::NONBLOCK | OFlags::CLOEXEC;
            let line = open(device, flags, Mode::empty())?;
            let mut settings = tcgetattr(&line)?;
            settings.make_raw();
            settings.control_modes -= ControlModes::CSTOPB;
            settings.control_modes |= ControlModes::CREAD | ControlModes::CLOCAL | ControlModes::CRTSCTS;
            settings.set_speed(baud.get())?;
            tcsetattr(&line, OptionalActions::Now, &settings)?;
            ioctl_tiocexcl(&line)?;
            tcflush(&line, QueueSelector::IOFlush)?;
            Ok(line)
        };
        let line = opened().map_err(|e| match e {
            Errno::NOTTY => Error::Refused(format!("{} is no serial line", device.display())),
            Errno::BUSY => Error::at("open (another program has it)", device, e),
            e => Error::at("open", device, e),
        })?;
        Ok(SerialLine { line, device: device.to_owned(), waiting: Vec::new() })
    }

    /// Sends a message, after what still waits for the line. Where too much waits, because nothing is at the other end or
    /// the line is slower than what is said, the message is lost.
    pub fn send(&mut self, message: &[u8]) -> Result<()> {
        if self.waiting.len() + message.len() <= WAITING {
            self.waiting.extend_from_slice(message);
        }
        self.flush()
    }

    /// Writes what waits, as far as the line takes it; also done by [`SerialLine::send`] and [`SerialLine::receive`].
    pub fn flush(&mut self) -> Result<()> {
        while !self.waiting.is_empty() {
            match write(&self.line, &self.waiting) {
                Ok(written) => drop(self.waiting.drain(..written)),
                Err(Errno::INTR) => {}
                Err(Errno::AGAIN) => return Ok(()),
                Err(e) => {
                    self.waiting.clear();
                    return Err(Error::at("write to", &self.device, e));
                }
            }
        }
        Ok(())
    }

    /// The bytes that have come, in `buffer`; 0 when none have. A line that fails here, such as an adapter that was pulled,
    /// is readable for ever and has to be closed.
    pub fn receive(&mut self, buffer: &mut [u8]) -> Result<usize> {
        self.flush()?;
        loop {
            match read(&self.line, &mut *buffer) {
                // What is open and has nothing says so.
                Ok(0) if !buffer.is_empty() => return Err(Error::at("read from", &self.device, Errno::IO)),
                Ok(length) => return Ok(length),
                Err(Errno::INTR) => {}
                Err(Errno::AGAIN) => return Ok(0),
                Err(e) => return Err(Error::at("read from", &self.device, e)),
            }
        }
    }
}

impl AsFd for SerialLine {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.line.as_fd()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rustix::{
        event::{PollFd, PollFlags, Timespec, poll},
        pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt},
    };

    const BAUD: NonZeroU32 = NonZeroU32::new(19_200).unwrap();

    /// The other end of a line, and its device.
    fn pty() -> (OwnedFd, PathBuf) {
        let other = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC).unwrap();
        grantpt(&other).unwrap();
        unlockpt(&other).unwrap();
        let device = ptsname(&other, Vec::new()).unwrap().into_string().unwrap().into();
        (other, device)
    }

    fn readable(line: impl AsFd) -> bool {
        let limit = Timespec { tv_sec: 10, tv_nsec: 0 };
        poll(&mut [PollFd::new(&line, PollFlags::IN)], Some(&limit)).unwrap() > 0
    }

    #[test]
    fn bytes_pass_as_they_are_at_the_speed_that_was_asked_for() {
        let (other, device) = pty();
        let mut line = SerialLine::open(&device, BAUD).unwrap();
        assert_eq!(tcgetattr(&line).unwrap().output_speed(), 19_200);
        let bytes: Vec<u8> = (0..=255).collect();
        line.send(&bytes).unwrap();
        let mut buffer = [0; 1000];
        let mut came = 0;
        while came < bytes.len() {
            assert!(readable(&other));
            came += read(&other, &mut buffer[came..]).unwrap();
        }
        assert_eq!(&buffer[..came], bytes);
        assert_eq!(line.receive(&mut buffer).unwrap(), 0, "nothing comes back");
        write(&other, b">>>\r\nt=status\n\x03\x04\x11\x13").unwrap();
        assert!(readable(&line));
        let length = line.receive(&mut buffer).unwrap();
        assert_eq!(&buffer[..length], b">>>\r\nt=status\n\x03\x04\x11\x13");
    }

    #[test]
    fn a_line_that_takes_nothing_holds_a_bound_of_bytes_and_goes_on_later() {
        let (other, device) = pty();
        let mut line = SerialLine::open(&device, BAUD).unwrap();
        let message = [b'x'; 1000];
        for _ in 0..100 {
            line.send(&message).unwrap();
        }
        assert!(!line.waiting.is_empty() && line.waiting.len() <= WAITING);
        let mut buffer = [0; 4096];
        while !line.waiting.is_empty() {
            assert!(readable(&other));
            read(&other, &mut buffer).unwrap();
            line.flush().unwrap();
        }
    }

    #[test]
    fn a_line_whose_device_is_gone_fails() {
        let (other, device) = pty();
        let mut line = SerialLine::open(&device, BAUD).unwrap();
        assert_eq!(line.receive(&mut [0; 10]).unwrap(), 0);
        drop(other);
        assert!(readable(&line));
        assert!(line.receive(&mut [0; 10]).is_err());
    }

    #[test]
    fn what_is_no_serial_line_is_told_by_name() {
        let error = SerialLine::open(Path::new("/dev/null"), BAUD).unwrap_err().to_string();
        assert_eq!(error, "/dev/null is no serial line");
        assert!(SerialLine::open(Path::new("/dev/ttyNONE9"), BAUD).unwrap_err().is_missing());
    }
}
