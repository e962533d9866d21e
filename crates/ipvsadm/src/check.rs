//! Which options go with which command and with which tunnel.

use crate::{
    call::Fault,
    options::{ALL, Command, Given, Opt, Rule},
};

/// The first thing that is wrong with the options of a command.
pub(crate) fn command(command: Command, given: Given) -> Result<(), Fault> {
    let place = format!("'{}' command", command.name());
    judge(&ALL.map(|(option, _)| (option, command.rule(option))), given, &place)
}

/// The first thing that is wrong with the options of a tunnel.
pub(crate) fn tunnel(kind: Tunnel, given: Given) -> Result<(), Fault> {
    use Rule::{Exclusive, Illegal, Needed};
    let [port, none, full, remote] = match kind {
        Tunnel::Ipip => [Illegal; 4],
        Tunnel::Gue => [Needed, Exclusive, Exclusive, Exclusive],
        Tunnel::Gre => [Illegal, Exclusive, Exclusive, Illegal],
    };
    let rules = [(Opt::TunPort, port), (Opt::TunNocsum, none), (Opt::TunCsum, full), (Opt::TunRemcsum, remote)];
    judge(&rules, given, &format!("'{}' tunnel type", kind.name()))
}

fn judge(rules: &[(Opt, Rule)], given: Given, place: &str) -> Result<(), Fault> {
    let mut exclusive: Option<Opt> = None;
    for (option, rule) in rules {
        let (has, name) = (given.has(*option), option.name());
        match rule {
            Rule::Needed if !has => {
                return Err(Fault::wrong(format!("You need to supply the '{name}' option for the {place}")));
            }
            Rule::Illegal if has => return Err(Fault::wrong(format!("Illegal '{name}' option with the {place}"))),
            Rule::Exclusive if has => {
                if let Some(other) = exclusive {
                    let other = other.name();
                    let text = format!("The option '{name}' conflicts with the '{other}' option in the {place}");
                    return Err(Fault::wrong(text));
                }
                exclusive = Some(*option);
            }
            Rule::Needed | Rule::Illegal | Rule::Exclusive | Rule::Optional => {}
        }
    }
    Ok(())
}

/// How a tunnel wraps packets.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Tunnel {
    #[default]
    Ipip,
    Gue,
    Gre,
}

impl Tunnel {
    pub(crate) fn read(text: &str) -> Option<Tunnel> {
        [Tunnel::Ipip, Tunnel::Gue, Tunnel::Gre].into_iter().find(|kind| kind.name() == text)
    }

    pub(crate) fn name(self) -> &'static str {
        match self {
            Tunnel::Ipip => "ipip",
            Tunnel::Gue => "gue",
            Tunnel::Gre => "gre",
        }
    }
}
