//! JSON that has one reading.
//!
//! Two readers of an object with a repeated member may each believe another one, so such objects are refused, wherever they
//! stand. Spec: RFC 8259, section 4; RFC 7515, section 4.

use std::{collections::HashSet, fmt};

use serde::{
    Deserializer,
    de::{DeserializeOwned, DeserializeSeed, Error, MapAccess, SeqAccess, Visitor},
};

/// Deepest nesting read: a key set holds keys, which hold a scope, which holds lists.
const DEPTH_MAX: u8 = 8;

/// Reads the whole of `text`.
///
/// # Errors
/// What is no JSON, is nested too deep, names a member twice, or is no `T`.
pub(crate) fn read<T: DeserializeOwned>(text: &str) -> Result<T, serde_json::Error> {
    let mut members = serde_json::Deserializer::from_str(text);
    Unique { depth: DEPTH_MAX }.deserialize(&mut members)?;
    members.end()?;
    serde_json::from_str(text)
}

/// Walks over a value, and keeps nothing of it but the names of the objects it is in.
#[derive(Clone, Copy)]
struct Unique {
    /// How many more levels may come.
    depth: u8,
}

impl Unique {
    fn inner<E: Error>(self) -> Result<Self, E> {
        let depth = self.depth.checked_sub(1).ok_or_else(|| E::custom("nested too deep"))?;
        Ok(Self { depth })
    }
}

impl<'de> DeserializeSeed<'de> for Unique {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Unique {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        let inner = self.inner()?;
        let mut names = HashSet::new();
        while let Some(name) = map.next_key::<String>()? {
            map.next_value_seed(inner)?;
            if !names.insert(name) {
                return Err(A::Error::custom("a member is there twice"));
            }
        }
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<(), A::Error> {
        let inner = self.inner()?;
        while seq.next_element_seed(inner)?.is_some() {}
        Ok(())
    }

    fn visit_bool<E: Error>(self, _: bool) -> Result<(), E> {
        Ok(())
    }

    fn visit_i64<E: Error>(self, _: i64) -> Result<(), E> {
        Ok(())
    }

    fn visit_u64<E: Error>(self, _: u64) -> Result<(), E> {
        Ok(())
    }

    fn visit_f64<E: Error>(self, _: f64) -> Result<(), E> {
        Ok(())
    }

    fn visit_str<E: Error>(self, _: &str) -> Result<(), E> {
        Ok(())
    }

    fn visit_unit<E: Error>(self) -> Result<(), E> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;

    #[test]
    fn each_member_is_there_once() {
        for good in [r#"{"a":1,"b":{"a":[null,true,-1,0.5,"x"]}}"#, "[]", " 1 ", r#"{"a":{"a":{"a":1}}}"#] {
            assert!(read::<Value>(good).is_ok(), "{good}");
        }
        for bad in [
            r#"{"a":1,"a":1}"#,
            r#"{"a":1,"b":2,"a":null}"#,
            r#"{"a":1,"\u0061":2}"#,
            r#"{"x":{"a":1,"a":2}}"#,
            r#"[{"a":1,"a":2}]"#,
            r#"{"a":1}{"a":1}"#,
            r#"{"a":1} x"#,
            "",
        ] {
            assert!(read::<Value>(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn nesting_has_an_end() {
        let nested = |depth: usize| format!("{}{}", "[".repeat(depth), "]".repeat(depth));

        assert!(read::<Value>(&nested(usize::from(DEPTH_MAX))).is_ok());
        assert!(read::<Value>(&nested(usize::from(DEPTH_MAX) + 1)).is_err());
        assert!(read::<Value>(&"[".repeat(1_000_000)).is_err());
    }
}
