//! SECURITY.md says which test shows what: each of them exists.

use std::path::Path;

use crate::support::inventory;

/// The last cells of the tables that name tests.
fn proofs() -> Vec<String> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("SECURITY.md");
    let text = std::fs::read_to_string(path).expect("SECURITY.md can be read");
    let rows = text.lines().map(str::trim).filter(|line| line.starts_with('|'));
    let cells = rows.map(|row| row.trim_matches('|').split(" | ").map(str::trim).collect::<Vec<_>>());
    let mut is_proof = false;
    let mut proofs = Vec::new();
    for cells in cells {
        if cells.iter().all(|cell| cell.chars().all(|c| matches!(c, '-' | '|'))) {
            continue;
        }
        let is_head = cells[0].starts_with("attempt") || cells[0] == "who";
        if is_head {
            is_proof = cells.last() == Some(&"shown by");
        } else if is_proof {
            proofs.push(cells.last().copied().unwrap_or_default().to_owned());
        }
    }
    proofs
}

#[test]
fn every_row_of_the_threat_model_is_shown_by_tests_that_exist() {
    let (proofs, tests) = (proofs(), inventory::tests());
    assert!(proofs.len() >= 15, "the tables are read: {proofs:?}");
    for proof in &proofs {
        let mut named = proof.split('`').skip(1).step_by(2).peekable();
        assert!(named.peek().is_some(), "no test is named in {proof:?}");
        for name in named {
            assert!(tests.iter().any(|test| test == name), "{name} is gone");
        }
    }
}
