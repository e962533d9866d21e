//! A thread that must not be late: real-time priority and memory that is never paged out.

#![allow(unsafe_code, reason = "scheduling classes are not in rustix")]

use crate::{Error, Result};
use std::{
    io,
    sync::{Mutex, PoisonError},
};

/// Of the thread that holds elections; below what the kernel keeps for itself (99), above its interrupt threads (50).
const PRIORITY: i32 = 51;

/// Gives the calling thread the class SCHED_FIFO with [`PRIORITY`]. Threads it starts have the ordinary class.
pub fn be_realtime() -> Result<()> {
    let parameter = libc::sched_param { sched_priority: PRIORITY };
    // SAFETY: the pointer describes `parameter`, which lives across the call; 0 is the calling thread.
    let result =
        unsafe { libc::sched_setscheduler(0, libc::SCHED_FIFO | libc::SCHED_RESET_ON_FORK, &raw const parameter) };
    if result == 0 {
        return Ok(());
    }
    Err(Error::system("have real-time priority", io::Error::last_os_error()))
}

/// Whether memory is locked; held by who changes that.
static LOCKED: Mutex<bool> = Mutex::new(false);

/// Keeps what the process has in memory, and what it will have once it is touched, from being paged out.
pub fn lock_memory() -> Result<()> {
    let mut locked = LOCKED.lock().unwrap_or_else(PoisonError::into_inner);
    lock_all()?;
    *locked = true;
    Ok(())
}

/// Does `work` with memory that is not locked, and locks it again if it was.
pub(crate) fn while_unlocked<T>(work: impl FnOnce() -> T) -> T {
    let locked = LOCKED.lock().unwrap_or_else(PoisonError::into_inner);
    if *locked {
        // SAFETY: takes nothing; nobody rests on memory being locked but for how quick it is.
        unsafe { libc::munlockall() };
    }
    let outcome = work();
    if *locked {
        // What was allowed before is allowed still.
        let _ = lock_all();
    }
    outcome
}

fn lock_all() -> Result<()> {
    // SAFETY: no pointer is passed.
    let result = unsafe { libc::mlockall(libc::MCL_CURRENT | libc::MCL_FUTURE | libc::MCL_ONFAULT) };
    if result == 0 { Ok(()) } else { Err(Error::system("lock memory", io::Error::last_os_error())) }
}
