//! Runs the loaded program on one packet, without any interface: for tests, benchmarks and explanations.

use crate::{
    attach::Mode,
    error::{Error, root_cause},
    plane::EbpfDataplane,
};
use aya::programs::{SchedClassifier, TestRun, TestRunOptions, Xdp};
use std::time::Duration;

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
    /// The door's own code: XDP_DROP 1, XDP_PASS 2, XDP_TX 3, XDP_REDIRECT 4; TC_ACT_OK 0, TC_ACT_SHOT 2,
    /// TC_ACT_REDIRECT 7.
    pub code: u32,
    /// The packet as the program left it.
    pub frame: Vec<u8>,
    /// Time per repetition, as the kernel measured it.
    pub took: Duration,
}

impl EbpfDataplane {
    /// The XDP program's descriptor, for a program array of a measuring driver.
    pub fn xdp_program(&mut self) -> Result<&aya::programs::ProgramFd, Error> {
        self.load(Mode::Xdp)?;
        let program = self.object.program("evenkeel_xdp").ok_or_else(|| Error::Load("no program".into()))?;
        let aya::programs::Program::Xdp(program) = program else { return Err(Error::Load("no program".into())) };
        program.fd().map_err(|e| Error::Load(root_cause(&e)))
    }

    /// Runs `frame` through the program `repeat` times on this CPU, as if it had come in by `door`. The packet is not
    /// restored between repetitions. Connections are made and counted as for a real packet.
    pub fn run(&mut self, door: Door, frame: &[u8], repeat: u32) -> Result<Outcome, Error> {
        let mut out = vec![0u8; frame.len() + 256];
        let options =
            TestRunOptions { data_in: Some(frame), data_out: Some(&mut out), repeat, ..TestRunOptions::default() };
        let failed = |e: aya::programs::ProgramError| Error::Load(root_cause(&e));
        let result = match door {
            Door::Xdp => {
                self.load(Mode::Xdp)?;
                let program = self.object.program_mut("evenkeel_xdp").and_then(|p| <&mut Xdp>::try_from(p).ok());
                program.ok_or_else(|| Error::Load("no program".into()))?.test_run(options)
            }
            Door::Tc => {
                self.load(Mode::Tcx)?;
                let program =
                    self.object.program_mut("evenkeel_tc").and_then(|p| <&mut SchedClassifier>::try_from(p).ok());
                program.ok_or_else(|| Error::Load("no program".into()))?.test_run(options)
            }
        };
        let result = result.map_err(failed)?;
        out.truncate(result.data_size_out as usize);
        Ok(Outcome { code: result.return_value, frame: out, took: result.duration })
    }
}
