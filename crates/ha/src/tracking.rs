//! What is tracked: interfaces are seen here at once, everything else is told by the daemon.

use crate::{News, elections::Elections};
use evenkeel_machine::{Instant, Outbox};
use evenkeel_model::vrrp::{self, Target};
use evenkeel_vrrp::track::{Said, Sight, Tracking};
use std::{collections::HashSet, sync::Arc};

/// The tracking of all instances and what it has just said.
#[derive(Debug, Default)]
pub(crate) struct Watcher {
    tracking: Tracking,
    said: Outbox<Said>,
    /// Names of the interfaces that somebody follows.
    interfaces: Vec<Target>,
}

impl Watcher {
    /// When a change has lasted long enough to count.
    pub(crate) fn deadline(&self) -> Option<Instant> {
        self.tracking.deadline()
    }
}

impl Elections {
    /// Follows what `wanted` says from now on. The members are those of `wanted` already.
    pub(crate) fn follow(&mut self, wanted: &vrrp::Elections) {
        let now = self.events.now();
        let members = self.members.iter().enumerate().filter(|(_, member)| !member.retired);
        let members = members.map(|(place, member)| (place, &member.instance));
        self.watcher.tracking.configure(now, wanted, members, &mut self.watcher.said);
        let is_interface = |target: &&Target| matches!(target, Target::Interface(_));
        self.watcher.interfaces = self.watcher.tracking.targets().filter(is_interface).cloned().collect();
        self.pass_on();
    }

    /// Looks which of the tracked interfaces are up.
    pub(crate) fn see_links(&mut self) {
        let now = self.events.now();
        let running: HashSet<&str> =
            self.links.links.iter().filter(|link| link.running).map(|link| link.name.as_str()).collect();
        for target in &self.watcher.interfaces {
            let Target::Interface(name) = target else { continue };
            let sight = Sight::Up(running.contains(name.as_str()));
            self.watcher.tracking.see(now, target, sight, &mut self.watcher.said);
        }
        self.pass_on();
    }

    /// Takes what the daemon has seen.
    pub(crate) fn see(&mut self, target: &Target, sight: Sight) {
        self.watcher.tracking.see(self.events.now(), target, sight, &mut self.watcher.said);
        self.pass_on();
    }

    /// Counts changes that have lasted.
    pub(crate) fn settle(&mut self) {
        let now = self.events.now();
        if self.watcher.deadline().is_some_and(|due| due <= now) {
            self.watcher.tracking.settle(now, &mut self.watcher.said);
            self.pass_on();
        }
    }

    /// Tells the daemon what has changed and the instances what follows from it.
    fn pass_on(&mut self) {
        while let Some(said) = self.watcher.said.pop() {
            match said {
                Said::Changed(target, standing) => (self.tell)(News::Tracked { target, standing }),
                Said::Tell(place, input) => {
                    let before = self.priority(place);
                    self.handle(place, input);
                    let priority = self.priority(place);
                    if let (true, Some(member), Some(priority)) =
                        (before != priority, self.members.get(place), priority)
                    {
                        (self.tell)(News::Priority { instance: Arc::clone(&member.name), priority });
                    }
                }
            }
        }
    }

    pub(crate) fn priority(&self, place: evenkeel_vrrp::Place) -> Option<u8> {
        self.router.instance(place).map(|instance| instance.priority().get())
    }
}
