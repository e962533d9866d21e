//! Which service or real server an operator means.

use crate::{
    balance::Balance,
    service::{Server, Service},
};
use evenkeel_api::{Refusal, RefusalCode};
use evenkeel_model::ServiceKey;
use std::net::SocketAddr;

/// Candidates named in a refusal at the most.
const CANDIDATES: usize = 8;

/// A real server of a service, or a service.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Target {
    Service(ServiceKey),
    Server(ServiceKey, SocketAddr),
}

impl Balance {
    pub(crate) fn find_service(&self, text: &str) -> Result<ServiceKey, Refusal> {
        let found: Vec<Target> = self.matching_services(text).map(|service| Target::Service(service.key)).collect();
        match found.as_slice() {
            [Target::Service(key)] => Ok(*key),
            _ => Err(self.refusal("service", text, &found)),
        }
    }

    pub(crate) fn find_server(&self, text: &str) -> Result<(ServiceKey, SocketAddr), Refusal> {
        let found = self.matching_servers(text);
        match found.as_slice() {
            [Target::Server(key, address)] => Ok((*key, *address)),
            _ => Err(self.refusal("real server", text, &found)),
        }
    }

    pub(crate) fn find_target(&self, text: &str) -> Result<Target, Refusal> {
        let mut found: Vec<Target> = self.matching_services(text).map(|service| Target::Service(service.key)).collect();
        found.extend(self.matching_servers(text));
        match found.as_slice() {
            [target] => Ok(*target),
            _ => Err(self.refusal("service or real server", text, &found)),
        }
    }

    /// Those of the files as these have them, then those of clients, oldest first.
    pub(crate) fn in_order(&self) -> impl Iterator<Item = &Service> {
        let of_files = self.order.iter().filter_map(|key| self.services.get(key));
        let of_files = of_files.filter(|service| !service.is_by_edit());
        of_files.chain(self.edited.values().filter_map(|key| self.services.get(key)))
    }

    fn matching_services(&self, text: &str) -> impl Iterator<Item = &Service> {
        self.in_order().filter(move |service| is_service(service, text))
    }

    /// `server` in every service, or `service/server`; names and keys may have slashes of their own.
    fn matching_servers(&self, text: &str) -> Vec<Target> {
        let mut found = Vec::new();
        for service in self.in_order() {
            for server in &service.servers {
                let split = |(at, _): (usize, &str)| {
                    let (left, right) = (text.get(..at).unwrap_or(""), text.get(at + 1..).unwrap_or(""));
                    is_server(server, right) && is_service(service, left)
                };
                if is_server(server, text) || text.match_indices('/').any(split) {
                    found.push(Target::Server(service.key, server.address));
                }
            }
        }
        found
    }

    fn refusal(&self, kind: &str, text: &str, found: &[Target]) -> Refusal {
        if found.is_empty() {
            let refusal = Refusal::new(RefusalCode::Unknown, format!("no {kind} is called {text:?}"));
            let all: Vec<Target> = match kind {
                "service" => self.in_order().map(|service| Target::Service(service.key)).collect(),
                "real server" => self.in_order().flat_map(targets).take(CANDIDATES + 1).collect(),
                _ => {
                    let services = self.in_order().map(|service| Target::Service(service.key));
                    services.chain(self.in_order().flat_map(targets)).take(CANDIDATES + 1).collect()
                }
            };
            return refusal.hint(format!("there is {}", self.list(&all)));
        }
        let message = format!("{text:?} fits {} of them: {}", found.len(), self.list(found));
        Refusal::new(RefusalCode::Ambiguous, message).hint("say it as one of these")
    }

    fn list(&self, targets: &[Target]) -> String {
        let name = |target: &Target| {
            let (key, address) = match target {
                Target::Service(key) => (key, None),
                Target::Server(key, address) => (key, Some(address)),
            };
            let service = self.services.get(key);
            let text = service.map_or_else(|| key.to_string(), |service| service.name.clone());
            let server = address.and_then(|address| service?.server(address));
            server.map_or_else(|| text.clone(), |server| format!("{text}/{}", server.name))
        };
        let mut names: Vec<String> = targets.iter().take(CANDIDATES).map(name).collect();
        if targets.len() > CANDIDATES {
            names.push("…".into());
        }
        if names.is_empty() { "none".into() } else { names.join(", ") }
    }
}

fn targets(service: &Service) -> impl Iterator<Item = Target> {
    service.servers.iter().map(|server| Target::Server(service.key, server.address))
}

fn is_service(service: &Service, text: &str) -> bool {
    let address = service.key.address().map(|address| SocketAddr::new(address, service.key.port()));
    service.name == text || address.is_some_and(|address| is_address(address, text)) || service.key.to_string() == text
}

fn is_server(server: &Server, text: &str) -> bool {
    *server.name == *text || is_address(server.address, text) || server.aliases.iter().any(|alias| alias == text)
}

fn is_address(address: SocketAddr, text: &str) -> bool {
    match text.parse::<std::net::IpAddr>() {
        Ok(ip) => ip == address.ip(),
        Err(_) => text.parse() == Ok(address),
    }
}
