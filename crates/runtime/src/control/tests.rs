//! Clients that behave badly, against the socket with a core that answers at once.

use super::*;
use evenkeel_api::{Event, Greeting, Status};
use std::{collections::VecDeque, os::unix::net::UnixStream as StdStream};
use tokio::{
    io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader},
    net::UnixStream,
    task::LocalSet,
};

struct Bed {
    dir: tempfile::TempDir,
    events: broadcast::Sender<Arc<Vec<u8>>>,
}

impl Bed {
    fn path(&self) -> PathBuf {
        self.dir.path().join("control")
    }

    async fn connect(&self) -> BufReader<UnixStream> {
        BufReader::new(UnixStream::connect(self.path()).await.unwrap())
    }
}

/// Serves with `limits` for an own user `uid`; a status is answered with `text` in its node, everything else refused.
async fn bed(limits: Limits, uid: u32, text: String) -> Bed {
    let dir = tempfile::tempdir().unwrap();
    let (calls, mut asked) = mpsc::channel::<Call>(16);
    let (events, _) = broadcast::channel(4);
    let service = Service { calls, events: events.clone(), version: "9.9.9".into(), uid, operators: vec![] };
    let socket = ControlSocket::bind(&dir.path().join("control")).unwrap();
    tokio::task::spawn_local(socket.serve(limits, service));
    tokio::task::spawn_local(async move {
        while let Some(call) = asked.recv().await {
            match call {
                Call::Request { request: Request::Edit { edits, .. }, reply, .. } => {
                    let _ = reply.send(Reply::Done { message: edits.len().to_string() });
                }
                Call::Request { reply, .. } => {
                    let status = Status { node: text.clone(), ..Status::default() };
                    let _ = reply.send(Reply::Status(Box::new(status)));
                }
                Call::Parts(parts) => drop(parts.reply.send(Ok(part(parts.from, parts.task != Task::List)))),
                Call::Ended { ended, reply, .. } => drop(reply.send(format!("{ended} ended"))),
            }
        }
    });
    Bed { dir, events }
}

/// Parts of 1500 connections each.
const PARTS: u64 = 3;
const IN_A_PART: u64 = 1500;

fn part(from: u64, only_count: bool) -> Part {
    let entry = ConnectionEntry {
        protocol: 6,
        client: "198.51.100.7:4242".parse().unwrap(),
        virtual_address: "192.0.2.1:80".parse().unwrap(),
        real_server: "192.0.2.2:80".parse().unwrap(),
        translated_client: None,
        state: "ESTABLISHED".into(),
        expires_s: 900,
        template: false,
        engine: None,
        service: "web".into(),
    };
    let entries = if only_count { Vec::new() } else { vec![entry; IN_A_PART as usize] };
    Part { entries, count: IN_A_PART, next: (from + 1 < PARTS).then_some(from + 1) }
}

async fn line(client: &mut BufReader<UnixStream>) -> String {
    let mut text = String::new();
    client.read_line(&mut text).await.unwrap();
    text
}

async fn ask(client: &mut BufReader<UnixStream>, request: &str) -> Reply {
    client.write_all(format!("{request}\n").as_bytes()).await.unwrap();
    serde_json::from_str(&line(client).await).unwrap()
}

fn own_uid() -> u32 {
    rustix::process::getuid().as_raw()
}

fn refused(reply: &Reply) -> RefusalCode {
    match reply {
        Reply::Refused(refusal) => refusal.code,
        other => panic!("{other:?}"),
    }
}
use evenkeel_api::RefusalCode;

#[tokio::test]
async fn the_daemon_greets_with_version_and_role_and_answers() {
    LocalSet::new()
        .run_until(async {
            let bed = bed(Limits::default(), own_uid(), "n1".into()).await;
            let mut client = bed.connect().await;
            let greeting: Greeting = serde_json::from_str(&line(&mut client).await).unwrap();
            assert_eq!(greeting, Greeting { evenkeel: "9.9.9".into(), protocol: PROTOCOL, role: Role::Admin });
            assert!(matches!(ask(&mut client, r#"{"status":{}}"#).await, Reply::Status(s) if s.node == "n1"));
            let mode = fs::metadata(bed.path()).unwrap().permissions().mode();
            assert_eq!(mode & 0o777, 0o600);
        })
        .await;
}

#[tokio::test]
async fn a_caller_who_may_only_look_is_refused_a_stop() {
    if rustix::process::geteuid().is_root() {
        // Root may everything, so it takes the part of a caller only where the kernel says otherwise: nowhere.
        assert_eq!(peer::role(1000, 1000, 990, &[]), Role::View);
        return;
    }
    LocalSet::new()
        .run_until(async {
            let bed = bed(Limits::default(), own_uid() + 1, String::new()).await;
            let mut client = bed.connect().await;
            line(&mut client).await;
            assert_eq!(refused(&ask(&mut client, r#"{"stop":{}}"#).await), RefusalCode::NotAllowed);
            assert!(matches!(ask(&mut client, r#"{"status":{}}"#).await, Reply::Status(_)));
        })
        .await;
}

#[tokio::test]
async fn garbage_is_refused_and_the_conversation_goes_on() {
    LocalSet::new()
        .run_until(async {
            let bed = bed(Limits::default(), own_uid(), String::new()).await;
            let mut client = bed.connect().await;
            line(&mut client).await;
            for garbage in ["", "{", r#"{"drain":{"server":"a","forced":true}}"#, "[1,2,3]", r#"{"statu":{}}"#] {
                assert_eq!(refused(&ask(&mut client, garbage).await), RefusalCode::BadRequest, "{garbage:?}");
            }
            let deep = "[".repeat(60_000);
            assert_eq!(refused(&ask(&mut client, &deep).await), RefusalCode::BadRequest);
            assert!(matches!(ask(&mut client, r#"{"status":{}}"#).await, Reply::Status(_)));
        })
        .await;
}

#[tokio::test]
async fn an_oversize_request_is_refused_and_closes_the_conversation() {
    LocalSet::new()
        .run_until(async {
            let bed = bed(Limits::default(), own_uid(), String::new()).await;
            let mut client = bed.connect().await;
            line(&mut client).await;
            // The daemon stops reading early, so the rest cannot be written.
            let _ = client.write_all(&vec![b'x'; 8 * 1024 * 1024]).await;
            let reply = line(&mut client).await;
            assert_eq!(refused(&serde_json::from_str(&reply).unwrap()), RefusalCode::TooLong);
            let mut rest = Vec::new();
            let _ = client.read_to_end(&mut rest).await;
            assert!(rest.is_empty());
        })
        .await;
}

#[tokio::test]
async fn half_a_request_is_closed_after_its_time_and_others_are_served_meanwhile() {
    LocalSet::new()
        .run_until(async {
            let limits = Limits { request_time: Duration::from_millis(200), ..Limits::default() };
            let bed = bed(limits, own_uid(), String::new()).await;
            let (mut half, mut whole) = (bed.connect().await, bed.connect().await);
            line(&mut half).await;
            line(&mut whole).await;
            half.write_all(br#"{"stat"#).await.unwrap();
            assert!(matches!(ask(&mut whole, r#"{"status":{}}"#).await, Reply::Status(_)));
            assert_eq!(refused(&serde_json::from_str(&line(&mut half).await).unwrap()), RefusalCode::BadRequest);
            assert_eq!(line(&mut half).await, "");
            assert!(matches!(ask(&mut whole, r#"{"status":{}}"#).await, Reply::Status(_)));
        })
        .await;
}

#[tokio::test]
async fn a_request_in_single_bytes_is_understood() {
    LocalSet::new()
        .run_until(async {
            let bed = bed(Limits::default(), own_uid(), String::new()).await;
            let mut client = bed.connect().await;
            line(&mut client).await;
            for byte in b"{\"status\":{}}" {
                client.write_all(&[*byte]).await.unwrap();
                tokio::task::yield_now().await;
            }
            assert!(matches!(ask(&mut client, "").await, Reply::Status(_)));
        })
        .await;
}

#[tokio::test]
async fn a_slow_reader_is_closed_and_others_are_served_meanwhile() {
    LocalSet::new()
        .run_until(async {
            let limits = Limits { reply_time: Duration::from_millis(300), ..Limits::default() };
            // More than a socket holds.
            let bed = bed(limits, own_uid(), "x".repeat(4 * 1024 * 1024)).await;
            let (mut slow, mut quick) = (bed.connect().await, bed.connect().await);
            line(&mut slow).await;
            line(&mut quick).await;
            slow.write_all(b"{\"status\":{}}\n").await.unwrap();
            assert!(matches!(ask(&mut quick, r#"{"status":{}}"#).await, Reply::Status(_)));
            // Written to until the daemon has closed it: the reply is cut short.
            while slow.write_all(b"\n").await.is_ok() {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
            assert!(matches!(ask(&mut quick, r#"{"status":{}}"#).await, Reply::Status(_)));
        })
        .await;
}

#[tokio::test]
async fn a_watcher_is_told_events_and_how_many_it_missed() {
    LocalSet::new()
        .run_until(async {
            let bed = bed(Limits::default(), own_uid(), "n1".into()).await;
            let mut client = bed.connect().await;
            line(&mut client).await;
            client.write_all(b"{\"watch\":{\"events\":true,\"status_every_ms\":60000}}\n").await.unwrap();
            assert!(matches!(serde_json::from_str(&line(&mut client).await).unwrap(), Reply::Status(_)));
            let event =
                evenkeel_api::Stamped { at_ms: 1, event: Event::ServiceDown { service: "web".into(), idle: 0 } };
            let rendered = Arc::new(evenkeel_api::to_line(&Reply::Event(event.clone())).unwrap());
            // The feed holds four: two of six sent at once are missed.
            for _ in 0..6 {
                bed.events.send(rendered.clone()).unwrap();
            }
            assert_eq!(serde_json::from_str::<Reply>(&line(&mut client).await).unwrap(), Reply::Missed { events: 2 });
            for _ in 0..4 {
                assert_eq!(
                    serde_json::from_str::<Reply>(&line(&mut client).await).unwrap(),
                    Reply::Event(event.clone())
                );
            }
        })
        .await;
}

#[tokio::test]
async fn ten_thousand_idle_clients_and_as_many_more_harm_nobody() {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let have = getrlimit(Resource::Nofile);
    // Both ends of every connection are in this process.
    let want = have.maximum.unwrap_or(u64::MAX).min(32_768);
    setrlimit(Resource::Nofile, Rlimit { current: Some(want), maximum: have.maximum }).unwrap();
    let clients = usize::try_from((want - 200) / 2).unwrap().min(10_000);
    LocalSet::new()
        .run_until(async {
            let bed = bed(Limits { clients, ..Limits::default() }, own_uid(), "n1".into()).await;
            let mut idle = VecDeque::new();
            let before = resident();
            for n in 0..clients + 100 {
                let stream = StdStream::connect(bed.path()).unwrap();
                idle.push_back(stream);
                if n % 64 == 0 || n >= clients {
                    // Lets the daemon take them; the backlog of the socket is finite.
                    let mut one = bed.connect().await;
                    line(&mut one).await;
                    idle.push_back(one.into_inner().into_std().unwrap());
                }
                while idle.len() > clients {
                    idle.pop_front();
                }
            }
            let mut operator = bed.connect().await;
            line(&mut operator).await;
            assert!(matches!(ask(&mut operator, r#"{"status":{}}"#).await, Reply::Status(s) if s.node == "n1"));
            let each = resident().saturating_sub(before) / u64::try_from(clients).unwrap();
            assert!(each < 8192, "an idle client costs {each} bytes");
        })
        .await;
}

/// Anonymous memory of this process in bytes.
fn resident() -> u64 {
    let status = fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|l| l.starts_with("RssAnon:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse::<u64>().unwrap() * 1024
}

#[tokio::test]
async fn connections_come_in_lines_until_the_one_that_is_the_last() {
    let talk = async {
        let bed = bed(Limits::default(), own_uid(), String::new()).await;
        let mut client = bed.connect().await;
        line(&mut client).await;
        client.write_all(b"{\"connections\":{}}\n").await.unwrap();
        let (mut seen, mut lines) = (0, 0);
        loop {
            let reply = serde_json::from_str(&line(&mut client).await).unwrap();
            let Reply::Connections { connections, last } = reply else { panic!("{reply:?}") };
            assert!(connections.len() <= 1024);
            (seen, lines) = (seen + connections.len() as u64, lines + 1);
            if last {
                break;
            }
        }
        assert_eq!((seen, lines), (PARTS * IN_A_PART, 7));
        let counted = ask(&mut client, "{\"count\":{}}").await;
        assert_eq!(counted, Reply::Counted { connections: PARTS * IN_A_PART });
        let ended = ask(&mut client, "{\"flush\":{\"filter\":{}}}").await;
        assert_eq!(ended, Reply::Done { message: format!("{} ended", PARTS * IN_A_PART) });
    };
    LocalSet::new().run_until(talk).await;
}

#[tokio::test]
async fn who_does_not_read_the_connections_is_sent_no_more_and_holds_up_nobody() {
    let talk = async {
        let limits = Limits { reply_time: Duration::from_millis(300), ..Limits::default() };
        let bed = bed(limits, own_uid(), String::new()).await;
        let mut slow = bed.connect().await;
        line(&mut slow).await;
        slow.write_all(b"{\"connections\":{}}\n").await.unwrap();
        let mut other = bed.connect().await;
        line(&mut other).await;
        assert!(matches!(ask(&mut other, "{\"status\":{}}").await, Reply::Status(_)));
        // Written to until the daemon has closed it: the rest is never sent.
        while slow.write_all(b"\n").await.is_ok() {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        assert!(matches!(ask(&mut other, "{\"status\":{}}").await, Reply::Status(_)));
    };
    LocalSet::new().run_until(talk).await;
}

#[tokio::test]
async fn edits_are_joined_until_the_last_part_and_bounded() {
    let talk = async {
        let limits = Limits { joined_bytes: 200, ..Limits::default() };
        let bed = bed(limits, own_uid(), String::new()).await;
        let mut client = bed.connect().await;
        line(&mut client).await;
        let part = "{\"edit\":{\"edits\":[{\"clear\":{}},{\"zero\":null}],\"more\":true}}";
        let taken = |n: u32| Reply::Done { message: format!("{n} edits taken") };
        assert_eq!(ask(&mut client, part).await, taken(2));
        assert_eq!(ask(&mut client, part).await, taken(4));
        assert_eq!(refused(&ask(&mut client, "{\"status\":{}}").await), RefusalCode::BadRequest);
        let last = "{\"edit\":{\"edits\":[{\"clear\":{}}]}}";
        assert_eq!(ask(&mut client, last).await, Reply::Done { message: "5".into() });
        for n in 1..=3 {
            assert_eq!(ask(&mut client, part).await, taken(2 * n));
        }
        assert_eq!(refused(&ask(&mut client, part).await), RefusalCode::TooLong);
        assert_eq!(ask(&mut client, last).await, Reply::Done { message: "1".into() }, "what was joined is forgotten");
    };
    LocalSet::new().run_until(talk).await;
}
