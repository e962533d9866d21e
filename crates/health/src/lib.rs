//! Check machines: when to probe, and when a real server counts as up or down.
