//! The data plane on our own eBPF program: load, attach, pin, adopt.
