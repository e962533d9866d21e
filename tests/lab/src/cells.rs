//! The cells of docs/compat/lvs.md: a forwarding method, the families of a packet and its tunnel, a protocol; and the
//! transfers that prove them.

#![expect(clippy::expect_used, reason = "a test fails by panicking")]

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::process::Command;

use evenkeel_lab::{INNER, Plan};

use crate::transfer::Protocol;
use crate::{Bed, LIMIT, all_reachable, native, program};

/// Where a method's real server is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
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
pub const METHODS: &[(&str, &str, Place)] = &[
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
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cell {
    method: usize,
    v6: bool,
    /// The tunnel's own family is the other one.
    crossed: bool,
    protocol: Protocol,
}

impl Cell {
    /// All there are over these protocols; only tunnels cross families.
    pub fn all(protocols: &[Protocol]) -> Vec<Cell> {
        let mut cells = Vec::new();
        for (method, (_, _, place)) in METHODS.iter().enumerate() {
            for v6 in [false, true] {
                for crossed in [false, true].into_iter().filter(|crossed| !crossed || *place == Place::Unwraps) {
                    cells.extend(protocols.iter().map(|protocol| Cell { method, v6, crossed, protocol: *protocol }));
                }
            }
        }
        cells
    }

    /// Where its real server is.
    pub fn place(self) -> Place {
        METHODS[self.method].2
    }

    /// Whether the tunnel's own family is the other one.
    pub fn is_crossed(self) -> bool {
        self.crossed
    }

    /// The name of its method.
    pub fn method(self) -> &'static str {
        METHODS[self.method].0
    }

    /// What it goes over.
    pub fn protocol(self) -> Protocol {
        self.protocol
    }

    /// As docs/compat/lvs.md has it.
    pub fn name(self) -> String {
        let family = |v6| if v6 { "IPv6" } else { "IPv4" };
        let carrier = match (self.place(), self.crossed) {
            (Place::Unwraps, crossed) => format!(" in {}", family(self.v6 != crossed)),
            _ => String::new(),
        };
        format!("{}, {}{carrier}, {}", self.method(), family(self.v6), self.protocol.word())
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

    /// The service of the native file.
    pub fn service(self, plan: &Plan) -> String {
        let (_, forward, place) = METHODS[self.method];
        let real = match place {
            Place::Beside | Place::Stranger => address(&plan.real_servers[0], self.v6),
            Place::Unwraps => address(&plan.real_servers[1], self.v6 != self.crossed),
            Place::Inside => address(&plan.inside[0], self.v6),
            Place::Director if self.v6 => Ipv6Addr::LOCALHOST.into(),
            Place::Director => Ipv4Addr::LOCALHOST.into(),
        };
        format!(
            "[service.\"{}\"]\nlisten = \"{}://{}\"\n{forward}\nreal_servers = [\"{}\"]\ncheck = \"on\"\nstart = \"up\"\n\n",
            self.name(),
            self.protocol.word(),
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

    /// Where clients go.
    fn target(self, plan: &Plan) -> SocketAddr {
        let vip = plan.vips.iter().find(|vip| vip.is_ipv6() == self.v6).expect("a VIP of each family");
        SocketAddr::new(*vip, self.port())
    }

    /// Has its real server send everything back.
    pub fn serve(self, bed: &Bed) {
        let node = match self.place() {
            Place::Beside | Place::Stranger => "real-1",
            Place::Unwraps => "real-2",
            Place::Inside => "inside-1",
            Place::Director => "director",
        };
        let (protocol, at) = (self.protocol, self.serves(&bed.options().plan));
        let node = bed.node(node).expect("the node is there");
        node.run(move || protocol.serve(at)).expect("the node lives").expect("the real server listens");
    }

    /// Sends `bytes` there and back; what went wrong.
    pub fn try_it(self, bed: &Bed, bytes: usize) -> Result<(), String> {
        let plan = &bed.options().plan;
        let own = plan.client.iter().map(|(_, own, _)| *own).find(|own| own.is_ipv6() == self.v6);
        let (own, target, protocol) = (own.expect("both families"), self.target(plan), self.protocol);
        let outcome = bed.client.node().run(move || protocol.transfer(own, target, bytes));
        outcome.expect("the client lives").map_err(|error| format!("{}: {error}", self.name()))
    }
}

fn address(nets: &[(IpAddr, u8)], v6: bool) -> IpAddr {
    nets.iter().map(|(address, _)| *address).find(|address| address.is_ipv6() == v6).expect("both families")
}

/// A lab with a host behind the director, its cables fit for `door`.
pub fn bed(door: &str) -> Bed {
    let bed = Bed::new(|options| options.plan = Plan::lab().with_inside(1));
    match door {
        "xdp" => native::prepare(&bed, &[("eth0", "router"), (INNER, "inside-1")]),
        "generic" => native::segment(&bed, &[("eth0", "router")]),
        _ => {}
    }
    bed
}

/// The second real server takes tunnel packets instead of plain ones: `realserver up` with these words.
pub fn unwrap_at_the_second(bed: &Bed, how: &[&str]) {
    real_server(bed, "down", &[]);
    real_server(bed, "up", how);
}

/// `realserver ACTION` for every VIP at the second real server; what it printed.
pub fn real_server(bed: &Bed, action: &str, more: &[&str]) -> String {
    try_real_server(bed, action, more).expect("the command succeeds")
}

/// The same, which may fail.
pub fn try_real_server(bed: &Bed, action: &str, more: &[&str]) -> Result<String, String> {
    let server = &bed.real_servers[1];
    let mut command = Command::new(program());
    command.args(["realserver", action]).args(bed.options().plan.vips.iter().map(IpAddr::to_string));
    command.args(more).arg("--runtime-dir").arg(bed.runtime_dir_of(server));
    server.node().output(command).map_err(|error| error.to_string())
}

/// Starts the director on these cells at `door`, with more of its options.
pub fn start(bed: &mut Bed, door: &str, more: &[&str], cells: &[Cell]) {
    let plan = bed.options().plan.clone();
    cells.iter().for_each(|cell| cell.serve(bed));
    let text: String = cells.iter().map(|cell| cell.service(&plan)).collect();
    let path = bed.write("director.toml", &text).expect("the file is written");
    let options = [&[&path, "--connections", "65536", "--attach", door], more].concat();
    bed.director.start(&options).expect("the director starts");
    bed.director.wait("was ready", 3 * LIMIT, all_reachable).expect("every real server is reachable");
}

/// Ends the director in good order.
pub fn stop(bed: &mut Bed) {
    let status = bed.director.terminate().expect("the director ends");
    assert!(status.success(), "it ended with {status}");
}
