//! Runs the scripts of the field's guides in a node as they stand: with `ipvsadm` at /sbin being evenkeel, and a stub of
//! the functions file of the distribution they were written for.

use std::path::Path;
use std::process::Command;

use evenkeel_lab::Node;

/// What the guides' init scripts source and never use.
const FUNCTIONS: &str = "# A stub: the scripts use none of its functions.\n";

/// Runs `shell SCRIPT ARGUMENTS` in `node` and gives its standard output. `scratch` is an empty directory of the node's; an
/// instance that `ipvsadm` starts has its runtime directory there.
pub fn run(node: &Node, scratch: &Path, script: &Path, arguments: &[&str]) -> Result<String, evenkeel_lab::Error> {
    // Mounts that this process and its children see, and nobody else.
    const STAGE: &str = r#"
        set -e
        scratch=$1 program=$2 functions=$3
        shift 3
        mount --make-rprivate /
        mkdir -p "$scratch/stage" "$scratch/run"
        mount -t tmpfs stage "$scratch/stage"
        cd "$scratch/stage"
        mkdir -p etc etc.work sbin sbin.work etc/rc.d/init.d
        printf '%s' "$functions" > etc/rc.d/init.d/functions
        ln -s "$program" sbin/ipvsadm
        mount -t overlay etc -o "lowerdir=/etc,upperdir=$PWD/etc,workdir=$PWD/etc.work" /etc
        sbin=$(readlink -f /sbin)
        mount -t overlay sbin -o "lowerdir=$sbin,upperdir=$PWD/sbin,workdir=$PWD/sbin.work" "$sbin"
        mount -t tmpfs lock /run/lock
        mkdir -p /run/lock/subsys
        if [ -e "$scratch/locked" ]; then touch /run/lock/subsys/ipvsadm; fi
        cd /
        exec bash "$@"
    "#;
    let mut command = Command::new("unshare");
    command.args(["--mount", "sh", "-c", STAGE, "stage"]).arg(scratch).arg(crate::program()).arg(FUNCTIONS);
    command.arg(script).args(arguments).env("EVENKEEL_RUNTIME_DIR", scratch.join("run"));
    node.output(command)
}
