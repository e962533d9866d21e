//! Dashes and quotes that a web page or a word processor made of the plain ones.

use std::ffi::OsString;

/// The arguments as they were meant; says on standard error what was changed.
pub(crate) fn mended(arguments: Vec<OsString>) -> Vec<OsString> {
    arguments.into_iter().map(|argument| argument.to_str().and_then(mend).map_or(argument, OsString::from)).collect()
}

fn mend(argument: &str) -> Option<String> {
    let mut text = argument.to_owned();
    if let Some(rest) = text.strip_prefix(['\u{2013}', '\u{2014}', '\u{2212}']) {
        // One dash of a page stands for one or two: a long word has two.
        let rest = rest.trim_start_matches(['-', '\u{2013}', '\u{2014}']);
        let dashes =
            if rest.chars().count() > 1 && !rest.starts_with(|c: char| c.is_ascii_digit()) { "--" } else { "-" };
        text = format!("{dashes}{rest}");
    }
    let quotes = ['\u{201c}', '\u{201d}', '\u{2018}', '\u{2019}', '\u{201e}'];
    if text.starts_with(quotes) || text.ends_with(quotes) {
        text = text.trim_matches(quotes).to_owned();
    }
    if text == argument {
        return None;
    }
    eprintln!("evenkeel: {argument:?} was read as {text:?} (dashes or quotes from a web page)");
    Some(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dashes_and_quotes_of_web_pages_are_read_as_meant() {
        assert_eq!(mend("\u{2013}json").as_deref(), Some("--json"));
        assert_eq!(mend("\u{2014}vip").as_deref(), Some("--vip"));
        assert_eq!(mend("\u{2013}h").as_deref(), Some("-h"));
        assert_eq!(mend("\u{201c}web/real-1\u{201d}").as_deref(), Some("web/real-1"));
        assert_eq!(mend("--json"), None);
        assert_eq!(mend("caf\u{e9}.cf"), None);
    }
}
