//! The Dockerfile agrees with what it builds from. `scripts/check-image` builds it and runs what comes out.

use std::path::{Component, Path, PathBuf};

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn read(path: &str) -> String {
    std::fs::read_to_string(root().join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

fn rust_files(folder: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let files = entries.flat_map(|path| if path.is_dir() { rust_files(&path) } else { vec![path] });
    files.filter(|path| path.extension().is_some_and(|extension| extension == "rs")).collect()
}

/// The files outside of `src` that a source file puts into the binary; tests at its foot put nothing there.
fn included(file: &Path) -> Vec<String> {
    let text = std::fs::read_to_string(file).unwrap();
    let program = text.split("\n#[cfg(test)]\n").next().unwrap_or_default();
    let mut paths = Vec::new();
    for include in ["include_str!(\"", "include_bytes!(\""] {
        let named = program.split(include).skip(1).filter_map(|rest| rest.split('"').next());
        paths.extend(named.map(|named| from_root(&file.parent().unwrap().join(named))));
    }
    paths.retain(|path| !path.starts_with("src/"));
    paths
}

/// A path with its `..` resolved, as seen from the root of the repository.
fn from_root(path: &Path) -> String {
    let mut plain = PathBuf::new();
    for component in path.components() {
        if component == Component::ParentDir {
            plain.pop();
        } else {
            plain.push(component);
        }
    }
    plain.strip_prefix(root()).unwrap().to_string_lossy().into_owned()
}

#[test]
fn the_image_is_built_by_the_compiler_of_the_repository() {
    let pinned = read("rust-toolchain.toml");
    let channel = pinned.lines().find_map(|line| line.strip_prefix("channel = ")).unwrap().trim_matches('"');
    let image = format!("ARG RUST_IMAGE=rust:{channel}-slim-bookworm");
    assert!(read("Dockerfile").lines().any(|line| line == image), "{image}");
}

#[test]
fn the_labels_of_the_image_say_what_cargo_says() {
    let dockerfile = read("Dockerfile");
    let said = [
        ("title", env!("CARGO_PKG_NAME")),
        ("description", env!("CARGO_PKG_DESCRIPTION")),
        ("licenses", env!("CARGO_PKG_LICENSE")),
    ];
    for (label, text) in said {
        let label = format!("org.opencontainers.image.{label}=\"{text}\"");
        assert!(dockerfile.contains(&label), "{label}");
    }
}

#[test]
fn what_the_binary_includes_is_copied_into_its_build() {
    let is_program = |file: &PathBuf| !file.ends_with("tests.rs") && !file.ends_with("testing.rs");
    let files: Vec<PathBuf> = rust_files(&root().join("src")).into_iter().filter(is_program).collect();
    let included: Vec<String> = files.iter().flat_map(|file| included(file)).collect();
    assert!(included.iter().any(|path| path == "openapi.yaml"), "the tree was read: {included:?}");

    let (dockerfile, ignore) = (read("Dockerfile"), read(".dockerignore"));
    let copies = dockerfile.lines().filter_map(|line| line.strip_prefix("COPY "));
    let copied: Vec<&str> = copies.flat_map(str::split_whitespace).collect();
    for path in included {
        let top = path.split('/').next().unwrap_or_default();
        assert!(copied.contains(&top), "the Dockerfile does not copy {path}");
        assert!(ignore.lines().any(|line| line == format!("!{top}")), ".dockerignore hides {path}");
    }
}
