//! A pair whose resources do not start, die, or cannot be stopped, and whose nodes are fenced: with real scripts.

#![expect(clippy::expect_used, reason = "a test fails by panicking")]

mod duo;

use duo::{Duo, Files, Player};
use evenkeel_lab_tests::can_run;
use std::{collections::BTreeSet, fs, os::unix::fs::PermissionsExt, path::Path, time::Duration};

const BOTH: [Player; 2] = [Player::Evenkeel; 2];
const PATIENCE: Duration = Duration::from_secs(60);

fn program(path: &Path, text: &str) {
    fs::create_dir_all(path.parent().expect("it is in a directory")).expect("a directory can be made");
    fs::write(path, format!("#!/bin/sh\n{text}\n")).expect("a file is written");
    fs::set_permissions(path, fs::Permissions::from_mode(0o755)).expect("its mode is set");
}

/// An address, nginx, and what is called `last`.
fn files() -> Files {
    let mut files = Files::quick(200, 2000);
    files.haresources = "ha1 10.168.0.160/24/eth0 nginx last\n".to_owned();
    files
}

/// A script that does as the files beside it say: `broken` it does not start, `wedged` it does not stop.
fn last(duo: &Duo, at: usize) {
    let etc = duo.etc(at);
    let text = format!(
        "cd {} || exit 1\ncase $1 in\nstart) [ -e broken ] && {{ echo it is broken >&2; exit 1; }}; touch last.state;;\n\
         stop) [ -e wedged ] && {{ echo device is busy >&2; exit 1; }}; rm -f last.state;;\n\
         status) [ -e last.state ] && echo running && touch last.told;;\nesac\nexit 0",
        etc.display()
    );
    program(&etc.join("resource.d/last"), &text);
}

fn settled() -> Duo {
    let mut duo = Duo::new(BOTH, files());
    for at in 0..2 {
        last(&duo, at);
        duo.start(at);
    }
    duo.wait("the last resource ran on the first", PATIENCE, || runs(&duo) == [0]);
    duo
}

/// Where the last resource runs.
fn runs(duo: &Duo) -> Vec<usize> {
    (0..2).filter(|at| duo.etc(*at).join("last.state").exists()).collect()
}

fn set(duo: &Duo, at: usize, what: &str) {
    fs::write(duo.etc(at).join(what), "").expect("a file is written");
}

#[test]
fn a_group_that_does_not_start_moves_to_the_other_node() {
    if !can_run() {
        return;
    }
    let mut duo = Duo::new(BOTH, files());
    for at in 0..2 {
        last(&duo, at);
    }
    set(&duo, 0, "broken");
    duo.start(0);
    duo.start(1);
    duo.wait("it ran on the second", PATIENCE, || runs(&duo) == [1] && duo.owners() == [1] && duo.serves(1));
    duo.wait_log(0, "`last` did not start: exit status 1: it is broken");
    assert!(!duo.serves(0), "what was started with it is stopped");
}

#[test]
fn a_resource_that_dies_is_restarted_where_it_is() {
    if !can_run() {
        return;
    }
    let duo = settled();
    // It has been looked at, so that it is known to tell when it runs.
    duo.wait("it was looked at", PATIENCE, || duo.etc(0).join("last.told").exists());
    fs::remove_file(duo.etc(0).join("last.state")).expect("it dies");
    duo.wait("it ran again", PATIENCE, || runs(&duo) == [0]);
    duo.wait_log(0, "`last` does not run any more; it is started again here (1 of 3 times)");
    assert_eq!(duo.owners(), [0]);
    assert!(!duo.log(1).contains("last"), "{}", duo.log(1));
}

#[test]
fn what_cannot_be_stopped_stays_until_an_operator_says_that_it_has_ended() {
    if !can_run() {
        return;
    }
    let duo = settled();
    let (done, said) = duo.tell(0, &["confirm", "10.168.0.160/24/eth0"]);
    assert!(!done && said.contains("the group has not failed to stop here"), "{said}");
    set(&duo, 0, "wedged");
    let asked = std::thread::scope(|scope| {
        let asked = scope.spawn(|| duo.tell(0, &["standby", "all"]));
        duo.wait_log(0, "evenkeel confirm 10.168.0.160/24/eth0");
        assert_eq!((runs(&duo), duo.owners()), (vec![0], vec![0]));
        fs::remove_file(duo.etc(0).join("last.state")).expect("it is ended by hand");
        let (done, said) = duo.tell(0, &["confirm", "10.168.0.160/24/eth0"]);
        assert!(done, "{said}");
        asked.join().expect("it answers")
    });
    assert!(asked.0, "{}", asked.1);
    duo.wait("it ran on the second", PATIENCE, || runs(&duo) == [1]);
}

#[test]
fn a_node_that_cannot_stop_something_says_so_and_does_not_end_before_an_operator_confirms() {
    if !can_run() {
        return;
    }
    let mut duo = settled();
    set(&duo, 0, "wedged");
    std::thread::scope(|scope| {
        let stopped = scope.spawn(|| duo.tell(0, &["stop"]));
        duo.wait_log(
            0,
            "group 10.168.0.160/24/eth0 cannot be stopped: `last` did not stop: exit status 1: device is busy",
        );
        duo.wait_log(0, "or end this node without: `evenkeel stop` once more");
        duo.wait_status(0, "by hand, then `evenkeel confirm 10.168.0.160/24/eth0`");
        assert_eq!((runs(&duo), duo.owners()), (vec![0], vec![0]), "nobody took it");
        fs::remove_file(duo.etc(0).join("last.state")).expect("it is ended by hand");
        let (done, said) = duo.tell(0, &["confirm", "10.168.0.160/24/eth0"]);
        assert!(done, "{said}");
        let (done, said) = stopped.join().expect("it answers");
        assert!(done, "{said}");
    });
    duo.wait("it ran on the second", PATIENCE, || runs(&duo) == [1] && duo.owners() == [1]);
    // Asked twice, it ends all the same, says what it has left, and its exit status tells.
    set(&duo, 1, "wedged");
    let (_, first) = std::thread::scope(|scope| {
        let first = scope.spawn(|| duo.tell(1, &["stop"]));
        duo.wait_log(1, "or end this node without: `evenkeel stop` once more");
        (duo.tell(1, &["stop"]), first.join().expect("it answers"))
    });
    assert!(!first.0, "{first:?}");
    assert!(first.1.contains("group 10.168.0.160/24/eth0 cannot be stopped"), "{first:?}");
    assert_eq!(duo.exit(1), Some(1));
}

#[test]
fn where_a_failfast_program_dies_the_groups_move_and_the_watchdog_is_left_to_restart_the_host() {
    if !can_run() {
        return;
    }
    let directory = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("vital-{}", std::process::id()));
    let vital = directory.join("vital");
    program(&vital, &format!("while [ ! -e {}/die.$HA_CURHOST ]; do sleep 0.1; done; exit 3", directory.display()));
    // What is written to a watchdog can be read back from a FIFO: it is petted with zeros, and stopped with a V.
    let device = directory.join("watchdog");
    rustix::fs::mknodat(rustix::fs::CWD, &device, rustix::fs::FileType::Fifo, 0o600.into(), 0).expect("a FIFO");
    let reader = rustix::fs::open(&device, rustix::fs::OFlags::RDWR | rustix::fs::OFlags::NONBLOCK, 0o600.into());
    let reader = reader.expect("it opens");
    let written = || {
        let mut bytes = [0; 4096];
        rustix::io::read(&reader, &mut bytes).map_or(Vec::new(), |length| bytes[..length].to_vec())
    };
    let mut files = Files::quick(200, 1500).with(&format!("failfast root {}\n", vital.display()));
    files.media[0] += &format!("watchdog {}\n", device.display());
    let mut duo = Duo::settled(BOTH, files);
    duo.wait("the watchdog was petted", PATIENCE, || !written().is_empty());
    fs::write(directory.join("die.ha1"), "").expect("it dies");
    duo.wait_log(0, "its groups go to the other node, and the watchdog restarts this host");
    duo.wait_served(1);
    written();
    duo.stop(0);
    assert_eq!(written(), [0u8; 0], "neither petted nor stopped");
    drop(duo);
    fs::remove_dir_all(&directory).expect("it is removed");
}

#[test]
fn nothing_of_a_dead_node_is_taken_while_it_cannot_be_fenced() {
    if !can_run() {
        return;
    }
    let mut duo = Duo::settled(BOTH, Files::quick(200, 2000).with("stonith_host * nonesuch ha1 ha2\n"));
    duo.kill(0);
    duo.wait_log(1, "node ha1 was not fenced: nonesuch: ");
    // Its address has ended with its lease, and is nowhere; it is tried again and again.
    duo.wait("the address of the dead node went", PATIENCE, || duo.owners().is_empty());
    duo.wait("it was tried again", PATIENCE, || duo.log(1).matches("was not fenced").count() >= 2);
    assert!(duo.owners().is_empty() && !duo.serves(1));
    let (done, said) = duo.tell(1, &["confirm", "ha1"]);
    assert!(done && said.contains("that node counts as off"), "{said}");
    duo.wait_owners(&[1]);
    duo.wait("nginx ran on the second", PATIENCE, || duo.serves(1));
}

#[test]
fn a_dead_node_is_fenced_by_the_stonith_of_cluster_glue_and_its_group_taken() {
    if !can_run() {
        return;
    }
    if !Path::new("/usr/sbin/stonith").exists() {
        println!("skipped: needs cluster-glue");
        return;
    }
    let mut duo = Duo::settled(BOTH, Files::quick(200, 2000).with("stonith_host * null ha1 ha2\n"));
    duo.kill(0);
    duo.wait_owners(&[1]);
    // The address does not wait for the log.
    duo.wait_log(1, "node ha1 was fenced by null");
}

/// As the document has it, which starts nginx at boot on both nodes.
#[test]
fn what_runs_on_both_nodes_at_their_start_is_left_and_taken_over_as_it_is() {
    if !can_run() {
        return;
    }
    let mut duo = Duo::new(BOTH, files());
    for at in 0..2 {
        last(&duo, at);
        set(&duo, at, "last.state");
        // It would fail if it were started.
        set(&duo, at, "broken");
    }
    duo.start(0);
    duo.start(1);
    duo.wait_owners(&[0]);
    duo.wait_log(0, "`last` runs already");
    duo.wait_status(1, "\"stable\":true");
    // The other node leaves its own alone, and takes it over as it is.
    assert_eq!((runs(&duo), duo.log(1).contains("`last`")), (vec![0, 1], false), "{}", duo.log(1));
    duo.stop(0);
    duo.wait_owners(&[1]);
    duo.wait_log(1, "`last` runs already");
    assert_eq!(runs(&duo), [1], "the first has stopped its own as it left");
}

/// Heartbeat says CRITICAL of it in its log; here it is said on the node that has it, and on the one that serves.
#[test]
fn an_address_of_a_group_that_somebody_else_has_put_on_a_node_is_told_until_it_is_gone() {
    if !can_run() {
        return;
    }
    let mut duo = Duo::new(BOTH, Files::quick(200, 2000));
    duo.run("ha2", "ip address add 10.168.0.160/24 dev eth0");
    duo.start(1);
    duo.wait_log(1, "this host has 10.168.0.160 (eth0), which a resource group is to hold");
    duo.start(0);
    duo.wait_served(0);
    duo.wait_log(0, "10.168.0.160/24/eth0: 10.168.0.160 is also at ");
    duo.wait_status(0, "10.168.0.160 is also at ");
    duo.wait_status(1, "`ip address del 10.168.0.160/24 dev eth0`");
    duo.run("ha2", "ip address del 10.168.0.160/24 dev eth0");
    duo.wait("the warning was over", PATIENCE, || !duo.status(1).contains("ip address del"));
    // What the group itself brings here is none.
    duo.stop(0);
    duo.wait_owners(&[1]);
    assert_eq!(duo.log(1).matches("this host has").count(), 1, "{}", duo.log(1));
}

#[test]
fn scripts_of_rc_d_are_told_of_messages_and_programs_are_kept_running() {
    if !can_run() {
        return;
    }
    let directory = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("kept-{}", std::process::id()));
    let read = |name: &str| fs::read_to_string(directory.join(name)).unwrap_or_default();
    let kept = directory.join("kept");
    program(&kept, &format!("echo $HA_color >> {}/lives.$HA_CURHOST\nexit 3", directory.display()));
    let lines = format!("respawn root {}\nenv color=blue\n", kept.display());
    let mut duo = Duo::new(BOTH, Files::quick(200, 2000).with(&lines));
    let told = format!("echo $HA_t $HA_src $HA_st >> {}/heard.$HA_CURHOST", directory.display());
    program(&duo.etc(0).join("rc.d/status"), &told);
    duo.start(0);
    duo.start(1);
    duo.wait("the script was told", PATIENCE, || read("heard.ha1").contains("status ha2 active\n"));
    duo.wait("the program lived twice on both", PATIENCE, || {
        ["lives.ha1", "lives.ha2"].iter().all(|lives| read(lives).starts_with("blue\nblue\n"))
    });
    duo.wait_log(0, "has ended: exit status 3; it is started again in 1 s");
    drop(duo);
    fs::remove_dir_all(&directory).expect("it is removed");
}

/// A program that is kept running: its process, and lines of `status` of proc.
fn kept(argument: &str) -> Option<(u32, String)> {
    let wanted = format!("/bin/sleep\0{argument}\0");
    let ids = fs::read_dir("/proc").expect("proc is there").flatten();
    let mut ids = ids.filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok());
    let id = ids.find(|id| fs::read(format!("/proc/{id}/cmdline")).is_ok_and(|line| line == wanted.as_bytes()))?;
    Some((id, fs::read_to_string(format!("/proc/{id}/status")).ok()?))
}

#[test]
fn a_program_is_kept_running_as_the_user_of_its_line_and_ends_with_the_daemon() {
    if !can_run() {
        return;
    }
    let users = fs::read_to_string("/etc/passwd").expect("the users are listed");
    let Some(user) = users.lines().find(|line| line.starts_with("hacluster:")) else {
        println!("skipped: needs the user hacluster (apt install heartbeat)");
        return;
    };
    let mut numbers = user.split(':').skip(2);
    let (uid, gid) = (numbers.next().expect("a user"), numbers.next().expect("a group"));
    let time = format!("86400.{}", std::process::id());
    let mut duo = Duo::new(
        [Player::Evenkeel; 2],
        Files::quick(200, 2000).with(&format!("respawn hacluster /bin/sleep {time}\n")),
    );
    duo.start(0);
    let alive = |duo: &Duo, but: u32| {
        let mut found = (0, String::new());
        duo.wait("it ran", PATIENCE, || {
            found = kept(&time).filter(|(id, _)| *id != but).unwrap_or_default();
            found.0 != 0
        });
        found
    };
    let (first, status) = alive(&duo, 0);
    let words = |name: &str| {
        let line = status.lines().find_map(|line| line.strip_prefix(name)).expect("proc tells it");
        line.split_whitespace().map(str::to_owned).collect::<Vec<_>>()
    };
    assert_eq!((words("Uid:"), words("Gid:")), (vec![uid.to_owned(); 4], vec![gid.to_owned(); 4]));
    let groups = std::process::Command::new("id").args(["-G", "hacluster"]).output().expect("id runs").stdout;
    let sorted = |words: Vec<String>| words.into_iter().collect::<BTreeSet<_>>();
    let groups = String::from_utf8_lossy(&groups).split_whitespace().map(str::to_owned).collect();
    assert_eq!(sorted(words("Groups:")), sorted(groups), "as after a login");
    assert_eq!(words("CapEff:"), ["0000000000000000"]);

    let killed = std::process::Command::new("kill").args(["-9", &first.to_string()]).status();
    assert!(killed.is_ok_and(|status| status.success()));
    duo.wait_log(0, "has ended: ended by signal 9; it is started again in 1 s");
    alive(&duo, first);
    duo.stop(0);
    assert_eq!(kept(&time), None, "it outlived the daemon");
}
