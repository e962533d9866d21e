//! The set-up of the keepalived guide: its keepalived.conf as it stands on one director, and with BACKUP and 90 on the
//! other. What its readers do to see that it works, and what they hope for when one of the two dies.

#![expect(clippy::expect_used, reason = "a test fails by panicking")]

use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use evenkeel_api::{ServerState, Status};
use evenkeel_lab::{Director, Node, Process, Stage};
use evenkeel_lab_tests::{LIMIT, alone, can_run, program, setup, smtp::Mailbox, switch, unique_name};

const VIP: &str = "192.168.1.150";
/// Name and last byte of each host.
const HOSTS: [(&str, u8); 5] = [("lvs1", 135), ("lvs2", 136), ("rs1", 138), ("rs2", 139), ("client", 10)];
/// Where the file sends mails.
const MAIL_SERVER: [u8; 4] = [192, 168, 200, 1];
/// What a real server that went down takes to be told: a check every 6 s, and three more behind the first that failed.
const TOLD: Duration = Duration::from_secs(60);

fn run(node: &Node, program: impl AsRef<std::ffi::OsStr>, arguments: &[&str]) -> Result<String, evenkeel_lab::Error> {
    let mut command = Command::new(program);
    command.args(arguments);
    node.output(command)
}

/// A web server that says its name, on a host that is ready for direct routing.
fn real_server(stage: &Stage, name: &str) -> Process {
    let node = stage.node(name).expect("it is there");
    let root = stage.directory().join(name);
    std::fs::create_dir(&root).expect("a directory can be made");
    std::fs::write(root.join("index.html"), format!("{name}\n")).expect("a page can be written");
    let state = root.join("state");
    run(node, program(), &["realserver", "up", VIP, "--runtime-dir", &state.to_string_lossy()])
        .expect("it is prepared");
    serve(node, &root)
}

fn serve(node: &Node, root: &Path) -> Process {
    let mut command = Command::new("busybox");
    command.args(["httpd", "-f", "-p", "80", "-h"]).arg(root);
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    Process::new("busybox httpd", node.spawn(command).expect("the web server starts"))
}

/// Whether the file's two real servers are in.
fn both_up(status: &Status) -> bool {
    let [service] = status.services.as_slice() else { return false };
    service.real_servers.len() == 2 && service.real_servers.iter().all(|s| s.state == ServerState::Up)
}

/// Of a mail about the second real server.
fn subject(word: &str) -> String {
    format!("[master] Realserver [192.168.1.139]:tcp:80 of virtual server [192.168.1.150]:tcp:80 - {word}")
}

fn is_master(status: &Status) -> bool {
    status.ha.iter().any(|group| group.state == "master")
}

#[test]
fn the_file_as_it_stands_serves_fails_over_and_comes_back() {
    if !can_run() {
        return;
    }
    let _alone = alone();
    let host = |(name, last): (&'static str, u8)| {
        let mails = ([192, 168, 200, last].into(), 24);
        (name, vec![([192, 168, 1, last].into(), 24), mails])
    };
    let hosts = HOSTS.map(host).into_iter().chain([("mail", vec![(MAIL_SERVER.into(), 24)])]);
    let stage = Stage::raise(&unique_name(), &switch::topology(hosts)).expect("the stage is built");
    let mut servers = ["rs1", "rs2"].map(|name| real_server(&stage, name));
    let file = setup("002-keepalived-dr/keepalived.conf");
    let text = std::fs::read_to_string(&file).expect("the set-up is there");
    let backup = stage.directory().join("backup.conf");
    // As the guide says: the other director is BACKUP with 90.
    let text = text.replace("MASTER", "BACKUP").replace("priority 100", "priority 90");
    std::fs::write(&backup, text).expect("a file can be written");

    let mail = stage.node("mail").expect("it is there");
    let mails = Mailbox::open(mail, (MAIL_SERVER, 25).into()).expect("the mail server listens");
    let director = |name: &str| {
        let directory = stage.directory().join(name);
        std::fs::create_dir(&directory).expect("a directory can be made");
        Director::new(Arc::clone(stage.node(name).expect("it is there")), program(), &directory)
    };
    let (mut first, mut second) = (director("lvs1"), director("lvs2"));
    let arguments = |file: &Path| [file.to_string_lossy().into_owned(), "--connections".into(), "65536".into()];
    let start = |director: &mut Director, file: &Path| {
        let arguments = arguments(file);
        director.start(&arguments.each_ref().map(String::as_str)).expect("the director starts");
    };
    start(&mut first, &file);
    first.wait("had both real servers up", LIMIT, both_up).expect("a brace is missing and both real servers come in");
    first.wait("was master", LIMIT, is_master).expect("the first is master");
    start(&mut second, &backup);
    second.wait("had both real servers up", LIMIT, both_up).expect("both real servers come in");

    let client = stage.node("client").expect("it is there");
    let get = || run(client, "curl", &["-s", "-m", "2", &format!("http://{VIP}/")]).unwrap_or_default();
    let alternates = |what: &str| {
        let bodies: Vec<String> = (0..6).map(|_| get()).collect();
        let strictly = bodies.windows(2).all(|pair| pair[0] != pair[1]);
        assert!(strictly && bodies.iter().all(|body| ["rs1", "rs2"].contains(&body.as_str())), "{what}: {bodies:?}");
    };
    alternates("through the first");

    // A real server stops, and its directors say so.
    servers[1].kill().expect("it is killed");
    let twice = |subject: String| {
        let told = mails.wait(TOLD, |mails| mails.iter().filter(|mail| mail.subject == subject).count() == 2);
        told.unwrap_or_else(|mails| panic!("no mails about it: {mails:#?}\n{}", first.log()))
    };
    for mail in twice(subject("DOWN")) {
        assert_eq!(mail.from, "Alexandre.Cassen@firewall.loc");
        assert_eq!(mail.to, ["acassen@firewall.loc", "failover@firewall.loc", "sysadmin@firewall.loc"]);
        assert_eq!(mail.text, ["=> TCP CHECK failed on service <="]);
    }
    servers[1] = serve(stage.node("rs2").expect("it is there"), &stage.directory().join("rs2"));
    let told = twice(subject("UP"));
    assert_eq!(told.last().expect("there are some").text, ["=> TCP CHECK succeed on service <="]);
    for director in [&mut first, &mut second] {
        director.wait("had both real servers up", LIMIT, both_up).expect("both are in again");
    }

    // It leaves in order: at no time does nobody answer.
    assert!(first.terminate().expect("it ends").success(), "{}", first.log());
    second.wait("was master", LIMIT, is_master).expect("the second takes over");
    alternates("through the second");

    // It comes back, and dies at once.
    start(&mut first, &file);
    first.wait("was master", LIMIT, is_master).expect("the first takes over again");
    alternates("through the first again");
    first.kill().expect("it is killed");
    second.wait("was master", LIMIT, is_master).expect("the second takes over");
    // Its successor has told the link; what the dead one leaves serving answers no ARP any more.
    let until = Instant::now() + LIMIT;
    while get().is_empty() {
        assert!(Instant::now() < until, "nobody answers: {}", second.log());
        std::thread::park_timeout(Duration::from_millis(20));
    }
    alternates("through the second again");
    // The file says nothing of mails about its instance.
    let subjects: Vec<String> = mails.mails().into_iter().map(|mail| mail.subject).collect();
    let about = [subject("DOWN"), subject("UP")];
    assert!(subjects.iter().all(|told| about.contains(told)), "{subjects:?}");
    assert_eq!(subjects.len(), 4, "{subjects:?}");
}
