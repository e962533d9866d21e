//! bpf(2) commands that have no wrapper in aya.

use aya::programs::ProgramError;
use std::{
    ffi::CString,
    io,
    os::{
        fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd},
        unix::ffi::OsStrExt,
    },
    path::Path,
};

const BPF_OBJ_GET: libc::c_long = 7;
const BPF_PROG_TEST_RUN: libc::c_long = 10;
const BPF_PROG_GET_FD_BY_ID: libc::c_long = 13;
const BPF_OBJ_GET_INFO_BY_FD: libc::c_long = 15;
const BPF_LINK_DETACH: libc::c_long = 34;

/// Head of the kernel's `struct bpf_link_info`, up to the interface of XDP and tcx links.
#[repr(C)]
#[derive(Default)]
struct LinkInfo {
    kind: u32,
    id: u32,
    program: u32,
    padding: u32,
    interface: u32,
    rest: [u32; 27],
}

/// bpf(2): the result, or the error it set.
fn bpf<T>(command: libc::c_long, attributes: &T) -> io::Result<libc::c_long> {
    // SAFETY: the structure outlives the call, and its size is given; what it points to is the caller's.
    let result = unsafe { libc::syscall(libc::SYS_bpf, command, &raw const *attributes, size_of::<T>()) };
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(result) }
}

/// How often a verification that a signal cut short is begun again.
const VERIFICATIONS: u32 = 16;

/// Has the kernel verify a program. Its verifier gives up with EAGAIN when any signal waits for the thread, which says
/// nothing about the program.
pub(crate) fn uninterrupted(mut load: impl FnMut() -> Result<(), ProgramError>) -> Result<(), ProgramError> {
    for _ in 1..VERIFICATIONS {
        match load() {
            Err(ProgramError::LoadError { io_error, .. }) if io_error.raw_os_error() == Some(libc::EAGAIN) => {}
            result => return result,
        }
    }
    load()
}

fn open_pin(pin: &Path) -> io::Result<OwnedFd> {
    #[repr(C)]
    struct Attributes {
        path: u64,
        fd: u32,
        flags: u32,
    }
    let path = CString::new(pin.as_os_str().as_bytes())?;
    let fd = bpf(BPF_OBJ_GET, &Attributes { path: path.as_ptr() as u64, fd: 0, flags: 0 })?;
    let fd = i32::try_from(fd).map_err(io::Error::other)?;
    // SAFETY: a descriptor the kernel has just made for us.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

/// Reads as much of what the kernel tells of an object as `T` takes.
fn info<T: Default>(object: &OwnedFd) -> io::Result<T> {
    #[repr(C)]
    struct Attributes {
        fd: u32,
        length: u32,
        info: u64,
    }
    let mut info = T::default();
    let length = u32::try_from(size_of::<T>()).map_err(io::Error::other)?;
    bpf(BPF_OBJ_GET_INFO_BY_FD, &Attributes { fd: object.as_raw_fd() as u32, length, info: (&raw mut info) as u64 })?;
    Ok(info)
}

/// The program and the interface of a pinned XDP or tcx link; interface 0: the device is gone.
pub(crate) fn link_info(pin: &Path) -> io::Result<(u32, u32)> {
    let link: LinkInfo = info(&open_pin(pin)?)?;
    Ok((link.program, link.interface))
}

/// The kernel's digest of a program's instructions.
pub(crate) fn program_tag(id: u32) -> io::Result<[u8; 8]> {
    /// Head of the kernel's `struct bpf_prog_info`.
    #[repr(C)]
    #[derive(Default)]
    struct ProgramInfo {
        kind: u32,
        id: u32,
        tag: [u8; 8],
    }
    #[repr(C)]
    struct Attributes {
        id: u32,
        next: u32,
        flags: u32,
    }
    let fd = bpf(BPF_PROG_GET_FD_BY_ID, &Attributes { id, next: 0, flags: 0 })?;
    let fd = i32::try_from(fd).map_err(io::Error::other)?;
    // SAFETY: a descriptor the kernel has just made for us.
    let program = unsafe { OwnedFd::from_raw_fd(fd) };
    Ok(info::<ProgramInfo>(&program)?.tag)
}

/// Detaches a pinned link at once; removing the pin alone lets the kernel do so some time later.
pub(crate) fn detach_link(pin: &Path) -> io::Result<()> {
    #[repr(C)]
    struct Attributes {
        link: u32,
    }
    let link = open_pin(pin)?;
    bpf(BPF_LINK_DETACH, &Attributes { link: link.as_raw_fd() as u32 }).map(|_| ())
}

/// What a program test run came to: return value, nanoseconds a repetition, bytes of the frame it left.
pub(crate) struct TestRun {
    pub(crate) value: u32,
    pub(crate) nanoseconds: u32,
    pub(crate) length: u32,
}

/// Runs a program on `frame`; `out` takes the frame as the program left it.
pub(crate) fn test_run(program: BorrowedFd<'_>, frame: &[u8], out: &mut [u8], repeat: u32) -> io::Result<TestRun> {
    #[repr(C)]
    struct Attributes {
        program: u32,
        value: u32,
        in_length: u32,
        out_length: u32,
        input: u64,
        output: u64,
        repeat: u32,
        nanoseconds: u32,
        context_in_length: u32,
        context_out_length: u32,
        context_in: u64,
        context_out: u64,
    }
    let mut attributes = Attributes {
        program: program.as_raw_fd() as u32,
        value: 0,
        in_length: u32::try_from(frame.len()).map_err(io::Error::other)?,
        out_length: u32::try_from(out.len()).map_err(io::Error::other)?,
        input: frame.as_ptr() as u64,
        output: out.as_mut_ptr() as u64,
        repeat,
        nanoseconds: 0,
        context_in_length: 0,
        context_out_length: 0,
        context_in: 0,
        context_out: 0,
    };
    let size = size_of::<Attributes>();
    // SAFETY: the kernel reads and writes within the buffers whose lengths are given, and writes results into the
    // structure, whose size is given.
    let result = unsafe { libc::syscall(libc::SYS_bpf, BPF_PROG_TEST_RUN, &raw mut attributes, size) };
    if result < 0 {
        return Err(io::Error::last_os_error());
    }
    let Attributes { value, nanoseconds, out_length, .. } = attributes;
    Ok(TestRun { value, nanoseconds, length: out_length })
}

/// The kernel's ticks a second: the resolution of its coarse clock.
pub(crate) fn ticks_per_second() -> io::Result<u32> {
    let mut resolution = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: writes the one structure.
    if unsafe { libc::clock_getres(libc::CLOCK_MONOTONIC_COARSE, &raw mut resolution) } != 0 {
        return Err(io::Error::last_os_error());
    }
    let nanoseconds = u32::try_from(resolution.tv_nsec).unwrap_or(4_000_000).max(1);
    Ok((1_000_000_000 + nanoseconds / 2) / nanoseconds)
}

/// One more than the highest number of a CPU that the kernel may ever bring up.
pub(crate) fn possible_cpus() -> io::Result<u32> {
    let list = std::fs::read_to_string("/sys/devices/system/cpu/possible")?;
    past_last(&list).ok_or_else(|| io::Error::new(io::ErrorKind::InvalidData, format!("CPUs {}", list.trim())))
}

/// One more than the last number of a list like `0-3,8`.
fn past_last(list: &str) -> Option<u32> {
    list.trim().rsplit([',', '-']).next()?.parse::<u32>().ok()?.checked_add(1)
}

/// The index of an interface of this network namespace.
pub(crate) fn interface_index(name: &str) -> Option<u32> {
    let name = std::ffi::CString::new(name).ok()?;
    // SAFETY: a terminated string.
    match unsafe { libc::if_nametoindex(name.as_ptr()) } {
        0 => None,
        index => Some(index),
    }
}

/// The name of an interface of this network namespace.
pub(crate) fn interface_name(index: u32) -> Option<String> {
    let mut name = [0u8; libc::IF_NAMESIZE];
    // SAFETY: the buffer has the size the call asks for.
    if unsafe { libc::if_indextoname(index, name.as_mut_ptr().cast()) }.is_null() {
        return None;
    }
    std::ffi::CStr::from_bytes_until_nul(&name).ok().map(|n| n.to_string_lossy().into_owned())
}

/// Sends a frame out of an interface as it stands.
pub(crate) fn send_frame(interface: u32, frame: &[u8]) -> io::Result<()> {
    // SAFETY: no pointer is passed.
    let socket = unsafe { libc::socket(libc::AF_PACKET, libc::SOCK_RAW | libc::SOCK_CLOEXEC, 0) };
    if socket < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: a descriptor the kernel has just made for us.
    let socket = unsafe { OwnedFd::from_raw_fd(socket) };
    // SAFETY: all zeroes is a value of it.
    let mut to: libc::sockaddr_ll = unsafe { std::mem::zeroed() };
    to.sll_family = libc::AF_PACKET as u16;
    to.sll_ifindex = i32::try_from(interface).map_err(io::Error::other)?;
    if let Some([high, low]) = frame.get(12..14) {
        to.sll_protocol = u16::from_ne_bytes([*high, *low]);
    }
    let (bytes, length) = (frame.as_ptr().cast(), size_of::<libc::sockaddr_ll>() as u32);
    // SAFETY: the frame and the address outlive the call, and their lengths are given.
    let sent = unsafe {
        libc::sendto(socket.as_raw_fd(), bytes, frame.len(), libc::MSG_DONTWAIT, (&raw const to).cast(), length)
    };
    if sent < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
}

/// Returns when every program run that had begun is over.
pub(crate) fn wait_for_programs() -> io::Result<()> {
    const GLOBAL: libc::c_long = 1;
    // SAFETY: the call takes no pointer.
    let result = unsafe { libc::syscall(libc::SYS_membarrier, GLOBAL, 0, 0) };
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cpus_are_numbered_to_the_last_possible_one() {
        let lists = [("0", Some(1)), ("0-7\n", Some(8)), ("0,2-5", Some(6)), ("0-1,9", Some(10)), ("", None)];
        assert_eq!(lists.map(|(list, _)| past_last(list)), lists.map(|(_, count)| count));
    }

    fn cut_short() -> ProgramError {
        let io_error = io::Error::from_raw_os_error(libc::EAGAIN);
        ProgramError::LoadError { io_error, verifier_log: aya_obj::VerifierLog::new(String::new()) }
    }

    #[test]
    fn a_verification_that_a_signal_cuts_short_is_begun_again_but_not_for_ever() {
        let mut tries = 0;
        let third_time = uninterrupted(|| {
            tries += 1;
            if tries < 3 { Err(cut_short()) } else { Ok(()) }
        });
        assert!(third_time.is_ok());
        let mut tries = 0;
        let never = uninterrupted(|| {
            tries += 1;
            Err(cut_short())
        });
        assert!(never.is_err());
        assert_eq!(tries, VERIFICATIONS);
    }
}
