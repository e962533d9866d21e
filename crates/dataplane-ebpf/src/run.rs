//! Runs the loaded program on one packet, without any interface: for tests, benchmarks and explanations.

use crate::{
    attach::Mode,
    error::{Error, root_cause},
    kernel,
    plane::EbpfDataplane,
};
use std::{
    io,
    os::fd::{AsFd, OwnedFd},
    time::Duration,
};

/// Which door the packet comes in by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Door {
    /// XDP.
    Xdp,
    /// tc.
    Tc,
}

/// What came of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outcome {
    /// The door's own code: XDP_DROP 1, XDP_PASS 2, XDP_TX 3, XDP_REDIRECT 4; TC_ACT_UNSPEC `u32::MAX`, TC_ACT_SHOT 2,
    /// TC_ACT_REDIRECT 7.
    pub code: u32,
    /// The packet as the program left it.
    pub frame: Vec<u8>,
    /// Time per repetition, as the kernel measured it.
    pub took: Duration,
}

/// A door's program, by itself: several threads may each run one at the same time.
pub struct Runner {
    program: OwnedFd,
}

impl Runner {
    /// Of a program that is loaded.
    pub(crate) fn new(program: OwnedFd) -> Runner {
        Runner { program }
    }

    /// Runs `frame` through the program `repeat` times on this CPU, as if it had come in by interface 1. The packet is
    /// not restored between repetitions. Connections are made and counted as for a real packet.
    pub fn run(&self, frame: &[u8], repeat: u32) -> io::Result<Outcome> {
        let mut out = vec![0u8; frame.len() + 256];
        let result = kernel::test_run(self.program.as_fd(), frame, &mut out, repeat)?;
        out.truncate(result.length as usize);
        Ok(Outcome { code: result.value, frame: out, took: Duration::from_nanos(u64::from(result.nanoseconds)) })
    }
}

impl EbpfDataplane {
    /// The program of one door, loaded if need be.
    pub fn runner(&mut self, door: Door) -> Result<Runner, Error> {
        let mode = match door {
            Door::Xdp => Mode::Xdp,
            Door::Tc => Mode::Tcx,
        };
        let program = self.program_fd(mode)?;
        let program = program.as_fd().try_clone_to_owned();
        Ok(Runner { program: program.map_err(|cause| Error::Io { what: "cannot copy a descriptor", cause })? })
    }

    /// One packet through one door, see [`Runner::run`].
    pub fn run(&mut self, door: Door, frame: &[u8], repeat: u32) -> Result<Outcome, Error> {
        let runner = self.runner(door)?;
        runner.run(frame, repeat).map_err(|cause| Error::Io { what: "the kernel does not run the frame", cause })
    }

    /// The XDP program's descriptor, for a program array of a measuring driver.
    pub fn xdp_program(&mut self) -> Result<&aya::programs::ProgramFd, Error> {
        self.program_fd(Mode::Xdp)
    }

    fn program_fd(&mut self, mode: Mode) -> Result<&aya::programs::ProgramFd, Error> {
        self.load(mode)?;
        let missing = || Error::Load(format!("the object has no program for {mode}"));
        let fd = match self.object.program(mode.program()) {
            Some(aya::programs::Program::Xdp(program)) => program.fd(),
            Some(aya::programs::Program::SchedClassifier(program)) => program.fd(),
            Some(_) | None => return Err(missing()),
        };
        fd.map_err(|e| Error::Load(root_cause(&e)))
    }
}
