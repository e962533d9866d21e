//! One ldirectord.cf with a hundred real servers under evenkeel and under ldirectord: what checking costs, and how old
//! an answer is.
//!
//! Prints a section of docs/benchmarks.md. Needs root. ldirectord is given an ipvsadm that does nothing, so that only
//! its checks are measured; where it is not installed, evenkeel is measured alone.
#![expect(clippy::unwrap_used, reason = "a benchmark that cannot run says why and ends")]

mod bed;

use bed::{Bed, Daemon, median};
use evenkeel_os::Usage;
use std::{
    collections::VecDeque,
    env,
    fmt::Write as _,
    fs,
    io::{BufRead, BufReader, Read, Write},
    net::{TcpListener, TcpStream},
    os::unix::fs::PermissionsExt,
    path::Path,
    process::{ChildStdin, ChildStdout, Stdio},
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
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

/// All real servers, as one process; 127.1.0.1 can be made to hang.
struct RealServers {
    _process: Daemon,
    orders: ChildStdin,
    counts: BufReader<ChildStdout>,
}

impl RealServers {
    fn start(bed: &Bed) -> RealServers {
        let mut command = bed.inside(env::current_exe().unwrap().to_str().unwrap());
        command.arg("serve").stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let (orders, counts) = (child.stdin.take().unwrap(), BufReader::new(child.stdout.take().unwrap()));
        RealServers { _process: Daemon(child), orders, counts }
    }

    /// Gives an order; the answer is how many requests those that never hang have had.
    fn order(&mut self, word: &str) -> u64 {
        writeln!(self.orders, "{word}").unwrap();
        let mut line = String::new();
        self.counts.read_line(&mut line).unwrap();
        line.trim().parse().unwrap()
    }
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
        return serve();
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

/// Answers on port 80 of every address; on each line of standard input, prints what it has counted.
#[expect(clippy::print_stdout, reason = "the parent reads the counts here")]
fn serve() {
    let listener = TcpListener::bind("0.0.0.0:80").unwrap();
    let (hangs, count) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)));
    let (hung, counted) = (Arc::clone(&hangs), Arc::clone(&count));
    thread::spawn(move || {
        let mut held = VecDeque::new();
        for stream in listener.incoming().flatten() {
            let of_the_first = stream.local_addr().is_ok_and(|address| address.ip().to_string() == "127.1.0.1");
            if of_the_first && hung.load(Ordering::Relaxed) {
                held.push_back(stream);
                if held.len() > 100 {
                    held.pop_front();
                }
                continue;
            }
            if answer(stream).is_ok() && !of_the_first {
                counted.fetch_add(1, Ordering::Relaxed);
            }
        }
    });
    for word in std::io::stdin().lines().map_while(Result::ok) {
        if word != "count" {
            hangs.store(word == "hang", Ordering::Relaxed);
        }
        println!("{}", count.load(Ordering::Relaxed));
    }
}

fn answer(mut stream: TcpStream) -> std::io::Result<()> {
    let mut request = [0; 1024];
    if stream.read(&mut request)? == 0 {
        return Err(std::io::ErrorKind::UnexpectedEof.into());
    }
    stream
        .write_all(b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: 3\r\nConnection: close\r\n\r\nok\n")
}
