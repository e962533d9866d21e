//! Two serial devices with a cable between them.

#![expect(clippy::expect_used, reason = "a test fails by panicking")]

use rustix::{
    event::{PollFd, PollFlags, poll},
    fs::{OFlags, fcntl_setfl},
    io::{read, write},
    pipe::{PipeFlags, pipe_with},
    pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt},
};
use std::{
    os::fd::OwnedFd,
    path::PathBuf,
    thread::{self, JoinHandle},
    time::Duration,
};

/// The cable; what nobody reads is lost, and so is it when this is dropped.
#[derive(Debug)]
pub struct NullModem {
    /// The devices at its ends.
    pub devices: [PathBuf; 2],
    stop: Option<OwnedFd>,
    thread: Option<JoinHandle<()>>,
}

impl NullModem {
    /// Makes the devices and begins to carry bytes.
    pub fn lay() -> NullModem {
        let [(one, device), (other, other_device)] = [end(), end()];
        let (stopped, stop) = pipe_with(PipeFlags::CLOEXEC).expect("a pipe");
        let thread = thread::spawn(move || carry(&[one, other], &stopped));
        NullModem { devices: [device, other_device], stop: Some(stop), thread: Some(thread) }
    }
}

impl Drop for NullModem {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

fn end() -> (OwnedFd, PathBuf) {
    let end = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC).expect("a pty");
    fcntl_setfl(&end, OFlags::NONBLOCK).expect("it does not block");
    grantpt(&end).expect("it is ours");
    unlockpt(&end).expect("it is open");
    let name = ptsname(&end, Vec::new()).expect("it has a name");
    (end, name.into_string().expect("of letters").into())
}

fn carry(ends: &[OwnedFd; 2], stopped: &OwnedFd) {
    let mut buffer = [0; 4096];
    loop {
        let [one, other] = ends;
        let mut watched = [one, other, stopped].map(|end| PollFd::new(end, PollFlags::IN));
        poll(&mut watched, None).expect("poll");
        let [first, second, stop] = watched.map(|end| end.revents());
        if !stop.is_empty() {
            return;
        }
        for (ready, from, to) in [(first, one, other), (second, other, one)] {
            if ready.contains(PollFlags::IN) {
                let length = read(from, &mut buffer).unwrap_or(0);
                let _ = write(to, buffer.get(..length).unwrap_or_default());
            } else if !ready.is_empty() {
                // Nobody has opened the device at that end yet.
                thread::park_timeout(Duration::from_millis(10));
            }
        }
    }
}
