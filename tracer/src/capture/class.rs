//! Classes of lost events, read back from a recording.

use serde::{Deserialize, Deserializer};
use std::sync::{Mutex, PoisonError};
use tracer_common::loss;

/// A class of events. The alias keeps serde from borrowing it from its input.
pub(super) type Class = &'static str;

/// Classes that are kept beyond those of this version.
const LIMIT: usize = 64;
/// Longest name of a class, bytes.
const MAX_BYTES: usize = 64;

/// Names that were met; few, because each stays in memory for good.
static MET: Names = Names(Mutex::new(Vec::new()));

struct Names(Mutex<Vec<Class>>);

pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Class, D::Error> {
    String::deserialize(deserializer).map(|name| MET.class(&name))
}

impl Names {
    /// The class of this name; `other` for a name that is too long, or one too many.
    fn class(&self, name: &str) -> Class {
        let mut known = (0..loss::CLASSES as u32).filter_map(loss::name);
        if let Some(class) = known.find(|known| *known == name) {
            return class;
        }
        let mut met = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(class) = met.iter().find(|class| **class == name) {
            return class;
        }
        if met.len() >= LIMIT || name.len() > MAX_BYTES {
            return "other";
        }
        let class: Class = Box::leak(name.to_owned().into_boxed_str());
        met.push(class);
        class
    }
}

#[cfg(test)]
mod tests {
    use super::{LIMIT, Names};
    use std::sync::Mutex;

    #[test]
    fn a_hostile_file_cannot_fill_the_memory_with_classes() {
        let names = Names(Mutex::new(Vec::new()));
        assert_eq!(names.class("of a later version"), "of a later version");
        for number in 0..2 * LIMIT {
            names.class(&format!("class {number}"));
        }
        assert_eq!(names.class("one too many"), "other");
        assert_eq!(names.class("of a later version"), "of a later version");
        assert_eq!(names.class("frame"), "frame");
        assert_eq!(names.class(&"x".repeat(65)), "other");
    }
}
