use super::*;
use evenkeel_abi::{sctp as numbers, state, tcp as flags};

const ASSOCIATIONS: [(Association, state::State); 10] = [
    (Association::None, state::State::SctpNone),
    (Association::Init1, state::State::SctpInit1),
    (Association::Init, state::State::SctpInit),
    (Association::CookieEchoed, state::State::SctpCookieEchoed),
    (Association::Established, state::State::SctpEstablished),
    (Association::ShutdownSent, state::State::SctpShutdownSent),
    (Association::ShutdownReceived, state::State::SctpShutdownReceived),
    (Association::ShutdownAckSent, state::State::SctpShutdownAckSent),
    (Association::Rejected, state::State::SctpRejected),
    (Association::Closed, state::State::SctpClosed),
];
const DIRECTIONS: [(Direction, state::Direction); 3] = [
    (Direction::InputOnly, state::Direction::InputOnly),
    (Direction::Input, state::Direction::Input),
    (Direction::Output, state::Direction::Output),
];

/// Every state with its number.
fn states() -> Vec<(State, u32)> {
    let tcp = tcp::COLUMNS.iter().zip(0..).map(|(tcp, number)| (State::Tcp(*tcp), number));
    let sctp = ASSOCIATIONS.iter().map(|(association, number)| (State::Sctp(*association), *number as u32));
    let single = [(State::Udp, state::State::Udp as u32), (State::Other, state::State::Other as u32)];
    tcp.chain(sctp).chain(single).collect()
}

#[test]
fn the_rules_and_the_program_s_numbers_say_the_same_of_states() {
    for (of_rules, number) in states() {
        let seconds = of_rules.seconds(&Timeouts::default());
        assert_eq!(state::TIMEOUT_SECONDS[number as usize], seconds, "{of_rules:?}");
        assert_eq!(state::is_active(number), of_rules.is_active(), "{of_rules:?}");
        assert_eq!(state::is_reusable(number), of_rules.is_over(), "{of_rules:?}");
        assert_eq!(state::name(number), of_rules.name(), "{of_rules:?}");
    }
}

#[test]
fn the_rules_and_the_program_s_tables_say_the_same_of_tcp() {
    for byte in 0..=255 {
        let of_rules = Flags::new(byte);
        assert_eq!(flags::bad_flags(byte), of_rules.are_bad(), "{of_rules:?}");
        for (direction, number) in DIRECTIONS {
            let row = flags::row(number, flags::event(byte)) as usize;
            for (from, of_tcp) in tcp::COLUMNS.iter().enumerate() {
                let next = of_tcp.after(of_rules, direction);
                let expected = tcp::COLUMNS[usize::from(state::NEXT[row * state::STATES + from])];
                assert_eq!(next, expected, "{of_tcp:?} {of_rules:?} {direction:?}");
            }
        }
    }
}

#[test]
fn the_rules_and_the_program_s_tables_say_the_same_of_sctp() {
    for chunk in 0..=255 {
        for (direction, number) in DIRECTIONS {
            let row = numbers::row(number, numbers::event(chunk)) as usize;
            for (association, from) in ASSOCIATIONS {
                let next = u32::from(state::NEXT[row * state::STATES + from as usize]);
                let expected = ASSOCIATIONS.iter().find(|(_, number)| *number as u32 == next);
                let after = association.after(chunk, direction);
                assert_eq!(Some(after), expected.map(|(a, _)| *a), "{association:?} {chunk} {direction:?}");
            }
        }
    }
}
