//! The kernel's tick, which connections are aged by.

use crate::{
    error::{Error, root_cause},
    kernel,
};
use aya::{
    Ebpf,
    programs::{TestRun, TestRunOptions, Xdp},
};

/// Reads the kernel's tick by running a program that returns it.
pub(crate) struct Clock;

impl Clock {
    const PROGRAM: &'static str = "evenkeel_clock";

    /// Loads the program.
    pub(crate) fn load(object: &mut Ebpf) -> Result<Clock, Error> {
        let program = Clock::program(object).ok_or_else(|| Error::Load("the object has no clock".into()))?;
        kernel::uninterrupted(|| program.load()).map_err(|e| {
            let cause = root_cause(&e);
            if cause.contains("Operation not permitted") { Error::Permission } else { Error::Load(cause) }
        })?;
        Ok(Clock)
    }

    fn program(object: &mut Ebpf) -> Option<&mut Xdp> {
        object.program_mut(Clock::PROGRAM)?.try_into().ok()
    }

    /// Low 32 bits of the kernel's jiffies.
    pub(crate) fn now(&self, object: &mut Ebpf) -> std::io::Result<u32> {
        let program = Clock::program(object).ok_or(std::io::ErrorKind::NotFound)?;
        let frame = [0u8; 64];
        let options = TestRunOptions { data_in: Some(&frame), ..TestRunOptions::default() };
        let result = program.test_run(options).map_err(|e| std::io::Error::other(root_cause(&e)))?;
        Ok(result.return_value)
    }
}

/// The longest that a connection can last: half of what 32 bits of ticks tell apart, with a margin in which it is swept.
const LONGEST: u32 = 0x7000_0000;

/// Seconds as ticks of a connection's age.
pub(crate) fn ticks(seconds: u32, hertz: u32) -> u32 {
    seconds.saturating_mul(hertz).min(LONGEST)
}
