//! How much a thousand HTTP checks a second cost: `cargo run --release -p evenkeel-probe --example probe_rate`.
//!
//! A child process plays the real server, so that its CPU is not counted. The parent makes attempts at a fixed rate and
//! prints the rate reached, the CPU used, the memory held and how long attempts took.

use evenkeel_model::{Body, Http, HttpMethod, Probe, StatusSet};
use evenkeel_probe::Prober;
use rustix::time::{ClockId, clock_gettime};
use std::{
    collections::VecDeque,
    env,
    error::Error,
    io::{BufRead, BufReader, Read, Write},
    net::{SocketAddr, TcpListener, TcpStream},
    process::{Command, Stdio},
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};
use tokio::time::{Instant, MissedTickBehavior, interval};

const USAGE: &str = "probe_rate [checks a second: 1000] [seconds: 10] [http|tcp|silent]";

/// Attempts are made in batches this often, as a runtime that wakes up for timers would.
const TICK: Duration = Duration::from_millis(10);

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = env::args().skip(1).collect();
    if arguments.first().is_some_and(|argument| argument == "serve") {
        return serve(arguments.get(1).is_some_and(|kind| kind == "silent"));
    }
    let number = |index: usize, usual: u64| arguments.get(index).map_or(Ok(usual), |text| text.parse());
    let (rate, seconds) = (number(0, 1000).map_err(|_| USAGE)?, number(1, 10).map_err(|_| USAGE)?);
    let kind = arguments.get(2).map_or("http", String::as_str);
    if !["http", "tcp", "silent"].contains(&kind) {
        return Err(USAGE.into());
    }

    let mut server = Command::new(env::current_exe()?).args(["serve", kind]).stdout(Stdio::piped()).spawn()?;
    let mut line = String::new();
    let output = server.stdout.take().ok_or("the server has no output")?;
    BufReader::new(output).read_line(&mut line)?;
    let target: SocketAddr = line.trim().parse()?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let result = runtime.block_on(measure(target, kind, rate, seconds));
    server.kill()?;
    server.wait()?;
    result
}

#[expect(clippy::print_stdout, reason = "this program reports on standard output")]
async fn measure(target: SocketAddr, kind: &str, rate: u64, seconds: u64) -> Result<(), Box<dyn Error>> {
    let prober = Arc::new(Prober::new());
    let probe = Arc::new(if kind == "tcp" { Probe::Tcp { target } } else { Probe::Http(check(target)) });
    let wanted = kind != "silent";
    let took = Arc::new(Mutex::new(Vec::new()));
    let surprises = Arc::new(AtomicUsize::new(0));
    let batch = rate * u64::try_from(TICK.as_millis())? / 1000;
    let mut ticks = interval(TICK);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Burst);
    let (begun, cpu) = (Instant::now(), cpu_seconds());
    let mut attempts = Vec::new();
    for _ in 0..seconds * 1000 / u64::try_from(TICK.as_millis())? {
        ticks.tick().await;
        attempts.retain(|attempt: &tokio::task::JoinHandle<()>| !attempt.is_finished());
        for _ in 0..batch {
            let (prober, probe, took) = (Arc::clone(&prober), Arc::clone(&probe), Arc::clone(&took));
            let surprises = Arc::clone(&surprises);
            attempts.push(tokio::spawn(async move {
                let verdict = prober.attempt(&probe, Duration::from_secs(3)).await;
                if verdict.is_good() != wanted {
                    surprises.fetch_add(1, Ordering::Relaxed);
                }
                took.lock().unwrap_or_else(PoisonError::into_inner).push(verdict.took);
            }));
        }
    }
    let in_flight = attempts.iter().filter(|attempt| !attempt.is_finished()).count();
    let memory = status("RssAnon:")?;
    for attempt in attempts {
        attempt.await?;
    }
    let (elapsed, cpu) = (begun.elapsed().as_secs_f64(), cpu_seconds() - cpu);
    let mut took = std::mem::take(&mut *took.lock().unwrap_or_else(PoisonError::into_inner));
    took.sort_unstable();
    let (count, surprises) = (took.len(), surprises.load(Ordering::Relaxed));
    if surprises > 0 {
        return Err(format!("{surprises} of {count} attempts did not end as they should").into());
    }
    println!("checks a second: {:.0}", f64::from(u32::try_from(count)?) / elapsed);
    println!(
        "CPU: {:.1} % of one, {:.1} us a check",
        100.0 * cpu / elapsed,
        1e6 * cpu / f64::from(u32::try_from(count)?)
    );
    println!("RssAnon: {memory} kB with {in_flight} attempts in flight");
    println!("took: median {:?}, 99 % {:?}, longest {:?}", took[count / 2], took[count * 99 / 100], took[count - 1]);
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
            // More than are in flight with the usual rate.
            if held.len() > 10_000 {
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
