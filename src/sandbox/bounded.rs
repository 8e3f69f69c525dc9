//! A map that forgets its oldest entry when it is full, so that no caller can make the simulator grow.

use serde::Serialize;
use std::collections::{HashMap, VecDeque};

#[derive(Serialize)]
pub(super) struct Bounded<V> {
    #[serde(flatten)]
    entries: HashMap<String, V>,
    #[serde(skip)]
    order: VecDeque<String>,
    #[serde(skip)]
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
        assert_eq!(serde_json::to_value(map).unwrap(), serde_json::json!({ "b": 1, "c": 1 }));
    }
}
