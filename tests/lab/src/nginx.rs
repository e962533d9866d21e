//! Debian's nginx on a node with mounts of its own, started and stopped by its init script.

#![expect(clippy::expect_used, clippy::missing_panics_doc, reason = "a test fails by panicking")]

use std::{
    fs,
    path::{Path, PathBuf},
};

/// What each node has for itself, so that it runs an nginx of its own.
pub const PLACES: [&str; 3] = ["/etc/nginx", "/var/log/nginx", "/var/lib/nginx"];
/// What starts and stops it, and what heartbeat calls for the resource `nginx`.
pub const SCRIPT: &str = "/etc/init.d/nginx";

/// Whether it is there; says so where not.
pub fn has_nginx() -> bool {
    let there = [SCRIPT, "/usr/sbin/nginx"].iter().chain(&PLACES).all(|path| Path::new(path).exists());
    if !there {
        println!("skipped: needs nginx (apt install nginx-light)");
    }
    there
}

/// Writes the configuration below `directory`, which a node sees as /etc/nginx: it answers with `answer`. Gives where its
/// process id is while it runs.
pub fn configure(directory: &Path, answer: &str) -> PathBuf {
    let text = format!(
        "worker_processes 1;\npid {}/nginx.pid;\nevents {{ worker_connections 64; }}\nhttp {{\n  access_log off;\n  default_type \
         text/plain;\n  server {{ listen 80; return 200 {answer}; }}\n}}\n",
        PLACES[0]
    );
    fs::write(directory.join("nginx.conf"), text).expect("a file is written");
    directory.join("nginx.pid")
}
