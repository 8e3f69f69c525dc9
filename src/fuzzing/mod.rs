//! What must hold for every byte that others send us: one function a reader, which panics if something does not.
//!
//! No part of the program. Tests feed these functions the corpus under `fuzz/corpus` and mutations of it; the targets
//! under `fuzz/` feed them to libFuzzer. What holds is said without a word of the code that is judged.

mod config_file;
mod header_values;
mod request_head;
mod upstream_body;

pub use config_file::config_file;
pub use header_values::header_values;
#[cfg(test)]
pub(crate) use request_head::open_site;
pub use request_head::request_head;
pub use upstream_body::upstream_body;

/// What a plain word of the wire is made of: ids, request ids, transaction ids.
fn is_plain(text: &str, marks: &[u8]) -> bool {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || marks.contains(&byte);
    (1..=64).contains(&text.len()) && text.bytes().all(is_plain)
}

#[cfg(test)]
mod tests;
