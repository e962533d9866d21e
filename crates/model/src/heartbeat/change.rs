//! From one configuration of a cluster to another while it runs: what of the new one was there before.

use super::{Agent, Group, Heartbeat};

/// Where what is configured now was before, by place; `None`: it is new.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Change {
    /// Groups.
    pub groups: Vec<Option<Origin>>,
    /// Media.
    pub media: Vec<Option<usize>>,
    /// Ping nodes.
    pub pings: Vec<Option<usize>>,
}

/// What a group was before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Origin {
    /// The place of that group.
    pub place: usize,
    /// It is that group, perhaps under another key; else it has taken resources out of it.
    pub same: bool,
}

impl Change {
    /// From `before` to `after`. Their nodes are the same.
    pub fn between(before: &Heartbeat, after: &Heartbeat) -> Change {
        Change {
            groups: origins(&before.groups, &after.groups),
            media: places(&before.media, &after.media),
            pings: places(&before.pings, &after.pings),
        }
    }

    /// Where the group of that place is now.
    pub fn group_now(&self, before: usize) -> Option<usize> {
        self.groups.iter().position(|origin| *origin == Some(Origin { place: before, same: true }))
    }
}

fn places<T: PartialEq>(before: &[T], after: &[T]) -> Vec<Option<usize>> {
    after.iter().map(|one| before.iter().position(|known| known == one)).collect()
}

/// What each group of `after` was in `before`. The key of a line of haresources is its first resource: where that has
/// changed, the group is known by what it still has.
pub fn origins(before: &[Group], after: &[Group]) -> Vec<Option<Origin>> {
    let of_key = |group: &Group| before.iter().position(|known| known.key == group.key);
    let mut origins: Vec<Option<Origin>> =
        after.iter().map(|group| of_key(group).map(|place| Origin { place, same: true })).collect();
    for at in 0..after.len() {
        let taken = |place: usize| origins.iter().flatten().any(|origin| origin.same && origin.place == place);
        let (None, Some(group)) = (origins.get(at).copied().flatten(), after.get(at)) else { continue };
        let free = before.iter().enumerate().filter(|(place, _)| !taken(*place));
        let nearest = free.map(|(place, known)| (common(known, group), place)).filter(|(common, _)| *common > 0);
        // The first of those that have most in common.
        let nearest = nearest.max_by_key(|(common, place)| (*common, std::cmp::Reverse(*place)));
        if let (Some((_, place)), Some(origin)) = (nearest, origins.get_mut(at)) {
            *origin = Some(Origin { place, same: true });
        }
    }
    let goes_on = |place: usize| {
        let same = Some(Origin { place, same: true });
        origins.iter().position(|origin| *origin == same).and_then(|at| after.get(at))
    };
    let split = |group: &Group| {
        let left = |place: usize, agent: &Agent| !goes_on(place).is_some_and(|now| has(now, agent));
        let moved = |(place, known): &(usize, &Group)| agents(group).any(|one| has(known, one) && left(*place, one));
        before.iter().enumerate().find(moved).map(|(place, _)| Origin { place, same: false })
    };
    let found: Vec<Option<Origin>> =
        after.iter().zip(&origins).map(|(group, origin)| origin.or_else(|| split(group))).collect();
    found
}

/// What can move. Services run on every node.
fn agents(group: &Group) -> impl Iterator<Item = &Agent> {
    let agents = group.resources.iter().map(|resource| &resource.agent);
    agents.filter(|agent| !matches!(agent, Agent::Services { .. }))
}

fn has(group: &Group, agent: &Agent) -> bool {
    agents(group).any(|known| known == agent)
}

fn common(before: &Group, after: &Group) -> usize {
    agents(after).filter(|agent| has(before, agent)).count()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::heartbeat::{NodeName, Resource};
    use std::time::Duration;

    fn group(line: &str) -> Group {
        let resource = |name: &str| Resource {
            name: name.to_owned(),
            agent: Agent::Script { name: name.to_owned(), arguments: Vec::new() },
            start_within: Duration::from_secs(1),
            stop_within: Duration::from_secs(1),
            monitor: None,
        };
        let resources: Vec<Resource> = line.split(' ').map(resource).collect();
        Group { key: resources[0].name.clone(), prefer: NodeName::new("ha1").into_iter().collect(), resources }
    }

    fn stems(before: &[&str], after: &[&str]) -> Vec<Option<(usize, bool)>> {
        let groups = |lines: &[&str]| lines.iter().map(|line| group(line)).collect::<Vec<_>>();
        let found = origins(&groups(before), &groups(after));
        found.into_iter().map(|origin| origin.map(|origin| (origin.place, origin.same))).collect()
    }

    #[test]
    fn a_group_is_known_by_its_key_and_else_by_what_it_still_has() {
        assert_eq!(stems(&["a x", "b y"], &["b y z", "a"]), [Some((1, true)), Some((0, true))]);
        assert_eq!(stems(&["a nginx"], &["c nginx"]), [Some((0, true))], "another address, the same nginx");
        assert_eq!(stems(&["a x y", "b z"], &["c z x y"]), [Some((0, true))], "most in common");
        assert_eq!(stems(&["a"], &["b"]), [None], "nothing in common");
    }

    #[test]
    fn a_group_that_is_split_off_is_known_by_what_it_took() {
        assert_eq!(stems(&["a b c"], &["a", "b c"]), [Some((0, true)), Some((0, false))]);
        assert_eq!(stems(&["a mail"], &["a mail", "b mail"]), [Some((0, true)), None], "it took nothing away");
    }
}
