//! The driver of a run: which frame, of which flows, through which program, and what came out last.

use aya::{
    Ebpf, EbpfLoader, Pod,
    maps::{Array, HashMap, MapData, ProgramArray},
    programs::{ProgramFd, TestRun, TestRunOptions, Xdp},
};
use evenkeel_dataplane_ebpf::EbpfDataplane;
use std::ffi::OsStr;

/// Flows of a million, and of a table for as many.
pub(crate) const MILLION: u32 = 1 << 20;
/// Bytes of a frame that the driver restores: all of an IPv4 one.
const HEAD: usize = 78;
/// An odd stride visits every flow of a power of two, in no order that helps.
const STRIDE: u32 = 0x9e37_79b1;
/// First port of every client.
const FIRST_PORT: u16 = 1024;

#[repr(C)]
#[derive(Clone, Copy)]
struct Drive {
    counter: u64,
    stride: u32,
    mask: u32,
    base: u32,
    clients: u32,
    shift: u32,
    family: u32,
    address: u32,
    length: u32,
    head: [u32; 20],
}
// SAFETY: plain words without holes.
unsafe impl Pod for Drive {}

/// The flows of a run: of `count` (a power of two; 0: of all) from `base` on, beginning with the `first`.
#[derive(Clone, Copy)]
pub(crate) struct Flows {
    pub(crate) base: u32,
    pub(crate) count: u32,
    pub(crate) first: u64,
    /// So many clients (a power of two) share them.
    pub(crate) clients: u32,
}

impl Flows {
    /// `count` of them, of up to 32 768 ports a client.
    pub(crate) fn of(count: u32) -> Flows {
        Flows { base: 0, count, first: 0, clients: 1 << 17 }
    }

    fn mask(self) -> u32 {
        self.count.wrapping_sub(1)
    }

    /// Client and port of repetition `number`, as the driver has them.
    fn nth(self, number: u64) -> (u32, u16) {
        let flow = self.base.wrapping_add((number as u32).wrapping_mul(STRIDE) & self.mask());
        let port = flow.wrapping_shr(self.clients.trailing_zeros()) & 0x7fff;
        (flow & (self.clients - 1), FIRST_PORT + port as u16)
    }

    /// `frame` as the driver makes it for repetition `number`.
    pub(crate) fn frame(self, frame: &[u8], number: u32) -> Vec<u8> {
        let (client, port) = self.nth(self.first + u64::from(number));
        let (source, ports) = if is_v4(frame) { (26, 34) } else { (34, 54) };
        let address = first_client(frame) + client;
        let mut frame = frame.to_vec();
        frame[source..source + 4].copy_from_slice(&address.to_be_bytes());
        frame[ports..ports + 2].copy_from_slice(&port.to_be_bytes());
        frame
    }
}

/// Whether a frame is one of IPv4.
pub(crate) fn is_v4(frame: &[u8]) -> bool {
    frame[12] == 8
}

/// Its word that tells clients apart, for the first one.
fn first_client(frame: &[u8]) -> u32 {
    if is_v4(frame) { 0x0a80_0000 } else { 0x2001_0db8 }
}

/// What came of a run.
pub(crate) struct Ran {
    /// Nanoseconds a repetition, all told.
    pub(crate) nanoseconds: f64,
    /// XDP code of the last.
    pub(crate) code: u32,
    /// The frame that the last left.
    pub(crate) frame: Vec<u8>,
}

/// The programs of `ebpf/program/src/bin/bench.rs`.
pub(crate) struct Bench(Ebpf);

impl Bench {
    pub(crate) fn load(path: &OsStr) -> Bench {
        let mut object = EbpfLoader::new().load_file(path).expect("the benchmark's programs load");
        for name in ["drive", "empty", "grow", "kernel_lru", "kernel_lru_full"] {
            let program: &mut Xdp = object.program_mut(name).expect("is there").try_into().expect("is XDP");
            program.load().expect("is verified");
        }
        let mut vips: HashMap<_, [u8; 8], u32> =
            HashMap::try_from(object.map_mut("VIPS").expect("is there")).expect("a hash");
        vips.insert([10, 0, 0, 100, 0, 80, 6, 0], 1, 0).expect("room");
        let mut ring: Array<_, u32> = Array::try_from(object.map_mut("RING").expect("is there")).expect("an array");
        for slot in 0..65_537 {
            ring.set(slot, slot % 3, 0).expect("room");
        }
        Bench(object)
    }

    /// Calls `program` of this object next.
    pub(crate) fn aim(&mut self, program: &str) {
        let target: &mut Xdp = self.0.program_mut(program).expect("is there").try_into().expect("is XDP");
        let fd = target.fd().expect("is loaded").try_clone().expect("a descriptor");
        self.target().set(0, &fd, 0).expect("fits");
    }

    /// Calls this data plane's XDP door next.
    pub(crate) fn aim_at(&mut self, program: &ProgramFd) {
        self.target().set(0, program, 0).expect("fits");
    }

    fn target(&mut self) -> ProgramArray<&mut MapData> {
        ProgramArray::try_from(self.0.map_mut("TARGET").expect("is there")).expect("a program array")
    }

    /// Runs `packets` repetitions of `frame`, each of the next flow.
    pub(crate) fn run(&mut self, frame: &[u8], flows: Flows, packets: u32) -> Ran {
        let mut head = [0u32; 20];
        for (i, byte) in frame.iter().take(HEAD).enumerate() {
            let at = i + 2;
            head[at / 4] |= u32::from(*byte) << (8 * (at % 4));
        }
        let drive = Drive {
            counter: flows.first,
            stride: STRIDE,
            mask: flows.mask(),
            base: flows.base,
            clients: flows.clients - 1,
            shift: flows.clients.trailing_zeros(),
            family: if is_v4(frame) { 4 } else { 6 },
            address: first_client(frame),
            length: frame.len() as u32,
            head,
        };
        let mut settings: Array<_, Drive> =
            Array::try_from(self.0.map_mut("DRIVE").expect("is there")).expect("an array");
        settings.set(0, drive, 0).expect("room");
        let program: &mut Xdp = self.0.program_mut("drive").expect("is there").try_into().expect("is XDP");
        let mut out = vec![0; frame.len() + 128];
        let options = TestRunOptions {
            data_in: Some(frame),
            data_out: Some(&mut out),
            repeat: packets,
            ..TestRunOptions::default()
        };
        let result = program.test_run(options).expect("runs");
        out.truncate(result.data_size_out as usize);
        Ran { nanoseconds: result.duration.as_nanos() as f64, code: result.return_value, frame: out }
    }
}

/// The XDP door of a data plane.
pub(crate) fn door(plane: &mut EbpfDataplane) -> ProgramFd {
    plane.xdp_program().expect("is loaded").try_clone().expect("a descriptor")
}

pub(crate) fn tcp4(destination: [u8; 4], flags: u8) -> Vec<u8> {
    let mut frame = vec![2, 0, 0, 0, 0, 0xee, 2, 0, 0, 0, 0, 0xcc, 8, 0];
    frame.extend([0x45, 0, 0, 64, 0, 1, 0x40, 0, 64, 6, 0, 0, 10, 128, 0, 0]);
    frame.extend(destination);
    frame.extend([4, 0, 0, 80, 0, 0, 0, 1, 0, 0, 0, 0, 0x50, flags, 0x20, 0, 0, 0, 0, 0]);
    frame.resize(HEAD, 0);
    frame
}

pub(crate) fn udp4() -> Vec<u8> {
    let mut frame = tcp4([10, 0, 0, 100], 0);
    frame[23] = 17;
    frame[36..42].copy_from_slice(&[0, 80, 0, 44, 0, 0]);
    frame
}

pub(crate) fn tcp6(flags: u8) -> Vec<u8> {
    let mut frame = vec![2, 0, 0, 0, 0, 0xee, 2, 0, 0, 0, 0, 0xcc, 0x86, 0xdd];
    frame.extend([0x60, 0, 0, 0, 0, 24, 6, 64]);
    frame.extend([0x20, 1, 0xd, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 9]);
    frame.extend([0xfd, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0]);
    frame.extend([4, 0, 0, 80, 0, 0, 0, 1, 0, 0, 0, 0, 0x50, flags, 0x20, 0, 0, 0, 0, 0, 0, 0, 0, 0]);
    frame
}
