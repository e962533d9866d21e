//! `vmac` of a `[vrrp.NAME]`: interfaces with the virtual router's MAC address.

use super::{
    reader::{Keys, Table, quoted, string_of},
    write::line,
};
use crate::{codes, host::shown};
use evenkeel_model::vrrp::{Instance, LONGEST_INTERFACE_NAME, Reach, Vmac, virtual_mac};
use evenkeel_source::{Diagnostic, Spanned};
use toml::de::DeValue;

const KEYS: Keys = Keys {
    of: "vmac",
    known: &["own", "name", "mac", "adverts", "others"],
    later: &[],
    instead: &[("interface", "write `name`"), ("xmit_base", "write adverts = \"base\"")],
};

const OTHER: Keys = Keys {
    of: "another VMAC",
    known: &["name", "mac", "on"],
    later: &[],
    instead: &[("dev", "write `on`"), ("interface", "write `on`")],
};

/// Which MAC address advertisements have.
const ADVERTS: [(&str, bool); 2] = [("vmac", false), ("base", true)];

/// Reads `vmac = true`, `vmac = "NAME"` or a table into `instance`, whose addresses and peers are known.
pub(super) fn read(table: &Table<'_>, instance: &mut Instance, out: &mut Vec<Diagnostic>) {
    let Some(value) = table.get("vmac") else { return };
    let usual = format!("vrrp.{}", instance.vrid);
    let unicast = matches!(instance.reach, Reach::Unicast { .. });
    let mac = virtual_mac(instance.vrid, instance.is_ipv6());
    let below = instance.interface.clone();
    let own = |name, mac| Vmac { name, below, mac, speaks: true };
    let Some(inner) = table.inner(value) else {
        match value.value {
            DeValue::Boolean(false) => return,
            DeValue::Boolean(true) => instance.vmacs.push(own(usual, mac)),
            _ => {
                instance.vmacs.extend(string_of(value, out).and_then(|text| name(text, out)).map(|text| own(text, mac)))
            }
        }
        instance.from_base = unicast;
        return;
    };
    inner.only(&KEYS, out);
    let given = inner.string("name", out).and_then(|text| name(text, out));
    let written = self::mac(&inner, out);
    let speaks = inner.boolean("own", out).is_none_or(|yes| yes.value);
    if speaks {
        instance.vmacs.push(own(given.unwrap_or(usual), written.unwrap_or(mac)));
    }
    let from_base = inner.word("adverts", &ADVERTS, out);
    instance.from_base = speaks && from_base.as_ref().map_or(unicast, |word| word.value);
    if let Some(word) = from_base.filter(|word| unicast && !word.value) {
        let d = Diagnostic::error(codes::VALUE, word.span, "with peers advertisements leave from the base interface");
        out.push(d.help("write adverts = \"base\", or leave it out"));
    }
    let others = inner.get("others").and_then(|value| inner.items(value, out)).unwrap_or_default();
    for item in others {
        let Some(other) = inner.inner(item) else {
            let d = Diagnostic::error(codes::VALUE, item.span, "another VMAC is a table");
            out.push(d.help("write { name = \"vrrp1.51\", on = \"eth1\" }"));
            continue;
        };
        other.only(&OTHER, out);
        let given = other.string("name", out).and_then(|text| name(text, out));
        let on = other.string("on", out);
        let (Some(given), Some(on)) = (given, on) else {
            let d =
                Diagnostic::error(codes::MISSING_KEY, item.span, "another VMAC has a name and an interface below it");
            out.push(d.help("write { name = \"vrrp1.51\", on = \"eth1\" }"));
            continue;
        };
        let six = instance.vips().any(|vip| vip.interface.as_ref() == Some(&given) && vip.address.is_ipv6());
        let mac = self::mac(&other, out).unwrap_or_else(|| virtual_mac(instance.vrid, six));
        instance.vmacs.push(Vmac { name: given, below: on.value.to_owned(), mac, speaks: false });
    }
}

fn name(text: Spanned<&str>, out: &mut Vec<Diagnostic>) -> Option<String> {
    let fits = (1..=LONGEST_INTERFACE_NAME).contains(&text.value.len()) && !text.value.contains(['/', ' ', ':']);
    if !fits {
        let message = format!("`{}` is no name of an interface", shown(text.value));
        let d = Diagnostic::error(codes::VALUE, text.span, message);
        out.push(d.help(format!("1 to {LONGEST_INTERFACE_NAME} bytes without blanks, slashes and colons")));
    }
    fits.then(|| text.value.to_owned())
}

fn mac(table: &Table<'_>, out: &mut Vec<Diagnostic>) -> Option<[u8; 6]> {
    let text = table.string("mac", out)?;
    let bytes: Option<Vec<u8>> = text
        .value
        .split(':')
        .map(|part| (part.len() == 2 && !part.starts_with('+')).then(|| u8::from_str_radix(part, 16).ok()).flatten())
        .collect();
    let mac = bytes.and_then(|bytes| <[u8; 6]>::try_from(bytes).ok()).filter(|mac| mac[0] & 1 == 0 && *mac != [0; 6]);
    if mac.is_none() {
        let message = format!("`{}` is no MAC address of one station", shown(text.value));
        out.push(Diagnostic::error(codes::VALUE, text.span, message).help("write \"02:00:5e:00:01:33\""));
    }
    mac
}

/// Writes the VMACs so that [`read`] reads them as the same.
pub(super) fn write(instance: &Instance, text: &mut String) {
    if instance.vmacs.is_empty() {
        return;
    }
    let others: Vec<String> = instance
        .vmacs
        .iter()
        .filter(|vmac| !vmac.speaks)
        .map(|vmac| {
            let (name, on) = (quoted(&vmac.name), quoted(&vmac.below));
            format!("{{ name = {name}, on = {on}, mac = {} }}", mac_text(vmac.mac))
        })
        .collect();
    let mut words = match instance.own_vmac() {
        Some(own) => vec![format!("name = {}", quoted(&own.name)), format!("mac = {}", mac_text(own.mac))],
        None => vec!["own = false".to_owned()],
    };
    if instance.from_base {
        words.push("adverts = \"base\"".to_owned());
    }
    if !others.is_empty() {
        words.push(format!("others = [{}]", others.join(", ")));
    }
    line(text, "vmac", &format!("{{ {} }}", words.join(", ")));
}

fn mac_text(mac: [u8; 6]) -> String {
    let bytes: Vec<String> = mac.iter().map(|byte| format!("{byte:02x}")).collect();
    quoted(&bytes.join(":"))
}
