//! TLS as the connection wants it: which roots, which name, which certificate of one's own.

use super::certificate::{Trust, Verifier, end_point};
use crate::error::{Error, Kind, Result};
use rustls::client::{ClientConnection, ResolvesClientCert};
use rustls::crypto::CryptoProvider;
use rustls::crypto::ring::default_provider;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, CertificateRevocationListDer, PrivateKeyDer, ServerName};
use rustls::sign::CertifiedKey;
use rustls::version::{TLS12, TLS13};
use rustls::{ClientConfig, CommonState, RootCertStore, SignatureScheme, SupportedProtocolVersion};
use std::fmt;
use std::net::{IpAddr, Ipv4Addr};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};
use webpki::{CertRevocationList, OwnedCertRevocationList};
use x509_parser::certificate::X509Certificate;
use x509_parser::prelude::FromDer;

/// PostgreSQL's name for its protocol inside TLS.
const PROTOCOL: &[u8] = b"postgresql";

/// How much of the server's certificate is checked: the parameter `sslmode`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Check {
    /// `allow`, `prefer`, `require`: its issuer, if there is a file of roots; else nothing.
    IfRoots,
    /// `verify-ca`: its issuer.
    Issuer,
    /// `verify-full`: its issuer and its name.
    Name,
}

/// Whose certificates are trusted: the parameter `sslrootcert`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Roots {
    /// The system's list.
    System,
    /// Those of a file, if it is there.
    File(PathBuf),
    /// There is no home to look for the file.
    Nowhere,
}

/// The parameter `sslcertmode`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Showing {
    /// The certificate is never shown.
    Disable,
    /// It is shown to a server that asks for it.
    Allow,
    /// A server that does not ask for it is none.
    Require,
}

/// How encryption is done. Files are read when the first session needs them.
#[derive(Debug)]
pub struct Tls {
    /// How much of the server's certificate is checked.
    pub check: Check,
    /// Who is trusted.
    pub roots: Roots,
    /// A file of what the authorities have revoked.
    pub revoked: Option<PathBuf>,
    /// A folder of such files.
    pub revoked_folder: Option<PathBuf>,
    /// The client's certificate, if it is there.
    pub certificate: Option<PathBuf>,
    /// The key that belongs to it.
    pub key: Option<PathBuf>,
    /// Whether the client's certificate is shown.
    pub showing: Showing,
    /// Whether the server is told by which name it was reached.
    pub sni: bool,
    /// TLS begins at once, without asking for it in PostgreSQL's protocol (PostgreSQL 17).
    pub direct: bool,
    /// Whether TLS 1.2 and TLS 1.3 may be used.
    pub versions: (bool, bool),
    /// What was read from the files.
    pub read: OnceLock<Arc<ClientConfig>>,
}

/// What one encrypted session begins with.
pub struct Handshake {
    /// What rustls needs to know.
    pub config: Arc<ClientConfig>,
    /// The server's name.
    pub name: ServerName<'static>,
    asked: Arc<AtomicBool>,
    showing: Showing,
    direct: bool,
}

impl Tls {
    /// Prepares a session with `host`.
    ///
    /// # Errors
    /// Files that cannot be read or used, and a host that no certificate can be for.
    pub fn handshake(&self, host: &str) -> Result<Handshake> {
        let config = match self.read.get() {
            Some(config) => Arc::clone(config),
            None => {
                let config = Arc::new(self.config()?);
                Arc::clone(self.read.get_or_init(|| config))
            }
        };
        let name = match ServerName::try_from(host.to_owned()) {
            Ok(name) => name,
            Err(error) if self.check == Check::Name => {
                return Err(Error::new(
                    Kind::Usage,
                    format!("no certificate can be for host \"{host}\""),
                )
                .caused_by(error));
            }
            // Of an address, the server is told nothing.
            Err(_) => ServerName::from(IpAddr::V4(Ipv4Addr::UNSPECIFIED)),
        };
        let asked = Arc::new(AtomicBool::new(false));
        // The session hears for itself whether the server asks for a certificate.
        let mut config = ClientConfig::clone(&config);
        let own = Arc::clone(&config.client_auth_cert_resolver);
        config.client_auth_cert_resolver = Arc::new(Shown { own, asked: Arc::clone(&asked) });
        let (showing, direct) = (self.showing, self.direct);
        Ok(Handshake { config: Arc::new(config), name, asked, showing, direct })
    }

    fn config(&self) -> Result<ClientConfig> {
        let provider = Arc::new(default_provider());
        let verifier = Verifier {
            trust: self.trust()?,
            check_name: self.check == Check::Name,
            algorithms: provider.signature_verification_algorithms,
        };
        let own = match self.showing {
            Showing::Disable => None,
            Showing::Allow | Showing::Require => self.own_certificate(&provider)?,
        };
        let versions: Vec<&SupportedProtocolVersion> =
            [(self.versions.0, &TLS12), (self.versions.1, &TLS13)]
                .into_iter()
                .filter_map(|(used, version)| used.then_some(version))
                .collect();
        let mut config = ClientConfig::builder_with_provider(provider)
            .with_protocol_versions(&versions)
            .map_err(|error| Error::failed("cannot set up TLS").caused_by(error))?
            .dangerous()
            .with_custom_certificate_verifier(Arc::new(verifier))
            .with_client_cert_resolver(Arc::new(Own(own)));
        config.alpn_protocols = vec![PROTOCOL.to_vec()];
        config.enable_sni = self.sni;
        config.resumption = rustls::client::Resumption::disabled();
        Ok(config)
    }

    fn trust(&self) -> Result<Option<Trust>> {
        let file = match &self.roots {
            Roots::System => {
                let found = rustls_native_certs::load_native_certs();
                if found.certs.is_empty() {
                    let mut error = Error::new(
                        Kind::NotFound,
                        "the system has no list of trusted certificates",
                    )
                    .hint("install one (ca-certificates), or name a file with sslrootcert");
                    if let Some(cause) = found.errors.into_iter().next() {
                        error = error.caused_by(cause);
                    }
                    return Err(error);
                }
                return trust(found.certs, Vec::new()).map(Some);
            }
            Roots::File(file) => Some(file),
            Roots::Nowhere => None,
        };
        let Some(file) = file.filter(|file| file.exists()) else {
            let missing = match (self.check, file) {
                (Check::IfRoots, _) => return Ok(None),
                (_, Some(file)) => {
                    format!("root certificate file {} does not exist", file.display())
                }
                (_, None) => String::from("there is no home folder to look for root certificates"),
            };
            return Err(Error::new(Kind::Usage, missing).hint(
                "name the file with sslrootcert; sslrootcert=system stands for the system's certificates",
            ));
        };
        let roots = certificates(file)?;
        let mut revoked = Vec::new();
        let listed = self.revoked_folder.iter().filter_map(|folder| std::fs::read_dir(folder).ok());
        let files = listed.flatten().filter_map(|entry| Some(entry.ok()?.path()));
        let files = files.filter(|file| file.is_file());
        for file in self.revoked.iter().cloned().chain(files) {
            let wrong = |error: &dyn fmt::Display| {
                Error::new(
                    Kind::Usage,
                    format!("cannot read the revocation list {}: {error}", file.display()),
                )
                .hint("sslcrl (PGSSLCRL) names it: put it there, or leave the parameter out")
            };
            let lists = CertificateRevocationListDer::pem_file_iter(&file)
                .and_then(Iterator::collect::<std::result::Result<Vec<_>, _>>)
                .map_err(|error| wrong(&error))?;
            for list in lists {
                let list =
                    OwnedCertRevocationList::from_der(&list).map_err(|error| wrong(&error))?;
                revoked.push(CertRevocationList::from(list));
            }
        }
        trust(roots, revoked).map(Some)
    }

    fn own_certificate(&self, provider: &CryptoProvider) -> Result<Option<Arc<CertifiedKey>>> {
        let Some(file) = self.certificate.as_ref().filter(|file| file.exists()) else {
            return Ok(None);
        };
        let chain = certificates(file)?;
        let key_file = self.key.as_ref().filter(|file| file.exists()).ok_or_else(|| {
            let where_to = self.key.as_ref().map(|key| format!(" {}", key.display()));
            Error::new(
                Kind::Usage,
                format!(
                    "certificate {} is there, and its private key{} is not",
                    file.display(),
                    where_to.unwrap_or_default()
                ),
            )
            .hint("name the key with sslkey")
        })?;
        check_permissions(key_file)?;
        let unusable = |error: &dyn fmt::Display| {
            Error::new(
                Kind::Usage,
                format!("cannot use the private key {}: {error}", key_file.display()),
            )
        };
        let key = provider
            .key_provider
            .load_private_key(self.private_key(key_file)?)
            .map_err(|error| unusable(&error))?;
        let certified = CertifiedKey::new(chain, key);
        let of_certificate = certified.cert.first().and_then(|certificate| {
            let (_, parsed) = X509Certificate::from_der(certificate).ok()?;
            Some(parsed.public_key().raw.to_vec())
        });
        match (certified.key.public_key(), of_certificate) {
            (Some(of_key), Some(of_certificate)) if of_key.as_ref() != of_certificate => {
                Err(unusable(&format!("it does not belong to certificate {}", file.display())))
            }
            _ => Ok(Some(Arc::new(certified))),
        }
    }

    fn private_key(&self, file: &Path) -> Result<PrivateKeyDer<'static>> {
        let failed = |reason: &str| {
            Error::new(Kind::Usage, format!("cannot read the private key {}", file.display()))
                .hint(reason)
        };
        let bytes = std::fs::read(file)
            .map_err(|error| Error::io(format!("cannot read {}", file.display()), error))?;
        let text = String::from_utf8_lossy(&bytes);
        if text.contains("ENCRYPTED") {
            return Err(failed(
                "it is encrypted, which pgark cannot undo (sslpassword); make a copy in the clear that only you can read: openssl pkey -in KEY -out COPY",
            ));
        }
        if text.contains("-----BEGIN") {
            return PrivateKeyDer::from_pem_slice(&bytes).map_err(|error| {
                failed("it should be a PEM file with a private key").caused_by(error)
            });
        }
        PrivateKeyDer::try_from(bytes)
            .map_err(|error| failed("it should be a private key in PEM or DER").caused_by(error))
    }
}

/// A private key that others may read is none (libpq's rule).
fn check_permissions(file: &Path) -> Result<()> {
    let found = std::fs::metadata(file)
        .map_err(|error| Error::io(format!("cannot read {}", file.display()), error))?;
    if !found.is_file() {
        return Err(Error::new(
            Kind::Usage,
            format!("private key {} is not a plain file", file.display()),
        ));
    }
    // The system's administrator may let a group read it.
    let forbidden = if found.uid() == 0 { 0o037 } else { 0o077 };
    if found.mode() & forbidden != 0 {
        return Err(Error::new(
            Kind::Usage,
            format!("private key {} can be read or changed by others", file.display()),
        )
        .hint(format!("chmod 600 {}", file.display())));
    }
    Ok(())
}

fn certificates(file: &Path) -> Result<Vec<CertificateDer<'static>>> {
    let found: std::result::Result<Vec<_>, _> =
        CertificateDer::pem_file_iter(file).and_then(Iterator::collect);
    let wrong = format!("cannot read the certificates in {}", file.display());
    match found {
        Ok(found) if !found.is_empty() => Ok(found),
        Ok(_) => Err(Error::new(Kind::Usage, wrong).hint("it should be a PEM file")),
        Err(error) => Err(Error::new(Kind::Usage, wrong).caused_by(error)),
    }
}

fn trust(
    roots: Vec<CertificateDer<'static>>,
    revoked: Vec<CertRevocationList<'static>>,
) -> Result<Trust> {
    let mut anchors = RootCertStore::empty();
    // Some that systems ship are beyond webpki; the others count.
    anchors.add_parsable_certificates(roots.iter().cloned());
    Ok(Trust { roots, anchors, revoked })
}

impl Handshake {
    /// What must hold after the handshake; the answer is the data for channel binding, if the
    /// certificate has any.
    ///
    /// # Errors
    /// [`Kind::Server`] when the server did not take part as the connection wants it to.
    pub fn finish(&self, session: &CommonState) -> Result<Option<Vec<u8>>> {
        if self.direct && session.alpn_protocol() != Some(PROTOCOL) {
            return Err(Error::new(
                Kind::Server,
                "the server's TLS does not speak PostgreSQL's protocol",
            )
            .hint("sslnegotiation=direct needs PostgreSQL 17; leave it out for older servers"));
        }
        if self.showing == Showing::Require && !self.asked.load(Ordering::SeqCst) {
            return Err(Error::new(
                Kind::Server,
                "the server asks for no certificate, and sslcertmode=require wants it to",
            ));
        }
        Ok(session.peer_certificates().and_then(|chain| end_point(chain.first()?)))
    }

    /// The client's side of the session.
    ///
    /// # Errors
    /// [`Kind::Failed`] where rustls refuses its own configuration.
    pub fn begin(&self) -> Result<ClientConnection> {
        ClientConnection::new(Arc::clone(&self.config), self.name.clone())
            .map_err(|error| Error::failed("cannot set up TLS").caused_by(error))
    }
}

/// The client's certificate.
#[derive(Debug)]
struct Own(Option<Arc<CertifiedKey>>);

impl ResolvesClientCert for Own {
    fn resolve(&self, _: &[&[u8]], _: &[SignatureScheme]) -> Option<Arc<CertifiedKey>> {
        self.0.clone()
    }

    fn has_certs(&self) -> bool {
        self.0.is_some()
    }
}

/// Notices that the server asks for a certificate.
#[derive(Debug)]
struct Shown {
    own: Arc<dyn ResolvesClientCert>,
    asked: Arc<AtomicBool>,
}

impl ResolvesClientCert for Shown {
    fn resolve(
        &self,
        authorities: &[&[u8]],
        schemes: &[SignatureScheme],
    ) -> Option<Arc<CertifiedKey>> {
        self.asked.store(true, Ordering::SeqCst);
        self.own.resolve(authorities, schemes)
    }

    fn has_certs(&self) -> bool {
        self.own.has_certs()
    }
}

/// The words for a handshake that failed, and what to do next.
///
/// `direct`: there was no question before it whether the server encrypts.
pub fn explain(error: &std::io::Error, direct: bool) -> Error {
    use rustls::CertificateError as C;
    let failed = |hint: Option<&str>| {
        let failed = Error::new(Kind::Server, "no encrypted connection");
        match hint {
            Some(hint) => failed.hint(hint),
            None => failed,
        }
    };
    let tls = error.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>());
    let Some(tls) = tls else {
        let hint =
            "sslnegotiation=direct is known by PostgreSQL 17 and later: leave it out for others";
        return failed(direct.then_some(hint)).caused_by(error.to_string());
    };
    let (words, hint) = match tls {
        rustls::Error::InvalidCertificate(reason) => match reason {
            C::UnknownIssuer => (
                String::from("the server's certificate comes from nobody that sslrootcert trusts"),
                Some(
                    "check sslrootcert against the certificate that the server's operator publishes",
                ),
            ),
            C::Expired | C::ExpiredContext { .. } => {
                (String::from("the server's certificate has expired"), None)
            }
            C::NotValidYet | C::NotValidYetContext { .. } => {
                (String::from("the server's certificate is not valid yet"), Some("check the clock"))
            }
            C::Revoked => (String::from("the server's certificate has been revoked"), None),
            C::UnknownRevocationStatus => (
                String::from("no revocation list is there for the server's certificate"),
                Some("sslcrl must hold a list of each authority in the chain"),
            ),
            C::ExpiredRevocationList | C::ExpiredRevocationListContext { .. } => {
                (String::from("the revocation list in sslcrl has expired"), None)
            }
            C::Other(other) => (
                other.to_string(),
                Some("check the host's name; sslmode=verify-ca does not compare names"),
            ),
            other => (format!("the server's certificate cannot be used: {other}"), None),
        },
        rustls::Error::AlertReceived(alert) => {
            (format!("the server broke off with TLS alert {alert:?}"), None)
        }
        other => (other.to_string(), None),
    };
    failed(hint).caused_by(words)
}
