//! Configurations for the tests of this module. The people, keys and hosts are invented.

use std::fs;
use std::path::{Path, PathBuf};

use super::{Config, Mistake, Mistakes, Place, parse};

/// A region that is right.
pub(super) const REGION: &str =
    "\n[[regions]]\nname = \"my\"\naccess_key = \"invented-access\"\nsecret_key = \"invented-secret\"\n";

/// A caller that is right.
pub(super) const CALLER: &str = "\n[[callers]]\nname = \"onboarding\"\nkey_sha256 = \
                                 \"1111111111111111111111111111111111111111111111111111111111111111\"\n";

/// A file that is gone at the end of the test.
pub(super) struct TempFile(PathBuf);

impl TempFile {
    pub(super) fn new(name: &str, text: &str) -> Self {
        let path = std::env::temp_dir().join(format!("idv-config-{}-{name}", std::process::id()));
        fs::write(&path, text).unwrap();
        Self(path)
    }

    pub(super) fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for TempFile {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.0);
    }
}

pub(super) fn parsed(text: &str, env: &[(&str, &str)]) -> Result<Config, Mistakes> {
    let env: Vec<_> = env.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
    parse("gateway.toml", text, &env)
}

/// A right configuration with `text` before it.
pub(super) fn given(text: &str) -> Result<Config, Mistakes> {
    parsed(&format!("{text}\n{REGION}{CALLER}"), &[])
}

/// The mistakes of a wrong configuration.
pub(super) fn found(text: &str, env: &[(&str, &str)]) -> Vec<Mistake> {
    parsed(text, env).err().map(|mistakes| mistakes.mistakes).unwrap_or_default()
}

/// The key, or the variable, at which a mistake is.
pub(super) fn key(mistake: &Mistake) -> &str {
    match &mistake.place {
        Place::File { .. } => "",
        Place::Key { path, .. } => path,
        Place::Variable(name) => name,
    }
}

/// The keys of the mistakes of a wrong configuration.
pub(super) fn keys(text: &str) -> Vec<String> {
    found(text, &[]).iter().map(|mistake| key(mistake).to_owned()).collect()
}

/// Each text, before a right configuration, makes the mistake at that key with that fragment.
pub(super) fn expect_mistakes(table: &[(&str, &str, &str)]) {
    expect_mistakes_of(|text| format!("{text}\n{REGION}{CALLER}"), table);
}

/// The same with the texts in configurations that `whole` makes.
pub(super) fn expect_mistakes_of(whole: impl Fn(&str) -> String, table: &[(&str, &str, &str)]) {
    for (text, wrong, fragment) in table {
        let mistakes = found(&whole(text), &[]);
        let hit = mistakes.iter().any(|mistake| key(mistake) == *wrong && mistake.message.contains(fragment));
        assert!(hit, "{text}: expected {wrong}: {fragment}, found {mistakes:?}");
    }
}
