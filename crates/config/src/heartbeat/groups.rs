//! Lines of haresources into resource groups.

use super::{
    agent::{self, Places},
    haresources::GroupLine,
};
use crate::draft::{GroupDraft, ServiceDraft};
use evenkeel_model::heartbeat::{Agent, Group, IpResource, NodeName, Resource};
use evenkeel_source::{Diagnostic, Span, Spanned};
use std::{net::IpAddr, path::PathBuf};

/// The group of a line; `files` gets the files of services it names.
pub(super) fn group(
    line: &GroupLine,
    places: &Places<'_>,
    files: &mut Vec<(PathBuf, Span)>,
    out: &mut Vec<Diagnostic>,
) -> GroupDraft {
    let key = line.resources.first().map_or_else(String::new, |token| token.text.clone());
    let key_place = line.resources.first().map_or(line.place, |token| token.span);
    let mut resources: Vec<Resource> = Vec::new();
    let mut addresses = Vec::new();
    let mut broken = false;
    for token in &line.resources {
        let Some(agent) = agent::agent(&token.text, token.span, places, out) else {
            broken = true;
            continue;
        };
        match &agent {
            Agent::Ip(ip) => addresses.push(Spanned::new(ip.address, token.span)),
            Agent::Services { file } => files.push((file.clone(), token.span)),
            Agent::Script { .. } | Agent::Ocf { .. } | Agent::Systemd { .. } => {}
        }
        resources.push(agent::resource(token.text.clone(), agent));
    }
    let prefer = vec![Spanned::new(line.node.clone(), line.place)];
    let group = Group { key, prefer: vec![line.node.clone()], resources };
    GroupDraft { group, key: key_place, prefer, addresses, broken }
}

/// One group of the addresses that services have; `None` where there is none.
pub(super) fn of_services(services: &[ServiceDraft], node: &NodeName) -> Option<GroupDraft> {
    let mut addresses: Vec<Spanned<IpAddr>> = Vec::new();
    for service in services {
        if let Some(address) = service.service.key.address()
            && !addresses.iter().any(|known| known.value == address)
        {
            addresses.push(Spanned::new(address, service.key));
        }
    }
    let first = addresses.first()?;
    let (key, place) = (first.value.to_string(), first.span);
    let resource = |address: &Spanned<IpAddr>| {
        let ip = IpResource { address: address.value, prefix: None, interface: None, label: None, broadcast: None };
        agent::resource(address.value.to_string(), Agent::Ip(ip))
    };
    let resources = addresses.iter().map(resource).collect();
    let group = Group { key, prefer: vec![node.clone()], resources };
    Some(GroupDraft { group, key: place, prefer: Vec::new(), addresses, broken: false })
}
