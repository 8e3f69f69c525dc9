//! Links to images and videos: which ones are passed on, and how long they are valid.

use std::borrow::Cow;

use hyper::http::uri::Authority;
use jiff::{SignedDuration, Timestamp, civil};
use percent_encoding::percent_decode_str;
use serde_json::value::RawValue;
use url::Url;

use super::fields;
use crate::domain::drift::{Drift, DriftKind};
use crate::domain::verification::{LINK_LIFE, Medium, MediumKind};
use crate::upstream::json::Object;
use crate::upstream::number;

/// The face fields that hold links.
const FACE: &[(&str, MediumKind)] = &[
    ("faceImage", MediumKind::Face),
    ("faceImageFar", MediumKind::FaceFar),
    ("faceImageNear", MediumKind::FaceNear),
    ("silentImage", MediumKind::FaceSilent),
    ("auditImageUrl", MediumKind::FaceAudit),
    ("faceVideoUrl", MediumKind::FaceVideo),
];

/// The document fields that hold links, in both generations' names; the first of a kind counts.
const DOCUMENT: &[(&str, MediumKind)] = &[
    ("docFrontImage", MediumKind::DocumentFront),
    ("idFrontImage", MediumKind::DocumentFront),
    ("docBackImage", MediumKind::DocumentBack),
    ("idBackImage", MediumKind::DocumentBack),
];

/// The words in `faceVideoUrl` where there is no video (yet).
const STATES: &[&str] = &["PENDING", "ERROR"];

/// The most a link's end is moved forward, so that no caller gets a link that expires before it is used.
const MAX_MARGIN: SignedDuration = SignedDuration::from_hours(1);

/// What a link begins with.
const HTTPS: &str = "https://";

/// The longest link, in bytes and without its beginning. Few readers of URIs take more.
const MAX_LINK: usize = u16::MAX as usize - 1;

/// What the parameters are called that say when a link ends, in the words of S3, Google, OSS, Azure and COS, or plainly.
const ENDS: [&str; 9] = [
    "X-Amz-Date",
    "X-Amz-Expires",
    "X-Goog-Date",
    "X-Goog-Expires",
    "x-oss-date",
    "x-oss-expires",
    "se",
    "q-sign-time",
    "Expires",
];

/// The hosts that links may point at; empty = any.
#[derive(Clone, Default)]
pub(in crate::upstream) struct AllowedHosts(Vec<String>);

impl AllowedHosts {
    /// `patterns` are hosts, or `*.` and a domain for every host below it.
    pub(in crate::upstream) fn new(patterns: Vec<String>) -> Self {
        Self(patterns)
    }

    /// The patterns, as they are configured.
    pub(in crate::upstream) fn patterns(&self) -> &[String] {
        &self.0
    }

    fn allow(&self, host: &str) -> bool {
        if self.0.is_empty() {
            return true;
        }
        let host = host.to_ascii_lowercase();
        self.0.iter().any(|pattern| match pattern.strip_prefix('*') {
            Some(suffix) => host.len() > suffix.len() && host.ends_with(suffix),
            None => host == *pattern,
        })
    }
}

/// The links of an answer. Those that are not passed on (not https, with credentials, inline images) are counted as drift.
pub(super) fn links(
    face: Option<&Object>,
    document: Option<&Object>,
    hosts: &AllowedHosts,
    observed_at: Timestamp,
    drift: &mut Drift,
) -> Vec<Medium> {
    let mut media: Vec<Medium> = Vec::new();
    // The links of one answer mostly end together.
    let mut last = EndWords::default();
    let mut last_end = expires_at(&last, observed_at);
    for (part, names) in [(face, FACE), (document, DOCUMENT)] {
        let Some(part) = part else { continue };
        for (name, kind) in names {
            let Some(text) = fields::text(part, name, drift).filter(|text| !text.is_empty()) else {
                continue;
            };
            let is_state = *kind == MediumKind::FaceVideo && STATES.contains(&text.trim());
            let is_repeated = media.iter().any(|medium| medium.kind == *kind);
            if is_state || is_repeated {
                continue;
            }
            let Some(url) = https_url(text, hosts) else {
                drift.add(DriftKind::UnknownValue);
                continue;
            };
            let words = end_words(text);
            if words != last {
                last_end = expires_at(&words, observed_at);
                last = words;
            }
            media.push(Medium { kind: *kind, url, expires_at: last_end });
        }
    }
    media
}

/// The link that `text` is, as it is handed on: a plain https URI without a fragment, as JSON.
fn https_url(text: &str, hosts: &AllowedHosts) -> Option<Box<RawValue>> {
    let (scheme, rest) = text.split_at_checked(HTTPS.len())?;
    if !scheme.eq_ignore_ascii_case(HTTPS) || rest.starts_with('/') {
        return None;
    }
    let url = if is_uri(text) { Cow::from(text) } else { encoded(text)?.into() };
    let (rest, _) = split(&url[HTTPS.len()..], b'#');
    let (authority, path) = rest.split_at(memchr::memchr2(b'/', b'?', rest.as_bytes()).unwrap_or(rest.len()));
    let authority: Authority = authority.parse().ok()?;
    let host = authority.host();
    let is_plain = authority == host || (authority.port_u16().is_some() && !authority.as_str().contains('@'));
    let slash = if path.starts_with('/') { "" } else { "/" };
    let json = || RawValue::from_string(["\"", HTTPS, authority.as_str(), slash, path, "\""].concat());
    if is_plain && rest.len() <= MAX_LINK && hosts.allow(host) { json().ok() } else { None }
}

/// The URI that was meant by a URL with characters that a URI may not have.
fn encoded(url: &str) -> Option<String> {
    // The parser forgives blanks, control characters and slashes amiss. Whoever follows the link may not, or may read
    // another host in it.
    let is_forgiven = |c: char| c.is_whitespace() || c.is_control() || c == '\\';
    let url = if url.chars().any(is_forgiven) { None } else { Url::parse(url).ok() };
    url.map(String::from).filter(|url| is_uri(url))
}

/// Whether `url` has a URI's characters alone (RFC 3986); the parser leaves some that are none.
fn is_uri(url: &str) -> bool {
    let ranges = [b'!'..=b'!', b'#'..=b';', b'='..=b'=', b'?'..=b'Z', b'_'..=b'_', b'a'..=b'z', b'~'..=b'~'];
    let is_uri_byte = |byte| ranges.iter().fold(false, |found, range| found | range.contains(&byte));
    let is_escape =
        |at| url.as_bytes().get(at + 1..at + 3).is_some_and(|hex| hex.iter().all(u8::is_ascii_hexdigit));
    // All of it is looked at, in large steps: that takes less than an end at the first byte that is none.
    url.bytes().fold(true, |is_uri, byte| is_uri & is_uri_byte(byte))
        && memchr::memchr_iter(b'%', url.as_bytes()).all(is_escape)
}

/// What a link says of its end: the values of [`ENDS`].
type EndWords<'a> = [Option<Cow<'a, str>>; ENDS.len()];

fn end_words(url: &str) -> EndWords<'_> {
    let mut words = EndWords::default();
    let (url, _) = split(url, b'#');
    let (_, mut query) = split(url, b'?');
    while !query.is_empty() {
        let (pair, rest) = split(query, b'&');
        query = rest;
        let (name, value) = split(pair, b'=');
        if let Some(end) = ENDS.iter().position(|end| end.eq_ignore_ascii_case(name)) {
            words[end].get_or_insert_with(|| decoded(value));
        }
    }
    words
}

/// When to stop using a link: its own end, else a day after it was seen, less a margin.
fn expires_at(words: &EndWords, observed_at: Timestamp) -> Timestamp {
    // A year before 0 could not even be written down in an answer.
    let own = own_end(words, observed_at).filter(|end| *end >= Timestamp::UNIX_EPOCH);
    let end = own.or_else(|| observed_at.checked_add(LINK_LIFE).ok()).unwrap_or(observed_at);
    let life = end.duration_since(observed_at);
    let margin = (life / 10).clamp(SignedDuration::ZERO, MAX_MARGIN);
    end.checked_sub(margin).unwrap_or(end)
}

/// The end that a link itself carries; the earliest counts.
fn own_end(words: &EndWords, observed_at: Timestamp) -> Option<Timestamp> {
    let [amz_date, amz_life, goog_date, goog_life, oss_date, oss_life, azure, cos, plain] = words;
    let number = |text: &Option<Cow<'_, str>>| number::whole(text.as_deref()?)?.parse::<i64>().ok();
    let date = |text: &Option<Cow<'_, str>>| date(text.as_deref()?);
    let signed = |from, life| after(date(from)?, number(life)?);
    // Without a date it is an absolute time if it is as large as one.
    let oss = || match (date(oss_date), number(oss_life)?) {
        (None, end) if end > 1_000_000_000 => epoch(end),
        (from, life) => after(from.unwrap_or(observed_at), life),
    };
    let cos = || epoch(number::whole(cos.as_deref()?.split_once(';')?.1)?.parse().ok()?);
    let ends = [
        signed(amz_date, amz_life),
        signed(goog_date, goog_life),
        oss(),
        date(azure),
        cos(),
        number(plain).and_then(epoch),
    ];
    ends.into_iter().flatten().min()
}

/// What is before the first such byte, which is ASCII, and what is after it.
fn split(text: &str, byte: u8) -> (&str, &str) {
    memchr::memchr(byte, text.as_bytes()).map_or((text, ""), |at| (&text[..at], &text[at + 1..]))
}

/// What a value of a query means.
fn decoded(part: &str) -> Cow<'_, str> {
    if memchr::memchr2(b'%', b'+', part.as_bytes()).is_none() {
        return part.into();
    }
    let part = part.replace('+', " ");
    percent_decode_str(&part).decode_utf8_lossy().into_owned().into()
}

fn after(from: Timestamp, seconds: i64) -> Option<Timestamp> {
    from.checked_add(SignedDuration::from_secs(seconds)).ok()
}

fn epoch(time: i64) -> Option<Timestamp> {
    Timestamp::from_millisecond(number::millis(time)?).ok()
}

/// `20261122T100000Z` or `2026-11-22T10:00:00Z`, also without seconds, or the date alone.
fn date(text: &str) -> Option<Timestamp> {
    let utc = |date: civil::DateTime| date.to_zoned(jiff::tz::TimeZone::UTC).ok();
    let written_short = || utc(text.strip_suffix('Z').unwrap_or(text).parse().ok()?);
    text.parse().ok().or_else(|| Some(written_short()?.timestamp()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    #[test]
    fn a_link_ends_when_it_says_less_a_margin() {
        let observed = at("2026-11-22T10:00:00Z");
        let cases = [
            ("https://m.example/a", "2026-11-23T09:00:00Z"),
            ("https://m.example/a?X-Amz-Date=20261122T100000Z&X-Amz-Expires=600", "2026-11-22T10:09:00Z"),
            ("https://m.example/a?Expires=1795345200", "2026-11-22T10:54:00Z"),
            ("https://m.example/a?x-oss-date=20261122T100000Z&x-oss-expires=36000", "2026-11-22T19:00:00Z"),
            ("https://m.example/a?x-oss-expires=1795345200", "2026-11-22T10:54:00Z"),
            ("https://m.example/a?Expires=1795345200000", "2026-11-22T10:54:00Z"),
            ("https://m.example/a?Expires=1.7953452E9", "2026-11-22T10:54:00Z"),
            ("https://m.example/a?Expires=1000000000", "2001-09-09T01:46:40Z"),
            ("https://m.example/a?X-Goog-Date=20261122T100000Z&X-Goog-Expires=600", "2026-11-22T10:09:00Z"),
            ("https://m.example/a?sv=2026&se=2026-11-22T11%3A00%3A00Z&sig=x", "2026-11-22T10:54:00Z"),
            ("https://m.example/a?se=2026-11-22T11%3A00Z", "2026-11-22T10:54:00Z"),
            ("https://m.example/a?se=2026-11-23", "2026-11-22T23:00:00Z"),
            ("https://m.example/a?se=south-east", "2026-11-23T09:00:00Z"),
            ("https://m.example/a?q-sign-time=1795341600%3B1795345200", "2026-11-22T10:54:00Z"),
            ("https://m.example/a?q-sign-time=1795341600", "2026-11-23T09:00:00Z"),
            ("https://m.example/a?X-Amz-Expires=600&Expires=1795345200", "2026-11-22T10:54:00Z"),
            ("https://m.example/a?Expires=0", "2026-11-23T09:00:00Z"),
            ("https://m.example/a?Expires=soon", "2026-11-23T09:00:00Z"),
            ("https://m.example/a?Expires=-99999999999", "2026-11-23T09:00:00Z"),
            ("https://m.example/a?Expires=9223372036854775807", "2026-11-23T09:00:00Z"),
        ];
        for (url, end) in cases {
            assert_eq!(expires_at(&end_words(url), observed), at(end), "{url}");
        }
    }

    #[test]
    fn a_link_is_handed_on_as_a_uri() {
        for (text, uri) in [
            ("https://m.example/a%2Fb?c=d%20e&f=g+h", "https://m.example/a%2Fb?c=d%20e&f=g+h"),
            ("HTTPS://M.example/ä", "https://m.example/%C3%A4"),
            ("Https://M.example:443?a#b?c", "https://M.example:443/?a"),
        ] {
            let url = https_url(text, &AllowedHosts::default()).unwrap();
            assert_eq!(url.get(), format!("\"{uri}\""), "{text}");
        }
    }

    #[test]
    fn only_plain_https_links_to_allowed_hosts_are_handed_on() {
        let any = AllowedHosts::default();
        for bad in [
            "http://m.example/a",
            "https://user@m.example/a",
            "https://user:pass@m.example/a",
            "data:image/png;base64,AAAA",
            "javascript:alert(1)",
            "iVBORw0KGgoAAAANSUhEUg",
            "https://m.example/a b",
            "https:m.example/a",
            "https:///m.example/a",
            "https:\\\\m.example/a",
            "https://m.example\\@evil.example/a",
            "https://m.example/a|b",
            "https://m.example/a?b={c}",
            "https://m.example/100%",
            "https://m%2eexample/a",
            "https://m.example:99999/a",
            "https://?a",
            "file:///etc/passwd",
        ] {
            assert!(https_url(bad, &any).is_none(), "{bad}");
        }
        let some = AllowedHosts::new(vec!["cdn.example".into(), "*.media.example".into()]);
        for (url, allowed) in [
            ("https://cdn.example/a", true),
            ("https://CDN.example/a", true),
            ("https://a.media.example/a", true),
            ("https://media.example/a", false),
            ("https://evilmedia.example/a", false),
            ("https://cdn.example.evil.example/a", false),
        ] {
            assert_eq!(https_url(url, &some).is_some(), allowed, "{url}");
        }
    }
}
