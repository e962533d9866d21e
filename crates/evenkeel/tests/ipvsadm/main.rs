//! The links ipvsadm, ipvsadm-save and ipvsadm-restore replay what ipvsadm 1.31 did on Linux 6.1
//! (tests/conformance/ipvsadm): the same lines, byte for byte the same output and exit statuses. Needs root, for a
//! network namespace in which no resolver answers.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod fake;
mod replay;

use evenkeel_api::table::{ConnectionEntry, EngineKey};
use fake::Fake;
use replay::Bed;
use std::{fs, os::fd::AsRawFd};

/// Connection synchronisation comes later.
const LATER: &str = "18-daemon";

#[test]
fn every_recording_is_replayed_by_an_instance_of_the_tests_own() {
    let Some(bed) = Bed::new("fake") else { return };
    let _fake = Fake::start(&bed.runtime_dir());
    replay_all(&bed);
}

#[test]
fn every_recording_is_replayed_by_an_instance_in_memory() {
    let Some(bed) = Bed::new("memory") else { return };
    replay_all(&bed.in_memory());
}

#[test]
fn every_recording_is_replayed_on_the_packet_path() {
    let Some(bed) = Bed::new("real") else { return };
    replay_all(&bed);
}

fn replay_all(bed: &Bed) {
    let mut wrong = Vec::new();
    let mut replayed = 0;
    for (name, script, recorded) in replay::recordings() {
        if name == LATER {
            continue;
        }
        replayed += 1;
        let text = bed.replay(&script);
        wrong.extend(replay::difference(&recorded, &text).map(|text| format!("{name}: {text}")));
    }
    assert!(replayed >= 30, "only {replayed} recordings");
    assert!(wrong.is_empty(), "{}", wrong.join("\n\n"));
}

#[test]
fn the_first_change_starts_an_instance_that_keeps_nothing_of_its_caller() {
    let Some(bed) = Bed::new("start") else { return };
    assert_eq!(
        bed.line(
            "ipvsadm -Ln; ipvsadm -C; ipvsadm -D -t 10.9.0.1:80; echo $?; evenkeel status >/dev/null 2>&1; echo $?"
        ),
        "\
IP Virtual Server version 1.2.1 (size=4096)
Prot LocalAddress:Port Scheduler Flags
  -> RemoteAddress:Port           Forward Weight ActiveConn InActConn
No such service
255
3
"
    );
    // The caller holds a lock and a pipe, as a script of an init system does.
    let lock = fs::File::create(bed.directory().join("lock")).unwrap();
    let held = lock.as_raw_fd();
    let text = bed.line("exec 9>held.lock; flock 9; ipvsadm -A -t 10.9.0.1:80 -s rr & wait $!; ipvsadm -Sn");
    assert_eq!(text, "-A -t 10.9.0.1:80 -s rr\n", "{held}");
    assert_eq!(bed.line("flock -n held.lock echo free"), "free\n");
    let status = bed.daemon_status();
    // A session of its own, led by a process that is gone.
    assert_ne!(status.session, status.caller_session);
    assert_ne!(status.session, status.pid);
    for (number, target) in &status.descriptors {
        let null = target == "/dev/null";
        assert_eq!(*number <= 2, null, "{number} is {target}");
        assert!(!target.contains("held.lock"), "{number} is {target}");
    }
}

#[test]
fn two_first_changes_at_once_start_one_instance() {
    let Some(bed) = Bed::new("race") else { return };
    let line = "for p in 1 2 3 4; do ipvsadm -A -t 10.9.0.1:$p -s rr & done; wait; ipvsadm -Sn";
    let rules: String = (1..=4).map(|p| format!("-A -t 10.9.0.1:{p} -s rr\n")).collect();
    assert_eq!(bed.line(line), rules);
}

#[test]
fn an_instance_that_is_still_dying_is_followed_by_the_next() {
    let Some(bed) = Bed::new("dying") else { return };
    let rules = "-A -t 10.9.0.1:80 -s rr\n-a -t 10.9.0.1:80 -r 10.0.0.9:80 -g -w 1\n";
    bed.line("ipvsadm -A -t 10.9.0.1:80 -s rr; ipvsadm -a -t 10.9.0.1:80 -r 10.0.0.9:80");
    for _ in 0..5 {
        assert_eq!(bed.line("kill -9 $(cat run/pid); ipvsadm -Sn"), rules);
    }
    // A change is made by the next instance, and once.
    assert_eq!(bed.line("kill -9 $(cat run/pid); ipvsadm -A -t 10.9.0.2:80 -s rr; echo $?"), "0\n");
    assert_eq!(bed.line("ipvsadm -Sn | grep -c -- -A"), "2\n");
}

#[test]
fn a_table_outlives_a_kill_in_its_order_and_as_it_was_given() {
    let Some(bed) = Bed::new("order") else { return };
    // 10.0.0.2 is the host itself.
    bed.line(
        "ipvsadm -A -t 10.9.0.9:80 -s rr; ipvsadm -A -u 10.9.0.1:53 -s rr; ipvsadm -A -t 10.9.0.5:80 -s rr; \
         ipvsadm -D -t 10.9.0.9:80; ipvsadm -A -t 10.9.0.3:80 -s rr; \
         for r in 10.0.0.7 10.0.0.9 10.0.0.8; do ipvsadm -a -t 10.9.0.5:80 -r $r; done; \
         ipvsadm -a -t 10.9.0.5:80 -r 10.0.0.2 -m; ipvsadm -a -u 10.9.0.1:53 -r 10.0.0.2 -i; \
         ipvsadm -a -t 10.9.0.3:80 -r 127.0.0.1 -g",
    );
    let before = bed.line("ipvsadm -Ln --nosort; ipvsadm -Sn");
    let line = |text: &str| before.lines().position(|line| line.contains(text)).unwrap_or_else(|| panic!("{before}"));
    assert!(line("10.9.0.1:53") < line("10.9.0.5:80") && line("10.9.0.5:80") < line("10.9.0.3:80"), "{before}");
    assert!(line("10.0.0.2:80") < line("10.0.0.8:80") && line("10.0.0.8:80") < line("10.0.0.9:80"), "{before}");
    for given in [
        "10.0.0.2:80                  Masq ",
        "10.0.0.2:53                  Tunnel ",
        "127.0.0.1:80                 Route ",
    ] {
        line(given);
    }
    for _ in 0..2 {
        assert_eq!(bed.line("kill -9 $(cat run/pid); ipvsadm -Ln --nosort; ipvsadm -Sn"), before);
    }
}

#[test]
fn what_only_looks_is_asked_again_and_a_change_is_not() {
    let Some(bed) = Bed::new("hangup") else { return };
    let fake = Fake::start(&bed.runtime_dir());
    bed.line("ipvsadm -A -t 10.9.0.1:80 -s rr");
    let before = fake.requests();
    fake.hang_up();
    assert_eq!(bed.line("ipvsadm -Sn"), "-A -t 10.9.0.1:80 -s rr\n");
    fake.hang_up();
    assert_eq!(
        bed.line("ipvsadm -Lcn; echo $?"),
        "IPVS connection entries\npro expire state       source             virtual            destination\n0\n"
    );
    assert_eq!(fake.requests(), before + 4, "each is asked twice");
    fake.hang_up();
    assert_eq!(
        bed.line("ipvsadm -A -t 10.9.0.2:80 -s rr; echo $?"),
        "Can't initialize ipvs: the daemon hung up without an answer\n2\n"
    );
    assert_eq!(fake.requests(), before + 5, "an edit is sent once");
}

#[test]
fn a_restore_that_is_atomic_changes_nothing_where_a_line_is_bad() {
    let Some(bed) = Bed::new("atomic") else { return };
    let _fake = Fake::start(&bed.runtime_dir());
    bed.line("ipvsadm -A -t 10.9.0.1:80 -s rr");
    let rules =
        |last: &str| format!("printf -- '-A -t 10.9.0.2:80 -s rr\\n\\n{last}\\n' | ipvsadm -R --atomic; echo $?");
    assert_eq!(bed.line(&rules("-A -t 10.9.0.1:80")), "line 3: Service already exists; nothing was changed\n255\n");
    assert_eq!(
        bed.line(&rules("-A -t 10.9.0.3:80 -w 5")),
        "line 3: Illegal 'weight' option with the 'add-service' command\n2\n"
    );
    assert_eq!(bed.line(&rules("-L")), "line 3: only changes can be made all or nothing\n2\n");
    assert_eq!(bed.line("ipvsadm -Sn"), "-A -t 10.9.0.1:80 -s rr\n");
    assert_eq!(bed.line(&rules("-A -t 10.9.0.3:80")), "0\n");
    let restored = "printf '# all\\n-A -t 10.9.0.4:80 -s rr\\n' | ipvsadm-restore --atomic; ipvsadm-save -n";
    assert_eq!(bed.line(restored), "-A -t 10.9.0.4:80 -s rr\n");
    let bad = "printf '# all\\n-A -t 10.9.0.5:80 -s nosuch\\n' | ipvsadm-restore --atomic; ipvsadm-save -n";
    assert_eq!(
        bed.line(bad),
        "line 2: Scheduler or persistence engine not found; nothing was changed\n-A -t 10.9.0.4:80 -s rr\n"
    );
}

#[test]
fn ten_thousand_services_are_restored_in_a_few_requests() {
    let Some(bed) = Bed::new("many") else { return };
    let fake = Fake::start(&bed.runtime_dir());
    let rules: String = (0..10_000)
        .map(|n| {
            format!("-A -t 10.{}.{}.1:80 -s wlc\n-a -t 10.{0}.{1}.1:80 -r 192.168.0.1:80 -m -w 1\n", n / 250, n % 250)
        })
        .collect();
    fs::write(bed.directory().join("rules"), &rules).unwrap();
    assert_eq!(bed.line("ipvsadm -R < rules; echo $?"), "0\n");
    let few = 20_000 * 300 / evenkeel_api::REQUEST_LINE_MAX;
    assert!(fake.requests() < few, "{} requests", fake.requests());
    assert_eq!(bed.line("ipvsadm -Sn | sort > saved; sort rules | cmp - saved && echo same"), "same\n");
    // All are refused, and said to be.
    let refused = "head -600 rules | ipvsadm -R 2>&1 | sort | uniq -c | sed 's/^ *//'";
    assert_eq!(bed.line(refused), "300 Destination already exists\n300 Service already exists\n");
}

#[test]
fn connections_and_the_files_of_proc_are_shown() {
    let Some(bed) = Bed::new("conns") else { return };
    let fake = Fake::start(&bed.runtime_dir());
    let at = |text: &str| text.parse().unwrap();
    fake.connections(vec![ConnectionEntry {
        protocol: 17,
        client: at("192.168.1.10:5555"),
        virtual_address: at("10.0.0.100:5060"),
        real_server: at("10.0.0.11:5060"),
        translated_client: None,
        state: "UDP".to_owned(),
        expires_s: 299,
        template: false,
        engine: Some(EngineKey { name: "sip".to_owned(), data: "abc".to_owned() }),
        service: "web".to_owned(),
    }]);
    bed.line("ipvsadm -A -f 7 -s rr");
    assert_eq!(
        bed.line("ipvsadm -Lcn; ipvsadm -Lc | tail -1; ipvsadm -Lcn --persistent-conn | tail -1"),
        "\
IPVS connection entries
pro expire state       source             virtual            destination
UDP 04:59  UDP         192.168.1.10:5555  10.0.0.100:5060    10.0.0.11:5060
UDP 04:59  UDP         192.168.1.10:rplay 10.0.0.100:sip     10.0.0.11:sip
UDP 04:59  UDP         192.168.1.10:5555  10.0.0.100:5060    10.0.0.11:5060   sip                abc
"
    );
    assert_eq!(bed.line("evenkeel ipvsadm --proc ip_vs | tail -1; evenkeel ipvsadm --proc ip_vs_conn | tail -1; evenkeel ipvsadm --proc ip_vs_stats | tail -1; evenkeel ipvsadm --proc x; echo $?"), "\
FWM  00000007 rr 
UDP C0A8010A 15B3 0A000064 13C4 0A00000B 13C4 UDP             299 sip abc
       0        0        0                0                0
--proc knows ip_vs, ip_vs_conn and ip_vs_stats, not x
2
");
}

#[test]
fn the_manual_shows_what_is_printed() {
    let Some(bed) = Bed::new("manual") else { return };
    let bed = bed.in_memory();
    let manual = fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/manual/ipvsadm.md")).unwrap();
    let mut blocks = 0;
    for block in manual.split("```ipvsadm-console\n").skip(1) {
        let shown = block.split("```").next().unwrap();
        let indent = shown.len() - shown.trim_start_matches(' ').len();
        let shown: String = shown.lines().map(|line| format!("{}\n", line.get(indent..).unwrap_or(""))).collect();
        // What is behind the last line feed is the indentation of the closing fence.
        let shown = shown.trim_end_matches('\n').to_owned() + "\n";
        let printed: String = shown
            .lines()
            .filter_map(|line| line.strip_prefix("$ "))
            .map(|line| format!("$ {line}\n{}", bed.line(line)))
            .collect();
        assert_eq!(printed, shown);
        blocks += 1;
    }
    assert_eq!(blocks, 2);
}
