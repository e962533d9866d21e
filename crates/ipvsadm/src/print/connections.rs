//! `-L -c`.

use super::{Writer, protocol_name};
use crate::names::Names;
use evenkeel_api::table::ConnectionEntry;

/// The lines before the connections; with what persistence engines know.
pub fn connections_title(engines: bool) -> String {
    let destination =
        if engines { format!("{:<18} {:<16} pe_data", "destination", "pe name") } else { "destination".to_owned() };
    format!("IPVS connection entries\npro expire {:<11} {:<18} {:<18} {destination}\n", "state", "source", "virtual")
}

/// A connection's line.
pub fn connection(entry: &ConnectionEntry, engines: bool, numeric: bool, names: &dyn Names) -> String {
    let writer = Writer { numeric, names };
    // Only these two have names of ports here.
    let named = if matches!(entry.protocol, 6 | 17) { entry.protocol } else { 0 };
    let address = |address| writer.address(address, named);
    let (minutes, seconds) = (entry.expires_s / 60, entry.expires_s % 60);
    let (expire, protocol) = (format!("{minutes:02}:{seconds:02}"), protocol_name(entry.protocol));
    let (source, to, server) = (address(entry.client), address(entry.virtual_address), address(entry.real_server));
    let line = format!("{protocol:<3} {expire:<6} {:<11} {source:<18} {to:<18} ", entry.state);
    match entry.engine.as_ref().filter(|_| engines) {
        Some(engine) => format!("{line}{server:<16} {:<18} {}\n", engine.name, engine.data),
        None => format!("{line}{server}\n"),
    }
}
