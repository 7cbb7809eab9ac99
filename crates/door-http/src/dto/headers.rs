//! A record's headers as JSON.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use serde::de::{Error, MapAccess, Visitor};
use serde::ser::SerializeMap;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// Named annotations of a record: a JSON object from name to value.
///
/// A value is a string, `null`, or `{"base64": "…"}` for bytes that are not UTF-8; a name that
/// occurs more than once has a list of those. The order of names, and of the values of one name, is
/// kept; a name given twice in the text is refused.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Headers(pub Vec<(String, HeaderValue)>);

/// One header's value.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum HeaderValue {
    /// UTF-8.
    Text(String),
    /// Other bytes.
    Bytes(Base64),
    /// No value, which is not the same as an empty one.
    Null,
}

/// Bytes as `{"base64": "…"}`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Base64 {
    /// Standard alphabet, padded.
    pub base64: String,
}

impl Headers {
    /// Whether there are none.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The names in the order of their first values, each with all of its values. A name is looked
    /// up, not searched for: one answer may hold thousands of records with a thousand names each.
    fn by_name(&self) -> Vec<(&str, Vec<&HeaderValue>)> {
        let mut places = BTreeMap::new();
        let mut names: Vec<(&str, Vec<&HeaderValue>)> = Vec::new();
        for (name, value) in &self.0 {
            let place = *places.entry(name.as_str()).or_insert(names.len());
            match names.get_mut(place) {
                Some((_, values)) => values.push(value),
                None => names.push((name, vec![value])),
            }
        }
        names
    }
}

/// What stands behind one name in the text.
#[derive(Deserialize)]
#[serde(
    untagged,
    expecting = "a header's value is a string, null, {\"base64\": …} or a list of those"
)]
enum OneOrMany {
    One(HeaderValue),
    Many(Vec<HeaderValue>),
}

impl Serialize for Headers {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let names = self.by_name();
        let mut map = serializer.serialize_map(Some(names.len()))?;
        for (name, values) in names {
            match values.as_slice() {
                [value] => map.serialize_entry(name, value)?,
                values => map.serialize_entry(name, values)?,
            }
        }
        map.end()
    }
}

impl<'de> Deserialize<'de> for Headers {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(HeadersVisitor)
    }
}

struct HeadersVisitor;

impl<'de> Visitor<'de> for HeadersVisitor {
    type Value = Headers;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(
            "an object from header name to string, null, {\"base64\": …} or a list of those",
        )
    }

    fn visit_unit<E: Error>(self) -> Result<Headers, E> {
        Ok(Headers::default())
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Headers, A::Error> {
        let (mut headers, mut names) = (Headers::default(), BTreeSet::new());
        while let Some(name) = map.next_key::<String>()? {
            if !names.insert(name.clone()) {
                return Err(A::Error::custom(
                    "a header is named twice; give it a list of values",
                ));
            }
            headers
                .extend(name, map.next_value()?)
                .map_err(A::Error::custom)?;
        }
        Ok(headers)
    }
}

impl Headers {
    /// Bounded by the limit on headers.
    fn extend(&mut self, name: String, values: OneOrMany) -> Result<(), String> {
        match values {
            OneOrMany::One(value) => self.0.push((name, value)),
            OneOrMany::Many(values) => {
                self.0
                    .extend(values.into_iter().map(|value| (name.clone(), value)));
            }
        }
        let max = model::limits::RECORD_HEADERS_MAX;
        if self.0.len() > max {
            Err(format!("a record has at most {max} headers"))
        } else {
            Ok(())
        }
    }
}
