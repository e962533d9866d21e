//! A daemon on a thread of its own, with a table in memory and a private runtime directory; and web servers to watch.

use evenkeel_api::{Greeting, Reply, Request, Status, to_line};
use evenkeel_runtime::{
    Failure, Opened, Options, files,
    memory::{MemoryPath, Pins},
    run,
};
use std::{
    fs,
    io::{BufRead, BufReader, Read, Write},
    net::{SocketAddr, TcpListener},
    os::unix::net::UnixStream,
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
        mpsc,
    },
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

/// Long enough on the busiest machine; nothing waits this long when all is well.
const LIMIT: Duration = Duration::from_secs(20);

pub(crate) struct Bed {
    pub(crate) dir: tempfile::TempDir,
    pub(crate) pins: Pins,
    /// Of the file, which says its format.
    name: &'static str,
    thread: Option<JoinHandle<Result<(), Failure>>>,
}

impl Bed {
    /// A bed whose file holds `text`, without a daemon.
    pub(crate) fn new(text: &str) -> Bed {
        Bed::named("ldirectord.cf", text)
    }

    /// The same with a file of another format.
    pub(crate) fn named(name: &'static str, text: &str) -> Bed {
        let bed = Bed { dir: tempfile::tempdir().unwrap(), pins: Pins::default(), name, thread: None };
        bed.write(text);
        bed
    }

    /// With a daemon that serves.
    pub(crate) fn serving(text: &str) -> Bed {
        let mut bed = Bed::new(text);
        bed.start().unwrap();
        bed
    }

    pub(crate) fn file(&self) -> PathBuf {
        self.dir.path().join(self.name)
    }

    pub(crate) fn runtime_dir(&self) -> PathBuf {
        self.dir.path().join("run")
    }

    pub(crate) fn socket(&self) -> PathBuf {
        self.runtime_dir().join("control.sock")
    }

    /// Replaces the file, as an editor does.
    pub(crate) fn write(&self, text: &str) {
        let new = self.dir.path().join("new");
        fs::write(&new, text).unwrap();
        fs::rename(new, self.file()).unwrap();
    }

    /// Starts a daemon and waits until it serves or has failed.
    pub(crate) fn start(&mut self) -> Result<(), Failure> {
        let loader = files::loader(vec![self.file()], None, evenkeel_config::Memory::default());
        let (ready, served) = mpsc::channel();
        let failed = ready.clone();
        let (runtime_dir, pins) = (self.runtime_dir(), self.pins.clone());
        let thread = thread::spawn(move || {
            let options = Options {
                runtime_dir,
                node: "n1".into(),
                version: "0.0.0".into(),
                first: loader().map_err(Failure)?,
                loader,
                interfaces: vec![],
                door: None,
                connections: None,
                operators: vec![],
                program: "/bin/false".into(),
                pid_files: Vec::new(),
                dumps: None,
                keep_all: false,
                ready: Box::new(move || ready.send(()).unwrap()),
            };
            let open = Box::new(move |_: &evenkeel_runtime::Need| {
                let adopted = !pins.table().services.is_empty();
                Ok(Opened { path: Box::new(MemoryPath::open(&pins)), adopted, warnings: vec![] })
            });
            let outcome = run(options, open);
            drop(failed);
            outcome
        });
        match served.recv_timeout(LIMIT) {
            Ok(()) => {
                self.thread = Some(thread);
                Ok(())
            }
            Err(mpsc::RecvTimeoutError::Disconnected) => Err(thread.join().unwrap().unwrap_err()),
            Err(mpsc::RecvTimeoutError::Timeout) => panic!("neither serves nor fails"),
        }
    }

    pub(crate) fn client(&self) -> Client {
        Client::connect(&self.socket())
    }

    pub(crate) fn ask(&self, request: &Request) -> Reply {
        self.client().ask(request)
    }

    pub(crate) fn status(&self) -> Status {
        match self.ask(&Request::Status { service: None }) {
            Reply::Status(status) => *status,
            other => panic!("{other:?}"),
        }
    }

    /// Waits until the status is as it should be.
    pub(crate) fn until(&self, what: &str, good: impl Fn(&Status) -> bool) -> Status {
        let end = Instant::now() + LIMIT;
        loop {
            let status = self.status();
            if good(&status) {
                return status;
            }
            assert!(Instant::now() < end, "never {what}: {}", serde_json::to_string_pretty(&status).unwrap());
            thread::sleep(Duration::from_millis(10));
        }
    }

    /// Asks for the end and waits for it.
    pub(crate) fn stop(&mut self) -> Result<(), Failure> {
        assert!(matches!(self.ask(&Request::Stop {}), Reply::Done { .. }));
        self.ended()
    }

    /// Waits for the end.
    pub(crate) fn ended(&mut self) -> Result<(), Failure> {
        self.thread.take().unwrap().join().unwrap()
    }

    /// The real servers in the table, with their weights.
    pub(crate) fn table(&self) -> Vec<(SocketAddr, u32)> {
        let table = self.pins.table();
        let servers = table.services.values().flat_map(|s| &s.real_servers);
        servers.map(|(address, server)| (*address, server.weight.get())).collect()
    }
}

impl Drop for Bed {
    fn drop(&mut self) {
        if self.thread.is_some() && !thread::panicking() {
            let _ = self.stop();
        }
    }
}

pub(crate) struct Client(BufReader<UnixStream>);

impl Client {
    pub(crate) fn connect(path: &Path) -> Client {
        let stream = UnixStream::connect(path).unwrap();
        stream.set_read_timeout(Some(LIMIT)).unwrap();
        let mut client = Client(BufReader::new(stream));
        let greeting: Greeting = serde_json::from_str(&client.line()).unwrap();
        assert_eq!(greeting.protocol, evenkeel_api::PROTOCOL);
        client
    }

    pub(crate) fn line(&mut self) -> String {
        let mut line = String::new();
        self.0.read_line(&mut line).unwrap();
        line
    }

    pub(crate) fn send(&mut self, request: &Request) {
        self.0.get_mut().write_all(&to_line(request).unwrap()).unwrap();
    }

    pub(crate) fn next(&mut self) -> Reply {
        serde_json::from_str(&self.line()).unwrap()
    }

    pub(crate) fn ask(&mut self, request: &Request) -> Reply {
        self.send(request);
        self.next()
    }
}

/// A web server on loopback that can be taken down and brought up again on its address.
pub(crate) struct Web {
    address: SocketAddr,
    running: Option<(Arc<AtomicBool>, JoinHandle<()>)>,
}

impl Web {
    /// On an address of its own, so that two may have the same port, as direct routing wants it.
    pub(crate) fn start(address: SocketAddr) -> Web {
        let mut web = Web { address, running: None };
        web.up();
        web
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    pub(crate) fn up(&mut self) {
        let listener = TcpListener::bind(self.address).unwrap();
        self.address = listener.local_addr().unwrap();
        let end = Arc::new(AtomicBool::new(false));
        let ended = end.clone();
        let thread = thread::spawn(move || {
            for stream in listener.incoming() {
                if ended.load(Ordering::SeqCst) {
                    return;
                }
                let Ok(mut stream) = stream else { continue };
                let _ = stream.set_read_timeout(Some(Duration::from_secs(2)));
                let mut request = [0; 2048];
                let _ = stream.read(&mut request);
                let _ = stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\nConnection: close\r\n\r\nRS\n");
            }
        });
        self.running = Some((end, thread));
    }

    pub(crate) fn down(&mut self) {
        let Some((end, thread)) = self.running.take() else { return };
        end.store(true, Ordering::SeqCst);
        // Wakes it up.
        let _ = std::net::TcpStream::connect(self.address);
        thread.join().unwrap();
    }
}

impl Drop for Web {
    fn drop(&mut self) {
        self.down();
    }
}
