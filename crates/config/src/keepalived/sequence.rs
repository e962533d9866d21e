//! `~SEQ(NAME, FIRST, STEP, LAST)` and `~LST(NAME, VALUE, VALUE)` before the line they repeat.

/// Values of one sequence.
const MOST_VALUES: usize = 1_000_000;

/// What each name is set to for one repetition.
pub(crate) type Assignment = Vec<(String, String)>;

/// The length of `~SEQ(...)` at the start of a text.
pub(crate) fn head_length(text: &str) -> Option<usize> {
    let open = text.find('(')?;
    let known = matches!(text.get(..open)?.trim_end(), "~SEQ" | "~SEQx" | "~LST");
    let close = text.find(')')?;
    (known && close > open).then_some(close + 1)
}

/// The values of a head; the error is a sentence.
pub(crate) fn values(head: &str) -> Result<Box<dyn Iterator<Item = Assignment>>, String> {
    let (kind, inside) = head.split_once('(').unwrap_or((head, ""));
    let inside = inside.strip_suffix(')').unwrap_or(inside);
    match kind.trim() {
        "~LST" => list(inside),
        kind => numbers(inside, kind == "~SEQx"),
    }
}

fn is_name(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_')
}

fn number(text: &str) -> Result<i64, String> {
    let (sign, digits) = text.strip_prefix('-').map_or((1, text), |digits| (-1, digits));
    let parsed = match digits.strip_prefix("0x").or_else(|| digits.strip_prefix("0X")) {
        Some(hexadecimal) => i64::from_str_radix(hexadecimal, 16),
        None => digits.parse::<i64>(),
    };
    parsed
        .ok()
        .filter(|_| digits.starts_with(|c: char| c.is_ascii_hexdigit()))
        .and_then(|number| number.checked_mul(sign))
        .ok_or_else(|| format!("`{}` is no number", crate::host::shown(text)))
}

fn numbers(inside: &str, hexadecimal: bool) -> Result<Box<dyn Iterator<Item = Assignment>>, String> {
    let words: Vec<&str> = inside.split(',').map(str::trim).collect();
    let (name, numbers) = words.split_first().ok_or("a sequence without a name")?;
    if !is_name(name) {
        return Err(format!("`{}` is no name of a sequence", crate::host::shown(name)));
    }
    let numbers = numbers.iter().map(|word| number(word)).collect::<Result<Vec<i64>, String>>()?;
    let (first, step, last) = match numbers.as_slice() {
        [last] => (if *last < 0 { -1 } else { 1 }, if *last < 0 { -1 } else { 1 }, *last),
        [first, last] => (*first, if last < first { -1 } else { 1 }, *last),
        [first, step, last] => (*first, *step, *last),
        _ => return Err("a sequence has a name and one to three numbers".to_owned()),
    };
    if step == 0 {
        return Err("the step of a sequence is 0, so it would never end".to_owned());
    }
    let distance = last.checked_sub(first).ok_or("the numbers of a sequence are too far apart")?;
    if distance != 0 && (distance > 0) != (step > 0) {
        return Err("the step of a sequence leads away from its end".to_owned());
    }
    let count = usize::try_from(distance / step).unwrap_or(usize::MAX);
    if count >= MOST_VALUES {
        return Err(format!("a sequence of more than {MOST_VALUES} values"));
    }
    let name = (*name).to_owned();
    let text = move |n: i64| if hexadecimal { format!("{n:x}") } else { n.to_string() };
    let values = (0..=count as i64).map(move |at| vec![(name.clone(), text(first + at * step))]);
    Ok(Box::new(values))
}

fn list(inside: &str) -> Result<Box<dyn Iterator<Item = Assignment>>, String> {
    let mut groups = groups(inside)?.into_iter();
    let names = groups.next().unwrap_or_default();
    if let Some(wrong) = names.iter().find(|name| !is_name(name)) {
        return Err(format!("`{}` is no name of a list", crate::host::shown(wrong)));
    }
    let values: Vec<Vec<String>> = groups.collect();
    if names.is_empty() || values.is_empty() {
        return Err("a list has a name and at least one value".to_owned());
    }
    if values.iter().any(|value| value.len() != names.len()) {
        return Err("a list with another number of values than names".to_owned());
    }
    Ok(Box::new(values.into_iter().map(move |value| names.iter().cloned().zip(value).collect())))
}

/// `a, {b, c}` as `[[a], [b, c]]`.
fn groups(text: &str) -> Result<Vec<Vec<String>>, String> {
    let mut groups = Vec::new();
    let mut rest = text.trim();
    while !rest.is_empty() {
        if let Some(inside) = rest.strip_prefix('{') {
            let (group, after) = inside.split_once('}').ok_or("a brace of a list is not closed")?;
            groups.push(group.split(',').map(|word| word.trim().to_owned()).collect());
            rest = after.trim_start();
            rest = rest.strip_prefix(',').unwrap_or(rest).trim_start();
        } else {
            let (word, after) = rest.split_once(',').unwrap_or((rest, ""));
            groups.push(vec![word.trim().to_owned()]);
            rest = after.trim_start();
        }
    }
    Ok(groups)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(head: &str) -> Result<String, String> {
        let assignments = values(head)?;
        let one = |a: Assignment| a.into_iter().map(|(n, v)| format!("{n}={v}")).collect::<Vec<_>>().join("+");
        Ok(assignments.map(one).collect::<Vec<_>>().join(" "))
    }

    #[test]
    fn sequences_count_as_the_manual_says() {
        assert_eq!(shown("~SEQ(S, 0, 3)").unwrap(), "S=0 S=1 S=2 S=3");
        assert_eq!(shown("~SEQx(S, 0x90, 0x10, 0xc0)").unwrap(), "S=90 S=a0 S=b0 S=c0");
        assert_eq!(shown("~SEQx(A, 0x12, -1, 0x0f)").unwrap(), "A=12 A=11 A=10 A=f");
        assert_eq!(shown("~SEQ(S, -2)").unwrap(), "S=-1 S=-2");
        assert_eq!(shown("~SEQ(S,168,2,172)").unwrap(), "S=168 S=170 S=172");
        assert_eq!(shown("~SEQ(S,1,3,9)").unwrap(), "S=1 S=4 S=7");
    }

    #[test]
    fn lists_set_one_name_or_several() {
        assert_eq!(shown("~LST(IP, 1, x)").unwrap(), "IP=1 IP=x");
        assert_eq!(shown("~LST({A, B}, {10,1},{20,4})").unwrap(), "A=10+B=1 A=20+B=4");
    }

    #[test]
    fn what_would_not_end_says_why() {
        for (head, why) in [
            ("~SEQ(S, 1, 0, 3)", "would never end"),
            ("~SEQ(S, 1, -1, 3)", "leads away"),
            ("~SEQ(S, 0, 9999999)", "more than"),
            ("~SEQ(S, -9223372036854775807, 9223372036854775807)", "too far apart"),
            ("~SEQ(S, x)", "no number"),
            ("~SEQ(S)", "one to three"),
            ("~LST({A,B},{1})", "another number"),
            ("~LST({A", "not closed"),
        ] {
            assert!(shown(head).unwrap_err().contains(why), "{head}");
        }
        assert_eq!(head_length("~SEQ(X,1,3 real_server"), None);
        assert_eq!(head_length("~SEQ(X,1,3) x"), Some(11));
    }
}
