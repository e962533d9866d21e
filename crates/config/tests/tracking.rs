//! What instances track: the same from a keepalived.conf and from the native file, by keepalived 2.2.7's rules.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod common;

use common::{keepalived, native};
use evenkeel_config::{Loaded, to_toml};
use evenkeel_model::{
    Account, Cluster,
    vrrp::{Initial, ParameterMatch, Quorum, Target, Track, Tracker},
};
use std::time::Duration;

fn brief(loaded: &Loaded) -> String {
    common::brief(loaded).join("\n")
}

fn instance(name: &str, id: u8, words: &str) -> String {
    format!(
        "vrrp_instance {name} {{\n interface eth0\n virtual_router_id {id}\n virtual_ipaddress {{\n 192.0.2.{id}/24\n \
         }}\n{words}\n}}\n"
    )
}

const TRACKERS: &str = "global_defs {\n script_user nobody\n vrrp_startup_delay 2.5\n}\n\
    vrrp_script chk {\n script \"/usr/bin/pgrep nginx\"\n interval 2\n rise 3\n weight -20\n init_fail\n}\n\
    vrrp_script plain {\n script /bin/true\n user root wheel\n}\n\
    track_file load {\n file /run/load\n init_file 5 overwrite\n}\n\
    vrrp_track_process web {\n process nginx -g daemon\n param_match partial\n quorum 2\n quorum_max 4\n delay 1\n \
    fork_delay 3\n}\n\
    vrrp_track_process none {\n process bird\n quorum_max 0\n}\n\
    interface_up_down_delays {\n eth1 2 0.5\n}\n";

fn cluster(text: &str) -> Cluster {
    let loaded = keepalived(text);
    loaded.cluster.clone().unwrap_or_else(|| panic!("{}", brief(&loaded)))
}

fn tracks(cluster: &Cluster, at: usize) -> Vec<(String, i32, bool)> {
    let of = |track: &Track| (track.target.to_string(), track.weight, track.reverse);
    cluster.vrrp.instances[at].tracks.iter().map(of).collect()
}

fn is(cluster: &Cluster, at: usize, wanted: &[(&str, i32, bool)]) {
    let wanted: Vec<_> = wanted.iter().map(|(name, weight, reverse)| ((*name).to_owned(), *weight, *reverse)).collect();
    assert_eq!(tracks(cluster, at), wanted);
}

#[test]
fn trackers_have_keepalived_s_defaults() {
    let cluster = cluster(&(TRACKERS.to_owned() + &instance("a", 1, "dont_track_primary")));
    assert!(!cluster.vrrp.instances[0].needs_interface);
    assert_eq!(cluster.vrrp.startup_delay, Duration::from_millis(2500));
    let mut names = Vec::new();
    for tracker in &cluster.vrrp.trackers {
        names.push(tracker.target().to_string());
        match tracker {
            Tracker::Interface { delays, .. } => {
                assert_eq!((delays.down, delays.up), (Duration::from_secs(2), Duration::from_millis(500)));
            }
            Tracker::Script { name, script, account, rhythm } if name == "chk" => {
                assert_eq!(script.arguments, ["nginx"]);
                assert_eq!(account, &Some(Account { user: "nobody".into(), group: None }));
                assert_eq!((rhythm.timeout, rhythm.rise, rhythm.fall), (Duration::from_secs(2), 3, 1));
                assert_eq!(rhythm.initially, Initial::Down);
            }
            Tracker::Script { account, rhythm, .. } => {
                assert_eq!(account.as_ref().unwrap().to_string(), "root:wheel");
                assert_eq!(rhythm.initially, Initial::Unknown);
            }
            Tracker::File(file) => assert_eq!((file.initial, file.overwrite), (Some(5), true)),
            Tracker::Process(process) if process.name == "web" => {
                let words = vec!["-g".to_owned(), "daemon".to_owned()];
                assert_eq!(process.parameters, Some(ParameterMatch::Leading(words)));
                assert!(process.whole_command);
                assert_eq!(process.quorum, Quorum { least: 2, most: Some(4) });
                let delays = (process.fork_delay, process.terminate_delay);
                assert_eq!(delays, (Duration::from_secs(3), Duration::from_secs(1)));
            }
            Tracker::Process(process) => {
                assert_eq!(process.quorum, Quorum { least: 0, most: Some(0) });
                assert_eq!((process.whole_command, &process.parameters), (false, &None));
            }
        }
    }
    assert_eq!(names, ["interface eth1", "script chk", "script plain", "file load", "process web", "process none"]);
}

#[test]
fn a_track_takes_the_weight_of_what_it_names_unless_it_has_its_own() {
    let words = "track_script {\n chk\n plain weight 5 reverse\n}\n track_file {\n load\n}\n track_process {\n web\n}\n \
                 track_interface {\n eth1 weight 7\n eth0\n}";
    let cluster = cluster(&(TRACKERS.to_owned() + &instance("a", 1, words)));
    let wanted = [
        ("interface eth1", 7, false),
        ("script chk", -20, false),
        ("script plain", 5, true),
        ("file load", 1, false),
        ("process web", 0, false),
    ];
    is(&cluster, 0, &wanted);
}

/// An instance that tracks one of each kind with a weight, and one more that shares its group.
fn grouped(group: &str, words: &str) -> String {
    let weighs = "track_script {\n chk\n}\n track_file {\n load\n}\n track_interface {\n eth1 weight 7\n}\n \
                  track_process {\n web weight 3\n}\n";
    let group = format!("vrrp_sync_group G {{\n group {{\n a\n b\n }}\n{group}\n}}\n");
    TRACKERS.to_owned() + &group + &instance("a", 1, &format!("{weighs}{words}")) + &instance("b", 2, "")
}

#[test]
fn weights_of_members_count_in_groups_that_say_so() {
    // Seen of keepalived 2.2.7: it says that it ignores the interface's weight, and counts it all the same.
    let silent = cluster(&grouped("", ""));
    is(&silent, 0, &[("interface eth1", 7, false), ("file load", 0, false), ("process web", 3, false)]);
    for word in ["sync_group_tracking_weight", "global_tracking"] {
        let told = cluster(&grouped(word, ""));
        let all = [
            ("interface eth1", 7, false),
            ("script chk", -20, false),
            ("file load", 1, false),
            ("process web", 3, false),
        ];
        is(&told, 0, &all);
    }
}

#[test]
fn an_owner_has_no_weights() {
    let cluster = cluster(&grouped("sync_group_tracking_weight", "priority 255"));
    is(&cluster, 0, &[("file load", 0, false), ("process web", 3, false)]);
}

#[test]
fn what_a_group_tracks_counts_for_its_members() {
    let cluster = cluster(&grouped("track_script {\n plain weight 9\n}\n track_interface {\n eth1 weight 2\n}", ""));
    let [group] = cluster.vrrp.groups.as_slice() else { panic!("one group") };
    assert_eq!(group.tracks, [Track { target: Target::Script("plain".into()), weight: 9, reverse: false }]);
    // Of what both track the group's weight counts.
    is(&cluster, 0, &[("interface eth1", 2, false), ("file load", 0, false), ("process web", 3, false)]);
    is(&cluster, 1, &[("interface eth1", 2, false)]);
}

#[test]
fn the_native_file_says_all_of_it() {
    let text = TRACKERS.to_owned()
        + "track_file chk {\n file /run/chk\n}\n"
        + &instance("a", 1, "track_script {\n chk\n}\n track_file {\n chk weight 3\n}\n track_interface {\n eth1\n}");
    let cluster = cluster(&text);
    is(&cluster, 0, &[("interface eth1", 0, false), ("script chk", -20, false), ("file chk.file", 3, false)]);
    let toml = to_toml(&cluster);
    assert_eq!(native(&toml).cluster, Some(cluster), "{toml}");
}

#[test]
fn a_name_alone_brings_its_weight() {
    let text = "[track.chk]\nscript = [\"/usr/bin/pgrep\", \"nginx\"]\nweight = -20\n\n[track.load]\nfile = \"/run/load\"\n\n\
                [vrrp.a]\ninterface = \"eth0\"\nvrid = 1\naddresses = [\"192.0.2.1/24\"]\n\
                track = [\"chk\", \"load\", { interface = \"eth1\" }, { name = \"chk\", weight = 0 }]\n";
    let loaded = native(text);
    assert!(brief(&loaded).contains("script chk is tracked twice"), "{}", brief(&loaded));
    let loaded = native(&text.replace(", { name = \"chk\", weight = 0 }", ""));
    let wanted = [("script chk", -20, false), ("file load", 1, false), ("interface eth1", 0, false)];
    is(&loaded.cluster.unwrap(), 0, &wanted);
}

#[test]
fn mistakes_are_told_in_the_words_of_the_file() {
    let words =
        "track_script {\n nobody\n chk weight 300\n chk\n}\n track_interface {\n eth0\n}\n track_process {\n long\n}";
    let text = TRACKERS.to_owned()
        + "vrrp_track_process long {\n process a-name-of-more-bytes\n quorum 3\n quorum_max 2\n param_match whole\n}\n"
        + "vrrp_track_process path {\n process /usr/sbin/nginx\n}\n"
        + "vrrp_script bare {\n script killall -0 haproxy\n}\n"
        + &instance("a", 1, words);
    let told = brief(&keepalived(&text));
    for wanted in [
        "there is no vrrp_script `nobody`",
        "weight `300` is no number from -253 to 253",
        "`a` tracks script chk twice",
        "`a` tracks its own interface anyway",
        "quorum_max 2 is less than the quorum of 3",
        "param_match cannot be `whole`",
        "`/usr/sbin/nginx` is a path",
        "the arguments of a script stand within its quotes",
    ] {
        assert!(told.contains(wanted), "{wanted}\n{told}");
    }
}
