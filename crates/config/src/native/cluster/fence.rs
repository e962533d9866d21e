//! `[fence.NODE]`: how a node is made silent.

use super::resource::{parameters, parameters_text};
use crate::{
    codes,
    draft::{FenceDraft, HeartbeatDraft},
    heartbeat::{
        here,
        other::{FENCE_WITHIN, plugin},
    },
    host::{Host, shown},
    native::{
        reader::{Keys, Table, quoted, string_of},
        units::duration_text,
        write::{line, list, table_name},
    },
};
use evenkeel_model::heartbeat::{Fence, FenceAgent, NodeName};
use evenkeel_source::{Diagnostic, Spanned};
use std::{
    path::{Path, PathBuf},
    time::Duration,
};
use toml::de::DeValue;

const KEYS: Keys = Keys {
    of: "a fence device",
    known: &["device", "params", "file", "nodes", "within"],
    later: &[],
    instead: &[("type", "write `device`"), ("parameters", "write `params`"), ("timeout", "write `within`")],
};

/// Reads the fence devices of a file.
pub(super) fn read(root: &Table<'_>, host: &Host<'_>, draft: &mut HeartbeatDraft, out: &mut Vec<Diagnostic>) {
    let Some(devices) = root.table("fence", out) else { return };
    for (name, table) in devices.tables(out) {
        if out.len() > crate::load::MOST_DIAGNOSTICS {
            break;
        }
        draft.fences.extend(device(name, &table, host, out));
    }
}

fn device(name: Spanned<&str>, table: &Table<'_>, host: &Host<'_>, out: &mut Vec<Diagnostic>) -> Option<FenceDraft> {
    table.only(&KEYS, out);
    let nodes = nodes(name, table, out);
    let within = table.duration("within", Duration::from_secs(1), out).map_or(FENCE_WITHIN, |time| time.value);
    let file = table.string("file", out).map(|file| PathBuf::from(file.value));
    let Some(device) = table.string("device", out) else {
        if !table.has("device") {
            let message = format!("`{}` has no device", shown(name.value));
            let d = Diagnostic::error(codes::MISSING_KEY, name.span, message);
            out.push(d.help("write device = \"external/ipmi\" or device = \"fence_ipmilan\""));
        }
        return None;
    };
    let agent = agent(table, device, file, host, out)?;
    let fence = Fence { nodes: nodes.iter().map(|node| node.value.clone()).collect(), agent, within };
    Some(FenceDraft { fence, nodes })
}

/// The nodes it fences: those of `nodes`, else the one it is called after; `*` for those it lists itself.
fn nodes(name: Spanned<&str>, table: &Table<'_>, out: &mut Vec<Diagnostic>) -> Vec<Spanned<NodeName>> {
    let names = match table.strings("nodes", out) {
        Some(list) => list.value,
        None if name.value == "*" || table.has("nodes") => Vec::new(),
        None => vec![name],
    };
    let mut nodes = Vec::new();
    for name in names {
        match NodeName::new(name.value) {
            Some(node) => nodes.push(Spanned::new(node, name.span)),
            None => {
                let message = format!("`{}` cannot be the name of a node", shown(name.value));
                out.push(Diagnostic::error(codes::NODE, name.span, message));
            }
        }
    }
    nodes
}

fn agent(
    table: &Table<'_>,
    device: Spanned<&str>,
    file: Option<PathBuf>,
    host: &Host<'_>,
    out: &mut Vec<Diagnostic>,
) -> Option<FenceAgent> {
    let is_agent = device.value.starts_with("fence_") || device.value.starts_with('/');
    if is_agent {
        if file.is_some() {
            out.push(Diagnostic::error(codes::FENCE, device.span, "a fence agent has params, and no file"));
        }
        out.extend(here::fence_agent(device.value, device.span, host));
        let parameters = secrets(table, host, out)?;
        return Some(FenceAgent::Agent { program: device.value.to_owned(), parameters });
    }
    let Some(kind) = plugin(device.value) else {
        let message = format!("`{}` is no fence device", shown(device.value));
        let d = Diagnostic::error(codes::FENCE, device.span, message);
        out.push(d.help("write a plugin such as \"external/ipmi\", or an agent such as \"fence_ipmilan\""));
        return None;
    };
    out.extend(here::plugin(&kind, device.span, host));
    let parameters = match table.get("params") {
        Some(value) if matches!(value.value, DeValue::Array(_)) => {
            let items = table.items(value, out)?;
            items.into_iter().filter_map(|item| string_of(item, out).map(|text| text.value.to_owned())).collect()
        }
        _ => secrets(table, host, out)?.into_iter().map(|(name, value)| format!("{name}={value}")).collect(),
    };
    Some(FenceAgent::Stonith { kind, parameters, file })
}

/// `params` by name, where a value may be in a file: `{ file = "/etc/evenkeel/ipmi.pw" }`.
fn secrets(table: &Table<'_>, host: &Host<'_>, out: &mut Vec<Diagnostic>) -> Option<Vec<(String, String)>> {
    let in_files = table
        .get("params")
        .and_then(|value| table.inner(value))
        .is_some_and(|params| params.values().iter().any(|(_, value)| matches!(value.value, DeValue::Table(_))));
    if !in_files {
        return parameters(table, out);
    }
    let params = table.table("params", out)?;
    let mut parameters = Vec::new();
    for (name, value) in params.values() {
        let text = match params.inner(value) {
            None => string_of(value, out)?.value.to_owned(),
            Some(inner) => {
                let path = inner.string("file", out)?;
                match (host.read_file)(Path::new(path.value)) {
                    Ok(bytes) => String::from_utf8_lossy(&bytes).lines().next().unwrap_or_default().to_owned(),
                    Err(why) => {
                        let message = format!("{}: {why}", shown(path.value));
                        out.push(Diagnostic::error(codes::UNREADABLE, path.span, message));
                        return None;
                    }
                }
            }
        };
        parameters.push((name.value.to_owned(), text));
    }
    Some(parameters)
}

/// Writes a device so that [`read`] reads it as the same; `at` numbers those that no node names.
pub(super) fn write(fence: &Fence, at: usize, alone: bool, text: &mut String) {
    let (name, says) = match &fence.nodes[..] {
        // These names mean something else.
        [node] if alone && node.as_str() != "*" && !node.as_str().starts_with("device-") => {
            (table_name(node.as_str()), true)
        }
        _ => (format!("device-{at}"), false),
    };
    text.push_str(&format!("[fence.{name}]\n"));
    if !says {
        let nodes: Vec<String> = fence.nodes.iter().map(NodeName::to_string).collect();
        line(text, "nodes", &list(&nodes));
    }
    match &fence.agent {
        FenceAgent::Stonith { kind, parameters, file } => {
            line(text, "device", &quoted(kind));
            if !parameters.is_empty() {
                line(text, "params", &list(parameters));
            }
            if let Some(file) = file {
                line(text, "file", &quoted(&file.to_string_lossy()));
            }
        }
        FenceAgent::Agent { program, parameters } => {
            line(text, "device", &quoted(program));
            if !parameters.is_empty() {
                line(text, "params", &parameters_text(parameters));
            }
        }
    }
    if fence.within != FENCE_WITHIN {
        line(text, "within", &quoted(&duration_text(fence.within)));
    }
    text.push('\n');
}
