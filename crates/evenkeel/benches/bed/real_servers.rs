//! All real servers of a bed, as one process that listens on port 80 of every address of the director's loopback.

use super::{Bed, Daemon};
use rustix::net::{AddressFamily, SocketType, bind, ipproto, listen, socket};
use std::{
    collections::VecDeque,
    env,
    io::{BufRead, BufReader, Read, Write},
    net::{Ipv4Addr, SocketAddrV4, TcpListener, TcpStream},
    process::{ChildStdin, ChildStdout, Stdio},
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    thread,
};

/// Connections that wait: more than begin at once.
const BACKLOG: i32 = 4096;

/// The process; 127.1.0.1 can be made to hang.
pub(crate) struct RealServers {
    _process: Daemon,
    orders: ChildStdin,
    counts: BufReader<ChildStdout>,
}

impl RealServers {
    /// Starts this program with the word `serve`, which is to call [`serve`].
    pub(crate) fn start(bed: &Bed) -> RealServers {
        let mut command = bed.inside(env::current_exe().unwrap().to_str().unwrap());
        command.arg("serve").stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let (orders, counts) = (child.stdin.take().unwrap(), BufReader::new(child.stdout.take().unwrap()));
        let mut servers = RealServers { _process: Daemon(child), orders, counts };
        // It listens before it counts.
        servers.order("answer");
        servers
    }

    /// Gives an order, `answer`, `hang` or `count`; the answer is how many connections those that never hang have had.
    pub(crate) fn order(&mut self, word: &str) -> u64 {
        writeln!(self.orders, "{word}").unwrap();
        let mut line = String::new();
        self.counts.read_line(&mut line).unwrap();
        line.trim().parse().unwrap()
    }
}

/// Answers on port 80 of every address; on each line of standard input, prints what it has counted.
#[expect(clippy::print_stdout, reason = "the parent reads the counts here")]
pub(crate) fn serve() {
    let listener = socket(AddressFamily::INET, SocketType::STREAM, Some(ipproto::TCP)).unwrap();
    bind(&listener, &SocketAddrV4::new(Ipv4Addr::UNSPECIFIED, 80)).unwrap();
    listen(&listener, BACKLOG).unwrap();
    let (hangs, count) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)));
    let (hung, counted) = (Arc::clone(&hangs), Arc::clone(&count));
    thread::spawn(move || {
        let mut held = VecDeque::new();
        for stream in TcpListener::from(listener).incoming().flatten() {
            let of_the_first = stream.local_addr().is_ok_and(|address| address.ip() == Ipv4Addr::new(127, 1, 0, 1));
            if of_the_first && hung.load(Ordering::Relaxed) {
                held.push_back(stream);
                if held.len() > 100 {
                    held.pop_front();
                }
                continue;
            }
            counted.fetch_add(u64::from(!of_the_first), Ordering::Relaxed);
            // Who asked for nothing has gone.
            let _ = answer(stream);
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
        return Ok(());
    }
    stream
        .write_all(b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: 3\r\nConnection: close\r\n\r\nok\n")
}
