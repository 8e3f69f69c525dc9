//! How many connections the process's limit on open files allows. It only counts; the server decides which ones are accepted.

use procfs::process::{LimitValue, Process};

/// Files that are no connection of a caller or to an upstream: listeners, timers, the log, keys being read again,
/// name look-ups, connections for tokens.
const OTHER_FILES: usize = 32;

/// Connections at once, of each listener.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct ConnectionLimits {
    /// Callers'.
    pub public: usize,
    /// Operators': probes, scrapers and a few people.
    pub admin: usize,
    /// The vendor's callbacks: each connection carries one short request.
    pub callbacks: usize,
}

impl ConnectionLimits {
    /// `public` connections of callers, or as many as the limit on open files allows besides `upstream` connections: callers
    /// who take the last file would keep every fill from its upstream.
    pub(crate) fn new(public: usize, upstream: usize) -> Self {
        let wanted = Self { public, admin: 256, callbacks: 256 };
        let limits = Process::myself().and_then(|process| process.limits());
        let Ok(LimitValue::Value(open_files)) = limits.map(|limits| limits.max_open_files.soft_limit) else {
            return wanted;
        };
        let open_files = usize::try_from(open_files).unwrap_or(usize::MAX);
        let places = wanted.within(open_files, upstream);
        if places.public < public {
            tracing::warn!(
                open_files,
                configured = public,
                connections = places.public,
                "the limit on open files leaves room for fewer connections than server.max_connections"
            );
        }
        places
    }

    fn within(self, open_files: usize, upstream: usize) -> Self {
        let admin = self.admin.min(open_files / 16).max(1);
        let left = open_files.saturating_sub(OTHER_FILES + upstream + admin);
        // However many connections upstreams may take, callers have a quarter of all files.
        Self { public: self.public.min(left.max(open_files / 4).max(1)), admin, ..self }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const WANTED: ConnectionLimits = ConnectionLimits { public: 10_000, admin: 256, callbacks: 256 };

    #[test]
    fn a_high_limit_changes_nothing() {
        assert_eq!(WANTED.within(20_000, 64), WANTED);
    }

    #[test]
    fn a_low_limit_keeps_files_for_upstreams_and_a_quarter_for_callers() {
        assert_eq!(WANTED.within(1024, 64), ConnectionLimits { public: 864, admin: 64, ..WANTED });
        assert_eq!(WANTED.within(256, 64), ConnectionLimits { public: 144, admin: 16, ..WANTED });
        assert_eq!(WANTED.within(256, 640), ConnectionLimits { public: 64, admin: 16, ..WANTED });
        assert_eq!(WANTED.within(1, 64), ConnectionLimits { public: 1, admin: 1, ..WANTED });
    }
}
