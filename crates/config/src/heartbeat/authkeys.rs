//! authkeys: the keys that messages are signed with. Its text is shown to nobody: diagnostics point into a copy in which
//! the secrets are stars.

use super::words::{placed, split, within};
use crate::{
    codes,
    host::{Host, shown},
    ldirectord::blank::{is_blank, is_odd},
    nearest::nearest,
};
use evenkeel_model::heartbeat::{Key, Keys, Method, SLOTS};
use evenkeel_source::{Diagnostic, FileId, Span, Spanned};
use std::{collections::BTreeMap, path::Path};

/// What heartbeat does with a file it cannot use.
const REFUSED: &str = "heartbeat refuses to start, with exit status 6";

const METHODS: [Method; 4] = [Method::Crc, Method::Md5, Method::Sha1, Method::Sha256];

/// A key shorter than this can be guessed by who hears a message.
const SHORT: usize = 16;

/// Digests of nothing: what `openssl md5` and `sha1sum` print when their input was empty.
const OF_NOTHING: [&str; 2] = ["d41d8cd98f00b204e9800998ecf8427e", "da39a3ee5e6b4b0d3255bfef95601890afd80709"];

/// The text with stars for secrets, each as long as what it stands for.
pub(crate) fn masked(text: &str) -> String {
    let mut masked = String::with_capacity(text.len());
    for line in text.split_inclusive('\n') {
        let secret = secret_at(line).unwrap_or(line.len());
        let (open, secret) = line.split_at_checked(secret).unwrap_or((line, ""));
        masked.push_str(open);
        for c in secret.chars() {
            if c.is_ascii_whitespace() {
                masked.push(c);
            } else {
                masked.extend(std::iter::repeat_n('*', c.len_utf8()));
            }
        }
    }
    masked
}

/// Where the key may begin: with the third word of a line, or before where something is missing.
fn secret_at(line: &str) -> Option<usize> {
    if line.trim_start_matches(is_blank).starts_with('#') {
        return None;
    }
    let mut at = 0;
    for place in 0..2 {
        at += line.get(at..)?.find(|c| !is_blank(c))?;
        let rest = line.get(at..)?.trim_end_matches(['\n', '\r']);
        let word = rest.split(is_blank).next()?;
        let is_number = word.len() <= 3 && word.bytes().all(|b| b.is_ascii_digit());
        let open = is_number || is_like_method(word) || place == 0 && word == "auth";
        if !open {
            return Some(at);
        }
        at += word.len();
    }
    Some(at + line.get(at..)?.find(|c| !is_blank(c))?)
}

/// Methods that heartbeat has not.
const OTHERS: [&str; 8] = ["sha", "sha2", "sha224", "sha384", "sha512", "hmac", "hmac-md5", "none"];

/// Whether a word is meant for a method, so that it may be shown.
fn is_like_method(word: &str) -> bool {
    let lower = word.to_ascii_lowercase();
    OTHERS.contains(&lower.as_str()) || nearest(&lower, METHODS.map(Method::name)).is_some()
}

/// What the host says about the file itself.
pub(crate) fn report_mode(path: &Path, file: FileId, host: &Host<'_>, out: &mut Vec<Diagnostic>) {
    const READABLE: u32 = 0o044;
    const WRITABLE: u32 = 0o022;
    let Some(mode) = (host.file_mode)(path) else { return };
    let fix = format!("chmod 600 {}", path.display());
    if mode & READABLE == 0 && mode & WRITABLE != 0 {
        let message = format!("others can change the keys: the mode of the file is {:04o}", mode & 0o7777);
        let d = Diagnostic::warning(codes::WEAK_KEY, Span::new(file, 0, 0), message);
        out.push(d.note("heartbeat does not look; who writes his own key can take every resource").help(fix));
        return;
    }
    if mode & READABLE == 0 {
        return;
    }
    let message = format!("others can read the keys: the mode of the file is {:04o}", mode & 0o7777);
    let d = Diagnostic::error(codes::KEYS_MODE, Span::new(file, 0, 0), message);
    let d = d.note("heartbeat refuses to start: Bad permissions on keyfile, 600 recommended");
    out.push(d.help(fix));
}

/// One line of a key.
struct Slot {
    number: u8,
    key: Key,
    place: Span,
}

/// Reads the keys. `text` is the true one, `latin_1` when each of its characters was a byte.
pub(crate) fn read(text: &str, latin_1: bool, file: FileId, out: &mut Vec<Diagnostic>) -> Option<Keys> {
    let errors = out.len();
    let mut sending: Option<Spanned<u8>> = None;
    let mut slots: Vec<Slot> = Vec::new();
    let mut odd: Option<Span> = None;
    let mut broken = false;
    let mut start = 0;
    for line in text.split_inclusive('\n') {
        let whole = line.trim_end_matches(['\n', '\r']);
        let words = split(placed(file, start, whole), is_blank);
        if whole.contains(is_odd) && odd.is_none() && !whole.starts_with('#') {
            odd = Some(Span::new(file, start, start));
        }
        match words.as_slice() {
            [] => {}
            [first, ..] if first.value.starts_with('#') => {}
            [first, rest @ ..] if first.value == "auth" => match auth(*first, rest, out) {
                Some(number) => {
                    told_order(number, &slots, out);
                    if let Some(before) = sending.replace(number) {
                        let d = Diagnostic::warning(codes::REPEATED, number.span, "`auth` is there twice");
                        out.push(
                            d.label(before.span, "first here")
                                .note("the last one counts")
                                .help("delete one of the two"),
                        );
                    }
                }
                None => broken = true,
            },
            words => match slot(words, latin_1, out) {
                Some(slot) => slots.push(slot),
                None => broken = true,
            },
        }
        start += line.len();
    }
    if let Some(place) = odd {
        let d = Diagnostic::warning(codes::ODD_BLANKS, place, "the keys have blanks that are no ASCII blanks");
        out.push(
            d.note("heartbeat takes them for part of the word beside them; they are read as blanks")
                .help("write the line anew"),
        );
    }
    let keys = keys(sending, &slots, file, broken, out);
    keys.filter(|_| !out.iter().skip(errors).any(|d| d.severity == evenkeel_source::Severity::Error))
}

fn keys(
    sending: Option<Spanned<u8>>,
    slots: &[Slot],
    file: FileId,
    broken: bool,
    out: &mut Vec<Diagnostic>,
) -> Option<Keys> {
    let mut known: BTreeMap<u8, (Key, Span)> = BTreeMap::new();
    for slot in slots {
        if let Some((_, first)) = known.insert(slot.number, (slot.key.clone(), slot.place)) {
            let d = Diagnostic::warning(codes::REPEATED, slot.place, format!("key {} is there twice", slot.number));
            let d = d.label(first, "first here").note("the last one counts, for heartbeat too");
            out.push(d.help("delete one of the two, or give it another number"));
        }
    }
    let Some(sending) = sending else {
        if !broken {
            let d = Diagnostic::error(codes::KEYS, Span::new(file, 0, 0), "no line says which key signs").note(REFUSED);
            let number = known.keys().next().copied().unwrap_or(1);
            out.push(d.help(format!("write `auth {number}` as the first line")));
        }
        return None;
    };
    let slots = known.into_iter().map(|(number, (key, _))| (number, key)).collect();
    let keys = Keys::new(sending.value, slots);
    if keys.is_none() && !broken {
        let d = Diagnostic::error(codes::KEYS, sending.span, format!("there is no key {}", sending.value));
        let d = d.note(format!("heartbeat refuses to start: Auth Key [{}] not found", sending.value));
        out.push(d.help(format!("write `{} sha1 KEY` below, with a long random KEY", sending.value)));
    }
    keys
}

/// `auth N`
fn auth(word: Spanned<&str>, rest: &[Spanned<&str>], out: &mut Vec<Diagnostic>) -> Option<Spanned<u8>> {
    let Some(number) = rest.first().filter(|word| METHODS.iter().all(|method| method.name() != word.value)) else {
        let d = Diagnostic::error(codes::KEYS, word.span, "`auth` names no key").note(REFUSED);
        out.push(d.help("write the number of a key behind it: auth 1, and 1 sha1 KEY below"));
        return None;
    };
    if let Some(more) = rest.get(1) {
        let d = Diagnostic::warning(codes::REMARK, more.span, "a remark behind `auth`");
        out.push(d.note("heartbeat ignores it here; a comment stands on a line of its own"));
    }
    slot_number(*number, out)
}

fn slot_number(word: Spanned<&str>, out: &mut Vec<Diagnostic>) -> Option<Spanned<u8>> {
    let digits = word.value.len() <= 3 && word.value.bytes().all(|b| b.is_ascii_digit());
    let number = word.value.parse::<u8>().ok().filter(|n| digits && SLOTS.contains(n));
    if number.is_none() {
        let message = "a key has a number from 0 to 15";
        let d = Diagnostic::error(codes::KEYS, word.span, message).labelled("is none").note(REFUSED);
        out.push(d.help("write `auth 1`, and `1 sha1 KEY` below it"));
    }
    number.map(|number| Spanned::new(number, word.span))
}

/// Heartbeat reads `auth` with keys it does not know yet.
fn told_order(number: Spanned<u8>, slots: &[Slot], out: &mut Vec<Diagnostic>) {
    let Some(slot) = slots.iter().find(|slot| slot.number == number.value) else { return };
    let d = Diagnostic::warning(codes::KEYS, number.span, "`auth` stands below the key it names")
        .label(slot.place, "the key");
    let d = d.note(format!("heartbeat refuses to start: Auth Key [{}] not found", number.value));
    out.push(d.help("make it the first line"));
}

/// `N method [key]`
fn slot(words: &[Spanned<&str>], latin_1: bool, out: &mut Vec<Diagnostic>) -> Option<Slot> {
    let [number, rest @ ..] = words else { return None };
    if METHODS.iter().any(|method| method.name() == number.value.to_ascii_lowercase()) {
        let d = Diagnostic::error(codes::KEYS, number.span, "the key has no number").note(REFUSED);
        out.push(d.suggest("begin with the number that `auth` names", within(number.span, 0, 0), "1 "));
        return None;
    }
    let read = slot_number(*number, out)?;
    let [method, rest @ ..] = rest else {
        let d = Diagnostic::error(codes::KEYS, number.span, "the line has no method").note(REFUSED);
        out.push(d.help("write `1 sha1 KEY`"));
        return None;
    };
    let place = number.span.to(method.span);
    let method = self::method(*method, out)?;
    let secret = rest.first();
    if let (Method::Crc, Some(secret)) = (method, secret) {
        let d = Diagnostic::error(codes::KEYS, secret.span, "crc takes no key").note(REFUSED);
        out.push(d.help("leave the key out; better, write sha1"));
        return None;
    }
    if method != Method::Crc && secret.is_none() {
        let d = Diagnostic::error(codes::KEYS, place, format!("{method} needs a key")).note(REFUSED);
        out.push(d.help(format!("write `{} {method} KEY` with a long random KEY", number.value)));
        return None;
    }
    let token = secret.map_or("", |word| word.value);
    if let (Some(secret), Some(more)) = (secret, rest.get(1)) {
        let d = Diagnostic::warning(codes::KEYS, more.span, "what stands behind the key is ignored");
        let d = d.label(secret.span, "the key ends here").note("heartbeat takes the first word for the key, too");
        out.push(d.help("write a key without blanks, and remarks on lines of their own"));
    }
    weak(method, token, secret.map_or(place, |word| word.span), out);
    let secret = if latin_1 {
        token.chars().map(|c| u8::try_from(c).unwrap_or(b'?')).collect()
    } else {
        token.as_bytes().to_vec()
    };
    Some(Slot { number: read.value, key: Key { method, secret }, place })
}

fn method(word: Spanned<&str>, out: &mut Vec<Diagnostic>) -> Option<Method> {
    let lower = word.value.to_ascii_lowercase();
    let Some(method) = METHODS.into_iter().find(|method| method.name() == lower) else {
        if !is_like_method(word.value) {
            let d = Diagnostic::error(codes::KEYS, word.span, "there is no method before the key").note(REFUSED);
            out.push(d.suggest("say how it signs", within(word.span, 0, 0), "sha1 "));
            return None;
        }
        let message = format!("`{}` is no method", shown(word.value));
        let d = Diagnostic::error(codes::KEYS, word.span, message).note(REFUSED);
        let meant = nearest(&lower, METHODS.map(Method::name)).filter(|_| !OTHERS.contains(&lower.as_str()));
        out.push(match meant {
            Some(meant) => d.suggest(format!("did you mean `{meant}`?"), word.span, meant),
            None => d.help("write sha1, md5 or crc; sha256 where no heartbeat is left"),
        });
        return None;
    };
    if lower != word.value {
        let d = Diagnostic::warning(codes::CASE, word.span, format!("`{}` is read as `{method}`", word.value));
        out.push(d.note(REFUSED).help(format!("write {method}")));
    }
    Some(method)
}

/// Keys that keep nobody out.
pub(crate) fn weak(method: Method, secret: &str, place: Span, out: &mut Vec<Diagnostic>) {
    let (message, note) = if method == Method::Crc {
        ("crc keeps nobody out: who reaches the heartbeat port takes part", "it is a checksum; there is no key")
    } else if OF_NOTHING.contains(&secret) {
        ("the key is the digest of nothing, and known to all", "the command that was to make it had no input")
    } else if secret.chars().count() < SHORT {
        (
            "the key is short enough to be guessed by who hears a message",
            "messages are not secret, and each can be tried against",
        )
    } else if !secret.is_ascii() {
        (
            "the key holds characters that are no ASCII: is a remark glued to it?",
            "all up to the next blank is the key, for heartbeat too",
        )
    } else {
        return;
    };
    let d = Diagnostic::warning(codes::WEAK_KEY, place, message).note(note);
    out.push(d.help("`openssl rand -hex 32` makes a good one; all nodes need the same"));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_are_stars_of_the_same_length() {
        let text = "# 1 sha1 shown\nauth 2\n\t2 sha1 ké\u{a0}y more\r\n3 crc\n4 md5";
        let masked = masked(text);
        assert_eq!(masked, "# 1 sha1 shown\nauth 2\n\t2 sha1 ****** ****\r\n3 crc\n4 md5");
        assert_eq!(masked.len(), text.len());
    }

    #[test]
    fn a_key_is_not_shown_where_something_is_missing_before_it() {
        for (text, shown) in [
            ("kfhslk", "******"),
            ("1 kfhslk", "1 ******"),
            ("sha1 kfhslk", "sha1 ******"),
            ("auth kfhslk", "auth ******"),
            ("12345 sha1 kfhslk", "***** **** ******"),
            ("1 sha-1 kfhslk", "1 sha-1 ******"),
            ("1 SHA512 kfhslk\n", "1 SHA512 ******\n"),
        ] {
            assert_eq!(masked(text), shown);
        }
    }
}
