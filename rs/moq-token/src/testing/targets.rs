//! Request targets that nobody asked for in earnest: what one reader could understand differently from another.
//!
//! The same seed gives the same targets, so a finding can be walked into again.

/// Request targets without end, most of them with the slash in front that a request is to have.
#[derive(Clone, Debug)]
pub struct Targets {
    state: u64,
}

/// What one request asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Target {
    /// What stands before the query, and perhaps a fragment, which nobody should send.
    pub path: String,
    /// What stands in the query beside the token.
    pub noise: String,
    /// Which of the tokens at hand is shown, by its place among them.
    pub token: Option<usize>,
}

impl Targets {
    /// The targets of `seed`.
    pub fn new(seed: u64) -> Self {
        // A generator of this kind stays at zero.
        Self { state: seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1 }
    }

    /// A number below `bound`, by xorshift: good enough to choose, and the same everywhere.
    fn below(&mut self, bound: usize) -> usize {
        self.state ^= self.state << 13;
        self.state ^= self.state >> 7;
        self.state ^= self.state << 17;
        (self.state >> 11) as usize % bound
    }

    fn one_of<'a>(&mut self, of: &[&'a str]) -> &'a str {
        of[self.below(of.len())]
    }

    fn path(&mut self) -> String {
        let mut path = "/".to_owned();
        if self.below(64) == 0 {
            // About as deep, or as long, as a path may be.
            let (name, times) = if self.below(2) == 0 { ("a/", 28 + self.below(8)) } else { ("%61bcdefg", 505 + self.below(10)) };
            path += &name.repeat(times);
        }
        let is_odd = self.below(2) == 0;
        for _ in 0..self.below(6) {
            if is_odd && self.below(3) == 0 {
                path += self.one_of(ODD);
            }
            path += self.one_of(NAMES);
            path += self.one_of(SLASHES);
        }
        if self.below(32) == 0 {
            path.remove(0);
        }
        path
    }
}

impl Iterator for Targets {
    type Item = Target;

    fn next(&mut self) -> Option<Target> {
        let path = self.path();
        let noise = if self.below(3) == 0 { self.one_of(NOISE).to_owned() } else { String::new() };
        let token = if self.below(2) == 0 { Some(self.below(8)) } else { None };
        Some(Target { path, noise, token })
    }
}

impl Target {
    /// Path and query, with `token` at the end of the query.
    pub fn with_query(&self, token: Option<&str>) -> String {
        let token = token.map(|token| format!("jwt={token}"));
        let query: Vec<_> = [Some(self.noise.clone()).filter(|noise| !noise.is_empty()), token].into_iter().flatten().collect();
        if query.is_empty() { self.path.clone() } else { format!("{}?{}", self.path, query.join("&")) }
    }
}

/// Names that paths and rights have in common, so that they meet, in several spellings.
const NAMES: &[&str] = &[
    "demo",
    "demo",
    "room",
    "room",
    "alice",
    "alice",
    "x",
    "ro%6Fm",
    "%72oom",
    "%64%65%6d%6f",
    "al%69ce",
    "Room",
    "rooms",
    "roo",
    "demo%20",
    "r%C3%B6",
    "ö",
    "日本",
    "%2541",
    "100%25",
    "+",
    "~",
    ".hidden",
    "...",
    "a%3Fb",
    "a%23b",
    "a:b@c;d=e,f!$'()*",
    "..x",
    "-_.",
];

const SLASHES: &[&str] = &["/", "/", "/", "/", "//", "///", ""];

/// What some readers resolve, some decode twice, some take away, and some stumble over.
const ODD: &[&str] = &[
    ".",
    "..",
    "./",
    "../",
    "/./",
    "/../",
    "%2e",
    "%2E%2e",
    ".%2e/",
    "/%2e./",
    "%2f",
    "%2F",
    "%252f",
    "%252e%252e",
    "\\",
    "..\\",
    "%5c",
    "%5C",
    "%00",
    "%0a",
    "%0d%0a",
    "%1f",
    "%7f",
    "%C2%85",
    "%c2%80",
    "%",
    "%2",
    "%zz",
    "%+1",
    "%u0041",
    "%ff",
    "%c0%ae",
    "%c3",
    "%b6",
    "%ed%a0%80",
    "%f0%9f%94%91",
    "%E2%80%8B",
    "\u{200b}",
    "\u{feff}",
    "\u{202e}",
    "\u{85}",
    "\u{ff0f}",
    "\u{2024}",
    " ",
    "%20",
    "\t",
    "\n",
    "\r\n",
    "\0",
    "\u{7f}",
    "\"",
    "<",
    ">",
    "`",
    "{",
    "}",
    "|",
    "^",
    "[",
    "]",
    "#",
    "#/room",
    "*",
    ";/",
    "&",
    "=",
    ":",
    "@",
    "://",
    "/:443/",
];

const NOISE: &[&str] = &[
    "x=1",
    "x",
    "=",
    "&",
    "&&",
    "jwt=",
    "jwt=&x",
    "JWT=abc",
    "jwt=abc",
    "%6awt=abc",
    "jwt=%zz",
    "j+wt=abc",
    "jwt",
    "x=/../room",
    "x=%2e%2e",
    "x=?",
    "?jwt=abc",
    "x=%00",
    "x=ö",
    "x[]=\\",
    "jwt=a%26b",
];
