use super::*;

const VIP: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(192, 0, 2, 1));

fn key(port: u16) -> ServiceKey {
    ServiceKey::new(VIP, Protocol::Tcp, port)
}

fn at(text: &str) -> SocketAddr {
    text.parse().unwrap()
}

/// With one session for each of these clients.
fn relay(clients: &[&str]) -> (Relay, Vec<u64>) {
    let (mut relay, _) = Relay::new();
    let admit = |client: &&str| relay.admit(key(21), at(client), at("10.0.0.2:21")).unwrap();
    let sessions = clients.iter().map(admit).collect();
    (relay, sessions)
}

fn free(_: &ServiceKey) -> bool {
    false
}

#[test]
fn meeting_points_are_for_one_host_and_lead_to_another() {
    let (mut relay, sessions) = relay(&["198.51.100.7:40000"]);
    for (order, from, to) in [
        (Order::Passive(1025), "198.51.100.7/32", "10.0.0.2:1025"),
        (Order::Active(2000), "10.0.0.2/32", "198.51.100.7:2000"),
    ] {
        let opening = relay.opening(sessions[0], order, free).unwrap();
        let [Change::AddService(service, options), Change::AddRealServer(of, address, server)] = &opening.changes
        else {
            panic!("{:?}", opening.changes);
        };
        assert_eq!((*service, *of, opening.to), (opening.key, opening.key, at(to)));
        assert_eq!(options.sources.allow.iter().map(Prefix::to_string).collect::<Vec<_>>(), [from]);
        assert!(options.note.is_meeting && !options.note.by_edit);
        assert_eq!((*address, server.forwarding), (at(to), Forwarding::FullNat));
        assert_eq!(opening.key.address(), Some(VIP));
    }
    assert_eq!(relay.opening(99, Order::Passive(1), free), None, "there is no such session");
}

#[test]
fn ports_go_round_and_pass_by_what_is_taken() {
    let (mut relay, sessions) = relay(&["198.51.100.7:40000", "198.51.100.8:40000"]);
    let port = |relay: &mut Relay, session: usize, taken: &[u16]| {
        let opening = relay.opening(sessions[session], Order::Passive(1), |key| taken.contains(&key.port())).unwrap();
        let before = relay.opened(Instant::now(), sessions[session], opening.key, Order::Passive(1));
        (opening.key.port(), before.map(|key| key.port()))
    };
    let first = *PORTS.start();
    assert_eq!(port(&mut relay, 0, &[]), (first + 1, None));
    assert_eq!(port(&mut relay, 1, &[first + 2]), (first + 3, None));
    assert_eq!(port(&mut relay, 0, &[]), (first + 4, Some(first + 1)), "each session has one");
    relay.port = *PORTS.end() - 1;
    assert_eq!(port(&mut relay, 0, &[]).0, *PORTS.end());
    assert_eq!(port(&mut relay, 0, &[]).0, first);
    relay.port = first + 2;
    assert_eq!(port(&mut relay, 0, &[]).0, first + 4, "the other session's is taken");
    assert_eq!(relay.opening(sessions[0], Order::Passive(1), |_| true), None);
}

#[test]
fn sessions_are_bounded_and_nobody_takes_them_all() {
    let (mut relay, _) = relay(&[]);
    let admit = |relay: &mut Relay, client: usize| {
        let client = SocketAddr::new([198, 51, (client >> 8) as u8, client as u8].into(), 1);
        relay.admit(key(21), client, at("10.0.0.2:21"))
    };
    let of_one: Vec<u64> = std::iter::from_fn(|| admit(&mut relay, 0)).collect();
    assert_eq!(of_one.len(), OF_A_CLIENT);
    let of_all = (1..).map_while(|client| admit(&mut relay, client)).count();
    assert_eq!(of_one.len() + of_all, SESSIONS);
    relay.ended(of_one[5]);
    assert!(admit(&mut relay, 9999).is_some());
    assert_eq!(admit(&mut relay, 9998), None);
}

#[test]
fn the_way_to_a_client_is_followed_for_as_long_as_a_session_needs_it() {
    let (mut relay, sessions) = relay(&["198.51.100.7:1", "198.51.100.7:2", "198.51.100.7:3"]);
    for (session, order) in sessions.iter().zip([Order::Active(2000), Order::Active(2001), Order::Passive(1)]) {
        let opening = relay.opening(*session, order, free).unwrap();
        relay.opened(Instant::now(), *session, opening.key, order);
    }
    let ended: Vec<Rest> = sessions.iter().map(|session| relay.ended(*session)).collect();
    assert_eq!(ended.iter().map(|rest| rest.clients.len()).collect::<Vec<_>>(), [0, 1, 0]);
    assert!(ended.iter().all(|rest| rest.meetings.len() == 1));
    assert_eq!(relay.ended(sessions[0]), Rest::default(), "it has ended already");
}

#[test]
fn sessions_are_cut_as_connections_are_flushed() {
    let filter = ConnectionFilter::default();
    for (filter, left) in [
        (filter, 0),
        (ConnectionFilter { service: Some(key(21)), ..filter }, 0),
        (ConnectionFilter { service: Some(key(22)), ..filter }, 2),
        (ConnectionFilter { client: Some(at("198.51.100.7:0")), ..filter }, 1),
        (ConnectionFilter { client: Some(at("198.51.100.7:2")), ..filter }, 2),
        (ConnectionFilter { real_server: Some(at("10.0.0.2:21")), ..filter }, 0),
        (ConnectionFilter { real_server: Some(at("10.0.0.3:0")), ..filter }, 2),
    ] {
        let (mut relay, _) = relay(&["198.51.100.7:1", "198.51.100.8:1"]);
        relay.cut(&filter);
        assert_eq!(relay.sessions.len(), left, "{filter:?}");
    }
}

#[test]
fn what_nobody_comes_to_is_over_after_a_minute() {
    let (mut relay, sessions) = relay(&["198.51.100.7:1"]);
    let opening = relay.opening(sessions[0], Order::Passive(1), free).unwrap();
    let now = Instant::now();
    relay.opened(now, sessions[0], opening.key, Order::Passive(1));
    assert!(relay.unused(now + UNUSED - Duration::from_millis(1)).is_empty());
    assert_eq!(relay.unused(now + UNUSED), [opening.key]);
    assert!(relay.unused(now + UNUSED).is_empty());
}

#[tokio::test]
async fn what_cannot_be_listened_for_is_told_once_and_tried_again() {
    let local = tokio::task::LocalSet::new();
    let test = async {
        let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let key = ServiceKey::new([127, 0, 0, 1].into(), Protocol::Tcp, taken.local_addr().unwrap().port());
        let wanted = BTreeSet::from([key]);
        let (mut relay, mut calls) = Relay::new();
        let (relayed, trouble) = relay.want(&wanted);
        assert_eq!((relayed, trouble.len(), relay.complaints().count()), (None, 1, 1));
        assert_eq!(relay.want(&wanted), (None, Vec::new()));
        drop(taken);
        assert_eq!(relay.want(&wanted), (Some(wanted.clone()), Vec::new()));
        assert_eq!((relay.want(&wanted), relay.complaints().count()), ((None, Vec::new()), 0));
        let client = TcpStream::connect(("127.0.0.1", key.port())).await.unwrap();
        let Some(Call::Accepted { service, client: from, .. }) = calls.recv().await else { panic!("nobody came") };
        assert_eq!((service, from), (key, client.local_addr().unwrap()));
        assert_eq!(relay.want(&BTreeSet::new()), (Some(BTreeSet::new()), Vec::new()));
    };
    local.run_until(test).await;
}
