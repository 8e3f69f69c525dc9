//! `[[regions]]`: the upstream hosts, their keys and limits. Knows nothing of callers.

use std::collections::HashMap;
use std::time::Duration;

use secrecy::SecretString;

use crate::domain::region::{MAX_REGIONS, RegionName};

use super::files::{self, Secret};
use super::reader::{Section, Setting};
use super::settings::{Region, Request};
use super::url::{Url, base_url};
use super::value::{Raw, boolean, duration, show_duration, text, whole};

/// `token_period` where none is given.
pub(super) const TOKEN_PERIOD: Duration = Duration::from_secs(3600);
/// `concurrency` where none is given.
pub(super) const CONCURRENCY: u32 = 64;
/// `attempt_timeout` where none is given.
pub(super) const ATTEMPT_TIMEOUT: Duration = Duration::from_secs(4);

const MIN_TOKEN_PERIOD: Duration = Duration::from_secs(60);
const MAX_TOKEN_PERIOD: Duration = Duration::from_secs(24 * 3600);
const MIN_ATTEMPT: Duration = Duration::from_millis(10);
const MAX_ATTEMPT: Duration = Duration::from_secs(60);

/// The regions as far as they are right.
#[derive(Default)]
pub(super) struct Found {
    /// Every region; `None` if one of them is wrong.
    pub(super) regions: Option<Vec<Region>>,
    /// Every name; `None` if one of them is wrong.
    pub(super) names: Option<Vec<RegionName>>,
}

pub(super) fn regions(root: &mut Section<'_>, request: Option<&Request>) -> Found {
    let sections = match root.subsections("regions") {
        Setting::Wrong => return Found::default(),
        Setting::Absent => Vec::new(),
        Setting::Given(sections) => sections,
    };
    if sections.is_empty() {
        root.mistake(
            "regions",
            "at least one is needed: write [[regions]], its name and the account's keys for it",
        );
        return Found::default();
    }
    if sections.len() > MAX_REGIONS {
        root.mistake("regions", &format!("found {}, at most {MAX_REGIONS} are possible", sections.len()));
    }
    let mut taken = Taken::default();
    let (names, regions): (Vec<_>, Vec<_>) =
        sections.into_iter().map(|section| region(section, &mut taken, request)).unzip();
    Found { regions: regions.into_iter().collect(), names: names.into_iter().collect() }
}

/// What the regions above have taken, and where.
#[derive(Default)]
struct Taken {
    names: HashMap<RegionName, String>,
    hosts: HashMap<Url, String>,
}

fn region(
    mut section: Section<'_>,
    taken: &mut Taken,
    request: Option<&Request>,
) -> (Option<RegionName>, Option<Region>) {
    let name = name(&mut section, taken);
    let allow_http = section.read("allow_http", boolean).or(false);
    let base_url = own_base_url(&mut section, name.as_ref(), allow_http, taken);
    let token_url = token_url(&mut section, base_url.as_ref(), allow_http);
    let access_key = secret(&mut section, "access_key", "access_key_file");
    let secret_key = secret(&mut section, "secret_key", "secret_key_file");
    let token_period = section.read("token_period", token_period).or(TOKEN_PERIOD);
    let concurrency = section.read("concurrency", whole(1..=4096)).or(CONCURRENCY);
    let attempt_timeout = attempt_timeout(&mut section, request);
    let ca_file = section.read("ca_file", files::readable).optional();
    section.finish();
    let region = |name| {
        Some(Region {
            name,
            base_url: base_url?.to_string(),
            token_url: token_url?.to_string(),
            access_key: access_key?,
            secret_key: secret_key?,
            token_period: token_period?,
            concurrency: usize::try_from(concurrency?).ok()?,
            attempt_timeout: attempt_timeout?,
            ca_file: ca_file?,
            allow_http: allow_http?,
        })
    };
    (name.clone(), name.and_then(region))
}

fn name(section: &mut Section<'_>, taken: &mut Taken) -> Option<RegionName> {
    let parse = |raw: &Raw<'_>| {
        RegionName::parse(raw.text()?).ok_or_else(|| "expected 1 to 32 of a-z, 0-9 and -".to_owned())
    };
    let name = section.required("name", parse, "write a short name, such as \"my\"")?;
    if let Some(other) = taken.names.insert(name.clone(), section.path_of("")) {
        section.mistake("name", &format!("is the name of {other} too; give every region its own"));
    }
    Some(name)
}

fn own_base_url(
    section: &mut Section<'_>,
    name: Option<&RegionName>,
    allow_http: Option<bool>,
    taken: &mut Taken,
) -> Option<Url> {
    let preset = name.and_then(RegionName::preset_base_url);
    let url = match section.read("base_url", base_url) {
        Setting::Wrong => return None,
        Setting::Given(url) => url,
        Setting::Absent => match preset {
            Some(preset) => base_url(&Raw { value: &preset.into(), from_env: false }).ok()?,
            None if name.is_none() => return None,
            None => {
                section.mistake(
                    "base_url",
                    "missing; only id, sg, my, th, ph and vn know theirs: write the upstream's URL",
                );
                return None;
            }
        },
    };
    refuse_http(section, "base_url", &url, allow_http);
    if let Some(other) = taken.hosts.insert(url.clone(), section.path_of("")) {
        section.mistake("base_url", &format!("is that of {other} too; one upstream is one region"));
    }
    Some(url)
}

fn token_url(section: &mut Section<'_>, default: Option<&Url>, allow_http: Option<bool>) -> Option<Url> {
    match section.read("token_url", base_url) {
        Setting::Absent => default.cloned(),
        Setting::Wrong => None,
        Setting::Given(url) => {
            refuse_http(section, "token_url", &url, allow_http);
            Some(url)
        }
    }
}

fn refuse_http(section: &Section<'_>, key: &str, url: &Url, allow_http: Option<bool>) {
    if !url.is_https() && allow_http == Some(false) {
        section.mistake(
            key,
            "http would show keys and people to the network; write https, or allow_http = true for a sandbox",
        );
    }
}

fn secret(section: &mut Section<'_>, key: &'static str, file_key: &'static str) -> Option<Secret> {
    let inline = section.read(key, |raw| text(raw).map(|text| Secret::Inline(SecretString::from(text))));
    let file = section.read(file_key, |raw| files::secret(raw).map(Secret::File));
    section.one_of((file_key, file), (key, inline))
}

fn token_period(raw: &Raw<'_>) -> Result<Duration, String> {
    let period = duration(MIN_TOKEN_PERIOD..=MAX_TOKEN_PERIOD)(raw)?;
    if period.subsec_nanos() == 0 {
        Ok(period)
    } else {
        Err("expected whole seconds, such as \"90s\"".to_owned())
    }
}

fn attempt_timeout(section: &mut Section<'_>, request: Option<&Request>) -> Option<Duration> {
    let timeout = section.read("attempt_timeout", duration(MIN_ATTEMPT..=MAX_ATTEMPT)).optional()?;
    let fill = request.map_or(MAX_ATTEMPT, |request| request.fill_timeout);
    if timeout.is_some_and(|timeout| timeout > fill) {
        let fill = show_duration(fill);
        section.mistake(
            "attempt_timeout",
            &format!("is longer than request.fill_timeout ({fill}); lower it, or raise that"),
        );
    }
    Some(timeout.unwrap_or(ATTEMPT_TIMEOUT.min(fill)))
}

#[cfg(test)]
mod tests {
    use super::super::testing::{CALLER, found, parsed};
    use super::*;

    const KEYS: &str = "access_key = \"ak\"\nsecret_key = \"sk\"\n";

    fn regions_of(regions: &str) -> Vec<Region> {
        parsed(&format!("{regions}\n{CALLER}"), &[]).unwrap().regions
    }

    /// The mistakes of a region `my` with these further lines.
    fn expect(table: &[(&str, &str, &str)]) {
        for (lines, key, fragment) in table {
            let mistakes = found(&format!("[[regions]]\n{lines}\n{CALLER}"), &[]);
            let hit =
                mistakes.iter().any(|mistake| mistake.key == *key && mistake.message.contains(fragment));
            assert!(hit, "{lines}: expected {key}: {fragment}, found {mistakes:?}");
        }
    }

    #[test]
    fn a_preset_needs_a_name_and_keys_alone() {
        for name in ["id", "sg", "my", "th", "ph", "vn"] {
            let region = regions_of(&format!("[[regions]]\nname = \"{name}\"\n{KEYS}")).remove(0);
            assert!(region.base_url.ends_with("api.advance.ai") && region.token_url == region.base_url);
            assert_eq!((region.concurrency, region.token_period), (64, TOKEN_PERIOD));
            assert_eq!((region.attempt_timeout, region.allow_http), (ATTEMPT_TIMEOUT, false));
        }
    }

    #[test]
    fn urls_lose_their_slash_and_keep_their_order() {
        let text = format!(
            "[[regions]]\nname = \"b\"\nbase_url = \"http://127.0.0.1:9100/b/\"\nallow_http = true\n{KEYS}\
             [[regions]]\nname = \"a\"\nbase_url = \"https://A.example\"\n\
             token_url = \"https://t.example/\"\n{KEYS}"
        );
        let regions = regions_of(&text);
        let urls: Vec<_> =
            regions.iter().map(|region| (region.base_url.as_str(), region.token_url.as_str())).collect();
        assert_eq!(
            urls,
            [
                ("http://127.0.0.1:9100/b", "http://127.0.0.1:9100/b"),
                ("https://a.example", "https://t.example")
            ]
        );
    }

    #[test]
    fn bad_regions_are_named() {
        expect(&[
            ("", "regions[0].name", "missing"),
            ("name = \"My\"", "regions[0].name", "a-z"),
            ("name = \"xx\"", "regions[0].base_url", "missing"),
            ("name = \"my\"", "regions[0].access_key_file", "missing; write access_key_file or access_key"),
            ("name = \"my\"", "regions[0].secret_key_file", "missing"),
            ("access_key = \"\"", "regions[0].access_key", "is empty"),
            ("access_key = 1", "regions[0].access_key", "expected text"),
            ("access_key_file = \"/nonexistent/key\"", "regions[0].access_key_file", "No such file"),
            (
                "access_key = \"a\"\naccess_key_file = \"Cargo.toml\"",
                "regions[0].access_key_file",
                "keep one",
            ),
            ("secret_key_file = \"/\"", "regions[0].secret_key_file", "irectory"),
            ("base_url = \"http://api.example\"", "regions[0].base_url", "allow_http = true"),
            ("token_url = \"http://api.example\"", "regions[0].token_url", "allow_http = true"),
            ("base_url = \"https://u:p@api.example\"", "regions[0].base_url", "password"),
            ("base_url = \"https://api.example?a\"", "regions[0].base_url", "query"),
            ("concurrency = 5000", "regions[0].concurrency", "from 1 to 4096"),
            ("attempt_timeout = \"61s\"", "regions[0].attempt_timeout", "from 10ms to 1m"),
            ("attempt_timeout = \"16s\"", "regions[0].attempt_timeout", "request.fill_timeout (15s)"),
            ("token_period = \"30s\"", "regions[0].token_period", "from 1m to 24h"),
            ("token_period = \"60001ms\"", "regions[0].token_period", "whole seconds"),
            ("ca_file = \"/nonexistent\"", "regions[0].ca_file", "No such file"),
            ("allow_http = \"true\"", "regions[0].allow_http", "without quotes"),
            ("acces_key = \"hunter2\"", "regions[0].acces_key", "did you mean `access_key`?"),
        ]);
    }

    #[test]
    fn two_regions_share_neither_name_nor_host() {
        let region =
            |name: &str, url: &str| format!("[[regions]]\nname = \"{name}\"\nbase_url = \"{url}\"\n{KEYS}");
        let text = [
            region("my", "https://my-api.advance.ai"),
            region("my", "https://b.example"),
            region("c", "https://MY-api.advance.ai:443/"),
        ];
        let mistakes = found(&format!("{}{CALLER}", text.concat()), &[]);
        let keys: Vec<_> = mistakes.iter().map(|mistake| mistake.key.as_str()).collect();
        assert_eq!(keys, ["regions[1].name", "regions[2].base_url"]);
        assert!(mistakes.iter().all(|mistake| mistake.message.contains("regions[0]")), "{mistakes:?}");
    }

    #[test]
    fn there_are_one_to_sixty_four_regions() {
        assert_eq!(found(CALLER, &[])[0].key, "regions");
        let region = |index| {
            format!("[[regions]]\nname = \"r{index}\"\nbase_url = \"https://r{index}.example\"\n{KEYS}")
        };
        let many = |count| (0..count).map(region).collect::<String>() + CALLER;
        assert!(parsed(&many(64), &[]).is_ok());
        assert!(found(&many(65), &[])[0].message.contains("found 65, at most 64"));
    }
}
