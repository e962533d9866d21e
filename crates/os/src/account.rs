//! Users and groups of the host, as the name service has them.

#![allow(unsafe_code, reason = "the name service is reached through the C library alone")]

use crate::error::{Error, Result};
use evenkeel_model::Account;
use rustix::{
    process::{Gid, Uid},
    thread::{set_thread_gid, set_thread_groups, set_thread_uid},
};
use std::{ffi::CString, mem::MaybeUninit, os::unix::process::CommandExt, process::Command, ptr};

/// Room for the texts of one entry; longer ones count as not there.
const ENTRY: usize = 64 * 1024;

/// Groups of one user.
const GROUPS: usize = 1024;

/// The user that keepalived runs scripts as where nothing is said.
const SCRIPTS: &str = "keepalived_script";

/// The user that scripts run as where nothing is said: `keepalived_script` where there is such a user and this process
/// may become it.
pub fn script_user() -> Option<String> {
    let there = || Key::name(SCRIPTS).and_then(|name| user(&name));
    (Ids::own().uid == 0 && matches!(there(), Ok(Some(_)))).then(|| SCRIPTS.to_owned())
}

/// A user and a group, by their numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Ids {
    /// The user.
    pub uid: u32,
    /// The group.
    pub gid: u32,
}

impl Ids {
    /// Those this process has.
    pub fn own() -> Ids {
        Ids { uid: rustix::process::geteuid().as_raw(), gid: rustix::process::getegid().as_raw() }
    }

    /// Those that are named; the error says which is not there. May wait for a name service.
    pub fn of(account: &Account) -> Result<Ids> {
        let user = match account.user.parse() {
            Ok(uid) => user(&Key::Number(uid))?.unwrap_or(Ids { uid, gid: uid }),
            Err(_) => user(&Key::name(&account.user)?)?
                .ok_or_else(|| Error::Refused(format!("there is no user `{}`", account.user)))?,
        };
        let Some(group) = &account.group else { return Ok(user) };
        let gid = match group.parse() {
            Ok(gid) => gid,
            Err(_) => group_of(group)?.ok_or_else(|| Error::Refused(format!("there is no group `{group}`")))?,
        };
        Ok(Ids { gid, ..user })
    }

    /// Whom scripts run as: as it is said, else `keepalived_script` where there is such a user, else this process's.
    pub fn of_script(account: Option<&Account>) -> Result<Ids> {
        match account {
            Some(account) => Ids::of(account),
            None if Ids::own().uid == 0 => Ok(user(&Key::name(SCRIPTS)?)?.unwrap_or_else(Ids::own)),
            None => Ok(Ids::own()),
        }
    }

    /// Has `command` run as these, without other groups.
    pub fn take_on(self, command: &mut Command) {
        if self != Ids::own() {
            command.gid(self.gid).uid(self.uid);
        }
    }

    /// Has `command` run as these, with every group that the user of `account` is in, as after a login.
    pub fn log_in(self, account: &Account, command: &mut Command) -> Result<()> {
        if self == Ids::own() {
            return Ok(());
        }
        let groups: Vec<Gid> = groups_of(&account.user, self.gid)?.into_iter().map(Gid::from_raw).collect();
        let become_user = move || {
            set_thread_groups(&groups)?;
            set_thread_gid(Gid::from_raw(self.gid))?;
            Ok(set_thread_uid(Uid::from_raw(self.uid))?)
        };
        // SAFETY: between fork and exec only three system calls are made, and nothing is allocated.
        unsafe { command.pre_exec(become_user) };
        Ok(())
    }
}

enum Key {
    Name(CString),
    Number(u32),
}

impl Key {
    fn name(text: &str) -> Result<Key> {
        CString::new(text).map(Key::Name).map_err(|_| Error::Refused(format!("{text:?} is no name")))
    }
}

/// The user and its own group; `None`: there is none.
fn user(key: &Key) -> Result<Option<Ids>> {
    let mut entry = MaybeUninit::<libc::passwd>::zeroed();
    let mut texts: Vec<libc::c_char> = vec![0; ENTRY];
    let mut found: *mut libc::passwd = ptr::null_mut();
    // SAFETY: all pointers are to live memory of the lengths given, and the name ends in a zero byte.
    let outcome = unsafe {
        match key {
            Key::Name(name) => {
                libc::getpwnam_r(name.as_ptr(), entry.as_mut_ptr(), texts.as_mut_ptr(), texts.len(), &raw mut found)
            }
            Key::Number(uid) => {
                libc::getpwuid_r(*uid, entry.as_mut_ptr(), texts.as_mut_ptr(), texts.len(), &raw mut found)
            }
        }
    };
    absent_is_fine(outcome, "look up a user")?;
    if found.is_null() {
        return Ok(None);
    }
    // SAFETY: it was zeroed, of plain integers and pointers, and has been filled in.
    let entry = unsafe { entry.assume_init() };
    Ok(Some(Ids { uid: entry.pw_uid, gid: entry.pw_gid }))
}

fn group_of(name: &str) -> Result<Option<u32>> {
    let Key::Name(name) = Key::name(name)? else { return Ok(None) };
    let mut entry = MaybeUninit::<libc::group>::zeroed();
    let mut texts: Vec<libc::c_char> = vec![0; ENTRY];
    let mut found: *mut libc::group = ptr::null_mut();
    // SAFETY: all pointers are to live memory of the lengths given, and the name ends in a zero byte.
    let outcome =
        unsafe { libc::getgrnam_r(name.as_ptr(), entry.as_mut_ptr(), texts.as_mut_ptr(), texts.len(), &raw mut found) };
    absent_is_fine(outcome, "look up a group")?;
    if found.is_null() {
        return Ok(None);
    }
    // SAFETY: it was zeroed, of plain integers and pointers, and has been filled in.
    Ok(Some(unsafe { entry.assume_init() }.gr_gid))
}

/// The groups of a user, `own` among them; a number is in no other.
fn groups_of(user: &str, own: u32) -> Result<Vec<u32>> {
    if user.parse::<u32>().is_ok() {
        return Ok(vec![own]);
    }
    let name = CString::new(user).map_err(|_| Error::Refused(format!("{user:?} is no name")))?;
    let mut groups = vec![own; GROUPS];
    let mut count = GROUPS as libc::c_int;
    // SAFETY: the name ends in a zero byte, and there is room for as many groups as `count` says.
    let found = unsafe { libc::getgrouplist(name.as_ptr(), own, groups.as_mut_ptr(), &raw mut count) };
    if found < 0 {
        return Err(Error::Refused(format!("`{user}` is in more than {GROUPS} groups")));
    }
    groups.truncate(usize::try_from(count).unwrap_or(0));
    Ok(groups)
}

/// Name services say in several ways that a name is not there: getpwnam_r(3).
fn absent_is_fine(outcome: libc::c_int, what: &str) -> Result<()> {
    match outcome {
        0 | libc::ENOENT | libc::ESRCH | libc::EBADF | libc::EPERM => Ok(()),
        number => Err(Error::system(what, std::io::Error::from_raw_os_error(number))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn account(user: &str, group: Option<&str>) -> Account {
        Account { user: user.into(), group: group.map(str::to_owned) }
    }

    #[test]
    fn names_and_numbers_are_found() {
        let root = Ids { uid: 0, gid: 0 };
        assert_eq!(Ids::of(&account("root", None)).expect("there"), root);
        assert_eq!(Ids::of(&account("0", None)).expect("there"), root);
        assert_eq!(Ids::of(&account("root", Some("12345"))).expect("there").gid, 12345);
        assert_eq!(Ids::of(&account("root", Some("root"))).expect("there"), root);
        // A number needs no entry.
        assert_eq!(Ids::of(&account("4000000", None)).expect("a number"), Ids { uid: 4_000_000, gid: 4_000_000 });
    }

    #[test]
    fn a_user_is_in_its_own_group_and_a_number_in_no_other() {
        assert!(groups_of("root", 0).expect("there").contains(&0));
        assert_eq!(groups_of("4000000", 7).expect("a number"), [7]);
        assert!(groups_of("a\0b", 0).is_err());
    }

    #[test]
    fn what_is_missing_is_named() {
        let why = |user, group| Ids::of(&account(user, group)).expect_err("missing").to_string();
        assert_eq!(why("no-such-user", None), "there is no user `no-such-user`");
        assert_eq!(why("root", Some("no-such-group")), "there is no group `no-such-group`");
        assert_eq!(why("a\0b", None), "\"a\\0b\" is no name");
    }
}
