//! Programs the packet benchmark measures with: a driver, an empty program, and the floor to compare with.
//!
//! Repeating one packet in a program test run measures nothing: from the second repetition on the program sees its own
//! output. The driver takes off what was put in front, restores the headers and picks the flow of this repetition before
//! it calls the program under test.
#![no_std]
#![no_main]

use aya_ebpf::{
    bindings::xdp_action,
    btf_maps::{Array, HashMap, LruHashMap, PerCpuArray, ProgramArray},
    helpers::generated::bpf_xdp_adjust_head,
    macros::{btf_map, xdp},
    programs::XdpContext,
};

/// What the driver does; written by the benchmark.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct Drive {
    /// Flow of a repetition: `base + (counter * stride & mask)`.
    counter: u64,
    stride: u32,
    mask: u32,
    base: u32,
    /// The flow's bits that are its client; those from `shift` on are its port.
    clients: u32,
    shift: u32,
    /// 4 or 6; 0 leaves the flow as it is.
    family: u32,
    /// Of client 0, host order.
    address: u32,
    /// Of the frame, before anything is put in front.
    length: u32,
    /// The frame's first 80 bytes, as words from byte 2 on: the IP header is then aligned.
    head: [u32; 20],
}

#[btf_map]
static DRIVE: Array<Drive, 1, { 1 << 10 }> = Array::new();
#[btf_map]
static TARGET: ProgramArray<1> = ProgramArray::new();

/// Restores the headers, picks a flow and goes on to the program under test.
#[xdp]
pub fn drive(ctx: XdpContext) -> u32 {
    let (mut data, mut end) = (ctx.data(), ctx.data_end());
    let Some(drive) = DRIVE.get_ptr_mut(0) else { return xdp_action::XDP_ABORTED };
    // SAFETY: an element of the array.
    let grown = (end - data) as i64 - unsafe { (*drive).length } as i64;
    if grown != 0 {
        // SAFETY: the context; pointers into the packet are read anew.
        if unsafe { bpf_xdp_adjust_head(ctx.ctx, grown as i32) } != 0 {
            return xdp_action::XDP_ABORTED;
        }
        (data, end) = (ctx.data(), ctx.data_end());
    }
    // SAFETY: the benchmark runs one test at a time; the packet's bounds are compared before each access.
    unsafe {
        if data + 78 > end {
            return xdp_action::XDP_ABORTED;
        }
        let head = &(*drive).head;
        let half = |at: usize, value: u16| *((data + at) as *mut u16) = value;
        half(0, (head[0] >> 16) as u16);
        half(2, head[1] as u16);
        half(4, (head[1] >> 16) as u16);
        half(6, head[2] as u16);
        half(8, (head[2] >> 16) as u16);
        half(10, head[3] as u16);
        half(12, (head[3] >> 16) as u16);
        let word = |index: usize| *((data + 14 + 4 * index) as *mut u32) = head[4 + index];
        for index in 0..16 {
            word(index);
        }
        let nth = ((*drive).counter as u32).wrapping_mul((*drive).stride) & (*drive).mask;
        let flow = (*drive).base.wrapping_add(nth);
        (*drive).counter += 1;
        let address = (*drive).address.wrapping_add(flow & (*drive).clients).to_be();
        let port = (1024 + (flow.wrapping_shr((*drive).shift) & 0x7fff) as u16).to_be();
        if (*drive).family == 4 {
            *((data + 26) as *mut u32) = address;
            half(34, port);
        } else if (*drive).family == 6 {
            *((data + 34) as *mut u32) = address;
            half(54, port);
        }
    }
    // SAFETY: an index of the array.
    let _ = unsafe { TARGET.tail_call(&ctx, 0) };
    xdp_action::XDP_ABORTED
}

/// What the driver itself costs.
#[xdp]
pub fn empty(_ctx: XdpContext) -> u32 {
    xdp_action::XDP_TX
}

/// Puts an IPv4 header's length in front, as a tunnel does, and nothing in it: what it costs more than [`empty`] is that and
/// the driver's taking it off.
#[xdp]
pub fn grow(ctx: XdpContext) -> u32 {
    // SAFETY: the context; no pointer into the packet is used after this.
    if unsafe { bpf_xdp_adjust_head(ctx.ctx, -20) } != 0 {
        return xdp_action::XDP_ABORTED;
    }
    xdp_action::XDP_TX
}

#[repr(C)]
#[derive(Clone, Copy)]
pub struct VipKey {
    address: u32,
    port: u16,
    protocol: u8,
    padding: u8,
}
#[repr(C)]
#[derive(Clone, Copy)]
pub struct FlowKey {
    source: u32,
    destination: u32,
    ports: u32,
    protocol: u32,
}
#[repr(C)]
#[derive(Clone, Copy)]
pub struct Real {
    mac: [u16; 3],
    padding: u16,
    room: [u32; 2],
}
#[repr(C)]
#[derive(Clone, Copy)]
pub struct Sum {
    packets: u64,
    bytes: u64,
}

#[btf_map]
static VIPS: HashMap<VipKey, u32, 512> = HashMap::new();
#[btf_map]
static CONNECTIONS: LruHashMap<FlowKey, u32, 1_048_576> = LruHashMap::new();
#[btf_map]
static CONNECTIONS_LARGE: LruHashMap<FlowKey, u32, 4_000_000> = LruHashMap::new();
#[btf_map]
static RING: Array<u32, 65_537> = Array::new();
#[btf_map]
static REALS: Array<Real, 4096> = Array::new();
#[btf_map]
static SUMS: PerCpuArray<Sum, 4096> = PerCpuArray::new();

/// Design A of the floor: what a straightforward program on the kernel's maps costs, doing as little as it can.
/// VIP hash, connection LRU hash, ring, per-CPU counters, MAC rewrite; no states, no timeouts, no TTL, IPv4 TCP only.
#[xdp]
pub fn kernel_lru(ctx: XdpContext) -> u32 {
    floor(&ctx, &CONNECTIONS_LARGE)
}

/// The same on a table of a million, for new flows when it is full.
#[xdp]
pub fn kernel_lru_full(ctx: XdpContext) -> u32 {
    floor(&ctx, &CONNECTIONS)
}

#[inline(always)]
fn floor<const N: usize>(ctx: &XdpContext, connections: &LruHashMap<FlowKey, u32, N>) -> u32 {
    let (data, end) = (ctx.data(), ctx.data_end());
    if data + 54 > end {
        return xdp_action::XDP_PASS;
    }
    // SAFETY: within the 54 bytes just checked; map elements live as long as the program runs.
    unsafe {
        let read16 = |at: usize| *((data + at) as *const u16);
        let read32 = |at: usize| *((data + at) as *const u32);
        let read8 = |at: usize| *((data + at) as *const u8);
        if read16(12) != 8 || read8(14) != 0x45 || read16(20) & 0xff3f != 0 || read8(23) != 6 {
            return xdp_action::XDP_PASS;
        }
        let (source, destination, port) = (read32(26), read32(30), read16(36));
        let ports = read16(34) as u32 | (port as u32) << 16;
        if VIPS.get(&VipKey { address: destination, port, protocol: 6, padding: 0 }).is_none() {
            return xdp_action::XDP_PASS;
        }
        let key = FlowKey { source, destination, ports, protocol: 6 };
        let real = match connections.get(&key) {
            Some(real) => *real,
            None => {
                let mut hash = (source as u64) << 32 | ports as u64;
                hash = (hash ^ hash >> 32).wrapping_mul(0xd6e8_feb8_6659_fd93);
                hash = (hash ^ hash >> 32).wrapping_mul(0xd6e8_feb8_6659_fd93);
                let Some(real) = RING.get(((hash ^ hash >> 32) % 65_537) as u32) else { return xdp_action::XDP_DROP };
                let _ = connections.insert(&key, real, 0);
                *real
            }
        };
        let real = real & 4095;
        let Some(to) = REALS.get(real) else { return xdp_action::XDP_DROP };
        let write16 = |at: usize, value: u16| *((data + at) as *mut u16) = value;
        for half in 0..3 {
            write16(6 + 2 * half, read16(2 * half));
            write16(2 * half, to.mac[half]);
        }
        let Some(sum) = SUMS.get_ptr_mut(real) else { return xdp_action::XDP_DROP };
        (*sum).packets += 1;
        (*sum).bytes += (end - data) as u64;
    }
    xdp_action::XDP_TX
}

#[unsafe(no_mangle)]
#[unsafe(link_section = "license")]
pub static LICENSE: [u8; 13] = *b"Dual MIT/GPL\0";

#[panic_handler]
fn panic(_: &core::panic::PanicInfo) -> ! {
    loop {}
}
