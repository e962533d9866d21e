//! What a process has used: CPU time and memory.

use std::{fs, path::PathBuf, time::Duration};

use crate::error::{Error, Result};

/// CPU time and memory of a process.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Usage {
    /// CPU time since its start, in user and kernel.
    pub cpu: Duration,
    /// Resident memory of its own in bytes (`RssAnon`): without files and without maps shared with the kernel.
    pub anonymous: u64,
    /// All resident memory in bytes (`VmRSS`). Counts the mapped connection table.
    pub resident: u64,
}

impl Usage {
    /// Of this process.
    pub fn own() -> Result<Usage> {
        Usage::read("self".into())
    }

    /// Of process `pid`.
    pub fn of(pid: u32) -> Result<Usage> {
        Usage::read(pid.to_string())
    }

    fn read(process: String) -> Result<Usage> {
        let directory = PathBuf::from("/proc").join(process);
        let text = |name: &str| {
            let path = directory.join(name);
            fs::read_to_string(&path).map_err(|e| Error::at("read", &path, e))
        };
        let ticks = rustix::param::clock_ticks_per_second();
        parse(&text("stat")?, &text("status")?, ticks)
            .ok_or_else(|| Error::Refused(format!("{} is not written as expected", directory.display())))
    }
}

fn parse(stat: &str, status: &str, ticks_per_second: u64) -> Option<Usage> {
    // The name in brackets may hold anything, brackets too: fields count from the last one.
    let fields: Vec<&str> = stat.rsplit_once(')')?.1.split_whitespace().collect();
    let ticks = fields.get(11)?.parse::<u64>().ok()?.checked_add(fields.get(12)?.parse().ok()?)?;
    let nanoseconds = u128::from(ticks).checked_mul(1_000_000_000)?.checked_div(u128::from(ticks_per_second))?;
    Some(Usage {
        cpu: Duration::from_nanos(u64::try_from(nanoseconds).ok()?),
        anonymous: kilobytes(status, "RssAnon:").unwrap_or(0),
        resident: kilobytes(status, "VmRSS:").unwrap_or(0),
    })
}

fn kilobytes(status: &str, name: &str) -> Option<u64> {
    let line = status.lines().find_map(|line| line.strip_prefix(name))?;
    line.split_whitespace().next()?.parse::<u64>().ok()?.checked_mul(1024)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_are_counted_from_the_last_bracket() {
        let stat = "42 (a) b (c) S 1 42 42 0 -1 4194304 100 0 0 0 150 50 0 0 20 0 1 0 100 1 1 1";
        let status = "Name:\ta\nVmRSS:\t    2048 kB\nRssAnon:\t    1024 kB\n";
        let expected = Usage { cpu: Duration::from_secs(2), anonymous: 1 << 20, resident: 2 << 20 };
        assert_eq!(parse(stat, status, 100), Some(expected));
        assert_eq!(parse("42 (a S 1", status, 100), None);
    }

    #[test]
    fn this_process_has_memory() {
        let usage = Usage::own().expect("read");
        assert!(usage.anonymous > 0 && usage.resident >= usage.anonymous, "{usage:?}");
        assert!(Usage::of(u32::MAX).is_err());
    }
}
