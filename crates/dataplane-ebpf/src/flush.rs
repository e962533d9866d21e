//! Ends connections before their time.

use crate::{connections::Pass, plane::EbpfDataplane};
use evenkeel_abi::flow::{KEY4, KEY6};
use evenkeel_dataplane::ConnectionFilter;
use std::io;

impl EbpfDataplane {
    /// Ends the connections and templates that `filter` means, with their ways back; how many.
    pub(crate) fn flush_connections(&mut self, filter: &ConnectionFilter) -> io::Result<u64> {
        let pass = self.pass(filter)?;
        let (v4, v6) = self.families_in_use();
        let mut ended = 0;
        for slot in 0..self.slots() {
            if v4 {
                ended += u64::from(self.flush_slot::<KEY4>(slot, &pass));
            }
            if v6 {
                ended += u64::from(self.flush_slot::<KEY6>(slot, &pass));
            }
        }
        Ok(ended)
    }

    /// Whether there was one that the filter means.
    fn flush_slot<const K: usize>(&self, slot: u32, pass: &Pass<'_>) -> bool {
        // One that a packet changes just then is looked at again, a few times at most: packets are slower.
        let mut tries = (0..16).map_while(|_| self.meant::<K>(slot, pass));
        tries.any(|(seen, _)| self.end(&seen))
    }
}
