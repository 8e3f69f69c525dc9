//! Reads the files that the configuration names, and the configuration itself: regular files of at most 1 MiB. A pipe, a
//! device or a file without an end is refused, and never waited for. And reads the certificates in one.

use std::fs::OpenOptions;
use std::io::{self, Read};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use secrecy::zeroize::Zeroizing;
use tokio::task::spawn_blocking;
use tokio::time::timeout;

/// The largest file that is read: a bundle of every public certificate authority is a quarter of it.
const MAX_BYTES: u64 = 1 << 20;

/// What a file holds; it may be a secret.
pub(crate) type Content = Zeroizing<Vec<u8>>;

/// The certificates in the content of a PEM file.
///
/// # Errors
/// One of them cannot be read, or there is none.
pub(crate) fn certificates(pem: &[u8]) -> io::Result<Vec<CertificateDer<'static>>> {
    let certificates: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(pem).collect();
    match certificates.map_err(|_| invalid("holds PEM that is cut short or damaged; copy the whole file"))? {
        none if none.is_empty() => Err(invalid("holds no certificate in PEM form")),
        certificates => Ok(certificates),
    }
}

/// Reads a whole file.
///
/// # Errors
/// It cannot be opened or read, is not a regular file, or is larger than 1 MiB.
pub(crate) fn read(path: &Path) -> io::Result<Content> {
    // Opening a pipe would wait for its writer, and opening a terminal could make it ours.
    let flags = libc::O_NONBLOCK | libc::O_NOCTTY;
    let file = OpenOptions::new().read(true).custom_flags(flags).open(path)?;
    let about = file.metadata()?;
    if about.is_dir() {
        return Err(io::Error::from(io::ErrorKind::IsADirectory));
    }
    if !about.is_file() {
        return Err(invalid("is not a regular file"));
    }
    // Large enough from the start, so that growing leaves no copy of a secret behind.
    let mut content = Zeroizing::new(Vec::with_capacity(about.len().min(MAX_BYTES) as usize + 1));
    file.take(MAX_BYTES + 1).read_to_end(&mut content)?;
    if content.len() as u64 > MAX_BYTES {
        return Err(invalid("is larger than 1 MiB"));
    }
    Ok(content)
}

/// Reads a whole file off the async workers, and gives up after `limit`.
///
/// # Errors
/// As [`read`], or it takes too long.
pub(crate) async fn read_within(limit: Duration, path: PathBuf) -> io::Result<Content> {
    match timeout(limit, spawn_blocking(move || read(&path))).await {
        Ok(read) => read.map_err(io::Error::other)?,
        Err(_) => Err(io::Error::from(io::ErrorKind::TimedOut)),
    }
}

/// What a file holds is not what belongs there.
pub(crate) fn invalid(message: impl Into<String>) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, message.into())
}
