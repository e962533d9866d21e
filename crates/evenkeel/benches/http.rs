//! A thousand HTTP_GET checks a second by one keepalived.conf, under evenkeel and under keepalived.
//!
//! Prints a section of docs/benchmarks.md. Needs root. keepalived runs beside an IPVS that does nothing, so that only its
//! checks are measured; where it is not installed, or no C compiler to make that IPVS, evenkeel is measured alone.
#![expect(clippy::unwrap_used, reason = "a benchmark that cannot run says why and ends")]

mod bed;

use bed::{
    Bed,
    keepalived::{self, Half},
    median,
    real_servers::{self, RealServers},
};
use std::{
    env,
    fmt::Write as _,
    fs, thread,
    time::{Duration, Instant},
};

const SERVICES: usize = 100;
const EACH: usize = 10;
const ROUNDS: usize = 5;
/// Until every real server has been found, and checks are spread over their second.
const WARM_UP: Duration = Duration::from_secs(6);
const WINDOW: Duration = Duration::from_secs(15);

/// Who checks.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Player {
    Evenkeel,
    Keepalived,
}

/// What one run measured.
struct Run {
    rate: f64,
    /// Of one CPU, in percent.
    cpu: f64,
    /// Bytes.
    memory: f64,
}

fn configure(bed: &Bed) {
    let mut text = String::from("global_defs {\n router_id bench\n}\n");
    for service in 0..SERVICES {
        writeln!(
            text,
            "virtual_server 10.99.0.{} 80 {{\n delay_loop 1\n lb_algo rr\n lb_kind DR\n protocol TCP",
            1 + service
        )
        .unwrap();
        for number in service * EACH..(service + 1) * EACH {
            writeln!(
                text,
                " real_server 127.1.{}.{} 80 {{\n  weight 1\n  HTTP_GET {{\n   connect_timeout 1\n   url {{\n    path /\n    \
                 status_code 200\n   }}\n  }}\n }}",
                number / 250,
                1 + number % 250
            )
            .unwrap();
        }
        text.push_str("}\n");
    }
    fs::write(bed.file(), text).unwrap();
}

fn run(bed: &Bed, servers: &mut RealServers, player: Player) -> Run {
    let daemon = match player {
        Player::Evenkeel => bed.start().0,
        Player::Keepalived => keepalived::start(bed, Half::Checkers),
    };
    thread::sleep(WARM_UP);
    let ((before, _), count, begun) = (daemon.usage(), servers.order("count"), Instant::now());
    thread::sleep(WINDOW);
    let ((after, memory), count) = (daemon.usage(), servers.order("count") - count);
    let elapsed = begun.elapsed().as_secs_f64();
    match player {
        Player::Evenkeel => drop(bed.stop(daemon)),
        Player::Keepalived => daemon.terminate(),
    }
    Run { rate: count as f64 / elapsed, cpu: 100.0 * (after - before).as_secs_f64() / elapsed, memory: memory as f64 }
}

#[expect(clippy::print_stdout, reason = "the page is standard output")]
fn main() {
    if env::args().nth(1).is_some_and(|word| word == "serve") {
        return real_servers::serve();
    }
    if !rustix::process::geteuid().is_root() {
        eprintln!("http: skipped: needs root");
        return;
    }
    let bed = Bed::new("http", "keepalived.conf");
    configure(&bed);
    let mut servers = RealServers::start(&bed);
    let mut runs: [Vec<Run>; 2] = Default::default();
    for round in 1..=ROUNDS {
        eprintln!("http: round {round} of {ROUNDS}");
        for (player, runs) in [Player::Evenkeel, Player::Keepalived].into_iter().zip(&mut runs) {
            if player == Player::Evenkeel || keepalived::is_here(Half::Checkers) {
                runs.push(run(&bed, &mut servers, player));
            }
        }
    }
    println!("## {} HTTP_GET checks a second\n", SERVICES * EACH);
    println!(
        "The same keepalived.conf under both: {SERVICES} virtual servers with {EACH} real servers each, `delay_loop 1`, on the\n\
         director's loopback; one run after the other, medians of {ROUNDS} runs of {} s. keepalived runs beside an IPVS that does\n\
         nothing; its processes are counted together.\n",
        WINDOW.as_secs()
    );
    println!("| | evenkeel | keepalived |\n|---|---|---|");
    let row = |name: &str, value: &dyn Fn(&Run) -> f64, digits: usize| {
        let cell = |runs: &Vec<Run>| match runs.is_empty() {
            true => "not measured".to_owned(),
            false => format!("{:.digits$}", median(runs.iter().map(value).collect())),
        };
        println!("| {name} | {} |", runs.each_ref().map(cell).join(" | "));
    };
    row("checks a second", &|run| run.rate, 0);
    row("CPU, percent of one", &|run| run.cpu, 2);
    row("CPU a check, µs", &|run| 1e4 * run.cpu / run.rate, 1);
    row("memory of its own, MB", &|run| run.memory / 1e6, 1);
}
