//! The invented people and the links to their pictures. Every text of an id holds the id's marker.

use jiff::Timestamp;
use serde_json::Value;
use sha2::{Digest, Sha256};

/// The vendor's links end after a day.
const LINK_LIFE_S: i64 = 86_400;

/// Documents of one region and the people who hold them. Of the type names only Malaysia's is the vendor's.
struct Country {
    region: &'static str,
    iso3: &'static str,
    card: &'static str,
    place: &'static str,
    people: [(&'static str, &'static str); 2],
}

const COUNTRIES: &[Country] = &[
    Country {
        region: "my",
        iso3: "MYS",
        card: "MY-ID-MYKAD",
        place: "Jalan Contoh, Kuala Lumpur",
        people: [("NURUL CONTOH", "PEREMPUAN"), ("HAFIZ CONTOH", "LELAKI")],
    },
    Country {
        region: "id",
        iso3: "IDN",
        card: "ID-ID-KTP",
        place: "Jalan Misal, Jakarta",
        people: [("SITI MISALNYA", "PEREMPUAN"), ("BUDI MISALNYA", "LAKI-LAKI")],
    },
    Country {
        region: "sg",
        iso3: "SGP",
        card: "SG-ID-NRIC",
        place: "Sample Street, Singapore",
        people: [("MEI SAMPLE", "F"), ("WEI SAMPLE", "M")],
    },
    Country {
        region: "th",
        iso3: "THA",
        card: "TH-ID-CARD",
        place: "ถนนตัวอย่าง, Bangkok",
        people: [("MALEE TUAYANG", "FEMALE"), ("SOMCHAI TUAYANG", "MALE")],
    },
    Country {
        region: "ph",
        iso3: "PHL",
        card: "PH-ID-PHILSYS",
        place: "Halimbawa Street, Manila",
        people: [("MARIA HALIMBAWA", "FEMALE"), ("JOSE HALIMBAWA", "MALE")],
    },
    Country {
        region: "vn",
        iso3: "VNM",
        card: "VN-ID-CCCD",
        place: "Phố Ví Dụ, Hà Nội",
        people: [("NGUYỄN THỊ VÍ DỤ", "NỮ"), ("TRẦN VÍ DỤ", "NAM")],
    },
];

/// What makes the texts of `id` its own: 16 hex digits, as long as the vendor's transaction ids.
pub(super) fn marker(id: &str) -> String {
    digest(id)[..8].iter().map(|byte| format!("{byte:02x}")).collect()
}

fn digest(id: &str) -> [u8; 32] {
    Sha256::digest(format!("sandbox:{id}")).into()
}

/// The values of a template's placeholders, for one id in one region at one time.
pub(super) struct Values(Vec<(&'static str, String)>);

impl Values {
    pub(super) fn new(id: &str, region: &str, now: Timestamp) -> Self {
        const MONTHS: [&str; 6] = ["JANUARY", "FEBRUARY", "MARCH", "APRIL", "MAY", "JUNE"];
        let country = COUNTRIES.iter().find(|country| country.region == region).unwrap_or(&COUNTRIES[0]);
        let (marker, seed) = (marker(id), digest(id));
        let (name, gender) = country.people[usize::from(seed[0] % 2)];
        // All adults, and no date that a month may lack.
        let (year, month, day) = (1950 + u16::from(seed[3] % 50), 1 + seed[4] % 6, 1 + seed[5] % 28);
        let (signed_at, ends) = (now.strftime("%Y%m%dT%H%M%SZ"), now.as_second() + LINK_LIFE_S);
        Self(vec![
            ("id", id.to_owned()),
            ("name", format!("{name} {marker}")),
            ("gender", gender.to_owned()),
            // ISO 3166 alpha-3, as the vendor writes countries.
            ("citizen", country.iso3.to_owned()),
            ("card", country.card.to_owned()),
            ("address", format!("{} {marker} {}", 1 + seed[1] % 99, country.place)),
            ("idNumber", format!("{:02}-{marker}", seed[2] % 100)),
            ("birthday", format!("{year}/{month:02}/{day:02}")),
            // As some cards print it; the vendor then adds a parsed form.
            ("printedBirthday", format!("{} {day},{year}", MONTHS[usize::from(month) - 1])),
            // What tells a link's end, as presigned S3 links do.
            (
                "signature",
                format!(
                    "X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Date={signed_at}&X-Amz-Expires={LINK_LIFE_S}\
                     &X-Amz-Signature={marker}"
                ),
            ),
            // The same in epoch seconds, as older storage does.
            ("oldSignature", format!("Expires={ends}&Signature={marker}")),
            ("marker", marker),
        ])
    }

    /// A template with `words`, and then these values, in the place of their names in braces.
    pub(super) fn fill(&self, template: &str, words: &[(&'static str, String)]) -> Value {
        let fill = |text: String, (name, value): &(&str, String)| text.replace(&format!("{{{name}}}"), value);
        let text = words.iter().chain(&self.0).fold(template.to_owned(), fill);
        serde_json::from_str(&text).expect("a template is JSON, and no text of ours ends a string")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(id: &str, region: &str) -> Value {
        let template =
            r#"["{name} {gender} {idNumber} {address} {birthday}", "{signature}", "?{oldSignature}"]"#;
        Values::new(id, region, Timestamp::UNIX_EPOCH).fill(template, &[])
    }

    #[test]
    fn a_person_is_the_same_at_every_ask_and_another_for_another_id() {
        assert_eq!(said("sim-pass-1", "ph"), said("sim-pass-1", "ph"));
        assert_ne!(said("sim-pass-1", "ph")[0], said("sim-pass-2", "ph")[0]);
    }

    #[test]
    fn links_tell_their_end() {
        let said = said("sim-pass-1", "my").to_string();
        assert!(said.contains("X-Amz-Date=19700101T000000Z&X-Amz-Expires=86400"), "{said}");
        assert!(said.contains("?Expires=86400&"), "{said}");
    }

    #[test]
    fn every_region_has_its_country() {
        for region in super::super::api::REGIONS {
            assert!(COUNTRIES.iter().any(|country| country.region == *region), "{region}");
        }
    }
}
