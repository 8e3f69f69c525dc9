//! What must hold for all bytes that others send: one function for each reader, which panics if something does not hold.
//!
//! No part of the program. Tests feed these functions the corpus under `fuzz/corpus` and mutations of it; the targets
//! under `fuzz/` feed them what libFuzzer invents. The rules share no code with what they check.

mod config_file;
mod header_values;
mod request_head;
mod upstream_body;

pub use config_file::config_file;
pub use header_values::header_values;
pub use request_head::request_head;
#[cfg(test)]
pub(crate) use request_head::site;
#[cfg(test)]
pub(crate) use upstream_body::is_clean_pass;
pub use upstream_body::{normalise, render, upstream_body};

/// Whether a text is made of letters, digits and these marks, as ids, request ids and transaction ids are.
fn is_plain(text: &str, marks: &[u8]) -> bool {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || marks.contains(&byte);
    (1..=64).contains(&text.len()) && text.bytes().all(is_plain)
}

#[cfg(test)]
mod tests;
