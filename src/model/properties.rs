//! What is said of an object or a column, by the name of what is said.

use super::catalog::{Property, Value};
use serde::de::{MapAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::fmt;

/// Properties by name, in the order in which they are shown.
///
/// A schema has them several times for each of its tables, and most are two or three: a list without
/// room to spare, where a node of a map has room for eleven.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Properties(Vec<(Property, Value)>);

impl Properties {
    /// Nothing is said.
    pub const fn new() -> Self {
        Self(Vec::new())
    }

    /// Whether nothing is said.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The value of a property.
    pub fn get(&self, property: &Property) -> Option<&Value> {
        self.place(*property).ok().map(|place| &self.0[place].1)
    }

    /// The value of a property, to be changed.
    pub fn get_mut(&mut self, property: &Property) -> Option<&mut Value> {
        self.place(*property).ok().map(|place| &mut self.0[place].1)
    }

    /// Whether there is that property.
    pub fn contains_key(&self, property: &Property) -> bool {
        self.place(*property).is_ok()
    }

    /// Says something, in place of what was said before.
    pub fn insert(&mut self, property: Property, value: Value) {
        match self.place(property) {
            Ok(place) => self.0[place].1 = value,
            Err(place) => self.insert_at(place, property, value),
        }
    }

    /// Adds to a list; what is a text stays one.
    pub fn add(&mut self, property: Property, item: String) {
        match self.place(property) {
            Err(place) => self.insert_at(place, property, Value::List(vec![item])),
            Ok(place) => {
                if let Value::List(list) = &mut self.0[place].1 {
                    list.push(item);
                }
            }
        }
    }

    /// Leaves something unsaid.
    pub fn remove(&mut self, property: &Property) -> Option<Value> {
        self.place(*property).ok().map(|place| self.0.remove(place).1)
    }

    /// The names.
    pub fn keys(&self) -> impl Iterator<Item = &Property> {
        self.0.iter().map(|(property, _)| property)
    }

    /// The values, to be changed.
    pub fn values_mut(&mut self) -> impl Iterator<Item = &mut Value> {
        self.0.iter_mut().map(|(_, value)| value)
    }

    /// Names and values.
    pub fn iter(&self) -> impl Iterator<Item = (&Property, &Value)> {
        self.0.iter().map(|(property, value)| (property, value))
    }

    fn place(&self, property: Property) -> Result<usize, usize> {
        self.0.binary_search_by_key(&property, |(known, _)| *known)
    }

    fn insert_at(&mut self, place: usize, property: Property, value: Value) {
        self.0.reserve_exact(1);
        self.0.insert(place, (property, value));
    }
}

impl fmt::Debug for Properties {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.debug_map().entries(self.iter()).finish()
    }
}

impl Extend<(Property, Value)> for Properties {
    fn extend<T: IntoIterator<Item = (Property, Value)>>(&mut self, more: T) {
        more.into_iter().for_each(|(property, value)| self.insert(property, value));
    }
}

impl FromIterator<(Property, Value)> for Properties {
    fn from_iter<T: IntoIterator<Item = (Property, Value)>>(properties: T) -> Self {
        let mut all = Self::new();
        all.extend(properties);
        all
    }
}

impl IntoIterator for Properties {
    type Item = (Property, Value);
    type IntoIter = std::vec::IntoIter<Self::Item>;

    fn into_iter(self) -> Self::IntoIter {
        self.0.into_iter()
    }
}

impl Serialize for Properties {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.iter())
    }
}

impl<'de> Deserialize<'de> for Properties {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Map;
        impl<'de> Visitor<'de> for Map {
            type Value = Properties;

            fn expecting(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
                out.write_str("a map")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Properties, A::Error> {
                let mut properties = Properties::new();
                while let Some((property, value)) = map.next_entry()? {
                    properties.insert(property, value);
                }
                Ok(properties)
            }
        }
        deserializer.deserialize_map(Map)
    }
}
