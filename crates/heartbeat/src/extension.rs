//! What an evenkeel tells of itself in its statuses (HB-60), in fields no heartbeat looks at.
//!
//! | field | |
//! |---|---|
//! | `ek` | 1 |
//! | `ekversion` | the program's version |
//! | `ekconfig` | a hash of the configuration, hexadecimal |
//! | `ekhold` | the groups it has: `KEY@TIME`, by blanks; the time it took them, wall clock in ms, hexadecimal, or `-` for one it is giving up, or has given up because its files name it no more |
//! | `ekfailed` | the keys of groups that failed there |
//! | `ekpings` | how many ping nodes it reaches |
//! | `ekasks` | a hash of the names of its ping nodes, hexadecimal |
//! | `ekready` | 0 while it takes nothing from a node that lives |
//! | `ekbusy` | 1 while a hand-over is under way |
//! | `ekpaths` | `INTERFACE@ADDRESS` of each resource address |
//!
//! Where there are more than two nodes (HB-62), also:
//!
//! | field | |
//! |---|---|
//! | `ekhears` | the nodes that live, as it hears them |
//! | `eksees` | what those have: `NODE@KEY@TIME`, the time as in `ekhold` |
//! | `ekgives` | groups it gives up, with the node that is to take them: `NODE@KEY` |
//! | `ekaside` | the keys of groups that an operator took from it |
//! | `ekoff` | nodes that have nothing any more: fenced, dead where there is no device for them, or gone in order: `NODE@GENERATION`, hexadecimal |
//! | `ekfences` | the nodes that it has a device for |
//! | `ekfencing` | nodes that its device is at work on |
//! | `ekfailing` | nodes that it failed to fence: `NODE@ATTEMPTS` |
//!
//! In keys a blank, a comma and a percent sign are written as `%20`, `%2c`, `%25`.

use crate::{Message, plan::Plan};

/// The most items that are read of a list: more than a cluster has groups.
const MOST: usize = 2 * evenkeel_model::heartbeat::MOST_GROUPS;

/// What an evenkeel tells of itself.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Extension {
    pub(crate) version: String,
    pub(crate) configuration: u64,
    /// Groups with the time they were taken, wall clock in ms; `None`: being given up.
    pub(crate) holds: Vec<(usize, Option<u64>)>,
    pub(crate) failed: Vec<usize>,
    pub(crate) pings: usize,
    pub(crate) ready: bool,
    pub(crate) busy: bool,
    pub(crate) paths: Vec<String>,
    /// A hash of the names of its ping nodes: what each reaches can be compared where it is the same.
    pub(crate) asks: u64,
    /// As `holds`, of groups that this node's files do not name.
    pub(crate) others: Vec<(String, Option<u64>)>,
    pub(crate) many: Many,
}

/// What it tells where there are more than two nodes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Many {
    /// The nodes it hears.
    pub(crate) hears: Vec<usize>,
    /// What they have: node, group, and when it was taken as in [`Extension::holds`].
    pub(crate) sees: Vec<(usize, usize, Option<u64>)>,
    /// Which node is to take which group.
    pub(crate) gives: Vec<(usize, usize)>,
    /// Groups that an operator took from it.
    pub(crate) aside: Vec<usize>,
    /// Nodes that have nothing any more, with their generation.
    pub(crate) off: Vec<(usize, u64)>,
    /// Nodes that it has a device for.
    pub(crate) fences: Vec<usize>,
    /// Nodes that its device is at work on.
    pub(crate) fencing: Vec<usize>,
    /// Nodes that it failed to fence, and how often.
    pub(crate) failing: Vec<(usize, u32)>,
}

impl Extension {
    /// When it took a group, where it has it and does not give it up.
    pub(crate) fn since(&self, group: usize) -> Option<u64> {
        self.holds.iter().find(|(held, _)| *held == group).and_then(|(_, since)| *since)
    }

    /// Whether something of a group runs there.
    pub(crate) fn holds(&self, group: usize) -> bool {
        self.holds.iter().any(|(held, _)| *held == group)
    }

    /// Appends the fields.
    pub(crate) fn write(&self, plan: &Plan, message: Message) -> Message {
        let key = |group: usize| plan.groups.get(group).map(|place| escape(&place.key)).unwrap_or_default();
        let time = |since: Option<u64>| since.map_or_else(|| "-".to_owned(), |since| format!("{since:x}"));
        let holds = self.holds.iter().map(|(group, since)| format!("{}@{}", key(*group), time(*since)));
        let others = self.others.iter().map(|(key, since)| format!("{}@{}", escape(key), time(*since)));
        let failed = self.failed.iter().map(|group| key(*group));
        let list_of = |items: Vec<String>| items.join(" ");
        let mut message = message
            .with("ek", 1)
            .with("ekversion", &self.version)
            .with("ekconfig", format_args!("{:x}", self.configuration))
            .with("ekhold", list_of(holds.chain(others).collect()))
            .with("ekpings", self.pings)
            .with("ekasks", format_args!("{:x}", self.asks));
        if !self.failed.is_empty() {
            message = message.with("ekfailed", list_of(failed.collect()));
        }
        if !self.ready {
            message = message.with("ekready", 0);
        }
        if self.busy {
            message = message.with("ekbusy", 1);
        }
        if !self.paths.is_empty() {
            message = message.with("ekpaths", list_of(self.paths.iter().map(|path| path.replace(' ', "@")).collect()));
        }
        if plan.is_many() { self.many.write(plan, message) } else { message }
    }

    /// Reads the fields; `None` where there is no `ek`. Groups that this node does not know are left out.
    pub(crate) fn read(plan: &Plan, message: &Message) -> Option<Extension> {
        message.text("ek")?;
        let items = |name| message.text(name).unwrap_or_default().split(' ').filter(|item| !item.is_empty()).take(MOST);
        let group = |key: &str| plan.group(&unescape(key));
        let hold = |item: &str| {
            let (key, since) = item.rsplit_once('@')?;
            Some((unescape(key), u64::from_str_radix(since, 16).ok()))
        };
        let (holds, others) = sorted(plan, items("ekhold").filter_map(hold));
        Some(Extension {
            version: message.text("ekversion").unwrap_or_default().to_owned(),
            configuration: message.hex("ekconfig").unwrap_or_default(),
            holds,
            failed: items("ekfailed").filter_map(group).collect(),
            pings: message.text("ekpings").and_then(|count| count.parse().ok()).unwrap_or_default(),
            ready: message.text("ekready") != Some("0"),
            busy: message.text("ekbusy") == Some("1"),
            paths: items("ekpaths").map(|path| path.replace('@', " ")).collect(),
            asks: message.hex("ekasks").unwrap_or_default(),
            others,
            many: if plan.is_many() { Many::read(plan, message) } else { Many::default() },
        })
    }

    /// What it told, with the places that groups have now; `before` are those they had.
    pub(crate) fn replace(&mut self, before: &Plan, now: &Plan) {
        let key = |group: usize| before.groups.get(group).map(|place| place.key.clone());
        let known = std::mem::take(&mut self.holds).into_iter().filter_map(|(group, since)| Some((key(group)?, since)));
        let all: Vec<_> = known.chain(std::mem::take(&mut self.others)).collect();
        (self.holds, self.others) = sorted(now, all.into_iter());
        let place = |group: usize| now.group(&key(group)?);
        self.failed = self.failed.iter().filter_map(|group| place(*group)).collect();
        let Many { sees, gives, aside, .. } = &mut self.many;
        *sees = sees.iter().filter_map(|(node, group, since)| Some((*node, place(*group)?, *since))).collect();
        *gives = gives.iter().filter_map(|(node, group)| Some((*node, place(*group)?))).collect();
        *aside = aside.iter().filter_map(|group| place(*group)).collect();
        self.divide(now);
    }

    /// A node with the old files has all that was split off what it has.
    pub(crate) fn divide(&mut self, plan: &Plan) {
        let key = |group: usize| plan.groups.get(group).map_or("", |place| place.key.as_str());
        let known = self.holds.iter().map(|(group, since)| (key(*group), *since));
        let all = known.chain(self.others.iter().map(|(key, since)| (key.as_str(), *since)));
        let parts: Vec<_> = all.flat_map(|(key, since)| plan.parts_of(key).map(move |part| (part, since))).collect();
        self.holds.extend(parts);
    }
}

/// A group, by its place or its key, with the time it was taken.
type Held<T> = (T, Option<u64>);

/// Groups that this node knows, and others.
fn sorted(plan: &Plan, all: impl Iterator<Item = Held<String>>) -> (Vec<Held<usize>>, Vec<Held<String>>) {
    let (mut known, mut others) = (Vec::new(), Vec::new());
    for (key, since) in all {
        match plan.group(&key) {
            Some(group) => known.push((group, since)),
            None => others.push((key, since)),
        }
    }
    (known, others)
}

impl Many {
    /// How often it has failed to fence a node.
    pub(crate) fn failures(&self, node: usize) -> u32 {
        self.failing.iter().find(|(failing, _)| *failing == node).map_or(0, |(_, attempts)| *attempts)
    }

    fn write(&self, plan: &Plan, message: Message) -> Message {
        let name = |node: &usize| plan.name(*node).to_owned();
        let key = |group: &usize| plan.groups.get(*group).map(|place| escape(&place.key)).unwrap_or_default();
        let time = |since: &Option<u64>| since.map_or_else(|| "-".to_owned(), |since| format!("{since:x}"));
        let sees = |(node, group, since): &_| format!("{}@{}@{}", name(node), key(group), time(since));
        let gives = |(node, group): &_| format!("{}@{}", name(node), key(group));
        let off = |(node, generation): &_| format!("{}@{generation:x}", name(node));
        let failing = |(node, attempts): &_| format!("{}@{attempts}", name(node));
        let fields: [(&str, Vec<String>); 8] = [
            ("ekhears", self.hears.iter().map(name).collect()),
            ("eksees", self.sees.iter().map(sees).collect()),
            ("ekgives", self.gives.iter().map(gives).collect()),
            ("ekaside", self.aside.iter().map(key).collect()),
            ("ekoff", self.off.iter().map(off).collect()),
            ("ekfences", self.fences.iter().map(name).collect()),
            ("ekfencing", self.fencing.iter().map(name).collect()),
            ("ekfailing", self.failing.iter().map(failing).collect()),
        ];
        let said = fields.into_iter().filter(|(_, items)| !items.is_empty());
        said.fold(message, |message, (field, items)| message.with(field, items.join(" ")))
    }

    fn read(plan: &Plan, message: &Message) -> Many {
        let items = |name| message.text(name).unwrap_or_default().split(' ').filter(|item| !item.is_empty()).take(MOST);
        let group = |key: &str| plan.group(&unescape(key));
        let seen = |item: &str| {
            let (node, rest) = item.split_once('@')?;
            let (key, since) = rest.rsplit_once('@')?;
            Some((plan.node(node)?, group(key)?, u64::from_str_radix(since, 16).ok()))
        };
        let given = |item: &str| {
            let (node, key) = item.split_once('@')?;
            Some((plan.node(node)?, group(key)?))
        };
        let off = |item: &str| {
            let (node, generation) = item.split_once('@')?;
            Some((plan.node(node)?, u64::from_str_radix(generation, 16).ok()?))
        };
        let failing = |item: &str| {
            let (node, attempts) = item.split_once('@')?;
            Some((plan.node(node)?, attempts.parse().ok()?))
        };
        Many {
            hears: items("ekhears").filter_map(|name| plan.node(name)).collect(),
            sees: items("eksees").filter_map(seen).collect(),
            gives: items("ekgives").filter_map(given).collect(),
            aside: items("ekaside").filter_map(group).collect(),
            off: items("ekoff").filter_map(off).collect(),
            fences: items("ekfences").filter_map(|name| plan.node(name)).collect(),
            fencing: items("ekfencing").filter_map(|name| plan.node(name)).collect(),
            failing: items("ekfailing").filter_map(failing).collect(),
        }
    }
}

/// The keys of groups in one field.
pub(crate) fn list<'a>(keys: impl Iterator<Item = &'a str>) -> String {
    keys.map(escape).collect::<Vec<_>>().join(" ")
}

/// The groups whose keys are in a field.
pub(crate) fn groups(plan: &Plan, keys: &str) -> Vec<usize> {
    keys.split(' ').take(MOST).filter_map(|key| plan.group(&unescape(key))).collect()
}

fn escape(key: &str) -> String {
    key.replace('%', "%25").replace(' ', "%20").replace(',', "%2c")
}

fn unescape(key: &str) -> String {
    key.replace("%20", " ").replace("%2c", ",").replace("%25", "%")
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn a_key_survives_its_way(key in "[ -~]{1,40}") {
            prop_assert_eq!(unescape(&escape(&key)), key);
        }
    }
}
