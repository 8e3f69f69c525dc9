//! Secrets, given as text or in a file, and the other files that the configuration names. One rule for every secret: a
//! byte order mark, blanks at either end and a final line break are removed; anything else that is not printable ASCII is
//! refused.

use std::io;
use std::path::{Path, PathBuf};

use rustls::pki_types::PrivateKeyDer;
use rustls::pki_types::pem::PemObject;
use secrecy::SecretString;

use super::reader::Section;
use super::value::{Parsed, Raw, text};
use crate::files::{self, invalid};
use crate::settings::Secret;

impl Secret {
    /// Its value now.
    ///
    /// # Errors
    /// The file cannot be read, or does not hold one line of printable ASCII.
    pub fn read(&self) -> io::Result<SecretString> {
        match self {
            Self::Inline(_, secret) => Ok(secret.clone()),
            Self::File(_, path) => secret(&files::read(path)?),
        }
    }
}

/// The secret that is all of a file.
///
/// # Errors
/// It is not one line of printable ASCII.
pub fn secret(content: &[u8]) -> io::Result<SecretString> {
    line(text_of(content)?).map(SecretString::from).map_err(invalid)
}

/// The secrets in a file, one a line; empty lines and comments (`#`) are left out.
///
/// # Errors
/// There is none, or a line is not printable ASCII.
pub fn secrets(content: &[u8]) -> io::Result<Vec<SecretString>> {
    let is_secret = |text: &str| !text.trim_matches(BLANKS).is_empty() && !text.starts_with('#');
    let lines = text_of(content)?.lines().enumerate().filter(|(_, text)| is_secret(text));
    let secret = |(index, text)| {
        let named = |message| invalid(format!("line {}: {message}", index + 1));
        line(text).map(SecretString::from).map_err(named)
    };
    let secrets: Vec<_> = lines.map(secret).collect::<io::Result<_>>()?;
    if secrets.is_empty() { Err(invalid("is empty")) } else { Ok(secrets) }
}

/// A secret that is given under one of two keys, in a file or as text, and that passes the check.
pub(super) fn either(
    section: &mut Section<'_>,
    [file, inline]: [&'static str; 2],
    check: impl Fn(&SecretString) -> Parsed<()>,
) -> Secret {
    let in_file = |raw: &Raw| {
        let path = parsed_file(raw, |content| check(&secret(content)?).map_err(invalid))?;
        Ok(Secret::File(file, path))
    };
    let as_text = |raw: &Raw| {
        let secret = SecretString::from(line(raw.text()?)?);
        check(&secret).map(|()| Secret::Inline(inline, secret))
    };
    section.one_of((file, in_file), (inline, as_text)).unwrap_or_default()
}

/// A file whose content `parse` accepts, and which may be a secret.
pub(super) fn parsed_file<T>(raw: &Raw, parse: impl FnOnce(&[u8]) -> io::Result<T>) -> Parsed<PathBuf> {
    let path = PathBuf::from(text(raw)?);
    match files::read(&path).and_then(|content| parse(&content)) {
        Ok(_) => Ok(path),
        // What has no slash may be the secret itself, written where its file belongs.
        Err(error) if !path.to_string_lossy().contains('/') => Err(format!("cannot use this file: {error}")),
        Err(error) => Err(cannot_use(&path, &error)),
    }
}

/// A file that can be read. What it must hold is checked where it is used.
pub(super) fn readable(raw: &Raw) -> Parsed<PathBuf> {
    public_file(raw, |_| Ok(()))
}

/// A PEM file that holds certificates.
pub(super) fn certificates(raw: &Raw) -> Parsed<PathBuf> {
    public_file(raw, |content| files::certificates(content).map(drop))
}

/// A PEM file that holds a private key.
pub(super) fn private_key(raw: &Raw) -> Parsed<PathBuf> {
    public_file(raw, |content| match PrivateKeyDer::from_pem_slice(content) {
        Ok(_) => Ok(()),
        Err(_) => Err(invalid("holds no private key in PEM form")),
    })
}

/// A file whose content `parse` accepts.
fn public_file(raw: &Raw, parse: impl FnOnce(&[u8]) -> io::Result<()>) -> Parsed<PathBuf> {
    let path = PathBuf::from(text(raw)?);
    let content = files::read(&path).and_then(|content| parse(&content));
    content.map(|()| path.clone()).map_err(|error| cannot_use(&path, &error))
}

fn cannot_use(path: &Path, error: &io::Error) -> String {
    let from = if path.is_absolute() { "" } else { " (a relative path starts at the working directory)" };
    format!("cannot use {}: {error}{from}", path.display())
}

/// What editors and shells leave around a secret.
const BLANKS: [char; 4] = [' ', '\t', '\r', '\n'];

/// One line without blanks around it.
fn line(text: &str) -> Parsed<&str> {
    let line = text.strip_prefix('\u{feff}').unwrap_or(text).trim_matches(BLANKS);
    if line.is_empty() {
        return Err("is empty".to_owned());
    }
    match line.chars().find(|letter| !(' '..='~').contains(letter)) {
        None => Ok(line),
        Some('\n' | '\r') => Err("holds more than one line; keep one".to_owned()),
        Some(letter) => Err(format!(
            "holds a character that is not printable ASCII (U+{:04X}); remove it",
            u32::from(letter)
        )),
    }
}

pub(super) fn text_of(content: &[u8]) -> io::Result<&str> {
    str::from_utf8(content).map_err(|_| invalid("is not UTF-8 text"))
}

#[cfg(test)]
mod tests {
    use secrecy::ExposeSecret;

    use super::*;

    #[test]
    fn a_secret_is_one_line_of_printable_ascii() {
        for good in ["a-key", "a-key\n", "a-key\r\n", "\u{feff}a-key", " \ta-key \n\n", "\u{feff} a-key\r\n"]
        {
            assert_eq!(secret(good.as_bytes()).unwrap().expose_secret(), "a-key", "{good:?}");
        }
        assert_eq!(secret(b"two words").unwrap().expose_secret(), "two words");
        let bad = [
            ("", "is empty"),
            ("\u{feff}\n", "is empty"),
            ("one\ntwo\n", "more than one line"),
            ("one\rtwo", "more than one line"),
            ("a\0b", "U+0000"),
            ("a\tb", "U+0009"),
            ("a-key\u{a0}", "U+00A0"),
            ("\u{2028}a-key", "U+2028"),
            ("\u{feff}\u{feff}a-key", "U+FEFF"),
            ("a-key\u{200b}", "U+200B"),
            ("a\u{feff}b", "U+FEFF"),
            ("a\u{ad}b", "U+00AD"),
            ("a\u{a0}b", "U+00A0"),
            ("a\u{e0041}", "U+E0041"),
            ("k\u{e9}y", "U+00E9"),
        ];
        for (text, fragment) in bad {
            let message = secret(text.as_bytes()).err().unwrap_or_else(|| panic!("{text:?}")).to_string();
            assert!(message.contains(fragment), "{text:?}: {message}");
        }
        assert!(secret(b"\xff\xfea\0").err().unwrap().to_string().contains("UTF-8"));
    }

    #[test]
    fn a_file_may_hold_several_secrets() {
        let read = |text: &str| {
            let secrets = secrets(text.as_bytes()).map_err(|error| error.to_string())?;
            Ok::<_, String>(
                secrets.iter().map(|secret| secret.expose_secret().to_owned()).collect::<Vec<_>>(),
            )
        };
        assert_eq!(read("\u{feff}one\r\n\n# of the vendor\n two \n").unwrap(), ["one", "two"]);
        assert_eq!(read("\n").unwrap_err(), "is empty");
        assert!(read("one\nt\u{200b}wo").unwrap_err().starts_with("line 2: "));
    }
}
