//! JSON that has one reading.
//!
//! Two readers of an object with a repeated member may each believe another one, so such objects are refused, wherever they
//! stand. Spec: RFC 8259, section 4; RFC 7515, section 4.

use std::{collections::HashSet, fmt, marker::PhantomData};

use serde::{
    Deserialize, Deserializer, Serialize,
    de::{DeserializeOwned, DeserializeSeed, Error, MapAccess, SeqAccess, Visitor, value::MapAccessDeserializer},
};

/// Deepest nesting read: a key set holds keys, which hold a scope, which holds lists.
const DEPTH_MAX: u8 = 8;

/// Reads the whole of `text`, which is an object.
///
/// # Errors
/// What is no JSON, is nested too deep, names a member twice, or is no `T`.
pub(crate) fn read<T: DeserializeOwned>(text: &str) -> Result<T, serde_json::Error> {
    let mut members = serde_json::Deserializer::from_str(text);
    Unique { depth: DEPTH_MAX }.deserialize(&mut members)?;
    members.end()?;
    serde_json::from_str(text).map(|Object(value)| value)
}

/// A `T` that stands there as an object. By itself serde takes a list as well, and reads it as the members in their order.
#[derive(Clone, Debug, Serialize)]
#[serde(transparent)]
pub(crate) struct Object<T>(pub(crate) T);

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Object<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Members<T>(PhantomData<T>);

        impl<'de, T: Deserialize<'de>> Visitor<'de> for Members<T> {
            type Value = Object<T>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Object<T>, A::Error> {
                T::deserialize(MapAccessDeserializer::new(map)).map(Object)
            }
        }

        deserializer.deserialize_map(Members(PhantomData))
    }
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
    use std::collections::HashMap;

    use serde_json::Value;

    use super::*;

    type Members = HashMap<String, Value>;

    #[test]
    fn each_member_is_there_once() {
        for good in [r#"{"a":1,"b":{"a":[null,true,-1,0.5,"x"]}}"#, " {} ", r#"{"a":{"a":{"a":1}}}"#] {
            assert!(read::<Members>(good).is_ok(), "{good}");
        }
        for bad in [
            r#"{"a":1,"a":1}"#,
            r#"{"a":1,"b":2,"a":null}"#,
            r#"{"a":1,"\u0061":2}"#,
            r#"{"x":{"a":1,"a":2}}"#,
            r#"{"x":[{"a":1,"a":2}]}"#,
            r#"{"a":1}{"a":1}"#,
            r#"{"a":1} x"#,
            "",
        ] {
            assert!(read::<Members>(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_list_is_no_object() {
        #[derive(Debug, Deserialize)]
        struct Pair {
            a: u8,
            b: Option<Object<Inner>>,
        }
        #[derive(Debug, Deserialize)]
        struct Inner {
            c: u8,
        }

        let pair = read::<Pair>(r#"{"a":1,"b":{"c":2}}"#).unwrap();
        assert_eq!((pair.a, pair.b.map(|Object(inner)| inner.c)), (1, Some(2)));
        for list in [r#"[1,{"c":2}]"#, r#"{"a":1,"b":[2]}"#] {
            assert!(read::<Pair>(list).is_err(), "{list}");
        }
    }

    #[test]
    fn nesting_has_an_end() {
        let nested = |depth: usize| format!(r#"{{"a":{}{}}}"#, "[".repeat(depth), "]".repeat(depth));

        assert!(read::<Members>(&nested(usize::from(DEPTH_MAX) - 1)).is_ok());
        assert!(read::<Members>(&nested(usize::from(DEPTH_MAX))).is_err());
        assert!(read::<Members>(&"[".repeat(1_000_000)).is_err());
    }
}
