//! The way to a thread: bounded commands, and a descriptor that wakes its loop.

use rustix::event::{EventfdFlags, eventfd};
use std::{
    os::fd::OwnedFd,
    sync::{Arc, mpsc},
    thread::JoinHandle,
};

/// Commands that may wait for a thread.
const COMMANDS: usize = 256;

/// A way to a thread.
#[derive(Debug)]
pub struct Teller<C> {
    commands: mpsc::SyncSender<C>,
    wake: Arc<OwnedFd>,
}

impl<C> Clone for Teller<C> {
    fn clone(&self) -> Teller<C> {
        Teller { commands: self.commands.clone(), wake: Arc::clone(&self.wake) }
    }
}

/// The thread's end of it.
#[derive(Debug)]
pub(crate) struct Orders<C> {
    /// Becomes readable when something was told.
    pub(crate) wake: Arc<OwnedFd>,
    commands: mpsc::Receiver<C>,
}

impl<C> Teller<C> {
    pub(crate) fn new() -> Result<(Teller<C>, Orders<C>), String> {
        let wake = eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK);
        let wake = Arc::new(wake.map_err(|e| format!("make an event descriptor: {e}"))?);
        let (commands, orders) = mpsc::sync_channel(COMMANDS);
        let orders = Orders { wake: Arc::clone(&wake), commands: orders };
        Ok((Teller { commands, wake }, orders))
    }

    /// Tells the thread something; says whether there was room for it.
    pub fn tell(&self, command: C) -> bool {
        let taken = self.commands.try_send(command).is_ok();
        if taken {
            self.wake();
        }
        taken
    }

    /// Tells the last thing, once there is room for it, and waits for the end of the thread.
    pub(crate) fn end(self, last: C, thread: JoinHandle<()>) {
        // Where the thread has ended already there is nobody to tell.
        let _ = self.commands.send(last);
        self.wake();
        let _ = thread.join();
    }

    fn wake(&self) {
        let _ = rustix::io::write(&self.wake, &1u64.to_ne_bytes());
    }
}

impl<C> Orders<C> {
    /// What was told, oldest first.
    pub(crate) fn take(&self) -> Option<C> {
        self.commands.try_recv().ok()
    }

    /// The descriptor has woken the loop.
    pub(crate) fn heard(&self) {
        let _ = rustix::io::read(&self.wake, &mut [0; 8]);
    }
}
