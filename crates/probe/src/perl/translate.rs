//! Reads a Perl pattern (perlre, perlrebackslash, perlrecharclass of Perl 5.36) and writes it in the engine's core
//! language.
//!
//! It reads the pattern twice: what `\10` means depends on how many groups follow, and what `\w` means on whether any
//! part of the pattern names Unicode.

use super::{
    escape::{self, Escape, Reader},
    set::{self, Set},
};

/// How deep groups may nest.
const MAX_DEPTH: usize = 100;

/// Perl's own limit of a repetition count.
const MAX_COUNT: u32 = 65_534;

/// A place that matches nothing.
const NEVER: &str = r"(?:\z[\x00-\xFF])";

/// `$`: at the end, or before a newline at the end.
const BEFORE_END: &str = r"(?=\n?\z)";

/// The same where nothing of the pattern follows; the engine decides it without backtracking.
const LAST_BEFORE_END: &str = r"\n?\z";

#[derive(Clone, Copy, Debug, Default)]
struct Flags {
    ignore_case: bool,
    multi_line: bool,
    single_line: bool,
    extended: bool,
    extended_brackets: bool,
    no_captures: bool,
}

/// What the first reading found out for the second.
#[derive(Clone, Debug, Default)]
struct Survey {
    groups: usize,
    names: Vec<(String, usize)>,
    refers: bool,
    resets: bool,
    unicode: bool,
}

struct Translator<'a> {
    reader: Reader<'a>,
    flags: Flags,
    depth: usize,
    /// Look-behinds around the current place.
    behind: usize,
    quoting: bool,
    /// Of the first reading; `None` during it.
    known: Option<Survey>,
    seen: Survey,
}

/// The core form of `pattern`.
pub(super) fn translate(pattern: &[u8]) -> Result<String, String> {
    let mut first = Translator::new(pattern, None);
    first.whole()?;
    if first.seen.refers && first.seen.resets {
        return Err("(?|...) together with references to groups is not supported".to_owned());
    }
    Translator::new(pattern, Some(first.seen)).whole()
}

impl<'a> Translator<'a> {
    fn new(text: &'a [u8], known: Option<Survey>) -> Translator<'a> {
        let unicode = known.as_ref().is_some_and(|known| known.unicode);
        let seen = Survey { unicode, ..Survey::default() };
        let reader = Reader { text, at: 0 };
        Translator { reader, flags: Flags::default(), depth: 0, behind: 0, quoting: false, known, seen }
    }

    fn whole(&mut self) -> Result<String, String> {
        let text = self.alternatives()?;
        match self.reader.peek() {
            None => Ok(text),
            Some(_) => Err("a ) without its (".to_owned()),
        }
    }

    /// Everything up to the end or the `)` of the group; flags set inside end there.
    fn alternatives(&mut self) -> Result<String, String> {
        let outer = self.flags;
        let mut text = self.branch()?;
        while self.reader.eat("|") {
            text.push('|');
            text.push_str(&self.branch()?);
        }
        self.flags = outer;
        Ok(text)
    }

    /// Everything up to the end, the next `|` or the `)` of the group.
    fn branch(&mut self) -> Result<String, String> {
        let mut text = String::new();
        loop {
            self.skip_blanks()?;
            match self.reader.peek() {
                None => return Ok(text),
                Some(b')' | b'|') if !self.quoting => return Ok(text),
                Some(_) => text.push_str(&self.item()?),
            }
        }
    }

    /// An atom with its repetition.
    fn item(&mut self) -> Result<String, String> {
        let Some(atom) = self.atom()? else { return Ok(String::new()) };
        if self.quoting && !self.reader.eat("\\E") {
            return Ok(atom);
        }
        self.quoting = false;
        self.skip_blanks()?;
        let Some((least, most)) = self.repetition()? else { return Ok(atom) };
        let lazy = self.reader.eat("?");
        let possessive = !lazy && self.reader.eat("+");
        self.skip_blanks()?;
        let again = self.repetition_ahead()?;
        if again {
            return Err("a repetition of a repetition, as in a**; put the inner one in (?:...)".to_owned());
        }
        if atom == "(?:)" || atom.is_empty() {
            return Ok(atom);
        }
        if most.is_some_and(|most| most < least) {
            return Ok(NEVER.to_owned());
        }
        let count = match (least, most) {
            (0, None) => "*".to_owned(),
            (1, None) => "+".to_owned(),
            (0, Some(1)) => "?".to_owned(),
            (least, None) => format!("{{{least},}}"),
            (least, Some(most)) if least == most => format!("{{{least}}}"),
            (least, Some(most)) => format!("{{{least},{most}}}"),
        };
        // The engine refuses to repeat what is nothing but look-around; with an alternative that never matches it does.
        let looks = ["(?=", "(?!", "(?<", "(?:(?"].iter().any(|start| atom.starts_with(start));
        let atom = if looks { format!("{atom}|{NEVER}") } else { atom };
        let repeated = format!("(?:{atom}){count}{}", if lazy { "?" } else { "" });
        if !possessive {
            return Ok(repeated);
        }
        self.not_behind("a repetition that gives nothing back")?;
        Ok(format!("(?>{repeated})"))
    }

    fn repetition_ahead(&mut self) -> Result<bool, String> {
        let before = self.reader.at;
        let found = self.repetition()?.is_some();
        self.reader.at = before;
        Ok(found)
    }

    /// A repetition with its bounds, if one stands here; else nothing is consumed.
    fn repetition(&mut self) -> Result<Option<(u32, Option<u32>)>, String> {
        let bounds = match self.reader.peek() {
            Some(b'*') => (0, None),
            Some(b'+') => (1, None),
            Some(b'?') => (0, Some(1)),
            Some(b'{') => return self.braces(),
            Some(_) | None => return Ok(None),
        };
        self.reader.at += 1;
        Ok(Some(bounds))
    }

    /// `{n}`, `{n,}`, `{n,m}`, `{,m}`, blanks allowed; any other brace is itself.
    fn braces(&mut self) -> Result<Option<(u32, Option<u32>)>, String> {
        let mut ahead = self.reader.clone();
        ahead.at += 1;
        let Some(inside) = ahead.until(b'}') else { return Ok(None) };
        let number = |text: &str| -> Option<String> {
            let text = text.trim_matches([' ', '\t']);
            text.bytes().all(|byte| byte.is_ascii_digit()).then(|| text.to_owned())
        };
        let (low, high) = match inside.split_once(',') {
            None => (number(&inside), number(&inside)),
            Some((low, high)) => (number(low), number(high)),
        };
        let (Some(low), Some(high)) = (low, high) else { return Ok(None) };
        if low.is_empty() && high.is_empty() {
            return Ok(None);
        }
        let count = |text: &str| match text.parse::<u32>() {
            Ok(count) if count <= MAX_COUNT => Ok(count),
            Ok(_) | Err(_) => Err(format!("a repetition count above {MAX_COUNT}")),
        };
        self.reader.at = ahead.at;
        let least = if low.is_empty() { 0 } else { count(&low)? };
        let most = if high.is_empty() { None } else { Some(count(&high)?) };
        Ok(Some((least, most)))
    }

    /// One atom; `None` for what stands for nothing (flags, comments, quoting).
    fn atom(&mut self) -> Result<Option<String>, String> {
        if self.quoting {
            return Ok(self.quoted());
        }
        let Some(byte) = self.reader.next() else { return Ok(None) };
        Ok(Some(match byte {
            b'\\' => return self.backslash(),
            b'[' => self.brackets()?,
            b'(' => return self.group(),
            b'.' if self.flags.single_line => Set::EMPTY.negated().class(),
            b'.' => Set::single(b'\n').negated().class(),
            b'^' if self.flags.multi_line => self.looking(r"(?:\A|(?<=\n)(?!\z))")?,
            b'^' => r"\A".to_owned(),
            b'$' if self.flags.multi_line => self.looking(r"(?=\n|\z)")?,
            b'$' => self.before_end()?,
            b'*' | b'+' | b'?' => return Err(format!("a {} with nothing before it to repeat", char::from(byte))),
            _ => self.literal(byte),
        }))
    }

    fn before_end(&self) -> Result<String, String> {
        let last = self.depth == 0 && matches!(self.reader.peek(), None | Some(b'|'));
        if last { Ok(LAST_BEFORE_END.to_owned()) } else { self.looking(BEFORE_END) }
    }

    /// An anchor that is written as look-around.
    fn looking(&self, core: &str) -> Result<String, String> {
        self.not_behind("an anchor such as $ or \\b")?;
        Ok(core.to_owned())
    }

    fn literal(&self, byte: u8) -> String {
        let set = self.cased(Set::single(byte));
        if set == Set::single(byte) && byte.is_ascii_alphanumeric() {
            char::from(byte).to_string()
        } else {
            set.class()
        }
    }

    fn cased(&self, set: Set) -> Set {
        if self.flags.ignore_case { set.folded(self.seen.unicode) } else { set }
    }

    fn quoted(&mut self) -> Option<String> {
        if self.reader.eat("\\E") {
            self.quoting = false;
            return None;
        }
        self.reader.next().map(|byte| self.literal(byte))
    }

    fn backslash(&mut self) -> Result<Option<String>, String> {
        let Some(letter) = self.reader.next() else { return Err("a \\ at the end".to_owned()) };
        let word = set::word(self.seen.unicode).class();
        Ok(Some(match letter {
            b'Q' => {
                self.quoting = true;
                return Ok(None);
            }
            // Nothing but where a match starts changes, and only whether there is one is asked.
            b'K' => return Ok(None),
            b'A' | b'G' => r"\A".to_owned(),
            b'z' => r"\z".to_owned(),
            b'Z' => self.before_end()?,
            b'b' | b'B' if self.reader.peek() == Some(b'{') => {
                return Err("\\b{...} is not supported".to_owned());
            }
            b'b' => self.looking(&format!("(?:(?<={word})(?!{word})|(?<!{word})(?={word}))"))?,
            b'B' => self.looking(&format!("(?:(?<={word})(?={word})|(?<!{word})(?!{word}))"))?,
            b'R' if self.behind > 0 => r"(?:\r\n|[\x0A-\x0D\x85])".to_owned(),
            b'R' => r"(?>\r\n|[\x0A-\x0D\x85])".to_owned(),
            b'X' => r"(?>\r\n|[\x00-\xFF])".to_owned(),
            b'N' if !self.reader.text[self.reader.at..].starts_with(b"{U+") => self.not_newline()?,
            b'0' => {
                self.reader.at -= 1;
                let escape = escape::octal(&mut self.reader, &mut self.seen.unicode)?;
                self.escaped(escape)
            }
            b'1'..=b'9' => self.digits()?,
            b'g' => self.numbered_reference()?,
            b'k' => {
                let name = self.delimited_name()?.ok_or("\\k without a name")?;
                self.reference_by_name(&name)?
            }
            _ => match escape::read(letter, &mut self.reader, &mut self.seen.unicode)? {
                Some(escape) => self.escaped(escape),
                None => self.literal(letter),
            },
        }))
    }

    /// `\N`, unless its brace holds a name and not a count.
    fn not_newline(&mut self) -> Result<String, String> {
        if self.reader.peek() == Some(b'{') && !self.repetition_ahead()? {
            return Err("characters by name, \\N{...}, are not supported; write \\x{...}".to_owned());
        }
        Ok(Set::single(b'\n').negated().class())
    }

    fn escaped(&self, escape: Escape) -> String {
        let set = match escape {
            Escape::Character(code) => match u8::try_from(code) {
                Ok(byte) => return self.literal(byte),
                Err(_) => return NEVER.to_owned(),
            },
            Escape::Set(set) => self.cased(set),
        };
        if set.is_empty() { NEVER.to_owned() } else { set.class() }
    }

    /// Skips comments, and blanks where the flag x allows them.
    fn skip_blanks(&mut self) -> Result<(), String> {
        if self.quoting {
            return Ok(());
        }
        while let Some(byte) = self.reader.peek() {
            match byte {
                b' ' | b'\t'..=b'\r' if self.flags.extended => self.reader.at += 1,
                b'#' if self.flags.extended => {
                    if self.reader.until(b'\n').is_none() {
                        self.reader.at = self.reader.text.len();
                    }
                }
                b'(' if self.reader.eat("(?#") => {
                    self.reader.until(b')').ok_or("a comment (?# without its )")?;
                }
                _ => break,
            }
        }
        Ok(())
    }
}

mod brackets;
mod group;
mod reference;
