//! SECURITY.md says which test shows what: each of them exists.

use std::path::Path;

fn read(path: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(path);
    std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// The tests of a file: what follows `fn` after a test's attribute, or `def check_` in the chart's.
fn tests_of(file: &str) -> Vec<String> {
    if file.starts_with("chart/") {
        let text = read(&format!("tests/{file}.py"));
        let checks = text.lines().filter_map(|line| line.strip_prefix("def ")?.split('(').next());
        return checks.filter(|name| name.starts_with("check_")).map(str::to_owned).collect();
    }
    let path = format!("tests/it/{file}.rs");
    let is_file = Path::new(env!("CARGO_MANIFEST_DIR")).join(&path).exists();
    let text = read(&if is_file { path } else { format!("tests/it/{file}/mod.rs") });
    let mut tests = Vec::new();
    let mut lines = text.lines().map(str::trim);
    while let Some(line) = lines.next() {
        if !line.starts_with("#[test") && !line.starts_with("#[tokio::test") {
            continue;
        }
        let function = lines.find_map(|line| line.split_once("fn ").map(|(_, rest)| rest));
        tests.extend(function.and_then(|rest| rest.split('(').next()).map(str::to_owned));
    }
    tests
}

/// The last cells of the tables that name tests.
fn proofs() -> Vec<String> {
    let text = read("SECURITY.md");
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
    let proofs = proofs();
    assert!(proofs.len() >= 15, "the tables are read: {proofs:?}");
    for proof in &proofs {
        let named: Vec<&str> = proof.split('`').skip(1).step_by(2).collect();
        assert!(!named.is_empty(), "no test is named in {proof:?}");
        for name in named {
            let (file, test) = name.split_once("::").unwrap_or_else(|| panic!("{name} is not file::test"));
            assert!(tests_of(file).iter().any(|known| known == test), "{name} is gone");
        }
    }
}
