//! Certificates, and a server that listens with TLS, whose users log in in different ways.

use super::server::{Server, Setup, free_port};
use super::{Repo, Run};
use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair, KeyUsagePurpose,
};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

/// An authority that issues certificates.
pub struct Authority(CertifiedIssuer<'static, KeyPair>);

/// A certificate and its key, in PEM.
pub struct Pair {
    pub certificate: String,
    pub key: String,
}

impl Authority {
    pub fn new(name: &str) -> Self {
        let mut params = CertificateParams::default();
        params.distinguished_name.push(DnType::CommonName, name);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        Self(CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap())
    }

    pub fn pem(&self) -> String {
        self.0.pem()
    }

    pub fn issuer(&self) -> &CertifiedIssuer<'static, KeyPair> {
        &self.0
    }

    /// A certificate for these names, changed by `change`.
    pub fn issue(&self, names: &[&str], change: impl FnOnce(&mut CertificateParams)) -> Pair {
        self.issue_for(KeyPair::generate().unwrap(), names, change)
    }

    pub fn issue_for(
        &self,
        key: KeyPair,
        names: &[&str],
        change: impl FnOnce(&mut CertificateParams),
    ) -> Pair {
        let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
        let mut params = CertificateParams::new(names).unwrap();
        change(&mut params);
        let certificate = params.signed_by(&key, &self.0).unwrap();
        Pair { certificate: certificate.pem(), key: key.serialize_pem() }
    }

    /// A client's certificate for a role.
    pub fn client(&self, role: &str) -> Pair {
        self.issue(&[], |params| params.distinguished_name.push(DnType::CommonName, role))
    }
}

/// Writes a file that only its owner can read.
#[allow(clippy::disallowed_methods, reason = "the test's own files")]
pub fn write(path: &Path, text: &str) {
    std::fs::write(path, text).unwrap();
    std::fs::set_permissions(path, PermissionsExt::from_mode(0o600)).unwrap();
}

/// A server that listens with TLS.
pub struct Secure {
    pub server: Server,
    pub authority: Authority,
    clients: tempfile::TempDir,
}

/// Who may log in how; all of them may do anything, and `secret` is the password of those who have one.
const LOGINS: &str = "
local   all all                       trust
hostssl all only_tls      127.0.0.1/32 trust
host    all only_tls      127.0.0.1/32 reject
hostssl all only_clear    127.0.0.1/32 reject
host    all only_clear    127.0.0.1/32 trust
hostssl all certified     127.0.0.1/32 cert
host    all clear_text    127.0.0.1/32 password
host    all digest        127.0.0.1/32 md5
host    all scram         127.0.0.1/32 scram-sha-256
host    all trusted       127.0.0.1/32 trust
";

const ROLES: &[&str] = &["only_tls", "only_clear", "certified", "clear_text", "scram", "trusted"];

/// The names that the server's certificate bears.
pub const NAMES: &[&str] = &["db.example.test", "*.wild.test", "127.0.0.1"];

impl Secure {
    fn start(major: Option<u32>) -> Self {
        let authority = Authority::new("pgark test");
        let pair = authority.issue(NAMES, |_| {});
        let port = free_port();
        let name = format!("secure{}", major.unwrap_or_default());
        let prepare = |folder: &Path, data: &Path| {
            write(&folder.join("server.crt"), &pair.certificate);
            write(&folder.join("server.key"), &pair.key);
            write(&folder.join("clients.crt"), &authority.pem());
            write_in_place(&data.join("pg_hba.conf"), LOGINS);
        };
        let at = std::env::temp_dir().join(format!("pgark-{name}-{}", std::process::id()));
        let settings = [
            String::from("listen_addresses=127.0.0.1"),
            String::from("log_connections=on"),
            String::from("ssl=on"),
            format!("ssl_cert_file={}/server.crt", at.display()),
            format!("ssl_key_file={}/server.key", at.display()),
            format!("ssl_ca_file={}/clients.crt", at.display()),
            format!(
                "unix_socket_directories={0},@pgark-{name}-{1}",
                at.display(),
                std::process::id()
            ),
        ];
        let mut settings = settings.to_vec();
        if major.is_some_and(|major| major < 14) {
            settings.pop();
        }
        let setup = Setup { name: &name, port, settings: &settings, prepare: &prepare };
        let server = match major {
            None => Server::start_with(&setup),
            Some(major) => Server::start_major_with(major, &setup),
        };
        for role in ROLES {
            server.role(role, "SUPERUSER PASSWORD 'secret'");
        }
        server.admin(
            "SET password_encryption = 'md5'; CREATE ROLE digest LOGIN SUPERUSER PASSWORD 'secret'",
        );
        server.admin("CREATE DATABASE shop");
        server
            .connect("shop", "postgres")
            .batch_execute("CREATE TABLE goods (id int PRIMARY KEY, name text); INSERT INTO goods VALUES (1, 'a')")
            .unwrap();
        let clients = tempfile::tempdir().unwrap();
        write(&clients.path().join("root.crt"), &authority.pem());
        write(&clients.path().join("other.crt"), &Authority::new("somebody else").pem());
        Self { server, authority, clients }
    }

    /// A file for clients; `root.crt` is the right authority's, `other.crt` another one's.
    pub fn file(&self, name: &str) -> PathBuf {
        self.clients.path().join(name)
    }

    /// A connection string over TCP, without host: `host=name hostaddr=127.0.0.1` goes before it.
    pub fn over_tcp(&self, role: &str, more: &str) -> String {
        format!(
            "hostaddr=127.0.0.1 port={} dbname=shop user={role} password=secret {}",
            self.server.port(),
            more.replace("{files}", &self.clients.path().display().to_string())
        )
    }

    /// What the server's log says of sessions of this application.
    pub fn sessions(&self, application: &str) -> Vec<String> {
        let name = format!("application_name={application}");
        let mut lines = self.server.log("connection authorized");
        lines.retain(|line| line.split_whitespace().any(|word| word == name));
        lines
    }
}

#[allow(clippy::disallowed_methods, reason = "the test's own files")]
pub fn write_in_place(path: &Path, text: &str) {
    std::fs::write(path, text).unwrap();
}

static SECURE: OnceLock<Secure> = OnceLock::new();
static SECURE_18: OnceLock<Secure> = OnceLock::new();

/// The server with TLS, started when the first test asks for it.
pub fn secure() -> &'static Secure {
    SECURE.get_or_init(|| Secure::start(None))
}

/// The same of PostgreSQL 18.
pub fn secure_18() -> &'static Secure {
    SECURE_18.get_or_init(|| Secure::start(Some(18)))
}

/// A backup over a connection, at a home of its own, where nobody can be asked for a password.
pub fn backup(url: &str) -> Run {
    backup_with(url, &[], &[])
}

/// The same with more arguments and with variables.
pub fn backup_with(url: &str, arguments: &[&str], variables: &[(&str, &str)]) -> Run {
    let repo = Repo::new();
    let mut command = repo.command(&["backup", "--no-migrations", "--no-password"]);
    command.env("HOME", repo.path()).args(arguments).envs(variables.iter().copied());
    if !url.is_empty() {
        command.args(["--url", url]);
    }
    Run::from(command.output().unwrap())
}
