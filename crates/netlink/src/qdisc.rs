//! The clsact qdisc, which holds the filters of an interface's ingress and egress (tc-bpf(8)).

use crate::{error::Error, message::Request, socket::Netlink};

/// `TC_H_CLSACT` as a parent.
const CLSACT: u32 = 0xffff_fff1;
/// Parents of ingress and egress filters.
const SIDES: [u32; 2] = [0xffff_fff2, 0xffff_fff3];

/// `struct tcmsg`: family and padding, interface, handle, parent, info.
fn tcmsg(index: u32, parent: u32) -> Vec<u8> {
    [0, index, 0, parent, 0].iter().flat_map(|word: &u32| word.to_ne_bytes()).collect()
}

impl Netlink {
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
