//! What a reload (SIGHUP) of thousands of virtual servers with checkers costs, under evenkeel and under keepalived.
//!
//! Prints a section of docs/benchmarks.md. Needs root. keepalived runs beside an IPVS that does nothing; where it is not
//! installed, or no C compiler to make that IPVS, evenkeel is measured alone. `EVENKEEL_RUNS` makes another number of runs.
#![expect(clippy::unwrap_used, reason = "a benchmark that cannot run says why and ends")]

mod bed;

use bed::{
    Bed, Daemon,
    keepalived::{self, Half},
    median,
    real_servers::{self, RealServers},
};
use rustix::process::{Pid, Signal, kill_process};
use std::{
    env,
    fmt::Write as _,
    fs,
    io::{Read, Seek, SeekFrom},
    thread,
    time::{Duration, Instant},
};

/// Virtual servers.
const SIZES: [usize; 3] = [2500, 5000, 10_000];
/// Real servers of each, with a check of their own each.
const EACH: usize = 2;
const ROUNDS: usize = 3;
const LIMIT: Duration = Duration::from_secs(120);
/// So long after its end all that a reload leaves to be done has been done; and so old is the file before it is read, as
/// after an editor.
const REST: Duration = Duration::from_secs(1);

/// Who reloads.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Player {
    Evenkeel,
    Keepalived,
}

impl Player {
    /// Whether it has said that the new file is in force. keepalived's parent says so when it has told its child, which
    /// then begins every check anew, one line each.
    fn has_done(self, said: &str, size: usize) -> bool {
        match self {
            Player::Evenkeel => said.contains("reloaded: "),
            Player::Keepalived => said.matches("Activating healthchecker").count() >= size * EACH,
        }
    }
}

/// What is written otherwise in the new file.
#[derive(Clone, Copy)]
enum Change {
    Nothing,
    One,
    Percent,
}

const CHANGES: [(Change, &str); 3] = [
    (Change::Nothing, "nothing changed"),
    (Change::One, "one weight changed"),
    (Change::Percent, "a weight changed in 1 % of them"),
];

impl Change {
    /// How many of so many virtual servers have another weight.
    fn count(self, size: usize) -> usize {
        match self {
            Change::Nothing => 0,
            Change::One => 1,
            Change::Percent => size / 100,
        }
    }
}

/// What one reload took, in milliseconds.
#[derive(Clone, Copy)]
struct Reload {
    wall: f64,
    /// Until [`REST`] later.
    cpu: f64,
}

/// Writes a file in which the first so many virtual servers have another weight.
fn write(bed: &Bed, size: usize, changed: usize) {
    let mut text = String::from("global_defs {\n router_id bench\n}\n");
    for service in 0..size {
        let (a, b, c) = (100 + service / 62_500, service / 250 % 250, 1 + service % 250);
        // Checks come so seldom that they do not disturb.
        writeln!(
            text,
            "virtual_server 10.{a}.{b}.{c} 80 {{\n delay_loop 3600\n lb_algo wrr\n lb_kind DR\n protocol TCP"
        )
        .unwrap();
        for number in service * EACH..(service + 1) * EACH {
            let weight = if service < changed && number.is_multiple_of(EACH) { 7 } else { 1 };
            writeln!(
                text,
                " real_server 127.{}.{}.{} 80 {{\n  weight {weight}\n  TCP_CHECK {{\n   connect_timeout 2\n  }}\n }}",
                1 + number / 62_500,
                number / 250 % 250,
                1 + number % 250
            )
            .unwrap();
        }
        text.push_str("}\n");
    }
    fs::write(bed.file(), text).unwrap();
}

/// Has the file read that is there; what was changed in it is told by evenkeel.
fn reload(bed: &Bed, daemon: &Daemon, player: Player, size: usize, changes: usize) -> Reload {
    thread::sleep(REST);
    let mut log = fs::File::open(bed.log()).unwrap();
    log.seek(SeekFrom::End(0)).unwrap();
    let (mut news, before) = (String::new(), daemon.usage().0);
    let begun = Instant::now();
    kill_process(Pid::from_child(&daemon.0), Signal::HUP).unwrap();
    while log.read_to_string(&mut news).unwrap() == 0 || !player.has_done(&news, size) {
        assert!(begun.elapsed() < LIMIT, "not reloaded: {news}");
        thread::sleep(Duration::from_millis(1));
    }
    let wall = begun.elapsed();
    let told = format!("reloaded: {changes} change");
    assert!(player == Player::Keepalived || news.contains(&told), "{news}");
    thread::sleep(REST);
    let cpu = daemon.usage().0 - before;
    Reload { wall: 1e3 * wall.as_secs_f64(), cpu: 1e3 * cpu.as_secs_f64() }
}

/// A reload of each kind, in the order of [`CHANGES`].
fn run(bed: &Bed, servers: &mut RealServers, player: Player, size: usize) -> [Reload; 3] {
    write(bed, size, 0);
    let checked = servers.order("count") + (size * EACH) as u64;
    let daemon = match player {
        Player::Evenkeel => bed.start().0,
        Player::Keepalived => keepalived::start(bed, Half::Checkers),
    };
    let begun = Instant::now();
    // keepalived spreads even the first checks over `delay_loop`, and has all real servers up until then.
    while player == Player::Evenkeel && servers.order("count") < checked {
        assert!(begun.elapsed() < LIMIT, "not all were checked");
        thread::sleep(Duration::from_millis(20));
    }
    thread::sleep(3 * REST);
    let measured = CHANGES.map(|(change, _)| {
        let changes = change.count(size);
        write(bed, size, changes);
        let measured = reload(bed, &daemon, player, size, changes);
        write(bed, size, 0);
        reload(bed, &daemon, player, size, changes);
        measured
    });
    match player {
        Player::Evenkeel => drop(bed.stop(daemon)),
        Player::Keepalived => daemon.terminate(),
    }
    measured
}

#[expect(clippy::print_stdout, reason = "the page is standard output")]
fn main() {
    if env::args().nth(1).is_some_and(|word| word == "serve") {
        return real_servers::serve();
    }
    if !rustix::process::geteuid().is_root() {
        eprintln!("reload: skipped: needs root");
        return;
    }
    let rounds = env::var("EVENKEEL_RUNS").ok().and_then(|runs| runs.parse().ok()).unwrap_or(ROUNDS);
    let bed = Bed::new("reload", "keepalived.conf");
    let mut servers = RealServers::start(&bed);
    println!("## Reload of virtual servers with checkers\n");
    println!(
        "One keepalived.conf under both: virtual servers with {EACH} real servers each, a TCP_CHECK of every one. From SIGHUP to\n\
         the line that says that the file is in force (keepalived: that the last check is), in ms / CPU time in ms until a second\n\
         later; medians of {rounds} runs, the programs in turn. keepalived runs beside an IPVS that does nothing, evenkeel with its\n\
         packet path. Wanted: 150 ms for 10 000.\n"
    );
    println!("| virtual servers | in the new file | evenkeel | keepalived |\n|---|---|---|---|");
    for size in SIZES {
        let mut runs: [Vec<[Reload; 3]>; 2] = Default::default();
        for round in 1..=rounds {
            eprintln!("reload: {size} virtual servers, round {round} of {rounds}");
            for (player, runs) in [Player::Evenkeel, Player::Keepalived].into_iter().zip(&mut runs) {
                if player == Player::Evenkeel || keepalived::is_here(Half::Checkers) {
                    runs.push(run(&bed, &mut servers, player, size));
                }
            }
        }
        for (place, (_, text)) in CHANGES.iter().enumerate() {
            let cell = |runs: &Vec<[Reload; 3]>| match runs.is_empty() {
                true => "not measured".to_owned(),
                false => {
                    let of = |value: fn(&Reload) -> f64| median(runs.iter().map(|run| value(&run[place])).collect());
                    format!("{:.0} / {:.0}", of(|reload| reload.wall), of(|reload| reload.cpu))
                }
            };
            println!("| {size} | {text} | {} |", runs.each_ref().map(cell).join(" | "));
        }
    }
}
