//! A file that is read again means what it would mean to one who has never seen it.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod dice;

use dice::Dice;
use evenkeel_config::{Format, Host, Input, Loaded, Memory, load_texts, load_texts_again};
use evenkeel_source::{Colour, render_all};
use std::{cell::Cell, net::IpAddr};

const SEEDS: u64 = 60;
const STEPS: usize = 60;

/// Lines that files are put together from, and that edits put in.
const LINES: [&str; 38] = [
    "",
    "",
    "# a remark",
    "    # an indented remark",
    "# \u{e4}\u{a0}remark",
    "checktimeout=3",
    "checkinterval=5",
    "quiescent=yes",
    "fallback=127.0.0.1:80 gate",
    "fallback=127.0.0.1:81 gate",
    "fallback=sorry:80 gate",
    "autoreload=YES ",
    "virtual=10.0.0.1:80",
    "virtual=10.0.0.2:80",
    "virtual=10.0.0.3:8080",
    "virtual6=[2001:db8::1]:80",
    "virtual = 10.0.0.4:http",
    "virtualhost=www.example.com",
    "    real=192.0.2.1:80 gate",
    "    real=192.0.2.2:80 gate 5",
    "    real=192.0.2.3->192.0.2.5:80 gate",
    "    real=web:80 gate",
    "    real6=[2001:db8::5]:80 gate",
    "    real=192.0.2.9:8080 gate",
    "real=192.0.2.8:80 gate",
    "    scheduler=wrr",
    "    scheduler=rr",
    "    protocol=tcp",
    "    checktype=on",
    "    checktype=negotiate",
    "    service=http",
    "    request=\"a.html\"",
    "    servicename=shop",
    "    fallback=127.0.0.1:80 gate",
    "    virtualhost=\u{a0}www.example.com",
    "    quiescent=no\r",
    "    monitorfile=/run/a\r",
    "\u{a0}   scheduler=wrr",
];

/// Names are of another address each time the clock has gone on.
fn with_host<T>(clock: &Cell<u8>, read: impl FnOnce(&Host<'_>) -> T) -> T {
    let resolve = |name: &str| match name {
        "web" | "sorry" => Ok(vec![IpAddr::from([192, 0, 2, 100 + clock.get() % 3])]),
        _ => Err("host not found".to_owned()),
    };
    let service = |name: &str, _| (name == "http").then(|| 80 + u16::from(clock.get() % 2));
    read(&Host { resolve_host: &resolve, resolve_service: &service, check_regex: &|_| Ok(()), ..Host::NONE })
}

fn input(lines: &[&str]) -> Vec<Input> {
    vec![Input { path: "ldirectord.cf".into(), bytes: lines.join("\n").into_bytes() }]
}

fn told(loaded: &Loaded) -> String {
    render_all(&loaded.diagnostics, &loaded.sources, Colour::No)
}

/// A service that nothing is to be said of.
fn service(lines: &mut Vec<&str>, head: &'static str, dice: &mut Dice) {
    lines.extend(["", head, "    real=192.0.2.1:80 gate 1", "    real=192.0.2.2:80 gate 2"]);
    lines.extend(["    protocol=tcp", "    scheduler=wrr", "    checktype=on"].iter().take(1 + dice.roll(3)));
}

#[test]
fn what_is_remembered_changes_nothing_whatever_is_edited() {
    let clock = Cell::new(0u8);
    let mut good = 0;
    for seed in 1..=SEEDS {
        let mut dice = Dice(seed);
        let mut lines = vec!["checktimeout=3", "checkinterval=5"];
        for head in ["virtual=10.0.0.1:80", "virtual=10.0.0.2:80", "virtual=10.0.0.3:80", "virtual=10.0.0.5:80"] {
            service(&mut lines, head, &mut dice);
        }
        let mut memory = Memory::default();
        for step in 0..STEPS {
            clock.set(clock.get().wrapping_add(1));
            let format = Some(Format::Ldirectord);
            let again = with_host(&clock, |host| load_texts_again(input(&lines), format, host, &mut memory));
            let fresh = with_host(&clock, |host| load_texts(input(&lines), format, host));
            let text = lines.join("\n");
            assert_eq!(told(&again), told(&fresh), "seed {seed}, step {step}:\n{text}");
            assert_eq!(again.cluster, fresh.cluster, "seed {seed}, step {step}:\n{text}");
            good += usize::from(fresh.cluster.is_some());
            let at = dice.roll(lines.len() + 1);
            match dice.roll(5) {
                0 if at < lines.len() => drop(lines.remove(at)),
                1 => lines.insert(at, LINES[dice.roll(LINES.len())]),
                2 if at < lines.len() => lines[at] = LINES[dice.roll(LINES.len())],
                3 => lines.rotate_left(dice.roll(2)),
                // Broken files are of little use for long.
                _ if fresh.cluster.is_none() => {
                    lines.truncate(2);
                    service(&mut lines, "virtual=10.0.0.1:80", &mut dice);
                    service(&mut lines, "virtual=10.0.0.6:80", &mut dice);
                }
                _ => {}
            }
        }
    }
    assert!(good > STEPS * SEEDS as usize / 4, "hardly any of the files was right: {good}");
}

#[test]
fn an_unchanged_service_is_not_read_again() {
    let asked = Cell::new(0);
    let regex = |_: &str| {
        asked.set(asked.get() + 1);
        Ok(())
    };
    let host = Host { check_regex: &regex, ..Host::NONE };
    let text = |weight: u32| {
        let one = |n: u32, weight| {
            format!(
                "virtual=10.0.0.{n}:80\n\treal=192.0.2.1:80 gate {weight}\n\trequest=\"a\"\n\treceive=\"ok{n}\"\n\n"
            )
        };
        format!("checktimeout=3\n\n{}{}{}", one(1, 1), one(2, weight), one(3, 1))
    };
    let mut memory = Memory::default();
    let mut read = |weight| {
        asked.set(0);
        let input = Input { path: "ldirectord.cf".into(), bytes: text(weight).into_bytes() };
        let loaded = load_texts_again(vec![input], None, &host, &mut memory);
        let weights: Vec<u32> =
            loaded.cluster.unwrap().services.iter().map(|service| service.real_servers[0].weight.get()).collect();
        (weights, asked.get())
    };
    assert_eq!(read(1), (vec![1, 1, 1], 3));
    assert_eq!(read(7), (vec![1, 7, 1], 1));
    assert_eq!(read(7), (vec![1, 7, 1], 0));
    assert_eq!(read(1), (vec![1, 1, 1], 1));
}
