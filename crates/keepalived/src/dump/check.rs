//! `keepalived_check.data`: virtual servers and what watches their real servers.

use super::{Dump, yes};
use evenkeel_model::{
    Check, Family, Forwarding, Http, OnFail, Probe, Protocol, Quorum, RealServer, Scheduler, Service, ServiceKey,
    StartState, Tunnel, Udp, UdpReply,
};
use std::{
    fmt::{self, Formatter},
    net::SocketAddr,
    time::Duration,
};

pub(super) fn write(f: &mut Formatter<'_>, dump: &Dump<'_>) -> fmt::Result {
    writeln!(f, "------< LVS Topology >------\n System is compiled with LVS v1.2.1")?;
    dump.services.iter().try_for_each(|service| write_service(f, dump, service))?;
    let watched = |service: &&Service| !service.real_servers.is_empty();
    if dump.services.iter().any(|service| watched(&service)) {
        writeln!(f, "------< Health checkers >------")?;
    }
    for service in dump.services.iter().filter(watched) {
        for server in &service.real_servers {
            server.check.parts().try_for_each(|check| write_check(f, dump, service, server, check))?;
        }
    }
    Ok(())
}

fn on(is: bool) -> &'static str {
    if is { "ON" } else { "OFF" }
}

fn able(is: bool) -> &'static str {
    if is { "enabled" } else { "disabled" }
}

fn seconds(time: Duration) -> String {
    format!("{}.{:06}", time.as_secs(), time.subsec_micros())
}

fn protocol(key: ServiceKey) -> Option<Protocol> {
    match key {
        ServiceKey::Address { protocol, .. } => Some(protocol),
        ServiceKey::Mark { .. } => None,
    }
}

/// `[192.0.2.10]:tcp:80`, `FWM 1`
fn key(key: ServiceKey) -> String {
    match key {
        ServiceKey::Address { address, protocol, port } => endpoint(SocketAddr::new(address, port), Some(protocol)),
        ServiceKey::Mark { mark, .. } => format!("FWM {mark}"),
    }
}

fn endpoint(address: SocketAddr, protocol: Option<Protocol>) -> String {
    let protocol = match protocol {
        Some(Protocol::Tcp) => "tcp",
        Some(Protocol::Udp) => "udp",
        Some(Protocol::Sctp) => "sctp",
        None => "none",
    };
    format!("[{}]:{protocol}:{}", address.ip(), address.port())
}

fn forwarding(method: Forwarding) -> String {
    match method {
        Forwarding::DirectRouting => "DR".to_owned(),
        Forwarding::Nat | Forwarding::Relay => "NAT".to_owned(),
        Forwarding::FullNat => "FULLNAT".to_owned(),
        Forwarding::Local => "LOCAL".to_owned(),
        Forwarding::Tunnel(Tunnel::Ipip) => "TUN, type = IPIP".to_owned(),
        Forwarding::Tunnel(Tunnel::Gue { port, .. }) => format!("TUN, type = GUE, port = {port}"),
        Forwarding::Tunnel(Tunnel::Gre { .. }) => "TUN, type = GRE".to_owned(),
    }
}

fn write_service(f: &mut Formatter<'_>, dump: &Dump<'_>, service: &Service) -> fmt::Result {
    writeln!(f, " ------< Virtual server >------")?;
    let family = match service.key {
        ServiceKey::Address { address, port, .. } => {
            writeln!(f, " VS VIP = {address}, VPORT = {port}")?;
            Family::of(address)
        }
        ServiceKey::Mark { mark, family } => {
            writeln!(f, " VS FWMARK = {mark}")?;
            family
        }
    };
    writeln!(f, "   Address family = inet{}", if family == Family::V6 { "6" } else { "" })?;
    let first = service.real_servers.first();
    let rhythm = first.map(|server| server.check.rhythm);
    writeln!(f, "   connection timeout = 5.000000")?;
    writeln!(f, "   delay_loop = {}", seconds(rhythm.map_or(Duration::from_secs(60), |rhythm| rhythm.every)))?;
    writeln!(f, "   lvs_sched = {}\n   Hashed = disabled", service.scheduler)?;
    match service.scheduler {
        Scheduler::SourceHash(flags) | Scheduler::MaglevHash(flags) => {
            let name = service.scheduler.name();
            writeln!(f, "   {name}-port = {}\n   {name}-fallback = {}", able(flags.port), able(flags.fallback))?;
        }
        _ => writeln!(f, "   flag-1 = disabled\n   flag-2 = disabled\n   flag-3 = disabled")?,
    }
    writeln!(f, "   One packet scheduling = {}", able(service.one_packet))?;
    if let Some(persistence) = service.persistence {
        writeln!(f, "   persistence timeout = {}", persistence.timeout)?;
    }
    let protocol = match protocol(service.key) {
        Some(Protocol::Tcp) => "TCP",
        Some(Protocol::Udp) => "UDP",
        Some(Protocol::Sctp) => "SCTP",
        None => "none",
    };
    let (alpha, inhibit) = (service.start == StartState::Down, service.on_fail == OnFail::Quiesce);
    writeln!(f, "   protocol = {protocol}\n   alpha is {}\n   omega is OFF", on(alpha))?;
    let Quorum { weight, hysteresis, .. } = service.quorum;
    writeln!(f, "   Inhibit on failure is OFF\n   quorum = {weight}, hysteresis = {hysteresis}")?;
    writeln!(f, "   Using smtp notification = no")?;
    let method = first.map_or(Forwarding::Nat, |server| server.forwarding);
    writeln!(f, "   default forwarding method = {}", forwarding(method))?;
    if let Some(fallback) = &service.fallback {
        writeln!(f, "   sorry server = {}", endpoint(fallback.address, self::protocol(service.key)))?;
        writeln!(f, "     forwarding method = {}", forwarding(fallback.forwarding))?;
        writeln!(f, "     Inhibit on failure is {}", on(fallback.quiesce))?;
    }
    let alive = |server: &RealServer| (dump.alive)(service, server.address);
    let up = u8::from(service.real_servers.iter().any(alive));
    writeln!(f, "   alive = {up}\n   quorum_state_up = {up}\n   reloaded = 0")?;
    let notify = dump.notify.services.get(&service.key);
    let mails = |server: &RealServer| notify.and_then(|it| it.servers.get(&server.address)).is_some_and(|it| it.mail);
    for server in &service.real_servers {
        let (address, weight) = (server.address, server.weight.get());
        writeln!(f, "   ------< Real server >------")?;
        writeln!(f, "   RIP = {}, RPORT = {}, WEIGHT = {weight} EFF WEIGHT = {weight}", address.ip(), address.port())?;
        writeln!(f, "   forwarding method = {}\n   Alpha is {}", forwarding(server.forwarding), on(alpha))?;
        let thresholds = server.thresholds;
        writeln!(f, "   connection timeout = 5.000000")?;
        writeln!(f, "   connection limit range = {} -> {}", thresholds.lower, thresholds.upper)?;
        writeln!(f, "   Delay loop = {}", seconds(server.check.rhythm.every))?;
        let inhibit = server.on_fail.map_or(inhibit, |on_fail| on_fail == OnFail::Quiesce);
        writeln!(f, "   Inhibit on failure is {}", on(inhibit))?;
        writeln!(f, "   Using smtp notification = {}", yes(mails(server)))?;
        writeln!(f, "   initial weight = {weight}\n   effective weight = {weight}")?;
        let alive = u8::from(alive(server));
        writeln!(f, "   previous effective_weight = 0\n   alive = {alive}\n   num failed checkers = {}", 1 - alive)?;
        writeln!(f, "   RS set = {}\n   reloaded = 0", u8::from(alive == 1 || inhibit))?;
    }
    Ok(())
}

fn write_check(
    f: &mut Formatter<'_>,
    dump: &Dump<'_>,
    service: &Service,
    server: &RealServer,
    check: &Check,
) -> fmt::Result {
    let Check { probe, rhythm, .. } = check;
    let protocol = protocol(service.key);
    writeln!(f, " {} -> {}", key(service.key), endpoint(server.address, protocol))?;
    let alive = (dump.alive)(service, server.address);
    writeln!(f, "   Enabled = yes\n   Up = {}\n   Has run = yes\n   Current weight = 0", yes(alive))?;
    writeln!(f, "   Alpha = {}", yes(service.start == StartState::Down))?;
    let every = rhythm.every.as_micros();
    writeln!(f, "   Delay loop = {every} us\n   Warmup = {every} us")?;
    let retries = rhythm.fall.saturating_sub(1);
    let retry = rhythm.retry_after.unwrap_or(rhythm.every).as_micros();
    writeln!(f, "   Retries = {retries}\n   Delay before retry = {retry} us\n   Retries iterations = 0")?;
    writeln!(f, "   Default delay before retry = {retry} us\n   Log all failures = no")?;
    let mut connection = |target: SocketAddr| -> fmt::Result {
        let (address, port) = (target.ip(), target.port());
        writeln!(f, "   Connection\n     Dest = [{address}]:{port}\n     Timeout = {}", seconds(rhythm.timeout))
    };
    match probe {
        Probe::Tcp { target } => {
            connection(*target)?;
            writeln!(f, "   Keepalive method = TCP_CHECK")
        }
        Probe::Http(http) => {
            connection(http.target)?;
            write_http(f, http)
        }
        Probe::Ping { target, .. } => {
            connection(SocketAddr::new(*target, 0))?;
            writeln!(f, "   Keepalive method = PING_CHECK")
        }
        Probe::Script(script) => {
            let words: Vec<String> =
                std::iter::once(script.program.display().to_string()).chain(script.arguments.iter().cloned()).collect();
            let timeout = rhythm.timeout.as_secs();
            writeln!(f, "   Keepalive method = MISC_CHECK\n   script = {}", super::command(&words))?;
            writeln!(f, "   timeout = {timeout}")
        }
        Probe::Udp(udp) => {
            connection(udp.target)?;
            write_udp(f, udp)
        }
        Probe::Dns(dns) => {
            connection(dns.target)?;
            writeln!(f, "   Keepalive method = DNS_CHECK\n   Type = {}\n   Name = {}", dns.record.name(), dns.name)
        }
        Probe::Smtp { target, helo } => {
            connection(*target)?;
            writeln!(f, "   Keepalive method = SMTP_CHECK\n   helo = {helo}")
        }
        Probe::File(file) => {
            writeln!(f, "   Keepalive method = FILE_CHECK")?;
            writeln!(f, "     Tracked file = {}\n     Reloaded = No", file.path.display())
        }
        Probe::Bfd { name } => writeln!(f, "   Keepalive method = BFD_CHECK\n   Name = {name}"),
        // Its parts are written one by one.
        Probe::AlwaysOn | Probe::AlwaysOff | Probe::All(_) => writeln!(f, "   Keepalive method = none"),
    }
}

fn write_udp(f: &mut Formatter<'_>, udp: &Udp) -> fmt::Result {
    writeln!(f, "   Keepalive method = UDP_CHECK")?;
    match &udp.payload {
        Some(payload) => writeln!(f, "   Payload len = {}", payload.len())?,
        None => writeln!(f, "   Payload specified = no")?,
    }
    writeln!(f, "   Require reply = {}", yes(udp.reply.is_some()))?;
    let Some(UdpReply { begins, length: (least, most) }) = &udp.reply else { return Ok(()) };
    writeln!(f, "     Min reply length = {least}\n     Max reply length = {most}")?;
    writeln!(f, "     Reply data len = {}", begins.len())?;
    if begins.is_empty() {
        return Ok(());
    }
    writeln!(f, "     Reply data mask = {}", yes(begins.iter().any(|(_, ignored)| *ignored != 0)))
}

fn write_http(f: &mut Formatter<'_>, http: &Http) -> fmt::Result {
    let method = if http.tls { "SSL_GET" } else { "HTTP_GET" };
    writeln!(f, "   Keepalive method = {method}, http protocol {}", http.rules.version.name())?;
    writeln!(f, "   Enable SNI {}", if http.server_name.is_some() { "set" } else { "unset" })?;
    writeln!(f, "   Fast recovery unset\n   Checked url = {}", http.path)?;
    writeln!(f, "     HTTP Status Code(s)")?;
    for (low, high) in &http.status.0 {
        if low == high { writeln!(f, "       {low}")? } else { writeln!(f, "       {low}-{high}")? }
    }
    Ok(())
}
