//! How values are spelled in relay.toml: durations, lists that may be a single string, and whatever parses from a string.
//!
//! Each function fits `#[serde(deserialize_with)]` on an optional field, and says in its errors what it would have taken.

use std::{fmt, marker::PhantomData, str::FromStr, time::Duration};

use serde::{
    Deserializer,
    de::{Error, SeqAccess, Visitor},
};

/// A string that parses as `T`.
pub(super) fn text<'de, D, T>(deserializer: D) -> Result<Option<T>, D::Error>
where
    D: Deserializer<'de>,
    T: FromStr<Err: fmt::Display>,
{
    deserializer.deserialize_any(Text(PhantomData)).map(Some)
}

/// A string that parses as `T`, or a list of them.
pub(super) fn list<'de, D, T>(deserializer: D) -> Result<Option<Vec<T>>, D::Error>
where
    D: Deserializer<'de>,
    T: FromStr<Err: fmt::Display>,
{
    deserializer.deserialize_any(List(PhantomData)).map(Some)
}

/// A duration with its unit, such as `10s` or `1h 30m`.
pub(super) fn duration<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Duration>, D::Error> {
    deserializer.deserialize_any(Span).map(Some)
}

struct Text<T>(PhantomData<T>);

impl<T: FromStr<Err: fmt::Display>> Visitor<'_> for Text<T> {
    type Value = T;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a string")
    }

    fn visit_str<E: Error>(self, value: &str) -> Result<T, E> {
        value.parse().map_err(|error| E::custom(format_args!("`{value}`: {error}")))
    }
}

struct List<T>(PhantomData<T>);

impl<'de, T: FromStr<Err: fmt::Display>> Visitor<'de> for List<T> {
    type Value = Vec<T>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a string or a list of strings")
    }

    fn visit_str<E: Error>(self, value: &str) -> Result<Vec<T>, E> {
        Ok(vec![Text(PhantomData).visit_str(value)?])
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Vec<T>, A::Error> {
        let mut list = Vec::new();
        while let Some(item) = items.next_element_seed(Item(PhantomData))? {
            list.push(item);
        }
        Ok(list)
    }
}

/// One element of a list, so that an error points at it and not at the list.
struct Item<T>(PhantomData<T>);

impl<'de, T: FromStr<Err: fmt::Display>> serde::de::DeserializeSeed<'de> for Item<T> {
    type Value = T;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<T, D::Error> {
        deserializer.deserialize_any(Text(PhantomData))
    }
}

struct Span;

impl Visitor<'_> for Span {
    type Value = Duration;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a duration with its unit in quotes, such as \"10s\" or \"500ms\"")
    }

    fn visit_str<E: Error>(self, value: &str) -> Result<Duration, E> {
        humantime::parse_duration(value)
            .map_err(|error| E::custom(format_args!("`{value}` is no duration ({error}); write it as \"10s\" or \"500ms\"")))
    }
}
