//! Packs the rendered links of a result, which differ from each other in a few words: each is kept as what differs from the
//! one before it.
//!
//! What is packed is a list of steps. A step copies so many bytes of the link before, passes over so many of its bytes, and
//! adds so many bytes that follow: `copied, passed, added, bytes…`

/// What the first link is compared with.
pub(super) const FIRST: &[u8] = br#"[{"kind":"face","url":"https://","expiresAt":""}"#;

/// The last byte of a link, which is nowhere else in it.
const END: u8 = b'}';

/// The most that a step copies, passes over or adds.
const MOST: usize = u8::MAX as usize;

/// Packs a JSON array of links.
pub(super) fn pack(mut links: &[u8]) -> Vec<u8> {
    let mut packed = Vec::with_capacity(512);
    let mut before = FIRST;
    while !links.is_empty() {
        let (link, rest) = links.split_at(memchr::memchr(END, links).map_or(links.len(), |end| end + 1));
        pack_link(link, before, &mut packed);
        (links, before) = (rest, link);
    }
    packed
}

fn pack_link(mut link: &[u8], mut before: &[u8], packed: &mut Vec<u8>) {
    while !link.is_empty() {
        let copied = equal(link, before).min(MOST);
        (link, before) = (&link[copied..], &before[copied..]);
        let (added, passed) = if copied < MOST { difference(link, before) } else { (0, 0) };
        packed.extend([copied, passed, added].map(|count| count as u8));
        packed.extend_from_slice(&link[..added]);
        (link, before) = (&link[added..], &before[passed..]);
    }
}

/// How many bytes are equal at the beginning.
fn equal(one: &[u8], other: &[u8]) -> usize {
    let (words, others) = (one.as_chunks::<8>().0, other.as_chunks::<8>().0);
    let start = 8 * words.iter().zip(others).take_while(|(one, other)| one == other).count();
    start + one[start..].iter().zip(&other[start..]).take_while(|(one, other)| one == other).count()
}

/// How many bytes come before the first mark that both have within one step: such as the `&` after the value of a parameter.
fn difference(one: &[u8], other: &[u8]) -> (usize, usize) {
    let [one, other] = [one, other].map(|bytes| &bytes[..bytes.len().min(MOST)]);
    let is_mark = |byte: u8| !byte.is_ascii_alphanumeric() && !matches!(byte, b'-' | b'_');
    let mut marks = (1..one.len()).filter(|at| is_mark(one[*at]));
    let first = marks.find_map(|at| Some((at, memchr::memchr(one[at], other)?)));
    first.unwrap_or((one.len(), 0))
}

/// Adds the array that was packed, of that length, to `answer`. `None`: it is not what was packed.
pub(super) fn unpack(mut packed: &[u8], length: usize, answer: &mut Vec<u8>) -> Option<()> {
    let start = answer.len();
    answer.extend_from_slice(FIRST);
    // Where the link begins that is written, and how much of the one before it is behind.
    let (mut link, mut before) = (answer.len(), start);
    let whole = answer.len() + length;
    while let Some((&[copied, passed, added], rest)) = packed.split_first_chunk() {
        let (word, rest) = rest.split_at_checked(added.into())?;
        packed = rest;
        let end = before + usize::from(copied);
        if end > link || answer.len() + usize::from(copied) + word.len() > whole {
            return None;
        }
        answer.extend_from_within(before..end);
        answer.extend_from_slice(word);
        before = end + usize::from(passed);
        if answer.last() == Some(&END) {
            (link, before) = (answer.len(), link);
        }
    }
    let is_whole = packed.is_empty() && answer.len() == whole;
    answer.drain(start..start + FIRST.len());
    is_whole.then_some(())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn any_text_is_unpacked_as_it_was_packed(text in "([a-c}\"&=]{0,40}|x{250,600}){0,6}") {
            let mut answer = b"{}".to_vec();
            prop_assert_eq!(unpack(&pack(text.as_bytes()), text.len(), &mut answer), Some(()));
            prop_assert_eq!(answer, ["{}", &text].concat().into_bytes());
        }

        #[test]
        fn what_was_not_packed_is_unpacked_to_its_length_or_not_at_all(
            packed in prop::collection::vec(prop_oneof![0..4_u8, Just(END), any::<u8>()], 0..60),
            length in 0..100_usize,
        ) {
            let mut links = Vec::new();
            prop_assert!(unpack(&packed, length, &mut links).is_none() || links.len() == length);
        }
    }

    #[test]
    fn links_with_signatures_of_their_own_share_all_the_rest() {
        let policy = "X-Amz-Security-Token=".to_owned() + &"t0ken".repeat(80);
        let link = |n: u32| {
            let signature = format!("{n:08x}").repeat(8);
            let query = format!("X-Amz-Expires=600&X-Amz-Signature={signature}&{policy}");
            format!(
                r#"{{"kind":"face","url":"https://m.example/{n}.jpg?{query}","expiresAt":"2026-11-23T09:00:00Z"}}"#
            )
        };
        let links = format!("[{}]", (1..=6).map(link).collect::<Vec<_>>().join(","));
        let packed = pack(links.as_bytes());
        assert!(packed.len() < link(1).len() + 5 * 100, "{} of {}", packed.len(), links.len());
    }
}
