//! `[[regions]]`: the upstream's hosts, our keys for them and the limits towards them.

use std::ops::RangeInclusive;
use std::time::Duration;

use secrecy::ExposeSecret;
use url::Url;

use super::reader::{Section, Unique};
use super::secret::{self, certificates};
use super::url::{base_url, show};
use super::value::{Parsed, Raw, boolean, duration, whole};
use crate::domain::region::{MAX_REGIONS, RegionName};
use crate::settings::{Region, Request};

const ATTEMPT_TIMEOUT: Duration = Duration::from_secs(4);
const ATTEMPTS: RangeInclusive<Duration> = Duration::from_millis(10)..=Duration::from_secs(60);
const TOKEN_PERIODS: RangeInclusive<Duration> = Duration::from_secs(60)..=Duration::from_secs(24 * 3600);

/// The regions; `None` for one whose name is wrong.
pub(super) fn regions(root: &mut Section<'_>, request: &Request) -> Vec<Option<Region>> {
    let mut names = Unique::new();
    let mut regions: Vec<Option<Region>> = Vec::new();
    root.sections("regions", |section| {
        let region = region(section, request, &mut names);
        let mut others = regions.iter().flatten();
        if region.as_ref().is_some_and(|region| others.any(|other| is_same_account(other, region))) {
            let message =
                "another region has this base_url and access key; use another account, or remove it";
            section.mistake("base_url", message);
        }
        regions.push(region);
    });
    match regions.len() {
        0 => root.missing("regions", "write [[regions]], a name and the account's keys for it"),
        1..=MAX_REGIONS => {}
        count => root.mistake("regions", &format!("found {count}, at most {MAX_REGIONS} are possible")),
    }
    regions
}

/// One region; `None` if its name is wrong.
fn region(section: &mut Section<'_>, request: &Request, names: &mut Unique<RegionName>) -> Option<Region> {
    let name = section.required("name", name, "write a short name, such as \"my\"");
    if let Some(name) = name.clone() {
        names.claim(section, "name", name);
    }
    let allow_http = section.read("allow_http", boolean).unwrap_or(false);
    let own_url = own_base_url(section, name.as_ref());
    refuse_http(section, "base_url", own_url.as_ref(), allow_http);
    let token_url = section.read("token_url", base_url);
    refuse_http(section, "token_url", token_url.as_ref(), allow_http);
    let base_url = own_url.as_ref().map(show).unwrap_or_default();
    Some(Region {
        token_url: token_url.as_ref().map_or_else(|| base_url.clone(), show),
        base_url,
        access_key: secret::either(section, ["access_key_file", "access_key"], |_| Ok(())),
        secret_key: secret::either(section, ["secret_key_file", "secret_key"], |_| Ok(())),
        token_period: section.read("token_period", token_period).unwrap_or(Duration::from_secs(3600)),
        concurrency: section.read("concurrency", whole(1..=4096)).unwrap_or(64) as usize,
        attempt_timeout: attempt_timeout(section, request),
        ca_file: section.read("ca_file", certificates),
        allow_http,
        // Last, when every other key has been read.
        name: name?,
    })
}

fn name(raw: &Raw) -> Parsed<RegionName> {
    RegionName::parse(raw.text()?).ok_or_else(|| "expected 1 to 32 of a-z, 0-9 and -".to_owned())
}

fn own_base_url(section: &mut Section<'_>, name: Option<&RegionName>) -> Option<Url> {
    let is_given = section.has("base_url");
    let given = section.read("base_url", base_url);
    if is_given {
        return given;
    }
    let preset = name?.preset_base_url().and_then(|url| Url::parse(url).ok());
    if preset.is_none() {
        section.missing("base_url", "only id, sg, my, th, ph and vn know theirs: write the upstream's URL");
    }
    preset
}

fn refuse_http(section: &Section<'_>, key: &str, url: Option<&Url>, allow_http: bool) {
    if !allow_http && url.is_some_and(|url| url.scheme() == "http") {
        let message = "http would send keys and personal data in clear; write https, or allow_http = true for a sandbox";
        section.notes().conflict(&section.path_of(key), &section.path_of("allow_http"), message);
    }
}

fn token_period(raw: &Raw) -> Parsed<Duration> {
    let period = duration(TOKEN_PERIODS)(raw)?;
    let is_whole = period.subsec_nanos() == 0;
    if is_whole { Ok(period) } else { Err("expected whole seconds, such as \"90s\"".to_owned()) }
}

fn attempt_timeout(section: &mut Section<'_>, request: &Request) -> Duration {
    let fill_timeout = request.fill_timeout;
    let timeout = section.read("attempt_timeout", duration(ATTEMPTS));
    let timeout = timeout.unwrap_or(ATTEMPT_TIMEOUT.min(fill_timeout));
    let path = section.path_of("attempt_timeout");
    section.notes().at_most((&path, timeout), ("request.fill_timeout", fill_timeout));
    timeout
}

/// Whether two regions are one account of one host. Keys that are wrong by themselves are empty.
fn is_same_account(a: &Region, b: &Region) -> bool {
    let key = |region: &Region| region.access_key.read().ok().filter(|key| !key.expose_secret().is_empty());
    let keys = key(a).zip(key(b));
    a.base_url == b.base_url && keys.is_some_and(|(a, b)| a.expose_secret() == b.expose_secret())
}

#[cfg(test)]
mod tests {
    use super::super::testing::{CALLER, TempFile, expect_mistakes_of, keys, parsed};
    use super::*;

    const KEYS: &str = "access_key = \"ak\"\nsecret_key = \"sk\"\n";

    fn regions_of(regions: &str) -> Vec<Region> {
        parsed(&format!("{regions}\n{CALLER}"), &[]).unwrap().regions
    }

    #[test]
    fn a_preset_needs_only_a_name_and_keys() {
        for name in ["id", "sg", "my", "th", "ph", "vn"] {
            let region = regions_of(&format!("[[regions]]\nname = \"{name}\"\n{KEYS}")).remove(0);
            assert!(region.base_url.ends_with("api.advance.ai") && region.token_url == region.base_url);
            assert_eq!((region.concurrency, region.token_period), (64, Duration::from_secs(3600)));
            assert_eq!((region.attempt_timeout, region.allow_http), (ATTEMPT_TIMEOUT, false));
        }
    }

    #[test]
    fn urls_lose_their_slash_and_regions_keep_their_order() {
        let text = format!(
            "[[regions]]\nname = \"b\"\nbase_url = \"http://127.0.0.1:8090/b/\"\nallow_http = true\n{KEYS}\
             [[regions]]\nname = \"a\"\nbase_url = \"https://A.example\"\n\
             token_url = \"https://t.example/\"\n{KEYS}"
        );
        let regions = regions_of(&text);
        let urls: Vec<_> =
            regions.iter().map(|region| (region.base_url.as_str(), region.token_url.as_str())).collect();
        let expected = [
            ("http://127.0.0.1:8090/b", "http://127.0.0.1:8090/b"),
            ("https://a.example", "https://t.example"),
        ];
        assert_eq!(urls, expected);
    }

    #[test]
    fn bad_regions_are_named() {
        expect_mistakes_of(
            |lines| format!("[[regions]]\n{lines}\n{CALLER}"),
            &[
                ("", "regions[0].name", "missing"),
                ("name = \"My\"", "regions[0].name", "a-z"),
                ("name = \"xx\"", "regions[0].base_url", "missing"),
                (
                    "name = \"my\"",
                    "regions[0].access_key_file",
                    "missing; write access_key_file or access_key",
                ),
                ("name = \"my\"", "regions[0].secret_key_file", "missing"),
                ("access_key = \"\"", "regions[0].access_key", "is empty"),
                ("access_key = 1", "regions[0].access_key", "expected text"),
                ("access_key = \"a\\u200B\"", "regions[0].access_key", "U+200B"),
                (
                    "access_key_file = \"/nonexistent/key\"",
                    "regions[0].access_key_file",
                    "/nonexistent/key: No such file",
                ),
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
            ],
        );
    }

    #[test]
    fn two_regions_share_neither_a_name_nor_an_account() {
        let file = TempFile::new("account", "\u{feff}ak \n");
        let region = |name: &str, url: &str, key: &str| {
            format!("[[regions]]\nname = \"{name}\"\nbase_url = \"{url}\"\n{key}\nsecret_key = \"sk\"\n")
        };
        let text = [
            region("my", "https://my-api.advance.ai", "access_key = \"ak\""),
            region("my", "https://b.example", "access_key = \"ak\""),
            region("c", "https://MY-api.advance.ai:443/", "access_key = \"another\""),
            region(
                "d",
                "https://my-api.advance.ai",
                &format!("access_key_file = \"{}\"", file.path().display()),
            ),
        ];
        assert_eq!(keys(&format!("{}{CALLER}", text.concat())), ["regions[1].name", "regions[3].base_url"]);
    }

    #[test]
    fn there_are_one_to_sixty_four_regions() {
        assert_eq!(keys(CALLER), ["regions"]);
        let region = |index| {
            format!("[[regions]]\nname = \"r{index}\"\nbase_url = \"https://r{index}.example\"\n{KEYS}")
        };
        let many = |count| (0..count).map(region).collect::<String>() + CALLER;
        assert!(parsed(&many(64), &[]).is_ok());
        assert_eq!(keys(&many(65)), ["regions"]);
    }
}
