//! Real FTP servers in nodes: vsftpd, anonymous, one directory to read and one to write.

#![expect(clippy::expect_used, reason = "a test fails by panicking")]

use std::fs::{self, Permissions};
use std::io::{BufRead, BufReader, ErrorKind, Write};
use std::net::{IpAddr, SocketAddr, TcpStream};
use std::os::unix::fs::{PermissionsExt, chown};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use evenkeel_lab::Node;

use crate::LIMIT;

/// Who anonymous users are in Debian's package.
const USER: &str = "ftp";
/// What neither side of a dialog waits for longer.
const PATIENCE: Duration = Duration::from_secs(10);

/// A running server.
pub struct Server {
    child: Child,
    /// What clients see as `/`: `who` with the node's name, `upload` for their files.
    pub root: PathBuf,
}

impl Server {
    /// Starts one in `node`, which answers at `address`, with all its files in `scratch`.
    pub fn start(node: &Node, address: IpAddr, scratch: &Path) -> Server {
        let root = scratch.join(format!("ftp-{}", node.name()));
        let (upload, empty) = (root.join("upload"), scratch.join("empty"));
        fs::create_dir_all(&upload).expect("the directories are made");
        fs::create_dir_all(&empty).expect("the directory is made");
        for directory in [&root, &upload] {
            fs::set_permissions(directory, Permissions::from_mode(0o755)).expect("others may read");
        }
        let (user, group) = user();
        chown(&upload, Some(user), Some(group)).expect("the user may write");
        fs::write(root.join("who"), node.name()).expect("the file is written");
        let text = format!(
            "listen_ipv6=YES\nlisten=NO\nbackground=NO\nanonymous_enable=YES\nlocal_enable=NO\nno_anon_password=YES\n\
             write_enable=YES\nanon_upload_enable=YES\nanon_umask=022\nconnect_from_port_20=YES\nseccomp_sandbox=NO\n\
             use_localtime=NO\nxferlog_enable=NO\nisolate_network=NO\nftp_username={USER}\nanon_root={}\n\
             secure_chroot_dir={}\n",
            root.display(),
            empty.display()
        );
        let file = scratch.join(format!("{}.conf", node.name()));
        fs::write(&file, text).expect("the file is written");
        let mut command = Command::new("vsftpd");
        command.arg(&file).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::inherit());
        let child = node.spawn(command).expect("vsftpd starts; Debian has it in a package of that name");
        let server = Server { child, root };
        let target = SocketAddr::new(address, 21);
        let end = Instant::now() + LIMIT;
        while node.run(move || TcpStream::connect(target)).expect("the node lives").is_err() {
            assert!(Instant::now() < end, "vsftpd of {} never listened", node.name());
            std::thread::yield_now();
        }
        server
    }

    /// What clients have put there.
    pub fn uploaded(&self, name: &str) -> Option<Vec<u8>> {
        match fs::read(self.root.join("upload").join(name)) {
            Ok(bytes) => Some(bytes),
            Err(error) if error.kind() == ErrorKind::NotFound => None,
            Err(error) => panic!("{name}: {error}"),
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // Gone already when its node has ended first.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn user() -> (u32, u32) {
    let text = fs::read_to_string("/etc/passwd").expect("the users are listed");
    let line =
        text.lines().find(|line| line.starts_with(&format!("{USER}:"))).expect("vsftpd's package makes its user");
    let mut numbers = line.split(':').skip(2).map(|number| number.parse().expect("a number"));
    (numbers.next().expect("a user"), numbers.next().expect("a group"))
}

/// A control connection that says exactly what the test wants, logged in.
pub struct Dialog {
    stream: BufReader<TcpStream>,
}

impl Dialog {
    /// From `node`, to an FTP server that is there.
    pub fn open(node: &Node, target: SocketAddr) -> Dialog {
        let stream = node.run(move || TcpStream::connect_timeout(&target, PATIENCE)).expect("the node lives");
        let stream = stream.unwrap_or_else(|error| panic!("{target}: {error}"));
        stream.set_read_timeout(Some(PATIENCE)).expect("a timeout is set");
        let mut dialog = Dialog { stream: BufReader::new(stream) };
        assert_eq!(dialog.reply().0, 220);
        assert_eq!(dialog.say("USER anonymous").0, 230, "no password is asked for");
        dialog
    }

    /// One command, and its reply.
    pub fn say(&mut self, command: &str) -> (u16, String) {
        self.stream.get_mut().write_all(format!("{command}\r\n").as_bytes()).expect("the server listens");
        self.reply()
    }

    /// The next reply: its code and the last line of its text.
    pub fn reply(&mut self) -> (u16, String) {
        loop {
            let mut line = String::new();
            self.stream.read_line(&mut line).expect("the server answers");
            let (code, text) = line.split_at_checked(3).unwrap_or_else(|| panic!("no reply: {line:?}"));
            if let (Ok(code), Some(text)) = (code.parse(), text.strip_prefix(' ')) {
                return (code, text.trim_end().to_owned());
            }
        }
    }

    /// The next piece of what is no reply any more; empty: the server has hung up, in whatever way.
    pub fn rest(&mut self) -> String {
        let mut line = String::new();
        match self.stream.read_line(&mut line) {
            Ok(_) => line,
            Err(error) if error.kind() == ErrorKind::ConnectionReset => String::new(),
            Err(error) => panic!("the server neither answers nor hangs up: {error}"),
        }
    }

    /// The address that PASV names.
    pub fn passive(&mut self) -> SocketAddr {
        let (code, text) = self.say("PASV");
        assert_eq!(code, 227, "{text}");
        let numbers = text.split_once('(').and_then(|(_, rest)| rest.split_once(')')).map(|(inside, _)| inside);
        let numbers: Vec<u8> = numbers.expect("an address").split(',').map(|n| n.parse().expect("a byte")).collect();
        let [a, b, c, d, high, low] = numbers[..] else { panic!("{text}") };
        (IpAddr::from([a, b, c, d]), u16::from_be_bytes([high, low])).into()
    }
}
