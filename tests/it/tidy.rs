//! Who may import whom, where each tool lives, and that no files import each other in a circle. Tests are not looked at.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use syn::visit::{self, Visit};
use syn::{Attribute, Item, ItemFn, ItemImpl, ItemMod, ItemUse, UseTree, Visibility};

/// What each part of the program may import besides itself. `lib` is what stands in `lib.rs`.
const MAY_IMPORT: &[(&str, &[&str])] = &[
    ("main", &["cli"]),
    ("cli", &["lib", "config", "net", "sandbox", "settings", "telemetry"]),
    (
        "lib",
        &["app", "cgroup", "config", "domain", "http", "net", "reload", "remote", "settings", "telemetry"],
    ),
    (
        "app",
        &[
            "answer",
            "config",
            "domain",
            "files",
            "http",
            "lookup",
            "net",
            "reload",
            "remote",
            "settings",
            "telemetry",
            "upstream",
        ],
    ),
    ("reload", &["files", "telemetry"]),
    ("files", &[]),
    ("cgroup", &[]),
    ("http", &["answer", "domain", "files", "lookup", "net", "settings", "telemetry"]),
    ("lookup", &["answer", "domain", "remote", "settings", "telemetry", "upstream"]),
    ("upstream", &["domain", "net", "remote", "settings", "telemetry"]),
    ("remote", &["domain", "net", "settings", "telemetry"]),
    ("net", &["domain", "files"]),
    ("telemetry", &["domain", "settings"]),
    ("answer", &["domain"]),
    ("config", &["domain", "files", "settings"]),
    ("settings", &["domain"]),
    ("domain", &[]),
    ("sandbox", &[]),
];

/// Where a crate may be named: below these modules.
const HOMES: &[(&str, &[&str])] = &[
    ("axum", &["http", "sandbox"]),
    ("clap", &["cli"]),
    ("enum_map", &["domain", "http::admin", "remote::client", "telemetry::metrics"]),
    ("foldhash", &["lookup"]),
    ("hyper_rustls", &["net"]),
    ("hyper_util", &["http", "net", "sandbox"]),
    ("json_strip_comments", &["http::callback"]),
    ("lru", &["lookup", "sandbox"]),
    ("mimalloc", &["main"]),
    ("moka", &["lookup"]),
    ("opentelemetry", &["telemetry::traces"]),
    ("opentelemetry_otlp", &["telemetry::traces"]),
    ("opentelemetry_sdk", &["telemetry::traces"]),
    ("prometheus", &["telemetry::metrics"]),
    ("chacha20poly1305", &["remote"]),
    ("redis", &["remote"]),
    ("reqwest", &["net", "telemetry::traces"]),
    ("toml", &["config"]),
    ("tower", &["http", "net"]),
    ("tower_http", &["http"]),
    ("x509_cert", &["domain::certificate"]),
];

/// What the domain, which does no I/O, does not name.
const NOT_IN_DOMAIN: &[&str] = &["hyper", "reqwest", "rustls", "tokio", "tracing"];

/// Lines of a file before its tests.
const MOST_LINES: usize = 300;

type Module = Vec<String>;

/// One file of the program.
struct Source {
    module: Module,
    lines: usize,
    /// Its modules in files of their own.
    children: BTreeSet<String>,
    /// What it names of this crate, from the root.
    ours: BTreeSet<Module>,
    /// What it names of other crates.
    foreign: BTreeSet<Module>,
    /// What it exports that stands elsewhere, by name.
    exports: BTreeMap<String, Module>,
}

impl Source {
    fn read(module: &[&str], text: &str) -> Self {
        let file = syn::parse_file(text).expect("a source file is Rust");
        let children = file.items.iter().filter_map(|item| match item {
            // What stands outside of the tree is no part of the program.
            Item::Mod(child)
                if child.content.is_none() && !is_test(&child.attrs) && !has_path(&child.attrs) =>
            {
                Some(child.ident.to_string())
            }
            _ => None,
        });
        let mut source = Self {
            module: module.iter().map(|name| (*name).to_owned()).collect(),
            lines: text.split("\n#[cfg(test)]\n").next().unwrap_or(text).lines().count(),
            children: children.collect(),
            ours: BTreeSet::new(),
            foreign: BTreeSet::new(),
            exports: BTreeMap::new(),
        };
        let inline = Vec::new();
        Names { source: &mut source, inline }.visit_file(&file);
        source
    }

    /// The part of the program that it belongs to.
    fn part(&self) -> &str {
        self.module.first().map_or("lib", String::as_str)
    }

    fn name(&self) -> String {
        if self.module.is_empty() { "lib".to_owned() } else { self.module.join("::") }
    }

    fn is_below(&self, module: &str) -> bool {
        let name = self.name();
        name == module || name.starts_with(&format!("{module}::"))
    }
}

fn is_test(attributes: &[Attribute]) -> bool {
    attributes.iter().any(|attribute| {
        attribute.path().is_ident("cfg")
            && attribute.parse_args::<syn::Path>().is_ok_and(|path| path.is_ident("test"))
    })
}

fn has_path(attributes: &[Attribute]) -> bool {
    attributes.iter().any(|attribute| attribute.path().is_ident("path"))
}

/// Gathers the paths that a file names.
struct Names<'a> {
    source: &'a mut Source,
    /// The modules within the file that lead here.
    inline: Vec<String>,
}

impl Names<'_> {
    /// The path from the root of this crate, if it leads there.
    fn absolute(&self, path: &[String]) -> Option<Module> {
        let here = || [self.source.module.as_slice(), self.inline.as_slice()].concat();
        match path[0].as_str() {
            "crate" | "idv_gateway" => Some(path[1..].to_vec()),
            "self" => Some([here().as_slice(), &path[1..]].concat()),
            "super" => {
                let up = path.iter().take_while(|name| *name == "super").count();
                let here = here();
                Some([&here[..here.len().saturating_sub(up)], &path[up..]].concat())
            }
            first if self.inline.is_empty() && self.source.children.contains(first) => {
                Some([here().as_slice(), path].concat())
            }
            _ => None,
        }
    }

    fn note(&mut self, path: Vec<String>) {
        match self.absolute(&path) {
            Some(path) => self.source.ours.insert(path),
            None => self.source.foreign.insert(path),
        };
    }
}

impl<'ast> Visit<'ast> for Names<'_> {
    fn visit_item_mod(&mut self, item: &'ast ItemMod) {
        if item.content.is_some() && !is_test(&item.attrs) {
            self.inline.push(item.ident.to_string());
            visit::visit_item_mod(self, item);
            self.inline.pop();
        }
    }

    fn visit_item_fn(&mut self, item: &'ast ItemFn) {
        if !is_test(&item.attrs) {
            visit::visit_item_fn(self, item);
        }
    }

    fn visit_item_impl(&mut self, item: &'ast ItemImpl) {
        if !is_test(&item.attrs) {
            visit::visit_item_impl(self, item);
        }
    }

    fn visit_item_use(&mut self, item: &'ast ItemUse) {
        if is_test(&item.attrs) {
            return;
        }
        for (name, path) in leaves(&item.tree, &[]) {
            match self.absolute(&path) {
                Some(target) if !matches!(item.vis, Visibility::Inherited) => {
                    self.source.exports.insert(name, target);
                }
                _ => self.note(path),
            }
        }
    }

    /// Where something may be seen is no import.
    fn visit_visibility(&mut self, _: &'ast Visibility) {}

    fn visit_path(&mut self, path: &'ast syn::Path) {
        if path.segments.len() > 1 {
            self.note(path.segments.iter().map(|segment| segment.ident.to_string()).collect());
        }
        visit::visit_path(self, path);
    }
}

/// What a `use` brings in: each name with its whole path.
fn leaves(tree: &UseTree, before: &[String]) -> Vec<(String, Vec<String>)> {
    let with = |name: &syn::Ident| [before, &[name.to_string()]].concat();
    match tree {
        UseTree::Path(path) => leaves(&path.tree, &with(&path.ident)),
        UseTree::Name(name) => vec![(name.ident.to_string(), with(&name.ident))],
        UseTree::Rename(rename) => vec![(rename.rename.to_string(), with(&rename.ident))],
        UseTree::Glob(_) => vec![("*".to_owned(), before.to_vec())],
        UseTree::Group(group) => group.items.iter().flat_map(|item| leaves(item, before)).collect(),
    }
}

/// Every file of the program, found as the compiler finds them.
fn sources() -> Vec<Source> {
    let src = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut sources = Vec::new();
    follow(&src.join("lib.rs"), &src, &[], &mut sources);
    let main = std::fs::read_to_string(src.join("main.rs")).expect("there is a main");
    sources.push(Source::read(&["main"], &main));
    assert!(sources.len() > 50, "the tree was found");
    sources
}

fn follow(file: &Path, folder: &Path, module: &[&str], sources: &mut Vec<Source>) {
    let text = std::fs::read_to_string(file).unwrap_or_else(|error| panic!("{}: {error}", file.display()));
    let source = Source::read(module, &text);
    for child in &source.children {
        let below = folder.join(child);
        let flat = folder.join(format!("{child}.rs"));
        let file = if flat.is_file() { flat } else { below.join("mod.rs") };
        follow(&file, &below, &[module, &[child]].concat(), sources);
    }
    sources.push(source);
}

fn wrong_imports(source: &Source) -> Vec<String> {
    let part = source.part();
    let rule = MAY_IMPORT.iter().find(|(known, _)| *known == part);
    let (_, allowed) = rule.unwrap_or_else(|| panic!("no rule says what {part} may import"));
    let named = source.ours.iter().chain(source.exports.values()).filter_map(|path| path.first());
    // What is no part stands in lib.rs.
    let named = named.map(|name| if is_part(name) { name } else { "lib" });
    let wrong: BTreeSet<&str> = named.filter(|name| *name != part && !allowed.contains(name)).collect();
    wrong.into_iter().map(|name| format!("{} imports {name}", source.name())).collect()
}

fn is_part(name: &str) -> bool {
    MAY_IMPORT.iter().any(|(part, _)| *part == name)
}

fn tools_away_from_home(source: &Source) -> Vec<String> {
    let tools: BTreeSet<&str> = source.foreign.iter().map(|path| path[0].as_str()).collect();
    let is_away = |tool: &&str| {
        let home = HOMES.iter().find(|(known, _)| known == tool);
        home.is_some_and(|(_, homes)| !homes.iter().any(|home| source.is_below(home)))
            || source.part() == "domain" && NOT_IN_DOMAIN.contains(tool)
    };
    tools.into_iter().filter(is_away).map(|tool| format!("{} names {tool}", source.name())).collect()
}

/// Files that import each other, directly or not. An export of what stands elsewhere is no import.
fn circles(sources: &[Source]) -> BTreeSet<Vec<String>> {
    let by_module: BTreeMap<&[String], usize> =
        sources.iter().enumerate().map(|(at, source)| (source.module.as_slice(), at)).collect();
    let imports: Vec<BTreeSet<usize>> = sources
        .iter()
        .map(|source| source.ours.iter().filter_map(|path| owner(path, sources, &by_module, 0)).collect())
        .collect();
    let reached: Vec<BTreeSet<usize>> = (0..sources.len()).map(|from| reach(from, &imports)).collect();
    let mut circles = BTreeSet::new();
    for at in 0..sources.len() {
        let circle = reached[at].iter().filter(|other| **other != at && reached[**other].contains(&at));
        let mut names: Vec<String> = circle.map(|other| sources[*other].name()).collect();
        if !names.is_empty() {
            names.push(sources[at].name());
            names.sort();
            circles.insert(names);
        }
    }
    circles
}

/// The file where what a path names stands.
fn owner(
    path: &[String],
    sources: &[Source],
    by_module: &BTreeMap<&[String], usize>,
    depth: u8,
) -> Option<usize> {
    let (length, at) =
        (0..=path.len()).rev().find_map(|length| Some((length, *by_module.get(&path[..length])?)))?;
    let export = path.get(length).and_then(|item| sources[at].exports.get(item));
    match export {
        Some(target) if depth < 8 => owner(target, sources, by_module, depth + 1),
        _ => Some(at),
    }
}

fn reach(from: usize, imports: &[BTreeSet<usize>]) -> BTreeSet<usize> {
    let (mut reached, mut next) = (BTreeSet::new(), vec![from]);
    while let Some(at) = next.pop() {
        next.extend(imports[at].iter().filter(|other| reached.insert(**other)));
    }
    reached
}

#[test]
fn the_tree_keeps_the_rules() {
    let sources = sources();
    let mut complaints: Vec<String> = sources
        .iter()
        .flat_map(|source| [wrong_imports(source), tools_away_from_home(source)].concat())
        .collect();
    let long = sources.iter().filter(|source| source.lines > MOST_LINES);
    complaints.extend(long.map(|source| format!("{} has {} lines", source.name(), source.lines)));
    let circles = circles(&sources).into_iter();
    complaints.extend(circles.map(|circle| format!("import each other: {}", circle.join(", "))));
    assert!(complaints.is_empty(), "\n{}", complaints.join("\n"));
}

#[test]
fn an_import_of_a_part_further_up_is_found() {
    let wrong = |text| wrong_imports(&Source::read(&["http", "idv"], text));
    let tests = "#[cfg(test)]\nmod tests { use crate::app; }";
    for good in
        ["use crate::domain::region::Route;", "use super::super::lookup::Lookup;", "// crate::app", tests]
    {
        assert_eq!(wrong(good), Vec::<String>::new(), "{good}");
    }
    for bad in ["use crate::{app::App, domain};", "fn f() { crate::app::run() }", "use super::super::run;"] {
        assert_eq!(wrong(bad).len(), 1, "{bad}");
    }
}

#[test]
fn a_tool_away_from_home_is_found() {
    let away = |module: &[&str], text| tools_away_from_home(&Source::read(module, text));
    assert_eq!(away(&["http", "idv"], "use reqwest::Client;"), ["http::idv names reqwest"]);
    assert_eq!(away(&["domain", "x"], "fn f() { tokio::spawn(g()) }"), ["domain::x names tokio"]);
    assert_eq!(away(&["net", "client"], "use reqwest::Client;"), Vec::<String>::new());
}

#[test]
fn files_that_import_each_other_are_found() {
    let tree = [
        Source::read(&["a"], "mod b; mod c; pub use b::B; use c::C;"),
        Source::read(&["a", "b"], "use super::c::C;"),
        Source::read(&["a", "c"], "use super::B;"),
    ];
    assert_eq!(circles(&tree), BTreeSet::from([vec!["a::b".to_owned(), "a::c".to_owned()]]));
}
