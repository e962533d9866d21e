//! Keys and values of the maps that the eBPF program and the daemon share.
