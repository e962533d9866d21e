//! A thousand VRRP instances that speak ten times a second, under evenkeel and under keepalived: what a master costs.
//!
//! Prints a section of docs/benchmarks.md. Needs root. Where keepalived is not installed, evenkeel is measured alone.
#![expect(clippy::unwrap_used, reason = "a benchmark that cannot run says why and ends")]

mod bed;

use bed::{
    Bed,
    keepalived::{self, Half},
    median,
};
use std::{
    fmt::Write as _,
    fs, thread,
    time::{Duration, Instant},
};

/// A virtual router has a number of its own on its interface, up to 255.
const INTERFACES: usize = 4;
const EACH: usize = 250;
const ROUNDS: usize = 5;
const WINDOW: Duration = Duration::from_secs(10);
const LIMIT: Duration = Duration::from_secs(60);

/// Who holds the elections.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Player {
    Evenkeel,
    Keepalived,
}

/// What one run measured.
struct Run {
    /// Of one CPU, in percent.
    cpu: f64,
    /// Bytes.
    memory: f64,
    /// Seconds from the start until all are master.
    masters: f64,
}

fn configure(bed: &Bed) {
    let mut text = String::from("global_defs {\n vrrp_version 3\n}\n");
    for number in 0..INTERFACES * EACH {
        let (interface, vrid) = (number / EACH, 1 + number % EACH);
        writeln!(
            text,
            "vrrp_instance v{number} {{\n state BACKUP\n interface v{interface}\n virtual_router_id {vrid}\n priority 100\n \
             advert_int 0.1\n virtual_ipaddress {{\n 10.{}.{}.{}/32\n }}\n}}",
            200 + interface,
            vrid / 250,
            1 + vrid % 250
        )
        .unwrap();
    }
    fs::write(bed.file(), text).unwrap();
    for number in 0..INTERFACES {
        bed.cable(&format!("v{number}"), &format!("w{number}"), &format!("10.{}.255.1/16", 200 + number));
    }
}

fn run(bed: &Bed, player: Player) -> Run {
    let before = bed.addresses();
    let begun = Instant::now();
    let daemon = match player {
        Player::Evenkeel => bed.start().0,
        Player::Keepalived => keepalived::start(bed, Half::Elections),
    };
    while bed.addresses() < before + INTERFACES * EACH {
        assert!(begun.elapsed() < LIMIT, "not all became master");
        thread::sleep(Duration::from_millis(20));
    }
    let masters = begun.elapsed().as_secs_f64();
    // The announcements that follow a takeover are over.
    thread::sleep(Duration::from_secs(7));
    let ((cpu, _), begun) = (daemon.usage(), Instant::now());
    thread::sleep(WINDOW);
    let (after, memory) = daemon.usage();
    let elapsed = begun.elapsed().as_secs_f64();
    match player {
        Player::Evenkeel => drop(bed.stop(daemon)),
        Player::Keepalived => daemon.terminate(),
    }
    while bed.addresses() > before {
        thread::sleep(Duration::from_millis(20));
    }
    Run { cpu: 100.0 * (after - cpu).as_secs_f64() / elapsed, memory: memory as f64, masters }
}

#[expect(clippy::print_stdout, reason = "the page is standard output")]
fn main() {
    if !rustix::process::geteuid().is_root() {
        eprintln!("vrrp: skipped: needs root");
        return;
    }
    let bed = Bed::new("vrrp", "keepalived.conf");
    configure(&bed);
    let mut runs: [Vec<Run>; 2] = Default::default();
    for round in 1..=ROUNDS {
        eprintln!("vrrp: round {round} of {ROUNDS}");
        for (player, runs) in [Player::Evenkeel, Player::Keepalived].into_iter().zip(&mut runs) {
            if player == Player::Evenkeel || keepalived::is_here(Half::Elections) {
                runs.push(run(&bed, player));
            }
        }
    }
    println!("## {} VRRP instances that advertise every 100 ms\n", INTERFACES * EACH);
    println!(
        "The same keepalived.conf under both, version 3, {INTERFACES} interfaces, this node master of all; one run after the\n\
         other, medians of {ROUNDS} runs of {} s. keepalived's processes are counted together.\n",
        WINDOW.as_secs()
    );
    println!("| | evenkeel | keepalived |\n|---|---|---|");
    let row = |name: &str, value: &dyn Fn(&Run) -> f64, digits: usize| {
        let cell = |runs: &Vec<Run>| match runs.is_empty() {
            true => "not installed".to_owned(),
            false => format!("{:.digits$}", median(runs.iter().map(value).collect())),
        };
        println!("| {name} | {} |", runs.each_ref().map(cell).join(" | "));
    };
    row("CPU, percent of one", &|run| run.cpu, 2);
    row("memory of its own, MB", &|run| run.memory / 1e6, 1);
    row("from the start to all being master, s", &|run| run.masters, 2);
}
