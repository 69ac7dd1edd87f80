//! The server's certificate: who issued it, whose name it bears, and its digest for channel
//! binding.
//!
//! Chains and signatures are webpki's work. Three things are libpq's ways and not webpki's: names
//! may stand in the common name, a certificate of version 1 and one that is marked as an authority
//! may be the server's own if a root has issued them (`openssl req -x509`, as PostgreSQL's manual
//! has it, makes such), and there may be no roots at all.

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::WebPkiSupportedAlgorithms;
use rustls::pki_types::{CertificateDer, ServerName, SubjectPublicKeyInfoDer, UnixTime};
use rustls::{
    CertificateError, DigitallySignedStruct, OtherError, PeerMisbehaved, RootCertStore,
    SignatureScheme,
};
use std::net::IpAddr;
use std::sync::Arc;
use webpki::{
    CertRevocationList, EndEntityCert, ExpirationPolicy, KeyUsage, RawPublicKeyEntity,
    RevocationOptionsBuilder,
};
use x509_parser::certificate::X509Certificate;
use x509_parser::extensions::{GeneralName, ParsedExtension};
use x509_parser::prelude::FromDer;
use x509_parser::signature_algorithm::RsaSsaPssParams;

/// Whom the connection trusts.
#[derive(Debug)]
pub struct Trust {
    /// Certificates of authorities, and of servers that stand for themselves.
    pub roots: Vec<CertificateDer<'static>>,
    /// The same, as webpki wants them.
    pub anchors: RootCertStore,
    /// What the authorities have revoked; if there is any list, there must be one for each of them.
    pub revoked: Vec<CertRevocationList<'static>>,
}

/// Decides whether the server is the one that is meant.
#[derive(Debug)]
pub struct Verifier {
    /// None takes any certificate; the server must still hold its key.
    pub trust: Option<Trust>,
    /// Whether it must bear the host's name.
    pub check_name: bool,
    /// How signatures are made.
    pub algorithms: WebPkiSupportedAlgorithms,
}

impl ServerCertVerifier for Verifier {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        _: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        if let Some(trust) = &self.trust {
            self.check_issuer(trust, end_entity, intermediates, now)?;
            if self.check_name {
                check_name(end_entity, &server_name.to_str())?;
            }
        }
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        self.check_signature(message, certificate, signed, usize::MAX)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let of_13 = !matches!(
            signed.scheme,
            SignatureScheme::RSA_PKCS1_SHA256
                | SignatureScheme::RSA_PKCS1_SHA384
                | SignatureScheme::RSA_PKCS1_SHA512
                | SignatureScheme::RSA_PKCS1_SHA1
                | SignatureScheme::ECDSA_SHA1_Legacy
        );
        if !of_13 {
            return Err(PeerMisbehaved::SignedHandshakeWithUnadvertisedSigScheme.into());
        }
        // TLS 1.3 has one algorithm per scheme, the first.
        self.check_signature(message, certificate, signed, 1)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.algorithms.supported_schemes()
    }
}

impl Verifier {
    /// That the server holds the certificate's key. The certificate itself is not looked at:
    /// webpki would not read one of version 1.
    fn check_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
        candidates: usize,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let certificate = parse(certificate)?;
        let spki = SubjectPublicKeyInfoDer::from(certificate.public_key().raw);
        let key = RawPublicKeyEntity::try_from(&spki).map_err(|_| CertificateError::BadEncoding)?;
        let scheme = self.algorithms.mapping.iter().find(|(scheme, _)| *scheme == signed.scheme);
        let (_, algorithms) =
            scheme.ok_or(PeerMisbehaved::SignedHandshakeWithUnadvertisedSigScheme)?;
        let valid = algorithms
            .iter()
            .take(candidates)
            .any(|algorithm| key.verify_signature(*algorithm, message, signed.signature()).is_ok());
        match valid {
            true => Ok(HandshakeSignatureValid::assertion()),
            false => Err(CertificateError::BadSignature.into()),
        }
    }

    fn check_issuer(
        &self,
        trust: &Trust,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<(), rustls::Error> {
        let lists: Vec<&CertRevocationList<'_>> = trust.revoked.iter().collect();
        let revocation = RevocationOptionsBuilder::new(&lists)
            .ok()
            .map(|options| options.with_expiration_policy(ExpirationPolicy::Enforce).build());
        let checked = EndEntityCert::try_from(end_entity).and_then(|certificate| {
            certificate
                .verify_for_usage(
                    self.algorithms.all,
                    &trust.anchors.roots,
                    intermediates,
                    now,
                    KeyUsage::server_auth(),
                    revocation,
                    None,
                )
                .map(|_| ())
        });
        match checked {
            Ok(()) => Ok(()),
            Err(webpki::Error::CaUsedAsEndEntity | webpki::Error::UnsupportedCertVersion)
                if trust.revoked.is_empty()
                    && self.is_issued_by_root(trust, end_entity, now)? =>
            {
                Ok(())
            }
            Err(error) => Err(reason(&error)),
        }
    }

    /// Whether one of the roots has signed the certificate, which may be that root itself.
    fn is_issued_by_root(
        &self,
        trust: &Trust,
        certificate: &CertificateDer<'_>,
        now: UnixTime,
    ) -> Result<bool, rustls::Error> {
        let issued = parse(certificate)?;
        let validity = issued.validity();
        let now = i64::try_from(now.as_secs()).unwrap_or(i64::MAX);
        if now < validity.not_before.timestamp() {
            return Err(CertificateError::NotValidYet.into());
        }
        if now > validity.not_after.timestamp() {
            return Err(CertificateError::Expired.into());
        }
        if let Ok(Some(usage)) = issued.extended_key_usage()
            && !usage.value.any
            && !usage.value.server_auth
        {
            return Err(CertificateError::InvalidPurpose.into());
        }
        for root in &trust.roots {
            let itself = root.as_ref() == certificate.as_ref();
            let issuer = parse(root)?;
            if issuer.subject().as_raw() != issued.issuer().as_raw() {
                continue;
            }
            if !itself && !may_issue(&issuer) {
                continue;
            }
            let spki = SubjectPublicKeyInfoDer::from(issuer.public_key().raw);
            let Ok(key) = RawPublicKeyEntity::try_from(&spki) else { continue };
            let (signed, signature) = (issued.tbs_certificate.as_ref(), &issued.signature_value);
            let algorithms = self.algorithms.all.iter();
            if algorithms
                .map(|algorithm| key.verify_signature(*algorithm, signed, &signature.data))
                .any(|valid| valid.is_ok())
            {
                return Ok(true);
            }
        }
        Ok(false)
    }
}

/// Whether an authority's certificate allows it to issue any other. One that limits the names is
/// left to webpki.
fn may_issue(issuer: &X509Certificate<'_>) -> bool {
    let constrained = issuer.extensions().iter().any(|extension| {
        matches!(extension.parsed_extension(), ParsedExtension::NameConstraints(_))
    });
    let authority = match issuer.basic_constraints() {
        Ok(Some(constraints)) => constraints.value.ca,
        // Version 1 knows no such mark.
        Ok(None) => issuer.version().0 == 0,
        Err(_) => false,
    };
    let signs = match issuer.key_usage() {
        Ok(Some(usage)) => usage.value.key_cert_sign(),
        Ok(None) => true,
        Err(_) => false,
    };
    authority && signs && !constrained
}

fn parse<'a>(certificate: &'a CertificateDer<'_>) -> Result<X509Certificate<'a>, rustls::Error> {
    match X509Certificate::from_der(certificate) {
        Ok((_, parsed)) => Ok(parsed),
        Err(_) => Err(CertificateError::BadEncoding.into()),
    }
}

/// webpki's reason as rustls's, which knows the alert that belongs to it.
fn reason(error: &webpki::Error) -> rustls::Error {
    use webpki::Error as E;
    let reason = match error {
        E::BadDer | E::BadDerTime | E::TrailingData(_) => CertificateError::BadEncoding,
        E::CertNotValidYet { .. } => CertificateError::NotValidYet,
        E::CertExpired { .. } | E::InvalidCertValidity => CertificateError::Expired,
        E::UnknownIssuer | E::CaUsedAsEndEntity | E::UnsupportedCertVersion => {
            CertificateError::UnknownIssuer
        }
        E::CertRevoked => CertificateError::Revoked,
        E::UnknownRevocationStatus => CertificateError::UnknownRevocationStatus,
        E::CrlExpired { .. } => CertificateError::ExpiredRevocationList,
        E::RequiredEkuNotFoundContext(_) => CertificateError::InvalidPurpose,
        other => CertificateError::Other(OtherError(Arc::new(other.clone()))),
    };
    reason.into()
}

/// That the certificate is for `host`, by libpq's rules: the alternative names of the host's kind
/// count, and only if there are none of that kind, the first common name.
fn check_name(certificate: &CertificateDer<'_>, host: &str) -> Result<(), rustls::Error> {
    let certificate = parse(certificate)?;
    let ip: Option<IpAddr> = host.parse().ok();
    let alternatives = match certificate.subject_alternative_name() {
        Ok(Some(found)) => found.value.general_names.as_slice(),
        Ok(None) => &[],
        Err(_) => return Err(CertificateError::BadEncoding.into()),
    };
    let mut of_that_kind = false;
    let mut names = Vec::new();
    for name in alternatives {
        match name {
            GeneralName::DNSName(name) => {
                of_that_kind |= ip.is_none();
                if is_for(name, host) {
                    return Ok(());
                }
                names.push((*name).to_owned());
            }
            GeneralName::IPAddress(bytes) => {
                of_that_kind |= ip.is_some();
                let found = match bytes.len() {
                    4 => <[u8; 4]>::try_from(*bytes).ok().map(IpAddr::from),
                    16 => <[u8; 16]>::try_from(*bytes).ok().map(IpAddr::from),
                    _ => return Err(CertificateError::BadEncoding.into()),
                };
                if found.is_some() && found == ip {
                    return Ok(());
                }
                names.extend(found.map(|ip| ip.to_string()));
            }
            _ => {}
        }
    }
    let common =
        certificate.subject().iter_common_name().next().and_then(|name| name.as_str().ok());
    if let Some(common) = common.filter(|_| !of_that_kind) {
        if is_for(common, host) {
            return Ok(());
        }
        names.push(common.to_owned());
    }
    let mismatch = Mismatch { host: host.to_owned(), names };
    Err(CertificateError::Other(OtherError(Arc::new(mismatch))).into())
}

/// Whether a name in a certificate is `host`'s; `*.` at its beginning stands for one label.
fn is_for(name: &str, host: &str) -> bool {
    if name.eq_ignore_ascii_case(host) {
        return true;
    }
    let (Some(rest), Some((first, domain))) = (name.strip_prefix("*."), host.split_once('.'))
    else {
        return false;
    };
    !first.is_empty() && !rest.is_empty() && rest.eq_ignore_ascii_case(domain)
}

/// The certificate is another server's.
#[derive(Debug)]
pub struct Mismatch {
    host: String,
    names: Vec<String>,
}

impl std::fmt::Display for Mismatch {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.names.as_slice() {
            [] => write!(out, "the server's certificate bears no name, not \"{}\"", self.host),
            names => write!(
                out,
                "the server's certificate is for {}, not \"{}\"",
                crate::model::name::enumerate(names),
                self.host
            ),
        }
    }
}

impl std::error::Error for Mismatch {}

/// The digest of the certificate for `tls-server-end-point` (RFC 5929): that of its own signature,
/// SHA-256 instead of MD5 and SHA-1. None where the signature has no digest of its own (Ed25519).
pub fn end_point(certificate: &CertificateDer<'_>) -> Option<Vec<u8>> {
    let (_, parsed) = X509Certificate::from_der(certificate).ok()?;
    let algorithm = &parsed.signature_algorithm;
    let mut oid = algorithm.algorithm.to_id_string();
    if oid == "1.2.840.113549.1.1.10" {
        let parameters = RsaSsaPssParams::try_from(algorithm.parameters.as_ref()?).ok()?;
        oid = parameters.hash_algorithm_oid().to_id_string();
    }
    let digest = match oid.as_str() {
        // RSA with MD5, SHA-1, SHA-256; ECDSA with SHA-1, SHA-256; SHA-1, SHA-256.
        "1.2.840.113549.1.1.4"
        | "1.2.840.113549.1.1.5"
        | "1.2.840.113549.1.1.11"
        | "1.2.840.10045.4.1"
        | "1.2.840.10045.4.3.2"
        | "1.3.14.3.2.26"
        | "2.16.840.1.101.3.4.2.1" => &ring::digest::SHA256,
        "1.2.840.113549.1.1.12" | "1.2.840.10045.4.3.3" | "2.16.840.1.101.3.4.2.2" => {
            &ring::digest::SHA384
        }
        "1.2.840.113549.1.1.13" | "1.2.840.10045.4.3.4" | "2.16.840.1.101.3.4.2.3" => {
            &ring::digest::SHA512
        }
        _ => return None,
    };
    Some(ring::digest::digest(digest, certificate).as_ref().to_vec())
}

#[cfg(test)]
mod tests {
    use super::is_for;

    #[test]
    fn a_star_stands_for_one_label_at_the_beginning() {
        for (name, host) in [
            ("db.example", "DB.example"),
            ("*.example.com", "db.example.com"),
            ("*.Example.com", "db.exampLE.COM"),
            ("10.0.0.1", "10.0.0.1"),
        ] {
            assert!(is_for(name, host), "{name} {host}");
        }
        for (name, host) in [
            ("*.example.com", "example.com"),
            ("*.example.com", "a.b.example.com"),
            ("*.example.com", ".example.com"),
            ("d*.example.com", "db.example.com"),
            ("*", "db"),
            ("*.", "db."),
            ("db.example", "db.example.com"),
        ] {
            assert!(!is_for(name, host), "{name} {host}");
        }
    }
}
