//! A line of `ip rule`, as `virtual_rules` and `static_rules` have it.

use super::{Dialect, Kind, Line, Names, Net, Refused};
use crate::{
    host::shown,
    keepalived::{table::RULE_WORDS, value, word::Word},
};
use evenkeel_model::{
    Family,
    vrrp::{Action, Rule},
};
use evenkeel_source::{Diagnostic, Spanned};
use std::ops::RangeInclusive;

/// Protocols of IP by name; others by number.
const PROTOCOLS: [(&str, u8); 14] = [
    ("icmp", 1),
    ("igmp", 2),
    ("ipip", 4),
    ("tcp", 6),
    ("egp", 8),
    ("udp", 17),
    ("ipv6", 41),
    ("gre", 47),
    ("esp", 50),
    ("ah", 51),
    ("ipv6-icmp", 58),
    ("ospf", 89),
    ("vrrp", 112),
    ("sctp", 132),
];

/// Whether a rule says where it stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Priority {
    Written,
    /// keepalived counts down from 16384.
    Missing,
}

/// Reads a rule. `group`: where the name of a group that tracks it goes, of one that stays on the
/// node.
pub(crate) fn rule(
    words: &[Word],
    group: Option<&mut Option<Spanned<String>>>,
    dialect: Dialect,
    names: &Names<'_>,
    out: &mut Vec<Diagnostic>,
) -> Option<(Rule, Priority)> {
    let mut line = Line::new(words, "rule", dialect, names, out);
    read(&mut line, group).ok()
}

struct Draft<'a> {
    from: Option<Net>,
    to: Option<Net>,
    /// With an action that is put in at the end.
    rule: Rule,
    action: Option<(Action, &'a Word)>,
    priority: Option<u32>,
    /// A word that only look-ups have.
    lookup_only: Option<&'a Word>,
    protocol: Option<&'a Word>,
}

fn read(line: &mut Line<'_, '_>, mut group: Option<&mut Option<Spanned<String>>>) -> Result<(Rule, Priority), Refused> {
    let Some(first) = line.peek() else { return Err(Refused) };
    let mut draft = Draft {
        from: None,
        to: None,
        rule: Rule::new(Family::V4, 0, Action::Nop),
        action: None,
        priority: None,
        lookup_only: None,
        protocol: None,
    };
    while let Some(word) = line.next() {
        match &mut group {
            Some(group) if word.text == "track_group" => {
                let name = line.value(word)?;
                **group = Some(Spanned::new(name.text.clone(), name.span));
            }
            Some(_) | None => one(line, word, &mut draft)?,
        };
    }
    let Draft { from, to, mut rule, action, priority, lookup_only, protocol } = draft;
    let Some((action, _)) = action else {
        return Err(line.refuse_with(first.span, "a rule that does nothing".to_owned(), "write `table` and a number"));
    };
    if let (Some(word), Action::Goto(_) | Action::Nop | Action::Blackhole | Action::Unreachable | Action::Prohibit) =
        (lookup_only, action)
    {
        return Err(line.refuse(word.span, format!("`{}` is of rules with a table only", word.text)));
    }
    if let Action::Goto(target) = action
        && priority.is_none_or(|own| own >= target)
    {
        let message = format!("a rule goes forwards: goto {target} needs a priority below it");
        return Err(line.refuse(first.span, message));
    }
    rule.action = action;
    rule.family = line.family.unwrap_or(Family::V4);
    // A prefix of no bits is any address.
    let prefix = |net: Option<Net>| net.and_then(|net| net.of(rule.family)).filter(|prefix| prefix.length() > 0);
    (rule.from, rule.to) = (prefix(from), prefix(to));
    if let Some(word) = protocol {
        rule.protocol = line.protocol(word, rule.tracked, rule.protocol);
    }
    rule.priority = priority.unwrap_or_default();
    if priority.is_none() && line.dialect == Dialect::Native {
        return Err(line.refuse_with(first.span, "a rule without a priority".to_owned(), "write `priority 1000`"));
    }
    Ok((rule, if priority.is_some() { Priority::Written } else { Priority::Missing }))
}

/// One word and its values.
fn one<'a>(line: &mut Line<'a, '_>, word: &'a Word, draft: &mut Draft<'a>) -> Result<(), Refused> {
    let rule = &mut draft.rule;
    match word.text.as_str() {
        "inet" | "inet6" => line.family_word(word)?,
        "not" => rule.not = true,
        "from" | "to" => {
            let value = line.value(word)?;
            let net = Some(line.net(value)?);
            *(if word.text == "from" { &mut draft.from } else { &mut draft.to }) = net;
        }
        "preference" | "pref" | "order" | "priority" => draft.priority = Some(line.any_number(word, 0..=u32::MAX)?),
        "tos" | "dsfield" => rule.tos = line.named_byte(word, Kind::Dsfield)?,
        "fwmark" => rule.mark = Some(mark(line, word)?),
        "dev" | "iif" => rule.input = Some(line.interface(word)?),
        "oif" => rule.output = Some(line.interface(word)?),
        "ipproto" => rule.ip_protocol = Some(ip_protocol(line, word)?),
        "sport" => rule.source_ports = Some(ports(line, word)?),
        "dport" => rule.destination_ports = Some(ports(line, word)?),
        "uidrange" => rule.users = Some(range(line, word, u32::MAX)?),
        "tunnel-id" => {
            let value = line.value(word)?;
            let Ok(id) = value.text.parse() else {
                return Err(line.refuse(value.span, format!("tunnel-id `{}` is no number", shown(&value.text))));
            };
            rule.tunnel = id;
        }
        "realms" => {
            rule.realms = Some(line.realms(word)?);
            draft.lookup_only = Some(word);
        }
        "suppress_prefixlength" | "sup_pl" => {
            rule.suppress_prefix = Some(line.number(word, 0..=128)?);
            draft.lookup_only = Some(word);
        }
        "suppress_ifgroup" | "sup_group" => {
            rule.suppress_group = Some(line.named(word, Kind::Group)?);
            draft.lookup_only = Some(word);
        }
        "protocol" => {
            rule.protocol = line.named_byte(word, Kind::Protocol)?;
            draft.protocol = Some(word);
        }
        "no_track" => rule.tracked = false,
        "type" => {
            let value = line.value(word)?;
            act(line, value, draft)?;
        }
        _ => act(line, word, draft)?,
    }
    Ok(())
}

/// What is done; one of them.
fn act<'a>(line: &mut Line<'a, '_>, word: &'a Word, draft: &mut Draft<'a>) -> Result<(), Refused> {
    let action = match word.text.as_str() {
        "table" | "lookup" => match line.named(word, Kind::Table)? {
            0 => return Err(line.refuse(word.span, "there is no table 0".to_owned())),
            table => Action::Lookup(table),
        },
        "l3mdev" => Action::L3mdev,
        "goto" => Action::Goto(line.number(word, 1..=u32::MAX)?),
        "nop" => Action::Nop,
        "blackhole" => Action::Blackhole,
        "unreachable" => Action::Unreachable,
        "prohibit" => Action::Prohibit,
        _ => return Err(line.unknown(word, RULE_WORDS)),
    };
    if let Some((_, first)) = draft.action.replace((action, word)) {
        let message = format!("`{}` beside `{}`: a rule does one thing", word.text, first.text);
        return Err(line.refuse(word.span, message));
    }
    Ok(())
}

/// `MARK[/MASK]`
fn mark(line: &mut Line<'_, '_>, word: &Word) -> Result<(u32, Option<u32>), Refused> {
    let value = line.value(word)?;
    let (mark, mask) = value.text.split_once('/').map_or((value.text.as_str(), None), |(a, m)| (a, Some(m)));
    let number = super::names::number;
    match (number(mark), mask.map(number)) {
        (Some(mark), None) => Ok((mark, None)),
        (Some(mark), Some(Some(mask))) => Ok((mark, Some(mask))),
        _ => Err(line.refuse(value.span, format!("`{}` is no mark and no MARK/MASK", shown(&value.text)))),
    }
}

fn ip_protocol(line: &mut Line<'_, '_>, word: &Word) -> Result<u8, Refused> {
    let value = line.value(word)?;
    let known = PROTOCOLS.iter().find(|(name, _)| *name == value.text).map(|(_, number)| *number);
    let number = value::number(&value.text).and_then(|number| u8::try_from(number).ok());
    known.or(number).ok_or_else(|| line.refuse(value.span, format!("`{}` is no protocol of IP", shown(&value.text))))
}

fn ports(line: &mut Line<'_, '_>, word: &Word) -> Result<RangeInclusive<u16>, Refused> {
    let single = line.peek().is_some_and(|value| !value.text.contains('-'));
    let span = line.peek().map_or(word.span, |value| value.span);
    let range = range(line, word, u16::MAX.into())?;
    if single {
        let message = format!("one port of `{}` is read as a range of one", word.text);
        line.remark(span, message, "keepalived 2.2.7 leaves the port out and makes a rule for all ports");
    }
    match (u16::try_from(*range.start()), u16::try_from(*range.end())) {
        (Ok(first), Ok(last)) => Ok(first..=last),
        _ => Err(Refused),
    }
}

/// `FIRST-LAST`, or one number.
fn range(line: &mut Line<'_, '_>, word: &Word, most: u32) -> Result<RangeInclusive<u32>, Refused> {
    let value = line.value(word)?;
    let (first, last) = value.text.split_once('-').unwrap_or((&value.text, &value.text));
    let number = |text| value::number(text).and_then(|n| u32::try_from(n).ok()).filter(|n| *n <= most);
    match (number(first), number(last)) {
        (Some(first), Some(last)) if first <= last => Ok(first..=last),
        _ => Err(line.refuse(value.span, format!("`{}` is no range of numbers up to {most}", shown(&value.text)))),
    }
}
