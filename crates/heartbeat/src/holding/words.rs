//! The messages about groups, field for field as heartbeat has them.

use super::{Deed, Holding};
use crate::{Message, Share};

/// The word of a hand-over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Info {
    /// I give.
    Me,
    /// I take.
    Other,
    /// My part is done.
    Done,
}

impl Info {
    fn name(self) -> &'static str {
        match self {
            Info::Me => "me",
            Info::Other => "other",
            Info::Done => "done",
        }
    }

    pub(crate) fn parse(text: &str) -> Option<Info> {
        [Info::Me, Info::Other, Info::Done].into_iter().find(|info| info.name() == text)
    }
}

/// What is still to be said of groups that were taken.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Owed {
    /// What this node has now.
    pub(crate) held: bool,
    /// That its own half runs.
    pub(crate) ours: bool,
    /// That the half of a node that is gone runs.
    pub(crate) mach_down: bool,
}

impl Holding {
    fn say(&mut self, message: Message) {
        self.deeds.push(Deed::Say(message));
    }

    pub(crate) fn say_starting(&mut self) {
        if self.is_nice() {
            self.say(Message::new("starting"));
        }
    }

    /// What this node has, all of it.
    pub(crate) fn say_held(&mut self, hold: Share, stable: bool, info: Option<&str>) {
        if !self.is_nice() {
            return;
        }
        let message =
            Message::new("resource").with("rsc_hold", hold).with("rtype", "full").with("isstable", u8::from(stable));
        self.say(match info {
            Some(info) => message.with("info", info),
            None => message,
        });
    }

    /// A word of a hand-over. `groups` says which of the share, to an evenkeel.
    pub(crate) fn say_ask(&mut self, share: Share, info: Info, groups: Option<&[usize]>, ipfail: bool) {
        if !self.is_nice() {
            return;
        }
        let mut message = Message::new("ask_resources").with("rsc_hold", share);
        if ipfail {
            message = message.with("src", self.plan.name(self.plan.me));
        }
        message = message.with("info", info.name());
        if ipfail {
            message = message.with("from_id", "ipfail").with("to_id", "ipfail").with("client_gen", 0);
        }
        self.say(self.with_groups(message, groups));
    }

    /// This node shall have a share.
    pub(crate) fn say_takeover(&mut self, share: Share, groups: Option<&[usize]>) {
        let message = Message::new("hb_takeover").with("rsc_hold", share);
        self.say(self.with_groups(message, groups));
    }

    /// More than two: these groups of that node shall be on `to`.
    pub(crate) fn say_wish(&mut self, node: usize, groups: &[usize], to: usize) {
        let message = Message::new("hb_takeover").with("dest", self.plan.name(node)).with("rsc_hold", Share::All);
        let message = message.with("ekto", self.plan.name(to));
        self.say(self.with_groups(message, Some(groups)));
    }

    fn with_groups(&self, message: Message, groups: Option<&[usize]>) -> Message {
        let Some(groups) = groups else { return message };
        let keys = groups.iter().filter_map(|group| self.plan.groups.get(*group));
        message.with("ekgroups", crate::extension::list(keys.map(|place| place.key.as_str())))
    }

    /// Says what is owed as soon as everything taken runs.
    pub(crate) fn say_owed(&mut self) {
        if self.handover.is_some() {
            return;
        }
        if std::mem::take(&mut self.owed.held) {
            self.say_held(self.hold(), true, None);
        }
        let all: Vec<usize> = (0..self.own.len()).collect();
        if !self.are_up(&all) {
            return;
        }
        if std::mem::take(&mut self.owed.ours) {
            self.say_held(self.hold(), true, Some("req_our_resources()"));
        }
        if std::mem::take(&mut self.owed.mach_down) && self.is_nice() {
            self.say(Message::new("resource").with("rsc_hold", Share::Foreign).with("info", "mach_down"));
        }
    }

    /// How fencing ended, or why there was none.
    pub(crate) fn say_fenced(&mut self, node: usize, result: &str) {
        if self.is_nice() {
            let name = self.plan.name(node).to_owned();
            self.say(Message::new("stonith").with("node", name).with("result", result));
        }
    }

    /// The old protocol: who has this gives it.
    pub(crate) fn say_request(&mut self, group: usize) {
        if let Some(place) = self.plan.groups.get(group) {
            self.say(Message::new("ip-request").with("ipaddr", place.key.clone()));
        }
    }

    /// The old protocol: it is yours.
    pub(crate) fn say_response(&mut self, group: usize, to: usize, had: bool) {
        let Some(place) = self.plan.groups.get(group) else { return };
        let owned = if had { "yes" } else { "no" };
        let message = Message::new("ip-request-resp")
            .with("dest", self.plan.name(to))
            .with("ipaddr", place.key.clone())
            .with("weown", owned)
            .with("ok", "OK");
        self.say(message);
    }

    /// Leaves.
    pub(crate) fn say_gone(&mut self) {
        self.say(Message::new("shutdone").with("st", "dead"));
    }
}
