//! What size costs: 10 000 services with 10 real servers each, given to the program itself as one ldirectord.cf.
//!
//! Prints a section of docs/benchmarks.md. Needs root: the program runs with its packet path in a network namespace.
#![expect(clippy::unwrap_used, reason = "a benchmark that cannot run says why and ends")]

mod bed;

use bed::{Bed, median};
use evenkeel_os::Usage;
use std::{
    collections::BTreeMap,
    fmt::Write,
    fs,
    sync::atomic::{AtomicBool, Ordering},
    thread,
    time::Duration,
};

const SERVICES: usize = 10_000;
const REAL_SERVERS: usize = 10;
const ROUNDS: usize = 5;
/// After this the program has tidied up behind a start or a reload, and rests.
const REST: Duration = Duration::from_millis(2500);

/// Where the real servers are.
#[derive(Clone, Copy)]
enum Place {
    /// 250 addresses of the director's own subnet, each a real server of 400 services.
    Subnet,
    /// 100 000 addresses behind one gateway.
    Gateway,
}

impl Place {
    fn address(self, service: usize, real_server: usize) -> String {
        let number = service * REAL_SERVERS + real_server;
        match self {
            Place::Subnet => format!("192.0.2.{}", 2 + number % 250),
            Place::Gateway => format!("172.{}.{}.{}", 16 + number / 62_500, number / 250 % 250, 1 + number % 250),
        }
    }

    fn text(self) -> &'static str {
        match self {
            Place::Subnet => "250 addresses in the director's subnet",
            Place::Gateway => "100 000 addresses behind a gateway",
        }
    }
}

/// Writes the file; one real server in the middle has another weight than the others.
fn write(bed: &Bed, place: Place, weight: u32) {
    let mut text = String::from("checktimeout=3\ncheckinterval=60\n");
    for service in 0..SERVICES {
        let (a, b, c) = (100 + service / 2500, service / 10 % 250, 1 + service % 10);
        writeln!(text, "\nvirtual=10.{a}.{b}.{c}:80").unwrap();
        for real_server in 0..REAL_SERVERS {
            let weight = if (service, real_server) == (SERVICES / 2, 5) { weight } else { 1 };
            writeln!(text, "\treal={}:80 gate {weight}", place.address(service, real_server)).unwrap();
        }
        text.push_str("\tprotocol=tcp\n\tscheduler=wrr\n\tchecktype=on\n");
    }
    fs::write(bed.file(), text).unwrap();
}

/// What one round measured, by the line of the table it goes to.
type Figures = BTreeMap<Figure, f64>;

#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Figure {
    Start,
    Memory,
    Reload,
    MemoryAfter,
    Peak,
    Status,
    Idle,
    Restart,
    Stop,
    Maps,
}

impl Figure {
    fn line(self) -> (&'static str, &'static str, f64) {
        match self {
            Figure::Start => ("start, until it serves", "2 s", 1.0),
            Figure::Memory => ("RssAnon then, MB", "200", 1e-6),
            Figure::Reload => ("`evenkeel reload` that changes one weight", "0.1 s", 1.0),
            Figure::MemoryAfter => ("RssAnon after four of them, MB", "200", 1e-6),
            Figure::Peak => ("RssAnon at its highest during one, MB", "", 1e-6),
            Figure::Status => ("`evenkeel status --json`", "", 1.0),
            Figure::Idle => ("CPU at rest, % of one", "", 100.0),
            Figure::Restart => ("start after `kill -9`, until it serves again", "", 1.0),
            Figure::Stop => ("`evenkeel stop`", "", 1.0),
            Figure::Maps => ("memory of the eBPF maps, MB", "", 1e-6),
        }
    }

    fn show(self, value: f64) -> String {
        let (text, _, factor) = self.line();
        let value = value * factor;
        if text.ends_with("MB") {
            format!("{value:.0}")
        } else if text.ends_with("one") {
            format!("{value:.1}")
        } else {
            format!("{value:.3} s")
        }
    }
}

fn round(bed: &Bed, place: Place) -> Figures {
    let mut figures = Figures::new();
    write(bed, place, 1);
    let (daemon, start) = bed.start();
    figures.insert(Figure::Start, start);
    thread::sleep(REST);
    let pid = daemon.id();
    let usage = || Usage::of(pid).unwrap();
    figures.insert(Figure::Memory, usage().anonymous as f64);
    figures.insert(Figure::Maps, map_memory(pid));
    figures.insert(Figure::Reload, median((0..4).map(|turn| reload(bed, place, 7 + turn % 2)).collect()));
    thread::sleep(REST);
    figures.insert(Figure::MemoryAfter, usage().anonymous as f64);
    let before = usage().cpu;
    thread::sleep(REST);
    figures.insert(Figure::Idle, (usage().cpu - before).as_secs_f64() / REST.as_secs_f64());
    figures.insert(Figure::Peak, peak(pid, || reload(bed, place, 9)));
    figures.insert(Figure::Status, bed.ask(&["status", "--json"]).1);
    daemon.kill();
    let (daemon, restart) = bed.start();
    figures.insert(Figure::Restart, restart);
    let log = fs::read_to_string(bed.directory.join("log")).unwrap();
    let adopted = format!("{} went on serving from the run before", SERVICES * REAL_SERVERS);
    assert!(log.contains(&adopted), "not adopted:\n{log}");
    thread::sleep(REST);
    figures.insert(Figure::Stop, bed.stop(daemon));
    figures
}

/// Writes the file with another weight and has it read. The file is a second old by then, as after an editor.
fn reload(bed: &Bed, place: Place, weight: u32) -> f64 {
    write(bed, place, weight);
    bed.forget_messages();
    thread::sleep(Duration::from_secs(1));
    let (output, took) = bed.ask(&["reload"]);
    let text = String::from_utf8_lossy(&output.stderr);
    assert!(text.contains("reloaded: 1 change to the table"), "{text}");
    took
}

/// The most `RssAnon` while `work` is done, looked at each millisecond.
fn peak<T>(pid: u32, work: impl FnOnce() -> T) -> f64 {
    let done = AtomicBool::new(false);
    thread::scope(|scope| {
        let watch = scope.spawn(|| {
            let mut most = 0;
            while !done.load(Ordering::Relaxed) {
                most = most.max(Usage::of(pid).map_or(0, |usage| usage.anonymous));
                thread::sleep(Duration::from_millis(1));
            }
            most as f64
        });
        work();
        done.store(true, Ordering::Relaxed);
        watch.join().unwrap()
    })
}

/// What the kernel says its maps take: `memlock` of each map the process has open.
fn map_memory(pid: u32) -> f64 {
    let mut maps: BTreeMap<String, f64> = BTreeMap::new();
    for entry in fs::read_dir(format!("/proc/{pid}/fdinfo")).unwrap() {
        let Ok(text) = fs::read_to_string(entry.unwrap().path()) else { continue };
        let field = |name: &str| text.lines().find_map(|line| line.strip_prefix(name)).map(str::trim);
        if let (Some(id), Some(bytes)) = (field("map_id:"), field("memlock:")) {
            maps.insert(id.to_owned(), bytes.parse().unwrap());
        }
    }
    maps.values().sum()
}

#[expect(clippy::print_stdout, reason = "the page is standard output")]
fn main() {
    if !rustix::process::geteuid().is_root() {
        eprintln!("scale: skipped: needs root");
        return;
    }
    let places = [Place::Subnet, Place::Gateway];
    let bed = Bed::new("scale", "ldirectord.cf");
    let mut rounds: [Vec<Figures>; 2] = [Vec::new(), Vec::new()];
    for number in 1..=ROUNDS {
        for (place, figures) in places.iter().zip(&mut rounds) {
            eprintln!("scale: round {number} of {ROUNDS}, {}", place.text());
            figures.push(round(&bed, *place));
        }
    }
    println!("## {SERVICES} services with {REAL_SERVERS} real servers each\n");
    println!(
        "One ldirectord.cf of {:.1} MB, run by the program itself with its packet path on a veth pair, the connection\n\
         table of the default size. `checktype=on`, so that no probes run beside. Medians of {ROUNDS} runs; the reload of\n\
         each is the median of four, from the start of the command to its end.\n",
        fs::metadata(bed.file()).unwrap().len() as f64 / 1e6
    );
    println!("| | wanted | {} | {} |\n|---|---|---|---|", places[0].text(), places[1].text());
    let figures: Vec<Figure> = rounds[0][0].keys().copied().collect();
    for figure in figures {
        let value = |n: usize| figure.show(median(rounds[n].iter().map(|round| round[&figure]).collect()));
        let (text, wanted, _) = figure.line();
        let wanted = if wanted.is_empty() { String::new() } else { format!("< {wanted}") };
        println!("| {text} | {wanted} | {} | {} |", value(0), value(1));
    }
}
