//! Changes that count together.

use super::{
    COMMENT, DATA_VALUE, DELETE_ELEMENTS, DELETE_TABLE, ELEMENT_KEY, ELEMENTS, ELEMENTS_SET, ELEMENTS_TABLE,
    LIST_ELEMENT, NEW_TABLE, NfRule, NfTable, RULE_TABLE, SUBSYSTEM, TABLE_NAME, TABLE_USERDATA,
};
use crate::message::Request;

/// NFNL_MSG_BATCH_BEGIN and NFNL_MSG_BATCH_END.
const BEGIN: u16 = 0x10;
const END: u16 = 0x11;
const NEW_CHAIN: u16 = SUBSYSTEM | 3;
const NEW_RULE: u16 = SUBSYSTEM | 6;
const NEW_SET: u16 = SUBSYSTEM | 9;
const NEW_ELEMENTS: u16 = SUBSYSTEM | 12;
const CHAIN_TABLE: u16 = 1;
const CHAIN_NAME: u16 = 3;
const CHAIN_HOOK: u16 = 4;
const CHAIN_POLICY: u16 = 5;
const CHAIN_TYPE: u16 = 7;
const HOOK_NUMBER: u16 = 1;
const HOOK_PRIORITY: u16 = 2;
const RULE_CHAIN: u16 = 2;
const RULE_EXPRESSIONS: u16 = 4;
const SET_TABLE: u16 = 1;
const SET_NAME: u16 = 2;
const SET_KEY_TYPE: u16 = 4;
const SET_KEY_LENGTH: u16 = 5;
const SET_ID: u16 = 10;
/// NF_INET_LOCAL_IN and NF_INET_LOCAL_OUT.
const INPUT: u32 = 1;
const OUTPUT: u32 = 3;
const ACCEPT: u32 = 1;
/// Elements of one message: its list has to fit into an attribute of 64 KiB.
const MOST_ELEMENTS: usize = 1000;

/// Changes of the packet filter, carried out by [`NfTables::commit`](super::NfTables::commit) in their order.
#[derive(Debug, Default)]
pub struct NfBatch {
    requests: Vec<Request>,
    sets: u32,
}

impl NfBatch {
    /// Without any.
    pub fn new() -> NfBatch {
        NfBatch::default()
    }

    /// Adds a table with a comment of up to 128 bytes, which nft(8) shows.
    pub fn add_table(&mut self, table: NfTable<'_>, comment: &str) {
        let length = u8::try_from(comment.len() + 1).unwrap_or(u8::MAX);
        let mut data = vec![COMMENT, length];
        data.extend(comment.bytes().take(usize::from(length) - 1));
        data.push(0);
        let request = Request::new(NEW_TABLE, libc::NLM_F_CREATE, &table.family.body());
        self.requests.push(request.text(TABLE_NAME, table.name).attribute(TABLE_USERDATA, &data));
    }

    /// Deletes a table with all there is in it.
    pub fn delete_table(&mut self, table: NfTable<'_>) {
        self.requests.push(Request::new(DELETE_TABLE, 0, &table.family.body()).text(TABLE_NAME, table.name));
    }

    /// Adds a chain that sees what comes to this host, or with `output` what comes from it, and accepts what no rule
    /// drops. Chains of a lower priority are met first.
    pub fn add_chain(&mut self, table: NfTable<'_>, name: &str, output: bool, priority: i32) {
        let hook = |request: Request| {
            be32(
                be32(request, HOOK_NUMBER, if output { OUTPUT } else { INPUT }),
                HOOK_PRIORITY,
                priority.cast_unsigned(),
            )
        };
        let request = Request::new(NEW_CHAIN, libc::NLM_F_CREATE, &table.family.body())
            .text(CHAIN_TABLE, table.name)
            .text(CHAIN_NAME, name)
            .nested(CHAIN_HOOK, hook);
        self.requests.push(be32(request, CHAIN_POLICY, ACCEPT).text(CHAIN_TYPE, "filter"));
    }

    /// Adds a set whose keys have `length` bytes; `kind` is how nft(8) shows them.
    pub fn add_set(&mut self, table: NfTable<'_>, name: &str, kind: u32, length: u32) {
        self.sets += 1;
        let request = Request::new(NEW_SET, libc::NLM_F_CREATE, &table.family.body())
            .text(SET_TABLE, table.name)
            .text(SET_NAME, name);
        let request = be32(be32(request, SET_KEY_TYPE, kind), SET_KEY_LENGTH, length);
        self.requests.push(be32(request, SET_ID, self.sets));
    }

    /// Adds a rule behind those that a chain has.
    pub fn add_rule(&mut self, table: NfTable<'_>, chain: &str, rule: &NfRule) {
        let request = Request::new(NEW_RULE, libc::NLM_F_CREATE | libc::NLM_F_APPEND, &table.family.body())
            .text(RULE_TABLE, table.name)
            .text(RULE_CHAIN, chain)
            .nested(RULE_EXPRESSIONS, |request| request.raw(rule.bytes()));
        self.requests.push(request);
    }

    /// Adds elements to a set; those that it has already are no mistake.
    pub fn add_elements<'k>(&mut self, table: NfTable<'_>, set: &str, keys: impl Iterator<Item = &'k [u8]>) {
        self.elements(table, set, keys, |body| Request::new(NEW_ELEMENTS, libc::NLM_F_CREATE, body));
    }

    /// Takes elements out of a set; those that it has not are a mistake ([`Error::is_missing`](crate::Error::is_missing)).
    pub fn delete_elements<'k>(&mut self, table: NfTable<'_>, set: &str, keys: impl Iterator<Item = &'k [u8]>) {
        self.elements(table, set, keys, |body| Request::new(DELETE_ELEMENTS, 0, body));
    }

    fn elements<'k>(
        &mut self,
        table: NfTable<'_>,
        set: &str,
        keys: impl Iterator<Item = &'k [u8]>,
        begin: impl Fn(&[u8]) -> Request,
    ) {
        let mut keys = keys.peekable();
        while keys.peek().is_some() {
            let some = keys.by_ref().take(MOST_ELEMENTS);
            let one = |list: Request, key: &[u8]| {
                list.nested(LIST_ELEMENT, |element| element.nested(ELEMENT_KEY, |data| data.attribute(DATA_VALUE, key)))
            };
            let request = begin(&table.family.body()).text(ELEMENTS_TABLE, table.name).text(ELEMENTS_SET, set);
            self.requests.push(request.nested(ELEMENTS, |list| some.fold(list, one)));
        }
    }

    /// Whether there is nothing to do.
    pub fn is_empty(&self) -> bool {
        self.requests.is_empty()
    }

    /// The messages between the two that hold them together.
    pub(super) fn into_requests(self) -> Vec<Request> {
        // The last two bytes say whose batch it is, in network order.
        let [high, low] = (SUBSYSTEM >> 8).to_be_bytes();
        let edge = |kind| Request::new(kind, 0, &[0, 0, high, low]);
        let mut all = vec![edge(BEGIN)];
        all.extend(self.requests);
        all.push(edge(END));
        all
    }
}

/// nf_tables has its numbers in network order.
fn be32(request: Request, kind: u16, value: u32) -> Request {
    request.attribute(kind, &value.to_be_bytes())
}
