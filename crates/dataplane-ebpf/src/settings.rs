//! What can be changed of the whole while it runs.

use crate::{clock::ticks, error::Error, kernel, plane::EbpfDataplane};
use evenkeel_abi::{
    Settings,
    state::{STATES, State},
};
use evenkeel_model::Timeouts;

/// Seconds that the first fragment of a packet is remembered (PP-50).
const FRAGMENT_SECONDS: u32 = 30;
/// Seconds that lblc and lblcr remember a destination (PP-31).
const LOCALITY_SECONDS: u32 = 86_400;
/// Ports that FullNAT gives clients (PP-44): below those that Linux gives its own connections, such as those of checks.
const PORTS: (u16, u16) = (4_096, 32_767);

/// As it is at first.
pub(crate) fn fresh(timeouts: &[u32; STATES]) -> Result<Settings, Error> {
    let hertz =
        kernel::ticks_per_second().map_err(|cause| Error::Io { what: "cannot read the clock's resolution", cause })?;
    Ok(Settings {
        timeouts: timeouts.map(|seconds| ticks(seconds, hertz)),
        ticks_per_second: hertz,
        fragment_timeout: ticks(FRAGMENT_SECONDS, hertz),
        locality_timeout: ticks(LOCALITY_SECONDS, hertz),
        first_port: PORTS.0,
        last_port: PORTS.1,
        marks: 0,
        room: [0; 11],
    })
}

impl EbpfDataplane {
    /// How long connections last, in seconds.
    pub(crate) fn read_timeouts(&self) -> Timeouts {
        let settings = self.maps.settings.get(0);
        let seconds = |state: State| Some(settings.timeouts[state as usize] / settings.ticks_per_second.max(1));
        Timeouts { tcp: seconds(State::Established), tcp_fin: seconds(State::FinWait), udp: seconds(State::Udp) }
    }

    /// Sets how long connections last, those there are included. What is not said stays.
    pub(crate) fn write_timeouts(&self, timeouts: &Timeouts) {
        let hertz = self.maps.settings.get(0).ticks_per_second;
        let settings = self.maps.settings.at(0);
        let wanted =
            [(State::Established, timeouts.tcp), (State::FinWait, timeouts.tcp_fin), (State::Udp, timeouts.udp)];
        for (state, seconds) in wanted.into_iter().filter_map(|(state, seconds)| Some((state as usize, seconds?))) {
            let lasts = ticks(seconds, hertz);
            // SAFETY: an element of the array in the one element of the map.
            unsafe { (&raw mut (*settings).timeouts).cast::<u32>().add(state).write_volatile(lasts) };
        }
    }
}
