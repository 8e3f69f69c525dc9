//! Rows that promises show: what goes wrong is one of a promise's cases, so the row has no test of its own.

use super::rows::{Row, not_applicable, shown_by};

pub fn rows() -> Vec<Row> {
    let lines =
        include_str!("promised.md").lines().filter_map(|line| line.strip_prefix("| ")?.strip_suffix('|'));
    // After the head of the table and the line below it.
    lines.skip(1).map(row).collect()
}

fn row(line: &'static str) -> Row {
    let cells: Vec<&str> = line.split('|').map(str::trim).collect();
    let [number, fault, expected, tests] = cells[..] else { panic!("four cells: {line}") };
    let number = number.parse().expect("the number of a row");
    match expected.strip_prefix("not applicable: ") {
        Some(reason) => not_applicable(number, fault, reason),
        None => shown_by(number, fault, expected, tests.split_whitespace()),
    }
}
