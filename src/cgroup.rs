//! How much memory the kernel lets this process have, and whether that is enough.

use std::fs;
use std::path::Path;

/// What the process takes besides the cache, connections excepted; measured as docs/operations.md says.
const BESIDE_THE_CACHE: u64 = 160 << 20;

/// Warns if the process may be killed, out of memory, before its cache is full.
pub(crate) fn check_memory(cache_max_bytes: u64) {
    let cgroups = fs::read_to_string("/proc/self/cgroup").unwrap_or_default();
    let Some(limit) = memory_limit(Path::new("/sys/fs/cgroup"), &cgroups) else { return };
    let needed = needed(cache_max_bytes);
    if limit < needed {
        tracing::warn!(
            setting = "cache.max_bytes",
            limit_mib = limit >> 20,
            needed_mib = needed >> 20,
            "the memory limit is less than this configuration may need; raise it or lower cache.max_bytes"
        );
    }
}

/// A full cache takes one and a half times the bytes that it counts.
const fn needed(cache_max_bytes: u64) -> u64 {
    cache_max_bytes.saturating_add(cache_max_bytes / 2).saturating_add(BESIDE_THE_CACHE)
}

/// The smallest limit on the process's cgroup and those above it, in bytes; `None` if there is none. `cgroups` is what
/// `/proc/self/cgroup` says. In a container the path may be the host's: then only the top, which is the container's own,
/// is found.
fn memory_limit(root: &Path, cgroups: &str) -> Option<u64> {
    let limits = cgroups.lines().filter_map(|line| {
        let (controllers, path) = line.split_once(':')?.1.split_once(':')?;
        let (top, file) = match controllers {
            "" => (root.to_owned(), "memory.max"),
            _ if controllers.split(',').any(|name| name == "memory") => {
                (root.join("memory"), "memory.limit_in_bytes")
            }
            _ => return None,
        };
        let own = top.join(path.trim_start_matches('/'));
        let groups = own.ancestors().take_while(|group| group.starts_with(&top));
        // `max` is no number, and no limit.
        groups.filter_map(|group| fs::read_to_string(group.join(file)).ok()?.trim().parse().ok()).min()
    });
    limits.min()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_smallest_limit_from_the_process_to_the_top_counts_in_both_versions() {
        let root = std::env::temp_dir().join(format!("idv-gateway-cgroup-{}", std::process::id()));
        let write = |path: &str, limit: &str| {
            let path = root.join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, limit).unwrap();
        };
        write("memory.max", "max\n");
        write("pod/memory.max", "134217728\n");
        write("pod/gateway/memory.max", "max\n");
        write("memory/memory.limit_in_bytes", "9223372036854771712\n");
        write("memory/job/memory.limit_in_bytes", "268435456\n");
        let cases = [
            ("0::/\n", None),
            ("0::/pod/gateway\n", Some(128 << 20)),
            ("0::/kubepods/of/the/host\n", None),
            ("5:cpu:/pod\n4:memory:/job\n0::/\n", Some(256 << 20)),
            ("4:cpu,memory:/elsewhere\n", Some(9_223_372_036_854_771_712)),
            ("4:cpu:/job\n", None),
            ("", None),
            ("nonsense", None),
        ];
        for (cgroups, limit) in cases {
            assert_eq!(memory_limit(&root, cgroups), limit, "{cgroups}");
        }
        fs::remove_dir_all(root).unwrap();
    }

    #[test]
    fn the_default_cache_does_not_fit_into_half_a_gibibyte() {
        assert!((512 << 20..640 << 20).contains(&needed(256 << 20)));
        assert_eq!(needed(u64::MAX), u64::MAX);
    }
}
