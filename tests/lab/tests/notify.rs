//! Who is told of changes, and what: the same keepalived.conf and the same story for evenkeel and for keepalived.

#![expect(clippy::expect_used, reason = "a test fails by panicking")]

use evenkeel_lab::{Director, Node, Process, Stage};
use evenkeel_lab_tests::{LIMIT, alone, can_run, program, smtp::Mailbox, switch, unique_name};
use rustix::process::Signal;
use std::{
    fs::{self, File},
    io::{BufRead, BufReader},
    os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt},
    path::{Path, PathBuf},
    process::{Command, Stdio},
    sync::{Arc, Mutex, PoisonError},
    thread::JoinHandle,
    time::Instant,
};

/// What a FIFO is told of the sync group and its members, who are one another's like.
const GROUP: [&str; 18] = [
    "GROUP \"G\" BACKUP 0",
    "INSTANCE \"V\" BACKUP 120",
    "INSTANCE \"V\" BACKUP 120",
    "INSTANCE \"V\" MASTER 120",
    "INSTANCE \"V\" MASTER 120",
    "GROUP \"G\" MASTER 0",
    "INSTANCE \"V\" FAULT 120",
    "INSTANCE \"V\" FAULT 120",
    "GROUP \"G\" FAULT 0",
    "INSTANCE \"V\" BACKUP 120",
    "INSTANCE \"V\" BACKUP 120",
    "GROUP \"G\" BACKUP 0",
    "INSTANCE \"V\" MASTER 120",
    "INSTANCE \"V\" MASTER 120",
    "GROUP \"G\" MASTER 0",
    "INSTANCE \"V\" STOP 120",
    "INSTANCE \"V\" STOP 120",
    "GROUP \"G\" STOP 0",
];

/// What it is told of the instance whose better is another node for a while.
const ALONE: [&str; 8] = [
    "INSTANCE \"V3\" BACKUP 110",
    "INSTANCE \"V3\" MASTER 110",
    "INSTANCE \"V3\" BACKUP 110",
    "INSTANCE \"V3\" MASTER 110",
    "INSTANCE \"V3\" FAULT 110",
    "INSTANCE \"V3\" BACKUP 110",
    "INSTANCE \"V3\" MASTER 110",
    "INSTANCE \"V3\" STOP 110",
];

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Player {
    Evenkeel,
    Keepalived,
}

enum Seat {
    Evenkeel(Box<Director>),
    Keepalived(Process),
}

/// One director whose changes are told, and what it says.
struct Bed {
    stage: Stage,
    seat: Option<Seat>,
    player: Player,
}

fn has_keepalived() -> bool {
    let there = Command::new("keepalived").arg("--version").stderr(Stdio::null()).status().is_ok();
    if !there {
        println!("skipped: needs keepalived (apt install keepalived)");
    }
    there
}

impl Bed {
    fn new(player: Player) -> Bed {
        // It is built by now, so that nobody waits for it.
        let _ = program();
        let topology = switch::topology([1, 2].map(|last| {
            let name = if last == 1 { "d1" } else { "d2" };
            (name, vec![([10, 79, 0, last].into(), 24)])
        }));
        let stage = Stage::raise(&unique_name(), &topology).expect("the stage is built");
        // What root runs, others must not be able to change.
        fs::set_permissions(stage.directory(), fs::Permissions::from_mode(0o755)).expect("it is ours");
        Bed { stage, seat: None, player }
    }

    fn node(&self, name: &str) -> &Arc<Node> {
        self.stage.node(name).expect("it is there")
    }

    fn file(&self, name: &str) -> PathBuf {
        self.stage.directory().join(name)
    }

    /// A script that writes its arguments to the file `told`, one line a run.
    fn script(&self, name: &str) -> String {
        let (path, told) = (self.file(name), self.file("told"));
        let text = format!("#!/bin/sh\necho \"$*\" >> {}\n", told.display());
        fs::write(&path, text).expect("it is written");
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).expect("it is ours");
        path.display().to_string()
    }

    /// What scripts have written.
    fn told(&self) -> Vec<String> {
        let text = fs::read_to_string(self.file("told")).unwrap_or_default();
        text.lines().map(str::to_owned).collect()
    }

    fn start(&mut self, conf: &str) {
        let path = self.file("keepalived.conf");
        fs::write(&path, conf).expect("it is written");
        self.seat = Some(match self.player {
            Player::Evenkeel => {
                let mut director = Director::new(Arc::clone(self.node("d1")), program(), self.stage.directory());
                director.start(&[path.to_str().expect("a plain path")]).expect("evenkeel starts");
                Seat::Evenkeel(Box::new(director))
            }
            Player::Keepalived => Seat::Keepalived(self.keepalived("d1", &path)),
        });
    }

    fn keepalived(&self, name: &str, conf: &Path) -> Process {
        let mut command = Command::new("keepalived");
        command.args(["-P", "-n", "-l", "-D", "-G", "-f"]).arg(conf);
        for (option, file) in [("-p", "pid"), ("-r", "vrrp"), ("-b", "bfd"), ("-c", "checkers")] {
            command.arg(option).arg(self.file(&format!("{name}.{file}")));
        }
        let log = File::create(self.file(&format!("{name}.log"))).expect("a log");
        command.stdin(Stdio::null()).stdout(log).stderr(Stdio::null());
        Process::new("keepalived", self.node(name).spawn(command).expect("keepalived starts"))
    }

    fn stop(&mut self) {
        match self.seat.take() {
            Some(Seat::Evenkeel(mut director)) => {
                assert!(director.terminate().expect("it ends").success(), "{}", director.log());
                println!("{}", director.log());
            }
            Some(Seat::Keepalived(mut process)) => end(&mut process),
            None => {}
        }
    }

    fn ip(&self, arguments: &[&str]) {
        let mut command = Command::new("ip");
        command.args(arguments);
        self.node("d1").output(command).expect("ip does it");
    }

    fn log(&self) -> String {
        match &self.seat {
            Some(Seat::Evenkeel(director)) => director.log(),
            _ => fs::read_to_string(self.file("d1.log")).unwrap_or_default(),
        }
    }

    fn wait(&self, what: &str, mut good: impl FnMut() -> bool) {
        let until = Instant::now() + LIMIT;
        while !good() {
            assert!(Instant::now() < until, "never {what}: {:?}\n{}", self.told(), self.log());
            std::thread::park_timeout(std::time::Duration::from_millis(5));
        }
    }
}

fn end(process: &mut Process) {
    process.signal(Signal::TERM).expect("keepalived is told");
    process.wait(LIMIT).expect("keepalived ends");
}

/// Reads a FIFO from when it is there until its writers are gone.
struct Reader {
    lines: Arc<Mutex<Vec<String>>>,
    thread: JoinHandle<()>,
}

impl Reader {
    fn start(path: PathBuf) -> Reader {
        let lines = Arc::new(Mutex::new(Vec::new()));
        let shared = Arc::clone(&lines);
        let thread = std::thread::spawn(move || {
            let until = Instant::now() + LIMIT;
            while !fs::metadata(&path).is_ok_and(|it| it.file_type().is_fifo()) {
                assert!(Instant::now() < until, "{} never came", path.display());
                std::thread::park_timeout(std::time::Duration::from_millis(2));
            }
            let fifo = File::open(&path).expect("it can be read");
            for line in BufReader::new(fifo).lines().map_while(Result::ok) {
                shared.lock().unwrap_or_else(PoisonError::into_inner).push(line);
            }
        });
        Reader { lines, thread }
    }

    fn lines(&self) -> Vec<String> {
        self.lines.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// How often a line has come.
    fn count(&self, line: &str) -> usize {
        self.lines().iter().filter(|one| *one == line).count()
    }

    fn end(self) -> Vec<String> {
        self.thread.join().expect("the reader ends");
        self.lines.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

fn instance(name: &str, id: u8, priority: u8, script: &str) -> String {
    let scripts: String = ["master", "backup", "fault", "stop"]
        .map(|word| format!(" notify_{word} \"{script} {name} {word}\"\n"))
        .concat();
    format!(
        "vrrp_instance {name} {{\n interface eth0\n virtual_router_id {id}\n priority {priority}\n advert_int 0.1\n \
         virtual_ipaddress {{\n 10.79.0.10{id}/24\n }}\n{scripts} notify \"{script}\"\n}}\n"
    )
}

/// What the reader of a FIFO gets through take-over, fail-back, a fault and the end; and what scripts get.
fn story(player: Player) {
    let mut bed = Bed::new(player);
    let script = bed.script("script");
    let (all, vrrp) = (bed.file("all"), bed.file("vrrp"));
    let conf = format!(
        "global_defs {{\n vrrp_version 3\n script_user root\n enable_script_security\n notify_fifo {}\n \
         vrrp_notify_fifo {}\n}}\nvrrp_sync_group G {{\n group {{\n V1\n V2\n }}\n notify \"{script} group\"\n}}\n{}{}{}",
        all.display(),
        vrrp.display(),
        instance("V1", 1, 120, &script),
        instance("V2", 2, 120, &script),
        instance("V3", 3, 110, &script),
    );
    let (of_all, of_vrrp) = (Reader::start(all.clone()), Reader::start(vrrp.clone()));
    bed.start(&conf);
    let is_master = |times: usize| {
        move |reader: &Reader| {
            reader.count("INSTANCE \"V3\" MASTER 110") == times && reader.count("GROUP \"G\" MASTER 0") > 0
        }
    };
    bed.wait("was master of all", || is_master(1)(&of_vrrp));
    let looked_at = fs::metadata(&vrrp).expect("it is there");
    assert_eq!((looked_at.mode() & 0o7777, looked_at.uid()), (0o600, 0), "mode and owner");
    // Another node is better for a while.
    let better = bed.file("better.conf");
    let text = "global_defs {\n vrrp_version 3\n}\nvrrp_instance V3 {\n interface eth0\n virtual_router_id 3\n priority 150\n \
                advert_int 0.1\n virtual_ipaddress {\n 10.79.0.103/24\n }\n}\n";
    fs::write(&better, text).expect("it is written");
    let mut other = bed.keepalived("d2", &better);
    bed.wait("was backup", || of_vrrp.count("INSTANCE \"V3\" BACKUP 110") == 2);
    end(&mut other);
    bed.wait("was master again", || is_master(2)(&of_vrrp));
    bed.ip(&["link", "set", "eth0", "down"]);
    bed.wait("was at fault", || {
        of_vrrp.count("INSTANCE \"V3\" FAULT 110") == 1 && of_vrrp.count("GROUP \"G\" FAULT 0") == 1
    });
    bed.ip(&["link", "set", "eth0", "up"]);
    bed.wait("was master once more", || is_master(3)(&of_vrrp) && of_vrrp.count("GROUP \"G\" MASTER 0") == 2);
    bed.stop();
    bed.wait("told of its end", || bed.told().iter().filter(|line| line.ends_with("stop")).count() == 3);
    let (of_all, of_vrrp) = (of_all.end(), of_vrrp.end());
    assert_eq!(of_all, of_vrrp, "both FIFOs are told the same of VRRP");
    assert!(!all.exists() && !vrrp.exists(), "they go with their maker");
    let (alone, group): (Vec<String>, Vec<String>) = of_vrrp.into_iter().partition(|line| line.contains("V3"));
    let group: Vec<String> = group.iter().map(|line| line.replace("V1", "V").replace("V2", "V")).collect();
    assert_eq!(group, GROUP, "{player:?}");
    assert_eq!(alone, ALONE, "{player:?}");
    scripts(&bed, &alone);
}

/// keepalived runs its scripts side by side; evenkeel those of one instance one after the other.
fn scripts(bed: &Bed, lines: &[String]) {
    let mut wanted = Vec::new();
    for line in lines {
        let line = line.replace('"', "");
        let state = line.split(' ').nth(2).expect("the state");
        wanted.push(format!("V3 {}", state.to_lowercase()));
        wanted.push(line);
    }
    bed.wait("told all scripts", || bed.told().iter().filter(|line| line.contains("V3")).count() == wanted.len());
    let mut told: Vec<String> = bed.told().into_iter().filter(|line| line.contains("V3")).collect();
    if bed.player == Player::Keepalived {
        told.sort();
        wanted.sort();
    }
    assert_eq!(told, wanted);
    let of_group: Vec<String> = bed.told().into_iter().filter(|line| line.starts_with("group ")).collect();
    let states = ["BACKUP", "MASTER", "FAULT", "BACKUP", "MASTER", "STOP"];
    assert_eq!(of_group, states.map(|state| format!("group GROUP G {state} 0")));
}

#[test]
fn scripts_and_fifos_are_told_of_take_over_fail_back_fault_and_end() {
    if !can_run() || !has_keepalived() {
        return;
    }
    let _alone = alone();
    story(Player::Evenkeel);
}

#[test]
fn keepalived_tells_the_same_story() {
    if !can_run() || !has_keepalived() {
        return;
    }
    let _alone = alone();
    story(Player::Keepalived);
}

/// The mails of an instance that becomes backup and master.
fn mails(player: Player) {
    let mut bed = Bed::new(player);
    let mails = Mailbox::open(bed.node("d1"), ([10, 79, 0, 1], 2525).into()).expect("the mail server listens");
    let conf = "global_defs {\n vrrp_version 3\n router_id R1\n smtp_server 10.79.0.1 2525\n smtp_helo_name here.example.org\n \
                notification_email {\n a@example.org\n b@example.org\n }\n notification_email_from k@example.org\n \
                smtp_alert_vrrp\n}\nvrrp_instance V {\n interface eth0\n virtual_router_id 1\n advert_int 0.1\n \
                virtual_ipaddress {\n 10.79.0.101/24\n }\n}\n";
    bed.start(conf);
    let came = mails.wait(LIMIT, |mails| mails.len() == 2).expect("two mails come");
    let of =
        |state: &str| came.iter().find(|mail| mail.subject == format!("[R1] VRRP Instance V - Entering {state} state"));
    let (backup, master) = (of("BACKUP").expect("backup"), of("MASTER").expect("master"));
    assert_eq!(backup.text, ["=> VRRP Instance is no longer owning VRRP VIPs <="]);
    assert_eq!(master.text, ["=> VRRP Instance is now owning VRRP VIPs <="]);
    for mail in [backup, master] {
        assert_eq!((mail.helo.as_str(), mail.from.as_str()), ("here.example.org", "k@example.org"));
        assert_eq!(mail.to, ["a@example.org", "b@example.org"]);
    }
    bed.stop();
}

#[test]
fn instances_are_mailed_about_as_keepalived_does() {
    if !can_run() {
        return;
    }
    let _alone = alone();
    mails(Player::Evenkeel);
    if has_keepalived() {
        mails(Player::Keepalived);
    }
}

/// Which of three scripts run: one that others can write, one of another user's, and one that nobody else can change.
fn strict(player: Player) {
    let mut bed = Bed::new(player);
    let (safe, open) = (bed.script("safe"), bed.script("open"));
    fs::set_permissions(&open, fs::Permissions::from_mode(0o777)).expect("it is ours");
    let conf = format!(
        "global_defs {{\n vrrp_version 3\n enable_script_security\n script_user root\n}}\nvrrp_instance V {{\n interface eth0\n \
         virtual_router_id 1\n advert_int 0.1\n virtual_ipaddress {{\n 10.79.0.101/24\n }}\n notify_backup \"{open} \
         open\"\n notify_master \"{safe} safe\"\n notify \"{open} any\" no_such_user\n}}\n"
    );
    bed.start(&conf);
    bed.wait("ran the safe one", || !bed.told().is_empty());
    assert_eq!(bed.told(), ["safe"]);
    if bed.player == Player::Evenkeel {
        let log = bed.log();
        let why = "open can be written by everybody, so that others than root decide what runs as root";
        assert!(log.contains("the notify script of instance V will not be run: ") && log.contains(why), "{log}");
        assert!(log.contains("there is no user `no_such_user`"), "{log}");
    }
    bed.stop();
    assert_eq!(bed.told(), ["safe"]);
}

#[test]
fn what_others_could_change_is_not_run_as_root() {
    if !can_run() {
        return;
    }
    let _alone = alone();
    strict(Player::Evenkeel);
    if has_keepalived() {
        strict(Player::Keepalived);
    }
}

#[test]
fn a_reader_that_does_not_read_holds_up_nobody_and_a_script_reads_for_itself() {
    if !can_run() {
        return;
    }
    let _alone = alone();
    let mut bed = Bed::new(Player::Evenkeel);
    let (fifo, read, script) = (bed.file("fifo"), bed.file("read"), bed.file("reader"));
    let text = format!("#!/bin/sh\necho \"$@\" > {0}\ncat \"$2\" >> {0}\n", read.display());
    fs::write(&script, text).expect("it is written");
    fs::set_permissions(&script, fs::Permissions::from_mode(0o755)).expect("it is ours");
    let conf = format!(
        "global_defs {{\n vrrp_version 3\n script_user root\n notify_fifo {} \n notify_fifo_script \"{} first\"\n \
         vrrp_notify_fifo {}\n}}\n{}",
        fifo.display(),
        script.display(),
        bed.file("unread").display(),
        "vrrp_instance V {\n interface eth0\n virtual_router_id 1\n advert_int 0.1\n virtual_ipaddress {\n 10.79.0.101/24\n }\n}\n",
    );
    bed.start(&conf);
    let wanted = format!("first {}\nINSTANCE \"V\" BACKUP 100\nINSTANCE \"V\" MASTER 100\n", fifo.display());
    bed.wait("read by the script", || fs::read_to_string(&read).unwrap_or_default() == wanted);
    bed.stop();
}
