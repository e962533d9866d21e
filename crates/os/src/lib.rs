//! Files, processes, namespaces, mounts and kernel parameters: the parts of the system that are not the network's own.
//!
//! Everything here is synchronous and small. Whatever changes a thread (its namespace, its working directory) is done
//! on a thread made for it.

mod error;
mod namespace;
mod sysctl;

pub use error::{Error, Result};
pub use namespace::Namespace;
pub use sysctl::Sysctl;
