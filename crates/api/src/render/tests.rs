use super::*;
use crate::{
    Attachment, CheckStatus, ConfigStatus, Connections, Counters, DataplaneStatus, FallbackStatus, RealServerStatus,
};

fn up(name: &str, address: &str, weight: u32) -> RealServerStatus {
    RealServerStatus {
        address: address.into(),
        forward: "dr".into(),
        weight,
        state: ServerState::Up,
        reason: "http 200 in 3 ms".into(),
        since_s: 12 * 86400,
        connections: Connections { active: 2020, inactive: 512, persistent: 0 },
        counters: Counters::default(),
        name: name.into(),
        full_weight: weight,
        in_table: true,
        check: Some(CheckStatus { what: "http check every 1 s".into(), ..CheckStatus::default() }),
        next_hop: Some("52:54:00:aa:02:07 on eth1".into()),
    }
}

fn down(name: &str, address: &str, weight: u32) -> RealServerStatus {
    RealServerStatus {
        weight: 0,
        state: ServerState::Down,
        reason: "http: got 503, wanted 200-299".into(),
        since_s: 131,
        connections: Connections { active: 11, inactive: 0, persistent: 0 },
        check: Some(CheckStatus {
            what: "http check every 1 s".into(),
            last: Some("http: got 503, wanted 200-299".into()),
            last_good_ms: Some(132_400),
            failed: 14,
            next_ms: Some(412),
            by_hand: Some("curl -v --resolve www:80:192.168.0.207 http://www/.ok.html".into()),
        }),
        next_hop: None,
        ..up(name, address, weight)
    }
}

fn sample(servers: Vec<RealServerStatus>, in_use: bool) -> Status {
    Status {
        version: "0.1.0".into(),
        node: "node1".into(),
        uptime_s: 12 * 86400,
        dataplane: DataplaneStatus {
            kind: "ebpf".into(),
            attachments: vec![Attachment { interface: "eth0".into(), mode: "xdp".into(), program_id: 7 }],
            drops: [("no_server".to_owned(), 3), ("ttl".to_owned(), 0)].into(),
        },
        ha: Vec::new(),
        services: vec![ServiceStatus {
            name: "web".into(),
            protocol: "tcp".into(),
            address: "192.168.0.85:80".into(),
            scheduler: "wrr".into(),
            fallback: Some(FallbackStatus { address: "127.0.0.1:80".into(), in_use }),
            real_servers: servers,
            disabled: false,
            counters: Counters { connections: 120_403, bytes_in: 61_200_000, ..Counters::default() },
        }],
        config: ConfigStatus { ok: true, since_s: 3 * 86400, error: None },
        warnings: Vec::new(),
    }
}

#[test]
fn status_is_one_line_a_service_and_one_a_real_server() {
    let status = sample(vec![up("real-1", "192.168.0.206:80", 200), down("real-2", "192.168.0.207:80", 600)], false);
    let expected = "\
evenkeel 0.1.0  node1  up 12d  config ok (3d ago)  data plane ebpf (xdp on eth0)
not forwarded: no_server 3

SERVICE                  SCHED  MODE  ACTIVE  INACTIVE   CONNS       IN  REAL SERVERS
web 192.168.0.85:80/tcp  wrr    dr      2031       512  120403  61.2 MB  1/2 up
  real-1 192.168.0.206:80  up 12d      w200                      2020 active  http 200 in 3 ms
  real-2 192.168.0.207:80  DOWN 2m11s  w600, now w0 (quiescent)    11 active  http: got 503, wanted 200-299
replies go straight to the client in dr mode and are not counted
";
    assert_eq!(super::status(&status), expected);
}

#[test]
fn a_service_at_length_says_how_to_look_at_what_is_down() {
    let status = sample(vec![up("real-1", "192.168.0.206:80", 200), down("real-2", "192.168.0.207:80", 600)], false);
    let expected = "\
web 192.168.0.85:80/tcp  wrr  dr  2031  512  120403  61.2 MB  1/2 up
  real-1 192.168.0.206:80  up 12d      w200                      2020 active  http 200 in 3 ms
         http check every 1 s
         reached at 52:54:00:aa:02:07 on eth1
  real-2 192.168.0.207:80  DOWN 2m11s  w600, now w0 (quiescent)    11 active  http: got 503, wanted 200-299
         last good 2m12s ago, 14 checks failed since;  next try in 0.4s
         try: curl -v --resolve www:80:192.168.0.207 http://www/.ok.html
  fallback 127.0.0.1:80 stands by
";
    assert_eq!(super::service(&status), expected);
}

#[test]
fn brief_is_fine_degraded_or_down() {
    let (one, two) = ("192.168.0.206:80", "192.168.0.207:80");
    let fine = sample(vec![up("real-1", one, 1), up("real-2", two, 1)], false);
    assert_eq!(brief(&fine), ("fine: 1 service, 2 of 2 real servers up".into(), 0));
    let degraded = sample(vec![up("real-1", one, 1), down("real-2", two, 1)], false);
    let line = "degraded: web 1/2 up (real-2 http: got 503, wanted 200-299)";
    assert_eq!(brief(&degraded), (line.into(), 1));
    let down = sample(vec![down("real-1", one, 1), down("real-2", two, 1)], true);
    assert_eq!(brief(&down), ("down: web has no real server up, fallback 127.0.0.1:80 answers".into(), 2));
}

#[test]
fn brief_is_degraded_while_the_last_reload_was_refused() {
    let mut status = sample(vec![up("real-1", "192.168.0.206:80", 1)], false);
    status.config.error = Some("ha.cf:3: unknown word".into());
    assert_eq!(brief(&status), ("degraded: last reload refused: ha.cf:3: unknown word".into(), 1));
}

#[test]
fn what_an_operator_took_out_is_no_trouble() {
    let mut drained = up("real-2", "192.168.0.207:80", 1);
    drained.state = ServerState::Drained;
    let status = sample(vec![up("real-1", "192.168.0.206:80", 1), drained], false);
    assert_eq!(brief(&status), ("fine: 1 service, 1 of 2 real servers up".into(), 0));
}
