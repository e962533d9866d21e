//! Files, processes, namespaces, mounts and kernel parameters: the parts of the system that are not the network's own.
//!
//! Everything here is synchronous and small. Whatever changes a thread (its namespace, its working directory) is done
//! on a thread made for it.

mod bpffs;
pub mod clock;
mod error;
mod namespace;
mod runtime_dir;
mod sysctl;

pub use bpffs::{Bpffs, lasting_bpffs, remove_bpffs};
pub use clock::Clock;
pub use error::{Error, Result};
pub use namespace::Namespace;
pub use runtime_dir::{Lock, RuntimeDir};
pub use sysctl::Sysctl;
