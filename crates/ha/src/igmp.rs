//! `disable_local_igmp`: this host tells no switch that it listens to groups of the link, 224.0.0.0/24, which switches
//! pass on to everybody anyway (RFC 4541 2.1.2).

use crate::elections::Elections;
use evenkeel_os::Sysctl;

const NAME: [&str; 3] = ["net", "ipv4", "igmp_link_local_mcast_reports"];

impl Elections {
    /// Has the kernel be quiet, before groups are joined, or speak again as it did.
    pub(crate) fn quieten(&mut self, wanted: bool) {
        let set = |from: i64, to: &str| {
            let sysctl = Sysctl::new(&NAME)?;
            let changes = sysctl.number()? == from;
            if changes {
                sysctl.write(to)?;
            }
            Ok::<bool, evenkeel_os::Error>(changes)
        };
        let done = match (wanted, self.quietened) {
            // What an administrator has set stays set at the end.
            (true, false) => set(1, "0"),
            (false, true) => set(0, "1").map(|_| false),
            (true, true) | (false, false) => return,
        };
        match done {
            Ok(quiet) => self.quietened = quiet,
            Err(e) => self.complain(format!("cannot {e}")),
        }
    }
}
