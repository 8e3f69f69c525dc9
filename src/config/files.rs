//! Files that the configuration names: whether they can be read, and secrets out of them.
//! Messages hold the system's reason and never the path: a key written where its file belongs must not be
//! shown.

use std::fs::{self, File};
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use secrecy::SecretString;
use secrecy::zeroize::Zeroizing;

use super::settings::{Callbacks, Caller};
use super::value::{self, Raw};

/// A secret: its value, or the file that holds it and may change. No `Debug`.
#[derive(Clone)]
pub enum Secret {
    /// The value itself.
    Inline(SecretString),
    /// A file, read again when it changes.
    File(PathBuf),
}

impl Secret {
    /// The secret's value now; a file's may have changed. Line ends at the file's end are not part of it.
    ///
    /// # Errors
    /// The file cannot be read, is empty, or is not UTF-8.
    pub fn read(&self) -> io::Result<SecretString> {
        match self {
            Self::Inline(secret) => Ok(secret.clone()),
            Self::File(path) => read_secret(path),
        }
    }
}

impl Caller {
    /// The hashes of this caller's keys now: those of the configuration, then those of the file.
    ///
    /// # Errors
    /// The file cannot be read, or a line of it is no hash.
    pub fn read_keys(&self) -> io::Result<Vec<[u8; 32]>> {
        let mut keys = self.key_sha256.clone();
        if let Some(path) = &self.key_sha256_file {
            keys.extend(key_file(path)?);
        }
        Ok(keys)
    }
}

impl Callbacks {
    /// The keys of callbacks now.
    ///
    /// # Errors
    /// The file cannot be read, or holds no key.
    pub fn read_keys(&self) -> io::Result<Vec<SecretString>> {
        lines(&self.key_file)
    }
}

/// The most a file may hold: a bundle of every public authority is a quarter of it.
const MAX_FILE: u64 = 1 << 20;

/// The hashes in a file of them.
pub(super) fn key_file(path: &Path) -> io::Result<Vec<[u8; 32]>> {
    key_hashes(utf8(&read(path)?)?)
}

/// A file that can be read. Its contents are somebody else's matter.
pub(super) fn readable(raw: &Raw<'_>) -> Result<PathBuf, String> {
    let path = PathBuf::from(value::text(raw)?);
    open(&path).map_err(|error| cannot_read(&path, &error))?;
    Ok(path)
}

/// A file that holds a secret.
pub(super) fn secret(raw: &Raw<'_>) -> Result<PathBuf, String> {
    let path = PathBuf::from(value::text(raw)?);
    read_secret(&path).map_err(|error| cannot_read(&path, &error))?;
    Ok(path)
}

/// A file with one key a line.
pub(super) fn key_lines(raw: &Raw<'_>) -> Result<PathBuf, String> {
    let path = PathBuf::from(value::text(raw)?);
    lines(&path).map_err(|error| cannot_read(&path, &error))?;
    Ok(path)
}

/// The lines of a file of secrets: at least one, blanks at their ends removed, empty ones left out.
pub(super) fn lines(path: &Path) -> io::Result<Vec<SecretString>> {
    let bytes = read(path)?;
    let lines = utf8(&bytes)?.lines().map(str::trim).filter(|line| !line.is_empty());
    let lines: Vec<_> = lines.map(SecretString::from).collect();
    if lines.is_empty() { Err(invalid("is empty".to_owned())) } else { Ok(lines) }
}

/// The SHA-256 that 64 hexadecimal digits stand for.
pub(super) fn key_hash(text: &str) -> Result<[u8; 32], String> {
    let well_formed = text.len() == 64 && text.bytes().all(|byte| byte.is_ascii_hexdigit());
    if !well_formed {
        let found = text.chars().count();
        return Err(format!(
            "expected 64 hexadecimal digits, found {found} characters; `idv-gateway hash-key` makes them"
        ));
    }
    let mut hash = [0; 32];
    for (index, byte) in hash.iter_mut().enumerate() {
        *byte = u8::from_str_radix(&text[index * 2..index * 2 + 2], 16).map_err(|error| error.to_string())?;
    }
    if hash == SHA256_OF_NOTHING {
        return Err("is the hash of an empty key; was the key unset when it was hashed?".to_owned());
    }
    Ok(hash)
}

/// What an unset shell variable hashes to.
const SHA256_OF_NOTHING: [u8; 32] = [
    0xe3, 0xb0, 0xc4, 0x42, 0x98, 0xfc, 0x1c, 0x14, 0x9a, 0xfb, 0xf4, 0xc8, 0x99, 0x6f, 0xb9, 0x24, 0x27,
    0xae, 0x41, 0xe4, 0x64, 0x9b, 0x93, 0x4c, 0xa4, 0x95, 0x99, 0x1b, 0x78, 0x52, 0xb8, 0x55,
];

/// The hashes of a key file: one a line; `#` starts a comment.
fn key_hashes<'t>(text: &'t str) -> io::Result<Vec<[u8; 32]>> {
    let without_comment = |line: &'t str| line.split('#').next().unwrap_or_default().trim();
    let lines = text.lines().enumerate().map(|(index, line)| (index + 1, without_comment(line)));
    let hash =
        |(number, line)| key_hash(line).map_err(|message| invalid(format!("line {number}: {message}")));
    lines.filter(|(_, line)| !line.is_empty()).map(hash).collect()
}

fn read_secret(path: &Path) -> io::Result<SecretString> {
    let bytes = read(path)?;
    match utf8(&bytes)?.trim_end_matches(['\r', '\n']) {
        "" => Err(invalid("is empty".to_owned())),
        secret => Ok(SecretString::from(secret)),
    }
}

/// The whole of a file, no larger than one may be.
fn read(path: &Path) -> io::Result<Zeroizing<Vec<u8>>> {
    let file = open(path)?;
    // Made large enough to stay where it is while it is filled.
    let mut bytes = Zeroizing::new(Vec::with_capacity(file.metadata()?.len() as usize + 1));
    file.take(MAX_FILE).read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// Opens a file that is one: a pipe would be waited for until somebody writes, a device may have no end.
fn open(path: &Path) -> io::Result<File> {
    let about = fs::metadata(path)?;
    if about.is_dir() {
        return Err(io::Error::from(io::ErrorKind::IsADirectory));
    }
    if !about.is_file() {
        return Err(invalid("is no regular file".to_owned()));
    }
    if about.len() > MAX_FILE {
        return Err(invalid(format!("is larger than {}", value::show_bytes(MAX_FILE))));
    }
    File::open(path)
}

fn utf8(bytes: &[u8]) -> io::Result<&str> {
    str::from_utf8(bytes).map_err(|_| invalid("is not UTF-8 text".to_owned()))
}

fn cannot_read(path: &Path, error: &io::Error) -> String {
    let from = if path.is_absolute() { "" } else { " (a relative path starts at the working directory)" };
    format!("the file cannot be used: {error}{from}")
}

fn invalid(message: String) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, message)
}

#[cfg(test)]
mod tests {
    use secrecy::ExposeSecret;

    use super::super::testing::TempFile;
    use super::*;

    #[test]
    fn a_secret_file_loses_its_line_end_and_nothing_else() {
        let file = TempFile::new("secret", " a-key \r\n\n");
        let secret = Secret::File(file.path().to_owned()).read().unwrap();
        assert_eq!(secret.expose_secret(), " a-key ");
    }

    #[test]
    fn an_empty_or_missing_secret_file_is_an_error() {
        let file = TempFile::new("empty-secret", "\n");
        let error = Secret::File(file.path().to_owned()).read().err().unwrap();
        assert!(error.to_string().contains("is empty"));
        assert!(Secret::File("/nonexistent/key".into()).read().is_err());
    }

    #[test]
    fn a_key_file_has_a_hash_a_line_and_comments() {
        let text = format!("# rotated\n{}\n\n  {} # new\r\n", "ab".repeat(32), "CD".repeat(32));
        assert_eq!(key_hashes(&text).unwrap(), [[0xab; 32], [0xcd; 32]]);
        let message =
            key_hashes(&format!("{}\nnot-a-hash-but-the-key", "ab".repeat(32))).unwrap_err().to_string();
        assert!(message.contains("line 2") && !message.contains("not-a-hash"), "{message}");
    }

    #[test]
    fn the_hash_of_nothing_is_refused() {
        let nothing: String = SHA256_OF_NOTHING.iter().map(|byte| format!("{byte:02x}")).collect();
        assert!(key_hash(&nothing).unwrap_err().contains("empty key"));
    }
}
