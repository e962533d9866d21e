//! Any client and any server on an FTP control connection, in pieces of any size: neither side ever hears of an address that
//! is not the meeting point, and what waits stays bounded.

#![no_main]

use evenkeel_ftp::{CHUNK, Dialog, Ends, Input, Output};
use evenkeel_machine::{Instant, Machine, Outbox};

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    let ends = Ends { client: [198, 51, 100, 7].into(), meeting: [192, 0, 2, 1].into() };
    let mut dialog = Dialog::new(Instant::START, ends);
    let mut out = Outbox::new();
    let (mut asked, mut ended) = (false, false);
    // Each piece begins with a byte that says whose it is, and one that says how long.
    let mut rest = bytes;
    while let [whose, length, more @ ..] = rest {
        let (piece, more) = more.split_at(usize::from(*length).min(more.len()));
        rest = more;
        let input = match whose % 8 {
            0..=2 if dialog.hears_client() => Input::FromClient(piece[..piece.len().min(CHUNK)].to_vec()),
            3..=5 if dialog.hears_server() => Input::FromServer(piece[..piece.len().min(CHUNK)].to_vec()),
            6 if asked => Input::Opened(piece.first().map(|low| 50_000 + u16::from(*low))),
            7 if *whose > 250 => Input::ClientEnded,
            7 if *whose > 240 => Input::ServerEnded,
            _ => continue,
        };
        asked &= !matches!(input, Input::Opened(_));
        dialog.handle(Instant::START, input, &mut out);
        for output in out.drain() {
            assert!(!ended, "nothing comes after the end");
            match output {
                Output::Open(_) => {
                    assert!(!asked, "one question at a time");
                    asked = true;
                }
                Output::ToServer(line) => {
                    let text = String::from_utf8_lossy(&line).to_ascii_uppercase();
                    if text.starts_with("PORT ") {
                        assert!(text.starts_with("PORT 192,0,2,1,"), "{text:?}");
                    }
                    if text.starts_with("EPRT ") {
                        assert!(text.starts_with("EPRT |1|192.0.2.1|"), "{text:?}");
                    }
                }
                Output::ToClient(_) | Output::EndServer => {}
                Output::End => ended = true,
            }
        }
        if asked {
            assert!(!(dialog.hears_client() && dialog.hears_server()) || ended, "somebody waits");
        }
    }
});
