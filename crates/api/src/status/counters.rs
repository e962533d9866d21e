//! What a VRRP instance has said and heard, in the status.

use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Counters of a VRRP instance since it began.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct HaCounters {
    /// Advertisements that were sent, those of priority 0 included.
    pub sent: u64,
    /// Advertisements that counted, those of priority 0 included.
    pub received: u64,
    /// How often it became master.
    pub became_master: u64,
    /// How often it gave that up.
    pub released_master: u64,
    /// Advertisements of priority 0 that were sent: it left.
    pub priority_zero_sent: u64,
    /// Advertisements of priority 0 that were heard: a master left.
    pub priority_zero_received: u64,
    /// Advertisements that had something wrong, by what that was; zeros left out. All were dropped, but for those of
    /// version 3 with other `addresses`.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub wrong: BTreeMap<String, u64>,
}
