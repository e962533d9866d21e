//! A file system moves with its group: the OCF agent of the resource-agents package mounts it where the group is, and nowhere
//! else. Another one tells by mail.

#![expect(clippy::expect_used, reason = "a test fails by panicking")]

mod duo;

use duo::{Duo, Files, Player};
use evenkeel_lab_tests::{can_run, mailer};
use std::{fs, path::Path, process::Command, time::Duration};

const AGENT: &str = "/usr/lib/ocf/resource.d/heartbeat/Filesystem";
const PATIENCE: Duration = Duration::from_secs(60);
/// Where it is mounted, below a directory that each node has for itself.
const DATA: &str = "/mnt/data";

fn ready() -> bool {
    let there = [AGENT, "/dev/loop-control"].iter().all(|path| Path::new(path).exists());
    if can_run() && !there {
        println!("skipped: needs OCF agents (apt install resource-agents) and loop devices");
    }
    can_run() && there
}

/// Two nodes without scripts of the heartbeat package, which reach the same disk, a file.
fn pair() -> Duo {
    let private = [&["/mnt", "/etc/ha.d/resource.d"][..], &mailer::PLACES].concat();
    let mut duo = Duo::new([Player::Evenkeel; 2], Files { private, ..Files::quick(200, 2000) });
    (0..2).for_each(|at| mailer::install(&duo.private(at, mailer::PLACES[0])));
    let disk = duo.private(0, "disk");
    fs::write(&disk, vec![0; 4 << 20]).expect("the disk is made");
    let made = Command::new("mkfs.ext4").arg("-q").arg(&disk).output().expect("mkfs.ext4 runs");
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    duo.set_haresources(&format!(
        "ha1 10.168.0.160/24/eth0 Filesystem::{}::{DATA}::ext4::loop MailTo::root@localhost::disk nginx\n",
        disk.display()
    ));
    duo
}

/// Whether a node has sent these mails, by their subjects.
fn has_told(duo: &Duo, at: usize, subjects: &[&str]) -> bool {
    mailer::are(&mailer::mails(&duo.private(at, mailer::PLACES[0])), subjects, " root@localhost")
}

fn mounted(duo: &Duo, at: usize) -> bool {
    duo.ask_room(at, &["mountpoint", "-q", DATA]).is_some()
}

fn serves(duo: &Duo, at: usize) -> bool {
    duo.owners() == [at] && duo.serves(at) && mounted(duo, at) && !mounted(duo, 1 - at)
}

#[test]
fn a_file_system_moves_with_its_group_and_is_mounted_again_when_it_was_not_meant_to_go() {
    if !ready() {
        return;
    }
    let mut duo = pair();
    duo.start(0);
    duo.start(1);
    duo.wait("it was mounted on the first", PATIENCE, || serves(&duo, 0));
    duo.ask_room(0, &["cp", "/proc/uptime", "/mnt/data/written"]).expect("it can be written to");
    let written = duo.ask_room(0, &["cat", "/mnt/data/written"]);
    let (done, said) = duo.tell(0, &["standby", "all"]);
    assert!(done, "{said}");
    duo.wait("it was mounted on the second", PATIENCE, || serves(&duo, 1));
    assert_eq!(duo.ask_room(1, &["cat", "/mnt/data/written"]), written);
    // The mails were not sent, which is nobody's business but theirs.
    let mails = [0, 1].map(|at| mailer::mails(&duo.private(at, mailer::PLACES[0])));
    let (came, went) = ("disk Takeover in progress", "disk Migrating resource away");
    assert!(has_told(&duo, 0, &[came, went]) && has_told(&duo, 1, &[came]), "{mails:?}");

    duo.ask_room(1, &["umount", DATA]).expect("it is unmounted by hand");
    duo.wait("it was mounted again", PATIENCE, || serves(&duo, 1));
    duo.wait_log(1, "does not run any more; it is started again here (1 of 3 times)");
    assert_eq!(duo.ask_room(1, &["cat", "/mnt/data/written"]), written);
}

#[test]
fn a_file_system_that_cannot_be_mounted_moves_its_group_and_the_agent_says_why() {
    if !ready() {
        return;
    }
    let mut duo = pair();
    fs::write(duo.private(0, "/mnt/data"), "in the way").expect("a file is written");
    duo.start(0);
    duo.start(1);
    duo.wait("it was mounted on the second", PATIENCE, || serves(&duo, 1));
    duo.wait_log(0, "not installed, exit status 5");
    let log = duo.log(0);
    assert!(log.contains("Couldn't find directory"), "{log}");
    assert!(has_told(&duo, 0, &[]) && has_told(&duo, 1, &["disk Takeover in progress"]), "the order was kept");
}
