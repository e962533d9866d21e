//! The clsact qdisc, which holds the filters of an interface's ingress and egress (tc-bpf(8)).

use crate::{
    error::Error,
    message::{Message, Request, attributes, u32_at},
    socket::Netlink,
};

/// `TC_H_CLSACT` as a parent.
const CLSACT: u32 = 0xffff_fff1;
/// Parents of ingress and egress filters.
const SIDES: [u32; 2] = [0xffff_fff2, 0xffff_fff3];

/// `struct tcmsg`: family and padding, interface, handle, parent, info.
fn tcmsg(index: u32, parent: u32) -> Vec<u8> {
    [0, index, 0, parent, 0].iter().flat_map(|word: &u32| word.to_ne_bytes()).collect()
}

/// `TCA_OPTIONS`, and in it `TCA_BPF_ID`.
const OPTIONS: u16 = 2;
const BPF_ID: u16 = 11;
/// Bytes of `struct tcmsg`.
const TCMSG: usize = 20;

/// The program of a message's filter, if it has this priority and handle.
fn program(message: Message<'_>, priority: u16, handle: u32) -> Option<u32> {
    let (own_handle, info) = (u32_at(message.body, 8)?, u32_at(message.body, 16)?);
    if own_handle != handle || info >> 16 != u32::from(priority) {
        return None;
    }
    let (_, options) = attributes(message.body, TCMSG).find(|(kind, _)| *kind == OPTIONS)?;
    attributes(options, 0).find(|(kind, _)| *kind == BPF_ID).and_then(|(_, id)| u32_at(id, 0))
}

impl Netlink {
    /// The number of the eBPF program behind an interface's ingress filter; `None`: there is no such filter.
    pub fn ingress_program(&mut self, index: u32, priority: u16, handle: u32) -> Result<Option<u32>, Error> {
        let what = format!("list the filters of interface {index}");
        let body = tcmsg(index, SIDES[0]);
        let found = self.dump(&what, libc::RTM_GETTFILTER, &body, |message| program(message, priority, handle))?;
        Ok(found.first().copied())
    }

    /// Removes an interface's clsact qdisc unless there is a filter in it; whether it did.
    pub fn remove_unused_clsact(&mut self, index: u32) -> Result<bool, Error> {
        for side in SIDES {
            let what = format!("list the filters of interface {index}");
            if !self.dump(&what, libc::RTM_GETTFILTER, &tcmsg(index, side), |_| Some(()))?.is_empty() {
                return Ok(false);
            }
        }
        let request = Request::new(libc::RTM_DELQDISC, libc::NLM_F_ACK, &tcmsg(index, CLSACT));
        self.change(&format!("remove the clsact qdisc of interface {index}"), request)?;
        Ok(true)
    }
}
