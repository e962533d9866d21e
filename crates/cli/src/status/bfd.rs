//! BFD sessions in the picture.

use crate::terminal::{Tone, paint};
use evenkeel_api::{BfdStatus, lasting};
use evenkeel_source::Colour;

/// One session and how it stands.
pub(super) fn line(session: &BfdStatus, colour: Colour) -> String {
    let BfdStatus { name, neighbour, state, since_s, reason, remote_state, remote_reason, .. } = session;
    let since = lasting(*since_s);
    let milliseconds = |microseconds: u64| format!("{} ms", microseconds as f64 / 1000.0);
    let (transmit, receive) = (milliseconds(session.transmit_us), milliseconds(session.receive_us));
    let intervals = format!("sends every {transmit}, hears every {receive}");
    if state == "up" {
        let state = paint("UP", Tone::Good, colour);
        let detection = milliseconds(session.detection_us);
        return format!(
            "BFD  {name}  {neighbour}  {state} for {since}  {intervals}, down after {detection} of silence\n"
        );
    }
    let state = paint(&state.to_uppercase(), Tone::Bad, colour);
    let here = if reason == "nothing" { "never up" } else { reason };
    let there = if remote_reason == "nothing" { String::new() } else { format!(" ({remote_reason})") };
    format!(
        "BFD  {name}  {neighbour}  {state} for {since}: {here}  the other end: {remote_state}{there}  {intervals}\n"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn session(state: &str) -> BfdStatus {
        BfdStatus {
            name: "peer".to_owned(),
            neighbour: "192.0.2.2".to_owned(),
            state: state.to_owned(),
            since_s: 7,
            reason: "nothing was heard for the detection time".to_owned(),
            remote_state: "down".to_owned(),
            remote_reason: "nothing".to_owned(),
            transmit_us: 50_000,
            receive_us: 12_500,
            detection_us: 37_500,
        }
    }

    #[test]
    fn a_session_says_how_it_stands_and_how_soon_silence_is_noticed() {
        let plain = |session| line(&session, Colour::No);
        assert_eq!(
            plain(session("up")),
            "BFD  peer  192.0.2.2  UP for 7s  sends every 50 ms, hears every 12.5 ms, down after 37.5 ms of silence\n"
        );
        assert_eq!(
            plain(session("down")),
            "BFD  peer  192.0.2.2  DOWN for 7s: nothing was heard for the detection time  the other end: down  \
             sends every 50 ms, hears every 12.5 ms\n"
        );
        let fresh = BfdStatus { reason: "nothing".to_owned(), ..session("down") };
        assert!(plain(fresh).contains("DOWN for 7s: never up"));
    }
}
