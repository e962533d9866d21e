use super::*;
use Answer::{Again, Refuse};

fn history(messages: u64) -> History {
    let mut history = History::default();
    for _ in 0..messages {
        history.keep(|number| Message::new("status").with("seq", format_args!("{number:x}")));
    }
    history
}

fn answers(history: &mut History, now: u64, first: u64, last: u64) -> Vec<String> {
    let mut out = Outbox::new();
    history.answer(Instant::at(Duration::from_millis(now)), 1, first, last, &mut out);
    let word = |answer| match answer {
        Again(message) => message.hex("seq").unwrap().to_string(),
        Refuse(number) => format!("no {number}"),
    };
    out.drain().map(word).collect()
}

#[test]
fn what_was_missed_is_sent_again() {
    assert_eq!(answers(&mut history(20), 0, 3, 5), ["3", "4", "5"]);
}

#[test]
fn a_request_within_240_ms_of_the_last_is_not_answered() {
    let mut history = history(20);
    assert_eq!(answers(&mut history, 0, 3, 3), ["3"]);
    assert_eq!(answers(&mut history, 239, 3, 4), ["4"]);
    assert_eq!(answers(&mut history, 240, 3, 4), ["3"]);
}

#[test]
fn a_request_is_answered_with_50_messages_at_most() {
    let mut history = history(400);
    assert_eq!(answers(&mut history, 0, 1, 400).len(), BATCH);
    assert_eq!(answers(&mut history, 100, 1, 400)[0], "51");
    let mut history = super::tests::history(2000);
    assert_eq!(answers(&mut history, 0, 1, u64::MAX).len(), BATCH, "refusals too");
}

#[test]
fn what_is_kept_no_more_is_refused() {
    let mut history = history(KEPT as u64 + 10);
    assert_eq!(answers(&mut history, 0, 9, 12), ["no 9", "no 10", "11", "12"]);
}

#[test]
fn what_was_never_sent_is_not_answered() {
    assert_eq!(answers(&mut history(5), 0, 4, 900), ["4", "5"]);
    assert!(answers(&mut history(0), 0, 1, u64::MAX).is_empty());
}

#[test]
fn what_a_node_has_acknowledged_is_not_sent_to_it_again() {
    let mut history = history(20);
    history.acknowledged(1, 9);
    history.acknowledged(1, 7);
    history.acknowledged(1, 21);
    assert_eq!(answers(&mut history, 0, 8, 11), ["10", "11"]);
    history.restarted(1);
    assert_eq!(answers(&mut history, 100, 8, 11), ["8", "9"]);
}
