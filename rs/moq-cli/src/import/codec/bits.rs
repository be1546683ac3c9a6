//! Bits of a codec's header, most significant first.

/// Reads bits. `None`: there are none left.
#[derive(Clone, Copy, Debug)]
pub(super) struct Bits<'a> {
    bytes: &'a [u8],
    position: usize,
}

impl<'a> Bits<'a> {
    pub(super) fn new(bytes: &'a [u8]) -> Self {
        Self { bytes, position: 0 }
    }

    /// The next `count` bits, 32 at most, as a number.
    pub(super) fn take(&mut self, count: u32) -> Option<u32> {
        let mut value = 0u64;
        for _ in 0..count {
            let byte = *self.bytes.get(self.position / 8)?;
            value = value << 1 | u64::from(byte >> (7 - self.position % 8) & 1);
            self.position += 1;
        }
        u32::try_from(value).ok()
    }

    pub(super) fn flag(&mut self) -> Option<bool> {
        self.take(1).map(|bit| bit == 1)
    }

    /// Leaves out `count` bits.
    pub(super) fn skip(&mut self, count: u32) -> Option<()> {
        self.position += count as usize;
        (self.position <= self.bytes.len() * 8).then_some(())
    }
}
