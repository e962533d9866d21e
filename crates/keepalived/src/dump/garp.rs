//! Pauses between announcements.

use super::Dump;
use std::{
    fmt::{self, Formatter},
    time::Duration,
};

/// What a pause shows where nothing waits for its turn.
const NOTHING: &str = "next time 0.000000 (Thu Jan  1 00:00:00.000000)";

/// A pause, and which group of interfaces it holds for; 0: one interface by itself.
struct Delay<'a> {
    group: usize,
    arp: Option<Duration>,
    neighbour: Option<Duration>,
    interfaces: Vec<&'a str>,
}

/// Those of groups, then those of single interfaces, which take what is said for all.
fn delays<'a>(dump: &'a Dump<'_>) -> Vec<Delay<'a>> {
    let value = |written: Option<evenkeel_source::Spanned<Duration>>| written.map(|time| time.value);
    let groups = dump.written.garp_groups.iter().filter(|group| group.arp.is_some() || group.neighbour.is_some());
    let mut all: Vec<Delay<'_>> = groups
        .enumerate()
        .map(|(at, group)| Delay {
            group: at + 1,
            arp: value(group.arp),
            neighbour: value(group.neighbour),
            interfaces: group.interfaces.iter().map(|name| name.value.as_str()).collect(),
        })
        .collect();
    let defaults = &dump.written.defaults;
    let (arp, neighbour) = (value(defaults.garp_interval), value(defaults.gna_interval));
    if arp.is_none() && neighbour.is_none() {
        return all;
    }
    for standing in dump.instances {
        let interface = standing.instance.interface.as_str();
        if !all.iter().any(|delay| delay.interfaces.contains(&interface)) {
            all.push(Delay { group: 0, arp, neighbour, interfaces: vec![interface] });
        }
    }
    all
}

pub(super) fn write(f: &mut Formatter<'_>, dump: &Dump<'_>) -> fmt::Result {
    let delays = delays(dump);
    if !delays.is_empty() {
        writeln!(f, "------< Gratuitous ARP delays >------")?;
    }
    for Delay { group, arp, neighbour, interfaces } in delays {
        writeln!(f, "------< GARP delay group {group} >------")?;
        for (name, time) in [("GARP", arp), ("GNA", neighbour)] {
            if let Some(time) = time {
                writeln!(f, " {name} interval = {}\n {name} {NOTHING}", time.as_secs_f64())?;
            }
        }
        writeln!(f, " Interfaces")?;
        interfaces.iter().try_for_each(|interface| writeln!(f, "  {interface}"))?;
    }
    Ok(())
}

/// What is said of an interface.
pub(super) fn write_link(f: &mut Formatter<'_>, dump: &Dump<'_>, interface: &str) -> fmt::Result {
    let Some(delay) = delays(dump).into_iter().find(|delay| delay.interfaces.contains(&interface)) else {
        return Ok(());
    };
    for (name, time) in [("ARP", delay.arp), ("NA", delay.neighbour)] {
        if let Some(time) = time {
            writeln!(f, "   Gratuitous {name} interval {}ms", time.as_millis())?;
        }
    }
    if delay.group > 0 {
        writeln!(f, "   Gratuitous ARP aggregation group {}", delay.group)?;
    }
    Ok(())
}
