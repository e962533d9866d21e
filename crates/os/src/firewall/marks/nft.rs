//! The JSON of nft(8), as far as marks go.

use super::{Action, Part, Rule, Rules, prefix, product};
use crate::firewall::{
    RulesError,
    nft::{key, protocol_number, text, write},
};
use evenkeel_model::Family;
use serde_json::Value;

/// Tables that iptables-nft keeps; nft does not show all of their rules, iptables-save does.
const OF_IPTABLES: [&str; 5] = ["raw", "mangle", "nat", "filter", "security"];

pub(super) fn read(json: &str) -> Result<Rules, RulesError> {
    let root: Value = serde_json::from_str(json).map_err(|e| RulesError(format!("nft's JSON is broken: {e}")))?;
    let objects = root.get("nftables").and_then(Value::as_array);
    let objects = objects.ok_or_else(|| RulesError("nft's JSON has no list `nftables`".to_owned()))?;
    let mut rules = Rules::default();
    let mut entries = Vec::new();
    let own = |object: &Value| {
        let family = text(object, "family");
        let of_iptables = matches!(family, "ip" | "ip6") && OF_IPTABLES.contains(&text(object, "table"));
        matches!(family, "ip" | "ip6" | "inet") && !of_iptables
    };
    for chain in objects.iter().filter_map(|object| object.get("chain")).filter(|chain| own(chain)) {
        let hook = match text(chain, "hook") {
            "prerouting" => 0,
            "input" => 1,
            _ => continue,
        };
        let priority = chain.get("prio").and_then(Value::as_i64).unwrap_or(0);
        entries.push((hook, priority, key(chain, "name")));
    }
    entries.sort();
    rules.entries = entries.into_iter().map(|(_, _, key)| key).collect();
    for object in objects.iter().filter_map(|object| object.get("rule")).filter(|rule| own(rule)) {
        rules.chains.entry(key(object, "chain")).or_default().push(rule(object));
    }
    Ok(rules)
}

fn rule(object: &Value) -> Rule {
    let parts = object.get("expr").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
    let text = parts.iter().map(write).collect::<Vec<_>>().join(" ");
    let family = match self::text(object, "family") {
        "ip" => Some(Family::V4),
        "ip6" => Some(Family::V6),
        _ => None,
    };
    let mut asked = Ok(vec![Part { family, ..Part::default() }]);
    let mut action = Action::Nothing;
    for (kind, value) in parts.iter().filter_map(|part| part.as_object()?.iter().next()) {
        match kind.as_str() {
            "match" => asked = asked.and_then(|before| narrow(&before, value)),
            "mangle" if is_mark(value.get("key")) => action = set(value.get("value")),
            "counter" | "log" | "notrack" => {}
            "accept" | "drop" | "reject" | "queue" => action = Action::Ends,
            "return" => action = Action::Return,
            "jump" => action = Action::Jump(self::text(value, "target").to_owned()),
            "goto" => action = Action::Goto(self::text(value, "target").to_owned()),
            "mangle" => {}
            "vmap" => asked = Err("goes by a verdict map".to_owned()),
            other => asked = asked.and(Err(format!("asks for `{other}`"))),
        }
    }
    Rule { text, parts: asked, action }
}

fn is_mark(key: Option<&Value>) -> bool {
    key.and_then(|key| key.get("meta")).is_some_and(|meta| text(meta, "key") == "mark")
}

fn set(value: Option<&Value>) -> Action {
    match value.and_then(Value::as_u64).and_then(|mark| u32::try_from(mark).ok()) {
        Some(mark) => Action::Set(mark),
        None => Action::Alters("computes the mark".to_owned()),
    }
}

/// The alternatives that a `match` leaves.
fn narrow(before: &[Part], value: &Value) -> Result<Vec<Part>, String> {
    let refused = || format!("asks for `{}`", write(&serde_json::json!({ "match": value })));
    if !matches!(text(value, "op"), "==" | "in" | "") {
        return Err(refused());
    }
    let left = value.get("left").unwrap_or(&Value::Null);
    let right = value.get("right").unwrap_or(&Value::Null);
    let values = match right.get("set").and_then(Value::as_array) {
        Some(set) => set.iter().collect(),
        None => vec![right],
    };
    let alternatives: Option<Vec<Part>> = values.into_iter().map(|value| part(left, value)).collect();
    product(before, &alternatives.ok_or_else(refused)?).ok_or_else(|| "has too many alternatives".to_owned())
}

fn part(left: &Value, right: &Value) -> Option<Part> {
    if let Some(meta) = left.get("meta") {
        return match (text(meta, "key"), right.as_str()) {
            ("l4proto", Some(name)) => Some(Part { protocol: Some(protocol_number(name)?), ..Part::default() }),
            ("nfproto", Some("ipv4")) => Some(Part { family: Some(Family::V4), ..Part::default() }),
            ("nfproto", Some("ipv6")) => Some(Part { family: Some(Family::V6), ..Part::default() }),
            _ => None,
        };
    }
    let payload = left.get("payload")?;
    let (protocol, field) = (text(payload, "protocol"), text(payload, "field"));
    let family = match protocol {
        "ip" => Some(Family::V4),
        "ip6" => Some(Family::V6),
        _ => None,
    };
    match field {
        "daddr" => Some(Part { family, destination: Some(addresses(right)?), ..Part::default() }),
        "saddr" => Some(Part { family, source: Some(addresses(right)?), ..Part::default() }),
        "protocol" | "nexthdr" if family.is_some() => {
            Some(Part { family, protocol: Some(protocol_number(right.as_str()?)?), ..Part::default() })
        }
        "dport" => {
            let number = protocol_number(protocol).filter(|number| [6, 17, 132].contains(number))?;
            Some(Part { protocol: Some(number), ports: Some(ports(right)?), ..Part::default() })
        }
        _ => None,
    }
}

fn addresses(value: &Value) -> Option<evenkeel_model::Prefix> {
    match value.get("prefix") {
        Some(inner) => prefix(&format!("{}/{}", text(inner, "addr"), inner.get("len")?.as_u64()?)),
        None => prefix(value.as_str()?),
    }
}

fn ports(value: &Value) -> Option<(u16, u16)> {
    let port = |value: &Value| value.as_u64().and_then(|port| u16::try_from(port).ok());
    match value.get("range").and_then(Value::as_array).map(Vec::as_slice) {
        Some([low, high]) => Some((port(low)?, port(high)?)),
        Some(_) => None,
        None => port(value).map(|port| (port, port)),
    }
}
