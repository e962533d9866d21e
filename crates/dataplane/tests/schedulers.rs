//! The schedulers give the sequences recorded from the kernel's IPVS.

#![allow(clippy::expect_used, reason = "a test ends where its material is bad")]

use evenkeel_abi::CELL_EMPTY;
use evenkeel_dataplane::schedule::{Member, mh, order, rr, wrr};
use std::net::{IpAddr, SocketAddr};

/// The recorded sequence: the second line.
fn recorded(golden: &str) -> Vec<usize> {
    let line = golden.lines().nth(1).expect("a line of answers");
    line.split_whitespace().map(|word| word.parse().expect("a number")).collect()
}

#[test]
fn rr_gives_the_kernel_sequence() {
    let servers = [13, 12, 11];
    let mut cursor = 0;
    for expected in recorded(include_str!("golden/schedulers/rr.txt")) {
        let (index, next) = rr::choose(servers.len(), cursor).expect("somebody");
        assert_eq!(servers[index], expected);
        cursor = next;
    }
}

/// Real servers .11, .12 ... are added one by one, each a change of the list, before the first choice.
fn wrr_sequence(weights: &[u32], count: usize) -> Vec<usize> {
    let (mut list, mut cursor) = (Vec::new(), wrr::Cursor::default());
    for weight in weights {
        list.insert(0, *weight);
        cursor = wrr::adjust(cursor, &list);
    }
    let choice = |_| {
        let (index, next) = wrr::choose(&list, cursor).expect("somebody");
        cursor = next;
        10 + weights.len() - index
    };
    (0..count).map(choice).collect()
}

#[test]
fn wrr_gives_the_kernel_sequence() {
    for (weights, golden) in [
        ([1, 2, 3], include_str!("golden/schedulers/wrr-123.txt")),
        ([3, 2, 1], include_str!("golden/schedulers/wrr-321.txt")),
    ] {
        let expected = recorded(golden);
        assert_eq!(wrr_sequence(&weights, expected.len()), expected, "{weights:?}");
    }
}

/// One recording of `mh-kernel.txt`.
struct Recording<'a> {
    v6: bool,
    by_port: bool,
    port: u16,
    weights: Vec<u32>,
    edits: Vec<(usize, u32)>,
    answers: Vec<&'a str>,
}

fn recordings(golden: &str) -> Vec<Recording<'_>> {
    let lines: Vec<&str> = golden.lines().filter(|line| !line.starts_with('#')).collect();
    lines
        .chunks(2)
        .map(|pair| {
            let (setup, edits) = pair[0].split_once(" then").expect("a setup");
            let words: Vec<&str> = setup.split_whitespace().collect();
            let edit = |edit: &str| {
                let (server, weight) = edit.split_once('=').expect("server=weight");
                (server.parse().expect("a server"), weight.parse().expect("a weight"))
            };
            Recording {
                v6: words[1] == "IPv6",
                by_port: words[2] == "port",
                port: words[4].parse().expect("a port"),
                weights: words[6..].iter().map(|word| word.parse().expect("a weight")).collect(),
                edits: edits.split_whitespace().map(edit).collect(),
                answers: pair[1].split_whitespace().collect(),
            }
        })
        .collect()
}

fn address(v6: bool, network: [&str; 2], host: usize) -> IpAddr {
    format!("{}{host}", network[usize::from(v6)]).parse().expect("an address")
}

#[test]
fn mh_gives_the_kernel_choices() {
    let all = recordings(include_str!("golden/schedulers/mh-kernel.txt"));
    assert_eq!(all.len(), 11);
    for recording in all {
        let Recording { v6, by_port, port, .. } = recording;
        let server = |host| SocketAddr::new(address(v6, ["10.77.0.", "fd77::"], host), port);
        let mut members: Vec<Member> =
            recording.weights.iter().enumerate().map(|(i, weight)| Member::new(server(11 + i), *weight)).collect();
        for (host, weight) in recording.edits {
            members[host - 11] = members[host - 11].with_weight(weight);
        }
        members.reverse();
        let table = mh::table(&members);
        for (i, expected) in recording.answers.iter().enumerate() {
            let client = address(v6, ["10.5.0.", "fd05::"], if by_port { 1 } else { 1 + i });
            let slot = mh::slot(client, by_port.then_some(20000 + i as u16));
            let chosen = &members[table[slot as usize] as usize];
            let answer = if chosen.is_usable() { chosen.address.ip().to_string() } else { "-".to_owned() };
            let answer = answer.rsplit(['.', ':']).next().expect("a part");
            assert_eq!(answer, *expected, "IPv6 {v6}, by port {by_port}, port {port}, client {i}");
        }
    }
}

#[test]
fn mh_gives_the_first_recordings_too() {
    // The services' ports were not written down; these are the only ones near which all answers are met.
    for (port, weights, golden) in [
        (1017, [1, 1, 1], include_str!("golden/schedulers/mh-addr.txt")),
        (1020, [1, 0, 1], include_str!("golden/schedulers/mh-w0.txt")),
        (1021, [1, 0, 1], include_str!("golden/schedulers/mh-w0-fallback.txt")),
    ] {
        let server = |(i, weight)| Member::new(SocketAddr::from(([10, 0, 0, 13 - i], port)), weight);
        let members: Vec<Member> = (0u8..).zip(weights.into_iter().rev()).map(server).collect();
        let table = mh::table(&members);
        let choice = |i: u8| 13 - table[mh::slot(IpAddr::from([10, 5, 0, 1 + i]), None) as usize] as usize;
        let expected = recorded(golden);
        let chosen: Vec<usize> = (0..expected.len() as u8).map(choice).collect();
        assert_eq!(chosen, expected, "port {port}");
    }
}

#[test]
fn mh_has_no_slots_for_who_never_had_a_weight() {
    let member = |host: u8, weight| Member::new(SocketAddr::from(([10, 0, 0, host], 80)), weight);
    assert!(mh::table(&[]).iter().all(|slot| *slot == CELL_EMPTY));
    assert!(mh::table(&[member(1, 0)]).iter().all(|slot| *slot == CELL_EMPTY));
    let members = [member(1, 0), member(2, 5)];
    assert!(mh::table(&members).iter().all(|slot| *slot == 1));
    assert_eq!(order::usable(&members).collect::<Vec<_>>(), [1]);
}
