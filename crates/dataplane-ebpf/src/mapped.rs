//! An array map's elements as memory of this process.

use std::{
    io,
    marker::PhantomData,
    os::fd::BorrowedFd,
    ptr::NonNull,
    sync::atomic::{AtomicU64, Ordering},
};

/// The elements of an array map made with BPF_F_MMAPABLE. The program and other CPUs change them at any time: elements
/// are read and written as copies, and single words by atomics.
pub(crate) struct Mapped<T> {
    base: NonNull<T>,
    length: usize,
    elements: PhantomData<T>,
}

// SAFETY: the mapping belongs to the process, not to a thread, and elements are plain data.
unsafe impl<T: Copy + Send> Send for Mapped<T> {}

impl<T: Copy> Mapped<T> {
    /// Maps `length` elements. Their size has to be a multiple of 8, as the kernel rounds it up to one.
    pub(crate) fn new(map: BorrowedFd<'_>, length: u32) -> io::Result<Mapped<T>> {
        const { assert!(size_of::<T>().is_multiple_of(8) && size_of::<T>() > 0) };
        let length = length as usize;
        let flags = rustix::mm::MapFlags::SHARED;
        let access = rustix::mm::ProtFlags::READ | rustix::mm::ProtFlags::WRITE;
        // SAFETY: a new mapping at an address the kernel chooses.
        let base = unsafe { rustix::mm::mmap(std::ptr::null_mut(), length * size_of::<T>(), access, flags, map, 0)? };
        let base = NonNull::new(base.cast()).ok_or(io::ErrorKind::OutOfMemory)?;
        Ok(Mapped { base, length, elements: PhantomData })
    }

    /// Elements.
    pub(crate) fn len(&self) -> usize {
        self.length
    }

    /// The place of an element.
    pub(crate) fn at(&self, index: u32) -> *mut T {
        assert!((index as usize) < self.length, "element {index} of {}", self.length);
        // SAFETY: inside the mapping, as just asserted.
        unsafe { self.base.as_ptr().add(index as usize) }
    }

    /// A copy of an element; words that the program changes meanwhile may be of different moments.
    pub(crate) fn get(&self, index: u32) -> T {
        // SAFETY: `at` is inside the mapping; the type is plain data for which every bit pattern is a value.
        unsafe { self.at(index).read_volatile() }
    }

    /// Overwrites an element.
    pub(crate) fn set(&self, index: u32, value: T) {
        // SAFETY: as for `get`.
        unsafe { self.at(index).write_volatile(value) }
    }
}

impl<T> Drop for Mapped<T> {
    fn drop(&mut self) {
        // SAFETY: the mapping made in `new`, which nothing refers to any more. A failure would leave it mapped.
        let _ = unsafe { rustix::mm::munmap(self.base.as_ptr().cast(), self.length * size_of::<T>()) };
    }
}

/// A word of an element as an atomic.
///
/// # Safety
/// `word` points into a [`Mapped`] that outlives the result's use, is aligned, and is never accessed otherwise meanwhile
/// than by whole-word loads, stores and atomics.
pub(crate) unsafe fn word<'a>(word: *mut u64) -> &'a AtomicU64 {
    // SAFETY: the caller's word.
    unsafe { AtomicU64::from_ptr(word) }
}

/// Orders everything written before it.
pub(crate) const PUBLISH: Ordering = Ordering::SeqCst;
