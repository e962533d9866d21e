//! `include` and its five relatives: which files a line brings in, and what is said about those that are not there.

use super::reader::{Line, Reader};
use crate::{codes, host::shown, ldirectord::blank::is_blank, load::latin_1};
use evenkeel_source::{Diagnostic, FileId, Span};
use std::path::{Component, Path, PathBuf};

/// Files one line brings in.
const MOST_MATCHES: usize = 1000;

/// Alternatives a pattern with braces has.
const MOST_ALTERNATIVES: usize = 256;

/// Which of the things that can be wrong with an include are errors.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Strictness {
    readable: bool,
    matching: bool,
    wildcard: bool,
    brace: bool,
}

const ALL: Strictness = Strictness { readable: true, matching: true, wildcard: true, brace: true };

impl Strictness {
    fn of(word: &str) -> Option<Strictness> {
        let none = Strictness::default();
        let readable = Strictness { readable: true, ..none };
        Some(match word {
            "include" => none,
            "includer" => readable,
            "includem" => Strictness { matching: true, ..readable },
            "includew" => Strictness { wildcard: true, matching: true, ..readable },
            "includeb" => Strictness { brace: true, ..readable },
            "includea" => ALL,
            _ => return None,
        })
    }

    fn and(self, other: Strictness) -> Strictness {
        Strictness {
            readable: self.readable || other.readable,
            matching: self.matching || other.matching,
            wildcard: self.wildcard || other.wildcard,
            brace: self.brace || other.brace,
        }
    }

    /// `include_check` with its words; `Err` is the first that is none.
    fn told<'a>(self, words: &[&'a str]) -> Result<Strictness, &'a str> {
        let mut now = if words.is_empty() { ALL } else { self };
        let mut absolute = true;
        for word in words {
            let (on, name) = match word.split_at_checked(1) {
                Some(("+", name)) => (true, name),
                Some(("-", name)) => (false, name),
                Some(_) | None => {
                    // Words without a sign replace what was set before.
                    if absolute {
                        (now, absolute) = (Strictness::default(), false);
                    }
                    (true, *word)
                }
            };
            match name {
                "readable" => now.readable = on,
                "match" => now.matching = on,
                "wildcard_match" => now.wildcard = on,
                "brace_match" => now.brace = on,
                _ => return Err(word),
            }
        }
        Ok(now)
    }
}

fn first_word(text: &str) -> (&str, &str) {
    let end = text.find(is_blank).unwrap_or(text.len());
    (text.get(..end).unwrap_or(""), text.get(end..).unwrap_or("").trim_matches(is_blank))
}

/// Whether the line is one of these.
pub(crate) fn is_include(text: &str) -> bool {
    let (word, _) = first_word(text);
    word == "include_check" || Strictness::of(word).is_some()
}

impl Reader<'_> {
    pub(super) fn include(&mut self, line: &Line) {
        let (word, rest) = first_word(&line.text);
        let span = line.place.span(0, line.text.len());
        let Some(own) = Strictness::of(word) else {
            let words: Vec<&str> = rest.split(is_blank).filter(|word| !word.is_empty()).collect();
            match self.strictness.told(&words) {
                Ok(strictness) => self.strictness = strictness,
                Err(wrong) => {
                    let message = format!("include_check has no `{}`", shown(wrong));
                    let d = Diagnostic::warning(codes::VALUE, span, message);
                    self.out.push(d.help("readable, match, wildcard_match and brace_match, with + or - before them"));
                }
            }
            return;
        };
        let strict = self.strictness.and(own);
        let pattern = super::word::unquoted(rest);
        if pattern.is_empty() {
            self.out.push(Diagnostic::warning(codes::INCLUDE, span, format!("`{word}` names no file")));
            return;
        }
        let alternatives = alternatives(&pattern);
        let is_brace = alternatives.len() > 1;
        let is_wildcard = pattern.contains(['*', '?', '[']);
        let mut found = 0;
        for alternative in &alternatives {
            let paths = self.matches(alternative);
            if paths.is_empty() && is_brace && strict.brace {
                let message = format!("no file matches `{}`", shown(alternative));
                self.out.push(Diagnostic::error(codes::INCLUDE, span, message));
            }
            for path in paths {
                found += usize::from(self.open_one(&path, span, strict.readable));
            }
        }
        if found == 0 && is_wildcard {
            let message = format!("no file matches `{}`", shown(&pattern));
            self.out.push(match strict.wildcard {
                true => Diagnostic::error(codes::INCLUDE, span, message),
                false => Diagnostic::note_at(codes::INCLUDE, span, message),
            });
        } else if found == 0 && strict.matching && !strict.readable {
            let message = format!("no file matches `{}`", shown(&pattern));
            self.out.push(Diagnostic::error(codes::INCLUDE, span, message));
        }
    }

    /// Reads one file; `false` when it cannot be read.
    fn open_one(&mut self, path: &Path, span: Span, strict: bool) -> bool {
        let path = plain_path(path);
        let bytes = match (self.host.read_file)(&path) {
            Ok(bytes) => bytes,
            Err(why) => {
                let message = format!("cannot include {}: {why}", shown(&path.to_string_lossy()));
                self.out.push(if strict {
                    Diagnostic::error(codes::INCLUDE, span, message)
                } else {
                    Diagnostic::warning(codes::INCLUDE, span, message).note("keepalived goes on without it")
                });
                return false;
            }
        };
        if !self.may_open(&path, span) {
            return true;
        }
        let Some(file) = self.add(&path, bytes, span) else { return true };
        self.open.push(path);
        self.file(file);
        self.open.pop();
        true
    }

    fn add(&mut self, path: &Path, bytes: Vec<u8>, span: Span) -> Option<FileId> {
        let problem = if bytes.len() > crate::LARGEST_FILE {
            Some("is too large")
        } else if bytes.contains(&0) {
            Some("holds a NUL byte and is no text")
        } else {
            None
        };
        if let Some(problem) = problem {
            let message = format!("{} {problem}", shown(&path.to_string_lossy()));
            self.out.push(Diagnostic::error(codes::INCLUDE, span, message));
            return None;
        }
        let text = String::from_utf8(bytes).unwrap_or_else(|error| {
            let message = format!("{} is not UTF-8 and is read as Latin-1", shown(&path.to_string_lossy()));
            self.out.push(Diagnostic::warning(codes::ENCODING, span, message).help("save it as UTF-8"));
            latin_1(error.as_bytes())
        });
        Some(self.sources.add(path, text))
    }

    /// The files a pattern stands for, sorted; without a wildcard the file itself, whether it is there or not.
    fn matches(&self, pattern: &str) -> Vec<PathBuf> {
        let directory = self.open.last().and_then(|file| file.parent()).unwrap_or(Path::new(""));
        let whole = directory.join(pattern);
        if !pattern.contains(['*', '?', '[']) {
            return vec![whole];
        }
        let mut found = vec![PathBuf::new()];
        for component in whole.components() {
            let text = component.as_os_str().to_string_lossy();
            let is_pattern = matches!(component, Component::Normal(_)) && text.contains(['*', '?', '[']);
            let step = |base: PathBuf| -> Vec<PathBuf> {
                if !is_pattern {
                    return vec![base.join(component)];
                }
                let listed = if base.as_os_str().is_empty() { Path::new(".") } else { base.as_path() };
                let mut names = (self.host.list_directory)(listed);
                names.retain(|name| matches_name(text.as_bytes(), name.as_bytes()));
                names.sort();
                names.truncate(MOST_MATCHES);
                names.into_iter().map(|name| base.join(name)).collect()
            };
            found = found.into_iter().flat_map(step).take(MOST_MATCHES).collect();
        }
        found
    }
}

/// Without `.` and, where that cannot lead elsewhere, without `..`: the same file under one name.
fn plain_path(path: &Path) -> PathBuf {
    path.components().filter(|component| !matches!(component, Component::CurDir)).collect()
}

/// `a{b,c}d` as `abd` and `acd`, nested too.
fn alternatives(pattern: &str) -> Vec<String> {
    let mut done = Vec::new();
    let mut open = vec![pattern.to_owned()];
    while let Some(text) = open.pop() {
        match first_brace(&text) {
            Some((start, parts, end)) if done.len() + open.len() < MOST_ALTERNATIVES => {
                let (before, after) = (text.get(..start).unwrap_or(""), text.get(end..).unwrap_or(""));
                open.extend(parts.into_iter().rev().map(|part| format!("{before}{part}{after}")));
            }
            Some(_) | None => done.push(text),
        }
    }
    done.truncate(MOST_ALTERNATIVES);
    done
}

/// The first `{...,...}`: where it begins, its parts, where it ends.
fn first_brace(text: &str) -> Option<(usize, Vec<&str>, usize)> {
    let start = text.find('{')?;
    let (mut depth, mut from, mut parts) = (0, start + 1, Vec::new());
    for (at, c) in text.get(start..)?.char_indices().map(|(at, c)| (start + at, c)) {
        match c {
            '{' => depth += 1,
            ',' if depth == 1 => {
                parts.push(text.get(from..at)?);
                from = at + 1;
            }
            '}' => depth -= 1,
            _ => {}
        }
        if depth == 0 {
            parts.push(text.get(from..at)?);
            return Some((start, parts, at + 1));
        }
    }
    None
}

/// glob(7) without classes of locales: `*`, `?`, `[a-z]`, `[!x]`. Names that begin with a dot need one in the pattern.
fn matches_name(pattern: &[u8], name: &[u8]) -> bool {
    if name.first() == Some(&b'.') && pattern.first() != Some(&b'.') {
        return false;
    }
    // Where the last `*` stood, and how much of the name it took so far.
    let (mut p, mut n, mut star) = (0, 0, None);
    while n < name.len() {
        let here = name.get(n).copied().unwrap_or(0);
        match pattern.get(p) {
            Some(b'*') => {
                star = Some((p, n));
                p += 1;
                continue;
            }
            Some(b'?') => {
                (p, n) = (p + 1, n + 1);
                continue;
            }
            Some(b'[') => {
                if let Some((fits, length)) = class(pattern.get(p..).unwrap_or(&[]), here) {
                    if fits {
                        (p, n) = (p + length, n + 1);
                        continue;
                    }
                } else if here == b'[' {
                    (p, n) = (p + 1, n + 1);
                    continue;
                }
            }
            Some(c) if *c == here => {
                (p, n) = (p + 1, n + 1);
                continue;
            }
            Some(_) | None => {}
        }
        let Some((at, taken)) = star else { return false };
        star = Some((at, taken + 1));
        (p, n) = (at + 1, taken + 1);
    }
    pattern.get(p..).is_some_and(|rest| rest.iter().all(|c| *c == b'*'))
}

/// Whether `c` is in the class a pattern begins with, and the length of that.
fn class(pattern: &[u8], c: u8) -> Option<(bool, usize)> {
    let negative = matches!(pattern.get(1), Some(b'!' | b'^'));
    let first = if negative { 2 } else { 1 };
    let close = first + 1 + pattern.get(first + 1..)?.iter().position(|b| *b == b']')?;
    let members = pattern.get(first..close)?;
    let mut fits = false;
    let mut at = 0;
    while let Some(low) = members.get(at) {
        match (members.get(at + 1), members.get(at + 2)) {
            (Some(b'-'), Some(high)) => {
                fits |= (*low..=*high).contains(&c);
                at += 3;
            }
            _ => {
                fits |= *low == c;
                at += 1;
            }
        }
    }
    Some((fits != negative, close + 1))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_match_as_a_shell_has_them() {
        let fits = |pattern: &str, name: &str| matches_name(pattern.as_bytes(), name.as_bytes());
        assert!(fits("*.conf", "a.conf") && fits("a*b*c", "axxbyyc") && fits("[a-c]?", "b1") && fits("[!a]", "b"));
        assert!(!fits("*.conf", ".a.conf") && !fits("*", ".x") && !fits("[a-c]", "d") && !fits("a", "ab"));
        assert!(fits(".*", ".x") && fits("*", "") && fits("[", "["));
        assert!(!fits(&"*a".repeat(50), &"a".repeat(40)));
    }

    #[test]
    fn braces_are_alternatives() {
        assert_eq!(alternatives("{foo/{,cat,dog},bar}"), ["foo/", "foo/cat", "foo/dog", "bar"]);
        assert_eq!(alternatives("{open"), ["{open"]);
        assert!(alternatives(&"{a,b}".repeat(20)).len() <= MOST_ALTERNATIVES);
    }

    #[test]
    fn include_check_adds_removes_and_replaces() {
        let none = Strictness::default();
        assert_eq!(none.told(&[]), Ok(ALL));
        assert_eq!(ALL.told(&["-wildcard_match"]), Ok(Strictness { wildcard: false, ..ALL }));
        assert_eq!(ALL.told(&["readable"]), Ok(Strictness { readable: true, ..none }));
        assert_eq!(none.told(&["+mtach"]), Err("+mtach"));
    }
}
