//! The signals that keepalived listens to besides those that end it.

/// What a signal asks to be written, and then done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Asked {
    /// `DATA`: `keepalived.data` and its relatives.
    Data,
    /// `STATS`: `keepalived.stats`.
    Stats,
    /// `STATS_CLEAR`: the same, and then all counters to 0.
    StatsClear,
    /// `JSON`: `keepalived.json`.
    Json,
}

impl Asked {
    /// All of them.
    pub const ALL: [Asked; 4] = [Asked::Data, Asked::Stats, Asked::StatsClear, Asked::Json];

    /// Number of the signal on Linux, as `--signum` prints it: `SIGUSR1`, `SIGUSR2`, `SIGRTMAX - 1` and `SIGRTMIN + 2`
    /// of the C library, whose real-time signals are 34 to 64.
    pub fn signal(self) -> i32 {
        match self {
            Asked::Data => 10,
            Asked::Stats => 12,
            Asked::StatsClear => 63,
            Asked::Json => 36,
        }
    }
}

/// What `--signum=NAME` prints; `None` for a name that there is not.
pub fn signal_number(name: &str) -> Option<i32> {
    Some(match name {
        "STOP" => 15,
        "RELOAD" => 1,
        "DATA" => Asked::Data.signal(),
        "STATS" => Asked::Stats.signal(),
        "STATS_CLEAR" => Asked::StatsClear.signal(),
        "JSON" => Asked::Json.signal(),
        _ => return None,
    })
}
