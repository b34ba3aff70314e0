//! Users and groups by name, as the tree's own `/etc/passwd` and `/etc/group` have them.

use jettison_sandbox::User;

/// The text of a tree's `/etc/passwd` and `/etc/group`, empty where there is none.
#[derive(Debug, Clone, Default)]
pub(crate) struct Accounts {
    pub(crate) passwd: String,
    pub(crate) group: String,
}

/// A user that a command cannot run as.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum UserError {
    /// Nobody of that name.
    #[error("unable to find user {0}: no matching entries in passwd file")]
    User(String),
    /// No group of that name.
    #[error("unable to find group {0}: no matching entries in group file")]
    Group(String),
}

struct Account<'a> {
    name: &'a str,
    uid: u32,
    gid: u32,
}

struct Group<'a> {
    name: &'a str,
    gid: u32,
    members: &'a str,
}

impl Accounts {
    fn users(&self) -> impl Iterator<Item = Account<'_>> {
        self.passwd.lines().filter_map(|line| {
            let mut fields = line.split(':');
            let name = fields.next()?;
            let (uid, gid) = (fields.nth(1)?.parse().ok()?, fields.next()?.parse().ok()?);
            Some(Account { name, uid, gid })
        })
    }

    fn groups(&self) -> impl Iterator<Item = Group<'_>> {
        self.group.lines().filter_map(|line| {
            let mut fields = line.split(':');
            let name = fields.next()?;
            let gid = fields.nth(1)?.parse().ok()?;
            Some(Group { name, gid, members: fields.next().unwrap_or_default() })
        })
    }

    /// Resolves the USER of a command, with its supplementary groups. containerd: `oci.WithUser`.
    ///
    /// A number that nobody has is taken as it is, with group 0.
    pub(crate) fn run_as(&self, spec: &str) -> Result<User, UserError> {
        if spec.is_empty() {
            return Ok(User { groups: self.groups_of("root", 0), ..User::default() });
        }
        let (user, group) = match spec.split_once(':') {
            Some((user, group)) => (user, Some(group)),
            None => (spec, None),
        };
        let number: Option<u32> = user.parse().ok();
        let account = self.users().find(|account| account.name == user || Some(account.uid) == number);
        let (uid, own_gid) = match (&account, number) {
            (Some(account), _) => (account.uid, account.gid),
            (None, Some(number)) => (number, 0),
            (None, None) => return Err(UserError::User(user.to_owned())),
        };
        let Some(group) = group.filter(|group| !group.is_empty()) else {
            let name = account.map_or(user, |account| account.name).to_owned();
            return Ok(User { uid, gid: own_gid, groups: self.groups_of(&name, own_gid) });
        };
        let gid = self.gid(group).ok_or_else(|| UserError::Group(group.to_owned()))?;
        Ok(User { uid, gid, groups: vec![gid] })
    }

    /// Resolves `--chown`. What the tree does not know is 0, as BuildKit has it (`solver/llbsolver/ops/user_linux.go`);
    /// a number without group is its own group.
    pub(crate) fn owner(&self, spec: &str) -> (u32, u32) {
        let (user, group) = match spec.split_once(':') {
            Some((user, group)) => (user, Some(group)),
            None => (spec, None),
        };
        let number: Option<u32> = user.parse().ok();
        let account = || self.users().find(|account| account.name == user);
        let (uid, own_gid) = match number {
            Some(number) => (number, number),
            None => account().map_or((0, 0), |account| (account.uid, account.gid)),
        };
        let gid = match group {
            Some(group) => self.gid(group).unwrap_or(0),
            None => own_gid,
        };
        (uid, gid)
    }

    fn gid(&self, group: &str) -> Option<u32> {
        let number = group.parse().ok();
        self.groups().find(|known| known.name == group).map(|known| known.gid).or(number)
    }

    /// The primary group comes first, then those that list the user.
    fn groups_of(&self, user: &str, primary: u32) -> Vec<u32> {
        let mut gids = vec![primary];
        for group in self.groups() {
            let member = group.members.split(',').any(|member| member.trim() == user);
            if member && !gids.contains(&group.gid) {
                gids.push(group.gid);
            }
        }
        gids
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn accounts() -> Accounts {
        Accounts {
            passwd: "root:x:0:0:root:/root:/bin/sh\napp:x:1000:1001::/home/app:/bin/sh\n".to_owned(),
            group: "root:x:0:\nwheel:x:10:root,app\napp:x:1001:\n".to_owned(),
        }
    }

    #[test]
    fn commands_run_as() {
        let user = |uid, gid, groups: &[u32]| Ok(User { uid, gid, groups: groups.to_vec() });
        for (spec, expected) in [
            ("", user(0, 0, &[0, 10])),
            ("app", user(1000, 1001, &[1001, 10])),
            ("1000", user(1000, 1001, &[1001, 10])),
            ("app:wheel", user(1000, 10, &[10])),
            ("4242", user(4242, 0, &[0])),
            ("4242:77", user(4242, 77, &[77])),
            ("who", Err(UserError::User("who".into()))),
            ("app:who", Err(UserError::Group("who".into()))),
        ] {
            assert_eq!(accounts().run_as(spec), expected, "{spec}");
        }
    }

    #[test]
    fn files_belong_to() {
        for (spec, expected) in [
            ("app", (1000, 1001)),
            ("app:wheel", (1000, 10)),
            ("7", (7, 7)),
            ("7:app", (7, 1001)),
            ("who:who", (0, 0)),
        ] {
            assert_eq!(accounts().owner(spec), expected, "{spec}");
        }
    }
}
