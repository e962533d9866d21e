//! Whole topologies in network namespaces: `evenkeel lab`, and the bed of the tests with real packets.
//!
//! A [`Lab`] is a client, a router, a director and real servers, each in a namespace of its own, built in this process
//! through netlink. Everything that could die in the field is a process of its own, so that it can die here.

#![forbid(unsafe_code)]

mod args;
mod build;
mod client;
mod director;
mod error;
mod failover;
mod interrupt;
mod lab;
mod live;
mod narrator;
mod node;
mod pair;
mod process;
mod real_server;
mod record;
mod report;
mod serve;
mod stage;
pub mod topology;
mod tour;

use std::io::IsTerminal;
use std::process::ExitCode;

pub use args::{Action, LabArgs, Script, ServerArgs};
pub use client::{Client, Load};
pub use director::Director;
pub use error::Error;
pub use lab::{Lab, Options, configuration};
pub use node::Node;
pub use process::Process;
pub use real_server::WebServer;
pub use report::{Exchange, Report, alternates};
pub use serve::serve;
pub use stage::Stage;
pub use topology::{INNER, Plan};

/// `evenkeel lab`.
pub fn run(arguments: LabArgs) -> ExitCode {
    if !rustix::process::geteuid().is_root() {
        eprintln!("evenkeel lab: network namespaces need root; run: sudo evenkeel lab");
        return ExitCode::from(4);
    }
    let outcome = match arguments.action {
        Action::Clean => clean(),
        Action::Heartbeat if arguments.script == Some(Script::Tour) => {
            Err(Error::new("play the script `tour` with `lab heartbeat`: its script is `failover`"))
        }
        Action::Dr if arguments.script == Some(Script::Failover) => {
            Err(Error::new("play the script `failover` with `lab dr`: it belongs to `lab heartbeat`"))
        }
        Action::Heartbeat if is_told(&arguments) => failover::run(&arguments),
        Action::Heartbeat => live::pair::run(&arguments),
        Action::Dr if is_told(&arguments) => tour::run(&arguments),
        Action::Dr => live::director::run(&arguments),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("evenkeel lab: cannot {error}");
            ExitCode::FAILURE
        }
    }
}

/// A script is told, not shown; so is everything where nobody looks.
fn is_told(arguments: &LabArgs) -> bool {
    arguments.script.is_some() || arguments.json || !std::io::stdout().is_terminal()
}

/// Removes what killed labs left, and names those that are alive.
fn clean() -> Result<(), Error> {
    let (removed, alive) = record::clean()?;
    eprintln!("evenkeel lab: removed {removed} namespaces, processes, mounts and directories of labs that are gone");
    for name in alive {
        eprintln!("evenkeel lab: the lab {name} is running and stays");
    }
    Ok(())
}

/// Removes what killed labs left; says how many things there were.
pub fn clean_up() -> Result<usize, Error> {
    record::clean().map(|(removed, _)| removed)
}
