//! Where a token stands in an address: the one reading of `?jwt=`, for every entrance of a relay and for whoever explains one.

/// The token in the query of an address, as it was before it was escaped. `None`: there is none, or an empty one.
///
/// Of several the last counts, as clients that append theirs to a configured address expect.
pub fn token(query: &str) -> Option<String> {
    let tokens = url::form_urlencoded::parse(query.as_bytes()).filter(|(name, _)| name == "jwt");
    tokens.map(|(_, token)| token.into_owned()).last().filter(|token| !token.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_token_counts_and_an_empty_one_is_none() {
        let rows = [
            ("", None),
            ("jwt", None),
            ("jwt=", None),
            ("x=1", None),
            ("JWT=a", None),
            ("jwt=a.b.c", Some("a.b.c")),
            ("x=1&jwt=a&y=2", Some("a")),
            ("jwt=a&jwt=b", Some("b")),
            ("jwt=a&jwt=", None),
            ("jwt=a%2Bb", Some("a+b")),
            ("jwt=a+b", Some("a b")),
            ("%6awt=a", Some("a")),
            ("jwt=a?jwt=b", Some("a?jwt=b")),
        ];
        for (query, shown) in rows {
            assert_eq!(token(query).as_deref(), shown, "{query}");
        }
    }
}
