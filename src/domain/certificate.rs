//! When a certificate ends. Whether it is to be trusted is the TLS library's matter.

use jiff::Timestamp;
use x509_cert::certificate::{CertificateInner, Raw};
use x509_cert::der::Decode;

/// The `notAfter` of a certificate in DER form; `None` if it cannot be read.
pub fn not_after(der: &[u8]) -> Option<Timestamp> {
    // Raw: private authorities give serial numbers that the RFC does not allow, and those say nothing of the end.
    let certificate = CertificateInner::<Raw>::from_der(der).ok()?;
    let since_epoch = certificate.tbs_certificate.validity.not_after.to_unix_duration();
    Timestamp::from_second(since_epoch.as_secs().try_into().ok()?).ok()
}

#[cfg(test)]
mod tests {
    use rustls::pki_types::CertificateDer;
    use rustls::pki_types::pem::PemObject;
    use x509_cert::der::Encode;
    use x509_cert::serial_number::SerialNumber;

    use super::*;

    #[test]
    fn a_certificate_ends_when_it_says_whatever_its_serial_number() {
        let pem = include_bytes!("../../tests/fixtures/tls/test-only-upstream-expired.pem");
        let der = CertificateDer::from_pem_slice(pem).unwrap();
        assert_eq!(not_after(&der).map(Timestamp::as_second), Some(978_307_200), "2001-01-01");
        let mut odd = CertificateInner::<Raw>::from_der(&der).unwrap();
        let forty_bytes = [&[2, 40][..], &[1; 40]].concat();
        odd.tbs_certificate.serial_number = SerialNumber::from_der(&forty_bytes).unwrap();
        assert_eq!(not_after(&odd.to_der().unwrap()), not_after(&der));
        assert_eq!(not_after(b"no certificate"), None);
    }
}
