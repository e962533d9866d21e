//! What the tests need from the machine, installed only where it is missing.

use std::process::Command;

use crate::process::{as_root, is_root, probe, run};

/// Debian packages the tests run, each with what needs it.
const PACKAGES: &[(&str, &str)] = &[
    ("bind9", "named, for the set-up that is reached by name"),
    ("busybox-static", "programs inside the 6.1 guest"),
    ("cluster-glue", "stonith, which speaks to fence devices"),
    ("curl", "an independent client"),
    ("ethtool", "offload settings of the test links"),
    ("frr", "the other ends of BFD and VRRP"),
    ("g++", "libFuzzer, which the fuzz targets are linked with"),
    ("heartbeat", "the other node of a cluster"),
    ("iperf3", "throughput"),
    ("iproute2", "an independent view of links and addresses"),
    ("ipvsadm", "comparison with the kernel's tables"),
    ("iptables", "host firewall rules"),
    ("keepalived", "the other router of VRRP"),
    ("ldirectord", "comparison with ldirectord"),
    ("nftables", "host firewall rules"),
    ("nginx-light", "a resource that moves"),
    ("perl", "comparison of regular expressions"),
    ("resource-agents", "OCF agents, which a cluster starts and stops"),
    ("tcpdump", "captures"),
    ("user-mode-linux", "a 6.1 kernel to load the program on, with SCTP, VLANs and tunnel devices"),
    ("vsftpd", "an FTP server to relay to"),
];

/// The toolchain of the eBPF object; `RUSTC` of Debian brings a ready `core` for the target.
const BPF_PACKAGES: &[(&str, &str)] = &[
    ("rustc-web", "the compiler of the eBPF program"),
    ("libstd-rust-web-dev-bpf", "core for bpfel-unknown-none"),
    ("llvm-22-dev", "the library bpf-linker is built on, and llvm-strip"),
];

/// The version every checkout builds the object with.
pub(crate) const BPF_LINKER: &str = "0.13.0";
/// Where Debian keeps LLVM 22.
pub(crate) const LLVM: &str = "/usr/lib/llvm-22";

/// Installs packages without starting the services they bring: a web server, name server or router that the tests run in
/// namespaces of their own is none of this machine's business.
const INSTALL: &str = "
set -e
policy=/usr/sbin/policy-rc.d
if [ ! -e $policy ]; then
  trap 'rm -f $policy' EXIT
  printf '#!/bin/sh\\nexit 101\\n' > $policy
  chmod 755 $policy
fi
DEBIAN_FRONTEND=noninteractive apt-get install --yes --quiet=2 --no-install-recommends \"$@\"
";

/// Installs the packages of the tests.
pub(crate) fn test_packages() -> Result<(), String> {
    install(PACKAGES)
}

/// Installs the toolchain of the eBPF object.
pub(crate) fn bpf_toolchain() -> Result<(), String> {
    install(BPF_PACKAGES)?;
    if bpf_linker_version().as_deref() == Some(BPF_LINKER) {
        return Ok(());
    }
    eprintln!("xtask: installing bpf-linker {BPF_LINKER}, which links the eBPF object");
    let path = std::env::var("PATH").unwrap_or_default();
    let mut command = Command::new("cargo");
    command
        .args(["install", "bpf-linker", "--version", BPF_LINKER, "--locked", "--force"])
        .args(["--no-default-features", "--features", "llvm-22"])
        .env("LLVM_PREFIX", LLVM)
        .env("LIBRARY_PATH", format!("{LLVM}/lib"))
        .env("PATH", format!("{LLVM}/bin:{path}"));
    run(&mut command)
}

/// The version of the bpf-linker in the path, if there is one.
pub(crate) fn bpf_linker_version() -> Option<String> {
    probe("bpf-linker", &["--version"]).map(|line| line.trim_start_matches("bpf-linker ").to_owned())
}

/// The installed version of a Debian package.
pub(crate) fn package_version(name: &str) -> Option<String> {
    let line = probe("dpkg-query", &["--show", "--showformat", "${db:Status-Status} ${Version}", name])?;
    line.strip_prefix("installed ").map(str::to_owned)
}

fn install(wanted: &[(&str, &str)]) -> Result<(), String> {
    let missing: Vec<_> = wanted.iter().filter(|(name, _)| package_version(name).is_none()).collect();
    if missing.is_empty() {
        return Ok(());
    }
    for (name, purpose) in &missing {
        eprintln!("xtask: installing {name}: {purpose}");
    }
    let names: Vec<_> = missing.iter().map(|(name, _)| *name).collect();
    if probe("apt-get", &["--version"]).is_none() {
        return Err(format!("this machine has no apt-get; install by hand: {}", names.join(" ")));
    }
    let reason = "apt-get installs packages for the whole machine";
    run(as_root("apt-get", reason).args(["update", "--quiet=2"]))?;
    let mut command = as_root("sh", reason);
    command.args(["-c", INSTALL, "install"]).args(&names);
    if !is_root() {
        eprintln!("xtask: the tests need {}", names.join(" "));
    }
    run(&mut command)
}
