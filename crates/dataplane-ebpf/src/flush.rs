//! Ends connections before their time.

use crate::{connections::Pass, plane::EbpfDataplane};
use evenkeel_abi::flow::{KEY4, KEY6};
use evenkeel_dataplane::ConnectionFilter;
use std::io;

/// Slots of each family that one call looks at.
const SLOTS_AT_ONCE: u32 = 1 << 17;

impl EbpfDataplane {
    /// Ends the connections and templates of some slots from `from` on that `filter` means, with their ways back; how many,
    /// and where to go on.
    pub(crate) fn flush_some(&mut self, filter: &ConnectionFilter, from: u64) -> io::Result<(u64, Option<u64>)> {
        let mut pass = self.pass(filter)?;
        if pass.families == (false, false) {
            return Ok((0, None));
        }
        let (slots, next) = self.part(from, SLOTS_AT_ONCE);
        let mut ended = 0;
        for slot in slots {
            if pass.families.0 {
                ended += u64::from(self.flush_slot::<KEY4>(slot, &mut pass));
            }
            if pass.families.1 {
                ended += u64::from(self.flush_slot::<KEY6>(slot, &mut pass));
            }
        }
        Ok((ended, next))
    }

    /// Whether there was one that the filter means.
    fn flush_slot<const K: usize>(&self, slot: u32, pass: &mut Pass<'_>) -> bool {
        // One that a packet changes just then is looked at again, a few times at most: packets are slower.
        let mut tries = (0..16).map_while(|_| self.meant::<K>(slot, pass));
        tries.any(|(seen, _)| self.end(&seen))
    }
}
