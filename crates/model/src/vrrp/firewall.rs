//! How packets to addresses are kept away that a master holds and does not accept.

/// The table of the kernel's packet filter (nf_tables) that does it; every daemon of a network namespace has its own.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Firewall {
    /// Its name, of up to 255 letters, digits, `.`, `_`, `-` and `/`.
    pub table: String,
    /// Where its chains stand among others: lower ones are met first, and filters usually have 0.
    pub priority: i32,
    /// Whether its rules count what they drop.
    pub counters: bool,
}

impl Firewall {
    /// The name of its table where none is given.
    pub const TABLE: &str = "evenkeel";
    /// The longest name of a table.
    pub const LONGEST: usize = 255;

    /// Whether a table can be called so.
    pub fn can_be_called(name: &str) -> bool {
        let letters = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-' | '/');
        name.starts_with(|c: char| c.is_ascii_alphabetic())
            && name.len() <= Firewall::LONGEST
            && name.chars().all(letters)
    }
}

impl Default for Firewall {
    /// As keepalived has it, but for the name.
    fn default() -> Firewall {
        Firewall { table: Firewall::TABLE.to_owned(), priority: -1, counters: false }
    }
}
