//! FTP through a director that translates: real servers, a real client, files there and back.

#![expect(clippy::expect_used, reason = "a test fails by panicking")]

use std::fs;
use std::io::Read;
use std::net::{IpAddr, SocketAddr, TcpStream};
use std::path::PathBuf;
use std::process::Command;
use std::time::{Duration, Instant};

use evenkeel_lab::{Plan, alternates};
use evenkeel_lab_tests::vsftpd::{Dialog, Server};
use evenkeel_lab_tests::{Bed, LIMIT, all_reachable, can_run, native, talk};

/// Bytes of a file that is compared.
const BYTES: usize = 4 << 20;
/// Bytes of one that no buffers of any socket hold.
const LONG: u64 = 64 << 20;
const PATIENCE: Duration = Duration::from_secs(10);

struct Ftp {
    servers: Vec<Server>,
    file: String,
    scratch: PathBuf,
    bed: Bed,
}

/// A director with FTP servers of both families behind it, and more lines in the file for each service.
fn bed(door: &str, more: &str) -> Ftp {
    // Native XDP needs a program at the other end of the cable, so that there is one host behind it.
    let hosts = if door == "xdp" { 1 } else { 2 };
    let mut bed = Bed::new(|options| options.plan = Plan::lab().with_inside(hosts));
    if door == "xdp" {
        native::prepare(&bed, &[("eth0", "router"), (evenkeel_lab::INNER, "inside-1")]);
    }
    let plan = bed.options().plan.clone();
    let scratch = bed.director.runtime_dir().with_file_name("ftp");
    fs::create_dir_all(&scratch).expect("the directory is made");
    let start = |server: &evenkeel_lab::WebServer| Server::start(server.node(), server.addresses()[0], &scratch);
    let servers: Vec<Server> = bed.inside.iter().map(start).collect();
    for server in &servers {
        fs::write(server.root.join("file"), content()).expect("the file is written");
        let long = fs::File::create(server.root.join("long")).expect("the file is made");
        long.set_len(LONG).expect("the file has its length");
    }
    let service = |(number, vip): (usize, &IpAddr)| {
        let of = |nets: &Vec<(IpAddr, u8)>| {
            let address = nets.iter().map(|net| net.0).find(|own| own.is_ipv4() == vip.is_ipv4());
            format!("{:?}", address.expect("both families").to_string())
        };
        let servers: Vec<String> = plan.inside.iter().map(of).collect();
        format!(
            "[service.ftp{number}]\nlisten = \"{}\"\nforward = \"nat\"\nschedule = \"rr\"\nreal_servers = [{}]\n\
             check = \"on\"\nstart = \"up\"\n{more}\n",
            SocketAddr::new(*vip, 21),
            servers.join(", ")
        )
    };
    let text: String = plan.vips.iter().enumerate().map(service).collect();
    let file = bed.write("director.toml", &text).expect("the file is written");
    bed.director.start(&[&file, "--connections", "65536", "--attach", door]).expect("the director starts");
    bed.director.wait("was ready", LIMIT, all_reachable).expect("every real server is reachable");
    Ftp { servers, file, scratch, bed }
}

/// Bytes that are not the same twice.
fn content() -> Vec<u8> {
    (0..BYTES as u32 / 4).flat_map(|n| n.wrapping_mul(2_654_435_761).to_le_bytes()).collect()
}

impl Ftp {
    fn vip(&self, v6: bool) -> IpAddr {
        *self.bed.options().plan.vips.iter().find(|vip| vip.is_ipv6() == v6).expect("a VIP of each family")
    }

    fn target(&self, v6: bool) -> SocketAddr {
        SocketAddr::new(self.vip(v6), 21)
    }

    fn url(&self, v6: bool, path: &str) -> String {
        format!("ftp://{}/{path}", self.target(v6))
    }

    /// What curl prints in the client's node.
    fn curl(&self, options: &[&str], url: &str) -> String {
        let mut command = Command::new("curl");
        // What the server says is what is used, whether the client has a guess of its own or not.
        command.args(["--silent", "--show-error", "--max-time", "60", "--no-ftp-skip-pasv-ip"]).args(options).arg(url);
        self.bed.client.node().output(command).unwrap_or_else(|error| panic!("curl {options:?} {url}: {error}"))
    }

    fn fetch_and_put(&self, v6: bool, mode: &[&str], name: &str) {
        let (got, sent) = (self.scratch.join("got"), self.scratch.join("sent"));
        fs::write(&sent, content()).expect("the file is written");
        let got_name = got.to_str().expect("a name");
        self.curl(&[mode, &["--output", got_name]].concat(), &self.url(v6, "file"));
        assert!(fs::read(&got).expect("the file came") == content(), "{mode:?}: another file came");
        fs::remove_file(&got).expect("it is there");
        let upload = [mode, &["--upload-file", sent.to_str().expect("a name")]].concat();
        self.curl(&upload, &self.url(v6, &format!("upload/{name}")));
        let put: Vec<Vec<u8>> = self.servers.iter().filter_map(|server| server.uploaded(name)).collect();
        assert!(put == [content()], "{mode:?}: {} real servers have the file", put.len());
    }

    fn ipvsadm(&self, arguments: &[&str]) -> String {
        let (done, text) = talk_ipvsadm(&self.bed, arguments);
        assert!(done, "ipvsadm {arguments:?}: {text}");
        text
    }
}

fn talk_ipvsadm(bed: &Bed, arguments: &[&str]) -> (bool, String) {
    let mut command = Command::new(evenkeel_lab_tests::program());
    command.arg("ipvsadm").args(arguments).env("EVENKEEL_RUNTIME_DIR", bed.director.runtime_dir());
    match bed.director.node().output(command) {
        Ok(text) => (true, text),
        Err(error) => (false, error.to_string()),
    }
}

fn transfers(door: &str) {
    if !can_run() {
        return;
    }
    let ftp = bed(door, "");
    let modes: [(&str, &[&str], bool); 6] = [
        ("EPSV", &[], false),
        ("PASV", &["--disable-epsv"], false),
        ("EPRT", &["--ftp-port", "-"], false),
        ("PORT", &["--ftp-port", "-", "--disable-eprt"], false),
        ("EPSV of IPv6", &[], true),
        ("EPRT of IPv6", &["--ftp-port", "-"], true),
    ];
    for (number, (mode, options, v6)) in modes.into_iter().enumerate() {
        println!("{door}: {mode}");
        ftp.fetch_and_put(v6, options, &format!("put-{number}"));
    }
}

#[test]
fn files_go_there_and_back_in_every_mode_at_tc() {
    transfers("auto");
}

#[test]
fn files_go_there_and_back_in_every_mode_at_native_xdp() {
    transfers("xdp");
}

#[test]
fn real_servers_take_turns_and_are_listed_as_translated() {
    if !can_run() {
        return;
    }
    let mut ftp = bed("auto", "");
    for v6 in [false, true] {
        let who: Vec<String> = (0..6).map(|_| ftp.curl(&[], &ftp.url(v6, "who"))).collect();
        assert!(alternates(&who), "{who:?}");
    }
    let client = ftp.bed.client.node();
    let mut dialog = Dialog::open(client, ftp.target(false));
    let meeting = dialog.passive();
    let listed = ftp.ipvsadm(&["-Ln"]);
    let services: Vec<&str> = listed.lines().filter(|line| line.starts_with("TCP")).collect();
    assert_eq!(services, ["TCP  10.77.0.100:21 rr", "TCP  [fd77::100]:21 rr"], "{listed}");
    let masq = |line: &&str| line.contains("10.78.0.") && line.contains(":21") && line.contains("Masq    1");
    let of_ipv4: Vec<&str> = listed.lines().filter(masq).collect();
    assert_eq!(of_ipv4.len(), 2, "{listed}");
    let active = |line: &&str| line.split_whitespace().nth(4).is_some_and(|count| count != "0");
    assert_eq!(of_ipv4.iter().copied().filter(active).count(), 1, "the open connection is counted: {listed}");
    let saved = ftp.ipvsadm(&["-S", "-n"]);
    assert!(saved.contains("-a -t 10.77.0.100:21 -r 10.78.0.11:21 -m -w 1"), "{saved}");
    assert!(!saved.contains(&format!(":{}", meeting.port())), "nobody has asked for a service there: {saved}");
    let status = ftp.bed.director.status_json().expect("a state");
    assert!(status.contains("\"nat\"") && !status.contains("\"local\""), "{status}");
    assert!(!status.contains(&format!(":{}", meeting.port())), "{status}");
    // A real server that takes no new connections keeps the one it has.
    let (done, said) = talk(&ftp.bed, &["drain", "ftp0/10.78.0.11:21"]);
    assert!(done, "{said}");
    let who: Vec<String> = (0..4).map(|_| ftp.curl(&[], &ftp.url(false, "who"))).collect();
    assert!(who.iter().all(|one| one == "inside-2"), "{who:?}");
    assert_eq!(dialog.say("NOOP").0, 200);
    assert_eq!(dialog.say("QUIT").0, 221);
    assert_eq!(dialog.rest(), "");
    let status = ftp.bed.director.terminate().expect("the director ends");
    assert!(status.success(), "it ended with {status}");
}

#[test]
fn many_small_files_find_room_one_after_the_other() {
    if !can_run() {
        return;
    }
    let ftp = bed("auto", "");
    let mut dialog = Dialog::open(ftp.bed.client.node(), ftp.target(false));
    // More than there is room for services in a table of this size without those of data connections.
    for number in 0..400 {
        let meeting = dialog.passive();
        let stream = ftp.bed.client.node().run(move || TcpStream::connect_timeout(&meeting, PATIENCE));
        let mut stream = stream.expect("the node lives").unwrap_or_else(|error| panic!("file {number}: {error}"));
        assert_eq!(dialog.say("RETR who").0, 150);
        let mut text = String::new();
        stream.read_to_string(&mut text).expect("the file comes");
        assert!(text.starts_with("inside-"), "file {number}: {text:?}");
        // The server waits until its end was acknowledged, which a client that holds on puts off.
        drop(stream);
        assert_eq!(dialog.reply().0, 226);
    }
}

#[test]
fn data_connections_are_the_clients_own() {
    if !can_run() {
        return;
    }
    let ftp = bed("auto", "");
    let mut dialog = Dialog::open(ftp.bed.client.node(), ftp.target(false));
    for (command, code) in [
        // Another real server, the director, a port of the system, nonsense.
        ("PORT 10,78,0,12,8,0", 504),
        ("EPRT |1|10.77.0.11|2048|", 504),
        ("PORT 10,77,0,2,8,0", 504),
        ("PORT 10,77,9,9,0,25", 504),
        ("PORT nonsense", 501),
        ("AUTH TLS", 534),
        ("NOOP", 200),
    ] {
        let (said, text) = dialog.say(command);
        assert_eq!(said, code, "{command}: {text}");
    }
    let meeting = dialog.passive();
    assert_eq!(meeting.ip(), ftp.vip(false), "the real server's own address is nothing to the client");
    let connect = move || TcpStream::connect_timeout(&meeting, Duration::from_secs(2)).map(drop);
    let other = ftp.bed.node("router").expect("it is there").run(connect).expect("the node lives");
    assert!(other.is_err(), "another host came to where the client was to come");
    // The port is still the client's.
    let stream = ftp.bed.client.node().run(move || TcpStream::connect_timeout(&meeting, PATIENCE));
    let mut stream = stream.expect("the node lives").expect("the client comes in");
    assert_eq!(dialog.say("RETR who").0, 150);
    let mut text = String::new();
    stream.read_to_string(&mut text).expect("the file comes");
    assert!(text.starts_with("inside-"), "{text:?}");
    assert_eq!(dialog.reply().0, 226);
    let drops = ftp.bed.director.status().expect("a state").dataplane.drops;
    assert!(drops.get("denied").is_some_and(|count| *count > 0), "{drops:?}");
}

#[test]
fn a_transfer_outlives_the_daemon_and_the_next_one_serves_again() {
    if !can_run() {
        return;
    }
    let mut ftp = bed("auto", "");
    let (vip, target) = (ftp.vip(false), ftp.target(false));
    let mut dialog = Dialog::open(ftp.bed.client.node(), target);
    let meeting = dialog.passive();
    let stream = ftp.bed.client.node().run(move || TcpStream::connect_timeout(&meeting, PATIENCE));
    let mut stream = stream.expect("the node lives").expect("the client comes in");
    stream.set_read_timeout(Some(PATIENCE)).expect("a timeout is set");
    assert_eq!(dialog.say("TYPE I").0, 200);
    assert_eq!(dialog.say("RETR long").0, 150);
    let mut first = vec![0; 1 << 16];
    stream.read_exact(&mut first).expect("it begins to come");
    ftp.bed.director.kill().expect("it is killed");
    assert_eq!(dialog.rest(), "", "the control connection was the daemon's");
    let mut length = first.len() as u64;
    length += std::io::copy(&mut stream, &mut std::io::sink()).expect("the rest comes without the daemon");
    assert_eq!(length, LONG);
    let closed = ftp.bed.client.node().run(move || TcpStream::connect_timeout(&target, PATIENCE).map(drop));
    assert!(closed.expect("the node lives").is_err(), "nobody takes control connections meanwhile");
    let file = ftp.file.clone();
    ftp.bed.director.start(&[&file, "--connections", "65536"]).expect("the next one starts");
    ftp.bed.director.wait("was ready", LIMIT, all_reachable).expect("every real server is reachable");
    let listed = ftp.ipvsadm(&["-Ln"]);
    assert_eq!(listed.lines().filter(|line| line.starts_with("TCP")).count(), 2, "{listed}");
    assert!(listed.contains("Masq"), "{listed}");
    // Nobody needs the old meeting point any more, so that it is closed for its client, too.
    let (address, port) = (vip, meeting.port());
    let closed = ftp.bed.client.node().run(move || TcpStream::connect_timeout(&(address, port).into(), PATIENCE));
    assert!(closed.expect("the node lives").is_err_and(|error| error.kind() == std::io::ErrorKind::ConnectionRefused));
    ftp.fetch_and_put(false, &[], "after");
}

#[test]
fn services_of_ipvsadm_and_other_ports_are_relayed_as_they_are_told() {
    if !can_run() {
        return;
    }
    let mut ftp = bed("auto", "ftp = false");
    // Without the relay the address of the real server comes through, which the client cannot reach.
    let mut dialog = Dialog::open(ftp.bed.client.node(), ftp.target(false));
    assert_ne!(dialog.passive().ip(), ftp.vip(false));
    drop(dialog);
    let text = fs::read_to_string(&ftp.file).expect("the file is there");
    let (first, _) = text.split_once("[service.ftp1]").expect("two services");
    let first = first
        .replace("ftp = false", "ftp = true")
        .replace(":21\"", ":2121\"")
        .replace("\"10.78.0.11\"", "\"10.78.0.11:21\"")
        .replace("\"10.78.0.12\"", "\"10.78.0.12:21\"");
    fs::write(&ftp.file, first).expect("the file is written");
    let (reloaded, said) = talk(&ftp.bed, &["reload"]);
    assert!(reloaded, "evenkeel reload: {said}");
    let elsewhere = format!("ftp://{}/who", SocketAddr::new(ftp.vip(false), 2121));
    assert!(ftp.curl(&["--disable-epsv"], &elsewhere).starts_with("inside-"));
    ftp.ipvsadm(&["-A", "-t", "10.77.0.100:21", "-s", "rr"]);
    ftp.ipvsadm(&["-a", "-t", "10.77.0.100:21", "-r", "10.78.0.12", "-m"]);
    let end = Instant::now() + LIMIT;
    loop {
        let mut dialog = Dialog::open(ftp.bed.client.node(), ftp.target(false));
        if dialog.passive().ip() == ftp.vip(false) {
            break;
        }
        assert!(Instant::now() < end, "the service of ipvsadm was never relayed");
        drop(dialog);
    }
    ftp.fetch_and_put(false, &["--disable-epsv"], "by-ipvsadm");
    // Connections of clients that are flushed lose their control connection.
    let mut dialog = Dialog::open(ftp.bed.client.node(), ftp.target(false));
    let (done, said) = talk(&ftp.bed, &["flush", "--server", "10.78.0.12"]);
    assert!(done, "{said}");
    assert_eq!(dialog.rest(), "", "{said}");
    let status = ftp.bed.director.terminate().expect("the director ends");
    assert!(status.success(), "it ended with {status}");
}
