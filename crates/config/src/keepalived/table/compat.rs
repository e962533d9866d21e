//! The text of docs/compat/keepalived.md.

use super::{ADDRESS_WORDS, Argument, List, ROUTE_WORDS, RULE_WORDS, SECOND, Scope, Status};
use crate::keepalived::value::decimal_text;
use std::collections::BTreeMap;

/// The text of docs/compat/keepalived.md.
pub fn keepalived_markdown() -> String {
    let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
    for keyword in Scope::ALL.iter().flat_map(|scope| scope.keywords()) {
        *counts.entry(status_word(keyword.status)).or_default() += 1;
    }
    let counts: Vec<String> = ["carried out", "partly", "later", "no effect", "refused"]
        .iter()
        .map(|word| format!("{} {word}", counts.get(word).copied().unwrap_or_default()))
        .collect();
    let mut text = format!(
        "# keepalived.conf\n\n\
         Every keyword of keepalived 2.2.7, and of 2.4 where it has more, and what evenkeel makes of it. Made from the\n\
         table the parser itself uses; `EVENKEEL_BLESS=1 cargo test -p evenkeel-config` writes it anew.\n\n\
         `evenkeel check` says the same for a file of yours, with places and fixes. Of {} keywords: {}.\n\n\
         | status | |\n|---|---|\n\
         | carried out | as keepalived does it |\n\
         | partly | what is missing is said |\n\
         | later | read and checked, not carried out in this release; told once for each kind |\n\
         | no effect | read and checked; why it changes nothing is said |\n\
         | refused | an error: leaving it out would send clients elsewhere, or run something else than the file says |\n",
        Scope::ALL.iter().map(|scope| scope.keywords().count()).sum::<usize>(),
        counts.join(", "),
    );
    for scope in Scope::ALL {
        let title = if scope == Scope::Top { "Outside of blocks" } else { scope.name() };
        text += &format!("\n## {title}\n\n| keyword | value | what it does | status |\n|---|---|---|---|\n");
        for keyword in scope.keywords() {
            let why = match keyword.status {
                Status::Done => String::new(),
                Status::Partly(why) | Status::Later(why) | Status::Nothing(why) | Status::Refused(why) => {
                    format!(": {why}")
                }
            };
            let word = status_word(keyword.status);
            let value = argument(keyword.argument).replace('|', "\\|");
            text += &format!("| `{}` | {value} | {} | {word}{why} |\n", keyword.name, keyword.summary);
        }
    }
    text += "\n## Words within lists\n\n";
    let addresses: Vec<&str> = ADDRESS_WORDS.iter().map(|(name, _)| *name).collect();
    for (list, words) in [("Addresses", addresses.as_slice()), ("Routes", ROUTE_WORDS), ("Routing rules", RULE_WORDS)] {
        let words: Vec<String> = words.iter().map(|word| format!("`{word}`")).collect();
        text += &format!("{list}: {}.\n\n", words.join(" "));
    }
    text + include_str!("../compat_notes.md")
}

fn status_word(status: Status) -> &'static str {
    match status {
        Status::Done => "carried out",
        Status::Partly(_) => "partly",
        Status::Later(_) => "later",
        Status::Nothing(_) => "no effect",
        Status::Refused(_) => "refused",
    }
}

fn argument(argument: Argument) -> String {
    match argument {
        Argument::None => String::new(),
        Argument::Text => "word".to_owned(),
        Argument::Words(0, _) => "words, or none".to_owned(),
        Argument::Words(..) => "words".to_owned(),
        Argument::Number(least, i64::MAX) => format!("number from {least}"),
        Argument::Number(least, most) => format!("{least} to {most}"),
        Argument::Decimal(least, most) => {
            let least = if least < SECOND / 100 { "0".to_owned() } else { decimal_text(least) };
            format!("{least} to {}", decimal_text(most))
        }
        Argument::Bool => "on or off; alone: on".to_owned(),
        Argument::Address => "address".to_owned(),
        Argument::Interface => "interface".to_owned(),
        Argument::OneOf(words) => words.join("|"),
        Argument::Script => "program [user [group]]".to_owned(),
        Argument::User => "user [group]".to_owned(),
        Argument::Weight(most) => format!("-{most} to {most} [reverse]"),
        Argument::Block(_) => "block".to_owned(),
        Argument::Named(_) => "name, block".to_owned(),
        Argument::Server(_) => "address [port], block".to_owned(),
        Argument::Head => "address [port] | fwmark number | group name, block".to_owned(),
        Argument::List(list) => format!("list of {}", list_words(list)),
        Argument::NamedList(list) => format!("name, list of {}", list_words(list)),
    }
}

fn list_words(list: List) -> &'static str {
    match list {
        List::Names => "names",
        List::Addresses => "addresses",
        List::Routes => "routes",
        List::Rules => "routing rules",
        List::Peers => "addresses [min_ttl number] [max_ttl number]",
        List::Tracked => "names [weight number [reverse]]",
        List::Servers => "addresses and ranges with ports, fwmark number",
        List::Interfaces => "interfaces with a word or numbers",
    }
}
