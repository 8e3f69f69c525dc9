//! "Did you mean": the known word nearest to an unknown one.

/// The end of a sentence about an unknown word: the nearest of `known`, else all of them.
pub(super) fn hint(word: &str, known: &[&str]) -> String {
    match nearest(word, known) {
        Some(near) => format!("did you mean `{near}`?"),
        None => format!("known are {}", known.join(", ")),
    }
}

fn nearest<'a>(word: &str, known: &[&'a str]) -> Option<&'a str> {
    let word = word.to_ascii_lowercase().replace('-', "_");
    let typos = (word.chars().count() / 3).max(1);
    let near = known.iter().map(|candidate| (distance(&word, &candidate.replace('-', "_")), *candidate));
    near.filter(|(distance, _)| *distance <= typos)
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, word)| word)
}

/// The edits from `a` to `b`: a letter added, dropped, changed, or swapped with its neighbour.
fn distance(a: &str, b: &str) -> usize {
    let [a, b] = [a, b].map(|word| word.chars().collect::<Vec<_>>());
    let mut edits = vec![vec![0; b.len() + 1]; a.len() + 1];
    for i in 0..=a.len() {
        for j in 0..=b.len() {
            if i == 0 || j == 0 {
                edits[i][j] = i + j;
                continue;
            }
            let changed = edits[i - 1][j - 1] + usize::from(a[i - 1] != b[j - 1]);
            let mut least = changed.min(edits[i - 1][j] + 1).min(edits[i][j - 1] + 1);
            if i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] {
                least = least.min(edits[i - 2][j - 2] + 1);
            }
            edits[i][j] = least;
        }
    }
    edits[a.len()][b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_near_miss_is_suggested_and_a_stranger_gets_the_list() {
        let known = ["listen", "admin_listen", "max_connections"];
        assert_eq!(hint("listn", &known), "did you mean `listen`?");
        assert_eq!(hint("Admin-Listen", &known), "did you mean `admin_listen`?");
        assert_eq!(hint("colour", &known), "known are listen, admin_listen, max_connections");
    }

    #[test]
    fn distance_counts_edits() {
        assert_eq!(distance("kitten", "sitting"), 3);
        assert_eq!(distance("", "abc"), 3);
        assert_eq!(distance("inof", "info"), 1);
        assert_eq!(distance("same", "same"), 0);
    }
}
