//! Whether the last frame of a run is what the method makes of it: a program that passes packets is fast.

/// The director's own MAC address, and its address towards real servers.
pub(crate) const OWN_MAC: [u8; 6] = [2, 0, 0, 0, 0, 0xee];
pub(crate) const OWN: [u8; 4] = [10, 0, 0, 1];
/// Port of real servers whose method translates.
pub(crate) const SERVER_PORT: u16 = 8080;

/// What a method makes of a frame.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Becomes {
    /// It passes.
    Itself,
    Routed,
    Translated,
    /// Source too.
    FullyTranslated,
    /// In an outer IPv4 header.
    Wrapped,
}

/// Whether `came` is what becomes of `sent`; real server N has a MAC address and an address that end in N.
pub(crate) fn verify(becomes: Becomes, sent: &[u8], came: &[u8]) -> Result<(), &'static str> {
    let holds = |condition: bool, otherwise| if condition { Ok(()) } else { Err(otherwise) };
    if becomes == Becomes::Itself {
        return holds(came == sent, "the frame has changed");
    }
    let outer = if becomes == Becomes::Wrapped { 20 } else { 0 };
    holds(came.len() == sent.len() + outer, "the length is wrong")?;
    holds(came[..5] == [2, 0, 0, 0, 0] && came[6..12] == OWN_MAC, "the MAC addresses are wrong")?;
    let server = [10, 0, 1, came[5]];
    if outer != 0 {
        let header = &came[14..34];
        holds(sum(&[header]) == 0, "the outer checksum is wrong")?;
        let length = (came.len() - 14) as u16;
        holds(header[..4] == [0x45, 0, (length >> 8) as u8, length as u8], "the outer length is wrong")?;
        holds(header[8..10] == [64, 4], "it is no packet in a packet")?;
        holds(header[12..16] == OWN && header[16..] == server, "the outer addresses are wrong")?;
    }
    let (sent, came) = (&sent[14..], &came[14 + outer..]);
    if sent[0] >> 4 == 6 {
        let rest = came[..7] == sent[..7] && came[8..] == sent[8..];
        return holds(came[7] + 1 == sent[7] && rest, "not only the hop limit is new");
    }
    holds(came[8] + 1 == sent[8], "the TTL is wrong")?;
    holds(came[..8] == sent[..8] && came[9] == sent[9], "the IP header is wrong")?;
    // Checksums are adjusted by what changes: what they were wrong by stays.
    holds(sum(&[&came[..20]]) == sum(&[&sent[..20]]), "the IP checksum is wrong")?;
    let covered = |packet: &[u8]| sum(&[&packet[12..]]);
    holds(covered(came) == covered(sent), "the transport checksum is wrong")?;
    let port = |at: usize| u16::from_be_bytes([came[at], came[at + 1]]);
    match becomes {
        Becomes::Routed | Becomes::Wrapped | Becomes::Itself => return holds(came[12..] == sent[12..], "more is new"),
        Becomes::Translated => {
            holds(came[12..16] == sent[12..16] && came[20..22] == sent[20..22], "the client is new")?
        }
        Becomes::FullyTranslated => {
            holds(came[12..16] == OWN && (4_096..=32_767).contains(&port(20)), "the client is not ours")?;
        }
    }
    holds(came[16..20] == server && port(22) == SERVER_PORT, "the real server is wrong")?;
    holds(came[24..36] == sent[24..36] && came[38..] == sent[38..], "more is new")
}

/// The sum of words, of which 0xffff is 0 too.
fn sum(parts: &[&[u8]]) -> u32 {
    let words = parts.iter().flat_map(|part| part.chunks(2));
    words.map(|word| u32::from(word[0]) << 8 | word.get(1).map_or(0, |low| u32::from(*low))).sum::<u32>() % 0xffff
}
