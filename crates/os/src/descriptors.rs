//! Descriptors that a caller left open.

#![allow(unsafe_code, reason = "closing descriptors that nobody here owns is unsafe")]

use crate::error::{Error, Result};
use std::io;

/// The first one that is not standard input, output or error.
const FIRST: libc::c_uint = 3;

/// Closes everything above standard error, such as the lock of the script that called. A daemon must not keep it.
///
/// To be called before this process has opened anything of its own.
pub fn close_inherited() -> Result<()> {
    // SAFETY: the caller has opened nothing yet, so no owner of a descriptor in this process loses it.
    match unsafe { libc::close_range(FIRST, libc::c_uint::MAX, 0) } {
        0 => Ok(()),
        _ => Err(Error::system("close inherited descriptors", io::Error::last_os_error())),
    }
}
