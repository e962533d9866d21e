//! Messages as bytes (HB-1 to HB-5), in three forms.
//!
//! Packets begin with `###` and consist of netstrings; they are signed from outside, and in the classic form also
//! inside, over what the message would be as text. Serial lines carry that text itself, from `>>>` to `<<<`.

use crate::{LONGEST, Message, Reason, Value, signature};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use evenkeel_model::heartbeat::{self, Keys};

/// The most fields of a message; heartbeat's own have up to 15.
pub const MOST_FIELDS: usize = 256;

const START: &[u8] = b"###\n";
const END: &[u8] = b"%%%\n";
const TEXT_START: &[u8] = b">>>\n";
const TEXT_END: &[u8] = b"<<<";
/// What stands for a newline in the value of a text.
const NEWLINE: u8 = 0x13;
/// The field of the signature inside.
const AUTH: &str = "auth";
/// More digits than any length has that fits into [`LONGEST`].
const MOST_DIGITS: usize = 6;

/// How a message is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// Netstrings, signed inside and outside; what every heartbeat of our time sends (`msgfmt classic`).
    Classic,
    /// Netstrings, signed outside only (`msgfmt netstring`).
    Netstring,
    /// Lines of text, signed inside: on serial lines, and from heartbeats before 2.0.
    Text,
}

impl From<heartbeat::Form> for Form {
    fn from(form: heartbeat::Form) -> Form {
        match form {
            heartbeat::Form::Classic => Form::Classic,
            heartbeat::Form::Netstring => Form::Netstring,
        }
    }
}

/// Writes `message`, which has no signature yet, and signs it.
pub fn encode(message: &Message, form: Form, keys: &Keys) -> Vec<u8> {
    let inner = match form {
        Form::Netstring => None,
        Form::Classic | Form::Text => {
            let lines = text(message);
            Some((signature::sign(keys, &[&lines]), lines))
        }
    };
    match (form, inner) {
        (Form::Text, Some((signature, lines))) => {
            [TEXT_START, &lines, format!("{AUTH}={signature}\n").as_bytes(), TEXT_END, b"\n"].concat()
        }
        (_, inner) => packet(message, inner.map(|(signature, _)| signature), keys),
    }
}

fn packet(message: &Message, inner: Option<String>, keys: &Keys) -> Vec<u8> {
    let mut bytes = START.to_vec();
    for (name, value) in message.fields() {
        let (kind, value) = match value {
            Value::Text(text) => ("(0)", text.as_bytes()),
            Value::Binary(binary) => ("(1)", binary.as_slice()),
        };
        push_netstring(&mut bytes, &[kind.as_bytes(), name.as_bytes(), b"=", value]);
    }
    if let Some(signature) = inner {
        push_netstring(&mut bytes, &[b"(0)", AUTH.as_bytes(), b"=", signature.as_bytes()]);
    }
    bytes.extend_from_slice(END);
    let outer = signature::sign(keys, &[&bytes]);
    push_netstring(&mut bytes, &[outer.as_bytes()]);
    bytes
}

fn push_netstring(bytes: &mut Vec<u8>, parts: &[&[u8]]) {
    let length: usize = parts.iter().map(|part| part.len()).sum();
    bytes.extend_from_slice(format!("{length}:").as_bytes());
    parts.iter().for_each(|part| bytes.extend_from_slice(part));
    bytes.push(b',');
}

/// The lines that the inner signature is over.
fn text(message: &Message) -> Vec<u8> {
    let mut lines = Vec::new();
    for (name, value) in message.fields() {
        match value {
            Value::Text(text) => {
                lines.extend_from_slice(name.as_bytes());
                lines.push(b'=');
                lines.extend(text.bytes().map(|byte| if byte == b'\n' { NEWLINE } else { byte }));
            }
            Value::Binary(binary) => {
                lines.extend_from_slice(format!("(1){name}={}", STANDARD.encode(binary)).as_bytes());
            }
        }
        lines.push(b'\n');
    }
    lines
}

/// Reads a message of any form, once its signature is right. What it returns has no `auth` field any more.
pub fn decode(bytes: &[u8], keys: &Keys) -> Result<(Message, Form), Reason> {
    if bytes.len() > LONGEST {
        return Err(Reason::Size);
    }
    if let Some(rest) = bytes.strip_prefix(START) {
        decode_packet(bytes, rest, keys)
    } else if let Some(rest) = bytes.strip_prefix(TEXT_START) {
        Ok((decode_text(rest, keys)?, Form::Text))
    } else {
        Err(Reason::Form)
    }
}

fn decode_packet(bytes: &[u8], mut rest: &[u8], keys: &Keys) -> Result<(Message, Form), Reason> {
    let mut fields = Vec::new();
    let rest = loop {
        if let Some(rest) = rest.strip_prefix(END) {
            break rest;
        }
        if fields.len() == MOST_FIELDS {
            return Err(Reason::Fields);
        }
        let (field, more) = netstring(rest)?;
        fields.push(field);
        rest = more;
    };
    let signed = bytes.get(..bytes.len() - rest.len()).unwrap_or_default();
    if is_padding(rest) {
        return Err(Reason::Unsigned);
    }
    let (signature, rest) = netstring(rest)?;
    if !is_padding(rest) {
        return Err(Reason::Length);
    }
    // HB-4: what is signed outside needs no look at the signature inside, which says the same.
    signature::verify(keys, signature, &[signed])?;
    let (mut message, mut form) = (Message::default(), Form::Netstring);
    for field in fields {
        let (kind, name, value) = parts(field).ok_or(Reason::Field)?;
        if name == AUTH {
            form = Form::Classic;
            continue;
        }
        let value = match kind.ok_or(Reason::Field)? {
            Kind::Text => Value::Text(clean_text(value.to_vec())?),
            Kind::Binary => Value::Binary(value.to_vec()),
            Kind::Other(reason) => return Err(reason),
        };
        message.push(name, value);
    }
    Ok((message, form))
}

/// `LENGTH:CONTENT,` and what follows it.
fn netstring(bytes: &[u8]) -> Result<(&[u8], &[u8]), Reason> {
    let digits = bytes.iter().take(MOST_DIGITS).take_while(|byte| byte.is_ascii_digit()).count();
    let (length, rest) = bytes.split_at_checked(digits).ok_or(Reason::Length)?;
    let length = std::str::from_utf8(length).ok().and_then(|text| text.parse().ok()).ok_or(Reason::Length)?;
    let rest = rest.strip_prefix(b":").ok_or(Reason::Length)?;
    let (content, rest) = rest.split_at_checked(length).ok_or(Reason::Length)?;
    Ok((content, rest.strip_prefix(b",").ok_or(Reason::Length)?))
}

/// What may follow a message: the NUL of a C string, the end of a line.
fn is_padding(bytes: &[u8]) -> bool {
    bytes.iter().all(|byte| matches!(byte, 0 | b'\n' | b'\r'))
}

fn decode_text(rest: &[u8], keys: &Keys) -> Result<Message, Reason> {
    let padding = rest.iter().rev().take_while(|byte| is_padding(&[**byte])).count();
    let lines = rest.get(..rest.len() - padding).unwrap_or_default().strip_suffix(TEXT_END).ok_or(Reason::Form)?;
    if !lines.is_empty() && !lines.ends_with(b"\n") {
        return Err(Reason::Form);
    }
    let (mut before, mut after, mut signature) = (0, 0, None);
    for line in lines.split_inclusive(|byte| *byte == b'\n') {
        if let Some(found) = line.strip_prefix(b"auth=") {
            signature = Some(found.strip_suffix(b"\n").unwrap_or(found));
            after = before + line.len();
            break;
        }
        before += line.len();
    }
    let signature = signature.ok_or(Reason::Unsigned)?;
    let (before, after) = (lines.get(..before).unwrap_or_default(), lines.get(after..).unwrap_or_default());
    signature::verify(keys, signature, &[before, after])?;
    let mut message = Message::default();
    for (place, line) in [before, after].into_iter().flat_map(|part| part.split_inclusive(|b| *b == b'\n')).enumerate()
    {
        if place == MOST_FIELDS {
            return Err(Reason::Fields);
        }
        let (kind, name, value) = parts(line.strip_suffix(b"\n").unwrap_or(line)).ok_or(Reason::Field)?;
        let value = match kind.unwrap_or(Kind::Text) {
            Kind::Text => {
                let value = value.iter().map(|byte| if *byte == NEWLINE { b'\n' } else { *byte });
                Value::Text(clean_text(value.collect())?)
            }
            Kind::Binary => Value::Binary(STANDARD.decode(value).map_err(|_| Reason::Field)?),
            Kind::Other(reason) => return Err(reason),
        };
        message.push(name, value);
    }
    Ok(message)
}

/// Of a field, by the digit before its name.
enum Kind {
    Text,
    Binary,
    /// One that no message of ours has, with why it is refused.
    Other(Reason),
}

/// `(TYPE)NAME=VALUE`, or without the type.
fn parts(field: &[u8]) -> Option<(Option<Kind>, &str, &[u8])> {
    let (kind, field) = match field {
        [b'(', digit, b')', rest @ ..] => (Some(kind(*digit)), rest),
        _ => (None, field),
    };
    let equals = field.iter().position(|byte| *byte == b'=')?;
    let (name, value) = field.split_at_checked(equals)?;
    let fits = !name.is_empty() && name.iter().all(u8::is_ascii_graphic);
    let name = std::str::from_utf8(name).ok().filter(|_| fits)?;
    Some((kind, name, value.strip_prefix(b"=")?))
}

fn kind(digit: u8) -> Kind {
    match digit {
        b'0' => Kind::Text,
        b'1' => Kind::Binary,
        b'2' | b'3' => Kind::Other(Reason::Nested),
        b'4' | b'5' => Kind::Other(Reason::Compressed),
        _ => Kind::Other(Reason::Type),
    }
}

fn clean_text(bytes: Vec<u8>) -> Result<String, Reason> {
    String::from_utf8(bytes).ok().filter(|text| !text.contains('\0')).ok_or(Reason::Text)
}
