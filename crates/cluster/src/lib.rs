//! A node of a heartbeat cluster: membership, resource groups and fencing in one machine.

#![forbid(unsafe_code)]
