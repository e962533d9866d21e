//! Options out of words, by the rules of the option library ipvsadm is linked with: long options are never
//! abbreviated, `=` may stand before any value, short ones may be bundled, and other words may stand anywhere.

use crate::options::{Tag, Value, WORDS, Word};

/// One option of the command line.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Found {
    pub(crate) tag: Tag,
    pub(crate) value: Option<String>,
}

/// A word that is no option: what is said about it.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct BadWord {
    pub(crate) text: String,
}

pub(crate) struct Scanner<'a> {
    words: &'a [String],
    next: usize,
    /// What is left of a word of short options.
    bundle: &'a str,
    /// Words that are no options and no values.
    rest: Vec<&'a str>,
    only_rest: bool,
}

impl<'a> Scanner<'a> {
    pub(crate) fn new(words: &'a [String]) -> Scanner<'a> {
        Scanner { words, next: 0, bundle: "", rest: Vec::new(), only_rest: false }
    }

    /// The word that was read last, which error messages show.
    pub(crate) fn last_word(&self) -> &'a str {
        self.next.checked_sub(1).and_then(|at| self.words.get(at)).map_or("", String::as_str)
    }

    /// What is neither option nor value; complete once [`Scanner::next`] has given `None`.
    pub(crate) fn rest(self) -> Vec<&'a str> {
        self.rest
    }

    /// The next option.
    pub(crate) fn next(&mut self) -> Result<Option<Found>, BadWord> {
        loop {
            if let Some(letter) = self.bundle.chars().next() {
                self.bundle = self.bundle.get(letter.len_utf8()..).unwrap_or_default();
                let found =
                    WORDS.iter().find(|word| word.short == Some(letter)).ok_or_else(|| self.bad("unknown option"))?;
                let inline = (!self.bundle.is_empty()).then_some(self.bundle);
                return match found.value {
                    Value::None => Ok(Some(Found { tag: found.tag, value: None })),
                    Value::Needed | Value::Optional => {
                        self.bundle = "";
                        self.with_value(found, inline.map(|text| text.strip_prefix('=').unwrap_or(text)))
                    }
                };
            }
            let Some(word) = self.words.get(self.next).map(String::as_str) else { return Ok(None) };
            self.next += 1;
            if self.only_rest || !word.starts_with('-') || word == "-" {
                self.rest.push(word);
            } else if word == "--" {
                self.only_rest = true;
            } else if let Some(long) = word.strip_prefix("--") {
                return self.long(long);
            } else {
                self.bundle = word.get(1..).unwrap_or_default();
            }
        }
    }

    fn long(&mut self, text: &'a str) -> Result<Option<Found>, BadWord> {
        let (name, inline) = match text.split_once('=') {
            Some((name, value)) => (name, Some(value)),
            None => (text, None),
        };
        let found = WORDS.iter().find(|word| word.long == name).ok_or_else(|| self.bad("unknown option"))?;
        match (found.value, inline) {
            (Value::None, Some(_)) => Err(self.bad("option does not take an argument")),
            (Value::None, None) => Ok(Some(Found { tag: found.tag, value: None })),
            (Value::Needed | Value::Optional, inline) => self.with_value(found, inline),
        }
    }

    fn with_value(&mut self, word: &Word, inline: Option<&str>) -> Result<Option<Found>, BadWord> {
        let value = match (inline, self.words.get(self.next)) {
            (Some(text), _) => Some(text.to_owned()),
            (None, Some(next)) if word.value == Value::Optional && next.starts_with('-') => None,
            (None, Some(next)) => {
                self.next += 1;
                Some(next.clone())
            }
            (None, None) if word.value == Value::Optional => None,
            (None, None) => return Err(self.bad("missing argument")),
        };
        Ok(Some(Found { tag: word.tag, value }))
    }

    fn bad(&self, why: &str) -> BadWord {
        BadWord { text: format!("{}: {why}", self.last_word()) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::options::{Command, Opt};

    fn scan(line: &str) -> (Vec<Found>, Option<String>, Vec<String>) {
        let words: Vec<String> = line.split(' ').map(str::to_owned).collect();
        let mut scanner = Scanner::new(&words);
        let mut found = Vec::new();
        loop {
            match scanner.next() {
                Ok(Some(option)) => found.push(option),
                Ok(None) => return (found, None, scanner.rest().into_iter().map(str::to_owned).collect()),
                Err(bad) => return (found, Some(bad.text), Vec::new()),
            }
        }
    }

    fn value(tag: Tag, value: &str) -> Found {
        Found { tag, value: Some(value.to_owned()) }
    }

    #[test]
    fn values_stand_in_the_word_behind_an_equals_sign_or_in_the_next_word() {
        let add = || Found { tag: Tag::Command(Command::AddService), value: None };
        for line in
            ["-At10.9.0.1:80", "-At=10.9.0.1:80", "-A -t 10.9.0.1:80", "--add-service --tcp-service=10.9.0.1:80"]
        {
            assert_eq!(scan(line).0, [add(), value(Tag::Tcp, "10.9.0.1:80")], "{line}");
        }
        assert_eq!(scan("-w==5").0, [value(Tag::Opt(Opt::Weight), "=5")]);
        assert_eq!(scan("-t --stats").0, [value(Tag::Tcp, "--stats")]);
    }

    #[test]
    fn a_timeout_may_be_missing() {
        let persistent = Tag::Opt(Opt::Persistent);
        assert_eq!(scan("-p").0, [Found { tag: persistent, value: None }]);
        assert_eq!(scan("-p 50").0, [value(persistent, "50")]);
        assert_eq!(scan("-ps").0, [value(persistent, "s")]);
        assert_eq!(scan("-p -1").1.as_deref(), Some("-1: unknown option"));
    }

    #[test]
    fn other_words_are_kept_wherever_they_stand() {
        assert_eq!(scan("a -n b -- -c -").2, ["a", "b", "-c", "-"]);
    }

    #[test]
    fn bad_words_are_named_whole() {
        for (line, text) in [
            ("-nQ", "-nQ: unknown option"),
            ("--num", "--num: unknown option"),
            ("--nosuch=5", "--nosuch=5: unknown option"),
            ("--numeric=1", "--numeric=1: option does not take an argument"),
            ("-At", "-At: missing argument"),
        ] {
            assert_eq!(scan(line).1.as_deref(), Some(text), "{line}");
        }
    }
}
