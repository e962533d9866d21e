//! Every forwarding method, family and protocol through every door: ten megabytes there and back, byte by byte. The cells
//! are those of docs/compat/lvs.md.

#![expect(clippy::expect_used, reason = "a test fails by panicking")]

use std::io::{ErrorKind, Read, Write};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, Shutdown, SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::process::Command;
use std::time::Duration;

use evenkeel_lab::{INNER, Node, Plan};
use evenkeel_lab_tests::{Bed, LIMIT, can_run, native};

/// Bytes of one transfer, each way.
const BYTES: usize = 10 << 20;
/// Bytes of a datagram: fits any tunnel.
const DATAGRAM: usize = 1280;
/// Datagrams under way at once: few enough for any socket buffer.
const WINDOW: usize = 16;
/// How often a datagram is sent again before it is lost.
const TRIES: u32 = 5;
/// What neither side waits for longer.
const PATIENCE: Duration = Duration::from_secs(10);

/// Where a method's real server is.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Place {
    /// Beside the director, with the VIP on its `lo`.
    Beside,
    /// Beside the director, unwrapping tunnel packets.
    Unwraps,
    /// Beside the director, knowing of nothing.
    Stranger,
    /// Behind the director.
    Inside,
    /// The director itself.
    Director,
}

/// A method: its name in the documentation, what the native file says, and where its real server is.
const METHODS: &[(&str, &str, Place)] = &[
    ("dr", "forward = \"dr\"", Place::Beside),
    ("nat", "forward = \"nat\"", Place::Inside),
    ("fullnat", "forward = \"fullnat\"", Place::Stranger),
    ("tun ipip", "forward = \"tun\"", Place::Unwraps),
    ("tun gue", "tunnel = \"gue\"", Place::Unwraps),
    ("tun gue +csum", "tunnel = { kind = \"gue\", checksum = \"full\" }", Place::Unwraps),
    ("tun gue remcsum", "tunnel = { kind = \"gue\", checksum = \"remote\" }", Place::Unwraps),
    ("tun gre", "tunnel = \"gre\"", Place::Unwraps),
    ("tun gre +csum", "tunnel = { kind = \"gre\", checksum = \"full\" }", Place::Unwraps),
    ("local", "forward = \"local\"", Place::Director),
];

/// One transfer of the table.
#[derive(Clone, Copy)]
struct Cell {
    method: usize,
    v6: bool,
    /// The tunnel's own family is the other one.
    crossed: bool,
    udp: bool,
}

impl Cell {
    /// All there are; only tunnels cross families.
    fn all() -> Vec<Cell> {
        let mut cells = Vec::new();
        for (method, (_, _, place)) in METHODS.iter().enumerate() {
            for v6 in [false, true] {
                for crossed in [false, true].into_iter().filter(|crossed| !crossed || *place == Place::Unwraps) {
                    cells.extend([false, true].map(|udp| Cell { method, v6, crossed, udp }));
                }
            }
        }
        cells
    }

    fn place(self) -> Place {
        METHODS[self.method].2
    }

    /// As docs/compat/lvs.md has it.
    fn name(self) -> String {
        let family = |v6| if v6 { "IPv6" } else { "IPv4" };
        let carrier = match (self.place(), self.crossed) {
            (Place::Unwraps, crossed) => format!(" in {}", family(self.v6 != crossed)),
            _ => String::new(),
        };
        let protocol = if self.udp { "udp" } else { "tcp" };
        format!("{}, {}{carrier}, {protocol}", METHODS[self.method].0, family(self.v6))
    }

    /// The port clients use; one for each cell but for its family and protocol.
    fn port(self) -> u16 {
        8000 + 2 * self.method as u16 + u16::from(self.crossed)
    }

    /// The port its real server listens on.
    fn served(self) -> u16 {
        match self.place() {
            Place::Inside | Place::Stranger => self.port() + 1000,
            Place::Beside | Place::Unwraps | Place::Director => self.port(),
        }
    }

    fn service(self, plan: &Plan) -> String {
        let (_, forward, place) = METHODS[self.method];
        let scheme = if self.udp { "udp" } else { "tcp" };
        let real = match place {
            Place::Beside | Place::Stranger => address(&plan.real_servers[0], self.v6),
            Place::Unwraps => address(&plan.real_servers[1], self.v6 != self.crossed),
            Place::Inside => address(&plan.inside[0], self.v6),
            Place::Director if self.v6 => Ipv6Addr::LOCALHOST.into(),
            Place::Director => Ipv4Addr::LOCALHOST.into(),
        };
        format!(
            "[service.\"{}\"]\nlisten = \"{scheme}://{}\"\n{forward}\nreal_servers = [\"{}\"]\ncheck = \"on\"\nstart = \"up\"\n\n",
            self.name(),
            self.target(plan),
            SocketAddr::new(real, self.served()),
        )
    }

    /// Where its real server listens: it answers with the address that it was asked at.
    fn serves(self, plan: &Plan) -> SocketAddr {
        let own = match self.place() {
            Place::Beside | Place::Unwraps | Place::Director => self.target(plan).ip(),
            Place::Stranger => address(&plan.real_servers[0], self.v6),
            Place::Inside => address(&plan.inside[0], self.v6),
        };
        SocketAddr::new(own, self.served())
    }

    fn target(self, plan: &Plan) -> SocketAddr {
        let vip = plan.vips.iter().find(|vip| vip.is_ipv6() == self.v6).expect("a VIP of each family");
        SocketAddr::new(*vip, self.port())
    }
}

fn address(nets: &[(IpAddr, u8)], v6: bool) -> IpAddr {
    nets.iter().map(|(address, _)| *address).find(|address| address.is_ipv6() == v6).expect("both families")
}

fn through(door: &str, cells: &[Cell]) {
    if !can_run() {
        return;
    }
    let mut bed = Bed::new(|options| options.plan = Plan::lab().with_inside(1));
    match door {
        "xdp" => native::prepare(&bed, &[("eth0", "router"), (INNER, "inside-1")]),
        "generic" => native::segment(&bed, &[("eth0", "router")]),
        _ => {}
    }
    unwrap_at_the_second(&bed);
    let plan = bed.options().plan.clone();
    for cell in cells {
        let node = match cell.place() {
            Place::Beside | Place::Stranger => "real-1",
            Place::Unwraps => "real-2",
            Place::Inside => "inside-1",
            Place::Director => "director",
        };
        serve(bed.node(node).expect("the node is there"), *cell, cell.serves(&plan));
    }
    let text: String = cells.iter().map(|cell| cell.service(&plan)).collect();
    let path = bed.write("director.toml", &text).expect("the file is written");
    bed.director.start(&[&path, "--connections", "65536", "--attach", door]).expect("the director starts");
    bed.director.wait("was ready", LIMIT, evenkeel_lab_tests::all_reachable).expect("every real server is reachable");
    let mut wrong = Vec::new();
    for cell in cells {
        let (target, udp) = (cell.target(&plan), cell.udp);
        let outcome = bed.client.node().run(move || if udp { datagrams(target) } else { stream(target) });
        if let Err(error) = outcome.expect("the client lives") {
            wrong.push(format!("{}: {error}", cell.name()));
        }
    }
    assert!(wrong.is_empty(), "through {door}:\n{}", wrong.join("\n"));
    let status = bed.director.terminate().expect("the director ends");
    assert!(status.success(), "it ended with {status}");
}

/// The second real server takes tunnel packets instead of plain ones.
fn unwrap_at_the_second(bed: &Bed) {
    let plan = &bed.options().plan;
    let server = &bed.real_servers[1];
    for (action, more) in [("down", None), ("up", Some(["--mode", "tun"]))] {
        let mut command = Command::new(evenkeel_lab_tests::program());
        command.args(["realserver", action]).args(plan.vips.iter().map(IpAddr::to_string));
        command.args(more.into_iter().flatten()).arg("--runtime-dir").arg(bed.runtime_dir_of(server));
        server.node().output(command).expect("the real server is prepared");
    }
}

/// Sends back whatever comes to the cell's port, for as long as the test runs.
fn serve(node: &Node, cell: Cell, at: SocketAddr) {
    // Methods may share a real server and a port; who came first serves both.
    if cell.udp {
        match node.run(move || UdpSocket::bind(at)).expect("the node lives") {
            Ok(socket) => drop(std::thread::spawn(move || echo_datagrams(&socket))),
            Err(error) => assert_eq!(error.kind(), ErrorKind::AddrInUse, "{error}"),
        }
        return;
    }
    match node.run(move || TcpListener::bind(at)).expect("the node lives") {
        Ok(listener) => drop(std::thread::spawn(move || echo_streams(&listener))),
        Err(error) => assert_eq!(error.kind(), ErrorKind::AddrInUse, "{error}"),
    }
}

fn echo_datagrams(socket: &UdpSocket) {
    let mut datagram = [0; 2 * DATAGRAM];
    while let Ok((length, from)) = socket.recv_from(&mut datagram) {
        // A client that is gone is no reason to stop.
        let _ = socket.send_to(&datagram[..length], from);
    }
}

fn echo_streams(listener: &TcpListener) {
    while let Ok((stream, _)) = listener.accept() {
        std::thread::spawn(move || {
            let Ok(mut back) = stream.try_clone() else { return };
            // What goes wrong is the client's to tell.
            let _ = std::io::copy(&mut &stream, &mut back);
            let _ = back.shutdown(Shutdown::Write);
        });
    }
}

/// Bytes that are the same for everybody and the same nowhere.
fn content() -> Vec<u8> {
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let word = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state.to_le_bytes()
    };
    std::iter::repeat_with(word).flatten().take(BYTES).collect()
}

fn stream(target: SocketAddr) -> std::io::Result<()> {
    let stream = TcpStream::connect_timeout(&target, PATIENCE)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.set_write_timeout(Some(PATIENCE))?;
    let sent = content();
    let mut received = Vec::with_capacity(BYTES);
    std::thread::scope(|scope| {
        let writer = scope.spawn(|| {
            (&stream).write_all(&sent)?;
            stream.shutdown(Shutdown::Write)
        });
        let read = (&stream).read_to_end(&mut received);
        let written = writer.join().unwrap_or_else(|_| Err(std::io::Error::other("the writer panicked")));
        let so_far = |error: std::io::Error| {
            std::io::Error::new(error.kind(), format!("{error} after {} of {BYTES} bytes", received.len()))
        };
        written.and(read.map(|_| ())).map_err(so_far)
    })?;
    if received == sent { Ok(()) } else { Err(std::io::Error::other("other bytes came back than were sent")) }
}

fn datagrams(target: SocketAddr) -> std::io::Result<()> {
    let any: IpAddr = if target.is_ipv4() { Ipv4Addr::UNSPECIFIED.into() } else { Ipv6Addr::UNSPECIFIED.into() };
    let socket = UdpSocket::bind((any, 0))?;
    socket.connect(target)?;
    socket.set_read_timeout(Some(Duration::from_millis(500)))?;
    let sent = content();
    let parts: Vec<&[u8]> = sent.chunks(DATAGRAM - 4).collect();
    let datagram = |number: usize| [&(number as u32).to_be_bytes()[..], parts[number]].concat();
    let mut missing: Vec<usize> = (0..parts.len()).collect();
    for _ in 0..TRIES {
        let mut left = Vec::new();
        for window in missing.chunks(WINDOW) {
            for number in window {
                socket.send(&datagram(*number))?;
            }
            let mut wanted: Vec<usize> = window.to_vec();
            let mut answer = [0; 2 * DATAGRAM];
            while !wanted.is_empty() {
                let Ok(length) = socket.recv(&mut answer) else { break };
                let number = u32::from_be_bytes([answer[0], answer[1], answer[2], answer[3]]) as usize;
                if number >= parts.len() || answer[..length] != datagram(number)[..] {
                    return Err(std::io::Error::other(format!("datagram {number} came back changed")));
                }
                wanted.retain(|other| *other != number);
            }
            // Nobody answers at all: more of the same would take minutes.
            if wanted.len() == window.len() && left.len() > 2 * WINDOW {
                return Err(std::io::Error::other("no datagram comes back"));
            }
            left.extend(wanted);
        }
        missing = left;
        if missing.is_empty() {
            return Ok(());
        }
    }
    Err(std::io::Error::other(format!("{} of {} datagrams never came back", missing.len(), parts.len())))
}

#[test]
fn everything_through_the_tc_door() {
    through("tcx", &Cell::all());
}

#[test]
fn everything_through_the_older_tc_door() {
    through("clsact", &Cell::all());
}

#[test]
fn everything_through_the_native_xdp_door() {
    through("xdp", &Cell::all());
}

#[test]
fn what_is_not_translated_through_the_generic_xdp_door() {
    let cells: Vec<Cell> =
        Cell::all().into_iter().filter(|cell| !matches!(cell.place(), Place::Inside | Place::Stranger)).collect();
    through("generic", &cells);
}

#[test]
fn every_cell_is_in_the_documentation() {
    let text = include_str!("../../../docs/compat/lvs.md");
    for cell in Cell::all() {
        assert!(text.contains(&format!("| {} |", cell.name())), "docs/compat/lvs.md does not name `{}`", cell.name());
    }
}
