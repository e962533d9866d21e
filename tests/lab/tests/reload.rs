//! A changed file while elections are held: what did not change is not touched, and the VIP stays where it is.

#![expect(clippy::expect_used, reason = "a test fails by panicking")]

mod pair;

use evenkeel_lab_tests::can_run;
use pair::Pair;
use std::time::Duration;

/// What a busy machine may keep a ping waiting. An election takes 3 s.
const NOISE: Duration = Duration::from_millis(500);

fn reload(pair: &Pair, at: usize) {
    let (good, said) = pair.reload(at);
    assert!(good, "{said}");
}

#[test]
fn addresses_priority_and_interval_change_under_traffic_and_the_vip_stays() {
    if !can_run() {
        return;
    }
    let pair = Pair::settled();
    let second = pair.second_vip();
    let changed = |text: String| {
        let text = text.replace("/24\"]", &format!("/24\", \"{second}/24\"]")).replace("\"1s\"", "\"500ms\"");
        text.replace("priority = 150", "priority = 160")
    };
    let probe = pair.probe();
    // First the backup: for a moment it wants more addresses than the master speaks of.
    pair.rewrite(1, changed);
    reload(&pair, 1);
    pair.wait_log(1, "counts all the same");
    assert_eq!(pair.owners(), [0]);
    pair.rewrite(0, changed);
    reload(&pair, 0);
    pair.wait_for("the second address came", || pair.has(0, second));
    assert_eq!((pair.owners(), pair.has(1, second)), (vec![0], false));
    pair.wait_status(0, "\"priority\":160");
    // And away again, on the master first.
    for at in [0, 1] {
        pair.rewrite(at, |text| text);
        reload(&pair, at);
    }
    pair.wait_for("the second address went", || !pair.has(0, second));
    assert_eq!(pair.owners(), [0]);
    probe.wait_for(300);
    let report = probe.stop();
    assert!(report.longest < NOISE && report.lost * 100 < report.sent, "{report:?}");
}

#[test]
fn an_instance_that_is_wanted_no_more_hands_over_and_comes_back() {
    if !can_run() {
        return;
    }
    let pair = Pair::settled();
    let probe = pair.probe();
    let second = pair.second_vip();
    let other = format!("[vrrp.other]\ninterface = \"eth0\"\nvrid = 77\naddresses = [\"{second}/24\"]\n");
    pair.rewrite(0, |_| other);
    reload(&pair, 0);
    pair.wait_owners(&[1]);
    assert!(!pair.status(0).contains("\"pair\""), "{}", pair.status(0));
    pair.rewrite(0, |text| text);
    reload(&pair, 0);
    pair.wait_owners(&[0]);
    let report = probe.stop();
    assert!(report.longest < NOISE, "{report:?}");
}

#[test]
fn a_bad_file_changes_nothing_and_says_why() {
    if !can_run() {
        return;
    }
    let pair = Pair::settled();
    let before = pair.status(0);
    pair.rewrite(0, |text| text.replace("vrid = 51", "vrid = 256").replace("/24", "/16"));
    let (good, said) = pair.reload(0);
    assert!(!good && said.contains("256"), "{said}");
    let since = |status: &str| status.split("\"ha\"").nth(1).map(|ha| ha.split("since").next().map(str::to_owned));
    assert_eq!(since(&before), since(&pair.status(0)));
    assert_eq!(pair.owners(), [0]);
}

#[test]
fn another_name_is_the_same_virtual_router() {
    if !can_run() {
        return;
    }
    let pair = Pair::settled();
    let probe = pair.probe();
    pair.rewrite(0, |text| text.replace("vrrp.pair", "vrrp.web"));
    reload(&pair, 0);
    pair.wait_status(0, "\"web\"");
    probe.wait_for(300);
    assert!(probe.stop().longest < NOISE);
    assert_eq!(pair.owners(), [0]);
    assert!(!pair.said(0).contains("web is backup"), "{}", pair.said(0));
}

#[test]
fn another_number_for_the_same_address_keeps_it_in_place() {
    if !can_run() {
        return;
    }
    let mut pair = Pair::settled();
    pair.stop(1);
    let probe = pair.probe();
    pair.rewrite(0, |text| text.replace("vrid = 51", "vrid = 52"));
    reload(&pair, 0);
    pair.wait_status(0, "as the run before had left them");
    probe.wait_for(300);
    let report = probe.stop();
    assert!(report.longest < NOISE, "{report:?}");
    assert_eq!(pair.owners(), [0]);
}
