//! `realserver`: this host as a real server of direct routing or tunnels.

use crate::{
    args::{ModeArg, RealserverAction, RealserverArgs, ScriptArgs, TunnelArg, UpArgs, VipArgs},
    exit::{FAILED, Trouble},
    print,
};
use evenkeel_realserver::KernelTunnel;
use std::{path::Path, process::ExitCode};

pub(crate) fn realserver(runtime_dir: &Path, arguments: RealserverArgs) -> Result<ExitCode, Trouble> {
    // Beside a running director's state: its lock is not in the way.
    let directory = runtime_dir.join("realserver");
    match arguments.action {
        RealserverAction::Up(UpArgs { vips: VipArgs { vips }, mode, device, kernel_device, gue_port }) => {
            if vips.is_empty() {
                return Err(Trouble::usage(
                    "name the virtual addresses, for example: evenkeel realserver up 192.0.2.1",
                ));
            }
            needs_root("addresses and kernel parameters are root's to change")?;
            let report = match mode {
                ModeArg::Dr if !device.is_empty() => {
                    return Err(Trouble::usage(
                        "--device belongs to --mode tun; direct routing takes packets by every device",
                    ));
                }
                ModeArg::Dr if kernel_device.is_some() => {
                    return Err(Trouble::usage("--kernel-device belongs to --mode tun"));
                }
                ModeArg::Dr => evenkeel_realserver::up(&directory, &vips),
                ModeArg::Tun if let Some(kind) = kernel_device => {
                    evenkeel_realserver::up_kernel(&directory, &vips, kernel_tunnel(kind, gue_port))
                }
                ModeArg::Tun => {
                    let tunnel = evenkeel_realserver::Tunnel { devices: device, gue_port };
                    evenkeel_realserver::up_tunnel(&directory, &vips, &tunnel)
                }
            };
            let report = report.map_err(failed)?;
            print(&format!("{report}\n"))
        }
        RealserverAction::Down(VipArgs { vips }) => {
            needs_root("addresses and kernel parameters are root's to change")?;
            let report = evenkeel_realserver::down(&directory, &vips).map_err(failed)?;
            print(&format!("{report}\n"))
        }
        RealserverAction::Status(VipArgs { vips }) => status(&directory, &vips),
        RealserverAction::Script(ScriptArgs { vips: VipArgs { vips }, mode, tunnel, gue_port }) => {
            if vips.is_empty() {
                return Err(Trouble::usage(
                    "name the virtual addresses, for example: evenkeel realserver script 192.0.2.1",
                ));
            }
            let tunnel = match (mode, tunnel) {
                (ModeArg::Dr, _) => None,
                (ModeArg::Tun, kind) => Some(kernel_tunnel(kind, gue_port)),
            };
            print(&evenkeel_realserver::script(&vips, tunnel))
        }
    }
}

fn kernel_tunnel(kind: TunnelArg, gue_port: u16) -> KernelTunnel {
    match kind {
        TunnelArg::Ipip => KernelTunnel::Ipip,
        TunnelArg::Gre => KernelTunnel::Gre { checksum: false },
        TunnelArg::GreCsum => KernelTunnel::Gre { checksum: true },
        TunnelArg::Gue => KernelTunnel::Gue(gue_port),
    }
}

/// Exit status 0: up and nothing undone; with virtual addresses named, each of them.
fn status(directory: &Path, vips: &[std::net::IpAddr]) -> Result<ExitCode, Trouble> {
    let status = evenkeel_realserver::status(directory).map_err(|e| match &e {
        evenkeel_realserver::Error::Read { source, .. } if source.kind() == std::io::ErrorKind::PermissionDenied => {
            Trouble::needs_root("what was changed on this host is written down for root only")
        }
        _ => failed(e),
    })?;
    let text =
        if status.findings.is_empty() { "this host is no real server\n".to_owned() } else { format!("{status}\n") };
    print(&text)?;
    let is_up = |vip| status.findings.contains(&evenkeel_realserver::Finding::Up(vip));
    let missing: Vec<_> = vips.iter().copied().filter(|vip| !is_up(*vip)).collect();
    for vip in &missing {
        eprintln!("{vip} is not up here; run: sudo evenkeel realserver up {vip}");
    }
    Ok(if status.is_up() && missing.is_empty() { ExitCode::SUCCESS } else { ExitCode::from(FAILED) })
}

fn needs_root(why: &str) -> Result<(), Trouble> {
    if rustix::process::geteuid().is_root() { Ok(()) } else { Err(Trouble::needs_root(why)) }
}

fn failed(e: evenkeel_realserver::Error) -> Trouble {
    Trouble::failed(format!("cannot {e}"))
}
