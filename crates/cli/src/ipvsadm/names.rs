//! The names this host knows, asked for only where a call has or prints names.

use evenkeel_config::system;
use evenkeel_ipvsadm::{Names, Services};
use std::{
    cell::{OnceCell, RefCell},
    collections::HashMap,
    net::{IpAddr, Ipv4Addr},
    sync::mpsc::{Receiver, Sender, channel},
    thread,
    time::{Duration, Instant},
};

/// What a call may wait for the names of addresses, all together; after that they stay numbers.
const PATIENCE: Duration = Duration::from_secs(10);

#[derive(Default)]
pub(super) struct SystemNames {
    services: OnceCell<Services>,
    hosts: RefCell<HashMap<IpAddr, Option<String>>>,
    resolver: OnceCell<Resolver>,
}

impl SystemNames {
    fn services(&self) -> &Services {
        self.services.get_or_init(|| Services::new(std::fs::read_to_string("/etc/services").unwrap_or_default()))
    }
}

impl Names for SystemNames {
    fn address(&self, host: &str) -> Option<Ipv4Addr> {
        let found = system::resolve_host(host).ok()?;
        found.into_iter().find_map(|address| match address {
            IpAddr::V4(address) => Some(address),
            IpAddr::V6(_) => None,
        })
    }

    fn port(&self, service: &str, protocol: u8) -> Option<u16> {
        self.services().port(service, protocol)
    }

    fn host(&self, address: IpAddr) -> Option<String> {
        let mut hosts = self.hosts.borrow_mut();
        hosts.entry(address).or_insert_with(|| self.resolver.get_or_init(Resolver::start).name(address)).clone()
    }

    fn service(&self, port: u16, protocol: u8) -> Option<String> {
        self.services().name(port, protocol).map(str::to_owned)
    }
}

/// Asks the resolver on a thread of its own, which may be left behind with a question that takes too long.
struct Resolver {
    ask: Sender<IpAddr>,
    answers: Receiver<Option<String>>,
    until: Instant,
}

impl Resolver {
    fn start() -> Resolver {
        let (ask, questions) = channel();
        let (answer, answers) = channel();
        thread::spawn(move || {
            for address in questions {
                if answer.send(evenkeel_os::host_name(address)).is_err() {
                    return;
                }
            }
        });
        Resolver { ask, answers, until: Instant::now() + PATIENCE }
    }

    fn name(&self, address: IpAddr) -> Option<String> {
        let left = self.until.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return None;
        }
        self.ask.send(address).ok()?;
        // A late answer would be taken for the next one's, but after a late one nothing more is asked.
        self.answers.recv_timeout(left).ok().flatten()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_loopback_is_known_by_name_and_address() {
        let names = SystemNames::default();
        assert_eq!(names.address("localhost"), Some(Ipv4Addr::LOCALHOST));
        assert_eq!(names.host(Ipv4Addr::LOCALHOST.into()).as_deref(), Some("localhost"));
        assert_eq!(names.host(Ipv4Addr::LOCALHOST.into()).as_deref(), Some("localhost"));
    }

    #[test]
    fn nothing_is_asked_once_the_time_is_over() {
        let resolver = Resolver { until: Instant::now(), ..Resolver::start() };
        assert_eq!(resolver.name(Ipv4Addr::LOCALHOST.into()), None);
    }
}
