use super::*;
use evenkeel_ftp::Order;
use std::net::{IpAddr, Ipv4Addr};
use tokio::{
    io::{AsyncBufReadExt, BufReader},
    net::TcpListener,
    task::LocalSet,
};

/// The virtual address, and the real server's.
const VIRTUAL: IpAddr = IpAddr::V4(Ipv4Addr::new(127, 0, 0, 21));
const REAL: IpAddr = IpAddr::V4(Ipv4Addr::new(127, 0, 0, 22));

/// A session that has begun: the client's end, and what it asks of the core.
async fn begun(real_server: SocketAddr) -> (BufReader<TcpStream>, mpsc::Receiver<Call>) {
    let listener = TcpListener::bind((VIRTUAL, 0)).await.unwrap();
    let virtual_address = listener.local_addr().unwrap();
    let near = TcpStream::connect(virtual_address).await.unwrap();
    let (far, client) = listener.accept().await.unwrap();
    let (calls, incoming) = mpsc::channel(4);
    let line = Line { session: 7, client, virtual_address, real_server, calls, clock: Clock::start() };
    tokio::task::spawn_local(carry(line, far));
    (BufReader::new(near), incoming)
}

async fn hear(stream: &mut BufReader<TcpStream>) -> String {
    let mut line = String::new();
    stream.read_line(&mut line).await.unwrap();
    line
}

async fn say(stream: &mut BufReader<TcpStream>, line: &str) {
    stream.get_mut().write_all(line.as_bytes()).await.unwrap();
}

async fn ended(calls: &mut mpsc::Receiver<Call>) -> bool {
    matches!(calls.recv().await, Some(Call::Ended { session: 7 })) && calls.recv().await.is_none()
}

#[tokio::test]
async fn a_session_goes_through_and_asks_for_its_data_connections() {
    let test = async {
        let listener = TcpListener::bind((REAL, 0)).await.unwrap();
        let (mut client, mut calls) = begun(listener.local_addr().unwrap()).await;
        let (server, from) = listener.accept().await.unwrap();
        assert_eq!(from.ip(), VIRTUAL, "data connections come from there, too");
        let mut server = BufReader::new(server);
        say(&mut server, "220 hello\r\n").await;
        assert_eq!(hear(&mut client).await, "220 hello\r\n");
        for (answer, reply) in [
            (Some(50_000), "227 Entering Passive Mode (127,0,0,21,195,80).\r\n"),
            (None, "425 No data connection can be made now.\r\n"),
        ] {
            say(&mut client, "PASV\r\n").await;
            assert_eq!(hear(&mut server).await, "PASV\r\n");
            say(&mut server, "227 ok (10,0,0,1,4,1)\r\n").await;
            let Some(Call::Open { session: 7, order: Order::Passive(1025), answer: port }) = calls.recv().await else {
                panic!("nothing was asked for")
            };
            port.send(answer).unwrap();
            assert_eq!(hear(&mut client).await, reply);
        }
        // A core that forgets to answer has refused.
        say(&mut client, "EPSV\r\n").await;
        assert_eq!(hear(&mut server).await, "EPSV\r\n");
        say(&mut server, "229 ok (|||1025|)\r\n").await;
        drop(calls.recv().await);
        assert_eq!(hear(&mut client).await, "425 No data connection can be made now.\r\n");
        say(&mut client, "QUIT\r\n").await;
        client.get_mut().shutdown().await.unwrap();
        assert_eq!((hear(&mut server).await, hear(&mut server).await), ("QUIT\r\n".to_owned(), String::new()));
        say(&mut server, "221 bye\r\n").await;
        drop(server);
        assert_eq!((hear(&mut client).await, hear(&mut client).await), ("221 bye\r\n".to_owned(), String::new()));
        assert!(ended(&mut calls).await);
    };
    LocalSet::new().run_until(test).await;
}

#[tokio::test]
async fn a_client_whose_real_server_does_not_answer_is_told() {
    let test = async {
        let closed = TcpListener::bind((REAL, 0)).await.unwrap().local_addr().unwrap();
        let (mut client, mut calls) = begun(closed).await;
        assert_eq!(hear(&mut client).await, "421 The real server does not answer.\r\n");
        assert_eq!(hear(&mut client).await, "");
        drop(client);
        assert!(ended(&mut calls).await);
    };
    LocalSet::new().run_until(test).await;
}

#[tokio::test]
async fn the_last_words_arrive_although_the_client_was_talking() {
    let test = async {
        let listener = TcpListener::bind((REAL, 0)).await.unwrap();
        let (mut client, mut calls) = begun(listener.local_addr().unwrap()).await;
        let (mut server, _) = listener.accept().await.unwrap();
        server.write_all(b"421 no\r\n").await.unwrap();
        drop(server);
        say(&mut client, &"NOOP\r\n".repeat(100)).await;
        assert_eq!((hear(&mut client).await, hear(&mut client).await), ("421 no\r\n".to_owned(), String::new()));
        drop(client);
        assert!(ended(&mut calls).await);
    };
    LocalSet::new().run_until(test).await;
}
