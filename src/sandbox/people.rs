//! The invented people and the links to their pictures. Whatever it says of an id carries the id's marker.

use jiff::Timestamp;
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

/// One id, asked for in one region at one time: the person, the papers and the links to show.
pub(super) struct Scene<'a> {
    pub(super) id: &'a str,
    pub(super) marker: String,
    country: &'static Country,
    lot: [u8; 32],
    now: Timestamp,
}

impl<'a> Scene<'a> {
    pub(super) fn new(id: &'a str, region: &str, now: Timestamp) -> Self {
        let country = COUNTRIES.iter().find(|country| country.region == region).unwrap_or(&COUNTRIES[0]);
        Self { id, marker: marker(id), country, lot: digest(id), now }
    }

    pub(super) fn name(&self) -> String {
        format!("{} {}", self.person().0, self.marker)
    }

    pub(super) fn gender(&self) -> &'static str {
        self.person().1
    }

    /// ISO 3166 alpha-3, as the vendor writes countries.
    pub(super) fn citizen(&self) -> &'static str {
        self.country.iso3
    }

    pub(super) fn card(&self) -> &'static str {
        self.country.card
    }

    pub(super) fn address(&self) -> String {
        format!("{} {} {}", 1 + self.lot[1] % 99, self.marker, self.country.place)
    }

    pub(super) fn id_number(&self) -> String {
        format!("{:02}-{}", self.lot[2] % 100, self.marker)
    }

    /// The second number some cards carry on the back.
    pub(super) fn back_number(&self) -> String {
        format!("{}-01", self.id_number())
    }

    pub(super) fn birthday(&self) -> String {
        let (year, month, day) = self.birth();
        format!("{year}/{month:02}/{day:02}")
    }

    /// As some cards print it; the vendor then adds a parsed form.
    pub(super) fn printed_birthday(&self) -> String {
        const MONTHS: [&str; 6] = ["JANUARY", "FEBRUARY", "MARCH", "APRIL", "MAY", "JUNE"];
        let (year, month, day) = self.birth();
        format!("{} {day},{year}", MONTHS[usize::from(month) - 1])
    }

    /// A link that tells its end as presigned S3 links do.
    pub(super) fn link(&self, file: &str) -> String {
        let date = self.now.strftime("%Y%m%dT%H%M%SZ");
        format!(
            "{}?X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Date={date}&X-Amz-Expires={LINK_LIFE_S}&X-Amz-Signature={}",
            self.address_of(file),
            self.marker
        )
    }

    /// A link that tells its end in epoch seconds, as older storage does.
    pub(super) fn old_link(&self, file: &str) -> String {
        let ends = self.now.as_second() + LINK_LIFE_S;
        format!("{}?Expires={ends}&Signature={}", self.address_of(file), self.marker)
    }

    fn address_of(&self, file: &str) -> String {
        format!("https://media.sandbox.example/{}/{file}", self.marker)
    }

    fn person(&self) -> (&'static str, &'static str) {
        self.country.people[usize::from(self.lot[0] % 2)]
    }

    /// All adults, and no date that a month may lack.
    fn birth(&self) -> (u16, u8, u8) {
        (1950 + u16::from(self.lot[3] % 50), 1 + self.lot[4] % 6, 1 + self.lot[5] % 28)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_person_is_the_same_at_every_ask_and_another_for_another_id() {
        let tell = |id| {
            let scene = Scene::new(id, "ph", Timestamp::UNIX_EPOCH);
            (scene.name(), scene.id_number(), scene.address(), scene.birthday(), scene.link("face.jpg"))
        };
        assert_eq!(tell("sim-pass-1"), tell("sim-pass-1"));
        assert_ne!(tell("sim-pass-1").0, tell("sim-pass-2").0);
    }

    #[test]
    fn links_tell_their_end() {
        let scene = Scene::new("sim-pass-1", "my", Timestamp::UNIX_EPOCH);
        assert!(scene.link("face.jpg").contains("X-Amz-Date=19700101T000000Z&X-Amz-Expires=86400"));
        assert!(scene.old_link("face.jpg").contains("?Expires=86400&"));
    }

    #[test]
    fn every_region_has_its_country() {
        for region in super::super::api::REGIONS {
            assert!(COUNTRIES.iter().any(|country| country.region == *region), "{region}");
        }
    }
}
