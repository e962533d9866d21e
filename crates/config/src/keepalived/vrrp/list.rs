//! Lists other than addresses, routes and rules: peers, and what is tracked.

use super::{
    super::{
        table::SECOND,
        value::{address, micros, number},
        word::Word,
    },
    VrrpLine, VrrpLinkDelay, VrrpPeer, VrrpTrack,
};
use crate::{codes, host::shown};
use evenkeel_source::{Diagnostic, Spanned};
use std::time::Duration;

/// The longest delay of an interface, in microseconds.
const LONGEST_DELAY: i64 = 255 * SECOND;

/// Lines of `unicast_peer`.
pub(super) fn peers(lines: &[Vec<Word>], out: &mut Vec<Diagnostic>) -> Vec<VrrpPeer> {
    let mut peers: Vec<VrrpPeer> = Vec::new();
    for line in lines {
        let Some((first, rest)) = line.split_first() else { continue };
        let Some(address) = address(&first.text) else {
            let message = format!("`{}` is no address of a peer", shown(&first.text));
            let d = Diagnostic::warning(codes::VRRP_ADDRESS, first.span, message);
            out.push(d.note("keepalived leaves it out"));
            continue;
        };
        if peers.iter().any(|peer| peer.address.value == address) {
            let message = format!("peer {address} is there twice");
            out.push(Diagnostic::warning(codes::VRRP_ADDRESS, first.span, message));
            continue;
        }
        let mut peer = VrrpPeer { address: Spanned::new(address, first.span), least_ttl: None, most_ttl: None };
        for pair in rest.chunks(2) {
            let value = pair.get(1).and_then(|word| number(&word.text)).and_then(|n| u8::try_from(n).ok());
            match (pair.first().map(|word| word.text.as_str()), value) {
                (Some("min_ttl"), Some(ttl)) => peer.least_ttl = Some(ttl),
                (Some("max_ttl"), Some(ttl)) => peer.most_ttl = Some(ttl),
                _ => {
                    let Some(word) = pair.first() else { continue };
                    let message =
                        format!("`{}` is no word of a peer, or has no number from 0 to 255", shown(&word.text));
                    out.push(
                        Diagnostic::warning(codes::VALUE, word.span, message).help("min_ttl NUMBER or max_ttl NUMBER"),
                    );
                    break;
                }
            }
        }
        peers.push(peer);
    }
    peers
}

/// Lines of `interface_up_down_delays`: `INTERFACE DOWN [UP]`, in seconds.
pub(super) fn delays(lines: &[Vec<Word>], out: &mut Vec<Diagnostic>) -> Vec<VrrpLinkDelay> {
    let mut delays = Vec::new();
    for line in lines {
        let [name, times @ ..] = line.as_slice() else { continue };
        let mut time = |at: usize| {
            let word = times.get(at)?;
            let micros = micros(&word.text).filter(|micros| (0..=LONGEST_DELAY).contains(micros));
            if micros.is_none() {
                let message = format!("`{}` is no number of seconds from 0 to 255", shown(&word.text));
                let d = Diagnostic::warning(codes::OUT_OF_RANGE, word.span, message);
                out.push(d.note("keepalived ignores the line"));
            }
            micros.and_then(|micros| u64::try_from(micros).ok()).map(Duration::from_micros)
        };
        let (down, up) = (time(0), if times.len() > 1 { time(1) } else { Some(Duration::ZERO) });
        if times.is_empty() {
            let message = format!("no delay for {}", shown(&name.text));
            out.push(Diagnostic::warning(codes::NO_VALUE, name.span, message).help("write INTERFACE DOWN [UP]"));
        }
        if let (Some(down), Some(up)) = (down, up) {
            delays.push(VrrpLinkDelay { name: Spanned::new(name.text.clone(), name.span), down, up });
        }
    }
    delays
}

/// Lines of `track_interface` and its like; a weight is at most `most`, up or down.
pub(super) fn tracks(lines: &[Vec<Word>], most: i64, out: &mut Vec<Diagnostic>) -> Vec<VrrpTrack> {
    let mut tracks = Vec::new();
    for line in lines {
        let Some((first, rest)) = line.split_first() else { continue };
        let name = Spanned::new(first.text.clone(), first.span);
        let mut track = VrrpTrack { name, weight: None, reverse: None };
        let mut words = rest.iter();
        while let Some(word) = words.next() {
            match word.text.as_str() {
                "weight" => {
                    let value = words.next();
                    let weight = value.and_then(|word| number(&word.text));
                    let fitting = weight.filter(|weight| (-most..=most).contains(weight));
                    track.weight = fitting.and_then(|weight| i32::try_from(weight).ok());
                    if track.weight.is_none() {
                        let written = value.map_or("", |word| word.text.as_str());
                        let message = format!("weight `{}` is no number from -{most} to {most}", shown(written));
                        let d = Diagnostic::warning(codes::OUT_OF_RANGE, value.unwrap_or(word).span, message);
                        out.push(d.note("keepalived ignores it"));
                    }
                }
                "reverse" => track.reverse = Some(true),
                "noreverse" | "no_reverse" => track.reverse = Some(false),
                other => {
                    let message = format!("`{}` is no word behind what is tracked", shown(other));
                    let d = Diagnostic::warning(codes::VALUE, word.span, message);
                    out.push(d.help("weight NUMBER, reverse or noreverse"));
                }
            }
        }
        tracks.push(track);
    }
    tracks
}

fn line_of(words: &[Word]) -> Option<VrrpLine> {
    let (first, last) = (words.first()?, words.last()?);
    let span = if first.span.file == last.span.file { first.span.to(last.span) } else { first.span };
    Some(Spanned::new(words.iter().map(|word| word.text.clone()).collect(), span))
}

/// The words of a line, as they are.
pub(super) fn line(words: &[Word]) -> Option<VrrpLine> {
    line_of(words)
}
