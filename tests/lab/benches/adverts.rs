//! Adverts every 10 ms while other work keeps all CPUs busy: how often a backup takes over from a master that lives, under
//! evenkeel and under keepalived, at the same time on the same machine.
//!
//! Prints a section of docs/benchmarks.md. Needs root; where keepalived is not installed, evenkeel is measured alone.
//! `EVENKEEL_SECONDS` takes another time than ten minutes. Nothing else should run meanwhile.
#![allow(clippy::expect_used, reason = "a benchmark that cannot run says why and ends")]

#[path = "../tests/pair/mod.rs"]
mod pair;

use evenkeel_lab_tests::can_run;
use evenkeel_netlink::{Event, Monitor};
use evenkeel_os::be_realtime;
use pair::{Pair, Player, Wire, has_keepalived};
use rustix::thread::{CpuSet, sched_setaffinity};
use std::{
    fs,
    io::Read,
    net::IpAddr,
    sync::atomic::{AtomicBool, Ordering},
    thread,
    time::{Duration, Instant},
};

const SECONDS: u64 = 600;
/// Milliseconds between two adverts.
const INTERVAL: u32 = 10;
/// Threads that work on each CPU.
const WORKERS: usize = 4;
/// A real-time thread that is so late has not had its CPU: the machine was not there.
const LATE: Duration = Duration::from_millis(5);
/// What happened so long before a take-over may be its cause.
const WINDOW: Duration = Duration::from_secs(1);
/// How often real-time threads look.
const PACE: Duration = Duration::from_millis(1);

/// A CPU was not to be had.
#[derive(Clone, Copy)]
struct Lapse {
    /// When it was over.
    at: Instant,
    lasted: Duration,
}

/// A pair, and when its backup took over.
struct Subject {
    name: &'static str,
    pair: Pair,
    takeovers: Vec<Instant>,
}

fn subjects() -> Vec<Subject> {
    let begin = |name, mut pair: Pair, blocks: Option<&str>| {
        let start = |pair: &mut Pair, at| match blocks {
            Some(blocks) => pair.start_conf(at, blocks, ""),
            None => pair.start(at),
        };
        start(&mut pair, 0);
        pair.wait_owners(&[0]);
        start(&mut pair, 1);
        pair.wait_backup(1);
        Subject { name, pair, takeovers: Vec::new() }
    };
    let ours = begin("evenkeel", Pair::new(Wire::V3, [Player::Evenkeel; 2]).every(INTERVAL), None);
    if !has_keepalived() {
        return vec![ours];
    }
    let theirs = || ours.pair.beside([Player::Keepalived; 2]);
    let real_time = Some("global_defs {\n vrrp_rt_priority 50\n}");
    let theirs = [begin("keepalived", theirs(), None), begin("keepalived, `vrrp_rt_priority 50`", theirs(), real_time)];
    std::iter::once(ours).chain(theirs).collect()
}

/// Runs at real-time priority each millisecond, until it is told to stop.
fn each_millisecond(stop: &AtomicBool, mut look: impl FnMut(Duration)) {
    be_realtime().expect("a real-time thread");
    let mut due = Instant::now();
    while !stop.load(Ordering::Relaxed) {
        due += PACE;
        thread::sleep(due.saturating_duration_since(Instant::now()));
        let late = due.elapsed();
        look(late);
        if late > PACE {
            due = Instant::now();
        }
    }
}

fn watch_cpu(cpu: usize, stop: &AtomicBool) -> Vec<Lapse> {
    let mut only = CpuSet::new();
    only.set(cpu);
    sched_setaffinity(None, &only).expect("the CPU is there");
    let mut lapses = Vec::new();
    each_millisecond(stop, |lasted| {
        if lasted >= LATE {
            lapses.push(Lapse { at: Instant::now(), lasted });
        }
    });
    lapses
}

/// When the address came to the host of `monitor`.
fn watch_vip(mut monitor: Monitor, vip: IpAddr, stop: &AtomicBool) -> Vec<Instant> {
    let (mut takeovers, mut there) = (Vec::new(), false);
    each_millisecond(stop, |_| {
        for event in monitor.read_events().expect("the kernel tells") {
            match event {
                // A renewed lease is told as well.
                Event::Address(address) if address.address == vip => {
                    let came = !std::mem::replace(&mut there, true);
                    takeovers.extend(came.then(Instant::now));
                }
                Event::AddressGone(address) if address.address == vip => there = false,
                _ => {}
            }
        }
    });
    takeovers
}

/// Half of the work is the program's own, half the kernel's.
fn work(number: usize, stop: &AtomicBool) {
    let mut buffer = vec![0_u8; 1 << 20];
    let mut random = fs::File::open("/dev/urandom").expect("it is there");
    while !stop.load(Ordering::Relaxed) {
        match number % 2 {
            0 => std::hint::black_box(&mut buffer).iter_mut().for_each(|byte| *byte = byte.wrapping_mul(5) ^ 1),
            _ => random.read_exact(&mut buffer).expect("it never ends"),
        }
    }
}

/// What the hypervisor took from all CPUs since the start of the machine.
fn stolen() -> Duration {
    let text = fs::read_to_string("/proc/stat").unwrap_or_default();
    let ticks = text.lines().next().and_then(|line| line.split_whitespace().nth(8)?.parse().ok());
    Duration::from_millis(ticks.unwrap_or(0) * 1000 / rustix::param::clock_ticks_per_second())
}

/// Loads and watches for so long; gives when a CPU was not to be had.
fn endure(subjects: &mut [Subject], length: Duration) -> Vec<Lapse> {
    let stop = AtomicBool::new(false);
    let cpus = thread::available_parallelism().map_or(1, usize::from);
    let monitors: Vec<(Monitor, IpAddr)> = subjects
        .iter()
        .map(|subject| {
            let monitor = subject.pair.node("d2").run(Monitor::open).expect("the node lives").expect("a monitor");
            (monitor, subject.pair.vip())
        })
        .collect();
    thread::scope(|scope| {
        let stop = &stop;
        for number in 0..cpus * WORKERS {
            scope.spawn(move || work(number, stop));
        }
        let watched: Vec<_> =
            monitors.into_iter().map(|(monitor, vip)| scope.spawn(move || watch_vip(monitor, vip, stop))).collect();
        let lapses: Vec<_> = (0..cpus).map(|cpu| scope.spawn(move || watch_cpu(cpu, stop))).collect();
        thread::sleep(length);
        stop.store(true, Ordering::Relaxed);
        for (subject, takeovers) in subjects.iter_mut().zip(watched) {
            subject.takeovers = takeovers.join().expect("it watches to the end");
        }
        lapses.into_iter().flat_map(|lapses| lapses.join().expect("it watches to the end")).collect()
    })
}

fn main() {
    if !can_run() {
        return;
    }
    let seconds = std::env::var("EVENKEEL_SECONDS").ok().and_then(|seconds| seconds.parse().ok()).unwrap_or(SECONDS);
    let mut subjects = subjects();
    let (before, cpus) = (stolen(), thread::available_parallelism().map_or(1, usize::from));
    eprintln!("adverts: {seconds} s");
    let lapses = endure(&mut subjects, Duration::from_secs(seconds));
    let steal = stolen() - before;
    println!("## Adverts every {INTERVAL} ms on a busy machine\n");
    println!(
        "VRRP version 3, pairs of directors of the same program, each on a switch of its own, all at the same time, for {seconds} s; \
         {WORKERS} threads work on each CPU beside them, half in the kernel. A take-over is false, since every master lives. The \
         machine has not had a CPU where a real-time thread on it is {} ms late or more: {} times in this run, {} ms at the \
         longest; the kernel counted {:.2} s of steal in {} s of CPU time.\n",
        LATE.as_millis(),
        lapses.len(),
        lapses.iter().map(|lapse| lapse.lasted).max().unwrap_or_default().as_millis(),
        steal.as_secs_f64(),
        seconds * cpus as u64
    );
    let names: Vec<&str> = subjects.iter().map(|subject| subject.name).collect();
    println!("| | {} |\n|---|{}", names.join(" | "), "---|".repeat(names.len()));
    let row = |name: &str, count: &dyn Fn(&Subject) -> usize| {
        let cells: Vec<String> = subjects.iter().map(|subject| count(subject).to_string()).collect();
        println!("| {name} | {} |", cells.join(" | "));
    };
    let undisturbed =
        |takeover: &&Instant| !lapses.iter().any(|lapse| (lapse.at..lapse.at + WINDOW).contains(*takeover));
    row("false take-overs", &|subject| subject.takeovers.len());
    row("of these, with all CPUs there in the second before", &|subject| {
        subject.takeovers.iter().filter(undisturbed).count()
    });
}
