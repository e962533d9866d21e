//! FTP control connections, as somebody between client and server reads them (RFC 959, RFC 2428, RFC 2577).
//!
//! With address translation the addresses that client and server tell each other are wrong: those of the data
//! connections. A [`Dialog`] follows one control connection, asks for each data connection to be opened ([`Output::Open`])
//! and writes into the command or reply where it really is. Everything else goes through as it came. It opens no socket
//! and reads no clock.
//!
//! ```text
//! client: PASV            ->  server: PASV
//! server: 227 (own, port) ->  Open(Passive)  -> Opened(p)  ->  client: 227 (virtual address, p)
//! client: PORT own, port  ->  Open(Active)   -> Opened(p)  ->  server: PORT virtual address, p
//! ```

#![forbid(unsafe_code)]

mod command;
mod dialog;
mod line;
mod place;
mod reply;

pub use dialog::{CHUNK, Dialog, Ends, IDLE, Input, Order, Output, PATIENCE};
pub use line::LINE;
