//! What operators asked for over what the files say; it outlives reloads and restarts.

use serde::{Deserialize, Serialize};
use std::{
    net::{IpAddr, SocketAddr},
    num::NonZeroU32,
    time::Duration,
};

/// All of it, in a form to be stored.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Overrides {
    /// One record for each service or real server that is not as the files say.
    pub records: Vec<OverrideRecord>,
}

/// What holds for one service, or for one real server of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct OverrideRecord {
    /// Virtual address; of a mark: the one of all zeros of its family.
    pub address: IpAddr,
    /// `tcp`, `udp`, `sctp` or `fwm`.
    pub protocol: String,
    /// Virtual port; 0 of a mark.
    pub port: u16,
    /// The mark, of a service by mark.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mark: Option<NonZeroU32>,
    /// The real server; none: the service itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub real_server: Option<SocketAddr>,
    /// Out of service.
    #[serde(default)]
    pub disabled: bool,
    /// No new connections.
    #[serde(default)]
    pub drained: bool,
    /// Milliseconds after which `drained` ends by itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub drained_for_ms: Option<u64>,
    /// The connections that a drain leaves are ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub drain_end: Option<DrainEnd>,
    /// Another weight than the file's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub weight: Option<u32>,
}

/// How the connections that a drain leaves are ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DrainEnd {
    /// In so many milliseconds at the latest.
    pub in_ms: u64,
    /// How long it has drained, in milliseconds.
    pub after_ms: u64,
    /// As soon as no more than these are active.
    #[serde(default)]
    pub keep: u32,
}

impl Overrides {
    /// As they are after `passed`: drains whose time is over end at once when they are restored, and so do the connections of
    /// those whose deadline has passed.
    pub fn aged(mut self, passed: Duration) -> Overrides {
        let passed = u64::try_from(passed.as_millis()).unwrap_or(u64::MAX);
        for record in &mut self.records {
            record.drained_for_ms = record.drained_for_ms.map(|left| left.saturating_sub(passed));
            if let Some(end) = &mut record.drain_end {
                end.in_ms = end.in_ms.saturating_sub(passed);
                end.after_ms = end.after_ms.saturating_add(passed);
            }
        }
        self
    }
}
