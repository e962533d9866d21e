//! `promote_secondaries`: other addresses of a subnet stay when the first goes, on the interfaces that ask for it.

use crate::elections::Elections;
use evenkeel_os::Sysctl;
use std::collections::BTreeSet;

const NAME: &str = "promote_secondaries";

impl Elections {
    /// Sets it where an instance asks for it, and back where none does any more.
    pub(crate) fn promote(&mut self) {
        let asks = self.members.iter().filter(|member| !member.retired && member.instance.promote_secondaries);
        let wanted: BTreeSet<String> = asks.map(|member| member.instance.interface.clone()).collect();
        let parameter = |interface: &str| Sysctl::ipv4(interface, NAME);
        self.promoted.retain(|interface| {
            let stays = wanted.contains(interface);
            if !stays {
                // It may be gone.
                let _ = parameter(interface).and_then(|sysctl| sysctl.write("0"));
            }
            stays
        });
        let mut refused = Vec::new();
        for interface in wanted.iter().filter(|interface| self.links.named(interface).is_some()) {
            // What an administrator has set stays set at the end.
            let set = parameter(interface).and_then(|sysctl| match sysctl.number()? {
                0 => sysctl.write("1").map(|()| true),
                _ => Ok(false),
            });
            match set {
                Ok(true) => {
                    self.promoted.insert(interface.clone());
                }
                Ok(false) => {}
                Err(e) => refused.push(format!("cannot {e}")),
            }
        }
        for why in refused {
            self.complain(why);
        }
    }
}
