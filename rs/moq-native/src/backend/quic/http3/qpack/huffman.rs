//! Huffman: the code that shortens the texts of a field section.
//!
//! The code is canonical: within one length, codes count upwards in the order of their symbols. How many codes each length has
//! and the order of the symbols is therefore all that a decoder needs.
//!
//! Spec: RFC 7541, section 5.2 and appendix B (QPACK uses the same: RFC 9204, section 4.1.2).

use super::DecodeError;

/// How many codes are one bit long, two bits, and so on up to thirty.
const COUNTS: [u32; 30] = [0, 0, 0, 0, 10, 26, 32, 6, 0, 5, 3, 2, 6, 2, 3, 0, 0, 0, 3, 8, 13, 26, 29, 12, 4, 15, 19, 29, 0, 4];

/// The symbols in the order of their codes. The last code, EOS, stands for none and is an error in a text.
#[rustfmt::skip]
const SYMBOLS: [u8; 256] = [
    48, 49, 50, 97, 99, 101, 105, 111, 115, 116, 32, 37, 45, 46, 47, 51, 52, 53, 54, 55, 56, 57, 61, 65, 95, 98, 100, 102, 103,
    104, 108, 109, 110, 112, 114, 117, 58, 66, 67, 68, 69, 70, 71, 72, 73, 74, 75, 76, 77, 78, 79, 80, 81, 82, 83, 84, 85, 86,
    87, 89, 106, 107, 113, 118, 119, 120, 121, 122, 38, 42, 44, 59, 88, 90, 33, 34, 40, 41, 63, 39, 43, 124, 35, 62, 0, 36, 64,
    91, 93, 126, 94, 125, 60, 96, 123, 92, 195, 208, 128, 130, 131, 162, 184, 194, 224, 226, 153, 161, 167, 172, 176, 177, 179,
    209, 216, 217, 227, 229, 230, 129, 132, 133, 134, 136, 146, 154, 156, 160, 163, 164, 169, 170, 173, 178, 181, 185, 186,
    187, 189, 190, 196, 198, 228, 232, 233, 1, 135, 137, 138, 139, 140, 141, 143, 147, 149, 150, 151, 152, 155, 157, 158, 165,
    166, 168, 174, 175, 180, 182, 183, 188, 191, 197, 231, 239, 9, 142, 144, 145, 148, 159, 171, 206, 215, 225, 236, 237, 199,
    207, 234, 235, 192, 193, 200, 201, 202, 205, 210, 213, 218, 219, 238, 240, 242, 243, 255, 203, 204, 211, 212, 214, 221,
    222, 223, 241, 244, 245, 246, 247, 248, 250, 251, 252, 253, 254, 2, 3, 4, 5, 6, 7, 8, 11, 12, 14, 15, 16, 17, 18, 19, 20,
    21, 23, 24, 25, 26, 27, 28, 29, 30, 31, 127, 220, 249, 10, 13, 22,
];

/// What `coded` says, at most `room` bytes of it.
///
/// # Errors
/// [`DecodeError::Huffman`] for an EOS inside the text, and for an end that is not the beginning of EOS or is a whole byte of
/// it; [`DecodeError::TooLarge`] when there is more to say than `room`.
pub(super) fn decode(coded: &[u8], room: usize) -> Result<Vec<u8>, DecodeError> {
    let mut text = Vec::with_capacity(room.min(coded.len() * 8 / 5));
    let mut code = Code::default();
    for bit in coded.iter().flat_map(|byte| (0..8).rev().map(move |place| u32::from(byte >> place & 1))) {
        let Some(symbol) = code.push(bit)? else { continue };
        if text.len() == room {
            return Err(DecodeError::TooLarge);
        }
        text.push(symbol);
    }
    if code.is_padding() { Ok(text) } else { Err(DecodeError::Huffman) }
}

/// A code as far as its bits have come.
#[derive(Default)]
struct Code {
    bits: u32,
    length: usize,
    /// The first code of one bit more.
    first: u32,
    /// How many codes are shorter than that.
    shorter: u32,
}

impl Code {
    /// Takes one bit more. Returns the symbol where that completes a code, and begins the next.
    fn push(&mut self, bit: u32) -> Result<Option<u8>, DecodeError> {
        self.bits |= bit;
        let count = *COUNTS.get(self.length).ok_or(DecodeError::Huffman)?;
        let place = self.bits - self.first;
        if place < count {
            let symbol = SYMBOLS.get((self.shorter + place) as usize).ok_or(DecodeError::Huffman)?;
            *self = Self::default();
            return Ok(Some(*symbol));
        }
        *self = Self {
            bits: self.bits << 1,
            length: self.length + 1,
            first: (self.first + count) << 1,
            shorter: self.shorter + count,
        };
        Ok(None)
    }

    /// Whether these bits may end a text: fewer than eight, all of them ones.
    fn is_padding(&self) -> bool {
        self.length < 8 && self.bits == (1 << (self.length + 1)) - 2
    }
}
