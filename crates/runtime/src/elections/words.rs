//! Sentences for operators about elections.

use evenkeel_api::Severity;
use evenkeel_vrrp::{Notice, Reason, Role, Why};
use std::time::Duration;

/// As the status has it. A master that leaves is one until its successor speaks.
pub(super) fn name(role: Role) -> &'static str {
    match role {
        Role::Stopped => "init",
        Role::Backup => "backup",
        Role::Master | Role::Leaving => "master",
        Role::Fault => "fault",
    }
}

/// Why an instance has another part.
pub(super) fn sentence(why: &Why) -> String {
    match why {
        Why::Started => "it was started".to_owned(),
        Why::Owner => "it owns the addresses (priority 255)".to_owned(),
        Why::Resumed => "it found its addresses as the run before had left them".to_owned(),
        Why::Silence => "no master was heard".to_owned(),
        Why::MasterLeft => "the master said that it leaves".to_owned(),
        Why::MasterUnreachable => "the master cannot be reached".to_owned(),
        Why::Better { source, priority } => format!("{source} has priority {priority}"),
        Why::Group => "its sync group did".to_owned(),
        Why::Frozen { silent } => format!("this host stood still for {} ms", silent.as_millis()),
        Why::Broken => "something it tracks is broken".to_owned(),
        Why::Unknown => "it waits until all it tracks was looked at".to_owned(),
        Why::Known => "all it tracks was looked at".to_owned(),
        Why::GroupBroken => "another member of its sync group is at fault".to_owned(),
        Why::NoAddress => "its interface has no address to send from".to_owned(),
        Why::Mended => "what was wrong is mended".to_owned(),
        Why::NoPeers => "it was told to speak to peers alone, and has none".to_owned(),
        Why::Stopped => "it was told to end".to_owned(),
        Why::Succeeded { by } => format!("{by} has taken over"),
        Why::NoSuccessor => "nobody has taken over".to_owned(),
    }
}

/// What an operator can do about an advertisement with a mistake.
pub(super) fn remedy(reason: Reason) -> Option<&'static str> {
    match reason {
        Reason::Interval => Some("write the same interval on every node of this virtual router"),
        Reason::Addresses => Some("write the same addresses on every node, or another virtual router number on one"),
        Reason::Version => Some("write the same version of VRRP on every node"),
        Reason::AuthenticationType | Reason::UnknownAuthentication | Reason::Authentication => {
            Some("write the same password on every node")
        }
        Reason::Destination => Some("write the peers on every node, or on none"),
        Reason::Source => Some("add it to the peers if it belongs to this virtual router"),
        Reason::Hops => Some("allow the distance of this peer, if it is one"),
        Reason::Replay => Some("see whether somebody repeats packets on this link"),
        Reason::Unsigned => {
            Some("write the same hmac on every node; mode = \"permissive\" hears both while that is done")
        }
        Reason::UnknownKey => Some("write the same keys with the same numbers on every node"),
        Reason::Hash => Some("write the same keys on every node; where they are, somebody forges advertisements"),
        Reason::Stale | Reason::Future => Some("set the clocks of all nodes (NTP), or write a longer window"),
        Reason::Header | Reason::Length | Reason::Type | Reason::Vrid | Reason::Checksum | Reason::Looped => None,
        Reason::TrailerLength | Reason::TrailerType | Reason::TrailerReserved => None,
    }
}

/// What makes two notices the same.
pub(super) fn about(instance: &str, notice: &Notice) -> String {
    match notice {
        Notice::Lower { source, .. } => format!("{instance} {source} lower"),
        Notice::SecondOwner { source } => format!("{instance} {source} owner"),
        Notice::Late { .. } => format!("{instance} late"),
    }
}

/// How long it may go on without being more than a moment of a takeover.
pub(super) fn patience(notice: &Notice) -> Duration {
    match notice {
        Notice::Lower { .. } | Notice::Late { .. } => Duration::from_secs(3),
        Notice::SecondOwner { .. } => Duration::ZERO,
    }
}

/// What to say of a notice.
pub(super) fn remark(notice: &Notice) -> (Severity, String) {
    match notice {
        Notice::Lower { source, priority } => (
            Severity::Warning,
            format!(
                "{source} says it is master too, with priority {priority}.  Next: see whether it hears this node, and \
                 whether both are the same virtual router on purpose"
            ),
        ),
        Notice::SecondOwner { source } => (
            Severity::Error,
            format!(
                "{source} says it owns the addresses (priority 255), as this node does.  Next: lower one of the two"
            ),
        ),
        Notice::Late { by } => (
            Severity::Warning,
            format!(
                "this host was {} ms late, so that no election was begun; it listens for another interval",
                by.as_millis()
            ),
        ),
    }
}
