//! What a thousand HTTP checks a second cost, alone and with a real server among them that never answers.
//!
//! Prints a section of docs/benchmarks.md. Children play the real servers, so that their CPU is not counted, and each run
//! is a process of its own, so that none sees the memory of another.

use evenkeel_model::{Body, Http, HttpMethod, HttpRules, Probe, StatusSet};
use evenkeel_probe::Prober;
use rustix::time::{ClockId, clock_gettime};
use std::{
    collections::VecDeque,
    env,
    error::Error,
    io::{BufRead, BufReader, Read, Write},
    net::{SocketAddr, TcpListener, TcpStream},
    process::{Child, Command, Stdio},
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};
use tokio::time::{Instant, MissedTickBehavior, interval};

/// Checks a second.
const RATE: u64 = 1000;
const SECONDS: u64 = 10;
const ROUNDS: usize = 5;
/// Attempts are made in batches this often, as a runtime that wakes up for timers would.
const TICK: Duration = Duration::from_millis(10);
/// An attempt's deadline.
const TIMEOUT: Duration = Duration::from_secs(3);
/// With a silent real server, one attempt of so many goes to it.
const SILENT_SHARE: u64 = 10;

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match words.as_slice() {
        ["serve"] => serve(false),
        ["serve", "silent"] => serve(true),
        ["measure", good] => measure(good.parse()?, None),
        ["measure", good, silent] => measure(good.parse()?, Some(silent.parse()?)),
        _ => report(),
    }
}

/// What one run measured.
#[derive(Clone, Copy)]
struct Run {
    rate: f64,
    /// Of one CPU, in percent.
    cpu: f64,
    /// Kilobytes.
    memory: f64,
    /// Milliseconds of the attempts at real servers that answer.
    median: f64,
    most: f64,
    longest: f64,
}

#[expect(clippy::print_stdout, reason = "the page is standard output")]
fn report() -> Result<(), Box<dyn Error>> {
    let (good, silent) = (Server::start(&["serve"])?, Server::start(&["serve", "silent"])?);
    let (mut alone, mut beside) = (Vec::new(), Vec::new());
    for round in 1..=ROUNDS {
        eprintln!("probe_rate: round {round} of {ROUNDS}");
        alone.push(run(&[good.address])?);
        beside.push(run(&[good.address, silent.address])?);
    }
    let row = |name: &str, value: &dyn Fn(&Run) -> f64, digits: usize| {
        let median = |runs: &[Run]| {
            let mut values: Vec<f64> = runs.iter().map(value).collect();
            values.sort_by(f64::total_cmp);
            values.get(values.len() / 2).copied().unwrap_or(f64::NAN)
        };
        println!("| {name} | {:.digits$} | {:.digits$} |", median(&alone), median(&beside));
    };
    println!("## {RATE} HTTP checks a second\n");
    println!(
        "One process, one thread; GET, status and a regular expression over the body, a new connection for each. Medians\n\
         of {ROUNDS} runs of {SECONDS} s. Wanted: under 10 % of one CPU and 30 MB. In the second column every {SILENT_SHARE}th\n\
         attempt goes to a real server that accepts and never answers, and ends at its deadline of {} s: it delays no other.\n",
        TIMEOUT.as_secs()
    );
    println!("| | all answer | one is silent |\n|---|---|---|");
    row("checks a second", &|run| run.rate, 0);
    row("CPU, % of one", &|run| run.cpu, 1);
    row("RssAnon, MB", &|run| run.memory / 1000.0, 1);
    row("a check that is answered takes, median, ms", &|run| run.median, 2);
    row("99 % of them, ms", &|run| run.most, 2);
    row("the longest, ms", &|run| run.longest, 1);
    Ok(())
}

/// A child that plays a real server.
struct Server {
    child: Child,
    address: SocketAddr,
}

impl Server {
    fn start(arguments: &[&str]) -> Result<Server, Box<dyn Error>> {
        let mut child = Command::new(env::current_exe()?).args(arguments).stdout(Stdio::piped()).spawn()?;
        let mut line = String::new();
        let output = child.stdout.take().ok_or("the server has no output")?;
        BufReader::new(output).read_line(&mut line)?;
        Ok(Server { address: line.trim().parse()?, child })
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn run(servers: &[SocketAddr]) -> Result<Run, Box<dyn Error>> {
    let addresses = servers.iter().map(ToString::to_string);
    let output = Command::new(env::current_exe()?).arg("measure").args(addresses).stderr(Stdio::inherit()).output()?;
    if !output.status.success() {
        return Err("a run has failed".into());
    }
    let numbers: Result<Vec<f64>, _> = String::from_utf8(output.stdout)?.split_whitespace().map(str::parse).collect();
    let [rate, cpu, memory, median, most, longest] = numbers?[..] else { return Err("a run told too little".into()) };
    Ok(Run { rate, cpu, memory, median, most, longest })
}

fn measure(good: SocketAddr, silent: Option<SocketAddr>) -> Result<(), Box<dyn Error>> {
    tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(attempts(good, silent))
}

#[expect(clippy::print_stdout, reason = "the parent reads the numbers here")]
async fn attempts(good: SocketAddr, silent: Option<SocketAddr>) -> Result<(), Box<dyn Error>> {
    let prober = Arc::new(Prober::new());
    let probes = [Some(good), silent].map(|target| target.map(|target| Arc::new(Probe::Http(check(target)))));
    let [Some(good), silent] = probes else { return Err("there is no real server to check".into()) };
    let (answered, surprises) = (Arc::new(Mutex::new(Vec::new())), Arc::new(Mutex::new(0_u32)));
    let batch = RATE * u64::try_from(TICK.as_millis())? / 1000;
    let mut ticks = interval(TICK);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Burst);
    let (begun, cpu) = (Instant::now(), cpu_seconds());
    let mut attempts: Vec<tokio::task::JoinHandle<()>> = Vec::new();
    let mut count = 0_u64;
    for _ in 0..SECONDS * RATE / batch {
        ticks.tick().await;
        attempts.retain(|attempt| !attempt.is_finished());
        for _ in 0..batch {
            count += 1;
            let silent = silent.as_ref().filter(|_| count.is_multiple_of(SILENT_SHARE));
            let (probe, answers) = (Arc::clone(silent.unwrap_or(&good)), silent.is_none());
            let (prober, answered, surprises) = (Arc::clone(&prober), Arc::clone(&answered), Arc::clone(&surprises));
            attempts.push(tokio::spawn(async move {
                let verdict = prober.attempt(&probe, TIMEOUT).await;
                if verdict.is_good() != answers {
                    *surprises.lock().unwrap_or_else(PoisonError::into_inner) += 1;
                } else if answers {
                    answered.lock().unwrap_or_else(PoisonError::into_inner).push(verdict.took);
                }
            }));
        }
    }
    let (elapsed, cpu) = (begun.elapsed().as_secs_f64(), cpu_seconds() - cpu);
    let memory = status("RssAnon:")?;
    for attempt in attempts {
        attempt.await?;
    }
    let surprises = *surprises.lock().unwrap_or_else(PoisonError::into_inner);
    if surprises > 0 {
        return Err(format!("{surprises} of {count} attempts did not end as they should").into());
    }
    let mut took = std::mem::take(&mut *answered.lock().unwrap_or_else(PoisonError::into_inner));
    took.sort_unstable();
    let at = |place: usize| took.get(place).map_or(f64::NAN, |took| took.as_secs_f64() * 1e3);
    let (median, most, longest) = (at(took.len() / 2), at(took.len() * 99 / 100), at(took.len() - 1));
    let rate = f64::from(u32::try_from(count)?) / elapsed;
    println!("{rate} {} {memory} {median} {most} {longest}", 100.0 * cpu / elapsed);
    Ok(())
}

fn check(target: SocketAddr) -> Http {
    Http {
        target,
        tls: false,
        verify: false,
        server_name: None,
        host: "www.example.com".into(),
        method: HttpMethod::Get,
        path: "/.ok.html".into(),
        status: StatusSet(vec![(200, 299)]),
        body: Body::PerlRegex("^ok$".into()),
        redirects: 0,
        size_cap: 64 * 1024,
        rules: HttpRules::default(),
    }
}

/// User and system time of this process; the clock counts nanoseconds, /proc/self/stat only ticks.
fn cpu_seconds() -> f64 {
    let time = clock_gettime(ClockId::ProcessCPUTime);
    Duration::new(u64::try_from(time.tv_sec).unwrap_or(0), u32::try_from(time.tv_nsec).unwrap_or(0)).as_secs_f64()
}

fn status(name: &str) -> Result<u64, Box<dyn Error>> {
    let text = std::fs::read_to_string("/proc/self/status")?;
    let line = text.lines().find(|line| line.starts_with(name)).ok_or("no such line in /proc/self/status")?;
    Ok(line.split_whitespace().nth(1).unwrap_or_default().parse()?)
}

/// A real server with one thread: a request, an answer, the end; a silent one accepts and does no more.
#[expect(clippy::print_stdout, reason = "the parent reads the address here")]
fn serve(silent: bool) -> Result<(), Box<dyn Error>> {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    println!("{}", listener.local_addr()?);
    let mut held = VecDeque::new();
    for stream in listener.incoming() {
        if silent {
            held.push_back(stream);
            // More than are in flight.
            if held.len() > 900 {
                held.pop_front();
            }
            continue;
        }
        let _gone = stream.and_then(answer);
    }
    Ok(())
}

fn answer(mut stream: TcpStream) -> std::io::Result<()> {
    let mut request = [0; 1024];
    if stream.read(&mut request)? > 0 {
        stream.write_all(
            b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: 3\r\nConnection: close\r\n\r\nok\n",
        )?;
    }
    Ok(())
}
