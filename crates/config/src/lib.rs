//! Configuration files of every format, read into the cluster model.
//!
//! [`load`] reads files and directories, tells each one's format and returns one [`Cluster`](evenkeel_model::Cluster)
//! with every diagnostic there is; [`load_texts`] is its pure part. Each front end turns text into a draft that knows
//! where everything was written; one resolve step judges the whole. Host names, service names and regular expressions
//! are judged by the [`Host`] the caller passes.

#![forbid(unsafe_code)]

mod address;
mod codes;
mod draft;
mod fixing;
mod flags;
mod format;
pub mod fuzzing;
mod heartbeat;
mod hex;
mod hmac;
mod host;
mod inet;
pub mod keepalived;
mod ldirectord;
mod load;
mod native;
mod nearest;
mod routing;
mod status;
pub mod system;

pub use codes::explain;
pub use fixing::{FixedFile, fixes};
pub use flags::from_flags;
pub use format::{Format, UnknownFormat};
pub use heartbeat::heartbeat_markdown;
pub use host::{Host, OwnNetwork};
pub use keepalived::keepalived_markdown;
pub use ldirectord::compat_markdown;
pub use load::{Input, LARGEST_FILE, Loaded, Memory, load, load_again, load_texts, load_texts_again};
pub use native::to_toml;
