//! What a rule of nf_tables does: it loads parts of a packet into registers, compares them, and gives a verdict.

use super::NfFamily;
use crate::message::Request;

const LIST_ELEMENT: u16 = 1;
const EXPRESSION_NAME: u16 = 1;
const EXPRESSION_DATA: u16 = 2;
const DATA_VALUE: u16 = 1;
const DATA_VERDICT: u16 = 2;
const VERDICT_CODE: u16 = 1;
/// NFT_REG_VERDICT
const VERDICT: u32 = 0;
/// NFT_REG32_00, the first of sixteen registers of four bytes.
const FIRST: u32 = 8;

/// Which end of a packet's way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NfEnd {
    /// Where it comes from.
    Source,
    /// Where it goes to.
    Destination,
}

/// What is known of a packet beside its bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NfMeta {
    /// Index of the interface it came by, in the byte order of the host.
    InputInterface,
    /// Index of the interface it leaves by.
    OutputInterface,
    /// Number of its transport protocol, in the first of four bytes.
    Protocol,
}

/// What becomes of a packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NfVerdict {
    /// It goes on; other chains may still drop it.
    Accept,
    /// It is gone.
    Drop,
}

/// A place of four bytes, 0 to 15; what is longer takes those behind it too.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NfRegister(pub u8);

/// A rule.
#[derive(Clone, Debug, Default)]
pub struct NfRule {
    bytes: Vec<u8>,
}

impl NfRule {
    /// One that does nothing yet.
    pub fn new() -> NfRule {
        NfRule::default()
    }

    fn expression(mut self, name: &str, fill: impl FnOnce(Request) -> Request) -> NfRule {
        let whole = Request::new(0, 0, &[])
            .nested(LIST_ELEMENT, |element| element.text(EXPRESSION_NAME, name).nested(EXPRESSION_DATA, fill));
        self.bytes.extend(whole.into_payload());
        self
    }

    fn payload(self, base: u32, offset: u32, length: u32, register: NfRegister) -> NfRule {
        self.expression("payload", |data| {
            let data = number(number(data, 1, register.number()), 2, base);
            number(number(data, 3, offset), 4, length)
        })
    }

    /// Loads an address: 4 bytes, of IPv6 16.
    pub fn load_address(self, family: NfFamily, end: NfEnd, register: NfRegister) -> NfRule {
        let (offset, length) = match (family, end) {
            (NfFamily::Ipv4, NfEnd::Source) => (12, 4),
            (NfFamily::Ipv4, NfEnd::Destination) => (16, 4),
            (NfFamily::Ipv6, NfEnd::Source) => (8, 16),
            (NfFamily::Ipv6, NfEnd::Destination) => (24, 16),
        };
        self.payload(1, offset, length, register)
    }

    /// Loads the port at that end of TCP, UDP or SCTP: 2 bytes and two of zero.
    pub fn load_port(self, end: NfEnd, register: NfRegister) -> NfRule {
        self.payload(2, if end == NfEnd::Source { 0 } else { 2 }, 2, register)
    }

    /// Loads the kind of an ICMP message: a byte and three of zero.
    pub fn load_icmp_type(self, register: NfRegister) -> NfRule {
        self.payload(2, 0, 1, register)
    }

    /// Loads what is known beside the packet.
    pub fn load(self, meta: NfMeta, register: NfRegister) -> NfRule {
        let key = match meta {
            NfMeta::InputInterface => 4,
            NfMeta::OutputInterface => 5,
            NfMeta::Protocol => 16,
        };
        self.expression("meta", |data| number(number(data, 1, register.number()), 2, key))
    }

    /// Goes on only where a register holds this.
    pub fn equals(self, register: NfRegister, value: &[u8]) -> NfRule {
        self.expression("cmp", |data| {
            let data = number(number(data, 1, register.number()), 2, 0);
            data.nested(3, |data| data.attribute(DATA_VALUE, value))
        })
    }

    /// Goes on only where the bytes from a register on are in a set.
    pub fn is_in(self, set: &str, register: NfRegister) -> NfRule {
        self.expression("lookup", |data| number(data.text(1, set), 2, register.number()))
    }

    /// Counts what comes so far.
    pub fn counted(self) -> NfRule {
        self.expression("counter", |data| data)
    }

    /// Ends with a verdict.
    pub fn verdict(self, verdict: NfVerdict) -> NfRule {
        let code = match verdict {
            NfVerdict::Drop => 0,
            NfVerdict::Accept => 1,
        };
        self.expression("immediate", |data| {
            let data = number(data, 1, VERDICT);
            data.nested(2, |data| data.nested(DATA_VERDICT, |data| number(data, VERDICT_CODE, code)))
        })
    }

    pub(super) fn bytes(&self) -> &[u8] {
        &self.bytes
    }
}

impl NfRegister {
    fn number(self) -> u32 {
        FIRST + u32::from(self.0)
    }
}

/// nf_tables has its numbers in network order.
fn number(request: Request, kind: u16, value: u32) -> Request {
    request.attribute(kind, &value.to_be_bytes())
}
