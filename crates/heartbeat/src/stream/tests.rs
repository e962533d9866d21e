use super::*;
use std::fmt::Write;

const MAX_DELAY: Duration = Duration::from_millis(250);

/// A stream in virtual time, told numbers by hand.
struct Bed {
    now: Instant,
    stream: Stream,
    out: Outbox<Output>,
}

impl Bed {
    fn new() -> Bed {
        Bed { now: Instant::START, stream: Stream::new(0, MAX_DELAY, 1), out: Outbox::new() }
    }

    /// That has heard message 1 of generation 5.
    fn begun() -> Bed {
        let mut bed = Bed::new();
        assert_eq!(bed.hear(1), (Taken::InOrder, "1".into()));
        bed
    }

    fn take(&mut self, message: Message) -> (Taken, String) {
        let taken = self.stream.take(self.now, message, &mut self.out);
        (taken, self.said())
    }

    fn hear(&mut self, number: u64) -> (Taken, String) {
        self.take(numbered(number))
    }

    fn wait(&mut self, milliseconds: u64) -> String {
        let end = self.now + Duration::from_millis(milliseconds);
        while let Some(due) = self.stream.deadline().filter(|due| *due <= end) {
            self.now = self.now.max(due);
            self.stream.handle_timeout(self.now, &mut self.out);
        }
        self.now = end;
        self.said()
    }

    /// Delivered numbers by themselves.
    fn said(&mut self) -> String {
        let mut words = String::new();
        for output in self.out.drain() {
            match output {
                Output::Restarted => write!(words, "restarted "),
                Output::Deliver(message) => match message.hex("seq") {
                    Some(number) => write!(words, "{number} "),
                    None => write!(words, "{} ", message.kind()),
                },
                Output::Ask { first, last } => write!(words, "ask {first}-{last} "),
                Output::Acknowledge(number) => write!(words, "ack {number} "),
                Output::Lost { first, last } => write!(words, "lost {first}-{last} "),
            }
            .unwrap();
        }
        words.trim_end().to_owned()
    }
}

fn of(kind: &str, number: u64) -> Message {
    Message::new(kind).with("src", "ha1").with("seq", format_args!("{number:x}")).with("hg", 5)
}

fn numbered(number: u64) -> Message {
    of("starting", number)
}

fn said(words: &str) -> String {
    words.to_owned()
}

#[test]
fn what_comes_in_order_is_delivered_at_once() {
    let mut bed = Bed::new();
    for number in [7, 8, 9] {
        assert_eq!(bed.hear(number), (Taken::InOrder, number.to_string()));
    }
    assert_eq!(bed.stream.deadline(), None);
}

/// HB-9: an answer to a message leaves its sender before that message.
#[test]
fn two_messages_that_changed_places_are_put_in_order_and_nothing_is_asked() {
    let mut bed = Bed::begun();
    assert_eq!(bed.hear(3), (Taken::Early, said("")));
    assert_eq!(bed.wait(40), "");
    assert_eq!(bed.hear(2), (Taken::InOrder, said("2 3")));
    assert_eq!(bed.wait(1000), "");
}

#[test]
fn a_message_waits_50_ms_for_the_one_before_it_which_is_asked_for() {
    let mut bed = Bed::begun();
    bed.hear(3);
    assert_eq!(bed.wait(49), "");
    assert_eq!(bed.wait(1), "3");
    assert_eq!(bed.wait(200), "ask 2-2", "within max_rexmit_delay");
    assert_eq!(bed.hear(2), (Taken::Late, said("2")));
    assert_eq!(bed.wait(10_000), "");
}

#[test]
fn a_request_is_repeated_each_250_ms_and_given_up_in_the_end() {
    let mut bed = Bed::begun();
    bed.hear(3);
    let first = bed.wait(300);
    assert_eq!(first, "3 ask 2-2");
    assert_eq!(bed.wait(250), "ask 2-2");
    let rest = bed.wait(60_000);
    let expected = vec!["ask 2-2"; MOST_REQUESTS as usize - 2].join(" ") + " lost 2-2";
    assert_eq!(rest, expected);
    assert_eq!(bed.stream.deadline(), None);
    assert_eq!(bed.hear(2), (Taken::Duplicate, said("")));
}

#[test]
fn a_gap_is_asked_for_as_a_whole() {
    let mut bed = Bed::begun();
    bed.hear(10);
    assert_eq!(bed.wait(300), "10 ask 2-9");
    bed.hear(5);
    assert_eq!(bed.wait(250), "ask 2-4 ask 6-9");
}

#[test]
fn a_late_status_is_of_no_use_once_a_newer_one_was_heard() {
    let mut bed = Bed::begun();
    bed.take(of("status", 4));
    assert_eq!(bed.wait(300), "4 ask 2-3");
    assert_eq!(bed.take(of("status", 2)), (Taken::Late, said("")));
    assert_eq!(bed.take(of("ask_resources", 3)), (Taken::Late, said("3")));
}

#[test]
fn a_second_copy_is_told_from_a_recorded_one() {
    let mut bed = Bed::begun();
    for number in 2..=40 {
        bed.hear(number);
    }
    assert_eq!(bed.hear(40), (Taken::Duplicate, said("")));
    assert_eq!(bed.hear(30), (Taken::Duplicate, said("")));
    assert_eq!(bed.hear(20), (Taken::Old, said("")));
    bed.hear(42);
    assert_eq!(bed.hear(42), (Taken::Duplicate, said("")), "of one that waits");
}

/// HB-7; fault 87.
#[test]
fn an_earlier_generation_is_a_replay_and_a_later_one_a_restart() {
    let mut bed = Bed::begun();
    bed.hear(2);
    let of_generation = |generation, number: u64| {
        Message::new("status").with("seq", format_args!("{number:x}")).with("hg", format_args!("{generation:x}"))
    };
    assert_eq!(bed.take(of_generation(4, 3)), (Taken::Replay, said("")));
    assert_eq!(bed.take(Message::new("status").with("seq", 3)), (Taken::Replay, said("")), "none is generation 0");
    assert_eq!(bed.take(Message::new("NS_ackmsg").with("hg", 4)), (Taken::Replay, said("")));
    assert_eq!(bed.take(of_generation(6, 1)), (Taken::InOrder, said("restarted 1")));
    assert_eq!(bed.stream.generation(), 6);
    assert_eq!(bed.hear(3), (Taken::Replay, said("")), "of the run before");
}

#[test]
fn a_remembered_generation_still_counts_after_a_restart_of_this_node() {
    let mut bed = Bed { stream: Stream::new(6, MAX_DELAY, 1), ..Bed::new() };
    assert_eq!(bed.hear(9), (Taken::Replay, said("")));
    let later = Message::new("status").with("seq", 9).with("hg", 6);
    assert_eq!(bed.take(later), (Taken::InOrder, said("9")), "it did not restart");
}

#[test]
fn messages_without_a_number_pass_by() {
    let mut bed = Bed::begun();
    bed.hear(3);
    assert_eq!(bed.take(Message::new("NS_ackmsg").with("hg", 5)), (Taken::Unnumbered, said("NS_ackmsg")));
}

#[test]
fn what_the_sender_cannot_send_again_is_not_waited_for() {
    let mut bed = Bed::begun();
    bed.hear(4);
    let refuse = |number: u64| Message::new("NS_nak_rexmit").with("hg", 5).with("firstseq", format_args!("{number:x}"));
    assert_eq!(bed.take(refuse(2)), (Taken::Unnumbered, said("lost 2-2")));
    assert_eq!(bed.take(refuse(3)), (Taken::Unnumbered, said("lost 3-3 4")));
    assert_eq!(bed.wait(10_000), "");
}

#[test]
fn more_than_250_lost_at_once_are_let_go() {
    let mut bed = Bed::begun();
    bed.hear(3);
    assert_eq!(bed.hear(254), (Taken::Early, said("")), "250 of them");
    assert_eq!(bed.hear(506), (Taken::InOrder, said("3 254 lost 2-2 lost 4-253 lost 255-505 506")));
    assert_eq!(bed.stream.deadline(), None);
}

#[test]
fn what_waits_and_what_is_missing_is_bounded() {
    let mut bed = Bed::begun();
    let mut delivered = 0;
    for number in (3..4000).step_by(2) {
        bed.stream.take(bed.now, numbered(number), &mut bed.out);
        delivered += bed.out.drain().filter(|output| matches!(output, Output::Deliver(_))).count();
        let run = bed.stream.run.as_ref().unwrap();
        assert!(run.early.len() <= MOST_EARLY && run.missing.len() <= MOST_MISSING);
    }
    assert!(delivered > 1000);
}

#[test]
fn what_was_sent_while_a_node_was_taken_for_dead_is_not_asked_for() {
    let mut bed = Bed::begun();
    bed.hear(3);
    bed.stream.fell_silent(&mut bed.out);
    assert_eq!(bed.said(), "3 lost 2-2");
    assert_eq!(bed.hear(40), (Taken::InOrder, said("40")));
    assert_eq!(bed.hear(41), (Taken::InOrder, said("41")));
    assert_eq!(bed.hear(20), (Taken::Old, said("")), "a recorded one");
    assert_eq!(bed.wait(10_000), "");
}

/// HB-8.
#[test]
fn one_message_in_ten_is_acknowledged_once_all_before_it_are_there() {
    let mut bed = Bed::new();
    let trigger = bed.stream.trigger;
    assert_eq!(bed.take(of("status", 1).with("protocol", 1)).0, Taken::InOrder);
    let mut words = String::new();
    for number in (2..=40).filter(|number| *number != 20 + trigger - 1) {
        words += &(bed.hear(number).1 + " ");
    }
    let acks = |words: &str| words.matches("ack").count();
    let at = |tens| format!("ack {}", tens + trigger);
    assert!(words.contains(&at(10)) && !words.contains(&at(20)), "{words}");
    assert!(acks(&words) <= 2, "{words}");
    bed.wait(50);
    let words = bed.hear(20 + trigger - 1).1;
    assert!(acks(&words) == 1 && (words.contains(&at(30)) || words.contains(&at(40))), "{words}");
}

#[test]
fn nothing_is_acknowledged_to_a_node_without_flow_control() {
    let mut bed = Bed::begun();
    bed.take(of("status", 2));
    let words: String = (3..100).map(|number| bed.hear(number).1).collect();
    assert!(!words.contains("ack"), "{words}");
}
