//! The tests of this repository by name, for documents that say which test shows what.

use std::path::Path;

/// Every test as `module::name`: `token::…` of `tests/it`, `http::tests::…` of `src`, `chart/check::check_…` of the chart.
pub fn tests() -> Vec<String> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut tests = Vec::new();
    for folder in ["tests/it", "src"] {
        collect(&root.join(folder), &[], &mut tests);
    }
    for entry in std::fs::read_dir(root.join("tests/chart")).expect("the chart has checks") {
        let path = entry.expect("an entry of the source tree").path();
        if path.extension().is_some_and(|extension| extension == "py") {
            let module = format!("chart/{}", path.file_stem().unwrap_or_default().to_string_lossy());
            let text = std::fs::read_to_string(&path).expect("a source file is text");
            let checks = text.lines().filter_map(|line| line.strip_prefix("def ")?.split('(').next());
            let checks = checks.filter(|name| name.starts_with("check_"));
            tests.extend(checks.map(|name| format!("{module}::{name}")));
        }
    }
    tests.sort();
    tests
}

fn collect(folder: &Path, module: &[String], tests: &mut Vec<String>) {
    for entry in std::fs::read_dir(folder).expect("a folder of the source tree") {
        let path = entry.expect("an entry of the source tree").path();
        let stem = path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
        let inner = if stem == "mod" { module.to_vec() } else { [module, &[stem]].concat() };
        if path.is_dir() {
            collect(&path, &inner, tests);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            let text = std::fs::read_to_string(&path).expect("a source file is text");
            tests.extend(names(&text).map(|name| format!("{}::{name}", inner.join("::"))));
        }
    }
}

/// The names of the functions that follow a test's attribute.
fn names(text: &str) -> impl Iterator<Item = &str> {
    let mut lines = text.lines().map(str::trim);
    std::iter::from_fn(move || {
        lines.find(|line| line.starts_with("#[test") || line.starts_with("#[tokio::test"))?;
        let function = lines.find_map(|line| line.split_once("fn "))?.1;
        function.split('(').next()
    })
}
