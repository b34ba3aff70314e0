//! Who runs the command: USER against the tree's own `/etc/passwd`, and whether that one may execute a file.

use jettison_layer::Entry;

use crate::files::Files;

/// Who runs the command, as far as it matters for permissions.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Owner {
    pub(crate) uid: u32,
    gids: Vec<u32>,
}

/// Resolves `user[:group]`. `Ok(None)`: the account files are not at hand. An error names what is missing.
pub(crate) fn resolve(files: &Files<'_>, user: &str) -> Result<Option<Owner>, String> {
    if user.is_empty() {
        return Ok(Some(Owner { uid: 0, gids: vec![0] }));
    }
    let (Some(passwd), Some(group)) = (files.text(b"etc/passwd"), files.text(b"etc/group")) else {
        return Ok(None);
    };
    let (passwd, group) = (passwd.unwrap_or_default(), group.unwrap_or_default());
    let (user, wanted_group) = match user.split_once(':') {
        Some((user, group)) => (user, Some(group).filter(|group| !group.is_empty())),
        None => (user, None),
    };
    let number: Option<u32> = user.parse().ok();
    let account =
        records(&passwd).find(|fields| fields[0] == user || number.is_some() && field(fields, 2) == number);
    let uid = account.as_ref().and_then(|fields| field(fields, 2)).or(number);
    let Some(uid) = uid else { return Err(format!("user \"{user}\" is not in /etc/passwd of the image")) };
    if let Some(name) = wanted_group {
        let known = records(&group).find(|fields| fields[0] == name).and_then(|fields| field(&fields, 2));
        return match known.or_else(|| name.parse().ok()) {
            Some(gid) => Ok(Some(Owner { uid, gids: vec![gid] })),
            None => Err(format!("group \"{name}\" is not in /etc/group of the image")),
        };
    }
    let mut gids = vec![account.as_ref().and_then(|fields| field(fields, 3)).unwrap_or(0)];
    let name = account.as_ref().map_or(user, |fields| fields[0]);
    let member =
        |fields: &Vec<&str>| fields.get(3).is_some_and(|list| list.split(',').any(|one| one.trim() == name));
    gids.extend(records(&group).filter(member).filter_map(|fields| field(&fields, 2)));
    Ok(Some(Owner { uid, gids }))
}

impl Owner {
    /// Tells whether the owner may execute a file, or pass through a directory, by its mode.
    pub(crate) fn may_execute(&self, entry: &Entry) -> bool {
        if self.uid == 0 {
            return entry.mode & 0o111 != 0 || entry.is_directory();
        }
        let bit = match () {
            () if entry.uid == self.uid => 0o100,
            () if self.gids.contains(&entry.gid) => 0o010,
            () => 0o001,
        };
        entry.mode & bit != 0
    }
}

fn records(text: &str) -> impl Iterator<Item = Vec<&str>> {
    text.lines().map(|line| line.split(':').collect::<Vec<_>>()).filter(|fields| fields.len() >= 3)
}

fn field(fields: &[&str], number: usize) -> Option<u32> {
    fields.get(number)?.parse().ok()
}
