//! A network namespace for a test.

#![allow(dead_code, reason = "each test file uses its part")]

use std::{os::fd::AsFd, process};

use evenkeel_netlink::Netlink;
use evenkeel_os::Namespace;

/// It is gone when the test is, whatever its outcome.
pub(crate) struct Bed {
    pub(crate) name: String,
    pub(crate) namespace: Namespace,
}

impl Bed {
    /// `None`, and it is told, where this user cannot make one.
    pub(crate) fn new(purpose: &str) -> Option<Bed> {
        if !rustix::process::geteuid().is_root() {
            println!("skipped: needs root");
            return None;
        }
        // Files of tests run beside each other, each as a process.
        let name = format!("ek-nl-{}-{purpose}", process::id());
        let namespace = Namespace::create(&name).expect("create a namespace");
        Some(Bed { name, namespace })
    }

    pub(crate) fn netlink(&self) -> Netlink {
        Netlink::open_in(self.namespace.as_fd()).expect("open netlink")
    }
}

impl Drop for Bed {
    fn drop(&mut self) {
        let _ = Namespace::delete(&self.name);
    }
}
