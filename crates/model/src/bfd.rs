//! A BFD session as it was configured: who the neighbour is, and how soon its silence is noticed (RFC 5880 to 5883).

use std::{
    net::IpAddr,
    num::{NonZeroU8, NonZeroU32},
    time::Duration,
};

/// The most sessions of a node: each is a socket and a timer of its own.
pub const MOST_SESSIONS: usize = 1024;

/// Time between two packets, as a packet says it: whole microseconds, 1 to 4 294 967 295.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Interval(NonZeroU32);

impl Interval {
    /// What keepalived has where nothing is written: 10 ms.
    pub const DEFAULT: Interval = Interval(NonZeroU32::new(10_000).expect("it is not 0"));
    /// The least that is configured: more packets a second than a thousand are no work for a process.
    pub const LEAST: Interval = Interval(NonZeroU32::new(1_000).expect("it is not 0"));
    /// The least while a session is not up (RFC 5880 6.8.3): 1 s.
    pub const LEAST_IDLE: Interval = Interval(NonZeroU32::new(1_000_000).expect("it is not 0"));

    /// `None` where a packet cannot say it.
    pub fn new(time: Duration) -> Option<Interval> {
        let microseconds = u32::try_from(time.as_micros()).ok()?;
        let exact = Duration::from_micros(microseconds.into()) == time;
        NonZeroU32::new(microseconds).filter(|_| exact).map(Interval)
    }

    /// The nearest that is configured: at least [`Interval::LEAST`].
    pub fn nearest(time: Duration) -> Interval {
        let microseconds = u32::try_from(time.as_micros()).unwrap_or(u32::MAX);
        NonZeroU32::new(microseconds).map_or(Interval::LEAST, |number| Interval(number).max(Interval::LEAST))
    }

    /// In microseconds.
    pub fn microseconds(self) -> u32 {
        self.0.get()
    }

    /// The time.
    pub fn get(self) -> Duration {
        Duration::from_micros(self.0.get().into())
    }
}

/// How packets reach the neighbour.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Reach {
    /// Its packets go to port 4784 and may cross routers (RFC 5883); else port 3784 (RFC 5881).
    pub multihop: bool,
    /// TTL or hop limit of packets to it.
    pub hops: u8,
    /// The least TTL or hop limit of packets from it; 0: any. RFC 5881 5 asks for 255 of a neighbour on the link.
    pub least_hops: u8,
}

impl Default for Reach {
    /// A neighbour on the link.
    fn default() -> Reach {
        Reach { multihop: false, hops: 255, least_hops: 255 }
    }
}

/// A BFD session.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Session {
    /// As the operator calls it.
    pub name: String,
    /// The other end.
    pub neighbour: IpAddr,
    /// Address it sends from; `None`: what the host takes for the way to the neighbour.
    pub source: Option<IpAddr>,
    /// Where the neighbour is; asked for where its address is link-local.
    pub interface: Option<String>,
    /// The least time between packets to the neighbour while the session is up (`min_tx`).
    pub transmit: Interval,
    /// The least time between packets from it that this node can bear (`min_rx`).
    pub receive: Interval,
    /// The least time between packets while the session is not up (`idle_tx`); at least 1 s.
    pub idle: Interval,
    /// Packets of this node that the neighbour may miss.
    pub multiplier: NonZeroU8,
    /// Wait until the neighbour speaks.
    pub passive: bool,
    /// How packets reach it.
    pub reach: Reach,
}

impl Session {
    /// One with nothing but what must be said; the rest as keepalived has it.
    pub fn new(name: String, neighbour: IpAddr) -> Session {
        Session {
            name,
            neighbour,
            source: None,
            interface: None,
            transmit: Interval::DEFAULT,
            receive: Interval::DEFAULT,
            idle: Interval::LEAST_IDLE,
            multiplier: const { NonZeroU8::new(5).expect("it is not 0") },
            passive: false,
            reach: Reach::default(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_interval_is_what_a_packet_can_say() {
        assert_eq!(Interval::new(Duration::from_millis(50)).map(Interval::microseconds), Some(50_000));
        assert_eq!(Interval::new(Duration::ZERO), None);
        assert_eq!(Interval::new(Duration::from_nanos(1_500)), None);
        assert_eq!(Interval::new(Duration::from_secs(4295)), None);
        assert_eq!(Interval::nearest(Duration::ZERO), Interval::LEAST);
        assert_eq!(Interval::nearest(Duration::from_nanos(1_500_900)).microseconds(), 1_500);
        assert_eq!(Interval::nearest(Duration::MAX).microseconds(), u32::MAX);
    }
}
