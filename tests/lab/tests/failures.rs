//! What a real server's death leaves in the connection table, and whom that may hurt.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddrV4, TcpStream};

use evenkeel_api::ServerState;
use evenkeel_lab::configuration;
use evenkeel_lab_tests::{Bed, LIMIT, all_up, can_run};
use rustix::net::{AddressFamily, SocketType, bind, connect, socket, sockopt};

const VIP: SocketAddrV4 = SocketAddrV4::new(Ipv4Addr::new(10, 77, 0, 100), 80);

#[test]
fn a_client_that_a_dead_real_server_refused_gets_another_from_the_same_port() {
    if !can_run() {
        return;
    }
    let mut bed = Bed::new(|_| {});
    let path = bed.write("director.toml", &configuration(&bed.options().plan)).expect("the file is written");
    bed.director.start(&[&path, "--connections", "65536"]).expect("the director starts");
    bed.director.wait("had both real servers up", LIMIT, all_up).expect("both real servers come in");
    bed.real_servers[0].stop().expect("real-1 dies");
    let from = |port: u16| bed.client.node().run(move || get_from(port)).expect("the client lives");
    let refused: Vec<u16> = (40_000..40_010).filter(|port| from(*port).is_err()).collect();
    assert!(!refused.is_empty(), "the director was quicker than ten requests; nothing is proved");

    bed.director.wait_state("10.77.0.11", ServerState::Down, LIMIT).expect("the director notices");
    let from = |port: u16| bed.client.node().run(move || get_from(port)).expect("the client lives");
    // The director never sees real-1's refusal: to it these ports are still on their way to real-1.
    for port in refused {
        let answer =
            from(port).unwrap_or_else(|error| panic!("port {port} still goes to the dead real server: {error}"));
        assert_eq!(answer, "real-2");
    }
}

/// One request from a port of choice.
fn get_from(port: u16) -> std::io::Result<String> {
    let socket = socket(AddressFamily::INET, SocketType::STREAM, None)?;
    sockopt::set_socket_reuseaddr(&socket, true)?;
    bind(&socket, &SocketAddrV4::new(Ipv4Addr::UNSPECIFIED, port))?;
    connect(&socket, &VIP)?;
    let mut connection = TcpStream::from(socket);
    connection.write_all(b"GET / HTTP/1.0\r\n\r\n")?;
    let mut answer = String::new();
    connection.read_to_string(&mut answer)?;
    Ok(answer.split_once("\r\n\r\n").map(|(_, body)| body.to_owned()).unwrap_or(answer))
}
