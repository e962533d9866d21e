//! The command line of `evenkeel`.

use clap::{Args, Parser, Subcommand, ValueEnum};
use std::{
    net::{IpAddr, SocketAddr},
    path::PathBuf,
};

/// One program for Linux load balancing: your ldirectord.cf or keepalived.conf, or one small TOML file, on a packet
/// path of its own.
#[derive(Debug, Parser)]
#[command(name = "evenkeel", version, propagate_version = true, disable_help_subcommand = true, max_term_width = 100)]
pub(crate) struct Cli {
    /// Directory of the running instance: its socket, pid and state
    #[arg(
        long,
        global = true,
        value_name = "DIR",
        env = "EVENKEEL_RUNTIME_DIR",
        default_value = "/run/evenkeel",
        hide_env_values = true
    )]
    pub(crate) runtime_dir: PathBuf,
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Start in the foreground, with these files or without any (--vip, --to)
    Run(Box<RunArgs>),
    /// Tell everything that is wrong with these files, and what this host has to do with it
    Check(CheckArgs),
    /// Print the same set-up as one TOML file
    Convert(ConvertArgs),
    /// Read the files again; wrong ones leave the running state as it is
    Reload,
    /// Show what a reload would change, and change nothing
    Diff,
    /// Show what is served, what is down and why
    Status(StatusArgs),
    /// End the running instance; everything it added is removed
    Stop,
    /// List the connections
    Conns(ConnsArgs),
    /// End connections: of a service, of a real server, of a client
    Flush(FlushArgs),
    /// Let a real server's connections end: no new ones go to it
    Drain(DrainArgs),
    /// Give a drained real server new connections again
    Undrain(ServerArg),
    /// Give a real server another weight than the files do
    Weight(WeightArgs),
    /// Take a real server or a whole service out
    Disable(TargetArgs),
    /// Take it in again
    Enable(TargetArg),
    /// Give resource groups of the cluster to the other node
    Standby(MoveArgs),
    /// Take resource groups of the cluster from the other node
    Takeover(MoveArgs),
    /// Say that a node which cannot be fenced is off, or that a resource group which cannot be stopped here has stopped
    Confirm {
        /// Name of the node, or key of the group
        what: String,
    },
    /// Move resource groups to another node
    Failover(FailoverArgs),
    /// Prepare this host as a real server of direct routing or tunnels: VIP on lo, silent to ARP; undoable
    Realserver(RealserverArgs),
    /// Build a whole cluster in network namespaces and serve traffic through it
    Lab(evenkeel_lab::LabArgs),
    #[command(hide = true)]
    LabServer(evenkeel_lab::ServerArgs),
    /// Ends the addresses of a daemon of a heartbeat cluster that no longer sends statuses; the daemon starts it
    #[command(hide = true)]
    HeartbeatGuard,
    /// Say at length what a code such as E0102 is about
    Explain {
        /// The code
        code: String,
    },
    /// Print completions for a shell
    Completion {
        /// Which shell
        shell: clap_complete::Shell,
    },
    /// Print the version
    Version {
        /// As a JSON object
        #[arg(long)]
        json: bool,
    },
}

/// Format of the files.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum FormatArg {
    /// TOML
    Native,
    /// ldirectord.cf
    Ldirectord,
    /// keepalived.conf
    Keepalived,
    /// ha.cf, authkeys, haresources
    Heartbeat,
}

/// Which packet path.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub(crate) enum DataplaneArg {
    /// The best there is
    #[default]
    Auto,
    /// evenkeel's own program
    Ebpf,
    /// A table that forwards nothing
    #[value(hide = true)]
    Memory,
}

/// How to attach.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum AttachArg {
    /// The best the interface has
    Auto,
    /// The tcx hook (kernel 6.6 and later)
    Tcx,
    /// A filter of the clsact queueing discipline
    Clsact,
    /// XDP in the driver
    Xdp,
    /// XDP in the stack
    Generic,
}

/// Arguments of `run`.
#[derive(Args, Debug)]
pub(crate) struct RunArgs {
    /// Files or directories, any mix of formats
    #[arg(value_name = "PATH", conflicts_with = "vip")]
    pub(crate) paths: Vec<PathBuf>,
    /// Say what would be done, and do nothing
    #[arg(long)]
    pub(crate) dry_run: bool,
    /// Without a file: the virtual address and port
    #[arg(long, value_name = "ADDRESS:PORT", requires = "to")]
    pub(crate) vip: Option<String>,
    /// Without a file: a real server, once for each
    #[arg(long, value_name = "ADDRESS[:PORT]", requires = "vip")]
    pub(crate) to: Vec<String>,
    /// Without a file: how real servers are checked: tcp, http:/PATH, https:/PATH, ping, script:PATH, on
    #[arg(long, value_name = "KIND[:ARG]", requires = "vip")]
    pub(crate) check: Option<String>,
    /// Without a file: the scheduler: rr, wrr, mh, maglev
    #[arg(long, value_name = "NAME", requires = "vip")]
    pub(crate) schedule: Option<String>,
    /// Without a file: with an empty table, for ipvsadm to fill; what an earlier run left is taken over
    #[arg(long, conflicts_with_all = ["paths", "vip", "dry_run"])]
    pub(crate) empty: bool,
    /// Of a keepalived.conf serve the virtual servers alone, without VRRP, static addresses and routes
    #[arg(long, conflicts_with = "vip")]
    pub(crate) no_vrrp: bool,
    /// The packet path
    #[arg(long, value_enum, default_value_t, value_name = "KIND")]
    pub(crate) dataplane: DataplaneArg,
    /// How to attach to the interfaces
    #[arg(long, value_enum, value_name = "DOOR")]
    pub(crate) attach: Option<AttachArg>,
    /// Interface to attach to, once for each; otherwise those the virtual addresses' traffic arrives on
    #[arg(long, value_name = "NAME")]
    pub(crate) interface: Vec<String>,
    /// Name of this node [default: the host's name]
    #[arg(long, value_name = "NAME")]
    pub(crate) node: Option<String>,
    /// Connections the table holds, up to 16777216 [default: 1048576]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1024..=16_777_216))]
    pub(crate) connections: Option<u32>,
    /// Format of the files, where names and contents do not tell
    #[arg(long, value_enum, value_name = "FORMAT")]
    pub(crate) format: Option<FormatArg>,
}

/// Arguments of `check`.
#[derive(Args, Debug)]
pub(crate) struct CheckArgs {
    /// Files or directories, any mix of formats
    #[arg(value_name = "PATH", required = true)]
    pub(crate) paths: Vec<PathBuf>,
    /// Mend in the files what can be mended without a doubt
    #[arg(long)]
    pub(crate) fix: bool,
    /// Count warnings as failures
    #[arg(long)]
    pub(crate) deny_warnings: bool,
    /// How to print
    #[arg(long, value_enum, default_value_t, value_name = "FORM")]
    pub(crate) output: OutputArg,
    /// Name of this node in the files [default: the host's name; for lines of a keepalived.conf up to its first dot]
    #[arg(long, value_name = "NAME")]
    pub(crate) node: Option<String>,
    /// Format of the files, where names and contents do not tell
    #[arg(long, value_enum, value_name = "FORMAT")]
    pub(crate) format: Option<FormatArg>,
}

/// How to print diagnostics.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub(crate) enum OutputArg {
    /// For people
    #[default]
    Text,
    /// For programs
    Json,
}

/// Arguments of `convert`.
#[derive(Args, Debug)]
pub(crate) struct ConvertArgs {
    /// Files or directories, any mix of formats
    #[arg(value_name = "PATH", required = true)]
    pub(crate) paths: Vec<PathBuf>,
    /// Name of this node in the files [default: the host's name; for lines of a keepalived.conf up to its first dot]
    #[arg(long, value_name = "NAME")]
    pub(crate) node: Option<String>,
    /// Format of the files, where names and contents do not tell
    #[arg(long, value_enum, value_name = "FORMAT")]
    pub(crate) format: Option<FormatArg>,
}

/// Arguments of `status`.
#[derive(Args, Debug)]
pub(crate) struct StatusArgs {
    /// Only this service: its name, or its address and port
    pub(crate) service: Option<String>,
    /// One JSON object
    #[arg(long)]
    pub(crate) json: bool,
    /// Again every second, until `q`
    #[arg(long, conflicts_with_all = ["brief", "service"])]
    pub(crate) watch: bool,
    /// One line; exit status 0 fine, 1 degraded, 2 down
    #[arg(long, conflicts_with = "json")]
    pub(crate) brief: bool,
}

/// Resource groups.
#[derive(Args, Debug)]
pub(crate) struct MoveArgs {
    /// all, those that prefer this node (local) or the other one (foreign), or one group by its key
    #[arg(default_value = "all")]
    pub(crate) what: String,
}

/// A real server.
#[derive(Args, Debug)]
pub(crate) struct ServerArg {
    /// Name or address, with its service where that is not unique: web/real-1, real-1, 192.0.2.2:80
    pub(crate) server: String,
}

/// Arguments of `drain`.
#[derive(Args, Debug)]
pub(crate) struct DrainArgs {
    #[command(flatten)]
    pub(crate) server: ServerArg,
    /// End by itself after this time: 90s, 10m, 2h
    #[arg(long = "for", value_name = "TIME", value_parser = seconds)]
    pub(crate) for_s: Option<u64>,
    /// Wait until no active connection is left, or no more than --keep
    #[arg(long)]
    pub(crate) until_idle: bool,
    /// Wait as long at the most, then end the connections that are left
    #[arg(long, value_name = "TIME", value_parser = seconds, conflicts_with = "for_s")]
    pub(crate) deadline: Option<u64>,
    /// So many active connections need not be waited for; with --deadline they are ended with the rest
    #[arg(long, value_name = "N", default_value_t = 0)]
    pub(crate) keep: u32,
    /// Also when no real server of a service would be left
    #[arg(long)]
    pub(crate) force: bool,
}

/// Which connections.
#[derive(Args, Debug)]
pub(crate) struct FilterArgs {
    /// Of this service: its name, or its address and port
    #[arg(long, value_name = "SERVICE")]
    pub(crate) service: Option<String>,
    /// Of this real server: its name or address, with or without port
    #[arg(long, value_name = "SERVER")]
    pub(crate) server: Option<String>,
    /// Of this client: its address, with or without port
    #[arg(long, value_name = "ADDRESS[:PORT]", value_parser = end)]
    pub(crate) client: Option<SocketAddr>,
}

/// Arguments of `conns`.
#[derive(Args, Debug)]
pub(crate) struct ConnsArgs {
    #[command(flatten)]
    pub(crate) filter: FilterArgs,
    /// Only how many there are
    #[arg(long, conflicts_with_all = ["limit", "no_headers"])]
    pub(crate) count: bool,
    /// No more than this
    #[arg(long, value_name = "N")]
    pub(crate) limit: Option<u64>,
    /// A JSON array, one connection a line; with --count an object
    #[arg(long)]
    pub(crate) json: bool,
    /// Without the first line
    #[arg(long)]
    pub(crate) no_headers: bool,
}

/// Arguments of `flush`.
#[derive(Args, Debug)]
pub(crate) struct FlushArgs {
    #[command(flatten)]
    pub(crate) filter: FilterArgs,
    /// Every connection
    #[arg(long, conflicts_with_all = ["service", "server", "client"])]
    pub(crate) all: bool,
    /// Only say how many there are
    #[arg(long)]
    pub(crate) dry_run: bool,
}

/// Arguments of `weight`.
#[derive(Args, Debug)]
pub(crate) struct WeightArgs {
    #[command(flatten)]
    pub(crate) server: ServerArg,
    /// 0 to 2147483647, or `file` for the weight the files give it
    #[arg(value_name = "N|file", value_parser = weight)]
    pub(crate) weight: NewWeight,
    /// Also when no real server of a service would be left
    #[arg(long)]
    pub(crate) force: bool,
}

/// A weight, or the files'.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum NewWeight {
    Number(u32),
    AsInTheFiles,
}

/// A real server or a service.
#[derive(Args, Debug)]
pub(crate) struct TargetArg {
    /// Real server or service: name or address
    pub(crate) target: String,
}

/// Arguments of `disable`.
#[derive(Args, Debug)]
pub(crate) struct TargetArgs {
    #[command(flatten)]
    pub(crate) target: TargetArg,
    /// Also when no real server of a service would be left
    #[arg(long)]
    pub(crate) force: bool,
}

/// Arguments of `realserver`.
#[derive(Args, Debug)]
pub(crate) struct RealserverArgs {
    #[command(subcommand)]
    pub(crate) action: RealserverAction,
}

/// What to do with this host as a real server.
#[derive(Debug, Subcommand)]
pub(crate) enum RealserverAction {
    /// Put the VIPs on lo and keep silent about them
    Up(UpArgs),
    /// Put back exactly what `up` found
    Down(VipArgs),
    /// Tell how this host is set up for the VIPs
    Status(VipArgs),
    /// Print a shell script that does the same on a host without evenkeel
    Script(ScriptArgs),
}

/// How packets come to a real server.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub(crate) enum ModeArg {
    /// Direct routing: as the client sent them
    #[default]
    Dr,
    /// In tunnel packets from the director
    Tun,
}

/// Kinds of tunnels.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub(crate) enum TunnelArg {
    /// IP in IP
    #[default]
    Ipip,
    /// GRE without checksum
    Gre,
    /// GRE with checksum
    GreCsum,
    /// GUE
    Gue,
}

/// Arguments of `realserver up`.
#[derive(Args, Debug)]
pub(crate) struct UpArgs {
    #[command(flatten)]
    pub(crate) vips: VipArgs,
    /// How packets come
    #[arg(long, value_enum, default_value_t)]
    pub(crate) mode: ModeArg,
    /// With `--mode tun`: device that tunnel packets come in by; may be repeated; default: every Ethernet device with an address
    #[arg(long, value_name = "DEVICE")]
    pub(crate) device: Vec<String>,
    /// With `--mode tun`: take packets by tunnel devices of the kernel in place of evenkeel's own programs
    #[arg(long, value_enum, value_name = "KIND", conflicts_with = "device")]
    pub(crate) kernel_device: Option<TunnelArg>,
    /// With `--mode tun`: UDP port of GUE
    #[arg(long, value_name = "PORT", default_value_t = evenkeel_realserver::Tunnel::GUE_PORT)]
    pub(crate) gue_port: u16,
}

/// Arguments of `realserver script`.
#[derive(Args, Debug)]
pub(crate) struct ScriptArgs {
    #[command(flatten)]
    pub(crate) vips: VipArgs,
    /// How packets come
    #[arg(long, value_enum, default_value_t)]
    pub(crate) mode: ModeArg,
    /// With `--mode tun`: the kernel's tunnel device
    #[arg(long, value_enum, default_value_t)]
    pub(crate) tunnel: TunnelArg,
    /// With `--tunnel gue`: UDP port
    #[arg(long, value_name = "PORT", default_value_t = evenkeel_realserver::Tunnel::GUE_PORT)]
    pub(crate) gue_port: u16,
}

/// Virtual addresses.
#[derive(Args, Debug)]
pub(crate) struct VipArgs {
    /// Virtual addresses, without prefix length
    #[arg(value_name = "VIP")]
    pub(crate) vips: Vec<IpAddr>,
}

/// An address, with or without port.
fn end(text: &str) -> Result<SocketAddr, String> {
    let bare = text.parse::<IpAddr>().map(|ip| SocketAddr::new(ip, 0));
    bare.or_else(|_| text.parse()).map_err(|_| "write an address such as 198.51.100.7 or [2001:db8::7]:4242".to_owned())
}

/// `90`, `90s`, `10m`, `2h`, `1d`.
fn seconds(text: &str) -> Result<u64, String> {
    let digits = text.trim_end_matches(|c: char| !c.is_ascii_digit());
    let number: u64 = digits.parse().map_err(|_| "write a number and s, m, h or d, such as 10m".to_owned())?;
    let unit = match text.get(digits.len()..) {
        Some("" | "s") => 1,
        Some("m") => 60,
        Some("h") => 3600,
        Some("d") => 86_400,
        Some(_) | None => return Err("write a number and s, m, h or d, such as 10m".to_owned()),
    };
    number.checked_mul(unit).filter(|s| *s > 0).ok_or_else(|| "the time is out of range".to_owned())
}

fn weight(text: &str) -> Result<NewWeight, String> {
    if text == "file" {
        return Ok(NewWeight::AsInTheFiles);
    }
    match text.parse::<u32>() {
        Ok(number) if number <= 0x7fff_ffff => Ok(NewWeight::Number(number)),
        Ok(_) | Err(_) => Err("a weight is a number from 0 to 2147483647, or the word file".to_owned()),
    }
}

/// What moves where.
#[derive(Debug, Args)]
pub(crate) struct FailoverArgs {
    /// Only this group
    #[arg(value_name = "GROUP")]
    pub(crate) group: Option<String>,
    /// To this node; without it, away from this one
    #[arg(long, value_name = "NODE")]
    pub(crate) to: Option<String>,
}

#[cfg(test)]
mod tests;
