//! A row of the fault matrix: what goes wrong, what must happen, and which tests show it.

/// One fault. Its text says what the test really does, with the sizes that the test uses.
#[derive(Clone)]
pub struct Row {
    pub number: u16,
    pub fault: String,
    pub expected: &'static str,
    /// Promises that show the row besides or instead of tests of its own, which are named after it: `f019_…`.
    pub shown_by: Vec<&'static str>,
    /// Whether the program has nothing that this could happen to; `expected` then says why.
    pub is_applicable: bool,
}

/// A row with tests of its own.
pub fn row(number: u16, fault: impl Into<String>, expected: &'static str) -> Row {
    Row { number, fault: fault.into(), expected, shown_by: Vec::new(), is_applicable: true }
}

/// A row that promises show, each as `file::test`.
pub fn shown_by(
    number: u16,
    fault: &str,
    expected: &'static str,
    tests: impl IntoIterator<Item = &'static str>,
) -> Row {
    Row { shown_by: tests.into_iter().collect(), ..row(number, fault, expected) }
}

/// A fault that cannot happen, and the reason.
pub fn not_applicable(number: u16, fault: &str, reason: &'static str) -> Row {
    Row { is_applicable: false, ..row(number, fault, reason) }
}
