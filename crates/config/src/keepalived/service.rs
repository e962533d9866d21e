//! `virtual_server` blocks into services.

use super::{
    check::{self, Levels},
    group, method,
    notify::{self, Told},
    tree::Node,
    value::{Block, address, number},
};
use crate::{
    address::{forwarding, method as on_address, no_virtual_address, served_port, service_name, socket_text},
    codes,
    draft::{Draft, FirstSeen, ServiceDraft, report_port},
    host::{Resolver, shown},
};
use evenkeel_model::{
    Behaviour, Fallback, Family, Forwarding, OnFail, Persistence, PersistenceEngine, Probe, Protocol, Quorum,
    RealServer, Service, ServiceKey, Sources, StartState, Thresholds, Weight,
};
use evenkeel_source::{Diagnostic, Severity, Span, Spanned};
use std::{
    collections::BTreeSet,
    net::{IpAddr, SocketAddr},
};

/// Services of all groups of one configuration.
const MOST_SERVICES: usize = 100_000;

/// Every `virtual_server`, those of groups once for each line of the group.
pub(crate) fn services(
    top: &[Node],
    told: &Told,
    resolver: &Resolver<'_>,
    draft: &mut Draft,
    out: &mut Vec<Diagnostic>,
) {
    let groups: Vec<&Node> = Block(top).nodes("virtual_server_group").collect();
    let mut used = BTreeSet::new();
    for node in Block(top).nodes("virtual_server") {
        if out.len() > crate::load::MOST_DIAGNOSTICS {
            return;
        }
        let settings = node.block.partition_point(|child| child.keyword.name != "real_server");
        let (settings, reals) = node.block.split_at(settings);
        let reading = Reading { node, top, block: Block(settings), reals, told, resolver };
        let before = out.len();
        let Some(keys) = reading.keys(&groups, &mut used, out) else {
            draft.broken_services += 1;
            continue;
        };
        if draft.services.len() + keys.len() > MOST_SERVICES {
            let message = format!("more than {MOST_SERVICES} virtual services");
            out.push(Diagnostic::error(codes::TOO_LARGE, node.span, message));
            return;
        }
        let mut told = Vec::new();
        for (at, key) in keys.iter().enumerate() {
            // What is wrong is wrong for every address of a group, and told once.
            let sink = if at == 0 { &mut *out } else { &mut told };
            let service = reading.service(*key, before, sink);
            draft.services.push(service);
        }
        draft.broken_services += usize::from(keys.is_empty());
    }
    for group in groups {
        let name = group.args.first().map(|word| word.text.as_str()).unwrap_or_default();
        if !used.contains(name) {
            let message = format!("no virtual_server names the group `{}`", shown(name));
            out.push(Diagnostic::warning(codes::GROUP, group.span, message));
        }
    }
}

struct Reading<'a> {
    node: &'a Node,
    /// The whole file.
    top: &'a [Node],
    /// What it says but for its real servers.
    block: Block<'a>,
    reals: &'a [Node],
    told: &'a Told,
    resolver: &'a Resolver<'a>,
}

impl Reading<'_> {
    /// What the block answers for; `None` after an error.
    fn keys<'g>(
        &self,
        groups: &[&'g Node],
        used: &mut BTreeSet<&'g str>,
        out: &mut Vec<Diagnostic>,
    ) -> Option<Vec<Spanned<ServiceKey>>> {
        let first = self.node.args.first()?;
        let second = self.node.args.get(1);
        let needed = |what: &str, out: &mut Vec<Diagnostic>| {
            let message = format!("`{}` without a {what}", first.text);
            out.push(Diagnostic::error(codes::NO_VALUE, first.span, message));
        };
        match first.text.as_str() {
            "fwmark" => match second {
                Some(word) => group::mark(word, self.family(), out).map(|key| vec![key]),
                None => {
                    needed("number", out);
                    None
                }
            },
            "group" => {
                let Some(name) = second else {
                    needed("name", out);
                    return None;
                };
                let named = |group: &&&Node| group.args.first().is_some_and(|word| word.text == name.text);
                let Some(found) = groups.iter().find(named) else {
                    let message = format!("there is no virtual_server_group `{}`", shown(&name.text));
                    out.push(Diagnostic::error(codes::GROUP, name.span, message));
                    return None;
                };
                used.extend(found.args.first().map(|word| word.text.as_str()));
                let protocol = if found.lines.iter().any(|line| line.first().is_some_and(|w| w.text != "fwmark")) {
                    self.protocol(out)
                } else {
                    Protocol::Tcp
                };
                let before = out.len();
                let keys = group::services(&found.lines, protocol, self.family(), out);
                if keys.is_empty() && out.len() == before {
                    let message = format!("the group `{}` is empty", shown(&name.text));
                    out.push(Diagnostic::warning(codes::GROUP, name.span, message));
                }
                if keys.iter().any(|key| key.value.mark().is_none() && key.value.port() == 0) {
                    self.every_port(first.span, out);
                }
                Some(keys)
            }
            text => {
                let Some(address) = address(text) else {
                    let message = format!("`{}` is no address", shown(text));
                    let d = Diagnostic::error(codes::ADDRESS, first.span, message);
                    out.push(
                        d.help("virtual_server takes ADDRESS PORT, fwmark NUMBER or group NAME, and no host names"),
                    );
                    return None;
                };
                let port = group::port(second, out)?;
                if let Some(why) = no_virtual_address(address) {
                    out.push(Diagnostic::error(codes::ADDRESS, first.span, format!("{address} {why}")));
                    return None;
                }
                if port == 0 {
                    self.every_port(first.span, out);
                }
                let key = ServiceKey::Address { address, protocol: self.protocol(out), port };
                Some(vec![Spanned::new(key, first.span)])
            }
        }
    }

    fn every_port(&self, at: Span, out: &mut Vec<Diagnostic>) {
        if self.block.node("persistence_timeout").is_none() {
            let d = Diagnostic::warning(codes::PORT, at, "a virtual server without a port is persistent");
            out.push(
                d.note("keepalived sets persistence_timeout 360").help("write the port, or persistence_timeout 360"),
            );
        }
    }

    fn protocol(&self, out: &mut Vec<Diagnostic>) -> Protocol {
        let Some(word) = self.block.word("protocol") else {
            let d = Diagnostic::warning(codes::MISSING_KEY, self.node.span, "no protocol is said, so it is UDP");
            out.push(d.help("write `protocol TCP` if that is meant"));
            return Protocol::Udp;
        };
        match word.text.to_ascii_lowercase().as_str() {
            "udp" => Protocol::Udp,
            "sctp" => Protocol::Sctp,
            _ => Protocol::Tcp,
        }
    }

    /// The family of a mark: as it is said, or that of the first real server.
    fn family(&self) -> Family {
        match self.block.word("ip_family").map(|word| word.text.as_str()) {
            Some("inet6") => Family::V6,
            Some(_) => Family::V4,
            None => {
                let real = self.reals.iter().find_map(|real| address(&real.args.first()?.text));
                real.map_or(Family::V4, Family::of)
            }
        }
    }

    fn service(&self, key: Spanned<ServiceKey>, errors: usize, out: &mut Vec<Diagnostic>) -> ServiceDraft {
        let Spanned { value: key, span } = key;
        let (scheduler, scheduler_at) = method::scheduler(self.block, out);
        let method = method::forwarding(method::last(self.block, ["lvs_method", "lb_kind"]), out);
        let method = method.map_or(Forwarding::Nat, |method| method.value);
        let persistence = self.persistence(key, out);
        let one_packet = self.block.node("ops").is_some_and(|node| {
            let takes_it = matches!(key.protocol(), None | Some(Protocol::Udp));
            if !takes_it {
                let message = "one-packet scheduling of a virtual server that is not UDP has no effect";
                out.push(Diagnostic::warning(codes::ONE_PACKET, node.span, message));
            }
            takes_it
        });
        let count = self.reals.len();
        let (mut real_servers, mut spans) = (Vec::with_capacity(count), Vec::with_capacity(count));
        let mut told = notify::service(self.block, self.told);
        let mut seen = FirstSeen::new(count);
        for node in self.reals {
            if let Some(real) = self.real_server(node, key, method, out) {
                let at = node.args.first().map_or(node.span, |word| word.span);
                if let Some(first) = seen.insert(real.address, real_servers.len()) {
                    let message = format!("real server {} is there twice: the second one is left out", real.address);
                    let first = spans.get(first).copied().unwrap_or(at);
                    let d = Diagnostic::warning(codes::DUPLICATE_REAL, at, message).label(first, "the first one");
                    out.push(d.note("keepalived leaves it out too").help("delete one of the two"));
                    continue;
                }
                let server = notify::server(Block(&node.block), self.block, self.told);
                told.tell(real.address, server);
                real_servers.push(real);
                spans.push(at);
            }
        }
        let fallback = self.fallback(key, method, out);
        let quorum = self.quorum(&real_servers, out);
        let suspend = self.suspend(key, out);
        let inhibits = self.inhibits();
        let has_error = out.get(errors..).unwrap_or_default().iter().any(|d| d.severity == Severity::Error);
        // A real server that is written and not here is told already.
        let broken = has_error || (real_servers.is_empty() && !self.reals.is_empty());
        ServiceDraft {
            service: Service {
                name: service_name(key),
                key,
                scheduler,
                real_servers,
                fallback,
                fallback_command: None,
                on_fail: if inhibits { OnFail::Quiesce } else { OnFail::Remove },
                quorum,
                suspend,
                // What rests knows nothing: it counts as up, as with keepalived, until its first check.
                start: if suspend && !self.begins_down() { StartState::Up } else { StartState::Down },
                sources: Sources::default(),
                persistence,
                one_packet,
                ftp: key.is_ftp(),
                behaviour: Behaviour::default(),
                matches: Vec::new(),
                clean_stop: true,
                monitor_file: None,
                alerts: None,
            },
            name: None,
            key: span,
            scheduler: scheduler_at,
            real_servers: spans,
            told,
            broken,
        }
    }

    fn persistence(&self, key: ServiceKey, out: &mut Vec<Diagnostic>) -> Option<Persistence> {
        let family = key.family();
        let prefix = self.block.word("persistence_granularity").and_then(|word| {
            let bits = match family {
                Family::V4 => crate::ldirectord::words::dotted(&word.text),
                Family::V6 => number(&word.text).and_then(|n| u8::try_from(n).ok()).filter(|n| (1..=128).contains(n)),
            };
            if bits.is_none() {
                let help = if family == Family::V4 { "a mask such as 255.255.255.0" } else { "a number from 1 to 128" };
                let message = format!("`{}` is no netmask", shown(&word.text));
                out.push(Diagnostic::error(codes::VALUE, word.span, message).help(help));
            }
            bits
        });
        let engine = match self.block.word("persistence_engine") {
            Some(word) if word.text == "sip" && key.protocol() == Some(Protocol::Udp) => PersistenceEngine::Sip,
            Some(word) => {
                let message = match word.text.as_str() {
                    "sip" => "persistence by Call-ID is for UDP".to_owned(),
                    other => format!("`{}` is no persistence engine", shown(other)),
                };
                out.push(Diagnostic::error(codes::VALUE, word.span, message).help("`sip` is the only one there is"));
                PersistenceEngine::Address
            }
            None => PersistenceEngine::Address,
        };
        let timeout = self.timeout(key, out)?;
        Some(Persistence { timeout, prefix: prefix.unwrap_or(family.bits()), engine })
    }

    /// Seconds of persistence; `None`: there is none.
    fn timeout(&self, key: ServiceKey, out: &mut Vec<Diagnostic>) -> Option<u32> {
        let Some(node) = self.block.node("persistence_timeout") else {
            let implied = key.mark().is_none() && key.port() == 0;
            let engine = self.block.node("persistence_engine").or(self.block.node("persistence_granularity"));
            return (implied || engine.is_some()).then_some(Persistence::DEFAULT_TIMEOUT);
        };
        let Some(word) = node.args.first() else { return Some(Persistence::DEFAULT_TIMEOUT) };
        let longest = Persistence::LONGEST_TIMEOUT;
        match number(&word.text).map(u32::try_from) {
            Some(Ok(seconds)) if (1..=longest).contains(&seconds) => Some(seconds),
            Some(Ok(0)) => {
                let message = format!("persistence_timeout 0 is outside 1..{longest}: it is read as no persistence");
                let d = Diagnostic::warning(codes::OUT_OF_RANGE, word.span, message);
                out.push(d.note("keepalived ignores the line, which comes to the same").help("delete the line"));
                None
            }
            _ => {
                let message = format!("persistence_timeout `{}` is no number from 1 to {longest}", shown(&word.text));
                out.push(Diagnostic::error(codes::PERSISTENCE, word.span, message));
                None
            }
        }
    }

    fn real_server(
        &self,
        node: &Node,
        key: ServiceKey,
        method: Forwarding,
        out: &mut Vec<Diagnostic>,
    ) -> Option<RealServer> {
        let block = Block(&node.block);
        let written = node.args.first()?;
        let own = method::forwarding(block.node("lvs_method"), out).map_or(method, |own| own.value);
        let (ip, port) = self.server_address(node, key, own, out)?;
        let forwarding = on_address(forwarding(ip, key.address()), Some(own));
        let served = served_port(key, port, forwarding);
        if let Some(port) = port {
            report_port(codes::PORT_REWRITE, port, key.port(), forwarding, written.span, out);
        }
        let checked = SocketAddr::new(ip, port.unwrap_or(key.port()));
        let levels =
            Levels { real: block, virtual_server: self.block, top: self.top, script_user: self.told.user.as_ref() };
        let check = check::check(&levels, checked, written.span, self.resolver, out);
        let threshold = |name| block.number::<u32>(name).map_or(0, |n| n.value);
        let thresholds = Thresholds { upper: threshold("uthreshold"), lower: threshold("lthreshold") };
        if thresholds.lower > thresholds.upper {
            let Thresholds { upper, lower } = thresholds;
            let message = format!("lthreshold {lower} is above uthreshold {upper}");
            let d = Diagnostic::error(codes::THRESHOLDS, written.span, message);
            out.push(d.note("IPVS refuses the real server"));
        }
        let weight = block.number::<u32>("weight").or_else(|| self.block.number("weight"));
        let address = SocketAddr::new(ip, served);
        Some(RealServer {
            name: socket_text(address),
            aliases: Vec::new(),
            address,
            forwarding,
            weight: weight.and_then(|weight| Weight::new(weight.value)).unwrap_or(Weight::ONE),
            thresholds,
            on_fail: block
                .switch("inhibit_on_failure")
                .filter(|on| on.value != self.inhibits())
                .map(|on| if on.value { OnFail::Quiesce } else { OnFail::Remove }),
            check: check?,
        })
    }

    /// `ADDRESS [PORT]` of a real server or a sorry server.
    fn server_address(
        &self,
        node: &Node,
        key: ServiceKey,
        method: Forwarding,
        out: &mut Vec<Diagnostic>,
    ) -> Option<(IpAddr, Option<u16>)> {
        let word = node.args.first()?;
        let Some(ip) = address(&word.text) else {
            let message = format!("`{}` is no address", shown(&word.text));
            let d = Diagnostic::error(codes::ADDRESS, word.span, message);
            out.push(d.note("keepalived takes no host names and leaves it out").help("write its address"));
            return None;
        };
        if Family::of(ip) != key.family() && !method.crosses_families() {
            let message = format!("{ip} is of another family than the virtual server");
            let d = Diagnostic::error(codes::FAMILY, word.span, message);
            out.push(d.note("only a tunnel carries packets of one family to the other"));
            return None;
        }
        let port = match node.args.get(1) {
            Some(port) => Some(group::port(Some(port), out)?),
            None => None,
        };
        Some((ip, port))
    }

    fn fallback(&self, key: ServiceKey, method: Forwarding, out: &mut Vec<Diagnostic>) -> Option<Fallback> {
        let node = self.block.node("sorry_server")?;
        let own = method::forwarding(self.block.node("sorry_server_lvs_method"), out).map_or(method, |own| own.value);
        let (ip, port) = self.server_address(node, key, own, out)?;
        let forwarding = on_address(forwarding(ip, key.address()), Some(own));
        if let (Some(port), Some(word)) = (port, node.args.first()) {
            report_port(codes::PORT_REWRITE, port, key.port(), forwarding, word.span, out);
        }
        let address = SocketAddr::new(ip, served_port(key, port, forwarding));
        Some(Fallback { address, forwarding, quiesce: self.block.is_there("sorry_server_inhibit") })
    }

    /// How much must be up, made to fit what there is as keepalived does it.
    fn quorum(&self, real_servers: &[RealServer], out: &mut Vec<Diagnostic>) -> Quorum {
        let begins_lost = self.begins_down();
        let (quorum, hysteresis) = (self.block.number::<u32>("quorum"), self.block.number::<u32>("hysteresis"));
        let mut weight = quorum.map_or(1, |quorum| quorum.value);
        // Weights that change by themselves may come to more than those that are written.
        let changes = |real: &RealServer| {
            real.check.parts().any(|check| match &check.probe {
                Probe::Script(script) => script.weighs,
                Probe::File(file) => file.factor != 0,
                _ => false,
            })
        };
        // Of those that are left out for a mistake the weight is not known.
        let is_whole = real_servers.len() == self.reals.len();
        let total: u64 = real_servers.iter().map(|real| u64::from(real.weight.get())).sum();
        let total = u32::try_from(total).unwrap_or(u32::MAX);
        if let Some(written) = quorum.filter(|_| weight > total && is_whole && !real_servers.iter().any(changes)) {
            weight = total.max(1);
            let message =
                format!("quorum {} is above the weight of all real servers: {weight} is taken", written.value);
            out.push(Diagnostic::warning(codes::QUORUM, written.span, message).note("as keepalived does it"));
        }
        let most = weight - 1;
        let hysteresis = match hysteresis {
            Some(written) if written.value > most => {
                let message =
                    format!("hysteresis {} is not below the quorum of {weight}: {most} is taken", written.value);
                out.push(Diagnostic::warning(codes::QUORUM, written.span, message).note("as keepalived does it"));
                most
            }
            written => written.map_or(0, |written| written.value),
        };
        Quorum { weight, hysteresis, begins_lost: begins_lost && hysteresis > 0 }
    }

    /// `alpha` of the virtual server.
    fn begins_down(&self) -> bool {
        self.block.switch("alpha").is_some_and(|on| on.value)
    }

    /// `ha_suspend`, which needs an address to go by.
    fn suspend(&self, key: ServiceKey, out: &mut Vec<Diagnostic>) -> bool {
        let Some(node) = self.block.node("ha_suspend") else { return false };
        if key.mark().is_some() {
            let message = "ha_suspend of a virtual server by mark, which has no address to go by";
            let d = Diagnostic::warning(codes::NO_EFFECT, node.span, message);
            out.push(d.note("keepalived ignores the line, too").help("delete it"));
            return false;
        }
        true
    }

    /// Whether real servers that go down keep their place, unless they say something else.
    fn inhibits(&self) -> bool {
        self.block.switch("inhibit_on_failure").is_some_and(|on| on.value)
    }
}
