//! What a caller may do, told from the credentials the kernel vouches for (SO_PEERCRED).

use evenkeel_api::Role;

/// The role of a caller with user `uid` and group `gid`, for a daemon that runs as `own` and has these operators' groups.
pub(super) fn role(uid: u32, gid: u32, own: u32, operators: &[u32]) -> Role {
    if uid == 0 || uid == own {
        Role::Admin
    } else if operators.contains(&gid) {
        Role::Operate
    } else {
        Role::View
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn root_and_the_daemons_own_user_are_admin_listed_groups_operate_others_view() {
        assert_eq!(role(0, 0, 990, &[]), Role::Admin);
        assert_eq!(role(990, 990, 990, &[]), Role::Admin);
        assert_eq!(role(1000, 20, 990, &[20]), Role::Operate);
        assert_eq!(role(1000, 21, 990, &[20]), Role::View);
    }
}
