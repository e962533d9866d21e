//! A message: named fields in order.

use std::fmt;

/// The most bytes of a message on a wire; what is longer is no message.
pub const LONGEST: usize = 64 * 1024;

/// A message as it was sent or is to be. Names are not empty and hold no `=`, blank or control byte.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Message {
    fields: Vec<(String, Value)>,
}

/// The value of a field.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Value {
    /// Type 0.
    Text(String),
    /// Type 1, such as the 16 bytes of a node's id.
    Binary(Vec<u8>),
}

impl Message {
    /// One of this type: its first field is `t`.
    pub fn new(kind: &str) -> Message {
        Message::default().with("t", kind)
    }

    /// With one more field at its end.
    #[must_use]
    pub fn with(mut self, name: &str, value: impl fmt::Display) -> Message {
        self.push(name, Value::Text(value.to_string()));
        self
    }

    /// With one more field of bytes at its end.
    #[must_use]
    pub fn with_binary(mut self, name: &str, value: &[u8]) -> Message {
        self.push(name, Value::Binary(value.to_vec()));
        self
    }

    /// Appends a field.
    pub fn push(&mut self, name: &str, value: Value) {
        self.fields.push((name.to_owned(), value));
    }

    /// The fields in order.
    pub fn fields(&self) -> impl Iterator<Item = (&str, &Value)> {
        self.fields.iter().map(|(name, value)| (name.as_str(), value))
    }

    /// The text of the first field of that name.
    pub fn text(&self, name: &str) -> Option<&str> {
        self.fields().find_map(|(found, value)| match value {
            Value::Text(text) if found == name => Some(text.as_str()),
            _ => None,
        })
    }

    /// The bytes of the first field of that name.
    pub fn binary(&self, name: &str) -> Option<&[u8]> {
        self.fields().find_map(|(found, value)| match value {
            Value::Binary(bytes) if found == name => Some(bytes.as_slice()),
            _ => None,
        })
    }

    /// A number that is written in hexadecimal, as most are.
    pub fn hex(&self, name: &str) -> Option<u64> {
        self.text(name).and_then(|text| u64::from_str_radix(text, 16).ok())
    }

    /// Whether it is one of those that are numbered, kept and sent again (HB-7).
    pub fn is_sequenced(&self) -> bool {
        !self.kind().starts_with("NS_")
    }

    /// Its type; empty where it has none.
    pub fn kind(&self) -> &str {
        self.text("t").unwrap_or_default()
    }
}
