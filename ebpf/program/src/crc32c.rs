//! What changed ports do to an SCTP packet's CRC32c (RFC 9260 appendix A), without looking at the rest of the packet.
//!
//! The checksum is linear: that of the exclusive or of two packets of one length is the exclusive or of what their bits add. So the old
//! one is combined with the CRC of a packet that has the changed bits in its first four bytes and zeroes behind: their polynomial times
//! x to the power of the packet's bits, modulo the generator. That power comes from a table, four bits of the length at a time.

/// The generator, bits reversed.
const GENERATOR: u32 = 0x82f6_3b78;
/// The polynomial 1.
const ONE: u32 = 1 << 31;

/// The polynomial `a` times x.
const fn shifted(a: u32) -> u32 {
    a >> 1 ^ if a & 1 != 0 { GENERATOR } else { 0 }
}

/// The polynomials `a` times `b`, modulo the generator.
const fn product(mut a: u32, b: u32) -> u32 {
    let (mut sum, mut bit) = (0, 0);
    while bit < 32 {
        if b >> (31 - bit) & 1 != 0 {
            sum ^= a;
        }
        a = shifted(a);
        bit += 1;
    }
    sum
}

/// Four-bit digits of a length.
const DIGITS: usize = 4;

/// x to the power of `8 * digit * 16^place`, at `place * 16 + digit`.
#[unsafe(no_mangle)]
static CRC32C_POWERS: [u32; DIGITS * 16] = powers();

const fn powers() -> [u32; DIGITS * 16] {
    let mut table = [ONE; DIGITS * 16];
    let mut byte = ONE;
    let mut bit = 0;
    while bit < 8 {
        byte = shifted(byte);
        bit += 1;
    }
    let mut step = byte;
    let mut place = 0;
    while place < DIGITS {
        let mut digit = 1;
        while digit < 16 {
            table[place * 16 + digit] = product(table[place * 16 + digit - 1], step);
            digit += 1;
        }
        step = product(table[place * 16 + 15], step);
        place += 1;
    }
    table
}

/// What is to be added (exclusive or) to the checksum of a packet of `length` bytes whose first four have been changed by `bits`; both as
/// they stand in the packet.
#[inline(always)]
pub fn change(bits: u32, length: u32) -> u32 {
    evenkeel_crc32c(bits, length) as u32
}

/// See [`change`].
#[unsafe(no_mangle)]
#[inline(never)]
pub extern "C" fn evenkeel_crc32c(bits: u32, length: u32) -> u64 {
    let mut crc = bits;
    let mut place = 0;
    while place < DIGITS as u32 {
        let digit = length >> (4 * place) & 15;
        let first = (&raw const CRC32C_POWERS).cast::<u32>();
        // SAFETY: the mask keeps the index inside the table.
        let power = unsafe { first.add(crate::maps::bounded::<63>(place * 16 + digit)).read() };
        crc = multiply(crc, power);
        place += 1;
    }
    crc as u64
}

/// As [`product`], without branches for the verifier to follow.
#[inline(always)]
fn multiply(mut a: u32, b: u32) -> u32 {
    let mut sum = 0;
    for bit in 0..32 {
        sum ^= a & 0u32.wrapping_sub(b >> (31 - bit) & 1);
        a = a >> 1 ^ GENERATOR & 0u32.wrapping_sub(a & 1);
    }
    sum
}
