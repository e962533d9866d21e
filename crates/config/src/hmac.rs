//! Keys of keyed hashes, as keepalived.conf and the native file both write them.

use crate::host::{Host, shown};
use evenkeel_model::vrrp::HmacKey;
use std::{fmt::Write as _, path::Path};

/// Words of modes and of what tells a repeated advertisement, with their meaning.
pub(crate) mod words {
    use evenkeel_model::vrrp::{AntiReplay, HmacMode};

    pub(crate) const MODES: [(&str, HmacMode); 3] =
        [("enforce", HmacMode::Enforce), ("permissive", HmacMode::Permissive), ("receive-only", HmacMode::ReceiveOnly)];
    pub(crate) const ANTI_REPLAY: [(&str, AntiReplay); 2] =
        [("time", AntiReplay::Time), ("monotonic", AntiReplay::Monotonic)];

    /// What `word` means.
    pub(crate) fn meaning<T: Copy>(words: &[(&str, T)], word: &str) -> Option<T> {
        words.iter().find(|(name, _)| *name == word).map(|(_, value)| *value)
    }

    /// How `value` is written.
    pub(crate) fn name<T: Copy + PartialEq>(words: &[(&'static str, T)], value: T) -> &'static str {
        words.iter().find(|(_, one)| *one == value).map_or("", |(name, _)| name)
    }
}

/// `hex:` and digits, `file:` and a path to such a text, or the key itself. `Err` says what is wrong, without the key.
pub(crate) fn key(text: &str, host: &Host<'_>) -> Result<HmacKey, String> {
    let Some(path) = text.strip_prefix("file:") else { return inline(text) };
    if !path.starts_with('/') {
        return Err(format!("the path of a key file begins with `/`; `{}` does not", shown(path)));
    }
    let bytes = (host.read_file)(Path::new(path)).map_err(|why| format!("key file {}: {why}", shown(path)))?;
    let text = String::from_utf8(bytes).map_err(|_| format!("key file {} is no text", shown(path)))?;
    inline(text.trim_end_matches(['\n', '\r'])).map_err(|why| format!("key file {}: {why}", shown(path)))
}

fn inline(text: &str) -> Result<HmacKey, String> {
    let bytes = match text.strip_prefix("hex:") {
        None => text.as_bytes().to_vec(),
        Some(digits) => {
            let whole = digits.len().is_multiple_of(2) && digits.bytes().all(|digit| digit.is_ascii_hexdigit());
            whole
                .then(|| crate::hex::bytes(digits))
                .flatten()
                .ok_or("`hex:` is followed by pairs of hexadecimal digits")?
        }
    };
    let (length, least, most) = (bytes.len(), HmacKey::LENGTHS.start(), HmacKey::LENGTHS.end());
    HmacKey::new(bytes).ok_or_else(|| format!("the key has {length} bytes; it needs {least} to {most}"))
}

/// The text that [`key`] reads as this.
pub(crate) fn key_text(key: &HmacKey) -> String {
    key.bytes().iter().fold("hex:".to_owned(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}
