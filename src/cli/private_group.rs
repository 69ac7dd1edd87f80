//! Groups that a user has alone: most systems make one for each, and let its members write by default.

/// Whether nobody but the user `owner` is in the group, as far as the system's own lists tell.
pub fn is_private(group: u32, owner: u32) -> bool {
    let read = |path: &str| std::fs::read_to_string(path).unwrap_or_default();
    is_owners_alone(&read("/etc/passwd"), &read("/etc/group"), group, owner)
}

/// `users` and `groups` are the lists (passwd(5), group(5)). A group that they do not name may have
/// anybody in it.
fn is_owners_alone(users: &str, groups: &str, group: u32, owner: u32) -> bool {
    let (group, owner) = (group.to_string(), owner.to_string());
    let split = |text: &str| -> Vec<Vec<String>> {
        text.lines().map(|line| line.split(':').map(str::to_owned).collect()).collect()
    };
    let users = split(users);
    let of_group = |user: &&Vec<String>| user.get(3) == Some(&group);
    let mut primary = users.iter().filter(of_group).peekable();
    if primary.peek().is_none() || primary.any(|user| user.get(2) != Some(&owner)) {
        return false;
    }
    let names: Vec<&String> =
        users.iter().filter(|u| u.get(2) == Some(&owner)).filter_map(|u| u.first()).collect();
    let groups = split(groups);
    let mut entries = groups.iter().filter(|entry| entry.get(2) == Some(&group)).peekable();
    entries.peek().is_some()
        && entries.all(|entry| {
            let members = entry.get(3).map_or("", String::as_str).split(',');
            members.filter(|name| !name.is_empty()).all(|name| names.iter().any(|own| *own == name))
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_group_is_private_if_nobody_else_is_in_it() {
        let users = "root:x:0:0:root:/root:/bin/sh\nana:x:1000:1000::/home/ana:/bin/sh\n\
                     bob:x:1001:100::/home/bob:/bin/sh\neve:x:1002:100::/home/eve:/bin/sh\n";
        let groups = "root:x:0:\nana:x:1000:ana\nusers:x:100:\nstaff:x:50:ana,bob\n";
        let private = |group, owner| is_owners_alone(users, groups, group, owner);
        assert!(private(1000, 1000) && private(0, 0));
        assert!(!private(1000, 1001), "another one's");
        assert!(!private(100, 1001), "eve's as well");
        assert!(!private(50, 1000), "bob is in it");
        assert!(!private(7, 1000), "nobody knows it");
        let shared = "ana:x:1000:ana,bob\n";
        assert!(!is_owners_alone(users, shared, 1000, 1000));
        assert!(!is_owners_alone(users, "", 1000, 1000));
    }
}
