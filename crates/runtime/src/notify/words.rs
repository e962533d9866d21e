//! The lines and mails of keepalived 2.2.7, word by word.

use evenkeel_model::{Family, Probe, ServiceKey, notify::Moment};
use std::net::SocketAddr;

/// `INSTANCE "web" MASTER 100`
pub(super) fn role_line(kind: &str, name: &str, state: &str, priority: u8) -> String {
    format!("{kind} \"{name}\" {state} {priority}\n")
}

/// `VS [192.0.2.1]:tcp:80 UP`
pub(super) fn service_line(key: &ServiceKey, up: bool) -> String {
    format!("VS {} {}\n", service(key), word(up))
}

/// `RS [192.0.2.11]:tcp:80 [192.0.2.1]:tcp:80 DOWN`
pub(super) fn server_line(key: &ServiceKey, address: &SocketAddr, up: bool) -> String {
    format!("RS {} {} {}\n", server(key, address), service(key), word(up))
}

/// `[192.0.2.1]:tcp:80` or `FWM 7`
fn service(key: &ServiceKey) -> String {
    match key {
        ServiceKey::Address { address, protocol, port } => format!("[{address}]:{protocol}:{port}"),
        ServiceKey::Mark { mark, family: Family::V4 } => format!("FWM {mark}"),
        ServiceKey::Mark { mark, family: Family::V6 } => format!("FWM {mark} (IPv6)"),
    }
}

fn server(key: &ServiceKey, address: &SocketAddr) -> String {
    match key.protocol() {
        Some(protocol) => format!("[{}]:{protocol}:{}", address.ip(), address.port()),
        None => format!("[{}]:none:{}", address.ip(), address.port()),
    }
}

fn word(up: bool) -> &'static str {
    if up { "UP" } else { "DOWN" }
}

/// A mail's subject, without the node, and its text.
pub(super) type Mail = (String, String);

/// Of an instance; `None`: there is no such mail.
pub(super) fn instance_mail(name: &str, moment: Moment) -> Option<Mail> {
    let (what, text) = match moment {
        Moment::Master => ("Entering MASTER state", "VRRP Instance is now owning VRRP VIPs"),
        Moment::Backup => ("Entering BACKUP state", "VRRP Instance is no longer owning VRRP VIPs"),
        Moment::Fault => ("Entering FAULT state", "VRRP Instance is no longer owning VRRP VIPs"),
        Moment::Stop => ("Stopping", "VRRP Instance stopping"),
        Moment::Deleted => ("Deleted", "VRRP Deleted at reload"),
        Moment::LowerHeard => return None,
    };
    Some((format!("VRRP Instance {name} - {what}"), text.to_owned()))
}

/// Of a sync group; `None`: there is no such mail.
pub(super) fn group_mail(name: &str, moment: Moment) -> Option<Mail> {
    let (what, text) = match moment {
        Moment::Master => ("Entering MASTER state", "All VRRP group instances are now in MASTER state"),
        Moment::Backup => ("Entering BACKUP state", "All VRRP group instances are now in BACKUP state"),
        Moment::Fault => ("Entering FAULT state", "All VRRP group instances are now in FAULT state"),
        Moment::Stop => ("Stopping", "All VRRP group instances are now stopping"),
        Moment::Deleted | Moment::LowerHeard => return None,
    };
    Some((format!("VRRP Group {name} - {what}"), text.to_owned()))
}

/// Of a real server that its check has found up or down.
pub(super) fn server_mail(key: &ServiceKey, address: &SocketAddr, probe: Option<&Probe>, up: bool) -> Mail {
    let subject = format!("Realserver {} of virtual server {} - {}", server(key, address), service(key), word(up));
    (subject, checked(probe, up).to_owned())
}

fn checked(probe: Option<&Probe>, up: bool) -> &'static str {
    let words = match probe {
        Some(Probe::Tcp { .. }) => ("TCP CHECK succeed on service", "TCP CHECK failed on service"),
        Some(Probe::Ping { .. }) => ("ICMP CHECK succeed on service", "ICMP CHECK failed on service"),
        Some(Probe::Udp(_)) => ("UDP CHECK succeed on service", "UDP CHECK failed on service"),
        Some(Probe::Script(_)) => ("MISC CHECK succeed on service", "MISC CHECK failed on service"),
        Some(Probe::Dns(_)) => ("DNS_CHECK: succeed on service", "DNS_CHECK: failed on service"),
        Some(Probe::Http(_)) => ("CHECK succeed on service", "CHECK failed on service : HTTP request failed"),
        Some(Probe::Smtp { .. } | Probe::File(_) | Probe::Bfd { .. } | Probe::All(_))
        | Some(Probe::AlwaysOn | Probe::AlwaysOff)
        | None => ("CHECK succeed on service", "CHECK failed on service"),
    };
    if up { words.0 } else { words.1 }
}

/// What a quorum is made of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Sums {
    pub(super) quorum: u64,
    pub(super) hysteresis: u64,
    /// Weight of what is up.
    pub(super) up: u64,
}

/// Of a virtual server; `first`: at the start. The sum is that of the threshold, which keepalived writes with a plus
/// sign both ways.
pub(super) fn service_mail(key: &ServiceKey, sums: Sums, up: bool, first: bool) -> Mail {
    let Sums { quorum, hysteresis, up: weight } = sums;
    let what = match (first, up) {
        (true, true) => "Starting with quorum up",
        (true, false) => "Starting with quorum down",
        (false, true) => "Gained quorum",
        (false, false) => "Lost quorum",
    };
    let plus = first || up;
    let threshold = if plus { quorum.saturating_add(hysteresis) } else { quorum.saturating_sub(hysteresis) };
    let text = format!("{what} {quorum}+{hysteresis}={threshold} <= {weight}");
    (format!("Virtualserver {} - {}", service(key), word(up)), text)
}

/// The text of a mail as it is sent.
pub(super) fn body(text: &str) -> String {
    format!("=> {text} <=\n\n")
}
