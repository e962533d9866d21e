//! Whom a program runs as.

use std::fmt;

/// A user of the host, and perhaps a group, as they were written: names or numbers.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Account {
    /// Name or number of the user.
    pub user: String,
    /// Name or number of the group; `None`: the user's own.
    pub group: Option<String>,
}

impl Account {
    /// A user and perhaps a group. No name holds a colon: what stands behind one is taken for the group.
    pub fn of(user: &str, group: Option<&str>) -> Account {
        let text = group.map_or_else(|| user.to_owned(), |group| format!("{user}:{group}"));
        Account::parse(&text).unwrap_or(Account { user: user.to_owned(), group: group.map(str::to_owned) })
    }

    /// `user` or `user:group`; `None` where one of them is empty.
    pub fn parse(text: &str) -> Option<Account> {
        let (user, group) = text.split_once(':').map_or((text, None), |(user, group)| (user, Some(group)));
        let whole = !user.is_empty() && !group.is_some_and(str::is_empty);
        whole.then(|| Account { user: user.to_owned(), group: group.map(str::to_owned) })
    }
}

impl fmt::Display for Account {
    /// `user` or `user:group`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.group {
            Some(group) => write!(f, "{}:{group}", self.user),
            None => self.user.fmt(f),
        }
    }
}
