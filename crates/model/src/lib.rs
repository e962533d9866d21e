//! The nouns of a load balancer: virtual services, real servers, checks and the validated [`Cluster`].
//!
//! Whatever the operator wrote, in whatever format, becomes one [`Cluster`]; everything after `config` knows no other.
//! A value of these types is valid by construction or by `config`'s resolve step: no code checks a range again.

mod account;
mod address;
pub mod bfd;
mod check;
mod cluster;
mod forwarding;
pub mod heartbeat;
pub mod notify;
mod probe;
mod scheduler;
mod service;
pub mod vrrp;

pub use account::Account;
pub use address::{Prefix, PrefixError};
pub use check::{Body, Check, Http, HttpMethod, Probe, Rhythm, Script, StatusSet};
pub use cluster::{
    Alerts, Behaviour, Cluster, ExpireGone, Fallback, FallbackCommand, OnFail, Quorum, RealServer, Service, Settings,
    Sources, StartState, Timeouts,
};
pub use forwarding::{Forwarding, GueChecksum, Tunnel};
pub use notify::Notify;
pub use probe::{Dns, HttpRules, HttpVersion, NumberFile, Origin, Record, Udp, UdpReply};
pub use scheduler::{HashFlags, Scheduler, SchedulerError};
pub use service::{
    Family, Match, MatchError, Persistence, PersistenceEngine, Protocol, ServiceKey, Thresholds, Weight,
};
