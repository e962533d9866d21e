//! References to groups, by number and by name.

use super::Translator;
use crate::perl::escape;

impl Translator<'_> {
    /// `\1` to `\9` are references; `\10` and up only with as many groups, else octal.
    pub(super) fn digits(&mut self) -> Result<String, String> {
        self.reader.at -= 1;
        let start = self.reader.at;
        let digits = self.reader.while_some(usize::MAX, |byte| byte.is_ascii_digit());
        let number = digits.parse::<usize>().unwrap_or(usize::MAX);
        let groups = self.known.as_ref().map_or(usize::MAX, |known| known.groups);
        if number <= 9 || number <= groups && self.known.is_some() {
            return self.reference(number);
        }
        self.reader.at = start;
        if matches!(self.reader.peek(), Some(b'8' | b'9')) {
            return Err(format!("\\{digits} refers to a group that does not exist"));
        }
        // The first reading does not know yet; should there be that many groups, the second must keep them.
        self.seen.refers |= self.known.is_none();
        let escape = escape::octal(&mut self.reader, &mut self.seen.unicode)?;
        Ok(self.escaped(escape))
    }

    /// What follows `\g`: a number, perhaps relative, or a name, perhaps in braces.
    pub(super) fn numbered_reference(&mut self) -> Result<String, String> {
        let inside = if self.reader.eat("{") {
            self.reader.until(b'}').ok_or("\\g{ without a closing }")?
        } else {
            let sign = if self.reader.eat("-") { "-" } else { "" };
            format!("{sign}{}", self.reader.while_some(10, |byte| byte.is_ascii_digit()))
        };
        let inside = inside.trim();
        if let Some(back) = inside.strip_prefix('-').and_then(|digits| digits.parse::<usize>().ok()) {
            let number = (self.seen.groups + 1).saturating_sub(back);
            return self.reference(number);
        }
        match inside.parse::<usize>() {
            Ok(number) => self.reference(number),
            Err(_) if inside.is_empty() => Err("\\g without a group".to_owned()),
            Err(_) => self.reference_by_name(inside),
        }
    }

    /// Refuses `what` inside a look-behind, where the engine is not to be trusted with it.
    pub(super) fn not_behind(&self, what: &str) -> Result<(), String> {
        if self.behind == 0 { Ok(()) } else { Err(format!("{what} inside a look-behind is not supported")) }
    }

    pub(super) fn reference(&mut self, number: usize) -> Result<String, String> {
        self.not_behind("a reference to a group")?;
        self.seen.refers = true;
        match &self.known {
            Some(known) if number == 0 || number > known.groups => {
                Err(format!("a reference to group {number}, which does not exist"))
            }
            Some(_) | None if self.flags.ignore_case => Ok(format!("(?i:\\{number})")),
            Some(_) | None => Ok(format!("(?:\\{number})")),
        }
    }

    pub(super) fn reference_by_name(&mut self, name: &str) -> Result<String, String> {
        self.seen.refers = true;
        let Some(known) = &self.known else { return Ok(String::new()) };
        let mut numbers = known.names.iter().filter(|(known, _)| known == name).map(|(_, number)| *number);
        match (numbers.next(), numbers.next()) {
            (Some(number), None) => self.reference(number),
            (Some(_), Some(_)) => Err(format!("a reference to {name}, the name of several groups")),
            (None, _) => Err(format!("a reference to group {name}, which does not exist")),
        }
    }

    /// A name in `<>`, `''` or `{}`.
    pub(super) fn delimited_name(&mut self) -> Result<Option<String>, String> {
        let end = match self.reader.peek() {
            Some(b'<') => b'>',
            Some(b'\'') => b'\'',
            Some(b'{') => b'}',
            Some(_) | None => return Ok(None),
        };
        self.reader.at += 1;
        let name = self.reader.until(end).ok_or("the name of a group has no end")?;
        let name = name.trim().to_owned();
        let good = name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
            && !name.is_empty()
            && !name.starts_with(|c: char| c.is_ascii_digit());
        if good { Ok(Some(name)) } else { Err(format!("\"{name}\" is no name for a group")) }
    }
}
