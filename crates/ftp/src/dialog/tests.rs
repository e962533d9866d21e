use super::*;

const CLIENT: &str = "198.51.100.7";
const MEETING: &str = "192.0.2.1";

fn ends(client: &str, meeting: &str) -> Ends {
    Ends { client: client.parse().unwrap(), meeting: meeting.parse().unwrap() }
}

/// What came out, a line each.
fn told(out: &mut Outbox<Output>) -> Vec<String> {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).trim_end().to_owned();
    let word = |output| match output {
        Output::ToClient(bytes) => format!("client: {}", text(&bytes)),
        Output::ToServer(bytes) => format!("server: {}", text(&bytes)),
        Output::Open(Order::Passive(port)) => format!("open passive {port}"),
        Output::Open(Order::Active(port)) => format!("open active {port}"),
        Output::EndServer => "end server".to_owned(),
        Output::End => "end".to_owned(),
    };
    out.drain().map(word).collect()
}

/// `C:` and a line of the client, `S:` and one of the server, `open PORT`, `open nothing`, `C ends`, `S ends`.
fn input(step: &str) -> Input {
    let line = |text: &str| format!("{}\r\n", text.trim_start()).into_bytes();
    match step.split_once(':') {
        Some(("C", text)) => Input::FromClient(line(text)),
        Some(("S", text)) => Input::FromServer(line(text)),
        _ => match step.split_once(' ').unwrap() {
            ("C", _) => Input::ClientEnded,
            ("S", _) => Input::ServerEnded,
            (_, port) => Input::Opened(port.parse().ok()),
        },
    }
}

fn play(ends: Ends, steps: &[(&str, &[&str])]) -> Dialog {
    let mut dialog = Dialog::new(Instant::START, ends);
    let mut out = Outbox::new();
    for (step, expected) in steps {
        dialog.handle(Instant::START, input(step), &mut out);
        assert_eq!(told(&mut out), *expected, "{step}");
    }
    dialog
}

const GREETED: (&str, &[&str]) = ("S: 220 hello", &["client: 220 hello"]);

#[test]
fn a_passive_port_is_told_when_it_leads_somewhere() {
    let dialog = play(
        ends(CLIENT, MEETING),
        &[
            GREETED,
            ("C: PASV", &["server: PASV"]),
            ("S: 227 Entering Passive Mode (10,0,0,9,4,1).", &["open passive 1025"]),
            ("S: 421 later", &[]),
            ("C: RETR a", &[]),
            (
                "open 50000",
                &["client: 227 Entering Passive Mode (192,0,2,1,195,80).", "client: 421 later", "server: RETR a"],
            ),
        ],
    );
    assert!(dialog.hears_client() && dialog.hears_server());
}

#[test]
fn the_extended_forms_have_no_address_to_translate_or_one_of_their_family() {
    play(
        ends("2001:db8::7", "2001:db8::1"),
        &[
            GREETED,
            ("C: EPSV ALL", &["server: EPSV ALL"]),
            ("S: 200 ok", &["client: 200 ok"]),
            ("C: EPSV", &["server: EPSV"]),
            ("S: 229 ok (|||1025|)", &["open passive 1025"]),
            ("open 50000", &["client: 229 Entering Extended Passive Mode (|||50000|)"]),
            ("C: EPRT |2|2001:db8::7|2000|", &["open active 2000"]),
            ("open 50001", &["server: EPRT |2|2001:db8::1|50001|"]),
            // A server with an address of IPv4 to tell can only mean another one.
            ("C: PASV", &["server: PASV"]),
            ("S: 200 ok", &["client: 200 ok"]),
            ("S: 227 (10,0,0,9,4,1)", &["client: 425 The real server names no place for a data connection."]),
        ],
    );
}

#[test]
fn the_server_is_told_where_it_meets_the_client() {
    play(
        ends(CLIENT, MEETING),
        &[
            GREETED,
            ("C: PORT 198,51,100,7,8,0", &["open active 2048"]),
            ("C: RETR a", &[]),
            ("open 50000", &["server: PORT 192,0,2,1,195,80", "server: RETR a"]),
            ("C: EPRT |1|198.51.100.7|2049|", &["open active 2049"]),
            ("open 50001", &["server: EPRT |1|192.0.2.1|50001|"]),
        ],
    );
}

#[test]
fn nobody_else_is_connected_to() {
    let not_there = "client: 504 Data connections are made to the client's own address only, not to system ports.";
    for (line, refusal) in [
        ("C: PORT 203,0,113,9,8,0", not_there),
        ("C: PORT 192,0,2,1,8,0", not_there),
        ("C: PORT 198,51,100,7,3,255", not_there),
        ("C: EPRT |1|203.0.113.9|2048|", not_there),
        ("C: EPRT |2|2001:db8::9|2048|", not_there),
        ("C: PORT nonsense", "client: 501 This is no address and port."),
        ("C: EPRT |1|198.51.100.7|70000|", "client: 501 This is no address and port."),
        ("C: AUTH TLS", "client: 534 Encryption cannot be offered through address translation."),
        ("C: LPRT 4,4,203,0,113,9,2,8,0", "client: 502 Use EPRT or EPSV."),
    ] {
        play(ends(CLIENT, MEETING), &[GREETED, (line, &[refusal]), ("C: NOOP", &["server: NOOP"])]);
    }
}

#[test]
fn a_refusal_takes_its_place_among_the_replies() {
    let dialog = play(
        ends(CLIENT, MEETING),
        &[
            ("C: USER a", &["server: USER a"]),
            ("C: AUTH TLS", &[]),
            ("C: NOOP", &[]),
            GREETED,
            ("S: 331-more", &["client: 331-more"]),
            (
                "S: 331 password",
                &[
                    "client: 331 password",
                    "client: 534 Encryption cannot be offered through address translation.",
                    "server: NOOP",
                ],
            ),
            ("C: RETR a", &["server: RETR a"]),
            ("S: 200 done", &["client: 200 done"]),
            ("C: PORT 203,0,113,9,8,0", &[]),
            ("S: 150 here it comes", &["client: 150 here it comes"]),
        ],
    );
    assert!(!dialog.hears_client() && dialog.hears_server());
}

#[test]
fn a_refusal_does_not_wait_for_ever() {
    let mut dialog = play(ends(CLIENT, MEETING), &[("C: AUTH TLS", &[]), ("C: NOOP", &[])]);
    let until = Instant::START + PATIENCE;
    assert_eq!(dialog.deadline(), Some(until));
    let mut out = Outbox::new();
    dialog.handle_timeout(until, &mut out);
    let refused = ["client: 534 Encryption cannot be offered through address translation.", "server: NOOP"];
    assert_eq!(told(&mut out), refused);
}

#[test]
fn where_nothing_can_be_opened_both_go_on() {
    play(
        ends(CLIENT, MEETING),
        &[
            GREETED,
            ("C: PASV", &["server: PASV"]),
            ("S: 227 (10,0,0,9,4,1)", &["open passive 1025"]),
            ("open nothing", &["client: 425 No data connection can be made now."]),
            ("C: PORT 198,51,100,7,8,0", &["open active 2048"]),
            ("open nothing", &["client: 425 No data connection can be made now."]),
            ("open 50000", &[]),
            ("C: PASV", &["server: PASV"]),
            ("S: 227 no place", &["client: 425 The real server names no place for a data connection."]),
            ("C: EPSV", &["server: EPSV"]),
            ("S: 229 (|||0|)", &["client: 425 The real server names no place for a data connection."]),
        ],
    );
}

#[test]
fn everything_else_goes_through_as_it_came() {
    let mut dialog = play(ends(CLIENT, MEETING), &[GREETED]);
    let mut out = Outbox::new();
    let text = b"\xff\xf4\xff\xf2ABOR\r\nSITE \xfe\x00\r\n".to_vec();
    dialog.handle(Instant::START, Input::FromClient(text), &mut out);
    let sent: Vec<Output> = out.drain().collect();
    let lines = [&b"\xff\xf4\xff\xf2ABOR\r\n"[..], b"SITE \xfe\x00\r\n"];
    assert_eq!(sent, lines.map(|line| Output::ToServer(line.to_vec())));
}

#[test]
fn the_end_of_one_comes_after_what_it_said() {
    play(
        ends(CLIENT, MEETING),
        &[
            GREETED,
            ("C: PORT 198,51,100,7,8,0", &["open active 2048"]),
            ("C: QUIT", &[]),
            ("C ends", &[]),
            ("open 50000", &["server: PORT 192,0,2,1,195,80", "server: QUIT", "end server"]),
            ("C ends", &[]),
            ("S: 221 bye", &["client: 221 bye"]),
            ("S ends", &["end"]),
            ("S: 221 bye", &[]),
        ],
    );
    let mut dialog = play(ends(CLIENT, MEETING), &[GREETED]);
    let mut out = Outbox::new();
    for input in [Input::FromServer(b"421 half a".to_vec()), Input::ServerEnded] {
        dialog.handle(Instant::START, input, &mut out);
    }
    assert_eq!(told(&mut out), ["client: 421 half a", "end"]);
}

#[test]
fn lines_without_end_are_refused_to_clients_and_end_it_with_servers() {
    let mut dialog = play(ends(CLIENT, MEETING), &[GREETED]);
    let mut out = Outbox::new();
    let mut pushed = 0;
    while pushed <= 2 * LINE {
        assert!(dialog.hears_client());
        dialog.handle(Instant::START, Input::FromClient(vec![b'x'; CHUNK]), &mut out);
        pushed += CHUNK;
    }
    assert_eq!(told(&mut out), ["client: 500 This line is too long."]);
    while dialog.hears_server() {
        dialog.handle(Instant::START, Input::FromServer(vec![b'x'; CHUNK]), &mut out);
    }
    assert_eq!(told(&mut out), ["client: 421 The real server's reply is too long.", "end"]);
    assert_eq!(dialog.deadline(), None);
}

#[test]
fn who_waits_is_not_read_without_bound() {
    let mut dialog = play(
        ends(CLIENT, MEETING),
        &[GREETED, ("C: PASV", &["server: PASV"]), ("S: 227 (10,0,0,9,4,1)", &["open passive 1025"])],
    );
    let mut out = Outbox::new();
    assert!(!dialog.hears_server());
    let mut pushed = 0;
    while dialog.hears_client() {
        dialog.handle(Instant::START, Input::FromClient(b"NOOP\r\n".repeat(CHUNK / 6)), &mut out);
        pushed += CHUNK;
    }
    assert!(pushed <= 2 * LINE);
    // Who pushes on all the same is cut off.
    while out.is_empty() {
        dialog.handle(Instant::START, Input::FromClient(vec![b'x'; CHUNK]), &mut out);
    }
    assert_eq!(told(&mut out), ["client: 421 Too much at a time.", "end"]);
}

#[test]
fn silence_ends_it() {
    let mut dialog = play(ends(CLIENT, MEETING), &[GREETED]);
    let mut out = Outbox::new();
    let until = Instant::START + IDLE;
    assert_eq!(dialog.deadline(), Some(until));
    dialog.handle(until, input("C: NOOP"), &mut out);
    dialog.handle_timeout(until, &mut out);
    assert_eq!(told(&mut out), ["server: NOOP"]);
    dialog.handle_timeout(until + IDLE, &mut out);
    assert_eq!(told(&mut out), ["client: 421 Nothing was said for too long.", "end"]);
}
