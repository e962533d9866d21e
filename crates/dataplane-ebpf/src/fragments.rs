//! Sends fragments on that came before their first one (docs/adr/0010).
//!
//! The XDP program rewrites them as it would have in time - by program test run, whatever the doors are, and where XDP cannot
//! send the program of tc does - and they leave by a packet socket.

use crate::{error::Error, kernel, plane::EbpfDataplane, run::Door};
use evenkeel_abi::{
    DEST_BY_STACK, DEST_RESOLVED,
    fragment::{EARLY_FRAME, Fragment, PASSED, Trace},
};
use std::{
    os::fd::{AsFd, BorrowedFd},
    time::Instant,
};

const KEY: usize = size_of::<Fragment>();
const VALUE: usize = size_of::<Trace>();
/// Fragments that one call takes from the ring: all it can hold.
const MOST: usize = 1024;
const XDP_TX: u32 = 3;
const XDP_REDIRECT: u32 = 4;
const TC_REDIRECT: u32 = 7;

/// What has become of early fragments in one call.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Settled {
    /// Sent on.
    pub sent: usize,
    /// Given up: there was no room, nobody to send them to, or the first fragment went to the host's own stack.
    pub lost: usize,
    /// Packets of which some are held still.
    pub waiting: usize,
}

impl EbpfDataplane {
    /// Becomes readable when a fragment comes before the first one of its packet, once there was none left. What an earlier
    /// daemon has left is not told.
    pub fn early_fragments(&self) -> BorrowedFd<'_> {
        self.maps.early.as_fd()
    }

    /// Takes the fragments that came before the first one of their packet, and sends on those whose first one has come since. To be
    /// called when [`EbpfDataplane::early_fragments`] is readable, and every 10 ms until a call finds nothing. Costs a look at a
    /// shared page when there are none.
    pub fn settle_fragments(&mut self) -> Result<Settled, Error> {
        let (now, mut settled) = (Instant::now(), Settled::default());
        for _ in 0..MOST {
            let Some(item) = self.maps.early.next() else { break };
            let frame = frame(&item).map(<[u8]>::to_vec);
            drop(item);
            settled.lost += usize::from(!frame.is_some_and(|frame| self.early.hold(now, frame)));
        }
        for key in self.early.waiting(now) {
            let Some(trace) = self.trace(&key) else { continue };
            if trace.dest == PASSED {
                settled.lost += self.early.release(&key).len();
                continue;
            }
            let Some((interface, door)) = self.way_out(&trace) else { continue };
            for frame in self.early.release(&key) {
                let outcome = self.run(door, &frame, 1)?;
                let goes = match door {
                    Door::Xdp => outcome.code == XDP_TX || outcome.code == XDP_REDIRECT,
                    // With the MAC addresses it came with it would be the kernel that writes them.
                    Door::Tc => outcome.code == TC_REDIRECT && outcome.frame.get(..12) != frame.get(..12),
                };
                let sent = goes && kernel::send_frame(interface, &outcome.frame).is_ok();
                settled.sent += usize::from(sent);
                settled.lost += usize::from(!sent);
            }
        }
        settled.waiting = self.early.waiting(now).len();
        Ok(settled)
    }

    /// The interface that the fragments of a packet leave by, and the door whose program readies them for it; `None`: they cannot
    /// yet.
    fn way_out(&self, trace: &Trace) -> Option<(u32, Door)> {
        let by = |xdp: bool| if xdp { Door::Xdp } else { Door::Tc };
        if trace.answer != 0 {
            let interface = trace.interface;
            return (interface != 0).then(|| (interface, by(self.sends_by(interface))));
        }
        let dest = self.maps.dests.get(trace.dest.min(self.sizes.dests - 1));
        let door = by(dest.flags & DEST_BY_STACK == 0);
        (dest.flags & DEST_RESOLVED != 0).then_some((dest.interface, door))
    }

    /// What is noted of a packet's first fragment.
    fn trace(&self, key: &Fragment) -> Option<Trace> {
        // SAFETY: plain data without padding, of that many bytes.
        let key: [u8; KEY] = unsafe { std::mem::transmute(*key) };
        let value: [u8; VALUE] = self.maps.fragments.get(&key, 0).ok()?;
        // SAFETY: as above; every pattern of bits is a value.
        Some(unsafe { std::mem::transmute::<[u8; VALUE], Trace>(value) })
    }
}

/// The frame in an element of the ring, see `abi::fragment::Early`.
fn frame(item: &[u8]) -> Option<&[u8]> {
    let length = u32::from_ne_bytes(item.get(4..8)?.try_into().ok()?) as usize;
    item.get(8..8 + length.min(EARLY_FRAME))
}
