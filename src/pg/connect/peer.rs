//! The parameter `requirepeer`: whose process listens at a socket of this machine.

use crate::error::{Error, Kind, Result};
use std::os::unix::net::UnixStream;

/// Fails unless the process at the other end is run by the user `wanted`.
///
/// # Errors
/// [`Kind::Server`] for another user's, [`Kind::Usage`] for a user that the system does not know.
pub fn check(stream: &UnixStream, wanted: &str) -> Result<()> {
    let users = std::fs::read_to_string("/etc/passwd").unwrap_or_default();
    let Some(required) = number(&users, wanted) else {
        let text = format!("requirepeer={wanted}: this system has no such user");
        return Err(Error::new(Kind::Usage, text));
    };
    let actual = owner(stream)?;
    if actual == required {
        return Ok(());
    }
    let found = name(&users, actual).unwrap_or_else(|| format!("number {actual}"));
    Err(Error::new(
        Kind::Server,
        format!(
            "requirepeer asks for a server of user {wanted}, and the one that listens is of {found}"
        ),
    )
    .hint("check the socket's folder, and who runs the server; nothing was sent to it"))
}

#[cfg(target_os = "linux")]
fn owner(stream: &UnixStream) -> Result<u32> {
    rustix::net::sockopt::socket_peercred(stream)
        .map(|peer| peer.uid.as_raw())
        .map_err(|error| Error::io("cannot ask who listens at the socket", error.into()))
}

#[cfg(not(target_os = "linux"))]
fn owner(_: &UnixStream) -> Result<u32> {
    Err(Error::new(Kind::Usage, "pgark knows requirepeer on Linux alone"))
}

/// The number of a user in the system's list.
fn number(users: &str, wanted: &str) -> Option<u32> {
    fields(users).find(|(name, _)| *name == wanted)?.1.parse().ok()
}

fn name(users: &str, wanted: u32) -> Option<String> {
    let wanted = wanted.to_string();
    fields(users).find(|(_, number)| *number == wanted).map(|(name, _)| name.to_owned())
}

/// Names and numbers (passwd(5)).
fn fields(users: &str) -> impl Iterator<Item = (&str, &str)> {
    users.lines().filter_map(|line| {
        let mut fields = line.split(':');
        Some((fields.next()?, fields.nth(1)?))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_process_at_the_other_end_is_told_by_its_user() {
        let users = std::fs::read_to_string("/etc/passwd").unwrap();
        let (ours, _theirs) = UnixStream::pair().unwrap();
        let own = rustix::process::geteuid().as_raw();
        check(&ours, &name(&users, own).unwrap()).unwrap();
        let other = fields(&users).find(|(_, number)| *number != own.to_string()).unwrap().0;
        assert_eq!(check(&ours, other).unwrap_err().kind(), Kind::Server);
        assert_eq!(check(&ours, "no such user").unwrap_err().kind(), Kind::Usage);
    }
}
