//! One ldirectord.cf with a hundred real servers under evenkeel and under ldirectord: what checking costs, and how old
//! an answer is.
//!
//! Prints a section of docs/benchmarks.md. Needs root. ldirectord is given an ipvsadm that does nothing, so that only
//! its checks are measured; where it is not installed, evenkeel is measured alone.
#![expect(clippy::unwrap_used, reason = "a benchmark that cannot run says why and ends")]

mod bed;

use bed::{
    Bed, Daemon, median,
    real_servers::{self, RealServers},
};
use evenkeel_os::Usage;
use std::{
    env,
    fmt::Write as _,
    fs,
    os::unix::fs::PermissionsExt,
    path::Path,
    process::Stdio,
    thread,
    time::{Duration, Instant},
};

const REAL_SERVERS: u8 = 100;
const ROUNDS: usize = 3;
const WINDOW: Duration = Duration::from_secs(15);
const LDIRECTORD: &str = "/usr/sbin/ldirectord";
const IPVSADM: &str = "/sbin/ipvsadm";

/// Who checks.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Checker {
    Evenkeel,
    Ldirectord,
}

impl Checker {
    /// Until it has found every real server.
    fn warm_up(self) -> Duration {
        match self {
            Checker::Evenkeel => Duration::from_secs(5),
            Checker::Ldirectord => Duration::from_secs(30),
        }
    }

    fn is_here(self) -> bool {
        self == Checker::Evenkeel || (Path::new(LDIRECTORD).exists() && Path::new(IPVSADM).exists())
    }
}

/// What one run measured.
#[derive(Clone, Copy)]
struct Run {
    /// Of one CPU, in percent.
    cpu: f64,
    /// Bytes.
    memory: f64,
    /// Seconds from one check of a real server to the next.
    cycle: f64,
}

fn configure(bed: &Bed) {
    let log = bed.directory.join("ldirectord.log");
    let mut text = format!("checktimeout=3\ncheckinterval=1\nsupervised=yes\nlogfile=\"{}\"\n\n", log.display());
    text.push_str("virtual=10.0.0.100:80\n");
    for last in 1..=REAL_SERVERS {
        writeln!(text, "\treal=127.1.0.{last}:80 gate").unwrap();
    }
    text.push_str("\tservice=http\n\trequest=\".ok.html\"\n\treceive=\"^ok$\"\n\tprotocol=tcp\n\tscheduler=wrr\n");
    text.push_str("\tchecktype=negotiate\n");
    fs::write(bed.file(), text).unwrap();
    let stub = bed.directory.join("ipvsadm");
    fs::write(&stub, "#!/bin/sh\nexit 0\n").unwrap();
    fs::set_permissions(&stub, fs::Permissions::from_mode(0o755)).unwrap();
}

fn ldirectord(bed: &Bed) -> Daemon {
    let mut command = bed.inside("unshare");
    let script = format!("mount --bind \"$0\" {IPVSADM} && exec {LDIRECTORD} \"$1\" start");
    command.args(["--mount", "sh", "-c", &script]).arg(bed.directory.join("ipvsadm")).arg(bed.file());
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    Daemon(command.spawn().unwrap())
}

fn run(bed: &Bed, servers: &mut RealServers, checker: Checker, hang: bool) -> Run {
    servers.order(if hang { "hang" } else { "answer" });
    let mut daemon = match checker {
        Checker::Evenkeel => bed.start().0,
        Checker::Ldirectord => ldirectord(bed),
    };
    thread::sleep(checker.warm_up());
    assert!(daemon.0.try_wait().unwrap().is_none(), "the checker has ended");
    let (before, count, begun) = (Usage::of(daemon.id()).unwrap(), servers.order("count"), Instant::now());
    thread::sleep(WINDOW);
    let (after, count) = (Usage::of(daemon.id()).unwrap(), servers.order("count") - count);
    let elapsed = begun.elapsed().as_secs_f64();
    assert!(count > 0, "nobody was checked");
    match checker {
        Checker::Evenkeel => drop(bed.stop(daemon)),
        Checker::Ldirectord => daemon.kill(),
    }
    Run {
        cpu: 100.0 * (after.cpu - before.cpu).as_secs_f64() / elapsed,
        memory: after.anonymous as f64,
        cycle: elapsed * f64::from(REAL_SERVERS - 1) / count as f64,
    }
}

#[expect(clippy::print_stdout, reason = "the page is standard output")]
fn main() {
    if env::args().nth(1).is_some_and(|word| word == "serve") {
        return real_servers::serve();
    }
    if !rustix::process::geteuid().is_root() {
        eprintln!("checks: skipped: needs root");
        return;
    }
    let bed = Bed::new("checks", "ldirectord.cf");
    configure(&bed);
    let mut servers = RealServers::start(&bed);
    let cases = [
        (Checker::Evenkeel, false),
        (Checker::Ldirectord, false),
        (Checker::Evenkeel, true),
        (Checker::Ldirectord, true),
    ];
    let mut runs: [Vec<Run>; 4] = Default::default();
    for round in 1..=ROUNDS {
        eprintln!("checks: round {round} of {ROUNDS}");
        for ((checker, hang), runs) in cases.iter().zip(&mut runs).filter(|((checker, _), _)| checker.is_here()) {
            runs.push(run(&bed, &mut servers, *checker, *hang));
        }
    }
    println!("## {REAL_SERVERS} real servers, checked each second\n");
    println!(
        "The same ldirectord.cf under both, `checktype=negotiate`, `checkinterval=1`, `checktimeout=3`, one run after the\n\
         other, medians of {ROUNDS} runs of {} s. ldirectord runs with an ipvsadm that does nothing, evenkeel with its packet\n\
         path. The cycle is the time from one check of a real server to the next, of those that answer.\n",
        WINDOW.as_secs()
    );
    println!("| | evenkeel | ldirectord | evenkeel, one hangs | ldirectord, one hangs |\n|---|---|---|---|---|");
    let row = |name: &str, value: &dyn Fn(&Run) -> f64, digits: usize| {
        let cell = |runs: &Vec<Run>| match runs.is_empty() {
            true => "not installed".to_owned(),
            false => format!("{:.digits$}", median(runs.iter().map(value).collect())),
        };
        println!("| {name} | {} |", runs.each_ref().map(cell).join(" | "));
    };
    row("CPU, % of one", &|run| run.cpu, 2);
    row("RssAnon, MB", &|run| run.memory / 1e6, 1);
    row("cycle, s (wanted: 1)", &|run| run.cycle, 2);
    row("CPU a check, ms", &|run| run.cpu * 10.0 * run.cycle / f64::from(REAL_SERVERS), 2);
}
