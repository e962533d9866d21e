//! Scheduler flags and their names.

/// Names that only these schedulers have.
const NAMED: [(&str, &str, u8); 4] =
    [("sh", "sh-fallback", 1), ("sh", "sh-port", 2), ("mh", "mh-fallback", 1), ("mh", "mh-port", 2)];
const PLAIN: [(&str, u8); 3] = [("flag-1", 1), ("flag-2", 2), ("flag-3", 4)];

/// The bits a list of flags means, or what is said about the first wrong one.
pub(crate) fn read(scheduler: &str, text: &str) -> Result<u8, String> {
    let mut bits = 0;
    for word in text.split(',').filter(|word| !word.is_empty()) {
        let plain = PLAIN.iter().find(|(name, _)| *name == word).map(|(_, bit)| *bit);
        let named = NAMED.iter().find(|(_, name, _)| *name == word);
        bits |= match (plain, named) {
            (Some(bit), _) => bit,
            (None, Some((of, _, bit))) if *of == scheduler => *bit,
            (None, Some(_)) => return Err(format!("incompatible scheduler flag `{word}'")),
            (None, None) => return Err(format!("invalid scheduler flag `{word}'")),
        };
    }
    Ok(bits)
}

/// The names of bits. Those that `sh` and `mh` have no name for are left out, whatever comes of it.
pub(crate) fn names(scheduler: &str, bits: u8) -> String {
    let of: Vec<(&str, u8)> = match scheduler {
        "sh" | "mh" => NAMED.iter().filter(|(of, ..)| *of == scheduler).map(|(_, name, bit)| (*name, *bit)).collect(),
        _ => PLAIN.to_vec(),
    };
    let names: Vec<&str> = of.iter().filter(|(_, bit)| bits & bit != 0).map(|(name, _)| *name).collect();
    names.join(",")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn flags_are_read_and_named_for_their_scheduler() {
        assert_eq!(read("sh", "sh-port,,sh-fallback,"), Ok(3));
        assert_eq!(read("rr", "flag-1,flag-3"), Ok(5));
        assert_eq!(read("sh", ""), Ok(0));
        assert_eq!(read("rr", "sh-port"), Err("incompatible scheduler flag `sh-port'".to_owned()));
        assert_eq!(read("sh", "sh-port, x"), Err("invalid scheduler flag ` x'".to_owned()));
        assert_eq!(names("mh", 3), "mh-fallback,mh-port");
        assert_eq!(names("sh", 4), "");
        assert_eq!(names("wlc", 7), "flag-1,flag-2,flag-3");
    }
}
