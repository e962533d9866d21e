//! The command line of `evenkeel lab`, ready to be flattened into the program's own parser.

use std::net::SocketAddr;
use std::path::PathBuf;

/// Arguments of `evenkeel lab`.
#[derive(clap::Args, Debug, Clone, Default)]
#[command(
    about = "Build a whole cluster in network namespaces and serve traffic through it",
    long_about = "Build a whole cluster in network namespaces and serve traffic through it.\n\n\
        Nothing outside the namespaces is changed. On a terminal the cluster stays up, shows its state and takes \
        keys; otherwise, or with `--script`, it tells a tour, one line an event. Everything is removed at the \
        end; what a killed lab left is removed by the next start or by `evenkeel lab clean`."
)]
pub struct LabArgs {
    /// What to do: `dr` builds the direct-routing cluster, `heartbeat` the pair, `clean` removes what killed labs left.
    #[arg(value_enum, default_value_t)]
    pub action: Action,
    /// Run this script instead of the live view: `tour` for `dr`, `failover` for `heartbeat`.
    #[arg(long, value_enum, value_name = "SCRIPT")]
    pub script: Option<Script>,
    /// Print the script's events as JSON lines on standard output.
    #[arg(long)]
    pub json: bool,
    /// Size of the director's connection table.
    #[arg(long, value_name = "N", default_value_t = 65_536)]
    pub connections: u32,
    /// Requests a second that the client makes in the live views, under `kill -9` and while the pair fails over.
    #[arg(long, value_name = "N", default_value_t = 200)]
    pub rate: u32,
    /// Name of this lab: labs of different names run side by side. Without it, what the lab is.
    #[arg(long, value_name = "NAME")]
    pub name: Option<String>,
}

impl LabArgs {
    /// The name of the lab.
    pub(crate) fn name(&self) -> &str {
        self.name.as_deref().unwrap_or(match self.action {
            Action::Heartbeat => "heartbeat",
            Action::Dr | Action::Clean => "dr",
        })
    }
}

/// What `evenkeel lab` is asked to do.
#[derive(clap::ValueEnum, Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Action {
    /// Direct routing: client, router, director, two real servers.
    #[default]
    Dr,
    /// A pair of nodes with an address that moves, from ha.cf, authkeys and haresources.
    Heartbeat,
    /// Remove every namespace, process, mount and directory of labs that no longer run.
    Clean,
}

/// A script the lab can play without anybody at the keyboard.
#[derive(clap::ValueEnum, Debug, Clone, Copy, PartialEq, Eq)]
pub enum Script {
    /// Alternation, a dying real server, the fallback, recovery, a crash of the director, the end.
    Tour,
    /// Hand-over and fail-back, pulled cables, a split and its healing, `kill -9`, power off, the end.
    Failover,
}

/// Arguments of the hidden `evenkeel lab-server`: the small web server of the lab's real servers.
#[derive(clap::Args, Debug, Clone)]
#[command(about = "The small web server of the lab", hide = true)]
pub struct ServerArgs {
    /// Addresses to listen on.
    #[arg(long, required = true, value_name = "ADDRESS:PORT")]
    pub listen: Vec<SocketAddr>,
    /// Body of every answer.
    #[arg(long, default_value = "")]
    pub body: String,
    /// Status of every answer.
    #[arg(long, default_value_t = 200)]
    pub status: u16,
    /// Unix socket that takes the commands `answer STATUS BODY`, `hang` and `quit`.
    #[arg(long, value_name = "PATH")]
    pub control: Option<PathBuf>,
}
