//! What stands in parentheses.

use super::{Flags, MAX_DEPTH, NEVER, Translator};

impl Translator<'_> {
    /// What follows `(`; `None` for flags for what follows.
    pub(super) fn group(&mut self) -> Result<Option<String>, String> {
        if self.reader.eat("*") {
            return self.verb().map(Some);
        }
        if !self.reader.eat("?") {
            return self.captured(None).map(Some);
        }
        let kinds = [(":", "(?:"), (">", "(?>"), ("=", "(?="), ("!", "(?!"), ("<=", "(?<="), ("<!", "(?<!")];
        for (start, core) in kinds {
            if self.reader.eat(start) {
                return self.enclosed(core).map(Some);
            }
        }
        if self.reader.eat("|") {
            self.seen.resets = true;
            return self.enclosed("(?:").map(Some);
        }
        if self.reader.eat("(") {
            return self.conditional().map(Some);
        }
        self.named_or_flags()
    }

    fn named_or_flags(&mut self) -> Result<Option<String>, String> {
        if self.reader.eat("P=") {
            let name = self.reader.until(b')').ok_or("(?P= without its )")?;
            return self.reference_by_name(&name).map(Some);
        }
        if self.reader.eat("P>") || self.reader.eat("&") || self.reader.eat("R") {
            return Err("recursion into a group is not supported".to_owned());
        }
        self.reader.eat("P");
        match self.reader.peek() {
            Some(b'<' | b'\'') => {
                let name = self.delimited_name()?;
                self.captured(name).map(Some)
            }
            Some(b'{' | b'?') => Err("Perl code in a pattern is not run".to_owned()),
            Some(b'0'..=b'9' | b'+') => Err("recursion into a group is not supported".to_owned()),
            Some(b'-') if self.reader.text.get(self.reader.at + 1).is_some_and(u8::is_ascii_digit) => {
                Err("recursion into a group is not supported".to_owned())
            }
            Some(_) => self.flag_group(),
            None => Err("a ( without its )".to_owned()),
        }
    }

    fn captured(&mut self, name: Option<String>) -> Result<String, String> {
        if name.is_none() && self.flags.no_captures {
            return self.enclosed("(?:");
        }
        self.seen.groups += 1;
        if let Some(name) = name {
            self.seen.names.push((name, self.seen.groups));
        }
        // Only whether there is a match is asked, so a group nobody refers to need not be remembered.
        let referred = self.known.as_ref().is_none_or(|known| known.refers);
        self.enclosed(if referred { "(" } else { "(?:" })
    }

    /// The rest of a group whose core form starts with `core`.
    fn enclosed(&mut self, core: &str) -> Result<String, String> {
        self.depth += 1;
        if self.depth > MAX_DEPTH {
            return Err(format!("groups nested more than {MAX_DEPTH} deep"));
        }
        let behind = usize::from(core.starts_with("(?<"));
        match core {
            "(?>" => self.not_behind("a group that gives nothing back")?,
            "(?=" | "(?!" | "(?<=" | "(?<!" => self.not_behind("look-around")?,
            _ => {}
        }
        self.behind += behind;
        let inside = self.alternatives()?;
        self.behind -= behind;
        self.depth -= 1;
        if !self.reader.eat(")") {
            return Err("a ( without its )".to_owned());
        }
        Ok(format!("{core}{inside})"))
    }

    /// `(?flags)` and `(?flags:...)`, from the first flag on.
    fn flag_group(&mut self) -> Result<Option<String>, String> {
        let mut flags = if self.reader.eat("^") { Flags::default() } else { self.flags };
        let mut on = true;
        loop {
            match self.reader.next() {
                Some(b')') => {
                    self.flags = flags;
                    return Ok(None);
                }
                Some(b':') => {
                    let outer = std::mem::replace(&mut self.flags, flags);
                    let group = self.enclosed("(?:");
                    self.flags = outer;
                    return group.map(Some);
                }
                Some(b'-') if on => on = false,
                Some(b'i') => flags.ignore_case = on,
                Some(b'm') => flags.multi_line = on,
                Some(b's') => flags.single_line = on,
                Some(b'n') => flags.no_captures = on,
                Some(b'x') => {
                    flags.extended = on;
                    flags.extended_brackets = on && self.reader.eat("x");
                }
                // What they ask for is so already: bytes, ASCII classes, a copy of the match.
                Some(b'a' | b'd' | b'p') if on => {}
                Some(byte) => return Err(format!("the flag {} is not supported", char::from(byte).escape_default())),
                None => return Err("a ( without its )".to_owned()),
            }
        }
    }

    /// What follows `(*`.
    fn verb(&mut self) -> Result<String, String> {
        let assertions = [
            ("positive_lookahead:", "(?="),
            ("pla:", "(?="),
            ("negative_lookahead:", "(?!"),
            ("nla:", "(?!"),
            ("positive_lookbehind:", "(?<="),
            ("plb:", "(?<="),
            ("negative_lookbehind:", "(?<!"),
            ("nlb:", "(?<!"),
            ("atomic:", "(?>"),
        ];
        for (start, core) in assertions {
            if self.reader.eat(start) {
                return self.enclosed(core);
            }
        }
        if self.reader.eat("FAIL)") || self.reader.eat("F)") {
            return Ok(NEVER.to_owned());
        }
        Err("verbs such as (*SKIP) are not supported".to_owned())
    }

    /// What follows `(?(`: `(?(1)yes|no)`, `(?(<name>)yes|no)` or `(?(?=test)yes|no)`.
    fn conditional(&mut self) -> Result<String, String> {
        let number = match self.reader.peek() {
            Some(b'?') => return self.conditional_on_look(),
            Some(b'<' | b'\'') => {
                let name = self.delimited_name()?.unwrap_or_default();
                self.reference_by_name(&name)?.trim_matches(|c: char| !c.is_ascii_digit()).to_owned()
            }
            Some(_) | None => {
                let digits = self.reader.while_some(5, |byte| byte.is_ascii_digit());
                self.reference(digits.parse().map_err(|_| ODD_CONDITION)?)?;
                digits
            }
        };
        if !self.reader.eat(")") {
            return Err("a ( without its )".to_owned());
        }
        let (yes, no) = self.yes_and_no()?;
        Ok(format!("(?({number})(?:{yes})|(?:{no}))"))
    }

    fn conditional_on_look(&mut self) -> Result<String, String> {
        self.reader.at += 1;
        let kinds = [("=", "(?=", "(?!"), ("!", "(?!", "(?="), ("<=", "(?<=", "(?<!"), ("<!", "(?<!", "(?<=")];
        let (_, core, opposite) = kinds.into_iter().find(|(start, ..)| self.reader.eat(start)).ok_or(ODD_CONDITION)?;
        let groups = self.seen.groups;
        let looked = self.enclosed(core)?;
        if self.seen.groups > groups && self.known.as_ref().is_some_and(|known| known.refers) {
            return Err("a group that is referred to inside a condition is not supported".to_owned());
        }
        // Written twice, once for each branch.
        let inside = &looked[core.len()..];
        let (yes, no) = self.yes_and_no()?;
        Ok(format!("(?:{looked}(?:{yes})|{opposite}{inside}(?:{no}))"))
    }

    /// The two branches of a conditional and its `)`.
    fn yes_and_no(&mut self) -> Result<(String, String), String> {
        let outer = self.flags;
        self.depth += 1;
        let yes = self.branch()?;
        let no = if self.reader.eat("|") { self.branch()? } else { String::new() };
        self.depth -= 1;
        self.flags = outer;
        match self.reader.next() {
            Some(b')') => Ok((yes, no)),
            Some(_) => Err("a conditional with more than two branches".to_owned()),
            None => Err("a ( without its )".to_owned()),
        }
    }
}

const ODD_CONDITION: &str = "a condition that is neither look-around nor a group";
