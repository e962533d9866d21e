//! Large files: work grows with the number of lines and no faster.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod common;

use common::{brief, ldirectord, native};
use evenkeel_config::to_toml;
use std::{
    fmt::Write,
    time::{Duration, Instant},
};

fn large(services: u32) -> String {
    let mut text = String::from("checktimeout=3\ncheckinterval=1\nquiescent=yes\n\n");
    for n in 0..services {
        let (a, b) = (n / 250, n % 250 + 1);
        writeln!(text, "virtual=10.{}.{}.{b}:80", 100 + a / 250, a % 250).unwrap();
        for r in 1..=10 {
            writeln!(text, "        real=10.{}.{}.{r}:80 gate {r}", n / 250, n % 250).unwrap();
        }
        text += "        fallback=127.0.0.1:80 gate\n        service=http\n        request=\"a.html\"\n";
        text += "        receive=\"ok\"\n        scheduler=wrr\n        protocol=tcp\n        checktype=negotiate\n\n";
    }
    text
}

fn time(work: impl FnOnce()) -> Duration {
    let start = Instant::now();
    work();
    start.elapsed()
}

/// Ten thousand services in a release build; a debug build is ten times slower and gets a fifth.
const SERVICES: u32 = if cfg!(debug_assertions) { 2_000 } else { 10_000 };

#[test]
fn thousands_of_services_of_ten_real_servers_are_read_and_written_in_linear_time() {
    let text = large(SERVICES);
    let loaded = ldirectord(&text);
    assert_eq!(brief(&loaded), Vec::<String>::new());
    let cluster = loaded.cluster.unwrap();
    assert_eq!(cluster.services.len(), SERVICES as usize);
    assert!(cluster.services.iter().all(|s| s.real_servers.len() == 10));
    let toml = to_toml(&cluster);
    assert!(native(&toml).cluster.as_ref() == Some(&cluster), "the TOML reads as the same cluster");

    // Quadratic work would take a hundred times as long for ten times the services; four times ten leaves room for a
    // busy machine. The best of three, so that one interruption does not count.
    let small = large(SERVICES / 10);
    let best = |text: &str, read: &dyn Fn(&str)| (0..3).map(|_| time(|| read(text))).min().unwrap();
    let read_cf: &dyn Fn(&str) = &|text| assert!(ldirectord(text).cluster.is_some());
    let (one, ten) = (best(&small, read_cf), best(&text, read_cf));
    println!("ldirectord.cf: {} services {one:?}, {SERVICES} services {ten:?}", SERVICES / 10);
    assert!(ten < one * 40, "a tenth takes {one:?}, all take {ten:?}");
    let small_toml = to_toml(&ldirectord(&small).cluster.unwrap());
    let read_toml: &dyn Fn(&str) = &|text| assert!(native(text).cluster.is_some());
    let (one, ten) = (best(&small_toml, read_toml), best(&toml, read_toml));
    println!("TOML: {} services {one:?}, {SERVICES} services {ten:?}", SERVICES / 10);
    assert!(ten < one * 40, "a tenth takes {one:?}, all take {ten:?}");
}
