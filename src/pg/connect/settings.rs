//! From parameters to the servers to try.

use super::parameters::{Values, number, one_of};
use super::passfile::{self, Wanted};
use super::target::{Address, ChannelBinding, Encryption, Keepalives, Listener, Target};
use super::tls::{Check, Roots, Showing, Tls};
use super::watch::Methods;
use crate::error::{Error, Kind, Result};
use crate::model::connection::{Asking, Connection, Password};
use std::net::{IpAddr, Ipv6Addr, SocketAddr, ToSocketAddrs};
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

/// How long one attempt to connect may take when the connection does not say.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(30);

/// After how much silence the server is asked for a sign of life, and how long what was sent may
/// stay unacknowledged, when the connection does not say: a server that vanished must not hold a
/// run for hours.
const KEEPALIVES_IDLE: Duration = Duration::from_secs(60);
const TCP_USER_TIMEOUT: Duration = Duration::from_secs(120);

const PORT: u16 = 5432;

/// The folders that builds of libpq take for the socket: Debian's and the source's.
const SOCKET_FOLDERS: &[&str] = &["/var/run/postgresql", "/tmp"];

/// Which of several servers is wanted: the parameter `target_session_attrs`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wish {
    /// Any.
    Any,
    /// One whose sessions may write by default.
    ReadWrite,
    /// One whose sessions may not.
    ReadOnly,
    /// One that is not in recovery.
    Primary,
    /// One that is.
    Standby,
    /// One that is, or else any.
    PreferStandby,
}

/// `target_session_attrs`.
///
/// # Errors
/// [`Kind::Usage`] for an unknown value.
pub fn wish(values: &Values) -> Result<Wish> {
    one_of(
        values,
        "target_session_attrs",
        "any",
        &[
            ("any", Wish::Any),
            ("read-write", Wish::ReadWrite),
            ("read-only", Wish::ReadOnly),
            ("primary", Wish::Primary),
            ("standby", Wish::Standby),
            ("prefer-standby", Wish::PreferStandby),
        ],
    )
}

/// The database that is meant: libpq takes one of the user's name if none is named.
///
/// # Errors
/// [`Kind::Usage`] when there is no user either.
pub fn database(connection: &Connection, values: &Values) -> Result<String> {
    match values.get("dbname") {
        Some(database) => Ok(database.clone()),
        None => user(connection, values),
    }
}

fn user(connection: &Connection, values: &Values) -> Result<String> {
    let user = values.get("user").or(connection.system_user.as_ref());
    user.cloned().ok_or_else(|| {
        Error::new(Kind::Usage, "no user to connect as")
            .hint("name one in the connection string or in PGUSER")
    })
}

/// The servers to try, in order.
///
/// # Errors
/// [`Kind::Usage`] for values that libpq would refuse.
pub fn targets(
    connection: &Connection,
    values: &Values,
    database_name: Option<&str>,
) -> Result<Vec<Target>> {
    let user = user(connection, values)?;
    let database = match database_name {
        Some(name) => name.to_owned(),
        None => database(connection, values)?,
    };
    let tls = Arc::new(tls(connection, values)?);
    let encryption = encryption(values, &tls)?;
    let channel_binding = one_of(
        values,
        "channel_binding",
        "prefer",
        &[
            ("disable", ChannelBinding::Disable),
            ("prefer", ChannelBinding::Prefer),
            ("require", ChannelBinding::Require),
        ],
    )?;
    let methods = values.get("require_auth").map_or("", String::as_str);
    let methods = Methods::parse(methods)
        .map_err(|reason| Error::new(Kind::Usage, format!("require_auth: {reason}")))?;
    let application_name =
        values.get("application_name").or_else(|| values.get("fallback_application_name"));
    let template = Target {
        number: 0,
        address: Address::Unix { folder: String::new(), port: PORT },
        user,
        password: None,
        password_file: None,
        database,
        options: values.get("options").cloned(),
        application_name: application_name.cloned().unwrap_or_else(|| String::from("pgark")),
        connect_timeout: match (connection.connect_timeout, number(values, "connect_timeout")?) {
            (Some(said), _) => Some(said).filter(|said| !said.is_zero()),
            (None, None) => Some(CONNECT_TIMEOUT),
            // libpq: zero and less is for ever.
            (None, Some(seconds)) => {
                u64::try_from(seconds).ok().filter(|s| *s > 0).map(Duration::from_secs)
            }
        },
        stall_timeout: connection.stall_timeout,
        listener: Listener(connection.person.clone()),
        tcp_user_timeout: match number(values, "tcp_user_timeout")? {
            None => Some(TCP_USER_TIMEOUT),
            Some(milliseconds) => {
                u64::try_from(milliseconds).ok().filter(|ms| *ms > 0).map(Duration::from_millis)
            }
        },
        keepalives: keepalives(values)?,
        encryption,
        tls,
        channel_binding,
        methods,
        required_peer: values.get("requirepeer").cloned(),
    };
    let mut targets: Vec<Target> = addresses(values)?
        .into_iter()
        .enumerate()
        .map(|(number, address)| Target { number, address, ..template.clone() })
        .collect();
    for target in &mut targets {
        if matches!(target.address, Address::Unix { .. }) {
            target.encryption = vec![Encryption::Plain];
        }
        set_password(connection, values, target);
    }
    Ok(targets)
}

/// The password for one server: what was typed, what the connection says, or what `.pgpass` has.
fn set_password(connection: &Connection, values: &Values, target: &mut Target) {
    if let Some(typed) = connection.settled.password.get() {
        target.password = Some(typed.clone());
        return;
    }
    if connection.asking == Asking::First {
        return;
    }
    if let Some(password) = values.get("password") {
        target.password = Some(Password::new(password));
        return;
    }
    let (host, port) = match &target.address {
        Address::Unix { folder, port } if SOCKET_FOLDERS.contains(&folder.as_str()) => {
            ("localhost", *port)
        }
        Address::Unix { folder, port } => (folder.as_str(), *port),
        Address::Tcp { host, port, .. } => (host.as_str(), *port),
    };
    let wanted = Wanted { host, port, database: &target.database, user: &target.user };
    let at_home = || connection.places.home.as_ref().map(|home| home.join(".pgpass"));
    let Some(file) = values.get("passfile").map(PathBuf::from).or_else(at_home) else { return };
    if let Some(password) = passfile::find(&file, &wanted, connection) {
        target.password = Some(password);
        target.password_file = Some(file);
    }
}

fn addresses(values: &Values) -> Result<Vec<Address>> {
    let list = |name: &str| -> Vec<&str> {
        values.get(name).map(|list| list.split(',').map(str::trim).collect()).unwrap_or_default()
    };
    let (hosts, ips, ports) = (list("host"), list("hostaddr"), list("port"));
    let count = if ips.is_empty() { hosts.len().max(1) } else { ips.len() };
    let mismatch = |what: &str, other: usize| {
        Err(Error::new(Kind::Usage, format!("{other} {what} for {count} hosts")))
    };
    if !hosts.is_empty() && hosts.len() != count {
        return mismatch("host names", hosts.len());
    }
    if ports.len() > 1 && ports.len() != count {
        return mismatch("ports", ports.len());
    }
    let shuffled = shuffled(values)?;
    let mut found = Vec::new();
    for number in 0..count {
        let port = match ports.get(number).or(ports.first()).copied() {
            None | Some("") => PORT,
            Some(port) => port.parse().ok().filter(|port| *port > 0).ok_or_else(|| {
                Error::new(Kind::Usage, format!("\"{port}\" is not a port number"))
            })?,
        };
        let ip = match ips.get(number).copied() {
            None | Some("") => None,
            Some(ip) => Some((ip, address(ip, port)?)),
        };
        let host = hosts.get(number).copied().unwrap_or_default();
        found.push(match (host, ip) {
            (host, Some((ip, at))) => {
                let host = if host.is_empty() { ip } else { host }.to_owned();
                Address::Tcp { host, at: Some(at), port, shuffled }
            }
            ("", None) => default_address(port, shuffled),
            (folder, None) if folder.starts_with(['/', '@']) => {
                Address::Unix { folder: folder.to_owned(), port }
            }
            (host, None) => Address::Tcp { host: host.to_owned(), at: None, port, shuffled },
        });
    }
    Ok(found)
}

/// The address that `hostaddr` gives. One that is an address only together with a network interface
/// (`fe80::1%eth0`) is the system's to read, which knows the interfaces.
fn address(text: &str, port: u16) -> Result<SocketAddr> {
    let wrong = || Error::new(Kind::Usage, format!("\"{text}\" is not an address for hostaddr"));
    match text.split_once('%') {
        Some((ip, _)) if ip.parse::<Ipv6Addr>().is_ok() => {
            let found = (text, port).to_socket_addrs().map_err(|error| wrong().caused_by(error))?;
            found.into_iter().next().ok_or_else(wrong)
        }
        _ => {
            let ip: IpAddr = text.parse().map_err(|error| wrong().caused_by(error))?;
            Ok(SocketAddr::new(ip, port))
        }
    }
}

/// `load_balance_hosts`: whether servers and their addresses are tried in any order.
///
/// # Errors
/// [`Kind::Usage`] for an unknown value.
pub fn shuffled(values: &Values) -> Result<bool> {
    one_of(values, "load_balance_hosts", "disable", &[("disable", false), ("random", true)])
}

/// libpq's default host: the socket folder that was compiled in, else localhost.
fn default_address(port: u16, shuffled: bool) -> Address {
    let socket = format!(".s.PGSQL.{port}");
    match SOCKET_FOLDERS.iter().find(|folder| Path::new(folder).join(&socket).exists()) {
        Some(folder) => Address::Unix { folder: (*folder).to_owned(), port },
        None => Address::Tcp { host: String::from("localhost"), at: None, port, shuffled },
    }
}

fn keepalives(values: &Values) -> Result<Option<Keepalives>> {
    if number(values, "keepalives")? == Some(0) {
        return Ok(None);
    }
    // Zero is the system's own number.
    let positive = |name: &str| -> Result<Option<u32>> {
        Ok(number(values, name)?.and_then(|n| u32::try_from(n).ok()).filter(|n| *n > 0))
    };
    let seconds = |n: u32| Duration::from_secs(n.into());
    let idle = match values.contains_key("keepalives_idle") {
        true => positive("keepalives_idle")?.map(seconds),
        false => Some(KEEPALIVES_IDLE),
    };
    let interval = positive("keepalives_interval")?.map(seconds);
    Ok(Some(Keepalives { idle, interval, count: positive("keepalives_count")? }))
}

/// The six values of `sslmode`.
fn encryption(values: &Values, tls: &Tls) -> Result<Vec<Encryption>> {
    use Encryption::{Plain, Tls};
    let modes: &[(&str, &[Encryption])] = &[
        ("disable", &[Plain]),
        ("allow", &[Plain, Tls]),
        ("prefer", &[Tls, Plain]),
        ("require", &[Tls]),
        ("verify-ca", &[Tls]),
        ("verify-full", &[Tls]),
    ];
    let methods = one_of(values, "sslmode", default_mode(values), modes)?;
    let mode = values.get("sslmode").map_or(default_mode(values), String::as_str);
    let weak = |what: &str, needed: &str| {
        Err(Error::new(Kind::Usage, format!("sslmode={mode} is too weak for {what}"))
            .hint(format!("use sslmode={needed}")))
    };
    if tls.roots == Roots::System && tls.check != Check::Name {
        return weak("sslrootcert=system", "verify-full");
    }
    if tls.direct && methods != [Tls] {
        return weak("sslnegotiation=direct", "require");
    }
    Ok(methods.to_vec())
}

/// With the system's roots, anybody can have a certificate of some name.
fn default_mode(values: &Values) -> &'static str {
    match values.get("sslrootcert").map(String::as_str) {
        Some("system") => "verify-full",
        _ => "prefer",
    }
}

fn tls(connection: &Connection, values: &Values) -> Result<Tls> {
    let given = |name: &str| values.get(name).map(PathBuf::from);
    let at_home =
        |name: &str| connection.places.home.as_ref().map(|h| h.join(".postgresql").join(name));
    let mode = values.get("sslmode").map_or(default_mode(values), String::as_str);
    let version = |name: &str| -> Result<Option<u8>> {
        let versions = [
            ("", None),
            ("TLSv1", Some(10)),
            ("TLSv1.1", Some(11)),
            ("TLSv1.2", Some(12)),
            ("TLSv1.3", Some(13)),
        ];
        one_of(values, name, "", &versions)
    };
    let lowest = version("ssl_min_protocol_version")?.unwrap_or(12);
    let highest = version("ssl_max_protocol_version")?.unwrap_or(13);
    if highest < 12 {
        return Err(Error::new(Kind::Usage, "pgark knows TLS 1.2 and TLS 1.3 only")
            .hint("raise ssl_max_protocol_version, or leave it out"));
    }
    if lowest > highest {
        return Err(Error::new(
            Kind::Usage,
            "ssl_min_protocol_version is above ssl_max_protocol_version",
        ));
    }
    let switch =
        |name: &str, default: &str| one_of(values, name, default, &[("0", false), ("1", true)]);
    Ok(Tls {
        check: match mode {
            "verify-ca" => Check::Issuer,
            "verify-full" => Check::Name,
            _ => Check::IfRoots,
        },
        roots: match given("sslrootcert").or_else(|| at_home("root.crt")) {
            Some(file) if file.as_os_str() == "system" => Roots::System,
            Some(file) => Roots::File(file),
            None => Roots::Nowhere,
        },
        revoked: match (given("sslcrl"), given("sslcrldir")) {
            (None, None) => at_home("root.crl").filter(|file| file.exists()),
            (file, _) => file,
        },
        revoked_folder: given("sslcrldir"),
        certificate: given("sslcert").or_else(|| at_home("postgresql.crt")),
        key: given("sslkey").or_else(|| at_home("postgresql.key")),
        showing: one_of(
            values,
            "sslcertmode",
            "allow",
            &[
                ("disable", Showing::Disable),
                ("allow", Showing::Allow),
                ("require", Showing::Require),
            ],
        )?,
        sni: switch("sslsni", "1")?,
        direct: one_of(
            values,
            "sslnegotiation",
            "postgres",
            &[("postgres", false), ("direct", true)],
        )?,
        versions: (lowest <= 12, highest >= 13),
        read: OnceLock::new(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pg::connect::parse::parse;
    use crate::pg::connect::target::Place;

    fn read(string: &str) -> Result<Vec<Target>> {
        targets(&Connection::default(), &parse(string)?, None)
    }

    fn one(string: &str) -> Target {
        let mut targets = read(string).unwrap();
        assert_eq!(targets.len(), 1);
        targets.remove(0)
    }

    #[test]
    fn a_server_that_vanished_is_noticed_unless_the_connection_says_otherwise() {
        let seconds = Duration::from_secs;
        let target = one("host=h user=u");
        assert_eq!(target.connect_timeout, Some(seconds(30)));
        assert_eq!(target.tcp_user_timeout, Some(seconds(120)));
        assert_eq!(target.keepalives.unwrap().idle, Some(seconds(60)));
        let target =
            one("host=h user=u connect_timeout=3 tcp_user_timeout=9000 keepalives_idle=7 \
             keepalives_interval=8 keepalives_count=9");
        assert_eq!(
            (target.connect_timeout, target.tcp_user_timeout),
            (Some(seconds(3)), Some(seconds(9)))
        );
        let keepalives =
            Keepalives { idle: Some(seconds(7)), interval: Some(seconds(8)), count: Some(9) };
        assert_eq!(target.keepalives, Some(keepalives));
        let target = one("host=h user=u connect_timeout=0 tcp_user_timeout=0 keepalives=0");
        assert_eq!(
            (target.connect_timeout, target.tcp_user_timeout, target.keepalives),
            (None, None, None)
        );
    }

    #[test]
    fn hosts_addresses_and_ports_belong_together() {
        let addresses = |string: &str| -> Vec<String> {
            read(string).unwrap().iter().map(|target| target.address.to_string()).collect()
        };
        assert_eq!(addresses("user=u host=a,b,/s port=1"), ["a:1", "b:1", "/s:1"]);
        assert_eq!(addresses("user=u host=a,b port=1,"), ["a:1", "b:5432"]);
        assert_eq!(addresses("user=u host=a,b hostaddr=::1,"), ["a:5432 (::1)", "b:5432"]);
        assert_eq!(addresses("user=u hostaddr=127.0.0.1,::1"), ["127.0.0.1:5432", "[::1]:5432"]);
        assert_eq!(addresses("user=u host=@abstract port=2"), ["@abstract:2"]);
        assert_eq!(addresses("user=u host=fe80::1%lo hostaddr=fe80::1%lo"), ["[fe80::1%lo]:5432"]);
        let [Place::Tcp(SocketAddr::V6(at))] =
            one("user=u hostaddr=fe80::1%lo").places().unwrap()[..]
        else {
            panic!("one address")
        };
        assert_ne!(at.scope_id(), 0, "a link-local address is one of an interface");
        for wrong in [
            "host=a,b port=1,2,3",
            "host=a,b hostaddr=::1",
            "host=a port=0",
            "host=a port=65536",
            "host=a port=x",
            "hostaddr=name",
            "hostaddr=fe80::1%no such interface",
        ] {
            let error = read(&format!("user=u {wrong}")).unwrap_err();
            assert_eq!(error.kind(), Kind::Usage, "{wrong}");
        }
    }

    #[test]
    fn modes_of_encryption_are_libpqs() {
        use Encryption::{Plain, Tls};
        let modes: [(&str, &[Encryption], Check); 7] = [
            ("", &[Tls, Plain], Check::IfRoots),
            ("sslmode=disable", &[Plain], Check::IfRoots),
            ("sslmode=allow", &[Plain, Tls], Check::IfRoots),
            ("sslmode=prefer", &[Tls, Plain], Check::IfRoots),
            ("sslmode=require", &[Tls], Check::IfRoots),
            ("sslmode=verify-ca", &[Tls], Check::Issuer),
            ("sslmode=verify-full", &[Tls], Check::Name),
        ];
        for (mode, encryption, check) in modes {
            let target = one(&format!("host=h user=u {mode}"));
            assert_eq!((target.encryption.as_slice(), target.tls.check), (encryption, check));
            let socket = one(&format!("host=/s user=u {mode}"));
            assert_eq!(socket.encryption, [Plain], "libpq never encrypts on a socket");
        }
        let system = one("host=h user=u sslrootcert=system");
        assert_eq!((system.encryption.as_slice(), system.tls.check), (&[Tls][..], Check::Name));
        for wrong in [
            "sslmode=required",
            "sslrootcert=system sslmode=require",
            "sslnegotiation=direct",
            "sslnegotiation=direct sslmode=prefer",
            "ssl_max_protocol_version=TLSv1.1",
            "ssl_min_protocol_version=TLSv1.3 ssl_max_protocol_version=TLSv1.2",
            "ssl_min_protocol_version=SSLv3",
            "sslsni=yes",
            "channel_binding=on",
            "require_auth=scram",
            "load_balance_hosts=yes",
            "connect_timeout=soon",
        ] {
            let error = read(&format!("host=h user=u {wrong}")).unwrap_err();
            assert_eq!(error.kind(), Kind::Usage, "{wrong}");
        }
    }
}
