//! The memory that the allocator holds on to.

#![allow(unsafe_code, reason = "malloc_trim is foreign")]

/// Gives memory that was freed back to the system. The allocator keeps it otherwise: after a large file has been read,
/// more than what the result takes. Returns whether there was any; may take some ten milliseconds. Memory that is locked
/// cannot be given back (madvise(2)): it is unlocked for so long.
pub fn trim_heap() -> bool {
    #[cfg(target_env = "gnu")]
    {
        // SAFETY: takes no pointers; the allocator guards itself against other threads.
        crate::realtime::while_unlocked(|| unsafe { libc::malloc_trim(0) == 1 })
    }
    // musl's allocator gives back by itself.
    #[cfg(not(target_env = "gnu"))]
    false
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Usage;

    const BLOCK: usize = 1 << 10;
    const BLOCKS: usize = 64 << 10;

    #[cfg(target_env = "gnu")]
    fn trimming_gives_back_what_was_freed() {
        let mut blocks: Vec<Box<[u8]>> = (0..BLOCKS).map(|n| vec![n as u8; BLOCK].into()).collect();
        // One block above the others keeps the allocator from giving them back by itself.
        let last = blocks.pop();
        drop(blocks);
        let before = Usage::own().unwrap().anonymous;
        assert!(trim_heap());
        let after = Usage::own().unwrap().anonymous;
        assert!(after + (BLOCK * BLOCKS / 2) as u64 <= before, "{before} {after}");
        drop(last);
    }

    #[cfg(target_env = "gnu")]
    #[test]
    fn what_was_freed_is_given_back_and_what_was_locked_is_locked_again() {
        trimming_gives_back_what_was_freed();
        // Locking takes a privilege.
        if crate::lock_memory().is_ok() {
            trimming_gives_back_what_was_freed();
            let status = std::fs::read_to_string("/proc/self/status").unwrap();
            let locked = status.lines().find_map(|line| line.strip_prefix("VmLck:")).unwrap();
            assert_ne!(locked.trim(), "0 kB");
        }
    }
}
