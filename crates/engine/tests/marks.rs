//! Services by mark that leave it to the host's own rules what has the mark.
#![allow(clippy::unwrap_used, reason = "tests")]

mod bed;

use bed::*;
use evenkeel_api::{
    Reply,
    table::{Edit, Forward, Key, ServerEntry, ServiceEntry},
};
use evenkeel_engine::{HostMarks, Input};
use evenkeel_model::{Family, Match, ServiceKey};
use std::num::NonZeroU32;

fn mark(number: u32) -> ServiceKey {
    ServiceKey::Mark { mark: NonZeroU32::new(number).unwrap(), family: Family::V4 }
}

fn rules(rules: &[(u32, &str)]) -> HostMarks {
    let mut marks = HostMarks::new();
    for (number, text) in rules {
        marks.entry(mark(*number)).or_default().push(text.parse().unwrap());
    }
    marks
}

fn matches(bed: &Bed, number: u32) -> Vec<String> {
    let service = bed.table.services.get(&mark(number)).unwrap();
    service.options.matches.iter().map(Match::to_string).collect()
}

fn add(number: u32) -> Vec<Edit> {
    let key = Key::Mark { mark: number, ipv6: false };
    let entry: ServiceEntry = serde_json::from_str(r#"{"scheduler":"rr"}"#).unwrap();
    let server = ServerEntry { forward: Forward::Dr, weight: 1, upper: 0, lower: 0 };
    vec![Edit::AddService(key, entry), Edit::AddServer(key, "192.168.214.143:0".parse().unwrap(), server)]
}

#[test]
fn rules_that_come_later_and_change_are_followed() {
    let mut bed = Bed::running(&cluster(Vec::new()));
    assert!(!bed.engine.asks_the_host());
    assert!(matches!(bed.edit(false, add(1)), Some(Reply::Done { .. })));
    assert!(bed.engine.asks_the_host());
    assert_eq!(matches(&bed, 1), Vec::<String>::new());
    bed.handle(Input::Marks(rules(&[(1, "192.0.2.1/32 tcp 80"), (2, "192.0.2.2/32")])));
    assert_eq!(matches(&bed, 1), ["192.0.2.1/32 tcp 80"]);
    assert!(matches!(bed.edit(false, add(2)), Some(Reply::Done { .. })));
    assert_eq!(matches(&bed, 2), ["192.0.2.2/32"], "what is known already counts at once");
    bed.changes.clear();
    bed.handle(Input::Marks(rules(&[(1, "192.0.2.1/32 tcp 80"), (2, "192.0.2.3/32")])));
    assert_eq!((matches(&bed, 1).len(), matches(&bed, 2)), (1, vec!["192.0.2.3/32".to_owned()]));
    assert_eq!(bed.changes.len(), 1, "only what is new changes: {:?}", bed.changes);
    bed.handle(Input::Marks(HostMarks::new()));
    assert_eq!(matches(&bed, 1), Vec::<String>::new());
}

#[test]
fn a_file_s_own_matches_count_and_a_crash_costs_nothing() {
    let own = || {
        let mut service = service("marked", "192.168.214.140:80", vec![real_server("one", ONE, 1)]);
        (service.key, service.matches) = (mark(7), vec!["192.0.2.7/32".parse().unwrap()]);
        service
    };
    let mut bed = Bed::running(&cluster(vec![own()]));
    assert!(!bed.engine.asks_the_host());
    bed.handle(Input::Marks(rules(&[(7, "192.0.2.8/32"), (1, "192.0.2.1/32")])));
    assert_eq!(matches(&bed, 7), ["192.0.2.7/32"]);
    assert!(matches!(bed.edit(false, add(1)), Some(Reply::Done { .. })));
    bed.changes.clear();
    bed.marks = rules(&[(1, "192.0.2.1/32")]);
    bed.restart(2, &cluster(vec![own()]));
    assert_eq!(
        (matches(&bed, 1), matches(&bed, 7)),
        (vec!["192.0.2.1/32".to_owned()], vec!["192.0.2.7/32".to_owned()])
    );
    assert!(bed.changes.is_empty(), "{:?}", bed.changes);
}
