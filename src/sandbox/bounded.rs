//! A map that forgets its oldest entry when it is full, so that no caller can make the simulator grow.

use std::collections::{HashMap, VecDeque};

pub(super) struct Bounded<V> {
    entries: HashMap<String, V>,
    order: VecDeque<String>,
    room: usize,
}

impl<V> Bounded<V> {
    pub(super) fn new(room: usize) -> Self {
        Self { entries: HashMap::new(), order: VecDeque::new(), room }
    }

    /// The entry of `key`, made if it is not there.
    pub(super) fn entry(&mut self, key: &str, make: impl FnOnce() -> V) -> &mut V {
        if !self.entries.contains_key(key) {
            self.make_room();
            self.order.push_back(key.to_owned());
        }
        self.entries.entry(key.to_owned()).or_insert_with(make)
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (&String, &V)> {
        self.entries.iter()
    }

    fn make_room(&mut self) {
        if self.order.len() < self.room {
            return;
        }
        if let Some(oldest) = self.order.pop_front() {
            self.entries.remove(&oldest);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Bounded;

    #[test]
    fn a_full_map_forgets_its_oldest_entry() {
        let mut map = Bounded::new(2);
        for key in ["a", "b", "a", "c"] {
            *map.entry(key, || 0) += 1;
        }
        let mut left: Vec<_> = map.iter().map(|(key, count)| (key.as_str(), *count)).collect();
        left.sort_unstable();
        assert_eq!(left, [("b", 1), ("c", 1)]);
    }
}
