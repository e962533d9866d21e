//! The lines that `-R` reads: words between blanks, nothing quoted, nothing commented.

/// A line longer than this is none.
pub const LONGEST_LINE: usize = 64 * 1024;

/// Splits rules into the words of one call each.
#[derive(Clone, Copy, Debug)]
pub struct Rules<'a> {
    text: &'a str,
    line: usize,
}

impl<'a> Rules<'a> {
    /// The rules of this text.
    pub fn new(text: &'a str) -> Rules<'a> {
        Rules { text, line: 0 }
    }
}

/// A line: its number from 1, and its words.
type Rule = (usize, Vec<String>);

impl Iterator for Rules<'_> {
    type Item = Rule;

    /// The next line that has words. Of a line that is too long the beginning counts.
    fn next(&mut self) -> Option<Rule> {
        while !self.text.is_empty() {
            let (line, rest) = self.text.split_once('\n').unwrap_or((self.text, ""));
            self.text = rest;
            self.line += 1;
            let words = line
                .char_indices()
                .find(|(at, _)| *at >= LONGEST_LINE)
                .map_or(line, |(at, _)| line.get(..at).unwrap_or(line))
                .split([' ', '\t', '\r'])
                .filter(|word| !word.is_empty())
                // Every `ipvsadm` at the beginning is the program's name.
                .skip_while(|word| *word == "ipvsadm")
                // What is behind a zero byte was never seen.
                .map(|word| word.split('\0').next().unwrap_or_default().to_owned());
            let words: Vec<String> = words.collect();
            if !words.is_empty() {
                return Some((self.line, words));
            }
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(text: &str) -> Vec<String> {
        Rules::new(text).map(|(line, words)| format!("{line}:{}", words.join("|"))).collect()
    }

    #[test]
    fn lines_are_split_at_blanks_only() {
        assert_eq!(words("-A -t\ta:80  -s rr\r\n\n \t\n-C"), ["1:-A|-t|a:80|-s|rr", "4:-C"]);
        assert_eq!(words("ipvsadm ipvsadm -A\nipvsadm\nipvsadmx -A"), ["1:-A", "3:ipvsadmx|-A"]);
        assert_eq!(words("-s \"rr\" # c"), ["1:-s|\"rr\"|#|c"]);
        assert_eq!(words("-s rr\0x -p"), ["1:-s|rr|-p"]);
        assert!(words("").is_empty());
    }

    #[test]
    fn a_line_has_a_bound() {
        let long = format!("-A {}", "x".repeat(2 * LONGEST_LINE));
        let read = words(&long);
        assert_eq!(read.len(), 1);
        assert_eq!(read[0].len(), LONGEST_LINE + 2);
    }
}
