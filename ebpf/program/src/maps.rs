//! The maps and the settings the loader writes before the program is verified.

use crate::{connect::New, fragment::Question, plan::Plan, schedule::Choice, too_big::Budget};
use aya_ebpf::{
    Global,
    btf_maps::{Array, HashMap, LpmTrie, LruHashMap, PerCpuArray, RingBuf},
    helpers::generated as helpers,
    macros::btf_map,
};
use evenkeel_abi::{
    ACL_ENTRIES, Counters, Dest, DestInfo, Drops, Filter, Header, Load, Reason, Service, ServiceInfo, ServiceKey,
    Settings,
    flow::{Bucket, KEY4, KEY6, Slot4, Slot6},
    fragment::{EARLY_BYTES, FRAGMENT_ENTRIES, Fragment, Trace},
    hash::Secret,
    limit, link,
    locality::{Destination, LOCALITY_ENTRIES, Servers},
    mark, sip,
    state::{NEXT, ROWS, STATES},
    unwrap,
};

/// The daemon maps the array into its memory (BPF_F_MMAPABLE).
const MAPPED: usize = 1 << 10;

// Sizes are set by the loader; these are the smallest.

/// What an adopting daemon must know; the program does not use it.
#[btf_map]
pub static HEADER: Array<Header, 1, MAPPED> = Array::new();
/// What can be changed while the program runs.
#[btf_map]
pub static SETTINGS: Array<Settings, 1, MAPPED> = Array::new();
#[btf_map]
pub static FILTER: Array<Filter, 1, MAPPED> = Array::new();
#[btf_map]
pub static SERVICE_IDS: HashMap<ServiceKey, u32, 64> = HashMap::new();
#[btf_map]
pub static SERVICES: Array<Service, 64, MAPPED> = Array::new();
/// For the daemon only.
#[btf_map]
pub static SERVICE_INFOS: Array<ServiceInfo, 64, MAPPED> = Array::new();
#[btf_map]
pub static CELLS: Array<u64, 512, MAPPED> = Array::new();
#[btf_map]
pub static DESTS: Array<Dest, 64, MAPPED> = Array::new();
/// For the daemon only.
#[btf_map]
pub static DEST_INFOS: Array<DestInfo, 64, MAPPED> = Array::new();
/// Active and inactive connections by real server, see `abi::Load`.
#[btf_map]
pub static LOADS: Array<Load, 64, MAPPED> = Array::new();
#[btf_map]
pub static COUNTERS: Array<Counters, 128, MAPPED> = Array::new();
#[btf_map]
pub static DROPS: Array<Drops, 2, MAPPED> = Array::new();
#[btf_map]
pub static FLOWS4: Array<Bucket<Slot4>, 64, MAPPED> = Array::new();
#[btf_map]
pub static FLOWS6: Array<Bucket<Slot6>, 64, MAPPED> = Array::new();
/// Keys: service and address words, see `abi::ACL_ENTRIES`.
#[btf_map]
pub static ACL: LpmTrie<[u32; 5], u32, { ACL_ENTRIES as usize }> = LpmTrie::new();
/// What gives packets a mark, see `abi::mark`.
#[btf_map]
pub static MARKS: LpmTrie<mark::Destination, mark::Range, { mark::MARK_ENTRIES as usize }> = LpmTrie::new();
/// Budgets of clients for new connections. Not kept when the program is replaced.
#[btf_map]
pub static SOURCES: LruHashMap<limit::Source, u64, { limit::SOURCE_ENTRIES as usize }> = LruHashMap::new();
/// The start of a packet's payload, while it is looked at.
#[btf_map]
pub static PAYLOAD: PerCpuArray<sip::Payload, 1> = PerCpuArray::new();

/// What a connection is made of, and what its template is made of.
#[btf_map]
pub static NEW4: PerCpuArray<New<KEY4>, 2> = PerCpuArray::new();
#[btf_map]
pub static NEW6: PerCpuArray<New<KEY6>, 2> = PerCpuArray::new();

/// This CPU's own elements of `NEW4` or `NEW6`.
#[inline(always)]
pub fn new<const K: usize>(index: u32) -> Option<*mut New<K>> {
    if K == KEY4 {
        NEW4.get_ptr_mut(index).map(|new| new.cast())
    } else {
        NEW6.get_ptr_mut(index).map(|new| new.cast())
    }
}
/// What `lblc` and `lblcr` remember.
#[btf_map]
pub static LOCALITY: LruHashMap<Destination, Servers, { LOCALITY_ENTRIES as usize }> = LruHashMap::new();
/// Where schedulers take notes.
#[btf_map]
pub static CHOICE: PerCpuArray<Choice, 1> = PerCpuArray::new();

/// Where the fragments of packets go.
#[btf_map]
pub static FRAGMENTS: LruHashMap<Fragment, Trace, { FRAGMENT_ENTRIES as usize }> = LruHashMap::new();
/// What a CPU writes down for itself.
#[btf_map]
pub static SCRATCH: PerCpuArray<Scratch, 1> = PerCpuArray::new();
/// Fragments that came before their first one.
#[btf_map]
pub static EARLY: RingBuf<(), { EARLY_BYTES as usize }> = RingBuf::new();

/// Interfaces that XDP can send by, see `abi::link`.
#[btf_map]
pub static LINKS: HashMap<link::Link, link::Way, { link::LINK_ENTRIES as usize }> = HashMap::new();

/// Virtual addresses that packets are unwrapped for.
#[btf_map]
pub static UNWRAP_VIPS: HashMap<unwrap::Address, unwrap::Vip, { unwrap::VIPS as usize }> = HashMap::new();
/// What was unwrapped, by kind.
#[btf_map]
pub static UNWRAP_COUNTS: PerCpuArray<u64, { unwrap::COUNTS as usize }> = PerCpuArray::new();

/// What is too large for the stack, or is to be found again by the CPU's next packet.
#[repr(C)]
pub struct Scratch {
    pub plan: Plan,
    pub question: Question,
    pub budget: Budget,
}

#[unsafe(no_mangle)]
static SECRET_FIRST: Global<u64> = Global::new(0);
#[unsafe(no_mangle)]
static SECRET_SECOND: Global<u64> = Global::new(0);
#[unsafe(no_mangle)]
static FLOW_MASK: Global<u32> = Global::new(63);
#[unsafe(no_mangle)]
static DEST_COUNT: Global<u32> = Global::new(64);
/// Named, as a mangled name would hold a hash of the building directory.
#[unsafe(no_mangle)]
static NEXT_STATES: [u8; ROWS * STATES] = NEXT;
#[unsafe(no_mangle)]
static SIP_CLASSES: [u8; 256] = sip::CLASSES;
#[unsafe(no_mangle)]
static SIP_NEXT: [u8; 256] = sip::NEXT;

/// The instance's secret.
#[inline(always)]
pub fn secret() -> Secret {
    Secret { first: SECRET_FIRST.load(), second: SECRET_SECOND.load() }
}

/// Buckets minus one, of both flow tables.
#[inline(always)]
pub fn flow_mask() -> u32 {
    FLOW_MASK.load()
}

/// The timeout of a state, in ticks.
#[inline(always)]
pub fn timeout(state: u32) -> u32 {
    let Some(settings) = SETTINGS.get_ptr(0) else { return 0 };
    const _: () = assert!(STATES == 32);
    // SAFETY: the mask keeps the index inside the array. Volatile, as the daemon changes it.
    unsafe { (&raw const (*settings).timeouts).cast::<u32>().add(bounded::<31>(state)).read_volatile() }
}

/// Ticks in a second.
#[inline(always)]
pub fn ticks_per_second() -> u32 {
    // SAFETY: the single element of the array.
    SETTINGS.get_ptr(0).map_or(0, |settings| unsafe { (&raw const (*settings).ticks_per_second).read_volatile() })
}

/// Whether packets may have marks (PP-39).
#[inline(always)]
pub fn any_marks() -> bool {
    // SAFETY: the single element of the array.
    SETTINGS.get_ptr(0).is_some_and(|settings| unsafe { (&raw const (*settings).marks).read_volatile() } != 0)
}

/// Ticks a first fragment is remembered.
#[inline(always)]
pub fn fragment_timeout() -> u32 {
    let Some(settings) = SETTINGS.get_ptr(0) else { return 0 };
    // SAFETY: an element of the array. Volatile, as the daemon changes it.
    unsafe { (&raw const (*settings).fragment_timeout).read_volatile() }
}

/// First and last port that FullNAT gives clients (PP-44), host order.
#[inline(always)]
pub fn port_range() -> (u16, u16) {
    let Some(settings) = SETTINGS.get_ptr(0) else { return (1, 0) };
    // SAFETY: fields of the one element. Volatile, as the daemon changes them.
    unsafe { ((&raw const (*settings).first_port).read_volatile(), (&raw const (*settings).last_port).read_volatile()) }
}

/// The state after the event of a row in `state` (PP-13).
#[inline(always)]
pub fn next(row: u32, state: u32) -> u32 {
    const _: () = assert!(ROWS * STATES == 2048);
    let first = (&raw const NEXT_STATES).cast::<u8>();
    // SAFETY: the mask keeps the index inside the array.
    unsafe { first.add(bounded::<2047>(row * STATES as u32 + state)).read() as u32 }
}

/// Where a SIP message is read to after its next byte (PP-36).
#[inline(always)]
pub fn sip_next(place: u32, byte: u8) -> u32 {
    let (classes, next) = ((&raw const SIP_CLASSES).cast::<u8>(), (&raw const SIP_NEXT).cast::<u8>());
    // SAFETY: masks keep both indices inside the arrays.
    unsafe {
        let class = classes.add(bounded::<255>(byte as u32)).read() as u32;
        next.add(bounded::<255>(place << 4 | class)).read() as u32
    }
}

/// The kernel's tick.
#[inline(always)]
pub fn now() -> u32 {
    // SAFETY: the helper takes no pointer.
    unsafe { helpers::bpf_jiffies64() as u32 }
}

#[inline(always)]
fn cpu() -> u32 {
    // SAFETY: the helper takes no pointer.
    unsafe { helpers::bpf_get_smp_processor_id() }
}

/// Counts a packet that was not forwarded.
#[inline(always)]
pub fn count(reason: Reason) {
    if reason as u32 == Reason::NotOurs as u32 {
        return;
    }
    if let Some(drops) = DROPS.get_ptr_mut(cpu()) {
        const _: () = assert!(Reason::SLOTS == 32);
        let number = bounded::<31>(reason as u32);
        // SAFETY: the element is this CPU's own, and the index is inside it.
        unsafe { *(&raw mut (*drops).count).cast::<u64>().add(number) += 1 };
    }
}

/// Bounds an index where the verifier sees it: the compiler drops a mask that it knows to change nothing, and what it knows
/// the verifier, the one of 6.1 above all, often does not.
#[inline(always)]
pub fn bounded<const MASK: u32>(index: u32) -> usize {
    let mut index = index as u64;
    // SAFETY: changes the one register.
    unsafe { core::arch::asm!("{0} &= {1}", inout(reg) index, const MASK, options(pure, nomem, nostack)) };
    index as usize
}

/// This CPU's counters of a real server.
#[inline(always)]
pub fn counters(dest: u32) -> Option<*mut Counters> {
    COUNTERS.get_ptr_mut(cpu().wrapping_mul(DEST_COUNT.load()).wrapping_add(dest))
}
